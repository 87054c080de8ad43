//! A step of a chore: commands whose output is shown and whose tests are counted.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::totals::Totals;

/// The result of a step.
#[derive(Debug)]
pub(crate) struct StepResult {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) time: Duration,
    pub(crate) totals: Totals,
    /// The lines in which failed tests say why.
    pub(crate) failures: Vec<String>,
}

/// Runs `commands` until one fails, under the heading `name`.
pub(crate) fn run(name: &'static str, commands: Vec<Command>) -> StepResult {
    println!("\n=== {name}");
    let result = run_into(&mut io::stdout(), name, commands);
    print_verdict(&result);
    result
}

/// A step that runs beside others.
#[derive(Debug)]
pub(crate) struct Begun(JoinHandle<(StepResult, Vec<u8>)>);

/// Begins to run `commands` until one fails. [`Begun::end`] shows their output.
pub(crate) fn begin(name: &'static str, commands: Vec<Command>) -> Begun {
    println!("\n=== {name}: begun");
    Begun(thread::spawn(move || {
        let mut output = Vec::new();
        (run_into(&mut output, name, commands), output)
    }))
}

impl Begun {
    /// Waits for the end of the step.
    ///
    /// # Panics
    ///
    /// If the step's thread did.
    pub(crate) fn end(self) -> StepResult {
        let (result, output) = self.0.join().expect("a step does not panic");
        println!("\n=== {}", result.name);
        print!("{}", String::from_utf8_lossy(&output));
        print_verdict(&result);
        result
    }
}

fn print_verdict(result: &StepResult) {
    println!("=== {}: {} in {:.1} s", result.name, verdict(result.ok), result.time.as_secs_f64());
}

fn run_into(out: &mut dyn Write, name: &'static str, commands: Vec<Command>) -> StepResult {
    let start = Instant::now();
    let mut tests = TestOutput::default();
    let ok = commands.into_iter().all(|command| {
        let line = shell_line(&command);
        let done = writeln!(out, "    {line}").and_then(|()| run_read(out, command, &mut tests));
        done.unwrap_or_else(|error| {
            println!("    cannot run `{line}`: {error}");
            false
        })
    });
    let TestOutput { totals, failures, .. } = tests;
    StepResult { name, ok, time: start.elapsed(), totals, failures }
}

/// The output of test programs, read line by line.
#[derive(Default)]
struct TestOutput {
    totals: Totals,
    failures: Vec<String>,
    in_failures: bool,
}

impl TestOutput {
    fn read_line(&mut self, line: &str) {
        self.totals.read_line(line);
        // The test harness prints the section before its result, and it ends with the names.
        self.in_failures = match line {
            "failures:" => true,
            _ => self.in_failures && !line.starts_with("test result: "),
        };
        if self.in_failures && !line.is_empty() && self.failures.len() < MOST_FAILURE_LINES {
            self.failures.push(line.to_owned());
        }
    }
}

/// The number of lines about failures that a step keeps, which is enough for several tests.
const MOST_FAILURE_LINES: usize = 200;

pub(crate) fn verdict(ok: bool) -> &'static str {
    if ok { "ok" } else { "FAILED" }
}

/// Runs `command`, shows each line of its output at once, and reads the tests in it.
fn run_read(out: &mut dyn Write, mut command: Command, tests: &mut TestOutput) -> io::Result<bool> {
    let (reader, writer) = io::pipe()?;
    let mut child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
    // `command` holds writing ends of the pipe, which ends only when the last one is closed.
    drop(command);
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        tests.read_line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(child.wait()?.success())
}

/// `command` as a shell takes it, with the variables that it sets.
fn shell_line(command: &Command) -> String {
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
    fn step_counts_tests_on_both_streams() {
        let script = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; echo SKIPPED x >&2";
        let result = run_into(&mut io::sink(), "a step", vec![shell(script)]);
        assert!(result.ok);
        assert_eq!(result.totals, Totals { passed: 2, failed: 0, skipped: 1 });
    }

    #[test]
    fn step_keeps_the_reasons_of_failures_and_nothing_else() {
        let script =
            "echo 'test a ... FAILED'; echo; echo failures:; echo; echo '---- a stdout ----';
            echo 'thread a panicked'; echo failures:; echo '    a'; echo;
            echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored'; echo 'Doc-tests b'";
        let result = run_into(&mut io::sink(), "a step", vec![shell(script)]);
        let reasons =
            ["failures:", "---- a stdout ----", "thread a panicked", "failures:", "    a"];
        assert_eq!(result.failures, reasons);
    }

    #[test]
    fn step_stops_at_the_first_failing_command() {
        let result = "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'";
        let result = run_into(&mut io::sink(), "a step", vec![shell("exit 3"), shell(result)]);
        assert!(!result.ok);
        assert_eq!(result.totals.passed, 0);
    }

    #[test]
    fn begun_step_ends_with_its_result() {
        let begun = begin("a step", vec![shell("exit 3")]);
        assert!(run_into(&mut io::sink(), "another step", vec![shell("exit 0")]).ok);
        let result = begun.end();
        assert_eq!((result.name, result.ok), ("a step", false));
    }

    #[test]
    fn step_fails_without_its_program() {
        assert!(
            !run_into(&mut io::sink(), "a step", vec![Command::new("no-such-program-anywhere")]).ok
        );
    }
}
