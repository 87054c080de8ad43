//! Unknown keys, and the known one that was likely meant.

use toml::Spanned;
use toml::de::DeString;

use super::mistake::Mistake;
use super::value::excerpt;

/// Names that are less alike than this are not proposed. It is clap's measure for flags.
const ALIKE: f64 = 0.7;

/// The name among `known` that is most like `name`, if one is alike.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|known| (strsim::jaro(name, known), known));
    let alike = scored.filter(|(score, _)| *score > ALIKE);
    alike.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, known)| known)
}

/// The mistake of a key that `place` does not have.
pub(crate) fn unknown_key<'a>(
    name: &Spanned<DeString<'_>>,
    place: &str,
    known: impl Iterator<Item = &'a str>,
) -> Mistake {
    let known: Vec<&str> = known.collect();
    let allowed = match nearest(name.get_ref(), known.iter().copied()) {
        Some(known) => format!("did you mean `{known}`?"),
        None if known.len() <= 8 => format!("the keys there are {}", known.join(", ")),
        None => "`cachecompress config schema` has all keys".to_owned(),
    };
    Mistake {
        span: name.span(),
        found: format!("unknown key {}{place}", excerpt(name.get_ref())),
        allowed,
    }
}
