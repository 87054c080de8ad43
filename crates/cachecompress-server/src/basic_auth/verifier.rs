//! The checks of passwords, a few at once, on threads that serve nothing.

use std::collections::{HashMap, VecDeque};
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::credentials::Credentials;
use super::memory::{Digest, Memory};
use super::users::Users;
use crate::exit::Failure;
use crate::limits::{
    BCRYPT_PASSWORD_BYTES, CORES_PER_PASSWORD_THREAD, PASSWORD_CHECKS, PASSWORD_CHECKS_PER_CLIENT,
    PASSWORD_TIMEOUT, PASSWORD_WAITERS,
};
use crate::peer::ClientAddress;

/// Checks the credentials of requests. Clones share the threads and the memory.
#[derive(Clone)]
pub(crate) struct Verifier(Arc<Shared>);

struct Shared {
    /// The key of the digests. Nobody outside of this process knows it.
    secret: [u8; 32],
    most_threads: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    memory: Memory,
    /// The keys of `jobs` that no thread has taken, the oldest first.
    queue: VecDeque<Digest>,
    jobs: HashMap<Digest, Job>,
    /// The requests that wait for all jobs.
    waiters: usize,
    threads: usize,
    #[cfg(test)]
    checks: usize,
}

/// A check that waits or runs, for all requests with the same credentials.
struct Job {
    client: ClientAddress,
    candidate: Arc<Candidate>,
    waiters: Vec<oneshot::Sender<bool>>,
}

/// A password and the hash that it should have.
struct Candidate {
    /// The hash of the user's password and its cost; `None` for an unknown user.
    hash: Option<(Arc<str>, u32)>,
    /// The cost of all checks.
    cost: u32,
    password: Vec<u8>,
}

/// The outcome of a check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The password is that of this user.
    Right(Arc<str>),
    /// There are no credentials, or they are wrong.
    Wrong,
    /// Others are checked first, too many of them.
    Busy,
}

/// A check that has begun.
pub(crate) enum Check {
    Done(Verdict),
    Pending(Pending),
}

/// A check whose outcome comes later.
pub(crate) struct Pending {
    outcome: oneshot::Receiver<bool>,
    user: Option<Arc<str>>,
}

impl Verifier {
    /// Makes a verifier, which has no thread before there is something to check.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut secret = [0; 32];
        let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        random.fill(&mut secret).map_err(|_| {
            Failure::Runtime("cannot get random numbers from the system".to_owned())
        })?;
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let most_threads = (cores / CORES_PER_PASSWORD_THREAD).max(1);
        Ok(Self(Arc::new(Shared { secret, most_threads, state: Mutex::default() })))
    }

    /// Begins to check the credentials of a request of `client` with these `headers`.
    ///
    /// Whether a user is unknown shows neither in the outcome nor in its time.
    pub(crate) fn check(&self, users: &Users, headers: &HeaderMap, client: ClientAddress) -> Check {
        let Some(mut credentials) = Credentials::of(headers) else {
            return Check::Done(Verdict::Wrong);
        };
        // bcrypt reads no more of a password. One right password is one digest.
        credentials.password.truncate(BCRYPT_PASSWORD_BYTES);
        let user = users.find(&credentials.user);
        let hash = user.map(|user| &*user.hash).unwrap_or_default();
        let digest = self.digest(hash, &credentials);
        let name = user.map(|user| Arc::clone(&user.name));
        let mut state = self.0.lock();
        if let Some(is_right) = state.memory.recall(&digest, Instant::now()) {
            return Check::Done(verdict(is_right, name));
        }
        let (sender, outcome) = oneshot::channel();
        if state.waiters >= PASSWORD_WAITERS {
            return Check::Done(Verdict::Busy);
        }
        if let Some(job) = state.jobs.get_mut(&digest) {
            job.waiters.push(sender);
            state.waiters += 1;
            return Check::Pending(Pending { outcome, user: name });
        }
        let of_client = state.jobs.values().filter(|job| job.client == client).count();
        if state.jobs.len() >= PASSWORD_CHECKS || of_client >= PASSWORD_CHECKS_PER_CLIENT {
            return Check::Done(Verdict::Busy);
        }
        let candidate = Arc::new(Candidate {
            hash: user.map(|user| (Arc::clone(&user.hash), user.cost)),
            cost: users.cost,
            password: credentials.password,
        });
        state.jobs.insert(digest, Job { client, candidate, waiters: vec![sender] });
        state.queue.push_back(digest);
        state.waiters += 1;
        self.staff(&mut state);
        Check::Pending(Pending { outcome, user: name })
    }

    /// Starts a thread if there are too few.
    fn staff(&self, state: &mut State) {
        if state.threads == self.0.most_threads {
            return;
        }
        let shared = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name("passwords".to_owned());
        match thread.spawn(move || shared.work()) {
            Ok(_) => state.threads += 1,
            // The requests are told that the server is busy.
            Err(_) if state.threads == 0 => {
                state.queue.clear();
                state.jobs.clear();
                state.waiters = 0;
            }
            Err(_) => {}
        }
    }

    /// A digest of `credentials` that another hash, user or password changes.
    fn digest(&self, hash: &str, credentials: &Credentials) -> Digest {
        let mut digest = Sha256::new();
        digest.update(self.0.secret);
        for part in [hash.as_bytes(), credentials.user.as_bytes(), &credentials.password] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the jobs of the queue until it is empty.
    fn work(&self) {
        while let Some((digest, candidate)) = self.next() {
            let is_right = candidate.is_right();
            let mut state = self.lock();
            state.memory.remember(digest, is_right, Instant::now());
            for waiter in state.end(&digest) {
                let _ = waiter.send(is_right);
            }
        }
    }

    /// Takes a job for which a request still waits. Without one the thread counts no more.
    fn next(&self) -> Option<(Digest, Arc<Candidate>)> {
        let mut state = self.lock();
        while let Some(digest) = state.queue.pop_front() {
            match state.jobs.get(&digest) {
                Some(job) if !job.waiters.iter().all(oneshot::Sender::is_closed) => {
                    let candidate = Arc::clone(&job.candidate);
                    #[cfg(test)]
                    {
                        state.checks += 1;
                    }
                    return Some((digest, candidate));
                }
                _ => drop(state.end(&digest)),
            }
        }
        state.threads -= 1;
        None
    }
}

impl State {
    /// Removes a job and returns who waits for it.
    fn end(&mut self, digest: &Digest) -> Vec<oneshot::Sender<bool>> {
        let waiters = self.jobs.remove(digest).map(|job| job.waiters).unwrap_or_default();
        self.waiters -= waiters.len();
        waiters
    }
}

impl Candidate {
    /// Checks the password in constant time. The whole takes as long as one hash of the cost of all.
    fn is_right(&self) -> bool {
        let Some((hash, cost)) = &self.hash else {
            self.spend(self.cost);
            return false;
        };
        let is_right = bcrypt::verify(&self.password, hash).unwrap_or(false);
        // 2^c + 2^c + 2^(c+1) + ... + 2^(m-1) = 2^m.
        (*cost..self.cost).for_each(|cost| self.spend(cost));
        is_right
    }

    fn spend(&self, cost: u32) {
        let _ = std::hint::black_box(bcrypt::hash_with_salt(&self.password, cost, [0; 16]));
    }
}

impl Pending {
    /// Waits for the outcome.
    pub(crate) async fn verdict(self) -> Verdict {
        match timeout(PASSWORD_TIMEOUT, self.outcome).await {
            Ok(Ok(is_right)) => verdict(is_right, self.user),
            _ => Verdict::Busy,
        }
    }
}

fn verdict(is_right: bool, user: Option<Arc<str>>) -> Verdict {
    user.filter(|_| is_right).map_or(Verdict::Wrong, Verdict::Right)
}

#[cfg(test)]
mod tests;
