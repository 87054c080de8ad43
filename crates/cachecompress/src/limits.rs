//! The thresholds of the library, each with its unit, its reason and its measurement.
//!
//! The measurements are from an AMD EPYC with two cores unless another machine is named. A threshold
//! without a measurement was chosen for its reason.

mod deltas;
#[cfg(feature = "tier")]
mod tier;

use std::time::Duration;

pub(crate) use deltas::*;
#[cfg(feature = "tier")]
pub(crate) use tier::*;

// Defaults of a service

/// The size of the cache in memory of a service that is given no cache, in bytes.
pub(crate) const DEFAULT_CACHE: u64 = 64 << 20;
/// The bytes of small bodies and of whole responses that are kept in memory.
pub(crate) const DEFAULT_MEMORY: u64 = 64 << 20;
/// The number of encodes that may wait for a thread. It bounds their memory.
pub(crate) const DEFAULT_QUEUE: usize = 1024;
/// The bytes in memory that handlers brought and encodes may keep, in bytes. A further encode is
/// dropped as for a full queue. A file of 64 KiB or less does not count.
pub(crate) const BROUGHT_BYTES: u64 = 64 << 20;
/// The age that the knowledge of a file may have. An edit is seen within this time.
pub(crate) const DEFAULT_REVALIDATE: Duration = Duration::from_secs(1);
/// The time that a request waits for a coding before it is answered with identity. A person hardly
/// notices it, and most small files are encoded within it.
pub(crate) const DEFAULT_PATIENCE: Duration = Duration::from_millis(50);

// The log

/// Warnings and errors of one kind in [`LOG_WINDOW`], each of which clients may be able to repeat.
/// Ten show whether they are about one file.
pub(crate) const LOG_BURST: u32 = 10;
/// The time after which messages of a kind are told again.
pub(crate) const LOG_WINDOW: Duration = Duration::from_secs(60);

// Sources

/// The largest length of a small source, in bytes.
///
/// `Preference::Auto` goes by the size of the result up to this length, and beyond it by speed. At
/// this length `br` takes 19 ms (55 MB/s at level 5, for a binary) and `zstd` 3.5 ms (300 MB/s at
/// level 3).
pub(crate) const SMALL_SOURCE: u64 = 1 << 20;
/// The largest length of a source whose read, hash or encode is a small job, in bytes.
pub(crate) const SMALL_JOB: u64 = SMALL_SOURCE;
/// The largest length of a source that the encode's own thread proves, in bytes. Another thread
/// takes as long to start as this proof.
pub(crate) const PROVE_INLINE: u64 = SMALL_SOURCE;
/// The least length of a source that is encoded, in bytes. For a shorter one, a coding's own frame,
/// a header field and an entry cost more than they save.
pub(crate) const SMALLEST_SOURCE: u64 = 256;
/// The length of the sample that is taken at each of three offsets of a source, in bytes. To encode
/// the three costs less than a whole encode that saves too little.
pub(crate) const SAMPLE: usize = 16 * 1024;
/// The share of a source by which an honest encoder's output may be longer: one in this many, and
/// [`PIECE`] bytes more. So much is reserved before the first byte.
pub(crate) const RESERVED_SHARE: u64 = 256;
/// The share of a source that an encode must save to be kept: one in this many, which is 5 %.
pub(crate) const LEAST_SAVING: u64 = 20;

/// The share of an entry by which a better one must be smaller to take its place: one in this many, which
/// is 1 %. Clients that have the earlier one keep it, and all others profit little from less.
pub(crate) const LEAST_IMPROVEMENT: u64 = 100;

/// The time that the last look at a hidden file counts for a file that had not changed for
/// [`FILE_REST`] before it. On a system with 20 sites each lookup looked at 41 files.
pub(crate) const HIDDEN_TRUSTED: Duration = Duration::from_secs(1);

// The catalog

/// The time since 1970 before which a file's modification says nothing: 1990-01-01. Build tools set
/// constants so that archives are reproducible: Bazel 0, Nix and OSTree 1, zip 1980-01-01, Gradle
/// 1980-02-01, npm 1985-10-26.
pub(crate) const FIRST_MODIFIED: Duration = Duration::from_secs(631_152_000);

/// The time before a date from which on it counts as told. A request that found a resource at the end of
/// a second may tell a date of the next one, while other bytes are found.
pub(crate) const DATE_NEAR: Duration = Duration::from_secs(1);
/// The number of resources of a site that are kept between requests. It bounds their memory.
pub(crate) const RESOURCES: usize = 65_536;
/// The number of files whose digests are known by their fingerprints, at some 130 bytes each. A file with
/// many names is hashed once as long as it is among them.
pub(crate) const FILE_DIGESTS: usize = 16_384;
/// The largest buffer of a source that is kept with its resource, in bytes. The source is asked
/// again for a longer one, so that the memory of resources is bounded.
pub(crate) const RESOURCE_BYTES: usize = 64 * 1024;
/// The largest length of a source that is hashed before it goes out, in bytes. A hash of so many
/// takes 0.2 s.
pub(crate) const HASH_FIRST_MAX: u64 = 256 << 20;
/// The buffer of a hash of a longer file than [`PAYLOAD_IN_MEMORY`], in bytes.
pub(crate) const HASH_BUFFER: u64 = 256 * 1024;
/// The longest header of a file of gzip, in bytes. Its longest field of a bounded length has 64 KiB.
#[cfg(feature = "gzip")]
pub(crate) const GZIP_HEADER: usize = 128 * 1024;
/// The number of a site's paths beside which nothing is known to lie, at some 100 bytes each.
pub(crate) const ABSENT_SIBLINGS: usize = 16_384;
/// The largest length of a `.svgz` file that is decoded, in bytes. A longer one goes out as it is.
pub(crate) const SVGZ_FILE: u64 = 4 << 20;
/// The largest length of a decoded `.svgz` file, in bytes. It bounds what a bomb costs; a gzip of 4 MiB
/// can hold 4 GiB. Drawings that people make have a tenth of it at most.
pub(crate) const SVGZ_DECODED: u64 = 16 << 20;
/// The largest length of a file `app.js.br` without an `app.js` that is decoded, in bytes, and that of the
/// decoded bytes. Unity's builds for the web have some 10 MB of `.wasm` and of `.data`.
pub(crate) const ENCODED_FILE: u64 = 32 << 20;
pub(crate) const ENCODED_DECODED: u64 = 96 << 20;
/// The bytes of such files that are kept decoded, of all sites that share an engine.
pub(crate) const ENCODED_KEPT: u64 = 128 << 20;
/// The decoded bytes that may be in memory before a further file is decoded, of all sites that share an
/// engine: those that are kept, and those that responses to slow clients still hold. Responses share the
/// bytes of a file. The last file comes on top, of [`ENCODED_DECODED`] or [`SVGZ_DECODED`] at most.
pub(crate) const ENCODED_LIVE: u64 = 256 << 20;
pub(crate) const SVGZ_LIVE: u64 = 64 << 20;
/// The pause after which a lookup that found no place to decode in begins again. It doubles. A drawing
/// that people make is decoded within it.
pub(crate) const DECODING_PAUSE: Duration = Duration::from_millis(5);
/// The longest such pause. A thousand requests that wait so look 6,000 files up in a second.
pub(crate) const LONGEST_DECODING_PAUSE: Duration = Duration::from_millis(160);
/// The number of coded files that are decoded at once by all sites that share an engine, each of another
/// device. The memory of all of them is 1 GiB at worst ([`ENCODED_FILE`] and [`ENCODED_DECODED`] for
/// each), 160 MiB for `.svgz` files alone, and a few KiB for drawings that people make.
pub(crate) const DECODED_AT_ONCE: usize = 8;
/// The bytes of decoded `.svgz` files that are kept, so that they are not decoded at every look, of all
/// sites that share an engine. Sites whose names are encoded keep theirs within [`ENCODED_KEPT`].
pub(crate) const SVGZ_KEPT: u64 = 32 << 20;
/// The number of names in a directory that are looked at for evidence of hashes.
pub(crate) const EVIDENCE_NAMES: usize = 2_000;
/// The number of directories whose evidence is kept.
pub(crate) const EVIDENCE_DIRECTORIES: usize = 4_096;
/// The milliseconds for which the evidence of a directory holds. A deployment that has just begun has
/// few files.
pub(crate) const EVIDENCE_TRUSTED: u64 = 60_000;
/// The longest file whose name is compared with its content, in bytes. It is read once more for that, at
/// 0.4 GB/s.
pub(crate) const NAME_HASH_MAX: u64 = 16 << 20;
/// The number of times that a file which changes meanwhile is hashed. Then it is unstable.
pub(crate) const HASH_TRIES: usize = 3;
/// The number of times that a small file without a digest is read until two readings agree. Then it
/// goes out as it is read, and a change aborts the body.
pub(crate) const SNAPSHOT_TRIES: usize = 5;
/// The number of paths that are remembered as unstable. Further ones are looked up again, and so
/// found unstable.
pub(crate) const UNSTABLE_PATHS: usize = 4096;
/// The milliseconds for which a path stays remembered as unstable when others need the room. Every
/// file has rested by then.
pub(crate) const UNSTABLE_MEMORY: u64 = 10 * 60 * 1000;

// Threads

/// The number of threads that read a source, and of those that read a cache. Hanging reads get further
/// ones, up to [`SPARE_READERS`].
pub(crate) const READERS: usize = 4;
/// The number of further threads that read while a disk hangs.
pub(crate) const SPARE_READERS: usize = 60;
/// The number of threads that hash files longer than [`PAYLOAD_IN_MEMORY`].
pub(crate) const HASHERS: usize = 2;
/// The number of further threads that hash while a source's disk hangs.
pub(crate) const SPARE_HASHERS: usize = 14;
/// The time that the page of a server's error may take. The error comes of a source that fails, and its
/// page is of that source.
pub(crate) const ERROR_PAGE_PATIENCE: Duration = Duration::from_secs(1);
/// The number of directories whose nearest page of a 404 is remembered. A request for a missing path then
/// costs no lookup for the page in any directory above it, but for those that are over.
pub(crate) const NEAREST_PAGES: usize = 1024;
/// The time that a lookup in the source may take before its request is answered with 503. The lookup goes
/// on if others wait for it. A disk that sleeps wakes within it, and a mount that hangs takes for ever.
pub(crate) const SOURCE_PATIENCE: Duration = Duration::from_secs(5);
/// The least time that a request waits for its hash to begin, whatever its patience. A thread takes as
/// long to wake on a busy machine.
pub(crate) const HASH_BEGINS: Duration = Duration::from_millis(10);
/// The bytes of a file for each millisecond that its hash lets later and shorter ones pass: 2 s for
/// 256 MiB, ten times as long as the hash takes.
pub(crate) const HASH_AGING: u64 = 128 * 1024;
/// The number of reads, and of hashes, that may wait for a thread. It bounds their memory.
pub(crate) const READ_QUEUE: usize = 16 * 1024;

/// The share of a pool's free threads that the reads of one directory or device may hold: one in this
/// many. With 64 threads that is 13, then 11 of a second one that hangs, then 8.
pub(crate) const AREA_SHARE: usize = 4;
/// The share of a pool's threads that the lookups of one source may hold: three in this many. A source
/// that hangs in all of its directories leaves the rest to others that share the threads.
pub(crate) const SOURCE_SHARE: usize = 4;
/// The number of files and directories beneath a directory whose reads must run for the directory
/// itself to count as an area. Fewer may each be a mount of its own.
pub(crate) const AREA_BRANCHES: usize = 6;

/// The time after which spare threads of a pool take waiting jobs, if the regular threads have
/// taken none. A read that takes so long hangs.
pub(crate) const STALL: Duration = Duration::from_secs(1);

// Encodes

/// The number of encoders' faults that are remembered beside the stored verdicts. It bounds their
/// memory.
pub(crate) const FAULTS: usize = 4096;
/// The least length of a source that is encoded while it is hashed, in bytes. A shorter one is
/// hashed within 6 ms.
pub(crate) const SPECULATIVE_FROM: u64 = 8 << 20;
/// The largest output that waits for the hash, in bytes. It bounds the memory.
pub(crate) const SPECULATIVE_ROOM: usize = 8 << 20;
/// The number of last bytes of a payload that readers get only once all of it is proven.
pub(crate) const WITHHELD: u64 = 256;
/// The bytes of an import that are withheld behind the last ones that came. A decoder holds at most a block
/// of them back, which zstd bounds by 128 KiB. So readers get no byte that was not decoded and compared.
pub(crate) const IMPORT_WITHHELD: u64 = 160 * 1024;
/// The least time for an import. The most is twice the processor time of the encode.
pub(crate) const SHORTEST_IMPORT: Duration = Duration::from_millis(250);
/// The largest piece of a payload that is read back for its proof, in bytes. No more pass between
/// two commits.
pub(crate) const PROOF_CHUNK: usize = 128 * 1024;

// Memory

/// The largest payload that is kept in memory, in bytes. A source up to this length is also hashed by
/// the lookup itself, kept in memory, and encoded from there.
pub(crate) const PAYLOAD_IN_MEMORY: u64 = 256 * 1024;
/// The number of the longest payloads for which each shard of the memory has room. Fewer would
/// evict each other.
pub(crate) const PAYLOADS_PER_SHARD: u64 = 16;
/// The memory that a payload takes beside its bytes, in bytes, more or less.
pub(crate) const PAYLOAD_OVERHEAD: u64 = 256;
/// The length of a payload for which the memory's table is sized, in bytes.
pub(crate) const USUAL_PAYLOAD: u64 = 8192;

// Responses

/// The largest chunk of a file that is read at a time, in bytes. A body holds no more in memory.
pub(crate) const READ_CHUNK: u64 = 64 * 1024;
/// The largest piece that is given out to be sent by `sendfile`, in bytes. Other connections get
/// their turn between two pieces.
///
/// A piece is still in memory when a slow client takes it, and gone when a fast one gets more.
/// The kernel sends a longer queue in small parts, at twice the cost: 4 MB to 64 fast clients took
/// 820 us of CPU without turns and 510 us with them. nginx took 850 us.
pub(crate) const SENDFILE_PIECE: u64 = 256 * 1024;
/// The largest stored payload that is sent from memory although its connection could send it by
/// `sendfile`, in bytes.
///
/// On an Intel Xeon, copies of 53 and 92 KB cost 1.4 and up to 1.65 times nginx's CPU, and with this
/// threshold 0.97 and 1.04 times. On an AMD EPYC `sendfile` costs 10.4, 11.5, 16.1, 23.6 and 22.3 us of
/// CPU for 48, 64, 92, 128 and 176 KB, a copy 10.1, 10.7, 14.6, 27.7 and 21.0, and nginx 10.9, 15.5,
/// 23.4, 19.1 and 35.9.
pub(crate) const SENDFILE_ABOVE: u64 = 32 * 1024;
/// The share of `memory_cache` that whole responses take: one in this many. Bodies take the rest.
pub(crate) const RESPONSE_SHARE: u64 = 4;
/// The milliseconds for which a response is replayed at most. Then it is made anew, which notes the
/// entry's use and finds the path's present target.
pub(crate) const CACHED_RESPONSE_LIFETIME: u64 = 1000;
/// The memory that a cached response takes beside its key, in bytes, more or less.
pub(crate) const CACHED_RESPONSE_OVERHEAD: u64 = 2048;
/// The number of times that a file which changes under a request is looked up again. One change may
/// be a deployment. A file that changes more often is being written.
pub(crate) const LOOKUP_TRIES: usize = 4;

// Warming

/// The number of files that `warm` works on at a time.
pub(crate) const WARM_AT_ONCE: usize = 16;
/// The time after which `warm` tries a full queue again.
pub(crate) const WARM_PAUSE: Duration = Duration::from_millis(20);

// The second pass

/// The largest source that libdeflate encodes, in bytes. It takes a source as a whole, so an encode takes twice
/// as much memory, and 9 MB.
#[cfg(feature = "gzip")]
pub(crate) const LIBDEFLATE_MOST: u64 = 16 << 20;
/// The share of one core that the second pass takes over an hour by default.
pub(crate) const DEFAULT_RECOMPRESS_CPU: f64 = 0.1;
/// The time without an encode for a request before the second pass begins.
pub(crate) const RECOMPRESS_REST: Duration = Duration::from_secs(5);
/// The pressure on the processors from which on the second pass stands back, in per cent of the last ten
/// seconds.
pub(crate) const MOST_PRESSURE: f64 = 20.0;
/// The part of it below which an encode begins.
pub(crate) const PRESSURE_REST: f64 = 0.5;
/// The age of the last look at the pressure. The kernel computes it every two seconds.
pub(crate) const PRESSURE_LOOK: Duration = Duration::from_secs(1);
/// The responses that an entry must have been sent with. An entry that is asked for less saves less than its
/// encode costs.
pub(crate) const LEAST_HITS: u64 = 3;
/// The entries whose uses are counted, at some 200 bytes each.
pub(crate) const USES: usize = 65_536;
/// The interval between two looks for an entry in use.
pub(crate) const RECOMPRESS_LOOK: Duration = Duration::from_secs(1);
/// The interval between two looks whether an encode of the second pass may go on.
pub(crate) const PAUSE_LOOK: Duration = Duration::from_millis(100);
/// The longest such pause. The encode is then given up, with its memory and its room in the cache.
pub(crate) const PAUSE_MOST: Duration = Duration::from_secs(60);
/// The time after which an entry is tried again whose encode failed for a passing reason.
pub(crate) const RECOMPRESS_RETRY: Duration = Duration::from_secs(60);

/// The interval between two writes of the ledger of uses. A kill loses so many hits at most.
pub(crate) const LEDGER_EVERY: Duration = Duration::from_secs(60);
/// The time without a hit after which the ledger forgets a use, in hours: 30 days.
pub(crate) const LEDGER_HOURS: u64 = 30 * 24;
/// The uses in the ledger, at some 100 bytes each.
pub(crate) const LEDGER_USES: usize = USES;
/// The longest ledger that is read, in bytes.
pub(crate) const LEDGER_BYTES: usize = 64 << 20;

// The cache on disk

/// The default bound of a cache, in bytes.
pub(crate) const CACHE_BYTES: u64 = 1 << 30;

/// The default bound of a cache, in entries. The index holds the name and size of each in memory.
pub(crate) const CACHE_ENTRIES: u64 = 1_000_000;

/// The share of a cache's bytes that one entry may take: one in this many. A larger entry would
/// push out too much of the rest.
pub(crate) const ENTRY_SHARE: u64 = 4;

/// The share of a cache's bytes that entries which were used again leave to the others: one in this
/// many.
///
/// Simulated were requests for 50,000 files by Zipf's law (exponent 1), and as many by a client that
/// cycles through all files, with room for a fifth of the bytes. 0.80 of the former hit with this
/// share, 0.79 with half of the bytes, and 0.72 by plain LRU.
pub(crate) const REUSED_SHARE: u64 = 5;

/// The default number of entries that a cache keeps open. Each takes a file descriptor, and the usual
/// limit of a process is 1,024.
pub(crate) const OPEN_ENTRIES: usize = 256;

/// The time for which an open entry is used without an `fstat` of its file.
pub(crate) const ENTRY_TRUSTED: Duration = Duration::from_secs(1);

/// The interval between two reads of the cache's directory, which bring in the entries of other
/// processes. An idle entry is closed after as long, where others may want to evict it.
pub(crate) const MAINTAIN_EVERY: Duration = Duration::from_secs(10);

/// The shortest time between two touches of an entry. A touch is a write, and makes the entry be
/// verified again.
pub(crate) const TOUCH_EVERY: Duration = Duration::from_secs(3600);

/// The largest entry that a serving thread verifies itself, in bytes. Verifying it takes no longer than
/// another thread takes to wake. Measured with 100,000 small files in random order on one core:
/// 36 us of CPU an answer, 51 with a reader thread.
pub(crate) const VERIFY_NOWAIT: u64 = 64 * 1024;

/// The buffer of a verification, in bytes. An entry that fits is read by one call. Measured: 52 us of
/// CPU an answer for small files, 55 with a read for each part.
pub(crate) const VERIFY_BUFFER: usize = 256 * 1024;

/// The number of times that an entry is read whose inode changes meanwhile.
pub(crate) const VERIFY_TRIES: usize = 3;

/// The age of a file's or directory's last change from which on its times vouch for its content, on any
/// file system. Some file systems count times in units of two seconds.
pub(crate) const FILE_REST: Duration = Duration::from_secs(2);

/// The same age for a file whose time is a whole second: two units of the coarsest file system (FAT counts
/// two seconds). Such a time may be that of any moment within its unit.
pub(crate) const COARSE_REST: Duration = Duration::from_secs(4);

/// The same age on a file system that takes its times from the kernel's clock: longer than two ticks
/// of that clock are apart (10 ms at 100 Hz).
pub(crate) const CLOCK_TICK: Duration = Duration::from_millis(20);

/// The number of entries in use that an eviction passes over to make room for one entry.
pub(crate) const EVICTION_IN_USE: usize = 1024;

/// The number of times that an eviction waits for [`EVICTION_PAUSE`]: for another process that evicts,
/// and again for entries in use. Together that is 100 ms.
pub(crate) const EVICTION_TRIES: u32 = 20;

/// The pause between two such tries.
pub(crate) const EVICTION_PAUSE: Duration = Duration::from_millis(5);

/// The multiple of its own size that an entry may evict when the disk is full before the cache is.
/// More does not help: other files fill the disk.
pub(crate) const EVICTION_EXCESS: u64 = 2;

/// The share of the bounds from which on a process closes idle entries, in per cent. Other processes
/// may want to evict then, and no process evicts an open entry.
pub(crate) const CACHE_FULL: u64 = 90;

/// The age of the last write to a private name from which on its writer is dead. No encode pauses for
/// a day.
pub(crate) const WRITER_DEAD: Duration = Duration::from_secs(24 * 3600);

/// The age of the last use from which on another format's directory is removed unasked. A rollback to
/// the program that uses it happens within a week.
pub(crate) const FORMAT_UNUSED: Duration = Duration::from_secs(7 * 24 * 3600);

/// The start of a `CACHEDIR.TAG` that is read to recognise it, in bytes. Ours is shorter.
pub(crate) const TAG_START: usize = 512;

/// The age of a call to a cache's disk from which on the disk counts as hanging. Requests go on to
/// wait for no longer than their patience. A healthy disk needs 10 ms, and one under a burst of
/// writes may need a second for a read.
pub(crate) const CALL_HANGS: Duration = Duration::from_secs(2);

/// The same age for a call that changes something. No stored entry waits for it, and a healthy disk may
/// hold it up for seconds: a journal's commit, pages that are written faster than the disk takes them,
/// the removal of a long file.
pub(crate) const WRITE_HANGS: Duration = Duration::from_secs(10);

/// The age of a call from which on the end of a service tells of it.
pub(crate) const CALL_LASTS: Duration = Duration::from_millis(250);

/// The number of calls that may still hang when a cache is put to use again: one file may hang where
/// all others answer. Each holds one of the cache's 64 threads.
pub(crate) const HANGING_CALLS: usize = 16;

/// The first pause before a disk is tried that answered and soon hung again. It doubles.
pub(crate) const TRIAL_PAUSE: Duration = Duration::from_secs(1);

/// The longest such pause.
pub(crate) const LONGEST_TRIAL_PAUSE: Duration = Duration::from_secs(60);

/// The milliseconds after an outage from which on the next one is a new one.
pub(crate) const CALMS_AFTER: u64 = 120 * 1000;

/// The time for which the start waits for the cache's directory. A service is ready within two
/// seconds.
pub(crate) const START_PATIENCE: Duration = Duration::from_secs(1);

/// The time for which the drop of a cache waits until its files are closed.
pub(crate) const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

// The file system

/// The number of times that a lock's file may be removed between open and lock, before the lock counts
/// as taken.
pub(crate) const LOCK_ATTEMPTS: usize = 8;

// Sending by sendfile

/// The number of pieces that a connection's bodies may have on loan at a time. A body that gets none is
/// read. Each is 256 KiB at most, so that a connection holds a bounded part of files.
#[cfg(feature = "sendfile")]
pub(crate) const SENDFILE_PIECES: usize = 16;

/// The largest piece of one `sendfile` call, in bytes, so that one connection cannot hold a thread.
#[cfg(all(feature = "sendfile", target_os = "linux"))]
pub(crate) const SENDFILE_CALL: usize = 1 << 20;

/// The buffer for a file system that has no `sendfile`, in bytes.
#[cfg(all(feature = "sendfile", target_os = "linux"))]
pub(crate) const SENDFILE_BUFFER: usize = 64 * 1024;

/// The stretch of a mapped file that one `mincore` call looks at, in bytes: 256 pages.
#[cfg(feature = "sendfile")]
pub(crate) const RESIDENT_STRETCH: u64 = 1 << 20;

/// The time for which a stretch that was in the page cache counts as being there, in milliseconds.
#[cfg(feature = "sendfile")]
pub(crate) const RESIDENT_TRUSTED: u64 = 1000;

/// The pause of a listener that lacks descriptors or memory for a connection.
#[cfg(feature = "axum")]
pub(crate) const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

// Directories

/// The time for which the start of a service waits to learn where its cache lies on the disk.
pub(crate) const HIDE_PATIENCE: Duration = Duration::from_secs(1);

/// The depth to which the listing of a directory descends, in directories.
pub(crate) const DIRECTORY_DEPTH: usize = 64;
/// The number of symlinks that are followed on the way to a file, as in Linux.
pub(crate) const LINKS: usize = 40;
/// The number of times that a path is resolved whose symlinks change meanwhile. Then it leads nowhere.
pub(crate) const LINK_TRIES: usize = 4;
/// The number of symlinks that are told because they are not followed. A tree with more of them is a
/// matter of configuration, which the first ones tell.
pub(crate) const REFUSED_LINKS: usize = 1024;
/// The number of them that are told in one window, as of other warnings.
pub(crate) const REFUSED_LINKS_AT_ONCE: usize = LOG_BURST as usize;
/// The window, in milliseconds.
pub(crate) const REFUSED_LINKS_WINDOW: u64 = 60_000;

// Requests

/// The number of codings of an `Accept-Encoding` that are kept besides the well-known ones. Browsers
/// send up to five.
pub(crate) const ACCEPTED_CODINGS: usize = 32;

/// The longest name of a content coding, in bytes. An entry's header has this much room for it.
pub(crate) const CODING_NAME: usize = 32;

/// The number of tags of an `If-Match` or `If-None-Match` that are looked at. Clients send one.
pub(crate) const ENTITY_TAGS: usize = 64;

/// The number of ranges of a `Range` field that are read; a longer list is ignored. Real clients ask
/// for some dozens (zsync for 20), and a list takes 24 bytes a range while it is resolved.
pub(crate) const RANGES_READ: usize = 1024;

/// The number of ranges that one response sends, after those that overlap or touch are joined. With
/// more, the whole file goes out: each range costs a read and some 120 bytes of framing.
pub(crate) const RANGES_SENT: usize = 64;

/// The longest entity tag of an application's own, in bytes.
pub(crate) const OWN_ENTITY_TAG: usize = 256;

/// The longest file extension that is looked up, in bytes.
pub(crate) const EXTENSION: usize = 16;

// Codecs

/// The length of the pieces that an encoding is fed, in bytes; only the last piece is shorter.
///
/// The output of some encoders depends on the sizes of their writes, so this length is a part of
/// every encoder's id. No measurement set it.
pub const PIECE: usize = 64 * 1024;

/// The number of idle contexts that an encoder keeps for its next encodings.
///
/// Two threads encode at either priority by default on up to five cores. Setting a context up costs
/// 5 to 10 us.
#[cfg(any(feature = "brotli", feature = "gzip", feature = "zstd"))]
pub(crate) const IDLE_CONTEXTS: usize = 4;

/// The memory that an idle context may hold, in bytes; an encoder drops a larger one.
///
/// It admits the contexts of the default levels for sources of any length, and none of the largest
/// levels' for long sources, which hold dozens of MiB.
#[cfg(any(feature = "brotli", feature = "gzip", feature = "zstd"))]
pub(crate) const CONTEXT_BYTES: usize = 16 << 20;

/// The binary logarithm of the window of `br`, in bytes: 4 MiB.
///
/// It is every encoder's default. RFC 7932 allows 24 at most; RFC 9841's "large window" is another
/// format.
#[cfg(feature = "brotli")]
pub(crate) const BROTLI_WINDOW_LOG: u8 = 22;

/// The largest length of a source that `br` never flushes, in bytes. All of such a source is
/// encoded soon enough.
#[cfg(feature = "brotli")]
pub(crate) const BROTLI_FLUSH_ABOVE: u64 = 1 << 20;

/// The offset in a longer source at which `br` flushes first, in bytes, so that there is output to
/// send: the first byte comes after 3 ms at level 5 (a binary) and 80 ms at 11 (a script).
#[cfg(feature = "brotli")]
pub(crate) const BROTLI_FIRST_FLUSH: u64 = 128 << 10;

/// The distance between the later flushes of `br`, in bytes.
///
/// An encoder that never flushes gathers up to 8 MiB of source before it emits a byte: 145 ms for a
/// binary at level 5, 3 s for a script at 11. With this distance it takes 25 ms and 0.9 s, and
/// costs 0.1 to 0.7 % in size; the binary even gains 0.2 %.
#[cfg(feature = "brotli")]
pub(crate) const BROTLI_FLUSH_EVERY: u64 = 1 << 20;

/// The binary logarithm of the largest window of `zstd`, in bytes: 8 MiB, RFC 9659 §3. Browsers
/// reject frames that need a larger one.
#[cfg(feature = "zstd")]
pub(crate) const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The least level of `zstd` that is given the largest window.
///
/// From this level on libzstd would choose that window or a larger one for long sources. The
/// smaller windows of the levels below are a part of what makes those levels fast.
#[cfg(feature = "zstd")]
pub(crate) const ZSTD_LEVEL_OF_LARGEST_WINDOW: i32 = 17;

/// The most parts of a pattern of a header rule: texts, `*` and `:name`.
///
/// A match whose captures are asked for costs the product of parts and bytes of the path. With 32 parts
/// and a path of 8 KiB it is 0.3 ms; patterns in use have 2 to 5 parts.
pub(crate) const PATTERN_PARTS: usize = 32;

// --- Listings ------------------------------------------------------------------------------------

/// The most entries of a listing. To stat as many takes some 50 ms.
pub(crate) const LISTING_ENTRIES: usize = 10_000;
/// The most bytes of all names in a listing. A page takes up to nine times as many: they are escaped
/// in its text and in its links. 10,000 names of 100 bytes fit.
pub(crate) const LISTING_NAME_BYTES: usize = 1 << 20;
/// The names that are read from a directory for each entry of its listing: most may be hidden.
pub(crate) const LISTED_NAMES: usize = 4;
/// Bytes of made listings that one site keeps. It has room for three of the longest.
pub(crate) const LISTINGS_IN_MEMORY: u64 = 32 << 20;
/// Bytes that a kept listing takes beside its own.
pub(crate) const LISTING_OVERHEAD: u64 = 1024;
/// The number of listings for which the memory is laid out at first.
pub(crate) const USUAL_LISTINGS: usize = 64;
/// The time from which on a listing counts as slow, in milliseconds. One of 2,000 files takes less.
pub(crate) const SLOW_LISTING: u64 = 20;
/// The multiple of the time that a slow listing took for which it is kept, whatever `revalidate` says. So
/// all requests for it together take at most a twentieth of one thread.
pub(crate) const SLOW_LISTING_KEPT: u64 = 20;
/// The processor time of an encode from which one replica alone begins it.
pub(crate) const TIER_LEASE: Duration = Duration::from_millis(250);
/// The time after which a lease that nobody has renewed is free. The owner renews it every third of it, so
/// that two renewals may fail. A replica that dies holds the others up for so long.
pub(crate) const LEASE_LIFE: Duration = Duration::from_secs(10);
