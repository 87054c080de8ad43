//! The settings of the engine, which several services may share.

use std::sync::Arc;

use super::Builder;
use crate::cache::Cache;
use crate::codec::Encoder;
use crate::encode::Recompress;
use crate::http::ContentCoding;
use crate::metrics::{EncodeObserver, EncodeProgress};
use crate::service::serve_compressed::ServeCompressed;
#[cfg(feature = "tier")]
use crate::tier::Tier;

impl<F> Builder<F> {
    /// Uses the cache, the encoders, the threads and the memory of another service.
    ///
    /// - A content that both services have is encoded once, and a file that both reach is hashed once. So
    ///   a new service over a directory in place of an earlier one hashes nothing anew.
    /// - Each service has a source, rules, codings, [`revalidate`](Self::revalidate) and
    ///   [`patience`](Self::patience) of its own.
    /// - [`metrics`](ServeCompressed::metrics) count for all of them, and
    ///   [`shutdown`](ServeCompressed::shutdown) ends the encodes of all.
    /// - They share for as long as one of them lives, whichever that is.
    /// - [`build`](Self::build) fails if [`cache`](Self::cache), [`level`](Self::level),
    ///   [`encoder`](Self::encoder), [`encode_threads`](Self::encode_threads), [`queue`](Self::queue),
    ///   [`prove`](Self::prove), [`memory_cache`](Self::memory_cache),
    ///   `tier`, [`on_encode`](Self::on_encode) or [`recompress`](Self::recompress) is set beside.
    ///
    /// ```
    /// use cachecompress::{Cache, Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let shop = ServeCompressed::builder(Memory::new().file("shop.js", "sell()"))
    ///     .cache(Cache::in_memory(16 << 20))
    ///     .build()?;
    /// let blog = ServeCompressed::builder(Memory::new().file("blog.js", "tell()"))
    ///     .share(&shop)
    ///     .spa(true)
    ///     .build()?;
    /// # let _ = blog;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: each service has its own.
    pub fn share<G>(mut self, other: &ServeCompressed<G>) -> Self {
        self.settings.shared = Some(other.shared());
        self
    }

    /// Sets the cache that keeps encoded files.
    ///
    /// Default: [`Cache::in_memory`] with 64 MiB.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.settings.cache = Some(cache);
        self
    }

    /// Sets the level of a built-in coding.
    ///
    /// [`build`](Self::build) fails for a level that the coding does not have, and for a coding
    /// that [`encoder`](Self::encoder) replaces. Defaults: br 5, zstd 3, gzip 6, deflate 6.
    pub fn level(mut self, coding: ContentCoding, level: i32) -> Self {
        self.settings.levels.push((coding, level));
        self
    }

    /// Adds an encoder for a coding.
    ///
    /// - A coding of your own goes before the built-in ones, in the order of registration.
    /// - The encoder of a built-in coding takes the place of the built-in encoder.
    ///
    /// Default: the built-in encoders of the enabled features.
    pub fn encoder(mut self, coding: ContentCoding, encoder: Arc<dyn Encoder>) -> Self {
        self.settings.encoders.push((None, coding, encoder));
        self
    }

    /// Adds an encoder as [`encoder`](Self::encoder) does, at the place right before the coding
    /// `before`.
    ///
    /// [`build`](Self::build) fails if `before` has no encoder.
    pub fn encoder_before(
        mut self,
        before: ContentCoding,
        coding: ContentCoding,
        encoder: Arc<dyn Encoder>,
    ) -> Self {
        self.settings.encoders.push((Some(before), coding, encoder));
        self
    }

    /// Sets the number of threads that encode for requests.
    ///
    /// - There are at least 2. One of them takes only sources up to 1 MiB.
    /// - As many threads again, at the lowest priority, encode for [`warm`](ServeCompressed::warm).
    /// - A thread beside each of them proves a source of more than 1 MiB.
    ///
    /// Default: half the cores.
    pub fn encode_threads(mut self, threads: usize) -> Self {
        self.settings.encode_threads = Some(threads);
        self
    }

    /// Sets the number of encodes that may wait for a thread, at least 1.
    ///
    /// A request whose encode finds no place gets identity (`detail=queue`). Default: 1,024.
    pub fn queue(mut self, jobs: usize) -> Self {
        self.settings.queue = Some(jobs);
        self
    }

    /// Sets whether every encode is decoded and compared with its source before it is published.
    ///
    /// Default: `true`.
    pub fn prove(mut self, prove: bool) -> Self {
        self.settings.prove = Some(prove);
        self
    }

    /// Sets the number of bytes of small bodies and of whole responses that are kept in memory.
    ///
    /// - Three quarters hold bodies of up to 256 KiB each. A request for one of them needs no file.
    /// - One quarter holds responses, each for at most 1 s.
    /// - Zero keeps none.
    ///
    /// Default: 64 MiB.
    pub fn memory_cache(mut self, bytes: u64) -> Self {
        self.settings.memory_cache = Some(bytes);
        self
    }

    /// Shares encoded files with other replicas by a store behind the cache.
    ///
    /// - A file whose encode takes 20 ms and more of a processor is looked for there while it is encoded.
    ///   From 250 ms on, one replica encodes it for all.
    /// - What comes in is decoded and compared with the file. A response whose bytes came from there has
    ///   `Cache-Status: cachecompress; fwd=miss; stored; detail=tier`.
    /// - No request waits for the store longer than [`patience`](Self::patience).
    /// - [`shutdown`](ServeCompressed::shutdown) gives entries that are still to be stored 5 s.
    ///
    /// Default: none.
    #[cfg(feature = "tier")]
    pub fn tier(mut self, tier: Tier) -> Self {
        self.settings.tier = Some(tier);
        self
    }

    /// Makes entries in use smaller while nothing else is to be done: the second pass.
    ///
    /// - An entry that three responses were sent with is encoded again at the best level: br 11, zstd 19, gzip
    ///   and deflate by libdeflate 12. The one that saves the most bytes for its processor time is the first.
    /// - The new entry has another tag. The earlier one goes. A client that has it still gets 304.
    /// - One thread does it, which runs only while no other wants its processor. It stands back while a request
    ///   needs an encoder, while the processors are under pressure, and once it has had its share of a core.
    /// - A better entry is sent as soon as it is stored, whoever has made it.
    /// - An encoder of your own, and a [`level`](Self::level) as high, have no second pass.
    ///
    /// Default: none.
    pub fn recompress(mut self, settings: Recompress) -> Self {
        self.settings.recompress = Some(settings);
        self
    }

    /// Calls `observer` when an encode begins and when it ends.
    ///
    /// - The encoder has begun in the state [`EncodeState::Running`](crate::EncodeState::Running). The
    ///   other states are [`Finished`](crate::EncodeState::Finished) and
    ///   [`Failed`](crate::EncodeState::Failed).
    /// - The calls come from the threads that encode, which wait for them. `observer` may not panic.
    /// - The progress in between stands in [`Metrics::encodes_under_way`](crate::Metrics).
    ///
    /// ```
    /// use cachecompress::{EncodeState, Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let service = ServeCompressed::builder(Memory::new().file("a.js", "1"))
    ///     .on_encode(|encode| {
    ///         if encode.state == EncodeState::Finished {
    ///             println!("{} took {:?} in {}", encode.path, encode.elapsed, encode.coding);
    ///         }
    ///     })
    ///     .build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: nobody is told.
    pub fn on_encode(mut self, observer: impl Fn(&EncodeProgress) + Send + Sync + 'static) -> Self {
        self.settings.observer = Some(EncodeObserver::new(observer));
        self
    }
}
