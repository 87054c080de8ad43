//! The tables of the configuration file that are no flags.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use cachecompress::{HeaderRule, Redirect};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The tables of one site.
#[derive(Clone, Debug, Default)]
pub(crate) struct SiteTables {
    /// The hosts of the site, none for the only one.
    pub(crate) hosts: Vec<String>,
    /// `[[headers]]`
    pub(crate) headers: Vec<HeaderTable>,
    /// `[[redirects]]`
    pub(crate) redirects: Vec<RedirectTable>,
    /// `[error-pages]`: paths by status.
    pub(crate) error_pages: BTreeMap<u16, String>,
    /// `[site-rules]`
    pub(crate) site_rules: SiteRulesTable,
}

/// The tables that a file, or one of its sites, has.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct GivenTables {
    /// Fields for the answers of some paths. All rules that match apply; across rules a later one
    /// replaces a field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) headers: Option<Vec<HeaderTable>>,
    /// Redirects and rewrites. The first rule that matches applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirects: Option<Vec<RedirectTable>>,
    /// The pages of errors: paths in the site, by status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(crate) error_pages: Option<ErrorPages>,
    /// The reading of `_headers` and `_redirects`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) site_rules: Option<GivenSiteRules>,
}

impl GivenTables {
    /// Returns the tables that are given here, and those of `outer` in place of the others.
    pub(crate) fn over(self, outer: &SiteTables, hosts: Vec<String>) -> SiteTables {
        SiteTables {
            hosts,
            headers: self.headers.unwrap_or_else(|| outer.headers.clone()),
            redirects: self.redirects.unwrap_or_else(|| outer.redirects.clone()),
            error_pages: self
                .error_pages
                .map_or_else(|| outer.error_pages.clone(), |pages| pages.0),
            site_rules: self.site_rules.unwrap_or_default().over(outer.site_rules),
        }
    }
}

/// `[[headers]]`: fields for the paths of a glob.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderTable {
    /// The file and the line of the rule.
    #[serde(skip)]
    pub(crate) place: String,
    /// The paths, such as /assets/**. * stays in a segment, ** crosses.
    #[serde(rename = "for")]
    pub(crate) paths: String,
    /// The fields. A value may be an array, whose values are joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "fields_from_table", serialize_with = "fields_to_table")]
    #[schemars(with = "BTreeMap<String, FieldValue>")]
    pub(crate) values: Vec<(String, String)>,
    /// The names of fields that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unset: Vec<String>,
    /// Whether errors and redirects have the fields, too.
    #[serde(default, skip_serializing_if = "is_off")]
    pub(crate) always: bool,
    /// Whether the usual fields for security are added.
    #[serde(default, skip_serializing_if = "is_off")]
    pub(crate) security: bool,
    /// Whether the pages are isolated from other origins.
    #[serde(default, skip_serializing_if = "is_off")]
    pub(crate) isolate: bool,
}

impl HeaderTable {
    /// Makes the rule of the table.
    ///
    /// # Errors
    ///
    /// A sentence with the file and the line if the rule is wrong.
    pub(crate) fn rule(&self) -> Result<HeaderRule, String> {
        let rule = self.unchecked();
        match rule.check() {
            Ok(()) => Ok(rule),
            Err(error) => Err(format!("{}: {error}", self.place)),
        }
    }

    /// Makes the rule of the table, right or wrong.
    pub(crate) fn unchecked(&self) -> HeaderRule {
        let rule = HeaderRule::new(&*self.paths)
            .always(self.always)
            .security(self.security)
            .isolate(self.isolate);
        let rule = self.values.iter().fold(rule, |rule, (name, value)| rule.set(&**name, &**value));
        self.unset.iter().fold(rule, |rule, name| rule.unset(&**name))
    }
}

/// `[[redirects]]`: a redirect, or a rewrite.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedirectTable {
    /// The file and the line of the rule.
    #[serde(skip)]
    pub(crate) place: String,
    /// The path, such as /blog/* or /news/:year.
    pub(crate) from: String,
    /// The target, in which :splat and the names of placeholders are replaced.
    pub(crate) to: String,
    /// The status. 200 rewrites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 200, max = 599))]
    pub(crate) status: Option<u16>,
    /// Whether the rule goes before files.
    #[serde(default, skip_serializing_if = "is_off")]
    pub(crate) force: bool,
}

impl RedirectTable {
    /// The rule of the table.
    pub(crate) fn rule(&self) -> Redirect {
        self.unplaced().place(&self.place)
    }

    /// The rule of the table, whose messages do not name its place.
    pub(crate) fn unplaced(&self) -> Redirect {
        Redirect::new(&self.from, &self.to).force(self.force).status(self.status())
    }

    /// The status of the rule.
    pub(crate) fn status(&self) -> u16 {
        self.status.unwrap_or(301)
    }
}

/// `[site-rules]`: the reading of `_headers` and `_redirects`. `enabled` is `--site-rules`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SiteRulesTable {
    pub(crate) dialect: Dialect,
    /// Whether a line that is not supported is an error.
    pub(crate) strict: bool,
}

/// `[site-rules]` as a file, or one of its sites, has it.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GivenSiteRules {
    /// The service whose rules hold where services differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dialect: Option<Dialect>,
    /// Whether a line that is not supported is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strict: Option<bool>,
}

impl GivenSiteRules {
    fn over(self, outer: SiteRulesTable) -> SiteRulesTable {
        SiteRulesTable {
            dialect: self.dialect.unwrap_or(outer.dialect),
            strict: self.strict.unwrap_or(outer.strict),
        }
    }
}

/// The service whose rules for `_headers` and `_redirects` hold.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dialect {
    #[default]
    Netlify,
    Cloudflare,
}

/// The statuses that may have a page.
pub(crate) const ERRORS: RangeInclusive<u16> = 400..=599;

/// `[error-pages]`: paths by status.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorPages(pub(crate) BTreeMap<u16, String>);

impl<'de> Deserialize<'de> for ErrorPages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pages = BTreeMap::<String, String>::deserialize(deserializer)?.into_iter();
        let pages = pages.map(|(status, page)| match status.parse() {
            Ok(status) if ERRORS.contains(&status) => Ok((status, page)),
            _ => Err(D::Error::custom("a page belongs to the status of an error")),
        });
        pages.collect::<Result<_, _>>().map(Self)
    }
}

impl Serialize for ErrorPages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(status, page)| (status.to_string(), page)))
    }
}

/// The value of a field: one, or several that are joined.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(untagged, expecting = "write a text, or an array of texts")]
enum FieldValue {
    One(String),
    Several(Vec<String>),
}

fn fields_from_table<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(String, String)>, D::Error> {
    struct Fields;

    impl<'de> serde::de::Visitor<'de> for Fields {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a table of fields")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, FieldValue>()? {
                match value {
                    FieldValue::One(value) => fields.push((name, value)),
                    FieldValue::Several(values) => {
                        fields.extend(values.into_iter().map(|value| (name.clone(), value)));
                    }
                }
            }
            Ok(fields)
        }
    }

    deserializer.deserialize_map(Fields)
}

fn fields_to_table<S: Serializer>(
    fields: &[(String, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut table: Vec<(&str, FieldValue)> = Vec::new();
    for (name, value) in fields {
        let Some((_, known)) = table.iter_mut().find(|(known, _)| known == name) else {
            table.push((name, FieldValue::One(value.clone())));
            continue;
        };
        match known {
            FieldValue::One(first) => {
                *known = FieldValue::Several(vec![std::mem::take(first), value.clone()]);
            }
            FieldValue::Several(values) => values.push(value.clone()),
        }
    }
    serializer.collect_map(table)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_off(switch: &bool) -> bool {
    !switch
}
