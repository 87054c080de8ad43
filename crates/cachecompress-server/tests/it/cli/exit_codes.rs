//! The exit codes of every command: the table of the docs, the help, and the program itself.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use cachecompress_test::server::{command, output};
use cachecompress_test::site::hex;

use crate::common::*;

/// The meanings of the exit codes of each command.
type Table = BTreeMap<String, BTreeMap<i32, String>>;

/// The table of docs/program.md.
fn table() -> Table {
    let page = include_str!("../../../../../docs/program.md");
    let section = page.split("\n## Exit codes\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut rows = section.lines().filter(|line| line.starts_with("| "));
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let codes: Vec<i32> =
        cells(rows.next().unwrap()).iter().filter_map(|cell| cell.parse().ok()).collect();
    let mut table = Table::new();
    for row in rows {
        let cells = cells(row);
        let meanings = codes.iter().copied().zip(cells[2..].iter().cloned());
        let meanings = meanings.filter(|(_, meaning)| !meaning.is_empty()).collect();
        table.insert(cells[1].trim_matches('`').to_owned(), meanings);
    }
    table
}

fn program(arguments: &[&str]) -> Command {
    let mut program = command(Path::new(PROGRAM));
    program.args(arguments).stdin(Stdio::null());
    program
}

#[test]
fn help_of_every_command_has_the_exit_codes_of_the_docs() {
    let table = table();
    assert_eq!(table.len(), 14, "{table:?}");
    for (name, meanings) in table {
        let arguments: Vec<_> = name.split(' ').chain(["--help"]).collect();
        let help = output(program(&arguments).env("COLUMNS", "100")).stdout;
        let help = String::from_utf8(help).unwrap();
        let list = help.split("\nExit codes:\n").nth(1).unwrap_or_else(|| panic!("{help}"));
        let lines = list.lines().map(|line| line.trim().split_once("  ").unwrap());
        let listed: BTreeMap<i32, String> =
            lines.map(|(code, meaning)| (code.parse().unwrap(), meaning.to_owned())).collect();
        assert_eq!(listed, meanings, "{name}");
    }
}

/// A site, a cache of it with a damaged entry, and wrong and right configurations.
struct Stage {
    site: Site,
    directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self {
            site: Site::with("a.txt", &hex(9000, 1)),
            directory: tempfile::tempdir().unwrap(),
        };
        stage.write("right.toml", "spa = true\n");
        stage.write("wrong.toml", "spaa = true\n");
        stage.write("missing.toml", "root = \"no-such-site\"\n");
        fs::create_dir(stage.directory.path().join("empty")).unwrap();
        stage.site.write("b.txt.br", b"no brotli");
        stage
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn fill(&self, is_damaged: bool) {
        let cache = self.directory.path().join("cache");
        let _ = fs::remove_dir_all(&cache);
        assert_eq!(self.run("warm SITE"), 0);
        if is_damaged {
            fs::write(&cache_dir::entries(&cache)[0], b"damaged").unwrap();
        }
    }

    fn run(&self, arguments: &str) -> i32 {
        let site = self.site.path().to_str().unwrap();
        let words = arguments.split(' ').map(|word| if word == "SITE" { site } else { word });
        let mut program = program(&words.collect::<Vec<_>>());
        program.current_dir(self.directory.path());
        if !arguments.contains("--cache-dir") {
            program.env("CACHECOMPRESS_CACHE_DIR", "cache");
        }
        output(&mut program).status.code().unwrap()
    }
}

#[test]
fn program_ends_with_the_exit_codes_of_the_docs() {
    let stage = Stage::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = format!("get http://{closed}/a.txt -o a --retries 0");
    let closed = format!("healthcheck --admin {closed}");
    let server = start(&stage.site);
    let check = format!("get http://{}/a.txt -o a --check", server.address());
    stage.fill(false);
    let cases = [
        ("serve no-such-site", 1),
        ("serve SITE --patience never", 2),
        ("serve --config wrong.toml", 2),
        ("serve --config missing.toml", 1),
        ("warm SITE", 0),
        ("warm SITE --check", 0),
        ("warm no-such-site", 1),
        ("warm SITE --cache-size 0", 2),
    ];
    for (arguments, code) in cases {
        assert_eq!(stage.run(arguments), code, "{arguments}");
    }
    stage.fill(true);
    let cases = [
        ("verify", 1),
        ("verify --cache-dir no-such-cache", 2),
        ("verify --cache-dir empty", 2),
        ("inspect", 1),
        ("inspect SITE /a.txt", 0),
        ("inspect no-such-site /a.txt", 1),
        ("inspect SITE", 2),
        ("inspect --cache-dir empty", 2),
        ("purge", 2),
        ("purge SITE /no-such-file", 1),
        ("purge --coding br", 0),
        ("purge --all --cache-dir empty", 2),
        ("gc --dry-run", 0),
        ("gc", 0),
        ("gc --cache-dir empty", 2),
        ("verify", 0),
        ("inspect", 0),
        ("config check --config right.toml", 0),
        ("config check --config wrong.toml", 1),
        ("config check --config missing.toml", 1),
        ("config check --config no-such-file.toml", 1),
        ("config check --spaa", 2),
        ("config check", 2),
        ("config print --config right.toml", 0),
        ("config print --config no-such-file.toml", 1),
        ("config print --config wrong.toml", 2),
        ("config schema", 0),
        ("config schema here", 2),
        (&*check, 3),
        (&*refused, 1),
        ("get ftp://127.0.0.1/a -o a", 2),
        ("get http://127.0.0.1:1/a", 2),
        (&*closed, 1),
        ("healthcheck", 2),
        ("generate man empty", 0),
        ("generate man no-such-directory", 1),
        ("generate man", 2),
        ("generate completions bash", 0),
        ("generate completions csh", 2),
        ("--help", 0),
        ("--version", 0),
        ("sevre", 2),
    ];
    for (arguments, code) in cases {
        assert_eq!(stage.run(arguments), code, "{arguments}");
    }
}
