//! The page: docs/performance.md and its plots, from the records.

mod chart;
mod plots;
mod tables;
mod verdicts;
mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::ensure;

use crate::files;
use crate::places::Places;
use crate::results::Record;

/// The names of the experiments, in the order of the page.
#[cfg(test)]
pub(crate) fn experiments() -> Vec<&'static str> {
    words::SECTIONS.iter().map(|(experiment, _)| *experiment).collect()
}

/// Writes the page and the plots from the records.
pub(crate) fn write(places: &Places) -> anyhow::Result<()> {
    let mut records = Vec::new();
    for (experiment, _) in words::SECTIONS {
        records.extend(Record::load(&places.results, experiment)?);
    }
    ensure!(!records.is_empty(), "there are no records in {}", places.results.display());
    let dir = places.docs.join("performance");
    files::create_empty(&dir)?;
    let mut text = head(&records);
    for record in &records {
        text += &section(record, &dir)?;
    }
    let page = places.docs.join("performance.md");
    files::write(&page, text)?;
    println!("\nwritten: {}", page.display());
    Ok(())
}

fn head(records: &[Record]) -> String {
    let mut text = String::from(words::INTRODUCTION);
    text += &machine(records);
    text += words::METHOD;
    text += "\n## Targets\n\n";
    text += words::TARGETS;
    text += &verdicts::targets_met(records);
    text += words::BEHIND_THE_TARGETS;
    text += "\n## Where cachecompress loses\n\n";
    text += &verdicts::losses(records);
    text
}

/// The machines of all records, and the versions of the servers.
fn machine(records: &[Record]) -> String {
    let mut text = String::from("\n## Machine and versions\n\n");
    let mut machines: Vec<(&crate::machine::Machine, Vec<&str>)> = Vec::new();
    for record in records {
        match machines.iter_mut().find(|(machine, _)| **machine == record.machine) {
            Some((_, experiments)) => experiments.push(&record.experiment),
            None => machines.push((&record.machine, vec![&record.experiment])),
        }
    }
    for (machine, experiments) in &machines {
        let of = if machines.len() == 1 {
            String::new()
        } else {
            format!(" ({})", experiments.join(", "))
        };
        let _ = writeln!(
            text,
            "- {}: {}, {} cores, {}; {}, {}; {}; revision {}{of}",
            machine.day,
            machine.processor,
            machine.cores,
            machine.memory,
            machine.system,
            machine.kernel,
            machine.compiler,
            machine.revision
        );
    }
    let versions: BTreeMap<&String, &String> =
        records.iter().flat_map(|record| &record.versions).collect();
    for (name, version) in versions {
        let _ = writeln!(text, "- {name}: {version}");
    }
    text
}

/// Whether the turns of an experiment last as long as their work.
fn has_no_seconds(experiment: &str) -> bool {
    ["cold", "encoder", "lengths", "downloads", "startup"].contains(&experiment)
        || experiment.starts_with("fleet")
}

fn section(record: &Record, dir: &Path) -> anyhow::Result<String> {
    let mut text = words::section(&record.experiment).to_owned();
    let _ = writeln!(
        text,
        "\n{}",
        match (record.experiment.as_str(), record.turns) {
            (name, 1) if has_no_seconds(name) => "One turn.".into(),
            (name, turns) if has_no_seconds(name) => format!("Medians of {turns} turns."),
            (_, 1) => format!("One turn of {} s for each server and case.", record.seconds),
            (_, turns) => format!(
                "Medians of {turns} turns of {} s for each server and case.",
                record.seconds
            ),
        }
    );
    for note in &record.notes {
        let _ = writeln!(text, "\n> {note}");
    }
    for plot in plots::plots(record)? {
        files::write(&dir.join(plot.file), &plot.svg)?;
        let _ = writeln!(text, "\n![{}](performance/{})", plot.title, plot.file);
    }
    for table in tables::tables(&record.experiment) {
        text += &tables::markdown(record, table);
    }
    Ok(text)
}
