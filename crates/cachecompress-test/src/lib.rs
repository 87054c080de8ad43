//! Fixtures, a failing disk and conformance suites for cachecompress's own tests.
