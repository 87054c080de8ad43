//! Responses by `sendfile`. They have the same bytes as without it, for every kind of request,
//! while the file changes or vanishes.

#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use cachecompress_test::client::fetch;
use cachecompress_test::wait::read_once;
use cachecompress_test::{frames, http2, tools};
use socket2::{Domain, Socket, Type};

use crate::common::*;

const MODES: [&str; 3] = ["off", "entries", "all"];
/// The files. The first is sent from memory, the second from an entry over HTTP/1 only, the others
/// from an entry of one piece or of several. The last is never encoded.
const FILES: [&str; 5] = ["small.js", "middle.js", "app.js", "tool", "photo.png"];

fn site() -> Site {
    let site = Site::new();
    site.write("small.js", &site::text(1, 3000));
    site.write("middle.js", &digits(9, 120_000));
    site.write("app.js", &site::text(2, 3_000_000));
    site.write("tool", &site::binary(3, 4_000_000));
    site.write("photo.png", &site::random(4, 700_000));
    site
}

/// Digits without a pattern, of which encoders leave more than half, which exceeds the sockets.
fn digits(seed: u64, len: usize) -> Vec<u8> {
    let random = site::random(seed, len);
    random.into_iter().map(|byte| b"0123456789abcdef"[usize::from(byte >> 4)]).collect()
}

fn start_in(site: &Site, mode: &str) -> Server {
    start_with(site, &format!("--sendfile {mode}"))
}

/// A server whose entries in all codings are stored.
fn warm(site: &Site, mode: &str) -> Server {
    let server = start_in(site, mode);
    for file in &FILES[..4] {
        for coding in CODINGS {
            server.until_hit(&Request::get(&format!("/{file}")).accept(coding));
        }
    }
    server
}

/// The parts of a response that must be the same, which is all but the date.
fn told(response: &Response) -> (u16, Vec<(String, String)>, &[u8]) {
    assert!(response.is_clean(), "{:?}", response.head);
    let mut fields = response.head.headers.clone();
    fields.retain(|(name, _)| name != "date");
    (response.status(), fields, &response.body)
}

/// A connection with a small receive buffer.
fn slow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, target: &str, coding: &str) {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {coding}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
}

/// A client that takes its answer in small bits.
struct Slow {
    stream: TcpStream,
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Slow {
    fn get(address: SocketAddr, target: &str, coding: &str) -> Self {
        let mut stream = slow(address);
        ask(&mut stream, target, coding);
        let mut slow = Self { stream, head: Vec::new(), body: Vec::new() };
        while !slow.head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            slow.stream.read_exact(&mut byte).unwrap();
            slow.head.push(byte[0]);
        }
        slow
    }

    fn len(&self) -> usize {
        let head = String::from_utf8_lossy(&self.head).to_ascii_lowercase();
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        len.expect("a length").trim().parse().unwrap()
    }

    /// Reads until `count` bytes of the body are there. Returns whether they came.
    fn read(&mut self, count: usize) -> bool {
        let mut bit = [0; 3000];
        while self.body.len() < count {
            match read_once(&mut self.stream, &mut bit) {
                Ok(0) | Err(_) => return false,
                Ok(len) => self.body.extend_from_slice(&bit[..len]),
            }
        }
        true
    }

    fn rest(mut self) -> Vec<u8> {
        let len = self.len();
        assert!(self.read(len), "the connection broke after {} of {len}", self.body.len());
        self.body
    }
}

/// The number of the program's mappings of files in `directory`.
fn mappings(server: &Server, directory: &Path) -> usize {
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.id())).unwrap();
    maps.lines().filter(|line| line.contains(directory.to_str().unwrap())).count()
}

fn entries(server: &Server) -> Vec<PathBuf> {
    cache_dir::entries(&server.cache())
}

/// The parts of a response with several ranges, whose boundary is its own.
fn parts(response: &Response) -> Option<Vec<multipart::Part>> {
    let content_type = response.header("content-type").filter(|of| of.starts_with("multipart/"))?;
    Some(multipart::parts(content_type, &response.body))
}

#[test]
fn sendfile_sends_the_same_bytes_for_every_kind_of_request() {
    let site = site();
    let servers = MODES.map(|mode| warm(&site, mode));
    let mut asked = 0;
    for file in FILES {
        let target = format!("/{file}");
        for coding in CODINGS.into_iter().chain(["identity"]) {
            let plain = Request::get(&target).accept(coding);
            let whole = servers[0].fetch(&plain);
            assert!(whole.decoded() == fs::read(site.file(file)).unwrap(), "{file} {coding}");
            let len = whole.body.len();
            let (middle, end) = (len / 2, len - 1);
            let ranges = [
                None,
                Some("bytes=0-0".to_owned()),
                Some("bytes=0-99999".to_owned()),
                Some(format!("bytes={}-{}", middle - 70_000.min(middle), middle + 70_000)),
                Some(format!("bytes={middle}-")),
                Some("bytes=-70001".to_owned()),
                Some(format!("bytes={end}-{end}")),
                Some("bytes=0-9,100000-170000".to_owned()),
                Some(format!("bytes={len}-")),
            ];
            for range in ranges {
                let request = range.iter().fold(plain.clone(), |asked, range| {
                    asked.range(range).header("if-range", whole.etag())
                });
                let over1 = servers.each_ref().map(|server| server.fetch(&request));
                let over1_0 =
                    servers.each_ref().map(|server| server.fetch(&request.clone().http10()));
                let over2 = servers
                    .each_ref()
                    .map(|server| http2::fetch(server.address(), &request).unwrap());
                for [off, entries, all] in [&over1, &over1_0, &over2] {
                    if let Some(parts) = parts(off) {
                        assert!(
                            [entries, all]
                                .iter()
                                .all(|one| self::parts(one).as_ref() == Some(&parts))
                        );
                        for part in parts {
                            assert!(part.bytes == whole.body[part.first..=part.last], "{file}");
                        }
                        asked += 1;
                        continue;
                    }
                    assert!(told(entries) == told(off), "{file} {coding} {range:?}");
                    assert!(told(all) == told(off), "{file} {coding} {range:?}");
                    asked += 1;
                }
                if let Some(part) =
                    over1[0].header("content-range").filter(|_| over1[0].status() == 206)
                {
                    let part = part.strip_prefix("bytes ").unwrap().split_once('/').unwrap().0;
                    let (first, last) = part.split_once('-').unwrap();
                    let (first, last): (usize, usize) =
                        (first.parse().unwrap(), last.parse().unwrap());
                    assert!(over1[0].body == whole.body[first..=last], "{file} {range:?}");
                }
            }
        }
    }
    println!("{asked} answers are the same in every mode");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = site();
    for mode in MODES {
        let server = warm(&site, mode);
        let requests: Vec<Request> = [
            ("GET", "app.js", "gzip"),
            ("GET", "small.js", "br"),
            ("GET", "tool", "zstd"),
            ("HEAD", "tool", "gzip"),
            ("GET", "photo.png", "br"),
            ("GET", "none", "br"),
            ("GET", "tool", "identity"),
            ("GET", "tool", "gzip"),
            ("GET", "app.js", "gzip"),
            ("GET", "app.js", "deflate"),
        ]
        .map(|(method, file, coding)| {
            Request::new(method, &format!("/{file}")).accept(coding).header("user-agent", "x")
        })
        .into();
        let alone: Vec<_> = requests.iter().map(|request| server.fetch(request)).collect();
        let text: Vec<u8> = requests.iter().flat_map(|request| request.to_bytes("h")).collect();
        for _ in 0..3 {
            let mut connection = Connection::open(server.address()).unwrap();
            for _ in 0..3 {
                connection.send_raw(&text).unwrap();
                for (request, alone) in requests.iter().zip(&alone) {
                    let response = connection.receive(&request.method).unwrap();
                    assert!(told(&response) == told(alone), "{mode}: {request:?}");
                }
            }
        }
    }
}

#[test]
fn slow_readers_get_every_byte() {
    let site = site();
    for mode in MODES {
        let server = warm(&site, mode);
        std::thread::scope(|scope| {
            for (file, coding) in [
                ("tool", "zstd"),
                ("tool", "gzip"),
                ("app.js", "gzip"),
                ("photo.png", "identity"),
                ("tool", "identity"),
            ] {
                let target = format!("/{file}");
                let whole = server.fetch(&Request::get(&target).accept(coding)).body;
                let address = server.address();
                scope.spawn(move || {
                    assert!(Slow::get(address, &target, coding).rest() == whole, "{mode} {file}");
                });
            }
        });
    }
}

#[test]
fn mappings_and_descriptors_end_when_clients_leave() {
    let site = site();
    site.write("large", &digits(5, 20_000_000));
    for mode in ["entries", "all"] {
        let server = warm(&site, mode);
        server.until_hit(&Request::get("/large").accept("gzip"));
        let before = server.descriptors();
        let (cache, site_dir) = (server.cache(), site.path().to_owned());
        for round in 0..3 {
            let mut clients: Vec<_> = (0..40)
                .map(|at| {
                    let coding = if at % 2 == 0 { "gzip" } else { "identity" };
                    Slow::get(server.address(), "/large", coding)
                })
                .collect();
            assert!(clients.iter_mut().all(|client| client.read(50_000)), "round {round}");
            assert!(mappings(&server, &cache) > 0, "{mode}: nothing is mapped");
            assert_eq!(mappings(&server, &site_dir) > 0, mode == "all");
        }
        let files = FILES.len() * CODINGS.len();
        eventually("descriptors as before", || {
            (server.descriptors() <= before + files).then_some(())
        });
        eventually("no source is mapped", || (mappings(&server, &site_dir) == 0).then_some(()));
        for entry in entries(&server) {
            fs::remove_file(entry).unwrap();
        }
        eventually("no purged entry is mapped", || (mappings(&server, &cache) == 0).then_some(()));
        assert_eq!(server.get("/small.js", "br").status(), 200);
    }
}

#[test]
fn entry_evicted_or_removed_is_sent_to_its_end() {
    let site = Site::with("tool", &digits(6, 12_000_000));
    for vanish in ["rm -rf", "evict"] {
        let server = start_with(&site, "--sendfile entries --cache-size 50MiB");
        let whole = server.until_hit(&Request::get("/tool").accept("gzip")).body;
        let mut client = Slow::get(server.address(), "/tool", "gzip");
        assert!(client.read(100_000));
        if vanish == "rm -rf" {
            fs::remove_dir_all(server.cache()).unwrap();
        } else {
            // Other entries are evicted first, and this one if it must be.
            for n in 0..10 {
                site.write(&format!("other{n}"), &digits(10 + n, 12_000_000));
                server.until_hit(&Request::get(&format!("/other{n}")).accept("gzip"));
            }
            assert!(server.metric("cachecompress_evictions_total", &[]) > 0.0);
        }
        assert!(client.rest() == whole, "{vanish}");
    }
}

/// The first window of a download over HTTP/2, whose client then takes no more for now.
fn first_window(address: SocketAddr, target: &str, coding: &str) -> TcpStream {
    let mut stream = frames::connect(address, &[]).unwrap();
    stream.write_all(&frames::get(1, target, &[("accept-encoding", coding)])).unwrap();
    let mut came = 0;
    while came < 65_535 {
        let frame = frames::read(&mut stream).unwrap();
        came += if frame.kind == frames::kind::DATA { frame.payload.len() } else { 0 };
    }
    stream
}

/// Whether all the rest comes, and the stream ends cleanly.
fn ends_cleanly(mut stream: TcpStream) -> bool {
    use frames::kind::{DATA, GOAWAY, RST_STREAM, WINDOW_UPDATE};

    for id in [0, 1] {
        let more = (1_u32 << 30).to_be_bytes();
        stream.write_all(&frames::frame(WINDOW_UPDATE, 0, id, &more)).unwrap();
    }
    let is_end = |frame: &frames::Frame| match frame.kind {
        DATA => frame.flags & frames::END_STREAM > 0,
        kind => kind == RST_STREAM || kind == GOAWAY,
    };
    frames::read_until(&mut stream, is_end).is_some_and(|last| last.kind == DATA)
}

/// SIGBUS kills a program that reads a mapped page beyond the file's end.
#[test]
fn truncated_file_breaks_the_connection_not_the_server() {
    let source = site::random(7, 24_000_000);
    let site = Site::with("photo.png", &source);
    site.write("tool", &digits(7, 24_000_000));
    let mut server = start_in(&site, "all");
    let whole = server.until_hit(&Request::get("/tool").accept("gzip")).body;
    let entry = entries(&server).remove(0);
    for (target, coding, path, whole) in [
        ("/tool", "gzip", entry, &whole),
        ("/photo.png", "identity", site.file("photo.png"), &source),
    ] {
        let mut clients: Vec<_> =
            (0..4).map(|_| Slow::get(server.address(), target, coding)).collect();
        assert!(clients.iter_mut().all(|client| client.read(100_000)));
        assert!(ends_cleanly(first_window(server.address(), target, coding)));
        let over2 = first_window(server.address(), target, coding);
        let cut = whole.len() as u64 - 1_000_000;
        fs::File::options().write(true).open(&path).unwrap().set_len(cut).unwrap();
        for mut client in clients {
            let len = client.len();
            assert_eq!(len, whole.len());
            assert!(!client.read(len), "{target}: a clean end");
            let sent = client.body.len().min(cut as usize);
            assert!(client.body[..sent] == whole[..sent], "{target}: other bytes");
        }
        assert!(!ends_cleanly(over2), "{target}: a clean end over HTTP/2");
        assert!(server.is_running(), "{target}");
        let answer = fetch(server.address(), &Request::get(target).accept(coding));
        let source = fs::read(site.file(&target[1..])).unwrap();
        if let Ok(answer) = answer {
            assert_exact_or_aborted(&answer, &[&source]);
        }
    }
    // The cut entry has been found out by now, or the next request finds it out.
    eventually("an exact answer again", || {
        let answer = fetch(server.address(), &Request::get("/tool").accept("gzip")).ok()?;
        answer.is_clean().then(|| assert!(answer.decoded() == fs::read(site.file("tool")).unwrap()))
    });
    assert!(server.is_running());
}

/// The number of `sendfile` calls that the program made for each request of `asks`.
fn sendfiles(site: &Site, mode: &str, asks: &[(Protocol, &str, &str)]) -> Option<Vec<usize>> {
    let strace = tools::require("strace")?;
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let through =
        format!("{} -D -f -qq -e trace=sendfile -o {}", strace.display(), trace.display());
    let server = launch(site).through(&through).args(&format!("--sendfile {mode}")).start();
    for (_, target, coding) in asks {
        if *coding != "identity" {
            server.until_hit(&Request::get(target).accept(coding));
        }
    }
    let calls = || fs::read_to_string(&trace).unwrap().matches("sendfile(").count();
    let counts = asks.iter().map(|(protocol, target, coding)| {
        let before = calls();
        let answer = server.fetch_over(*protocol, &Request::get(target).accept(coding));
        assert_eq!((answer.status(), answer.coding()), (200, *coding));
        assert!(answer.decoded() == fs::read(site.file(&target[1..])).unwrap());
        calls() - before
    });
    Some(counts.collect())
}

#[test]
fn sendfile_is_called_where_it_should_be_and_nowhere_else() {
    use Protocol::{Http1, Http2};

    let site = site();
    let asks = [
        (Http1, "/tool", "gzip"),
        (Http1, "/app.js", "br"),
        (Http1, "/tool", "identity"),
        (Http1, "/photo.png", "identity"),
        (Http1, "/middle.js", "gzip"),
        (Http1, "/small.js", "gzip"),
        (Http1, "/small.js", "identity"),
        (Http2, "/tool", "gzip"),
        (Http2, "/tool", "identity"),
        (Http2, "/middle.js", "gzip"),
    ];
    for (mode, used) in [
        ("off", [false; 10]),
        ("entries", [true, true, false, false, true, false, false, false, false, false]),
        ("all", [true, true, true, true, true, false, false, false, false, false]),
    ] {
        let Some(counts) = sendfiles(&site, mode, &asks) else { return };
        println!("{mode}: {counts:?} calls");
        for ((ask, used), count) in asks.iter().zip(used).zip(counts) {
            assert_eq!(count > 0, used, "{mode}: {ask:?}");
        }
    }
}

/// The header is taken from the socket before anything is sent on it.
#[test]
fn sendfile_is_called_behind_a_proxy_header() {
    let site = site();
    let Some(strace) = tools::require("strace") else { return };
    let trace = tempfile::NamedTempFile::new().unwrap();
    let trace = trace.path();
    let through =
        format!("{} -D -f -qq -e trace=sendfile -o {}", strace.display(), trace.display());
    let flags = "--proxy-protocol --trusted-proxies 127.0.0.1";
    let server = launch(&site).through(&through).args(flags).start();
    let ask = || {
        let mut connection = Connection::open(server.address()).unwrap();
        connection.send_raw(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n").unwrap();
        connection.send(&Request::get("/tool").accept("gzip")).unwrap();
        connection.receive("GET").unwrap()
    };
    eventually("a hit", || Some(ask()).filter(Response::is_hit));
    let calls = || fs::read_to_string(trace).unwrap().matches("sendfile(").count();
    let before = calls();
    assert!(ask().decoded() == fs::read(site.file("tool")).unwrap());
    assert!(calls() > before);
}
