//! Every threshold of the program, once, with its unit and its reason.
//!
//! The operator's table of them is in `docs/security.md`. The defaults of flags stand at the flags
//! in `cli/`, where `--help` reads them. Where no measurement is named, none set the number.

use std::ops::RangeInclusive;
use std::time::Duration;

// --- Ranges of flags -----------------------------------------------------------------------------

/// The most threads that `--threads` and `--encode-threads` take. More is a slip.
pub(crate) const MAX_THREADS: i64 = 1024;
/// The most that `--queue`, `--max-connections` and `--max-open-files` take. More is a slip.
pub(crate) const MAX_COUNT: i64 = 1_000_000;
/// The most that `--max-streams` and `--max-headers` take, which count for each connection.
pub(crate) const MAX_COUNT_PER_CONNECTION: i64 = 10_000;
/// The range of `--max-header-bytes`, in bytes. hyper reads 8 KiB at once, and a head is kept in
/// memory.
pub(crate) const HEADER_BYTES: RangeInclusive<u32> = 8 << 10..=1 << 20;

// --- The configuration file ----------------------------------------------------------------------

/// Sites that the start names. More of them would hide the other lines.
pub(crate) const ANNOUNCED_SITES: usize = 16;
/// Bytes of a configuration file that are read. Thousands of redirects are a few hundred KiB.
pub(crate) const CONFIG_BYTES: u64 = 1 << 20;
/// Mistakes of a configuration file that are shown. Further ones often follow from these.
pub(crate) const SHOWN_MISTAKES: usize = 20;

// --- Commands ------------------------------------------------------------------------------------

/// The time between two looks at the progress of a command, and at whether it is interrupted.
pub(crate) const PROGRESS_TICK: Duration = Duration::from_millis(200);
/// The time between two lines of progress, where stderr is no terminal.
pub(crate) const PROGRESS_LINES: Duration = Duration::from_secs(5);
/// The most bytes of compressed files that `warm --export` keeps in memory, where there is no cache.
pub(crate) const EXPORT_MEMORY_BYTES: u64 = 1 << 30;
/// Bytes of a coded file that `warm --check` reads at once.
pub(crate) const SIBLING_PIECE_BYTES: usize = 64 << 10;
/// Bytes beyond its source that a coded file may decode to before the decoder ends. It is more than a
/// decoder hands out at once.
pub(crate) const SIBLING_EXCESS_BYTES: u64 = 1 << 20;

// --- Downloads -----------------------------------------------------------------------------------

/// Bytes that `get` reads, decodes or hashes at once.
pub(crate) const GET_PIECE_BYTES: usize = 64 << 10;
/// Pieces that may come while the earlier ones are decoded and written: a MiB.
pub(crate) const GET_PIECES: usize = 16;
/// Redirects that `get` follows. Browsers follow 20, and curl 50.
pub(crate) const GET_REDIRECTS: usize = 10;
/// Times that `get` begins anew because what has come is damaged, or does not fit together.
pub(crate) const GET_RESTARTS: u32 = 1;
/// The longest pause after the first failure of a download. It doubles with each further one.
pub(crate) const GET_FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// The longest pause of all.
pub(crate) const GET_LAST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest pause that a server may ask for by Retry-After.
pub(crate) const GET_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The longest file that `get` offers as a dictionary: the largest window that RFC 9842 has for `dcz`. The file is
/// kept in memory while a delta is decoded.
pub(crate) const DICTIONARY_BYTES: u64 = 128 << 20;
/// The largest windows of deltas (RFC 9842 §4 and §5): 16 MiB for brotli, 128 MiB for zstd.
pub(crate) const DCB_WINDOW_BITS: u8 = 24;
pub(crate) const DCZ_WINDOW_LOG: u32 = 27;

// --- Sites ---------------------------------------------------------------------------------------

/// The most bytes of a host's name (RFC 1035 §2.3.4). A longer one is no site's.
pub(crate) const HOST_BYTES: usize = 255;

/// The longest wait for a reload, which systemd is told of then as ended. A reload takes milliseconds; a
/// mount that does not answer holds one up for ever.
pub(crate) const RELOAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The most reloads at once. Each but the last waits for a disk, and holds a thread.
pub(crate) const RELOADS: usize = 8;

/// The time for which the start waits for the first answer of the store that replicas share. Within a
/// region it takes milliseconds. A request before it does without the store.
pub(crate) const TIER_PATIENCE: Duration = Duration::from_secs(1);
/// The time for which `warm` waits for that: two tries of 2 s, and the pause between them.
pub(crate) const TIER_WARM_PATIENCE: Duration = Duration::from_secs(5);
/// The entries that may wait to be stored for other replicas while `warm` goes on, and their bytes. The
/// library's queue takes four times as many.
pub(crate) const TIER_BACKLOG: u64 = 256;
pub(crate) const TIER_BACKLOG_BYTES: u64 = 64 << 20;
/// The time between two looks at what is to be stored for other replicas.
pub(crate) const TIER_TICK: Duration = Duration::from_millis(20);

// --- Open files ----------------------------------------------------------------------------------

/// Descriptors that the process asks for. Shells allow 1,024 for the sake of `select`, which this
/// program does not use.
#[cfg(unix)]
pub(crate) const WANTED_FDS: u64 = 65_536;
/// Descriptors for everything that has no share of its own: logs, and files that are looked up,
/// hashed or encoded.
pub(crate) const RESERVED_FDS: usize = 48;
/// The number of error pages at once for requests that had no permit in time. A page may hold one of the
/// [`RESERVED_FDS`], so others get a sentence.
pub(crate) const BUSY_PAGES: usize = 8;
/// Descriptors of one worker: its runtime, its listening sockets, and a connection that waits for
/// a permit.
pub(crate) const FDS_PER_WORKER: usize = 6;
/// Connections to the site at once, unless `--max-connections` says otherwise.
pub(crate) const CONNECTIONS: usize = 10_000;
/// Requests at once that may hold a file, unless `--max-open-files` says otherwise.
pub(crate) const OPEN_FILES: usize = 4096;
/// Entries of the cache that are kept open.
pub(crate) const OPEN_ENTRIES: usize = 8192;
/// Connections to the admin listener at once. A scraper and a balancer need a few; beyond that the
/// oldest one is closed.
pub(crate) const ADMIN_CONNECTIONS: usize = 64;
/// Divisors of the descriptors that are left: connections get a half, requests a quarter, entries
/// an eighth and the admin listener a sixteenth. The shares add up to less than the whole.
pub(crate) const CONNECTIONS_SHARE: usize = 2;
pub(crate) const OPEN_FILES_SHARE: usize = 4;
pub(crate) const OPEN_ENTRIES_SHARE: usize = 8;
pub(crate) const ADMIN_CONNECTIONS_SHARE: usize = 16;

// --- Accepting -----------------------------------------------------------------------------------

/// Connections that the kernel keeps until they are accepted. A client beyond that tries again
/// after a second, then after longer; a burst of clients in the tests of hostile clients showed
/// that second with a shorter queue.
pub(crate) const ACCEPT_QUEUE: i32 = 1024;
/// The wait after the first `accept` that failed for want of descriptors or memory. It doubles
/// with each further failure.
pub(crate) const FIRST_ACCEPT_BACKOFF: Duration = Duration::from_millis(10);
/// The longest wait between two tries to accept.
pub(crate) const LAST_ACCEPT_BACKOFF: Duration = Duration::from_secs(1);

/// The longest header of version 1 of the PROXY protocol, as it says itself.
pub(crate) const PROXY_LINE_BYTES: usize = 107;

// --- Requests ------------------------------------------------------------------------------------

/// The longest wait of a request for its permit. The 503 that follows asks the client to come
/// back after as long.
pub(crate) const PERMIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Header fields that hyper parses without an allocation. A limit that is set explicitly costs one
/// for each request, even the same limit.
pub(crate) const HYPER_HEADERS: usize = 100;

// --- HTTP/2 --------------------------------------------------------------------------------------

/// Bytes that one stream may hold ready to be sent, beyond the chunk at hand. They are part of the
/// about 140 KiB that a body takes whose client does not read.
pub(crate) const STREAM_BUFFER_BYTES: usize = 16 << 10;
/// Bytes of request bodies that a client may send before it must wait. Nobody reads them, so this
/// is the least that the protocol has.
pub(crate) const REQUEST_WINDOW_BYTES: u32 = 65_535;
/// Streams that a client opened and reset before they were accepted; more end the connection
/// (CVE-2023-44487).
pub(crate) const PENDING_RESETS: usize = 20;
/// Streams that the server reset because the client broke the rules; more end the connection
/// (RUSTSEC-2024-0003).
pub(crate) const LOCAL_RESETS: usize = 128;

// --- TLS -----------------------------------------------------------------------------------------

/// The most bytes of a file with certificates or a key. A chain with its key takes some 10 KiB; a
/// device or a log that is named by mistake has no end.
pub(crate) const TLS_FILE_BYTES: u64 = 1 << 20;
/// The time between two looks at the files of certificates. A look reads them, which takes some
/// 50 us a pair, and a renewal is in force so much later.
pub(crate) const TLS_FILES_INTERVAL: Duration = Duration::from_secs(2);

// --- Deadlines of a connection -------------------------------------------------------------------

/// The shortest write timeout that the kernel takes, which counts in milliseconds. It takes 0 for its
/// own default.
#[cfg(target_os = "linux")]
pub(crate) const SHORTEST_WRITE_TIMEOUT: Duration = Duration::from_millis(1);
/// The longest write timeout that the kernel takes, 24 days. It reads a longer one as negative.
#[cfg(target_os = "linux")]
pub(crate) const LONGEST_WRITE_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);
/// The buffer into which bytes are read to be discarded, in bytes.
pub(crate) const DISCARD_BUFFER: usize = 4096;
/// Looks at a connection within one timeout. A deadline comes late by two looks at most.
pub(crate) const TICKS_PER_TIMEOUT: u32 = 4;
/// The shortest time between two looks at a connection.
pub(crate) const SHORTEST_TICK: Duration = Duration::from_millis(1);
/// The longest time between two looks at a connection.
pub(crate) const LONGEST_TICK: Duration = Duration::from_secs(5);
/// The time for which a connection without a request is kept once it is to end. Its client may
/// have sent a request before it could know.
pub(crate) const DRAIN_LINGER: Duration = Duration::from_millis(250);
/// The time in which a client's bytes are read and discarded after the last response. Unread bytes
/// would make the kernel reset the connection, and the response would be lost.
pub(crate) const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that are discarded at most after the last response.
pub(crate) const DISCARD_BYTES: usize = 1 << 20;

// --- The logs ------------------------------------------------------------------------------------

/// Bytes of the access log that may wait for the disk, some 16,000 lines. Further lines are lost,
/// and counted.
pub(crate) const ACCESS_LOG_BYTES: usize = 4 << 20;
/// Bytes of the log on stderr that may wait for its reader.
pub(crate) const LOG_BYTES: usize = 1 << 20;
/// The most bytes of a method, target, Referer or User-Agent in the access log, after escaping. A
/// client may send any of them as long as a request's head, and escaping makes four bytes of one.
pub(crate) const LOG_FIELD_BYTES: usize = 1024;
/// The most bytes of an `X-Request-Id` that the access log takes from a trusted proxy. The ids of
/// proxies in use have 32 to 64.
pub(crate) const REQUEST_ID_BYTES: usize = 128;
/// Warnings and errors that one line of code sends in [`LOG_WINDOW`]. Further ones are left out, and
/// counted as lost.
pub(crate) const LOG_BURST: u32 = 20;
/// The time after which such messages are told again.
pub(crate) const LOG_WINDOW: Duration = Duration::from_secs(60);
/// Bytes that are written to a log at once, without a wait for further lines.
pub(crate) const LOG_BUFFER_BYTES: usize = 64 << 10;
/// The longest time that a line of the access log waits in memory.
pub(crate) const LOG_FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time between two messages about lost lines.
pub(crate) const LOG_REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// The time between two tries to write to a non-blocking pipe that is full.
pub(crate) const LOG_RETRY_INTERVAL: Duration = Duration::from_millis(10);

// --- The admin listener --------------------------------------------------------------------------

/// The fewest characters of a token. Nobody guesses 16 that were chosen at random.
pub(crate) const SHORTEST_TOKEN: usize = 16;
/// The most characters of a token.
pub(crate) const LONGEST_TOKEN: usize = 1024;
/// The most bytes of a request's body. Thousands of globs fit.
pub(crate) const ADMIN_BODY_BYTES: usize = 64 << 10;
/// The longest wait for all of a request's body.
pub(crate) const ADMIN_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Entries on a page of their list.
pub(crate) const ENTRIES_PER_PAGE: usize = 100;
/// The most entries on a page. An entry takes some 200 bytes, and twice as many are kept while all are
/// listed.
pub(crate) const MOST_ENTRIES_PER_PAGE: usize = 1000;
/// Listeners to events at once. A dashboard has one for each of its pages that are open.
pub(crate) const EVENT_LISTENERS: usize = 16;
/// The time between two heartbeats to listeners. Proxies end connections that are silent for a minute.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

// --- Cross-origin requests ------------------------------------------------------------------------

/// The time for which a browser keeps the answer to a preflight. Chromium keeps none for longer.
pub(crate) const CORS_MAX_AGE: Duration = Duration::from_secs(7200);
/// Bytes of the fields that a preflight is told it may use. Its own list is copied up to here.
pub(crate) const CORS_REQUESTED_HEADERS: usize = 1024;

// --- Passwords -----------------------------------------------------------------------------------

/// The most bytes of a file of users. [`MAX_USERS`] lines take some 800 KiB.
pub(crate) const PASSWORD_FILE_BYTES: u64 = 4 << 20;
/// The most users of a site.
pub(crate) const MAX_USERS: usize = 10_000;
/// The highest cost of a hash of bcrypt. A check takes about a second of a core at 14, and twice as
/// long with each step.
pub(crate) const MAX_BCRYPT_COST: u32 = 14;
/// The bytes of a password that bcrypt reads.
pub(crate) const BCRYPT_PASSWORD_BYTES: usize = 72;
/// The most bytes of an `Authorization`. A longer one is wrong, and costs nothing.
pub(crate) const CREDENTIALS_BYTES: usize = 1024;
/// The cores for each thread that checks passwords. The others are left to those who are in.
pub(crate) const CORES_PER_PASSWORD_THREAD: usize = 4;
/// The most checks that run or wait. At the cost 10, which takes some 50 ms, the last waits 1.6 s.
pub(crate) const PASSWORD_CHECKS: usize = 32;
/// The most of them for one client's address.
pub(crate) const PASSWORD_CHECKS_PER_CLIENT: usize = 8;
/// The most requests that wait for them. Those with the same credentials wait for the same check.
pub(crate) const PASSWORD_WAITERS: usize = 1024;
/// The longest wait of a request for a check. A 503 follows.
pub(crate) const PASSWORD_TIMEOUT: Duration = Duration::from_secs(10);
/// The credentials that are known to be right, 64 bytes each. A user has one password.
pub(crate) const VERIFIED_CREDENTIALS: usize = 10_000;
/// The credentials that are known to be wrong.
pub(crate) const REJECTED_CREDENTIALS: usize = 256;
/// The time for which they are. A client that repeats a stale password costs little.
pub(crate) const REJECTED_FOR: Duration = Duration::from_secs(10);

// --- The rules of a site -------------------------------------------------------------------------

/// The most bytes of a `_headers` or a `_redirects`. Ten thousand long rules take 2 MiB.
pub(crate) const SITE_RULES_BYTES: u64 = 4 << 20;
/// The shortest time between two looks at them.
pub(crate) const SITE_RULES_INTERVAL: Duration = Duration::from_millis(100);
/// The longest sleep before them. A shorter `--revalidate` of a reload counts after it.
pub(crate) const SITE_RULES_NAP: Duration = Duration::from_secs(1);
/// The longest wait for a look at one site. The others go on then. A look takes less than a millisecond.
pub(crate) const SITE_RULES_TIMEOUT: Duration = Duration::from_secs(1);
/// The time for which the rules of a file that has disappeared stay. Build tools empty a directory and
/// write its files anew, those of rules last.
pub(crate) const SITE_RULES_GRACE: Duration = Duration::from_secs(10);
/// The most rules without placeholders that Cloudflare takes from a `_redirects`.
pub(crate) const CLOUDFLARE_STATIC_RULES: usize = 2000;
/// The most rules that Cloudflare takes from the first one with a placeholder on.
pub(crate) const CLOUDFLARE_DYNAMIC_RULES: usize = 100;
/// The most bytes of a line that Cloudflare takes.
pub(crate) const CLOUDFLARE_LINE_BYTES: usize = 1000;

// --- Measurements --------------------------------------------------------------------------------

/// The longest time of a request that is told from longer ones, in milliseconds. It is a power of two.
pub(crate) const LONGEST_MEASURED_TIME: u64 = 65_536;
/// The requests of one worker whose files are recorded in each [`HISTORY_INTERVAL`] before only a
/// sample of them is. One takes a microsecond, so these take less than a thousandth of a core.
pub(crate) const ALL_FILES: u32 = 1000;
/// One of so many further requests has its file recorded, and stands for the others.
pub(crate) const SAMPLED_FILES: u32 = 64;
/// Responses of one worker that wait for their place in the tables of files. The next one enters all of
/// them, unless the sample of a [`HISTORY_INTERVAL`] comes before it.
pub(crate) const WAITING_FILES: usize = 1024;
/// Files that each table keeps. Of these the dashboard shows [`TOP_FILES`]; the others keep the counts of
/// those exact. A path has at most [`LOG_FIELD_BYTES`], so a table takes up to 200 KiB.
pub(crate) const KEPT_FILES: usize = 200;
/// Files of each table that the API tells.
pub(crate) const TOP_FILES: usize = 50;
/// The time between two samples of the history.
pub(crate) const HISTORY_INTERVAL: Duration = Duration::from_secs(5);
/// Samples that are kept, which is an hour of them.
pub(crate) const HISTORY_SAMPLES: usize = 720;
/// Samples of the last minute.
pub(crate) const LAST_MINUTE_SAMPLES: usize = 12;
/// Events that wait for a listener. One who is slower misses the oldest ones.
pub(crate) const WAITING_EVENTS: usize = 256;

// --- OpenTelemetry -------------------------------------------------------------------------------

/// The time that a collector has for a batch, unless `OTEL_EXPORTER_OTLP_TIMEOUT` gives another. It is the
/// specification's.
#[cfg(feature = "otel")]
pub(crate) const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a collector's reply, which says at most in some words what it refused.
#[cfg(feature = "otel")]
pub(crate) const COLLECTOR_REPLY_BYTES: u64 = 64 << 10;
/// The time for the last batches at the program's end.
#[cfg(feature = "otel")]
pub(crate) const OTEL_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

// --- Shutdown ------------------------------------------------------------------------------------

/// The time for requests under way to finish after the first signal.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for the admin listener's requests after that. They are answered at once.
pub(crate) const ADMIN_DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// The time for encodes to be given up after that. A cache's disk that hangs is noticed within two
/// seconds.
pub(crate) const ENCODES_TIMEOUT: Duration = Duration::from_secs(3);
/// The time after that for files that were compressed to be stored for other replicas. Four of 64 MB take
/// 2 s over 1 Gbit/s.
pub(crate) const TIER_FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for which a runtime waits for its blocking jobs after the last connection has ended. A
/// disk that hangs holds a job up for ever.
pub(crate) const RUNTIME_TIMEOUT: Duration = Duration::from_millis(500);
/// The time for the last lines of a log. Its output may be a pipe that nobody reads.
pub(crate) const LOG_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The time for the last lines of a log after a second signal.
pub(crate) const LOG_ABORT_TIMEOUT: Duration = Duration::from_millis(100);

// --- Health checks -------------------------------------------------------------------------------

/// The longest wait of `healthcheck` for its answer. Docker gives a check 30 s, and starts a process
/// for each.
pub(crate) const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(5);

// --- Without a cache directory -------------------------------------------------------------------

/// Bytes of the cache in memory that stands in for one on disk.
pub(crate) const MEMORY_CACHE_BYTES: u64 = 64 << 20;
