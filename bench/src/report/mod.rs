//! The page: docs/performance.md and its plots, from what was measured.

mod chart;
mod plots;
mod tables;
mod verdicts;
mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::experiments::EXPERIMENTS;
use crate::places::Places;
use crate::results::Record;
use crate::{Outcome, places};

/// Writes the page and the plots anew from the results that there are.
pub(crate) fn write(places: &Places) -> Outcome<()> {
    let mut records = Vec::new();
    for experiment in &EXPERIMENTS {
        records.extend(Record::load(&places.results, experiment.name)?);
    }
    if records.is_empty() {
        return Err(format!("nothing was measured yet in {}", places.results.display()));
    }
    let dir = places.docs.join("performance");
    places::create_empty(&dir)?;
    let mut text = head(&records);
    for record in &records {
        text += &section(record, &dir)?;
    }
    let page = places.docs.join("performance.md");
    places::write(&page, text.as_bytes())?;
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

/// The machine, and the versions; where experiments are from several runs, all of those.
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

fn section(record: &Record, dir: &Path) -> Outcome<String> {
    let mut text = words::of(&record.experiment).to_owned();
    let _ = writeln!(
        text,
        "\n{}",
        match (record.experiment.as_str(), record.turns) {
            ("cold" | "encoder" | "lengths" | "downloads" | "startup", 1) => "One turn.".into(),
            ("cold" | "encoder" | "lengths" | "downloads" | "startup", turns) => {
                format!("Medians of {turns} turns.")
            }
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
    for plot in plots::of(record) {
        places::write(&dir.join(plot.file), plot.svg.as_bytes())?;
        let _ = writeln!(text, "\n![{}](performance/{})", plot.title, plot.file);
    }
    for table in tables::of(&record.experiment) {
        text += &tables::markdown(record, table);
    }
    Ok(text)
}
