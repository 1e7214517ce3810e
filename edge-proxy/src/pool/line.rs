//! The line of those who wait for a connection: who came first is served first, until a deadline.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use tokio::time::Instant;

use super::Pool;

const WAITS: u8 = 0;
const SERVED: u8 = 1;
const LATE: u8 = 2;

/// One that waits.
pub(super) struct Place {
    /// Changes only while the shelf is locked.
    turn: AtomicU8,
    until: Instant,
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
    /// Somebody looks after the deadlines.
    watched: bool,
}

impl Line {
    pub(super) fn new(connections_max: usize) -> Self {
        Self { free: connections_max, waiting: VecDeque::new(), watched: false }
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

    /// Gives one back: to the first who waits, who is to be woken.
    pub(super) fn give_back(&mut self) -> Option<Arc<Place>> {
        match self.waiting.pop_front() {
            Some(first) => {
                first.end(SERVED);
                Some(first)
            }
            None => {
                self.free += 1;
                None
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Ends the wait of those whose time is over; all wait equally long, so that they come first.
    fn late(&mut self, now: Instant) -> Vec<Arc<Place>> {
        let late = self.waiting.partition_point(|place| place.until <= now);
        let late: Vec<_> = self.waiting.drain(..late).collect();
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
            pool.give_back(shelf);
        } else {
            shelf.line.waiting.retain(|other| !Arc::ptr_eq(other, place));
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
        let place = Place { turn: AtomicU8::new(WAITS), until, waker: AtomicWaker::new() };
        let place = Arc::new(place);
        shelf.line.waiting.push_back(Arc::clone(&place));
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
