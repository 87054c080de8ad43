//! The rules that a site brings in its own directory, in the formats of Netlify and Cloudflare Pages.

#![allow(dead_code, reason = "the commit that reads the files uses their parsers")]

pub(crate) mod headers_file;

/// A line of a rules file that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// The number of the line, from 1.
    pub(crate) line: usize,
    /// The reason, a clause.
    pub(crate) why: String,
}
