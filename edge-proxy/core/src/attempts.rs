//! Failed logins: who has to wait, and who is not heard for a while. An attacker locks out nobody but itself and those
//! who come under the same name from the same network; whoever logged in from a network lately is let through whatever
//! others do.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use ahash::RandomState;
use writ_model::{DurationMs, Timestamp};

/// How long a failure counts, from the first one of its kind.
pub const WINDOW: DurationMs = DurationMs::from_seconds(60);
/// Failures under one name from one network, of what can be guessed: after so many, that name is not heard from there
/// until the window ends.
pub const FAILURES_OF_NAME_MAX: u32 = 5;
/// Failures from one network, whatever the names: the same for those that never logged in from there.
pub const FAILURES_OF_NETWORK_MAX: u32 = 50;
/// Failures under one name from all networks, of what can be guessed: after so many, those that never logged in so from theirs wait.
pub const FAILURES_EVERYWHERE_MAX: u32 = 100;
/// How long they wait for their answer.
pub const WAIT: DurationMs = DurationMs::from_seconds(1);
/// How long it is remembered who logged in from where.
pub const KNOWN_FOR: DurationMs = DurationMs::from_seconds(24 * 60 * 60);
/// Counts that are kept at once; a new one takes the place of the oldest. Of those who logged in, as many again.
pub const COUNTS_MAX: usize = 65_536;

/// The bits of an IPv6 address that one customer of a provider has alike, at least.
const IPV6_NETWORK_BITS: u32 = 64;

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A password: another one may be the right one.
    Password,
    /// A token that nobody signed. To try others leads nowhere, and takes no name away from who has a good one.
    Token,
}

/// What becomes of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is heard.
    Go,
    /// It is heard after so long.
    Wait(DurationMs),
    /// It is not heard; the next one is, after so long.
    Refuse(DurationMs),
}

/// The network that an address counts for: IPv4 addresses alone, IPv6 addresses by their first 64 bits.
#[must_use]
pub fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) & (u128::MAX << IPV6_NETWORK_BITS),
    }
}

/// One count, and when it began.
#[derive(Debug, Clone, Copy)]
struct Count {
    since: Timestamp,
    number: u32,
}

/// Counts that end after a while, the oldest first.
#[derive(Debug)]
struct Counts {
    lasts: DurationMs,
    /// By a keyed hash: nobody can choose names that fall together.
    counts: HashMap<u64, Count>,
    /// The keys of `counts`, the oldest first.
    order: VecDeque<u64>,
}

impl Counts {
    fn new(lasts: DurationMs) -> Self {
        Self { lasts, counts: HashMap::new(), order: VecDeque::new() }
    }

    /// The number under `key`, and how long it still counts.
    fn get(&self, key: u64, now: Timestamp) -> Option<(u32, DurationMs)> {
        let Count { since, number } = self.counts.get(&key)?;
        let left = since.plus(self.lasts).since(now);
        (left.0 > 0).then_some((*number, left))
    }

    fn add(&mut self, key: u64, now: Timestamp) {
        self.forget(now);
        if let Some(count) = self.counts.get_mut(&key) {
            count.number = count.number.saturating_add(1);
            return;
        }
        if self.counts.len() >= COUNTS_MAX {
            self.forget_oldest();
        }
        self.counts.insert(key, Count { since: now, number: 1 });
        self.order.push_back(key);
    }

    fn clear(&mut self, key: u64) {
        if let Some(count) = self.counts.get_mut(&key) {
            count.number = 0;
        }
    }

    /// Forgets what has ended: each is looked at once, so this costs no more than counting did.
    fn forget(&mut self, now: Timestamp) {
        while let Some(oldest) = self.order.front() {
            if self.get(*oldest, now).is_some() {
                return;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.counts.remove(&oldest);
        }
    }
}

/// Failed logins at one edge.
#[derive(Debug)]
pub struct Attempts {
    hasher: RandomState,
    failures: Counts,
    known: Counts,
}

impl Attempts {
    /// Nothing yet; the seed must come from a secure source of randomness.
    #[must_use]
    pub fn new(seed: [u64; 4]) -> Self {
        let [a, b, c, d] = seed;
        Self {
            hasher: RandomState::with_seeds(a, b, c, d),
            failures: Counts::new(WINDOW),
            known: Counts::new(KNOWN_FOR),
        }
    }

    fn keys(&self, name: &str, address: IpAddr) -> [u64; 3] {
        let network = network(address);
        let of_name = self.hasher.hash_one((name, Some(network)));
        let of_network = self.hasher.hash_one(network);
        let everywhere = self.hasher.hash_one((name, None::<u128>));
        [of_name, of_network, everywhere]
    }

    /// What becomes of a try under `name`, which nobody needs to have, from `address`.
    #[must_use]
    pub fn verdict(&self, name: &str, address: IpAddr, now: Timestamp) -> Verdict {
        let [of_name, of_network, everywhere] = self.keys(name, address);
        let above = |key, most| {
            self.failures.get(key, now).filter(|(number, _)| *number >= most).map(|(_, left)| left)
        };
        if let Some(left) = above(of_name, FAILURES_OF_NAME_MAX) {
            return Verdict::Refuse(left);
        }
        if self.known.get(of_name, now).is_some() {
            return Verdict::Go;
        }
        if let Some(left) = above(of_network, FAILURES_OF_NETWORK_MAX) {
            return Verdict::Refuse(left);
        }
        match above(everywhere, FAILURES_EVERYWHERE_MAX) {
            Some(_) => Verdict::Wait(WAIT),
            None => Verdict::Go,
        }
    }

    /// A try failed.
    pub fn failed(&mut self, what: Failure, name: &str, address: IpAddr, now: Timestamp) {
        let [of_name, of_network, everywhere] = self.keys(name, address);
        self.failures.add(of_network, now);
        if what == Failure::Password {
            self.failures.add(of_name, now);
            self.failures.add(everywhere, now);
        }
    }

    /// A try was good.
    pub fn succeeded(&mut self, name: &str, address: IpAddr, now: Timestamp) {
        let [of_name, ..] = self.keys(name, address);
        self.failures.clear(of_name);
        self.known.add(of_name, now);
    }

    /// How many counts are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.failures.counts.len() + self.known.counts.len()
    }

    /// Whether nobody failed or logged in lately.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
