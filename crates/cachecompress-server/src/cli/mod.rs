//! The command line: flags, their environment variables and their help.

mod care;
mod exit_codes;
mod files;
mod generate;
mod get;
mod help;
mod numbers;
mod site;
mod tier;
mod tls;
mod warm;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, ValueHint};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::flag_values::{self, Codings, Level, ListenAddress, LogTarget};
use crate::limits;

pub(crate) use care::{InspectFlags, PurgeFlags, Sort};
pub(crate) use files::{CacheArgs, ConfigFileArgs};
pub(crate) use generate::GenerateCommand;
pub(crate) use get::GetArgs;
pub(crate) use site::{CleanUrls, Deltas, Dotfiles, Siblings, SiteArgs, Symlinks, TrailingSlash};
pub(crate) use tier::{TierArgs, TierMode};
pub(crate) use tls::TlsArgs;
pub(crate) use warm::WarmArgs;

use numbers::{count, threads};

/// A static file server that compresses every file once
///
/// It compresses a file on its first request and keeps the result on disk.
#[derive(Debug, Parser)]
#[command(name = "cachecompress", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Example: cachecompress serve dist")]
#[command(after_long_help = "Example: cachecompress serve dist\n\n\
    Every flag can also be set in the environment: --cache-size is CACHECOMPRESS_CACHE_SIZE. It is a \
    key of the configuration file, too. A flag wins over its variable, and that over the file.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The command line, with the help that `arguments` ask for: `-h` leaves out all variables.
    pub(crate) fn command_for(arguments: &[OsString]) -> clap::Command {
        let mut words = arguments.iter().take_while(|argument| *argument != "--");
        let command = match words.any(|argument| argument == "-h") {
            true => without_variables(Self::command()),
            false => Self::command(),
        };
        // Some terminals do not know their width.
        match std::env::var_os("COLUMNS").is_some_and(|columns| columns == "0") {
            true => command.term_width(80),
            false => command,
        }
    }
}

fn without_variables(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_env(true)).mut_subcommands(without_variables)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the files of a directory over HTTP
    Serve(Box<ServeArgs>),
    /// Compress the files of a directory ahead of requests
    ///
    /// They are for this server, or for others by --export.
    Warm(Box<WarmArgs>),
    /// Find the damaged entries of the cache, or of the shared store
    Verify(VerifyArgs),
    /// Remove damaged and orphaned files from the cache
    Gc(GcArgs),
    /// List the entries of the cache, or explain an answer
    Inspect(Box<InspectArgs>),
    /// Remove entries from the cache, by path, coding, age or digest
    Purge(Box<PurgeArgs>),
    /// Check, print or describe the configuration file
    #[command(after_help = "Example: cachecompress config check")]
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Download a file, or only what has changed in it
    Get(GetArgs),
    /// Ask a running server whether it is ready
    Healthcheck(HealthcheckArgs),
    /// Write the man pages, the completions of a shell or the reference pages of the book
    #[command(after_help = "Example: cachecompress generate completions bash")]
    Generate {
        #[command(subcommand)]
        command: GenerateCommand,
    },
}

/// The commands under `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration file as `serve` would, and list all of its mistakes
    #[command(after_help = help::short("config check"), after_long_help = help::long("config check"))]
    Check(Box<ServeArgs>),
    /// Print what is in force, and where each value comes from
    ///
    /// It is a flag, a variable, the file or a default. The output is a configuration file with the same effect. It takes the flags of `serve`.
    #[command(after_help = help::short("config print"), after_long_help = help::long("config print"))]
    Print(Box<ServeArgs>),
    /// Print the JSON Schema of the configuration file, for editors
    #[command(after_help = help::short("config schema"), after_long_help = help::long("config schema"))]
    Schema,
}

/// The flags of `verify`, as they were given.
#[derive(Args, Debug)]
#[command(args_override_self = true)]
#[command(after_help = help::short("verify"), after_long_help = help::long("verify"))]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,

    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// Verify the store that replicas share, in place of the cache
    ///
    /// Without URL it is that of the variable or the configuration file of `serve`.
    #[arg(id = "store", long = "tier", value_name = "URL", num_args = 0..=1)]
    #[arg(value_parser = NonEmptyStringValueParser::new(), value_hint = ValueHint::DirPath)]
    pub(crate) tier: Option<Option<String>>,

    /// Keys that sign the objects of the store, one a line, as for `serve`
    #[arg(long, value_name = "FILE", env = "CACHECOMPRESS_TIER_KEY_FILE")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) tier_key_file: Option<PathBuf>,

    /// Remove the damaged objects of the store
    #[arg(long, requires = "store")]
    pub(crate) remove: bool,

    /// Print JSON
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_JSON")]
    pub(crate) json: bool,
}

/// The flags of `gc`, as they were given.
#[derive(Args, Debug)]
#[command(args_override_self = true)]
#[command(after_help = help::short("gc"), after_long_help = help::long("gc"))]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,

    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// Only print the removals; locks are left out, because to try a lock is to take it
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_DRY_RUN")]
    pub(crate) dry_run: bool,
}

/// The flags of `inspect`, as they were given.
#[derive(Args, Debug)]
#[command(args_override_self = true, mut_args(care::of_inspect))]
#[command(after_help = help::short("inspect"), after_long_help = help::long("inspect"))]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,

    #[command(flatten)]
    pub(crate) own: InspectFlags,
}

/// The flags of `purge`, as they were given.
#[derive(Args, Debug)]
#[command(args_override_self = true, mut_args(care::of_purge))]
#[command(after_help = help::short("purge"), after_long_help = help::long("purge"))]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,

    #[command(flatten)]
    pub(crate) own: PurgeFlags,
}

/// The flags of `healthcheck`, as they were given.
#[derive(Args, Debug)]
#[command(args_override_self = true)]
#[command(after_help = help::short("healthcheck"), after_long_help = help::long("healthcheck"))]
pub(crate) struct HealthcheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,

    /// The admin listener's address and port, as `serve` has it
    ///
    /// Of :PORT, 0.0.0.0:PORT and [::]:PORT the loopback address is asked.
    #[arg(long, value_name = "ADDR", value_parser = flag_values::address)]
    #[arg(env = "CACHECOMPRESS_ADMIN")]
    pub(crate) admin: Option<ListenAddress>,
}

/// The flags of `serve`, as they were given.
#[derive(Args, Debug)]
#[command(args_override_self = true, mut_args(help::of_serve))]
#[command(after_help = help::short("serve"), after_long_help = help::long("serve"))]
pub(crate) struct ServeArgs {
    /// Address to listen on
    ///
    /// It may be repeated. :PORT stands for all addresses of the machine, a name such as localhost:PORT for all that it
    /// has. Port 0 lets the system choose. Each bound address is printed to stdout as
    /// `listening on http://ADDRESS:PORT`, or https. [::]:PORT takes IPv4 as well, unless IPv4
    /// addresses of the same port are listed beside it. unix:/PATH is a Unix socket: the file of a
    /// server that is gone makes room for it, and it is removed at the end. Sockets that systemd
    /// passes on are served as well, and stand in for the default.
    #[arg(long, value_name = "ADDR", value_parser = flag_values::address, value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:8080", env = "CACHECOMPRESS_LISTEN")]
    pub(crate) listen: Vec<ListenAddress>,

    /// The permissions of a Unix socket; those who may write may connect
    #[arg(long, value_name = "OCTAL", value_parser = flag_values::mode)]
    #[arg(default_value = "0660", env = "CACHECOMPRESS_SOCKET_MODE")]
    pub(crate) socket_mode: u32,

    /// Address and port that send plain HTTP to HTTPS, written as for --listen; may be repeated
    ///
    /// GET and HEAD get a 301, other methods a 308, to the same host and path at the port of the
    /// first --listen address. /.well-known/acme-challenge/ is served from the site, for proofs to
    /// certificate authorities.
    #[arg(long, value_name = "ADDR", value_parser = flag_values::address, value_delimiter = ',')]
    #[arg(env = "CACHECOMPRESS_REDIRECT_FROM")]
    pub(crate) redirect_from: Vec<ListenAddress>,

    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,

    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// Bound of the cache on disk
    ///
    /// It is a size such as 500MB or 1GiB. The least recently used ones make room. 0 keeps nothing on disk, and up to 64 MiB in
    /// memory.
    #[arg(long, value_name = "SIZE", value_parser = flag_values::size, allow_hyphen_values = true)]
    #[arg(default_value = "1GiB", env = "CACHECOMPRESS_CACHE_SIZE")]
    pub(crate) cache_size: u64,

    /// The most memory for small files and ready responses, such as 64MiB; 0 keeps none
    ///
    /// A request that is repeated within a second or so is then answered without a look at any
    /// file.
    #[arg(long, value_name = "SIZE", value_parser = flag_values::size, allow_hyphen_values = true)]
    #[arg(default_value = "64MiB", env = "CACHECOMPRESS_MEMORY_CACHE")]
    pub(crate) memory_cache: u64,

    /// Files that are sent straight from the disk, by sendfile (Linux, HTTP/1): none, compressed
    /// ones, or all
    ///
    /// all is for files that are replaced and never overwritten in place. It cannot see a change
    /// under a download, which then ends as a mixture of old and new bytes.
    #[arg(long, value_name = "off|entries|all", value_enum)]
    #[arg(default_value = "entries", env = "CACHECOMPRESS_SENDFILE")]
    pub(crate) sendfile: Sendfile,

    /// Content codings to offer, the preferred one first: any of br,zstd,gzip,deflate, or auto
    ///
    /// A client's own preference comes first. auto: br, zstd, gzip, deflate for files up to
    /// 1 MiB; zstd before br for larger ones, where encoding speed counts.
    #[arg(long, value_name = "LIST", value_parser = flag_values::codings)]
    #[arg(default_value = "auto", env = "CACHECOMPRESS_CODINGS")]
    pub(crate) codings: Codings,

    /// Compression level of a coding; may be repeated [default: br=5 zstd=3 gzip=6]
    ///
    /// br takes 0 to 11, zstd 1 to 22, gzip and deflate 1 to 9. A higher level compresses better
    /// and takes longer, once per file.
    #[arg(long, value_name = "CODING=N", value_parser = flag_values::level, value_delimiter = ',')]
    #[arg(env = "CACHECOMPRESS_LEVEL")]
    pub(crate) level: Vec<Level>,

    /// Threads that serve requests [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = threads())]
    #[arg(env = "CACHECOMPRESS_THREADS")]
    pub(crate) threads: Option<u16>,

    /// Threads that compress [default: half the number of cores, at least 2]
    #[arg(long, value_name = "N", value_parser = threads())]
    #[arg(env = "CACHECOMPRESS_ENCODE_THREADS")]
    pub(crate) encode_threads: Option<u16>,

    /// Time for which a file counts as unchanged before its timestamps are looked at again, such
    /// as 500ms or 1s; 0 looks at every request
    #[arg(long, value_name = "DURATION", value_parser = flag_values::duration)]
    #[arg(allow_hyphen_values = true)]
    #[arg(default_value = "1s", env = "CACHECOMPRESS_REVALIDATE")]
    pub(crate) revalidate: Duration,

    /// Time that a request waits for the first compressed bytes before it gets the file
    /// uncompressed, such as 50ms; the compressing goes on for the next request
    #[arg(long, value_name = "DURATION", value_parser = flag_values::duration)]
    #[arg(allow_hyphen_values = true)]
    #[arg(default_value = "50ms", env = "CACHECOMPRESS_PATIENCE")]
    pub(crate) patience: Duration,

    /// Decode everything compressed and compare it with the file, before its last bytes are sent
    /// and before it is kept
    #[arg(long, value_name = "on|off", action = clap::ArgAction::Set)]
    #[arg(value_parser = flag_values::on_or_off(), default_value = "on", env = "CACHECOMPRESS_PROVE")]
    pub(crate) prove: bool,

    /// Whether files that are asked for often are compressed again, better, while the machine is idle
    ///
    /// A file that was sent three times gets br 11, zstd 19, gzip by libdeflate 12, the one that saves the most
    /// bytes for its CPU time first. One thread does it, which runs only while no other program wants its core.
    /// It stands back while a request needs a file compressed, and while other programs wait for the CPU. off
    /// compresses nothing again, but still sends what `warm --best` has made.
    #[arg(long, value_name = "idle|off", value_enum, hide_possible_values = true)]
    #[arg(default_value = "idle", env = "CACHECOMPRESS_RECOMPRESS")]
    pub(crate) recompress: Recompress,

    /// Share of one core that it may take over an hour, from 0 to 1
    ///
    /// A file that would take more than is left of the hour waits; one that takes longer than all of it stays
    /// as it is.
    #[arg(long, value_name = "SHARE", value_parser = flag_values::share)]
    #[arg(default_value = "0.1", env = "CACHECOMPRESS_RECOMPRESS_CPU")]
    pub(crate) recompress_cpu: f64,

    #[command(flatten)]
    pub(crate) tier: TierArgs,

    #[command(flatten)]
    pub(crate) site: SiteArgs,

    /// Files that may wait to be compressed; beyond that they go out uncompressed meanwhile
    #[arg(long, value_name = "N", value_parser = count(limits::MAX_COUNT))]
    #[arg(default_value = "1024", env = "CACHECOMPRESS_QUEUE")]
    pub(crate) queue: u32,

    /// The most connections at once [default: 10000]
    ///
    /// Never more than half of the files that the process may open (ulimit -n). Further clients
    /// wait until others leave.
    #[arg(long, value_name = "N", value_parser = count(limits::MAX_COUNT))]
    #[arg(env = "CACHECOMPRESS_MAX_CONNECTIONS")]
    pub(crate) max_connections: Option<u32>,

    /// The most requests at once that may hold a file open [default: 4096]
    ///
    /// Never more than a quarter of the files that the process may open (ulimit -n). A further
    /// request waits up to 1 s for its turn, then is told to try again: 503 with Retry-After.
    #[arg(long, value_name = "N", value_parser = count(limits::MAX_COUNT))]
    #[arg(env = "CACHECOMPRESS_MAX_OPEN_FILES")]
    pub(crate) max_open_files: Option<u32>,

    /// The most requests at once on one HTTP/2 connection
    #[arg(long, value_name = "N", value_parser = count(limits::MAX_COUNT_PER_CONNECTION))]
    #[arg(default_value = "128", env = "CACHECOMPRESS_MAX_STREAMS")]
    pub(crate) max_streams: u32,

    /// The most bytes of a request's head, from 8KiB to 1MiB; longer ones get a 431
    #[arg(long, value_name = "SIZE", value_parser = flag_values::header_bytes)]
    #[arg(default_value = "32KiB", env = "CACHECOMPRESS_MAX_HEADER_BYTES")]
    pub(crate) max_header_bytes: u32,

    /// The most header fields of a request; more get a 431
    #[arg(long, value_name = "N", value_parser = count(limits::MAX_COUNT_PER_CONNECTION))]
    #[arg(default_value = "100", env = "CACHECOMPRESS_MAX_HEADERS")]
    pub(crate) max_headers: u32,

    /// Time for a client to send a request's head before its connection is closed
    #[arg(long, value_name = "DURATION", value_parser = flag_values::timeout)]
    #[arg(allow_hyphen_values = true)]
    #[arg(default_value = "30s", env = "CACHECOMPRESS_HEADER_TIMEOUT")]
    pub(crate) header_timeout: Duration,

    /// Time for which a connection without a request is kept
    #[arg(long, value_name = "DURATION", value_parser = flag_values::timeout)]
    #[arg(allow_hyphen_values = true)]
    #[arg(default_value = "60s", env = "CACHECOMPRESS_IDLE_TIMEOUT")]
    pub(crate) idle_timeout: Duration,

    /// Time after which a client is given up that takes nothing of a response
    ///
    /// A client that reads slowly but steadily, some 64 KiB within that time, is served to the end,
    /// however long that takes. Time that it waits for us does not count.
    #[arg(long, value_name = "DURATION", value_parser = flag_values::timeout)]
    #[arg(allow_hyphen_values = true)]
    #[arg(default_value = "60s", env = "CACHECOMPRESS_WRITE_TIMEOUT")]
    pub(crate) write_timeout: Duration,

    /// The proxies that speak for their clients, such as 10.0.0.0/8 or ::1; may be repeated
    /// [default: none]
    ///
    /// From them Forwarded, or else X-Forwarded-For and X-Forwarded-Proto, tell the client's address
    /// and whether it came by https. The client is the rightmost address that is not a trusted
    /// proxy's. Others' fields of these names are ignored. Where any proxy is trusted, so is every
    /// client of a Unix socket.
    #[arg(long, value_name = "CIDR", value_parser = flag_values::network, value_delimiter = ',')]
    #[arg(env = "CACHECOMPRESS_TRUSTED_PROXIES")]
    pub(crate) trusted_proxies: Vec<IpNet>,

    /// Expect trusted proxies to begin each connection with the header of the PROXY protocol, which
    /// names the client (versions 1 and 2)
    ///
    /// It comes before TLS. A connection of theirs without it is closed. From others it is a bad
    /// request.
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_PROXY_PROTOCOL")]
    pub(crate) proxy_protocol: bool,

    /// Log each response to FILE, or to stdout for -
    ///
    /// [default: off]
    ///
    /// The combined log format with further fields behind it, all in one line:
    ///
    /// CLIENT - USER [DAY/MONTH/YEAR:HH:MM:SS +0000] "REQUEST" STATUS SENT "REFERER" "USER-AGENT"
    /// coding=CODING cache="CACHE-STATUS" source=BYTES sent=BYTES first_byte=SECONDS
    /// end=complete|aborted
    ///
    /// source is the file's length, sent the bytes of the body that went out, first_byte the time
    /// from the request's arrival to the body's first byte, in seconds. An unknown value is a dash.
    /// In quotes, `"`, `\` and everything that is not visible ASCII is written as \xHH; a field over
    /// 1 KiB is cut and ends with three dots. Lines are flushed every second; a log that cannot keep
    /// up loses lines rather than delay a request, and says so on stderr. SIGHUP reopens the file.
    #[arg(long, value_name = "FILE|-", value_parser = flag_values::log_target)]
    #[arg(verbatim_doc_comment)]
    #[arg(env = "CACHECOMPRESS_ACCESS_LOG", value_hint = ValueHint::FilePath)]
    pub(crate) access_log: Option<LogTarget>,

    /// Format of the access log: the combined one, or an object of JSON a line
    ///
    /// json has the fields of combined, and host, tls (its version), traceparent (of W3C Trace
    /// Context), request_id (16 random digits, or a trusted proxy's X-Request-Id) and sample. Every
    /// line has every key; an unknown value is null.
    #[arg(long, value_name = "combined|json", value_enum, hide_possible_values = true)]
    #[arg(default_value = "combined", env = "CACHECOMPRESS_ACCESS_LOG_FORMAT")]
    pub(crate) access_log_format: AccessLogFormat,

    /// Write the line of one in N successful responses to the access log, chosen at random
    ///
    /// Such a line ends with sample=N: it stands for N responses. Errors (4xx, 5xx) and responses
    /// that were cut off have all of their lines, without it.
    #[arg(long, value_name = "N", value_parser = count(limits::MAX_COUNT))]
    #[arg(default_value = "1", env = "CACHECOMPRESS_ACCESS_LOG_SAMPLE")]
    pub(crate) access_log_sample: u32,

    /// Address for the dashboard, /healthz and /metrics
    ///
    /// [default: off]
    ///
    /// It is written as for --listen. /healthz answers 200 while the process lives; /readyz 200, and 503 from the first signal
    /// on; /metrics is for Prometheus; /api/v1/openapi.json describes the rest. The address is
    /// printed to stdout as `admin on http://ADDRESS:PORT`. Not for the public: whoever reaches it
    /// may read all of it.
    #[arg(long, value_name = "ADDR", value_parser = flag_values::address)]
    #[arg(env = "CACHECOMPRESS_ADMIN")]
    pub(crate) admin: Option<ListenAddress>,

    /// A name by which the admin listener may be asked for, beside IP addresses and localhost; may be
    /// repeated [default: none]
    ///
    /// A request for another host gets a 421, except for /healthz and /readyz: a page in a browser
    /// may have its own name lead here.
    #[arg(long, value_name = "NAME", value_parser = flag_values::admin_host, value_delimiter = ',')]
    #[arg(env = "CACHECOMPRESS_ADMIN_HOST")]
    pub(crate) admin_host: Vec<String>,

    /// The file with the token of requests to the admin listener that change something
    /// [default: none, and there are no such requests]
    ///
    /// They bring it as `Authorization: Bearer TOKEN`. The file has one line of 16 to 1024 visible
    /// ASCII characters, such as `openssl rand -hex 32` prints. A reload reads it again.
    #[arg(long, value_name = "FILE", env = "CACHECOMPRESS_ADMIN_TOKEN_FILE")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) admin_token_file: Option<PathBuf>,

    /// Level of the log on stderr
    #[arg(long, value_name = "LEVEL", value_enum)]
    #[arg(default_value = "info", env = "CACHECOMPRESS_LOG_LEVEL")]
    pub(crate) log_level: LogLevel,

    /// Format of the log on stderr
    #[arg(long, value_name = "FORMAT", value_enum)]
    #[arg(default_value = "text", env = "CACHECOMPRESS_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// `--recompress`: whether there is a second pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Recompress {
    Idle,
    Off,
}

/// `--sendfile`: the files that are sent straight from the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sendfile {
    Off,
    Entries,
    All,
}

/// `--access-log-format`: the format of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessLogFormat {
    Combined,
    Json,
}

/// `--log-level`: the level of the log on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// `--log-format`: the format of the log on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_the_limits_that_hold() {
        let mut command = Cli::command();
        let serve = command.find_subcommand_mut("serve").unwrap();
        let help = serve.render_long_help().to_string();
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in [
            format!("[default: {}]", limits::CONNECTIONS),
            format!("[default: {}]", limits::OPEN_FILES),
            format!("up to {} MiB in memory", limits::MEMORY_CACHE_BYTES >> 20),
            format!("within {} seconds", limits::DRAIN_TIMEOUT.as_secs()),
            format!("waits up to {} s for its turn", limits::PERMIT_TIMEOUT.as_secs()),
        ] {
            assert!(words.contains(&text), "{text:?} is not in {help}");
        }
    }
}
