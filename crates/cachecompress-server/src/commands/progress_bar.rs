//! The progress bar of commands other than `serve`, with lines above it, and their end by Ctrl-C.

use std::fmt;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::printer::{Escaped, Printer};
use crate::shutdown::Signals;

/// The progress of a command.
pub(super) struct CommandProgress {
    printer: Printer,
    bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
}

impl CommandProgress {
    /// Shows the bar, if stderr is a terminal, and catches SIGINT and SIGTERM. The first of them
    /// asks the command to end, a second one ends the process.
    pub(super) fn start(printer: Printer, verb: &'static str) -> Self {
        // The bar hides itself where stderr is no terminal, or one that cannot move its cursor.
        let bar = ProgressBar::new(256);
        let template = "{prefix} {wide_bar} {percent}% {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(verb);
        let interrupted = Arc::new(AtomicBool::new(false));
        interrupt_on_signal(Arc::clone(&interrupted));
        Self { printer, bar, interrupted }
    }

    /// Prints a line to stdout, above the bar.
    pub(super) fn line(&self, line: fmt::Arguments<'_>) {
        self.bar.suspend(|| self.printer.line(line));
    }

    /// Prints a line to stderr, above the bar.
    pub(super) fn note(&self, line: fmt::Arguments<'_>) {
        // A closed stderr is no reason to stop the work.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{}", Escaped(line))));
    }

    /// Moves the bar.
    pub(super) fn update(&self, done: u64, of: u64, message: fmt::Arguments<'_>) {
        self.bar.set_length(of);
        self.bar.set_position(done);
        self.bar.set_message(message.to_string());
    }

    /// Moves the bar to `done` of so many files, with the number of their entries.
    pub(super) fn update_entries(&self, done: usize, of: usize, entries: usize) {
        self.update(done as u64, of as u64, format_args!("{entries} entries"));
    }

    /// Whether the bar is seen.
    pub(super) fn is_seen(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Whether the command goes on.
    pub(super) fn flow(&self) -> ControlFlow<()> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Removes the bar.
    pub(super) fn clear(self) {
        self.bar.finish_and_clear();
    }

    /// Removes the bar and prints `summary` as the last line.
    pub(super) fn finish(self, summary: fmt::Arguments<'_>) {
        self.bar.finish_and_clear();
        self.printer.line(summary);
    }
}

/// Starts the thread that waits for signals, and returns once they are caught. If the thread or the
/// signals cannot be had, the command goes on and a signal ends the process at once.
fn interrupt_on_signal(interrupted: Arc<AtomicBool>) {
    let (installed, wait) = std::sync::mpsc::channel::<()>();
    let watch = move || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut signals = Signals::install()?;
            drop(installed);
            signals.next().await;
            interrupted.store(true, Ordering::Relaxed);
            std::process::exit(signals.next().await.exit_code);
        })
    };
    if std::thread::Builder::new().name("signals".to_owned()).spawn(watch).is_ok() {
        // The thread drops its end of the channel once it catches them, or has failed to.
        let _ = wait.recv();
    }
}
