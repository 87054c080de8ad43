//! A request with the resource that answers it, and the fields that follow from both.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::options::RequestOptions;
use super::plan::Head;
use super::site::Site;
use crate::catalog::{Resource, Sibling};
use crate::codec::Codec;
use crate::http::{
    CodedFile, Compressibility, ContentCoding, DictionaryPattern, RepresentationTags,
};
use crate::rules::headers::{OWN, RulePaths};
use crate::sendfile::Connection;

/// The request fields that distinguish a navigation.
pub(super) const NAVIGATION: &str = "Accept, Sec-Fetch-Mode";

/// A request and the resource that answers it.
pub(super) struct Exchange<'a> {
    pub(super) head: Head<'a>,
    /// The request's path, if it counts for rules.
    pub(super) requested: Option<&'a str>,
    pub(super) options: Option<&'a RequestOptions>,
    pub(super) connection: Option<Connection>,
    /// Whether the response cache keeps a stored body for the next request of this kind.
    pub(super) is_remembered: bool,
    pub(super) resource: Arc<Resource>,
    /// The time at which the resource was found. A date that was not due then is not told, however
    /// long the response takes.
    pub(super) found: SystemTime,
    /// Whether the response depends on the request being a navigation.
    pub(super) spa: bool,
    /// The type and the tags of a coded file that goes out as the file of its own name.
    pub(super) stored: Option<Stored>,
    /// The pattern of the paths of the resource's versions, if deltas may matter to it.
    pub(super) pattern: Option<DictionaryPattern>,
    /// Whether the dictionary that the request offers may be used, as far as the request tells.
    pub(super) may_use_dictionary: bool,
    /// The status of the error whose page the resource is.
    pub(super) page_of: Option<StatusCode>,
    /// The codecs that copy what somebody else has encoded.
    pub(super) adopted: Vec<Codec>,
    /// The codings in which a file was looked for beside that of the resource.
    pub(super) asked_beside: Vec<ContentCoding>,
    /// The results of that.
    pub(super) siblings: Vec<Sibling>,
}

/// A coded file without the meaning of its name.
pub(super) struct Stored {
    pub(super) media_type: HeaderValue,
    pub(super) tags: Option<RepresentationTags>,
}

/// The page of an error that a rule names, in the extensions of the error until it is delivered.
#[derive(Clone)]
pub(super) struct OwnPage(pub(super) Arc<Resource>);

impl<'a> Exchange<'a> {
    pub(super) fn new(head: Head<'a>, resource: Arc<Resource>) -> Self {
        Self {
            head,
            requested: None,
            options: None,
            connection: None,
            is_remembered: false,
            resource,
            found: SystemTime::now(),
            spa: false,
            stored: None,
            pattern: None,
            may_use_dictionary: false,
            page_of: None,
            adopted: Vec::new(),
            asked_beside: Vec::new(),
            siblings: Vec::new(),
        }
    }

    /// Takes the coded file of the resource, in place of those of an earlier one and of what lay beside
    /// that.
    pub(super) fn adopt_own(&mut self) {
        let resource = &self.resource;
        let is_usable = |coded: &&Arc<CodedFile>| {
            resource.digest().is_some() && coded.is_shorter_than(resource.len)
        };
        let coded = resource.coded.as_ref().filter(is_usable);
        self.adopted.clear();
        self.adopted.extend(coded.cloned().and_then(Codec::adopting));
        self.asked_beside.clear();
        self.siblings.clear();
    }

    /// The tags of the resource's representations.
    pub(super) fn tags(&self) -> Option<&RepresentationTags> {
        match &self.stored {
            Some(stored) => stored.tags.as_ref(),
            None => self.resource.tags.as_ref(),
        }
    }

    pub(super) fn media_type(&self) -> &HeaderValue {
        self.stored.as_ref().map_or(&self.resource.media_type, |stored| &stored.media_type)
    }

    /// The coding of a resource that comes in no other one.
    pub(super) fn only_coding(&self) -> Option<&ContentCoding> {
        let in_coding = self.resource.in_coding.as_ref().filter(|_| self.stored.is_none());
        in_coding.map(|in_coding| &in_coding.coding)
    }

    /// Whether the resource is of a type that is ever encoded.
    pub(super) fn is_negotiable(&self) -> bool {
        self.resource.compressibility != Compressibility::Never
    }

    /// The paths that rules are matched against. A brought file may have none.
    pub(super) fn paths(&self) -> RulePaths<'_> {
        let file = Some(&self.resource.path).filter(|path| !path.is_root());
        RulePaths { requested: self.requested, file }
    }
}

/// Collects the default fields of the resource's path, and adds Vary.
pub(super) fn default_fields(site: &Site, exchange: &Exchange<'_>) -> HeaderMap {
    let resource = &exchange.resource;
    let mut fields = site.rules.headers.defaults(&resource.path, resource.is_named_by_content());
    add_vary(exchange, &mut fields);
    fields
}

pub(super) fn add_vary(exchange: &Exchange<'_>, fields: &mut HeaderMap) {
    if exchange.is_negotiable() || exchange.resource.in_coding.is_some() {
        fields.append(VARY, vary(exchange));
    } else if exchange.spa {
        fields.append(VARY, HeaderValue::from_static(NAVIGATION));
    }
}

/// Sets the fields of the request's own options that `may_set` admits.
pub(super) fn overrides(
    exchange: &Exchange<'_>,
    fields: &mut HeaderMap,
    may_set: impl Fn(&HeaderName) -> bool,
) {
    let Some(options) = exchange.options else { return };
    let own = options.headers.iter().filter(|(name, _)| !OWN.contains(name) && may_set(name));
    for (name, value) in own {
        if name == VARY {
            fields.append(name, value.clone());
        } else {
            fields.insert(name, value.clone());
        }
    }
}

/// The request fields on which the representations of a negotiable resource depend. Firefox wants those of
/// a dictionary in one field.
pub(super) fn vary(exchange: &Exchange<'_>) -> HeaderValue {
    HeaderValue::from_static(match (exchange.pattern.is_some(), exchange.spa) {
        (false, false) => "Accept-Encoding",
        (false, true) => "Accept-Encoding, Accept, Sec-Fetch-Mode",
        (true, false) => "Accept-Encoding, Available-Dictionary",
        (true, true) => "Accept-Encoding, Available-Dictionary, Accept, Sec-Fetch-Mode",
    })
}

/// Returns the boundary of a response with several ranges, and the media type of its parts.
///
/// The boundary must not occur in the parts (RFC 2046 §5.1.1), which are not searched for it. It is
/// random and of this response alone, so that nobody can write a file that has it.
pub(super) fn framing(site: &Site, exchange: &Exchange<'_>) -> (String, HeaderValue) {
    let random = || RandomState::new().build_hasher().finish();
    let own = exchange.options.and_then(|options| options.headers.get(CONTENT_TYPE)).cloned();
    let media_type = own
        .or_else(|| site.rules.headers.content_type(exchange.paths()))
        .unwrap_or_else(|| exchange.media_type().clone());
    (format!("{:016x}{:016x}", random(), random()), media_type)
}
