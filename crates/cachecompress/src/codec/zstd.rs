//! The `zstd` coding: RFC 8878, with the window of RFC 9659.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use zrip::FrameDecoder;
use zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

use super::feed::Feed;
use super::limit::Limit;
use super::pool::Pool;
use super::traits::{Decoding, Dictionary, Encoder, Encoding, Settings};
use crate::concurrency::cpu_time as cpu;
use crate::error::{Error, ErrorKind};

/// RFC 9659 §3: no frame may need a larger window than 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;

/// The longest block, decoded, in bytes: RFC 8878 §3.1.1.2.4.
const BLOCK: usize = 128 * 1024;

/// From this level on libzstd would like a window of the largest size or more. Below, its own
/// smaller windows are kept: they are a part of what makes those levels fast.
const LEVEL_OF_LARGEST_WINDOW: i32 = 17;

/// Sources from this length on are encoded in jobs, by one thread or several: the bytes depend on
/// whether there are jobs, but not on how many threads take them. Not at levels with the largest
/// window, of which each job would read half or all anew: that takes one thread 1.4 times as long.
const LARGE: u64 = 16 << 20;

/// How long a job is, in bytes of the source. Each begins with what the one before it ended with
/// in its window, as far as libzstd finds it worth while.
const JOB: u32 = 4 << 20;

/// The first job is shorter, as somebody waits for its output.
const FIRST_JOB: u64 = 256 << 10;

/// What is taken at a time of what comes of the last jobs: libzstd waits until it has so much.
const PART: usize = 16 << 10;

/// More threads than this would wait for the one that proves what they encode.
const MOST_THREADS: usize = 4;

/// `zstd` by libzstd.
///
/// - One frame, with content size and checksum, without a dictionary id.
/// - The window is never larger than 8 MiB (RFC 9659), nor than the source needs.
/// - No long-distance matching. Up to 16 MiB one thread without flushes: libzstd emits a block for
///   every 128 KiB of source. At levels up to 16, larger sources are encoded in jobs of 4 MiB, the
///   first one of 256 KiB, by one to four threads beside the one that writes, with the same bytes
///   for any number.
/// - Knows nothing of dictionaries yet.
#[derive(Debug)]
pub struct Zstd {
    level: i32,
    idle: Arc<Pool<Context>>,
}

/// A context of libzstd's and the buffer it writes to.
struct Context {
    zstd: CCtx<'static>,
    buffer: Box<[u8]>,
}

impl Zstd {
    /// The level unless another is asked for.
    pub const DEFAULT_LEVEL: i32 = 3;

    /// Creates an encoder for a level from 1 (fastest) to 22 (smallest).
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) for any other level.
    pub fn new(level: i32) -> Result<Self, Error> {
        if !(1..=22).contains(&level) {
            return Err(Error::config(format!(
                "zstd has no level {level} here: choose one from 1 (fastest) to 22 (smallest)"
            )));
        }
        Ok(Self { level, idle: Arc::new(Pool::new()) })
    }

    /// Whether a source of this length is encoded in jobs.
    fn has_jobs(&self, source_len: u64) -> bool {
        self.level < LEVEL_OF_LARGEST_WINDOW && source_len >= LARGE
    }
}

impl Context {
    fn new() -> Result<Self, Error> {
        let zstd = CCtx::try_create()
            .ok_or_else(|| Error::new(ErrorKind::Busy, "libzstd has no memory for a context"))?;
        Ok(Self { zstd, buffer: vec![0; CCtx::out_size()].into_boxed_slice() })
    }
}

impl Encoder for Zstd {
    fn settings(&self) -> Settings {
        Settings {
            encoder: Cow::Borrowed("libzstd"),
            version: Cow::Borrowed(zstd_safe::version_string()),
            parameters: vec![
                ("level", i64::from(self.level)),
                ("window_log_max", i64::from(WINDOW_LOG_MAX)),
                ("checksum", 1),
                ("content_size", 1),
                ("long_distance", 0),
                ("jobs_from", if self.has_jobs(LARGE) { LARGE as i64 } else { 0 }),
                ("job", i64::from(JOB)),
                ("first_job", FIRST_JOB as i64),
            ],
        }
    }

    fn begin(
        &self,
        source_len: u64,
        dictionary: Option<&Dictionary>,
    ) -> Result<Box<dyn Encoding>, Error> {
        if dictionary.is_some() {
            return Err(Error::config("the zstd encoder knows nothing of dictionaries"));
        }
        let jobs = self.has_jobs(source_len).then(Jobs::default);
        // With jobs, each thread has a context of its own.
        let used = if jobs.is_some() { None } else { self.idle.take() };
        let mut context = used.map_or_else(Context::new, Ok)?;
        let zstd = &mut context.zstd;
        zstd.reset(ResetDirective::SessionAndParameters).map_err(failed)?;
        zstd.set_parameter(CParameter::CompressionLevel(self.level)).map_err(failed)?;
        if self.level >= LEVEL_OF_LARGEST_WINDOW {
            zstd.set_parameter(CParameter::WindowLog(WINDOW_LOG_MAX)).map_err(failed)?;
        }
        // Long-distance matching is left alone: libzstd turns it on by itself only for windows
        // of 128 MiB, and "false" here would mean that choice anyway.
        zstd.set_parameter(CParameter::ChecksumFlag(true)).map_err(failed)?;
        zstd.set_parameter(CParameter::ContentSizeFlag(true)).map_err(failed)?;
        zstd.set_parameter(CParameter::DictIdFlag(false)).map_err(failed)?;
        zstd.set_pledged_src_size(Some(source_len)).map_err(failed)?;
        if let Some(jobs) = &jobs {
            zstd.set_parameter(CParameter::NbWorkers(jobs.threads)).map_err(failed)?;
            zstd.set_parameter(CParameter::JobSize(JOB)).map_err(failed)?;
        }
        Ok(Box::new(ZstdEncoding {
            feed: Feed::new(source_len),
            context: Some(context),
            jobs,
            idle: Arc::clone(&self.idle),
        }))
    }

    fn decoder(&self, dictionary: Option<&Dictionary>) -> Option<Box<dyn Decoding>> {
        dictionary.is_none().then(|| Box::new(ZstdDecoding::new()) as Box<dyn Decoding>)
    }
}

struct ZstdEncoding {
    feed: Feed,
    /// There until the encoding is dropped.
    context: Option<Context>,
    /// If it is encoded in jobs.
    jobs: Option<Jobs>,
    idle: Arc<Pool<Context>>,
}

/// The jobs of a large source.
struct Jobs {
    threads: u32,
    /// The threads, once there are any.
    hired: Option<cpu::Hired>,
    fed: u64,
    /// The rest of a piece for which libzstd has no room yet.
    left: Vec<u8>,
    /// Whether all of them are through.
    ended: bool,
}

impl Default for Jobs {
    fn default() -> Self {
        Self { threads: 1, hired: None, fed: 0, left: Vec::new(), ended: false }
    }
}

/// What libzstd is to do with what it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Push {
    Flush,
    End,
}

impl Context {
    /// Writes what there is room for, and returns how much that is. If it is not all, libzstd has
    /// waited for output of the oldest job.
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<usize, Error> {
        let mut taken = 0;
        loop {
            let (more, is_full) = self.write_once(&piece[taken..], out)?;
            taken += more;
            if !is_full && (more == 0 || taken == piece.len()) {
                return Ok(taken);
            }
        }
    }

    /// Has libzstd take and give what it can at once; with jobs and no room, it waits for output of
    /// the oldest. Returns how much it took, and whether there may be more output.
    fn write_once(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(usize, bool), Error> {
        let mut input = InBuffer::around(piece);
        let mut output = OutBuffer::around(&mut self.buffer[..]);
        self.zstd.compress_stream(&mut output, &mut input).map_err(failed)?;
        let written = output.pos();
        out.extend_from_slice(&self.buffer[..written]);
        Ok((input.pos(), written == self.buffer.len()))
    }

    /// Appends at most `part` bytes of what comes of all that was written, and returns whether that
    /// is the rest.
    fn push(&mut self, push: Push, part: usize, out: &mut Vec<u8>) -> Result<bool, Error> {
        let part = part.min(self.buffer.len());
        let mut output = OutBuffer::around(&mut self.buffer[..part]);
        let left = match push {
            Push::Flush => self.zstd.flush_stream(&mut output),
            Push::End => self.zstd.end_stream(&mut output),
        };
        let left = left.map_err(failed)?;
        let written = output.pos();
        out.extend_from_slice(&self.buffer[..written]);
        Ok(left == 0)
    }
}

impl Jobs {
    fn write(
        &mut self,
        context: &mut Context,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        // Whoever does not ask whether it is behind waits here.
        while !self.left.is_empty() {
            self.wait(context, out)?;
        }
        let taken = if self.hired.is_some() {
            context.write(piece, out)?
        } else {
            // The first write starts the threads.
            let (hired, taken) = cpu::Hired::by(|| context.write(piece, out));
            self.hired = Some(hired);
            taken?
        };
        self.left.extend_from_slice(&piece[taken..]);
        self.fed += piece.len() as u64;
        if self.fed == FIRST_JOB {
            // Which job a piece is in depends on nothing but its place.
            debug_assert!(self.left.is_empty(), "there is room for the first job");
            while !context.push(Push::Flush, usize::MAX, out)? {}
        }
        Ok(())
    }

    /// Waits for some output of the oldest job, at most, and writes what is left if there is room.
    fn wait(&mut self, context: &mut Context, out: &mut Vec<u8>) -> Result<(), Error> {
        let (taken, _) = context.write_once(&self.left, out)?;
        self.left.drain(..taken);
        Ok(())
    }

    /// Has their threads, and what is left of the context, end.
    fn end(self, context: Context) {
        if self.fed > 0 && !self.ended {
            // libzstd finishes what was begun, for which nobody is to wait. Where there is no
            // thread to be had, this one does.
            let drop = move || drop(context);
            let _ = thread::Builder::new().name("cc-give-up".to_owned()).spawn(drop);
        }
    }
}

impl Encoding for ZstdEncoding {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.take(piece)?;
        let context = self.context.as_mut().ok_or_else(gone)?;
        match &mut self.jobs {
            Some(jobs) => jobs.write(context, piece, out),
            None => context.write(piece, out).map(drop),
        }
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.finish()?;
        if self.jobs.is_none() {
            let context = self.context.as_mut().ok_or_else(gone)?;
            while !context.push(Push::End, usize::MAX, out)? {}
        }
        while self.is_behind() {
            self.wait(out)?;
        }
        if let Some(hired) = self.jobs.as_mut().and_then(|jobs| jobs.hired.take()) {
            hired.settle();
        }
        Ok(())
    }

    fn spread(&mut self, threads: usize) -> usize {
        let (Some(jobs), Some(context)) = (&mut self.jobs, &mut self.context) else { return 0 };
        let count = threads.clamp(1, MOST_THREADS) as u32;
        // It may only be too late for that, and then it is left as it was.
        if context.zstd.set_parameter(CParameter::NbWorkers(count)).is_ok() {
            jobs.threads = count;
        }
        jobs.threads as usize
    }

    fn is_behind(&self) -> bool {
        let (Some(jobs), Some(context)) = (&self.jobs, &self.context) else { return false };
        if self.feed.is_complete() {
            return !jobs.ended;
        }
        // With a whole job that no thread takes yet, it has no room for more.
        let begun = || context.zstd.get_frame_progression().nbActiveWorkers;
        !jobs.left.is_empty() || begun() > jobs.threads
    }

    fn wait(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let (Some(jobs), Some(context)) = (&mut self.jobs, &mut self.context) else {
            return Ok(());
        };
        if jobs.left.is_empty() && self.feed.is_complete() {
            jobs.ended = context.push(Push::End, PART, out)?;
            return Ok(());
        }
        jobs.wait(context, out)
    }
}

impl Drop for ZstdEncoding {
    fn drop(&mut self) {
        let Some(context) = self.context.take() else { return };
        match self.jobs.take() {
            // It has threads, of the priority of the one that started them.
            Some(jobs) => jobs.end(context),
            None => {
                let bytes = context.zstd.sizeof();
                self.idle.give(context, bytes);
            }
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

fn failed(code: usize) -> Error {
    let no_memory = ZSTD_ErrorCode::ZSTD_error_memory_allocation as usize;
    // ThreadPool that cannot be had are told as memory, too.
    let is_busy = code == no_memory.wrapping_neg();
    let kind = if is_busy { ErrorKind::Busy } else { ErrorKind::Encoder };
    Error::new(kind, format!("libzstd failed: {}", zstd_safe::get_error_name(code)))
}

fn gone() -> Error {
    Error::new(ErrorKind::Encoder, "the zstd context is gone")
}

/// One frame of RFC 8878, decoded by `zrip`, which reads whole blocks from [`Coded`].
struct ZstdDecoding {
    frame: FrameDecoder<Coded>,
    coded: Coded,
    decoded: Box<[u8]>,
    /// The beginning of a header or block whose end is still to come.
    pending: Vec<u8>,
    next: Next,
    checksum: bool,
    limit: Limit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Header,
    Block,
    Nothing,
}

/// What the decoder has not read yet: the frame's header, until the first block is whole, and
/// one block.
#[derive(Clone, Default)]
struct Coded(Arc<Mutex<VecDeque<u8>>>);

impl Coded {
    fn lock(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Coded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buffer)
    }
}

impl ZstdDecoding {
    fn new() -> Self {
        let coded = Coded::default();
        Self {
            // What may come out is counted here.
            frame: FrameDecoder::with_limit(coded.clone(), usize::MAX),
            coded,
            decoded: vec![0; BLOCK].into_boxed_slice(),
            pending: Vec::new(),
            next: Next::Header,
            checksum: false,
            limit: Limit::NONE,
        }
    }

    /// How long the header or block is that begins with `bytes`, as far as they tell: more
    /// than they are, or the whole.
    fn unit_len(&self, bytes: &[u8]) -> usize {
        match (self.next, bytes) {
            (Next::Header, [_, _, _, _, descriptor, ..]) => frame_header_len(*descriptor),
            (Next::Header, _) => 5,
            (Next::Block, [a, b, c, ..]) => {
                let header = u32::from_le_bytes([*a, *b, *c, 0]);
                let size = (header >> 3) as usize;
                // RFC 8878 §3.1.1.2.2: a block of type 1 repeats one byte.
                let content = if header >> 1 & 3 == 1 { 1 } else { size };
                let checksum = if header & 1 == 1 && self.checksum { 4 } else { 0 };
                3 + content + checksum
            }
            (Next::Block, _) => 3,
            (Next::Nothing, _) => 0,
        }
    }

    fn unit(&mut self, unit: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        match self.next {
            Next::Header => self.header(unit),
            Next::Block => self.block(unit, sink),
            Next::Nothing => Err(wrong("something follows the end of the zstd frame")),
        }
    }

    fn header(&mut self, unit: &[u8]) -> Result<(), Error> {
        if window(unit) > 1 << WINDOW_LOG_MAX {
            return Err(wrong("a zstd frame needs a larger window than 8 MiB"));
        }
        self.checksum = unit[4] & 0b100 != 0;
        self.coded.lock().extend(unit);
        self.next = Next::Block;
        Ok(())
    }

    fn block(&mut self, unit: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.coded.lock().extend(unit);
        let len = self.decode()?;
        sink(&self.decoded[..len]);
        self.limit.spend(len)?;
        if unit[0] & 1 == 1 {
            self.next = Next::Nothing;
            // The checksum, and the end.
            self.decode()?;
        }
        Ok(())
    }

    /// Decodes a block, or finds the end. No block is longer than [`BLOCK`].
    fn decode(&mut self) -> Result<usize, Error> {
        let read = self.frame.read(&mut self.decoded);
        read.map_err(|cause| wrong("a broken zstd frame").with_cause(cause))
    }
}

/// The window that a frame's header declares, RFC 8878 §3.1.1.1.2.
fn window(header: &[u8]) -> u64 {
    let descriptor = header[4];
    if descriptor & 0b10_0000 == 0 {
        let base = 1_u64 << (10 + (header[5] >> 3));
        return base + base / 8 * u64::from(header[5] & 7);
    }
    let mut size = [0; 8];
    let len = 1 << (descriptor >> 6);
    size[..len].copy_from_slice(&header[5..5 + len]);
    u64::from_le_bytes(size) + if len == 2 { 256 } else { 0 }
}

/// RFC 8878 §3.1.1.1: magic, descriptor, window, dictionary id, content size.
fn frame_header_len(descriptor: u8) -> usize {
    let single_segment = descriptor & 0b10_0000 != 0;
    let window = usize::from(!single_segment);
    let dictionary_id = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(single_segment),
        flag => 1 << flag,
    };
    4 + 1 + window + dictionary_id + content_size
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::Encoder, message)
}

impl Decoding for ZstdDecoding {
    fn write(&mut self, mut coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        while !coded.is_empty() {
            if self.pending.is_empty() {
                let len = self.unit_len(coded);
                if let Some((unit, rest)) = coded.split_at_checked(len) {
                    self.unit(unit, sink)?;
                    coded = rest;
                    continue;
                }
            }
            let wanted = self.unit_len(&self.pending) - self.pending.len();
            let (more, rest) = coded.split_at(wanted.min(coded.len()));
            self.pending.extend_from_slice(more);
            coded = rest;
            if self.unit_len(&self.pending) == self.pending.len() {
                let mut unit = std::mem::take(&mut self.pending);
                self.unit(&unit, sink)?;
                unit.clear();
                self.pending = unit;
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if self.next != Next::Nothing {
            return Err(wrong("the zstd frame is not complete"));
        }
        Ok(())
    }

    fn limit(&mut self, bytes: u64) {
        self.limit = Limit::new(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::{encode, random, text};
    use super::*;
    use crate::limits::PIECE;

    /// Browsers reject frames whose window exceeds 8 MiB (RFC 9659), and libzstd's levels from
    /// 20 on exceed it for large sources: vite-plugin-compression 93 shipped pages that no
    /// browser could read.
    #[test]
    fn no_level_declares_more_than_8_mib() -> Result<(), Error> {
        let piece = text(PIECE);
        for level in 1..=22 {
            let mut encoding = Zstd::new(level)?.begin(40 << 20, None)?;
            let mut out = Vec::new();
            while out.len() < 18 {
                encoding.write(&piece, &mut out)?;
            }
            let window = window(&out);
            assert!(window <= 8 << 20, "level {level} declares {window}");
            assert!(level < 17 || window == 8 << 20, "level {level} declares only {window}");
        }
        Ok(())
    }

    #[test]
    fn the_window_is_no_larger_than_the_source_needs() -> Result<(), Error> {
        for level in [1, 3, 19, 22] {
            for len in [0, 1, 255, 256, 5000, 91_000, 200_000] {
                let frame = encode(&Zstd::new(level)?, &text(len))?;
                assert_eq!(window(&frame), len as u64, "level {level}");
            }
        }
        Ok(())
    }

    #[test]
    fn the_frame_tells_its_size_and_its_checksum() -> Result<(), Error> {
        let source = text(3 << 20);
        let frame = encode(&Zstd::new(3)?, &source)?;
        assert_eq!(zstd_safe::get_frame_content_size(&frame).ok().flatten(), Some(3 << 20));
        assert_eq!(frame[4] & 0b100, 0b100, "the checksum's flag");
        Ok(())
    }

    /// Both are what a checksum alone would not tell.
    #[test]
    fn a_window_too_large_and_a_wrong_content_size_are_rejected() -> Result<(), Error> {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3];
        let decode = |frame: &[u8]| {
            let mut decoding = ZstdDecoding::new();
            decoding.write(frame, &mut |_| ()).map_err(|error| error.to_string())
        };
        frame.extend_from_slice(&[0x09, 0, 0, b'x']);
        assert!(decode(&frame).is_err(), "16 MiB");
        frame[5] = 13 << 3;
        assert_eq!(decode(&frame), Ok(()), "8 MiB");

        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, 9, 0x09, 0, 0, b'x'];
        assert!(decode(&frame).is_err_and(|error| error.contains("content size")));
        frame[5] = 1;
        assert_eq!(decode(&frame), Ok(()));
        // A reserved bit, and a frame to be skipped, which decodes to nothing.
        frame[4] |= 8;
        assert!(decode(&frame).is_err());
        assert!(decode(&[0x50, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0, 0]).is_err());
        Ok(())
    }

    #[test]
    fn contexts_are_used_again_unless_they_are_large() -> Result<(), Error> {
        let encoder = Zstd::new(3)?;
        encode(&encoder, &text(100_000))?;
        assert_eq!(encoder.idle.len(), 1);

        let encoder = Zstd::new(19)?;
        let mut encoding = encoder.begin(LARGE - 1, None)?;
        encoding.write(&text(PIECE), &mut Vec::new())?;
        drop(encoding);
        assert_eq!(encoder.idle.len(), 0, "dozens of MiB");

        let encoder = Zstd::new(3)?;
        encode(&encoder, &text(LARGE as usize))?;
        assert_eq!(encoder.idle.len(), 0, "its threads have one encode's priority");
        Ok(())
    }

    /// A strong validator must not depend on how busy the machine was.
    #[test]
    fn the_number_of_threads_does_not_show() -> Result<(), Error> {
        let long = text(LARGE as usize + 3 * JOB as usize + 12_345);
        // The last job of this one is empty.
        let whole = &long[..FIRST_JOB as usize + 4 * JOB as usize];
        for (level, source) in [(1, &long[..]), (3, &long), (9, whole), (5, &skewed())] {
            let (encoder, len) = (Zstd::new(level)?, source.len());
            let expected = encode(&encoder, source)?;
            for threads in [0, 1, 2, 3, 100] {
                let mut encoding = encoder.begin(len as u64, None)?;
                let taken = encoding.spread(threads);
                assert_eq!(taken, threads.clamp(1, MOST_THREADS));
                let mut out = Vec::new();
                for (at, piece) in source.chunks(PIECE).enumerate() {
                    while threads % 2 == 1 && encoding.is_behind() {
                        encoding.wait(&mut out)?;
                    }
                    encoding.write(piece, &mut out)?;
                    // Another feeder is slower, and finds other jobs done.
                    if at % 50 == threads {
                        thread::sleep(std::time::Duration::from_millis(3));
                    }
                    assert_eq!(encoding.spread(4), taken, "it is too late for others");
                }
                encoding.finish(&mut out)?;
                assert!(out == expected, "level {level}, {threads} threads");
            }
        }
        for (level, len) in [(3, LARGE - 1), (17, LARGE)] {
            assert_eq!(Zstd::new(level)?.begin(len, None)?.spread(4), 0, "level {level}");
        }
        Ok(())
    }

    #[test]
    fn somebody_who_waits_for_a_large_source_gets_the_first_job_at_once() -> Result<(), Error> {
        for level in [1, 3, 9, 16] {
            let piece = text(PIECE);
            let mut encoding = Zstd::new(level)?.begin(LARGE, None)?;
            let mut out = Vec::new();
            (0..3).try_for_each(|_| encoding.write(&piece, &mut out))?;
            assert_eq!(out.len(), 0, "level {level}");
            encoding.write(&piece, &mut out)?;
            let mut decoded = 0;
            ZstdDecoding::new().write(&out, &mut |bytes| decoded += bytes.len())?;
            assert_eq!(decoded as u64, FIRST_JOB, "level {level}");
        }
        Ok(())
    }

    #[test]
    fn what_it_lacks_now_it_may_have_later() {
        let kind = |code: usize| failed(code.wrapping_neg()).kind();
        assert_eq!(kind(ZSTD_ErrorCode::ZSTD_error_memory_allocation as usize), ErrorKind::Busy);
        assert_eq!(kind(ZSTD_ErrorCode::ZSTD_error_srcSize_wrong as usize), ErrorKind::Encoder);
    }

    /// Text that takes long, then much that takes no time at all.
    fn skewed() -> Vec<u8> {
        let mut source = text(FIRST_JOB as usize + JOB as usize);
        source.resize(FIRST_JOB as usize + 8 * JOB as usize, 0);
        source
    }

    /// What was begun ahead is taken between two writes, so that none may wait for a whole job.
    #[test]
    fn it_is_behind_once_a_job_waits_for_a_thread() -> Result<(), Error> {
        let piece = text(PIECE);
        for threads in [1, 2] {
            let mut encoding = Zstd::new(15)?.begin(100 << 20, None)?;
            encoding.spread(threads);
            let (mut fed, mut out) = (0, Vec::new());
            while !encoding.is_behind() {
                encoding.write(&piece, &mut out)?;
                fed += PIECE as u64;
            }
            let jobs = (fed - FIRST_JOB) / u64::from(JOB);
            assert!(1 <= jobs && jobs <= threads as u64 + 1, "{jobs}");
            while encoding.is_behind() {
                encoding.wait(&mut out)?;
            }
        }
        let mut small = Zstd::new(15)?.begin(1 << 20, None)?;
        small.write(&piece, &mut Vec::new())?;
        assert!(!small.is_behind());
        Ok(())
    }

    /// Readers follow what comes of a job while it runs, and an encode that is given up is so soon.
    #[test]
    fn what_comes_of_a_job_is_handed_out_while_it_runs() -> Result<(), Error> {
        let piece = text(PIECE);
        for _ in 0..5 {
            let mut encoding = Zstd::new(15)?.begin(LARGE, None)?;
            let (mut early, mut out) = (0, Vec::new());
            for _ in 0..LARGE as usize / PIECE {
                while encoding.is_behind() {
                    out.clear();
                    encoding.wait(&mut out)?;
                    assert!(out.len() <= CCtx::out_size());
                    early += usize::from(!out.is_empty() && encoding.is_behind());
                }
                encoding.write(&piece, &mut out)?;
            }
            if early > 0 {
                return Ok(());
            }
        }
        panic!("nothing came before the end of its job, five times");
    }

    /// libzstd waits until it has all that it is asked for, which may take several jobs.
    #[test]
    fn the_end_is_handed_out_bit_by_bit() -> Result<(), Error> {
        let mut encoding = Zstd::new(1)?.begin(LARGE, None)?;
        let mut out = Vec::new();
        for piece in random(LARGE as usize).chunks(PIECE) {
            encoding.write(piece, &mut out)?;
        }
        let (mut short, mut long) = (0, 0);
        while encoding.is_behind() {
            out.clear();
            encoding.wait(&mut out)?;
            // What libzstd had no room for comes first, and waits for one job only.
            *if out.len() <= PART { &mut short } else { &mut long } += 1;
        }
        assert!(short > 2 * long, "{short} and {long}");
        out.clear();
        encoding.finish(&mut out)?;
        assert_eq!(out.len(), 0, "all of it came before");
        Ok(())
    }

    /// Whoever drops it may be a thread that serves.
    #[cfg(all(target_os = "linux", not(cachecompress_portable)))]
    #[allow(clippy::disallowed_methods, reason = "the kernel's own tables are on no disk")]
    #[test]
    fn what_is_given_up_ends_on_a_thread_of_its_own() -> Result<(), Error> {
        let piece = text(PIECE);
        let is_at_it = || {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
            let mut names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")));
            names.any(|name| name.is_ok_and(|name| name.trim_end() == "cc-give-up"))
        };
        for _ in 0..5 {
            let mut encoding = Zstd::new(15)?.begin(LARGE, None)?;
            while !encoding.is_behind() {
                encoding.write(&piece, &mut Vec::new())?;
            }
            drop(encoding);
            // It names itself once it runs.
            if (0..100).any(|_| is_at_it()) {
                return Ok(());
            }
        }
        panic!("it ended before it was dropped, five times");
    }

    #[cfg(all(target_os = "linux", not(cachecompress_portable)))]
    #[test]
    fn the_time_of_its_threads_counts() -> Result<(), Error> {
        let source = text(LARGE as usize);
        let before = cpu::time();
        encode(&Zstd::new(15)?, &source)?;
        let spent = cpu::time() - before;
        let feeding = std::time::Duration::from_millis(100);
        assert!(spent > feeding, "{spent:?}: no machine encodes 16 MiB at level 15 in that");
        Ok(())
    }
}
