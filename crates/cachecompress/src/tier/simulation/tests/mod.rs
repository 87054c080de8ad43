//! The scenarios, each with what it promises.

mod figures;

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::fleet::{Outcome, Plan, Replica, run};
use super::network::{Fault, Network, Weather};
use crate::limits::{
    BREAKER_LONGEST_PAUSE, LEASE_CALL, LEASE_LIFE, LEASE_LOOK, LONGEST_LEASE_POLL,
};

const SECOND: Duration = Duration::from_secs(1);

/// The most calls of a replica in the first second, in which it finds out what the store supports and polls
/// often.
const CALLS_AT_START: u64 = 10;
/// The most calls a second of a replica that waits for long.
const CALLS_OF_WAIT: u64 = 2;
/// The longest time from the end of a production to the replicas that wait for it.
const POLLED: Duration = LEASE_LOOK.saturating_add(LONGEST_LEASE_POLL).saturating_add(SECOND);

async fn run_noted(scenario: &str, plan: Plan) -> Outcome {
    let replicas = plan.replicas;
    let outcome = run(plan).await;
    figures::note_run(scenario, replicas, &outcome);
    outcome
}

/// All replicas start within two seconds and want the same objects.
async fn roll_out(replicas: usize) {
    let plan = Plan { replicas, ..Plan::default() };
    let encode = plan.encode;
    let outcome = run_noted("rollout", plan).await;
    for productions in &outcome.productions {
        assert_eq!(productions.len(), 1, "{replicas} replicas: {productions:?}");
    }
    assert!(outcome.longest_wait < encode + POLLED, "{:?}", outcome.longest_wait);
    let peak = outcome.network.calls_of_busiest_second();
    assert!(peak <= CALLS_AT_START * replicas as u64, "{peak} calls of {replicas} in a second");
}

#[tokio::test(start_paused = true)]
async fn fleet_without_faults_produces_each_object_once() {
    for replicas in [1, 10, 20, 50, 100, 200, 500] {
        roll_out(replicas).await;
    }
}

#[tokio::test(start_paused = true)]
async fn thousand_replicas_produce_each_object_once() {
    roll_out(1000).await;
}

#[tokio::test(start_paused = true)]
async fn run_repeats_with_its_seed() {
    let weather = Weather { loss: 0.05, ..Weather::default() };
    let plan = Plan { weather, replicas: 50, ..Plan::default() };
    let [first, second] = [run(plan.clone()).await, run(plan).await];
    assert_eq!(first.took, second.took);
    assert_eq!(first.network.calls(), second.network.calls());
}

#[tokio::test(start_paused = true)]
async fn replicas_that_wait_long_make_few_calls() {
    for replicas in [10, 100, 1000] {
        let plan = Plan { replicas, encode: 60 * SECOND, names: 1, ..Plan::default() };
        let outcome = run_noted("wait", plan).await;
        assert_eq!(outcome.all_productions(), 1);
        let of_second = |second| outcome.network.calls_of_second(second * SECOND);
        let calls = (10..60).map(of_second).sum::<u64>() / 50;
        assert!(calls <= CALLS_OF_WAIT * replicas as u64, "{calls} calls of {replicas}");
    }
}

#[tokio::test(start_paused = true)]
async fn dead_owner_delays_others_by_the_life_of_its_lease_and_polls() {
    let plan = Plan { owners_die: true, replicas: 1000, ..Plan::default() };
    let encode = plan.encode;
    let outcome = run_noted("dead owners", plan).await;
    for productions in &outcome.productions {
        assert_eq!(productions.len(), 1, "{productions:?}");
    }
    let wait = outcome.longest_wait;
    assert!(wait > LEASE_LIFE, "{wait:?}: nobody died");
    // The dead one renews its lease until it dies. Then another encodes.
    let until_free = encode + POLLED + LEASE_LIFE + LONGEST_LEASE_POLL;
    assert!(wait < until_free + encode + POLLED, "{wait:?}");
}

/// The lease is held through many renewals, of which some are lost, while clocks run at rates between which
/// there is a factor of two. Those who give up encode without it.
#[tokio::test(start_paused = true)]
async fn lease_has_one_owner_under_loss_and_delay_and_skew() {
    for seed in 0..10 {
        let latency = Duration::from_millis(100);
        let weather = Weather { loss: 0.02, latency, spread: 0.8, ..Weather::default() };
        let encode = 30 * SECOND;
        let plan = Plan { clocks: 2.0, encode, weather, seed, ..Plan::default() };
        let outcome = run_noted("skew", plan).await;
        assert_eq!(outcome.owners_at_once, 1, "{seed}: {:?}", outcome.productions);
    }
}

/// A replica encodes without a lease if two calls in a row fail of some twenty that it makes for an object.
/// With 1,000 replicas and one call of 100 lost, that is two replicas.
fn expected_to_give_up(replicas: usize, loss: f64) -> f64 {
    replicas as f64 * 20.0 * loss * loss
}

#[tokio::test(start_paused = true)]
async fn productions_stay_few_when_calls_are_lost() {
    for (replicas, loss) in [(20, 0.01), (200, 0.01), (200, 0.05), (1000, 0.01)] {
        let mut all = 0;
        for seed in 0..5 {
            let weather = Weather { loss, spread: 1.0, ..Weather::default() };
            let plan = Plan { replicas, weather, seed, ..Plan::default() };
            let outcome = run_noted(&format!("loss of {loss}"), plan).await;
            let wait = outcome.longest_wait;
            // Its calls fail, and then those of the owner that it waits for.
            let longest = 2 * Plan::default().encode + LEASE_LIFE + POLLED + 6 * LEASE_CALL;
            assert!(wait < longest, "{wait:?}");
            all += outcome.all_productions();
        }
        let objects = 5 * Plan::default().names;
        let mean = all as f64 / objects as f64;
        assert!(mean <= 1.2 + expected_to_give_up(replicas, loss), "{replicas} {loss}: {mean}");
    }
}

#[tokio::test(start_paused = true)]
async fn store_without_conditions_has_two_owners_at_most() {
    let rough = Weather { honours_create: false, honours_update: false, ..Weather::default() };
    for seed in 0..100 {
        // One call of 40 takes more than half a second.
        let latency = Duration::from_millis(30);
        let weather = Weather { latency, spread: 1.5, ..rough.clone() };
        let plan = Plan { replicas: 20, weather, seed, start: Duration::ZERO, ..Plan::default() };
        let outcome = run_noted("no conditions", plan).await;
        assert!(outcome.owners_at_once <= 2, "{seed}: {:?}", outcome.productions);
        assert!(outcome.most_productions() <= 2, "{seed}: {:?}", outcome.productions);
    }
    let outcome = run_noted("no conditions", Plan { weather: rough, ..Plan::default() }).await;
    assert_eq!(outcome.most_productions(), 1, "{:?}", outcome.productions);
}

#[tokio::test(start_paused = true)]
async fn replicas_beyond_a_partition_work_alone() {
    let faults = vec![(3 * SECOND..60 * SECOND, Fault::Partition(0..20))];
    let weather = Weather { faults, ..Weather::default() };
    let outcome = run_noted("partition", Plan { weather, names: 10, ..Plan::default() }).await;
    for productions in &outcome.productions {
        let inside = productions.iter().filter(|replica| **replica >= 20).count();
        assert!(inside <= 1, "{productions:?}");
        let mut beyond: Vec<_> = productions.iter().filter(|replica| **replica < 20).collect();
        beyond.sort_unstable();
        beyond.dedup();
        assert_eq!(beyond.len() + inside, productions.len(), "one made an object twice");
    }
    // An owner beyond it, and then the production of one inside.
    let longest = LEASE_LIFE + POLLED + 2 * Plan::default().encode + 2 * LEASE_CALL;
    assert!(outcome.longest_wait < longest, "{:?}", outcome.longest_wait);
}

#[tokio::test(start_paused = true)]
async fn storm_of_refusals_holds_nobody_up() {
    let faults = vec![(2 * SECOND..20 * SECOND, Fault::Storm(0.5))];
    let weather = Weather { faults, ..Weather::default() };
    let plan = Plan { weather, names: 10, replicas: 1000, ..Plan::default() };
    let outcome = run_noted("storm", plan).await;
    let peak = outcome.network.calls_of_busiest_second();
    assert!(peak <= CALLS_AT_START * 1000, "{peak} calls in a second");
    let longest = 2 * Plan::default().encode + LEASE_LIFE + POLLED;
    assert!(outcome.longest_wait < longest, "{:?}", outcome.longest_wait);
}

#[tokio::test(start_paused = true)]
async fn rollout_goes_on_through_an_outage() {
    let faults = vec![(2 * SECOND..62 * SECOND, Fault::Outage)];
    let weather = Weather { faults, ..Weather::default() };
    let plan = Plan { weather, names: 40, replicas: 1000, ..Plan::default() };
    let outcome = run_noted("outage in a rollout", plan).await;
    // Owners that the outage cut off have left leases, which expire after it.
    let longest = LEASE_LIFE + POLLED + Plan::default().encode;
    assert!(outcome.longest_wait < longest, "{:?}", outcome.longest_wait);
    let calls = |second: u32| outcome.network.calls_of_second(second * SECOND);
    let peak = |seconds: std::ops::Range<u32>| seconds.map(calls).max().unwrap_or(0);
    let (start, after) = (peak(0..2), peak(62..130));
    assert!(calls(62) < start / 10, "{} calls in the first second, {start} at start", calls(62));
    assert!(after < start, "{after} calls in a second after it, and {start} at the start");
    let figures: Vec<u64> = (0..130).map(calls).collect();
    figures::note_seconds("outage in a rollout", 1000, &figures);
}

/// A replica that asks for an object about once a second, as the breaker allows.
async fn ask_for_ever(replica: Arc<Replica>, mut random: Rng) {
    loop {
        sleep(2 * SECOND.mul_f64(random.f64())).await;
        // The breaker takes note of an error.
        let _ = replica.has("common").await;
    }
}

#[tokio::test(start_paused = true)]
async fn fleet_recovers_from_an_outage_without_a_stampede() {
    let faults = vec![(60 * SECOND..120 * SECOND, Fault::Outage)];
    let network = Network::new(Weather { faults, ..Weather::default() }, 1);
    let common = Path::from("v1/e/common");
    network.memory().put(&common, "it".into()).await.expect("memory");
    let begun = Instant::now();
    let mut random = Rng::with_seed(1);
    let mut tasks = JoinSet::new();
    let fleet: Vec<Arc<Replica>> =
        (0..1000).map(|number| Arc::new(Replica::new(&network, number, 1.0, 1))).collect();
    for replica in &fleet {
        tasks.spawn(ask_for_ever(Arc::clone(replica), random.fork()));
        let replica = Arc::clone(replica);
        tasks.spawn(async move { replica.supervise().await });
    }
    sleep_until(begun + 120 * SECOND + BREAKER_LONGEST_PAUSE + SECOND).await;
    let open = fleet.iter().filter(|replica| !replica.breaker.is_closed()).count();
    assert_eq!(open, 0, "breakers are open after the longest pause");
    sleep(60 * SECOND).await;

    let calls: Vec<u64> = (0..240).map(|second| network.calls_of_second(second * SECOND)).collect();
    figures::note_seconds("outage", fleet.len(), &calls);
    let steady = calls[20..60].iter().sum::<u64>() / 40;
    assert!(calls[120] < steady / 2, "{} of {steady} calls in the first second", calls[120]);
    let peak = calls[120..].iter().copied().max().unwrap_or(0);
    assert!(peak < steady * 5 / 4, "{peak} calls in a second, and {steady} before the outage");
    let probes = calls[80..120].iter().sum::<u64>() / 40;
    assert!(probes < steady / 10, "{probes} of {steady} calls to a dead store");
    let after = calls[200..].iter().sum::<u64>() / 40;
    assert!(after > steady * 9 / 10, "{after} of {steady} calls are back");
}
