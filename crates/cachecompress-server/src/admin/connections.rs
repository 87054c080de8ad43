//! The connections to the admin listener, which are bounded.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

/// The connections to the admin listener. Beyond the limit the oldest one makes room, so that
/// connections that lie idle keep no balancer from `/healthz`.
#[derive(Debug)]
pub(crate) struct AdminConnections {
    most: usize,
    /// Each one's permission to stay, the oldest first.
    open: Mutex<VecDeque<oneshot::Sender<Infallible>>>,
}

/// A connection's place, for as long as this lives.
#[derive(Debug)]
pub(crate) struct AdminPlace(oneshot::Receiver<Infallible>);

impl AdminConnections {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, open: Mutex::default() }
    }

    /// Gives a new connection its place.
    pub(crate) fn enter(&self) -> AdminPlace {
        let (stay, place) = oneshot::channel();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|connection| !connection.is_closed());
        while open.len() >= self.most.max(1) {
            open.pop_front();
        }
        open.push_back(stay);
        AdminPlace(place)
    }
}

impl AdminPlace {
    /// Waits until another connection needs the place.
    pub(crate) async fn lost(self) {
        let _ = self.0.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_connection_that_is_still_there_makes_room() {
        let connections = AdminConnections::new(2);
        let mut first = connections.enter();
        let second = connections.enter();
        drop(second);
        let mut third = connections.enter();
        let stays =
            |place: &mut AdminPlace| place.0.try_recv() == Err(oneshot::error::TryRecvError::Empty);
        assert!(stays(&mut first) && stays(&mut third), "two are there");
        let mut fourth = connections.enter();
        assert!(!stays(&mut first) && stays(&mut third) && stays(&mut fourth));
    }
}
