//! tower-http's `ServeDir` and `ServeFile` beside ours: one site, the same requests to both, and
//! every difference between the answers.
//!
//! - `pairs.rs` builds the two services of each builder method of tower-http.
//! - `requests.rs` lists the requests, `reasons.rs` the reasons for which answers may differ.
//! - A line has the request, both statuses (one if they are the same), and the reasons. Beneath it
//!   are the values that differ, but for those that differ everywhere.
//! - `examples/tests/beside_tower_http.txt` is the output that a test expects.
//! - The end is an error if a difference has no reason.
//!
//! ```sh
//! cargo run -p cachecompress-examples --bin beside_tower_http
//! ```

mod ask;
mod compare;
mod pairs;
mod reasons;
mod requests;
mod site;
mod store;

use std::process::ExitCode;

use ask::{Answer, Ask};
use cachecompress_examples::StartError;
use reasons::Case;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, StartError> {
    let site = site::Site::create().await?;
    std::env::set_current_dir(site.root())?;
    let mut totals = Totals::default();
    for pair in pairs::all()? {
        println!("## {}\n", pair.name);
        for ask in pair.asks.iter().copied() {
            let theirs = pair.theirs.ask(ask, pair.earlier.as_ref().map(|earlier| &earlier.0));
            let ours = pair.ours.ask(ask, pair.earlier.as_ref().map(|earlier| &earlier.1));
            let answers = (theirs.await?, ours.await?);
            totals.add(report(pair.mount, ask, &answers.0, &answers.1), &answers);
        }
        println!();
    }
    let Totals { requests, statuses, bodies, unexplained } = totals;
    println!(
        "{requests} requests. {statuses} got the same status, {bodies} of them the same body."
    );
    println!("{unexplained} differences without a reason.");
    Ok(if unexplained == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Totals {
    requests: usize,
    /// Answers with the same status.
    statuses: usize,
    /// Answers with the same status and the same decoded body.
    bodies: usize,
    /// Differences without a reason.
    unexplained: usize,
}

impl Totals {
    fn add(&mut self, unexplained: usize, (theirs, ours): &(Answer, Answer)) {
        self.requests += 1;
        let same_status = theirs.status == ours.status;
        self.statuses += usize::from(same_status);
        self.bodies += usize::from(same_status && theirs.body == ours.body);
        self.unexplained += unexplained;
    }
}

/// Prints a request and its differences. Returns the number of those without a reason.
fn report(mount: &str, ask: Ask, theirs: &Answer, ours: &Answer) -> usize {
    let (mut names, mut lines, mut unexplained) = (Vec::new(), Vec::new(), 0);
    for difference in compare::differences(theirs, ours) {
        let case = Case { ask, theirs, ours, mount, difference: &difference };
        let reason = reasons::reason(&case);
        let name = reason.map_or("UNEXPLAINED", |reason| reason.name);
        unexplained += usize::from(reason.is_none());
        names.push(name);
        if difference.of != "status" && !reason.is_some_and(|reason| reason.everywhere) {
            lines.push(format!(
                "    {}: {} | {}",
                difference.of, difference.theirs, difference.ours
            ));
        }
    }
    names.sort_unstable();
    names.dedup();
    let statuses = match theirs.status == ours.status {
        true => ours.status.as_str().to_owned(),
        false => format!("{} | {}", theirs.status.as_str(), ours.status.as_str()),
    };
    let names = if names.is_empty() { "the same".to_owned() } else { names.join(", ") };
    println!("{}\n  {statuses}: {names}", ask.0);
    for line in lines {
        println!("{line}");
    }
    unexplained
}
