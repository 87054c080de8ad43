//! `POST /api/v1/purge`

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cachecompress::Digest;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::coding::Coding;
use super::reply::{Answer, Refusal, json, refuse, refuse_globs};
use super::state::State;
use crate::entry_list::Choice;
use crate::flag_values;
use crate::telemetry::Event;

/// The entries to remove: those for which all conditions hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "paths": ["/js/*.js"], "coding": "br" }))]
pub(super) struct PurgeRequest {
    /// Paths of requests, such as `/docs/`, and globs of them, such as `/js/f1*.js`: `*` stops at a slash,
    /// `**` does not, and `%5B` is a bracket. They choose the
    /// entries of the contents that the files of all sites have now.
    paths: Vec<String>,
    /// Entries in this coding.
    coding: Option<Coding>,
    /// Entries that were made so many seconds ago, or longer.
    #[schemars(range(min = 0.0))]
    older_than: Option<f64>,
    /// Entries of the content whose SHA-256 begins with these 8 to 64 hexadecimal digits.
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{8,64}$"))]
    digest: Option<String>,
    /// Whether all entries go. There is no condition then.
    all: bool,
    /// Whether nothing is removed, and only counted.
    dry_run: bool,
}

/// The entries that were removed, or would be.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct PurgeDone {
    entries: u64,
    /// The bytes of those entries.
    bytes: u64,
    /// The number of entries that could not be read or removed.
    failed: u64,
    /// The elements of `paths` that no file of any site matches.
    unmatched: Vec<String>,
}

/// Removes entries.
pub(super) async fn purge(state: &State, request: PurgeRequest) -> Answer {
    let (all, dry_run) = (request.all, request.dry_run);
    let (choice, unmatched) = choice(state, request).await?;
    if choice.is_everything() != all {
        let sentence = "choose by `paths`, `coding`, `older_than` or `digest`, or say `all` alone";
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, sentence));
    }
    let Ok(permit) = Arc::clone(&state.purging).try_acquire_owned() else {
        return Err(refuse(StatusCode::CONFLICT, "entries are being purged already"));
    };
    let files = state.reload.reloader.cache().files();
    // A disk may hang. The permit is held meanwhile.
    let purged = spawn_blocking(move || {
        let now = SystemTime::now();
        let wanted = |digest: &Digest, entry: Option<&_>| choice.has(digest, entry, now);
        let summary = files.purge(dry_run, wanted, |_| ControlFlow::Continue(()));
        drop(permit);
        summary
    });
    let summary = match purged.await {
        Ok(Ok(summary)) => summary,
        Ok(Err(error)) => return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
        Err(error) => return Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    };
    let (entries, bytes, failed) = (summary.entries, summary.bytes, summary.failed);
    if !dry_run {
        tracing::info!(entries, bytes, failed, "purged the cache");
        state.telemetry.events().tell(|| Event::Purge { entries, bytes });
    }
    Ok(json(StatusCode::OK, &PurgeDone { entries, bytes, failed, unmatched }))
}

/// Reads the `request`, and finds the globs without a file.
async fn choice(state: &State, request: PurgeRequest) -> Result<(Choice, Vec<String>), Refusal> {
    let digest = request.digest.as_deref().map(flag_values::digest_start).transpose();
    let digest = digest.map_err(|advice| {
        refuse(StatusCode::UNPROCESSABLE_ENTITY, format!("`digest` is wrong: {advice}"))
    })?;
    let older_than = request.older_than.map(Duration::try_from_secs_f64).transpose();
    let older_than = older_than.map_err(|_| {
        let sentence = "`older_than` is a time in seconds, from 0 on";
        refuse(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    })?;
    let (digests, unmatched) = match request.paths.as_slice() {
        [] => (None, Vec::new()),
        globs => {
            let (digests, unmatched) = digests(state, globs).await?;
            (Some(digests), unmatched)
        }
    };
    let coding = request.coding.map(Coding::into);
    Ok((Choice { digests, coding, older_than, digest }, unmatched))
}

/// Finds the contents of the files of all sites that match `globs`, and the globs without a file.
async fn digests(
    state: &State,
    globs: &[String],
) -> Result<(HashSet<Digest>, Vec<String>), Refusal> {
    let live = state.reload.reloader.live().load_full();
    let (mut digests, mut unmatched) = (HashSet::new(), Vec::new());
    for glob in globs {
        let mut is_matched = false;
        for site in live.sites.all() {
            let found =
                site.service.digests(&[glob]).await.map_err(|error| refuse_globs(&error))?;
            is_matched |= !found.is_empty();
            digests.extend(found.into_iter().map(|(_, digest)| digest));
        }
        if !is_matched {
            unmatched.push(glob.clone());
        }
    }
    Ok((digests, unmatched))
}
