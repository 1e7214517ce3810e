//! The line of those who wait for a connection: who came first is served first, until a deadline, but for a few who may go
//! first because the connection's events arrive on their thread already.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use tokio::time::Instant;

use super::Pool;
use crate::threads;

/// One that waits is overtaken so often at most: by those on whose thread the events of a connection arrive. Another thread
/// would have to be woken twice for each transaction.
const OVERTAKEN_MAX: u64 = 16;
/// So many of the line are looked at for one of that thread.
const LOOKED_AT_MAX: usize = 64;

const WAITS: u8 = 0;
const SERVED: u8 = 1;
const LATE: u8 = 2;

/// One that waits.
pub(super) struct Place {
    /// Changes only while the shelf is locked.
    turn: AtomicU8,
    until: Instant,
    /// The number of the thread on which it waits.
    thread: usize,
    /// How many are served before it where nobody overtakes it, since the line began.
    before: u64,
    waker: AtomicWaker,
}

impl Place {
    fn turn(&self) -> u8 {
        self.turn.load(Ordering::Acquire)
    }

    fn end(&self, turn: u8) {
        self.turn.store(turn, Ordering::Release);
    }

    /// Tells the one that waits that its wait is over; not while the shelf is locked.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }
}

/// The right to as many connections as the database has for sessions: each has one while it has a connection, or makes one.
pub(super) struct Line {
    free: usize,
    /// Nobody, where a right is free.
    waiting: VecDeque<Arc<Place>>,
    /// How many have left the line.
    left: u64,
    /// Somebody looks after the deadlines.
    watched: bool,
}

impl Line {
    pub(super) fn new(connections_max: usize) -> Self {
        Self { free: connections_max, waiting: VecDeque::new(), left: 0, watched: false }
    }

    pub(super) fn is_free(&self) -> bool {
        self.free > 0
    }

    /// Takes a right, where one is free.
    pub(super) fn take(&mut self) -> bool {
        let any = self.free > 0;
        self.free -= usize::from(any);
        any
    }

    /// Gives one back, with a connection whose events arrive on thread `home`: to one who waits there, or to the first where
    /// nobody does or that one was overtaken enough. Whoever gets it is to be woken.
    pub(super) fn give_back(&mut self, home: usize) -> Option<Arc<Place>> {
        let Some(first) = self.waiting.front() else {
            self.free += 1;
            return None;
        };
        let overtaken = self.left.saturating_sub(first.before);
        let near = |place: &Arc<Place>| place.thread == home;
        let near = self.waiting.iter().take(LOOKED_AT_MAX).position(near);
        let at = near.filter(|_| overtaken < OVERTAKEN_MAX).unwrap_or(0);
        let next = self.waiting.remove(at)?;
        self.left += 1;
        next.end(SERVED);
        Some(next)
    }

    /// A place at the end.
    fn join(&mut self, until: Instant, thread: usize) -> Arc<Place> {
        let before = self.left.saturating_add(self.waiting.len() as u64);
        let (turn, waker) = (AtomicU8::new(WAITS), AtomicWaker::new());
        let place = Arc::new(Place { turn, until, thread, before, waker });
        self.waiting.push_back(Arc::clone(&place));
        place
    }

    /// Takes one out that waits no more.
    fn leave(&mut self, place: &Arc<Place>) {
        let before = self.waiting.len();
        self.waiting.retain(|other| !Arc::ptr_eq(other, place));
        self.left += (before - self.waiting.len()) as u64;
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Ends the wait of those whose time is over; all wait equally long, so that they come first.
    fn late(&mut self, now: Instant) -> Vec<Arc<Place>> {
        let late = self.waiting.partition_point(|place| place.until <= now);
        let late: Vec<_> = self.waiting.drain(..late).collect();
        self.left += late.len() as u64;
        late.iter().for_each(|place| place.end(LATE));
        late
    }
}

/// A session's place in the line; leaves it when dropped.
struct InLine<'a> {
    pool: &'a Pool,
    place: Arc<Place>,
    over: bool,
}

impl InLine<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.place.waker.register(cx.waker());
        let turn = self.place.turn();
        self.over = turn != WAITS;
        if self.over { Poll::Ready(turn == SERVED) } else { Poll::Pending }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let Self { pool, place, over } = self;
        if *over {
            return;
        }
        let mut shelf = pool.shelf.lock();
        if place.turn() == SERVED {
            // It was its turn, and it is gone: the next one's, then.
            pool.give_back(shelf, place.thread);
        } else {
            shelf.line.leave(place);
            pool.note_waiting(&shelf);
        }
    }
}

impl Pool {
    /// Waits for a right to a connection; `false`: none became free in time.
    pub(super) async fn wait_in_line(self: &Arc<Self>) -> bool {
        let Some(mut waits) = self.stand_in_line() else { return true };
        std::future::poll_fn(|cx| waits.poll(cx)).await
    }

    /// `None`: there is a right without waiting.
    fn stand_in_line(self: &Arc<Self>) -> Option<InLine<'_>> {
        let mut shelf = self.shelf.lock();
        if shelf.line.take() {
            return None;
        }
        // While the shelf is locked, so that deadlines are in the order of the line.
        let until = Instant::now() + self.wait_max;
        let place = shelf.line.join(until, threads::number());
        self.note_waiting(&shelf);
        let watched = std::mem::replace(&mut shelf.line.watched, true);
        drop(shelf);
        if !watched {
            self.background.spawn(watch(Arc::downgrade(self)));
        }
        Some(InLine { pool: self, place, over: false })
    }

    /// Ends waits that last too long. Returns when to look again; `None`: nobody waits.
    fn end_late_waits(&self) -> Option<Instant> {
        let (late, next) = {
            let mut shelf = self.shelf.lock();
            let late = shelf.line.late(Instant::now());
            self.note_waiting(&shelf);
            let next = shelf.line.waiting.front().map(|first| first.until);
            shelf.line.watched = next.is_some();
            (late, next)
        };
        late.iter().for_each(|place| place.wake());
        next
    }
}

/// Looks after the deadlines as long as somebody waits: one timer for all of them.
async fn watch(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.end_late_waits()) {
        tokio::time::sleep_until(next).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_on_a_connections_thread_may_go_first_but_not_for_ever() {
        let (here, there, until) = (1, 2, Instant::now());
        let mut line = Line::new(1);
        assert!(line.take());
        let far = line.join(until, there);
        let near: Vec<_> = (0..=OVERTAKEN_MAX).map(|_| line.join(until, here)).collect();
        let is = |served: Option<Arc<Place>>, place| Arc::ptr_eq(&served.expect("one"), place);
        let (last, first) = near.split_last().expect("some");
        for place in first {
            assert!(is(line.give_back(here), place), "in the order of one thread");
            assert_eq!((far.turn(), place.turn()), (WAITS, SERVED));
        }
        assert!(is(line.give_back(here), &far), "it was overtaken enough");
        assert!(is(line.give_back(there), last), "nobody else waits");
        assert!(line.give_back(here).is_none() && line.is_free());
    }

    #[test]
    fn who_leaves_the_line_lets_nobody_overtake_more_often() {
        let (here, there, until) = (1, 2, Instant::now());
        let mut line = Line::new(1);
        assert!(line.take());
        let gone = line.join(until, here);
        let far = line.join(until, there);
        let near: Vec<_> = (0..=OVERTAKEN_MAX).map(|_| line.join(until, here)).collect();
        line.leave(&gone);
        let mut overtaken = 0;
        while !Arc::ptr_eq(&line.give_back(here).expect("one"), &far) {
            overtaken += 1;
        }
        assert_eq!((overtaken, line.len()), (OVERTAKEN_MAX, near.len() - OVERTAKEN_MAX as usize));
    }
}
