//! The `cachecompress` program: a static file server that compresses every file once.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test"))]

mod access_log;
mod admin;
mod admin_access;
mod admission;
mod announcement;
mod authority;
mod basic_auth;
mod cli;
mod commands;
mod config;
mod config_file;
mod connection;
mod cors;
mod deadlines;
mod entry_list;
mod exit;
mod exposed_secrets;
mod fd_budget;
mod flag_values;
mod forwarded;
mod h2_stall;
mod hosts;
mod https_redirect;
mod inherited;
mod limits;
mod listener;
mod listing;
mod live;
mod log_queue;
mod logging;
mod otel;
mod peer;
mod printer;
mod proxy_header;
mod public_listener;
mod recorder;
mod reload;
mod rule_watch;
mod shutdown;
mod site;
mod site_rules;
mod sites;
mod supervisor;
mod tables;
mod telemetry;
mod tier;
mod tls;
mod tracked_body;
mod transport;
#[cfg(unix)]
mod unix_socket;
mod usage;
mod variables;
mod wake_flag;
mod workers;

use std::process::ExitCode;

/// An allocator that is fast at small pieces, of which each response needs a dozen.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exit::code(commands::run(&std::env::args_os().collect::<Vec<_>>()))
}
