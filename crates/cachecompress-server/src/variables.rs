//! Variables of the environment that are named like ours and are none.

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;
use crate::config_file::nearest;
use crate::printer::Escaped;

const PREFIX: &str = "CACHECOMPRESS_";

/// Kubernetes sets variables that begin so where a service is called `cachecompress`.
const OF_KUBERNETES: [&str; 2] = ["SERVICE_", "PORT"];

/// Returns a sentence for each variable of the environment that would be a flag's and is none.
pub(crate) fn unknown_variables() -> Vec<String> {
    let given = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    sentences(given)
}

fn sentences(given: impl Iterator<Item = String>) -> Vec<String> {
    let mut known = Vec::new();
    collect(&Cli::command(), &mut known);
    let mut unknown: Vec<String> = given
        .filter_map(|name| name.strip_prefix(PREFIX).map(str::to_owned))
        .filter(|name| !known.contains(name))
        .filter(|name| !OF_KUBERNETES.iter().any(|start| name.starts_with(start)))
        .collect();
    unknown.sort();
    let sentence = |name: &String| {
        let advice = match nearest(name, known.iter().map(String::as_str)) {
            Some(like) => format!("did you mean {PREFIX}{like}?"),
            None => "no flag has that name".to_owned(),
        };
        format!("the variable {PREFIX}{} has no effect: {advice}", Escaped(name))
    };
    unknown.iter().map(sentence).collect()
}

/// Collects the names of all variables, without what they begin with.
fn collect(command: &Command, names: &mut Vec<String>) {
    let variables = command.get_arguments().filter_map(clap::Arg::get_env);
    let variables = variables.filter_map(|name| name.to_str()?.strip_prefix(PREFIX));
    names.extend(variables.map(str::to_owned));
    command.get_subcommands().for_each(|inner| collect(inner, names));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_variable_is_told_with_the_one_that_was_meant() {
        let given = ["LISSEN", "CACHE_DIR", "JOBS", "PORT_80_TCP", "SERVICE_HOST", "XYZZY\n"];
        let given = given.map(|name| format!("{PREFIX}{name}"));
        let told = sentences(given.into_iter().chain(["PATH".to_owned()]));
        assert_eq!(
            told,
            [
                "the variable CACHECOMPRESS_LISSEN has no effect: did you mean \
                 CACHECOMPRESS_LISTEN?",
                "the variable CACHECOMPRESS_XYZZY\\n has no effect: no flag has that name",
            ]
        );
    }
}
