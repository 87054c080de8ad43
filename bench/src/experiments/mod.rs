//! The experiments; each fills a record.

mod cold;
mod downloads;
mod fleet;
mod harness;
mod requests;
mod scale;
mod startup;
mod tls;
mod warm;

use anyhow::{Context as _, ensure};

use crate::options::Options;
use crate::places::Places;
use crate::results::Record;
use harness::Harness;

/// A measurement with a section of its own on the page.
struct Experiment {
    name: &'static str,
    run: fn(&Harness<'_>, &mut Record) -> anyhow::Result<()>,
}

/// The experiments, in the order of the page.
const EXPERIMENTS: [Experiment; 19] = [
    Experiment { name: "warm", run: warm::http1 },
    Experiment { name: "drained", run: warm::drained },
    Experiment { name: "h2c", run: warm::h2c },
    Experiment { name: "conditional", run: requests::conditional },
    Experiment { name: "ranges", run: requests::ranges },
    Experiment { name: "identity", run: requests::identity },
    Experiment { name: "cold", run: cold::run },
    Experiment { name: "encoder", run: cold::beside_the_encoder },
    Experiment { name: "lengths", run: cold::lengths },
    Experiment { name: "downloads", run: downloads::run },
    Experiment { name: "files", run: scale::files },
    Experiment { name: "connections", run: scale::connections },
    Experiment { name: "sizes", run: scale::sizes },
    Experiment { name: "startup", run: startup::run },
    Experiment { name: "tls", run: tls::run },
    Experiment { name: "fleet-import", run: fleet::import },
    Experiment { name: "fleet-crowd", run: fleet::crowd },
    Experiment { name: "fleet-rollout", run: fleet::rollout::run },
    Experiment { name: "fleet-simulation", run: fleet::simulation::run },
];

/// Runs the experiments that `options` select, and saves their records. Returns the names of the
/// failed ones, which do not stop the others.
pub(crate) fn run(options: &Options, places: &Places) -> anyhow::Result<Vec<&'static str>> {
    let selected = select(&options.only)?;
    let harness = Harness::new(options, places)?;
    let mut failed = Vec::new();
    for experiment in selected {
        println!("\n=== {}", experiment.name);
        match measure(&harness, experiment) {
            Ok(record) => record.save(&places.results)?,
            Err(error) => {
                println!("FAILED {}: {error:#}", experiment.name);
                failed.push(experiment.name);
            }
        }
    }
    Ok(failed)
}

fn measure(harness: &Harness<'_>, experiment: &Experiment) -> anyhow::Result<Record> {
    let mut record = harness.new_record(experiment.name);
    (experiment.run)(harness, &mut record)?;
    ensure!(!record.measurements.is_empty(), "nothing was measured");
    Ok(record)
}

/// The experiments of these names, in the order of the page; all, if there are no names. `fleet` names all
/// that begin with it.
fn select(names: &[String]) -> anyhow::Result<Vec<&'static Experiment>> {
    let is_meant = |selected: &str, name: &str| {
        name.strip_prefix(selected).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    for name in names {
        let known = || EXPERIMENTS.map(|experiment| experiment.name).join(", ");
        EXPERIMENTS
            .iter()
            .find(|experiment| is_meant(name, experiment.name))
            .with_context(|| format!("there is no experiment `{name}`; there are {}", known()))?;
    }
    let is_selected =
        |name: &str| names.is_empty() || names.iter().any(|selected| is_meant(selected, name));
    Ok(EXPERIMENTS.iter().filter(|experiment| is_selected(experiment.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;

    #[test]
    fn experiments_have_sections() {
        assert_eq!(EXPERIMENTS.map(|experiment| experiment.name)[..], report::experiments()[..]);
    }

    #[test]
    fn select_refuses_unknown_names() {
        assert_eq!(select(&[]).unwrap().len(), EXPERIMENTS.len());
        let names = ["files".to_owned(), "warm".to_owned()];
        let selected = select(&names).unwrap();
        assert_eq!(selected.iter().map(|found| found.name).collect::<Vec<_>>(), ["warm", "files"]);
        assert!(select(&["nothing".to_owned()]).is_err());
        assert_eq!(select(&["fleet".to_owned()]).unwrap().len(), 4);
        assert!(select(&["flee".to_owned()]).is_err());
    }
}
