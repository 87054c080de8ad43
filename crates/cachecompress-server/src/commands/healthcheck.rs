//! `cachecompress healthcheck`

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::cli::HealthcheckArgs;
use crate::exit::{ExitStatus, Failure};
use crate::flag_values::ListenAddress;
use crate::limits::HEALTHCHECK_TIMEOUT;
use crate::printer::{Escaped, Printer};

/// Asks the admin listener of a running server for `/readyz`, and prints a line with its answer.
///
/// # Errors
///
/// If no admin listener is named.
pub(crate) fn run(args: HealthcheckArgs, printer: Printer) -> Result<ExitStatus, Failure> {
    let Some(admin) = args.admin else {
        let missing = "there is no admin listener to ask: add --admin ADDR, as for `serve`";
        return Err(Failure::Usage(missing.into()));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::Runtime(format!("cannot start a runtime: {error}")))?;
    let answer = runtime.block_on(in_time(ask(&admin)));
    // The lookup of a name has a thread of its own, which may take longer than the deadline.
    runtime.shutdown_background();
    Ok(match answer {
        Ok(StatusCode::OK) => {
            printer.line(format_args!("{admin} is ready"));
            ExitStatus::Success
        }
        Ok(status) => {
            printer.line(format_args!("{admin} is not ready: it answers {}", status.as_u16()));
            ExitStatus::Problems
        }
        Err(error) => {
            printer.line(format_args!("{admin} does not answer: {}", Escaped(error)));
            ExitStatus::Problems
        }
    })
}

async fn in_time(answer: impl Future<Output = io::Result<StatusCode>>) -> io::Result<StatusCode> {
    let late = || {
        let seconds = HEALTHCHECK_TIMEOUT.as_secs();
        io::Error::new(io::ErrorKind::TimedOut, format!("{seconds} seconds are over"))
    };
    tokio::time::timeout(HEALTHCHECK_TIMEOUT, answer).await.unwrap_or_else(|_| Err(late()))
}

async fn ask(admin: &ListenAddress) -> io::Result<StatusCode> {
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    match admin {
        ListenAddress::Ip(address) => match address.ip() {
            IpAddr::V4(all) if all.is_unspecified() => ask_first(&[v4], address.port()).await,
            IpAddr::V6(all) if all.is_unspecified() => ask_first(&[v6, v4], address.port()).await,
            one => ask_first(&[one], address.port()).await,
        },
        ListenAddress::Any(port) => ask_first(&[v6, v4], *port).await,
        ListenAddress::Name(name, port) => {
            let stream = TcpStream::connect((name.as_str(), *port)).await?;
            ready(stream, format_args!("{name}:{port}")).await
        }
        #[cfg(unix)]
        ListenAddress::Unix(path) => {
            let stream = tokio::net::UnixStream::connect(path).await?;
            ready(stream, format_args!("localhost")).await
        }
        #[cfg(not(unix))]
        ListenAddress::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Asks the first of the addresses at which something listens.
async fn ask_first(addresses: &[IpAddr], port: u16) -> io::Result<StatusCode> {
    let addresses: Vec<SocketAddr> =
        addresses.iter().map(|address| SocketAddr::new(*address, port)).collect();
    let stream = TcpStream::connect(&*addresses).await?;
    let host = stream.peer_addr()?;
    ready(stream, format_args!("{host}")).await
}

/// Returns the status of the `/readyz` behind `stream`.
async fn ready(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    host: fmt::Arguments<'_>,
) -> io::Result<StatusCode> {
    let request = Request::get("/readyz").header(header::HOST, host.to_string());
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await.map_err(io::Error::other)?.status())
}
