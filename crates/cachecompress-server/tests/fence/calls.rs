//! The system calls of requests, by strace.

use std::collections::HashMap;
use std::path::Path;

use super::common::{Request, eventually};
use super::stage::{Kind, Stage, warm};
use super::table::Calls;

/// The requests of a batch, which take less than a second.
const BATCH: usize = 100;
/// The batches, of which the smallest count is taken. The server does some work once a second,
/// which may fall into any of them.
const BATCHES: usize = 7;

/// The calls by which threads wait for one another and wake each other.
const WAITING: [&str; 4] = ["epoll_wait", "futex", "write", "sched_yield"];

/// The calls of one request of each kind.
pub(crate) fn count(stage: &Stage, strace: &Path) -> Vec<Calls> {
    let of = [false, true].map(|ruled| of_a_server(stage, strace, ruled));
    stage.kinds.iter().map(|kind| of[usize::from(kind.ruled)][kind.name].clone()).collect()
}

/// The calls of the requests to a server that is `ruled` or not, by the names of their kinds.
fn of_a_server(stage: &Stage, strace: &Path, ruled: bool) -> HashMap<&'static str, Calls> {
    let kinds = || stage.kinds.iter().filter(move |kind| kind.ruled == ruled);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("strace");
    // With `-D` the server is the child, and strace ends with it.
    let through = format!("{} -D -f -s 64 -o {} --", strace.display(), log.display());
    let mut server = stage.launch(ruled).through(&through).start();
    for kind in kinds() {
        let mut asker = warm(&server, kind);
        for batch in 0..=BATCHES {
            // The target of this request in the log marks the beginning of a batch.
            let mark = Request::get(&mark(kind, batch));
            asker.connection.send(&mark).unwrap();
            assert_eq!(asker.connection.receive("GET").unwrap().status(), 404);
            if batch < BATCHES {
                asker.ask(BATCH);
            }
        }
    }
    let threads = threads(server.id());
    server.stop();
    let id = server.id().to_string();
    let is_end = |line: &str| line.starts_with(&id) && line.contains(" +++ exited with ");
    let log = eventually("the end of strace's log", || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines().any(is_end).then_some(log)
    });
    kinds().map(|kind| (kind.name, of_a_request(&log, kind, &threads))).collect()
}

fn mark(kind: &Kind, batch: usize) -> String {
    format!("/mark-{}-{batch}-", kind.name)
}

/// The names of the threads of a program.
fn threads(id: u32) -> HashMap<String, String> {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let named = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        Some((task.file_name().into_string().ok()?, name.trim().to_owned()))
    };
    tasks.flatten().filter_map(named).collect()
}

/// The fewest calls of any batch, by name, without the calls that some requests do not make.
fn of_a_request(log: &str, kind: &Kind, threads: &HashMap<String, String>) -> Calls {
    let places: Vec<usize> = (0..=BATCHES)
        .map(|batch| log.find(&mark(kind, batch)).expect("a mark that was made"))
        .collect();
    let batches = places.windows(2).map(|ends| of_a_batch(&log[ends[0]..ends[1]], kind, threads));
    let fewest = batches.reduce(|mut fewest, batch| {
        fewest.retain(|name, count| {
            *count = batch.get(name).map_or(0, |other| (*count).min(*other));
            *count > 0
        });
        fewest
    });
    let of_one = |(name, count)| (name, (count as f64 / BATCH as f64).round() as u64);
    fewest.unwrap().into_iter().map(of_one).filter(|(_, count)| *count > 0).collect()
}

fn of_a_batch(log: &str, kind: &Kind, threads: &HashMap<String, String>) -> Calls {
    let mut calls = Calls::new();
    for line in log.lines().skip(1) {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let name = threads.get(thread).map_or("", String::as_str);
        let counts = kind.shared || name.starts_with("serve-");
        // Signals, and the ends of interrupted calls, have another form.
        let Some((call, _)) = call.trim_start().split_once('(') else { continue };
        let is_call = call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if counts && is_call && !(kind.shared && WAITING.contains(&call)) {
            *calls.entry(call.to_owned()).or_default() += 1;
        }
    }
    calls
}
