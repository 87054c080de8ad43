//! The differences between two answers to one request.

use std::time::{Duration, SystemTime};

use http::HeaderName;

use crate::ask::Answer;

/// One thing in which two answers differ.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// `status`, `body`, or the name of a field.
    pub(crate) of: String,
    pub(crate) theirs: String,
    pub(crate) ours: String,
}

/// Compares status, fields and decoded bodies.
///
/// The other fields and the body of an answer follow from its status. They are compared only where
/// the statuses are the same, but for `Allow` and `Location`.
pub(crate) fn differences(theirs: &Answer, ours: &Answer) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut note = |of: &str, theirs: String, ours: String| {
        found.push(Difference { of: of.to_owned(), theirs, ours });
    };
    let same_status = theirs.status == ours.status;
    if !same_status {
        note("status", theirs.status.as_u16().to_string(), ours.status.as_u16().to_string());
    }
    for name in names(theirs, ours) {
        let name = name.as_str();
        let differs = shown(theirs, name) != shown(ours, name);
        if differs && (same_status || ["allow", "location"].contains(&name)) {
            let (theirs, ours) = told_field(name, shown(theirs, name), shown(ours, name));
            note(name, theirs, ours);
        }
    }
    if same_status && theirs.body != ours.body {
        note("body", told_body(theirs), told_body(ours));
    }
    found
}

/// The names of all fields but the date, which is the connection's.
fn names(theirs: &Answer, ours: &Answer) -> Vec<HeaderName> {
    let mut names: Vec<_> = theirs.headers.keys().chain(ours.headers.keys()).cloned().collect();
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names.retain(|name| name != http::header::DATE);
    names
}

/// A field's value as it is compared.
fn shown(answer: &Answer, name: &str) -> String {
    let value = answer.field(name);
    let is_coded = answer.headers.contains_key("content-encoding");
    match name {
        // The lengths of encoded bodies change with the encoders' versions.
        "content-length" if value != "-" && is_coded && answer.status == 200 => "coded".to_owned(),
        "content-range" if is_coded => {
            format!("{}/coded", value.split('/').next().unwrap_or_default())
        }
        "last-modified" if is_recent(&value) => "now".to_owned(),
        "vary" => value.to_ascii_lowercase(),
        _ => value,
    }
}

/// Values as they are printed. Tags that differ are just that.
fn told_field(name: &str, theirs: String, ours: String) -> (String, String) {
    let tags = name == "etag" && theirs.starts_with('"') && ours.starts_with('"');
    if tags {
        ("a tag".to_owned(), "another".to_owned())
    } else if name == "etag" {
        let told = |value: String| if value == "-" { value } else { "a tag".to_owned() };
        (told(theirs), told(ours))
    } else {
        (theirs, ours)
    }
}

/// Whether a date is less than an hour old.
fn is_recent(date: &str) -> bool {
    let age = httpdate::parse_http_date(date)
        .ok()
        .and_then(|date| SystemTime::now().duration_since(date).ok());
    age.is_some_and(|age| age < Duration::from_secs(3600))
}

fn told_body(answer: &Answer) -> String {
    if answer.body.is_empty() {
        return "-".to_owned();
    }
    match std::str::from_utf8(&answer.body) {
        Ok(text) if text.len() < 60 => format!("{:?}", text.trim_end()),
        _ => format!("{} bytes", answer.body.len()),
    }
}
