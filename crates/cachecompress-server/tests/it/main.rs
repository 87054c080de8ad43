//! The program's integration tests, in modules by promise.
//!
//! `docs/promises.md` has the promises. Each test starts servers of its own and judges them from
//! outside, so that tests on other threads of this process change nothing. `fence` and `soak` are
//! programs of their own, for reasons that they state.

#![allow(clippy::unwrap_used, missing_docs, reason = "a failing unwrap is a failing test")]

#[path = "../common/mod.rs"]
mod common;

/// Promise 1: a body that ends cleanly has the bytes that its validators name.
mod exact {
    mod corpus;
    mod damage;
    mod deltas;
    mod edits;
    mod files;
    mod sendfile;
    mod siblings;
}

/// Promise 2: a content is encoded once per coding and cache directory.
mod once {
    mod processes;
    mod reuse;
}

/// Promise 3: no request waits for an encoder to finish, or for a disk that it does not need.
mod now {
    mod cold;
    mod cold_disk;
    mod dead_source;
    mod hung_cache;
}

/// Promise 4: a failure of the cache costs the compression and nothing else.
mod never_worse {
    mod disk;
}

/// Promise 5: disk, memory, descriptors and connections have limits.
mod bounded {
    mod disk;
    mod hostile;
}

/// Promise 6: `kill -9` at any instruction is harmless.
mod disposable {
    mod kill;
}

/// The second pass, which makes entries in use smaller.
mod fewest {
    mod second_pass;
}

/// Promise 7: RFC 9110, 9111, 9112, 8878 and 9211.
mod plain_http {
    mod basic_auth;
    mod browser;
    mod cors;
    mod header_rules;
    mod messages;
    mod negotiation;
    mod paths;
    mod ranges;
    mod redbot;
}

/// `warm`: files that are compressed ahead of requests, for this server and for others.
#[cfg(unix)]
mod ahead {
    mod check;
    mod export;
    mod stage;
    mod warm;
}

/// TLS: what it adds, and the promises that hold over it as well.
#[cfg(unix)]
mod tls {
    mod clients;
    mod endings;
    mod handshakes;
    pub(crate) mod pki;
    mod redirect;
    mod renewal;
    mod sites;
    pub(crate) mod ways;
}

/// `get`: files that are downloaded, or what has changed in them.
#[cfg(unix)]
mod get {
    mod broken;
    mod deltas;
    mod refused;
    mod stage;
    mod whole;
}

/// The rules of a site: what answers a path, and with which fields.
mod rules {
    mod combined;
    mod redirects;
    mod watched;
}

/// The store that replicas share: what they get from it, and what its faults cost.
#[cfg(unix)]
mod tier;

/// Whole sites, as their tools build them.
#[cfg(unix)]
mod sites {
    mod built;
    pub(crate) mod devtools;
    mod protocols;
}

/// The admin listener: its API, and the access to it.
mod admin;

/// OpenTelemetry, which the program has with the feature `otel`.
#[cfg(feature = "otel")]
mod otel;

/// The operator's side of the program: flags, exit codes, sockets, signals, logs.
mod cli {
    mod access_log;
    mod config;
    #[cfg(unix)]
    mod error_pages;
    mod exit_codes;
    mod generate;
    mod healthcheck;
    mod help;
    mod inspect;
    mod listing;
    mod logs;
    mod metrics;
    mod options;
    mod pages;
    mod program;
    mod proxies;
    mod purge;
    mod reload;
    mod sites;
    mod start;
    mod stdout;
    mod systemd;
    mod unix_socket;
    mod usage;
    mod workers;
}
