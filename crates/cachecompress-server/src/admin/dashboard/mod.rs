//! `GET /`, the dashboard: a page with its style sheet, its modules and its icon.
//!
//! The files are in the program, as they stand here. The page fetches everything else from the API.

/// A file of the dashboard.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DashboardFile {
    pub(super) path: &'static str,
    pub(super) media_type: &'static str,
    pub(super) text: &'static str,
}

/// The page.
pub(super) const PAGE: DashboardFile = DashboardFile {
    path: "/",
    media_type: "text/html; charset=utf-8",
    text: include_str!("index.html"),
};

/// The files that the page uses.
pub(super) static PARTS: [DashboardFile; 9] = [
    DashboardFile {
        path: "/dashboard.css",
        media_type: "text/css; charset=utf-8",
        text: include_str!("dashboard.css"),
    },
    DashboardFile {
        path: "/dashboard/icon.svg",
        media_type: "image/svg+xml",
        text: include_str!("icon.svg"),
    },
    script("/dashboard.js", include_str!("dashboard.js")),
    script("/dashboard/actions.js", include_str!("actions.js")),
    script("/dashboard/feed.js", include_str!("feed.js")),
    script("/dashboard/format.js", include_str!("format.js")),
    script("/dashboard/history.js", include_str!("history.js")),
    script("/dashboard/plot.js", include_str!("plot.js")),
    script("/dashboard/tables.js", include_str!("tables.js")),
];

/// A module of the page's script.
const fn script(path: &'static str, text: &'static str) -> DashboardFile {
    DashboardFile { path, media_type: "text/javascript; charset=utf-8", text }
}
