//! SeaweedFS, a distributed store that speaks S3: one master, three volume servers, a filer and the node
//! that speaks S3.
//!
//! No file is stored twice, so a volume server that is gone takes objects with it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::KeptChild;
use crate::client::{self, Request, Response};
use crate::namespace::Namespace;
use crate::port::free_port;
use crate::s3::Bucket;
use crate::tools::require;
use crate::wait::eventually;

/// The key of the only identity that the store knows.
pub const ACCESS_KEY: &str = "cachecompress-test";
/// Its secret.
pub const SECRET_KEY: &str = "a secret of the tests";

/// The number of volume servers.
pub const VOLUME_SERVERS: usize = 3;

/// One process of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// Knows the volume servers and which volumes each has.
    Master,
    /// Has the objects' bytes: number 0, 1 or 2.
    Volume(usize),
    /// Has the objects' names.
    Filer,
    /// Speaks S3.
    S3,
}

/// A running store, with its bytes in a temporary directory. Its processes and its directory go when it is
/// dropped, and when the test program ends.
#[derive(Debug)]
pub struct SeaweedFs {
    weed: PathBuf,
    host: IpAddr,
    /// The namespace of the first volume server, and its address there.
    away: Option<(String, IpAddr)>,
    ports: BTreeMap<Node, (u16, u16)>,
    nodes: Mutex<BTreeMap<Node, KeptChild>>,
    dir: PathBuf,
}

impl Node {
    const ALL: [Self; 6] =
        [Self::Master, Self::Volume(0), Self::Volume(1), Self::Volume(2), Self::Filer, Self::S3];

    fn name(self) -> String {
        match self {
            Self::Volume(number) => format!("volume{number}"),
            other => format!("{other:?}").to_lowercase(),
        }
    }
}

impl SeaweedFs {
    /// Starts a store on loopback, and waits until it can be written to. If it is not installed, prints a loud
    /// `SKIPPED` line and returns `None`.
    ///
    /// # Panics
    ///
    /// If it does not start, or if it is not installed and `CI=true`.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), None)
    }

    /// Starts a store whose first volume server is in `namespace`, so that its link can be cut.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_across(namespace: &Namespace) -> Option<Self> {
        let link = namespace.link("store");
        Self::start_at(link.outer, Some((namespace.name().to_owned(), link.inner)))
    }

    fn start_at(host: IpAddr, away: Option<(String, IpAddr)>) -> Option<Self> {
        let weed = require("seaweedfs")?.with_file_name("weed");
        // It is removed with the last process, since nothing is dropped that a whole test program shares.
        let dir = TempDir::with_prefix("seaweedfs-").unwrap().keep();
        let ports = Node::ALL.map(|node| (node, (free_port(host), free_port(host)))).into();
        let store = Self { weed, host, away, ports, nodes: Mutex::default(), dir };
        for node in Node::ALL {
            store.begin(node);
            // The others take seconds for their second try.
            if matches!(node, Node::Master | Node::Filer) {
                store.until_up(node);
            }
        }
        store.until_up(Node::S3);
        (0..VOLUME_SERVERS).for_each(|number| store.until_up(Node::Volume(number)));
        Some(store)
    }

    /// The address of the S3 node.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address_of(Node::S3)
    }

    /// A bucket of this name, which there need not be.
    #[must_use]
    pub fn bucket(&self, name: &str) -> Bucket {
        let (access_key, secret_key) = (ACCESS_KEY.into(), SECRET_KEY.into());
        Bucket { store: self.address(), name: name.into(), access_key, secret_key }
    }

    /// Has the store refuse what is put into a bucket, as it does once a quota is reached.
    ///
    /// # Panics
    ///
    /// If the store refuses that.
    pub fn fill_bucket(&self, bucket: &str) {
        let mut shell = Command::new(&self.weed);
        shell.arg("shell").arg(format!("-master={}", self.place_of(Node::Master)));
        shell.arg(format!("-filer={}", self.place_of(Node::Filer)));
        let line = format!("fs.configure -locationPrefix=/buckets/{bucket}/ -readOnly -apply\n");
        let input = self.dir.join("s3/lines");
        std::fs::write(&input, line).unwrap();
        shell.stdin(std::fs::File::open(input).unwrap());
        let output = crate::server::output(&mut shell);
        assert!(output.status.success(), "{output:?}");
        eventually("the bucket is full", || (!self.bucket(bucket).takes("probe")).then_some(()));
    }

    /// Kills a process, as `kill -9` does.
    ///
    /// # Panics
    ///
    /// If it is not running.
    pub fn kill(&self, node: Node) {
        self.nodes.lock().unwrap().remove(&node).expect("a running process").kill();
    }

    /// Sends a signal to a process: STOP makes it a node that accepts and never answers.
    ///
    /// # Panics
    ///
    /// If it is not running.
    pub fn signal(&self, node: Node, signal: Signal) {
        self.nodes.lock().unwrap()[&node].signal(signal);
    }

    /// Starts a killed process again, with its data, and waits until it is a part of the store.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn restart(&self, node: Node) {
        self.begin(node);
        self.until_up(node);
    }

    fn host_of(&self, node: Node) -> IpAddr {
        self.away.as_ref().filter(|_| node == Node::Volume(0)).map_or(self.host, |(_, at)| *at)
    }

    fn address_of(&self, node: Node) -> SocketAddr {
        SocketAddr::new(self.host_of(node), self.ports[&node].0)
    }

    /// An address as the store's own flags take it, with the second port.
    fn place_of(&self, node: Node) -> String {
        format!("{}.{}", self.address_of(node), self.ports[&node].1)
    }

    fn begin(&self, node: Node) {
        let mut words = Vec::new();
        if let Some((namespace, _)) = self.away.as_ref().filter(|_| node == Node::Volume(0)) {
            words.extend(["ip", "netns", "exec", namespace].map(String::from));
        }
        words.push(self.weed.to_string_lossy().into_owned());
        words.extend(self.arguments(node));
        // A bucket's first object makes volumes: one on each server, in place of seven.
        let variables = [("WEED_MASTER_VOLUME_GROWTH_COPY_1", "3")];
        let child = KeptChild::start(&words, &variables, &self.dir.join(node.name()));
        self.nodes.lock().unwrap().insert(node, child);
    }

    fn arguments(&self, node: Node) -> Vec<String> {
        let dir = self.dir.join(node.name());
        std::fs::create_dir_all(&dir).unwrap();
        if node == Node::S3 {
            std::fs::write(dir.join("identities.json"), identities()).unwrap();
        }
        let at = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let host = self.host_of(node);
        let (port, second) = self.ports[&node];
        let kind = if matches!(node, Node::Volume(_)) { "volume".into() } else { node.name() };
        let mut words = vec![
            "-logtostderr=true".into(),
            kind,
            format!("-ip={host}"),
            format!("-ip.bind={host}"),
            format!("-port={port}"),
            format!("-port.grpc={second}"),
        ];
        let master = format!("-master={}", self.place_of(Node::Master));
        let filer = format!("-filer={}", self.place_of(Node::Filer));
        words.extend(match node {
            Node::Master => vec![
                format!("-mdir={}", at("")),
                "-telemetry=false".into(),
                "-peers=none".into(),
                "-volumeSizeLimitMB=64".into(),
            ],
            Node::Volume(_) => vec![
                master,
                format!("-dir={}", at("")),
                "-max=200".into(),
                "-minFreeSpace=10MiB".into(),
            ],
            Node::Filer => vec![
                master,
                format!("-defaultStoreDir={}", at("")),
                format!("-localSocket={}", at("socket")),
            ],
            Node::S3 => vec![
                filer,
                format!("-config={}", at("identities.json")),
                format!("-localSocket={}", at("socket")),
                "-port.lance=0".into(),
                "-port.iceberg=0".into(),
                "-autoCreateBucket=false".into(),
            ],
        });
        words
    }

    /// Waits until the other processes can use this one.
    fn until_up(&self, node: Node) {
        let (asked, path) = match node {
            Node::Master | Node::Volume(_) => (Node::Master, "/dir/status"),
            Node::Filer => (node, "/buckets/"),
            Node::S3 => (node, "/status"),
        };
        let is_up = |answer: &Response| match node {
            Node::Volume(_) => {
                let own = format!("\"Url\":\"{}\"", self.address_of(node));
                String::from_utf8_lossy(&answer.body).contains(&own)
            }
            Node::Filer => answer.status() < 500,
            Node::Master | Node::S3 => answer.status() == 200,
        };
        eventually(&format!("{node:?} is up"), || {
            assert!(self.nodes.lock().unwrap()[&node].is_running(), "{}", self.log(node));
            client::fetch(self.address_of(asked), &Request::get(path)).ok().filter(is_up)
        });
    }

    /// The end of a node's log.
    fn log(&self, node: Node) -> String {
        let log = std::fs::read(self.dir.join(node.name()).join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned()
    }
}

fn identities() -> String {
    format!(
        r#"{{"identities":[{{"name":"tests","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
    )
}
