//! The sites, and the choice of one for a request.

use cachecompress::ServeCompressed;
use http::{HeaderMap, Request, header};

use crate::config::{ServeConfig, SiteConfig};
use crate::cors::{Cors, Grant};
use crate::exit::Failure;
use crate::hosts::Hosts;
use crate::peer::Peer;
use crate::site;

/// All sites, of which there is one at least. Their services share one engine.
#[derive(Debug)]
pub(crate) struct Sites {
    sites: Vec<Site>,
    hosts: Hosts,
    have_one: bool,
}

/// One site.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its number among the sites, from 0.
    pub(crate) number: usize,
    pub(crate) service: ServeCompressed,
    pub(crate) cors: Option<Cors>,
    /// The statuses of errors that have a page.
    pub(crate) error_pages: Vec<u16>,
}

impl Site {
    /// Tells what a request with these fields may do, if the site has rules for that.
    pub(crate) fn grant(&self, headers: &HeaderMap) -> Option<Grant> {
        self.cors.as_ref().map(|cors| cors.grant(headers))
    }
}

impl Sites {
    /// Opens the sites of `config`, with the cache, the threads and the memory of `engine`.
    ///
    /// # Errors
    ///
    /// If a site's directory cannot be opened, or a rule or a host is wrong. The sentence names the site.
    pub(crate) fn open(engine: &ServeCompressed, config: &ServeConfig) -> Result<Self, Failure> {
        let hosts = config.sites.iter().map(|site| &*site.tables.hosts);
        let hosts = Hosts::new(hosts).map_err(Failure::Usage)?;
        let open = |(number, site): (usize, &SiteConfig)| {
            let service = site::open(engine, config, site)?;
            let error_pages = site.tables.error_pages.keys().copied().collect();
            Ok(Site { number, service, cors: site.cors.clone(), error_pages })
        };
        let sites = config.sites.iter().enumerate().map(open);
        let sites: Vec<_> = sites.collect::<Result<_, Failure>>()?;
        Ok(Self { have_one: sites.len() == 1 || hosts.have_one_site(), sites, hosts })
    }

    /// Counts the sites.
    pub(crate) fn len(&self) -> usize {
        self.sites.len()
    }

    /// Returns the first site.
    pub(crate) fn first(&self) -> &Site {
        &self.sites[0]
    }

    /// Chooses the site of `request`, by its host; `None` if the connection was made for a host of
    /// another site. Its certificate is that one's, and the request is misdirected (RFC 9110 §15.5.20).
    pub(crate) fn choose<B>(&self, request: &Request<B>, peer: &Peer) -> Option<&Site> {
        if self.have_one {
            return Some(self.first());
        }
        // RFC 9112 §3.2.2: a target that is a URL goes before Host.
        let host = match request.uri().authority() {
            Some(authority) => Some(authority.as_str().as_bytes()),
            None => request.headers().get(header::HOST).map(header::HeaderValue::as_bytes),
        };
        let site = host.map_or(0, |host| self.hosts.site_of(host));
        match &peer.server_name {
            Some(name) if self.hosts.site_of(name.as_bytes()) != site => None,
            _ => Some(&self.sites[site]),
        }
    }
}
