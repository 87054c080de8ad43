//! A certificate authority of the test's own, servers with its certificates, and a client that
//! trusts it.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    PublicKeyData as _,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::common::*;

/// A certificate authority, and the directory with its files.
pub(crate) struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// The files of a certificate and its key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// The SHA-256 of the public key, in base64, by which a browser takes it on trust.
    pub(crate) pin: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        // A certificate whose issuer has its own name counts as self-signed.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let directory = TempDir::with_prefix("pki-").unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { directory, issuer, certificate: certificate.der().clone() }
    }

    /// The directory of all files.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The file that clients trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    /// Makes a new key and a certificate for `hosts`, as `name.crt` and `name.key`.
    pub(crate) fn issue(&self, name: &str, hosts: &[&str]) -> Pair {
        let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(hosts).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let pair = Pair {
            cert: self.path().join(format!("{name}.crt")),
            key: self.path().join(format!("{name}.key")),
            pin: STANDARD.encode(decode::sha256(&key.subject_public_key_info())),
        };
        fs::write(&pair.cert, certificate.pem()).unwrap();
        fs::write(&pair.key, key.serialize_pem()).unwrap();
        // A start warns of a key that every user may read.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o600)).unwrap();
        }
        pair
    }

    /// The settings of a client that trusts this authority and offers `protocols`.
    pub(crate) fn client(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // Every handshake shows a certificate.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

impl Pair {
    /// The certificate as clients are shown it.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.cert).unwrap()
    }
}

/// A server for `site` with this certificate.
pub(crate) fn launch_tls(site: &Site, pair: &Pair) -> Launch {
    launch(site).arg("--tls-cert").arg(&pair.cert).arg("--tls-key").arg(&pair.key)
}

/// A connection over TLS.
pub(crate) struct TlsClient(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    /// Connects and shakes hands as with `localhost`.
    pub(crate) fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        Self::connect_as("localhost", address, config)
    }

    /// Connects and shakes hands as with `name`.
    pub(crate) fn connect_as(
        name: &str,
        address: SocketAddr,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::clone(config), name).unwrap();
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    /// The certificate that the server has shown.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Sends a GET over HTTP/1.1 and returns the body, whose length the head must name. The
    /// connection may be used again.
    pub(crate) fn get(&mut self, target: &str) -> io::Result<Vec<u8>> {
        write!(self.0, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        self.0.flush()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body)?;
        Ok(body)
    }

    /// Everything until the end, and whether `close_notify` was the end.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        match self.0.read_to_end(&mut all) {
            Ok(_) => (all, true),
            Err(error) => {
                let timed_out = matches!(error.kind(), io::ErrorKind::WouldBlock);
                assert!(!timed_out, "the connection is still open after {PATIENCE:?}");
                (all, false)
            }
        }
    }
}
