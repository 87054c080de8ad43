//! The readability of a response for the page that asked for it (RFC 9842 §9.3.3).

use http::HeaderMap;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN};

use super::field::{Line, single};

/// The readability of a response, as far as its request tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readability {
    Yes,
    No,
    /// It is readable if it [is shared](Self::is_given) with the origin of the request.
    IfShared,
}

/// Judges by the fields of Fetch in a request whether the response may be coded with a dictionary (RFC 9842
/// §9.3.3).
///
/// The length of such a response depends on the dictionary. A page that may not read the response must
/// not learn it from the length either. A field that is repeated counts against it.
pub(crate) fn readability(request: &HeaderMap) -> Readability {
    // Steps 1 and 2.
    match single(request, "sec-fetch-site") {
        Line::Absent | Line::One(b"same-origin") => return Readability::Yes,
        Line::One(_) => {}
        Line::Several => return Readability::No,
    }
    match single(request, "sec-fetch-mode") {
        // Steps 3 and 4.
        Line::Absent | Line::One(b"navigate" | b"same-origin") => Readability::Yes,
        // Step 5.
        Line::One(b"cors") => Readability::IfShared,
        // Step 6.
        Line::One(_) | Line::Several => Readability::No,
    }
}

impl Readability {
    /// Whether a response with these `fields` is readable.
    pub(crate) fn is_given(self, request: &HeaderMap, fields: impl FnOnce() -> HeaderMap) -> bool {
        match self {
            Self::Yes => true,
            Self::No => false,
            Self::IfShared => is_shared_with_origin(request, &fields()),
        }
    }
}

/// Whether the response passes the CORS check of the origin that the request names.
fn is_shared_with_origin(request: &HeaderMap, fields: &HeaderMap) -> bool {
    let Line::One(allowed) = single(fields, ACCESS_CONTROL_ALLOW_ORIGIN) else { return false };
    let Line::One(origin) = single(request, ORIGIN) else { return false };
    allowed == b"*" || allowed == origin
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SITE: &str = "sec-fetch-site";
    const MODE: &str = "sec-fetch-mode";

    /// A row: site, mode, Origin and Access-Control-Allow-Origin, and whether a delta may go out.
    type Row = ([Option<&'static str>; 4], bool);

    fn headers(fields: &[(&'static str, Option<&'static str>)]) -> HeaderMap {
        let present = fields.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        let mut headers = HeaderMap::new();
        for (name, value) in present {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn judge([site, mode, origin, allowed]: [Option<&'static str>; 4]) -> bool {
        let request = headers(&[(SITE, site), (MODE, mode), ("origin", origin)]);
        let fields = || headers(&[("access-control-allow-origin", allowed)]);
        readability(&request).is_given(&request, fields)
    }

    const A: Option<&str> = Some("https://a.example");
    const B: Option<&str> = Some("https://b.example");
    const ANY: Option<&str> = Some("*");
    const NULL: Option<&str> = Some("null");

    /// All rows in which the origin and the answer of CORS decide: they do so for no other mode than
    /// `cors`, and never where the request is of the same origin or tells no site.
    #[test]
    fn truth_table_of_rfc_9842_9_3_3_holds_in_every_row() {
        let sites =
            [None, Some("same-origin"), Some("same-site"), Some("cross-site"), Some("none")];
        let modes = [
            None,
            Some("navigate"),
            Some("same-origin"),
            Some("cors"),
            Some("no-cors"),
            Some("websocket"),
        ];
        for site in sites {
            for mode in modes {
                for origin in [None, A, B, NULL] {
                    for allowed in [None, ANY, A, B, NULL] {
                        let is_own = site.is_none() || site == Some("same-origin");
                        let is_open = matches!(mode, None | Some("navigate" | "same-origin"));
                        let is_shared = mode == Some("cors")
                            && origin.is_some()
                            && (allowed == ANY || allowed == origin);
                        let row = [site, mode, origin, allowed];
                        assert_eq!(judge(row), is_own || is_open || is_shared, "{row:?}");
                    }
                }
            }
        }
    }

    /// The steps of the RFC, one row for each outcome, by hand.
    #[test]
    fn each_step_of_rfc_9842_9_3_3_decides_as_written() {
        let cross = Some("cross-site");
        let cors = Some("cors");
        let rows: [Row; 14] = [
            ([None, Some("no-cors"), None, None], true),
            ([Some("same-origin"), Some("no-cors"), None, None], true),
            ([cross, None, None, None], true),
            ([cross, Some("navigate"), None, None], true),
            ([cross, Some("same-origin"), None, None], true),
            ([cross, cors, A, None], false),
            ([cross, cors, None, ANY], false),
            ([cross, cors, A, ANY], true),
            ([cross, cors, A, A], true),
            ([cross, cors, A, B], false),
            ([Some("same-site"), cors, A, B], false),
            ([cross, Some("no-cors"), A, ANY], false),
            ([Some("none"), Some("no-cors"), None, None], false),
            ([cross, Some("CORS"), A, ANY], false),
        ];
        for (row, expected) in rows {
            assert_eq!(judge(row), expected, "{row:?}");
        }
    }

    #[test]
    fn repeated_field_is_not_readable() {
        let cross = (SITE, Some("cross-site"));
        let same = (SITE, Some("same-origin"));
        let cors = (MODE, Some("cors"));
        let open = headers(&[("access-control-allow-origin", ANY)]);
        for request in [
            headers(&[same, same]),
            headers(&[cross, (MODE, Some("navigate")), (MODE, Some("navigate"))]),
            headers(&[cross, cors, ("origin", A), ("origin", A)]),
        ] {
            assert!(!readability(&request).is_given(&request, || open.clone()), "{request:?}");
        }
        let twice =
            headers(&[("access-control-allow-origin", A), ("access-control-allow-origin", A)]);
        let request = headers(&[cross, cors, ("origin", A)]);
        assert!(!readability(&request).is_given(&request, || twice));
    }
}
