//! The making of listings, on the threads that read.

use std::sync::Arc;

use http::HeaderMap;

use super::brought;
use super::listings::{Key, Listed, MadeListing, MakeListing};
use super::load_error::LoadError;
use super::lookup::{Inner, Lookup};
use super::requests::{Catalog, within_patience};
use crate::concurrency::progress::{Stage, Watch};
use crate::concurrency::singleflight::{Join, Leader};
use crate::concurrency::sync::clock;
use crate::error::{Error, ErrorKind};
use crate::http::SourcePath;
use crate::limits::LOOKUP_TRIES;
use crate::source::SourceFile;

impl Catalog {
    /// Finds the listing of `directory` in a `form`, or has it made. `None` if there is no such
    /// directory.
    pub(crate) async fn listing(
        &self,
        directory: &SourcePath,
        form: u32,
        make: impl Fn() -> MakeListing,
    ) -> Result<Option<Arc<MadeListing>>, LoadError> {
        let (inner, key) = (self.inner(), (directory.clone(), form));
        let asked = inner.begin();
        if let Some(known) = inner.listings.known.get(&key)
            && known.is_fresh(inner.revalidate, asked.at)
        {
            return Ok(Some(known));
        }
        for _ in 0..LOOKUP_TRIES {
            let mut watch = inner.join_listing(&key, &make);
            let (listing, generation) = match within_patience(watch.until(Stage::ended)).await? {
                Stage::Finished { shared, .. } => shared,
                Stage::Failed { why, .. } => return Err(why),
                Stage::Pending | Stage::Growing { .. } => return Err(LoadError::Busy),
            };
            let kept =
                listing.as_ref().is_some_and(|made| made.is_fresh(inner.revalidate, asked.at));
            if kept || generation > asked.generation {
                return Ok(listing);
            }
            // It began before the request came. The next one begins late enough.
        }
        Err(LoadError::Busy)
    }
}

impl Inner {
    /// Joins the making of a listing that runs, or begins one.
    fn join_listing(
        self: &Arc<Self>,
        key: &Key,
        make: impl Fn() -> MakeListing,
    ) -> Watch<Listed, LoadError> {
        loop {
            match self.listings.flights.join_running(key) {
                Join::Follow(progress) => match Watch::join(&progress) {
                    Some(watch) => return watch,
                    // It was just given up.
                    None => continue,
                },
                Join::Lead(leader) => {
                    let (progress, inner) = (Arc::clone(leader.progress()), Arc::clone(self));
                    let (watch, make) = (Watch::new(&progress), make());
                    let list = move || {
                        if !leader.progress().fail_unless_wanted(LoadError::Busy) {
                            inner.lead_listing(make, leader);
                        }
                    };
                    // A listing is a read in the directory itself, and waits where others of it hang.
                    self.read(&key.0, list, move || progress.is_wanted());
                    return watch;
                }
            }
        }
    }

    fn lead_listing(&self, make: MakeListing, leader: Leader<Key, Listed, LoadError>) {
        let lookup = self.begin();
        let made = match make(self.source.undecoded()) {
            Ok(Some((file, fields))) => self.describe_listing(file, fields, lookup),
            Ok(None) => Ok(None),
            Err(error) => Err(error.into()),
        };
        match made {
            Ok(listing) => {
                match &listing {
                    Some(listing) => {
                        self.listings.known.insert(leader.key().clone(), Arc::clone(listing));
                    }
                    None => drop(self.listings.known.remove(leader.key())),
                }
                leader.finish((listing, lookup.generation), 0);
            }
            Err(error) => leader.fail(error),
        }
    }

    fn describe_listing(
        &self,
        file: SourceFile,
        fields: HeaderMap,
        lookup: Lookup,
    ) -> Result<Option<Arc<MadeListing>>, LoadError> {
        // The listing is no file of the source, so rules for files do not apply.
        let described = brought::describe(&self.types, &SourcePath::root(), file, &|| true);
        let fail = |error| Error::new(ErrorKind::Io, "cannot read a listing").with_cause(error);
        let resource = Arc::new(described.map_err(fail)?.ok_or(LoadError::Busy)?);
        let took = clock().saturating_sub(lookup.at);
        Ok(Some(Arc::new(MadeListing { resource, fields, at: lookup.at, took })))
    }
}
