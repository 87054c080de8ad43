//! Every threshold of the library, once, with its unit and its reason.

use std::time::Duration;

// Sources

/// Bytes up to which a source counts as small: an encode of it may take the thread that is kept for
/// small ones, and `Preference::Auto` prefers the smaller result over the faster encoder. br 5
/// takes some 20 ms for so much.
pub(crate) const SMALL_SOURCE: u64 = 1 << 20;
/// The same bound for jobs that read or hash.
pub(crate) const SMALL_JOB: u64 = SMALL_SOURCE;
/// Bytes below which a source goes out as it is: a coding's own frame, a field and an entry cost
/// more than they save.
pub(crate) const SMALLEST_SOURCE: u64 = 256;
/// Bytes of a sample, at each of three offsets of a source.
pub(crate) const SAMPLE: usize = 16 * 1024;

// The catalog

/// Resources that are remembered between requests.
pub(crate) const RESOURCES: usize = 65_536;
/// Bytes up to which a source's own buffer is kept with its resource.
pub(crate) const RESOURCE_BYTES: usize = 64 * 1024;
/// Bytes above which a source goes out before it is hashed, which takes 0.2 s for so many.
pub(crate) const HASH_FIRST_MAX: u64 = 256 << 20;
/// How long a file must have rested for its fingerprint to name its bytes: some file systems count
/// in seconds.
pub(crate) const FILE_REST: Duration = Duration::from_secs(2);
/// A time longer than a tick of the kernel's clock, which is 10 ms at most.
pub(crate) const CLOCK_TICK: Duration = Duration::from_millis(20);
/// How often a file that changes while it is hashed is hashed.
pub(crate) const HASH_TRIES: usize = 3;
/// How often a small file without a name that changes while it is read is read.
pub(crate) const SNAPSHOT_TRIES: usize = 5;
/// Paths that are remembered as unstable. More of them are looked up again, and so found unstable.
pub(crate) const UNSTABLE_PATHS: usize = 4096;
/// Milliseconds for which a path is remembered as unstable when there is no room for others: longer
/// than any file takes to rest.
pub(crate) const UNSTABLE_MEMORY: u64 = 10 * 60 * 1000;

// Threads

/// Threads that read. Hanging reads get further ones, up to [`SPARE_READERS`].
pub(crate) const READERS: usize = 4;
/// Further threads for reads, for a source's disk that hangs.
pub(crate) const SPARE_READERS: usize = 60;
/// Threads that hash files that are not small.
pub(crate) const HASHERS: usize = 2;
/// Further threads for hashes, for a source's disk that hangs.
pub(crate) const SPARE_HASHERS: usize = 14;
/// Reads, and hashes, that wait for a thread.
pub(crate) const READ_QUEUE: usize = 16 * 1024;

/// How long the regular threads of a pool may take no job, while some wait, before spare ones do.
pub(crate) const STALL: Duration = Duration::from_secs(1);

// Encodes

/// Encoders' faults that are remembered beside the stored verdicts.
pub(crate) const FAULTS: usize = 4096;
/// Bytes from which a source is encoded while it is hashed: a shorter one is hashed within 6 ms.
pub(crate) const SPECULATIVE_FROM: u64 = 8 << 20;
/// Bytes of output that wait for the hash, at most.
pub(crate) const SPECULATIVE_ROOM: usize = 8 << 20;
/// The last bytes of a payload, which readers get only once it is proven.
pub(crate) const WITHHELD: u64 = 256;
/// Bytes of a payload that are read back at a time, and at most pass between two commits.
pub(crate) const PROOF_CHUNK: usize = 128 * 1024;

// Answers

/// Bytes up to which a body is answered from memory, and never by `sendfile`. A copy of 92 KB costs
/// 15 us where `sendfile` costs 16 (AMD EPYC), and 23 where it costs 16 (Intel Xeon).
pub(crate) const PAYLOAD_IN_MEMORY: u64 = 256 * 1024;
/// Bytes of a file that are read at a time, and so the most that one body holds in memory.
pub(crate) const READ_CHUNK: u64 = 64 * 1024;
/// Bytes that are given out at a time to be sent by `sendfile`, before other connections get their
/// turn. So little is still in memory when a slow client takes it, and gone when a fast one gets
/// more. The kernel sends a longer queue in small parts, at twice the cost: 4 MB to 64 fast clients
/// took 820 us of CPU without turns and 510 with them (AMD EPYC, nginx 850).
pub(crate) const SENDFILE_PIECE: u64 = 256 * 1024;
/// Milliseconds for which an answer is given again at most. Then it is made anew, which notes the
/// entry's use and finds what else the path leads to by then.
pub(crate) const CACHED_RESPONSE_LIFETIME: u64 = 1000;
/// Bytes of memory that a remembered answer takes beside its key, more or less.
pub(crate) const CACHED_RESPONSE_OVERHEAD: u64 = 2048;
/// How often a file that changes under a request is looked up again. Once may be a deployment;
/// more often, the file is being written.
pub(crate) const LOOKUP_TRIES: usize = 4;

// Warming

/// Files that `warm` works on at a time.
pub(crate) const WARM_AT_ONCE: usize = 16;
/// How long `warm` leaves a full queue alone.
pub(crate) const WARM_PAUSE: Duration = Duration::from_millis(20);

// Defaults of the builder

/// Bytes of the cache in memory of a service that is given none.
pub(crate) const DEFAULT_CACHE: u64 = 64 << 20;
/// Bytes of small bodies and whole answers that are kept in memory.
pub(crate) const DEFAULT_MEMORY: u64 = 64 << 20;
