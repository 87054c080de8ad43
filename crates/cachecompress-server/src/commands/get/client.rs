//! The client: a request with its redirects, on a thread of its own, so that a command can be interrupted.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use rustls::crypto::aws_lc_rs;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, Timeout};
use url::Url;

use super::trouble::Trouble;
use crate::commands::progress_bar::CommandProgress;
use crate::exit::Failure;
use crate::limits::{GET_PIECE_BYTES, GET_PIECES, GET_REDIRECTS, PROGRESS_TICK};
use crate::printer::EscapedPath;

/// The start of the text of an error of the system's resolver, which has no kind of its own.
const LOOKUP: &str = "failed to lookup address information: ";

/// A client for one URL.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    /// The URL, without the user and the password that it may have.
    url: Url,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// A response whose body still comes.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    messages: Receiver<Message>,
}

#[derive(Debug)]
enum Message {
    Head(StatusCode, HeaderMap),
    Piece(Vec<u8>),
    End,
    Failed(Trouble),
}

impl Client {
    /// A client that gives a server `timeout` for each step: the lookup of its name, the connection, the head of
    /// the response, and each piece of the body. It trusts the authorities in `cacert`, or else those of the system.
    ///
    /// # Errors
    ///
    /// If `cacert` cannot be read or has no certificate.
    pub(super) fn new(
        mut url: Url,
        cacert: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let roots = match cacert {
            Some(file) => RootCerts::Specific(Arc::new(certificates(file)?)),
            None => RootCerts::PlatformVerifier,
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()));
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            // They are followed here, since none may lead from https to http.
            .max_redirects(0)
            .user_agent(concat!("cachecompress/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(timeout))
            .timeout_connect(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_per_read(Some(timeout))
            .build();
        let authorization = take_user(&mut url);
        Ok(Self { agent: agent.into(), url, authorization, timeout })
    }

    /// The URL that is asked for, without user and password.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Sends a request, and returns when the head of its response is there.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or understood, or the command is interrupted.
    pub(super) fn send(
        &self,
        method: Method,
        mut fields: HeaderMap,
        progress: &CommandProgress,
    ) -> Result<Exchange, Trouble> {
        if let Some(authorization) = &self.authorization {
            fields.insert(header::AUTHORIZATION, authorization.clone());
        }
        let (sender, messages) = sync_channel(GET_PIECES);
        let (agent, url, timeout) = (self.agent.clone(), self.url.clone(), self.timeout);
        let work = move || exchange(&agent, url, &method, fields, timeout, &sender);
        std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(work)
            .map_err(|error| Trouble::last(format!("cannot start a thread: {error}")))?;
        match next(&messages, progress)? {
            Message::Head(status, fields) => Ok(Exchange { status, fields, messages }),
            Message::Failed(trouble) => Err(trouble),
            Message::Piece(_) | Message::End => Err(Trouble::transient("there is no head".into())),
        }
    }
}

impl Exchange {
    /// The text of a field that is there once.
    pub(super) fn field(&self, name: impl header::AsHeaderName) -> Option<&str> {
        let mut values = self.fields.get_all(name).iter();
        let value = values.next()?.to_str().ok()?.trim();
        values.next().is_none().then_some(value)
    }

    /// The codings that have been applied, of all lines of the field.
    pub(super) fn content_encoding(&self) -> Option<String> {
        let lines = self.fields.get_all(header::CONTENT_ENCODING).iter();
        let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    ///
    /// If the body breaks off or stalls, or the command is interrupted.
    pub(super) fn piece(&self, progress: &CommandProgress) -> Result<Option<Vec<u8>>, Trouble> {
        match next(&self.messages, progress)? {
            Message::Piece(piece) => Ok(Some(piece)),
            Message::End | Message::Head(..) => Ok(None),
            Message::Failed(trouble) => Err(trouble),
        }
    }
}

/// Waits for a message, or for Ctrl-C.
fn next(messages: &Receiver<Message>, progress: &CommandProgress) -> Result<Message, Trouble> {
    loop {
        if progress.flow().is_break() {
            return Err(Trouble::Interrupted);
        }
        match messages.recv_timeout(PROGRESS_TICK) {
            Ok(message) => return Ok(message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Trouble::transient("the connection ended".into()));
            }
        }
    }
}

/// Sends a request and follows its redirects, and hands on what comes. It ends early where nobody listens any more.
fn exchange(
    agent: &Agent,
    url: Url,
    method: &Method,
    fields: HeaderMap,
    timeout: Duration,
    sender: &SyncSender<Message>,
) {
    let response = match follow(agent, url, method, fields, timeout) {
        Ok(response) => response,
        Err(trouble) => return drop(sender.send(Message::Failed(trouble))),
    };
    let (parts, body) = response.into_parts();
    if sender.send(Message::Head(parts.status, parts.headers)).is_err() {
        return;
    }
    let mut body = body.into_reader();
    loop {
        let mut piece = vec![0; GET_PIECE_BYTES];
        let message = match body.read(&mut piece) {
            Ok(0) => Message::End,
            Ok(read) => {
                piece.truncate(read);
                Message::Piece(piece)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Message::Failed(broken(error.into(), timeout)),
        };
        let is_last = !matches!(message, Message::Piece(_));
        if sender.send(message).is_err() || is_last {
            return;
        }
    }
}

fn follow(
    agent: &Agent,
    mut url: Url,
    method: &Method,
    mut fields: HeaderMap,
    timeout: Duration,
) -> Result<Response<Body>, Trouble> {
    for _ in 0..=GET_REDIRECTS {
        let mut request = Request::builder().method(method.clone()).uri(url.as_str());
        if let Some(own) = request.headers_mut() {
            own.clone_from(&fields);
        }
        let request = request.body(()).map_err(|error| Trouble::last(error.to_string()))?;
        let response = agent.run(request).map_err(|error| unreachable(error, &url, timeout))?;
        let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = response.headers().get(header::LOCATION).filter(|_| is_redirect);
        let Some(location) = location else { return Ok(response) };
        let target = location.to_str().ok().and_then(|location| url.join(location).ok());
        let target = target.filter(|target| matches!(target.scheme(), "http" | "https"));
        let Some(mut target) = target else {
            return Err(Trouble::last(format!("{url} is redirected to something that is no URL")));
        };
        if url.scheme() == "https" && target.scheme() == "http" {
            return Err(Trouble::last(format!("{url} is redirected from https to http")));
        }
        if target.origin() != url.origin() {
            fields.remove(header::AUTHORIZATION);
        }
        drop(take_user(&mut target));
        url = target;
    }
    Err(Trouble::last(format!("{url} is one of more than {GET_REDIRECTS} redirects")))
}

/// Takes the user and the password out of a URL, as the value of Authorization.
fn take_user(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
    let value = format!("Basic {}", STANDARD.encode([&user[..], b":", &password].concat()));
    // Both are text, so neither fails.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Reads all certificates of a file in PEM.
fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let shown = EscapedPath(file);
    let pem = std::fs::read(file)
        .map_err(|error| Failure::Usage(format!("--cacert: cannot read {shown}: {error}")))?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<_> = ureq::tls::parse_pem(&pem).filter_map(certificate).collect();
    match found.is_empty() {
        true => Err(Failure::Usage(format!("--cacert: {shown} has no certificate in PEM"))),
        false => Ok(found),
    }
}

/// The reason for which there is no response.
fn unreachable(error: ureq::Error, url: &Url, timeout: Duration) -> Trouble {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let untrusted = |why: &dyn std::fmt::Display| {
        Trouble::last(format!("cannot trust {host}: {why}; --cacert FILE names an authority"))
    };
    match error {
        ureq::Error::HostNotFound => Trouble::Unreached(format!("cannot find the host {host}")),
        ureq::Error::Io(error) if error.to_string().starts_with(LOOKUP) => {
            let text = error.to_string();
            let why = text.trim_start_matches(LOOKUP);
            let sentence = format!("cannot find the host {host}: {why}");
            match why.starts_with("Temporary") {
                true => Trouble::transient(sentence),
                false => Trouble::Unreached(sentence),
            }
        }
        ureq::Error::Rustls(error) => untrusted(&error),
        ureq::Error::Io(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(error @ rustls::Error::InvalidCertificate(_)) => untrusted(error),
            Some(error) => {
                Trouble::Unreached(format!("{host} does not speak TLS as it should: {error}"))
            }
            None if error.kind() == io::ErrorKind::ConnectionRefused => {
                Trouble::transient(format!("cannot connect to {host}:{port}: connection refused"))
            }
            None => Trouble::transient(format!("cannot connect to {host}:{port}: {error}")),
        },
        error => broken(error, timeout),
    }
}

/// The reason for which a response breaks off.
fn broken(error: ureq::Error, timeout: Duration) -> Trouble {
    let waited = humantime::format_duration(timeout);
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            Trouble::transient(format!("no connection came about within {waited}"))
        }
        ureq::Error::Timeout(_) => {
            Trouble::transient(format!("the server sent nothing for {waited}"))
        }
        ureq::Error::Io(error) => Trouble::transient(format!("the connection broke off: {error}")),
        ureq::Error::Protocol(error) => {
            Trouble::transient(format!("the server's answer is not HTTP: {error}"))
        }
        error => Trouble::last(error.to_string()),
    }
}
