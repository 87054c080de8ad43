//! The sentence about a command line that clap did not take.

use std::io::{self, Write as _};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _};

use crate::cli::Cli;
use crate::exit::Failure;
use crate::printer::{Escaped, Printer};

/// The end of a program whose command line clap did not take.
///
/// `Ok`: help or version was wanted, and has been printed.
///
/// # Errors
///
/// [`Failure::Usage`] with clap's explanation as one sentence, or [`Failure::Runtime`] if the help cannot
/// be printed.
pub(crate) fn explain(error: &clap::Error) -> Result<(), Failure> {
    let given: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Printer.note(error.print().and_then(|()| io::stdout().flush()));
            check_stdout()
        }
        _ => Err(Failure::Usage(sentence(error, &given))),
    }
}

/// Finds out whether all that was printed went out.
///
/// # Errors
///
/// [`Failure::Runtime`] if stdout cannot be written.
pub(crate) fn check_stdout() -> Result<(), Failure> {
    match Printer.failure() {
        Some(error) => Err(Failure::Runtime(format!("cannot write to stdout: {error}"))),
        None => Ok(()),
    }
}

/// The sentence about `error`, which came of the arguments `given`.
fn sentence(error: &clap::Error, given: &[String]) -> String {
    let root = Cli::command();
    let (command, path) = innermost(&root, given);
    let text = match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return missing_command(command, &path);
        }
        ErrorKind::InvalidSubcommand => unknown_command(error, command),
        ErrorKind::UnknownArgument => return unknown_argument(error, &root, command, &path),
        _ => gist(&error.render().to_string()),
    };
    with_help(&text, &path)
}

/// A sentence that ends with the command line that tells more.
fn with_help(text: &str, path: &str) -> String {
    match text.ends_with('?') {
        true => format!("{text} See `{path} --help`"),
        false => format!("{text}; see `{path} --help`"),
    }
}

/// The command that the arguments lead to, and the words that name it.
fn innermost<'a>(root: &'a Command, given: &[String]) -> (&'a Command, String) {
    let (mut command, mut path) = (root, root.get_name().to_owned());
    for word in given {
        let Some(inner) = command.find_subcommand(word) else { break };
        (command, path) = (inner, format!("{path} {word}"));
    }
    (command, path)
}

fn missing_command(command: &Command, path: &str) -> String {
    if command.get_name() == "cachecompress" {
        return "no command given; try `cachecompress serve DIR`, or `cachecompress --help`".into();
    }
    format!("`{path}` needs one of its commands: {}", names(command))
}

fn names(command: &Command) -> String {
    let names = command.get_subcommands().map(|inner| format!("`{}`", inner.get_name()));
    names.collect::<Vec<_>>().join(", ")
}

/// A word in the place of a command. Many servers are started with the directory alone.
fn unknown_command(error: &clap::Error, command: &Command) -> String {
    let given = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
    let shown = Escaped(&given);
    if given == "help" {
        return "`help` is no command, but every command has a --help".into();
    }
    if command.get_name() == "cachecompress" && Path::new(&given).is_dir() {
        return format!("`{shown}` is no command; to serve it: `cachecompress serve {shown}`");
    }
    match context(error, ContextKind::SuggestedSubcommand) {
        Some(like) => format!("`{shown}` is no command; did you mean `{like}`?"),
        None if command.get_name() == "cachecompress" => format!(
            "`{shown}` is no command; there are {}, and `cachecompress serve DIR` serves a directory",
            names(command)
        ),
        None => format!("`{shown}` is no command; there are {}", names(command)),
    }
}

/// A flag that the command does not have. Another command is named if few have it.
fn unknown_argument(error: &clap::Error, root: &Command, command: &Command, path: &str) -> String {
    let given = context(error, ContextKind::InvalidArg).unwrap_or_default();
    let shown = Escaped(&given);
    if !given.starts_with('-') {
        return with_help(&format!("`{shown}` is one argument too many for `{path}`"), path);
    }
    let lacks = format!("`{path}` has no flag `{shown}`");
    let has_flag = |inner: &&Command| {
        let mut flags = inner.get_arguments().filter(|arg| !arg.is_hide_set());
        flags.any(|arg| arg.get_long().is_some_and(|long| given == format!("--{long}")))
    };
    let mut others = root.get_subcommands().filter(has_flag);
    // A flag of many commands says nothing about the one that was meant.
    if let (Some(other), None) = (others.next(), others.nth(1)) {
        let other = format!("{} {}", root.get_name(), other.get_name());
        return match command.has_subcommands() {
            true => with_help(
                &format!("`{shown}` is a flag of `{other}`, and stands behind it"),
                &other,
            ),
            false => with_help(&format!("{lacks}, but `{other}` has"), &other),
        };
    }
    match context(error, ContextKind::SuggestedArg) {
        Some(like) => with_help(&format!("{lacks}; did you mean `{like}`?"), path),
        None => with_help(&lacks, path),
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        // The most similar one comes last.
        ContextValue::Strings(texts) => texts.last().cloned(),
        _ => None,
    }
}

/// The gist of an `explanation` of clap's in one line.
fn gist(explanation: &str) -> String {
    let mut parts = Vec::new();
    for line in explanation.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        let line = line.strip_prefix("error: ").unwrap_or(line);
        parts.push(line.strip_prefix("tip: ").unwrap_or(line));
    }
    // A list stands under a line that ends with a colon.
    parts.join("; ").replace(":; ", ": ")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn refusal(line: &str) -> String {
        let given: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let words = std::iter::once("cachecompress".to_owned()).chain(given.iter().cloned());
        let error = Cli::try_parse_from(words).unwrap_err();
        sentence(&error, &given)
    }

    #[test]
    fn sentence_names_what_was_likely_meant() {
        let site = tempfile::tempdir().unwrap();
        let dir = site.path().to_str().unwrap();
        for (line, meant) in [
            ("serve --lissen :80", "has no flag `--lissen`; did you mean `--listen`?"),
            ("serve --lissen=:80", "has no flag `--lissen`; did you mean `--listen`?"),
            ("verify --cachedir x", "`cachecompress verify` has no flag `--cachedir`; did you"),
            ("serve --export", "has no flag `--export`, but `cachecompress warm` has"),
            ("serve --export=out", "has no flag `--export`, but `cachecompress warm` has"),
            (
                "warm --listen :80",
                "but `cachecompress serve` has; see `cachecompress serve --help`",
            ),
            ("--spa dist", "`--spa` is a flag of `cachecompress serve`, and stands behind it; see"),
            ("serve --zzzz", "`cachecompress serve` has no flag `--zzzz`; see"),
            ("serve -z", "`cachecompress serve` has no flag `-z`; see"),
            ("serve a b", "`b` is one argument too many for `cachecompress serve`"),
            ("gc --json", "`cachecompress gc` has no flag `--json`; see"),
            ("warm d --prune", "arguments were not provided: --export[=<OUT>]; see"),
            (
                "help",
                "`help` is no command, but every command has a --help; see `cachecompress --help`",
            ),
            ("verfy", "`verfy` is no command; did you mean `verify`?"),
            ("zzzz", "`zzzz` is no command; there are `serve`, `warm`, "),
            ("config chek", "did you mean `check`? See `cachecompress config --help`"),
            ("config", "`cachecompress config` needs one of its commands: `check`, `print`, `sch"),
            ("serve --clean-urls redirct", "a similar value exists: 'redirect'"),
            ("serve --clean-urls=redirct", "a similar value exists: 'redirect'"),
            ("serve --log-level wran", "a similar value exists: 'warn'"),
            ("serve --codings=brr", "`brr` is none of br, zstd, gzip, deflate"),
            ("serve --cache-size 1XB", "--cache-size"),
        ] {
            let sentence = refusal(line);
            assert!(sentence.contains(meant), "{line}: {sentence}");
            assert!(!sentence.contains('\n') && !sentence.contains("-- --"), "{line}: {sentence}");
        }
        let sentence = refusal(dir);
        assert!(
            sentence.contains(&format!("to serve it: `cachecompress serve {dir}`")),
            "{sentence}"
        );
    }
}
