//! The download: tries, ranges, and what is done when something goes wrong.

use std::cell::OnceCell;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::time::{Duration, Instant};

use cachecompress::Digest;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::client::{Client, Exchange};
use super::kept::{Kept, KeptOf};
use super::meter::Meter;
use super::target::Target;
use super::transfer::{self, CODINGS, DELTAS, Transfer, Whole};
use super::trouble::{Transient, Trouble};
use super::verify::{self, Expected, Verdict};
use crate::commands::progress_bar::CommandProgress;
use crate::limits::{
    GET_FIRST_BACKOFF, GET_LAST_BACKOFF, GET_RESTARTS, GET_RETRY_AFTER, PROGRESS_TICK,
};

const AVAILABLE_DICTIONARY: HeaderName = HeaderName::from_static("available-dictionary");
const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");

/// A download to one file.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    pub(super) target: &'a Target,
    pub(super) progress: &'a CommandProgress,
    pub(super) kept: Kept,
    pub(super) meter: Meter,
    /// The bytes of the present file, once a response needs them.
    dictionary: &'a OnceCell<Vec<u8>>,
    offers_dictionary: bool,
    /// The most failures in a row without a further byte between them.
    retries: u32,
    is_reached: bool,
}

/// The end of a download.
pub(super) enum Outcome {
    /// The file has the content already.
    Current,
    New(Whole),
}

/// The point at which a transfer goes on.
struct Start {
    tag: String,
    at: u64,
    /// The representation, if its bytes are those of an earlier run.
    kept: Option<KeptOf>,
}

impl<'a> Download<'a> {
    pub(super) fn new(
        client: &'a Client,
        target: &'a Target,
        progress: &'a CommandProgress,
        kept: Kept,
        dictionary: &'a OnceCell<Vec<u8>>,
        retries: u32,
    ) -> Self {
        let offers_dictionary = target.dictionary().is_some();
        let (meter, is_reached) = (Meter::new(), false);
        Self {
            client,
            target,
            progress,
            kept,
            meter,
            dictionary,
            offers_dictionary,
            retries,
            is_reached,
        }
    }

    /// Downloads until the whole is there, or another try would not help.
    ///
    /// # Errors
    ///
    /// The reason for which it is not there.
    pub(super) fn run(&mut self) -> Result<Outcome, Trouble> {
        let mut transfer = None;
        let (mut failures, mut restarts, mut furthest) = (0, 0, 0);
        loop {
            let trouble = match self.attempt(&mut transfer) {
                Ok(outcome) => return Ok(outcome),
                Err(trouble) => trouble,
            };
            let transient = match trouble {
                Trouble::Transient(transient) => transient,
                Trouble::Unreached(sentence) if self.is_reached => {
                    Transient { sentence, retry_after: None }
                }
                Trouble::Delta(sentence) if self.offers_dictionary => {
                    self.tell(&format!(
                        "the delta cannot be used: {sentence}; asking for the whole"
                    ));
                    self.offers_dictionary = false;
                    self.kept.discard();
                    transfer = None;
                    continue;
                }
                Trouble::Restart(sentence) if restarts < GET_RESTARTS => {
                    self.tell(&format!("{sentence}; beginning anew"));
                    restarts += 1;
                    self.kept.discard();
                    transfer = None;
                    continue;
                }
                other => return Err(other),
            };
            // A server without ranges sends the same bytes again, which is no step forward.
            let is_further = self.kept.len() > furthest;
            furthest = furthest.max(self.kept.len());
            failures = if is_further { 1 } else { failures + 1 };
            if failures > self.retries {
                let tries = match failures {
                    1 => String::new(),
                    tries => format!("; given up after {tries} tries"),
                };
                return Err(Trouble::Last(format!("{}{tries}", transient.sentence)));
            }
            self.meter.retries += 1;
            self.wait(&transient, failures)?;
        }
    }

    fn tell(&self, sentence: &str) {
        self.progress.note(format_args!("{sentence}"));
    }

    /// Waits before the next try: twice as long after each failure, and at random, so that the clients of a server
    /// that is back do not come all at once.
    fn wait(&self, transient: &Transient, failures: u32) -> Result<(), Trouble> {
        let backoff = GET_FIRST_BACKOFF.saturating_mul(1 << (failures - 1).min(16));
        let most = backoff.min(GET_LAST_BACKOFF);
        let random = RandomState::new().build_hasher().finish() % 512;
        let backoff = most / 2 + most.mul_f64(random as f64 / 1024.0);
        let asked = Duration::from_secs(transient.retry_after.unwrap_or(0)).min(GET_RETRY_AFTER);
        let pause = backoff.max(asked);
        let shown = Duration::from_millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        let shown = humantime::format_duration(shown);
        self.tell(&format!("{}; trying again in {shown}", transient.sentence));
        let end = Instant::now() + pause;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if self.progress.flow().is_break() {
                return Err(Trouble::Interrupted);
            }
            std::thread::sleep(left.min(PROGRESS_TICK));
        }
        Ok(())
    }

    /// Sends one request, and takes its response to the end.
    fn attempt(&mut self, transfer: &mut Option<Transfer<'a>>) -> Result<Outcome, Trouble> {
        let start = self.start(transfer.as_ref());
        let fields = self.fields(start.as_ref());
        let exchange = self.client.send(Method::GET, fields, self.progress)?;
        self.is_reached = true;
        match (exchange.status, start) {
            (StatusCode::NOT_MODIFIED, _) => return Ok(Outcome::Current),
            (StatusCode::OK, _) => {
                // Its new file goes, which has the name of the next one.
                *transfer = None;
                *transfer = self.begin(&exchange)?;
                if transfer.is_none() {
                    return Ok(Outcome::Current);
                }
            }
            (StatusCode::PARTIAL_CONTENT, Some(start)) => {
                self.resume(&exchange, start, transfer)?;
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => {
                return Err(Trouble::Restart("the server has no such range".to_owned()));
            }
            _ => return Err(refused(self.client, &exchange)),
        }
        let Some(own) = transfer.as_mut() else { return Err(refused(self.client, &exchange)) };
        while let Some(piece) = exchange.piece(self.progress)? {
            self.meter.received += piece.len() as u64;
            let unwritable = |error: io::Error| transfer::unwritable(self.target, &error);
            self.kept.add(&piece).map_err(unwritable)?;
            own.write(&piece, self.target)?;
            self.meter.show(self.progress, own, self.kept.len());
        }
        match transfer.take() {
            Some(whole) => whole.finish(self.target).map(Outcome::New),
            None => Err(refused(self.client, &exchange)),
        }
    }

    /// The point from which the rest is asked for.
    fn start(&self, transfer: Option<&Transfer<'_>>) -> Option<Start> {
        if let Some(transfer) = transfer {
            let at = self.kept.len();
            let tag = transfer.tag.clone().filter(|_| at > 0)?;
            return Some(Start { tag, at, kept: None });
        }
        let (of, at) = self.kept.start()?;
        let dictionary = self.target.dictionary().filter(|_| self.offers_dictionary);
        let has_dictionary = match &of.dictionary {
            Some(needed) => dictionary.is_some_and(|digest| digest.hex() == *needed),
            None => true,
        };
        let is_usable = has_dictionary && of.url == self.client.url().as_str();
        is_usable.then(|| Start { tag: of.tag.clone(), at, kept: Some(of.clone()) })
    }

    /// The fields of a request. `start` has the rest of a representation sent, or the whole of another one.
    fn fields(&self, start: Option<&Start>) -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        fields.insert(WANT_REPR_DIGEST, HeaderValue::from_static("sha-256=10"));
        let mut accepted = CODINGS.to_owned();
        if let Some(present) = &self.target.present {
            fields.insert(header::IF_NONE_MATCH, verify::tag_of(&present.digest));
        }
        if let Some(digest) = self.target.dictionary().filter(|_| self.offers_dictionary) {
            fields.insert(AVAILABLE_DICTIONARY, verify::byte_sequence(digest));
            accepted = format!("{DELTAS}, {CODINGS}");
        }
        if let Some(Start { tag, at, .. }) = start
            && let Ok(tag) = HeaderValue::from_str(tag)
            && let Ok(range) = HeaderValue::try_from(format!("bytes={at}-"))
        {
            fields.insert(header::IF_RANGE, tag);
            fields.insert(header::RANGE, range);
        }
        if let Ok(accepted) = HeaderValue::try_from(accepted) {
            fields.insert(header::ACCEPT_ENCODING, accepted);
        }
        fields
    }

    /// Begins with a whole representation; `None` if the file has that content.
    fn begin(&mut self, exchange: &Exchange) -> Result<Option<Transfer<'a>>, Trouble> {
        let coding = transfer::parse_coding(exchange.content_encoding().as_deref())?;
        let expected = self.expected(exchange, coding)?;
        let is_present = self.target.present.as_ref().is_some_and(|present| {
            let verdict = expected.as_ref().map(|expected| expected.judge(&present.digest));
            verdict == Some(Verdict::Same)
        });
        if is_present {
            return Ok(None);
        }
        let mut transfer = self.open(coding)?;
        transfer.expected = expected;
        transfer.whole = exchange.field(header::CONTENT_LENGTH).and_then(|len| len.parse().ok());
        transfer.tag = strong_tag(exchange);
        let dictionary = self.target.dictionary().filter(|_| transfer::is_delta(coding));
        let of = transfer.tag.clone().map(|tag| KeptOf {
            url: self.client.url().to_string(),
            tag,
            coding: coding.map(str::to_owned),
            dictionary: dictionary.map(Digest::hex),
            whole: transfer.whole,
            verifiable: transfer.expected.as_ref().is_some_and(Expected::is_certain),
            synced: 0,
        });
        let begun = self.kept.begin(of);
        begun.map_err(|error| transfer::unwritable(self.target, &error))?;
        Ok(Some(transfer))
    }

    /// Goes on with a representation whose first bytes are there.
    fn resume(
        &mut self,
        exchange: &Exchange,
        start: Start,
        transfer: &mut Option<Transfer<'a>>,
    ) -> Result<(), Trouble> {
        let coding = transfer::parse_coding(exchange.content_encoding().as_deref())?;
        let begun = match (transfer.as_ref(), &start.kept) {
            (Some(transfer), _) => transfer.coding,
            (None, of) => transfer::parse_coding(of.as_ref().and_then(|of| of.coding.as_deref()))?,
        };
        let range = exchange.field(header::CONTENT_RANGE).and_then(parse_content_range);
        let is_rest = range.is_some_and(|(first, _)| first == start.at)
            && coding == begun
            && strong_tag(exchange).as_ref() == Some(&start.tag);
        if !is_rest {
            return Err(Trouble::Restart("the server sent another range than asked".to_owned()));
        }
        if transfer.is_none() {
            let mut own = self.open(coding)?;
            own.expected = self.expected(exchange, coding)?;
            let is_certain = own.expected.as_ref().is_some_and(Expected::is_certain);
            if start.kept.is_some_and(|of| of.synced < start.at) && !is_certain {
                let sentence = "the server tells the digest of what was kept no more";
                return Err(Trouble::Restart(sentence.to_owned()));
            }
            own.whole = range.and_then(|(_, whole)| whole);
            own.tag = Some(start.tag);
            self.kept.replay(start.at, |bytes| own.write(bytes, self.target))?;
            self.meter.resumed = start.at;
            *transfer = Some(own);
        }
        Ok(())
    }

    fn open(&self, coding: transfer::Coding) -> Result<Transfer<'a>, Trouble> {
        let digest = self.target.dictionary().filter(|_| self.offers_dictionary);
        let dictionary = match digest.filter(|_| transfer::is_delta(coding)) {
            Some(digest) => Some((self.dictionary_bytes()?, digest)),
            None => None,
        };
        Transfer::begin(self.target, coding, dictionary)
    }

    fn dictionary_bytes(&self) -> Result<&'a [u8], Trouble> {
        if self.dictionary.get().is_none() {
            let bytes = self.target.read_dictionary();
            let bytes = bytes.map_err(|error| Trouble::Delta(error.to_string()))?;
            let _ = self.dictionary.set(bytes);
        }
        Ok(self.dictionary.get().map(Vec::as_slice).unwrap_or_default())
    }

    /// The digest that the whole must have. A response that does not tell it has the server asked for that of the
    /// file without a coding.
    fn expected(
        &self,
        exchange: &Exchange,
        coding: transfer::Coding,
    ) -> Result<Option<Expected>, Trouble> {
        match Expected::of(exchange, coding) {
            Some(expected) if expected.is_certain() => Ok(Some(expected)),
            perhaps => {
                let told = ask(self.client, None, self.progress);
                match told {
                    Ok(head) if head.status == StatusCode::OK => {
                        let told = Expected::of(&head, None);
                        Ok(told.filter(Expected::is_certain).or(perhaps))
                    }
                    Err(Trouble::Interrupted) => Err(Trouble::Interrupted),
                    // A server that knows no HEAD may send the file all the same.
                    _ => Ok(perhaps),
                }
            }
        }
    }
}

/// Asks for the digest of the file without a coding, by HEAD. `present` has a server of ours answer 304 if the file
/// is current.
///
/// # Errors
///
/// If the server cannot be reached or understood, or the command is interrupted.
pub(super) fn ask(
    client: &Client,
    present: Option<&Digest>,
    progress: &CommandProgress,
) -> Result<Exchange, Trouble> {
    let mut fields = HeaderMap::new();
    fields.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    fields.insert(WANT_REPR_DIGEST, HeaderValue::from_static("sha-256=10"));
    if let Some(digest) = present {
        fields.insert(header::IF_NONE_MATCH, verify::tag_of(digest));
    }
    client.send(Method::HEAD, fields, progress)
}

/// The sentence about a response that has no file.
pub(super) fn refused(client: &Client, exchange: &Exchange) -> Trouble {
    let sentence = format!("{}: the server answers {}", client.url(), exchange.status);
    match exchange.status.as_u16() {
        408 | 425 | 429 | 500 | 502..=504 => {
            let retry_after =
                exchange.field(header::RETRY_AFTER).and_then(|text| text.parse().ok());
            Trouble::Transient(Transient { sentence, retry_after })
        }
        _ => Trouble::Last(sentence),
    }
}

fn strong_tag(exchange: &Exchange) -> Option<String> {
    exchange.field(header::ETAG).filter(|tag| tag.starts_with('"')).map(str::to_owned)
}

/// Reads the first byte and the whole length of a Content-Range.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, whole.trim().parse().ok()))
}
