//! The listeners of the site and of the redirects to HTTPS.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::admission::Admissions;
use crate::https_redirect::HttpsRedirect;
use crate::listener::{ListeningSocket, accept};
use crate::peer::Peer;
use crate::recorder::Recorders;
use crate::shutdown::{Drain, Draining};
use crate::tls::Tls;
use crate::transport::Transport;
use crate::workers::Workers;

/// The connections to one address have this in common.
#[derive(Clone)]
pub(crate) struct PublicListener {
    pub(crate) admissions: Admissions,
    /// The certificates, if the listener speaks TLS.
    pub(crate) tls: Option<Tls>,
    /// Whether trusted proxies begin a connection by naming its client.
    pub(crate) proxy_protocol: bool,
    /// A permit for each connection.
    pub(crate) limit: Arc<Semaphore>,
    /// The recorders of the workers. Without an admin listener nobody would read them.
    pub(crate) recorders: Option<Arc<Recorders>>,
}

impl PublicListener {
    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The same without TLS, to send clients to HTTPS at `port`.
    pub(crate) fn redirecting(self, port: u16) -> Self {
        let to_https = Some(HttpsRedirect { port });
        Self { admissions: Admissions { to_https, ..self.admissions }, tls: None, ..self }
    }

    /// Accepts connections from `sockets`, one for each of the `workers`, until `drain` begins.
    pub(crate) fn start(&self, sockets: Vec<ListeningSocket>, workers: &Workers, drain: &Drain) {
        let mut recorders = self.recorders.iter().flat_map(|recorders| recorders.each());
        for (socket, worker) in sockets.into_iter().zip(workers.runtimes()) {
            let (limit, draining) = (Arc::clone(&self.limit), drain.subscribe());
            let recorder = recorders.next().cloned();
            let admissions = Admissions { recorder, ..self.admissions.clone() };
            let listener = Arc::new(Self { admissions, ..self.clone() });
            let serve = move |transport, client, draining| {
                Arc::clone(&listener).serve(transport, Peer::at(client), draining)
            };
            worker.spawn(accept(socket, limit, draining, serve));
        }
    }

    async fn serve(self: Arc<Self>, transport: Transport, peer: Peer, draining: Draining) {
        let server = self.admissions.live.load().server.clone();
        // TLS needs the bytes of a file, not the file.
        let sendfile = transport.sendfile().filter(|_| self.tls.is_none());
        let is_proxy = self.admissions.proxies.contain(peer.address);
        let proxy_header = self.proxy_protocol && is_proxy;
        let respond = |peer| {
            let admission = self.admissions.of(sendfile, peer);
            move |request, running| admission.respond(request, running)
        };
        let tls = self.tls.as_ref();
        server.serve(transport, proxy_header, tls, peer, respond, draining).await;
    }
}
