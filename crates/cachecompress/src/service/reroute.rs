//! The place of redirects and rewrites among the other answers.

use http::request::Parts;

use super::locate::{self, Located};
use super::site::Site;
use crate::error::Error;
use crate::http::{PathSegments, RequestPath};
use crate::rules::redirects::{RuleAnswer, RuleMatch};

/// Finds the answer to a request: that of a rule that goes before files, the file, that of another
/// rule, or the index of an application.
pub(super) async fn locate(site: &Site, parts: &Parts) -> Result<Located, Error> {
    if site.rules.only.is_some() {
        return locate::locate(site, parts).await;
    }
    if site.rules.redirects.has_forced()
        && let Some(found) = find(site, parts).filter(|found| found.force)
    {
        return apply(site, parts, found.answer).await;
    }
    match locate::locate(site, parts).await? {
        Located::Nothing => {}
        // A directory without an index is no page.
        Located::Redirect(location) => {
            return match find(site, parts) {
                Some(found) if !locate::has_page(site, parts).await? => {
                    apply(site, parts, found.answer).await
                }
                _ => Ok(Located::Redirect(location)),
            };
        }
        found => return Ok(found),
    }
    match find(site, parts) {
        Some(found) => apply(site, parts, found.answer).await,
        None => locate::spa_index(site, parts).await,
    }
}

/// Whether the answer for a request's path may depend on the query.
pub(super) fn depends_on_query(site: &Site, parts: &Parts) -> bool {
    !site.rules.redirects.is_empty()
        && PathSegments::parse(parts.uri.path())
            .is_ok_and(|path| site.rules.redirects.depends_on_query(&path))
}

fn find(site: &Site, parts: &Parts) -> Option<RuleMatch> {
    if site.rules.redirects.is_empty() {
        return None;
    }
    let path = PathSegments::parse(parts.uri.path()).ok()?;
    site.rules.redirects.find(&path, parts.uri.query())
}

/// Applies the answer of a rule. No other rule applies to the target of a rewrite.
async fn apply(site: &Site, parts: &Parts, answer: RuleAnswer) -> Result<Located, Error> {
    Ok(match answer {
        RuleAnswer::Redirect { status, location } => Located::Moved(status, location),
        RuleAnswer::Rewrite(path) => match RequestPath::parse(&path) {
            Ok(path) => locate::locate_page(site, &path, parts)
                .await?
                .map_or(Located::Nothing, Located::File),
            Err(_) => Located::Nothing,
        },
        RuleAnswer::Error { status, page } => {
            let page = match RequestPath::parse(&page) {
                Ok(path) => locate::locate_page(site, &path, parts).await?,
                Err(_) => None,
            };
            Located::Refused(status, page)
        }
    })
}
