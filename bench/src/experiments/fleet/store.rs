//! The store that replicas share in the experiments: SeaweedFS behind a proxy that counts its requests.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cachecompress_test::proxy::FaultyProxy;
use cachecompress_test::seaweedfs::{ACCESS_KEY, SECRET_KEY, SeaweedFs};
use cachecompress_test::tools::require;

const BUCKET: &str = "bench";

/// A running store. Its processes end when it is dropped.
#[derive(Debug)]
pub(super) struct Store {
    proxy: FaultyProxy,
    places: Cell<u32>,
    _seaweedfs: SeaweedFs,
    program: PathBuf,
}

/// A prefix of the store, as the flags and variables of a replica.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) url: String,
    pub(super) variables: Vec<(&'static str, String)>,
}

impl Store {
    pub(super) fn start() -> anyhow::Result<Self> {
        let missing = "SeaweedFS is missing; `cargo xtask bench` installs it";
        let program = require("seaweedfs").context(missing)?.with_file_name("weed");
        let seaweedfs = SeaweedFs::start().context(missing)?;
        seaweedfs.bucket(BUCKET).create();
        let proxy = FaultyProxy::start(seaweedfs.address());
        Ok(Self { proxy, places: Cell::new(0), _seaweedfs: seaweedfs, program })
    }

    /// The program of the store.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// A prefix without objects.
    pub(super) fn empty_place(&self) -> Place {
        let number = self.places.replace(self.places.get() + 1);
        let variables = vec![
            ("AWS_ENDPOINT_URL", self.proxy.endpoint()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ];
        Place { url: format!("s3://{BUCKET}/{number}"), variables }
    }

    /// The requests that the store has got so far.
    pub(super) fn requests(&self) -> usize {
        self.proxy.asked().len()
    }
}
