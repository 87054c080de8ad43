//! The reasons for which two answers differ. `docs/from-tower-http.md` explains each of them.

use crate::ask::{Answer, Ask};
use crate::compare::Difference;

/// One difference, with all that its reason may depend on.
pub(crate) struct Case<'a> {
    pub(crate) ask: Ask,
    pub(crate) theirs: &'a Answer,
    pub(crate) ours: &'a Answer,
    /// The prefix that a router has taken from the path.
    pub(crate) mount: &'a str,
    pub(crate) difference: &'a Difference,
}

impl Case<'_> {
    fn is(&self, of: &str) -> bool {
        self.difference.of == of
    }

    fn is_one_of(&self, of: &[&str]) -> bool {
        of.contains(&self.difference.of.as_str())
    }

    fn statuses(&self) -> Option<(u16, u16)> {
        self.is("status").then(|| (self.theirs.status.as_u16(), self.ours.status.as_u16()))
    }

    fn values(&self) -> (&str, &str) {
        (&self.difference.theirs, &self.difference.ours)
    }

    fn target_is(&self, targets: &[&str]) -> bool {
        targets.contains(&self.ask.target())
    }

    fn has(&self, field: &str) -> bool {
        self.ask.field(field).is_some()
    }

    fn range_is(&self, is: impl Fn(&str) -> bool) -> bool {
        self.ask.field("range").is_some_and(is)
    }
}

/// A reason: its name, and whether it explains a difference.
pub(crate) struct Reason {
    pub(crate) name: &'static str,
    /// Whether it shows at most requests. Its values are not printed.
    pub(crate) everywhere: bool,
    explains: fn(&Case<'_>) -> bool,
}

/// Returns the name of the reason for a difference; `None` if nobody expects it.
pub(crate) fn reason(case: &Case<'_>) -> Option<&'static Reason> {
    REASONS.iter().find(|reason| (reason.explains)(case))
}

const fn everywhere(name: &'static str, explains: fn(&Case<'_>) -> bool) -> Reason {
    Reason { name, everywhere: true, explains }
}

const fn here(name: &'static str, explains: fn(&Case<'_>) -> bool) -> Reason {
    Reason { name, everywhere: false, explains }
}

static REASONS: &[Reason] = &[
    // Requests for which a wrong answer would do harm.
    here("hidden", |case| {
        case.target_is(&["/.env", "/.git/config"])
            && case.theirs.status == 200
            && case.ours.body != case.theirs.body
    }),
    here("links", |case| case.target_is(&["/outside.txt"]) && case.statuses() == Some((200, 404))),
    here("malformed-path", |case| {
        case.ask.target().contains('%')
            && case.statuses().is_some_and(|(theirs, ours)| theirs != 400 && ours == 400)
    }),
    here("one-path", |case| {
        case.target_is(&["/docs%2findex.html"]) && case.statuses() == Some((200, 404))
    }),
    here("dot-segments", |case| {
        case.target_is(&["/docs/../style.css", "/docs/%2e%2e/style.css"])
            && case.statuses() == Some((404, 200))
    }),
    here("stale-sibling", |case| case.is("body") && case.target_is(&["/stale.css"])),
    // Redirects.
    here("redirect-301", |case| {
        case.statuses() == Some((307, 301))
            || case.ours.status == 301
                && case.theirs.status == 307
                && case.is_one_of(&["body", "cache-control", "content-length", "content-type"])
    }),
    here("other-host", |case| {
        case.is("location") && case.theirs.field("location").starts_with("//")
    }),
    here("relative-location", |case| {
        case.is("location") && case.theirs.status == 307 && {
            let base = format!("{}{}", case.mount, case.ask.target());
            resolved(&base, &case.theirs.field("location"))
                == resolved(&base, &case.ours.field("location"))
        }
    }),
    here("slash-behind-a-page", |case| {
        case.target_is(&["/style.css/", "/about/"]) && case.theirs.status == 404
    }),
    here("always-redirects", |case| {
        case.theirs.status != 307
            && case.ours.status == 301
            && case.is_one_of(&[
                "body",
                "cache-control",
                "content-length",
                "content-type",
                "location",
                "status",
            ])
    }),
    // Methods.
    here("body-for-head", |case| {
        case.is("body") && case.ask.is_head() && case.ours.body.is_empty()
    }),
    here("options", |case| case.statuses() == Some((405, 204))),
    here("allow", |case| case.values() == ("GET,HEAD", "GET, HEAD, OPTIONS")),
    // Errors.
    here("forbidden", |case| case.statuses() == Some((404, 403))),
    here("not-acceptable", |case| case.statuses() == Some((200, 406))),
    here("missing-is-no-error", |case| case.statuses() == Some((418, 404))),
    here("error-kind", |case| case.theirs.status == 418 && case.is("body")),
    here("whole-error-page", |case| {
        (case.has("range") || case.has("if-none-match"))
            && case.ours.status == 404
            && case.ours.field("content-type").starts_with("text/html")
            && case.is_one_of(&[
                "body",
                "content-length",
                "content-range",
                "content-type",
                "accept-ranges",
            ])
            && case.theirs.body.len() < case.ours.body.len()
    }),
    here("bare-error-page", |case| {
        case.ours.status == 404
            && case.ours.field("content-type").starts_with("text/html")
            && case.is_one_of(&["accept-ranges", "etag", "last-modified"])
    }),
    everywhere("no-cache", |case| {
        case.ours.status == 404 && case.is("cache-control") && case.values() == ("-", "no-cache")
    }),
    everywhere("error-text", |case| {
        (case.ours.status.is_client_error() || case.ours.status.is_server_error())
            && case.is_one_of(&["body", "content-length", "content-type"])
            && case.theirs.body.is_empty()
            && case.ours.field("content-type") == "text/plain; charset=utf-8"
    }),
    // Ranges.
    here("range-of-head", |case| {
        case.has("range") && case.ask.is_head() && case.ours.status == 200 && case.is("status")
    }),
    here("if-range", |case| case.has("if-range") && case.statuses() == Some((206, 200))),
    here("several-ranges", |case| {
        case.range_is(|range| range.contains(','))
            && matches!(case.statuses(), Some((416 | 200, 206)))
    }),
    here("range-of-the-file", |case| {
        case.ours.status == 206
            && case.theirs.field("content-encoding") != "-"
            && case.ours.field("content-encoding") == "-"
            && case.is_one_of(&["body", "content-encoding", "content-range"])
    }),
    here("ignored-range", |case| case.has("range") && case.statuses() == Some((416, 200))),
    here("valid-range", |case| case.has("range") && case.statuses() == Some((416, 206))),
    here("range-of-nothing", |case| {
        case.statuses() == Some((206, 416)) && case.theirs.field("content-length") == "0"
    }),
    here("unsatisfied-range", |case| {
        case.ours.status == 416 && case.is_one_of(&["content-length", "etag", "last-modified"])
    }),
    // Validators.
    here("redeploy", |case| {
        case.has("if-none-match") && matches!(case.statuses(), Some((200, 304) | (304, 200)))
    }),
    here("future-date", |case| case.is("last-modified") && case.difference.ours == "now"),
    everywhere("content-tag", |case| case.is("etag") && case.values() == ("a tag", "another")),
    // Fields.
    everywhere("nosniff", |case| {
        case.is("x-content-type-options") && case.values() == ("-", "nosniff")
    }),
    everywhere("cache-status", |case| case.is("cache-status") && case.difference.theirs == "-"),
    everywhere("vary", |case| {
        case.is("vary")
            && matches!(case.values(), ("-", "accept-encoding") | ("accept-encoding", "-"))
    }),
    everywhere("charset", |case| {
        let (theirs, ours) = case.values();
        case.is("content-type") && ours == format!("{theirs}; charset=utf-8")
    }),
    here("media-type", |case| case.is("content-type") && case.ours.status == 200),
    everywhere("compressed", |case| {
        let coding = case.ours.field("content-encoding");
        coding != "-"
            && case.theirs.field("content-encoding") == "-"
            && match case.ours.status.as_u16() {
                200 => case.is_one_of(&["content-encoding", "content-length"]),
                // A range of the coded bytes, by their tag.
                206 => {
                    case.is_one_of(&["body", "content-encoding", "content-length", "content-range"])
                }
                _ => false,
            }
    }),
];

/// The path to which a `Location` leads from the path `base` of this host.
fn resolved(base: &str, location: &str) -> String {
    match location.strip_prefix("./") {
        Some(name) => {
            let path = base.split('?').next().unwrap_or_default();
            format!("{}{name}", &path[..=path.rfind('/').unwrap_or_default()])
        }
        None => location.to_owned(),
    }
}
