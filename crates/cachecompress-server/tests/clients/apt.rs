//! apt, with a flat repository and with a pooled one.

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{Visit, in_every_state, make, put, sha256_hex, text, write};

/// A version whose file name needs percent-encoding.
const ODD: &str = "2.0+b1~rc1";

/// A flat repository: apt asks for `/apt/./Packages`.
#[test]
fn apt_uses_a_flat_repository() {
    let (Some(apt), Some(dpkg_deb)) = (require("apt-get"), require("dpkg-deb")) else { return };
    let site = Site::new();
    in_every_state(&site, |visit| {
        publish_flat(&site, &dpkg_deb, &["1.0"]);
        visit.until_current();
        let source = format!("deb [trusted=yes] {} ./", visit.url("/apt"));
        configure(visit, &source);
        update_and_download(visit, &apt, "1.0", "apt/hello_1.0_all.deb");
        publish_flat(&site, &dpkg_deb, &["1.0", ODD]);
        visit.until_current();
        let name = format!("apt/hello_{ODD}_all.deb");
        update_and_download(visit, &apt, ODD, &name);
    });
}

/// A pooled repository with a Release file, by file names and by digests.
#[test]
fn apt_uses_a_pooled_repository() {
    let (Some(apt), Some(dpkg_deb)) = (require("apt-get"), require("dpkg-deb")) else { return };
    for by_hash in ["no", "yes"] {
        let site = Site::new();
        in_every_state(&site, |visit| {
            publish_pooled(&site, &dpkg_deb, by_hash, &["1.0"]);
            visit.until_current();
            let url = visit.url("/debian");
            configure(visit, &format!("deb [trusted=yes] {url} stable main"));
            update_and_download(visit, &apt, "1.0", "debian/pool/main/h/hello/hello_1.0_all.deb");
            publish_pooled(&site, &dpkg_deb, by_hash, &["1.0", ODD]);
            visit.until_current();
            let name = format!("debian/pool/main/h/hello/hello_{ODD}_all.deb");
            update_and_download(visit, &apt, ODD, &name);
        });
    }
}

/// Updates twice, downloads a package, and continues a broken download of it.
fn update_and_download(visit: &Visit<'_>, apt: &Path, version: &str, of: &str) {
    visit.until_dated(of);
    run(visit, apt, &["update"]);
    let second = text(&run(visit, apt, &["update"]));
    assert!(second.contains("Hit:") && !second.contains("Get:"), "{:?}: {second}", visit.state);

    run(visit, apt, &["download", &format!("hello={version}")]);
    let name = Path::new(of).file_name().unwrap().to_str().unwrap();
    visit.assert_same(name, of);

    // apt asks for the rest on condition that the file has the partial file's time.
    let whole = fs::read(visit.site.file(of)).unwrap();
    let partial = format!("var/cache/apt/archives/partial/{name}");
    visit.write(&partial, &whole[..whole.len() / 3]);
    let time = visit.site.modified(of);
    fs::File::options().write(true).open(visit.home(&partial)).unwrap().set_modified(time).unwrap();
    run(visit, apt, &["--yes", "--download-only", "install", &format!("hello={version}")]);
    visit.assert_bytes(&format!("var/cache/apt/archives/{name}"), &whole);
    // apt escapes the rest of the name.
    visit.assert_asked_for_ranges(&format!("hello_{}", &version[..3]));
}

fn run(visit: &Visit<'_>, apt: &Path, words: &[&str]) -> std::process::Output {
    visit.run_command(visit.command(apt).env("APT_CONFIG", visit.home("apt.conf")).args(words))
}

/// Gives apt an empty system of its own below its home.
fn configure(visit: &Visit<'_>, source: &str) {
    let root = visit.home("");
    let root = root.display();
    visit.write("etc/apt/sources.list", format!("{source}\n"));
    visit.write("var/lib/dpkg/status", "");
    for directory in [
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
    ] {
        fs::create_dir_all(visit.home(directory)).unwrap();
    }
    let settings = format!(
        "Dir \"{root}\";\n\
         Dir::Etc::parts \"{root}etc/apt/apt.conf.d\";\n\
         Dir::State::status \"{root}var/lib/dpkg/status\";\n\
         APT::Architecture \"amd64\";\n\
         APT::Sandbox::User \"root\";\n\
         APT::Update::Error-Mode \"any\";\n\
         Acquire::Languages \"none\";\n"
    );
    visit.write("apt.conf", settings);
}

fn publish_flat(site: &Site, dpkg_deb: &Path, versions: &[&str]) {
    fs::remove_dir_all(site.file("apt")).ok();
    let index: String =
        versions.iter().map(|version| package(site, dpkg_deb, "apt", "", version)).collect();
    put(site, "apt/Packages", index + &others());
}

fn publish_pooled(site: &Site, dpkg_deb: &Path, by_hash: &str, versions: &[&str]) {
    fs::remove_dir_all(site.file("debian")).ok();
    let pool = "pool/main/h/hello/";
    let index: String =
        versions.iter().map(|version| package(site, dpkg_deb, "debian", pool, version)).collect();
    let index = index + &others();
    let (digest, size) = (sha256_hex(index.as_bytes()), index.len());
    let name = "main/binary-amd64/Packages";
    let place = match by_hash {
        "yes" => format!("main/binary-amd64/by-hash/SHA256/{digest}"),
        _ => name.into(),
    };
    put(site, &format!("debian/dists/stable/{place}"), &index);
    let release = format!(
        "Suite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main\n\
         Date: Thu, 01 Jan 2026 00:00:00 UTC\nAcquire-By-Hash: {by_hash}\n\
         SHA256:\n {digest} {size} {name}\n"
    );
    put(site, "debian/dists/stable/Release", release);
}

/// Puts a package into `root` and `pool` of the site. Returns its stanza of an index.
fn package(site: &Site, dpkg_deb: &Path, root: &str, pool: &str, version: &str) -> String {
    let control = format!(
        "Package: hello\nVersion: {version}\nArchitecture: all\nMaintainer: A B <a@example.org>\n\
         Description: a package to fetch\n"
    );
    let tree = tempfile::tempdir().unwrap();
    write(&tree.path().join("DEBIAN/control"), &control);
    write(&tree.path().join("usr/share/hello/noise"), site::random(1, 200_000));
    let name = format!("hello_{version}_all.deb");
    let built = tree.path().join("built.deb");
    let words = ["--root-owner-group", "-Zgzip", "--build", ".", built.to_str().unwrap()];
    make(dpkg_deb, words, tree.path());
    let bytes = fs::read(&built).unwrap();
    put(site, &format!("{root}/{pool}{name}"), &bytes);
    let (size, digest) = (bytes.len(), sha256_hex(&bytes));
    // As dpkg-scanpackages writes it.
    let dots = if pool.is_empty() { "./" } else { "" };
    format!("{control}Filename: {dots}{pool}{name}\nSize: {size}\nSHA256: {digest}\n\n")
}

/// Stanzas of packages that nobody fetches, which make the index as long as real ones.
fn others() -> String {
    let stanza = |number| {
        format!(
            "Package: other{number}\nVersion: 1.{number}\nArchitecture: all\n\
             Maintainer: A B <a@example.org>\nDescription: a package of the index\n\
             Filename: pool/other{number}.deb\nSize: {number}\nSHA256: {}\n\n",
            sha256_hex(format!("{number}").as_bytes())
        )
    };
    (1..800).map(stanza).collect()
}
