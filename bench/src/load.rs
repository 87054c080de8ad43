//! The load: wrk over HTTP/1.1 and h2load over either version, and what they say they have done.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Outcome, places};

/// What a load has done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Answers that came whole.
    pub(crate) requests: f64,
    /// Bytes that came, also of answers that were under way at the end.
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
    /// Answers that broke off, did not come, or were refusals.
    pub(crate) errors: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// How long a load lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent {
    Seconds(u32),
    /// Only h2load can.
    Requests(u32),
}

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Version {
    Http1,
    /// HTTP/2 over plain TCP, with prior knowledge, and so many requests at once on a connection.
    H2c {
        streams: u32,
    },
}

/// What is asked for, and by how many.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) fields: Vec<(&'a str, String)>,
    pub(crate) connections: u32,
}

/// What a load of so many requests may take, in seconds.
const LONGEST: u32 = 900;
/// What a load may take longer than it should, in seconds.
const GRACE: u32 = 20;
/// The exit code of `timeout`.
const TIMED_OUT: i32 = 124;

/// Has wrk say exactly what it knows.
const DONE: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    "RESULT requests=%d bytes=%d micros=%d errors=%d p50=%d p99=%d\n",
    summary.requests, summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// Puts `requests`, made once, in random order.
const RANDOM: &str = r"
local requests = {}
init = function(args)
  math.randomseed(4)
  for index = 0, FILES - 1 do
    local path = string.format(PATTERN, math.floor(index / 1000), index)
    requests[index + 1] = wrk.format('GET', path)
  end
end
request = function() return requests[math.random(FILES)] end
";

/// Loads a server with wrk for so many seconds.
pub(crate) fn wrk(request: &Request<'_>, seconds: u32, dir: &Path) -> Outcome<Tally> {
    run_wrk(request, seconds, dir, DONE)
}

/// Like [`wrk`], but asks for any of `files` files, whose paths `pattern` makes of two numbers.
pub(crate) fn wrk_at_random(
    request: &Request<'_>,
    seconds: u32,
    dir: &Path,
    files: u32,
    pattern: &str,
) -> Outcome<Tally> {
    let random = RANDOM.replace("FILES", &files.to_string());
    let random = random.replace("PATTERN", &format!("'{pattern}'"));
    run_wrk(request, seconds, dir, &(random + DONE))
}

fn run_wrk(request: &Request<'_>, seconds: u32, dir: &Path, script: &str) -> Outcome<Tally> {
    let file = dir.join("wrk.lua");
    places::write(&file, script.as_bytes())?;
    let mut command = within(seconds, "wrk");
    command.args(["-t1", "--latency", "--timeout", "60s", "-s"]).arg(file);
    command.args([format!("-c{}", request.connections), format!("-d{seconds}s")]);
    for (name, value) in &request.fields {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let said = said_by(command.arg(format!("http://127.0.0.1:{}{}", request.port, request.path)))?;
    parse_wrk(&said).ok_or_else(|| format!("wrk said something else:\n{said}"))
}

/// Loads a server with h2load.
pub(crate) fn h2load(
    request: &Request<'_>,
    version: Version,
    extent: Extent,
    dir: &Path,
) -> Outcome<Tally> {
    let log = dir.join("h2load.log");
    let seconds = match extent {
        Extent::Seconds(seconds) => seconds,
        Extent::Requests(_) => LONGEST,
    };
    let mut command = within(seconds, "h2load");
    command.arg(format!("-c{}", request.connections));
    match version {
        Version::Http1 => command.arg("--h1"),
        Version::H2c { streams } => command.arg(format!("-m{streams}")),
    };
    match extent {
        Extent::Seconds(seconds) => command.arg(format!("-D{seconds}")),
        Extent::Requests(requests) => command.arg(format!("-n{requests}")),
    };
    for (name, value) in &request.fields {
        command.args(["-H", &format!("{}: {value}", name.to_lowercase())]);
    }
    // h2load appends.
    let _ = fs::remove_file(&log);
    command.arg(format!("--log-file={}", log.display()));
    let said = said_by(command.arg(format!("http://127.0.0.1:{}{}", request.port, request.path)))?;
    let mut tally =
        parse_h2load(&said).ok_or_else(|| format!("h2load said something else:\n{said}"))?;
    let times = fs::read_to_string(&log).unwrap_or_default();
    (tally.p50_ms, tally.p99_ms) = percentiles(&times);
    Ok(tally)
}

/// `program`, ended by force when it goes on long after its time. h2load does in this version, if a
/// connection is not yet made when the time is over: that one it forgets to stop.
fn within(seconds: u32, program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", &(seconds + GRACE).to_string(), program]);
    command
}

fn said_by(command: &mut Command) -> Outcome<String> {
    let program = command.get_args().nth(2).unwrap_or_default().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.code() == Some(TIMED_OUT) {
        return Err(format!("{program} did not come to its end"));
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{program}: {}\n{said}{complaint}", output.status))
}

fn parse_wrk(said: &str) -> Option<Tally> {
    let line = said.lines().find_map(|line| line.strip_prefix("RESULT "))?;
    let values: BTreeMap<&str, f64> = line
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect();
    let value = |name| values.get(name).copied();
    Some(Tally {
        requests: value("requests")?,
        bytes: value("bytes")?,
        seconds: value("micros")? / 1e6,
        errors: value("errors")?,
        p50_ms: value("p50")? / 1e3,
        p99_ms: value("p99")? / 1e3,
    })
}

fn parse_h2load(said: &str) -> Option<Tally> {
    let line = |start| said.lines().find_map(|line| line.strip_prefix(start));
    let counted = |line: &str, what| {
        let words = line.split(", ").find_map(|part| part.strip_suffix(what))?;
        words.trim().parse::<f64>().ok()
    };
    let seconds = line("finished in ")?.split(',').next()?;
    let requests = line("requests: ")?;
    let codes = line("status codes: ")?;
    // traffic: 1.38MB (1445014) total, 12.1KB (12345) headers (…), 1.3MB (1400000) data
    let data = line("traffic: ")?.split(", ").find_map(|part| part.strip_suffix(" data"))?;
    let refused = counted(codes, " 4xx")? + counted(codes, " 5xx")?;
    Some(Tally {
        requests: counted(requests, " succeeded")?,
        bytes: data.split(['(', ')']).nth(1)?.parse().ok()?,
        seconds: seconds_of(seconds)?,
        errors: counted(requests, " failed")? + counted(requests, " errored")? + refused,
        ..Tally::default()
    })
}

/// A time as h2load prints it: `2.01s`, `850.20ms`, `12us`.
fn seconds_of(word: &str) -> Option<f64> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((word.trim().strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

/// The median and the 99th percentile of h2load's log, in milliseconds: lines of start, status and
/// microseconds.
fn percentiles(log: &str) -> (f64, f64) {
    let micros = log.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<f64>().ok());
    let mut micros: Vec<f64> = micros.collect();
    micros.sort_by(f64::total_cmp);
    (percentile(&micros, 0.5), percentile(&micros, 0.99))
}

/// What `share` of the sorted `micros` are faster than, in milliseconds.
pub(crate) fn percentile(micros: &[f64], share: f64) -> f64 {
    let place = (micros.len() as f64 * share) as usize;
    micros.get(place.min(micros.len().saturating_sub(1))).copied().unwrap_or_default() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_wrk() {
        let said = "Running 2s test\n  Latency 1ms\nRequests/sec: 5.0\n\
            RESULT requests=5400 bytes=1000000000 micros=2010000 errors=3 p50=1250 p99=9000\n";
        let expected = Tally {
            requests: 5400.0,
            bytes: 1e9,
            seconds: 2.01,
            errors: 3.0,
            p50_ms: 1.25,
            p99_ms: 9.0,
        };
        assert_eq!(parse_wrk(said), Some(expected));
        assert_eq!(parse_wrk("unable to connect to 127.0.0.1:1"), None);
        assert_eq!(parse_wrk("RESULT requests=1 bytes=2\n"), None);
    }

    #[test]
    fn reads_h2load() {
        let said = "\
finished in 850.50ms, 1234.50 req/s, 1.69MB/s
requests: 1002 total, 1001 started, 1000 done, 998 succeeded, 2 failed, 1 errored, 0 timeout
status codes: 994 2xx, 0 3xx, 3 4xx, 1 5xx
traffic: 1.38MB (1445014) total, 12.11KB (12401) headers (space savings 95.0%), 1.34MB (1400000) data
                     min         max         mean         sd        +/- sd
time for request:      110us      5.27ms       231us       120us    91.00%
";
        let tally = parse_h2load(said).unwrap();
        assert_eq!((tally.requests, tally.bytes, tally.errors), (998.0, 1_400_000.0, 7.0));
        assert!((tally.seconds - 0.8505).abs() < 1e-9, "{tally:?}");
        assert_eq!(parse_h2load("finished in 1s, 2 req/s\n"), None);
        assert_eq!(seconds_of("12us"), Some(12e-6));
        assert_eq!(seconds_of("12m"), None);
    }

    #[test]
    fn percentiles_come_from_the_log() {
        let log: String = (1..=200).rev().map(|micros| format!("1700\t200\t{micros}\n")).collect();
        assert_eq!(percentiles(&log), (0.101, 0.199));
        assert_eq!(percentiles("1700\t200\t5000\n"), (5.0, 5.0));
        assert_eq!(percentiles(""), (0.0, 0.0));
    }
}
