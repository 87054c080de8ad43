//! Keeping answers, and giving them again.

use std::sync::Arc;

use http::{Request, Response, StatusCode};

use super::ServeCompressed;
use super::respond::{Answered, Exchange};
use super::response_cache::{Answer, Asked, Content};
use crate::body::Body;
use crate::cache::Entry;
use crate::concurrency::sync::clock;

impl<F> ServeCompressed<F> {
    /// The answer that a request like this one got a moment ago.
    pub(super) fn answer_again<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let asked = Asked::new(
            request.method(),
            request.uri(),
            request.version(),
            request.headers(),
            request.extensions(),
        )?;
        let answer = self.answers.get(&asked, clock())?;
        let body = match &answer.content {
            Content::Nothing => Body::empty(),
            Content::Own => Body::bytes(answer.resource.resource.own_bytes()?.clone()),
            Content::Payload(_) => Body::bytes(answer.content.payload()?),
            Content::Entry(entry) => {
                let connection = self.connection_of(request.version(), request.extensions());
                self.representations.stored_body(&*entry.upgrade()?, connection.as_ref())
            }
        };
        let counters = self.representations.counters();
        if let Some(outcome) = answer.served.outcome {
            counters.request(outcome);
        }
        let body = match &answer.content {
            Content::Nothing => body,
            _ => body.metered(counters, answer.resource.resource.len),
        };
        let mut response = Response::new(body.of(Arc::clone(&answer.served)));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.head.clone();
        Some(response)
    }

    /// Keeps an answer that may be given again.
    pub(super) fn remember(&self, exchange: &Exchange<'_>, answered: Answered) -> Response<Body> {
        let Answered { response, again } = answered;
        if let Some(content) = again
            && let Some(asked) = exchange.asked
            && (!asked.is_conditional() || response.status() == StatusCode::NOT_MODIFIED)
            && let Some(served) = response.body().shared_served().cloned()
            && let Some(resource) = self.representations.hold(&exchange.resource)
        {
            let (status, head) = (response.status(), response.headers().clone());
            let answer = Answer { made: clock(), resource, status, head, served, content };
            self.answers.keep(&asked, answer);
        }
        response
    }

    /// What an answer with all of `entry`'s payload has in it, if it may be given again.
    pub(super) fn content(&self, exchange: &Exchange<'_>, entry: &Arc<Entry>) -> Option<Content> {
        exchange.asked.filter(|asked| !asked.is_conditional())?;
        Some(match self.representations.short_payload(entry) {
            Some(bytes) => Content::Payload(Arc::downgrade(&bytes)),
            None => Content::Entry(Arc::downgrade(entry)),
        })
    }
}

#[cfg(all(test, feature = "brotli", feature = "gzip", feature = "zstd"))]
mod tests;
