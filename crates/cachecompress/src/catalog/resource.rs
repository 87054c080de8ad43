//! A resource, which describes a file of the source as a lookup saw it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;

use crate::concurrency::sync::clock;
use crate::fs::Fingerprint;
use crate::http::{
    CodedFile, Compressibility, ContentName, Digest, InCoding, MediaTypes, NamedType,
    RepresentationTags, SourcePath, Text, compressibility,
};
use crate::limits::{DATE_NEAR, EVIDENCE_TRUSTED, FIRST_MODIFIED, RESOURCE_BYTES};
use crate::source::{Content, Precompressed, SourceFile};

/// A file of the source in its state at the last lookup.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) path: SourcePath,
    /// The length in bytes.
    pub(crate) len: u64,
    pub(crate) state: DigestState,
    /// The tags of its representations; `None` without a digest.
    pub(crate) tags: Option<RepresentationTags>,
    /// The time of its last modification, in the next second where dates of this second are another
    /// content's; `None` if the file has none that says anything.
    pub(crate) last_modified: Option<SystemTime>,
    /// The latest such time of the path's earlier contents that a response may have told.
    told_before: Option<SystemTime>,
    pub(crate) media_type: HeaderValue,
    pub(crate) compressibility: Compressibility,
    /// The bytes, if the source holds them in memory.
    pub(crate) bytes: Option<Bytes>,
    /// The file that its bytes were decoded from, which is its representation in that coding.
    pub(crate) coded: Option<Arc<CodedFile>>,
    /// The coding that its bytes are in, if no others can be had.
    pub(crate) in_coding: Option<Arc<InCoding>>,
    /// The representations that are there without an encoder.
    pub(crate) precompressed: Option<Arc<Precompressed>>,
    /// The state of the file that was hashed; `None` for bytes in memory.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// The reason for which its fingerprint names its bytes.
    rest: Rest,
    /// The time since which the file was seen with this fingerprint, in milliseconds of [`clock`].
    steady_since: u64,
    /// The content of a file that a handler brought. No path leads to it.
    pub(crate) brought: Option<Content>,
    /// The type that the name suggests, of which `media_type` is a case.
    named: NamedType,
    modified: Option<SystemTime>,
    own_tag: Option<Arc<str>>,
    /// The time of the last lookup, in milliseconds of [`clock`].
    checked: AtomicU64,
    content_name: ContentName,
    /// Whether the files beside it vouch for the hash in its name, or its content does.
    vouched_for: AtomicBool,
    /// The time at which they were asked, in milliseconds of [`clock`]; 0 for never.
    evidence_asked: AtomicU64,
}

/// The reason for which a file's fingerprint names its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// None: the last change was too short a time ago.
    Awaited,
    /// The last change was long before the hash.
    ByTimes,
    /// The last change lies in the future, but the file stayed as it is for as long by our own clock.
    /// This holds until the present comes to the time of the change.
    ByClock,
}

impl Rest {
    /// The reason at the time `began` of a hash. A file is `steady` that was the same long before.
    pub(super) fn of(fingerprint: &Fingerprint, steady: bool, began: SystemTime) -> Self {
        match fingerprint.names_bytes(began) {
            true => Self::ByTimes,
            false if steady && fingerprint.is_of_the_future(began) => Self::ByClock,
            false => Self::Awaited,
        }
    }
}

/// The state in which a file was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    fingerprint: Fingerprint,
    pub(super) digest: Option<Digest>,
    /// The time of the first sight, in milliseconds of [`clock`].
    since: u64,
}

impl Seen {
    /// Whether the file was seen with `fingerprint` so long ago that a change would have shown.
    pub(super) fn is_steady(&self, fingerprint: &Fingerprint) -> bool {
        let since = Duration::from_millis(clock().saturating_sub(self.since));
        self.fingerprint == *fingerprint && since >= fingerprint.rest()
    }
}

/// The knowledge of a resource's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DigestState {
    Known(Digest),
    /// The bytes change too fast for a digest to hold.
    Unstable,
    /// The digest is still computed.
    Unhashed,
}

impl Resource {
    /// Describes `file` of the type `named`, which a lookup that began at `checked` (milliseconds of
    /// [`clock`]) found.
    ///
    /// `replaced` is the resource with other bytes that stood at the path before. If the time of
    /// modification has not advanced by a second since, Last-Modified is the present time, or the
    /// next second if the present one was told before. A file with a time before
    /// [`FIRST_MODIFIED`] has none, and nothing stands in for it.
    pub(super) fn new(
        path: &SourcePath,
        (named, text): (NamedType, Text),
        file: &SourceFile,
        state: DigestState,
        rest: Rest,
        checked: u64,
        replaced: Option<&Self>,
    ) -> Self {
        let media_type = named.value(text);
        let tags = match state {
            DigestState::Known(digest) => {
                let own = file.entity_tag.as_deref().and_then(RepresentationTags::own);
                let tags = own.unwrap_or_else(|| RepresentationTags::of_digest(&digest));
                // The same bytes without Content-Encoding are another representation.
                Some(match file.in_coding.as_deref() {
                    Some(InCoding { coding, .. }) => tags.only_in(coding),
                    None => tags,
                })
            }
            DigestState::Unstable | DigestState::Unhashed => None,
        };
        let now = SystemTime::now();
        let dated = file.modified.filter(|modified| says_anything(*modified));
        let told_before = replaced.and_then(|replaced| replaced.told_by(now));
        let last_modified = dated.map(|modified| modified.min(now)).map(|modified| {
            // A client that knows dates alone cannot tell apart two contents of one second.
            match told_before.map(second_after) {
                Some(next) if modified < next => now.max(next),
                _ => modified,
            }
        });
        Self {
            path: path.clone(),
            len: file.content.len(),
            state,
            tags,
            last_modified,
            told_before,
            compressibility: match (&file.decoded, &file.in_coding) {
                // There is a coding of it, whatever its type.
                (Some(_), _) => Compressibility::Always,
                (None, Some(_)) => Compressibility::Never,
                (None, None) => compressibility_of(&media_type),
            },
            media_type,
            named,
            bytes: match &file.content {
                Content::Bytes(bytes) if keeps_bytes(file, bytes) => Some(bytes.clone()),
                Content::Bytes(_) | Content::File { .. } => None,
            },
            coded: file.decoded.as_ref().map(|decoded| Arc::clone(&decoded.file)),
            in_coding: file.in_coding.clone(),
            precompressed: file.precompressed().cloned(),
            fingerprint: file.content.fingerprint(),
            brought: None,
            modified: file.modified,
            own_tag: file.entity_tag.clone(),
            rest,
            steady_since: clock(),
            checked: AtomicU64::new(checked),
            content_name: ContentName::of(path),
            vouched_for: AtomicBool::new(false),
            evidence_asked: AtomicU64::new(0),
        }
    }

    /// Describes `file` with its `digest`, in place of the resource `before`.
    pub(super) fn with_digest(
        path: &SourcePath,
        media_type: (NamedType, Text),
        file: &SourceFile,
        digest: Digest,
        rest: Rest,
        checked: u64,
        before: Option<&Self>,
    ) -> Self {
        let is_same = |before: &Self| match before.digest() {
            Some(before) => before == digest,
            None => before.fingerprint == file.content.fingerprint(),
        };
        let (same, other) = match before {
            Some(before) if before.state == DigestState::Unstable => (None, None),
            // Bytes without a time may have come after others with one.
            Some(before) if is_same(before) && before.last_modified.is_some() => {
                (Some(before), None)
            }
            before => (None, before),
        };
        let known = DigestState::Known(digest);
        let mut resource = Self::new(path, media_type, file, known, rest, checked, other);
        if let Some(same) = same {
            // The same bytes under an earlier date keep the later date.
            resource.last_modified =
                resource.last_modified.map(|own| own.max(same.last_modified.unwrap_or(own)));
            resource.told_before = same.told_by(SystemTime::now());
        }
        resource
    }

    /// Takes the date of a file whose bytes are not known away, unless it has advanced since the
    /// resource `before`. Other bytes may have had the same date or a later one.
    pub(super) fn dated_after(mut self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        if self.fingerprint == before.fingerprint {
            self.last_modified = before.last_modified;
            self.told_before = before.told_before;
            return self;
        }
        let told = before.told_by(SystemTime::now());
        if let Some(told) = told {
            self.last_modified = self.last_modified.filter(|own| *own >= second_after(told));
        }
        self.told_before = told;
        self
    }

    /// Returns the path of the coded file that it is of.
    pub(crate) fn coded_path(&self) -> Option<&SourcePath> {
        let decoded = self.coded.as_deref().map(|coded| &coded.path);
        decoded.or_else(|| self.in_coding.as_ref().map(|coded| &coded.path))
    }

    /// Returns the tags of the file of its own name, whatever coding its bytes are in.
    pub(crate) fn tags_as_stored(&self) -> Option<RepresentationTags> {
        let own = self.own_tag.as_deref().and_then(RepresentationTags::own);
        self.digest().map(|digest| own.unwrap_or_else(|| RepresentationTags::of_digest(&digest)))
    }

    /// Returns the state in which the file was seen; `None` for bytes in memory.
    pub(super) fn seen(&self) -> Option<Seen> {
        let (digest, since) = (self.digest(), self.steady_since);
        self.fingerprint.map(|fingerprint| Seen { fingerprint, digest, since })
    }

    /// Takes over the time since which the file is as it is, if it was `seen` so.
    pub(super) fn steady_as(mut self, seen: Option<Seen>) -> Self {
        if let Some(seen) = seen.filter(|seen| self.fingerprint == Some(seen.fingerprint))
            && (self.digest() == seen.digest || self.digest().is_none() || seen.digest.is_none())
        {
            self.steady_since = seen.since;
        }
        self
    }

    /// Whether its fingerprint names its bytes now.
    pub(crate) fn has_rested(&self) -> bool {
        match self.rest {
            Rest::Awaited => false,
            Rest::ByTimes => true,
            Rest::ByClock => {
                let now = SystemTime::now();
                self.fingerprint.is_some_and(|fingerprint| fingerprint.is_of_the_future(now))
            }
        }
    }

    /// The time of Last-Modified in a response of this moment. RFC 9110 §8.8.2.1: none that is later
    /// than Date.
    pub(crate) fn last_modified_at(&self, now: SystemTime) -> Option<SystemTime> {
        self.last_modified.filter(|modified| *modified <= now)
    }

    /// The latest date that a response may have told of the path, if other bytes are found `now`. A date
    /// that lies further ahead was never told: if it counted, many changes in a second would move the
    /// date of the last one far ahead.
    fn told_by(&self, now: SystemTime) -> Option<SystemTime> {
        // A request may still hold this resource for a moment.
        let near = now + DATE_NEAR;
        self.last_modified.filter(|modified| *modified <= near).max(self.told_before)
    }

    /// Copies the resource without its digest and without what its bytes told of its type. The copy is
    /// to be looked up again at once.
    pub(super) fn unstable(&self) -> Self {
        let media_type = self.named.value(Text::Unknown);
        Self {
            path: self.path.clone(),
            state: DigestState::Unstable,
            tags: None,
            compressibility: match (&self.coded, &self.in_coding) {
                (Some(_), _) => Compressibility::Always,
                (None, Some(_)) => Compressibility::Never,
                (None, None) => compressibility_of(&media_type),
            },
            coded: self.coded.clone(),
            in_coding: self.in_coding.clone(),
            precompressed: None,
            media_type,
            named: self.named.clone(),
            bytes: self.bytes.clone(),
            brought: self.brought.clone(),
            own_tag: self.own_tag.clone(),
            checked: AtomicU64::new(0),
            // A file that changes has no hash in its name.
            content_name: ContentName::No,
            vouched_for: AtomicBool::new(false),
            evidence_asked: AtomicU64::new(0),
            ..*self
        }
    }

    /// Whether the name has a hash of the content, by itself, by the files beside it or by the content.
    pub(crate) fn is_named_by_content(&self) -> bool {
        match self.content_name {
            ContentName::Yes => true,
            ContentName::Perhaps => self.vouched_for.load(Ordering::Relaxed),
            ContentName::No => false,
        }
    }

    /// Whether the files beside it could tell more, and were not asked lately.
    pub(super) fn lacks_evidence(&self) -> bool {
        let asked = self.evidence_asked.load(Ordering::Relaxed);
        self.content_name == ContentName::Perhaps
            && !self.vouched_for.load(Ordering::Relaxed)
            && (asked == 0 || clock().saturating_sub(asked) > EVIDENCE_TRUSTED)
    }

    /// Whether nobody was asked yet.
    pub(super) fn was_never_asked(&self) -> bool {
        self.evidence_asked.load(Ordering::Relaxed) == 0
    }

    /// Notes what the files beside it tell, or its content.
    pub(super) fn note_evidence(&self, vouched_for: bool) {
        self.vouched_for.store(vouched_for, Ordering::Relaxed);
        self.evidence_asked.store(clock().max(1), Ordering::Relaxed);
    }

    pub(crate) fn digest(&self) -> Option<Digest> {
        match self.state {
            DigestState::Known(digest) => Some(digest),
            DigestState::Unstable | DigestState::Unhashed => None,
        }
    }

    /// Returns the time since the last lookup.
    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(self.age_at(clock()))
    }

    /// Returns the milliseconds from the last lookup to `now`.
    pub(super) fn age_at(&self, now: u64) -> u64 {
        now.saturating_sub(self.checked.load(Ordering::Relaxed))
    }

    /// Notes that a lookup which began at `at` found the file unchanged.
    pub(super) fn confirm(&self, at: u64) {
        self.checked.fetch_max(at, Ordering::Relaxed);
    }

    /// Makes the next request look its path up.
    pub(super) fn expire(&self) {
        self.checked.store(0, Ordering::Relaxed);
    }

    /// Whether `file` has the bytes of this resource, by its fingerprint.
    pub(super) fn is_still(&self, file: &SourceFile) -> bool {
        self.looks_like(file) && (self.bytes.is_some() || self.has_rested())
    }

    /// Whether `file` looks unchanged. Unlike for [`is_still`](Self::is_still), a change within one
    /// tick of the file system's clock may hide.
    pub(super) fn looks_like(&self, file: &SourceFile) -> bool {
        let same_bytes = match (&file.decoded, &self.coded) {
            (Some(now), Some(then)) => now.file.is(then),
            (None, None) => self.looks_like_content(&file.content),
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_bytes
            && self.in_coding == file.in_coding
            && self.own_tag == file.entity_tag
            && self.modified == file.modified
    }
}

impl Resource {
    fn looks_like_content(&self, content: &Content) -> bool {
        match (content, &self.bytes) {
            (Content::Bytes(now), Some(then)) => {
                now.as_ptr() == then.as_ptr() && now.len() == then.len()
            }
            (Content::File { fingerprint, .. }, None) => self.fingerprint == Some(*fingerprint),
            _ => false,
        }
    }
}

/// Whether a resource keeps the `bytes` of `file`. A source that brings the digest keeps long buffers
/// itself, but not of what was decoded.
fn keeps_bytes(file: &SourceFile, bytes: &Bytes) -> bool {
    file.digest.is_some() && file.decoded.is_none() || bytes.len() <= RESOURCE_BYTES
}

/// Whether a time of modification is one, and not a build tool's constant.
fn says_anything(modified: SystemTime) -> bool {
    let since_1970 = modified.duration_since(SystemTime::UNIX_EPOCH);
    since_1970.is_ok_and(|since| since >= FIRST_MODIFIED)
}

/// The beginning of the second after that of `time`, which lies after 1970.
fn second_after(time: SystemTime) -> SystemTime {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let next = Duration::from_secs(since_1970.as_secs().saturating_add(1));
    SystemTime::UNIX_EPOCH.checked_add(next).unwrap_or(time)
}

/// Returns the media type of `file` as far as it is known without its bytes: its own, else that of its
/// name.
pub(super) fn type_of(types: &MediaTypes, path: &SourcePath, file: &SourceFile) -> NamedType {
    if let Some(InCoding { name, .. }) = file.in_coding.as_deref() {
        // The coded bytes tell nothing of the type.
        return NamedType::Certain(types.of(name).value(Text::Unknown));
    }
    let own = file.media_type.as_deref().and_then(|own| HeaderValue::from_str(own).ok());
    let name = file.decoded.as_ref().and_then(|decoded| decoded.name.as_ref()).unwrap_or(path);
    own.map_or_else(|| types.of(name), NamedType::Certain)
}

/// Whether files of `media_type` are ever encoded.
pub(super) fn compressibility_of(media_type: &HeaderValue) -> Compressibility {
    media_type.to_str().map_or(Compressibility::Never, compressibility)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Describes a file of these bytes that replaces `before`.
    fn resource(bytes: &'static str, modified: SystemTime, before: Option<&Resource>) -> Resource {
        let file = SourceFile::from_bytes(bytes).modified(modified);
        let digest = Digest::of(bytes.as_bytes());
        let (path, media_type) = (SourcePath::root().join("a"), (NamedType::Nameless, Text::Utf8));
        Resource::with_digest(&path, media_type, &file, digest, Rest::ByTimes, 0, before)
    }

    fn last_modified(bytes: &'static str, modified: SystemTime) -> Option<SystemTime> {
        resource(bytes, modified, None).last_modified
    }

    /// A client got a 304 by date for another content, and kept files fresh for years.
    #[test]
    fn time_of_a_build_tool_is_none() {
        // Bazel and others, Nix and OSTree, zip, Gradle, npm, and the last second of 1989.
        for seconds in [0, 1, 315_532_800, 318_211_200, 499_162_500, 631_151_999] {
            assert_eq!(last_modified("a", at(seconds)), None, "{seconds}");
        }
        assert_eq!(last_modified("a", SystemTime::UNIX_EPOCH - Duration::from_secs(DAY)), None);
        let first = at(631_152_000);
        assert_eq!(last_modified("a", first), Some(first));
        let future = SystemTime::now() + Duration::from_secs(DAY);
        assert!(last_modified("a", future).is_some_and(|modified| modified < future));
    }

    #[test]
    fn nothing_stands_in_for_a_time_that_says_nothing() {
        let dated = resource("a", at(20_000 * DAY), None);
        let other = resource("b", at(1), Some(&dated));
        assert_eq!(other.last_modified, None, "other bytes");
        assert_eq!(resource("a", at(1), Some(&dated)).last_modified, None, "the same bytes");
        assert_eq!(resource("c", at(1), Some(&other)).last_modified, None);
    }

    /// A client that has the first bytes and their date must not take it for the date of the third.
    #[test]
    fn date_of_a_path_advances_across_a_file_without_one() {
        let told = at(20_000 * DAY);
        let dated = resource("a", told, None);
        let undated = resource("b", at(1), Some(&dated));
        for bytes in ["b", "c"] {
            let earlier = resource(bytes, told - Duration::from_secs(DAY), Some(&undated));
            assert!(earlier.last_modified > Some(told), "{bytes}");
        }
        let later = told + Duration::from_secs(5);
        assert_eq!(resource("c", later, Some(&undated)).last_modified, Some(later));
    }

    /// Two changes within a second had one date: a client with the first content got a 304 for the
    /// second one.
    #[test]
    fn contents_of_one_second_have_dates_of_their_own() {
        let first = resource("a", at(20_000 * DAY), None);
        let second = resource("b", at(20_000 * DAY) + Duration::from_millis(400), Some(&first));
        let third = resource("c", at(20_000 * DAY), Some(&second));
        let dates = [&first, &second, &third].map(|resource| resource.last_modified.unwrap());
        assert!(second_after(dates[0]) <= dates[1], "{dates:?}");
        assert!(second_after(dates[1]) <= dates[2], "{dates:?}");
        // The third date lies ahead, and is not told before its time.
        assert_eq!(third.last_modified_at(dates[1]), None);
        assert_eq!(third.last_modified_at(dates[2]), Some(dates[2]));
    }

    /// Each of many changes within a second moved the date by one more second.
    #[test]
    fn many_contents_of_one_second_have_a_date_near_the_present() {
        let mut last = resource("a", at(20_000 * DAY), None);
        let contents = ["b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        for bytes in contents {
            last = resource(bytes, at(20_000 * DAY), Some(&last));
        }
        let near = SystemTime::now() + Duration::from_secs(2);
        assert!(last.last_modified.is_some_and(|modified| modified <= near), "{last:?}");
    }

    #[test]
    fn last_modified_of_the_same_bytes_never_goes_back() {
        let dated = resource("a", at(20_000 * DAY), None);
        let earlier = resource("a", at(19_000 * DAY), Some(&dated));
        assert_eq!(earlier.last_modified, dated.last_modified);
    }
}
