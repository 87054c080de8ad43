//! cargo, with a sparse registry.

use crate::common::*;
use crate::visit::{Visit, in_every_state, make, put, sha256_hex, write};

/// Two versions of a crate, the second published after the first was fetched.
#[test]
fn cargo_fetches_from_a_sparse_registry() {
    let site = Site::new();
    let packed = tempfile::tempdir().unwrap();
    let versions = ["1.0.0", "1.1.0"];
    for version in versions {
        pack(packed.path(), version);
    }
    in_every_state(&site, |visit| {
        publish(visit, packed.path(), &versions[..1]);
        visit.write("app/Cargo.toml", app());
        visit.write("app/src/lib.rs", "");
        let settings = format!("[registries.here]\nindex = \"sparse+{}\"\n", visit.url("/index/"));
        visit.write("cargo/config.toml", settings);
        run(visit, &["fetch"]);
        assert_fetched(visit, "1.0.0");
        // The crate is fetched a second time, and the index asked for with its entity tag.
        fs::remove_dir_all(visit.home("cargo/registry/cache")).unwrap();
        run(visit, &["update"]);
        run(visit, &["fetch"]);
        assert_fetched(visit, "1.0.0");
        publish(visit, packed.path(), &versions);
        run(visit, &["update"]);
        run(visit, &["fetch"]);
        assert_fetched(visit, "1.1.0");
    });
}

fn app() -> &'static str {
    "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
     [dependencies]\nto-fetch = { version = \"1\", registry = \"here\" }\n[workspace]\n"
}

/// Runs cargo with a home of its own, and the toolchains of this machine.
fn run(visit: &Visit<'_>, words: &[&str]) {
    let mut command = visit.command(&cargo());
    for name in ["HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.env("CARGO_HOME", visit.home("cargo")).current_dir(visit.home("app"));
    visit.run_command(command.args(words));
}

/// The cargo that runs these tests.
fn cargo() -> PathBuf {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into()
}

/// Asserts that the version's archive in cargo's home is the published one.
#[track_caller]
fn assert_fetched(visit: &Visit<'_>, version: &str) {
    let fetched = site::files_below(&visit.home("cargo/registry/cache"));
    let name = format!("to-fetch-{version}.crate");
    let path = fetched.iter().find(|path| path.ends_with(&name)).expect("a fetched crate");
    visit.assert_same(path.to_str().unwrap(), &archive(version));
}

fn archive(version: &str) -> String {
    format!("crates/to-fetch/to-fetch-{version}.crate")
}

/// Makes a crate's archive.
fn pack(into: &Path, version: &str) {
    let root = tempfile::tempdir().unwrap();
    let name = format!("to-fetch-{version}");
    let manifest = format!("[package]\nname = \"to-fetch\"\nversion = \"{version}\"\n");
    write(&root.path().join(&name).join("Cargo.toml"), manifest);
    write(&root.path().join(&name).join("src/lib.rs"), "");
    let noise = [site::text(1, 100_000), site::random(2, 100_000)].concat();
    write(&root.path().join(&name).join("noise"), noise);
    let archive = into.join(format!("{name}.crate"));
    make(Path::new("tar"), ["-czf", archive.to_str().unwrap(), &name], root.path());
}

/// Publishes these versions, and no others.
fn publish(visit: &Visit<'_>, packed: &Path, versions: &[&str]) {
    let mut index = String::new();
    for version in versions {
        let bytes = fs::read(packed.join(format!("to-fetch-{version}.crate"))).unwrap();
        let digest = sha256_hex(&bytes);
        index += &format!(
            "{{\"name\":\"to-fetch\",\"vers\":\"{version}\",\"deps\":[],\
             \"cksum\":\"{digest}\",\"features\":{{}},\"yanked\":false}}\n"
        );
        put(visit.site, &archive(version), bytes);
    }
    let download = visit.url("/crates/{crate}/{crate}-{version}.crate");
    let settings = format!("{{\"dl\":\"{download}\"}}\n");
    put(visit.site, "index/config.json", settings);
    put(visit.site, "index/to/-f/to-fetch", index);
    visit.until_current();
}
