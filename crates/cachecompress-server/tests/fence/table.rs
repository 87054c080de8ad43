//! The highest cost of each request.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The system calls of one request, by name.
pub(crate) type Calls = BTreeMap<String, u64>;

/// The change of a number of instructions that is a complaint, in percent. The counts vary by 0.1
/// %.
const TOLERANCE: u64 = 5;
/// The tolerance for answers in which another thread has a part. The number of waits of one for the
/// other was seen to make an eighth.
const ROUGH: u64 = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The instructions, `-` in the table if they are not counted.
    pub(crate) instructions: Option<u64>,
    /// Whether the figure is rough, `~` in the table.
    pub(crate) rough: bool,
    pub(crate) calls: Calls,
}

/// Costs by the request's name, and the compiler with which they were counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    with: String,
    costs: Vec<(String, Cost)>,
}

impl Table {
    /// The counted costs.
    pub(crate) fn new(costs: impl Iterator<Item = (String, Cost)>) -> Self {
        Self { with: compiler(), costs: costs.collect() }
    }

    /// The expected costs.
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(place()).expect("the table of costs");
        text.parse().unwrap_or_else(|line| panic!("{}: not a cost: {line}", place().display()))
    }

    pub(crate) fn write(&self) {
        std::fs::write(place(), self.to_string()).expect("the table of costs");
    }

    /// Complains if the request `name` costs more than the request `limit` and [`TOLERANCE`].
    pub(crate) fn exceeds(&self, name: &str, limit: &str) -> Option<String> {
        let cost = |name: &str| {
            let (_, cost) = self.costs.iter().find(|(known, _)| known == name)?;
            cost.instructions
        };
        let (Some(now), Some(most)) = (cost(name), cost(limit)) else {
            return Some(format!("{name} or {limit} is not counted"));
        };
        (now * 100 > most * (100 + TOLERANCE))
            .then(|| format!("{name}: {now} instructions, over 5 % more than {most} of {limit}"))
    }

    /// Lists the differences from `reference`.
    pub(crate) fn held_against(&self, reference: &Self) -> Vec<String> {
        let known: BTreeMap<_, _> =
            reference.costs.iter().map(|(name, cost)| (name, cost)).collect();
        let mut complaints: Vec<String> = Vec::new();
        for (name, cost) in &self.costs {
            let Some(known) = known.get(name) else {
                complaints.push(format!("{name}: not in the table"));
                continue;
            };
            complaints.extend(instructions(cost, known, name));
            if cost.calls != known.calls {
                let (now, before) = (words(&cost.calls), words(&known.calls));
                complaints.push(format!("{name}: system calls {now}; the table has {before}"));
            }
        }
        if self.costs.len() < reference.costs.len() {
            complaints.push("the table has requests that are not made any more".into());
        }
        if complaints.is_empty() {
            return complaints;
        }
        if self.with != reference.with {
            let (now, before) = (&self.with, &reference.with);
            complaints.push(format!("counted with {now}, and the table with {before}"));
        }
        complaints.push("if it has to be so, say why: `cargo xtask fence --update`".into());
        complaints
    }
}

fn instructions(cost: &Cost, known: &Cost, name: &str) -> Option<String> {
    let (now, before) = match (cost.instructions, known.instructions) {
        (Some(now), Some(before)) => (now, before),
        (None, None) => return None,
        (now, before) => return Some(format!("{name}: {now:?}; the table has {before:?}")),
    };
    let tolerance = if known.rough { ROUGH } else { TOLERANCE };
    let change = 100.0 * (now as f64 / before as f64 - 1.0);
    let told = format!("{name}: {now} instructions, {change:+.1} %; the table has {before}");
    if now * 100 > before * (100 + tolerance) {
        Some(told)
    } else if now * 100 < before * (100 - tolerance) {
        Some(format!("{told}; that is good news, so draw the fence closer"))
    } else {
        None
    }
}

/// Writes calls in the form `epoll_wait recvfrom*2`.
fn words(calls: &Calls) -> String {
    let word = |(name, count): (&String, &u64)| match count {
        1 => name.clone(),
        count => format!("{name}*{count}"),
    };
    calls.iter().map(word).collect::<Vec<_>>().join(" ")
}

const HEAD: &str = "\
# What one warm request costs `cachecompress serve`: instructions as callgrind counts them, to 5 %
# (after a ~, to 20 %: another thread has a part in the answer; - is for what a client's speed has
# a part in), and system calls. Held against the
# shipped program by tests/fence/main.rs, and written by `cargo xtask fence --update`; say in the
# commit why a figure has changed.
#
";
const WITH: &str = "# Counted with ";

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEAD}{WITH}{}\n\n", self.with)?;
        for (name, Cost { instructions, rough, calls }) in &self.costs {
            let rough = if *rough { "~" } else { "" };
            let instructions = match instructions {
                Some(instructions) => format!("{rough}{instructions}"),
                None => "-".to_owned(),
            };
            writeln!(f, "{name:<14}{instructions:>7}   {}", words(calls))?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let with = text.lines().find_map(|line| line.strip_prefix(WITH)).unwrap_or_default();
        let costs = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let costs = costs.map(|line| cost(line).ok_or_else(|| line.to_owned()));
        Ok(Self { with: with.to_owned(), costs: costs.collect::<Result<_, _>>()? })
    }
}

fn cost(line: &str) -> Option<(String, Cost)> {
    let mut words = line.split_whitespace();
    let (name, instructions) = (words.next()?.to_owned(), words.next()?);
    let (rough, instructions) = match instructions.strip_prefix('~') {
        Some(instructions) => (true, Some(instructions.parse().ok()?)),
        None if instructions == "-" => (false, None),
        None => (false, Some(instructions.parse().ok()?)),
    };
    let call = |word: &str| match word.split_once('*') {
        Some((name, count)) => Some((name.to_owned(), count.parse().ok()?)),
        None => Some((word.to_owned(), 1)),
    };
    Some((name, Cost { instructions, rough, calls: words.map(call).collect::<Option<_>>()? }))
}

fn place() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fence/table.txt")
}

/// The version of the compiler, on which the number of instructions depends.
fn compiler() -> String {
    let asked = std::process::Command::new("rustc").arg("--version").output();
    let told = asked.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    told.map_or_else(|| "an unknown compiler".to_owned(), |told| told.trim().to_owned())
}

fn table(lines: &str) -> Table {
    lines.parse().unwrap()
}

#[test]
fn table_is_read_as_it_was_written() {
    let table = table("# Counted with rustc 1\na 1000 recvfrom writev*2\nb ~7\nc - sendfile\n");
    assert_eq!(table.with, "rustc 1");
    assert_eq!(table.to_string().parse(), Ok(table));
    assert_eq!("a few".parse::<Table>(), Err("a few".to_owned()));
}

#[test]
fn table_compares_two_requests() {
    let table = table("a 1000\nb 1050\nc 1051\nd -");
    assert_eq!(table.exceeds("b", "a"), None);
    assert!(table.exceeds("c", "a").is_some_and(|told| told.contains("1051")));
    assert!(table.exceeds("d", "a").is_some() && table.exceeds("e", "a").is_some());
}

#[test]
fn table_reports_costs_that_grow_shrink_or_change() {
    let before = table("a 1000 recvfrom writev");
    let complaints = |now: &str| table(now).held_against(&before);
    for same in ["a 1000 recvfrom writev", "a 1050 recvfrom writev", "a 950 recvfrom writev"] {
        assert_eq!(complaints(same), Vec::<String>::new());
    }
    assert_eq!(table("a 1190").held_against(&table("a ~1000")), Vec::<String>::new());
    assert_ne!(table("a 1210").held_against(&table("a ~1000")), Vec::<String>::new());
    for (other, told) in [
        ("a 1051 recvfrom writev", "a: 1051 instructions, +5.1 %"),
        ("a 949 recvfrom writev", "good news"),
        ("a 1000 recvfrom writev*2", "system calls recvfrom writev*2"),
        ("a 1000 recvfrom", "the table has recvfrom writev"),
        ("a 1000 fstat recvfrom writev", "system calls fstat"),
        ("b 1000 recvfrom writev", "b: not in the table"),
        ("", "not made any more"),
    ] {
        let complaints = complaints(other);
        assert!(complaints.iter().any(|line| line.contains(told)), "{other}: {complaints:?}");
    }
}
