//! Keys that sign the objects of the store.

use super::*;

/// A file with these keys, which its user alone may read.
fn key_file(keys: &[&str]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), keys.join("\n")).unwrap();
    file
}

const OLD: &str = "the old key of the fleet";
const NEW: &str = "the new key of the fleet";

impl Fleet {
    fn with_keys(&self, keys: &tempfile::NamedTempFile) -> Launch {
        self.replica().arg("--tier-key-file").arg(keys.path())
    }
}

#[test]
fn unsigned_object_is_refused_under_a_key_and_replaced_by_a_signed_one() {
    let fleet = Fleet::new();
    fleet.fill(&fleet.replica().start());
    let keys = key_file(&[OLD]);
    let server = fleet.until_refused(|| fleet.with_keys(&keys));
    assert_eq!((server.encodes(), requests(&server, "hit")), (1, 0.0));
    eventually("an upload", || (uploads(&server, "stored") == 1.0).then_some(()));

    // Its own one takes the place.
    eventually("an upload", || (uploads(&server, "stored") == 1.0).then_some(()));
    fleet.until_imported(|| fleet.with_keys(&keys));
    fleet.until_imported(|| fleet.replica());
}

/// Each step of a rotation reads what the steps beside it store.
#[test]
fn keys_are_rotated_by_the_new_one_behind_before_and_without_the_old_one() {
    let steps = [&[OLD][..], &[OLD, NEW], &[NEW, OLD], &[NEW]].map(key_file);
    for (at, writer) in steps.iter().enumerate() {
        let fleet = Fleet::new();
        fleet.fill(&fleet.with_keys(writer).start());
        for (step, reader) in steps.iter().enumerate() {
            match step.abs_diff(at) <= 1 {
                true => {
                    drop(fleet.until_imported(|| fleet.with_keys(reader).args("--tier-mode ro")));
                }
                false if at.min(step) == 0 && at.max(step) == 3 => {
                    fleet.until_refused(|| fleet.with_keys(reader).args("--tier-mode ro"));
                }
                false => {}
            }
        }
    }
}

/// The file lies in the directory of the site.
#[test]
fn key_file_is_not_served_and_is_warned_of_where_everybody_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let fleet = Fleet::new();
    fleet.site.write("tier.keys", OLD.as_bytes());
    let file = fleet.site.file("tier.keys");
    for (mode, warnings) in [(0o640, 0), (0o644, 1)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let server = fleet.replica().arg("--tier-key-file").arg(&file).start();
        assert_eq!(server.get("/tier.keys", "identity").status(), 404);
        let sentence = format!(
            "every user of this machine may read {} (--tier-key-file); chmod o-r it",
            file.display()
        );
        let told = server.stderr().matches(&sentence).count();
        assert_eq!(told, warnings, "{mode:o}: {}", server.stderr());
    }
}
