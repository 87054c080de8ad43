//! An HTTP/2 client with prior knowledge, which answers with the same [`Response`] as the HTTP/1.1
//! one, so that one check serves both.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use crate::client::{End, Framing, Head, Request, Response};
use crate::wait::PATIENCE;

/// Sends one request on a connection of its own and reads the answer.
///
/// # Errors
///
/// If no whole head arrives, or HTTP/2 has no form for the request.
pub fn fetch(address: SocketAddr, request: &Request) -> io::Result<Response> {
    fetch_all(address, std::slice::from_ref(request))?.remove(0)
}

/// Sends requests on one connection at once, and reads the answers side by side.
///
/// # Errors
///
/// If the connection fails. A failure of a single stream is in the result of that stream.
pub fn fetch_all(
    address: SocketAddr,
    requests: &[Request],
) -> io::Result<Vec<io::Result<Response>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let all = talk(address, requests);
        tokio::time::timeout(PATIENCE, all).await.map_err(|_| io::ErrorKind::TimedOut)?
    })
}

async fn talk(address: SocketAddr, requests: &[Request]) -> io::Result<Vec<io::Result<Response>>> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = h2::client::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .handshake::<_, bytes::Bytes>(stream)
        .await
        .map_err(other)?;
    let driver = tokio::spawn(connection);
    let mut exchanges = Vec::new();
    for request in requests {
        sender = sender.ready().await.map_err(other)?;
        let head = to_http2(address, request)?;
        let (response, _) = sender.send_request(head, true).map_err(other)?;
        exchanges.push(tokio::spawn(exchange(response, request.method.clone())));
    }
    let mut responses = Vec::new();
    for exchange in exchanges {
        responses.push(exchange.await.map_err(other)?);
    }
    driver.abort();
    Ok(responses)
}

async fn exchange(response: h2::client::ResponseFuture, method: String) -> io::Result<Response> {
    let sent = Instant::now();
    let (parts, mut stream) = response.await.map_err(other)?.into_parts();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let head = Head { version: "HTTP/2".into(), status: parts.status.as_u16(), headers };
    let mut body = Vec::new();
    let mut first_byte = None;
    let mut end = End::Clean;
    while let Some(piece) = stream.data().await {
        match piece {
            Ok(piece) => {
                if !piece.is_empty() {
                    first_byte.get_or_insert_with(Instant::now);
                }
                let _ = stream.flow_control().release_capacity(piece.len());
                body.extend_from_slice(&piece);
            }
            Err(error) => {
                end = End::Aborted(error.to_string());
                break;
            }
        }
    }
    let length = head.get("content-length").and_then(|length| length.parse::<u64>().ok());
    let empty = method == "HEAD" || head.status == 304;
    if end == End::Clean && !empty && length.is_some_and(|length| length != body.len() as u64) {
        end = End::Aborted(format!("{} of {length:?} bytes, then END_STREAM", body.len()));
    }
    let framing = if empty { Framing::None } else { Framing::Stream };
    Ok(Response { head, body, framing, end, sent, first_byte, last_byte: Instant::now() })
}

fn to_http2(address: SocketAddr, request: &Request) -> io::Result<http::Request<()>> {
    let uri = http::Uri::builder()
        .scheme("http")
        .authority(request.authority.clone().unwrap_or_else(|| address.to_string()))
        .path_and_query(request.target.as_str())
        .build()
        .map_err(other)?;
    let mut head = http::Request::builder().method(request.method.as_str()).uri(uri);
    for (name, value) in &request.headers {
        head = head.header(name, value);
    }
    head.body(()).map_err(other)
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}
