//! `GET /api/v1/entries`

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use cachecompress::Error;
use cachecompress::cache::{CacheFiles, Care};
use clap::ValueEnum as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::reply::{Answer, json, refuse};
use super::state::State;
use crate::cli::Sort;
use crate::entry_list::{EntryList, EntryRow, ListedEntry, NoPlace, Place, ToldTotals, Totals};
use crate::limits::{ENTRIES_PER_PAGE, MOST_ENTRIES_PER_PAGE};

/// A page of the list of entries.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct EntryPage {
    entries: Vec<EntryRow>,
    /// The totals of all entries that match the filter.
    totals: ToldTotals,
    /// The value of `after` for the next page; null on the last one.
    next: Option<String>,
}

/// The parameters of a request.
#[derive(Debug)]
struct Query {
    sort: Sort,
    filter: Option<String>,
    /// The most entries of the page.
    limit: usize,
    /// The place of the last entry before the page.
    after: Option<Place>,
}

impl Query {
    /// Parses the query of a target.
    ///
    /// # Errors
    ///
    /// A sentence about the first parameter that is wrong.
    fn parse(query: &str) -> Result<Self, String> {
        let mut parsed =
            Self { sort: Sort::Size, filter: None, limit: ENTRIES_PER_PAGE, after: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sort" => {
                    parsed.sort = Sort::from_str(&value, false)
                        .map_err(|_| "`sort` is one of size, ratio, age, last_use")?;
                }
                "filter" => {
                    parsed.filter = Some(value.into_owned()).filter(|text| !text.is_empty());
                }
                "limit" => {
                    let limit = value.parse().ok();
                    parsed.limit = limit
                        .filter(|limit| (1..=MOST_ENTRIES_PER_PAGE).contains(limit))
                        .ok_or_else(|| format!("`limit` is from 1 to {MOST_ENTRIES_PER_PAGE}"))?;
                }
                "after" => {
                    let after = value.parse();
                    parsed.after =
                        Some(after.map_err(|NoPlace| "`after` is the `next` of another page")?);
                }
                _ => {
                    let known = "sort, filter, limit and after";
                    return Err(format!("`{name}` is no parameter; there are {known}"));
                }
            }
        }
        Ok(parsed)
    }
}

/// Lists the entries of the cache, one page of them.
pub(super) async fn entries(state: &State, query: Option<&str>) -> Answer {
    let query = Query::parse(query.unwrap_or_default())
        .map_err(|sentence| refuse(StatusCode::BAD_REQUEST, sentence))?;
    let Ok(permit) = Arc::clone(&state.listing).try_acquire_owned() else {
        let sentence = "the entries are being listed already; try again";
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, sentence));
    };
    let files = state.reload.reloader.cache().files();
    // A disk may hang. The permit is held meanwhile.
    let page = spawn_blocking(move || {
        let page = list(&files, &query);
        drop(permit);
        page
    });
    match page.await {
        Ok(Ok(page)) => Ok(json(StatusCode::OK, &page)),
        Ok(Err(error)) => Err(refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
        Err(error) => Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// Reads the headers of all entries. It keeps no more of them than two of the largest pages have.
fn list(files: &CacheFiles, query: &Query) -> Result<EntryPage, Error> {
    let (mut list, mut totals, mut behind) = (EntryList::default(), Totals::default(), 0_usize);
    let summary = files.entries(|care| {
        if let Care::Entry { entry, .. } = care
            && let Some(entry) = ListedEntry::of(entry, query.filter.as_deref())
        {
            totals.add(&entry);
            if query.after.is_none_or(|after| entry.place(query.sort) > after) {
                behind += 1;
                list.add(entry);
            }
            if list.entries.len() > 2 * MOST_ENTRIES_PER_PAGE {
                list.sort(query.sort);
                list.truncate(query.limit);
            }
        }
        ControlFlow::Continue(())
    })?;
    list.sort(query.sort);
    list.truncate(query.limit);
    let last = list.entries.last().filter(|_| behind > list.entries.len());
    let now = SystemTime::now();
    Ok(EntryPage {
        entries: list.entries.iter().map(|entry| entry.row(now)).collect(),
        next: last.map(|entry| entry.place(query.sort).to_string()),
        totals: totals.told(&summary),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_parsed_or_named() {
        let after = "0123456789abcdef".repeat(3);
        let query = format!("sort=last_use&filter=b%72+5&limit=7&after={after}");
        let query = Query::parse(&query).unwrap();
        assert_eq!(query.after.unwrap().to_string(), after);
        assert_eq!(query.filter.as_deref(), Some("br 5"));
        assert_eq!((query.sort, query.limit), (Sort::LastUse, 7));
        let plain = Query::parse("").unwrap();
        assert_eq!((plain.sort, plain.limit, plain.after), (Sort::Size, ENTRIES_PER_PAGE, None));
        for (query, name) in [
            ("sort=name", "sort"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=", "limit"),
            ("after=14", "after"),
            ("after=x", "after"),
            ("page=2", "page"),
            ("sort", "sort"),
        ] {
            let sentence = Query::parse(query).unwrap_err();
            assert!(sentence.contains(&format!("`{name}`")), "{query}: {sentence}");
        }
    }
}
