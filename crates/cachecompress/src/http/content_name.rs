//! Names that carry a hash of their file's content, as bundlers write them.
//!
//! Such a file never changes under its name, so it may be kept for a year. A name that only looks so is
//! kept for a year as well, and its next version is not seen. Eight characters alone are never enough:
//! `i18nL10n` and `c0ffee42` are as good as any hash. The rest takes evidence: a directory that a
//! framework owns, or the names of the files beside it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::{ContentHash, SourcePath};

/// The hint of a path at a hash in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentName {
    /// There is none.
    No,
    /// There may be one. The files beside it can tell, or the content.
    Perhaps,
    /// There is one.
    Yes,
}

/// The evidence of the names in one directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameEvidence {
    /// The shapes of hashes that files here have, and the traits of those.
    shapes: HashMap<Shape, Traits>,
    /// The names before a hash that differs among the files that share them.
    shared: HashSet<Box<str>>,
}

/// Whether a hash has small letters, has capitals, and stands behind `.` or `-`: esbuild's have no small
/// letters, and webpack's are behind a dot.
type Traits = [bool; 4];

/// The place and the alphabet of a hash in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    /// Eight characters of base64url, base36 or base32 behind this one.
    Eight(u8),
    /// The same as the whole name.
    WholeEight,
    /// So many hexadecimal digits.
    Hex(usize),
    /// The same as the whole name.
    WholeHex(usize),
}

/// One way to read the end of a name as a hash.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    shape: Shape,
    hash: &'a str,
    /// The name before it, with the separator.
    before: &'a str,
}

impl ContentName {
    /// Judges `path` by itself.
    pub(crate) fn of(path: &SourcePath) -> Self {
        let segments: Vec<&[u8]> = path.as_bytes().split(|byte| *byte == b'/').collect();
        let Some((name, directories)) = segments.split_last() else { return Self::No };
        let Ok(name) = std::str::from_utf8(name) else { return Self::No };
        if is_owned(directories, name) {
            return Self::Yes;
        }
        let by_content = match ContentHash::new(path) {
            Some(_) => Self::Perhaps,
            None => Self::No,
        };
        let Some((stem, kind)) = asset(name) else { return by_content };
        let candidates = candidates(stem);
        let is_certain = kind == Kind::Code && candidates.iter().any(Candidate::suffices);
        let is_half_owned = is_half_owned(directories, kind);
        if is_certain || is_half_owned && candidates.iter().any(Candidate::is_likely) {
            return Self::Yes;
        }
        match candidates.is_empty() {
            true => by_content,
            false => Self::Perhaps,
        }
    }
}

impl NameEvidence {
    /// Collects the evidence of the `names` in a directory.
    ///
    /// A shape counts if most scripts and styles have it and enough of them are hardly words. A long
    /// hexadecimal hash also counts if every file with one stands beside one without it, as Django and
    /// Phoenix leave them. Names that are nothing but one need signs of a build.
    pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let names: HashSet<&str> =
            names.into_iter().filter_map(|name| std::str::from_utf8(name).ok()).collect();
        let has_manifest =
            ["asset-manifest.json", "manifest.json"].iter().any(|m| names.contains(m));
        let (mut all, mut counts) = (0, HashMap::<Shape, Count<'_>>::new());
        let mut families = HashMap::<_, Family<'_>>::new();
        for name in &names {
            let Some((stem, kind)) = asset(name) else { continue };
            let is_code = kind == Kind::Code && !is_beside_code(name);
            all += usize::from(is_code);
            for one in candidates(stem) {
                if !one.before.is_empty() {
                    let family = families.entry((one.shape, one.before)).or_default();
                    family.add(&one, &name[stem.len()..]);
                }
                let count = counts.entry(one.shape).or_default();
                let is_whole = matches!(one.shape, Shape::WholeHex(_));
                if is_whole && !is_beside_code(name) {
                    let end = &name[stem.len()..];
                    count.shared |= *count.ends.entry(one.hash).or_insert(end) != end;
                }
                count.built |= has_manifest || is_beside_code(name);
                count.shaped += usize::from(is_code);
                if (is_code || is_whole && kind == Kind::Font) && one.may_be_hash() {
                    count.add(&one, &name[stem.len()..]);
                }
                if matches!(one.shape, Shape::Hex(12..)) && one.is_random() {
                    let twin = twin(name, stem, one.hash);
                    count.long += 1;
                    count.twins += usize::from(twin.is_some_and(|twin| names.contains(&*twin)));
                }
            }
        }
        let mut shapes: HashMap<Shape, Traits> = counts
            .into_iter()
            .filter(|(shape, count)| count.shows(*shape, all))
            .map(|(shape, count)| (shape, count.usual_traits()))
            .collect();
        let eights = shapes.iter().filter(|(shape, _)| matches!(shape, Shape::Eight(_)));
        let all_traits = eights
            .map(|(_, traits)| *traits)
            .reduce(|one, other| std::array::from_fn(|at| one[at] || other[at]));
        if let Some(traits) = all_traits {
            shapes.insert(Shape::WholeEight, traits);
        }
        let shared = families.iter().filter(|(_, family)| family.differs());
        Self { shapes, shared: shared.map(|((_, before), _)| (*before).into()).collect() }
    }

    /// Whether the file `name`, which stands among them, has a hash in its name, with no trait that
    /// theirs seldom have.
    pub(crate) fn vouch_for(&self, name: &[u8]) -> bool {
        let asset = std::str::from_utf8(name).ok().and_then(asset);
        asset.is_some_and(|(stem, _)| {
            let known = |one: &Candidate<'_>| {
                let usual = self.shapes.get(&one.shape);
                usual.is_some_and(|usual| {
                    one.traits().iter().zip(usual).all(|(has, may)| *may || !has)
                })
            };
            let may_be = |one: &Candidate<'_>| {
                one.may_be_hash() || self.shared.contains(one.before) && !is_long_words(one.hash)
            };
            candidates(stem).iter().any(|one| known(one) && may_be(one))
        })
    }
}

/// The files of one directory with the same name before a hash of one shape.
#[derive(Debug, Default)]
struct Family<'a> {
    /// The hash and the extension of each.
    members: Vec<(&'a str, &'a str)>,
    /// The number of them whose hash may be nothing else.
    hashes: usize,
}

impl<'a> Family<'a> {
    fn add(&mut self, one: &Candidate<'a>, end: &'a str) {
        self.members.push((one.hash, end));
        self.hashes += usize::from(one.may_be_hash());
    }

    /// Whether the files differ as builds make them: `index-DiwrgTda.css` beside `index-BwOPSdeb.js` and no
    /// other, or a chunk among others. So a hash among them may look like words.
    fn differs(&self) -> bool {
        let count = |of: fn(&(&'a str, &'a str)) -> &'a str| {
            self.members.iter().map(of).collect::<HashSet<_>>().len()
        };
        let all = self.members.len();
        let is_one_of_each =
            all >= 2 && count(|(hash, _)| hash) == all && count(|(_, end)| end) == all;
        self.hashes >= 3 || self.hashes >= 1 && is_one_of_each
    }
}

/// The files of one directory that have a hash of one shape.
#[derive(Debug, Default)]
struct Count<'a> {
    /// The number of scripts and styles that have one, or words that are as long.
    shaped: usize,
    /// The number of scripts and styles that may have one.
    matching: usize,
    /// The number of them whose hash is hardly words.
    random: usize,
    /// The number of them with each trait.
    traits: [usize; 4],
    /// The hash and the extension of one script or style for each name before it.
    stems: HashMap<&'a str, (&'a str, &'a str)>,
    /// Whether a script and a style differ in hash and extension, and in nothing else. People who
    /// write names give both the same.
    paired: bool,
    /// The first extension for each name that is nothing but a hash.
    ends: HashMap<&'a str, &'a str>,
    /// Whether two files have one such name, and only their extensions differ. An id gives both its
    /// name, and a hash of content does not.
    shared: bool,
    /// Whether a build has left a manifest, a map or a licence text.
    built: bool,
    /// The number of files with a long one.
    long: usize,
    /// The number of them that stand beside a file without it.
    twins: usize,
}

impl<'a> Count<'a> {
    /// Counts a file that is evidence, with the `end` of its name.
    fn add(&mut self, one: &Candidate<'a>, end: &'a str) {
        self.matching += 1;
        for (count, has) in self.traits.iter_mut().zip(one.traits()) {
            *count += usize::from(has);
        }
        self.random += usize::from(one.is_random());
        let (hash, first) = *self.stems.entry(one.before).or_insert((one.hash, end));
        self.paired |= hash != one.hash && first != end;
    }

    /// The traits that more than a quarter of the files have: a name does not vouch for its own.
    fn usual_traits(&self) -> Traits {
        self.traits.map(|having| self.matching == 0 || 4 * having > self.matching)
    }

    /// Whether the files show that names of `shape` have a hash, among `all` scripts and styles.
    ///
    /// In the builds of the corpus, 84 to 96 % of all scripts and styles may have a hash of eight
    /// characters. 46 to 67 % of those hashes are hardly words. The rest has no digit, or few.
    ///
    /// A directory of nothing but `<32 digits>.js` may hold a script for each customer, which changes.
    /// A build has files of other kinds, or leaves a manifest. Images may be most of what users upload.
    fn shows(&self, shape: Shape, all: usize) -> bool {
        let Self { shaped, matching, random, paired, long, twins, .. } = *self;
        let is_pair = random >= 1 && matching == all && paired;
        let is_shown = match shape {
            Shape::WholeHex(_) => {
                let is_most = 2 * matching >= self.ends.len() && 2 * random >= matching;
                return random >= 3 && is_most && !self.shared && (paired || self.built);
            }
            Shape::Hex(_) => random >= 3 && 3 * random >= all || twins >= 2 && twins == long,
            Shape::Eight(_) | Shape::WholeEight => {
                random >= 3
                    && 4 * random >= matching
                    && 3 * matching >= 2 * shaped
                    && 4 * shaped >= 3 * all
            }
        };
        is_pair || is_shown
    }
}

/// The kinds of files that bundlers make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Scripts and styles, which people do not upload under random names.
    Code,
    /// Fonts, which are seldom uploaded either.
    Font,
    /// Images and data.
    Media,
}

/// Splits the name of an asset into the stem, at whose end a hash may be, and its kind.
fn asset(name: &str) -> Option<(&str, Kind)> {
    let name = name.strip_suffix(".LICENSE.txt").unwrap_or(name);
    let name = name.strip_suffix(".map").unwrap_or(name);
    let (mut stem, extension) = name.rsplit_once('.')?;
    let kind = match extension {
        "js" | "mjs" | "cjs" | "css" | "wasm" => Kind::Code,
        "woff" | "woff2" | "ttf" | "otf" | "eot" => Kind::Font,
        "svg" | "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" | "ico" | "mp3" | "mp4"
        | "webm" | "ogg" | "json" => Kind::Media,
        _ => return None,
    };
    let marks = ["chunk", "bundle", "entry", "min", "lean", "module", "async"];
    while let Some((before, mark)) = stem.rsplit_once('.')
        && marks.contains(&mark)
    {
        stem = before;
    }
    Some((stem, kind))
}

/// Whether a file only accompanies a script or a style.
fn is_beside_code(name: &str) -> bool {
    name.ends_with(".map") || name.ends_with(".LICENSE.txt")
}

/// The name of the same file without its hash.
fn twin(name: &str, stem: &str, hash: &str) -> Option<String> {
    let before = stem.strip_suffix(hash)?.strip_suffix(['.', '-'])?;
    Some(format!("{before}{}", &name[stem.len()..]))
}

/// Whether a framework owns one of the `directories`, whose files never change under their names.
fn is_owned(directories: &[&[u8]], name: &str) -> bool {
    let is_page = name.ends_with(".html") || name.ends_with(".htm");
    !is_page
        && (0..directories.len()).any(|at| match &directories[at..] {
            // Next.js.
            [b"_next", b"static", rest @ ..] => rest.first() != Some(&&b"development"[..]),
            // Astro, SvelteKit.
            [b"_astro", ..] | [b"_app", b"immutable", ..] => true,
            // Nuxt tells its clients of new versions by `builds/latest.json`.
            [b"_nuxt", b"builds", b"meta", ..] => true,
            [b"_nuxt", b"builds", ..] => false,
            [b"_nuxt", ..] => true,
            _ => false,
        })
}

/// Whether Create React App, and builds that look like its own, put hashed files of `kind` in the last
/// of the `directories`, though others may do so without a hash.
fn is_half_owned(directories: &[&[u8]], kind: Kind) -> bool {
    match kind {
        Kind::Code => matches!(directories, [.., b"static", b"js" | b"css"]),
        Kind::Font | Kind::Media => matches!(directories, [.., b"static", b"media"]),
    }
}

/// Finds the hash in the `name` of a file, with a name before it and a `.` or `-` between. One that may be
/// words counts only if other evidence says that the file `is_named_by_content`.
pub(super) fn hash_in(name: &str, is_named_by_content: bool) -> Option<Range<usize>> {
    let of_any_kind = || Some(name.rsplit_once('.')?.0);
    let stem = asset(name).map(|(stem, _)| stem).or_else(of_any_kind)?;
    // Trunk and wasm-pack put this behind the hash of a module.
    let stem = stem.strip_suffix("_bg").unwrap_or(stem);
    let counts = |one: &Candidate<'_>| {
        !one.before.trim_end_matches(['.', '-']).is_empty()
            && (is_named_by_content || one.may_be_hash())
    };
    let found = candidates(stem).into_iter().find(counts)?;
    let from = found.before.len();
    Some(from..from + found.hash.len())
}

/// Reads the end of `stem` as a hash in each way that is possible.
fn candidates(stem: &str) -> Vec<Candidate<'_>> {
    let mut found = Vec::new();
    let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_eight = |text: &str| text.len() == 8 && text.bytes().all(in_alphabet);
    if is_eight(stem) {
        found.push(Candidate { shape: Shape::WholeEight, hash: stem, before: "" });
    }
    let split = stem.len().checked_sub(8).filter(|at| *at >= 2);
    if let Some((before, hash)) = split.and_then(|at| stem.split_at_checked(at))
        && before.ends_with(['.', '-'])
        && is_eight(hash)
    {
        let shape = Shape::Eight(before.as_bytes()[before.len() - 1]);
        found.push(Candidate { shape, hash, before });
    }
    // Rolldown puts a digit behind the hash of some chunks. Capitals alone would be esbuild's.
    if let Some(hash) = stem.strip_prefix("chunk-").and_then(|hash| hash.strip_suffix('2'))
        && is_eight(hash)
        && hash.bytes().any(|byte| byte.is_ascii_lowercase())
    {
        found.push(Candidate { shape: Shape::Eight(b'-'), hash, before: "chunk-" });
    }
    let hash = stem.rsplit(['.', '-']).next().unwrap_or(stem);
    let is_hex = hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if (8..=128).contains(&hash.len()) && is_hex && !hash.bytes().all(|byte| byte.is_ascii_digit())
    {
        let before = &stem[..stem.len() - hash.len()];
        found.push(Candidate { shape: Shape::Hex(hash.len()), hash, before });
        // MongoDB's ids have 24 digits.
        if before.is_empty() && hash.len() >= 16 && hash.len() != 24 {
            found.push(Candidate { shape: Shape::WholeHex(hash.len()), hash, before });
        }
    }
    found
}

impl Candidate<'_> {
    /// Whether the name of a script or a style needs no other evidence: nobody writes sixteen hexadecimal
    /// digits, or eight behind a dot, and esbuild names its chunks in base32.
    fn suffices(&self) -> bool {
        match self.shape {
            Shape::Hex(len) => self.is_random() && (len >= 16 || self.before.ends_with('.')),
            Shape::Eight(_) => self.is_esbuild_chunk(),
            Shape::WholeEight | Shape::WholeHex(_) => false,
        }
    }

    fn is_esbuild_chunk(&self) -> bool {
        let prefix = self.before.trim_end_matches(['.', '-']);
        prefix.rsplit(['.', '-']).next() == Some("chunk")
            && self.hash.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
            && !is_words(self.hash, 2)
    }

    /// Whether it is hardly words and numbers.
    fn is_random(&self) -> bool {
        match self.shape {
            Shape::Hex(_) => self.before.len() >= 2 && is_random_hex(self.hash),
            Shape::WholeHex(_) => is_random_hex(self.hash) && !is_uuid(self.hash),
            Shape::Eight(_) | Shape::WholeEight => is_random(self.hash) || self.is_esbuild_chunk(),
        }
    }

    /// Whether it counts in a directory that tools use, which put it behind a dot. People write `-`.
    fn is_likely(&self) -> bool {
        let is_hex = matches!(self.shape, Shape::Hex(_));
        self.before.ends_with('.') && self.may_be_hash() && (!is_hex || self.is_random())
    }

    fn traits(&self) -> Traits {
        let has = |of: fn(&u8) -> bool| self.hash.as_bytes().iter().any(of);
        let behind = self.before.bytes().last();
        [
            has(u8::is_ascii_lowercase),
            has(u8::is_ascii_uppercase),
            behind == Some(b'.'),
            behind == Some(b'-'),
        ]
    }

    /// Whether it counts among files that have hashes of its shape.
    fn may_be_hash(&self) -> bool {
        let (Shape::Hex(_) | Shape::WholeHex(_)) = self.shape else {
            return !is_words(self.hash, 1) && !is_pairs(self.hash);
        };
        let letters = self.hash.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_word = letters.len() >= 3 && letters.bytes().all(|b| b.is_ascii_lowercase());
        let digits = self.hash.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let is_date = digits.len() >= 6
            && self.hash.len() - digits.len() <= 2
            && digits.bytes().all(|b| b.is_ascii_digit());
        runs(self.hash) >= 2 && !is_word && !is_date
    }
}

/// Whether hexadecimal digits are hardly a word and a number.
fn is_random_hex(hash: &str) -> bool {
    runs(hash) >= 3 && hash.bytes().filter(u8::is_ascii_digit).count() >= 2
}

/// Whether hexadecimal digits have the version and the variant of a UUID, as one hash in eight has.
fn is_uuid(hash: &str) -> bool {
    let at = |at: usize| hash.as_bytes()[at];
    hash.len() == 32 && matches!(at(12), b'1'..=b'8') && matches!(at(16), b'8' | b'9' | b'a' | b'b')
}

/// Whether eight characters are hardly words and numbers.
fn is_random(hash: &str) -> bool {
    let has = |of: fn(&u8) -> bool| hash.as_bytes().iter().any(of);
    has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && tokens(hash).count() >= 4
        && !is_words(hash, 2)
}

/// Whether `hash` could be words, abbreviations and numbers, with `lone` letters between.
fn is_words(hash: &str, lone: usize) -> bool {
    let word = hash.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = hash.len() - word.len();
    if digits >= 2 && tokens(word).count() == 1 && word.bytes().all(|b| b.is_ascii_alphabetic()) {
        return true;
    }
    let is_word = |token: &&str| token.len() > 1 && token.as_bytes()[0].is_ascii_alphabetic();
    tokens(hash).filter(is_word).all(is_pronounceable)
        && (lone_letters(hash) <= lone || chunks(hash) <= 3)
}

/// Whether all words in `hash` have three letters and more: `TeamPage`, `Dark2024`.
fn is_long_words(hash: &str) -> bool {
    let is_word = |token: &&str| token.as_bytes()[0].is_ascii_alphabetic();
    tokens(hash).filter(is_word).all(|word| word.len() >= 3)
}

/// Whether `hash` is letters with numbers: `C6H12O6`, `h1h2h3h4`.
fn is_pairs(hash: &str) -> bool {
    let mut rest = hash;
    let mut pairs = 0;
    while let Some(behind) = rest.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
        let next = behind.trim_start_matches(|c: char| c.is_ascii_digit());
        if next.len() == behind.len() {
            break;
        }
        (rest, pairs) = (next, pairs + 1);
    }
    pairs > 0 && rest.len() <= 2 && rest.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn lone_letters(hash: &str) -> usize {
    tokens(hash)
        .filter(|token| token.len() == 1 && token.as_bytes()[0].is_ascii_alphabetic())
        .count()
}

/// The runs of digits and of other characters.
fn runs(hash: &str) -> usize {
    hash.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).count()
}

/// Splits `text` into words, abbreviations, numbers and separators.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (token, behind) = rest.split_at(token_len(rest.as_bytes())?);
        rest = behind;
        Some(token)
    })
}

fn token_len(text: &[u8]) -> Option<usize> {
    let count = |from: usize, of: fn(&u8) -> bool| {
        from + text[from..].iter().take_while(|byte| of(byte)).count()
    };
    let first = text.first()?;
    let is_lower_at = |at: usize| text.get(at).is_some_and(u8::is_ascii_lowercase);
    Some(match first {
        b'0'..=b'9' => count(0, u8::is_ascii_digit),
        b'A'..=b'Z' if is_lower_at(1) => count(1, u8::is_ascii_lowercase),
        b'A'..=b'Z' => {
            // The last capital of a run begins the next word.
            let end = count(0, u8::is_ascii_uppercase);
            if is_lower_at(end) { end - 1 } else { end }
        }
        b'a'..=b'z' => count(0, u8::is_ascii_lowercase),
        _ => count(0, |byte| !byte.is_ascii_alphanumeric()),
    })
}

/// Counts words and numbers, where a letter beside a number belongs to it: `2024Q`, `v2`.
fn chunks(text: &str) -> usize {
    let (mut rest, mut chunks) = (text.as_bytes(), 0);
    while let Some(first) = rest.first() {
        let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let is_letter = |at: usize| rest.get(at).is_some_and(u8::is_ascii_alphabetic);
        let len = match digits(0) {
            0 if is_letter(0) && digits(1) > 0 => 1 + digits(1),
            0 => token_len(rest).unwrap_or(1),
            number => {
                let begins_word = rest.get(number + 1).is_some_and(u8::is_ascii_lowercase);
                number + usize::from(is_letter(number) && !begins_word)
            }
        };
        chunks += usize::from(first.is_ascii_alphanumeric());
        rest = &rest[len..];
    }
    chunks
}

/// The letters that often follow each letter in names that people write, by the file names of seventeen
/// packages: those with one pair of letters in 2,000 and more.
const FOLLOWERS: [&str; 26] = [
    "bcdfgiklmnprstuvwxyz", // a
    "aeilorsu",
    "acehiklorstuy",
    "adegilmorsu",
    "abcdefgilmnopqrstuvwxy", // e
    "aefilortu",
    "aeghilnorsu",
    "aeiortu",
    "abcdefgklmnoprstvxz", // i
    "aesu",
    "aeis",
    "abdeilopstuy",
    "abdeilmopsu",
    "abcdefgiklnostuv",
    "abcdfgiklmnoprstuvwx", // o
    "aehiloprstuy",
    "u",
    "abcdegiklmnoprstuvy",
    "acehiklmopqstuvwy",
    "abcehilmorstuwy",
    "abcdegilmnprst", // u
    "aeio",
    "aehinos",
    "ipt",
    "belmps",
    "eo",
];

/// Whether all pairs of letters of `word` are common in words.
fn is_pronounceable(word: &str) -> bool {
    word.as_bytes().windows(2).all(|pair| {
        let [first, second] = [pair[0], pair[1]].map(|byte| byte.to_ascii_lowercase());
        let followers = first.checked_sub(b'a').and_then(|at| FOLLOWERS.get(usize::from(at)));
        followers.is_some_and(|followers| followers.as_bytes().contains(&second))
    })
}
