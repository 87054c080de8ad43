//! The tower service: call, locate, plan, select, respond.

mod adoption;
mod answer;
mod builder;
mod call;
mod error_pages;
mod exchange;
mod explain;
mod fallback;
mod foresight;
mod listing;
mod locate;
mod matching;
mod navigation;
mod options;
mod path_settings;
pub(crate) mod plan;
mod redirect;
mod replay;
mod reroute;
mod respond;
mod response_cache;
mod serve_compressed;
mod settings;
mod site;
mod warm;

pub use builder::Builder;
pub use call::ResponseFuture;
pub use explain::{ExplainedCoding, ExplainedFile, Explanation, Route, Stored};
pub use fallback::{Fallback, NoFallback};
pub use listing::{ListingPage, RenderListing};
pub use navigation::is_navigation;
pub use options::RequestOptions;
pub use serve_compressed::{ServeCompressed, Shutdown};
pub use site::Siblings;
pub use warm::{WarmOptions, WarmProgress, WarmSummary, Warmed};
