//! The commands under `generate`.

use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::ValueHint;
use clap_complete::Shell;

use super::help;

/// The commands under `generate`.
#[derive(Debug, Subcommand)]
pub(crate) enum GenerateCommand {
    /// Write a man page for each command into a directory
    #[command(after_help = help::short("generate man"), after_long_help = help::long("generate man"))]
    Man {
        /// The directory, which must exist
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Print the completions of a shell
    ///
    /// Such as `cachecompress generate completions bash >
    /// ~/.local/share/bash-completion/completions/cachecompress`.
    #[command(after_help = help::short("generate completions"), after_long_help = help::long("generate completions"))]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write the reference of flags and keys into a directory, as the book has it
    #[command(after_help = help::short("generate reference"), after_long_help = help::long("generate reference"))]
    Reference {
        /// The directory, which must exist; it gets flags.md and keys.md
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}
