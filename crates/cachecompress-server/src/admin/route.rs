//! The paths of the admin listener.

use http::Method;

use super::dashboard::{self, DashboardFile};

/// A path of the admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Ready,
    Metrics,
    /// The dashboard, or a part of it.
    Dashboard(&'static DashboardFile),
    OpenApi,
    Status,
    History,
    Encodes,
    Entries,
    Files,
    Config,
    Events,
    Warm,
    Purge,
    Reload,
}

impl Route {
    /// All of them, but for the parts of the dashboard.
    pub(super) const ALL: [Self; 15] = [
        Self::Dashboard(&dashboard::PAGE),
        Self::Health,
        Self::Ready,
        Self::Metrics,
        Self::OpenApi,
        Self::Status,
        Self::History,
        Self::Encodes,
        Self::Entries,
        Self::Files,
        Self::Config,
        Self::Events,
        Self::Warm,
        Self::Purge,
        Self::Reload,
    ];

    /// The route at `path`.
    pub(super) fn find(path: &str) -> Option<Self> {
        let parts = dashboard::PARTS.iter().map(Self::Dashboard);
        Self::ALL.into_iter().chain(parts).find(|route| route.path() == path)
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Dashboard(file) => file.path,
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
            Self::OpenApi => "/api/v1/openapi.json",
            Self::Status => "/api/v1/status",
            Self::History => "/api/v1/history",
            Self::Encodes => "/api/v1/encodes",
            Self::Entries => "/api/v1/entries",
            Self::Files => "/api/v1/files",
            Self::Config => "/api/v1/config",
            Self::Events => "/api/v1/events",
            Self::Warm => "/api/v1/warm",
            Self::Purge => "/api/v1/purge",
            Self::Reload => "/api/v1/reload",
        }
    }

    /// Whether a request changes something. It is a POST then, and needs the token.
    pub(super) const fn changes(self) -> bool {
        matches!(self, Self::Warm | Self::Purge | Self::Reload)
    }

    /// Whether any host may be asked for it. Balancers send odd ones, and the answer is one word.
    pub(super) const fn is_for_any_host(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    /// Whether the route takes requests with this `method`.
    pub(super) fn takes(self, method: &Method) -> bool {
        match self.changes() {
            true => method == Method::POST,
            false => method == Method::GET || method == Method::HEAD,
        }
    }

    /// The methods that [`takes`](Self::takes) is true for, as `Allow` has them.
    pub(super) const fn allowed(self) -> &'static str {
        if self.changes() { "POST" } else { "GET, HEAD" }
    }
}
