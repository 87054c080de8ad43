//! The proof of an encode, on a thread beside it.

use std::io;
use std::panic::resume_unwind;
use std::sync::{Condvar, PoisonError};
use std::thread;
use std::time::Duration;

use crate::cache::Payload;
use crate::codec::Proof;
use crate::concurrency::cpu_time as cpu;
use crate::concurrency::sync::{Mutex, MutexGuard, lock};
use crate::encode::job::Trouble;
use crate::error::{Error, ErrorKind};
use crate::fs::read_full;
use crate::http::Digest;

/// The last bytes of a payload, which readers get only once it is proven.
const WITHHELD: u64 = 256;

/// How much of a payload is read back at a time, and at most passes between two commits.
const CHUNK: usize = 128 * 1024;

/// Proves what an encode emits, and lets readers have what has passed.
pub(crate) struct Proving<'a> {
    proof: Proof,
    passed: u64,
    committed: u64,
    /// Is told how many bytes may be read.
    commit: &'a (dyn Fn(u64) + Sync),
}

/// Where the output of an encode goes, once it is written.
pub(crate) enum Judge<'a> {
    /// Proven at once, by the encode's own thread.
    Here(Proving<'a>),
    /// Proven on a thread of its own, which reads it back.
    Beside(Writing<'a>),
}

/// What has been written of a payload, as the thread that proves it is told.
#[derive(Default)]
struct Written {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    bytes: u64,
    /// How many of them readers may have once they have passed, but for the last ones.
    readable: u64,
    end: Option<End>,
    /// Nobody proves it any more.
    left: bool,
}

/// How the encode ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    /// What was written of it is not worth a proof any more.
    GivenUp,
}

/// The encode's side of [`Written`]; dropped before the end, it gives up.
pub(crate) struct Writing<'a>(&'a Written);

/// The proof's side of it.
struct Reading<'a>(&'a Written);

/// What a proof has found, and the time that it took on a thread of its own.
pub(crate) struct Proven {
    /// The digest of what the output decodes to, if it was decoded.
    pub(crate) digest: Option<Digest>,
    pub(crate) cpu: Duration,
}

impl<'a> Proving<'a> {
    pub(crate) fn new(proof: Proof, commit: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { proof, passed: 0, committed: 0, commit }
    }

    /// Takes what comes next, of which readers may have what is not beyond `readable`.
    fn take(&mut self, coded: &[u8], readable: u64) -> Result<(), Trouble> {
        self.proof.write(coded).map_err(Trouble::Disproved)?;
        self.passed += coded.len() as u64;
        let readable = self.passed.min(readable).saturating_sub(WITHHELD);
        if readable > self.committed {
            self.committed = readable;
            (self.commit)(readable);
        }
        Ok(())
    }

    /// Proves what `payload` holds as far as it is written. `None` if the end does not come, as
    /// the encode was given up.
    fn run(mut self, payload: &Payload, written: &Reading<'_>) -> Result<Option<Digest>, Trouble> {
        let mut chunk = vec![0; CHUNK];
        while let Some((bytes, readable)) = written.beyond(self.passed) {
            let len = usize::try_from(bytes - self.passed).unwrap_or(CHUNK).min(CHUNK);
            let chunk = &mut chunk[..len];
            let read = read_full(&*payload.file, chunk, payload.start + self.passed);
            if read.map_err(Trouble::Disk)? < len {
                return Err(Trouble::Disk(io::ErrorKind::UnexpectedEof.into()));
            }
            self.take(chunk, readable)?;
        }
        match written.0.lock().end {
            Some(End::Whole) => self.proof.finish().map_err(Trouble::Disproved),
            Some(End::GivenUp) | None => Ok(None),
        }
    }
}

impl Written {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Writing<'_> {
    fn add(&self, bytes: u64, readable: bool) -> Result<(), Trouble> {
        let mut state = self.0.lock();
        state.bytes += bytes;
        if readable {
            state.readable = state.bytes;
        }
        let left = state.left;
        drop(state);
        self.0.more.notify_one();
        if left { Err(ended()) } else { Ok(()) }
    }

    fn end(&self, end: End) {
        self.0.lock().end.get_or_insert(end);
        self.0.more.notify_one();
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.end(End::GivenUp);
    }
}

impl Reading<'_> {
    /// Waits until more than `passed` bytes are written; how many are, and how many of them are
    /// readable. `None` if there will not be more, or not to an end.
    fn beyond(&self, passed: u64) -> Option<(u64, u64)> {
        let mut state = self.0.lock();
        loop {
            if state.end == Some(End::GivenUp) {
                return None;
            }
            if state.bytes > passed {
                return Some((state.bytes, state.readable));
            }
            if state.end.is_some() {
                return None;
            }
            state = self.0.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.lock().left = true;
    }
}

impl Judge<'_> {
    /// Takes the next output, which has been written. What is `readable` may be read as soon as
    /// it has passed, but for the last bytes; all else at the end.
    pub(crate) fn take(&mut self, coded: &[u8], readable: bool) -> Result<(), Trouble> {
        match self {
            Self::Here(proving) => {
                let readable = if readable { u64::MAX } else { 0 };
                proving.take(coded, readable)
            }
            Self::Beside(writing) => writing.add(coded.len() as u64, readable),
        }
    }
}

/// Runs `encode`, and proves what it hands to its judge: `beside` it, if there is a thread to be
/// had, which reads it from where it was written. A proof that has failed counts for more than
/// what `encode` returns, because it judges what came first.
pub(crate) fn prove<'a>(
    beside: Option<Payload>,
    proving: Proving<'a>,
    encode: impl FnOnce(&mut Judge<'_>) -> Result<(), Trouble>,
) -> Result<Proven, Trouble> {
    let Some(payload) = beside else {
        return prove_here(proving, encode);
    };
    // Whoever proves takes it from here.
    let proving = Mutex::new(Some(proving));
    let take = || lock(&proving).take();
    let written = Written::default();
    thread::scope(|scope| {
        let reading = Reading(&written);
        let run = move || {
            let before = cpu::time();
            let found = take().map_or(Ok(None), |proving| proving.run(&payload, &reading));
            found.map(|digest| Proven { digest, cpu: cpu::time().saturating_sub(before) })
        };
        // It has the priority of the thread that starts it.
        let thread = thread::Builder::new().name("cc-prove".to_owned());
        let Ok(thread) = thread.spawn_scoped(scope, run) else {
            // Where there is none to be had, it is only slower.
            return take().map_or_else(|| Err(ended()), |proving| prove_here(proving, encode));
        };
        let mut judge = Judge::Beside(Writing(&written));
        let encoded = encode(&mut judge);
        if let (Ok(()), Judge::Beside(writing)) = (&encoded, &judge) {
            writing.end(End::Whole);
        }
        drop(judge);
        let proven = thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        encoded.map(|()| proven)
    })
}

fn prove_here<'a>(
    proving: Proving<'a>,
    encode: impl FnOnce(&mut Judge<'a>) -> Result<(), Trouble>,
) -> Result<Proven, Trouble> {
    let mut judge = Judge::Here(proving);
    encode(&mut judge)?;
    let digest = match judge {
        Judge::Here(proving) => proving.proof.finish().map_err(Trouble::Disproved)?,
        Judge::Beside(_) => None,
    };
    Ok(Proven { digest, cpu: Duration::ZERO })
}

/// The other side has ended before its time, and says itself why.
fn ended() -> Trouble {
    Trouble::Disproved(Error::new(ErrorKind::Encoder, "the proof has ended"))
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

    /// Decodes every byte to itself, up to a `!`, which it does not know, or a `?`, at which it
    /// panics.
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

    /// Proves `parts`, of which the last may not be read before the end; also returns what was
    /// committed. Only the first `written` bytes of them are there to be read back.
    fn judged_as_written(
        beside: bool,
        parts: &[&[u8]],
        written: usize,
        end: Result<(), Trouble>,
    ) -> (Result<Proven, Trouble>, Vec<u64>) {
        let payload =
            Payload { file: MemoryDisk::new().create_unnamed(Path::new("/")).unwrap(), start: 7 };
        payload.file.write_all_at(&parts.concat()[..written], payload.start).unwrap();
        let committed = Mutex::new(Vec::new());
        let commit = |bytes| lock(&committed).push(bytes);
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let proving = Proving::new(Proof::new(Some(Box::new(Plain)), len), &commit);
        let proven = prove(beside.then_some(payload), proving, |judge| {
            for (index, part) in parts.iter().enumerate() {
                judge.take(part, index + 1 < parts.len())?;
            }
            end
        });
        (proven, committed.into_inner().unwrap())
    }

    fn judged(
        beside: bool,
        parts: &[&[u8]],
        end: Result<(), Trouble>,
    ) -> (Result<Proven, Trouble>, Vec<u64>) {
        judged_as_written(beside, parts, parts.concat().len(), end)
    }

    fn gave_up() -> Trouble {
        Trouble::Encoder(Error::new(ErrorKind::Encoder, "gave up"))
    }

    fn message(proven: Result<Proven, Trouble>) -> String {
        match proven {
            Ok(_) => "proven".to_owned(),
            Err(Trouble::Encoder(error)) => format!("encoder: {error}"),
            Err(Trouble::Disproved(error)) => format!("disproved: {error}"),
            Err(Trouble::Failure(failure)) => format!("{failure:?}"),
            Err(Trouble::Disk(error)) => format!("disk: {:?}", error.kind()),
        }
    }

    #[test]
    fn here_and_beside_readers_get_the_same_and_the_digest_is_the_same() {
        let long = vec![b'a'; 3 * CHUNK + 5];
        let parts = [&b"some"[..], b"", &long, b"the last"];
        for beside in [false, true] {
            let (proven, committed) = judged(beside, &parts, Ok(()));
            let Ok(Proven { digest, cpu }) = proven else { panic!("not proven") };
            assert!(beside || cpu.is_zero(), "counted by the thread of the encode itself");
            #[cfg(all(unix, not(cachecompress_portable)))]
            assert!(!beside || !cpu.is_zero(), "the thread beside it counts, too");
            assert_eq!(digest, Some(Digest::of(&parts.concat())), "beside: {beside}");
            let readable = (parts.concat().len() - parts[3].len()) as u64 - WITHHELD;
            assert_eq!(committed.last(), Some(&readable), "beside: {beside}");
            assert!(committed.is_sorted(), "{committed:?}");
        }
    }

    /// What lies behind a fault never reaches a reader, however far the encode is ahead. An encode
    /// that gives up may do so before its proof comes to that.
    #[test]
    fn nothing_is_committed_from_what_is_disproved_on() {
        let part = [b'a'; 1000];
        let parts = [&part[..], b"!", &part, &part, b""];
        for beside in [false, true] {
            for end in [Ok(()), Err(gave_up())] {
                let gave_up = beside && end.is_err();
                let (proven, committed) = judged(beside, &parts, end);
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

    /// What is proven is what lies there, not what was written.
    #[test]
    fn what_cannot_be_read_back_is_not_proven() {
        let parts = [&[b'a'; 1000][..], b"b", b""];
        let (proven, committed) = judged_as_written(true, &parts, 999, Ok(()));
        assert_eq!(message(proven), "disk: UnexpectedEof");
        assert!(committed.iter().all(|bytes| *bytes <= 1000 - WITHHELD), "{committed:?}");
    }

    #[test]
    fn an_encode_that_gives_up_says_why_and_leaves_no_thread() {
        for beside in [false, true] {
            let (proven, committed) = judged(beside, &[&[b'a'; 600], b"b"], Err(gave_up()));
            assert_eq!(message(proven), "encoder: gave up", "beside: {beside}");
            assert!(committed.iter().all(|bytes| *bytes == 600 - WITHHELD), "{committed:?}");
        }
    }

    /// Counts what it decodes, and takes its time.
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
    fn what_is_given_up_is_not_proven_to_its_end() {
        let coded = vec![b'a'; 64 * CHUNK];
        let file = MemoryDisk::new().create_unnamed(Path::new("/")).unwrap();
        file.write_all_at(&coded, 0).unwrap();
        let decoded = Arc::new(AtomicU64::new(0));
        let proof = Proof::new(Some(Box::new(Slow(Arc::clone(&decoded)))), u64::MAX);
        let proving = Proving::new(proof, &|_| ());
        let proven = prove(Some(Payload { file, start: 0 }), proving, |judge| {
            judge.take(&coded, true)?;
            Err(Failure::Dropped.into())
        });
        assert_eq!(message(proven), "Dropped");
        assert!(decoded.load(Ordering::Relaxed) < coded.len() as u64 / 2);
    }

    #[test]
    fn a_decoder_that_panics_is_the_callers_panic() {
        for beside in [false, true] {
            let judged = std::panic::catch_unwind(|| judged(beside, &[b"a?", b"b"], Ok(())).1);
            assert!(judged.is_err(), "beside: {beside}");
        }
    }
}
