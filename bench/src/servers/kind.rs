//! The measured servers by name.

/// A server in one of its configurations.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// cachecompress with its defaults.
    Ours,
    /// With `--sendfile all`: identity bodies also go out by sendfile.
    OursSendfileAll,
    /// With a cache that has room for the encodings of 2 GB.
    OursRoomy,
    /// `gzip_static`.
    Nginx,
    /// `file.send-compressed`.
    H2o,
    /// `deflate.cache-dir`.
    Lighttpd,
    /// `precompressed`.
    Caddy,
    /// `--compression-static`.
    StaticWebServer,
    /// `ServeDir` with `precompressed_gzip`.
    ServeDir,
    /// `gzip on`: compresses every response.
    NginxGzip,
    /// `encode`: compresses every response.
    CaddyEncode,
    /// `CompressionLayer` over `ServeDir`: compresses every response.
    CompressionLayer,
}

/// The servers that send precompressed files.
pub(crate) const PRECOMPRESSED: [Kind; 7] = [
    Kind::Ours,
    Kind::Nginx,
    Kind::H2o,
    Kind::Lighttpd,
    Kind::Caddy,
    Kind::StaticWebServer,
    Kind::ServeDir,
];

impl Kind {
    /// The name in tables and plots.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "cachecompress",
            Self::OursSendfileAll => "cachecompress --sendfile all",
            Self::OursRoomy => "cachecompress --cache-size 16GB",
            Self::Nginx => "nginx",
            Self::H2o => "h2o",
            Self::Lighttpd => "lighttpd",
            Self::Caddy => "Caddy",
            Self::StaticWebServer => "static-web-server",
            Self::ServeDir => "tower-http ServeDir",
            Self::NginxGzip => "nginx gzip on",
            Self::CaddyEncode => "Caddy encode",
            Self::CompressionLayer => "tower-http CompressionLayer",
        }
    }

    /// The codings that the server encodes itself.
    pub(crate) fn encodes(self) -> &'static [&'static str] {
        match self {
            Self::Ours
            | Self::OursSendfileAll
            | Self::OursRoomy
            | Self::CaddyEncode
            | Self::CompressionLayer => &["gzip", "zstd"],
            Self::NginxGzip | Self::Lighttpd => &["gzip"],
            Self::Nginx | Self::H2o | Self::Caddy | Self::StaticWebServer | Self::ServeDir => &[],
        }
    }
}
