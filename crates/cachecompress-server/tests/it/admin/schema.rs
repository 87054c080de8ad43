//! The OpenAPI document, held against what is kept in the repository and what the server answers.

use std::process::Command;

use cachecompress_test::tools::require;

use super::*;

#[test]
fn kept_document_is_the_one_that_is_served() {
    let site = Site::with("a.txt", b"a");
    let server = start(&site);
    let served = get(&server, "/api/v1/openapi.json");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let kept: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let command = "curl -so docs/openapi.json http://ADMIN/api/v1/openapi.json";
    assert!(kept == served, "docs/openapi.json is another; write it anew: {command}");
}

#[test]
fn page_links_to_every_path_that_the_document_has_for_looking() {
    let site = Site::with("a.txt", b"a");
    let server = start(&site);
    let page = String::from_utf8(ask(&server, &Request::get("/")).body).unwrap();
    let document = get(&server, "/api/v1/openapi.json");
    let paths = document["paths"].as_object().unwrap();
    for (path, operations) in paths {
        let is_linked = page.contains(&format!("href=\"{path}\""));
        assert_eq!(is_linked, operations.get("get").is_some() && path != "/", "{path}");
    }
    assert!(paths.len() > 8, "{paths:?}");
}

/// Schemathesis makes requests by the document, right and wrong ones, and holds every answer against
/// it.
#[test]
fn answers_are_as_the_document_has_them() {
    let Some(python) = require("schemathesis") else { return };
    let site = Site::with("app.js", &site::text(5, 3_000));
    let secret = Secret::new();
    let server = with_token(&site, &secret).start();
    let _ = server.get("/app.js", "gzip");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let work = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.admin());
    let output = Command::new(python)
        .current_dir(work.path())
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(manifest.join("../../tests/schemathesis/schemathesis.toml"))
        .args(["run", &format!("{url}/api/v1/openapi.json")])
        .args(["--url", &url, "--header", &format!("Authorization: Bearer {TOKEN}")])
        // The answer has no end. Schemathesis itself leaves the document out.
        .args(["--exclude-path", "/api/v1/events"])
        .args(["--checks", "all", "--max-examples", "20", "--seed", "1", "--no-color"])
        .args(["--generation-database", "none", "--request-timeout", "60"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let paths = get(&server, "/api/v1/openapi.json")["paths"].as_object().unwrap().len();
    assert!(text.contains(&format!("Tested: {}\n", paths - 2)), "one is missing: {text}");
}
