//! git over plain files ("dumb HTTP").

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{Visit, in_every_state, make};

/// A clone, and a fetch after a push and `git update-server-info`, with loose objects and packs.
#[test]
fn git_clones_and_fetches() {
    let Some(git) = require("git") else { return };
    let site = Site::new();
    let author = tempfile::tempdir().unwrap();
    make(&git, ["init", "-q", "--bare", "-b", "main", "project.git"], site.path());
    make(&git, ["init", "-q", "-b", "main", "."], author.path());
    in_every_state(&site, |visit| {
        push(visit, &git, author.path(), 1);
        visit.run(&git, ["clone", "-q", &visit.url("/project.git"), "clone"]);
        assert_equal(visit, &git, author.path());
        for number in 2..5 {
            push(visit, &git, author.path(), number);
            if number == 3 {
                make(&git, ["gc", "-q", "--prune=now"], &site.file("project.git"));
                make(&git, ["update-server-info"], &site.file("project.git"));
                visit.until_current();
            }
            visit.run(&git, ["-C", "clone", "pull", "-q", "--ff-only"]);
            assert_equal(visit, &git, author.path());
        }
        visit.run(&git, ["-C", "clone", "fsck", "--strict"]);
    });
}

/// Commits and pushes; the objects are new in each state.
fn push(visit: &Visit<'_>, git: &Path, author: &Path, number: u64) {
    let seed = number + 100 * visit.state as u64;
    fs::write(author.join("text.txt"), site::text(seed, 60_000)).unwrap();
    fs::write(author.join("noise.bin"), site::random(seed, 60_000)).unwrap();
    make(git, ["add", "-A"], author);
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    make(git, who.iter().chain(&["commit", "-q", "-m", "a change"]), author);
    let repository = visit.site.file("project.git");
    let repository = repository.to_str().unwrap();
    make(git, ["push", "-q", repository, "main"], author);
    make(git, ["update-server-info"], &visit.site.file("project.git"));
    visit.until_current();
}

fn assert_equal(visit: &Visit<'_>, git: &Path, author: &Path) {
    for name in ["text.txt", "noise.bin"] {
        visit.assert_bytes(&format!("clone/{name}"), &fs::read(author.join(name)).unwrap());
    }
    let head = |directory: &Path| make(git, ["rev-parse", "HEAD"], directory).stdout;
    assert_eq!(head(&visit.home("clone")), head(author), "{:?}", visit.state);
}
