//! One request as a line of text, and its answer read to the end.

use std::convert::Infallible;
use std::fmt;
use std::io::Read as _;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cachecompress_examples::StartError;
use http::header::{CONTENT_ENCODING, ETAG, LAST_MODIFIED};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::{Service, ServiceExt as _};

/// The time after which an answer that is not in the cache yet is an error.
const SETTLED: Duration = Duration::from_secs(60);

/// A request: `GET /path | field: value | …`.
///
/// `<tag>` and `<date>` stand for the validators that the same side sends for the path.
#[derive(Clone, Copy)]
pub(crate) struct Ask(pub(crate) &'static str);

impl Ask {
    fn line(self) -> (&'static str, &'static str) {
        let line = self.0.split(" | ").next().unwrap_or_default();
        line.split_once(' ').unwrap_or((line, "/"))
    }

    pub(crate) fn is_head(self) -> bool {
        self.line().0 == "HEAD"
    }

    /// The path and the query.
    pub(crate) fn target(self) -> &'static str {
        self.line().1
    }

    fn fields(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.split(" | ").skip(1).filter_map(|field| field.split_once(": "))
    }

    pub(crate) fn field(self, name: &str) -> Option<&'static str> {
        self.fields().find(|field| field.0 == name).map(|field| field.1)
    }

    fn needs_validators(self) -> bool {
        self.0.contains("<tag>") || self.0.contains("<date>")
    }

    fn request(self, validators: &HeaderMap) -> Result<Request<()>, StartError> {
        let (method, target) = self.line();
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in self.fields() {
            let text = |name| {
                validators.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok())
            };
            let value = value.replace("<tag>", text(ETAG).unwrap_or("\"none\""));
            request = request
                .header(name, value.replace("<date>", text(LAST_MODIFIED).unwrap_or("none")));
        }
        Ok(request.body(())?)
    }

    /// The plain request by which a side tells its validators.
    fn plain(self) -> Result<Request<()>, StartError> {
        let mut request = Request::builder().method(Method::GET).uri(self.target());
        if let Some(accept) = self.field("accept-encoding") {
            request = request.header("accept-encoding", accept);
        }
        Ok(request.body(())?)
    }
}

/// A response, read to its end and decoded.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The bytes of a 206 as they came, those of other answers decoded.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A field's values, `-` if there is none.
    pub(crate) fn field(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
    }

    /// Whether the next answer to the same request is the same one.
    fn is_settled(&self) -> bool {
        let status = self.field("cache-status");
        !["fwd=miss", "detail=patience", "detail=queue"].iter().any(|word| status.contains(word))
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Answer, StartError>>>>;

/// One of the two services.
pub(crate) struct Side(Box<dyn Fn(Request<()>) -> Answering>);

impl Side {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone + 'static,
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: fmt::Debug,
    {
        Self(Box::new(move |request| {
            let service = service.clone();
            Box::pin(async move {
                let head = request.method() == Method::HEAD;
                let Ok(response) = service.oneshot(request).await;
                read(response, head).await
            })
        }))
    }

    /// Asks until the answer comes from the cache. Every body on the way is the same one.
    ///
    /// The validators in the request are those of `earlier`, or of this side itself.
    pub(crate) async fn ask(&self, ask: Ask, earlier: Option<&Self>) -> Result<Answer, StartError> {
        let validators = match ask.needs_validators() {
            true => earlier.unwrap_or(self).settle(|| ask.plain()).await?.headers,
            false => HeaderMap::new(),
        };
        self.settle(|| ask.request(&validators)).await
    }

    async fn settle(
        &self,
        request: impl Fn() -> Result<Request<()>, StartError>,
    ) -> Result<Answer, StartError> {
        let began = Instant::now();
        let first = (self.0)(request()?).await?;
        let mut answer = first.clone();
        while !answer.is_settled() {
            if began.elapsed() > SETTLED {
                return Err(format!("never settled: {answer:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            answer = (self.0)(request()?).await?;
            if answer.status == first.status
                && answer.status == StatusCode::OK
                && answer.body != first.body
            {
                return Err("a body changed between two requests".into());
            }
        }
        Ok(answer)
    }
}

async fn read<B>(response: Response<B>, head: bool) -> Result<Answer, StartError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| format!("a body broke off: {error:?}"))?;
    let mut body = body.to_bytes().to_vec();
    if parts.status != StatusCode::PARTIAL_CONTENT
        && !head
        && let Some(coding) = parts.headers.get(CONTENT_ENCODING)
    {
        body = decode(coding.to_str()?, &body)?;
    }
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// Decodes with implementations that are not the library's encoders.
fn decode(coding: &str, coded: &[u8]) -> Result<Vec<u8>, StartError> {
    let mut decoded = Vec::new();
    let _ = match coding {
        "gzip" => flate2::read::GzDecoder::new(coded).read_to_end(&mut decoded)?,
        "deflate" => flate2::read::ZlibDecoder::new(coded).read_to_end(&mut decoded)?,
        "br" => brotli_decompressor::Decompressor::new(coded, 4096).read_to_end(&mut decoded)?,
        "zstd" => ruzstd::decoding::StreamingDecoder::new(coded)?.read_to_end(&mut decoded)?,
        other => return Err(format!("no decoder for {other}").into()),
    };
    Ok(decoded)
}
