use super::*;
use crate::client::{Connection, End, Request, Response};
use crate::wait::eventually;
use std::io;
use std::time::{Duration, Instant};

/// A store that answers every request with 1,000 bytes, and counts the requests' bytes.
struct Store {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<u64>>>,
}

fn content() -> Vec<u8> {
    (0..1000u32).map(|number| (number % 251) as u8).collect()
}

impl Store {
    fn start(is_chunked: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let counted = Arc::clone(&bodies);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || drop(answer(&stream, is_chunked, &counted)));
            }
        });
        Self { address, bodies }
    }
}

fn answer(stream: &TcpStream, is_chunked: bool, counted: &Mutex<Vec<u64>>) -> io::Result<()> {
    struct Count(u64);
    impl wire::Sink for Count {
        fn content(&mut self, bytes: Vec<u8>) -> io::Result<()> {
            self.0 += bytes.len() as u64;
            Ok(())
        }
        fn frame(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
    }
    let mut requests = wire::Reader::new(stream)?;
    while let Some(head) = requests.head()? {
        let mut count = Count(0);
        let read = requests.body(head.of_request(), &mut count);
        counted.lock().unwrap().push(count.0);
        read?;
        let content = content();
        let (field, first, last) = if is_chunked {
            ("transfer-encoding: chunked", "3e8\r\n", "\r\n0\r\n\r\n")
        } else {
            ("content-length: 1000", "", "")
        };
        let head = format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n{first}");
        io::Write::write_all(
            &mut { stream },
            &[head.as_bytes(), &content, last.as_bytes()].concat(),
        )?;
    }
    Ok(())
}

fn fetch(proxy: &FaultyProxy) -> io::Result<Response> {
    crate::client::fetch(proxy.address(), &Request::get("/bucket/e/one"))
}

#[test]
fn proxy_passes_bodies_and_counts() {
    for is_chunked in [false, true] {
        let store = Store::start(is_chunked);
        let proxy = FaultyProxy::start(store.address);
        let mut client = Connection::open(proxy.address()).unwrap();
        for _ in 0..3 {
            client.send(&Request::get("/bucket/e/one")).unwrap();
            assert_eq!(client.receive("GET").unwrap().decoded(), content());
        }
        assert_eq!(proxy.connections(), 1);
        assert_eq!(proxy.count("GET", "/e/"), 3);
        assert_eq!(proxy.count("GET", "/l/"), 0);
        assert_eq!(proxy.count("PUT", "/e/"), 0);
    }
}

#[test]
fn faults_break_bodies_at_their_offset() {
    for is_chunked in [false, true] {
        let store = Store::start(is_chunked);
        let proxy = FaultyProxy::start(store.address);
        for fault in [Fault::ResetAfter(300), Fault::CloseAfter(300)] {
            proxy.set(fault.clone());
            let answer = fetch(&proxy).unwrap();
            assert!(matches!(answer.end, End::Aborted(_)), "{fault:?}: {answer:?}");
            // A reset may overtake the bytes before it.
            let all = answer.body.len() == 300 || fault == Fault::ResetAfter(300);
            assert!(all && content().starts_with(&answer.body), "{fault:?}: {answer:?}");
        }
        proxy.set(Fault::FlipFrom(300));
        let body = fetch(&proxy).unwrap().decoded();
        assert_eq!(body[..300], content()[..300]);
        let flipped: Vec<u8> = content()[300..].iter().map(|byte| byte ^ 1).collect();
        assert_eq!(body[300..], flipped);
        proxy.set(Fault::Pass);
        assert_eq!(fetch(&proxy).unwrap().decoded(), content());
    }
}

#[test]
fn upload_is_reset_in_its_middle() {
    let store = Store::start(false);
    let proxy = FaultyProxy::start(store.address);
    proxy.set(Fault::ResetUploadAfter(300));
    let mut client = Connection::open(proxy.address()).unwrap();
    let request = Request::new("PUT", "/bucket/e/one").header("content-length", "1000");
    client.send(&request).unwrap();
    let sent = client.send_raw(&content());
    assert!(sent.is_err() || client.receive("PUT").is_err());
    eventually("the store sees the beginning", || {
        (*store.bodies.lock().unwrap() == [300]).then_some(())
    });
}

#[test]
fn latency_delays_each_direction() {
    let store = Store::start(false);
    let proxy = FaultyProxy::start(store.address);
    let time = Duration::from_millis(100);
    proxy.set(Fault::Latency { to_store: time, from_store: time });
    let began = Instant::now();
    assert_eq!(fetch(&proxy).unwrap().decoded(), content());
    assert!(began.elapsed() >= 2 * time);
}

#[test]
fn trickle_ends_with_the_fault() {
    let store = Store::start(false);
    let proxy = FaultyProxy::start(store.address);
    proxy.set(Fault::Trickle);
    let mut client = Connection::open(proxy.address()).unwrap();
    client.send(&Request::get("/")).unwrap();
    let head = client.receive_head().unwrap();
    let began = Instant::now();
    client.wait_for_bytes(2).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(900));
    proxy.set(Fault::Pass);
    assert_eq!(client.receive_body("GET", head).decoded(), content());
}

#[test]
fn black_hole_answers_nothing_and_then_breaks_off() {
    let store = Store::start(false);
    let proxy = FaultyProxy::start(store.address);
    proxy.set(Fault::BlackHole);
    let held = std::thread::scope(|scope| {
        let client = scope.spawn(|| fetch(&proxy));
        eventually("the request", || (proxy.count("GET", "/e/") == 1).then_some(()));
        assert!(!client.is_finished());
        proxy.set(Fault::Pass);
        client.join().unwrap()
    });
    assert!(held.is_err());
    assert_eq!(fetch(&proxy).unwrap().decoded(), content());
    assert!(store.bodies.lock().unwrap().len() == 1, "the held request never reached the store");
}

#[test]
fn refusal_resets_open_connections_until_it_is_lifted() {
    let store = Store::start(false);
    let proxy = FaultyProxy::start(store.address);
    let mut open = Connection::open(proxy.address()).unwrap();
    open.send(&Request::get("/")).unwrap();
    assert!(open.receive("GET").is_ok());
    proxy.set(Fault::Refuse);
    assert_eq!(fetch(&proxy).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert!(open.send(&Request::get("/")).is_err() || open.receive("GET").is_err());
    proxy.set(Fault::Pass);
    assert_eq!(fetch(&proxy).unwrap().decoded(), content());
}

#[test]
fn rule_befalls_only_what_it_names() {
    let store = Store::start(false);
    let proxy = FaultyProxy::start(store.address);
    let slow = b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n";
    proxy.set_for("GET", "/e/", Fault::Answer(slow.to_vec()));
    assert_eq!(fetch(&proxy).unwrap().status(), 503);
    let other = crate::client::fetch(proxy.address(), &Request::get("/bucket/l/one"));
    assert_eq!(other.unwrap().status(), 200);
    assert_eq!(store.bodies.lock().unwrap().len(), 1);
}

#[test]
fn zeros_have_the_claimed_length() {
    let store = Store::start(false);
    let proxy = FaultyProxy::start(store.address);
    proxy.set(Fault::Zeros(100_000));
    assert_eq!(fetch(&proxy).unwrap().decoded(), vec![0; 100_000]);
    let head = crate::client::fetch(proxy.address(), &Request::head("/")).unwrap();
    assert_eq!(head.header("content-length"), Some("100000"));
}
