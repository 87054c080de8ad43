//! The help of every command, on terminals of all widths and in pipes.

#![cfg(unix)]

use std::process::{Command, Output, Stdio};

use cachecompress_test::server::{command, output};
use cachecompress_test::tools;

use crate::common::*;

const COMMANDS: [&str; 16] = [
    "",
    "serve",
    "warm",
    "verify",
    "gc",
    "inspect",
    "purge",
    "get",
    "config",
    "config check",
    "config print",
    "config schema",
    "healthcheck",
    "generate",
    "generate man",
    "generate completions",
];

/// Variables that change colours and widths. A dumb terminal in CI counts as one with colours.
const OF_TERMINALS: [&str; 7] =
    ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "CI", "COLUMNS", "LINES"];

fn without_terminal(mut command: Command, environment: &[(&str, &str)]) -> Command {
    for name in OF_TERMINALS {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color").envs(environment.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs the program in a pipe.
fn piped(arguments: &str, environment: &[(&str, &str)]) -> Output {
    let mut program = without_terminal(command(Path::new(PROGRAM)), environment);
    output(program.args(arguments.split_whitespace()))
}

fn stdout(output: Output) -> String {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program on a terminal of so many columns, and returns its screen.
fn on_terminal(columns: usize, arguments: &str, environment: &[(&str, &str)]) -> Option<String> {
    let script = tools::require("script")?;
    let line = format!("stty cols {columns} rows 24; exec {PROGRAM} {arguments}");
    let mut program = without_terminal(command(&script), environment);
    let shown = output(program.args(["-qec", &line, "/dev/null"]));
    Some(String::from_utf8(shown.stdout).unwrap().replace("\r\n", "\n"))
}

/// The length of the longest line in columns.
fn width(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap()
}

/// The text without the sequences that set colours.
fn plain(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').unwrap().1)
}

#[test]
fn short_help_of_every_command_fits_a_terminal_of_80_by_24() {
    for name in COMMANDS {
        let help = stdout(piped(&format!("{name} -h"), &[("COLUMNS", "80")]));
        assert!(width(&help) <= 80, "{name}: {help}");
        // The last line is the shell's.
        assert!(help.lines().count() < 24, "{name}: {} lines\n{help}", help.lines().count());
        assert!(help.contains("\nExample: cachecompress "), "{name}: {help}");
        assert!(!help.contains("[env"), "{name}: {help}");
        let unknown = stdout(piped(&format!("{name} -h"), &[("COLUMNS", "0")]));
        assert_eq!(unknown, help, "a width that is not known");
    }
}

#[test]
fn long_help_of_serve_has_the_common_flags_first_and_then_headings() {
    let help = stdout(piped("serve --help", &[("COLUMNS", "80")]));
    let places = [
        "\nOptions:\n",
        "      --listen <ADDR>\n",
        "      --cache-dir <PATH>\n",
        "      --admin <ADDR>\n",
        "\nAddresses and proxies:\n",
        "\nCompression and cache:\n",
        "      --codings <LIST>\n",
        "\nPages:\n",
        "\nLogs:\n",
        "\nExamples:\n",
        "\nExit codes:\n",
    ];
    let places = places.map(|text| help.find(text).unwrap_or_else(|| panic!("{text:?}: {help}")));
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn help_is_wrapped_to_the_terminal_and_to_100_columns_at_most() {
    for (columns, most) in [(40, 40), (80, 80), (100, 100), (200, 100)] {
        for help in ["warm -h", "serve --help"] {
            let Some(shown) = on_terminal(columns, help, &[("COLUMNS", "300")]) else { return };
            let shown = plain(&shown);
            // Neither are words broken, such as the names of variables, nor is the usage wrapped.
            let words =
                |line: &&str| line.split_whitespace().count() > 2 && !line.starts_with("Usage: ");
            let wide = shown.lines().filter(words).find(|line| line.chars().count() > most);
            assert_eq!(wide, None, "{columns}");
            let limit = most.saturating_sub(15);
            assert!(
                help == "warm -h" || width(&shown) > limit,
                "{columns} columns are not used: {shown}"
            );
        }
    }
}

#[test]
fn colours_are_for_terminals_that_have_them() {
    // It fails after the first line of its log.
    let log = "serve / --listen 127.0.0.1:0 --cache-size 0 --admin-token-file /nonexistent";
    for arguments in ["serve -h", "purge --help", log] {
        for (environment, is_coloured) in [
            (&[][..], true),
            (&[("NO_COLOR", "")], true),
            (&[("NO_COLOR", "1")], false),
            (&[("TERM", "dumb")], false),
            (&[("CLICOLOR", "0")], false),
        ] {
            let Some(shown) = on_terminal(80, arguments, environment) else { return };
            assert!(shown.lines().count() > 1, "{arguments}: {shown}");
            assert_eq!(shown.contains('\u{1b}'), is_coloured, "{environment:?}: {shown:?}");
        }
        for (environment, is_coloured) in [
            (&[][..], false),
            (&[("CLICOLOR_FORCE", "1")], true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ] {
            let Output { stdout, stderr, .. } = piped(arguments, environment);
            let printed = String::from_utf8([stdout, stderr].concat()).unwrap();
            assert!(printed.lines().count() > 1, "{arguments}: {printed}");
            assert_eq!(printed.contains('\u{1b}'), is_coloured, "{environment:?}: {printed:?}");
        }
    }
}

#[test]
fn progress_bar_is_for_terminals_that_can_move_their_cursor() {
    let (site, cache) = (Site::with("a.txt", &site::text(1, 90_000)), tempfile::tempdir().unwrap());
    let [site, cache] = [site.path(), cache.path()].map(|path| path.to_str().unwrap());
    let warm = format!("warm {site} --best --cache-dir {cache}");
    for (environment, has_bar) in [(&[][..], true), (&[("TERM", "dumb")], false)] {
        let Some(shown) = on_terminal(80, &warm, environment) else { return };
        assert!(shown.contains("3 compressed"), "{shown}");
        assert_eq!(shown.contains("compressing"), has_bar, "{environment:?}: {shown:?}");
        assert_eq!(shown.contains("\n1 of 1 files"), !has_bar, "{environment:?}: {shown:?}");
    }
    let Output { stdout, stderr, .. } = piped(&warm, &[]);
    assert!(![stdout, stderr].concat().contains(&0x1b));
}
