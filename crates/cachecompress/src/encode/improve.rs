//! The thread of the second pass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::scheduler::{EncodeScheduler, WeakScheduler};
use super::second_pass::{Candidate, SecondPass};
use crate::concurrency::progress::Stage;
use crate::concurrency::{may_wait, priority};
use crate::error::Failure;
use crate::limits::{LEDGER_EVERY, RECOMPRESS_LOOK};
use crate::log;

/// Starts the thread, which ends soon after [`SecondPass::end`].
pub(crate) fn start(scheduler: &EncodeScheduler, second_pass: &Arc<SecondPass>) {
    let (scheduler, second_pass) = (scheduler.downgrade(), Arc::clone(second_pass));
    let thread = std::thread::Builder::new().name("cc-second".to_owned());
    if let Err(error) = thread.spawn(move || run(&scheduler, &second_pass)) {
        log::warn!(%error, "cannot start the thread that makes entries smaller");
    }
}

fn run(scheduler: &WeakScheduler, second_pass: &Arc<SecondPass>) {
    may_wait::allow();
    // Answers are to find better entries at once.
    second_pass.derive();
    if !second_pass.is_on() {
        return;
    }
    priority::idle();
    second_pass.restore();
    let mut stored = Instant::now();
    while second_pass.wait(RECOMPRESS_LOOK) {
        while second_pass.may_begin() {
            let Some(scheduler) = scheduler.upgrade() else { return };
            let Some(candidate) = second_pass.choose(scheduler.costs()) else { break };
            if !improve(&scheduler, second_pass, &candidate) {
                break;
            }
        }
        if stored.elapsed() >= LEDGER_EVERY {
            stored = Instant::now();
            second_pass.store();
        }
    }
}

/// Makes one entry smaller. An encode that is interrupted may begin again later. Returns whether the encode ended.
fn improve(
    scheduler: &EncodeScheduler,
    second_pass: &Arc<SecondPass>,
    candidate: &Candidate,
) -> bool {
    let Candidate { catalog, resource, codec, .. } = candidate;
    second_pass.begin();
    match scheduler.encode_here((catalog, resource), codec, second_pass) {
        Some(Stage::Finished { shared, len }) if shared.kept => {
            second_pass.ended(candidate, Some(len), shared.took);
        }
        Some(Stage::Finished { .. })
        | Some(Stage::Failed { why: Failure::Unprofitable | Failure::Encoder, .. }) => {
            second_pass.ended(candidate, None, Duration::ZERO);
        }
        Some(Stage::Failed { why: Failure::Abandoned | Failure::Dropped, .. }) | None => {
            second_pass.interrupted();
            return false;
        }
        Some(_) => {
            second_pass.failed(candidate);
            return false;
        }
    }
    true
}
