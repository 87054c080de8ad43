//! `POST /api/v1/warm`

use std::collections::BTreeSet;
use std::sync::Arc;

use cachecompress::{ContentCoding, ServeCompressed, SourcePath, WarmOptions, WarmSummary};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::coding::Coding;
use super::reply::{Answer, Refusal, json, refuse, refuse_globs};
use super::state::State;

/// The files to encode ahead of requests, and in which codings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "paths": ["/js/*.js"], "codings": ["br"] }))]
pub(super) struct WarmRequest {
    /// Paths of requests, such as `/docs/`, and globs of them, such as `/js/f1*.js`: `*` stops at a slash,
    /// `**` does not, and `%5B` is a bracket. All files of all
    /// sites without them.
    #[serde(default)]
    paths: Vec<String>,
    /// All codings that are offered without them.
    #[serde(default)]
    codings: Vec<Coding>,
    /// Whether they are encoded at the levels of the second pass, which takes minutes for a large file.
    #[serde(default)]
    best: bool,
    /// Whether the warming that runs is ended, and none begins.
    #[serde(default)]
    cancel: bool,
}

/// The warming has begun.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct WarmBegun {
    /// The number of files.
    files: usize,
    /// The elements of `paths` that no file of any site matches.
    unmatched: Vec<String>,
}

/// The glob of all files.
const EVERYTHING: &str = "/**";

/// The files of one site.
type SiteFiles = (ServeCompressed, Vec<SourcePath>);

/// Begins to encode files, behind whatever requests need. It goes on after the response.
pub(super) async fn warm(state: &State, request: WarmRequest) -> Answer {
    let WarmRequest { paths, codings, best, cancel } = request;
    if cancel {
        if !paths.is_empty() || !codings.is_empty() || best {
            let sentence = "`cancel` ends the warming that runs, and stands alone";
            return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, sentence));
        }
        state.end_warming();
        return Ok(json(StatusCode::ACCEPTED, &WarmBegun { files: 0, unmatched: Vec::new() }));
    }
    let Ok(permit) = Arc::clone(&state.warming).try_acquire_owned() else {
        return Err(refuse(StatusCode::CONFLICT, "files are being warmed already"));
    };
    let (sites, unmatched) = files(state, &paths).await?;
    let files = sites.iter().map(|(_, paths)| paths.len()).sum();
    let codings = codings.into_iter().map(ContentCoding::from).collect();
    let warming = tokio::spawn(async move {
        encode(sites, codings, best).await;
        drop(permit);
    });
    state.began_warming(warming.abort_handle());
    Ok(json(StatusCode::ACCEPTED, &WarmBegun { files, unmatched }))
}

/// Finds the files of all sites that match `globs`, or all files if there are none, and the globs without
/// a file.
async fn files(state: &State, globs: &[String]) -> Result<(Vec<SiteFiles>, Vec<String>), Refusal> {
    let live = state.reload.reloader.live().load_full();
    let everything = [EVERYTHING.to_owned()];
    let searched = if globs.is_empty() { &everything[..] } else { globs };
    let mut unmatched: Vec<_> = globs.to_vec();
    let mut sites = Vec::new();
    for site in live.sites.all() {
        let mut files = BTreeSet::new();
        for glob in searched {
            let found =
                site.service.matching(&[glob]).await.map_err(|error| refuse_globs(&error))?;
            if !found.is_empty() {
                unmatched.retain(|other| other != glob);
            }
            files.extend(found);
        }
        sites.push((site.service.clone(), files.into_iter().collect()));
    }
    Ok((sites, unmatched))
}

async fn encode(sites: Vec<SiteFiles>, codings: Vec<ContentCoding>, best: bool) {
    for (site, paths) in sites {
        let options = WarmOptions::new().paths(paths).best(best);
        let options = match codings.is_empty() {
            true => options,
            false => options.codings(codings.clone()),
        };
        match site.warm_with(options, |_| ()).await {
            Ok(WarmSummary { stored, unprofitable, failed, .. }) => {
                tracing::info!(stored, unprofitable, failed, "warmed a site");
            }
            Err(error) => tracing::warn!(%error, "cannot warm a site"),
        }
    }
}
