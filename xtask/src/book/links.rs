//! The links of a built book: each leads to a file that there is, and to an anchor in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use html5gum::{DefaultEmitter, Token, Tokenizer};

use crate::workspace;

/// Files of this repository by their address. A link to one is checked against the working tree.
const REPOSITORY: &str = "https://github.com/cachecompress/cachecompress/";
/// Pages that mdBook makes beside the chapters. `print.html` repeats all, and `404.html` has no place.
const NO_CHAPTERS: [&str; 3] = ["404.html", "print.html", "toc.html"];
/// Chapters that are no page of their own.
const SUMMARY: &str = "SUMMARY.md";

/// The anchors and the links of a page.
#[derive(Debug, Default)]
struct Page {
    anchors: BTreeSet<String>,
    links: BTreeSet<String>,
}

/// One sentence for each link of the book in `out` that leads nowhere, and for each page under `docs` of
/// the repository `root` that the summary does not name.
///
/// # Errors
///
/// If a page cannot be read, or the book has none.
pub(super) fn check(out: &Path, root: &Path) -> Result<Vec<String>, String> {
    let mut pages = BTreeMap::new();
    for path in workspace::files_under(out, "html") {
        let text = fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        pages.insert(path.strip_prefix(out).unwrap_or(&path).to_owned(), Page::read(&text));
    }
    let summary = pages.get(Path::new("toc.html")).ok_or("the book has no table of contents")?;
    let docs = root.join("docs");
    let chapters = workspace::files_under(&docs, "md");
    let missing = chapters.iter().filter_map(|path| {
        let name = path.strip_prefix(&docs).unwrap_or(path);
        let page = name.with_extension("html").to_string_lossy().into_owned();
        let is_there = name == Path::new(SUMMARY) || summary.links.contains(&page);
        (!is_there).then(|| format!("docs/{SUMMARY} does not name {}", name.display()))
    });
    let mut complaints: Vec<String> = missing.collect();
    for (path, page) in &pages {
        if !NO_CHAPTERS.iter().any(|name| path == Path::new(name)) {
            let wrong = |link: &String| wrong(link, path, &pages, out, root);
            let sentences = page.links.iter().filter_map(wrong);
            complaints.extend(sentences.map(|sentence| format!("{}: {sentence}", path.display())));
        }
    }
    complaints.sort();
    Ok(complaints)
}

impl Page {
    fn read(html: &str) -> Self {
        let mut emitter = DefaultEmitter::default();
        // Text in scripts is no markup.
        emitter.naively_switch_states(true);
        let mut page = Self::default();
        for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
            let Token::StartTag(tag) = token else { continue };
            for (name, value) in &tag.attributes {
                let value = String::from_utf8_lossy(&value.value).into_owned();
                match name.as_slice() {
                    b"id" => drop(page.anchors.insert(value)),
                    b"href" | b"src" => drop(page.links.insert(value)),
                    _ => {}
                }
            }
        }
        page
    }
}

/// The reason why a link of the page at `path` is wrong, if it is.
fn wrong(
    link: &str,
    path: &Path,
    pages: &BTreeMap<PathBuf, Page>,
    out: &Path,
    root: &Path,
) -> Option<String> {
    if let Some(rest) = link.strip_prefix(REPOSITORY) {
        let file = ["blob/main/", "tree/main/", "edit/main/"];
        let file = file.iter().find_map(|kind| rest.strip_prefix(kind))?;
        let file = file.split(['#', '?']).next().unwrap_or(file);
        return (!root.join(file).exists())
            .then(|| format!("{link}: the repository has no {file}"));
    }
    if link.split_once(':').is_some_and(|(scheme, _)| !scheme.contains(['/', '#', '?', '.'])) {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let file = file.split('?').next().unwrap_or(file);
    let target = match file {
        "" => Some(path.to_owned()),
        file => normal(&path.parent().unwrap_or(Path::new("")).join(file)),
    };
    let Some(target) = target else { return Some(format!("{link} leads out of the book")) };
    if !out.join(&target).is_file() {
        return Some(format!("{link}: the book has no {}", target.display()));
    }
    let has_anchor = pages.get(&target).is_none_or(|page| page.anchors.contains(anchor));
    (!anchor.is_empty() && !has_anchor)
        .then(|| format!("{link}: {} has no such anchor", target.display()))
}

/// The path without `.` and `..`. `None` if it is absolute or leads above its start.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => normal.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The complaints about a book with these files, for a repository that has `docs/a.md`.
    fn complaints(name: &str, a: &str, toc: &str) -> Vec<String> {
        let dir = workspace::root().join(workspace::target_dir()).join("test-books").join(name);
        for (file, text) in [
            ("docs/a.md", ""),
            ("out/a.html", a),
            ("out/b/c.html", "<p id=there>"),
            ("out/toc.html", toc),
        ] {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
        check(&dir.join("out"), &dir).expect("a book")
    }

    #[test]
    fn check_passes_links_that_lead_somewhere() {
        let page = "<p id=here><a href='#here'></a><a href='b/c.html#there'></a><a href='./a.html'></a>\
            <a href='https://example.org/gone'></a><a href='mailto:a@example.org'></a>\
            <a href='https://github.com/cachecompress/cachecompress/blob/main/docs/a.md#x'></a>\
            <script>'<a href=gone>'</script>";
        assert_eq!(complaints("right", page, "<a href='a.html'>"), [""; 0]);
    }

    #[test]
    fn check_names_each_link_that_leads_nowhere() {
        let page = "<a href='#gone'></a><a href='b/c.html#gone'></a><a href='gone.html'></a>\
            <img src='gone.svg'><a href='../a.html'></a><a href='/a.html'></a>\
            <a href='https://github.com/cachecompress/cachecompress/blob/main/gone.rs'></a>";
        let found = complaints("wrong", page, "<a href='a.html'>");
        assert_eq!(found.len(), 7, "{found:#?}");
        assert!(found.iter().all(|sentence| sentence.starts_with("a.html: ")), "{found:#?}");
    }

    #[test]
    fn check_names_a_page_that_the_summary_lacks() {
        assert_eq!(complaints("orphan", "", ""), ["docs/SUMMARY.md does not name a.md"]);
    }
}
