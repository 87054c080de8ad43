//! TLS: the handshake, and the certificates it offers.

mod certificates;
mod files;
mod stream;

use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ProtocolVersion, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::deadlines::{MeteredStream, is_plain_http};
use crate::exit::Failure;
use crate::limits::TLS_FILES_INTERVAL;

use certificates::Keyring;
pub(crate) use certificates::{CertificateFacts, Certificates};
pub(crate) use files::TlsFiles;
use files::Unusable;
pub(crate) use stream::ClientStream;

/// The protocols that a client may choose by ALPN (RFC 7301), the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
const HTTP2: &[u8] = b"h2";

/// The answer to a request that comes without TLS.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 52\r\n\
    connection: close\r\n\r\n\
    a plain HTTP request was sent to a port of https://\n";

/// TLS for connections, with the certificates that are in force.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    keyring: Arc<Keyring>,
}

/// The outcomes of a handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// The connection's bytes from here on.
    pub(crate) stream: Box<TlsStream<MeteredStream>>,
    /// Whether the client chose HTTP/2.
    pub(crate) is_http2: bool,
    /// The name by which the client chose a certificate, in lower case.
    pub(crate) server_name: Option<String>,
    /// The version of TLS, such as `TLSv1.3`.
    pub(crate) version: &'static str,
}

impl Tls {
    /// Reads the certificates of sites with these hosts; `None` if there is none. The first one is for
    /// clients that ask for another name, or for none.
    ///
    /// # Errors
    ///
    /// [`Failure::Runtime`] with the flag and the file, if one cannot be used.
    pub(crate) fn open<'a>(
        wanted: impl IntoIterator<Item = (&'a [String], &'a TlsFiles)>,
    ) -> Result<Option<Self>, Failure> {
        let mut wanted = wanted.into_iter().peekable();
        if wanted.peek().is_none() {
            return Ok(None);
        }
        let keyring = Arc::new(Keyring::open(wanted)?);
        let config = configure(&keyring)
            .map_err(|error| Failure::Runtime(format!("cannot set TLS up: {error}")))?;
        Ok(Some(Self { acceptor: TlsAcceptor::from(Arc::new(config)), keyring }))
    }

    /// Reads the certificates of sites as [`open`](Self::open) does, for [`replace`](Self::replace).
    /// One that is in force stays so if its files cannot be used now.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(crate) fn read<'a>(
        &self,
        wanted: impl IntoIterator<Item = (&'a [String], &'a TlsFiles)>,
    ) -> Result<Certificates, Failure> {
        Ok(self.keyring.read(wanted)?)
    }

    /// Puts `certificates` into force, for the handshakes from now on.
    pub(crate) fn replace(&self, certificates: Certificates) {
        self.keyring.replace(certificates);
    }

    /// The facts about the certificates in force.
    pub(crate) fn facts(&self) -> Vec<CertificateFacts> {
        self.keyring.facts()
    }

    /// Reads the files of certificates again every few seconds, for as long as that can be done.
    pub(crate) async fn renew(self) {
        loop {
            tokio::time::sleep(TLS_FILES_INTERVAL).await;
            // A disk that hangs holds up no more than this task.
            let keyring = Arc::clone(&self.keyring);
            if spawn_blocking(move || keyring.renew()).await.is_err() {
                return;
            }
        }
    }

    /// Shakes hands with the client of `stream`. `None`: it cannot, and has been told.
    pub(crate) async fn accept(&self, mut stream: MeteredStream) -> Option<Handshake> {
        stream.expect_tls();
        match self.acceptor.accept(stream).into_fallible().await {
            Ok(stream) => Some(Handshake::of(stream)),
            Err((error, stream)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                refuse(stream, &error).await;
                None
            }
        }
    }
}

impl From<Unusable> for Failure {
    fn from(why: Unusable) -> Self {
        Self::Runtime(why.to_string())
    }
}

/// TLS 1.2 and 1.3, with tickets by which clients resume their sessions.
fn configure(keyring: &Arc<Keyring>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(keyring) as _);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

/// Ends a connection without TLS. An alert has been sent already if TLS was spoken.
async fn refuse(mut stream: MeteredStream, error: &io::Error) {
    if is_plain_http(error) && stream.write_all(PLAIN_HTTP).await.is_err() {
        return;
    }
    let _ = stream.shutdown().await;
}

impl Handshake {
    fn of(stream: TlsStream<MeteredStream>) -> Self {
        let session = stream.get_ref().1;
        let is_http2 = session.alpn_protocol() == Some(HTTP2);
        let server_name = session.server_name().map(str::to_ascii_lowercase);
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        Self { stream: Box::new(stream), is_http2, server_name, version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_to_plain_http_has_its_length() {
        let text = std::str::from_utf8(PLAIN_HTTP).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
    }
}
