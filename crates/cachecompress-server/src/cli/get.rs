//! The flags of `get`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::ValueHint;
use url::Url;

use super::help;
use crate::flag_values;

/// The flags of `get`, as they were given. It reads no configuration file, which is that of a server.
#[derive(Args, Debug)]
#[command(args_override_self = true)]
#[command(after_help = help::short("get"), after_long_help = help::long("get"))]
pub(crate) struct GetArgs {
    /// The http or https URL of the file
    #[arg(value_name = "URL", value_parser = flag_values::web_url, value_hint = ValueHint::Url)]
    pub(crate) url: Url,

    /// The file to write
    ///
    /// It is replaced in one step, when the whole is there and verified. It keeps its permissions. If it has an
    /// earlier version, a server may send the difference alone.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,

    /// Only tell whether FILE is current
    ///
    /// Nothing is downloaded. The exit code is 0 if it is, and 3 if it is not.
    #[arg(long)]
    pub(crate) check: bool,

    /// Authorities to trust, in PEM
    ///
    /// They stand in place of the system's.
    #[arg(long, value_name = "FILE", env = "CACHECOMPRESS_CACERT")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) cacert: Option<PathBuf>,

    /// End a try that stands still
    ///
    /// It is the time for the lookup of a name, for a connection, for the head of a response and for each piece of a
    /// body, such as 500ms or 30s. The whole may take as long as it takes.
    #[arg(long, value_name = "DURATION", value_parser = flag_values::timeout)]
    #[arg(default_value = "30s", env = "CACHECOMPRESS_TIMEOUT")]
    pub(crate) timeout: Duration,

    /// Tries after a failure
    ///
    /// The bytes that have come stay, if the server has ranges. A further byte that comes begins the count anew. The pauses double, up to some 10 seconds.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1000))]
    #[arg(default_value = "5", env = "CACHECOMPRESS_RETRIES")]
    pub(crate) retries: u32,

    /// Print the result as JSON
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_JSON")]
    pub(crate) json: bool,
}
