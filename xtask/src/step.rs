//! One step of a chore: a command whose output is shown and counted.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::totals::Totals;

/// What came of a step.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) time: Duration,
    pub(crate) totals: Totals,
}

/// Runs `commands` until one fails, under the heading `name`.
pub(crate) fn run(name: &'static str, commands: Vec<Command>) -> Outcome {
    println!("\n=== {name}");
    let outcome = run_into(&mut io::stdout(), name, commands);
    println!("=== {name}: {} in {:.1} s", verdict(outcome.ok), outcome.time.as_secs_f64());
    outcome
}

fn run_into(out: &mut dyn Write, name: &'static str, commands: Vec<Command>) -> Outcome {
    let start = Instant::now();
    let mut totals = Totals::default();
    let ok = commands.into_iter().all(|command| {
        let line = line_of(&command);
        let done =
            writeln!(out, "    {line}").and_then(|()| run_counted(out, command, &mut totals));
        done.unwrap_or_else(|error| {
            println!("    cannot run `{line}`: {error}");
            false
        })
    });
    Outcome { name, ok, time: start.elapsed(), totals }
}

pub(crate) fn verdict(ok: bool) -> &'static str {
    if ok { "ok" } else { "FAILED" }
}

/// `cargo` with `arguments`, in the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(crate::root()).stdin(Stdio::null());
    if io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// Runs `command`, passes on what it says as it says it, and counts the tests in it.
fn run_counted(out: &mut dyn Write, mut command: Command, totals: &mut Totals) -> io::Result<bool> {
    let (reader, writer) = io::pipe()?;
    let mut child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
    // It holds the pipe's writing ends; as long as one is open here, there is no end to read.
    drop(command);
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        totals.read_line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(child.wait()?.success())
}

/// `command` as one would type it, with the variables it sets.
fn line_of(command: &Command) -> String {
    let settings = command
        .get_envs()
        .filter(|(name, _)| !name.to_string_lossy().starts_with("CACHECOMPRESS_TEST"))
        .filter_map(|(name, value)| Some(format!("{}='{}'", text(name), text(value?))));
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    settings
        .chain(std::iter::once(text(name)))
        .chain(command.get_args().map(text))
        .collect::<Vec<_>>()
        .join(" ")
}

fn text(value: &OsStr) -> String {
    value.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn counts_what_both_streams_say() {
        let script = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; echo SKIPPED x >&2";
        let outcome = run_into(&mut io::sink(), "a step", vec![shell(script)]);
        assert!(outcome.ok);
        assert_eq!(outcome.totals, Totals { passed: 2, failed: 0, skipped: 1 });
    }

    #[test]
    fn a_failing_command_fails_the_step_and_ends_it() {
        let result = "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'";
        let outcome = run_into(&mut io::sink(), "a step", vec![shell("exit 3"), shell(result)]);
        assert!(!outcome.ok);
        assert_eq!(outcome.totals.passed, 0);
    }

    #[test]
    fn a_missing_program_fails_the_step() {
        assert!(
            !run_into(&mut io::sink(), "a step", vec![Command::new("no-such-program-anywhere")]).ok
        );
    }
}
