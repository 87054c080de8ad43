//! `GET /api/v1/events` (server-sent events, HTML §9.2)

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::state::State;
use crate::deadlines::ticks;
use crate::limits::HEARTBEAT_INTERVAL;
use crate::telemetry::Event;

/// A comment, which clients ignore.
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// The body of a response that has the events as they come.
#[derive(Debug)]
pub(crate) struct EventBody(mpsc::Receiver<Bytes>);

/// Listens to events from now on; `None` if there are too many listeners.
pub(super) fn listen(state: &State) -> Option<EventBody> {
    let place = Arc::clone(&state.listeners).try_acquire_owned().ok()?;
    // Events wait where they come from, for all listeners together.
    let (queue, body) = mpsc::channel(1);
    let (events, ending) = (state.telemetry.events().subscribe(), state.ending());
    tokio::spawn(async move {
        // A stream that went on would hold up the end of the program.
        tokio::select! {
            () = forward(events, queue, place) => {}
            () = ending => {}
        }
    });
    Some(EventBody(body))
}

/// Passes events on until the client leaves. One that is too slow misses the oldest ones.
async fn forward(
    mut events: Receiver<Event>,
    queue: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
) {
    let mut heartbeats = ticks(HEARTBEAT_INTERVAL);
    let mut next = HEARTBEAT;
    while queue.send(next).await.is_ok() {
        next = tokio::select! {
            () = queue.closed() => return,
            _ = heartbeats.tick() => HEARTBEAT,
            event = events.recv() => match event {
                Ok(event) => write(&event),
                Err(RecvError::Lagged(_)) => HEARTBEAT,
                Err(RecvError::Closed) => return,
            },
        };
    }
}

/// Writes an event. JSON has no end of line of its own.
fn write(event: &Event) -> Bytes {
    let data = serde_json::to_string(event).unwrap_or_default();
    Bytes::from(format!("event: {}\ndata: {data}\n\n", event.name()))
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = self.get_mut().0.poll_recv(cx);
        event.map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
