//! A browser on the demo page: the responses that it got, its decoded page, and its requests on the
//! next visit.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use cachecompress_test::server::sum;
use cachecompress_test::tools::require;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::common::*;
use crate::tls::pki::Authority;

/// Flags that keep the browser to the page: no user interface, no requests to its makers.
const FLAGS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    // The console goes to stderr.
    "--enable-logging=stderr",
    // The page's own clock stands still while a request is under way. The timer on which the page
    // reports follows it.
    "--virtual-time-budget=10000",
    "--dump-dom",
];

/// The page's files that come compressed. `PLAIN` has the other one.
const CODED: [&str; 6] =
    ["tides.json", "app.3f9c2b1a.js", "style.css", "index.html", "mark.svg", "checksum.wasm"];
const PLAIN: [&str; 1] = ["pixels.png"];

#[test]
fn browser_decodes_the_page_and_revalidates_it() {
    let Some(chromium) = require("chromium") else { return };
    let server = Launch::new(PROGRAM, &example_site()).args(PATIENT).start();
    visit_twice(&chromium, &server, None, "/");
}

/// The browser agrees on HTTP/2 by itself, and has nothing to complain of in its console.
#[test]
fn browser_decodes_the_page_over_https_and_http_2() {
    let Some(chromium) = require("chromium") else { return };
    let authority = Authority::new();
    let pair = authority.issue("site", &["127.0.0.1"]);
    let log = authority.path().join("log");
    let server = Launch::new(PROGRAM, &example_site()).args(PATIENT);
    let server = server.arg("--tls-cert").arg(&pair.cert).arg("--tls-key").arg(&pair.key);
    let server = server.arg("--access-log").arg(&log).start();
    visit_twice(&chromium, &server, Some(&pair.pin), "/");
    let log = eventually("the log's lines", || {
        let log = fs::read_to_string(&log).unwrap();
        (log.lines().count() > CODED.len()).then_some(log)
    });
    assert!(log.lines().all(|line| line.contains(" HTTP/2.0\" ")), "{log}");
}

/// Every reference of a page under a prefix has to be relative, and so has the redirect from the
/// directory's name without its slash.
#[test]
fn browser_decodes_the_page_under_a_redirected_path() {
    let Some(chromium) = require("chromium") else { return };
    let site = Site::new();
    for (inside, path) in files_of(&example_site(), "") {
        site.write(&format!("deep/er{inside}"), &fs::read(path).unwrap());
    }
    let server = start(&site);
    visit_twice(&chromium, &server, None, "/deep/er");
    assert_eq!(server.get("/deep/er", "br").status(), 301);
}

/// A script of one site reads files of another, which names the first one's origin. The field that it
/// sends needs a preflight, and the entity tag that it reads has to be exposed.
#[test]
fn script_reads_a_site_of_another_origin_that_allows_it() {
    let Some(chromium) = require("chromium") else { return };
    let (home, files) = (Site::new(), Site::with("a.txt", b"read"));
    let home_server = start(&home);
    let origin = format!("http://{}", home_server.address());
    let allowing = start_with(&files, &format!("--cors {origin}"));
    let refusing = start_with(&files, "--cors https://other.example");
    let script = format!(
        "<!doctype html><p id=told></p><script>\
         const ask = async (url, init) => {{\
           try {{ const r = await fetch(url, init);\
             return `${{r.status}} ${{await r.text()}} ${{r.headers.get('etag') ? 'tag' : '-'}}`;\
           }} catch (error) {{ return error.name; }} }};\
         (async () => {{\
           const told = [];\
           const known = {{headers: {{'if-none-match': '\"x\"', 'x-own': '1'}}}};\
           for (const url of ['http://{0}/a.txt', 'http://{1}/a.txt'])\
             for (const init of [{{}}, known, {{method: 'HEAD'}}]) told.push(await ask(url, init));\
           told.push(await ask('http://{0}/none'));\
           document.getElementById('told').textContent = told.join('|') + '|';\
         }})();</script>",
        allowing.address(),
        refusing.address(),
    );
    home.write("page.html", script.as_bytes());
    let profile = TempDir::with_prefix("profile-").unwrap();
    let page = visit(&chromium, profile.path(), None, &format!("{origin}/page.html"));
    let told = between(&page, "<p id=\"told\">", "</p>");
    let refused = "TypeError|TypeError|TypeError|";
    let expected = format!("200 read tag|200 read tag|200  tag|{refused}404 404 Not Found\n -|");
    assert_eq!(told, expected, "{}", allowing.stderr());
}

/// Visits `target` with an empty profile, then again. With a certificate's `pin` over HTTPS.
fn visit_twice(chromium: &Path, server: &Server, pin: Option<&str>, target: &str) {
    let profile = TempDir::with_prefix("profile-").unwrap();
    let scheme = if pin.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}{target}", server.address());
    let visit_until_told = |chromium, profile, url| visit_until_told(chromium, profile, pin, url);
    let files = CODED.len() + PLAIN.len();

    let page = visit_until_told(chromium, profile.path(), &url);
    assert_page(&page);
    let first = server.metrics();
    assert_eq!(outcomes(&first, "miss"), CODED.len(), "each is encoded for the first visit");
    assert_eq!(outcomes(&first, "identity"), PLAIN.len());
    assert_eq!(server.encodes(), CODED.len() as u64);

    let page = visit_until_told(chromium, profile.path(), &url);
    assert_page(&page);
    let second = server.metrics();
    let more = |outcome| outcomes(&second, outcome) - outcomes(&first, outcome);
    assert!(more("not_modified") >= files, "{} of {files} were 304", more("not_modified"));
    for outcome in ["hit", "miss", "collapsed", "bypass", "identity", "error"] {
        assert_eq!(more(outcome), 0, "{outcome}: sent again");
    }
    let sent = |text: &str| sum(text, "cachecompress_sent_bytes_total", &[]);
    assert_eq!(sent(&first), sent(&second), "a 304 has no content");
}

/// Visits the page until it has its report. A browser on a busy machine may end before that. The
/// next visit revalidates the loaded files, and loads the others.
fn visit_until_told(chromium: &Path, profile: &Path, pin: Option<&str>, url: &str) -> String {
    let mut page = visit(chromium, profile, pin, url);
    for _ in 0..2 {
        if !rows(&page).is_empty() {
            break;
        }
        println!("the browser ended before the page had told anything");
        page = visit(chromium, profile, pin, url);
    }
    let log = fs::read_to_string(profile.join("log")).unwrap();
    assert!(!log.contains(":CONSOLE"), "{url}: {log}");
    page
}

/// Visits the page by a new browser with this profile. Returns the page as HTML.
fn visit(chromium: &Path, profile: &Path, pin: Option<&str>, url: &str) -> String {
    let (page, log) = (profile.join("page.html"), profile.join("log"));
    let child = Command::new(chromium)
        .args(FLAGS)
        .args(pin.map(|pin| format!("--ignore-certificate-errors-spki-list={pin}")))
        .arg(format!("--user-data-dir={}", profile.join("profile").display()))
        .arg(url)
        .stdin(Stdio::null())
        .stdout(fs::File::create(&page).unwrap())
        .stderr(fs::File::create(&log).unwrap())
        // The group holds the many processes of a browser.
        .process_group(0)
        .spawn();
    let mut browser = Browser(child.unwrap());
    let status = eventually("the browser's end", || browser.0.try_wait().unwrap());
    let log = fs::read_to_string(&log).unwrap_or_default();
    assert!(status.success(), "{url}: {status}\n{log}");
    fs::read_to_string(&page).unwrap()
}

/// A browser that ends with the test, with all of its processes.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.0.wait();
    }
}

/// Asserts by the page's report that every file was decoded whole, and came compressed if it
/// should.
fn assert_page(page: &str) {
    let rows = rows(page);
    let names: Vec<&str> = rows.keys().map(String::as_str).collect();
    let mut expected = [&CODED[..], &PLAIN[..]].concat();
    expected.sort_unstable();
    assert_eq!(names, expected, "{page}");
    for (name, (decoded, encoded)) in &rows {
        let length = fs::metadata(example_site().join(name)).unwrap().len();
        assert_eq!(*decoded, shown(length), "{name}: its size in the page");
        let same = decoded == encoded;
        assert_eq!(same, PLAIN.contains(&name.as_str()), "{name}: {encoded} of {decoded}");
    }
    let total = between(page, "<p id=\"total\" class=\"total\">", "</p>");
    let saved = between(total, ": ", " % saved").parse::<u32>();
    assert!(saved.is_ok_and(|saved| (70..95).contains(&saved)), "{total}");
    // A script's sum over the JSON, checked by WebAssembly, shows that both arrived byte for byte.
    let sum = between(page, "Its Adler-32, by checksum.wasm: ", ".");
    assert_eq!(sum, format!("{:08x}", adler32(&heights())), "of tides.json");
}

/// The size and the sent bytes of each file in the page's table, in the form that it shows.
fn rows(page: &str) -> BTreeMap<String, (String, String)> {
    let table = between(page, "<tbody id=\"files\">", "</tbody>");
    let rows = table.split("<tr>").skip(1).map(|row| {
        let mut cells = row.split("<td>").skip(1);
        let mut next = || cells.next().unwrap_or_default().split('<').next().unwrap().to_owned();
        (next(), (next(), next()))
    });
    rows.collect()
}

/// A length in the form that the page shows.
fn shown(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // At most one decimal, the half rounded up.
    let tenths = (bytes + 50) / 100;
    let decimal =
        if tenths.is_multiple_of(10) { String::new() } else { format!(".{}", tenths % 10) };
    format!("{}{decimal} kB", tenths / 10)
}

/// The text that the page hands to its checksum.
fn heights() -> String {
    let json = fs::read(example_site().join("tides.json")).unwrap();
    let tides: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let hours = tides["hours"].as_array().unwrap();
    hours
        .iter()
        .map(|hour| hour["height"].as_f64().unwrap().to_string())
        .collect::<Vec<_>>()
        .join(",")
}

/// The Adler-32 checksum of RFC 1950 §8.2.
fn adler32(text: &str) -> u32 {
    let (a, b) = text.bytes().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).map(|(_, rest)| rest);
    let inside = rest.and_then(|rest| rest.split_once(end)).map(|(inside, _)| inside);
    inside.unwrap_or_else(|| panic!("no {start:?} … {end:?} in {text}"))
}

fn outcomes(metrics: &str, outcome: &str) -> usize {
    sum(metrics, "cachecompress_requests_total", &[("outcome", outcome)]) as usize
}

fn example_site() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/site")
}

/// Every file under `directory`, with its path from there.
fn files_of(directory: &Path, prefix: &str) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .flat_map(|entry| {
            let inside = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
            match entry.path() {
                path if path.is_dir() => files_of(&path, &inside),
                path => vec![(inside, path)],
            }
        })
        .collect()
}
