//! The last line, or the document of `--json`.

use bytesize::ByteSize;
use serde::Serialize;
use url::Url;

use super::meter::{self, Meter};
use super::target::Target;
use super::transfer::Whole;
use crate::commands::progress_bar::CommandProgress;
use crate::exit::ExitStatus;

/// The result of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    url: String,
    file: String,
    /// `current`, `created`, `updated`, `stale` or `interrupted`.
    status: &'static str,
    /// The length of the file in bytes; `None` if it is not known.
    bytes: Option<u64>,
    /// The SHA-256 of the file.
    sha256: Option<String>,
    /// The field of the response by which it was verified.
    verified: Option<&'static str>,
    coding: Option<&'static str>,
    /// The bytes of bodies that have come.
    received: u64,
    /// The bytes that did not have to come.
    saved: u64,
    /// The bytes of an earlier run that were used.
    resumed: u64,
    retries: u32,
    seconds: f64,
    /// Whether the document is printed, and no line is.
    #[serde(skip)]
    json: bool,
}

impl Report {
    pub(super) fn new(url: &Url, target: &Target, json: bool) -> Self {
        Self {
            url: url.to_string(),
            file: target.shown().to_string(),
            status: "current",
            bytes: target.present.map(|present| present.len),
            sha256: target.present.map(|present| present.digest.hex()),
            verified: None,
            coding: None,
            received: 0,
            saved: 0,
            resumed: 0,
            retries: 0,
            seconds: 0.0,
            json,
        }
    }

    /// Tells that nothing had to come.
    pub(super) fn current(mut self, progress: CommandProgress, meter: &Meter) {
        self.count(meter);
        self.saved = self.bytes.unwrap_or_default();
        let line = format!("{} is current", self.file);
        self.print(progress, &line);
    }

    /// Tells what a check found.
    pub(super) fn checked(self, progress: CommandProgress) -> ExitStatus {
        let line = format!("{} is current", self.file);
        self.print(progress, &line);
        ExitStatus::Success
    }

    /// Tells that the file has another content, or none.
    pub(super) fn stale(mut self, progress: CommandProgress) -> ExitStatus {
        self.status = "stale";
        let line = match self.bytes {
            Some(_) => format!("{} is not current", self.file),
            None => format!("{} is not there", self.file),
        };
        self.print(progress, &line);
        ExitStatus::Stale
    }

    /// Tells that the file has a new content.
    pub(super) fn replaced(
        mut self,
        progress: CommandProgress,
        meter: &Meter,
        whole: &Whole,
        was_there: bool,
    ) {
        self.count(meter);
        self.status = if was_there { "updated" } else { "created" };
        self.bytes = Some(whole.len);
        self.sha256 = Some(whole.digest.hex());
        (self.verified, self.coding) = (whole.verified, whole.coding);
        self.saved = whole.len.saturating_sub(self.received);
        let coding = self.coding.map_or(String::new(), |coding| format!(" by {coding}"));
        let saved = match meter::saved(whole.len, self.received) {
            0 => String::new(),
            share => format!(", {share} % saved"),
        };
        let verified = match self.verified {
            Some(_) => "verified by its SHA-256",
            None => "not verified, as the server tells no digest",
        };
        let line = format!(
            "{} {}: {}, {} received{coding}{saved}; {verified}",
            self.status,
            self.file,
            ByteSize(whole.len),
            ByteSize(self.received),
        );
        self.print(progress, &line);
    }

    /// Tells that Ctrl-C ended the run, and what the next one need not fetch.
    pub(super) fn interrupted(mut self, progress: CommandProgress, kept: u64) {
        self.status = "interrupted";
        let line = match kept {
            0 => format!("{} stays as it was; interrupted", self.file),
            kept => format!("{} stays as it was; interrupted, {} kept", self.file, ByteSize(kept)),
        };
        self.print(progress, &line);
    }

    fn count(&mut self, meter: &Meter) {
        (self.received, self.resumed, self.retries) =
            (meter.received, meter.resumed, meter.retries);
        self.seconds = (meter.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    }

    fn print(self, progress: CommandProgress, line: &str) {
        match self.json {
            true => {
                let json = serde_json::to_string(&self).unwrap_or_default();
                progress.finish(format_args!("{json}"));
            }
            false => progress.finish(format_args!("{line}")),
        }
    }
}
