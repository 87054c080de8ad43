//! `cargo xtask sites`: whole sites by the newest tools, clicked through in a browser.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::command::{cargo, exit_code, run_in};
use crate::tools::{REAL_SITES, Tools};
use crate::{step, tools, workspace};

/// The application of Next, which its own starter would build with fonts from elsewhere.
const NEXT: [(&str, &str); 6] = [
    ("package.json", r#"{ "name": "next-export", "private": true }"#),
    ("next.config.mjs", "export default { output: \"export\" };\n"),
    (
        "app/layout.js",
        "import Link from 'next/link';\nexport const metadata = { title: 'Next' };\n\
         export default function Layout({ children }) {\n\
           return <html lang=\"en\"><body><nav><Link href=\"/\">Home</Link> \
         <Link href=\"/about\">About</Link> <Link href=\"/ports/brest\">Brest</Link></nav>\
         <main>{children}</main></body></html>;\n}\n",
    ),
    ("app/icon.svg", r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>"#),
    ("app/page.js", "export default function Page() { return <h1>Home</h1>; }\n"),
    (
        "app/about/page.js",
        "export const metadata = { title: 'About' };\n\
         export default function Page() { return <h1>About</h1>; }\n",
    ),
];
const NEXT_PORTS: &str = "\
export const generateStaticParams = () => [{ port: 'brest' }, { port: 'cuxhaven' }];
export async function generateMetadata({ params }) { return { title: (await params).port }; }
export default async function Page({ params }) { return <h1>{(await params).port}</h1>; }
";

/// Builds a site in an empty directory.
type Build = fn(&Path) -> Result<(), String>;

/// Builds all sites, and runs the tests that visit them.
pub(crate) fn run_all() -> ExitCode {
    let tools = Tools::find_for(&[REAL_SITES]).install();
    let dir = workspace::target_dir().join("sites");
    let builds: [Build; 4] = [vite, docusaurus, next, mdbook];
    let mut missing = tools.missing();
    for (name, build) in ["vite", "docusaurus", "next", "mdbook"].into_iter().zip(builds) {
        println!("=== {name}");
        if let Err(sentence) = clear(&dir.join(name)).and_then(|()| build(&dir.join(name))) {
            missing.push(format!("{name}: {sentence}"));
        }
    }
    let words = ["test", "--package", "cachecompress-server", "--no-fail-fast", "--test"];
    let command = tools.tell(cargo(&[&words[..], &["real_sites"]].concat()));
    let result = step::run("sites", vec![command]);
    for sentence in &missing {
        println!("SKIPPED {sentence}");
    }
    println!("{}", result.totals);
    exit_code(result.ok && missing.is_empty())
}

/// Makes an empty directory.
fn clear(dir: &Path) -> Result<(), String> {
    let explained = |error: std::io::Error| format!("{}: {error}", dir.display());
    if dir.is_dir() {
        fs::remove_dir_all(dir).map_err(explained)?;
    }
    fs::create_dir_all(dir).map_err(explained)
}

fn vite(dir: &Path) -> Result<(), String> {
    run_in(dir, &["npm", "create", "--yes", "vite@latest", ".", "--", "--template", "react"])?;
    run_in(dir, &["npm", "install", "--no-audit", "--no-fund"])?;
    run_in(dir, &["npm", "run", "build"])
}

fn docusaurus(dir: &Path) -> Result<(), String> {
    let create = ["npx", "--yes", "create-docusaurus@latest", "site", "classic"];
    run_in(dir, &[&create[..], &["--javascript", "--skip-install"]].concat())?;
    let site = dir.join("site");
    run_in(&site, &["npm", "install", "--no-audit", "--no-fund"])?;
    run_in(&site, &["npm", "run", "build"])
}

fn next(dir: &Path) -> Result<(), String> {
    for (name, text) in NEXT.into_iter().chain([("app/ports/[port]/page.js", NEXT_PORTS)]) {
        let path = dir.join(name);
        let explained = |error: std::io::Error| format!("{}: {error}", path.display());
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(explained)?;
        fs::write(&path, text).map_err(explained)?;
    }
    let packages = ["next@latest", "react@latest", "react-dom@latest"];
    run_in(dir, &[&["npm", "install", "--no-audit", "--no-fund"][..], &packages].concat())?;
    run_in(dir, &["npx", "next", "build"])
}

fn mdbook(dir: &Path) -> Result<(), String> {
    let mdbook = tools::mdbook()?;
    let mdbook = mdbook.to_string_lossy();
    run_in(dir, &[&mdbook, "init", "--force", "--title", "A book"])?;
    run_in(dir, &[&mdbook, "build"])
}
