//! The dashboard in a browser: its numbers, its actions, and its way through a restart.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use cachecompress_test::tools::require;

use super::*;
use crate::sites::devtools::Tab;

/// A name that would run a script if it were taken for markup.
const STRANGE: &str = "<img src=x onerror=window.ran=1>.js";
/// The same in a request.
const STRANGE_TARGET: &str = "/%3Cimg%20src=x%20onerror=window.ran=1%3E";

/// The variable with the directory for new pictures of `docs/images`.
const PICTURES: &str = "CACHECOMPRESS_TEST_PICTURES";
/// The time for which their server has had traffic.
const TRAFFIC: Duration = Duration::from_secs(330);

#[test]
fn page_shows_traffic_and_purges_without_barriers() {
    let Some(chromium) = require("chromium") else { return };
    let Some(axe) = require("axe-core") else { return };
    let secret = Secret::new();
    let site = some_site();
    let server = with_token(&site, &secret).start();
    let url = format!("http://{}/", server.admin());
    let mut tab = Tab::open(&chromium, None);
    tab.show_as("light", 1280);
    tab.go(&url);
    tab.until_true("document.getElementById('connection').textContent === 'Live'");

    modules_compute(&mut tab);
    numbers_move(&mut tab, &server);
    strange_names_are_text(&mut tab, &server);
    keyboard_reaches_everything(&mut tab);
    plot_is_read_by_the_keyboard(&mut tab);
    keyboard_purges(&mut tab, &server);
    globs_without_a_file_are_told(&mut tab);
    request_under_way_is_told_and_sent_once(&mut tab);
    failures_have_a_sentence_each(&mut tab);
    forced_colors_keep_marks_apart(&mut tab);
    nothing_is_a_barrier(&mut tab, &fs::read_to_string(axe).unwrap());

    assert_eq!(tab.complaints(), [""; 0]);
    let elsewhere = tab.urls().into_iter().filter(|other| !other.starts_with(&url));
    assert_eq!(elsewhere.collect::<Vec<_>>(), ["about:blank"; 0]);
    if let Some(directory) = std::env::var_os(PICTURES) {
        take_pictures(&mut tab, &server, Path::new(&directory));
    }
}

/// A site with files of some kinds.
fn some_site() -> Site {
    let site = Site::with("index.html", &site::text(1, 9_000));
    for (at, name) in (2..).zip(["app.3f9c2b1a", "vendor.b81d07e5", "chart.44c0de10", STRANGE]) {
        site.write(&format!("assets/{}.js", name.trim_end_matches(".js")), &site::text(at, 90_000));
    }
    site.write("assets/style.css", &site::text(7, 40_000));
    site.write("data/stations.json", &site::text(8, 900_000));
    site.write("data/noise.json", &site::random(9, 300_000));
    site.write("robots.txt", b"User-agent: *\n");
    (0..20).for_each(|page| {
        site.write(&format!("guide/page-{page}.html"), &site::text(20 + page, 15_000));
    });
    site
}

/// The page's modules, as a table of expressions and their values.
fn modules_compute(tab: &mut Tab) {
    let sample = |at: u32, hits: u32, sent: u32| {
        format!(
            "{{at: {at}, requests: {{hit: {hits}}}, bypasses: {{small: {hits}}}, sent_bytes: {sent}, \
             source_bytes: {}, encode_cpu_seconds: 0, evictions: 0, damaged_entries: 0}}",
            4 * sent,
        )
    };
    let past = format!("[{}, {}]", sample(1010, 10, 100), sample(1015, 20, 200));
    let history = format!(
        "const past = new history.History();\
         past.load({{interval_seconds: 5, samples: {past}}}, 1005);"
    );
    let of =
        |after: &str, value: &str| format!("(() => {{ {history} {after}; return {value}; }})()");
    let newest = "past.points.at(-1)";
    let (fallen, next) = (sample(1020, 5, 50), sample(1020, 45, 400));
    let table = [
        ("format.bytes(999)".to_owned(), "999 B"),
        ("format.bytes(1234567)".to_owned(), "1.23 MB"),
        ("format.bytes(999999)".to_owned(), "1 MB"),
        ("format.perSecond(0.2)".to_owned(), "0.2/s"),
        ("format.perSecond(12345)".to_owned(), "12.3 K/s"),
        ("format.percent(0.9999)".to_owned(), "99.9 %"),
        ("format.duration(0.00042)".to_owned(), "420 µs"),
        ("format.duration(0.0123)".to_owned(), "12.3 ms"),
        ("format.duration(90061)".to_owned(), "1 d 1 h"),
        // The counters were 0 at the start.
        (of("", "past.points[0].hit"), "2"),
        (of("", "past.points[1].saved"), "60"),
        (of(&format!("past.push({next})"), &format!("{newest}.bypasses.small")), "25"),
        // Counters that fall are those of another start, whose time is not known.
        (
            of(&format!("past.push({fallen})"), &format!("{newest}.restart && {newest}.hit")),
            "undefined",
        ),
        (
            of(
                &format!("past.load({{interval_seconds: 5, samples: [{fallen}]}}, 1017.5)"),
                &format!("{newest}.restart && {newest}.hit"),
            ),
            "2",
        ),
        (of("", "past.since(3).length"), "1"),
        (of(&format!("past.push({})", sample(1015, 9, 9)), "past.points.length"), "2"),
    ];
    for (expression, expected) in table {
        let imports = "const [format, history] = await Promise.all(\
                       ['format', 'history'].map(name => import(`/dashboard/${name}.js`)));";
        let value =
            tab.evaluate(&format!("(async () => {{ {imports} return String({expression}); }})()"));
        assert_eq!(value, Some(expected.into()), "{expression}");
    }
}

pub(crate) fn text(tab: &mut Tab, selector: &str) -> String {
    let value = tab.evaluate(&format!("document.querySelector({selector:?}).textContent"));
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The plots have the traffic in their tables of values, since a readout shows the newest sample only.
fn numbers_move(tab: &mut Tab, server: &Server) {
    assert_eq!(text(tab, "#saved"), "0 B");
    let store = tab.evaluate("document.getElementById('tier-section').checkVisibility()");
    assert_eq!(store, Some(false.into()), "there is none");
    let request = Request::get("/assets/app.3f9c2b1a.js").accept("br");
    let _ = server.fetch(&request);
    server.until_hit(&request);
    eventually("a bypass", || {
        let answer = server.get("/data/noise.json", "br");
        answer.header("cache-status")?.contains("fwd=bypass").then_some(())
    });
    tab.evaluate(
        "document.querySelectorAll('details').forEach(details => { details.open = true; })",
    );
    for (plot, column, still) in [
        ("saved", 1, "0 B/s"),
        ("cpu", 1, "0 %"),
        ("outcomes", 1, "0/s"),
        ("outcomes", 2, "0/s"),
        ("requests", 1, "0/s"),
        ("bandwidth", 1, "0 B/s"),
        ("first-byte", 3, "–"),
        ("size", 1, "0 B"),
    ] {
        let cells =
            format!("[...document.querySelectorAll('#plot-{plot} td:nth-child({})')]", column + 1);
        tab.until_true(&format!(
            "{cells}.some(cell => !['–', '{still}'].includes(cell.textContent))"
        ));
    }
    tab.evaluate(
        "document.querySelectorAll('details').forEach(details => { details.open = false; })",
    );
    for (id, shown) in [
        ("saved", "KB"),
        ("ratio", " %"),
        ("cache-facts", &format!("Entries{}", server.entries())),
        ("bypasses", "unprofitable"),
        ("by-bytes", "/assets/app.3f9c2b1a.js"),
        ("by-misses", "/assets/app.3f9c2b1a.js"),
        ("uncompressed", "/data/noise.json"),
        ("server-facts", concat!("Version", env!("CARGO_PKG_VERSION"))),
    ] {
        tab.until_true(&format!("document.getElementById('{id}').textContent.includes('{shown}')"));
    }
}

/// The name of a file is told as it is, and a path as it was asked for.
fn strange_names_are_text(tab: &mut Tab, server: &Server) {
    assert_eq!(server.get(STRANGE_TARGET, "br").status(), 404);
    assert_eq!(server.get(&format!("/assets{STRANGE_TARGET}.js"), "br").status(), 200);
    tab.until_true(&format!(
        "document.getElementById('not-found').textContent.includes({STRANGE_TARGET:?})"
    ));
    tab.until_true(&format!(
        "document.getElementById('encodes').textContent.includes({STRANGE:?})"
    ));
    let ran = "document.querySelector('main img') !== null || window.ran !== undefined";
    assert_eq!(tab.evaluate(ran), Some(false.into()));
}

/// Presses Tab until an element that `selector` matches has the focus.
fn tab_to(tab: &mut Tab, selector: &str) {
    for _ in 0..200 {
        let is_there = tab.evaluate(&format!("document.activeElement.matches({selector:?})"));
        if is_there == Some(true.into()) {
            return;
        }
        tab.press("Tab");
    }
    panic!("Tab does not reach {selector}");
}

fn keyboard_reaches_everything(tab: &mut Tab) {
    tab_to(tab, "[name=range]");
    // Tab leaves the page after its last element.
    for _ in 0..200 {
        tab.evaluate("document.activeElement.seen = true");
        tab.press("Tab");
        if tab.evaluate("document.activeElement === document.body") == Some(true.into()) {
            break;
        }
    }
    let missed = tab.evaluate(
        "[...document.querySelectorAll('a, button, input, select, summary, [tabindex]')]\
           .filter(e => !e.seen && !e.matches(':disabled, [type=radio]:not(:checked)'))\
           .filter(e => e.checkVisibility() && !e.closest('details:not([open]) > :not(summary)'))\
           .map(e => e.outerHTML.slice(0, 99))",
    );
    assert_eq!(missed, Some(serde_json::json!([])));
}

fn plot_is_read_by_the_keyboard(tab: &mut Tab) {
    tab_to(tab, "#plot-requests input");
    let at = "document.querySelector('#plot-requests .at').textContent";
    tab.press("ArrowLeft");
    tab.until_true(&format!("/^[0-9:]{{8}}$/.test({at})"));
    let told = tab.evaluate("document.activeElement.getAttribute('aria-valuetext')").unwrap();
    assert!(told.as_str().is_some_and(|told| told.contains(": all ")), "{told}");
    tab.press("Escape");
    tab.until_true(&format!("{at} === ''"));
    tab_to(tab, "#plot-requests summary");
    tab.press("Enter");
    tab.until_true("document.querySelectorAll('#plot-requests tbody tr').length > 1");
}

fn keyboard_purges(tab: &mut Tab, server: &Server) {
    let entries = server.entries();
    assert!(entries > 1, "{entries}");
    assert!(text(tab, "#actions-notice").contains("until the token is typed"));
    tab_to(tab, "#token");
    tab.write(TOKEN);
    tab_to(tab, "#purge-paths");
    tab.write("/assets/app*.js");
    tab.key_down("Enter", false);
    tab.until_true("document.activeElement.closest('#purge-confirm') !== null");
    let counted = text(tab, "#result");
    assert!(counted.starts_with("1 entry with ") && counted.contains("would be"), "{counted}");
    assert_eq!(server.entries(), entries, "it was only counted");
    // The confirmation is a decision of its own: neither the key that is held nor a second press is it.
    tab.key_down("Enter", true);
    tab.press("Enter");
    tab_to(tab, "#purge-remove");
    tab.key_down("Enter", true);
    assert_eq!(text(tab, "#result"), counted);
    assert_eq!(server.entries(), entries, "it was not confirmed");
    tab.press(" ");
    tab.until_true("document.getElementById('result').textContent.endsWith(' removed.')");
    assert_eq!(server.entries(), entries - 1);
}

/// Sends the form with this identifier, and waits for the sentence.
fn send_until(tab: &mut Tab, form: &str, sentence: &str) {
    tab.evaluate(&format!("document.getElementById('{form}').requestSubmit()"));
    tab.until_true(&format!("document.getElementById('result').textContent === {sentence:?}"));
}

fn globs_without_a_file_are_told(tab: &mut Tab) {
    for (id, globs) in
        [("purge-paths", "/nope,/none /no*"), ("warm-paths", "/nope,/none /no* /robots.txt")]
    {
        tab.evaluate(&format!("document.getElementById('{id}').value = {globs:?}"));
    }
    let missing = "No file matches /nope,/none or /no*.";
    send_until(tab, "purge-form", &format!("No entry matches. {missing}"));
    send_until(tab, "warm-form", &format!("The encoding of 1 file has begun. {missing}"));
}

/// The page's request waits until the test lets it go.
fn request_under_way_is_told_and_sent_once(tab: &mut Tab) {
    tab.evaluate(
        "window.realFetch = window.fetch; window.posts = 0;\
         window.fetch = (path, options) => options.method !== 'POST' ? realFetch(path, options)\
           : new Promise(done => { posts += 1; window.release = () => done(realFetch(path, options)); })",
    );
    tab_to(tab, "#reload-form button");
    tab.press("Enter");
    tab.until_true("document.getElementById('result').textContent === 'Reloading…'");
    let live = "document.querySelectorAll('form button:not([aria-disabled=true])').length";
    assert_eq!(tab.evaluate(live), Some(0.into()));
    tab.press("Enter");
    tab.evaluate("document.getElementById('warm-form').requestSubmit(); release()");
    tab.until_true("document.getElementById('result').textContent === 'Generation 1 is in force.'");
    tab.until_true("document.getElementById('server-facts').textContent.includes('Generation1, ')");
    assert_eq!(tab.evaluate("posts"), Some(1.into()));
    assert_ne!(tab.evaluate(live), Some(0.into()));
    assert_eq!(tab.evaluate("document.activeElement.form?.id"), Some("reload-form".into()));
    tab.evaluate("window.fetch = realFetch");
}

fn failures_have_a_sentence_each(tab: &mut Tab) {
    let token = |token: &str| format!("document.getElementById('token').value = {token:?}");
    assert_eq!(tab.complaints(), [""; 0]);
    tab.evaluate(&token("a-wrong-token-of-the-tests"));
    send_until(tab, "reload-form", "The token is wrong.");
    // The browser itself tells of the status.
    let complaints = tab.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("401")), "{complaints:?}");
    tab.evaluate(&token("ключ-к-серверу"));
    let sentence = "The token is wrong: it has other characters than visible ASCII.";
    send_until(tab, "reload-form", sentence);
    tab.evaluate(&token(TOKEN));
    for (answer, sentence) in [
        (
            "Promise.resolve(new Response('<html>', { status: 502 }))",
            "The answer (status 502) is not of this server; a proxy may have sent it.",
        ),
        ("Promise.reject(new TypeError('Failed to fetch'))", "The server cannot be reached."),
    ] {
        tab.evaluate(&format!(
            "window.fetch = (path, options) =>\
               options.method === 'POST' ? {answer} : realFetch(path, options)"
        ));
        send_until(tab, "reload-form", sentence);
    }
    tab.evaluate("window.fetch = realFetch");
}

fn forced_colors_keep_marks_apart(tab: &mut Tab) {
    tab.force_colors();
    for (one, other) in [
        (".meter span", ".meter"),
        ("#bypasses .bar", "#bypasses td"),
        (".range label:has(:checked)", ".range label:not(:has(:checked))"),
    ] {
        let ground =
            |it: &str| format!("getComputedStyle(document.querySelector({it:?})).backgroundColor");
        let grounds = [tab.evaluate(&ground(one)), tab.evaluate(&ground(other))];
        assert_ne!(grounds[0], grounds[1], "{one}");
    }
}

/// Axe finds no violation, and no page is wider than its screen.
pub(crate) fn nothing_is_a_barrier(tab: &mut Tab, axe: &str) {
    for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)] {
        tab.show_as(scheme, width);
        let taken = tab.evaluate("document.documentElement.scrollWidth").and_then(|it| it.as_u64());
        assert!(taken.is_some_and(|taken| taken <= width.into()), "{scheme}, {width}: {taken:?}");
        let violations = tab.beside(
            axe,
            "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(\
               ({ id, nodes }) => [id, ...nodes.map(node => node.html + ' ' + node.failureSummary)]))",
        );
        assert_eq!(violations, serde_json::json!([]), "{scheme}, {width}");
    }
}

#[test]
fn page_finds_a_restarted_server_and_explains_disabled_actions() {
    let Some(chromium) = require("chromium") else { return };
    let site = some_site();
    let mut server = start(&site);
    let admin = server.admin();
    let mut tab = Tab::open(&chromium, None);
    let is =
        |state: &str| format!("document.getElementById('connection').textContent === {state:?}");
    let listeners: Vec<_> = (0..16).map(|_| listen(admin)).collect();
    tab.go(&format!("http://{admin}/"));
    tab.until_true(&is("16 others listen already, asking every 15 s"));
    tab.until_true("document.getElementById('uptime').textContent.startsWith('up ')");
    drop(listeners);
    tab.until_true(&is("Live"));
    let mut complaints = tab.complaints();
    complaints.retain(|complaint| !complaint.contains("503"));
    assert_eq!(complaints, [""; 0]);
    assert!(text(&mut tab, "#actions-notice").contains("without --admin-token-file"));
    let enabled =
        "document.querySelectorAll('form :is(input, select, button):not(:disabled)').length";
    assert_eq!(tab.evaluate(enabled), Some(0.into()));
    server.until_hit(&Request::get("/index.html").accept("br"));
    for id in ["saved-gloss", "cpu-gloss"] {
        let gloss = format!("document.getElementById('{id}').textContent");
        tab.until_true(&format!("!/^Nothing is /.test({gloss})"));
    }
    assert_ne!(text(&mut tab, "#saved"), "0 B");
    assert_eq!(tab.complaints(), [""; 0]);

    server.kill();
    tab.until_true(&is("Disconnected, trying again"));
    let told = "document.getElementById('uptime').textContent";
    assert_eq!(
        tab.evaluate(&format!("/^numbers of [0-9:]{{8}}$/.test({told})")),
        Some(true.into())
    );
    let _again = launch(&site).admin(admin).start();
    tab.until_true(&is("Live"));
    tab.until_true("document.querySelector('#plot-requests .restart') !== null");
    assert_eq!(text(&mut tab, "#saved"), "0 B");
    assert_eq!(text(&mut tab, "#saved-gloss"), "Nothing is sent yet.");
    assert_eq!(text(&mut tab, "#cpu-gloss"), "Nothing is encoded yet.");
    tab.until_true(&format!("{told}.startsWith('up ')"));
    let negative =
        "[...document.querySelectorAll('.legend b')].some(b => b.textContent.startsWith('-'))";
    assert_eq!(tab.evaluate(negative), Some(false.into()));
    // The browser itself tells of connections that were refused.
    let mut complaints = tab.complaints();
    complaints.retain(|complaint| !complaint.contains("ERR_"));
    assert_eq!(complaints, [""; 0]);
}

/// Listens to the events of the listener at `admin`.
fn listen(admin: SocketAddr) -> Connection {
    let mut events = Connection::open(admin).unwrap();
    events.send(&Request::get("/api/v1/events")).unwrap();
    assert_eq!(events.receive_head().unwrap().status, 200);
    events
}

#[test]
fn files_of_the_page_have_their_types_and_a_strict_policy() {
    let site = Site::with("a.txt", b"a");
    let server = start(&site);
    let page = ask(&server, &Request::get("/"));
    let html = String::from_utf8(page.body.clone()).unwrap();
    let mut paths: BTreeSet<_> = quoted(&html, "/dashboard");
    let script = String::from_utf8(ask(&server, &Request::get("/dashboard.js")).body).unwrap();
    paths.extend(quoted(&script, "./dashboard/").iter().map(|path| path.replacen('.', "", 1)));
    assert!(paths.len() > 7, "{paths:?}");
    for path in paths {
        let answer = ask(&server, &Request::get(&path));
        assert_eq!(answer.status(), 200, "{path}");
        let media_type = match path.rsplit_once('.').unwrap().1 {
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        };
        assert_eq!(answer.header("content-type"), Some(media_type), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(ask(&server, &Request::get("/dashboard/other.js")).status(), 404);
}

/// The texts in quotes that begin with `start`.
fn quoted(text: &str, start: &str) -> BTreeSet<String> {
    let found = text.split('"').filter(|piece| piece.starts_with(start));
    found.map(str::to_owned).collect()
}

/// Takes the pictures of `docs/images`, after some minutes of traffic.
fn take_pictures(tab: &mut Tab, server: &Server, directory: &Path) {
    const TARGETS: [&str; 8] = [
        "/",
        "/assets/app.3f9c2b1a.js",
        "/assets/vendor.b81d07e5.js",
        "/assets/style.css",
        "/data/stations.json",
        "/data/noise.json",
        "/robots.txt",
        "/favicon.ico",
    ];
    let end = Instant::now() + TRAFFIC;
    for number in 0_usize.. {
        if Instant::now() > end {
            break;
        }
        if number % 3000 == 1000 {
            assert_eq!(post(server, "/api/v1/purge", TOKEN, r#"{"all":true}"#).status(), 200);
        }
        let page = format!("/guide/page-{}.html", number % 23);
        let is_page = number.is_multiple_of(3);
        let target = if is_page { &page } else { TARGETS[number / 3 % TARGETS.len()] };
        let coding = ["br", "gzip", "zstd", "br", "identity"][number / 7 % 5];
        let _ = server.get(target, coding);
        // More and fewer requests, as by day and by night.
        let wave = (number as f64 / 700.0).sin();
        std::thread::sleep(Duration::from_secs_f64(0.03 + 0.02 * wave));
    }
    tab.evaluate(
        "document.querySelectorAll('details').forEach(details => { details.open = false; })",
    );
    for (width, height) in [(1280, 1628), (360, 1600)] {
        for scheme in ["light", "dark"] {
            tab.show_as(scheme, width);
            // The browser draws the page anew.
            tab.evaluate("new Promise(drawn => setTimeout(drawn, 500))");
            let name = format!("dashboard-{scheme}-{width}.png");
            fs::write(directory.join(name), tab.picture(width, height)).unwrap();
        }
    }
}
