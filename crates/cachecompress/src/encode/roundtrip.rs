//! The round trip, which decodes output again before readers get it.
//!
//! The encode's own thread proves small sources. A thread beside it proves large ones.

use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::error::EncodeError;
use crate::cache::Payload;
use crate::codec::Proof;
use crate::concurrency::cpu_time;
use crate::concurrency::may_wait;
use crate::concurrency::sync::{Mutex, lock};
use crate::error::{Error, ErrorKind};
use crate::fs::read_full;
use crate::http::Digest;
use crate::limits::{PROOF_CHUNK, WITHHELD};

/// Proves the output of an encode, and commits the proven bytes for readers.
pub(super) struct Roundtrip<'a> {
    proof: Proof,
    /// The number of bytes that have passed the decoder.
    passed: u64,
    committed: u64,
    /// Tells readers how many bytes they may have.
    commit: &'a (dyn Fn(u64) + Sync),
}

/// A sink for the output of an encode, once it is written.
pub(super) trait Sink {
    /// Takes the next output. Readers may have the output before offset `readable` as soon as it has
    /// passed, but for the last bytes. They may have all other output at the end.
    fn take(&mut self, coded: &[u8], readable: u64) -> Result<(), EncodeError>;
}

/// A sink that proves at once, on the encode's own thread.
struct Inline<'a>(Roundtrip<'a>);

/// A sink whose output a thread beside the encode reads back and proves. A drop before all of the
/// output is `whole` gives the proof up.
struct Beside<'a> {
    written: Written,
    sender: Sender<Written>,
    whole: bool,
    given_up: &'a AtomicBool,
}

/// The extent of a written payload.
#[derive(Clone, Copy, Default)]
struct Written {
    bytes: u64,
    /// The number of these bytes that readers may have once they have passed, but for the last
    /// ones.
    readable: u64,
}

/// The result of a proof.
pub(super) struct Proven {
    /// The digest of the decoded output, if it was decoded.
    pub(super) digest: Option<Digest>,
    /// The CPU time of the thread beside the encode.
    pub(super) cpu: Duration,
}

impl<'a> Roundtrip<'a> {
    pub(super) fn new(proof: Proof, commit: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { proof, passed: 0, committed: 0, commit }
    }

    /// Takes the next output. Readers may have the bytes before offset `readable`.
    fn take(&mut self, coded: &[u8], readable: u64) -> Result<(), EncodeError> {
        self.proof.write(coded).map_err(EncodeError::Disproved)?;
        self.passed += coded.len() as u64;
        let readable = self.passed.min(readable).saturating_sub(WITHHELD);
        if readable > self.committed {
            self.committed = readable;
            (self.commit)(readable);
        }
        Ok(())
    }

    /// Proves `payload` as far as it is written; `None` if the encode is given up.
    fn run(
        mut self,
        payload: &Payload,
        extents: &Receiver<Written>,
        given_up: &AtomicBool,
    ) -> Result<Option<Digest>, EncodeError> {
        let mut chunk = vec![0; PROOF_CHUNK];
        let mut written = Written::default();
        loop {
            if written.bytes == self.passed {
                let Ok(more) = extents.recv() else { break };
                written = more;
            }
            written = extents.try_iter().last().unwrap_or(written);
            if given_up.load(Ordering::Acquire) {
                break;
            }
            let left = usize::try_from(written.bytes - self.passed).unwrap_or(PROOF_CHUNK);
            let chunk = &mut chunk[..left.min(PROOF_CHUNK)];
            let read = read_full(&*payload.file, chunk, payload.start + self.passed);
            if read.map_err(EncodeError::Disk)? < chunk.len() {
                return Err(EncodeError::Disk(io::ErrorKind::UnexpectedEof.into()));
            }
            self.take(chunk, written.readable)?;
        }
        if given_up.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.proof.finish().map_err(EncodeError::Disproved)
    }
}

impl Sink for Inline<'_> {
    fn take(&mut self, coded: &[u8], readable: u64) -> Result<(), EncodeError> {
        self.0.take(coded, readable)
    }
}

impl Sink for Beside<'_> {
    fn take(&mut self, coded: &[u8], readable: u64) -> Result<(), EncodeError> {
        self.written.bytes += coded.len() as u64;
        self.written.readable = self.written.readable.max(readable.min(self.written.bytes));
        self.sender.send(self.written).map_err(|_| ended())
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        self.given_up.store(!self.whole, Ordering::Release);
    }
}

/// Runs `encode` and proves the output that it hands to its sink.
///
/// Given a payload, a thread beside the encode reads the output back from there. Without such a
/// thread the encode's own thread proves. The error of the proof overrules the result of `encode`,
/// because the proof judges earlier bytes.
pub(super) fn prove<'a>(
    beside: Option<Payload>,
    roundtrip: Roundtrip<'a>,
    encode: impl FnOnce(&mut dyn Sink) -> Result<(), EncodeError>,
) -> Result<Proven, EncodeError> {
    let Some(payload) = beside else {
        return prove_inline(roundtrip, encode);
    };
    // The proving thread takes the round trip from this place.
    let roundtrip = Mutex::new(Some(roundtrip));
    let take = || lock(&roundtrip).take();
    let given_up = &AtomicBool::new(false);
    let (sender, extents) = channel();
    thread::scope(|scope| {
        let run = move || {
            may_wait::allow();
            let before = cpu_time::time();
            let run = |own: Roundtrip<'_>| own.run(&payload, &extents, given_up);
            let found = take().map_or(Ok(None), run);
            found.map(|digest| Proven { digest, cpu: cpu_time::time().saturating_sub(before) })
        };
        // The new thread inherits the priority of this one.
        let thread = thread::Builder::new().name("cc-prove".to_owned());
        let Ok(thread) = thread.spawn_scoped(scope, run) else {
            // Without the thread the proof is only slower.
            return take().map_or_else(|| Err(ended()), |own| prove_inline(own, encode));
        };
        let mut beside = Beside { written: Written::default(), sender, whole: false, given_up };
        let encoded = encode(&mut beside);
        beside.whole = encoded.is_ok();
        drop(beside);
        let proven = thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        encoded.map(|()| proven)
    })
}

fn prove_inline(
    roundtrip: Roundtrip<'_>,
    encode: impl FnOnce(&mut dyn Sink) -> Result<(), EncodeError>,
) -> Result<Proven, EncodeError> {
    let mut sink = Inline(roundtrip);
    encode(&mut sink)?;
    let digest = sink.0.proof.finish().map_err(EncodeError::Disproved)?;
    Ok(Proven { digest, cpu: Duration::ZERO })
}

/// The error of a side whose other side has ended early. The other side's own error says why.
fn ended() -> EncodeError {
    EncodeError::Disproved(Error::new(ErrorKind::Encoder, "the proof has ended"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::codec::Decoding;
    use crate::error::Failure;
    use crate::fs::{Disk, MemoryDisk};

    /// A decoder of every byte to itself. It fails at a `!` and panics at a `?`.
    struct Plain;

    impl Decoding for Plain {
        fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
            assert!(!coded.contains(&b'?'), "on purpose");
            if coded.contains(&b'!') {
                return Err(Error::new(ErrorKind::Encoder, "disproved"));
            }
            sink(coded);
            Ok(())
        }

        fn finish(self: Box<Self>, _sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
            Ok(())
        }
    }

    /// Proves `parts`, of which the last may not be read before the end. Only the first `written`
    /// bytes are there to be read back. Also returns the commits.
    fn prove_as_written(
        beside: bool,
        parts: &[&[u8]],
        written: usize,
        end: Result<(), EncodeError>,
    ) -> (Result<Proven, EncodeError>, Vec<u64>) {
        let payload =
            Payload { file: MemoryDisk::new().create_unnamed(Path::new("/")).unwrap(), start: 7 };
        payload.file.write_all_at(&parts.concat()[..written], payload.start).unwrap();
        let committed = Mutex::new(Vec::new());
        let commit = |bytes| lock(&committed).push(bytes);
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let roundtrip = Roundtrip::new(Proof::new(Some(Box::new(Plain)), len), &commit);
        let proven = prove(beside.then_some(payload), roundtrip, |sink| {
            for (index, part) in parts.iter().enumerate() {
                sink.take(part, if index + 1 < parts.len() { u64::MAX } else { 0 })?;
            }
            end
        });
        (proven, committed.into_inner().unwrap())
    }

    fn prove_parts(
        beside: bool,
        parts: &[&[u8]],
        end: Result<(), EncodeError>,
    ) -> (Result<Proven, EncodeError>, Vec<u64>) {
        prove_as_written(beside, parts, parts.concat().len(), end)
    }

    fn gave_up() -> EncodeError {
        EncodeError::Encoder(Error::new(ErrorKind::Encoder, "gave up"))
    }

    fn message(proven: Result<Proven, EncodeError>) -> String {
        match proven {
            Ok(_) => "proven".to_owned(),
            Err(EncodeError::Encoder(error)) => format!("encoder: {error}"),
            Err(EncodeError::Disproved(error)) => format!("disproved: {error}"),
            Err(EncodeError::Failure(failure)) => format!("{failure:?}"),
            Err(EncodeError::Disk(error)) => format!("disk: {:?}", error.kind()),
        }
    }

    #[test]
    fn sinks_commit_the_same_bytes_and_find_the_same_digest() {
        let long = vec![b'a'; 3 * PROOF_CHUNK + 5];
        let parts = [&b"some"[..], b"", &long, b"the last"];
        for beside in [false, true] {
            let (proven, committed) = prove_parts(beside, &parts, Ok(()));
            let Ok(Proven { digest, cpu }) = proven else { panic!("not proven") };
            assert!(beside || cpu.is_zero(), "the encode's own thread counts its time itself");
            #[cfg(all(unix, not(cachecompress_portable)))]
            assert!(!beside || !cpu.is_zero(), "the thread beside it counts its time");
            assert_eq!(digest, Some(Digest::of(&parts.concat())), "beside: {beside}");
            let readable = (parts.concat().len() - parts[3].len()) as u64 - WITHHELD;
            assert_eq!(committed.last(), Some(&readable), "beside: {beside}");
            assert!(committed.is_sorted(), "{committed:?}");
        }
    }

    /// Bytes behind a fault never reach a reader, however far the encode is ahead. An encode may
    /// give up before its proof comes to the fault.
    #[test]
    fn bytes_behind_a_fault_are_never_committed() {
        let part = [b'a'; 1000];
        let parts = [&part[..], b"!", &part, &part, b""];
        for beside in [false, true] {
            for end in [Ok(()), Err(gave_up())] {
                let gave_up = beside && end.is_err();
                let (proven, committed) = prove_parts(beside, &parts, end);
                let message = message(proven);
                assert!(
                    message == "disproved: disproved" || gave_up && message == "encoder: gave up",
                    "beside: {beside}, {message}"
                );
                let before = committed.last().is_none_or(|last| *last == 1000 - WITHHELD);
                assert!(before && committed.len() <= 1, "beside: {beside}, {committed:?}");
            }
        }
    }

    /// The proof reads the bytes that lie in the file, not those that were handed to `write`.
    #[test]
    fn payload_that_cannot_be_read_back_is_not_proven() {
        let parts = [&[b'a'; 1000][..], b"b", b""];
        let (proven, committed) = prove_as_written(true, &parts, 999, Ok(()));
        assert_eq!(message(proven), "disk: UnexpectedEof");
        assert!(committed.iter().all(|bytes| *bytes <= 1000 - WITHHELD), "{committed:?}");
    }

    #[test]
    fn encode_that_gives_up_returns_its_own_error() {
        for beside in [false, true] {
            let (proven, committed) = prove_parts(beside, &[&[b'a'; 600], b"b"], Err(gave_up()));
            assert_eq!(message(proven), "encoder: gave up", "beside: {beside}");
            assert!(committed.iter().all(|bytes| *bytes == 600 - WITHHELD), "{committed:?}");
        }
    }

    /// A slow decoder that counts the bytes it takes.
    struct Slow(Arc<AtomicU64>);

    impl Decoding for Slow {
        fn write(&mut self, coded: &[u8], _: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
            thread::sleep(Duration::from_millis(5));
            self.0.fetch_add(coded.len() as u64, Ordering::Relaxed);
            Ok(())
        }

        fn finish(self: Box<Self>, _sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
            Ok(())
        }
    }

    /// The end of an encode that was cancelled waited for the proof of all that had been written.
    #[test]
    fn proof_stops_when_the_encode_gives_up() {
        let coded = vec![b'a'; 64 * PROOF_CHUNK];
        let file = MemoryDisk::new().create_unnamed(Path::new("/")).unwrap();
        file.write_all_at(&coded, 0).unwrap();
        let decoded = Arc::new(AtomicU64::new(0));
        let proof = Proof::new(Some(Box::new(Slow(Arc::clone(&decoded)))), u64::MAX);
        let roundtrip = Roundtrip::new(proof, &|_| ());
        let proven = prove(Some(Payload { file, start: 0 }), roundtrip, |sink| {
            sink.take(&coded, u64::MAX)?;
            Err(Failure::Dropped.into())
        });
        assert_eq!(message(proven), "Dropped");
        assert!(decoded.load(Ordering::Relaxed) < coded.len() as u64 / 2);
    }

    #[test]
    fn panic_of_a_decoder_reaches_the_caller() {
        for beside in [false, true] {
            let outcome =
                std::panic::catch_unwind(|| prove_parts(beside, &[b"a?", b"b"], Ok(())).1);
            assert!(outcome.is_err(), "beside: {beside}");
        }
    }
}
