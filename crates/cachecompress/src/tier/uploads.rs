//! The entries that are to be stored for other replicas.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::object::{self, ObjectWriter, SEGMENT};
use super::pending;
use super::shared::{Held, Shared};
use crate::cache::Entry;
use crate::concurrency::thread_pool::{Priority, ThreadPool};
use crate::limits::{
    TIER_ATTEMPT_PAUSE, TIER_ATTEMPTS, TIER_PART, TIER_PUT, TIER_UPLOAD_BYTES, TIER_UPLOADS,
};
use crate::log;

/// A place in the queue, which a drop gives up.
struct Queued {
    shared: Arc<Shared>,
    bytes: u64,
    _pending: pending::Part,
}

impl Drop for Queued {
    fn drop(&mut self) {
        let uploads = &self.shared.uploads;
        uploads.entries.fetch_sub(1, Ordering::Relaxed);
        uploads.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Has an entry stored for others, in the background. The lease is held until then. The entry is dropped if
/// the queue is full. `readers` are the threads that may wait for the cache's disk.
pub(super) fn store(
    shared: &Arc<Shared>,
    entry: Arc<Entry>,
    lease: Option<Held>,
    readers: ThreadPool,
) {
    let bytes = entry.size();
    let uploads = &shared.uploads;
    let entries = uploads.entries.fetch_add(1, Ordering::Relaxed);
    let before = uploads.bytes.fetch_add(bytes, Ordering::Relaxed);
    let pending = shared.pending.begin();
    let queued = Queued { shared: Arc::clone(shared), bytes, _pending: pending };
    // A single entry always has room.
    let is_full = entries >= TIER_UPLOADS || before > 0 && before + bytes > TIER_UPLOAD_BYTES;
    if is_full || !shared.is_usable() {
        shared.counters.uploads_dropped.fetch_add(1, Ordering::Relaxed);
        return;
    }
    shared.runtime.spawn(async move {
        let shared = &queued.shared;
        let Ok(_place) = shared.uploads.places.acquire().await else { return };
        let counter = match attempts(shared, &entry, &readers).await {
            true => &shared.counters.uploads_stored,
            false => &shared.counters.uploads_failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        drop(lease);
    });
}

/// Stores an entry, with some attempts.
async fn attempts(shared: &Arc<Shared>, entry: &Arc<Entry>, readers: &ThreadPool) -> bool {
    let mut pause = TIER_ATTEMPT_PAUSE;
    for attempt in 1..=TIER_ATTEMPTS {
        let Some(admission) = shared.breaker.admit() else { break };
        match put(shared, entry, readers).await {
            Ok(written) => {
                shared.breaker.record(admission, true);
                shared.misses.forget(&entry.header().key);
                shared.counters.written_bytes.fetch_add(written, Ordering::Relaxed);
                return true;
            }
            Err(Unwritten::Entry) => return false,
            Err(Unwritten::Store(error)) => {
                log::debug!(%error, "the shared store did not take an entry");
                shared.failed(&error, admission);
            }
            Err(Unwritten::Late) => shared.breaker.record(admission, false),
        }
        if attempt == TIER_ATTEMPTS {
            break;
        }
        sleep(pause).await;
        pause *= 2;
    }
    false
}

/// The reason why an entry was not stored.
enum Unwritten {
    /// The cache's disk did not give it.
    Entry,
    Store(object_store::Error),
    /// The store did not answer in time.
    Late,
}

impl From<object_store::Error> for Unwritten {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

/// Stores an entry; returns the bytes of its object.
async fn put(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    readers: &ThreadPool,
) -> Result<u64, Unwritten> {
    let key = &entry.header().key;
    let path = object::path_of(&shared.place.prefix, key);
    let store = &shared.place.store;
    let file_len = entry.size();
    let object = ObjectWriter::new(shared.keys.clone(), key, file_len);
    if file_len <= TIER_PART as u64 {
        let (part, _) = read_part(entry, readers, 0, object).await?;
        let len = part.len() as u64;
        in_time(store.put(&path, PutPayload::from(part))).await?;
        return Ok(len);
    }
    let mut upload = in_time(store.put_multipart(&path)).await?;
    let written = put_parts(&mut *upload, entry, readers, object).await;
    if written.is_err() {
        let _ = in_time(upload.abort()).await;
    }
    written
}

/// Stores a large entry in parts; returns the bytes of its object.
async fn put_parts(
    upload: &mut dyn MultipartUpload,
    entry: &Arc<Entry>,
    readers: &ThreadPool,
    mut object: ObjectWriter,
) -> Result<u64, Unwritten> {
    let (mut at, mut written) = (0, 0);
    while at < entry.size() {
        let part;
        (part, object) = read_part(entry, readers, at, object).await?;
        at += TIER_PART as u64;
        written += part.len() as u64;
        in_time(upload.put_part(PutPayload::from(part))).await?;
    }
    in_time(upload.complete()).await?;
    Ok(written)
}

/// Awaits a call that sends a part at most.
async fn in_time<T>(
    call: impl Future<Output = Result<T, object_store::Error>>,
) -> Result<T, Unwritten> {
    Ok(timeout(TIER_PUT, call).await.map_err(|_| Unwritten::Late)??)
}

/// Reads a part of an entry's file from offset `at`, and makes it a part of its object.
async fn read_part(
    entry: &Arc<Entry>,
    readers: &ThreadPool,
    at: u64,
    mut object: ObjectWriter,
) -> Result<(Vec<u8>, ObjectWriter), Unwritten> {
    let len = usize::try_from(entry.size() - at).unwrap_or(TIER_PART).min(TIER_PART);
    let (sender, receiver) = oneshot::channel();
    let entry = Arc::clone(entry);
    readers.submit(Priority::Background, false, move || {
        let mut bytes = vec![0; len];
        let read = entry.read_exact(&mut bytes, at);
        let made = read.map(|()| {
            let part = bytes.chunks(SEGMENT).fold(Vec::new(), |mut part, segment| {
                object.add(segment, &mut part);
                part
            });
            (part, object)
        });
        let _ = sender.send(made);
    });
    match receiver.await {
        Ok(Ok(made)) => Ok(made),
        _ => Err(Unwritten::Entry),
    }
}
