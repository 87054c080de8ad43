//! The files of a certificate and its key.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use webpki::EndEntityCert;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::limits::TLS_FILE_BYTES;
use crate::printer::EscapedPath;

/// The files of a certificate with its chain, and of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate of the site, then those up to the authority's.
    pub(crate) cert: PathBuf,
    /// The private key of the first certificate.
    pub(crate) key: PathBuf,
}

/// The contents of both files.
#[derive(Hash)]
pub(super) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate with its key, and its names.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) certified: Arc<CertifiedKey>,
    /// The DNS names of the certificate, in lower case. One may begin with `*.`.
    pub(super) names: Vec<String>,
    /// The end of its validity; `None` for a certificate that only others can read.
    pub(super) not_after: Option<SystemTime>,
}

/// The reason for which files cannot be used, as a sentence.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TlsFiles {
    /// Reads both files.
    pub(super) fn read(&self) -> Result<Contents, Unusable> {
        let cert = read(&self.cert).map_err(|error| self.bad_cert(reason(&error)))?;
        let key = read(&self.key).map_err(|error| self.bad_key(reason(&error)))?;
        Ok(Contents { cert, key })
    }

    /// Makes an identity of what the files hold.
    pub(super) fn parse(&self, contents: &Contents) -> Result<Identity, Unusable> {
        let chain = CertificateDer::pem_slice_iter(&contents.cert)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.bad_cert(format!("it is no PEM file: {error}")))?;
        let Some(first) = chain.first() else {
            return Err(self.bad_cert("it has no certificate, which begins with BEGIN CERTIFICATE"));
        };
        let names = dns_names(first)
            .map_err(|error| self.bad_cert(format!("its first certificate is broken: {error}")))?;
        let not_after = not_after(first);
        let key = self.signing_key(&contents.key)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(_) => {
                let cert = EscapedPath(&self.cert);
                return Err(self.bad_key(format!("it is not the key of the certificate in {cert}")));
            }
        }
        Ok(Identity { certified: Arc::new(certified), names, not_after })
    }

    fn signing_key(&self, text: &[u8]) -> Result<Arc<dyn rustls::sign::SigningKey>, Unusable> {
        let der = PrivateKeyDer::from_pem_slice(text);
        if is_encrypted(text) {
            let remedy = "openssl pkey -in KEY -out FILE";
            return Err(self.bad_key(format!("it is encrypted; decrypt it: `{remedy}`")));
        }
        let der = der.map_err(|error| match error {
            pem::Error::NoItemsFound => {
                self.bad_key("it has no private key, which begins with BEGIN PRIVATE KEY")
            }
            error => self.bad_key(format!("it is no PEM file: {error}")),
        })?;
        let kinds = "RSA of 2048 to 8192 bits, ECDSA with P-256, P-384 or P-521, or Ed25519";
        aws_lc_rs::sign::any_supported_type(&der)
            .map_err(|_| self.bad_key(format!("its key is broken or of no known kind ({kinds})")))
    }

    fn bad_cert(&self, reason: impl fmt::Display) -> Unusable {
        Unusable(format!("cannot use --tls-cert {}: {reason}", EscapedPath(&self.cert)))
    }

    fn bad_key(&self, reason: impl fmt::Display) -> Unusable {
        Unusable(format!("cannot use --tls-key {}: {reason}", EscapedPath(&self.key)))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(TLS_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TLS_FILE_BYTES {
        let most = TLS_FILE_BYTES >> 20;
        return Err(io::Error::other(format!("it is larger than {most} MiB")));
    }
    Ok(bytes)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a key is encrypted, in the form of PKCS #8 or in OpenSSL's older one.
fn is_encrypted(text: &[u8]) -> bool {
    let has = |mark: &[u8]| text.windows(mark.len()).any(|window| window == mark);
    has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED")
}

/// The end of a certificate's validity (RFC 5280 §4.1.2.5).
fn not_after(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let certificate = Certificate::from_der(certificate).ok()?;
    Some(certificate.tbs_certificate().validity().not_after.to_system_time())
}

fn dns_names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, webpki::Error> {
    let certificate = EndEntityCert::try_from(certificate)?;
    Ok(certificate.valid_dns_names().map(str::to_ascii_lowercase).collect())
}
