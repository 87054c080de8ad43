//! `POST /api/v1/warm`

use std::sync::Arc;

use cachecompress::{ContentCoding, ServeCompressed, SourcePath, WarmOptions, WarmSummary};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::coding::Coding;
use super::path_globs::PathGlobs;
use super::reply::{Answer, json, refuse};
use super::state::State;

/// The files to encode ahead of requests, and in which codings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "paths": ["/js/*.js"], "codings": ["br"] }))]
pub(super) struct WarmRequest {
    /// Globs of paths, such as `/js/f1*.js`; `*` stops at a slash, `**` does not. All files of all sites
    /// without them.
    #[serde(default)]
    paths: Vec<String>,
    /// All codings that are offered without them.
    #[serde(default)]
    codings: Vec<Coding>,
}

/// The warming has begun.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct WarmBegun {
    /// The number of files.
    files: usize,
}

/// The files of one site.
type SiteFiles = (ServeCompressed, Vec<SourcePath>);

/// Begins to encode files, behind whatever requests need. It goes on after the response.
pub(super) async fn warm(state: &State, request: WarmRequest) -> Answer {
    let WarmRequest { paths, codings } = request;
    let globs = PathGlobs::parse(&paths)
        .map_err(|sentence| refuse(StatusCode::UNPROCESSABLE_ENTITY, sentence))?;
    let Ok(permit) = Arc::clone(&state.warming).try_acquire_owned() else {
        return Err(refuse(StatusCode::CONFLICT, "files are being warmed already"));
    };
    let live = state.reload.reloader.live().load_full();
    let globs = (!paths.is_empty()).then_some(globs);
    // A disk may hang. Its permit is held meanwhile.
    let listed = spawn_blocking(move || {
        let sites = live.sites.all().iter().map(|site| list(&site.service, globs.as_ref()));
        (sites.collect::<Result<Vec<_>, _>>(), permit)
    });
    let (sites, permit) = match listed.await {
        Ok((Ok(sites), permit)) => (sites, permit),
        Ok((Err(error), _)) => {
            return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()));
        }
        Err(error) => {
            return Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()));
        }
    };
    let files = sites.iter().map(|(_, paths)| paths.len()).sum();
    let codings = codings.into_iter().map(ContentCoding::from).collect();
    tokio::spawn(async move {
        encode(sites, codings).await;
        drop(permit);
    });
    Ok(json(StatusCode::ACCEPTED, &WarmBegun { files }))
}

/// Lists the files of `site` that `globs` match.
fn list(
    site: &ServeCompressed,
    globs: Option<&PathGlobs>,
) -> Result<SiteFiles, cachecompress::Error> {
    let mut paths = site.paths()?;
    if let Some(globs) = globs {
        paths.retain(|path| globs.contain(path));
    }
    Ok((site.clone(), paths))
}

async fn encode(sites: Vec<SiteFiles>, codings: Vec<ContentCoding>) {
    for (site, paths) in sites {
        let options = WarmOptions::new().paths(paths);
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
