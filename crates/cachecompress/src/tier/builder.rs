//! The builder of a shared store.

use std::path::Path;

use super::Tier;
use super::mode::TierMode;
use super::object::Keys;
use super::place::Place;
use super::shared::Settings;
use crate::error::Error;

/// Builds a [`Tier`]. Every setting has a default; [`build`](Self::build) checks them.
#[must_use]
pub struct TierBuilder {
    url: String,
    mode: TierMode,
    secrets: Vec<Vec<u8>>,
    key_file: Option<std::path::PathBuf>,
}

impl Tier {
    /// Opens the store at `url` as [`builder`](Self::builder) does, with the defaults.
    ///
    /// # Errors
    ///
    /// See [`TierBuilder::build`].
    pub fn new(url: impl Into<String>) -> Result<Self, Error> {
        Self::builder(url).build()
    }

    /// Returns the builder of a store at `url`.
    pub fn builder(url: impl Into<String>) -> TierBuilder {
        TierBuilder::new(url.into())
    }
}

/// Shows no secret.
impl std::fmt::Debug for TierBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mode, key_file, .. } = self;
        let mut shown = f.debug_struct("TierBuilder");
        shown.field("mode", mode).field("key_file", key_file).finish_non_exhaustive()
    }
}

impl TierBuilder {
    pub(super) fn new(url: String) -> Self {
        Self { url, mode: TierMode::default(), secrets: Vec::new(), key_file: None }
    }

    /// Sets whether this replica also stores what it encodes.
    ///
    /// Default: [`TierMode::ReadWrite`].
    pub fn mode(mut self, mode: TierMode) -> Self {
        self.mode = mode;
        self
    }

    /// Adds a secret that signs objects (HMAC-SHA-256, RFC 2104).
    ///
    /// - The first one signs. An object that any of them has signed is used, and no other object is. So a
    ///   secret is changed by adding the new one behind the old one everywhere, then before it, then
    ///   without the old one.
    /// - Without secrets whoever writes to the store can have other bytes sent that decode to the same
    ///   file. Other content cannot be had in either case.
    ///
    /// Default: none.
    pub fn key(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// Adds the secrets in a file: one a line, of at least 16 characters. Empty lines and those that begin
    /// with `#` are left out.
    ///
    /// [`build`](Self::build) reads the file, and fails if it cannot. Default: none.
    pub fn key_file(mut self, path: impl AsRef<Path>) -> Self {
        self.key_file = Some(path.as_ref().to_owned());
        self
    }

    /// Opens the store. Sends nothing yet: the first request to it is made by a thread of its own, which
    /// logs one sentence if the store refuses it, and tries again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a URL of no known store, for settings in the
    /// environment that contradict each other, and for a key file without a key; the errors of reading
    /// that file; an error if there is no thread to be had.
    pub fn build(self) -> Result<Tier, Error> {
        let Self { url, mode, mut secrets, key_file } = self;
        if let Some(file) = &key_file {
            secrets.extend(read_keys(file)?);
        }
        let place = Place::open(&url)?;
        Tier::start(place, Settings { mode, keys: Keys::new(&secrets) })
    }
}

/// The fewest bytes of a secret.
const LEAST: usize = 16;

fn read_keys(path: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let text = crate::fs::read_small(path)
        .map_err(|error| Error::io("the key file cannot be read:", path, error))?;
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let keys: Vec<_> =
        lines.filter(|line| !line.is_empty() && line[0] != b'#').map(<[u8]>::to_vec).collect();
    if keys.is_empty() {
        return Err(Error::config("there is no key in the key file").with_path(path));
    }
    if keys.iter().any(|key| key.len() < LEAST) {
        return Err(Error::config("a key of fewer than 16 characters stands in the key file")
            .with_path(path));
    }
    Ok(keys)
}
