//! The library's integration tests: one program, its modules by promise.
//!
//! `docs/promises.md` has the promises. The tests of one program run on several threads of one
//! process, so a test that changes or counts something of the whole process is a program of its
//! own (`allocations`) or starts one (`service`).

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

/// Promise 1: a body that ends cleanly has the bytes that its validators name.
mod exact {
    mod cancel;
    mod damage;
    mod encoders;
    mod response_cache;
    mod story;
}

/// Promise 3: no request waits for an encoder, or for a disk that it does not need.
mod now {
    mod hanging_disk;
    mod nowait;
    mod patience;
    mod speculative;
}

/// Promise 4: a failure of the cache costs the compression and nothing else.
mod never_worse {
    mod failing_disk;
    mod faults;
    mod trials;
}

/// Promise 5: bytes and entries have limits.
mod bounded {
    mod disk;
}

/// Promise 6: the cache's directory may vanish or be tidied at any moment.
mod disposable {
    mod cache;
    mod gc;
    mod removal;
}

/// The suites that every implementation of a trait runs.
mod conformance {
    mod disk;
    mod source;
}

mod regressions;
mod service;
