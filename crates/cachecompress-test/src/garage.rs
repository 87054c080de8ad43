//! Garage, another store that speaks S3: three nodes, each of which has every object.
//!
//! It ignores the conditions of conditional writes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::KeptChild;
use crate::port::free_port;
use crate::s3::{Bucket, REGION};
use crate::server::output;
use crate::tools;
use crate::wait::eventually;

/// The key of the only identity that the store knows, in the form that Garage asks for.
const ACCESS_KEY: &str = "GK0123456789abcdef01234567";
const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// The secret that the nodes share.
const RPC_SECRET: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

/// The number of nodes.
pub const NODES: usize = 3;

/// A running store on loopback. Its processes and its directory go when it is dropped, and when the test
/// program ends.
#[derive(Debug)]
pub struct Garage {
    program: PathBuf,
    /// The addresses of S3 and of the nodes' own protocol.
    addresses: [[SocketAddr; 2]; NODES],
    nodes: Mutex<[Option<KeptChild>; NODES]>,
    dir: PathBuf,
}

impl Garage {
    /// Starts a store, and waits until it can be written to. If it is not installed, prints a loud `SKIPPED`
    /// line and returns `None`.
    ///
    /// # Panics
    ///
    /// If it does not start, or if it is not installed and `CI=true`.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = tools::garage()?;
        let host = Ipv4Addr::LOCALHOST;
        let address = || SocketAddr::from((host, free_port(host.into())));
        let addresses = [(); NODES].map(|()| [address(), address()]);
        let dir = TempDir::with_prefix("garage-").unwrap().keep();
        let store = Self { program, addresses, nodes: Mutex::default(), dir };
        (0..NODES).for_each(|number| store.begin(number));
        store.join_nodes();
        store.command(0, &["key", "import", "--yes", ACCESS_KEY, SECRET_KEY]);
        store.command(0, &["key", "allow", "--create-bucket", ACCESS_KEY]);
        Some(store)
    }

    /// The address of the first node's S3.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses[0][0]
    }

    /// A bucket of this name, which there need not be.
    #[must_use]
    pub fn bucket(&self, name: &str) -> Bucket {
        let (access_key, secret_key) = (ACCESS_KEY.into(), SECRET_KEY.into());
        Bucket { store: self.address(), name: name.into(), access_key, secret_key }
    }

    /// Has the store refuse what is put into a bucket.
    ///
    /// # Panics
    ///
    /// If the store refuses that.
    pub fn fill_bucket(&self, bucket: &str) {
        self.command(0, &["bucket", "set-quotas", "--max-size", "1", bucket]);
        eventually("the bucket is full", || (!self.bucket(bucket).takes("probe")).then_some(()));
    }

    /// Kills a node, as `kill -9` does.
    ///
    /// # Panics
    ///
    /// If it is not running.
    pub fn kill(&self, node: usize) {
        self.nodes.lock().unwrap()[node].take().expect("a running node").kill();
    }

    /// Sends a signal to a node.
    ///
    /// # Panics
    ///
    /// If it is not running.
    pub fn signal(&self, node: usize, signal: Signal) {
        self.nodes.lock().unwrap()[node].as_ref().expect("a running node").signal(signal);
    }

    /// Starts a killed node again, with its objects, and waits until it is a part of the store.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn restart(&self, node: usize) {
        self.begin(node);
        self.until_healthy();
    }

    /// Has the nodes know each other, and every object lie on all of them.
    fn join_nodes(&self) {
        let ids = [0, 1, 2].map(|number| self.command(number, &["node", "id", "--quiet"]));
        for id in &ids[1..] {
            self.command(0, &["node", "connect", id.trim()]);
        }
        for id in &ids {
            let id = id.split('@').next().unwrap().trim();
            self.command(0, &["layout", "assign", "--zone", "one", "--capacity", "1G", id]);
        }
        self.command(0, &["layout", "apply", "--version", "1"]);
        self.until_healthy();
    }

    fn until_healthy(&self) {
        let ready = |number: &usize| self.try_command(*number, &["json-api", "GetClusterHealth"]);
        let is_healthy = |text: &String| text.contains("\"healthy\"");
        eventually("every node is a part of the store", || {
            (0..NODES).all(|number| ready(&number).as_ref().is_some_and(is_healthy)).then_some(())
        });
    }

    fn begin(&self, number: usize) {
        let dir = self.dir.join(number.to_string());
        fs::create_dir_all(&dir).unwrap();
        let [s3, own] = self.addresses[number];
        let settings = format!(
            "metadata_dir = '{0}/meta'\ndata_dir = '{0}/objects'\ndb_engine = 'sqlite'\n\
             replication_factor = 3\nrpc_bind_addr = '{own}'\nrpc_public_addr = '{own}'\n\
             rpc_secret = '{RPC_SECRET}'\n[s3_api]\ns3_region = '{REGION}'\napi_bind_addr = '{s3}'\n",
            dir.display()
        );
        fs::write(dir.join("garage.toml"), settings).unwrap();
        let program = self.program.to_string_lossy().into_owned();
        let settings = dir.join("garage.toml").to_string_lossy().into_owned();
        let words = [program, "-c".into(), settings, "server".into()];
        let child = KeptChild::start(&words, &[], &dir);
        self.nodes.lock().unwrap()[number] = Some(child);
        eventually("the node answers", || self.try_command(number, &["status"]));
    }

    /// Runs a command of the store at a node, and returns its output.
    fn command(&self, number: usize, words: &[&str]) -> String {
        let output = output(&mut self.to_node(number, words));
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn try_command(&self, number: usize, words: &[&str]) -> Option<String> {
        let output = output(&mut self.to_node(number, words));
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn to_node(&self, number: usize, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.dir.join(number.to_string()).join("garage.toml")).args(words);
        command
    }
}
