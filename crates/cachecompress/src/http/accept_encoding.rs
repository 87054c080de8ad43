//! `Accept-Encoding` (RFC 9110 §12.5.3) and the negotiation of a coding.

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

use super::ContentCoding;
use super::coding::is_token_byte;
use super::field::trim_ows;
use crate::limits::ACCEPTED_CODINGS;

/// The weight of a coding that is listed without one, RFC 9110 §12.4.2.
const FULL: u16 = 1000;

/// A request's `Accept-Encoding` field, parsed for the choice of a representation. The chosen coding
/// is a part of the key under which an entry is cached.
///
/// - A malformed member (a bad weight, a parameter that is no weight, a name that is no token) is
///   dropped; the others stay.
/// - A coding that is listed more than once has the lowest of its weights. The order of members and
///   of repeated lines thus never matters, and a coding that is refused anywhere is not sent.
/// - At most 32 codings are kept besides the well-known ones. The rest counts as not listed.
///   `identity` and `*` always count.
/// - Weights are thousandths, 0 to 1000.
/// - Work is linear in the field's length, and memory has a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AcceptEncoding {
    codings: Vec<(ContentCoding, u16)>,
    identity: Option<u16>,
    any: Option<u16>,
}

/// The result of [`AcceptEncoding::negotiate`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Negotiated {
    /// The codings to try before identity, the best first: the highest weight, then the server's
    /// preference.
    ///
    /// A coding that weighs less than an identity that the client listed, by name or through `*`,
    /// is not among them, unless identity is excluded.
    pub codings: Vec<ContentCoding>,
    /// Whether identity is acceptable. It is, unless the client excludes it.
    pub identity: bool,
}

impl AcceptEncoding {
    /// Parses all `Accept-Encoding` lines of a request.
    #[must_use]
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        Self::parse(headers.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes))
    }

    /// Parses the values of all lines of the field, as if they stood in one (RFC 9110 §5.3).
    #[must_use]
    pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut parsed = Self::default();
        for member in values.flat_map(|value| value.split(|byte| *byte == b',')) {
            if let Some((name, weight)) = parse_member(member) {
                parsed.add(name, weight);
            }
        }
        parsed
    }

    fn add(&mut self, name: &str, weight: u16) {
        let lower = |known: &mut Option<u16>| {
            *known = Some(known.map_or(weight, |known| known.min(weight)));
        };
        if name == "*" {
            return lower(&mut self.any);
        }
        if name.eq_ignore_ascii_case("identity") {
            return lower(&mut self.identity);
        }
        // `x-gzip` becomes a well-known name before anything is allocated.
        let known = ContentCoding::well_known(name);
        let name = known.as_ref().map_or(name, ContentCoding::as_str);
        let listed =
            |(coding, _): &&mut (ContentCoding, u16)| coding.as_str().eq_ignore_ascii_case(name);
        if let Some((_, listed)) = self.codings.iter_mut().find(listed) {
            *listed = weight.min(*listed);
            return;
        }
        let coding = match known {
            Some(coding) => coding,
            None if self.codings.len() >= ACCEPTED_CODINGS => return,
            None => match ContentCoding::new(name) {
                Ok(coding) => coding,
                Err(_) => return,
            },
        };
        self.codings.push((coding, weight));
    }

    /// Whether the field is absent or empty, or all of its members are malformed. The answer is
    /// then identity.
    #[must_use]
    pub(crate) fn is_absent_or_empty(&self) -> bool {
        self.codings.is_empty() && self.identity.is_none() && self.any.is_none()
    }

    /// The weight of `coding` in thousandths; 0 is not acceptable.
    ///
    /// - A listed coding has its own weight, any other that of `*`, and 0 without a `*`.
    /// - A coding with a dictionary has no other weight than its own: `*` comes from clients that never
    ///   heard of it.
    /// - Identity that is not listed has 1: it is acceptable, and comes last.
    #[must_use]
    pub(crate) fn weight(&self, coding: &ContentCoding) -> u16 {
        if coding.is_identity() {
            return self.identity_weight().unwrap_or(1);
        }
        let listed = self.codings.iter().find(|(listed, _)| listed == coding);
        let any = self.any.filter(|_| !coding.needs_dictionary());
        listed.map(|(_, weight)| *weight).or(any).unwrap_or(0)
    }

    /// The weight that the request gives to identity, by its name or through `*`.
    ///
    /// - `None`: it is not listed. It is acceptable, and comes after every acceptable coding.
    /// - `Some(0)`: it is excluded.
    #[must_use]
    pub(crate) fn identity_weight(&self) -> Option<u16> {
        self.identity.or(self.any)
    }

    /// Whether a response in `coding` may be sent.
    ///
    /// Without the field, RFC 9110 would allow any coding. Here only identity is acceptable then,
    /// since most clients without it cannot decode.
    #[must_use]
    pub(crate) fn accepts(&self, coding: &ContentCoding) -> bool {
        self.weight(coding) > 0
    }

    /// Orders the server's codings, the best first. `preference` is the server's own order.
    ///
    /// Identity in `preference` is passed over, since it always comes last.
    #[must_use]
    pub(crate) fn negotiate(&self, preference: &[ContentCoding]) -> Negotiated {
        // An identity that is not listed, or excluded, keeps no acceptable coding out.
        let least = self.identity_weight().unwrap_or(0).max(1);
        let mut weighed: Vec<(u16, &ContentCoding)> = Vec::with_capacity(preference.len());
        for coding in preference.iter().filter(|coding| !coding.is_identity()) {
            let weight = self.weight(coding);
            if weight >= least && !weighed.iter().any(|(_, other)| *other == coding) {
                weighed.push((weight, coding));
            }
        }
        // Stable, so that the server's preference decides between equals.
        weighed.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        Negotiated {
            codings: weighed.into_iter().map(|(_, coding)| coding.clone()).collect(),
            identity: self.accepts(&ContentCoding::IDENTITY),
        }
    }
}

/// Parses `codings [ weight ]`, RFC 9110 §12.5.3; `None` if malformed.
fn parse_member(member: &[u8]) -> Option<(&str, u16)> {
    let mut parts = member.splitn(2, |byte| *byte == b';');
    let name = trim_ows(parts.next()?);
    if name.is_empty() || !name.iter().copied().all(is_token_byte) {
        return None;
    }
    let weight = match parts.next().map(trim_ows) {
        None => FULL,
        Some([b'q' | b'Q', b'=', value @ ..]) => parse_qvalue(value)?,
        Some(_) => return None,
    };
    Some((std::str::from_utf8(name).ok()?, weight))
}

/// Parses `qvalue`, RFC 9110 §12.4.2: 0 or 1 with at most three decimals, at most 1.
fn parse_qvalue(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole] => (*whole, &[][..]),
        [whole, b'.', decimals @ ..] => (*whole, decimals),
        _ => return None,
    };
    if decimals.len() > 3 || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = (0..3).fold(0, |sum, place| {
        sum * 10 + decimals.get(place).map_or(0, |digit| u16::from(digit - b'0'))
    });
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PREFERENCE: [ContentCoding; 4] =
        [ContentCoding::BROTLI, ContentCoding::ZSTD, ContentCoding::GZIP, ContentCoding::DEFLATE];

    fn accept(lines: &[&str]) -> AcceptEncoding {
        AcceptEncoding::parse(lines.iter().map(|line| line.as_bytes()))
    }

    /// The names of the codings, with `identity` at the end if it is acceptable.
    fn negotiated(lines: &[&str]) -> String {
        let Negotiated { codings, identity } = accept(lines).negotiate(&PREFERENCE);
        let mut names: Vec<_> = codings.iter().map(ContentCoding::as_str).collect();
        if identity {
            names.push("identity");
        }
        names.join(" ")
    }

    #[test]
    fn negotiation_prefers_weight_then_the_servers_order() {
        for (line, expected) in [
            ("", "identity"),
            (" , ,", "identity"),
            ("gzip", "gzip identity"),
            ("gzip, deflate, br, zstd", "br zstd gzip deflate identity"),
            ("gzip;q=1.0, br;q=0.5", "gzip br identity"),
            ("br;q=0.001,gzip;q=0.002", "gzip br identity"),
            ("GZip ; Q=0.5 , BR;q=0.4", "gzip br identity"),
            ("x-gzip", "gzip identity"),
            ("X-GZIP;q=0.5, gzip;q=0.7", "gzip identity"),
            ("*", "br zstd gzip deflate identity"),
            ("*;q=0.1, gzip", "gzip br zstd deflate identity"),
            ("compress, pack200-gzip", "identity"),
        ] {
            assert_eq!(negotiated(&[line]), expected, "{line:?}");
        }
        assert_eq!(negotiated(&[]), "identity");
        assert_eq!(negotiated(&["gzip;q=0.5", "br;q=0.6, zstd"]), "zstd br gzip identity");
    }

    /// ngx_brotli 79 and zuul 2208 ignored q=0; a search for the substring `gzip` finds it in
    /// `gzip;q=0` and in `pack200-gzip`.
    #[test]
    fn negotiation_leaves_out_refused_codings() {
        for line in ["gzip;q=0", "gzip;q=0.000", "gzip;Q=0.", "pack200-gzip", "xgzip", "gzip2"] {
            assert_eq!(negotiated(&[line]), "identity", "{line:?}");
        }
        assert_eq!(negotiated(&["*, gzip;q=0"]), "br zstd deflate identity");
        assert_eq!(negotiated(&["gzip, x-gzip;q=0"]), "identity");
        assert_eq!(negotiated(&["gzip;q=0", "gzip"]), "identity");
        assert!(!accept(&["br"]).accepts(&ContentCoding::GZIP));
    }

    #[test]
    fn identity_comes_last_unless_the_client_weighs_it() {
        for (line, expected) in [
            ("gzip;q=0.001", "gzip identity"),
            ("gzip;q=0.5, identity", "identity"),
            ("gzip;q=0.5, identity;q=0.5", "gzip identity"),
            ("gzip;q=0.5, br;q=0.4, identity;q=0.5", "gzip identity"),
            ("gzip;q=0.5, *", "br zstd deflate identity"),
            ("gzip, *;q=0.5", "gzip br zstd deflate identity"),
            ("gzip;q=0.5, identity;q=0", "gzip"),
            ("gzip;q=0.5, *;q=0", "gzip"),
            ("*;q=0, identity;q=0.1", "identity"),
            ("identity;q=0, *;q=0.2", "br zstd gzip deflate"),
            ("identity", "identity"),
        ] {
            assert_eq!(negotiated(&[line]), expected, "{line:?}");
        }
        assert_eq!(accept(&["gzip"]).identity_weight(), None);
        assert_eq!(accept(&["*;q=0.3"]).identity_weight(), Some(300));
        assert_eq!(accept(&["gzip"]).weight(&ContentCoding::IDENTITY), 1);
    }

    #[test]
    fn negotiation_is_not_acceptable_when_identity_is_excluded_too() {
        for (line, expected) in [
            ("*;q=0", true),
            ("identity;q=0", true),
            ("identity;q=0, compress", true),
            ("identity;q=0, gzip;q=0.1", false),
            ("gzip;q=0", false),
            ("compress", false),
            ("", false),
        ] {
            let negotiated = accept(&[line]).negotiate(&PREFERENCE);
            let nothing = negotiated.codings.is_empty() && !negotiated.identity;
            assert_eq!(nothing, expected, "{line:?}");
        }
    }

    #[test]
    fn parser_drops_malformed_members_only() {
        for bad in [
            "br;q=2",
            "br;q=1.001",
            "br;q=0.1234",
            "br;q=-1",
            "br;q=",
            "br;q",
            "br;q=.5",
            "br;q=0,5",
            "br;q=0.5x",
            "br;q =1",
            "br;q= 1",
            "br;",
            "br;level=5",
            "br;level=5;q=1",
            "br;q=1;q=1",
            "br;q=\"1\"",
            "br gz",
            "br/1",
            "\"br\"",
            ";q=1",
            "br;q=1e0",
            "br;q=٣",
        ] {
            assert_eq!(negotiated(&[&format!("{bad}, gzip")]), "gzip identity", "{bad:?}");
        }
        assert!(accept(&["br;q=x"]).is_absent_or_empty());
        assert!(!accept(&["br;q=0"]).is_absent_or_empty());
        assert!(accept(&[&"x".repeat(40)]).is_absent_or_empty());
    }

    #[test]
    fn from_headers_joins_lines() {
        let mut headers = HeaderMap::new();
        assert!(AcceptEncoding::from_headers(&headers).is_absent_or_empty());
        headers.append(ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0.5"));
        headers.append(ACCEPT_ENCODING, HeaderValue::from_bytes(b"br\xff, zstd").unwrap());
        let parsed = AcceptEncoding::from_headers(&headers);
        let negotiated = parsed.negotiate(&PREFERENCE);
        assert_eq!(negotiated.codings, [ContentCoding::ZSTD, ContentCoding::GZIP]);
    }

    #[test]
    fn star_selects_no_coding_with_a_dictionary() {
        let preference = [ContentCoding::DCB, ContentCoding::DCZ, ContentCoding::GZIP];
        for (line, expected) in [
            ("*", vec![ContentCoding::GZIP]),
            ("gzip, *;q=0.5", vec![ContentCoding::GZIP]),
            ("dcb, *", vec![ContentCoding::DCB, ContentCoding::GZIP]),
            ("gzip, br, dcz", vec![ContentCoding::DCZ, ContentCoding::GZIP]),
            ("dcb;q=0, dcz;q=0, gzip", vec![ContentCoding::GZIP]),
        ] {
            assert_eq!(accept(&[line]).negotiate(&preference).codings, expected, "{line:?}");
        }
    }

    #[test]
    fn parser_keeps_well_known_codings_when_thousands_are_listed() {
        for count in [300, 10_000] {
            let mut line = String::new();
            for member in 0..count {
                line.push_str(&format!("c{member}, "));
            }
            line.push_str("gzip, identity;q=0");
            let parsed = accept(&[&line]);
            assert!(parsed.codings.len() <= ACCEPTED_CODINGS + 4);
            let negotiated = parsed.negotiate(&PREFERENCE);
            assert_eq!(negotiated.codings, [ContentCoding::GZIP]);
            assert!(!negotiated.identity);
        }
        let commas = ",".repeat(100_000);
        assert!(accept(&[&commas]).is_absent_or_empty());
    }

    #[test]
    fn negotiation_ignores_repeated_codings_and_identity_in_the_preference() {
        let preference = [
            ContentCoding::GZIP,
            ContentCoding::IDENTITY,
            ContentCoding::GZIP,
            ContentCoding::ZSTD,
        ];
        let negotiated = accept(&["*"]).negotiate(&preference);
        assert_eq!(negotiated.codings, [ContentCoding::GZIP, ContentCoding::ZSTD]);
    }

    /// The weight of one coding, read off the text in floating point, one question at a time.
    fn model_weight(members: &[String], name: &str) -> Option<f64> {
        let mut lowest: Option<f64> = None;
        for member in members {
            let lower = member.to_lowercase();
            let mut halves = lower.split(';').map(|half| half.trim_matches([' ', '\t']));
            let coding = halves.next().unwrap().replace("x-gzip", "gzip");
            let weight = match (halves.next(), halves.next()) {
                (None, _) => 1.0,
                (Some(weight), None) => {
                    let Some(value) = weight.strip_prefix("q=") else { continue };
                    let shaped = value.len() <= 5
                        && value.starts_with(['0', '1'])
                        && value[1..]
                            .strip_prefix('.')
                            .unwrap_or("0")
                            .bytes()
                            .all(|b| b.is_ascii_digit())
                        && (value.len() == 1 || value.as_bytes()[1] == b'.');
                    match value.parse::<f64>() {
                        Ok(number) if shaped && number <= 1.0 => number,
                        _ => continue,
                    }
                }
                _ => continue,
            };
            if coding == name {
                lowest = Some(lowest.map_or(weight, |lowest| lowest.min(weight)));
            }
        }
        lowest
    }

    fn member() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec![
            "gzip", "GZIP", "x-gzip", "br", "zstd", "deflate", "identity", "Identity", "*", "other",
        ]);
        let weight = prop_oneof![
            4 => Just(String::new()),
            4 => "[01](\\.[0-9]{0,3})?".prop_map(|q| format!(";q={q}")),
            1 => "[ \t]?;[ \t]?[qQ]=0\\.[0-9]",
            1 => prop::sample::select(vec![";q=1.5", ";q=0.1234", ";q=", ";", ";x=1", ";q=1;q=0"])
                .prop_map(str::to_owned),
        ];
        (name, weight).prop_map(|(name, weight)| format!("{name}{weight}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn negotiation_agrees_with_the_model(members in prop::collection::vec(member(), 0..8), cut in 0_usize..8) {
            let cut = cut.min(members.len());
            let lines = [members[..cut].join(" ,\t"), members[cut..].join(",")];
            let parsed = accept(&[&lines[0], &lines[1]]);
            let any = model_weight(&members, "*");
            let identity = model_weight(&members, "identity").or(any);
            let mut expected = Vec::new();
            // By descending weight, thousandth by thousandth.
            for thousandth in (1..=1000).rev() {
                for coding in &PREFERENCE {
                    let weight = model_weight(&members, coding.as_str()).or(any).unwrap_or(0.0);
                    let at_this = (weight * 1000.0).round() as i32 == thousandth;
                    if at_this && (identity.is_none() || weight >= identity.unwrap()) {
                        expected.push(coding.clone());
                    }
                }
            }
            let negotiated = parsed.negotiate(&PREFERENCE);
            prop_assert_eq!(&negotiated.codings, &expected, "{:?}", lines);
            prop_assert_eq!(negotiated.identity, identity != Some(0.0));
            for coding in &negotiated.codings {
                prop_assert!(parsed.accepts(coding));
            }
        }

        #[test]
        fn negotiation_ignores_the_order_of_members(members in prop::collection::vec(member(), 0..8)) {
            let mut reversed = members.clone();
            reversed.reverse();
            prop_assert_eq!(negotiated(&[&members.join(",")]), negotiated(&[&reversed.join(",")]));
        }

        #[test]
        fn parser_accepts_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let parsed = AcceptEncoding::parse([&bytes[..]].into_iter());
            let _ = parsed.negotiate(&PREFERENCE);
        }
    }
}
