//! The library's integration tests, in modules by promise.
//!
//! `docs/promises.md` has the promises. The tests of a program run on threads of one process. A
//! test that counts something of the whole process is therefore a program of its own
//! (`allocations`), or starts this one for itself alone (`bounded::threads`).

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

/// The fixtures that several modules share.
pub(crate) mod fixture {
    pub(crate) mod edited;
    #[cfg(feature = "tier")]
    pub(crate) mod replica;
    pub(crate) mod site;
    pub(crate) mod stored;
}

/// Promise 1: a body that ends cleanly has the bytes that its validators name.
mod exact {
    mod cancel;
    mod damage;
    mod edits;
    mod encoders;
    mod hidden_cache;
    mod hidden_files;
    mod links;
    mod response_cache;
    mod siblings;
    mod stored_damage;
    mod story;
    mod tier;
    #[cfg(unix)]
    mod timestamps;
}

/// Promise 2: a content is encoded once per coding and cache, and a file read once.
mod once {
    mod earlier_format;
    mod flights;
    mod hashes;
    mod shared;
    mod stored;
    mod tier;
}

/// Promise 3: no request waits for an encoder, or for a disk that it does not need.
mod now {
    mod encodes_under_way;
    mod hanging_cache;
    mod hanging_disk;
    mod hash_queue;
    mod nowait;
    mod patience;
    mod shutdown;
    mod speculative;
    mod warm;
}

/// Promise 4: a failure of the cache costs the compression and nothing else.
mod never_worse {
    mod failing_disk;
    mod faults;
    mod trials;
}

/// Promise 5: bytes, entries and threads have limits.
mod bounded {
    mod decoded_files;
    mod disk;
    mod eviction;
    mod log;
    mod threads;
}

/// Promise 6: the cache's directory may vanish or be tidied at any moment.
mod disposable {
    mod directory;
    mod gc;
    mod purge;
    mod removal;
}

/// Promise 7: RFC 9110 without a socket.
mod plain_http {
    mod dates;
    mod deltas;
    mod digests;
    mod messages;
    mod negotiation;
    mod ranges;
}

/// The second pass, which makes entries in use smaller.
mod fewest {
    mod second_pass;
}

/// The service as an application embeds it.
mod embedding {
    mod brought;
    mod content_names;
    mod encoded_names;
    mod error_pages;
    mod explain;
    mod fields;
    mod header_rules;
    mod listing;
    mod page_paths;
    mod paths;
    mod precompressed;
    mod redirects;
    mod service;
    mod types;
}

/// The suites that every implementation of a trait runs.
mod conformance {
    mod disk;
    mod source;
}
