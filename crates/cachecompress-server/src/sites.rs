//! The sites, and the choice of one for a request.

use std::sync::Arc;

use cachecompress::ServeCompressed;
use http::{HeaderMap, Request};

use crate::authority;
use crate::basic_auth::Users;
use crate::config::ServeConfig;
use crate::cors::{Cors, Grant};
use crate::exit::Failure;
use crate::hosts::Hosts;
use crate::peer::Peer;
use crate::printer::Escaped;
use crate::site::{self, RulesInForce};

/// All sites, of which there is one at least. Their services share one engine.
#[derive(Clone, Debug)]
pub(crate) struct Sites {
    sites: Vec<Site>,
    hosts: Hosts,
    have_one: bool,
}

/// One site.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Its number among the sites, from 0.
    pub(crate) number: usize,
    pub(crate) service: ServeCompressed,
    pub(crate) cors: Option<Cors>,
    /// The users who may come in, unless everybody may.
    pub(crate) users: Option<Arc<Users>>,
    /// The statuses of errors that have a page.
    pub(crate) error_pages: Vec<u16>,
    /// `None` if its files of rules are not read.
    pub(crate) rules: Option<Arc<RulesInForce>>,
}

impl Site {
    /// Opens the site of `config` with this `number`, and warns of the lines in its files of
    /// rules that are skipped. The `last` rules stand in for wrong files.
    ///
    /// # Errors
    ///
    /// As [`Sites::open`].
    pub(crate) fn open(
        engine: &ServeCompressed,
        config: &ServeConfig,
        number: usize,
        last: Option<&RulesInForce>,
    ) -> Result<Self, Failure> {
        let site = &config.sites[number];
        let (service, rules) = site::open(engine, config, site, last)?;
        for warning in rules.iter().flat_map(|rules| &rules.warnings) {
            tracing::warn!("{}", Escaped(warning));
        }
        let users = site::users(site)?.map(Arc::new);
        let error_pages = site.tables.error_pages.keys().copied().collect();
        Ok(Self { number, service, cors: site.cors.clone(), users, error_pages, rules })
    }

    /// Tells what a request with these fields may do, if the site has rules for that.
    pub(crate) fn grant(&self, headers: &HeaderMap) -> Option<Grant> {
        self.cors.as_ref().map(|cors| cors.grant(headers))
    }
}

impl Sites {
    /// Opens the sites of `config`, with the cache, the threads and the memory of `engine`.
    ///
    /// One whose files of rules are wrong keeps those that it has in `before`. The log names the pages
    /// that sites lack.
    ///
    /// # Errors
    ///
    /// If a site's directory cannot be opened, or a rule or a host is wrong. The sentence names the site.
    pub(crate) fn open(
        engine: &ServeCompressed,
        config: &ServeConfig,
        before: Option<&Self>,
    ) -> Result<Self, Failure> {
        for missing in config.sites.iter().flat_map(site::missing_pages) {
            tracing::warn!("{}", Escaped(missing));
        }
        let hosts = config.sites.iter().map(|site| &*site.tables.hosts);
        let hosts = Hosts::new(hosts).map_err(Failure::Usage)?;
        let before = before.map_or(&[][..], Self::all);
        let sites = config.sites.iter().enumerate().map(|(number, site)| {
            let mut rules = before.iter().filter_map(|before| before.rules.as_deref());
            Site::open(engine, config, number, rules.find(|rules| rules.are_of(site)))
        });
        let sites: Vec<_> = sites.collect::<Result<_, _>>()?;
        Ok(Self { have_one: sites.len() == 1 || hosts.have_one_site(), sites, hosts })
    }

    /// Returns all sites.
    pub(crate) fn all(&self) -> &[Site] {
        &self.sites
    }

    /// Returns these sites, but `site` in place of the one at `index`.
    pub(crate) fn with(&self, index: usize, site: Site) -> Self {
        let mut sites = self.clone();
        sites.sites[index] = site;
        sites
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
        let site = authority::of(request).map_or(0, |host| self.hosts.site_of(host));
        match &peer.server_name {
            Some(name) if self.hosts.site_of(name.as_bytes()) != site => None,
            _ => Some(&self.sites[site]),
        }
    }
}
