//! A proxy between a server and its store that does to requests and responses what networks do.
//!
//! It speaks enough of HTTP/1.1 to find requests and the bodies of responses.

mod exchange;
mod state;
mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

pub use self::state::{Asked, Fault};
use self::state::{Rule, Shared, State};
use crate::port::free_port;

/// A proxy on a port of its own. Its connections are reset when it is dropped.
#[derive(Debug)]
pub struct FaultyProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl FaultyProxy {
    /// Starts a proxy on loopback before the store at `store`. It passes everything on.
    ///
    /// # Panics
    ///
    /// If no port is free.
    #[must_use]
    pub fn start(store: SocketAddr) -> Self {
        let host = Ipv4Addr::LOCALHOST.into();
        Self::start_at(SocketAddr::new(host, free_port(host)), store)
    }

    /// Starts a proxy at an address.
    ///
    /// # Panics
    ///
    /// If the address is taken.
    #[must_use]
    pub fn start_at(address: SocketAddr, store: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            rules: Vec::new(),
            epoch: 0,
            is_listening: true,
            has_ended: false,
            accepted: 0,
            asked: Vec::new(),
            open: BTreeMap::new(),
        };
        let shared = Arc::new(Shared { store, state: Mutex::new(state), changed: Condvar::new() });
        let own = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&own, address, listener));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// The address of the proxy.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the proxy.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has a fault befall every request.
    pub fn set(&self, fault: Fault) {
        self.replace_rules(vec![Rule { method: String::new(), part: String::new(), fault }]);
    }

    /// Has a fault befall the requests of this method whose target contains `part`, and no others.
    pub fn set_for(&self, method: &str, part: &str, fault: Fault) {
        self.replace_rules(vec![Rule { method: method.into(), part: part.into(), fault }]);
    }

    fn replace_rules(&self, rules: Vec<Rule>) {
        let refuses = rules.iter().any(|rule| rule.fault == Fault::Refuse);
        {
            let mut state = self.shared.lock();
            state.rules = rules;
            state.epoch += 1;
        }
        self.shared.changed.notify_all();
        if refuses {
            // The acceptor waits for a connection.
            drop(TcpStream::connect(self.address));
        }
        let settled = |state: &mut State| state.is_listening == refuses;
        drop(self.shared.changed.wait_while(self.shared.lock(), settled));
        if refuses {
            self.reset_connections();
        }
    }

    /// Resets all open connections.
    pub fn reset_connections(&self) {
        for stream in self.shared.lock().open.values().flatten() {
            wire::reset(stream);
        }
    }

    /// The number of connections so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.lock().accepted
    }

    /// The requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().asked.clone()
    }

    /// The number of requests so far with this method and a target that contains `part`.
    #[must_use]
    pub fn count(&self, method: &str, part: &str) -> usize {
        let state = self.shared.lock();
        let is_meant = |asked: &&Asked| asked.method == method && asked.target.contains(part);
        state.asked.iter().filter(is_meant).count()
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.shared.lock().has_ended = true;
        self.shared.changed.notify_all();
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.reset_connections();
    }
}

/// Accepts connections, but for the time in which they are refused.
fn accept(shared: &Arc<Shared>, address: SocketAddr, mut listener: TcpListener) {
    loop {
        let accepted = listener.accept();
        let mut state = shared.lock();
        let refuses = |state: &State| state.rules.iter().any(|rule| rule.fault == Fault::Refuse);
        if refuses(&state) && !state.has_ended {
            drop(listener);
            state.is_listening = false;
            shared.changed.notify_all();
            let is_refused = |state: &mut State| refuses(state) && !state.has_ended;
            let waited = shared.changed.wait_while(state, is_refused);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            let Ok(again) = TcpListener::bind(address) else { return };
            listener = again;
            state.is_listening = true;
            shared.changed.notify_all();
            continue;
        }
        if state.has_ended {
            return;
        }
        let Ok((client, _)) = accepted else { continue };
        state.accepted += 1;
        let connection = state.accepted;
        drop(state);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let remembered = shared.remember(connection, &client);
            if remembered.is_ok() && exchange::serve(&shared, connection, &client).is_err() {
                wire::reset(&client);
            }
            let _ = client.shutdown(Shutdown::Both);
            shared.forget(connection);
        });
    }
}

#[cfg(test)]
mod tests;
