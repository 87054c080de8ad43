//! The admin listener: health, metrics, and the API of those who operate the server.

mod coding;
mod config_list;
mod connections;
mod dashboard;
mod encodes;
mod entries;
mod events;
mod history;
mod metrics;
mod openapi;
mod post;
mod purge;
mod reload;
mod reply;
mod route;
mod state;
mod status;
mod warm;

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::admin_access::AdminAccess;
use crate::authority;
use crate::config::CacheChoice;
use crate::deadlines::RunningRequest;
use crate::limits::{EVENT_LISTENERS, HEARTBEAT_INTERVAL};
use crate::printer::Escaped;
use crate::reload::Reload;
use crate::telemetry::{Exposition, Telemetry};
use crate::tracked_body::{RequestGuards, TrackedBody};

use config_list::ConfigList;
use encodes::EncodeList;
use history::HistoryList;
use reply::{AdminBody, Answer, JSON, Refusal, json, refuse, respond, text};
use route::Route;
use state::State;
use status::Status;

pub(crate) use connections::AdminConnections;

/// Answers the admin listener's requests.
pub(crate) struct Admin {
    state: State,
    exposition: Exposition,
}

impl Admin {
    /// Answers by what `telemetry` has measured, ready from the start.
    pub(crate) fn new(telemetry: Arc<Telemetry>, reload: Arc<Reload>, cache: CacheChoice) -> Self {
        let exposition = Exposition::new(Arc::clone(&telemetry));
        Self { state: State::new(telemetry, reload, cache), exposition }
    }

    /// Answers `/readyz` with 503 from now on, so that balancers send nothing more.
    pub(crate) fn not_ready(&self) {
        self.state.not_ready();
    }

    /// Answers `request`, which is `running` until its response's body is through.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        running: RunningRequest,
    ) -> Result<Response<TrackedBody<AdminBody>>, Infallible> {
        let response = self.respond(request).await.unwrap_or_else(|refusal| *refusal);
        Ok(RequestGuards::new(running).attach(response, |_| None, |body| body))
    }

    async fn respond(&self, request: Request<Incoming>) -> Answer {
        let access = self.state.reload.reloader.live().load().admin.clone();
        let route = admit(&access, &request)?;
        let (parts, body) = request.into_parts();
        let state = &self.state;
        Ok(match route {
            Route::Dashboard(file) => respond(StatusCode::OK, file.media_type, file.text),
            Route::Health => text(StatusCode::OK, "alive\n"),
            Route::Ready if state.is_ready() => text(StatusCode::OK, "ready\n"),
            Route::Ready => text(StatusCode::SERVICE_UNAVAILABLE, "ending\n"),
            Route::Metrics => self.metrics(&parts.headers)?,
            Route::OpenApi => respond(StatusCode::OK, JSON, openapi::document()),
            Route::Status => json(StatusCode::OK, &Status::of(state)),
            Route::History => json(StatusCode::OK, &HistoryList::of(state)),
            Route::Encodes => json(StatusCode::OK, &EncodeList::of(state)),
            Route::Entries => entries::entries(state, parts.uri.query()).await?,
            Route::Files => json(StatusCode::OK, &state.telemetry.files()),
            Route::Config => json(StatusCode::OK, &ConfigList::of(state)),
            Route::Events => {
                events::listen(state).map(reply::events).ok_or_else(too_many_listeners)?
            }
            Route::Warm => warm::warm(state, post::read(&parts.headers, body).await?).await?,
            Route::Purge => purge::purge(state, post::read(&parts.headers, body).await?).await?,
            Route::Reload => {
                let reload::Nothing {} = post::read(&parts.headers, body).await?;
                reload::reload(state).await?
            }
        })
    }

    fn metrics(&self, headers: &HeaderMap) -> Answer {
        let (media_type, text) = metrics::expose(&self.exposition, headers)
            .map_err(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR, "cannot encode metrics"))?;
        Ok(respond(StatusCode::OK, media_type, text))
    }
}

/// Finds the route of `request`, if its host, its method and its token are right.
fn admit<B>(access: &AdminAccess, request: &Request<B>) -> Result<Route, Refusal> {
    let route = Route::find(request.uri().path());
    if !route.is_some_and(Route::is_for_any_host) {
        authority::check(request).map_err(|reason| refuse(StatusCode::BAD_REQUEST, reason))?;
        // HTTP/1.0 may come without a host. No browser's page sends that.
        let host = authority::of(request).filter(|host| !access.hosts.know(host));
        if let Some(host) = host {
            return Err(unknown_host(host));
        }
    }
    let Some(route) = route else {
        return Err(refuse(StatusCode::NOT_FOUND, "nothing has this path; / lists what there is"));
    };
    if !route.takes(request.method()) {
        let allowed = route.allowed();
        let mut refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, format!("{allowed} only"));
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
        return Err(refusal);
    }
    if route.changes() {
        post::authorize(access.token.as_ref(), request.headers())?;
    }
    Ok(route)
}

/// Refuses a request for a host that is not this listener's (RFC 9110 §15.5.20).
fn unknown_host(host: &[u8]) -> Refusal {
    let host = Escaped(String::from_utf8_lossy(host));
    let sentence = format!(
        "`{host}` is no host of this listener; ask for an IP address or localhost, or name it with \
         --admin-host"
    );
    refuse(StatusCode::MISDIRECTED_REQUEST, sentence)
}

fn too_many_listeners() -> Refusal {
    let sentence = format!("{EVENT_LISTENERS} listeners have events already, the most at once");
    let mut refusal = refuse(StatusCode::SERVICE_UNAVAILABLE, sentence);
    let seconds = HeaderValue::from(HEARTBEAT_INTERVAL.as_secs());
    refusal.headers_mut().insert(header::RETRY_AFTER, seconds);
    refusal
}
