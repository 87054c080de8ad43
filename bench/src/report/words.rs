//! The fixed text of the page.

pub(crate) const INTRODUCTION: &str = "\
# Performance

The cost of cachecompress beside other servers, on one core each, with ratios from the same run.
`cargo xtask bench` measures the figures and writes this page; nothing on it is written by hand. The
text is in `bench/src/report`, the figures are in `bench/results`.

    cargo xtask bench --quick              # in five minutes, to target/bench/quick
    cargo xtask bench                      # all experiments in forty minutes, to docs/
    cargo xtask bench --only fleet         # replicas and their store, in half an hour
    cargo xtask bench --only warm,h2c      # some experiments; the page keeps the others
    cargo xtask bench --report             # only the page, from bench/results
";

pub(crate) const METHOD: &str = "
## Method

- The server is alone on the first core. The load is on the last one: wrk for HTTP/1.1, h2load for
  HTTP/2. They talk over loopback.
- The servers take turns within each case (A B C, A B C, ...), so that other work of the machine
  meets all of them. A figure is the median of the turns. A ratio is the median of the ratios within
  each turn.
- **Processor time** is user and system time of all processes and threads of the server, from
  `/proc/PID/stat`, divided by the requests in that time. It is the most telling figure. On loopback
  the sender also pays for much of the receiver's kernel work, the same for all servers.
- With large bodies wrk's core is busy before the server's. The rates then say more about the
  client. Much of the sending is done when the client makes room, and is charged to whichever core
  does that. Such bodies are therefore also measured with a client that takes them faster than a
  server sends.
- Connections are made within each turn, so all figures include them.
- Responses of 1 MB and more are counted by their bytes, since many are unfinished when a turn ends.
- Before a server is measured in a case, its response is checked: the status, the coding, and a body
  that decodes to exactly the file. A turn with errors does not count, and is noted.
- All servers send the same bytes. Servers with precompressed files get the encodings of
  cachecompress (gzip, level 6). Only lighttpd compresses by itself, once, into its own cache.
- The peers are configured as for static files in production. nginx has one worker, `sendfile`,
  `tcp_nopush`, `open_file_cache` (for a minute, its default), `gzip_static` and no access log. h2o
  has `file.send-compressed`, lighttpd `deflate.cache-dir`, Caddy `precompressed` or `encode`, and
  static-web-server `--compression-static`. tower-http's `ServeDir` has `precompressed_gzip`, or is
  under `CompressionLayer`, in axum (`bench/src/bin/tower-http-peer.rs`). The configurations are in
  `bench/src/servers`. cachecompress runs with its defaults and `--threads 1`.
- On loopback a segment holds nearly 64 KiB. nginx with `tcp_nopush` sometimes keeps the end of a
  longer body until the client's delayed acknowledgement, some 40 ms later. This shows in its rates
  and latencies (92 KB, above all with one connection), not in its processor time. It would not
  happen in a network.
- Peak memory is the sum of `VmHWM` of all processes of a server, reset before each turn. Shared
  memory counts for each process, and memory from earlier cases is included.
- Not measured: a real network, cold disks, other architectures.
";

pub(crate) const TARGETS: &str = "\
The targets were set before the work began, for 64 connections on one core; the encoder's is for all
cores. Each is the ratio of cachecompress's figure to the other one. Less time is better, and more
requests per second.

";

/// The findings about the targets that are hard to meet.
pub(crate) const BEHIND_THE_TARGETS: &str = "
Profiles of the targets that are hard to meet (`perf` on the server's core, callgrind) show:

- **4 MB with wrk**: wrk reads 8 KiB at a time. Its core is busy, and the server's is at 20 to 30 %.
  The kernel sends a full socket queue when wrk makes room, and charges the sending to wrk. The more
  a server fills that queue, the less it seems to cost, while both cores together do more. nginx's
  own figure varies between 300 and 780 µs for the same file. With a client that keeps up, the sender
  pays for all of it (\"drained\").
- **304**: three quarters of the time are the kernel's `recvfrom` and `writev`, the same calls for
  every server here. hyper takes three quarters of the remaining 1.3 µs: it parses the request,
  fills and reads header maps, and writes the head. Nearly all of the remainder would have to go for
  a result 20 % below nginx. Fewer calls for several connections at once (io_uring) would help, but
  tokio's sockets do not have them.
";

/// The experiments in the order of the page, each with its heading and introduction.
pub(crate) const SECTIONS: [(&str, &str); 19] = [
    (
        "warm",
        "
## Warm, HTTP/1.1

Texts in the cache, with `Accept-Encoding: gzip`, as a site's visitors request them. Sizes are those
of the encoded bodies.
",
    ),
    (
        "drained",
        "
## Warm, HTTP/1.1, drained

The same texts except the shortest, with 64 connections, for a client whose kernel drops the bodies
unread (`bench/src/drain.rs`). The server's core is the busy one, and pays for all that it sends.
With wrk the load's core is the busy one, and chance has a part in the charge. static-web-server is
left out, since it sends precompressed files without their length.
",
    ),
    (
        "h2c",
        "
## Warm, HTTP/2

The same texts over HTTP/2 without TLS (h2c, prior knowledge). Each connection has 10 requests at
once; 1,000 connections have one each. static-web-server is left out, since it speaks HTTP/2 only
under TLS.
",
    ),
    (
        "conditional",
        "
## 304 Not Modified

Conditional requests with the server's own entity tag of the 1.4 KB text, with 64 connections.
",
    ),
    (
        "ranges",
        "
## Ranges

60 KB in the middle of a film of 4 MB, with 64 connections.
",
    ),
    (
        "identity",
        "
## Images, fonts, films

Files that are never compressed: a font of 92 KB and a film of 4 MB, with 64 connections.
cachecompress reads such files, and checks that they are unchanged before the last bytes leave.
`--sendfile all` promises that they are not overwritten in place, and avoids both.
",
    ),
    (
        "cold",
        "
## The first request

A large file that was not requested before. The server has just started, its cache is empty, and all
its work shares one core. cachecompress hashes the file before it sends a byte. It encodes the file,
decodes the result, compares both, and stores the entry. The others only encode. Later requests cost
the same again, except with cachecompress and lighttpd.
",
    ),
    (
        "encoder",
        "
## The first request, beside the encoder alone

The same long text by zstd, with all cores for cachecompress and its client. The time includes the
hash, the encoding, its proof, the entry and the response. Beside it runs `zstd -3 -T1` with all
cores, whose output goes to `/dev/null`.
",
    ),
    (
        "lengths",
        "
## The first request, and its memory

The same long text and one of 2 GB, with all cores for cachecompress and its client. The cache has
room for both; by default a file of 2 GB is never compressed, as it could fill the cache. Its hash
takes more than a second, in which the file is sent as it is. The figures are of the first request
after that. Memory depends on the encoder, its proof and the requests, not on the length.
",
    ),
    (
        "downloads",
        "
## Many downloads of one program

A program of 10 MB, downloaded by 64 clients at a time: the purpose of cachecompress. The figure is
the server's processor time for all downloads, including compression.
",
    ),
    (
        "files",
        "
## Scale: files

Texts of 1 to 3 KB in random order, out of 10 and more files, with 64 connections. Each was
requested once before. nginx keeps at most 10,000 files open here.
",
    ),
    (
        "connections",
        "
## Scale: connections

The text of 1.4 KB over 1 and more connections at once.
",
    ),
    (
        "sizes",
        "
## Scale: lengths

Films of 1 KB and more, which are never compressed, with 16 connections.
",
    ),
    (
        "startup",
        "
## Scale: entries at the start

The time from the start of the program to its first response, and to the first response from the
cache, with many entries in the cache directory. The program answers before it has counted them.
",
    ),
    (
        "tls",
        "
## TLS

The shorter texts over TLS 1.3 with a key of ECDSA with P-256, and 64 connections. Over HTTP/2 each
connection has 10 requests at once. A handshake is a new connection, full and not resumed, with one
request for 1.4 KB; 1,500 come at once.

Small responses over HTTP/2 cost a tenth more than nginx's. Both servers make one `write` for each of
them. In user space cachecompress has a task for each stream in tokio, HPACK and the frames of `h2`,
and one copy into a record of TLS. `h2` flushes after every DATA frame. A stream between it and TLS
could hold the flush back until the connection's task has no more to send, so that all responses that
are ready share a record and a `write`.

Responses of 4 MB vary from run to run, from the cost of nginx's to 1.4 times that. `perf` shows
copies in user space as 37 % of our time on an AMD EPYC, and as 6 % of nginx's. A body is read in
pieces of 256 KiB, copied into the records of rustls, and encrypted there. nginx reads pieces of
32 KB, which stay in the core's caches. Smaller pieces over TLS, and a copy less, would move it.
",
    ),
    (
        "fleet-import",
        "
## Fleet

Replicas with empty caches, and a store behind them (`--tier`): SeaweedFS with one master, three volume
servers, a filer and S3. The replicas use all cores. The store and the clients are on the last one.
Processor time is that of the replicas alone. [Several replicas](operate/replicas.md) has the formulas.

**Imports.** Scripts of 8 MB, one after the other, at each level. Both servers have hashed them before. The
time is of the whole process: an encode with its proof, or the import, which is decoded and compared, and
in both the entry and the response. An import begins beside the encode and stops it. Most of an import is its
proof: the decoder takes some 30 ms for 8 MB of br, whatever the level. The target at br 5 leaves no more than 28.
",
    ),
    (
        "fleet-crowd",
        "
## Fleet: one file at once

Twenty replicas, and a script of 8 MB that no cache has. One client asks each of them, at once or a second
after the one before. Below 250 ms of foretold processor time the replicas do not wait for each other: each
begins an encode, which the store's answer stops.
Requests to the store are counted by a proxy before it.
",
    ),
    (
        "fleet-rollout",
        "
## Fleet: a rollout

A site of 2,000 files as a build makes them: the median is 6 KB, some have megabytes, and together they have
some 50 MB. A tenth of them is new in the second version. Ten replicas of the old version go one after the
other, and each is replaced by one of the new version with an empty cache. Four clients crawl the whole site
there in br, zstd and gzip, again and again until nothing is encoded or imported any more. The store has what
the old version encoded. The first byte is that of the first crawl; a client whose `patience` ends gets the
file as it is.
",
    ),
    (
        "fleet-simulation",
        "
## Fleet: a thousand replicas, simulated

The library's own leases and breakers in simulated time, over a network that delays, loses and refuses
(`crates/cachecompress/src/tier/simulation`). In a *rollout* all replicas start within two seconds and want
the same objects. *wait* is an encode of a minute, for which all the others wait. Runs with several seeds
are turns.
",
    ),
];

/// The heading and the introduction of an experiment.
pub(crate) fn section(experiment: &str) -> &'static str {
    SECTIONS.iter().find(|(name, _)| *name == experiment).map_or("", |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_begin_with_a_heading() {
        for (experiment, words) in SECTIONS {
            assert!(words.starts_with("\n## "), "{experiment}");
        }
    }
}
