//! Several sources as one.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::{Found, Listing, Source};
use crate::error::Error;
use crate::http::{ContentCoding, SourcePath};

/// Several sources as one: the files of an upper layer hide those of a lower one.
///
/// - The first layer that has a file *or* a directory at a path decides. A directory thus hides a
///   lower file of its name, as in a union mount.
/// - Directories merge: each path beneath is looked up through all layers again, so an index
///   file may come from any of them.
/// - An error of a layer is the overlay's error. A file that cannot be read does not uncover an old
///   one below it.
///
/// ```
/// use cachecompress::source::{Memory, Overlay};
///
/// let defaults = Memory::new().file("logo.svg", "<svg/>").file("app.js", "run()");
/// let branding = Memory::new().file("logo.svg", "<svg>ours</svg>");
/// let source = Overlay::new().layer(branding).layer(defaults);
/// # let _ = source;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    layers: Vec<Arc<dyn Source>>,
}

impl Overlay {
    /// Creates an overlay without layers, and so without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer beneath the others.
    #[must_use]
    pub fn layer(mut self, source: impl Source) -> Self {
        self.layers.push(Arc::new(source));
        self
    }
}

impl Source for Overlay {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        for layer in &self.layers {
            match layer.lookup(path)? {
                Found::Nothing => {}
                found => return Ok(found),
            }
        }
        Ok(if path.is_root() { Found::Directory } else { Found::Nothing })
    }

    fn lookup_nowait(&self, path: &SourcePath) -> Option<Found> {
        for layer in &self.layers {
            match layer.lookup_nowait(path)? {
                Found::Nothing => {}
                found => return Some(found),
            }
        }
        Some(if path.is_root() { Found::Directory } else { Found::Nothing })
    }

    fn hide_directory(&self, directory: &Path) -> bool {
        let hides = self.layers.iter().filter(|layer| layer.hide_directory(directory));
        hides.count() > 0
    }

    fn hide_file(&self, file: &Path) {
        self.layers.iter().for_each(|layer| layer.hide_file(file));
    }

    /// Returns the names of all layers. A layer that says nothing adds none.
    fn names(&self, directory: &SourcePath, most: usize) -> Option<Vec<Box<[u8]>>> {
        let layers = self.layers.iter().filter_map(|layer| layer.names(directory, most));
        Some(layers.flatten().take(most).collect())
    }

    /// Merges the listings of all layers. A layer that has no such directory adds nothing.
    fn list(&self, directory: &SourcePath, most: usize) -> Result<Option<Listing>, Error> {
        if !matches!(self.lookup(directory)?, Found::Directory) {
            return Ok(None);
        }
        let layers = self.layers.iter().filter_map(|layer| layer.list(directory, most).transpose());
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        Ok((!layers.is_empty()).then(|| Listing::merge(layers, most)))
    }

    fn files_in_memory(&self) -> Vec<(SourcePath, Bytes)> {
        self.layers.iter().flat_map(Source::files_in_memory).collect()
    }

    fn precompressed_codings(&self) -> Vec<ContentCoding> {
        self.layers.iter().flat_map(Source::precompressed_codings).collect()
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        let mut all = BTreeSet::<SourcePath>::new();
        for layer in &self.layers {
            let mut paths = layer.paths()?;
            paths.retain(|path| !is_directory(&all, path));
            all.extend(paths);
        }
        Ok(all.into_iter().collect())
    }
}

/// Whether one of the `files` lies beneath `path`.
fn is_directory(files: &BTreeSet<SourcePath>, path: &SourcePath) -> bool {
    let prefix = [path.as_bytes(), b"/"].concat();
    files
        .range::<SourcePath, _>((Bound::Excluded(path), Bound::Unbounded))
        .take_while(|file| file.as_bytes().starts_with(path.as_bytes()))
        .any(|file| file.as_bytes().starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Content, Memory, SourceFile};

    fn text(overlay: &Overlay, path: &str) -> Option<String> {
        match overlay.lookup(&SourcePath::parse(path.as_bytes()).unwrap()).unwrap() {
            Found::File(SourceFile { content: Content::Bytes(bytes), .. }) => {
                Some(String::from_utf8(bytes.to_vec()).unwrap())
            }
            Found::Directory => Some("(directory)".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn upper_layer_hides_files_and_directories_merge() {
        let overlay = Overlay::new()
            .layer(Memory::new().file("d/a", "upper").file("x/deep", "upper"))
            .layer(Memory::new().file("d/a", "lower").file("d/b", "lower").file("x", "lower"));
        assert_eq!(text(&overlay, "d/a").unwrap(), "upper");
        assert_eq!(text(&overlay, "d/b").unwrap(), "lower");
        assert_eq!(text(&overlay, "x").unwrap(), "(directory)");
        assert_eq!(text(&overlay, "nothing"), None);
        let paths: Vec<_> = overlay.paths().unwrap();
        let paths: Vec<_> = paths.iter().map(SourcePath::as_bytes).collect();
        assert_eq!(paths, [&b"d/a"[..], b"d/b", b"x/deep"]);
    }

    #[derive(Debug)]
    struct Broken;

    impl Source for Broken {
        fn lookup(&self, _: &SourcePath) -> Result<Found, Error> {
            Err(Error::config("broken"))
        }

        fn paths(&self) -> Result<Vec<SourcePath>, Error> {
            Err(Error::config("broken"))
        }
    }

    #[test]
    fn unreadable_layer_hides_the_layer_below() {
        let overlay = Overlay::new().layer(Broken).layer(Memory::new().file("a", "old"));
        assert!(overlay.lookup(&SourcePath::parse(b"a").unwrap()).is_err());
        assert!(overlay.paths().is_err());
    }
}
