//! Reloads of the configuration, each when it is asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::config::ServeConfig;
use crate::exit::Failure;
use crate::limits::RELOADS;
use crate::live::Reloader;
use crate::printer::Escaped;
use crate::supervisor::Supervisor;

/// A function that reads the configuration anew.
pub(crate) type ReadConfig = Box<dyn Fn() -> Result<ServeConfig, Failure> + Send + Sync>;

/// The outcome of a reload: the generation that is in force since, or a sentence.
pub(crate) type Reloaded = Result<u64, String>;

/// Reloads the configuration.
pub(crate) struct Reload {
    read: ReadConfig,
    pub(crate) reloader: Arc<Reloader>,
    /// Told of each reload.
    supervisor: Supervisor,
    /// The longest wait for one. It goes on behind the next ones.
    patience: Duration,
    /// A place for each that reads the disk.
    places: Arc<Semaphore>,
    /// Held by the one that is waited for.
    turn: tokio::sync::Mutex<()>,
}

impl Reload {
    pub(crate) fn new(
        read: ReadConfig,
        reloader: Arc<Reloader>,
        supervisor: Supervisor,
        patience: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            read,
            reloader,
            supervisor,
            patience,
            places: Arc::new(Semaphore::new(RELOADS)),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Reloads each time that somebody has `asked`, for as long as the runtime runs. Further calls while
    /// one runs ask for one more.
    pub(crate) async fn at_each(self: Arc<Self>, asked: Arc<Notify>) {
        loop {
            asked.notified().await;
            let _ = self.once().await;
        }
    }

    /// Reloads now, after those that others wait for.
    ///
    /// # Errors
    ///
    /// A sentence if what was in force stays so, or if the disk does not answer in time.
    pub(crate) async fn once(self: &Arc<Self>) -> Reloaded {
        let reload = Arc::clone(self);
        // The service manager is told of its end even if nobody waits for it.
        let outcome = tokio::spawn(async move {
            let _turn = reload.turn.lock().await;
            reload.supervisor.reloading();
            let outcome = reload.try_once().await;
            reload.supervisor.reloaded();
            outcome
        });
        outcome.await.unwrap_or_else(|error| Err(format!("a reload failed: {error}")))
    }

    async fn try_once(self: &Arc<Self>) -> Reloaded {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let sentence = format!("{RELOADS} reloads wait for a disk that does not answer");
            tracing::error!("cannot reload: {sentence}; nothing has changed");
            return self.failed(self.reloader.turn(), sentence);
        };
        let (reload, turn) = (Arc::clone(self), self.reloader.turn());
        // A disk may hang.
        let read = tokio::task::spawn_blocking(move || {
            let outcome = reload.read_and_tell(turn);
            drop(place);
            outcome
        });
        match timeout(self.patience, read).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::error!(%error, "a reload failed");
                self.failed(turn, format!("a reload failed: {error}"))
            }
            Err(_) => {
                let sentence = "a reload waits for a disk that does not answer";
                tracing::error!("{sentence}; nothing has changed so far");
                self.failed(turn, sentence.to_owned())
            }
        }
    }

    /// Reads the configuration and puts it into force, and logs what came of it.
    fn read_and_tell(&self, turn: u64) -> Reloaded {
        match (self.read)().and_then(|config| self.reloader.reload(turn, config)) {
            Ok(fixed) => {
                let live = self.reloader.live().load_full();
                tracing::info!(sites = live.sites.len(), "reloaded the configuration");
                if !fixed.is_empty() {
                    let flags = fixed.join(", ");
                    tracing::warn!(flags, "changes of these take effect at the next start");
                }
                self.reloader.reload_succeeded();
                Ok(live.generation)
            }
            Err(failure) => {
                tracing::error!("cannot reload: {}; nothing has changed", Escaped(&failure));
                self.failed(turn, Escaped(&failure).to_string())
            }
        }
    }

    fn failed(&self, turn: u64, sentence: String) -> Reloaded {
        self.reloader.reload_failed(turn, sentence.clone());
        Err(sentence)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;
    use std::sync::{Mutex, mpsc};

    use tempfile::TempDir;

    use super::*;
    use crate::config_file;

    fn config(dir: &Path) -> ServeConfig {
        let dir = dir.to_str().unwrap();
        let arguments = ["cachecompress", "serve", dir, "--cache-size", "0"].map(OsString::from);
        ServeConfig::resolve(&config_file::resolve(&arguments, None).unwrap()).unwrap()
    }

    fn roots(reloader: &Reloader) -> Vec<std::path::PathBuf> {
        reloader.current().sites.iter().map(|site| site.root.clone()).collect()
    }

    #[tokio::test]
    async fn reload_that_hangs_holds_up_no_other_and_comes_too_late() {
        let [one, two]: [TempDir; 2] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let reloader =
            Arc::new(Reloader::start(Arc::new(config(one.path())), 16, None, |_| ()).unwrap());
        let (go, wait) = mpsc::channel::<()>();
        let (hangs, hung) = mpsc::channel();
        let (first, second) = (Mutex::new(Some((hangs, wait))), two.path().to_owned());
        let at = one.path().to_owned();
        let read = move || {
            let first = first.lock().unwrap().take();
            let Some((hangs, wait)) = first else { return Ok(config(&second)) };
            hangs.send(()).unwrap();
            let _ = wait.recv();
            Ok(config(&at))
        };
        let asked = Arc::new(Notify::new());
        let reload = Reload::new(
            Box::new(read),
            Arc::clone(&reloader),
            Supervisor::default(),
            Duration::from_millis(1),
        );
        let reloads = tokio::spawn(Arc::clone(&reload).at_each(Arc::clone(&asked)));
        asked.notify_one();
        while hung.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        while reloader.live().load().generation == 0 {
            asked.notify_one();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(roots(&reloader), [two.path()]);
        let late = reloader.reload(0, config(one.path())).unwrap_err();
        assert!(late.to_string().contains("a later reload"), "{late}");
        assert_eq!(roots(&reloader), [two.path()]);
        drop(go);
        while reload.places.available_permits() < RELOADS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(reloader.last_reload().borrow().error, None, "the later one is in force");
        reloads.abort();
    }

    #[tokio::test]
    async fn last_error_is_that_of_the_last_reload() {
        let dir = tempfile::tempdir().unwrap();
        let reloader =
            Arc::new(Reloader::start(Arc::new(config(dir.path())), 16, None, |_| ()).unwrap());
        let fails = Arc::new(Mutex::new(true));
        let (path, failing) = (dir.path().to_owned(), Arc::clone(&fails));
        let read = move || match *failing.lock().unwrap() {
            true => Err(Failure::Usage("no root".to_owned())),
            false => Ok(config(&path)),
        };
        let reload =
            Reload::new(Box::new(read), reloader, Supervisor::default(), Duration::from_secs(60));
        let last_error = || reload.reloader.last_reload().borrow().error.clone();
        assert_eq!(last_error(), None);
        assert_eq!(reload.once().await, Err("no root".to_owned()));
        assert_eq!(last_error(), Some("no root".to_owned()));
        *fails.lock().unwrap() = false;
        assert_eq!(reload.once().await, Ok(1));
        assert_eq!(last_error(), None);
    }
}
