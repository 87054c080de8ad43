//! The events that listeners of the admin API get as they happen.

use cachecompress::{EncodeProgress, EncodeState};
use serde::Serialize;
use tokio::sync::broadcast;

use super::history::Sample;
use crate::limits::WAITING_EVENTS;

/// An event. It is serialised as the object that listeners get.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Event {
    /// The newest element of the history.
    Sample(Box<Sample>),
    /// An encode began or ended.
    Encode(Box<EncodeEvent>),
    /// A reload came to its end.
    Reload {
        /// The generation that is in force now.
        generation: u64,
        /// The reason for which nothing has changed.
        error: Option<String>,
    },
    /// Entries were purged.
    Purge { entries: u64, bytes: u64 },
}

impl Event {
    /// The event's name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sample(_) => "sample",
            Self::Encode(_) => "encode",
            Self::Reload { .. } => "reload",
            Self::Purge { .. } => "purge",
        }
    }
}

/// An encode that began or ended.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EncodeEvent {
    /// `started` or `ended`.
    pub(crate) state: &'static str,
    /// Whether all bytes were encoded and proven; `null` at the start.
    pub(crate) succeeded: Option<bool>,
    pub(crate) path: String,
    pub(crate) digest: String,
    pub(crate) coding: String,
    pub(crate) source_bytes: u64,
    pub(crate) encoded_bytes: u64,
    pub(crate) waiters: usize,
    pub(crate) seconds: f64,
}

impl From<&EncodeProgress> for EncodeEvent {
    fn from(encode: &EncodeProgress) -> Self {
        let is_running = encode.state == EncodeState::Running;
        Self {
            state: if is_running { "started" } else { "ended" },
            succeeded: (!is_running).then_some(encode.state == EncodeState::Finished),
            path: format!("/{}", encode.path),
            digest: encode.digest.hex(),
            coding: encode.coding.to_string(),
            source_bytes: encode.source_bytes,
            encoded_bytes: encode.encoded_bytes,
            waiters: encode.waiters,
            seconds: encode.elapsed.as_secs_f64(),
        }
    }
}

/// Sends events to all who listen. Clones share the listeners.
#[derive(Clone, Debug)]
pub(crate) struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(WAITING_EVENTS))
    }
}

impl Events {
    /// Tells all who listen. Never waits: a listener who is too slow misses the oldest ones.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        let Self(sender) = self;
        if sender.receiver_count() > 0 {
            // The last listener may have left meanwhile.
            let _ = sender.send(event());
        }
    }

    /// A function that tells of encodes.
    pub(crate) fn on_encode(&self) -> impl Fn(&EncodeProgress) + Send + Sync + use<> {
        let events = self.clone();
        move |encode| events.tell(|| Event::Encode(Box::new(encode.into())))
    }

    /// Listens from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use cachecompress::{Memory, ServeCompressed};
    use http::Request;
    use tower_service::Service as _;

    use super::*;

    #[tokio::test]
    async fn listener_is_told_of_an_encode_as_of_an_object() {
        let events = Events::default();
        let mut listener = events.subscribe();
        let service = ServeCompressed::builder(Memory::new().file("a.txt", "text ".repeat(1000)))
            .on_encode(events.on_encode())
            .build()
            .unwrap();
        let request = Request::get("/a.txt").header("accept-encoding", "br").body(()).unwrap();
        let response = (&service).call(request).await.unwrap();
        assert_eq!(response.status(), 200);
        for (state, succeeded) in [("started", None), ("ended", Some(true))] {
            let event = listener.recv().await.unwrap();
            assert_eq!(event.name(), "encode");
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["state"], state);
            assert_eq!(json["succeeded"], serde_json::json!(succeeded));
            assert_eq!((&json["path"], &json["coding"]), (&"/a.txt".into(), &"br".into()));
            assert_eq!(json["source_bytes"], 5000);
        }
    }

    #[test]
    fn event_is_made_only_for_listeners_and_waits_for_them_in_bounds() {
        let events = Events::default();
        events.tell(|| panic!("nobody listens"));
        let mut listener = events.subscribe();
        for entries in 0..2 * WAITING_EVENTS as u64 {
            events.tell(|| Event::Purge { entries, bytes: 1 });
        }
        let Err(broadcast::error::TryRecvError::Lagged(lost)) = listener.try_recv() else {
            panic!("the oldest ones are lost")
        };
        assert_eq!(lost, WAITING_EVENTS as u64);
        let next = serde_json::to_value(listener.try_recv().unwrap()).unwrap();
        assert_eq!(next, serde_json::json!({ "entries": lost, "bytes": 1 }));
    }
}
