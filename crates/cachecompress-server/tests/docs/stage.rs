//! The directory in which a page is run.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::channel;

use cachecompress_test::server;
use cachecompress_test::tools::require;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::common::*;
use crate::page::{Block, Kind, Page, agrees, commands, session};
use crate::peers::Peer;
use crate::repository;

/// The programs that a page may name beside `cachecompress`.
const KNOWN: [&str; 11] =
    ["certbot", "chmod", "cmp", "cp", "curl", "lego", "ln", "mkdir", "mv", "openssl", "zstd"];
/// The ports that a page may name, and those in their place here.
const PORTS: [(u16, u16); 4] = [(80, 10080), (443, 10443), (8080, 8080), (9000, 9000)];
/// The absolute paths that a page may name begin with one of these, and lie beneath the stage here.
const ROOTS: [&str; 5] = ["/cache", "/etc/", "/site", "/srv/", "/var/"];
/// The heading whose sessions get the same answers of the program and of its peer.
const SAME: &str = "The same answers";
/// The heading whose sessions get other answers of the peer.
const DIFFERENT: &str = "What differs";

/// A directory with a page's files, and the servers that the page has started.
pub(crate) struct Stage {
    pub(crate) directory: TempDir,
    /// A loopback address of the page's own.
    pub(crate) address: String,
    server: Option<Running>,
    /// The last command line of the program.
    command: String,
    peer: Option<Peer>,
    /// The page's text outside of its blocks.
    prose: String,
    /// The rules of a `netlify.toml`, which the next configuration must have as they are.
    netlify: Option<toml::Table>,
}

/// A server that is killed when dropped.
struct Running(Child);

impl Stage {
    /// Makes the files. `None` if a program is missing that the page needs.
    pub(crate) fn for_page(page: &Page) -> Option<Self> {
        require("curl")?;
        if page.blocks.iter().any(|block| block.text.contains("openssl ")) {
            require("openssl")?;
        }
        if page.blocks.iter().any(|block| block.text.contains("zstd ")) {
            require("zstd")?;
        }
        if page.has(&Kind::Nginx) {
            require("nginx")?;
        }
        if page.has(&Kind::Caddyfile) {
            require("caddy")?;
        }
        if page.has(&Kind::Prometheus) {
            require("promtool")?;
        }
        let stage = Self {
            directory: TempDir::with_prefix("page-").unwrap(),
            address: own_address(),
            server: None,
            command: String::new(),
            peer: None,
            prose: page.prose.clone(),
            netlify: None,
        };
        stage.make_files();
        stage.curl_finds("curl", &stage.address);
        Some(stage)
    }

    /// Runs a block, and fails if it does not do as the page says.
    pub(crate) fn run(&mut self, block: &Block) {
        let place = &block.place;
        match &block.kind {
            Kind::Commands => {
                commands(&block.text).iter().for_each(|line| self.command(place, line));
            }
            Kind::Session => self.session(block),
            Kind::Cluster => {
                commands(&block.text).iter().for_each(|line| self.cluster(place, line));
            }
            Kind::Configuration => {
                if let Some(netlify) = self.netlify.take() {
                    let ours = table(block);
                    for key in ["redirects", "headers"] {
                        assert_eq!(ours[key], netlify[key], "{place}: not as in netlify.toml");
                    }
                }
                self.write("home/cachecompress.toml", &self.mapped(&block.text));
                let output = self.shell("curl", "cachecompress config check");
                assert!(output.0, "{place}: {}", output.1.join("\n"));
                self.serve(place, "cachecompress serve");
            }
            Kind::Foreign(name) => {
                let table = table(block);
                self.netlify = (name == "netlify.toml").then_some(table);
            }
            Kind::File(name) => {
                let path = self.mapped(name);
                fs::write(self.path("home").join(path), &block.text).unwrap();
                let command = std::mem::take(&mut self.command);
                self.serve(place, &command);
            }
            Kind::Example(file) => {
                let program = fs::read_to_string(repository().join(file)).unwrap();
                let above = program.strip_suffix(&block.text);
                let is_whole = above.is_some_and(|above| {
                    above.lines().all(|line| line.is_empty() || line.starts_with("//!"))
                });
                assert!(is_whole, "{place}: not as in {file}");
            }
            Kind::Framework(version) => {
                syn::parse_file(&block.text).unwrap_or_else(|why| panic!("{place}: {why}"));
                assert!(self.prose.contains(version), "{place}: the page does not say {version}");
            }
            Kind::Dockerfile => self.dockerfile(place, &block.text),
            Kind::Prometheus => self.prometheus(block),
            Kind::Nginx => self.peer = Some(Peer::nginx(self, block)),
            Kind::Caddyfile => self.peer = Some(Peer::caddy(self, block)),
        }
    }

    fn command(&mut self, place: &str, line: &str) {
        if let Some(arguments) = line.strip_prefix("cargo ") {
            return self.cargo(place, arguments);
        }
        if line.starts_with("cachecompress serve") {
            return self.serve(place, line);
        }
        let program = line.split(' ').next().unwrap();
        let known = program == "cachecompress" || KNOWN.contains(&program);
        assert!(known, "{place}: nobody knows how to run `{program}`");
        let (success, output) = self.shell("curl", line);
        assert!(success, "{place}: `{line}` has failed: {}", output.join("\n"));
    }

    /// Holds a command to a cluster against the manifests.
    fn cluster(&mut self, place: &str, line: &str) {
        let Some(words) = line.strip_prefix("kubectl ") else { return self.command(place, line) };
        let manifest = |name: &str| {
            let path = repository().join("deploy/kubernetes").join(name).with_extension("yaml");
            fs::read_to_string(path).unwrap_or_else(|why| panic!("{place}: `{line}`: {why}"))
        };
        let stands = |text: String, part: &str| assert!(text.contains(part), "{place}: no {part}");
        for word in words.split_whitespace() {
            match word.split_once('/') {
                Some(("deploy", _)) => assert!(repository().join(word).exists(), "{place}: {word}"),
                Some(("deployment", name)) => {
                    stands(manifest("deployment"), &format!("  name: {name}\n"));
                }
                _ => {}
            }
            match word.split_once('=') {
                Some((container, image)) if image.contains('/') => {
                    let (image, _) = image.rsplit_once(':').unwrap();
                    let part = format!("- name: {container}\n          image: {image}:");
                    stands(manifest("deployment"), &part);
                }
                Some(("--from-file", key)) => {
                    stands(manifest("deployment"), &format!("- key: {key}\n"));
                }
                Some(("--from-literal", pair)) => {
                    assert!(pair.contains('='), "{place}: {pair}");
                    let key = pair.split('=').next().unwrap();
                    stands(manifest("deployment"), &format!("key: {key}\n"));
                }
                _ => {}
            }
        }
        if let Some((_, rest)) = words.split_once("secret generic ") {
            let name = rest.split_whitespace().next().unwrap();
            stands(manifest("deployment"), &format!("secretName: {name}\n"));
        }
    }

    /// Runs the commands of an image on the stage, where its site lies.
    fn dockerfile(&mut self, place: &str, text: &str) {
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let words = || serde_json::from_str::<Vec<String>>(rest).unwrap().join(" ");
            match word {
                "FROM" | "COPY" => {}
                "RUN" => self.command(place, words().strip_prefix('/').unwrap()),
                "CMD" => self.command(place, &format!("cachecompress {}", words())),
                _ => panic!("{place}: nobody knows how to run `{line}`"),
            }
        }
    }

    /// Has Prometheus check a configuration beside the rules of this repository.
    fn prometheus(&self, block: &Block) {
        let rules = repository().join("deploy/prometheus/alerts.yml");
        fs::copy(rules, self.path("home/alerts.yml")).unwrap();
        self.write("home/prometheus.yml", &block.text);
        let (success, output) = self.shell("curl", "promtool check config prometheus.yml");
        assert!(success, "{}: {}", block.place, output.join("\n"));
    }

    /// Does as cargo would in this repository, with the program that is built already.
    fn cargo(&mut self, place: &str, arguments: &str) {
        let arguments = arguments.split('#').next().unwrap().trim();
        let file = |path| fs::read_to_string(repository().join(path)).unwrap();
        match arguments {
            "xtask test" => {
                assert!(file(".cargo/config.toml").contains("\nxtask = "), "{place}: no alias");
                assert!(file("xtask/src/main.rs").contains("[\"test\"] =>"), "{place}: no test");
            }
            "install --locked --profile dist --path crates/cachecompress-server" => {
                assert!(file("Cargo.toml").contains("\n[profile.dist]"), "{place}: no profile");
                assert!(file("crates/cachecompress-server/Cargo.toml").contains("\n[[bin]]"));
            }
            "install --locked cachecompress-server" => {
                assert!(file("crates/cachecompress-server/Cargo.toml").contains("\n[[bin]]"));
            }
            run => {
                let program = run.strip_prefix("run --release -- ");
                let program = program.unwrap_or_else(|| panic!("{place}: cargo {run}?"));
                let default = "default-members = [\"crates/cachecompress-server\"]";
                assert!(file("Cargo.toml").contains(default), "{place}: what does cargo run?");
                self.serve(place, &format!("cachecompress {program}"));
            }
        }
    }

    fn session(&mut self, block: &Block) {
        let Block { place, heading, text, .. } = block;
        for (command, page) in session(text) {
            let output = self.shell("curl", &command).1;
            assert!(
                agrees(&output, &page),
                "{place}: `{command}` has another output:\n{}",
                output.join("\n")
            );
            let asked = [SAME, DIFFERENT].contains(&heading.as_str());
            if asked && self.peer.is_some() && command.starts_with("curl ") {
                let output = self.shell("peer", &command).1;
                assert_eq!(
                    agrees(&output, &page),
                    heading == SAME,
                    "{place}: the peer's output of `{command}`:\n{}",
                    output.join("\n")
                );
            }
        }
    }

    /// Starts the program anew by this command line.
    fn serve(&mut self, place: &str, line: &str) {
        assert!(!line.is_empty(), "{place}: no server has been started yet");
        // The one before has the addresses.
        drop(self.server.take());
        line.clone_into(&mut self.command);
        let log = fs::File::create(self.path("log")).unwrap();
        // A directory on the command line is a start without the page's file.
        let file = self.path("home/cachecompress.toml");
        if line != "cachecompress serve" {
            drop(fs::remove_file(&file));
        }
        let mut command = self.sh("curl", &format!("exec {line}"));
        let has_address = |text: &str| text.contains("listen");
        if !has_address(line) && !fs::read_to_string(&file).is_ok_and(|text| has_address(&text)) {
            command.env("CACHECOMPRESS_LISTEN", format!("{}:8080", self.address));
        }
        let admin = format!("unix:{}", self.path("admin").display());
        command.env("CACHECOMPRESS_ADMIN", admin).env("CACHECOMPRESS_LOG_LEVEL", "warn");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        self.server = Some(Running(child));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        // The address of the admin listener is the last line of a start.
        while !lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("{place}: no start by `{line}`: {}", self.log()))
            .starts_with("admin on")
        {}
        assert_eq!(self.log(), "", "{place}: the start by `{line}` has warnings");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Runs a line. Returns whether it succeeded, and its output as a page has it.
    fn shell(&self, curl: &str, line: &str) -> (bool, Vec<String>) {
        let output = server::output(self.sh(curl, line).stdin(Stdio::null()));
        let text = [output.stdout, output.stderr].concat();
        let text = self.unmapped(&String::from_utf8_lossy(&text));
        (output.status.success(), text.trim_end().lines().map(without_dates).collect())
    }

    fn sh(&self, curl: &str, line: &str) -> Command {
        let path = std::env::var("PATH").unwrap();
        // It has no map of hosts, as curl has.
        let here = format!("cachecompress get http://{}:8080/", self.address);
        let line = line.replace("cachecompress get http://127.0.0.1:8080/", &here);
        let mut command = server::command(Path::new("sh"));
        command
            .args(["-c", &self.mapped(&line)])
            .current_dir(self.path("home"))
            .env("PATH", format!("{}:{path}:/usr/sbin", self.path("bin").display()))
            .env("HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("CURL_HOME", self.path(curl))
            .env("CACHECOMPRESS_PATIENCE", "1h")
            .env("CACHECOMPRESS_RECOMPRESS", "off")
            .env("STAGE", self.directory.path());
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file beneath the stage, and the directories above it.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Lets the curl of this name connect to `address` in place of every host.
    pub(crate) fn curl_finds(&self, curl: &str, address: &str) {
        let mut settings = format!("cacert = \"{}\"\n", self.path("ca.pem").display());
        for (page, here) in PORTS {
            settings += &format!("connect-to = \":{page}:{address}:{here}\"\n");
        }
        self.write(&format!("{curl}/.curlrc"), &settings);
    }

    /// The text with the addresses and paths of this stage in place of the page's.
    pub(crate) fn mapped(&self, text: &str) -> String {
        let ends = |character: char| character.is_whitespace() || "\"'=;,[]".contains(character);
        text.split_inclusive(ends).map(|piece| self.mapped_word(piece, ends)).collect()
    }

    fn mapped_word(&self, piece: &str, ends: impl Fn(char) -> bool) -> String {
        let word = piece.trim_end_matches(&ends);
        let end = &piece[word.len()..];
        if ROOTS.iter().any(|root| word.starts_with(root)) {
            return format!("{}{piece}", self.directory.path().display());
        }
        let port = word.trim_start_matches("127.0.0.1").trim_start_matches("0.0.0.0");
        let port = port.strip_prefix(':');
        let port = port.and_then(|port| PORTS.iter().find(|(page, _)| port == page.to_string()));
        port.map_or_else(|| piece.into(), |(_, here)| format!("{}:{here}{end}", self.address))
    }

    /// The output with the page's addresses and paths.
    fn unmapped(&self, text: &str) -> String {
        let text = text.replace(&*self.directory.path().to_string_lossy(), "");
        text.replace(":10443", "").replace(":10080", "").replace('\r', "")
    }

    fn make_files(&self) {
        for name in ["bin", "cache", "home", "var/cache", "var/log"] {
            fs::create_dir_all(self.path(name)).unwrap();
        }
        symlink(PROGRAM, self.path("bin/cachecompress")).unwrap();
        for name in ["certbot", "lego"] {
            self.write(&format!("bin/{name}"), include_str!("acme.sh"));
            let path = self.path(&format!("bin/{name}"));
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(repository().join("examples"), self.path("home/examples")).unwrap();
        let mut trusted = String::new();
        for directory in ["etc/letsencrypt/live/example.org", "renewed"] {
            let hosts = ["example.org", "www.example.org", "files.example.org"];
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(hosts.map(String::from)).unwrap();
            let certificate = params.self_signed(&key).unwrap().pem();
            for directory in [directory, "home"] {
                self.write(&format!("{directory}/fullchain.pem"), &certificate);
                let file = format!("{directory}/privkey.pem");
                self.write(&file, &key.serialize_pem());
                // A start warns of a key that every user may read.
                let path = self.path(&file);
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            trusted += &certificate;
        }
        self.write("ca.pem", &trusted);
        let script = "export const harbour = (tide) => `${tide} metres`;\n".repeat(60);
        let page = |title: &str| {
            let text = "<p>The harbour opens at high water.</p>\n".repeat(20);
            format!("<!doctype html><title>{title}</title>\n{text}")
        };
        for (name, content) in [
            ("home/dist/index.html", page("app")),
            ("home/dist/assets/index-4f3a9c2b.js", script.clone()),
            ("home/dist/assets/index-b81d07e5.css", "main { margin: 0 }\n".repeat(60)),
            ("home/dist/favicon.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>\n".into()),
            ("srv/www/index.html", page("home")),
            ("srv/www/about.html", page("about")),
            ("srv/www/404.html", page("lost")),
            ("srv/www/docs/index.html", page("docs")),
            ("srv/www/assets/app.3f9c2b1a.js", script.clone()),
            ("site/index.html", page("home")),
            ("site/assets/app.3f9c2b1a.js", script.clone()),
            ("srv/downloads/data.csv", "harbour,metres\nnorth,3.1\n".repeat(200)),
            ("srv/downloads/agent", "the agent, version 1\n".repeat(400)),
            ("srv/downloads/agent-1", "the agent, version 1\n".repeat(400)),
            ("srv/downloads/agent-next", "the agent, version 2\n".repeat(500)),
            ("srv/downloads/notes.txt", "Version 1.2 reads larger files.\n".repeat(20)),
            ("srv/downloads/tool-1.2.tar.gz", "no real archive\n".repeat(40)),
            ("srv/downloads/tool-1.2.tar.gz.sha256", "0000  tool-1.2.tar.gz\n".into()),
        ] {
            self.write(name, &content);
        }
    }
}

fn table(block: &Block) -> toml::Table {
    block.text.parse().unwrap_or_else(|why| panic!("{}: {why}", block.place))
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The line; of a field with a date only its name.
pub(crate) fn without_dates(line: &str) -> String {
    let dated = ["date: ", "last-modified: "].into_iter().find(|name| line.starts_with(name));
    dated.unwrap_or(line).trim_end().to_owned()
}

/// An address of 127.0.0.0/8 that no other page's test has.
pub(crate) fn own_address() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) % 250 + 1;
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{high}.{low}.{count}")
}
