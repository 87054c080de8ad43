//! The text format that Prometheus had before OpenMetrics.

use std::collections::HashSet;

/// Turns OpenMetrics into the text format 0.0.4.
///
/// There the metadata of a counter has the name of its samples, with `_total`. Units and the end are
/// not told.
pub(super) fn plain_text(open_metrics: &str) -> String {
    let counter =
        |line: &'_ str| Some(line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?.to_owned());
    let counters: HashSet<_> = open_metrics.lines().filter_map(counter).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let metadata =
            |keyword| line.strip_prefix(keyword).and_then(|rest: &str| rest.split_once(' '));
        let found = ["# HELP ", "# TYPE "]
            .into_iter()
            .find_map(|keyword| Some((keyword, metadata(keyword)?)));
        match found {
            Some((keyword, (name, rest))) if counters.contains(name) => {
                text.extend([keyword, name, "_total ", rest, "\n"]);
            }
            None if line.starts_with('#') => {}
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_a_counter_has_the_name_of_its_samples() {
        let open_metrics = "# HELP a Of a.\n# TYPE a counter\na_total 1\n# HELP b_bytes B.\n\
            # TYPE b_bytes gauge\n# UNIT b_bytes bytes\nb_bytes 2\n# EOF\n";
        let text = "# HELP a_total Of a.\n# TYPE a_total counter\na_total 1\n# HELP b_bytes B.\n\
            # TYPE b_bytes gauge\nb_bytes 2\n";
        assert_eq!(plain_text(open_metrics), text);
    }
}
