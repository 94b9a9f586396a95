//! How long the answer to a failed login waits: the first few are told at once, what
//! comes faster than one in a while is spread out, and what piles up is refused
//! without being looked at.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::time::Timestamp;

/// Failures of one address that are answered at once.
const FREE: u32 = 10;
/// What one failure costs: so often can an address go on failing.
const COST: Duration = Duration::from_secs(1);
/// What an address can owe at most; its answers wait for what is beyond the free ones.
const MOST: Duration = Duration::from_secs(15);
/// Addresses that are remembered. The others share what is left for them.
const ADDRESSES: usize = 10_000;

/// The failures of all addresses: for each, when it will have paid for them.
#[derive(Debug, Default)]
pub struct FailedLogins {
    paid_off: HashMap<IpAddr, Timestamp>,
}

impl FailedLogins {
    /// How long an address has to wait before a login of it is looked at, if at all.
    pub fn blocked(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let debt = self.paid_off.get(&network(address))?.since(now);
        // More than the most is owed only where the clock was set back.
        let wait = debt.checked_sub(MOST - COST).filter(|wait| !wait.is_zero());
        wait.filter(|_| debt <= MOST)
    }

    /// Notes a failure; its answer waits for so long.
    pub fn note(&mut self, address: IpAddr, now: Timestamp) -> Duration {
        let network = self.room_for(network(address), now);
        let paid_off = self.paid_off.entry(network).or_insert(now);
        *paid_off = (*paid_off).max(now).plus(COST).min(now.plus(MOST));
        paid_off.since(now).saturating_sub(COST * FREE)
    }

    /// Where the failures of a network are counted.
    fn room_for(&mut self, network: IpAddr, now: Timestamp) -> IpAddr {
        if self.paid_off.len() >= ADDRESSES && !self.paid_off.contains_key(&network) {
            self.paid_off.retain(|_, paid_off| *paid_off > now);
            if self.paid_off.len() >= ADDRESSES {
                return IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            }
        }
        network
    }
}

/// What counts as one address: of IPv6 a /64, which every host has for itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_first_failures_are_free_the_next_wait_and_a_flood_is_blocked() {
        let (mut failed, here) = (FailedLogins::default(), ip("192.0.2.1"));
        for _ in 0..10 {
            assert_eq!(failed.note(here, at(0)), Duration::ZERO);
        }
        for wait in 1..=4 {
            assert_eq!(failed.note(here, at(0)), Duration::from_secs(wait));
            assert_eq!(failed.blocked(here, at(0)), None);
        }
        for _ in 0..3 {
            assert_eq!(failed.note(here, at(0)), Duration::from_secs(5));
            assert_eq!(failed.blocked(here, at(0)), Some(COST));
        }
        assert_eq!(failed.blocked(ip("192.0.2.2"), at(0)), None);
        assert_eq!(failed.blocked(here, at(1)), None);
        assert_eq!(failed.note(here, at(15)), Duration::ZERO);
        assert_eq!(failed.blocked(here, at(-3600)), None);
    }

    #[test]
    fn a_host_is_its_whole_network_and_both_forms_of_ipv4_are_one() {
        let mut failed = FailedLogins::default();
        for i in 0..20 {
            failed.note(ip(&format!("2001:db8:1:2::{i:x}")), at(0));
            failed.note(ip("::ffff:192.0.2.1"), at(0));
        }
        assert!(failed.blocked(ip("2001:db8:1:2:ffff::1"), at(0)).is_some());
        assert!(failed.blocked(ip("2001:db8:1:3::1"), at(0)).is_none());
        assert!(failed.blocked(ip("192.0.2.1"), at(0)).is_some());
    }

    #[test]
    fn memory_is_bounded_and_who_is_not_remembered_shares_one_place() {
        let mut failed = FailedLogins::default();
        let all = u32::try_from(ADDRESSES).expect("few");
        for host in 0..all {
            failed.note(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + host)), at(0));
        }
        for host in 0..20 {
            failed.note(IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + host)), at(0));
        }
        assert_eq!(failed.paid_off.len(), ADDRESSES + 1);
        failed.note(ip("192.0.2.99"), at(100));
        assert_eq!(failed.paid_off.len(), 1);
    }
}
