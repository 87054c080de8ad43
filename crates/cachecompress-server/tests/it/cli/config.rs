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
    let output = check(
        b"[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\n[[redirects]]\nfrom = \"/b\"\nto = \"/a\"\n\
        [[sites]]\nhosts = [\"a\"]\nroot = \"none\"\n[[sites]]\nhosts = [\"b\"]\n",
    );
    assert_ends(&output, 1, "none, the `root` of the site of a: there is no such directory");
    assert_ends(&output, 1, "the site of b: ");
}

#[test]
fn serve_verify_and_gc_refuse_a_wrong_file_with_2() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("c.toml"), "\n threads = 0").unwrap();
    for command in [&["serve"][..], &["verify"], &["gc"], &["config", "print"]] {
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
