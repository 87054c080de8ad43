//! The load generators: wrk over HTTP/1.1, h2load over either version.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use fs_err as fs;

use crate::files;

/// The figures of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LoadStats {
    /// Complete responses.
    pub(crate) requests: f64,
    /// Received bytes of bodies, also of the responses that were unfinished at the end.
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
    /// Responses that broke off, did not come, or had a status of 4xx or 5xx.
    pub(crate) errors: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// The end of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Seconds(u32),
    /// A count of requests, which only h2load has.
    Requests(u32),
}

/// The version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Version {
    Http1,
    /// HTTP/2 with `streams` requests at once on a connection: by prior knowledge over plain TCP, by
    /// ALPN over TLS.
    Http2 {
        streams: u32,
    },
}

/// A request and the number of connections that repeat it.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// `http`, or `https`, which h2load has.
    pub(crate) scheme: &'static str,
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(&'a str, String)>,
    pub(crate) connections: u32,
}

impl Request<'_> {
    fn url(&self) -> String {
        format!("{}://127.0.0.1:{}{}", self.scheme, self.port, self.path)
    }
}

/// The seconds in which a count of requests must be done.
const REQUESTS_TIMEOUT: u32 = 900;
/// The seconds that a load may run beyond its time.
const GRACE: u32 = 20;
/// The exit code of `timeout`.
const TIMED_OUT: i32 = 124;

/// Has wrk print its exact figures.
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

/// Has wrk request any of FILES files, in random order.
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

/// Loads a server with wrk for `seconds`.
pub(crate) fn wrk(request: &Request<'_>, seconds: u32, dir: &Path) -> anyhow::Result<LoadStats> {
    run_wrk(request, seconds, dir, DONE)
}

/// As [`wrk`], but requests any of `files` files. `pattern` makes a path of two numbers.
pub(crate) fn wrk_at_random(
    request: &Request<'_>,
    seconds: u32,
    dir: &Path,
    files: u32,
    pattern: &str,
) -> anyhow::Result<LoadStats> {
    let random = RANDOM.replace("FILES", &files.to_string());
    let random = random.replace("PATTERN", &format!("'{pattern}'"));
    run_wrk(request, seconds, dir, &(random + DONE))
}

fn run_wrk(
    request: &Request<'_>,
    seconds: u32,
    dir: &Path,
    script: &str,
) -> anyhow::Result<LoadStats> {
    let file = dir.join("wrk.lua");
    files::write(&file, script)?;
    let mut command = with_timeout(seconds, "wrk");
    command.args(["-t1", "--latency", "--timeout", "60s", "-s"]).arg(file);
    command.args([format!("-c{}", request.connections), format!("-d{seconds}s")]);
    for (name, value) in &request.headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let output = stdout_of(command.arg(request.url()))?;
    parse_wrk(&output).with_context(|| format!("unknown output of wrk:\n{output}"))
}

/// Loads a server with h2load.
pub(crate) fn h2load(
    request: &Request<'_>,
    version: Version,
    until: Until,
    dir: &Path,
) -> anyhow::Result<LoadStats> {
    let log = dir.join("h2load.log");
    let seconds = match until {
        Until::Seconds(seconds) => seconds,
        Until::Requests(_) => REQUESTS_TIMEOUT,
    };
    let mut command = with_timeout(seconds, "h2load");
    command.arg(format!("-c{}", request.connections));
    match version {
        Version::Http1 => command.arg("--h1"),
        Version::Http2 { streams } => command.arg(format!("-m{streams}")),
    };
    match until {
        Until::Seconds(seconds) => command.arg(format!("-D{seconds}")),
        Until::Requests(requests) => command.arg(format!("-n{requests}")),
    };
    for (name, value) in &request.headers {
        command.args(["-H", &format!("{}: {value}", name.to_lowercase())]);
    }
    // h2load appends.
    let _ = fs::remove_file(&log);
    command.arg(format!("--log-file={}", log.display()));
    let output = stdout_of(command.arg(request.url()))?;
    let mut stats =
        parse_h2load(&output).with_context(|| format!("unknown output of h2load:\n{output}"))?;
    let times = fs::read_to_string(&log).unwrap_or_default();
    (stats.p50_ms, stats.p99_ms) = percentiles(&times);
    Ok(stats)
}

/// The command of `program`, killed when it runs long after its time.
///
/// h2load 1.52 does so if a connection is not yet made at the end: it forgets to stop that one.
fn with_timeout(seconds: u32, program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", &(seconds + GRACE).to_string(), program]);
    command
}

/// The standard output of a command that [`with_timeout`] has made.
fn stdout_of(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_args().nth(2).unwrap_or_default().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if output.status.code() == Some(TIMED_OUT) {
        bail!("{program} ran beyond its time");
    }
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    bail!("{program}: {}\n{stdout}{stderr}", output.status)
}

fn parse_wrk(output: &str) -> Option<LoadStats> {
    let line = output.lines().find_map(|line| line.strip_prefix("RESULT "))?;
    let values: BTreeMap<&str, f64> = line
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect();
    let value = |name| values.get(name).copied();
    Some(LoadStats {
        requests: value("requests")?,
        bytes: value("bytes")?,
        seconds: value("micros")? / 1e6,
        errors: value("errors")?,
        p50_ms: value("p50")? / 1e3,
        p99_ms: value("p99")? / 1e3,
    })
}

fn parse_h2load(output: &str) -> Option<LoadStats> {
    let line = |start| output.lines().find_map(|line| line.strip_prefix(start));
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
    Some(LoadStats {
        requests: counted(requests, " succeeded")?,
        bytes: data.split(['(', ')']).nth(1)?.parse().ok()?,
        seconds: seconds_of(seconds)?,
        errors: counted(requests, " failed")? + counted(requests, " errored")? + refused,
        ..LoadStats::default()
    })
}

/// Parses a time as h2load prints it: `2.01s`, `850.20ms`, `12us`.
fn seconds_of(word: &str) -> Option<f64> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((word.trim().strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

/// The median and the 99th percentile of h2load's log, in milliseconds. A line has the start, the
/// status and the microseconds of a response.
fn percentiles(log: &str) -> (f64, f64) {
    let micros = log.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<f64>().ok());
    let mut micros: Vec<f64> = micros.collect();
    micros.sort_by(f64::total_cmp);
    (percentile(&micros, 0.5), percentile(&micros, 0.99))
}

/// The percentile at `share` of the sorted `micros`, in milliseconds.
pub(crate) fn percentile(micros: &[f64], share: f64) -> f64 {
    let place = (micros.len() as f64 * share) as usize;
    micros.get(place.min(micros.len().saturating_sub(1))).copied().unwrap_or_default() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_output_is_parsed() {
        let output = "Running 2s test\n  Latency 1ms\nRequests/sec: 5.0\n\
            RESULT requests=5400 bytes=1000000000 micros=2010000 errors=3 p50=1250 p99=9000\n";
        let expected = LoadStats {
            requests: 5400.0,
            bytes: 1e9,
            seconds: 2.01,
            errors: 3.0,
            p50_ms: 1.25,
            p99_ms: 9.0,
        };
        assert_eq!(parse_wrk(output), Some(expected));
        assert_eq!(parse_wrk("unable to connect to 127.0.0.1:1"), None);
        assert_eq!(parse_wrk("RESULT requests=1 bytes=2\n"), None);
    }

    #[test]
    fn h2load_output_is_parsed() {
        let output = "\
finished in 850.50ms, 1234.50 req/s, 1.69MB/s
requests: 1002 total, 1001 started, 1000 done, 998 succeeded, 2 failed, 1 errored, 0 timeout
status codes: 994 2xx, 0 3xx, 3 4xx, 1 5xx
traffic: 1.38MB (1445014) total, 12.11KB (12401) headers (space savings 95.0%), 1.34MB (1400000) data
                     min         max         mean         sd        +/- sd
time for request:      110us      5.27ms       231us       120us    91.00%
";
        let stats = parse_h2load(output).unwrap();
        assert_eq!((stats.requests, stats.bytes, stats.errors), (998.0, 1_400_000.0, 7.0));
        assert!((stats.seconds - 0.8505).abs() < 1e-9, "{stats:?}");
        assert_eq!(parse_h2load("finished in 1s, 2 req/s\n"), None);
        assert_eq!(seconds_of("12us"), Some(12e-6));
        assert_eq!(seconds_of("12m"), None);
    }

    #[test]
    fn percentiles_are_read_from_the_log() {
        let log: String = (1..=200).rev().map(|micros| format!("1700\t200\t{micros}\n")).collect();
        assert_eq!(percentiles(&log), (0.101, 0.199));
        assert_eq!(percentiles("1700\t200\t5000\n"), (5.0, 5.0));
        assert_eq!(percentiles(""), (0.0, 0.0));
    }
}
