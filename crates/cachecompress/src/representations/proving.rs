//! The proof of an encode, on a thread beside it.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use super::encode::Trouble;
use crate::codec::Proof;
use crate::error::{Error, ErrorKind};
use crate::semantics::Digest;
use crate::sync::{Mutex, lock};
use crate::threads::cpu_time;

/// The last bytes of a payload, which readers get only once it is proven.
const WITHHELD: u64 = 256;

/// How many chunks may wait for the proof, so that neither side waits for each of the other's.
const WAITING: usize = 8;

/// The longest chunk: with [`WAITING`], what bounds the memory between the two sides.
const CHUNK: usize = 128 * 1024;

/// Proves what an encode emits, and lets readers have what has passed.
pub(super) struct Proving<'a> {
    proof: Proof,
    passed: u64,
    /// Is told how many bytes may be read.
    commit: &'a (dyn Fn(u64) + Sync),
}

/// Where the output of an encode goes.
pub(super) enum Judge<'a> {
    /// Proven at once, by the encode's own thread.
    Here(Proving<'a>),
    /// Proven on a thread of its own.
    Beside { chunks: SyncSender<Chunk>, used: Receiver<Vec<u8>> },
}

/// What goes to the thread that proves.
pub(super) enum Chunk {
    Coded { bytes: Vec<u8>, readable: bool },
    End,
}

/// What a proof has found, and the time that it took on a thread of its own.
pub(super) struct Proven {
    /// The digest of what the output decodes to, if it was decoded.
    pub(super) digest: Option<Digest>,
    pub(super) cpu: Duration,
}

impl<'a> Proving<'a> {
    pub(super) fn new(proof: Proof, commit: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { proof, passed: 0, commit }
    }

    fn take(&mut self, coded: &[u8], readable: bool) -> Result<(), Error> {
        self.proof.write(coded)?;
        self.passed += coded.len() as u64;
        if readable {
            (self.commit)(self.passed.saturating_sub(WITHHELD));
        }
        Ok(())
    }

    /// Proves what comes, and gives the buffers back. `None` if the end does not come, as the
    /// encode was given up.
    fn run(
        mut self,
        chunks: &Receiver<Chunk>,
        used: &Sender<Vec<u8>>,
    ) -> Result<Option<Digest>, Error> {
        for chunk in chunks {
            match chunk {
                Chunk::Coded { bytes, readable } => {
                    self.take(&bytes, readable)?;
                    // Nobody takes it any more at the end.
                    let _ = used.send(bytes);
                }
                Chunk::End => return self.proof.finish(),
            }
        }
        Ok(None)
    }
}

impl Judge<'_> {
    /// Takes the next output, and leaves `coded` empty. What is `readable` may be read as soon
    /// as it has passed, but for the last bytes; all else at the end.
    pub(super) fn take(&mut self, coded: &mut Vec<u8>, readable: bool) -> Result<(), Trouble> {
        match self {
            Self::Here(proving) => {
                proving.take(coded, readable).map_err(Trouble::Disproved)?;
                coded.clear();
            }
            Self::Beside { chunks, used } => {
                for part in coded.chunks(CHUNK) {
                    // Copied, so that there are never more buffers than wait, nor larger ones.
                    let mut bytes = used.try_recv().unwrap_or_default();
                    bytes.clear();
                    bytes.extend_from_slice(part);
                    chunks.send(Chunk::Coded { bytes, readable }).map_err(|_| ended())?;
                }
                coded.clear();
            }
        }
        Ok(())
    }
}

/// Runs `encode`, and proves what it hands to its judge: `beside` it, if there is a thread to be
/// had. A proof that fails counts for more than what `encode` returns, because it judges what
/// came first.
pub(super) fn prove<'a>(
    beside: bool,
    proving: Proving<'a>,
    encode: impl FnOnce(&mut Judge<'a>) -> Result<(), Trouble>,
) -> Result<Proven, Trouble> {
    if !beside {
        return prove_here(proving, encode);
    }
    // Whoever proves takes it from here.
    let proving = Mutex::new(Some(proving));
    let take = || lock(&proving).take();
    thread::scope(|scope| {
        let (chunks, taken) = sync_channel(WAITING);
        let (back, used) = channel();
        let run = move || {
            let before = cpu_time();
            let found = take().map_or(Ok(None), |proving| proving.run(&taken, &back));
            found.map(|digest| Proven { digest, cpu: cpu_time().saturating_sub(before) })
        };
        // It has the priority of the thread that starts it.
        let thread = thread::Builder::new().name("cc-prove".to_owned());
        let Ok(thread) = thread.spawn_scoped(scope, run) else {
            // Where there is none to be had, it is only slower.
            return take().map_or_else(|| Err(ended()), |proving| prove_here(proving, encode));
        };
        let mut judge = Judge::Beside { chunks, used };
        let mut encoded = encode(&mut judge);
        if let (Ok(()), Judge::Beside { chunks, .. }) = (&encoded, &judge) {
            encoded = chunks.send(Chunk::End).map_err(|_| ended());
        }
        drop(judge);
        let proven = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        let proven = proven.map_err(Trouble::Disproved)?;
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
        Judge::Beside { .. } => None,
    };
    Ok(Proven { digest, cpu: Duration::ZERO })
}

/// The other side has ended before its time, and says itself why.
fn ended() -> Trouble {
    Trouble::Disproved(Error::new(ErrorKind::Encoder, "the proof has ended"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Decoding;

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
    /// committed.
    fn judged(
        beside: bool,
        parts: &[&[u8]],
        end: Result<(), Trouble>,
    ) -> (Result<Proven, Trouble>, Vec<u64>) {
        let committed = Mutex::new(Vec::new());
        let commit = |bytes| lock(&committed).push(bytes);
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let proving = Proving::new(Proof::new(Some(Box::new(Plain)), len), &commit);
        let proven = prove(beside, proving, |judge| {
            let mut coded = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                coded.extend_from_slice(part);
                judge.take(&mut coded, index + 1 < parts.len())?;
                assert!(coded.is_empty());
            }
            end
        });
        (proven, committed.into_inner().unwrap())
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

    /// What lies behind a fault never reaches a reader, however far the encode is ahead.
    #[test]
    fn nothing_is_committed_from_what_is_disproved_on() {
        let part = [b'a'; 1000];
        let parts = [&part[..], b"!", &part, &part, b""];
        for beside in [false, true] {
            for end in [Ok(()), Err(gave_up())] {
                let (proven, committed) = judged(beside, &parts, end);
                assert_eq!(message(proven), "disproved: disproved", "beside: {beside}");
                assert_eq!(committed, [1000 - WITHHELD], "beside: {beside}");
            }
        }
    }

    #[test]
    fn an_encode_that_gives_up_says_why_and_leaves_no_thread() {
        for beside in [false, true] {
            let (proven, committed) = judged(beside, &[&[b'a'; 600], b"b"], Err(gave_up()));
            assert_eq!(message(proven), "encoder: gave up", "beside: {beside}");
            assert_eq!(committed, [600 - WITHHELD], "beside: {beside}");
        }
    }

    #[test]
    fn a_decoder_that_panics_is_the_callers_panic() {
        for beside in [false, true] {
            let judged = std::panic::catch_unwind(|| judged(beside, &[b"a?", b"b"], Ok(())).1);
            assert!(judged.is_err(), "beside: {beside}");
        }
    }
}
