//! The words of the page that no figure changes.

pub(crate) const INTRODUCTION: &str = "\
# Performance

What cachecompress costs beside the servers that people use today, on one core each, with the ratios
in the same run. `cargo xtask bench` measures all of it again and writes this page; nothing on it is
written by hand. (`bench/src/report` has its words, `bench/results` its figures.)

    cargo xtask bench --quick              # in five minutes, to target/bench/quick
    cargo xtask bench                      # all of it in forty minutes, to docs/
    cargo xtask bench --only warm,h2c      # some of it; the rest of the page stays
    cargo xtask bench --report             # the page anew from bench/results
";

pub(crate) const METHOD: &str = "
## Method

- The server is alone on the first core, the load (wrk for HTTP/1.1, h2load for HTTP/2) on the last
  one; they talk over loopback. The servers take turns within each case (A B C, A B C, ...), so that
  whatever else the machine does meets all of them. A figure is the median of the turns; a ratio is
  the median of the ratios within each turn.
- **Processor time** is user and system time of all processes and threads of the server, from
  `/proc/PID/stat`, over the answers in that time. It is the figure to go by: on loopback the sender
  also pays for much of what the receiver's kernel does, the same for all servers. Where bodies are
  large, wrk's core is busy before the server's is: rates say more about the client then, and much of
  the sending is done, and paid for, when the client makes room, by whichever core that is. So such
  bodies are also measured with a client that takes them faster than a server sends.
- Connections are made within each turn, so their cost is in its figures, for all servers alike.
- Answers of 1 MB and more are counted by their bytes, as many are still under way when a turn ends.
- Before a server is measured in a case, its answer must be right: status, coding, and a body that
  decodes to exactly the file. A turn with errors does not count, and is named.
- All servers send the same bytes: those with compressed siblings get what cachecompress made
  (gzip, level 6). Only lighttpd compresses for itself, into its own cache, once.
- The peers are configured as one would for static files in production: nginx with one worker,
  `sendfile`, `tcp_nopush`, `open_file_cache` (for a minute, its default), `gzip_static`, no access
  log; h2o with `file.send-compressed`; lighttpd with `deflate.cache-dir`; Caddy with `precompressed`
  or `encode`; static-web-server with `--compression-static`; tower-http's `ServeDir` with
  `precompressed_gzip`, or under `CompressionLayer`, in axum (`bench/src/bin/tower-http-peer.rs`).
  Their configurations are in `bench/src/servers`. cachecompress runs as it comes, but with
  `--threads 1`.
- On loopback a segment holds nearly 64 KiB. nginx with `tcp_nopush` now and then keeps back the end of
  a body that is longer until the client's delayed acknowledgement, some 40 ms later. That shows in
  its rates and latencies (92 KB, above all with one connection), not in its processor time, and would
  not happen in a network.
- Peak memory is the sum of `VmHWM` of all processes of a server, reset before each turn; what
  processes share counts for each of them, and so does what a server has kept from earlier cases.
- What is not measured here: TLS, a real network, cold disks, other architectures.
";

pub(crate) const TARGETS: &str = "\
Set before the work began, for 64 connections on one core (but for what has all cores): how many times
as much cachecompress has as the other. Less time is better, and more answers a second.

";

/// What was found where a target could not be met.
pub(crate) const BEHIND_THE_TARGETS: &str = "
What profiles (`perf` on the server's core, callgrind) say of those that are hard to meet:

- **4 MB with wrk**: wrk reads 8 KiB at a time, and its core is busy while the server's is at 20 to
  30 %. What a server has put into a socket's queue the kernel then sends when wrk makes room, and
  charges to wrk. The more a server fills that queue the less it seems to pay, while both cores
  together do more: nginx's own figure swings between 300 and 780 µs for the same file. With a client
  that keeps up, the sender pays for all of it (\"drained\").
- **304**: three quarters of the time are the kernel's `recvfrom` and `writev`, the same calls for
  every server here. The rest, about 1.3 µs, is for three quarters hyper's: it parses the request,
  fills and reads header maps, and writes the head. To be a fifth below nginx, nearly all of it would
  have to go. What would move it is fewer calls for several connections at once
  (io_uring), which tokio's sockets do not have.
";

/// The heading of each experiment, and what it is.
const SECTIONS: [(&str, &str); 14] = [
    (
        "warm",
        "
## Warm, HTTP/1.1

Texts that were compressed before, with `Accept-Encoding: gzip`. Sizes are those on the wire. This is
what a site's visitors cause all day.
",
    ),
    (
        "drained",
        "
## Warm, HTTP/1.1, for a client that keeps up

The same texts but the shortest, 64 connections, for a client that has the kernel drop the bodies
unread (`bench/src/drain.rs`). So the server's core is the busy one, and pays for all it sends; with
wrk it is the load's core, and chance has a part in who pays. Not here: static-web-server, which sends
compressed files without their length.
",
    ),
    (
        "h2c",
        "
## Warm, HTTP/2

The same over HTTP/2 without TLS (h2c, prior knowledge); 10 requests at once on each connection, of
1,000 connections one on each. Not here: static-web-server, which speaks HTTP/2 only under TLS.
",
    ),
    (
        "conditional",
        "
## 304 Not Modified

Conditional requests with the tag that the server itself has given for the 1.4 KB text, 64
connections.
",
    ),
    (
        "ranges",
        "
## Ranges

60 KB out of the middle of a film of 4 MB, 64 connections.
",
    ),
    (
        "identity",
        "
## Images, fonts, films

What is never compressed: a font of 92 KB and a film of 4 MB, 64 connections. cachecompress reads
such files and compares their state before the last bytes leave, unless `--sendfile all` says that
nobody overwrites them in place.
",
    ),
    (
        "cold",
        "
## The first request

A large file that nobody has asked for yet; the server has just started, its cache is empty, and all
that it does shares one core. cachecompress hashes the file before it sends a byte, compresses it,
decodes what came out and compares, and keeps it; the others only compress. For all of them but
cachecompress and lighttpd every later request costs the same again.
",
    ),
    (
        "encoder",
        "
## The first request, beside the encoder alone

The same long text by zstd, now with all cores for cachecompress and its client: hash, encode, proof,
entry and answer, beside `zstd -3 -T1` with all cores, whose output goes to `/dev/null`.
",
    ),
    (
        "lengths",
        "
## The first request, and its memory

The same long text, and one of 2 GB, with all cores for cachecompress and its client. The cache is
large enough for both; by default a file of 2 GB is never compressed, as it could fill the cache. Its
hash takes more than a second, in which it is sent as it is; the figures are of the first request after.
Memory is bounded by what an encode, its proof and the requests hold, whatever the length.
",
    ),
    (
        "downloads",
        "
## The same program for everybody

A program of 10 MB, downloaded by 64 clients at a time: the case that cachecompress was made for. The
processor time of the server for all downloads, compressing included.
",
    ),
    (
        "files",
        "
## Scale: files

Texts of 1 to 3 KB in random order out of 10 and more files, all asked for once before, 64
connections. nginx keeps at most 10,000 files open here.
",
    ),
    (
        "connections",
        "
## Scale: connections

The text of 1.4 KB for 1 and more connections at once.
",
    ),
    (
        "sizes",
        "
## Scale: lengths

Films, which are never compressed, of 1 KB and more; 16 connections.
",
    ),
    (
        "startup",
        "
## Scale: entries at the start

From the start of the program, with so many entries in its cache directory, to the first answer, and
to the first from the cache. It answers before it has counted what is there.
",
    ),
];

/// What stands before an experiment's figures.
pub(crate) fn of(experiment: &str) -> &'static str {
    SECTIONS.iter().find(|(name, _)| *name == experiment).map_or("", |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::EXPERIMENTS;

    #[test]
    fn every_experiment_has_its_words() {
        for experiment in &EXPERIMENTS {
            assert!(of(experiment.name).starts_with("\n## "), "{}", experiment.name);
        }
    }
}
