//! Listings as JSON.

use cachecompress::source::ListingEntry;
use serde::Serialize;

use super::html::timestamp;

/// An entry. Properties that it does not have are left out.
#[derive(Serialize)]
struct Entry {
    /// Bytes that are no UTF-8 are U+FFFD.
    name: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
}

pub(super) fn render(entries: &[&ListingEntry]) -> Vec<u8> {
    let entries = entries.iter().map(|entry| Entry {
        name: String::from_utf8_lossy(&entry.name).into_owned(),
        r#type: if entry.is_directory() { "directory" } else { "file" },
        size: entry.len,
        mtime: timestamp(entry),
    });
    // Strings and numbers have a form in any case.
    serde_json::to_vec(&entries.collect::<Vec<_>>()).unwrap_or_default()
}
