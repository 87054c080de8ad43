//! The image, built by buildah, which needs no daemon.

use std::process::Command;

use cachecompress_test::tools::{packaged, require};
use tempfile::TempDir;

use crate::common::*;
use crate::machine::require_root;
use crate::{repository, stdout};

/// buildah with a storage of its own.
struct Buildah {
    program: PathBuf,
    storage: TempDir,
}

impl Buildah {
    fn run(&self, command: &str, change: impl FnOnce(&mut Command)) -> String {
        let mut buildah = Command::new(&self.program);
        buildah.arg("--root").arg(self.storage.path().join("root"));
        buildah.arg("--runroot").arg(self.storage.path().join("run"));
        buildah.args(["--storage-driver", "vfs"]).args(command.split_whitespace());
        change(&mut buildah);
        stdout(&mut buildah).trim().to_owned()
    }

    /// The mounted root of a container of `image`.
    fn root_of(&self, image: &str) -> PathBuf {
        let container = self.run("from", |from| {
            from.arg(image);
        });
        PathBuf::from(self.run("mount", |mount| {
            mount.arg(&container);
        }))
    }
}

/// A program that is not static needs the libraries of this machine, which the image does not have.
#[test]
fn image_is_the_program_as_a_user_without_a_name() {
    let Some(program) = require("buildah") else { return };
    let Some(packaged) = packaged() else { return };
    let Some(_) = require("ip") else { return };
    let Some(()) = require_root() else { return };
    let buildah = Buildah { program, storage: tempfile::tempdir().unwrap() };
    let context = tempfile::tempdir().unwrap();
    fs::create_dir(context.path().join("cache")).unwrap();
    fs::copy(packaged.join("cachecompress"), context.path().join("cachecompress-amd64")).unwrap();
    fs::write(context.path().join("cachecompress-arm64"), "not a program").unwrap();
    let docker = repository().join("deploy/docker");
    let configuration = "cachecompress.toml";
    fs::copy(docker.join(configuration), context.path().join(configuration)).unwrap();
    let file = docker.join("Dockerfile");
    // The image of one platform had the program of the other: for BuildKit, a default of the argument hides
    // its value. For buildah it does not.
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.lines().any(|line| line == "ARG TARGETARCH"), "{text}");
    let other =
        "bud --quiet --format docker --isolation chroot --platform linux/arm64 --tag other --file";
    buildah.run(other, |bud| {
        bud.arg(&file).arg(context.path());
    });
    let program = fs::read(buildah.root_of("other").join("cachecompress")).unwrap();
    assert!(program == b"not a program", "the image has the program of another platform");
    buildah.run("bud --quiet --format docker --isolation chroot --tag test --file", |bud| {
        bud.arg(file).arg(context.path());
    });
    let described = buildah.run("inspect --type image test", |_| ());
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    let config = &described["Docker"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(
        config["Healthcheck"]["Test"],
        serde_json::json!(["CMD", "/cachecompress", "healthcheck"])
    );
    assert_eq!(config["Entrypoint"], serde_json::json!(["/cachecompress"]));

    let root = buildah.root_of("test");
    let files: Vec<_> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.iter().any(|name| name == "cachecompress"), "{files:?}");
    assert!(
        files.len() <= 3,
        "the image has more than the program, its configuration and its cache: {files:?}"
    );
    healthcheck_in(&root, config);
}

/// Serves in `root`, read-only but for the cache, by the image's variables and as its user.
fn healthcheck_in(root: &Path, config: &serde_json::Value) {
    let script = r#"
        set -eu
        mount --bind "$ROOT" "$ROOT"
        mkdir -p "$ROOT/site"; echo hello > "$ROOT/site/a.txt"
        for path in lib lib64 usr/lib usr/lib64 proc; do
            if [ -e "/$path" ]; then mkdir -p "$ROOT/$path"; mount --rbind "/$path" "$ROOT/$path"; fi
        done
        mount -t tmpfs -o mode=0700,uid=65532,gid=65532 cache "$ROOT/cache"
        mount -o remount,bind,ro "$ROOT"
        ip link set lo up
        in_image() { chroot --userspec=65532:65532 "$ROOT" "$@"; }
        if in_image /cachecompress healthcheck; then echo "healthy without a server"; exit 1; fi
        chroot --userspec=65532:65532 "$ROOT" /cachecompress serve /site >/dev/null 2>&1 &
        server=$!
        trap 'kill "$server" 2>/dev/null || true' EXIT
        tries=0
        until in_image /cachecompress healthcheck; do
            tries=$((tries + 1)); [ "$tries" -lt 600 ]; kill -0 "$server"; sleep 0.1
        done
        kill "$server"; wait "$server"; trap - EXIT
    "#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", script]).env("ROOT", root);
    for variable in config["Env"].as_array().unwrap() {
        if let Some((name, value)) = variable.as_str().unwrap().split_once('=')
            && name.starts_with("CACHECOMPRESS_")
        {
            command.env(name, value);
        }
    }
    assert!(stdout(&mut command).contains("is ready"));
}
