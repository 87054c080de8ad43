//! The flags of the store that replicas share.

use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, ValueHint};
use clap::{Args, ValueEnum};

/// The flags of the store that replicas share, as they were given.
#[derive(Args, Clone, Debug)]
pub(crate) struct TierArgs {
    /// Store that replicas share behind their caches, so that one of them compresses for all
    ///
    /// s3://BUCKET/PREFIX for S3 and all that speaks it, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, or
    /// a directory. Credentials and endpoints come from the usual variables: AWS_ACCESS_KEY_ID,
    /// AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME and so on. Nothing of
    /// the store is believed: each file is decoded and compared before it is sent. A store that fails or is
    /// slow costs the sharing and nothing else.
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    #[arg(env = "CACHECOMPRESS_TIER", value_hint = ValueHint::DirPath)]
    pub(crate) tier: Option<String>,

    /// Whether this replica also stores what it compresses (rw), or only reads (ro)
    #[arg(long, value_name = "rw|ro", value_enum, hide_possible_values = true)]
    #[arg(default_value = "rw", env = "CACHECOMPRESS_TIER_MODE")]
    pub(crate) tier_mode: TierMode,

    /// Keys that sign the objects of the store, one a line
    ///
    /// The first one signs. Only objects that one of them has signed are used then. Each has at least 16
    /// characters, such as `openssl rand -hex 32` prints. The file is read at the start.
    #[arg(long, value_name = "FILE", env = "CACHECOMPRESS_TIER_KEY_FILE")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) tier_key_file: Option<PathBuf>,
}

/// `--tier-mode`: the rights of this replica at the shared store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TierMode {
    Rw,
    Ro,
}
