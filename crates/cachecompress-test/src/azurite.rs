//! Azurite, Microsoft's own emulator of Azure's blob store.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tempfile::TempDir;

use crate::child::KeptChild;
use crate::client::{self, Request};
use crate::port::free_port;
use crate::tools::require;
use crate::wait::eventually;

/// The account that every Azurite has.
pub const ACCOUNT: &str = "devstoreaccount1";
/// Its key, which is public.
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A version of the API that Azurite knows.
const API: &str = "2021-12-02";

/// A running store, with its blobs in memory. It is killed when dropped, and when the test program ends.
#[derive(Debug)]
pub struct Azurite {
    address: SocketAddr,
    _child: KeptChild,
}

impl Azurite {
    /// Starts a store, and waits until it answers. If it is not installed, prints a loud `SKIPPED` line and
    /// returns `None`.
    ///
    /// # Panics
    ///
    /// If it does not start, or if it is not installed and `CI=true`.
    #[must_use]
    pub fn start() -> Option<Self> {
        let (script, node) = (require("azurite")?, require("node")?);
        let host = Ipv4Addr::LOCALHOST;
        let address = SocketAddr::from((host, free_port(host.into())));
        let mut words = vec![node.to_string_lossy().into_owned()];
        words.push(script.to_string_lossy().into_owned());
        let port = address.port().to_string();
        words.extend(["--blobHost", "127.0.0.1", "--blobPort", &port].map(String::from));
        let flags =
            ["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"];
        words.extend(flags.map(String::from));
        let scratch = TempDir::with_prefix("azurite-").unwrap().keep().join("own");
        let child = KeptChild::start(&words, &[], &scratch);
        eventually("Azurite answers", || client::fetch(address, &Request::get("/")).ok());
        Some(Self { address, _child: child })
    }

    /// The URL of the account.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.address)
    }

    /// The address of the store.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes an empty container.
    ///
    /// # Panics
    ///
    /// If the store refuses.
    pub fn create_container(&self, name: &str) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        // Microsoft's "Authorize with Shared Key": the method, eleven empty lines for fields that are not
        // sent, the fields of Azure's own, and the resource.
        let signed = format!(
            "PUT\n{}x-ms-date:{date}\nx-ms-version:{API}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container",
            "\n".repeat(11)
        );
        let key = STANDARD.decode(KEY).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(signed.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let request = Request::new("PUT", &format!("/{ACCOUNT}/{name}?restype=container"))
            .header("x-ms-date", &date)
            .header("x-ms-version", API)
            .header("content-length", "0")
            .header("authorization", &format!("SharedKey {ACCOUNT}:{signature}"));
        let answer = client::fetch(self.address, &request).unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status(), 201, "{:?} {text}", answer.head);
    }
}
