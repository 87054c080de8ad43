//! The instructions of requests, by callgrind.

use std::collections::BTreeMap;
use std::path::Path;

use super::stage::{Kind, Stage, warm};

/// The requests of the shorter run, beside those of its warm-up. The difference of two runs is that
/// of the requests alone, without the program's start and end.
const FEW: usize = 200;
const MANY: usize = 2_200;

/// The instructions of one request of each kind, `None` for kinds that vary.
///
/// callgrind gets no commands while it runs, as its control may hang.
pub(crate) fn count(stage: &Stage, valgrind: &Path) -> Vec<Option<u64>> {
    let of_kind = |kind: &Kind| {
        if kind.paced {
            return None;
        }
        let few = of_a_run(stage, valgrind, kind, FEW);
        let many = of_a_run(stage, valgrind, kind, MANY);
        let more = many.iter().map(|(thread, count)| {
            count.saturating_sub(few.get(thread).copied().unwrap_or_default())
        });
        // The serving thread has had the most to do.
        Some(more.max().expect("a thread") / (MANY - FEW) as u64)
    };
    stage.kinds.iter().map(of_kind).collect()
}

/// The instructions of each thread of a program that answers `count` requests.
fn of_a_run(stage: &Stage, valgrind: &Path, kind: &Kind, count: usize) -> BTreeMap<String, u64> {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let options = "--tool=callgrind --separate-threads=yes --callgrind-out-file=";
    let through = format!("{} {options}{}", valgrind.display(), out.display());
    let mut server = stage.launch(kind.ruled).through(&through).start();
    let mut asker = warm(&server, kind);
    asker.ask(count);
    server.stop();
    let threads = std::fs::read_dir(directory.path()).unwrap().flatten();
    let counts = threads.filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let text = std::fs::read_to_string(file.path()).unwrap();
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "))?;
        Some((name, total.trim().parse().unwrap()))
    });
    counts.collect()
}
