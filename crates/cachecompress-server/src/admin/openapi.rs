//! `GET /api/v1/openapi.json`: the API, described for programs (OpenAPI 3.1).

use std::sync::LazyLock;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::config_list::ConfigList;
use super::encodes::EncodeList;
use super::entries::EntryPage;
use super::history::HistoryList;
use super::purge::{PurgeDone, PurgeRequest};
use super::reload::{Nothing, ReloadDone};
use super::reply::ErrorBody;
use super::route::Route;
use super::status::Status;
use super::warm::{WarmBegun, WarmRequest};
use crate::limits::{ENTRIES_PER_PAGE, MOST_ENTRIES_PER_PAGE};
use crate::recorder::TopFiles;

/// The document, by the routes and by the types that are sent and read.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let text = serde_json::to_string_pretty(&make()).unwrap_or_default();
    text + "\n"
});

/// Returns the document.
pub(super) fn document() -> &'static str {
    &DOCUMENT
}

fn make() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for route in Route::ALL {
        let method = if route.changes() { "post" } else { "get" };
        paths.insert(route.path().to_owned(), json!({ method: schemas.operation(route) }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "cachecompress",
            "description": "The admin listener of `cachecompress serve`.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas.0.take_definitions(true),
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The token of --admin-token-file.",
            } },
        },
    })
}

/// The schemas so far.
struct Schemas(SchemaGenerator);

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12()
            .with(|settings| settings.definitions_path = "/components/schemas".into());
        Self(settings.into_generator())
    }

    fn of<T: JsonSchema>(&mut self) -> Schema {
        self.0.subschema_for::<T>()
    }

    fn operation(&mut self, route: Route) -> Value {
        let mut operation = json!({
            "operationId": id(route),
            "summary": summary(route),
            "responses": self.responses(route),
        });
        if route == Route::Entries {
            operation["parameters"] = entry_parameters();
        }
        if route.changes() {
            operation["security"] = json!([{ "token": [] }]);
            operation["requestBody"] = match route {
                Route::Warm => json!({ "content": content(JSON, self.of::<WarmRequest>()) }),
                Route::Purge => json!({ "content": content(JSON, self.of::<PurgeRequest>()) }),
                _ => json!({ "content": content(JSON, self.of::<Nothing>()) }),
            };
        }
        operation
    }

    fn responses(&mut self, route: Route) -> Value {
        let text = || json!({ "type": "string" });
        let mut responses = Map::new();
        let (status, media_type, schema) = match route {
            Route::Dashboard(_) => ("200", "text/html", text()),
            Route::Health | Route::Ready | Route::Metrics => ("200", "text/plain", text()),
            Route::OpenApi => ("200", JSON, json!({ "type": "object" })),
            Route::Status => ("200", JSON, self.of::<Status>().into()),
            Route::History => ("200", JSON, self.of::<HistoryList>().into()),
            Route::Encodes => ("200", JSON, self.of::<EncodeList>().into()),
            Route::Entries => ("200", JSON, self.of::<EntryPage>().into()),
            Route::Files => ("200", JSON, self.of::<TopFiles>().into()),
            Route::Config => ("200", JSON, self.of::<ConfigList>().into()),
            Route::Events => ("200", "text/event-stream", text()),
            Route::Warm => ("202", JSON, self.of::<WarmBegun>().into()),
            Route::Purge => ("200", JSON, self.of::<PurgeDone>().into()),
            Route::Reload => ("200", JSON, self.of::<ReloadDone>().into()),
        };
        let succeeded = response("The request succeeded.", content(media_type, schema));
        responses.insert(status.to_owned(), succeeded);
        if route == Route::Ready {
            let ending = response("The program ends.", content("text/plain", text()));
            responses.insert("503".to_owned(), ending);
        }
        for (status, description) in refusals(route) {
            let body = content(JSON, self.of::<ErrorBody>());
            responses.insert((*status).to_owned(), response(description, body));
        }
        Value::Object(responses)
    }
}

const JSON: &str = "application/json";

/// The parameters of the list of entries.
fn entry_parameters() -> Value {
    let parameter = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "query", "description": description, "schema": schema });
    json!([
        parameter(
            "sort",
            "The order: the largest, the least compressed, the oldest, or the longest unused first.",
            json!({ "enum": ["size", "ratio", "age", "last_use"], "default": "size" }),
        ),
        parameter(
            "filter",
            "Entries whose digest begins with this, or whose coding, kind or encoder has it.",
            json!({ "type": "string" }),
        ),
        parameter(
            "limit",
            "The most entries of the page.",
            json!({
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_ENTRIES_PER_PAGE,
                "default": ENTRIES_PER_PAGE,
            }),
        ),
        parameter(
            "after",
            "The `next` of the page before.",
            json!({ "type": "string", "pattern": "^[0-9a-f]{48}$" }),
        ),
    ])
}

fn response(description: &str, content: Value) -> Value {
    json!({ "description": description, "content": content })
}

fn content(media_type: &str, schema: impl Into<Value>) -> Value {
    json!({ media_type: { "schema": schema.into() } })
}

/// The name of a route's operation, of which clients make a function.
fn id(route: Route) -> &'static str {
    match route {
        Route::Dashboard(_) => "page",
        Route::Health => "health",
        Route::Ready => "ready",
        Route::Metrics => "metrics",
        Route::OpenApi => "openapi",
        Route::Status => "status",
        Route::History => "history",
        Route::Encodes => "encodes",
        Route::Entries => "entries",
        Route::Files => "files",
        Route::Config => "config",
        Route::Events => "events",
        Route::Warm => "warm",
        Route::Purge => "purge",
        Route::Reload => "reload",
    }
}

fn summary(route: Route) -> &'static str {
    match route {
        Route::Dashboard(_) => "The dashboard",
        Route::Health => "Tells that the process lives",
        Route::Ready => "Tells whether the server takes requests: 503 from the first signal on",
        Route::Metrics => "The metrics for Prometheus; OpenMetrics if Accept names it",
        Route::OpenApi => "This document",
        Route::Status => "The counters and the state of the server",
        Route::History => "The counters of the last hour, one sample every 5 s",
        Route::Encodes => "The encodes that run or wait",
        Route::Entries => "The entries of the cache, a page of them",
        Route::Files => "The files that stand out",
        Route::Config => "The configuration in force, with the origin of each value",
        Route::Events => "Events as they come (server-sent events): sample, encode, reload, purge",
        Route::Warm => "Encodes files ahead of requests",
        Route::Purge => "Removes entries of the cache",
        Route::Reload => "Reads the configuration, the certificates and the token again",
    }
}

/// The statuses of refusals, with the reason of each.
fn refusals(route: Route) -> &'static [(&'static str, &'static str)] {
    const BAD_HOST: (&str, &str) = ("400", "Host is missing or wrong.");
    const UNKNOWN_HOST: (&str, &str) = ("421", "Host is no name of this listener.");
    const BAD_BODY: (&str, &str) = ("400", "Host or the body is wrong.");
    const NO_TOKEN: (&str, &str) = ("401", "The token is missing or wrong.");
    const NO_TOKENS: (&str, &str) = ("403", "The server has no --admin-token-file.");
    const SLOW: (&str, &str) = ("408", "The body takes too long.");
    const LONG: (&str, &str) = ("413", "The body is over 64 KiB.");
    const NOT_JSON: (&str, &str) = ("415", "The body is not named as JSON.");
    match route {
        Route::Health | Route::Ready => &[],
        Route::Events => &[BAD_HOST, UNKNOWN_HOST, ("503", "There are too many listeners.")],
        Route::Warm => &[
            BAD_BODY,
            NO_TOKEN,
            NO_TOKENS,
            SLOW,
            ("409", "Files are being warmed already."),
            LONG,
            NOT_JSON,
            UNKNOWN_HOST,
            ("422", "A glob is wrong."),
            ("503", "A site cannot be listed."),
        ],
        Route::Entries => &[
            ("400", "Host or a parameter is wrong."),
            UNKNOWN_HOST,
            ("503", "The entries are being listed already, or cannot be read."),
        ],
        Route::Purge => &[
            BAD_BODY,
            NO_TOKEN,
            NO_TOKENS,
            SLOW,
            ("409", "Entries are being purged already."),
            LONG,
            NOT_JSON,
            UNKNOWN_HOST,
            ("422", "Nothing is chosen, or a glob or a digest is wrong."),
            ("503", "A site or the cache cannot be read."),
        ],
        Route::Reload => &[
            BAD_BODY,
            NO_TOKEN,
            NO_TOKENS,
            SLOW,
            LONG,
            NOT_JSON,
            UNKNOWN_HOST,
            ("422", "The configuration is wrong or cannot be read; nothing has changed."),
        ],
        _ => &[BAD_HOST, UNKNOWN_HOST],
    }
}
