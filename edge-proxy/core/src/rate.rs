//! How many statements a second: a token bucket in one number, which all sessions of a principal share without a lock.

use std::sync::atomic::{AtomicI64, Ordering};

use writ_model::Timestamp;

/// The longest that a statement waits for its turn, in microseconds. One whose turn would come later waits so long as well,
/// and is refused: who sends faster than that gets nothing for it.
pub const DELAY_MAX_US: i64 = 5_000_000;
/// What may be saved up, in seconds' worth of statements: so many at once after a pause.
pub const BURST_SECONDS: i64 = 1;
/// The highest rate, in statements a second.
pub const PER_SECOND_MAX: u32 = 1_000_000;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// When a statement may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// At once. It was counted.
    Now,
    /// Then. It was counted, and holds its place.
    At(Timestamp),
    /// Not within [`DELAY_MAX_US`]. It was not counted.
    TooLate,
}

/// The bucket, kept as the time at which it would be full again (the generic cell rate algorithm).
#[derive(Debug)]
pub struct Rate {
    per_second: u32,
    /// Nanoseconds of the clock.
    full_at: AtomicI64,
}

impl Rate {
    /// So many a second, from 1 to [`PER_SECOND_MAX`]; what is outside counts as the nearest of them.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self { per_second: per_second.clamp(1, PER_SECOND_MAX), full_at: AtomicI64::new(i64::MIN) }
    }

    /// Statements a second.
    #[must_use]
    pub fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Takes one out of the bucket.
    pub fn take(&self, now: Timestamp) -> Turn {
        let now = now.0.saturating_mul(1_000);
        let each = NANOS_PER_SECOND / i64::from(self.per_second);
        // Of the bucket's room, one is the statement's own.
        let room = (BURST_SECONDS * NANOS_PER_SECOND - each).max(0);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let base = full_at.max(now);
            let wait = base.saturating_sub(room).saturating_sub(now);
            if wait > DELAY_MAX_US * 1_000 {
                return Turn::TooLate;
            }
            let next = base.saturating_add(each);
            let order = Ordering::Relaxed;
            match self.full_at.compare_exchange_weak(full_at, next, order, order) {
                Ok(_) if wait <= 0 => return Turn::Now,
                // Rounded up: at that time the turn has come.
                Ok(_) => return Turn::At(Timestamp((now + wait + 999) / 1_000)),
                Err(other) => full_at = other,
            }
        }
    }
}

impl Rate {
    /// Takes one out of the bucket where there is one; waits for none.
    pub fn take_now(&self, now: Timestamp) -> bool {
        // Two that ask at once may both get the last one.
        self.has_room(now) && self.take(now) == Turn::Now
    }

    /// Whether there is one in the bucket.
    #[must_use]
    pub fn has_room(&self, now: Timestamp) -> bool {
        let each = NANOS_PER_SECOND / i64::from(self.per_second);
        let room = (BURST_SECONDS * NANOS_PER_SECOND - each).max(0);
        let full_at = self.full_at.load(Ordering::Relaxed);
        full_at.saturating_sub(room) <= now.0.saturating_mul(1_000)
    }

    /// Whether nothing was taken out of it lately.
    #[must_use]
    pub fn is_full(&self, now: Timestamp) -> bool {
        self.full_at.load(Ordering::Relaxed) <= now.0.saturating_mul(1_000)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn after(us: i64) -> Timestamp {
        Timestamp(NOW.0 + us)
    }

    fn taken(rate: &Rate, at: Timestamp) -> (u32, u32) {
        let (mut now, mut later) = (0, 0);
        loop {
            match rate.take(at) {
                Turn::Now => now += 1,
                Turn::At(_) => later += 1,
                Turn::TooLate => return (now, later),
            }
        }
    }

    #[test]
    fn a_second_may_be_saved_up_and_no_more() {
        let rate = Rate::new(10);
        assert_eq!(taken(&rate, NOW), (10, 50), "a second's worth at once, and what 5 s bring");
        let rate = Rate::new(10);
        for _ in 0..10 {
            assert_eq!(rate.take(NOW), Turn::Now);
        }
        assert_eq!(rate.take(NOW), Turn::At(after(100_000)));
        assert_eq!(rate.take(NOW), Turn::At(after(200_000)), "each has its own place");
        // An hour later it is not more than full.
        assert_eq!(taken(&rate, after(3_600_000_000)).0, 10);
    }

    #[test]
    fn what_waits_for_its_turn_gets_the_rate() {
        let rate = Rate::new(4);
        let (mut at, mut count) = (NOW, 0);
        while at < after(10_000_000) {
            match rate.take(at) {
                Turn::Now => count += 1,
                Turn::At(turn) => {
                    at = turn;
                    count += 1;
                }
                Turn::TooLate => panic!("one session never waits longer than for one turn"),
            }
        }
        assert!((43..=45).contains(&count), "{count}: 4 a second for 10 s, and 4 saved up");
    }

    #[test]
    fn one_a_second_and_the_highest_rate_are_kept() {
        let slow = Rate::new(1);
        assert_eq!(taken(&slow, NOW), (1, 5));
        assert_eq!(Rate::new(0).per_second(), 1);
        let fast = Rate::new(u32::MAX);
        assert_eq!(fast.per_second(), PER_SECOND_MAX);
        for _ in 0..PER_SECOND_MAX {
            assert_eq!(fast.take(NOW), Turn::Now);
        }
        assert_ne!(fast.take(NOW), Turn::Now);
    }

    #[test]
    fn sessions_share_one_bucket() {
        let rate = Arc::new(Rate::new(1_000));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let rate = Arc::clone(&rate);
                std::thread::spawn(move || taken(&rate, NOW))
            })
            .collect();
        let all = threads.into_iter().map(|t| t.join().expect("counted"));
        let (now, later) = all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert_eq!((now, later), (1_000, 5_000));
    }
}
