//! How often something may happen: a token bucket for each address, and one for all. Kept as the time at which the bucket will be full
//! again, which is one number.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Addresses that are remembered: when there are this many, those of the half before are forgotten.
const HALF: usize = 32_768;

/// Takes a request every `interval`, and up to `burst` at once.
#[derive(Debug, Clone, Copy)]
struct Pace {
    interval: Duration,
    burst: Duration,
}

impl Pace {
    fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst: interval.saturating_mul(burst.max(1)) }
    }

    /// When the bucket is full again after a request at `now`; the time to wait when it is empty. Times count from a common start.
    fn take(self, full: Duration, now: Duration) -> Result<Duration, Duration> {
        let after = full.max(now).saturating_add(self.interval);
        match after.checked_sub(now.saturating_add(self.burst)) {
            None | Some(Duration::ZERO) => Ok(after),
            Some(wait) => Err(wait),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bucket for each address; of IPv6, for each network of 64 bits, of which whoever has one has all addresses.
pub(crate) struct Limiter {
    pace: Pace,
    started: Instant,
    seen: Mutex<Seen>,
}

/// When each bucket is full again. Two halves: what is asked for moves to the young one, and the old one is dropped when that is full.
#[derive(Default)]
struct Seen {
    young: HashMap<IpAddr, Duration>,
    old: HashMap<IpAddr, Duration>,
}

impl Seen {
    fn get(&self, source: IpAddr) -> Duration {
        self.young.get(&source).or_else(|| self.old.get(&source)).copied().unwrap_or_default()
    }

    fn put(&mut self, source: IpAddr, full: Duration) {
        if self.young.len() >= HALF && !self.young.contains_key(&source) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(source, full);
    }
}

impl Limiter {
    fn new(pace: Pace) -> Self {
        Self { pace, started: Instant::now(), seen: Mutex::default() }
    }

    /// Nothing when there is no limit.
    pub(crate) fn per_second(rate: u32, burst: u32) -> Option<Self> {
        Some(Self::new(Pace::new(Duration::from_secs(1).checked_div(rate)?, burst)))
    }

    /// Nothing when there is no limit.
    pub(crate) fn per_minute(rate: u32) -> Option<Self> {
        Some(Self::new(Pace::new(Duration::from_secs(60).checked_div(rate)?, rate)))
    }

    /// Takes one from the bucket of an address.
    ///
    /// # Errors
    /// How long until there is one.
    pub(crate) fn take(&self, source: IpAddr) -> Result<(), Duration> {
        self.take_at(source, self.started.elapsed())
    }

    /// That there is one in it.
    ///
    /// # Errors
    /// As [`Limiter::take`].
    pub(crate) fn check(&self, source: IpAddr) -> Result<(), Duration> {
        self.pace.take(lock(&self.seen).get(bucket(source)), self.started.elapsed()).map(drop)
    }

    fn take_at(&self, source: IpAddr, now: Duration) -> Result<(), Duration> {
        let source = bucket(source);
        let mut seen = lock(&self.seen);
        let full = self.pace.take(seen.get(source), now)?;
        seen.put(source, full);
        Ok(())
    }
}

fn bucket(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

/// One bucket.
pub(crate) struct Total {
    pace: Pace,
    started: Instant,
    full: Mutex<Duration>,
}

impl Total {
    /// Nothing when there is no limit.
    pub(crate) fn per_second(rate: u32, burst: u32) -> Option<Self> {
        let pace = Pace::new(Duration::from_secs(1).checked_div(rate)?, burst);
        Some(Self { pace, started: Instant::now(), full: Mutex::default() })
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long until there is one.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        let now = self.started.elapsed();
        let mut full = lock(&self.full);
        *full = self.pace.take(*full, now)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn source(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_passes_then_the_rate_and_each_address_has_its_own() {
        let limiter = Limiter::per_second(10, 5).unwrap();
        let (a, b, start) = (source("192.0.2.1"), source("192.0.2.2"), Duration::from_secs(1));
        let passed = |source, at| (0..20).filter(|_| limiter.take_at(source, at).is_ok()).count();
        assert_eq!(passed(a, start), 5);
        assert_eq!(limiter.take_at(a, start), Err(Duration::from_millis(100)));
        assert_eq!(passed(b, start), 5);
        assert_eq!(passed(a, start + Duration::from_millis(250)), 2);
        assert_eq!(passed(a, start + Duration::from_secs(60)), 5);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_ipv4_within_ipv6_is_ipv4() {
        assert_eq!(bucket(source("2001:db8::1")), bucket(source("2001:db8::ffff:1:2:3")));
        assert_ne!(bucket(source("2001:db8::1")), bucket(source("2001:db8:0:1::1")));
        assert_eq!(bucket(source("::ffff:192.0.2.1")), source("192.0.2.1"));
    }

    #[test]
    fn strangers_fill_no_memory_and_do_not_open_anothers_bucket() {
        let limiter = Limiter::per_second(1, 1).unwrap();
        let now = Duration::from_secs(1);
        let own = source("192.0.2.1");
        limiter.take_at(own, now).unwrap();
        for n in 0..u32::try_from(HALF).unwrap() - 1 {
            limiter.take_at(IpAddr::from((n | 0x0a00_0000).to_be_bytes()), now).unwrap();
        }
        assert!(limiter.take_at(own, now).is_err());
        for n in 0..200_000_u32 {
            limiter.take_at(IpAddr::from((n | 0x0b00_0000).to_be_bytes()), now).unwrap();
        }
        let seen = lock(&limiter.seen);
        assert!(seen.young.len() + seen.old.len() <= 2 * HALF);
    }

    #[test]
    fn zero_is_no_limit() {
        assert!(Limiter::per_second(0, 10).is_none() && Limiter::per_minute(0).is_none() && Total::per_second(0, 1).is_none());
    }
}
