//! The keys of the configuration file: every flag of `serve` is one.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::time::Duration;

use clap::builder::ValueHint;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Args as _, CommandFactory as _};

use crate::cli::{Cli, SiteArgs};

/// The tables of the file whose keys are flags: `[tls] cert` is `--tls-cert`. Beside those that
/// begin so, a table has the flags that are listed here.
const SECTIONS: &[(&str, &[(&str, &str)])] = &[
    ("tls", &[("redirect-from", "redirect-from")]),
    ("tier", &[("url", "tier")]),
    ("access-log", &[("file", "access-log")]),
    ("site-rules", &[("enabled", "site-rules")]),
];

/// Flags that are no keys.
const NO_KEYS: &[&str] = &["config", "help", "version"];

/// A key of the configuration file.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The table that the key stands in, if it is not the outermost one.
    pub(crate) section: Option<&'static str>,
    pub(crate) name: String,
    /// Whether `[[sites]]` takes it.
    pub(crate) of_site: bool,
    arg: Arg,
}

/// The kind of the values that a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A table whose entries are values of the flag: `".usdz" = "model/vnd.usdz+zip"`.
    Map,
    /// An array of texts.
    List,
    /// One value.
    Single,
}

/// The numbers that a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    None,
    Whole,
    Fractions,
    /// Digits that are read as octal ones.
    Octal,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(section) = self.section {
            write!(f, "{section}.")?;
        }
        f.write_str(&self.name)
    }
}

impl Key {
    fn new(arg: &Arg, of_site: bool) -> Self {
        let (section, name) = match arg.get_long() {
            None => (None, "root".to_owned()),
            Some("type") => (None, "types".to_owned()),
            Some(long) => place_of(long),
        };
        Self { section, name, of_site, arg: arg.clone() }
    }

    /// The name by which clap knows the flag.
    pub(crate) fn id(&self) -> &str {
        self.arg.get_id().as_str()
    }

    /// The flag as it is typed: `--cache-size`, or `DIR`.
    pub(crate) fn flag(&self) -> String {
        match self.arg.get_long() {
            Some(long) => format!("--{long}"),
            None => "DIR".to_owned(),
        }
    }

    /// The variable of the environment.
    pub(crate) fn variable(&self) -> Option<String> {
        self.arg.get_env().map(|name| name.to_string_lossy().into_owned())
    }

    /// The first paragraph of the flag's help.
    pub(crate) fn summary(&self) -> String {
        self.arg.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// The value where nothing else is said, if it does not depend on the machine.
    pub(crate) fn default(&self) -> Vec<String> {
        let values = self.arg.get_default_values().iter();
        values.map(|value| value.to_string_lossy().into_owned()).collect()
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.arg.get_action() {
            ArgAction::Append if self.name == "types" => Kind::Map,
            ArgAction::Append => Kind::List,
            _ => Kind::Single,
        }
    }

    /// Whether a single value may be written as an array, whose texts are joined by commas.
    pub(crate) fn takes_joined_list(&self) -> bool {
        let joined = self.kind() == Kind::Single && !self.is_switch();
        joined && matches!(self.value_name(), "LIST" | "NAMES")
    }

    /// Whether a comma in one value would part it in two.
    pub(crate) fn splits_at_commas(&self) -> bool {
        self.arg.get_value_delimiter() == Some(',')
    }

    /// The texts that are allowed, if there are only some.
    pub(crate) fn choices(&self) -> Vec<String> {
        if self.is_switch() {
            return Vec::new();
        }
        let possible = self.arg.get_value_parser().possible_values();
        let shown = possible.into_iter().flatten().filter(|value| !value.is_hide_set());
        shown.map(|value| value.get_name().to_owned()).collect()
    }

    /// Whether the only values are on and off.
    pub(crate) fn is_switch(&self) -> bool {
        if matches!(self.arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse) {
            return true;
        }
        let possible = self.arg.get_value_parser().possible_values();
        let mut names: Vec<_> = possible.into_iter().flatten().collect();
        names.retain(|value| !value.is_hide_set());
        names.len() == 2 && names.iter().all(|value| matches!(value.get_name(), "on" | "off"))
    }

    /// The text that stands for `true` or `false`, if the flag has one.
    pub(crate) fn text_of(&self, on: bool) -> Option<&'static str> {
        let word = if on { "on" } else { "off" };
        let takes_both = self.is_switch() || self.takes_no_value();
        let takes_one = takes_both || self.choices().iter().any(|choice| choice == word);
        (takes_one && self.accepts(word.as_ref()).is_ok()).then_some(word)
    }

    /// Whether the flag may stand without a value, as `--spa`.
    pub(crate) fn takes_no_value(&self) -> bool {
        self.arg.get_num_args().is_some_and(|count| count.min_values() == 0)
    }

    /// The numbers that the flag takes.
    pub(crate) fn numbers(&self) -> Numbers {
        let parsed = self.arg.get_value_parser().type_id();
        let is_any = |types: &[TypeId]| types.iter().any(|known| parsed == *known);
        if self.value_name() == "OCTAL" {
            Numbers::Octal
        } else if is_any(&[TypeId::of::<f32>(), TypeId::of::<f64>()]) {
            Numbers::Fractions
        } else if is_any(&[
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<Duration>(),
        ]) {
            Numbers::Whole
        } else {
            Numbers::None
        }
    }

    /// Whether numbers are sizes or times, which are texts with a unit.
    pub(crate) fn has_units(&self) -> bool {
        matches!(self.value_name(), "SIZE" | "DURATION" | "OCTAL")
    }

    /// Whether a value may be a text. Numbers without a unit are none.
    pub(crate) fn takes_text(&self) -> bool {
        self.has_units() || !matches!(self.numbers(), Numbers::Whole | Numbers::Fractions)
    }

    /// Whether values are paths of files or directories, which count from the configuration file's
    /// directory.
    fn is_path(&self) -> bool {
        matches!(
            self.arg.get_value_hint(),
            ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
        )
    }

    /// Whether `text` as the value is a path. A URL is none.
    pub(crate) fn takes_as_path(&self, text: &str) -> bool {
        self.is_path() && !(self.is_url() && text.contains("://"))
    }

    /// Whether the value may be a URL.
    pub(crate) fn is_url(&self) -> bool {
        self.value_name() == "URL"
    }

    /// Whether the value is a file that the server reads, and no site may serve.
    pub(crate) fn is_read(&self) -> bool {
        let parsed = self.arg.get_value_parser().type_id();
        self.is_path()
            && self.arg.get_value_hint() != ValueHint::DirPath
            && parsed == TypeId::of::<std::path::PathBuf>()
    }

    fn value_name(&self) -> &str {
        self.arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str())
    }

    /// Asks the flag's own parser whether it takes `text`.
    ///
    /// # Errors
    ///
    /// A sentence about the values that are allowed.
    pub(crate) fn accepts(&self, text: &OsStr) -> Result<(), String> {
        let value = Arg::new("value")
            .long("value")
            .require_equals(true)
            .ignore_case(self.arg.is_ignore_case_set())
            .value_parser(self.arg.get_value_parser().clone());
        let alone = clap::Command::new("value")
            .no_binary_name(true)
            .disable_help_flag(true)
            .disable_version_flag(true)
            .arg(value);
        let mut typed = OsString::from("--value=");
        typed.push(text);
        let Err(error) = alone.try_get_matches_from([typed]) else { return Ok(()) };
        Err(self.allowed(&error))
    }

    fn allowed(&self, error: &clap::Error) -> String {
        if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue)
            && !valid.is_empty()
        {
            return format!("write one of {}", quoted(valid));
        }
        let reason = std::error::Error::source(error).map(ToString::to_string);
        match (error.kind(), reason) {
            (ErrorKind::ValueValidation, Some(reason)) if reason.contains("is not in ") => reason,
            (ErrorKind::ValueValidation, Some(_))
                if self.numbers() == Numbers::Whole && !self.has_units() =>
            {
                "write a whole number".to_owned()
            }
            (ErrorKind::ValueValidation, Some(reason)) => reason,
            (ErrorKind::InvalidUtf8, _) => "write a path that is UTF-8".to_owned(),
            _ => "write a value that is not empty".to_owned(),
        }
    }
}

/// Texts in quotes, as a file has them.
pub(crate) fn quoted(texts: &[String]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    quoted.join(", ")
}

fn place_of(long: &str) -> (Option<&'static str>, String) {
    for (section, listed) in SECTIONS {
        if let Some((name, _)) = listed.iter().find(|(_, flag)| *flag == long) {
            return (Some(section), (*name).to_owned());
        }
        if let Some(name) = long.strip_prefix(section).and_then(|rest| rest.strip_prefix('-')) {
            return (Some(section), name.to_owned());
        }
    }
    (None, long.to_owned())
}

/// All keys of the configuration file that are flags.
#[derive(Debug)]
pub(crate) struct Keys(Vec<Key>);

impl Keys {
    /// The keys, in the order of `serve --help`.
    pub(crate) fn of_serve() -> Self {
        let site = SiteArgs::augment_args(clap::Command::new("site"));
        let of_site = |arg: &Arg| site.get_arguments().any(|other| other.get_id() == arg.get_id());
        let command = Cli::command();
        let serve = command.find_subcommand("serve").into_iter();
        let keys = serve
            .flat_map(clap::Command::get_arguments)
            .filter(|arg| !NO_KEYS.contains(&arg.get_id().as_str()))
            .map(|arg| Key::new(arg, of_site(arg)));
        Self(keys.collect())
    }

    /// All of them.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Key> {
        self.0.iter()
    }

    /// The key with this name in this table.
    pub(crate) fn find(&self, section: Option<&str>, name: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.section == section && key.name == name)
    }

    /// The key of a flag that is written as on the command line, without its dashes.
    pub(crate) fn of_flag(&self, long: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.arg.get_long().unwrap_or("dir") == long)
    }

    /// The table of that name whose keys are flags, if there is one.
    pub(crate) fn section(&self, name: &str) -> Option<&'static str> {
        self.0.iter().filter_map(|key| key.section).find(|section| *section == name)
    }
}
