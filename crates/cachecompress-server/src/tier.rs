//! The store that replicas share: its start, and its end.

use std::time::Duration;

use cachecompress::tier::Tier;
use tokio::time::{Instant, sleep};

use crate::config::TierChoice;
use crate::exit::Failure;
use crate::limits::{TIER_BACKLOG, TIER_BACKLOG_BYTES, TIER_TICK};

/// Opens the store of `choice`. It is asked for the first time after that, by a thread of its own.
///
/// # Errors
///
/// If its URL, its directory or its key file is wrong.
pub(crate) fn open(choice: &TierChoice) -> Result<Tier, Failure> {
    let mut builder = Tier::builder(absolute(&choice.url)).mode(choice.mode);
    if let Some(file) = &choice.key_file {
        builder = builder.key_file(file);
    }
    builder.build().map_err(|error| match Failure::from(error) {
        Failure::Runtime(sentence) => Failure::Runtime(cannot(&sentence)),
        failure => Failure::Usage(cannot(&failure.to_string())),
    })
}

/// The directory `url` as it counts from the root. A URL stays as it is.
fn absolute(url: &str) -> String {
    let path = Some(url).filter(|url| !url.contains("://"));
    let path =
        path.and_then(|path| std::path::absolute(path).ok()?.into_os_string().into_string().ok());
    path.unwrap_or_else(|| url.to_owned())
}

fn cannot(sentence: &str) -> String {
    format!("cannot use --tier: {sentence}")
}

/// Waits until what was encoded here is stored for other replicas, at most so long.
pub(crate) async fn flush(tier: &Tier, patience: Duration) {
    let deadline = Instant::now() + patience;
    while tier.metrics().upload_queue > 0 && Instant::now() < deadline {
        sleep(TIER_TICK).await;
    }
}

/// Waits until so little waits to be stored for other replicas that what is encoded next finds a place.
pub(crate) async fn has_room(tier: &Tier) {
    loop {
        let metrics = tier.metrics();
        if metrics.upload_queue <= TIER_BACKLOG && metrics.upload_queue_bytes <= TIER_BACKLOG_BYTES
        {
            return;
        }
        sleep(TIER_TICK).await;
    }
}
