//! One rule, as it was written and compiled.

use std::fmt::{self, Write as _};

use http::StatusCode;

use super::pattern::Pattern;
use super::target::Target;
use crate::error::Error;
use crate::http::PathSegments;

/// A rule that answers the requests of a path with a redirect, with another file or with an error.
///
/// - `from` is a path. `:name` in place of a segment, or of a part of one, stands for what is there. One
///   `*` stands for the rest, slashes included, and is `:splat` in `to`. `/news/*` has `/news`, too.
/// - `from` is matched against the path without dot segments and escapes. Case counts, a slash at its
///   end does not.
/// - `to` is a path of the site, or a URL of any. The text for a name keeps its encoding.
/// - The request's query goes along unless `to` has one.
/// - The status is 301, 302, 303, 307 or 308 for a redirect, 200 for a rewrite, 404 or 410 for an error
///   with the page `to`. No other rule applies to the `to` of a rewrite, which is found as a request for
///   it would be.
/// - A request from which a `Location` of another host could be made, such as one for `/%2Fhost` where
///   `to` is `/:splat`, does not match.
///
/// ```
/// use cachecompress::{Memory, Redirect, ServeCompressed};
/// use http::{Request, header::LOCATION};
/// use tower::ServiceExt as _;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = ServeCompressed::builder(Memory::new().file("app.html", "The app"))
///     .redirect(Redirect::new("/news/:year/*", "/blog/:year/:splat").status(302))
///     .redirect(Redirect::new("/app/*", "/app.html").status(200))
///     .build()?;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let request = Request::get("/news/2024/spring?page=2").body(())?;
/// let response = service.oneshot(request).await?;
/// assert_eq!(response.status(), 302);
/// assert_eq!(response.headers()[LOCATION], "/blog/2024/spring?page=2");
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Redirect {
    from: String,
    to: String,
    status: u16,
    force: bool,
    exact_slash: bool,
    query: Vec<(String, String)>,
    place: Option<String>,
}

impl Redirect {
    /// Creates the rule that redirects `from` to `to` with 301.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
            status: 301,
            force: false,
            exact_slash: false,
            query: Vec::new(),
            place: None,
        }
    }

    /// Sets the status. Default: 301.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Sets whether the rule goes before files. Default: `false`, only a path that leads nowhere is
    /// redirected.
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Sets whether a slash at the end of the path counts. Default: `false`.
    ///
    /// With it `/news/*` has `/news/`, and not `/news`.
    pub fn exact_slash(mut self, exact_slash: bool) -> Self {
        self.exact_slash = exact_slash;
        self
    }

    /// Adds a parameter that the query must have.
    ///
    /// - A value `:name` stands for any, also in `to`. Other values must be equal.
    /// - Of several parameters with one name, the last counts. Other parameters are ignored.
    ///
    /// ```
    /// use cachecompress::Redirect;
    ///
    /// let rule = Redirect::new("/store", "/products/:id").query("id", ":id");
    /// assert!(rule.check().is_ok());
    /// ```
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Sets the place of the rule for messages, such as `_redirects:7`. Default: none.
    pub fn place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Checks the rule by itself, as [`Builder::build`](crate::Builder::build) does with all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for:
    ///
    /// - a `from` that is no path, or has two stars, or a name twice;
    /// - a `to` that is neither a path nor a URL, has a placeholder in its host, or names what `from`
    ///   lacks;
    /// - a rewrite to a URL, or another status;
    /// - a redirect whose `to` matches its own `from`.
    pub fn check(&self) -> Result<(), Error> {
        Rule::compile(self).map(drop)
    }
}

/// Shows the rule as messages name it.
impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "the rule from {:?} to {:?}", self.from, self.to)
    }
}

/// The answer of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RuleAnswer {
    Redirect {
        status: StatusCode,
        location: String,
    },
    /// The path of the file that answers.
    Rewrite(String),
    /// The path of the page for an error.
    Error {
        status: StatusCode,
        page: String,
    },
}

/// A rule that is right by itself.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) pattern: Pattern,
    target: Target,
    status: StatusCode,
    pub(super) force: bool,
    /// The rule in messages.
    pub(super) name: String,
}

/// A path of the site with its query.
pub(super) struct LocalTarget {
    pub(super) path: PathSegments,
    pub(super) query: Option<String>,
}

impl Rule {
    pub(super) fn compile(rule: &Redirect) -> Result<Self, Error> {
        let mut name = rule.to_string();
        if rule.status != 301 {
            let _ = write!(name, " ({})", rule.status);
        }
        let wrong = |reason: String| Error::config(format!("{rule}: {reason}"));
        let status = match rule.status {
            200 | 301 | 302 | 303 | 307 | 308 | 404 | 410 => StatusCode::from_u16(rule.status).ok(),
            _ => None,
        };
        let status = status.ok_or_else(|| {
            let allowed = "200, 301, 302, 303, 307, 308, 404 and 410";
            wrong(format!("the status {} is none of {allowed}", rule.status))
        })?;
        let pattern = Pattern::parse(&rule.from, &rule.query, rule.exact_slash).map_err(wrong)?;
        let target = Target::parse(&rule.to, pattern.names()).map_err(wrong)?;
        if !status.is_redirection() && !target.is_local() {
            let reason = format!("only a redirect leads to another host, and {status} is none");
            return Err(wrong(reason));
        }
        let compiled = Self { pattern, target, status, force: rule.force, name };
        compiled.check_target()?;
        Ok(compiled)
    }

    /// Checks that a request can be answered, and that a redirect does not match its own target.
    fn check_target(&self) -> Result<(), Error> {
        let sample = LocalTarget::parse(&self.pattern.sample());
        let answer = sample.and_then(|sample| self.answer_target(&sample));
        let location = match answer {
            Some(RuleAnswer::Redirect { location, .. }) => location,
            Some(_) => return Ok(()),
            None => {
                let message = format!("{}: `to` could be taken for another host", self.name);
                return Err(Error::config(message));
            }
        };
        match LocalTarget::parse(&location).and_then(|next| self.answer_target(&next)) {
            Some(_) => {
                let message = format!("{} leads to itself: `from` matches `to`", self.name);
                Err(Error::config(message))
            }
            None => Ok(()),
        }
    }

    /// Returns the target of a redirect of one path; `None` for another rule, and for a target on another
    /// site.
    pub(super) fn literal_target(&self) -> Option<LocalTarget> {
        self.pattern.literal()?;
        match self.answer_target(&LocalTarget::parse(&self.pattern.sample())?)? {
            RuleAnswer::Redirect { location, .. } => LocalTarget::parse(&location),
            RuleAnswer::Rewrite(_) | RuleAnswer::Error { .. } => None,
        }
    }

    fn answer_target(&self, target: &LocalTarget) -> Option<RuleAnswer> {
        self.answer(&target.path, target.query.as_deref())
    }

    /// Answers a request; `None` if it does not match.
    pub(super) fn answer(&self, path: &PathSegments, query: Option<&str>) -> Option<RuleAnswer> {
        let captures = self.pattern.captures(path, query)?;
        Some(match self.status {
            status if status.is_redirection() => {
                RuleAnswer::Redirect { status, location: self.target.location(&captures, query)? }
            }
            StatusCode::OK => RuleAnswer::Rewrite(self.target.path(&captures)?),
            status => RuleAnswer::Error { status, page: self.target.path(&captures)? },
        })
    }
}

impl LocalTarget {
    /// Reads a path with a query and a fragment; `None` if it leads to another site.
    fn parse(target: &str) -> Option<Self> {
        let target = target.split('#').next().filter(|target| target.starts_with('/'))?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Some(Self { path: PathSegments::parse(path).ok()?, query })
    }
}
