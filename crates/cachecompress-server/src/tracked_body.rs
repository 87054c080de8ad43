//! The body of a response with the guards of its request: both end together.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cachecompress::Served;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::access_log::LogLine;
use crate::deadlines::RunningRequest;
use crate::h2_stall::ClientProgress;
use crate::otel::RequestSpan;
use crate::recorder::Measurement;

/// The guards that a request holds until its response's body is through.
///
/// They are dropped in the order of their fields: the log line is written, the permit goes to the
/// next request, and the connection counts the request as answered.
#[derive(Default)]
pub(crate) struct RequestGuards {
    /// The line of the access log.
    pub(crate) line: Option<Box<LogLine>>,
    /// The measurement of the request.
    pub(crate) measurement: Option<Measurement>,
    /// The span of the request.
    pub(crate) span: RequestSpan,
    /// The permit to run, which stands for a file that may be open.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// The request's place among those that run on its connection.
    running: Option<RunningRequest>,
}

impl RequestGuards {
    /// The guards of a request that is `running`, with neither line nor permit yet.
    pub(crate) fn new(running: RunningRequest) -> Self {
        Self { running: Some(running), ..Self::default() }
    }

    /// Attaches the guards to the body of `response`, as `wrap` makes it of the service's body.
    ///
    /// `served` reads what the log line says about the file. An HTTP/2 stream's progress belongs
    /// to its task, so this runs where the response's future is polled.
    pub(crate) fn attach<B: Body, T>(
        mut self,
        mut response: Response<B>,
        served: impl Fn(&B) -> Option<&Served>,
        wrap: impl FnOnce(B) -> T,
    ) -> Response<TrackedBody<T>> {
        if self.running.as_ref().is_some_and(RunningRequest::is_last) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(line) = &mut self.line {
            line.answered(&response, served(response.body()));
        }
        if let Some(measurement) = &mut self.measurement {
            measurement.answered(&response, served(response.body()));
        }
        self.span.answered(&response, served(response.body()));
        let client = ClientProgress::current();
        response.map(|body| TrackedBody { body: wrap(body), client, guards: self })
    }
}

/// A response's body that holds its request's guards and reports each frame to them.
///
/// Its log line ends as complete when the body came to its end, else as aborted.
pub(crate) struct TrackedBody<B> {
    body: B,
    client: Option<Arc<ClientProgress>>,
    guards: RequestGuards,
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Some(client) = &this.client {
            match &polled {
                Poll::Ready(_) => client.handed_out(),
                Poll::Pending => client.waits_for_us(),
            }
        }
        let frame = ready!(polled);
        if let Some(measurement) = &mut this.guards.measurement {
            match &frame {
                Some(Ok(frame)) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    measurement.sent(bytes, this.body.is_end_stream());
                }
                Some(Err(_)) => {}
                None => measurement.sent(0, true),
            }
        }
        if let Some(Ok(frame)) = &frame {
            this.guards.span.sent(frame.data_ref().map_or(0, Bytes::len));
        }
        let slot = &mut this.guards.line;
        if let Some(line) = slot {
            match &frame {
                Some(Ok(frame)) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    line.sent(bytes, this.body.is_end_stream());
                }
                end => {
                    line.end(end.is_none());
                    *slot = None;
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use http::Request;

    use super::*;
    use crate::access_log::{AccessLog, AccessLogConfig};
    use crate::cli::AccessLogFormat;
    use crate::flag_values::LogTarget;
    use crate::peer::Peer;

    #[test]
    fn line_ends_complete_only_after_the_whole_body() {
        let ended = line_of(vec![Some("abc"), Some("de")], usize::MAX);
        assert!(ended.ends_with(" end=complete\n") && ended.contains(" sent=5 "), "{ended}");
        let failed = line_of(vec![Some("abc"), None], usize::MAX);
        assert!(failed.ends_with(" end=aborted\n") && failed.contains(" sent=3 "), "{failed}");
        let left = line_of(vec![Some("abc"), Some("de")], 1);
        assert!(left.ends_with(" end=aborted\n") && left.contains(" sent=3 "), "{left}");
    }

    /// The line of a body with these frames, `None` being an error, of which `polls` are taken.
    fn line_of(frames: Vec<Option<&'static str>>, polls: usize) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let target = LogTarget::File(path.clone());
        let config = AccessLogConfig { target, format: AccessLogFormat::Combined, sample: 1 };
        let (log, thread) = AccessLog::start(config).unwrap();
        let peer = Peer::at(IpAddr::from([127, 0, 0, 1]).into());
        let line = log.begin(&peer, &Request::new(()), Instant::now());
        let guards = RequestGuards { line: Some(Box::new(line)), ..RequestGuards::default() };
        let response = Response::new(Frames(frames.into_iter()));
        let mut body = guards.attach(response, |_| None, |body| body).into_body();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for _ in 0..polls {
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(_))) => {}
                _ => break,
            }
        }
        drop(body);
        assert!(thread.close(Duration::from_secs(60)));
        std::fs::read_to_string(path).unwrap()
    }

    struct Frames(std::vec::IntoIter<Option<&'static str>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = ();

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
            let frame = self.0.next();
            Poll::Ready(frame.map(|frame| {
                frame.map(|text| Frame::data(Bytes::from_static(text.as_bytes()))).ok_or(())
            }))
        }
    }
}
