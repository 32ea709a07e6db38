//! How much drivers may write to the log over all their calls: a storm of calls must not flood it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wrought_domain::{DriverName, NodeId};

/// Nodes whose lines are counted one by one; beyond that only their driver's are.
const NODES: usize = 4096;

/// Seconds of the rate that may be written at once.
const BURST_S: u32 = 10;

/// How much more than about one node a driver may write about all of them.
const ALL_NODES: u32 = 10;

/// Between two notes that lines of a driver were dropped.
const TELL: Duration = Duration::from_secs(5);

/// Fills at a rate, up to a burst.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    lines: f64,
    filled: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { lines: rate.burst, filled: now }
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.lines = (self.lines + passed * rate.per_second).min(rate.burst);
        self.filled = now;
    }

    fn has_room(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.lines >= 1.0
    }
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: f64,
    burst: f64,
}

#[derive(Debug)]
struct Account {
    bucket: Bucket,
    /// Dropped and not told of.
    dropped: u64,
    told: Option<Instant>,
}

#[derive(Debug, Default)]
struct Books {
    /// As many as there are drivers.
    drivers: HashMap<DriverName, Account>,
    nodes: HashMap<(DriverName, NodeId), Bucket>,
}

/// Counts the lines of all calls.
#[derive(Debug)]
pub(crate) struct Throttle {
    node: Rate,
    driver: Rate,
    books: Mutex<Books>,
}

impl Throttle {
    /// `per_second` lines about one node; at once as many as one call may write, or more.
    pub(crate) fn new(per_second: u32, one_call: u32) -> Self {
        let rate = |per_second: u32| Rate {
            per_second: f64::from(per_second),
            burst: f64::from(per_second.saturating_mul(BURST_S).max(one_call).max(1)),
        };
        Self { node: rate(per_second), driver: rate(per_second.saturating_mul(ALL_NODES)), books: Mutex::default() }
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more line may be written.
    pub(crate) fn admit(&self, driver: &DriverName, node: NodeId, now: Instant) -> bool {
        let mut books = self.books();
        let Books { drivers, nodes } = &mut *books;
        let fresh = || Account { bucket: Bucket::full(self.driver, now), dropped: 0, told: None };
        let all = &mut drivers.entry(driver.clone()).or_insert_with(fresh).bucket;
        if !all.has_room(self.driver, now) {
            return false;
        }
        let key = (driver.clone(), node);
        if nodes.len() >= NODES && !nodes.contains_key(&key) {
            // Who has written nothing for a while is as good as new.
            nodes.retain(|_, bucket| {
                bucket.fill(self.node, now);
                bucket.lines < self.node.burst
            });
        }
        if nodes.len() < NODES || nodes.contains_key(&key) {
            let own = nodes.entry(key).or_insert_with(|| Bucket::full(self.node, now));
            if !own.has_room(self.node, now) {
                return false;
            }
            own.lines -= 1.0;
        }
        all.lines -= 1.0;
        true
    }

    /// Notes that lines were dropped; how many are to be told of now.
    pub(crate) fn dropped(&self, driver: &DriverName, lines: u32, now: Instant) -> Option<u64> {
        let mut books = self.books();
        let fresh = || Account { bucket: Bucket::full(self.driver, now), dropped: 0, told: None };
        let account = books.drivers.entry(driver.clone()).or_insert_with(fresh);
        account.dropped = account.dropped.saturating_add(u64::from(lines));
        account.due(now)
    }

    /// What was dropped and is to be told of by now, by driver.
    pub(crate) fn untold(&self, now: Instant) -> Vec<(DriverName, u64)> {
        let mut books = self.books();
        books.drivers.iter_mut().filter_map(|(driver, account)| Some((driver.clone(), account.due(now)?))).collect()
    }
}

impl Account {
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.dropped == 0 || self.told.is_some_and(|told| now.saturating_duration_since(told) < TELL) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn admitted(throttle: &Throttle, driver: &DriverName, node: NodeId, now: Instant) -> usize {
        (0..10_000).filter(|_| throttle.admit(driver, node, now)).count()
    }

    #[test]
    fn a_storm_of_calls_is_bounded_for_a_node_and_for_all_and_others_are_heard() {
        let (throttle, now) = (Throttle::new(20, 100), Instant::now());
        let (noisy, quiet): (DriverName, DriverName) = ("noisy".parse().unwrap(), "quiet".parse().unwrap());
        let node = |n: u128| NodeId(uuid::Uuid::from_u128(n));
        assert_eq!(admitted(&throttle, &noisy, node(1), now), 200);
        assert_eq!(admitted(&throttle, &noisy, node(1), now + Duration::from_secs(1)), 20);
        assert_eq!(admitted(&throttle, &noisy, node(2), now + Duration::from_secs(1)), 200, "another node is heard");
        let all: usize = (3..100).map(|n| admitted(&throttle, &noisy, node(n), now + Duration::from_secs(1))).sum();
        assert!(all < 2_000, "{all}");
        assert_eq!(admitted(&throttle, &quiet, node(1), now + Duration::from_secs(1)), 200, "and another driver");
        for n in 0..20_000 {
            throttle.admit(&quiet, node(n), now + Duration::from_secs(100));
        }
        assert!(throttle.books().nodes.len() <= NODES);
    }

    #[test]
    fn what_was_dropped_is_told_now_and_then_and_all_of_it() {
        let (throttle, now) = (Throttle::new(20, 100), Instant::now());
        let driver: DriverName = "noisy".parse().unwrap();
        assert_eq!(throttle.dropped(&driver, 7, now), Some(7));
        assert_eq!(throttle.dropped(&driver, 5, now), None);
        assert_eq!(throttle.dropped(&driver, 5, now + TELL / 2), None);
        assert!(throttle.untold(now + TELL / 2).is_empty());
        assert_eq!(throttle.untold(now + TELL), [(driver, 10)]);
        assert!(throttle.untold(now + TELL * 2).is_empty());
    }
}
