//! Programs from outside that end with the test program.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Starts a program, prints its id, and kills it once a line or the end of stdin comes. The kernel closes
/// stdin however the test program ends. Then nothing is left of it: neither the program, nor its directory,
/// nor the directory around that once it is empty.
///
/// A signal to all of the test program's group, as Ctrl-C sends one, does not stop it from that.
const KEEPER: &str = r#"
    trap '' HUP INT TERM
    "$@" </dev/null >&2 &
    echo $!
    exec >&-
    read -r word
    kill -KILL $!
    wait $!
    [ "$word" = keep ] && exit
    rm -rf "$SCRATCH"
    rmdir "${SCRATCH%/*}"
"#;

/// A program from outside, with a directory of its own. Both go when it is dropped, and when the test
/// program ends.
#[derive(Debug)]
pub struct KeptChild {
    keeper: Child,
    id: Pid,
}

impl KeptChild {
    /// Starts a program by its command line and variables. Its output goes to the end of the file `log` in
    /// its directory `scratch`.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start(words: &[String], variables: &[(&str, &str)], scratch: &Path) -> Self {
        fs::create_dir_all(scratch).unwrap();
        let log = File::options().create(true).append(true).open(scratch.join("log")).unwrap();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .args(words)
            .envs(variables.iter().copied())
            .env("SCRATCH", scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let id = line.trim().parse().ok().and_then(Pid::from_raw).expect("an id");
        Self { keeper, id }
    }

    /// Whether the program has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        // A program that has ended stays a zombie as long as its keeper waits.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id.as_raw_nonzero()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Sends a signal, such as STOP.
    ///
    /// # Panics
    ///
    /// If the program is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.id, signal).expect("the program runs");
    }

    /// Kills the program, and keeps its directory.
    ///
    /// # Panics
    ///
    /// If its keeper is gone.
    pub fn kill(mut self) {
        self.keeper.stdin.take().unwrap().write_all(b"keep\n").unwrap();
        self.keeper.wait().unwrap();
    }
}

impl Drop for KeptChild {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::eventually;

    fn exists(id: Pid) -> bool {
        Path::new(&format!("/proc/{}", id.as_raw_nonzero())).exists()
    }

    fn start(scratch: &Path) -> KeptChild {
        let words = ["sh", "-c", "echo started; exec sleep 600"].map(String::from);
        let child = KeptChild::start(&words, &[], scratch);
        eventually("the child's output", || {
            let log = fs::read_to_string(scratch.join("log")).unwrap();
            log.contains("started").then_some(())
        });
        assert!(child.is_running());
        child
    }

    #[test]
    fn dropped_child_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = dir.path().join("around/own");
        let child = start(&scratch);
        let id = child.id;
        drop(child);
        assert!(!exists(id));
        assert!(!dir.path().join("around").exists());
    }

    #[test]
    fn killed_child_leaves_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = dir.path().join("own");
        let child = start(&scratch);
        let id = child.id;
        child.kill();
        assert!(!exists(id));
        assert!(scratch.join("log").exists());
    }
}
