//! The lines of the log that tell at the start what is served, by which rules, and where.

use crate::cli::LogFormat;
use crate::config::{ServeConfig, SiteConfig};
use crate::flag_values::Spa;
use crate::limits::ANNOUNCED_SITES;
use crate::listener::BoundAddress;
use crate::log_queue::LogQueue;
use crate::logging;
use crate::printer::{Escaped, EscapedPath};
use crate::site_rules::{self, RuleFiles};
use crate::sites::{Site, Sites};

/// Tells of the `sites` and of the addresses at which they are. A terminal gets a request to try as well.
pub(crate) fn announce(
    config: &ServeConfig,
    sites: &Sites,
    scheme: &str,
    addresses: &[BoundAddress],
    log: &LogQueue,
) {
    for (site, opened) in config.sites.iter().zip(sites.all()).take(ANNOUNCED_SITES) {
        tell_site(site, opened);
    }
    let more = config.sites.len().saturating_sub(ANNOUNCED_SITES);
    if more > 0 {
        tracing::info!("serving {more} more sites");
    }
    for address in addresses.iter().filter(|address| is_public(address)) {
        let (bound, here) = (address.announced(scheme), local(address, scheme));
        tracing::info!("{bound} is all addresses of this machine; here it is {here}");
    }
    if let Some(address) = addresses.first()
        && config.log_format == LogFormat::Text
        && logging::is_read_on_a_terminal(config.log_level)
    {
        let has_page = config
            .sites
            .first()
            .is_some_and(|site| site.index.iter().any(|name| site.root.join(name).is_file()));
        for line in trial(address, scheme, if has_page { "" } else { "FILE" }) {
            log.push(format!("{line}\n").as_bytes());
        }
    }
}

fn tell_site(site: &SiteConfig, opened: &Site) {
    let root = std::path::absolute(&site.root);
    let dir = EscapedPath(root.as_deref().unwrap_or(&site.root));
    let words = |words: Vec<String>| match words.is_empty() {
        true => None,
        false => Some(Escaped(words.join(", "))),
    };
    let hosts = words(site.tables.hosts.clone());
    let files = opened.rules.as_ref().map(|rules| rules.files());
    let rules = words(rules_of(site, files));
    let [hosts, rules] = [hosts, rules].map(|words| words.map(tracing::field::display));
    tracing::info!(%dir, hosts, rules, "serving");
}

/// The rules that change a site's answers most, as they are called where they are set.
fn rules_of(site: &SiteConfig, files: Option<&RuleFiles>) -> Vec<String> {
    let files = files.into_iter().flat_map(|files| [&files.headers, &files.redirects]);
    let files = site_rules::NAMES.into_iter().zip(files).filter(|(_, text)| text.is_some());
    let mut rules: Vec<String> = files.map(|(name, _)| name.to_owned()).collect();
    for (count, table) in [
        (site.tables.headers.len(), "[[headers]]"),
        (site.tables.redirects.len(), "[[redirects]]"),
        (site.tables.error_pages.len(), "[error-pages]"),
    ] {
        if count > 0 {
            rules.push(format!("{count} of {table}"));
        }
    }
    for (is_set, flag) in [
        (site.spa != Spa::Off, "--spa"),
        (site.list, "--list"),
        (site.cors.is_some(), "--cors"),
        (site.basic_auth.is_some(), "--basic-auth"),
    ] {
        if is_set {
            rules.push(flag.to_owned());
        }
    }
    rules
}

fn is_public(address: &BoundAddress) -> bool {
    matches!(address, BoundAddress::Ip(address) if address.ip().is_unspecified())
}

/// The address as this machine reaches it.
fn local(address: &BoundAddress, scheme: &str) -> String {
    match address {
        BoundAddress::Ip(address) if address.ip().is_unspecified() => {
            format!("{scheme}://localhost:{}", address.port())
        }
        BoundAddress::Ip(address) => format!("{scheme}://{address}"),
        BoundAddress::Unix(_) => format!("{scheme}://localhost"),
    }
}

/// The lines that name a request for `file` to try, and the answers that it gets.
fn trial(address: &BoundAddress, scheme: &str, file: &str) -> [String; 2] {
    let socket = match address {
        BoundAddress::Ip(_) => String::new(),
        BoundAddress::Unix(path) => format!("--unix-socket {} ", EscapedPath(path)),
    };
    let url = local(address, scheme);
    [
        format!("Try: curl -so /dev/null -D - --compressed {socket}{url}/{file}"),
        "The first request for a file that is compressed shows `cache-status: cachecompress; fwd=miss; \
         stored`, the next one `cachecompress; hit`."
            .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trial_reaches_the_address_from_this_machine() {
        for (bound, expected) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("0.0.0.0:80", "http://localhost:80/"),
            ("[::]:80", "http://localhost:80/"),
            ("[::1]:80", "http://[::1]:80/"),
        ] {
            let [line, _] = trial(&BoundAddress::Ip(bound.parse().unwrap()), "http", "");
            assert!(line.ends_with(&format!("--compressed {expected}")), "{line}");
        }
        let [line, _] = trial(&BoundAddress::Unix("/run/site.sock".into()), "http", "FILE");
        assert!(line.ends_with("--unix-socket /run/site.sock http://localhost/FILE"), "{line}");
    }
}
