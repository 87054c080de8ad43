//! The help of each command: examples, exit codes, and the headings and the order of the flags.
//!
//! `-h` fits a terminal of 80 columns and 24 lines. It leaves out the rarer flags and all variables;
//! `--help` has them.

use std::fmt::Write as _;

use clap::Arg;

use super::exit_codes::exit_codes;

/// The flags of `serve` that `-h` shows, in the order in which one comes to need them.
const COMMON: &[&str] = &[
    "listen",
    "config",
    "cache_dir",
    "cache_size",
    "tls_cert",
    "tls_key",
    "spa",
    "immutable",
    "list",
    "access_log",
    "admin",
];

/// The headings of the other flags of `serve`, each with its flags in their order. Headings stand in the
/// order in which the flags are declared.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "Addresses and proxies",
        &["redirect_from", "socket_mode", "trusted_proxies", "proxy_protocol"],
    ),
    (
        "Compression and cache",
        &[
            "codings",
            "level",
            "patience",
            "revalidate",
            "memory_cache",
            "siblings",
            "encoded_names",
            "deltas",
            "sendfile",
            "prove",
            "recompress",
            "recompress_cpu",
            "encode_threads",
            "queue",
        ],
    ),
    ("Several replicas", &["tier", "tier_mode", "tier_key_file"]),
    (
        "Pages",
        &[
            "index",
            "clean_urls",
            "trailing_slash",
            "not_found",
            "spa_except",
            "site_rules",
            "dotfiles",
            "symlinks",
        ],
    ),
    (
        "Headers and access",
        &["cache_control", "immutable_paths", "types", "original_length", "cors", "basic_auth"],
    ),
    (
        "Limits",
        &[
            "threads",
            "max_connections",
            "max_open_files",
            "max_streams",
            "max_header_bytes",
            "max_headers",
            "header_timeout",
            "idle_timeout",
            "write_timeout",
        ],
    ),
    ("Logs", &["log_level", "log_format", "access_log_format", "access_log_sample"]),
    ("Admin listener", &["admin_host", "admin_token_file"]),
];

/// The flags of `warm` that `-h` leaves out.
const RARE_OF_WARM: &[&str] =
    &["cache_size", "level", "symlinks", "dotfiles", "types", "tier", "tier_mode", "tier_key_file"];

/// The examples of a command, and the notes of its `--help`.
struct Page {
    command: &'static str,
    /// Command lines. `-h` shows the last one.
    examples: &'static [&'static str],
    notes: &'static str,
}

const PAGES: &[Page] = &[
    Page {
        command: "serve",
        examples: &[
            "cachecompress serve dist",
            "cachecompress serve dist --listen :443 --tls-cert site.pem --tls-key site.key",
            "cachecompress serve dist --listen :8080 --spa --immutable",
        ],
        notes: "Every flag can also be set in the environment, by the variable in its description, or in \
            the configuration file; in variables, lists are separated by commas and switches are on \
            or off. A flag wins over its variable, and that over the file.\n\n\
            SIGTERM or SIGINT ends the server: it stops accepting, finishes what runs within 10 \
            seconds and exits with 0. A second signal ends it at once, with 128 + the signal's \
            number. SIGHUP reopens the access log file and reloads the configuration and the \
            certificates.",
    },
    Page {
        command: "warm",
        examples: &["cachecompress warm dist", "cachecompress warm dist --best --export"],
        notes: "May run beside servers, which find the entries at once; it gives way to them, as its \
            threads have the lowest priority. Files that are unchanged cost a hash. stdout has a \
            table, a line for each file that failed, and a summary as its last line. stderr shows \
            the progress: a bar on a terminal, else a line every five seconds.\n\n\
            The list .cachecompress-export in OUT has the digests of the files that --export has \
            written. A file whose bytes are in it is ours; no other is ever replaced or removed. Of \
            other files, those that hold the file they are named after stay without a word, and the \
            others are named.",
    },
    Page {
        command: "verify",
        examples: &[
            "cachecompress verify --tier s3://bucket/site --remove",
            "cachecompress verify --cache-dir /var/cache/cachecompress",
        ],
        notes: "Changes nothing, and may run beside servers. stdout has a line for each damaged entry, \
            PATH: DAMAGE, and a summary as its last line; on a terminal, stderr shows the progress. \
            A server removes a damaged entry by itself when it is asked for it, and `cachecompress \
            gc` removes all of them.\n\n\
            --tier reads each object of the shared store, and decodes it. The digest in its name must come \
            out. With keys each must be signed by one of them. No server uses a damaged object, and \
            --remove makes room for a new one.",
    },
    Page {
        command: "gc",
        examples: &["cachecompress gc --dry-run"],
        notes: "May run beside servers: nothing that one of them needs is removed. It removes damaged \
            entries, locks and unfinished files of servers that were killed, strange files among the \
            entries, and the directories of other formats. Entries whose files are gone from the \
            site stay until room is needed: the cache does not know the site.\n\n\
            stdout has a line for each removal, PATH: WHY, and a summary as its last line; on a \
            terminal, stderr shows the progress.",
    },
    Page {
        command: "inspect",
        examples: &["cachecompress inspect --sort ratio", "cachecompress inspect dist /js/app.js"],
        notes: "Changes nothing, and may run beside servers.\n\n\
            Without DIR and PATH it lists the cache's entries, with their digest, coding, sizes, \
            ratio, level, age and last use. A use is noted at most hourly.\n\n\
            With DIR and PATH it explains why the file at the path is or is not compressed, for \
            whom, and what a server would send. All flags of `serve` that shape a site are taken, \
            too. So are its variables and the configuration file.",
    },
    Page {
        command: "purge",
        examples: &["cachecompress purge --older-than 30d", "cachecompress purge dist '/js/*.js'"],
        notes: "May run beside servers: they send what they have begun to its end, and encode what is \
            asked for again.\n\n\
            An entry goes if all conditions hold for it. With DIR and GLOB they are the entries of \
            the contents that the files have now. Earlier bytes of a file have another digest. All \
            flags of `serve` that shape a site are taken, too.\n\n\
            stdout has a line for each removal, and a summary as its last line.",
    },
    Page {
        command: "get",
        examples: &[
            "cachecompress get https://example.com/agent -o agent --check",
            "cachecompress get https://example.com/agent -o agent",
        ],
        notes: "Works with any server. It asks for zstd, br and gzip, and offers FILE as a dictionary (dcb \
            and dcz, RFC 9842). The whole is compared with Repr-Digest (RFC 9530) or with the entity tag \
            of a cachecompress server. If a server tells neither, the last line says so.\n\n\
            A connection that breaks off is resumed by a range of the same representation. The bytes of a \
            run that ends early stay beside FILE: .FILE.cachecompress-part, and .json for what they are of. \
            The next run goes on there if the server has the same representation. The new file is \
            .FILE.cachecompress-new until it is whole.\n\n\
            A server that was never reached by its name or by TLS is not tried again. Redirects are \
            followed, and none from https to http. Proxies are those of HTTPS_PROXY, HTTP_PROXY, \
            ALL_PROXY and NO_PROXY. stderr has a bar on a terminal, else a line every five seconds.",
    },
    Page {
        command: "config check",
        examples: &["cachecompress config check --config site.toml"],
        notes: "",
    },
    Page {
        command: "config print",
        examples: &["cachecompress config print --config site.toml"],
        notes: "",
    },
    Page {
        command: "config schema",
        examples: &["cachecompress config schema > cachecompress.schema.json"],
        notes: "",
    },
    Page {
        command: "healthcheck",
        examples: &["cachecompress healthcheck --admin 127.0.0.1:9000"],
        notes: "Asks the admin listener for /readyz, and has 5 seconds for it. It needs no other \
            program, so it is the health check of an image that has none: CACHECOMPRESS_ADMIN then \
            stands for --admin in both commands.",
    },
    Page {
        command: "generate man",
        examples: &["cachecompress generate man /usr/local/share/man/man1"],
        notes: "",
    },
    Page {
        command: "generate completions",
        examples: &["cachecompress generate completions bash > cachecompress.bash"],
        notes: "",
    },
    Page {
        command: "generate reference",
        examples: &["cachecompress generate reference docs/reference"],
        notes: "",
    },
];

/// The end of `-h` of a command.
pub(super) fn short(command: &str) -> String {
    let page = page(command);
    let example = page.and_then(|page| page.examples.last()).unwrap_or(&"cachecompress --help");
    format!("Example: {example}\nAll flags and exit codes: cachecompress {command} --help")
}

/// The end of `--help` of a command.
pub(super) fn long(command: &str) -> String {
    let mut text = "Examples:".to_owned();
    let page = page(command);
    for example in page.iter().flat_map(|page| page.examples) {
        let _ = write!(text, "\n  {example}");
    }
    if let Some(page) = page.filter(|page| !page.notes.is_empty()) {
        let _ = write!(text, "\n\n{}", page.notes);
    }
    let _ = write!(text, "\n\nExit codes:");
    for (code, meaning) in exit_codes(command) {
        let _ = write!(text, "\n  {code:>3}  {meaning}");
    }
    text
}

fn page(command: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.command == command)
}

/// Sets the heading and the place of a flag of `serve`.
pub(super) fn of_serve(arg: Arg) -> Arg {
    let id = arg.get_id().as_str();
    if let Some(place) = COMMON.iter().position(|common| *common == id) {
        return arg.display_order(place);
    }
    let group = GROUPS.iter().find(|(_, flags)| flags.contains(&id));
    let Some((heading, flags)) = group else { return arg };
    let place = flags.iter().position(|flag| *flag == id).unwrap_or_default();
    arg.help_heading(*heading).display_order(place).hide_short_help(true)
}

/// Leaves the rare flags of `warm` to `--help`.
pub(super) fn of_warm(arg: Arg) -> Arg {
    let is_rare = RARE_OF_WARM.contains(&arg.get_id().as_str());
    arg.hide_short_help(is_rare)
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_flag_of_serve_is_common_or_has_a_heading() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        let grouped = || GROUPS.iter().flat_map(|(_, flags)| flags.iter());
        let flags: Vec<_> = serve.get_arguments().map(|arg| arg.get_id().as_str()).collect();
        for flag in flags.iter().filter(|flag| **flag != "dir") {
            let places = COMMON.iter().chain(grouped()).filter(|known| *known == flag).count();
            assert_eq!(places, 1, "give `{flag}` one place in `GROUPS` or `COMMON` of {}", file!());
        }
        let gone = COMMON.iter().chain(grouped()).find(|known| !flags.contains(known));
        assert_eq!(gone, None, "`serve` has no such flag");
    }

    #[test]
    fn examples_are_command_lines_that_parse() {
        for Page { command, examples, .. } in PAGES {
            for example in *examples {
                let words = example.split(" > ").next().unwrap().split(' ');
                let words = words.map(|word| word.trim_matches('\''));
                Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{example}: {error}"));
                assert!(example.starts_with(&format!("cachecompress {command}")), "{example}");
            }
        }
    }

    /// The commands without commands of their own, each with its help.
    fn leaves(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        for inner in command.get_subcommands() {
            let path = format!("{path} {}", inner.get_name());
            match inner.has_subcommands() {
                true => leaves(inner, &path, found),
                false => found.push((path.trim_start().to_owned(), inner.clone())),
            }
        }
    }

    #[test]
    fn every_command_has_an_example_and_exit_codes() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        assert_eq!(found.len(), PAGES.len());
        for (path, mut command) in found {
            let example = page(&path).unwrap_or_else(|| panic!("{path}")).examples.last().unwrap();
            let short = command.render_help().to_string();
            assert!(short.contains(example), "{path}: {short}");
            let long = command.render_long_help().to_string();
            for text in ["Examples:\n", example, "Exit codes:\n    0  "] {
                assert!(long.contains(text), "{path} lacks {text:?}: {long}");
            }
        }
    }
}
