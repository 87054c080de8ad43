//! The figures of a download, and their display while it runs.

use std::time::Instant;

use bytesize::ByteSize;

use super::transfer::Transfer;
use crate::commands::progress_bar::CommandProgress;
use crate::limits::{PROGRESS_LINES, PROGRESS_TICK};

/// The figures of a download.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) began: Instant,
    /// The bytes of bodies that have come in this run.
    pub(super) received: u64,
    /// The bytes of an earlier run that were used.
    pub(super) resumed: u64,
    pub(super) retries: u32,
    shown: Instant,
    told: Instant,
}

impl Meter {
    pub(super) fn new() -> Self {
        let began = Instant::now();
        Self { began, received: 0, resumed: 0, retries: 0, shown: began, told: began }
    }

    /// Moves the bar, or prints a line from time to time where there is none. `coded` bytes of the representation are
    /// there.
    pub(super) fn show(&mut self, progress: &CommandProgress, transfer: &Transfer<'_>, coded: u64) {
        if progress.is_seen() && self.shown.elapsed() >= PROGRESS_TICK {
            self.shown = Instant::now();
            let text = self.text(transfer);
            // A response without its length has no end that the bar could show.
            let of = transfer.whole.unwrap_or(u64::MAX);
            progress.update(coded, of, format_args!("{text}"));
        } else if !progress.is_seen() && self.told.elapsed() >= PROGRESS_LINES {
            self.told = Instant::now();
            progress.note(format_args!("{}", self.text(transfer)));
        }
    }

    fn text(&self, transfer: &Transfer<'_>) -> String {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        let (received, decoded) = (self.received, transfer.decoded());
        let rate = ByteSize((received as f64 / seconds) as u64);
        let saved = match saved(decoded, received) {
            0 => String::new(),
            share => format!(", {share} % saved"),
        };
        format!("{} received, {rate}/s{saved}", ByteSize(received))
    }
}

/// The share of `len` bytes that did not have to come, in percent.
pub(super) fn saved(len: u64, received: u64) -> u64 {
    len.saturating_sub(received).saturating_mul(100).checked_div(len).unwrap_or(0)
}
