//! The exit codes of each command.

/// An exit code with its meaning.
pub(crate) type ExitCode = (u8, &'static str);

const INTERRUPTED: ExitCode = (130, "interrupted by Ctrl-C or SIGTERM");
const DONE: ExitCode = (0, "done");
const MISUSED: ExitCode = (2, "wrong usage");

/// The exit codes of each command. docs/program.md has the same table, and a test compares
/// them.
const EXIT_CODES: &[(&str, &[ExitCode])] = &[
    (
        "serve",
        &[
            (0, "ended by a signal"),
            (1, "something could not be opened, bound or read"),
            (2, "wrong usage, or a mistake in the configuration or in the rules of a site"),
            (130, "ended at once by a second SIGINT; 143 by a second SIGTERM"),
        ],
    ),
    (
        "warm",
        &[
            DONE,
            (1, "a file, a GLOB, the cache or the shared store failed, or --check found something"),
            (
                2,
                "wrong usage, or there is no cache to fill or it cannot be written, or no such store",
            ),
            INTERRUPTED,
        ],
    ),
    (
        "verify",
        &[
            (0, "every entry is whole"),
            (1, "an entry is damaged or could not be read, or the store does not answer"),
            (2, "wrong usage, or there is no cache or no such store"),
            INTERRUPTED,
        ],
    ),
    (
        "gc",
        &[
            DONE,
            (1, "something could not be read or removed"),
            (2, "wrong usage, or there is no cache"),
            INTERRUPTED,
        ],
    ),
    (
        "inspect",
        &[
            DONE,
            (1, "an entry is damaged or could not be read, or there is no such directory"),
            (2, "wrong usage, or there is no cache"),
            INTERRUPTED,
        ],
    ),
    (
        "purge",
        &[
            DONE,
            (1, "something could not be read or removed, or no file matches a GLOB"),
            (2, "wrong usage, or there is no cache"),
            INTERRUPTED,
        ],
    ),
    (
        "get",
        &[
            (0, "FILE is whole and in place, or was current"),
            (1, "it could not be had, verified or written; FILE is as it was"),
            MISUSED,
            (3, "--check: FILE is not current, or not there"),
            INTERRUPTED,
        ],
    ),
    (
        "config check",
        &[
            (0, "there is no mistake"),
            (1, "there are some, or the file cannot be read"),
            (2, "wrong usage, or there is no file to check"),
        ],
    ),
    (
        "config print",
        &[DONE, (1, "the file cannot be read"), (2, "wrong usage, or a mistake in the file")],
    ),
    ("config schema", &[DONE, (1, "stdout cannot be written"), MISUSED]),
    (
        "healthcheck",
        &[
            (0, "the server is ready"),
            (1, "it is not, or nothing answers"),
            (2, "wrong usage, such as no --admin"),
        ],
    ),
    ("generate man", &[DONE, (1, "a page cannot be written"), MISUSED]),
    ("generate completions", &[DONE, (1, "stdout cannot be written"), MISUSED]),
    ("generate reference", &[DONE, (1, "a page cannot be written"), MISUSED]),
];

/// The exit codes of `command`, such as `config check`.
pub(super) fn exit_codes(command: &str) -> &'static [ExitCode] {
    let found = EXIT_CODES.iter().find(|(of, _)| *of == command);
    found.map_or(&[], |(_, codes)| codes)
}
