//! The watch over the files of rules of all sites.

use std::sync::{Arc, PoisonError, Weak};
use std::{io, thread};

use crate::exit::Failure;
use crate::limits::SITE_RULES_INTERVAL;
use crate::live::Reloader;
use crate::printer::Escaped;
use crate::site::RulesInForce;
use crate::site_rules::RuleFiles;

/// Starts the thread that looks at the files. It ends with `reloader`.
///
/// A site is opened anew when its files have changed. It reads the disk, so no thread that serves does.
///
/// # Errors
///
/// If there can be no thread.
pub(crate) fn start(reloader: &Arc<Reloader>) -> io::Result<()> {
    let reloader = Arc::downgrade(reloader);
    let watch = move || while look(&reloader).is_some() {};
    thread::Builder::new().name("site-rules".to_owned()).spawn(watch).map(drop)
}

/// Waits and looks at all sites; `None` at the end.
fn look(reloader: &Weak<Reloader>) -> Option<()> {
    // Two looks see a change, together within the time for which a file counts as unchanged.
    let wait = reloader.upgrade()?.current().revalidate / 2;
    thread::sleep(wait.max(SITE_RULES_INTERVAL));
    let reloader = reloader.upgrade()?;
    let live = reloader.live().load_full();
    for (index, site) in live.sites.all().iter().enumerate() {
        if let Some(rules) = &site.rules {
            look_at(&reloader, index, rules);
        }
    }
    Some(())
}

/// Looks at the files of one site, and opens it anew if they have changed. A wrong file is told once.
fn look_at(reloader: &Reloader, index: usize, rules: &Arc<RulesInForce>) {
    let now = RuleFiles::read(&*rules.directory);
    let mut looks = rules.looks.lock().unwrap_or_else(PoisonError::into_inner);
    if !looks.look(&now) {
        return;
    }
    let opened = match &now {
        Ok(_) => reloader.reopen(index, rules),
        Err(sentence) => Err(Failure::Usage(sentence.clone())),
    };
    match opened {
        Ok(()) => tracing::info!("read _headers and _redirects again"),
        // The directory is being replaced. The next look tries again.
        Err(failure @ Failure::Runtime(_)) => tracing::debug!("{}", Escaped(&failure)),
        Err(failure) => {
            tracing::error!("{}; the rules of before stay in force", Escaped(&failure));
            looks.refuse(now);
        }
    }
}
