//! The client that takes batches to the collector.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::crypto::aws_lc_rs;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::limits::COLLECTOR_REPLY_BYTES;

/// Sends what an exporter has made, and waits for the answer: exporters have threads of their own.
///
/// It logs the first failure and the recovery, and not each batch that is lost in between.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    /// `metrics` or `traces`.
    signal: &'static str,
    is_failing: AtomicBool,
}

impl Client {
    /// A client for batches of `signal`, which gives one up after `timeout`.
    pub(super) fn new(signal: &'static str, timeout: Duration) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()));
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            // A batch goes nowhere but to the endpoint, and so does the key in its fields.
            .max_redirects(0)
            .timeout_global(Some(timeout));
        Self { agent: agent.build().into(), signal, is_failing: AtomicBool::new(false) }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.exchange(request);
        let failure = match &sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("its status is {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        let signal = self.signal;
        match (failure, self.is_failing.load(Ordering::Relaxed)) {
            (Some(error), false) => {
                self.is_failing.store(true, Ordering::Relaxed);
                tracing::warn!(signal, %error, "the OpenTelemetry collector takes nothing");
            }
            (None, true) => {
                self.is_failing.store(false, Ordering::Relaxed);
                tracing::info!(signal, "the OpenTelemetry collector takes batches again");
            }
            _ => {}
        }
        sent
    }

    fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let response = self.agent.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(COLLECTOR_REPLY_BYTES).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

impl HttpClient for Client {
    fn send_bytes<'c, 'f>(
        &'c self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'c: 'f,
    {
        Box::pin(ready(self.send(request)))
    }
}
