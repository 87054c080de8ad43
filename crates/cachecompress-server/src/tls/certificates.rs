//! The certificates in force, the choice of one by the name that a client asks for, and their renewal.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::{Identity, TlsFiles, Unusable};
use crate::printer::EscapedPath;

/// Certificates by their names.
#[derive(Debug)]
pub(crate) struct Certificates {
    entries: Vec<Entry>,
    /// The places of the entries, by their sites' hosts.
    by_host: HashMap<String, usize>,
    /// The places of the entries, by the names of the certificates.
    by_name: HashMap<String, usize>,
}

/// A certificate and its files.
#[derive(Clone, Debug)]
struct Entry {
    /// The hosts of the sites that have it.
    hosts: Vec<String>,
    files: TlsFiles,
    /// A hash of what was last found in the files, or of the reason for which that was nothing. It
    /// stands in for a copy of the key.
    found: u64,
    /// The last that could be used.
    identity: Arc<Identity>,
}

/// The facts about a certificate that others may know.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFacts {
    /// Its file.
    pub(crate) file: String,
    /// Its DNS names.
    pub(crate) names: Vec<String>,
    /// The end of its validity; `None` if it cannot be read.
    pub(crate) not_after: Option<SystemTime>,
}

impl Certificates {
    /// A host belongs to the first site that has it, any other name to the first certificate that
    /// has it.
    fn new(entries: Vec<Entry>) -> Self {
        let (mut by_host, mut by_name) = (HashMap::new(), HashMap::new());
        for (place, Entry { hosts, identity, .. }) in entries.iter().enumerate() {
            for host in hosts {
                by_host.entry(key(host)).or_insert(place);
            }
            for name in &identity.names {
                by_name.entry(key(name)).or_insert(place);
            }
        }
        Self { entries, by_host, by_name }
    }

    /// The certificate for a client that asks for `name`: that of the site whose host it is, else the
    /// first that has the name, else one that has its wildcard, else the first of all.
    ///
    /// A site's wildcard is for any depth and a longer one goes first, as in
    /// [`hosts`](crate::hosts); a certificate's is for one label (RFC 6125 §6.4.3).
    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let place = name.and_then(|name| {
            let name = key(name);
            let wildcards = name.match_indices('.').map(|(dot, _)| &name[dot..]);
            let by_name =
                || self.by_name.get(&name).or_else(|| self.by_name.get(wildcards.clone().next()?));
            let host = self.by_host.get(&name);
            host.or_else(|| wildcards.clone().find_map(|end| self.by_host.get(end)))
                .or_else(by_name)
        });
        Some(&self.entries.get(place.copied().unwrap_or(0))?.identity.certified)
    }
}

/// A host or a name as a key: in lower case, and without the star of a wildcard.
fn key(name: &str) -> String {
    name.strip_prefix('*').unwrap_or(name).to_ascii_lowercase()
}

/// Holds the certificates in force, and chooses among them at each handshake.
///
/// Contents of files are compared, because a renewal swaps a symlink to a file or to a directory above
/// it, and may keep times and sizes.
#[derive(Debug)]
pub(super) struct Keyring {
    certificates: ArcSwap<Certificates>,
    hasher: RandomState,
}

impl Keyring {
    /// A keyring with the certificates of sites with these hosts.
    pub(super) fn open<'a>(
        wanted: impl IntoIterator<Item = (&'a [String], &'a TlsFiles)>,
    ) -> Result<Self, Unusable> {
        let empty = Self {
            certificates: ArcSwap::from_pointee(Certificates::new(Vec::new())),
            hasher: RandomState::new(),
        };
        let certificates = empty.read(wanted)?;
        empty.replace(certificates);
        Ok(empty)
    }

    /// Reads the certificates of sites with these hosts. One whose files are known already stays as it
    /// is if they cannot be used now.
    pub(super) fn read<'a>(
        &self,
        wanted: impl IntoIterator<Item = (&'a [String], &'a TlsFiles)>,
    ) -> Result<Certificates, Unusable> {
        let now = self.certificates.load();
        let mut entries: Vec<Entry> = Vec::new();
        for (hosts, files) in wanted {
            // Sites may share a certificate.
            if let Some(entry) = entries.iter_mut().find(|entry| entry.files == *files) {
                entry.hosts.extend_from_slice(hosts);
                continue;
            }
            let hosts = hosts.to_vec();
            entries.push(match now.entries.iter().find(|entry| entry.files == *files) {
                Some(known) => Entry { hosts, ..self.read_again(known) },
                None => self.read_first(hosts, files.clone())?,
            });
        }
        Ok(Certificates::new(entries))
    }

    /// Puts `certificates` into force, for the handshakes from now on.
    pub(super) fn replace(&self, certificates: Certificates) {
        self.certificates.store(Arc::new(certificates));
    }

    /// The facts about the certificates in force.
    pub(super) fn facts(&self) -> Vec<CertificateFacts> {
        let facts = |Entry { files, identity, .. }: &Entry| CertificateFacts {
            file: EscapedPath(&files.cert).to_string(),
            names: identity.names.clone(),
            not_after: identity.not_after,
        };
        self.certificates.load().entries.iter().map(facts).collect()
    }

    /// Reads all files again, and puts every certificate into force that has changed and can be used.
    pub(super) fn renew(&self) {
        let now = self.certificates.load_full();
        let entries: Vec<_> = now.entries.iter().map(|entry| self.read_again(entry)).collect();
        let is_same = |(old, new): (&Entry, &Entry)| old.found == new.found;
        if !now.entries.iter().zip(&entries).all(is_same) {
            // The certificates of a reload that has come in between are as new, and may be others.
            self.certificates.compare_and_swap(&now, Arc::new(Certificates::new(entries)));
        }
    }

    fn read_first(&self, hosts: Vec<String>, files: TlsFiles) -> Result<Entry, Unusable> {
        let contents = files.read()?;
        let identity = Arc::new(files.parse(&contents)?);
        let found = self.hasher.hash_one(Ok::<_, Unusable>(contents));
        Ok(Entry { hosts, files, found, identity })
    }

    fn read_again(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        let contents = entry.files.read();
        let found = self.hasher.hash_one(&contents);
        if found == entry.found {
            return entry;
        }
        entry.found = found;
        match contents.and_then(|contents| entry.files.parse(&contents)) {
            Ok(identity) => {
                tracing::info!(names = identity.names.join(" "), "a certificate has been renewed");
                entry.identity = Arc::new(identity);
            }
            Err(why) => tracing::warn!("{why}; the certificate before stays in force"),
        }
        entry
    }
}

impl ResolvesServerCert for Keyring {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certificates.load().find(client.server_name()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey as Generated, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;

    /// Makes a certificate for `names` in the files `name.crt` and `name.key`.
    fn issue(directory: &TempDir, name: &str, names: &[&str]) -> TlsFiles {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let Generated { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let path = |end: &str| directory.path().join(format!("{name}.{end}"));
        std::fs::write(path("crt"), cert.pem()).unwrap();
        std::fs::write(path("key"), signing_key.serialize_pem()).unwrap();
        TlsFiles { cert: path("crt"), key: path("key") }
    }

    fn shown(keyring: &Keyring, name: Option<&str>) -> Arc<CertifiedKey> {
        keyring.certificates.load().find(name).unwrap().clone()
    }

    #[test]
    fn certificate_is_chosen_by_host_then_name_then_wildcard_then_order() {
        let directory = tempfile::tempdir().unwrap();
        let first = issue(&directory, "first", &["a.test", "b.test"]);
        let second = issue(&directory, "second", &["*.b.test", "B.test", "c.test"]);
        let third = issue(&directory, "third", &["other.test", "*.c.test"]);
        let hosts = ["C.test".to_owned(), "*.d.test".to_owned()];
        let wanted = [(&[][..], &first), (&[], &second), (&hosts, &third)];
        let keyring = Keyring::open(wanted).unwrap();
        let certified = |place: usize| {
            Arc::clone(&keyring.certificates.load().entries[place].identity.certified)
        };
        for (name, expected) in [
            (None, 0),
            (Some("nobody.test"), 0),
            (Some("a.test"), 0),
            (Some("b.test"), 0),
            (Some("x.b.test"), 1),
            (Some("X.B.Test"), 1),
            (Some("x.y.b.test"), 0),
            (Some("c.test"), 2),
            (Some("x.c.test"), 2),
            (Some("x.d.test"), 2),
            (Some("x.y.d.test"), 2),
            (Some("d.test"), 0),
            (Some("test"), 0),
        ] {
            assert!(Arc::ptr_eq(&shown(&keyring, name), &certified(expected)), "{name:?}");
        }
    }

    #[test]
    fn renewed_certificate_brings_its_names_and_leaves_others_alone() {
        let directory = tempfile::tempdir().unwrap();
        let first = issue(&directory, "first", &["a.test"]);
        let second = issue(&directory, "second", &["b.test"]);
        let keyring = Keyring::open([(&[][..], &first), (&[], &second)]).unwrap();
        let before = [shown(&keyring, None), shown(&keyring, Some("b.test"))];
        keyring.renew();
        assert!(Arc::ptr_eq(&shown(&keyring, Some("b.test")), &before[1]), "nothing has changed");
        issue(&directory, "second", &["c.test"]);
        keyring.renew();
        for name in ["a.test", "b.test"] {
            assert!(Arc::ptr_eq(&shown(&keyring, Some(name)), &before[0]), "{name}");
        }
        let renewed = shown(&keyring, Some("c.test"));
        assert!(before.iter().all(|old| !Arc::ptr_eq(old, &renewed)));
    }

    /// A reload for another reason must not fail because a renewal is half done.
    #[test]
    fn reload_keeps_a_known_certificate_whose_files_are_broken_and_refuses_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let known = issue(&directory, "known", &["a.test"]);
        let other = issue(&directory, "other", &["b.test"]);
        let keyring = Keyring::open([(&[][..], &known)]).unwrap();
        let before = shown(&keyring, None);
        std::fs::copy(&other.cert, &known.cert).unwrap();
        let again = keyring.read([(&[][..], &known), (&[], &other)]).unwrap();
        keyring.replace(again);
        assert!(Arc::ptr_eq(&shown(&keyring, None), &before));
        assert!(!Arc::ptr_eq(&shown(&keyring, Some("b.test")), &before));
        std::fs::write(&other.key, b"no key").unwrap();
        assert!(keyring.read([(&[][..], &other)]).is_ok(), "it is known by now");
        let new = TlsFiles { key: directory.path().join("missing"), ..other };
        assert!(keyring.read([(&[][..], &new)]).is_err());
    }
}
