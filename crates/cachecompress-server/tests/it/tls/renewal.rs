//! Certificates that are renewed while the server runs.

use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicUsize;
use std::thread;

use rustix::process::Signal;

use super::pki::*;
use crate::common::*;

/// The files behind symlinks, as certbot and Kubernetes have them: `live` leads to a directory.
struct Live<'a> {
    authority: &'a Authority,
    pair: Pair,
}

impl<'a> Live<'a> {
    fn new(authority: &'a Authority) -> Self {
        let live = authority.path().join("live");
        let (cert, key) = (live.join("tls.crt"), live.join("tls.key"));
        Self { authority, pair: Pair { cert, key, pin: String::new() } }
    }

    /// Makes a directory with these files.
    fn version(&self, name: &str, cert: &Path, key: &Path) -> PathBuf {
        let directory = self.authority.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::copy(cert, directory.join("tls.crt")).unwrap();
        fs::copy(key, directory.join("tls.key")).unwrap();
        directory
    }

    /// Lets `live` lead to `version`, in one step.
    fn switch(&self, version: &Path) {
        let new = self.authority.path().join("live.new");
        symlink(version, &new).unwrap();
        fs::rename(new, self.authority.path().join("live")).unwrap();
    }
}

#[test]
fn renewed_certificate_is_served_and_no_request_fails() {
    let site = Site::with("app.js", b"page");
    let authority = Authority::new();
    let live = Live::new(&authority);
    let pairs = ["one", "two", "three"].map(|name| authority.issue(name, &["localhost"]));
    let versions: Vec<_> = pairs
        .iter()
        .enumerate()
        .map(|(number, pair)| live.version(&format!("v{number}"), &pair.cert, &pair.key))
        .collect();
    live.switch(&versions[0]);
    let server = launch_tls(&site, &live.pair).args("--log-level info").start();
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let stop = Stop(&stop);
        for is_kept_open in [true, false] {
            let (server, authority, answers, stop) = (&server, &authority, &answers, stop.0);
            scope.spawn(move || {
                let config = authority.client(&[b"http/1.1"]);
                let connect = || TlsClient::connect(server.address(), &config).unwrap();
                let mut client = connect();
                while !stop.load(Ordering::Relaxed) {
                    if !is_kept_open {
                        client = connect();
                    }
                    assert_eq!(client.get("/app.js").unwrap(), b"page");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let config = authority.client(&[]);
        let shown = || TlsClient::connect(server.address(), &config).unwrap().certificate();
        assert_eq!(shown(), pairs[0].der());
        live.switch(&versions[1]);
        eventually("the second certificate", || (shown() == pairs[1].der()).then_some(()));
        live.switch(&versions[2]);
        server.signal(Signal::HUP);
        eventually("the third certificate", || (shown() == pairs[2].der()).then_some(()));
    });
    assert!(answers.load(Ordering::Relaxed) > 10);
    assert!(server.stderr().contains("a certificate has been renewed"), "{}", server.stderr());
}

#[test]
fn pair_that_cannot_be_used_leaves_the_last_good_one_and_is_told_once() {
    let site = Site::with("app.js", b"page");
    let authority = Authority::new();
    let live = Live::new(&authority);
    let [one, two] = ["one", "two"].map(|name| authority.issue(name, &["localhost"]));
    let good = live.version("good", &one.cert, &one.key);
    let mismatched = live.version("mismatched", &two.cert, &one.key);
    let empty = authority.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let renewed = live.version("renewed", &two.cert, &two.key);
    live.switch(&good);
    let server = launch_tls(&site, &live.pair).start();
    let config = authority.client(&[]);
    let shown = || TlsClient::connect(server.address(), &config).unwrap().certificate();
    let told = |what: &str| server.stderr().matches(what).count();
    for (version, what) in [
        (&mismatched, "it is not the key of the certificate in"),
        (&empty, "there is no such file"),
    ] {
        live.switch(version);
        eventually(what, || (told(what) > 0).then_some(()));
        assert_eq!(shown(), one.der(), "{what}");
        // Looks that find the same say nothing.
        for _ in 0..5 {
            server.signal(Signal::HUP);
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(told(what), 1, "{}", server.stderr());
    }
    live.switch(&renewed);
    eventually("the renewed certificate", || (shown() == two.der()).then_some(()));
}
