//! The watch over the files of rules of all sites.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::exit::Failure;
use crate::limits::{SITE_RULES_INTERVAL, SITE_RULES_NAP, SITE_RULES_TIMEOUT};
use crate::live::Reloader;
use crate::printer::{Escaped, EscapedPath};
use crate::site::RulesInForce;
use crate::site_rules::RuleFiles;

/// Looks at the files for as long as the runtime runs.
///
/// A site is opened anew when its files have changed. Threads that serve nothing read the disk.
pub(crate) async fn run(reloader: Arc<Reloader>) {
    let mut pending = Pending::default();
    loop {
        // Two looks see a change, together within the time for which a file counts as unchanged.
        wait(|| reloader.current().revalidate / 2).await;
        let live = reloader.live().load_full();
        for (index, site) in live.sites.all().iter().enumerate() {
            let Some(rules) = &site.rules else { continue };
            let look = {
                let (reloader, rules) = (Arc::clone(&reloader), Arc::clone(rules));
                move || look_at(&reloader, index, &rules)
            };
            let key = Arc::as_ptr(rules).addr();
            if pending.look(key, SITE_RULES_TIMEOUT, look).await.is_err() {
                let root = EscapedPath(&rules.root);
                tracing::warn!(%root, "reading _headers and _redirects takes long; they may be stale");
            }
        }
    }
}

/// Waits as long as `interval` says in the end: a reload may change it meanwhile.
async fn wait(interval: impl Fn() -> Duration) {
    let begun = Instant::now();
    while let Some(nap) = nap(begun.elapsed(), interval()) {
        sleep(nap).await;
    }
}

/// The time to sleep before the next question for the `interval`, of which so much has `passed`; `None` at
/// its end.
fn nap(passed: Duration, interval: Duration) -> Option<Duration> {
    let left = interval.max(SITE_RULES_INTERVAL).saturating_sub(passed);
    (!left.is_zero()).then_some(left.min(SITE_RULES_NAP))
}

/// The looks that wait for a disk, by site.
#[derive(Default)]
struct Pending(HashMap<usize, JoinHandle<()>>);

/// A look takes too long.
#[derive(Debug, PartialEq, Eq)]
struct Hangs;

impl Pending {
    /// Runs `look` at `site`, unless an earlier one still runs, and waits for it with `patience`.
    async fn look(
        &mut self,
        site: usize,
        patience: Duration,
        look: impl FnOnce() + Send + 'static,
    ) -> Result<(), Hangs> {
        self.0.retain(|_, look| !look.is_finished());
        if self.0.contains_key(&site) {
            return Ok(());
        }
        let mut look = tokio::task::spawn_blocking(look);
        match timeout(patience, &mut look).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::error!(%error, "a look at files of rules failed");
                Ok(())
            }
            Err(_) => {
                self.0.insert(site, look);
                Err(Hangs)
            }
        }
    }
}

/// Looks at the files of one site, and opens it anew if they have changed. A wrong file is told once.
fn look_at(reloader: &Reloader, index: usize, rules: &Arc<RulesInForce>) {
    let now = RuleFiles::read(&*rules.directory);
    let mut looks = rules.looks.lock().unwrap_or_else(PoisonError::into_inner);
    if !looks.look(&now, Instant::now().into_std()) {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn look_that_hangs_holds_up_its_own_site_alone() {
        let (go, wait) = mpsc::channel::<()>();
        let looks = Arc::new(AtomicU64::new(0));
        let count = |looks: &Arc<AtomicU64>| {
            let looks = Arc::clone(looks);
            move || {
                looks.fetch_add(1, Ordering::Relaxed);
            }
        };
        let mut pending = Pending::default();
        let hangs = move || {
            let _ = wait.recv();
        };
        assert_eq!(pending.look(1, Duration::from_millis(1), hangs).await, Err(Hangs));
        let long = Duration::from_secs(3600);
        assert_eq!(pending.look(2, long, count(&looks)).await, Ok(()));
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        assert_eq!(pending.look(1, long, count(&looks)).await, Ok(()));
        assert_eq!(looks.load(Ordering::Relaxed), 1, "one look at a site at a time");
        drop(go);
        while !pending.0[&1].is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pending.look(1, long, count(&looks)).await, Ok(()));
        assert_eq!(looks.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn wait_asks_for_the_interval_every_second() {
        let (second, long) = (Duration::from_secs(1), Duration::from_secs(1800));
        for (passed, interval, expected) in [
            (Duration::ZERO, long, Some(second)),
            (5 * second, long, Some(second)),
            (5 * second, second, None),
            (second / 2, second, Some(second / 2)),
            (long, long, None),
            (Duration::ZERO, Duration::ZERO, Some(SITE_RULES_INTERVAL)),
        ] {
            assert_eq!(nap(passed, interval), expected, "{passed:?} of {interval:?}");
        }
    }
}
