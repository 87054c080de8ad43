//! The configuration file: how it is found, what it decides, and how its mistakes are told.

use std::io::{BufRead as _, BufReader};
use std::process::{Output, Stdio};

use cachecompress_test::client::fetch;
use cachecompress_test::server::{command, output};

use crate::common::*;

/// Runs the program in `directory`, and waits for its end.
fn run(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut program = command(Path::new(PROGRAM));
    program.args(arguments).envs(environment.iter().copied());
    output(program.current_dir(directory).stdin(Stdio::null()))
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Checks a file with these bytes.
fn check(bytes: &[u8]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("c.toml"), bytes).unwrap();
    run(directory.path(), &["config", "check", "--config", "c.toml"], &[])
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, words: &str) {
    let text = stdout(output) + &stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(words), "{words:?} is not in {text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn file_in_the_working_directory_is_read() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("cachecompress.toml"), "threads = 1\ncache-size = 0\n")
        .unwrap();
    let output = run(directory.path(), &["config", "print"], &[]);
    assert_ends(&output, 0, "threads = 1  # cachecompress.toml:1");
    assert_ends(&output, 0, "cache-size = \"0\"  # cachecompress.toml:2");
    // A directory without a file has defaults.
    let empty = tempfile::tempdir().unwrap();
    assert_ends(&run(empty.path(), &["config", "print"], &[]), 0, "# threads is not set");
    assert_ends(&run(empty.path(), &["config", "check"], &[]), 2, "--config");
}

/// Serves in `directory` with these arguments, asks for `/`, and returns the response and stderr.
fn serve(directory: &Path, arguments: &[&str]) -> (Response, String) {
    let mut program = command(Path::new(PROGRAM));
    program.args(["serve", "--listen", "127.0.0.1:0", "--cache-size", "0"]).args(arguments);
    program.current_dir(directory).stdin(Stdio::null());
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
    let response = fetch(address, &Request::get("/")).unwrap();
    child.kill().unwrap();
    (response, stderr(&child.wait_with_output().unwrap()))
}

#[test]
fn served_root_counts_from_the_file() {
    let site = Site::with("conf/dist/index.html", b"by the file");
    let file = b"root = \"dist\"\ncache-control = \"max-age=7\"\n";
    site.write("conf/cachecompress.toml", file);
    let (response, stderr) = serve(site.path(), &["--config", "conf/cachecompress.toml"]);
    assert_eq!(response.body, b"by the file");
    assert_eq!(response.header("cache-control"), Some("max-age=7"));
    assert!(!stderr.contains("found a configuration"), "{stderr}");
    let (response, stderr) = serve(&site.path().join("conf"), &[]);
    assert_eq!(response.body, b"by the file");
    assert!(stderr.contains("found a configuration in the working directory"), "{stderr}");
}

#[test]
fn flag_wins_over_its_variable_that_over_the_file_and_that_over_the_default() {
    let directory = tempfile::tempdir().unwrap();
    let file = "patience = \"1s\"\nrevalidate = \"2s\"\nidle-timeout = \"3s\"\n";
    fs::write(directory.path().join("c.toml"), file).unwrap();
    let environment = [
        ("CACHECOMPRESS_CONFIG", "c.toml"),
        ("CACHECOMPRESS_PATIENCE", "4s"),
        ("CACHECOMPRESS_REVALIDATE", "5s"),
    ];
    let output = run(directory.path(), &["config", "print", "--patience", "6s"], &environment);
    for line in [
        "patience = \"6s\"  # flag --patience",
        "revalidate = \"5s\"  # variable CACHECOMPRESS_REVALIDATE",
        "idle-timeout = \"3s\"  # c.toml:3",
        "write-timeout = \"60s\"  # default",
    ] {
        assert_ends(&output, 0, line);
    }
}

#[test]
fn check_lists_all_mistakes_and_ends_with_1() {
    let output = check(b"lisen = 1\nthreads = 0\n[[headers]]\nform = 1\n");
    assert_ends(&output, 1, "--> c.toml:1:1");
    assert_ends(&output, 1, "--> c.toml:2:11");
    assert_ends(&output, 1, "--> c.toml:4:1");
    assert_ends(&check(b"threads = 2\n"), 0, "c.toml has no mistake");
    assert_ends(&check(b""), 0, "c.toml has no mistake");
}

#[test]
fn check_finds_the_mistakes_that_show_when_sites_are_opened() {
    let site = Site::with("two/_redirects", b"/a /b\n/b /a\n");
    site.write("cert.pem", b"no certificate");
    site.write(
        "c.toml",
        b"[tls]\ncert = \"cert.pem\"\nkey = \"none.key\"\n\
        [[sites]]\nhosts = [\"a\"]\nroot = \"none\"\nbasic-auth = \"none.users\"\n\
        [[sites]]\nhosts = [\"b\"]\nroot = \"two\"\ntls.key = \"cert.pem\"\n",
    );
    let output = run(site.path(), &["config", "check", "--config", "c.toml"], &[]);
    for words in [
        "none, the `root` of the site of a: there is no such directory",
        "cannot read --basic-auth none.users: there is no such file",
        "the site of b: redirects lead in a ring: _redirects:1",
        "cannot use --tls-key none.key: there is no such file",
        "cannot use --tls-cert cert.pem: it has no certificate",
    ] {
        assert_ends(&output, 1, words);
    }
}

/// The mistake was told after the cache was made and beside a port that listened, so that clients came.
#[test]
fn file_of_a_certificate_or_of_users_is_missed_before_anything_is_made() {
    let site = Site::with("index.html", b"x");
    site.write("none.pem", b"no certificate");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flags, words) in [
        ("--tls-cert none --tls-key none", "cannot use --tls-cert none: there is no such file"),
        ("--tls-cert none.pem --tls-key none", "cannot use --tls-key none: there is no such file"),
        ("--tls-cert none.pem --tls-key none.pem", "cannot use --tls-cert none.pem: it has no"),
        ("--basic-auth none", "cannot read --basic-auth none: there is no such file"),
        ("--basic-auth none.pem", "cannot use --basic-auth none.pem:1: "),
    ] {
        let always = ["serve", ".", "--listen", &address, "--cache-dir", "cache"];
        let arguments: Vec<_> = always.into_iter().chain(flags.split(' ')).collect();
        let output = run(site.path(), &arguments, &[]);
        let code = if words.contains(":1: ") { 2 } else { 1 };
        assert_ends(&output, code, words);
        assert!(!site.path().join("cache").exists(), "{flags}");
    }
}

#[test]
fn page_that_the_site_lacks_is_a_warning() {
    let site = Site::with("root/there.html", b"x");
    site.write("root/packed.html.br", b"x");
    let configure =
        |keys: &str| site.write("c.toml", format!("root = \"root\"\n{keys}").as_bytes());
    let arguments = ["config", "check", "--config", "c.toml"];
    for (keys, words) in [
        ("spa = \"/missing.html\"", "--spa names /missing.html, which root lacks; unknown paths"),
        ("spa = true", "--spa names index.html, which root lacks"),
        ("not-found = \"lost.html\"", "--not-found names lost.html, which root lacks; that error"),
        ("error-pages.503 = \"/busy.html\"", "503 of [error-pages] names /busy.html, which root"),
        ("not-found = \"packed.html\"", "--not-found names packed.html, which root lacks"),
    ] {
        configure(keys);
        let output = run(site.path(), &arguments, &[]);
        assert_ends(&output, 0, words);
        assert_ends(&output, 0, "no mistake");
        let server = Launch::by_file(PROGRAM, &site.file("c.toml")).start();
        let words = words.split(" names ").next().unwrap();
        eventually("the warning", || server.stderr().contains(words).then_some(()));
        assert_eq!(server.stderr().lines().count(), 1, "{}", server.stderr());
    }
    for keys in [
        "spa = \"/there.html\"\nerror-pages.404 = \"there.html\"",
        "spa = true\nindex = [\"index.html\", \"there.html\"]",
        "encoded-names = true\nnot-found = \"packed.html\"",
        "spa = false",
    ] {
        configure(keys);
        let output = run(site.path(), &arguments, &[]);
        assert!(!stdout(&output).contains("names"), "{}", stdout(&output));
        let server = Launch::by_file(PROGRAM, &site.file("c.toml")).start();
        assert_eq!(server.stderr(), "", "{keys}");
    }
}

#[test]
fn every_command_refuses_a_wrong_file_with_2() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("c.toml"), "\n threads = 0").unwrap();
    for command in [&["serve"][..], &["warm", "."], &["verify"], &["gc"], &["config", "print"]] {
        let arguments = [command, &["--config", "c.toml"]].concat();
        let output = run(directory.path(), &arguments, &[]);
        assert_ends(&output, 2, "cachecompress: c.toml:2:12: `threads` cannot be `0`");
    }
}

#[test]
fn verify_looks_into_the_cache_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("conf")).unwrap();
    fs::write(directory.path().join("conf/c.toml"), "cache-dir = \"no-such\"\n").unwrap();
    for command in ["verify", "gc"] {
        let arguments = [command, "--config", "conf/c.toml"];
        assert_ends(&run(directory.path(), &arguments, &[]), 2, "conf/no-such");
    }
}

#[test]
fn file_that_is_none_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let check = |file| run(directory.path(), &["config", "check", "--config", file], &[]);
    assert_ends(&check("none.toml"), 1, "none.toml: there is no such file");
    assert_ends(&check("."), 1, "it is a directory");
    // A directory of the name that is looked for is no configuration, and nobody wanted one.
    fs::create_dir(directory.path().join("cachecompress.toml")).unwrap();
    let output = run(directory.path(), &["config", "print"], &[]);
    assert_ends(&output, 1, "cachecompress.toml: it is a directory");
}

#[test]
fn bytes_that_are_no_text_are_named_by_their_place() {
    assert_ends(&check(b"threads = 2\nroot = \"\xff\"\n"), 1, "c.toml:2:9: this is no text");
    assert_ends(&check(b"\xEF\xBB\xBF\xff"), 1, "c.toml:1:1: this is no text");
    assert_ends(&check(b"\xEF\xBB\xBFthreads = 2\r\n"), 0, "no mistake");
    assert_ends(&check(&vec![b'\n'; 1 << 20]), 0, "no mistake");
    assert_ends(&check(&vec![b'\n'; (1 << 20) + 1]), 2, "over 1024 KiB");
    // Characters that steer a terminal are escaped.
    for text in ["\"\u{1b}[31m\u{202e}\" = 1", r#""\u001b[31m\u202e" = 1"#] {
        let output = check(text.as_bytes());
        assert_ends(&output, 1, "c.toml:1:");
        assert!(!stdout(&output).contains(['\u{1b}', '\u{202e}']), "{}", stdout(&output));
    }
}

#[cfg(unix)]
#[test]
fn file_that_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    fs::write(&file, "threads = 2").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        return; // root reads everything
    }
    let output = run(directory.path(), &["config", "check", "--config", "c.toml"], &[]);
    assert_ends(&output, 1, "c.toml: Permission denied");
}

#[test]
fn example_of_the_documentation_has_no_mistake() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
    let page = fs::read_to_string(page).unwrap();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let site = Site::with("c.toml", example.as_bytes());
    site.write("dist/index.html", b"x");
    site.write("app/index.html", b"x");
    let arguments = ["config", "check", "--config", "c.toml"];
    assert_ends(&run(site.path(), &arguments, &[]), 0, "no mistake");
}

#[cfg(unix)]
#[test]
fn sighup_reads_the_file_again_and_a_wrong_one_changes_nothing() {
    use rustix::process::Signal;

    let site = Site::with("index.html", b"x");
    let write = |text: &str| site.write("c.toml", text.as_bytes());
    write("cache-control = \"max-age=1\"\n");
    let server = launch(&site).args("--log-level info --config").arg(site.file("c.toml")).start();
    let cache_control = || server.get("/", "identity").header("cache-control").map(str::to_owned);
    let told = |words: &str| {
        eventually(words, || server.stderr().contains(words).then_some(()));
    };
    assert_eq!(cache_control().as_deref(), Some("max-age=1"));

    write("cache-control = \"max-age=2\"\nthreads = 7\n");
    server.signal(Signal::HUP);
    told("at the next start");
    assert!(server.stderr().contains("threads"), "{}", server.stderr());
    assert_eq!(cache_control().as_deref(), Some("max-age=2"));

    write("cache-control = \"max-age=3\"\n\nlisen = 5\n");
    server.signal(Signal::HUP);
    told("c.toml:3:1: unknown key `lisen`: did you mean `listen`?; nothing has changed");
    assert_eq!(cache_control().as_deref(), Some("max-age=2"));

    fs::remove_file(site.file("c.toml")).unwrap();
    server.signal(Signal::HUP);
    told("there is no such file; nothing has changed");
    assert_eq!(cache_control().as_deref(), Some("max-age=2"));
}

#[test]
fn configuration_is_not_served_from_the_site() {
    let site = Site::with("index.html", b"x");
    site.write("c.toml", b"threads = 2\n");
    site.write("other.toml", b"public");
    let server = launch(&site).arg("--config").arg(site.file("c.toml")).start();
    assert_eq!(server.get("/other.toml", "identity").status(), 200);
    assert_eq!(server.get("/c.toml", "identity").status(), 404);
}

/// Commands without the flags of TLS ended by a panic where the file has `[tls]`.
#[test]
fn every_command_takes_a_file_with_tls_and_sites() {
    let (site, cache) = (Site::with("a.txt", &site::text(1, 3000)), tempfile::tempdir().unwrap());
    let admin = "admin = \"127.0.0.1:1\"\n";
    let tls = "[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";
    let sites = format!("[[sites]]\nhosts = [\"a.example\"]\nroot = \".\"\n{tls}");
    let sites = sites.replace("[tls]", "[sites.tls]");
    let (dir, cache) = (site.path().to_str().unwrap(), cache.path().to_str().unwrap());
    for text in [tls, &sites] {
        site.write("c.toml", format!("{admin}{text}").as_bytes());
        for (arguments, code) in [
            (&["warm", dir][..], 0),
            (&["warm", dir, "--check"], 0),
            (&["verify"], 0),
            (&["gc"], 0),
            (&["inspect"], 0),
            (&["purge", "--all", "--dry-run"], 0),
            (&["healthcheck"], 1),
            (&["config", "print"], 0),
        ] {
            let file = ["--config", "c.toml"];
            let environment = [("CACHECOMPRESS_CACHE_DIR", cache)];
            let output = run(site.path(), &[arguments, &file].concat(), &environment);
            assert_ends(&output, code, "");
        }
    }
}
