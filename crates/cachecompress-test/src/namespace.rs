//! Network namespaces, each with links that can be cut.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::process::geteuid;

use crate::tools::require;

/// A network namespace that is linked to the test's own. It is removed when dropped; a program in it keeps
/// it alive until its end.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    links: Vec<(String, Link)>,
}

/// The two ends of a link.
#[derive(Clone, Debug)]
pub struct Link {
    device: String,
    /// The address outside the namespace.
    pub outer: IpAddr,
    /// The address inside.
    pub inner: IpAddr,
}

impl Namespace {
    /// Creates a namespace with a link of each name. If this machine cannot, prints a loud `SKIPPED` line and
    /// returns `None`.
    ///
    /// # Panics
    ///
    /// If there is no program `ip` and `CI=true`, or if it fails.
    #[must_use]
    pub fn new(links: &[&str]) -> Option<Self> {
        let ip = require("ip")?;
        if !geteuid().is_root() {
            return cannot("root");
        }
        let id = std::process::id();
        let name = format!("cachecompress-{id}-{}", next());
        let made = Command::new(ip).args(["netns", "add", &name]).stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            return cannot("the right to make network namespaces");
        }
        let mut namespace = Self { name, links: Vec::new() };
        namespace.inside("ip link set lo up");
        for link in links {
            namespace.add_link(link);
        }
        Some(namespace)
    }

    fn add_link(&mut self, link: &str) {
        let number = next();
        // The second octet tells test programs that run at once apart.
        let octet = 64 + u8::try_from(std::process::id() % 190).unwrap();
        let [outer, inner] = [1, 2].map(|end| IpAddr::V4(Ipv4Addr::new(10, octet, number, end)));
        let device = format!("cc{}-{number}", std::process::id() % 1_000_000);
        let name = &self.name;
        run(&format!("ip link add {device} type veth peer name {link} netns {name}"));
        run(&format!("ip addr add {outer}/30 dev {device}"));
        run(&format!("ip link set {device} up"));
        self.inside(&format!("ip addr add {inner}/30 dev {link}"));
        self.inside(&format!("ip link set {link} up"));
        self.links.push((link.to_owned(), Link { device, outer, inner }));
    }

    /// The namespace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The command line that runs a program in the namespace, to be put before the program's own.
    #[must_use]
    pub fn through(&self) -> String {
        format!("ip netns exec {}", self.name)
    }

    /// The ends of the link of this name.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn link(&self, name: &str) -> Link {
        let link = self.links.iter().find(|(known, _)| known == name);
        link.expect("a link of that name").1.clone()
    }

    /// Cuts a link: packets vanish, and connections hang.
    ///
    /// # Panics
    ///
    /// If there is no such link.
    pub fn cut(&self, name: &str) {
        run(&format!("ip link set {} down", self.link(name).device));
    }

    /// Mends a link that was cut.
    ///
    /// # Panics
    ///
    /// If there is no such link.
    pub fn mend(&self, name: &str) {
        run(&format!("ip link set {} up", self.link(name).device));
    }

    fn inside(&self, command: &str) {
        run(&format!("{} {command}", self.through()));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The kernel removes the other ends of the links.
        for (_, link) in &self.links {
            let _ = Command::new("ip").args(["link", "del", &link.device]).status();
        }
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn next() -> u8 {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn run(command: &str) {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {complaint}");
}

/// Says that a test is skipped, which is no failure: no tool would change that.
fn cannot<T>(needed: &str) -> Option<T> {
    // The test runner captures `eprintln!` of a passing test.
    drop(writeln!(std::io::stderr(), "\nSKIPPED a network namespace: this machine lacks {needed}"));
    None
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn cut_link_carries_nothing_until_it_is_mended() {
        let Some(namespace) = Namespace::new(&["store"]) else { return };
        let Some(python) = require("python3") else { return };
        let link = namespace.link("store");
        let listener = TcpListener::bind((link.outer, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connect = |seconds: u8| {
            let script = format!(
                "import socket; socket.create_connection(('{}', {port}), {seconds})",
                link.outer
            );
            let mut inside = Command::new("ip");
            inside.args(["netns", "exec", namespace.name()]).arg(&python).args(["-c", &script]);
            inside.stderr(Stdio::null()).status().unwrap().success()
        };
        assert!(connect(60), "a new link carries");
        namespace.cut("store");
        assert!(!connect(1), "a cut link carries nothing");
        namespace.mend("store");
        assert!(connect(60), "a mended link carries");
        let nobody = SocketAddr::new(link.inner, 9);
        let refused = TcpStream::connect_timeout(&nobody, Duration::from_secs(60));
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    }
}
