//! The tables of the configuration file that are no flags.

#![allow(dead_code, reason = "each table is read by the commit that brings its rules")]

use std::collections::BTreeMap;

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

/// `[[headers]]`: fields for the paths of a glob.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderTable {
    /// `for`, a glob.
    pub(crate) paths: String,
    /// The fields, in their order.
    pub(crate) values: Vec<(String, String)>,
    /// The names of fields that are left out.
    pub(crate) unset: Vec<String>,
    /// Whether errors and redirects have the fields, too.
    pub(crate) always: bool,
    /// Whether the usual fields for security are added.
    pub(crate) security: bool,
}

/// `[[redirects]]`: a redirect, or a rewrite.
#[derive(Clone, Debug, Default)]
pub(crate) struct RedirectTable {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) status: Option<u16>,
    /// Whether the rule goes before files.
    pub(crate) force: bool,
}

/// `[site-rules]`: the reading of `_headers` and `_redirects`. `enabled` is `--site-rules`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SiteRulesTable {
    pub(crate) dialect: Dialect,
    /// Whether a line that is not supported is an error.
    pub(crate) strict: bool,
}

/// The service whose rules for `_headers` and `_redirects` hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[default]
    Netlify,
    Cloudflare,
}
