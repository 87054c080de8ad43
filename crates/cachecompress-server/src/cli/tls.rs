//! The flags of a site's certificate.

use std::path::PathBuf;

use clap::Args;

/// The flags of a site's certificate, as they were given.
#[derive(Args, Clone, Debug)]
pub(crate) struct TlsArgs {
    /// Certificate with its chain, in PEM, for HTTPS
    ///
    /// With it every --listen address speaks HTTPS: HTTP/2 and HTTP/1.1 over TLS 1.2 and 1.3. The file and that of --tls-key are read again when
    /// they change, and at SIGHUP. Connections go on, and a pair that does not fit together is
    /// reported and leaves the one before in force.
    #[arg(long, value_name = "FILE", env = "CACHECOMPRESS_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM
    ///
    /// It must not be encrypted.
    #[arg(long, value_name = "FILE", env = "CACHECOMPRESS_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
}
