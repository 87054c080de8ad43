//! The configuration in force as a list of settings.

use std::ffi::OsString;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use toml::Table;

use super::document::Given;
use super::key::{Key, Kind};
use super::print::{file, origin_in_words, value};
use super::resolve::{InForce, Origin};

/// A setting that is in force.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Setting {
    /// The key of the configuration file, such as `tls.cert`; that of a site begins with `sites[0].`.
    pub(crate) key: String,
    /// The value, as the file would have it; null if it is not set.
    pub(crate) value: Value,
    /// The origin of the value: `flag --NAME`, `variable NAME`, `FILE:LINE`, or `default`.
    pub(crate) source: String,
}

/// Lists what is `in_force`, in the order of the flags. Tables and sites follow.
pub(crate) fn settings(in_force: &InForce) -> Vec<Setting> {
    let mut settings = Vec::new();
    let keys = in_force.keys.iter();
    settings.extend(keys.map(|key| {
        let (texts, origin) = in_force.value(key);
        setting(in_force, "", key, (texts, origin))
    }));
    let Some(document) = &in_force.document else { return settings };
    settings.extend(tables(in_force, "", &document.top));
    for (place, site) in document.sites.iter().enumerate() {
        let prefix = format!("sites[{place}].");
        let (key, source) = (format!("{prefix}hosts"), file(in_force));
        settings.push(Setting { key, value: Value::from(site.hosts.clone()), source });
        let own = in_force.keys.iter().filter_map(|key| {
            let value = in_force.value_of_site(place, key)?;
            Some(setting(in_force, &prefix, key, value))
        });
        settings.extend(own);
        settings.extend(tables(in_force, &prefix, site));
    }
    settings
}

fn setting(
    in_force: &InForce,
    prefix: &str,
    key: &Key,
    (texts, origin): (Vec<OsString>, Origin),
) -> Setting {
    let is_unset = texts.is_empty() && (origin == Origin::Default || key.kind() == Kind::Single);
    let value = match key.kind() {
        _ if is_unset => Value::Null,
        Kind::Map => {
            let texts = texts.iter().filter_map(|text| text.to_str()?.split_once('='));
            let entry =
                |(name, value): (&str, &str)| (name.trim().to_owned(), Value::from(value.trim()));
            Value::Object(texts.map(entry).collect())
        }
        _ => value(key, &texts).map_or(Value::Null, json),
    };
    // Whoever reaches the admin listener may read it.
    let value = match value {
        Value::String(text) if key.is_url() => Value::String(without_credentials(&text)),
        value => value,
    };
    let source = origin_in_words(in_force, key, origin);
    Setting { key: format!("{prefix}{key}"), value, source }
}

/// A URL without the user's name and password, and without its query. A path stays as it is.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}

/// The tables of one level of the file that are no flags.
fn tables(in_force: &InForce, prefix: &str, given: &Given) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (name, value) in Table::try_from(&given.tables).unwrap_or_default() {
        let line = given.table_lines.get(&name).copied().unwrap_or_default();
        let source = format!("{}:{line}", file(in_force));
        settings.push(Setting { key: format!("{prefix}{name}"), value: json(value), source });
    }
    settings
}

fn json(value: toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_has_no_credentials_and_a_path_is_left_alone() {
        for (text, shown) in [
            ("s3://bucket/site", "s3://bucket/site"),
            ("s3://id:secret@bucket/a@b", "s3://bucket/a@b"),
            ("az://bucket?sig=secret", "az://bucket"),
            ("/srv/a@b?c", "/srv/a@b?c"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
    }
}
