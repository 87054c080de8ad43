//! The program's own log, on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cli::LogFormat;

/// Sends events up to `level` to stderr from now on, for the whole process.
pub(crate) fn init(level: LevelFilter, format: LogFormat) {
    // These libraries warn of their clients' mistakes, which may be half a million lines in four
    // seconds. At debug one of them logs every frame.
    let theirs = level.min(LevelFilter::ERROR);
    let filter =
        Targets::new().with_default(level).with_target("h2", theirs).with_target("hyper", theirs);
    let output = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Json => output.json().flatten_event(true).boxed(),
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            output.with_ansi(colours).boxed()
        }
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
    // This fails only if there is a subscriber already, which then keeps the log.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
