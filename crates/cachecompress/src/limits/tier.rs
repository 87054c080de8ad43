//! The thresholds of the shared store.

use std::time::Duration;

/// The failures in a row of calls to the store after which the breaker opens.
pub(crate) const BREAKER_IN_A_ROW: u32 = 5;
/// The number of last calls to the store of which half may not fail. A store that fails so often costs
/// more time than it saves.
pub(crate) const BREAKER_WINDOW: u32 = 20;
/// The first pause of an open breaker before it probes the store. It doubles after each failed probe. A
/// store that restarts is asked again soon.
pub(crate) const BREAKER_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause. A thousand replicas send 22 probes a second to a dead store.
pub(crate) const BREAKER_LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The time that a probe may take. No request waits for it, and a store that needs longer pays for
/// nothing.
pub(crate) const BREAKER_PROBE: Duration = Duration::from_secs(2);
/// The longest time that a lease is renewed, and that a replica waits for others. An encode that takes
/// longer hangs.
pub(crate) const LONGEST_LEASE: Duration = Duration::from_secs(60 * 60);
/// The time that a call to the store for a lease may take. Three of them fit between the first try to renew
/// a lease and its end.
pub(crate) const LEASE_CALL: Duration = Duration::from_secs(2);
/// The errors in a row after which a replica waits for nobody. One may be an accident.
pub(crate) const LEASE_ERRORS: u32 = 2;
/// The longest lease that is read, in bytes. Ours have 34 and more.
pub(crate) const LEASE_BYTES: u64 = 64;
/// The pause before the second poll of a replica that waits for another. It doubles after each poll.
pub(crate) const LEASE_POLL: Duration = Duration::from_millis(50);
/// The longest such pause. A replica that waits sends two requests a second.
pub(crate) const LONGEST_LEASE_POLL: Duration = Duration::from_secs(1);
/// The time between two looks at the lease of another replica. Polls between them ask for the object.
pub(crate) const LEASE_LOOK: Duration = Duration::from_secs(2);
/// The pause before a renewal or a release that failed is tried again.
pub(crate) const LEASE_RETRY: Duration = Duration::from_millis(250);
/// The number of tries to release a lease. After them it expires.
pub(crate) const LEASE_RELEASES: usize = 3;
/// The least time for which a replica looks whether another has overwritten its lease, at a store without
/// conditional writes. Three calls take 30 ms at a store in the same region.
pub(crate) const LEASE_SETTLES: Duration = Duration::from_millis(250);
/// The times that the slowest call of late fits into that time: three calls at twice their time.
pub(crate) const LEASE_SETTLES_CALLS: u32 = 6;
/// The time for a connection to the store. Within a region it takes 1 ms.
pub(crate) const TIER_CONNECT: Duration = Duration::from_millis(100);
/// The longest call to the store, body included. An object of 1 GB takes 80 s over 100 Mbit/s.
pub(crate) const TIER_CALL: Duration = Duration::from_secs(300);
/// The processor time of an encode and its proof from which the store is asked. A request to it costs
/// some 0.2 ms on both sides, and the store's bill counts requests.
pub(crate) const TIER_PAYS: Duration = Duration::from_millis(20);
/// The longest pause before a lease is asked for. Replicas that ask at the same moment hold each other up.
pub(crate) const TIER_SPREAD: Duration = Duration::from_millis(100);
/// The time without an answer after which the usual time to the first byte is taken for half of it, in
/// milliseconds.
pub(crate) const TIER_LATENCY_HALVED: u64 = 30_000;
/// The encodes that wait for another replica at once. Each costs the store one or two requests a second.
pub(crate) const TIER_SETTLING: u64 = 1024;
/// The least and the most time for the first byte of an answer. In between it is eight times the moving
/// figure.
pub(crate) const TIER_ANSWER: Duration = Duration::from_millis(150);
pub(crate) const LONGEST_TIER_ANSWER: Duration = Duration::from_secs(1);
/// The multiple of the usual time to the first byte after which an answer counts as missing.
pub(crate) const TIER_SLOWER: u32 = 8;
/// The longest pause between two parts of an object.
pub(crate) const TIER_STALL: Duration = Duration::from_millis(250);
/// The time for the store's answer to a probe, which no request waits for.
pub(crate) const TIER_PROBE: Duration = Duration::from_secs(2);
/// The least time for which a miss is remembered. The most is twice as long.
pub(crate) const TIER_MISS: u64 = 30_000;
/// The time for which an object that was refused is not asked for, in milliseconds.
pub(crate) const TIER_DISTRUST: u64 = 600_000;
/// The objects whose absence is remembered: 2 MB.
pub(crate) const TIER_MISSES: usize = 16_384;
/// The parts of an object that wait for the thread that takes them. Each has 16 KiB to 1 MiB.
pub(crate) const TIER_PARTS_AHEAD: usize = 8;
/// The time for each answer of the store while all of it is verified.
pub(crate) const TIER_VERIFY: Duration = Duration::from_secs(30);
/// The entries that wait to be stored for others, and their bytes.
pub(crate) const TIER_UPLOADS: u64 = 1024;
pub(crate) const TIER_UPLOAD_BYTES: u64 = 256 << 20;
/// The time for the store to take a part: 8 MiB at 3 Mbit/s.
pub(crate) const TIER_PUT: Duration = Duration::from_secs(20);
/// The entries that are stored at once.
pub(crate) const TIER_UPLOADS_AT_ONCE: usize = 4;
/// The bytes of one part of a large object. S3 takes parts of 5 MiB and more.
pub(crate) const TIER_PART: usize = 8 << 20;
/// The attempts to store an entry, and the pause after the first, which doubles.
pub(crate) const TIER_ATTEMPTS: u32 = 3;
pub(crate) const TIER_ATTEMPT_PAUSE: Duration = Duration::from_millis(200);
/// The time that a shutdown gives to entries that are to be stored.
pub(crate) const TIER_FLUSH: Duration = Duration::from_secs(5);
/// The age from which an object may be stored again, so that a bucket's rule does not remove it while it
/// is in use. Half of the 30 days that are advised.
pub(crate) const TIER_OLD: Duration = Duration::from_secs(15 * 24 * 3600);
/// One of so many hits on an old object stores it again.
pub(crate) const TIER_RENEW_ONE_IN: u64 = 16;
/// The pause before the store is tried again that has not answered since the start, and the longest one.
pub(crate) const TIER_RETRY: Duration = Duration::from_secs(1);
pub(crate) const LONGEST_TIER_RETRY: Duration = Duration::from_secs(60);
