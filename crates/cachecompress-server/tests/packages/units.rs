//! The systemd units.

use std::collections::BTreeSet;
use std::process::Command;

use cachecompress_test::tools::{packaged, require};

use crate::common::*;
use crate::{debian, repository, stdout};

#[test]
fn units_of_the_package_are_right() {
    let Some(_) = require("systemd-analyze") else { return };
    let Some(machine) = debian::installed() else { return };
    let units = ["cachecompress.service", "cachecompress.socket", "cachecompress-admin.socket"];
    for unit in units {
        let mut verify = machine.command("systemd-analyze verify --man=no");
        verify.arg(format!("/usr/lib/systemd/system/{unit}"));
        let done = cachecompress_test::server::output(&mut verify);
        let complaints = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && !complaints.contains(unit), "{unit}: {complaints}");
    }
}

/// `SystemCallFilter=` would end the program, or fail its calls, where only systemd sees it.
#[test]
fn service_may_make_the_system_calls_of_the_program() {
    let Some(analyze) = require("systemd-analyze") else { return };
    let Some(strace) = require("strace") else { return };
    let Some(program) = packaged().map(|dir| dir.join("cachecompress")) else { return };
    let unit =
        fs::read_to_string(repository().join("deploy/systemd/cachecompress.service")).unwrap();
    let filters = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter="));
    let mut allowed = BTreeSet::new();
    for filter in filters {
        match filter.strip_prefix('~') {
            None => {
                for word in filter.split(' ') {
                    match word.starts_with('@') {
                        true => allowed.extend(calls_of(&analyze, word)),
                        false => drop(allowed.insert(word.to_owned())),
                    }
                }
            }
            Some(denied) => {
                let denied = calls_of(&analyze, denied);
                allowed.retain(|call| !denied.contains(call));
            }
        }
    }
    assert!(allowed.contains("read") && !allowed.contains("chroot"), "{allowed:?}");

    let site = Site::with("a.txt", &site::text(7, 300_000));
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    // -D makes the program the child, and strace the observer that outlives it for a moment.
    let through = format!("{} -D -f -e signal=none -o {}", strace.display(), trace.display());
    let mut server = Launch::new(&program, site.path())
        .cache(&directory.path().join("cache"))
        .args(PATIENT)
        .through(&through)
        .start();
    for coding in ["br", "zstd", "gzip", "identity"] {
        for _ in 0..2 {
            assert_eq!(server.fetch(&Request::get("/a.txt").accept(coding)).status(), 200);
        }
    }
    let id = server.id().to_string();
    server.stop();
    let trace = eventually("the end of the trace", || {
        let text = fs::read_to_string(&trace).unwrap();
        // A short number is padded.
        let mut ends = text.lines().filter(|line| line.contains(" +++ exited with "));
        ends.any(|line| line.split(' ').next() == Some(&*id)).then_some(text)
    });
    let made: BTreeSet<&str> = trace
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('(').map(|call| call.0))
        .filter(|call| call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .collect();
    assert!(made.contains("accept4") && made.contains("linkat"), "{made:?}");
    // systemd itself makes this call, before its filter is in force.
    let missing: Vec<_> = made.iter().filter(|call| !allowed.contains(**call)).collect();
    assert!(missing.is_empty(), "the unit forbids {missing:?}");
}

/// The system calls of a set such as `@system-service`, with those of the sets in it.
fn calls_of(analyze: &Path, set: &str) -> BTreeSet<String> {
    let text = stdout(Command::new(analyze).args(["syscall-filter", "--no-pager", set]));
    let mut calls = BTreeSet::new();
    for name in text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()) {
        match name.as_bytes()[0] {
            b'#' => {}
            b'@' => calls.extend(calls_of(analyze, name)),
            _ => drop(calls.insert(name.to_owned())),
        }
    }
    calls
}
