//! What principals took in the last hour, over all their sessions at this edge.
//!
//! A window of whole minutes slides over each principal's counts: what was taken falls out of it between 60 and 61
//! minutes later. Counts are kept in memory: they are one edge's, and begin anew when it does.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use writ_model::{PrincipalId, Timestamp, Usage};

/// The length of one bucket, in seconds.
pub const BUCKET_SECONDS: i64 = 60;
/// Buckets that are looked back over, the current one not counted.
pub const BUCKETS: i64 = 60;
/// The most principals with an account of their own; further ones share one, which only makes their limits stricter.
pub const ACCOUNTS_MAX: usize = 65_536;

/// All accounts of one edge.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: Mutex<HashMap<PrincipalId, Arc<Account>>>,
    shared: Arc<Account>,
}

impl Ledger {
    /// The account of `principal`.
    #[must_use]
    pub fn account(&self, principal: &PrincipalId, now: Timestamp) -> Arc<Account> {
        let mut accounts = lock(&self.accounts);
        if let Some(account) = accounts.get(principal) {
            return Arc::clone(account);
        }
        if accounts.len() >= ACCOUNTS_MAX {
            // An account that a session still holds must stay the one that is counted in.
            accounts.retain(|_, one| {
                Arc::strong_count(one) > 1 || one.last_hour(now) != Usage::default()
            });
        }
        if accounts.len() >= ACCOUNTS_MAX {
            return Arc::clone(&self.shared);
        }
        Arc::clone(accounts.entry(principal.clone()).or_default())
    }
}

/// One principal's counts.
#[derive(Debug, Default)]
pub struct Account {
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    /// Oldest first: the bucket's number and what was taken in it. At most [`BUCKETS`] + 1.
    buckets: VecDeque<(i64, Usage)>,
    sum: Usage,
}

impl Account {
    /// Adds what was just taken.
    pub fn charge(&self, now: Timestamp, rows: u64, bytes: u64) {
        let mut window = lock(&self.window);
        let current = window.slide(now);
        let more = Usage { rows, bytes };
        window.sum = plus(window.sum, more);
        match window.buckets.back_mut() {
            // Clocks may step back: the newest bucket takes it.
            Some((number, usage)) if *number >= current => *usage = plus(*usage, more),
            _ => window.buckets.push_back((current, more)),
        }
    }

    /// What was taken in the last hour.
    #[must_use]
    pub fn last_hour(&self, now: Timestamp) -> Usage {
        let mut window = lock(&self.window);
        window.slide(now);
        window.sum
    }
}

impl Window {
    /// Forgets what is older than the window; returns the number of the current bucket.
    fn slide(&mut self, now: Timestamp) -> i64 {
        let current = now.seconds().div_euclid(BUCKET_SECONDS);
        while let Some((number, usage)) = self.buckets.front().copied() {
            if number >= current.saturating_sub(BUCKETS) {
                break;
            }
            self.sum.rows = self.sum.rows.saturating_sub(usage.rows);
            self.sum.bytes = self.sum.bytes.saturating_sub(usage.bytes);
            self.buckets.pop_front();
        }
        current
    }
}

fn plus(a: Usage, b: Usage) -> Usage {
    Usage { rows: a.rows.saturating_add(b.rows), bytes: a.bytes.saturating_add(b.bytes) }
}

/// A panic while an account was locked leaves counts: they are used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn what_was_taken_falls_out_after_an_hour() {
        let account = Account::default();
        account.charge(at(0), 5, 50);
        account.charge(at(1_800), 7, 70);
        assert_eq!(account.last_hour(at(3_600)), Usage { rows: 12, bytes: 120 });
        assert_eq!(account.last_hour(at(3_660)), Usage { rows: 7, bytes: 70 });
        assert_eq!(account.last_hour(at(1_800 + 3_660)), Usage::default());
    }

    #[test]
    fn a_clock_that_steps_back_loses_nothing() {
        let account = Account::default();
        account.charge(at(10_000), 5, 0);
        account.charge(at(0), 7, 0);
        assert_eq!(account.last_hour(at(10_000)).rows, 12);
    }

    #[test]
    fn principals_have_accounts_of_their_own() {
        let ledger = Ledger::default();
        let account = |name: &str| ledger.account(&name.parse().expect("id"), at(0));
        account("user:a").charge(at(0), 1, 1);
        assert_eq!(account("user:a").last_hour(at(0)).rows, 1);
        assert_eq!(account("user:b").last_hour(at(0)).rows, 0);
    }

    proptest! {
        /// Never less than what was taken in the last 60 minutes, never more than in the last 61.
        #[test]
        fn the_window_is_between_an_hour_and_a_minute_more(
            steps in prop::collection::vec((0_i64..600, 0_u64..100), 1..200)
        ) {
            let account = Account::default();
            let (mut now, mut all) = (0, Vec::new());
            for (step, rows) in steps {
                now += step;
                account.charge(at(now), rows, 0);
                all.push((now, rows));
                let since = |age: i64| -> u64 {
                    all.iter().filter(|(t, _)| *t > now - age).map(|(_, rows)| rows).sum()
                };
                let found = account.last_hour(at(now)).rows;
                prop_assert!(found >= since(3_600) && found <= since(3_660 + 1));
                let buckets = lock(&account.window).buckets.len();
                prop_assert!(buckets <= usize::try_from(BUCKETS).expect("small") + 1);
            }
        }
    }
}
