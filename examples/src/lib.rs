//! Runnable examples of embedding cachecompress; see `src/bin`.
