//! The store under test: SeaweedFS, or Garage for `cargo xtask fleet --garage`.

use std::net::SocketAddr;

use cachecompress_test::garage::{self, Garage};
use cachecompress_test::s3::Bucket;
use cachecompress_test::seaweedfs::{Node, SeaweedFs, VOLUME_SERVERS};
use rustix::process::Signal;

/// A running store.
pub(crate) enum Store {
    SeaweedFs(SeaweedFs),
    Garage(Garage),
}

/// A blow to a store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blow {
    /// The process that replicas speak to is killed.
    KillFront,
    /// All others that have objects but one are killed.
    KillHolders,
    /// Those behind it are stopped: they accept connections, and answer nothing.
    StopInner,
}

impl Store {
    pub(crate) fn start() -> Option<Self> {
        match std::env::var("CACHECOMPRESS_FLEET_STORE").as_deref() {
            Ok("garage") => Garage::start().map(Self::Garage),
            Ok(other) => panic!("CACHECOMPRESS_FLEET_STORE={other} is no store"),
            Err(_) => SeaweedFs::start().map(Self::SeaweedFs),
        }
    }

    /// The most encodes of one file by replicas that begin at once. Garage ignores the conditions of writes.
    pub(crate) fn most_encodes(&self) -> u64 {
        match self {
            Self::SeaweedFs(_) => 1,
            Self::Garage(_) => 2,
        }
    }

    /// Whether a signature of another hour is refused. Garage accepts those of the day.
    pub(crate) fn refuses_other_hours(&self) -> bool {
        matches!(self, Self::SeaweedFs(_))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::SeaweedFs(store) => store.address(),
            Self::Garage(store) => store.address(),
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A bucket of this name, which there need not be.
    pub(crate) fn bucket(&self, name: &str) -> Bucket {
        match self {
            Self::SeaweedFs(store) => store.bucket(name),
            Self::Garage(store) => store.bucket(name),
        }
    }

    pub(crate) fn create_bucket(&self, name: &str) -> Bucket {
        let bucket = self.bucket(name);
        bucket.create();
        bucket
    }

    pub(crate) fn fill_bucket(&self, name: &str) {
        match self {
            Self::SeaweedFs(store) => store.fill_bucket(name),
            Self::Garage(store) => store.fill_bucket(name),
        }
    }

    pub(crate) fn strike(&self, blow: Blow) {
        match self {
            Self::SeaweedFs(store) => match blow {
                Blow::KillFront => store.kill(Node::S3),
                Blow::KillHolders => {
                    (1..VOLUME_SERVERS).for_each(|number| store.kill(Node::Volume(number)));
                }
                Blow::StopInner => store.signal(Node::Filer, Signal::STOP),
            },
            Self::Garage(store) => match blow {
                Blow::KillFront => store.kill(0),
                Blow::KillHolders => (1..garage::NODES).for_each(|number| store.kill(number)),
                Blow::StopInner => {
                    (1..garage::NODES).for_each(|number| store.signal(number, Signal::STOP));
                }
            },
        }
    }

    pub(crate) fn mend(&self, blow: Blow) {
        match self {
            Self::SeaweedFs(store) => match blow {
                Blow::KillFront => store.restart(Node::S3),
                Blow::KillHolders => {
                    (1..VOLUME_SERVERS).for_each(|number| store.restart(Node::Volume(number)));
                }
                Blow::StopInner => store.signal(Node::Filer, Signal::CONT),
            },
            Self::Garage(store) => match blow {
                Blow::KillFront => store.restart(0),
                Blow::KillHolders => (1..garage::NODES).for_each(|number| store.restart(number)),
                Blow::StopInner => {
                    (1..garage::NODES).for_each(|number| store.signal(number, Signal::CONT));
                }
            },
        }
    }
}
