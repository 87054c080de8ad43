//! The selection that a request would get, without anything being encoded.

use std::sync::Arc;

use super::Representations;
use super::select::{self, Candidates, Coded, Selected};
use crate::catalog::Resource;
use crate::codec::Codec;
use crate::encode::{self, Foretold};

impl Representations {
    /// Selects as [`select`](Self::select) does when all is read and encoded in time, but leaves the
    /// cache as it is.
    pub(crate) async fn foresee(
        &self,
        resource: &Arc<Resource>,
        candidates: &Candidates,
        adopted: &[Codec],
    ) -> Selected {
        if let Some(precompressed) = &resource.precompressed {
            if let Some(ahead) = select::of_payloads(precompressed, candidates) {
                return Selected::Coded(Coded::ahead(ahead));
            }
            if let Some(refused) = select::refused_ahead(precompressed, candidates) {
                return select::identity(candidates, Some(refused));
            }
        }
        let mut detail = match self.digest_for(resource, candidates) {
            Ok(_) => candidates.detail,
            Err(detail) => return select::identity(candidates, Some(detail)),
        };
        let mut passes_plain = false;
        for (index, codec) in self.codecs_of(resource, candidates, adopted) {
            if passes_plain && codec.dictionary.is_none() {
                continue;
            }
            let insists = encode::insists(codec, !candidates.identity);
            match self.foretell(resource, codec, insists).await {
                Foretold::Stored(entry) => {
                    let stored = Coded::stored(codec, resource.len, entry);
                    return Selected::Coded(Coded { is_best: index == 0, ..stored });
                }
                // It is gone since it was counted.
                _ if codec.replaces.is_some() => {}
                Foretold::Encoded { .. } => return Selected::Unencoded(codec.clone()),
                Foretold::Failure(failure) => {
                    detail = Some(select::detail_of(failure));
                    passes_plain |= select::ends_plain(failure, codec);
                }
            }
        }
        select::identity(candidates, detail)
    }

    /// Foretells what an encode of `resource` by `codec` leads to, for a request that `insists` on it or
    /// not.
    pub(crate) async fn foretell(
        &self,
        resource: &Arc<Resource>,
        codec: &Codec,
        insists: bool,
    ) -> Foretold {
        self.0.engine.scheduler.foretell((&self.0.catalog, resource), codec, insists).await
    }
}
