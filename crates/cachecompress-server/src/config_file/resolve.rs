//! The configuration in force: flags, variables, the configuration file and defaults, in this order.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches};

use super::document::{Document, Given, GivenFlag};
use super::key::{Key, Keys};
use super::mistake::{Mistake, Mistakes, SourceText};
use crate::cli::{Cli, SiteArgs};
use crate::exit::Failure;
use crate::limits::CONFIG_BYTES;
use crate::printer::EscapedPath;
use crate::tables::SiteTables;
use crate::usage;

/// The file that is read from the working directory where no other is named.
const DEFAULT_FILE: &str = "cachecompress.toml";

/// Flags that need another one, by clap's names.
pub(super) const TOGETHER: &[(&str, &str)] = &[("tls_cert", "tls_key"), ("tls_key", "tls_cert")];

/// The configuration that is in force, and where each part of it comes from.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) keys: Keys,
    pub(crate) document: Option<Document>,
    /// Whether the file was found in the working directory, rather than named.
    pub(crate) is_found: bool,
    pub(crate) tables: SiteTables,
    /// The sites of the file.
    pub(crate) sites: Vec<Site>,
    arguments: Vec<OsString>,
    matches: ArgMatches,
    /// The flags that the command has, by clap's names. It panics at the name of another.
    flags: HashSet<String>,
}

/// A site of the file: what it says, and what the rest says for it.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) tables: SiteTables,
    matches: ArgMatches,
}

/// The origin of a value that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Variable,
    /// This line of the file.
    File {
        line: usize,
    },
    Default,
}

/// Parses `arguments` (the program's name first), the environment and the file that was `named`, or
/// that in the working directory.
///
/// # Errors
///
/// If one of them is wrong. Nothing of the others counts then.
pub(crate) fn resolve(arguments: &[OsString], named: Option<&Path>) -> Result<InForce, Failure> {
    let keys = Keys::of_serve();
    let source = source(named)?;
    let document = source.map(|source| Document::parse(source, &keys)).transpose();
    let document = document.map_err(Failure::Mistakes)?;
    let top = document.as_ref().map(|document| &document.top);
    let levels = Vec::from_iter(top);
    let (matches, flags) = parse(arguments, &levels)?;
    let tables = top.cloned().unwrap_or_default().tables.over(&SiteTables::default(), Vec::new());
    let mut sites = Vec::new();
    for given in document.iter().flat_map(|document| &document.sites) {
        let levels: Vec<_> = levels.iter().copied().chain([given]).collect();
        let tables = given.tables.clone().over(&tables, given.hosts.clone());
        sites.push(Site { tables, matches: parse(arguments, &levels)?.0 });
    }
    let is_found = document.is_some() && named.is_none();
    let arguments = arguments.to_vec();
    let in_force = InForce { keys, document, is_found, tables, sites, arguments, matches, flags };
    in_force.check_together()?;
    Ok(in_force)
}

/// Parses the command line, with what the `levels` of the file give as defaults. A later level
/// wins. Returns the matches of the command that is run, and the names of its flags.
fn parse(
    arguments: &[OsString],
    levels: &[&Given],
) -> Result<(ArgMatches, HashSet<String>), Failure> {
    let mut defaults = BTreeMap::new();
    for level in levels {
        defaults.extend(level.flags.iter().map(|(id, flag)| (id.as_str(), flag)));
    }
    let mut command = with_defaults(Cli::command(), &defaults);
    let matches = command.try_get_matches_from_mut(arguments);
    Ok(innermost(&command, matches.map_err(|error| unexplained(&error))?))
}

fn with_defaults(command: clap::Command, defaults: &BTreeMap<&str, &GivenFlag>) -> clap::Command {
    let command = command.mut_subcommands(|inner| with_defaults(inner, defaults));
    command.mut_args(|arg| match defaults.get(arg.get_id().as_str()) {
        Some(given) => arg.default_values(&given.texts),
        None => arg,
    })
}

/// The matches of the command that is run, below those that only lead to it, and the names of its flags.
fn innermost(
    mut command: &clap::Command,
    mut matches: ArgMatches,
) -> (ArgMatches, HashSet<String>) {
    while let Some((name, inner)) = matches.remove_subcommand() {
        matches = inner;
        command = command.find_subcommand(name).unwrap_or(command);
    }
    let flags = command.get_arguments().map(|arg| arg.get_id().to_string());
    (matches, flags.collect())
}

/// The failure of a command line that was parsed before.
fn unexplained(error: &clap::Error) -> Failure {
    match usage::explain(error) {
        Err(failure) => failure,
        Ok(()) => Failure::Usage(error.to_string()),
    }
}

/// Reads the file that was `named`, or the one in the working directory, if there is one.
fn source(named: Option<&Path>) -> Result<Option<SourceText>, Failure> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    match read(path) {
        Ok(source) => source.map(Some),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let reason = match error.kind() {
                io::ErrorKind::NotFound => "there is no such file".to_owned(),
                io::ErrorKind::IsADirectory => "it is a directory; name a file".to_owned(),
                _ => error.to_string(),
            };
            let path = EscapedPath(path);
            Err(Failure::Runtime(format!("cannot read the configuration {path}: {reason}")))
        }
    }
}

/// Reads the text at `path`. A text that is none, or too long, is the inner failure.
fn read(path: &Path) -> io::Result<Result<SourceText, Failure>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(CONFIG_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > CONFIG_BYTES {
        let (path, most) = (EscapedPath(path), CONFIG_BYTES >> 10);
        let sentence =
            format!("the configuration {path} is over {most} KiB, the most that is read");
        return Ok(Err(Failure::Usage(sentence)));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Ok(SourceText::new(path.to_owned(), text)),
        Err(error) => {
            // The source leaves a byte order mark out.
            let mark = if error.as_bytes().starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
            let start = error.utf8_error().valid_up_to() - mark;
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let mistake = Mistake {
                span: start..start + 1,
                found: "this is no text".to_owned(),
                allowed: "write the file in UTF-8".to_owned(),
            };
            let source = SourceText::new(path.to_owned(), text);
            Err(Failure::Mistakes(Mistakes::new(source, vec![mistake])))
        }
    })
}

impl InForce {
    /// The flags of the command, as its struct.
    pub(crate) fn args<A: FromArgMatches>(&self) -> Result<A, Failure> {
        typed(&self.matches)
    }

    /// Whether the command line names the directory of the site.
    pub(crate) fn names_directory(&self) -> bool {
        self.is_on_command_line("dir")
    }

    /// Whether the command line itself has the argument `id` of the command.
    pub(crate) fn is_on_command_line(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// The flags of each site, with its tables: those of the file, or the only one.
    pub(crate) fn sites(&self) -> Result<Vec<(SiteArgs, SiteTables)>, Failure> {
        let of = |matches: &ArgMatches, tables: &SiteTables| {
            Ok((typed::<SiteArgs>(matches)?, tables.clone()))
        };
        match self.sites.as_slice() {
            [] => Ok(vec![of(&self.matches, &self.tables)?]),
            sites => sites.iter().map(|site| of(&site.matches, &site.tables)).collect(),
        }
    }

    /// The flags of the command for each site of the file. The only ones are those of the command where
    /// there is no site, or the root is named for all of them.
    pub(crate) fn args_of_sites<A: FromArgMatches>(&self) -> Result<Vec<A>, Failure> {
        match self.sites.as_slice() {
            sites if sites.is_empty() || self.names_root() => Ok(vec![self.args()?]),
            sites => sites.iter().map(|site| typed(&site.matches)).collect(),
        }
    }

    /// The arguments of [`resolve`] that read the same sources again. A file that was found is
    /// named now: one that is gone is a failure then, and does not bring the defaults into force.
    pub(crate) fn sources(&self) -> (Vec<OsString>, Option<PathBuf>) {
        (self.arguments.clone(), self.file().map(PathBuf::from))
    }

    /// Checks that keys of the file have those that they need, where the command has their flags.
    fn check_together(&self) -> Result<(), Failure> {
        let Some(document) = &self.document else { return Ok(()) };
        let top = [(&self.matches, &document.top)].into_iter();
        let sites = self.sites.iter().map(|site| &site.matches).zip(&document.sites);
        let mut mistakes = Vec::new();
        for (matches, given) in top.chain(sites) {
            for (id, other) in TOGETHER.iter().filter(|(id, _)| self.flags.contains(*id)) {
                let keys = self.keys.iter().find(|key| key.id() == *id);
                let other = self.keys.iter().find(|key| key.id() == *other);
                let (Some(key), Some(other), Some(flag)) = (keys, other, given.flags.get(*id))
                else {
                    continue;
                };
                let from_file = matches!(origin(matches, key, Some(flag)), Origin::File { .. });
                if from_file && !flag.texts.is_empty() && raw(matches, other).is_empty() {
                    mistakes.push(Mistake {
                        span: flag.span.clone(),
                        found: format!("`{key}` is set and `{other}` is not"),
                        allowed: format!("write both `{key}` and `{other}`, or none"),
                    });
                }
            }
        }
        match mistakes.as_slice() {
            [] => Ok(()),
            _ => Err(Failure::Mistakes(Mistakes::new(document.source.clone(), mistakes))),
        }
    }

    /// Whether the command line or the environment names a root, which then is that of all sites.
    pub(crate) fn is_root_of_all_sites(&self) -> bool {
        self.names_root() && self.sites.len() > 1
    }

    fn names_root(&self) -> bool {
        let root = self.keys.iter().find(|key| key.name == "root");
        let source = root.and_then(|key| self.matches.value_source(key.id()));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    }

    /// The file that was read.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.document.as_ref().map(|document| document.source.path())
    }

    /// The files that the server reads and no site may serve: the configuration, keys, passwords.
    pub(crate) fn files_in_force(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.file().map(PathBuf::from).into_iter().collect();
        let levels =
            || [&self.matches].into_iter().chain(self.sites.iter().map(|site| &site.matches));
        for key in self.keys.iter().filter(|key| key.is_read()) {
            let texts = levels().flat_map(|matches| raw(matches, key));
            files.extend(texts.map(PathBuf::from));
        }
        files.sort();
        files.dedup();
        files
    }

    /// As [`files_in_force`](Self::files_in_force), for a command that lacks the flags of `serve`. Their
    /// variables and their keys count.
    ///
    /// # Errors
    ///
    /// If `serve` would refuse them.
    pub(crate) fn files_of_serve(&self) -> Result<Vec<PathBuf>, Failure> {
        Ok(self.of_serve()?.files_in_force())
    }

    /// The configuration of `serve` by the same file and the environment.
    ///
    /// # Errors
    ///
    /// If `serve` would refuse it.
    pub(crate) fn of_serve(&self) -> Result<Self, Failure> {
        resolve(&["cachecompress", "serve"].map(OsString::from), self.file())
    }

    /// The texts in force of a key outside of sites, and where they come from.
    pub(crate) fn value(&self, key: &Key) -> (Vec<OsString>, Origin) {
        let given = self.document.as_ref().and_then(|document| document.top.flags.get(key.id()));
        let origin = origin(&self.matches, key, given);
        (raw(&self.matches, key), origin)
    }

    /// The texts in force of a key that the site at `place` itself has said.
    pub(crate) fn value_of_site(&self, place: usize, key: &Key) -> Option<(Vec<OsString>, Origin)> {
        let site = self.sites.get(place)?;
        let given = self.document.as_ref()?.sites.get(place)?.flags.get(key.id())?;
        let origin = origin(&site.matches, key, Some(given));
        matches!(origin, Origin::File { .. }).then(|| (raw(&site.matches, key), origin))
    }
}

fn typed<A: FromArgMatches>(matches: &ArgMatches) -> Result<A, Failure> {
    A::from_arg_matches(matches).map_err(|error| unexplained(&error))
}

fn raw(matches: &ArgMatches, key: &Key) -> Vec<OsString> {
    let texts = matches.try_get_raw(key.id()).ok().flatten();
    texts.into_iter().flatten().map(OsString::from).collect()
}

fn origin(matches: &ArgMatches, key: &Key, given: Option<&GivenFlag>) -> Origin {
    match (matches.value_source(key.id()), given) {
        (Some(ValueSource::CommandLine), _) => Origin::Flag,
        (Some(ValueSource::EnvVariable), _) => Origin::Variable,
        (_, Some(given)) => Origin::File { line: given.line },
        _ => Origin::Default,
    }
}
