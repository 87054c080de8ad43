//! A page of Markdown as a list of blocks.

use crate::common::*;
use crate::stage::without_dates;

/// The parts of a page that are run.
pub(crate) struct Page {
    pub(crate) blocks: Vec<Block>,
    /// The text outside of blocks.
    pub(crate) prose: String,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The file and the line of the fence.
    pub(crate) place: String,
    /// The heading above it.
    pub(crate) heading: String,
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

/// The meaning of a block, by the words after its fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `sh`: commands, each of which must succeed. `cachecompress serve` runs until the next one.
    Commands,
    /// `console`: commands after `$ `, each with its whole output. The line `...` is any lines.
    Session,
    /// `sh kubectl`: commands to a cluster, which are not run. What they name stands in `deploy/kubernetes`.
    Cluster,
    /// `toml`: `cachecompress.toml`. It is checked, and the program is started with it.
    Configuration,
    /// `toml netlify.toml` and the like: the configuration of another program. It must be TOML.
    Foreign(String),
    /// `text dist/_headers` and the like: a file. The program is started again with it.
    File(String),
    Nginx,
    Caddyfile,
    /// `rust examples/src/bin/NAME.rs`: that program, which is built with all others. `rust` alone is
    /// `readme.rs`.
    Example(String),
    /// `rust leptos 0.8.1` and the like: a program on that framework, which `cargo xtask frameworks`
    /// compiles. Here its syntax is checked, and that the page says the version.
    Framework(String),
    /// `dockerfile`: commands in the form of arrays, which are run as those of `sh` are.
    Dockerfile,
    /// `yaml prometheus.yml`: the configuration of Prometheus, which promtool checks.
    Prometheus,
}

impl Page {
    /// Reads the page, and fails for a block without a known language.
    pub(crate) fn read(path: &Path) -> Self {
        let name = path.file_name().unwrap().to_string_lossy();
        let text = fs::read_to_string(path).unwrap();
        let (mut blocks, mut heading, mut prose) = (Vec::new(), String::new(), String::new());
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let place = format!("{name}:{}", index + 1);
            if let Some(title) = line.strip_prefix("## ") {
                title.clone_into(&mut heading);
            }
            assert!(!line.starts_with("    "), "{place}: an indented block has no language");
            let Some(words) = line.strip_prefix("```") else {
                prose += line;
                prose.push('\n');
                continue;
            };
            let inner = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            let text = inner.map(|line| format!("{line}\n")).collect();
            let kind = Kind::of(words)
                .unwrap_or_else(|| panic!("{place}: nobody knows how to run `{words}`"));
            blocks.push(Block { place, heading: heading.clone(), text, kind });
        }
        Self { blocks, prose }
    }

    /// Whether there is a block of the kind.
    pub(crate) fn has(&self, kind: &Kind) -> bool {
        self.blocks.iter().any(|block| block.kind == *kind)
    }
}

impl Kind {
    fn of(words: &str) -> Option<Self> {
        Some(match words.split_once(' ').unwrap_or((words, "")) {
            ("sh", "") => Self::Commands,
            ("sh", "kubectl") => Self::Cluster,
            ("console", "") => Self::Session,
            ("toml", "") => Self::Configuration,
            ("toml", file) => Self::Foreign(file.into()),
            ("text", file) if !file.is_empty() => Self::File(file.into()),
            ("nginx", "") => Self::Nginx,
            ("caddyfile", "") => Self::Caddyfile,
            ("rust", "") => Self::Example("examples/src/bin/readme.rs".into()),
            ("rust", file) if file.ends_with(".rs") => Self::Example(file.into()),
            ("rust", framework) => Self::Framework(framework.into()),
            ("dockerfile", "") => Self::Dockerfile,
            ("yaml", "prometheus.yml") => Self::Prometheus,
            _ => return None,
        })
    }
}

/// The commands of a block: a line that ends with `\` goes on in the next one.
pub(crate) fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// The commands of a session, and the output that the page has for each.
pub(crate) fn session(text: &str) -> Vec<(String, Vec<String>)> {
    let joined = text.replace("\\\n", " ");
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in joined.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => found.push((command.into(), Vec::new())),
            None => found.last_mut().expect("a session begins with $").1.push(without_dates(line)),
        }
    }
    found
}

/// Whether `output` has the lines of the page. The line `...` stands for any lines.
pub(crate) fn agrees(output: &[String], page: &[String]) -> bool {
    match page.split_first() {
        None => output.is_empty(),
        Some((dots, rest)) if dots == "..." => {
            (0..=output.len()).any(|from| agrees(&output[from..], rest))
        }
        Some((line, rest)) => output.first() == Some(line) && agrees(&output[1..], rest),
    }
}

#[test]
fn agrees_compares_line_by_line_and_dots_stand_for_any() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (output, page, same) in [
        ("a\nb", "a\nb", true),
        ("a\nb", "a", false),
        ("a", "a\nb", false),
        ("a\nb\nc", "a\n...\nc", true),
        ("a\nb\nc", "...\nb", false),
    ] {
        assert_eq!(agrees(&lines(output), &lines(page)), same, "{output:?} and {page:?}");
    }
}

#[test]
fn kind_of_an_unknown_language_is_none() {
    assert_eq!(Kind::of("sh"), Some(Kind::Commands));
    for words in ["", "bash", "text", "json"] {
        assert_eq!(Kind::of(words), None, "{words}");
    }
}
