//! The protocols that the program speaks, and one client for all of them.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, DATE};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::pki::Authority;
use crate::common::*;

/// A protocol, plain or on TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Http1,
    Http2,
    Http1OverTls,
    Http2OverTls,
}

impl Way {
    pub(crate) const ALL: [Self; 4] =
        [Self::Http1, Self::Http2, Self::Http1OverTls, Self::Http2OverTls];

    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Http1OverTls | Self::Http2OverTls)
    }

    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Http2OverTls)
    }
}

/// The part of an answer that no way may change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Whether there is a `field`, such as `x-a: 1`.
    pub(crate) fn has(&self, field: &str) -> bool {
        field.is_empty()
            || self.fields.iter().any(|(name, value)| format!("{name}: {value}") == field)
    }
}

/// A client that trusts an authority.
pub(crate) struct Client {
    /// The settings for HTTP/1.1 and for HTTP/2.
    configs: [Arc<ClientConfig>; 2],
    runtime: tokio::runtime::Runtime,
}

impl Client {
    pub(crate) fn new(authority: &Authority) -> Self {
        let configs = [&b"http/1.1"[..], b"h2"].map(|protocol| authority.client(&[protocol]));
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self { configs, runtime: runtime.enable_all().build().unwrap() }
    }

    /// Sends a request to `host` on a connection that is made for the host `name`. `fields` are in the
    /// form `a: b | c: d`.
    pub(crate) fn ask(
        &self,
        way: Way,
        address: SocketAddr,
        (name, host): (&str, &str),
        (method, target, fields): (&str, &str, &str),
    ) -> Answer {
        let scheme = if way.is_tls() { "https" } else { "http" };
        let mut request = http::Request::builder().method(method);
        request = match way.is_http2() {
            true => request.uri(format!("{scheme}://{host}{target}")),
            false => request.uri(target).header("host", host),
        };
        for (name, value) in fields.split(" | ").filter_map(|field| field.split_once(": ")) {
            request = request.header(name, value);
        }
        let request = request.body(Empty::new()).unwrap();
        let config = Arc::clone(&self.configs[usize::from(way.is_http2())]);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let answer = async {
            let answer = exchange(way, address, config, name, request);
            tokio::time::timeout(PATIENCE, answer).await.unwrap()
        };
        self.runtime.block_on(answer)
    }
}

async fn exchange(
    way: Way,
    address: SocketAddr,
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
    request: http::Request<Empty<Bytes>>,
) -> Answer {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    if way.is_tls() {
        let stream = TlsConnector::from(client).connect(name, stream).await.unwrap();
        return exchange_on(way, stream, request).await;
    }
    exchange_on(way, stream, request).await
}

async fn exchange_on<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    way: Way,
    stream: S,
    request: http::Request<Empty<Bytes>>,
) -> Answer {
    let io = TokioIo::new(stream);
    let response = if way.is_http2() {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let (mut head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert!(head.headers.remove(DATE).is_some(), "{head:?}");
    head.headers.remove(CONNECTION);
    let mut fields: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    fields.sort();
    Answer { status: head.status.as_u16(), fields, body }
}
