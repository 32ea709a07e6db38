//! How many connections each address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

/// Counts connections for each address; addresses without one are forgotten.
pub(crate) struct Addresses {
    each: u32,
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, u32>>,
}

/// A place for a connection, which its end gives back.
pub(crate) struct Place {
    addresses: Arc<Addresses>,
    /// Nothing where nobody counts.
    address: Option<IpAddr>,
}

/// The addresses that one machine may choose from count as one: of IPv6, a network of 64 bits.
pub(crate) fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

impl Addresses {
    /// `each` connections for an address, 0 for any number. This machine's own and `exempt` networks have any number.
    pub(crate) fn new(each: u32, exempt: &[IpNet]) -> Arc<Self> {
        Arc::new(Self { each, exempt: exempt.to_vec(), open: Mutex::default() })
    }

    /// Nothing when the address has as many as it may.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        if self.each == 0 || peer.is_loopback() || self.exempt.iter().any(|network| network.contains(&peer)) {
            return Some(Place { addresses: Arc::clone(self), address: None });
        }
        let address = neighbourhood(peer);
        let mut open = self.open();
        let count = open.get(&address).copied().unwrap_or_default();
        if count >= self.each {
            return None;
        }
        open.insert(address, count + 1);
        Some(Place { addresses: Arc::clone(self), address: Some(address) })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut open = self.addresses.open();
        match open.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&address)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_has_its_places_and_hinders_no_other() {
        let addresses = Addresses::new(2, &["10.0.0.0/8".parse().unwrap()]);
        let take = |peer: &str| addresses.take(peer.parse().unwrap());
        let held = [take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap()];
        assert!(take("2001:db8::3").is_none());
        assert!(take("2001:db8:0:1::3").is_some());
        let four = [take("192.0.2.1").unwrap(), take("::ffff:192.0.2.1").unwrap()];
        assert!(take("192.0.2.1").is_none());
        for free in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3"] {
            let many: Vec<Place> = (0..5).map(|_| take(free).unwrap()).collect();
            drop(many);
        }
        drop(held);
        assert!(take("2001:db8::3").is_some());
        drop(four);
        assert!(addresses.open().is_empty());
        let any = Addresses::new(0, &[]);
        assert!((0..9).all(|_| any.take("192.0.2.1".parse().unwrap()).is_some()));
    }
}
