//! Leaders and followers.

use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use super::explore;
use crate::concurrency::progress::{Stage, Watch};
use crate::concurrency::singleflight::{Join, Leader, SingleFlight};
use crate::concurrency::sync::Arc;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Why {
    #[default]
    Abandoned,
    Disk,
}

type Plain = SingleFlight<u8, u8, Why>;

/// The end of a leader.
#[derive(Clone, Copy, Debug)]
enum End {
    Finishes,
    Fails,
    /// The end by a panic, which drops the leader. (loom cannot switch threads during one.)
    IsDropped,
}

/// The shared state of one model's participants.
struct World {
    flights: Plain,
    leading: AtomicUsize,
    produced: AtomicBool,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            flights: SingleFlight::new(),
            leading: AtomicUsize::new(0),
            produced: AtomicBool::new(false),
        })
    }

    fn lead(&self, lead: Leader<u8, u8, Why>, end: End) {
        assert_eq!(self.leading.fetch_add(1, Ordering::SeqCst), 0, "two lead at once");
        lead.progress().start(1);
        lead.progress().commit(3);
        self.leading.fetch_sub(1, Ordering::SeqCst);
        match end {
            End::Finishes => {
                self.produced.store(true, Ordering::SeqCst);
                lead.finish(1, 5);
            }
            End::Fails => lead.fail(Why::Disk),
            End::IsDropped => drop(lead),
        }
    }

    /// Leads or follows to the end. Returns whether it led.
    fn take_part(&self, end: End) -> bool {
        match self.flights.join(&1) {
            Join::Lead(lead) => {
                // A later leader looks first, and must find the product of the earlier one.
                let produced = self.produced.load(Ordering::SeqCst);
                self.lead(lead, end);
                !produced
            }
            Join::Follow(progress) => {
                let seen = block_on(Watch::new(&progress).until(Stage::ended));
                let expected = match end {
                    End::Finishes => Stage::Finished { shared: 1, len: 5 },
                    End::Fails => Stage::Failed { why: Why::Disk, committed: 3 },
                    End::IsDropped => Stage::Failed { why: Why::Abandoned, committed: 3 },
                };
                assert_eq!(seen, expected);
                false
            }
        }
    }
}

fn three_take_part(name: &str, end: End) {
    explore(name, 2, move || {
        let world = World::new();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let world = Arc::clone(&world);
                thread::spawn(move || world.take_part(end))
            })
            .collect();
        let mut produced = usize::from(world.take_part(end));
        for other in others {
            produced += usize::from(other.join().unwrap());
        }
        match end {
            End::Finishes => assert_eq!(produced, 1, "made more than once"),
            // A failure is no product, so each participant may have tried.
            End::Fails | End::IsDropped => assert!((1..=3).contains(&produced)),
        }
        assert_eq!(world.flights.len(), 0, "a flight that has ended is kept");
    });
}

#[test]
fn finished_leader_is_followed_and_not_repeated() {
    three_take_part("a leader that finishes", End::Finishes);
}

#[test]
fn failed_leader_passes_its_error_to_followers() {
    three_take_part("a leader that fails", End::Fails);
}

#[test]
fn dropped_leader_wakes_its_followers() {
    three_take_part("a leader that is dropped", End::IsDropped);
}

/// A leader begins after the end of the flight before it. If it began between that end and the
/// removal of the key, two would lead at once.
#[test]
fn join_leads_only_after_the_end_that_it_races_with() {
    explore("a join at the end", 3, || {
        let flights = Arc::new(Plain::new());
        let Join::Lead(lead) = flights.join(&1) else { panic!("the flight has a leader") };
        let first = Arc::clone(lead.progress());
        let ending = thread::spawn(move || drop(lead));
        match flights.join(&1) {
            Join::Lead(second) => {
                assert!(first.stage().ended(), "two flights at once");
                drop(second);
            }
            Join::Follow(progress) => {
                assert!(block_on(Watch::new(&progress).until(Stage::ended)).ended());
            }
        }
        ending.join().unwrap();
        assert_eq!(flights.len(), 0);
    });
}

/// A request joins a lookup that began too early, and then a later one, never the same again.
#[test]
fn second_join_running_finds_a_later_flight() {
    explore("two joins of running flights", 3, || {
        let flights = Arc::new(Plain::new());
        let Join::Lead(leader) = flights.join_running(&1) else { panic!("no flight runs yet") };
        let ending = thread::spawn(move || leader.finish(1, 5));
        if let Join::Follow(first) = flights.join_running(&1) {
            assert!(block_on(Watch::new(&first).until(Stage::ended)).ended());
            match flights.join_running(&1) {
                Join::Lead(second) => assert!(!Arc::ptr_eq(second.progress(), &first)),
                Join::Follow(_) => panic!("the first flight has ended, and nobody else leads"),
            }
        }
        ending.join().unwrap();
        assert_eq!(flights.len(), 0);
    });
}

/// A shutdown waits for the flights under way while they end and others begin.
#[test]
fn shutdown_ends_while_flights_end_and_begin() {
    explore("a shutdown", 3, || {
        let world = World::new();
        let other = Arc::clone(&world);
        let other = thread::spawn(move || other.take_part(End::Finishes));
        for progress in world.flights.under_way() {
            assert!(block_on(Watch::new(&progress).until(Stage::ended)).ended());
        }
        assert!(other.join().unwrap());
    });
}
