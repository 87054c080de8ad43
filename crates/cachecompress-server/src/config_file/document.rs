//! A configuration file that was read: the values of flags, tables, and sites.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue, ValueDeserializer};

use super::key::{Key, Keys};
use super::mistake::{Mistake, Mistakes, SourceText};
use super::nearest::unknown_key;
use super::rules::{judge_error_pages, judge_headers, judge_redirect, judge_ring};
use super::table_keys;
use super::value::{excerpt, texts};
use crate::hosts;
use crate::limits::SHOWN_MISTAKES;
use crate::printer::EscapedPath;
use crate::tables::GivenTables;

/// The outermost array of tables, one for each site.
const SITES: &str = "sites";
/// The key of a site that no flag has.
const HOSTS: &str = "hosts";

/// A configuration file without mistakes.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) source: SourceText,
    /// Everything outside of `[[sites]]`.
    pub(crate) top: Given,
    pub(crate) sites: Vec<Given>,
}

/// The keys that one level of the file has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// The values of flags, by clap's name of the flag.
    pub(crate) flags: BTreeMap<String, GivenFlag>,
    pub(crate) tables: GivenTables,
    /// The line of each table's first key.
    pub(crate) table_lines: BTreeMap<String, usize>,
    pub(crate) hosts: Vec<String>,
}

/// The value of a flag in the file.
#[derive(Clone, Debug)]
pub(crate) struct GivenFlag {
    pub(crate) texts: Vec<OsString>,
    /// The place of the key, in bytes of the file.
    pub(crate) span: Range<usize>,
    pub(crate) line: usize,
}

impl Document {
    /// Reads `source` with the keys that there are.
    ///
    /// # Errors
    ///
    /// All mistakes that were found.
    pub(crate) fn parse(source: SourceText, keys: &Keys) -> Result<Self, Mistakes> {
        let (table, errors) = DeTable::parse_recoverable(source.text());
        if !errors.is_empty() {
            let mistakes = errors.iter().map(|error| Mistake {
                span: error.span().unwrap_or(0..0),
                found: "this is no TOML".to_owned(),
                allowed: error.message().to_owned(),
            });
            let mistakes = mistakes.collect();
            return Err(Mistakes::new(source, mistakes));
        }
        let mut reader = Reader { keys, source: &source, mistakes: Vec::new() };
        let top = reader.level(table.get_ref(), Level::Top);
        let sites = table.get_ref().get(SITES).map_or_else(Vec::new, |sites| reader.sites(sites));
        match reader.mistakes {
            mistakes if mistakes.is_empty() => Ok(Self { source, top, sites }),
            mistakes => Err(Mistakes::new(source, mistakes)),
        }
    }
}

/// A level of the file: the outermost one, or a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Top,
    Site,
}

struct Reader<'a> {
    keys: &'a Keys,
    source: &'a SourceText,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn sites(&mut self, sites: &Spanned<DeValue<'_>>) -> Vec<Given> {
        let DeValue::Array(elements) = sites.get_ref() else {
            self.mistake(sites.span(), "`sites` is no array of tables", "write [[sites]]");
            return Vec::new();
        };
        let mut all: Vec<Given> = Vec::new();
        for element in elements {
            let DeValue::Table(table) = element.get_ref() else {
                self.mistake(element.span(), "this site is no table", "write [[sites]]");
                continue;
            };
            let mut site = self.level(table, Level::Site);
            match table.get(HOSTS) {
                Some(hosts) => site.hosts = self.hosts(hosts, &all),
                None => {
                    let allowed = "write hosts = [\"example.org\"]";
                    self.mistake(element.span(), "this site has no `hosts`", allowed);
                }
            }
            all.push(site);
        }
        all
    }

    /// The hosts of a site that none of the `others` has.
    fn hosts(&mut self, value: &Spanned<DeValue<'_>>, others: &[Given]) -> Vec<String> {
        let elements = value.get_ref().as_array().into_iter().flatten();
        if elements.clone().next().is_none() {
            let allowed = "write an array of names, such as [\"example.org\"]";
            self.mistake(value.span(), "this is no list of hosts", allowed);
        }
        let mut hosts = Vec::new();
        for element in elements {
            let Some(host) = element.get_ref().as_str() else {
                self.mistake(element.span(), "a host is a text", "write \"example.org\"");
                continue;
            };
            let host = match hosts::host(host) {
                Ok(host) => host,
                Err(allowed) => {
                    self.mistake(element.span(), "this is no host", allowed);
                    continue;
                }
            };
            if others.iter().flat_map(|site| &site.hosts).chain(&hosts).any(|other| *other == host)
            {
                let found = format!("the host `{host}` stands there twice");
                self.mistake(element.span(), found, "a request must find one site");
            }
            hosts.push(host);
        }
        hosts
    }

    /// Reads the keys of one level.
    fn level(&mut self, table: &DeTable<'_>, level: Level) -> Given {
        let mut given = Given::default();
        let mut tables = DeTable::new();
        for (name, value) in table {
            let text = name.get_ref().as_ref();
            if let Some(key) = self.keys.find(None, text) {
                self.flag(key, name, value, level, &mut given);
            } else if self.keys.section(text).is_some() {
                self.section(name, value, level, &mut given, &mut tables);
            } else if table_keys::schema(text).is_some() {
                tables.insert(name.clone(), value.clone());
            } else if !(level == Level::Top && text == SITES
                || level == Level::Site && text == HOSTS)
            {
                let mistake = self.unknown(name, level);
                self.mistakes.push(mistake);
            }
        }
        let mut known = DeTable::new();
        for (name, value) in &tables {
            let text = name.get_ref().as_ref();
            given.table_lines.insert(text.to_owned(), self.source.line(name.span().start));
            let place = format!(" in `{text}`");
            if let Some(schema) = table_keys::schema(text)
                && let Some(value) =
                    table_keys::without_unknown(schema, value, &place, &mut self.mistakes)
            {
                known.insert(name.clone(), value);
            }
        }
        given.tables = self.tables(known);
        given
    }

    /// Reads the keys of a table such as `[tls]`, of which those that are no flags go to `tables`.
    fn section<'i>(
        &mut self,
        name: &Spanned<DeString<'i>>,
        value: &Spanned<DeValue<'i>>,
        level: Level,
        given: &mut Given,
        tables: &mut DeTable<'i>,
    ) {
        let section = name.get_ref().as_ref();
        let DeValue::Table(table) = value.get_ref() else {
            let keys = self.keys.iter().filter(|key| key.section == Some(section));
            let keys: Vec<_> = keys.map(|key| key.name.as_str()).collect();
            let allowed = format!("write [{section}] with the keys {}", keys.join(", "));
            return self.mistake(value.span(), format!("`{section}` is a table"), allowed);
        };
        let others = table_keys::names(section);
        let mut rest = DeTable::new();
        for (name, value) in table {
            let text = name.get_ref().as_ref();
            if let Some(key) = self.keys.find(Some(section), text) {
                self.flag(key, name, value, level, given);
            } else if others.contains(&text) {
                rest.insert(name.clone(), value.clone());
            } else {
                let keys = self.keys.iter().filter(|key| key.section == Some(section));
                let known = keys.map(|key| key.name.as_str()).chain(others.iter().copied());
                let mistake = unknown_key(name, &format!(" in `{section}`"), known);
                self.mistakes.push(mistake);
            }
        }
        if !rest.is_empty() {
            tables.insert(name.clone(), Spanned::new(value.span(), DeValue::Table(rest)));
        }
    }

    fn flag(
        &mut self,
        key: &Key,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        level: Level,
        given: &mut Given,
    ) {
        if level == Level::Site && !key.of_site {
            let found = format!("`{key}` is a key of the whole server");
            return self.mistake(name.span(), found, "write it above all [[sites]]");
        }
        let texts = texts(key, value, self.source, &mut self.mistakes);
        let line = self.source.line(name.span().start);
        given.flags.insert(key.id().to_owned(), GivenFlag { texts, span: name.span(), line });
    }

    fn unknown(&self, name: &Spanned<DeString<'_>>, level: Level) -> Mistake {
        let place = match level {
            Level::Top => "",
            Level::Site => " in `sites`",
        };
        let in_level = |key: &&Key| level == Level::Top || key.of_site;
        let keys = self.keys.iter().filter(in_level);
        let own = keys.map(|key| key.section.unwrap_or(key.name.as_str()));
        let others = [match level {
            Level::Top => SITES,
            Level::Site => HOSTS,
        }];
        let known = own.chain(others).chain(table_keys::schemas().map(|(name, _)| name));
        let mistake = unknown_key(name, place, known);
        let Some(key) = self.keys.of_flag(name.get_ref()) else { return mistake };
        let allowed = match key.section {
            Some(section) => format!("write `{}` in [{section}]", key.name),
            None => format!("write `{}`", key.name),
        };
        Mistake { allowed, ..mistake }
    }

    /// The structs of tables that have known keys only.
    ///
    /// The parser ends at its first mistake. To find those of other rules, too, the rule that has it
    /// is taken out.
    fn tables(&mut self, mut tables: DeTable<'_>) -> GivenTables {
        if let Some(pages) = tables.get_mut("error-pages") {
            judge_error_pages(pages.get_mut(), &mut self.mistakes);
        }
        for _ in 0..SHOWN_MISTAKES {
            let value = Spanned::new(0..0, DeValue::Table(tables.clone()));
            let error = match GivenTables::deserialize(ValueDeserializer::from(value)) {
                Ok(given) => return self.with_places(given, &tables),
                Err(error) => error,
            };
            let span = error.span().unwrap_or(0..0);
            self.mistakes.push(Mistake {
                span: span.clone(),
                found: format!("{} is wrong here", excerpt(self.source.part(span.clone()))),
                allowed: error.message().replace("u16", "a status such as 301"),
            });
            let Some(place) = tables.values().position(|table| holds(table, &span)) else {
                break;
            };
            let Some((_, table)) = tables.iter_mut().nth(place) else { break };
            let DeValue::Array(rules) = table.get_mut() else { break };
            let before = rules.len();
            *rules = std::mem::replace(rules, DeArray::new())
                .into_iter()
                .filter(|rule| !holds(rule, &span))
                .collect();
            if rules.len() == before {
                break;
            }
        }
        GivenTables::default()
    }

    /// Tells each rule its place, and judges it.
    fn with_places(&mut self, mut given: GivenTables, tables: &DeTable<'_>) -> GivenTables {
        let rules = |name: &str| {
            let rules = tables.get(name).and_then(|rules| rules.get_ref().as_array());
            rules.into_iter().flatten()
        };
        let path = EscapedPath(self.source.path());
        let line = |rule: &Spanned<DeValue<'_>>| self.source.line(rule.span().start);
        let place = |rule: &Spanned<DeValue<'_>>| format!("{path}:{}", line(rule));
        for (table, rule) in given.headers.iter_mut().flatten().zip(rules("headers")) {
            table.place = place(rule);
            judge_headers(table, rule, &mut self.mistakes);
        }
        for (table, rule) in given.redirects.iter_mut().flatten().zip(rules("redirects")) {
            table.place = place(rule);
            judge_redirect(table, rule, &mut self.mistakes);
        }
        let redirects: Vec<_> = rules("redirects").collect();
        let tables = given.redirects.as_deref().unwrap_or_default();
        judge_ring(tables, &redirects, line, &mut self.mistakes);
        given
    }

    fn mistake(
        &mut self,
        span: Range<usize>,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        self.mistakes.push(Mistake { span, found: found.into(), allowed: allowed.into() });
    }
}

/// Whether `inner` lies in the value or in one of its parts. An array of tables has the span of its
/// first line.
fn holds(value: &Spanned<DeValue<'_>>, inner: &Range<usize>) -> bool {
    let span = value.span();
    if span.start <= inner.start && inner.end <= span.end {
        return true;
    }
    match value.get_ref() {
        DeValue::Array(elements) => elements.iter().any(|element| holds(element, inner)),
        DeValue::Table(table) => {
            table.iter().any(|(name, value)| name.span() == *inner || holds(value, inner))
        }
        _ => false,
    }
}
