//! The rules that a site brings in its own directory, in the formats of Netlify and Cloudflare Pages.

mod files;
pub(crate) mod headers_file;
mod looks;
pub(crate) mod redirects_file;
mod skipped;

pub(crate) use files::RuleFiles;
pub(crate) use looks::Looks;
pub(crate) use skipped::Skipped;

use cachecompress::{HeaderRule, Redirect};

use crate::tables::SiteRulesTable;

/// The names of the files. They are never served, not even if they are not read.
pub(crate) const NAMES: [&str; 2] = [files::HEADERS, redirects_file::NAME];

/// The rules of a site's files.
#[derive(Debug, Default)]
pub(crate) struct SiteRules {
    pub(crate) headers: Vec<HeaderRule>,
    pub(crate) redirects: Vec<Redirect>,
    /// A sentence for each line that is skipped.
    pub(crate) warnings: Vec<String>,
}

impl SiteRules {
    /// Parses the contents of a site's files.
    ///
    /// # Errors
    ///
    /// A sentence for the first line that is wrong, or that is skipped if `table` is strict. It tells
    /// how many more there are.
    pub(crate) fn parse(files: &RuleFiles, table: SiteRulesTable) -> Result<Self, String> {
        let (rules, errors) = Self::parse_all(files, table);
        let more = match errors.len() {
            0 => return Ok(rules),
            1 => String::new(),
            2 => "; another line is wrong, too".to_owned(),
            all => format!("; {} more lines are wrong", all - 1),
        };
        Err(format!("{}{more}", errors[0]))
    }

    /// Parses the contents of a site's files. Returns a sentence for each line that is wrong, too, or
    /// that is skipped if `table` is strict.
    pub(crate) fn parse_all(files: &RuleFiles, table: SiteRulesTable) -> (Self, Vec<String>) {
        let headers = headers_file::parse(files.headers.as_deref().unwrap_or_default());
        let text = files.redirects.as_deref().unwrap_or_default();
        let redirects = redirects_file::parse(text, table.dialect);
        let wrong = redirects.errors.iter().map(|line| line.in_file(redirects_file::NAME, ""));
        let mut errors: Vec<_> = wrong.collect();
        let skipped = |name: &'static str, lines: &[Skipped]| {
            let lines = lines.iter().map(|line| line.in_file(name, "skipped: "));
            lines.collect::<Vec<_>>()
        };
        let warnings = [
            skipped(files::HEADERS, &headers.skipped),
            skipped(redirects_file::NAME, &redirects.skipped),
        ]
        .concat();
        if table.strict {
            errors.extend(warnings.iter().map(|line| format!("{line}; [site-rules] is strict")));
        }
        (Self { headers: headers.rules, redirects: redirects.rules, warnings }, errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Dialect;

    #[test]
    fn skipped_lines_are_warnings_and_errors_under_strict() {
        let text = "/a /b\n/c https://h.example/ 200\n/d /e Country=us\n";
        let files = RuleFiles { headers: None, redirects: Some(text.into()) };
        let lax = SiteRulesTable { dialect: Dialect::Netlify, strict: false };
        let rules = SiteRules::parse(&files, lax).unwrap();
        assert_eq!(rules.redirects.len(), 1);
        let first = "_redirects:2: skipped: \"https://h.example/\": proxies are not supported";
        assert_eq!((rules.warnings.len(), &*rules.warnings[0]), (2, first));
        let error = SiteRules::parse(&files, SiteRulesTable { strict: true, ..lax }).unwrap_err();
        assert!(
            error.starts_with("_redirects:2: ") && error.contains("is strict; another"),
            "{error}"
        );
        let files = RuleFiles { headers: Some("/a\n  X: y\n  none\n".into()), redirects: None };
        let rules = SiteRules::parse(&files, lax).unwrap();
        assert_eq!((rules.headers.len(), rules.warnings.len()), (1, 1));
        assert!(rules.warnings[0].starts_with("_headers:3: skipped: "), "{:?}", rules.warnings);
        assert!(SiteRules::parse(&files, SiteRulesTable { strict: true, ..lax }).is_err());
        let files = RuleFiles { headers: None, redirects: Some("/a\n/b\n/c\n".into()) };
        let error = SiteRules::parse(&files, lax).unwrap_err();
        assert!(error.starts_with("_redirects:1: there is no target"), "{error}");
        assert!(error.ends_with("; 2 more lines are wrong"), "{error}");
    }
}
