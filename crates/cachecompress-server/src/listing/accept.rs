//! The choice between HTML and JSON.

use http::HeaderMap;
use http::header::ACCEPT;

/// The weight of a media type, in thousandths, and how exactly Accept names it.
type Wish = (u16, usize);

/// Whether a client would rather have JSON than HTML (RFC 9110 §12.5.1).
///
/// Among equal weights a type that is named goes before one that a wildcard has: scripts send
/// `application/json, */*`. A client that accepts neither gets HTML.
pub(super) fn prefers_json(fields: &HeaderMap) -> bool {
    let html = wish(fields, ["*/*", "text/*", "text/html"]);
    let json = wish(fields, ["*/*", "application/*", "application/json"]);
    json.0 > 0 && json > html
}

/// Finds the weight that the most exact of `ranges` has.
fn wish(fields: &HeaderMap, ranges: [&str; 3]) -> Wish {
    let lines = fields.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let members = lines.flat_map(|line| line.split(','));
    let weights = members.filter_map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next()?;
        let exactness = ranges.iter().position(|range| name.eq_ignore_ascii_case(range))?;
        Some((exactness, parts.find_map(weight).unwrap_or(1000)))
    });
    weights.max().map_or((0, 0), |(exactness, weight)| (weight, exactness))
}

/// Reads a parameter as a weight. A malformed one counts as none of the type.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.eq_ignore_ascii_case("q") {
        return None;
    }
    let weight = value.parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0);
    Some(if weight.is_nan() { 0 } else { (weight * 1000.0) as u16 })
}
