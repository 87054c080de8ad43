//! The places of a pool's threads, of which one directory or device gets a bounded part.
//!
//! A read from a mount that hangs holds its thread until the mount answers. Nothing tells beforehand
//! which directories lie on one mount. So each directory may hold a share of the threads that are
//! still free. A directory with several busy children may hold no more with all of them.

use std::collections::HashSet;

use crate::concurrency::sync::{Arc, Mutex, lock};
use crate::concurrency::thread_pool::{Condition, Obstacle};
use crate::limits::{AREA_BRANCHES, AREA_SHARE, SOURCE_SHARE};

/// The part of a source that hangs as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    /// The directories above a path of a source, whose devices nobody knows yet.
    Above {
        /// The number of the source among those that share the threads.
        source: u64,
        path: Box<[u8]>,
    },
    /// The device of an open file.
    Device(u64),
}

/// The places of the threads of one pool. Cloned handles share them.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    threads: usize,
    taken: Mutex<Vec<Area>>,
}

impl Places {
    /// Creates the places of so many threads.
    pub(crate) fn new(threads: usize) -> Self {
        Self(Arc::new(Inner { threads, taken: Mutex::new(Vec::new()) }))
    }

    /// Takes a place for a read from `area`. Fails with the name of the area that has enough of them.
    pub(crate) fn take(&self, area: &Area) -> Result<(), Obstacle> {
        let mut taken = lock(&self.0.taken);
        match self.full(&taken, area) {
            Some(full) => Err(full),
            None => {
                taken.push(area.clone());
                Ok(())
            }
        }
    }

    /// Returns the name of the area around `area` that has enough places.
    fn full(&self, taken: &[Area], area: &Area) -> Option<Obstacle> {
        let free = self.0.threads.saturating_sub(taken.len());
        match area {
            Area::Device(device) => {
                let held = taken.iter().filter(|held| *held == area).count();
                // No directory's name ends so.
                let name = || [&device.to_be_bytes()[..], b":"].concat().into();
                (held > 0 && held * AREA_SHARE >= free).then(name)
            }
            // Most lookups find few others.
            Area::Above { .. } if taken.len() < AREA_BRANCHES => None,
            Area::Above { source, .. } if self.is_held(taken, *source) => {
                // No directory's name ends so either.
                Some([&source.to_be_bytes()[..], b"\0"].concat().into())
            }
            Area::Above { source, path } => areas_of(path)
                .find(|within| {
                    let (held, branches) = count(taken, *source, within);
                    branches >= AREA_BRANCHES && held * AREA_SHARE >= free
                })
                // Directories of two sources may have one name.
                .map(|within| [&source.to_be_bytes()[..], within].concat().into()),
        }
    }

    /// Whether `source` has its share of all threads.
    fn is_held(&self, taken: &[Area], source: u64) -> bool {
        let is_its = |area: &&Area| matches!(area, Area::Above { source: of, .. } if *of == source);
        taken.iter().filter(is_its).count() * SOURCE_SHARE >= self.0.threads * (SOURCE_SHARE - 1)
    }

    /// Gives a place of `area` back.
    pub(crate) fn give_back(&self, area: &Area) {
        let mut taken = lock(&self.0.taken);
        if let Some(at) = taken.iter().position(|held| held == area) {
            taken.swap_remove(at);
        }
    }
}

/// The condition of a job that reads from an area: a place for it.
pub(crate) struct InArea<W> {
    pub(crate) places: Places,
    pub(crate) area: Area,
    /// Whether anybody wants the job.
    pub(crate) is_wanted: W,
}

impl<W: Fn() -> bool + Send + Sync> Condition for InArea<W> {
    fn is_wanted(&self) -> bool {
        (self.is_wanted)()
    }

    fn obstacle(&self) -> Option<Obstacle> {
        self.places.full(&lock(&self.places.0.taken), &self.area)
    }

    fn try_begin(&self) -> Result<(), Obstacle> {
        self.places.take(&self.area)
    }

    fn end(&self) {
        self.places.give_back(&self.area);
    }
}

/// Iterates over the prefixes of `path` that name a directory above it, each with its slash. The root
/// counts only for what lies directly in it: a site goes on beside the mounts in it.
fn areas_of(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let root = (!path.contains(&b'/')).then_some(&path[..0]);
    slashes.map(|(at, _)| &path[..=at]).chain(root)
}

/// Counts the places held beneath `directory` of `source`, and its children beneath which they are
/// held.
fn count(taken: &[Area], source: u64, directory: &[u8]) -> (usize, usize) {
    let below = taken.iter().filter_map(|area| match area {
        Area::Above { source: held, path } if *held == source => path.strip_prefix(directory),
        Area::Above { .. } | Area::Device(_) => None,
    });
    let below: Vec<_> = match directory {
        [] => below.filter(|path| !path.contains(&b'/')).collect(),
        _ => below.collect(),
    };
    let children: HashSet<_> =
        below.iter().map(|path| path.split(|byte| *byte == b'/').next()).collect();
    (below.len(), children.len())
}

#[cfg(all(test, not(cachecompress_loom)))]
mod tests {
    use super::*;

    fn above(path: &str) -> Area {
        Area::Above { source: 0, path: path.as_bytes().into() }
    }

    /// Takes all places that `areas` get, and counts them.
    fn take_all(places: &Places, areas: impl Iterator<Item = Area>) -> usize {
        areas.filter(|area| places.take(area).is_ok()).count()
    }

    #[test]
    fn directory_gets_a_share_of_the_places_that_are_free() {
        let places = Places::new(64);
        assert_eq!(take_all(&places, (0..100).map(|at| above(&format!("dead/{at}")))), 13);
        assert!(places.take(&above("css/site.css")).is_ok(), "another directory goes on");
        assert!(places.take(&above("index.html")).is_ok(), "so does the root");
        places.give_back(&above("dead/0"));
        assert!(places.take(&above("dead/100")).is_ok(), "there is a place again");
    }

    #[test]
    fn directories_of_one_name_in_two_sources_have_places_of_their_own() {
        let places = Places::new(64);
        assert_eq!(take_all(&places, (0..100).map(|at| above(&format!("css/{at}")))), 13);
        let other = |at| Area::Above { source: 1, path: format!("css/{at}").into_bytes().into() };
        assert_eq!(take_all(&places, (0..100).map(other)), 11);
        let waits = [above("css/100"), other(100)].map(|area| places.take(&area).unwrap_err());
        assert_ne!(waits[0], waits[1], "they do not wait for each other");
    }

    /// Many mounts that hung in one site held up the lookups of all.
    #[test]
    fn source_that_hangs_everywhere_leaves_a_quarter_of_the_threads_to_others() {
        let places = Places::new(64);
        let dead = (0..10_000).map(|at| above(&format!("mount{}/{}", at / 30, at % 30)));
        assert_eq!(take_all(&places, dead), 48);
        let other = Area::Above { source: 1, path: b"css/site.css".as_slice().into() };
        assert!(places.take(&other).is_ok());
        places.give_back(&above("mount0/0"));
        assert!(places.take(&above("index.html")).is_ok(), "there is a place again");
    }

    #[test]
    fn names_of_many_directories_on_one_mount_get_no_more_than_those_of_one() {
        let places = Places::new(64);
        assert_eq!(take_all(&places, (0..100).map(|at| above(&format!("dead/{at}/a")))), 13);
        let places = Places::new(64);
        let deep = (0..1000).map(|at| above(&format!("dead/{}/{}", at / 30, at % 30)));
        assert!(take_all(&places, deep) < 50);
        assert!(places.take(&above("css/site.css")).is_ok());
    }

    #[test]
    fn mount_beneath_a_directory_leaves_places_to_its_siblings() {
        let places = Places::new(64);
        for mount in ["a/dead", "a/gone", "a/lost"] {
            assert!(take_all(&places, (0..100).map(|at| above(&format!("{mount}/{at}")))) > 4);
        }
        assert!(places.take(&above("a/b/site.css")).is_ok());
        assert!(places.take(&above("a/site.css")).is_ok());
    }

    #[test]
    fn device_gets_a_share_of_the_places_that_are_free() {
        let places = Places::new(64);
        assert_eq!(take_all(&places, (0..100).map(|_| Area::Device(1))), 13);
        assert_eq!(take_all(&places, (0..100).map(|_| Area::Device(2))), 11);
        assert!(places.take(&above("index.html")).is_ok());
    }
}
