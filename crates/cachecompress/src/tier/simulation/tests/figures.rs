//! The figures of runs, as lines of JSON in the file that `CACHECOMPRESS_SIMULATION` names.
#![allow(clippy::disallowed_types, reason = "the figures lie in a file of the bench")]

use std::fs::OpenOptions;
use std::io::Write as _;

use crate::tier::simulation::fleet::Outcome;

/// Notes a run of a fleet.
pub(super) fn note_run(scenario: &str, replicas: usize, outcome: &Outcome) {
    let Outcome { network, took, longest_wait, productions, owners_at_once } = outcome;
    let seconds = took.as_secs_f64();
    let calls = network.calls();
    let figures = [
        ("replicas", replicas as f64),
        ("names", productions.len() as f64),
        ("productions", outcome.all_productions() as f64),
        ("most_productions", outcome.most_productions() as f64),
        ("owners_at_once", *owners_at_once as f64),
        ("calls", calls as f64),
        ("calls_per_second", calls as f64 / seconds),
        ("peak_calls_per_second", network.calls_of_busiest_second() as f64),
        ("longest_wait_seconds", longest_wait.as_secs_f64()),
        ("seconds", seconds),
    ];
    let rounded = |figure: f64| (figure * 1000.0).round() / 1000.0;
    let figures: String =
        figures.iter().map(|(name, figure)| format!(",\"{name}\":{}", rounded(*figure))).collect();
    write(&format!("{{\"scenario\":\"{scenario}\"{figures}}}\n"));
}

/// Notes the calls of each second.
pub(super) fn note_seconds(scenario: &str, replicas: usize, calls: &[u64]) {
    write(&format!(
        "{{\"scenario\":\"{scenario}\",\"replicas\":{replicas},\"calls_of_seconds\":{calls:?}}}\n"
    ));
}

fn write(line: &str) {
    let Some(path) = std::env::var_os("CACHECOMPRESS_SIMULATION") else { return };
    let opened = OpenOptions::new().create(true).append(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
    written.expect("CACHECOMPRESS_SIMULATION names a file that can be written");
}
