//! The configuration in force as a file that says where each value comes from.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use toml::{Table, Value};

use super::document::Given;
use super::key::{Key, Kind, Numbers};
use super::resolve::{InForce, Origin};
use crate::flag_values::switch;
use crate::printer::EscapedPath;

/// A configuration file that has the effect of what is `in_force`, wherever it is put.
pub(crate) fn print(in_force: &InForce) -> String {
    let mut printed = Printed { in_force, text: String::new() };
    let of_top = |key: &Key| Some(in_force.value(key));
    let top = in_force.document.as_ref().map(|document| &document.top);
    printed.level("", &of_top, top);
    for (place, site) in in_force.document.iter().flat_map(|document| &document.sites).enumerate() {
        let _ = writeln!(printed.text, "\n[[sites]]");
        let hosts = site.hosts.iter().cloned().map(Value::String).collect();
        let _ = writeln!(printed.text, "hosts = {}", Value::Array(hosts));
        printed.level("sites.", &|key| in_force.value_of_site(place, key), Some(site));
    }
    printed.text
}

type Values<'a> = dyn Fn(&Key) -> Option<(Vec<OsString>, Origin)> + 'a;

struct Printed<'a> {
    in_force: &'a InForce,
    text: String,
}

impl Printed<'_> {
    /// Prints one level of the file, whose tables' names begin with `prefix`.
    fn level(&mut self, prefix: &str, values: &Values<'_>, given: Option<&Given>) {
        let tables = given.and_then(|given| Table::try_from(&given.tables).ok());
        let mut tables = tables.unwrap_or_default();
        let mut sections = Vec::new();
        for key in self.in_force.keys.iter() {
            match key.section {
                Some(section) if !sections.contains(&section) => sections.push(section),
                None if key.kind() != Kind::Map => self.key(key, values),
                _ => {}
            }
        }
        for key in self.in_force.keys.iter().filter(|key| key.kind() == Kind::Map) {
            self.map(prefix, key, values);
        }
        for section in sections {
            let rest = match tables.remove(section) {
                Some(Value::Table(rest)) => rest,
                _ => Table::new(),
            };
            self.section(prefix, section, values, &rest);
        }
        for (name, value) in &tables {
            let line = given.and_then(|given| given.table_lines.get(name));
            self.table(prefix, name, value, line.copied().unwrap_or_default());
        }
    }

    /// Prints the keys of a table such as `[tls]`, if it has some.
    fn section(&mut self, prefix: &str, section: &str, values: &Values<'_>, rest: &Table) {
        let header = self.text.len();
        let keys = self.in_force.keys.iter().filter(|key| key.section == Some(section));
        keys.for_each(|key| self.key(key, values));
        self.entries(rest);
        if self.text.len() > header {
            self.text.insert_str(header, &format!("\n[{prefix}{section}]\n"));
        }
    }

    /// Prints a key and its origin; a comment where it has no value.
    fn key(&mut self, key: &Key, values: &Values<'_>) {
        let Some((texts, origin)) = values(key) else { return };
        let name = &key.name;
        if texts.is_empty() && (origin == Origin::Default || key.kind() == Kind::Single) {
            let default = default_in_words(key);
            let _ = writeln!(self.text, "# {name} is not set: {default}");
            return;
        }
        let comment = self.origin(key, origin);
        let _ = match value(key, &texts) {
            Some(value) => writeln!(self.text, "{name} = {value}  # {comment}"),
            None => writeln!(self.text, "# {name} has a value that is no UTF-8, of {comment}"),
        };
    }

    fn map(&mut self, prefix: &str, key: &Key, values: &Values<'_>) {
        let Some((texts, origin)) = values(key) else { return };
        if texts.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "\n[{prefix}{}]  # {}", key.name, self.origin(key, origin));
        for text in texts.iter().filter_map(|text| text.to_str()) {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            let _ = writeln!(self.text, "{} = {}", Value::String(name), Value::String(value));
        }
    }

    fn table(&mut self, prefix: &str, name: &str, value: &Value, line: usize) {
        let comment = format!("{}:{line}", self.file());
        match value {
            Value::Table(entries) => {
                let _ = writeln!(self.text, "\n[{prefix}{name}]  # {comment}");
                self.entries(entries);
            }
            Value::Array(rules) => {
                for rule in rules.iter().filter_map(Value::as_table) {
                    let _ = writeln!(self.text, "\n[[{prefix}{name}]]  # {comment}");
                    self.entries(rule);
                }
            }
            _ => {}
        }
    }

    fn entries(&mut self, table: &Table) {
        for (name, value) in table {
            let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            let _ = match name.bytes().all(bare) && !name.is_empty() {
                true => writeln!(self.text, "{name} = {value}"),
                false => writeln!(self.text, "{} = {value}", Value::String(name.clone())),
            };
        }
    }

    fn origin(&self, key: &Key, origin: Origin) -> String {
        origin_in_words(self.in_force, key, origin)
    }

    fn file(&self) -> String {
        file(self.in_force)
    }
}

/// The origin of a key's value.
pub(super) fn origin_in_words(in_force: &InForce, key: &Key, origin: Origin) -> String {
    match origin {
        Origin::Flag => format!("flag {}", key.flag()),
        Origin::Variable => format!("variable {}", key.variable().unwrap_or_default()),
        Origin::File { line } => format!("{}:{line}", file(in_force)),
        Origin::Default => "default".to_owned(),
    }
}

/// The name of the file that was read; empty if there is none.
pub(super) fn file(in_force: &InForce) -> String {
    in_force.file().map(|file| EscapedPath(file).to_string()).unwrap_or_default()
}

/// The texts of a flag as a value of its key.
pub(super) fn value(key: &Key, texts: &[OsString]) -> Option<Value> {
    let texts = texts.iter().map(|text| match key.takes_as_path(&text.to_string_lossy()) {
        true => absolute(text),
        false => text.to_str().map(absolute_socket),
    });
    let mut texts = texts.collect::<Option<Vec<_>>>()?;
    if key.kind() == Kind::List {
        return Some(Value::Array(texts.into_iter().map(Value::String).collect()));
    }
    let text = texts.pop()?;
    let parsed = match key.numbers() {
        _ if key.is_switch() || key.takes_no_value() => switch(&text).ok().map(Value::Boolean),
        Numbers::Whole if !key.has_units() => text.trim().parse().ok().map(Value::Integer),
        Numbers::Fractions => text.trim().parse().ok().map(Value::Float),
        _ => None,
    };
    Some(parsed.unwrap_or(Value::String(text)))
}

fn absolute(path: &OsString) -> Option<String> {
    let path = match path.to_str() {
        Some("-" | "") => path.into(),
        _ => std::path::absolute(Path::new(path)).unwrap_or_else(|_| path.into()),
    };
    path.to_str().map(ToOwned::to_owned)
}

fn absolute_socket(text: &str) -> String {
    let socket = text.strip_prefix("unix:").and_then(|path| absolute(&path.into()));
    socket.map_or_else(|| text.to_owned(), |path| format!("unix:{path}"))
}

/// The default that depends on the machine, as the help of the flag has it in brackets.
fn default_in_words(key: &Key) -> String {
    let summary = key.summary();
    let words = summary.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
    let words = words.map_or("no default", |(words, _)| words);
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
