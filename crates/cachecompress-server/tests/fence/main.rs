//! A fence around the costs of a warm request to the shipped program: system calls and
//! instructions.
//!
//! Both are counted, not timed, so a busy machine changes neither. `table.txt` has the figures;
//! `cargo xtask fence` builds the program and holds it against them, and with `--update` writes
//! them anew. A request that has become cheaper fails as well, or the fence would stand too far
//! out to keep the next one in.
//!
//! The figures and this program are for one architecture.
//!
//! The program stands alone, as `cargo xtask fence` runs it, because no other test may compete with
//! the servers that it traces.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod instructions;
mod stage;
mod table;

use cachecompress_test::tools::{require, shipped};
use stage::Stage;
use table::{Cost, Table};

#[test]
fn requests_cost_what_the_table_says() {
    let (Some(program), Some(strace), Some(valgrind)) =
        (shipped(), require("strace"), require("valgrind"))
    else {
        return;
    };
    let stage = Stage::set(&program);
    let calls = calls::count(&stage, &strace);
    let instructions = instructions::count(&stage, &valgrind);
    let costs = stage.kinds.iter().zip(calls.into_iter().zip(instructions));
    let found = Table::new(costs.map(|(kind, (calls, instructions))| {
        (kind.name.to_owned(), Cost { instructions, rough: kind.shared, calls })
    }));
    println!("{found}");
    let dear = stage::RULED.iter().filter_map(|(ruled, plain)| found.exceeds(ruled, plain));
    let dear: Vec<_> = dear.collect();
    assert!(dear.is_empty(), "{}", dear.join("\n"));
    if std::env::var_os("CACHECOMPRESS_TEST_FENCE_UPDATE").is_some() {
        found.write();
        return;
    }
    let complaints = found.held_against(&Table::read());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
