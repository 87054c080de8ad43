//! The page of the flags.

use clap::{Arg, Command, CommandFactory as _};

use super::WRITTEN_BY;
use super::markdown::{code, paragraphs};
use crate::cli::Cli;

/// The page: a section for each command, and in it a section for each flag.
pub(in crate::commands) fn flags() -> String {
    let mut root = Cli::command();
    root.build();
    let mut commands = Vec::new();
    collect(&root, "", &mut commands);
    let mut page = format!(
        "# Commands and flags\n\nThis page has every command and every flag, as `--help` explains them. \
         {WRITTEN_BY} Under each flag stand its variable, its default and its meaning. \
         [The configuration file](keys.md) has the flags of `serve` as keys.\n"
    );
    for (index, (name, command)) in commands.iter().enumerate() {
        page += &section(name, command, &commands[..index]);
    }
    page
}

/// The commands that are run, with their names behind `cachecompress`.
fn collect<'a>(command: &'a Command, name: &str, found: &mut Vec<(String, &'a Command)>) {
    for inner in command.get_subcommands() {
        let name = format!("{name} {}", inner.get_name()).trim_start().to_owned();
        if inner.has_subcommands() {
            collect(inner, &name, found);
        } else {
            found.push((name, inner));
        }
    }
}

/// The section of a command. A flag that an earlier one explains in the same words is only named.
fn section(name: &str, command: &Command, earlier: &[(String, &Command)]) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let about = command.get_long_about().or(command.get_about());
    let mut section = format!("\n## {name}\n\n```text\n{usage}\n```\n");
    let about = about.map(ToString::to_string).unwrap_or_default();
    section += &all_paragraphs(&about);
    let mut shared: Vec<(&str, Vec<&Arg>)> = Vec::new();
    let mut own = Vec::new();
    for arg in shown(command) {
        let same = |other: &Arg| other.get_id() == arg.get_id() && help(other) == help(arg);
        match earlier.iter().find(|(_, command)| shown(command).any(same)) {
            Some((name, _)) => match shared.last_mut() {
                Some((last, args)) if last == name => args.push(arg),
                _ => shared.push((name, vec![arg])),
            },
            None => own.push(arg),
        }
    }
    if own.len() > LISTED_FROM {
        section += &format!("\nAll: {}.\n", links(&own));
    }
    for (name, args) in shared {
        let anchor = name.replace(' ', "-");
        let is_all =
            earlier.iter().any(|(of, command)| of == name && shown(command).count() == args.len());
        // Flags of later commands may have the name of an earlier one, and so no plain anchor.
        let has_anchors = earlier.first().is_some_and(|(first, _)| first == name);
        let args = match (is_all, has_anchors) {
            (true, _) => "all flags".to_owned(),
            (false, true) => links(&args),
            (false, false) => names(&args),
        };
        section += &format!("\nAs for [{name}](#{anchor}): {args}.\n");
    }
    let after = command.get_after_long_help().or(command.get_after_help());
    section += &after.map(|after| blocks(&after.to_string())).unwrap_or_default();
    own.into_iter().for_each(|arg| section += &entry(arg));
    section
}

/// The number of flags beyond which a command begins with a list of them.
const LISTED_FROM: usize = 20;

fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_built_in = |arg: &&Arg| ["help", "version"].contains(&arg.get_id().as_str());
    command.get_arguments().filter(move |arg| !arg.is_hide_set() && !is_built_in(arg))
}

fn links(args: &[&Arg]) -> String {
    let links = args.iter().map(|arg| format!("[{}](#{})", code(&name(arg)), anchor(arg)));
    links.collect::<Vec<_>>().join(", ")
}

fn names(args: &[&Arg]) -> String {
    args.iter().map(|arg| code(&name(arg))).collect::<Vec<_>>().join(", ")
}

/// The section of a flag.
fn entry(arg: &Arg) -> String {
    let (help, mut default) = parted(&help(arg));
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    let defaults = defaults.collect::<Vec<_>>().join(",");
    if !defaults.is_empty() && !arg.is_hide_default_value_set() && takes_value(arg) {
        default = Some(code(&defaults));
    }
    let mut facts = vec![code(&usage(arg))];
    facts.extend(arg.get_env().map(|name| code(&name.to_string_lossy())));
    facts.extend(default.map(|default| format!("default: {default}")));
    let mut entry = format!("\n### {}\n\n{}\n", heading(arg), facts.join(", "));
    entry += &all_paragraphs(&help);
    let choices = choices(arg);
    if !choices.is_empty() {
        entry += &format!("\nOne of {}.\n", choices.join(", "));
    }
    entry
}

/// The help without the default in brackets at the end of a paragraph, and that default.
fn parted(help: &str) -> (String, Option<String>) {
    let mut default = None;
    let paragraphs = help.split("\n\n").map(|paragraph| {
        let inner = paragraph.trim_end().trim_end_matches('.').strip_suffix(']');
        match inner.and_then(|text| text.rsplit_once("[default: ")) {
            Some((before, found)) => {
                default = Some(found.split_whitespace().collect::<Vec<_>>().join(" "));
                before.trim_end()
            }
            None => paragraph,
        }
    });
    let help = paragraphs.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n");
    (help, default)
}

fn help(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help());
    help.map(ToString::to_string).unwrap_or_default()
}

/// The text behind the flags: paragraphs, and lists of indented lines under a line of their own.
fn blocks(text: &str) -> String {
    let block =
        |block: &str| match block.split_once(":\n").filter(|(_, rest)| rest.starts_with("  ")) {
            Some((title, lines)) => {
                let indent = |line: &str| line.len() - line.trim_start().len();
                let least = lines.lines().map(indent).min().unwrap_or(0);
                let lines: Vec<_> = lines.lines().map(|line| &line[least..]).collect();
                format!("\n{title}:\n\n```text\n{}\n```\n", lines.join("\n"))
            }
            None => all_paragraphs(block),
        };
    text.split("\n\n").map(block).collect()
}

fn all_paragraphs(help: &str) -> String {
    paragraphs(help).iter().map(|paragraph| format!("\n{}\n", ended(paragraph))).collect()
}

/// The paragraph with a full stop at its end, as a sentence of a page has it.
fn ended(paragraph: &str) -> String {
    let is_ended = paragraph.ends_with(['.', ':']);
    format!("{paragraph}{}", if is_ended { "" } else { "." })
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// The names of the values, where the flag takes only some and its usage does not list them.
fn choices(arg: &Arg) -> Vec<String> {
    if arg.is_hide_possible_values_set() || !takes_value(arg) || usage(arg).contains('|') {
        return Vec::new();
    }
    let values = arg.get_possible_values();
    values.iter().filter(|value| !value.is_hide_set()).map(|value| code(value.get_name())).collect()
}

/// The flag without its value: `--cache-size`, or `DIR`.
fn name(arg: &Arg) -> String {
    arg.get_long().map_or_else(|| value_name(arg), |long| format!("--{long}"))
}

/// The heading, whose anchor is the same on GitHub and in the book.
fn heading(arg: &Arg) -> String {
    code(&name(arg))
}

fn anchor(arg: &Arg) -> String {
    name(arg).to_lowercase()
}

/// The flag with its value: `--cache-size SIZE`.
fn usage(arg: &Arg) -> String {
    let Some(long) = arg.get_long() else { return value_name(arg) };
    if !takes_value(arg) {
        return format!("--{long}");
    }
    let is_optional = arg.get_num_args().is_some_and(|count| count.min_values() == 0);
    match is_optional {
        true => format!("--{long}[={}]", value_name(arg)),
        false => format!("--{long} {}", value_name(arg)),
    }
}

fn value_name(arg: &Arg) -> String {
    let name = arg.get_value_names().and_then(|names| names.first());
    name.map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parted_takes_the_default_out_of_the_help() {
        for (text, help, default) in [
            (
                "The most connections [default: 10000]\n\nMore wait.",
                "The most connections\n\nMore wait.",
                "10000",
            ),
            (
                "Directory\n\n[default: the user's\n+ /x]\n\nMore.",
                "Directory\n\nMore.",
                "the user's + /x",
            ),
        ] {
            assert_eq!(parted(text), (help.to_owned(), Some(default.to_owned())));
        }
        assert_eq!(parted("One [of two]\n\nTwo"), ("One [of two]\n\nTwo".to_owned(), None));
    }

    #[test]
    fn blocks_keep_the_lines_of_lists() {
        let text =
            "Examples:\n  one --all\n  two\n\nIt ends.\n\nExit codes:\n    0  done\n  130  not";
        let page = "\nExamples:\n\n```text\none --all\ntwo\n```\n\nIt ends.\n\nExit codes:\n\n```text\n  0  done\n130  not\n```\n";
        assert_eq!(blocks(text), page);
    }

    #[test]
    fn flags_names_the_flags_of_another_command_once() {
        let page = flags();
        assert_eq!(page.matches("### `--cache-dir`").count(), 1, "{page}");
        assert!(page.contains("As for [serve](#serve): [`--config`](#--config), "), "{page}");
        assert!(page.contains("As for [serve](#serve): all flags."), "{page}");
        assert!(page.contains("As for [inspect](#inspect): `--host`."), "{page}");
    }
}
