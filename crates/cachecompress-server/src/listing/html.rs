//! Listings as HTML.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use cachecompress::SourcePath;
use cachecompress::source::ListingEntry;
use humantime::format_rfc3339_seconds;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::order::{Key, Order};

/// The style of a page, which its policy names by its digest.
pub(super) const STYLE: &str = include_str!("listing.css");

/// The bytes of a name that a link escapes: all but the unreserved ones (RFC 3986 §2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The seconds at the end of the year 9999, the last that a date has room for.
const LAST_SECOND: u64 = 253_402_300_799;

/// Renders the page of a `directory`. Its links are relative, so that it works under any prefix.
pub(super) fn render(
    directory: &SourcePath,
    entries: &[&ListingEntry],
    order: Order,
    is_cut: bool,
) -> String {
    let mut heading = "Index of /".to_owned();
    for segment in directory.segments() {
        heading.push_str(&shown(segment));
        heading.push('/');
    }
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (heading) }
                // No browser asks for an icon then.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                (breadcrumbs(directory))
                main {
                    h1 { bdi { (heading) } }
                    @if is_cut {
                        p.cut role="note" {
                            "Only " (entries.len()) " entries are shown. The directory has more."
                        }
                    }
                    (table(entries, order))
                }
            }
        }
    };
    page.into_string()
}

/// Renders the way from the root to `directory`.
fn breadcrumbs(directory: &SourcePath) -> Markup {
    let depth = directory.segments().count();
    let up = |steps: usize| if steps == 0 { "./".to_owned() } else { "../".repeat(steps) };
    let link = |name: &str, at: usize| {
        html! {
            li {
                a href=(up(depth - at)) aria-current=[(at == depth).then_some("page")] {
                    bdi { (name) }
                }
            }
        }
    };
    html! {
        nav aria-label="Breadcrumbs" {
            ol {
                (link("Root", 0))
                @for (segment, at) in directory.segments().zip(1..) {
                    (link(&shown(segment), at))
                }
            }
        }
    }
}

fn table(entries: &[&ListingEntry], order: Order) -> Markup {
    let directories = entries.iter().filter(|entry| entry.is_directory()).count();
    let count = |number: usize, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    };
    html! {
        table {
            caption {
                (count(directories, "directory", "directories")) ", "
                (count(entries.len() - directories, "file", "files"))
            }
            thead {
                tr {
                    (column(Key::Name, "Name", order))
                    (column(Key::Size, "Size", order))
                    (column(Key::Time, "Modified (UTC)", order))
                }
            }
            tbody { @for entry in entries { (row(entry)) } }
        }
    }
}

/// Renders the head of a column. Its link sorts by it, or turns the order round.
fn column(key: Key, name: &str, order: Order) -> Markup {
    let is_sorted = order.key == key;
    let next = if is_sorted && !order.is_descending { "desc" } else { "asc" };
    let (sorted, arrow) = match order.is_descending {
        false => ("ascending", " \u{25B2}"),
        true => ("descending", " \u{25BC}"),
    };
    html! {
        th scope="col" class=(key.word()) aria-sort=[is_sorted.then_some(sorted)] {
            a href={ "?sort=" (key.word()) "&order=" (next) } {
                (name)
                @if is_sorted { span aria-hidden="true" { (arrow) } }
            }
        }
    }
}

fn row(entry: &ListingEntry) -> Markup {
    let slash = if entry.is_directory() { "/" } else { "" };
    html! {
        tr {
            th scope="row" {
                // A name alone could be taken for a scheme, a host or a query.
                a href={ "./" (percent_encode(&entry.name, ESCAPED)) (slash) } {
                    bdi { (shown(&entry.name)) } (slash)
                }
            }
            td.size {
                @if let Some(len) = entry.len {
                    data value=(len) title={ (len) " bytes" } { (ByteSize(len).display().iec()) }
                }
            }
            td.time {
                @if let Some(time) = timestamp(entry) {
                    time datetime=(time) { (time[..10]) " " (time[11..16]) }
                }
            }
        }
    }
}

/// Returns the time of an entry as RFC 3339 has it, if it is one that this has room for.
pub(super) fn timestamp(entry: &ListingEntry) -> Option<String> {
    let since = entry.modified?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since))?;
    (since <= LAST_SECOND).then(|| format_rfc3339_seconds(time).to_string())
}

/// Returns a name for people. Bytes that are no UTF-8 become U+FFFD. Controls, and characters that reorder or hide
/// others, are escaped as in Rust.
fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    for char in String::from_utf8_lossy(name).chars() {
        match char.is_control() || is_invisible(char) {
            true => {
                let _ = write!(text, "{}", char.escape_default());
            }
            false => text.push(char),
        }
    }
    text
}

/// Whether a character reorders text, breaks lines or has no width.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    )
}
