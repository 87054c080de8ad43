//! Requests to the admin listener.

mod access;
mod api;
mod cache;
#[cfg(unix)]
pub(crate) mod dashboard;
mod schema;

use serde_json::Value;

use crate::common::*;

/// The token of the tests.
pub(crate) const TOKEN: &str = "a-token-of-the-tests";

/// The file that has the token.
pub(crate) struct Secret(tempfile::TempDir);

impl Secret {
    pub(crate) fn new() -> Self {
        let secret = Self(tempfile::tempdir().unwrap());
        fs::write(secret.file(), format!("{TOKEN}\n")).unwrap();
        secret
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("token")
    }
}

/// A server whose changes need the token of `secret`.
pub(crate) fn with_token(site: &Site, secret: &Secret) -> Launch {
    launch(site).arg("--admin-token-file").arg(secret.file())
}

#[track_caller]
pub(crate) fn ask(server: &Server, request: &Request) -> Response {
    cachecompress_test::client::fetch(server.admin(), request).unwrap()
}

/// Gets JSON from the API.
#[track_caller]
pub(crate) fn get(server: &Server, path: &str) -> Value {
    let answer = ask(server, &Request::get(path));
    assert_eq!(answer.status(), 200, "{path}: {answer:?}");
    json(&answer)
}

#[track_caller]
pub(crate) fn json(answer: &Response) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

/// Posts `body` as JSON, with this token.
#[track_caller]
pub(crate) fn post(server: &Server, path: &str, token: &str, body: &str) -> Response {
    let request = Request::new("POST", path)
        .header("authorization", &format!("Bearer {token}"))
        .header("content-type", "application/json");
    post_with(server, &request, body)
}

#[track_caller]
pub(crate) fn post_with(server: &Server, request: &Request, body: &str) -> Response {
    let request = request.clone().header("content-length", &body.len().to_string());
    let mut connection = Connection::open(server.admin()).unwrap();
    connection.send(&request).unwrap();
    connection.send_raw(body.as_bytes()).unwrap();
    connection.receive("POST").unwrap()
}
