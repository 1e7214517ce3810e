//! Three ways to wake: a bell for the spool's own threads, a signal for the one who ships, and a line for those whose
//! record has to be on the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

#[derive(Default)]
struct Rung {
    work: bool,
    stop: bool,
}

/// Wakes one thread; many rings before it looks are one.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<Rung>,
    condvar: Condvar,
}

impl Bell {
    /// There is work.
    pub(super) fn ring(&self) {
        self.rung.lock().work = true;
        self.condvar.notify_one();
    }

    /// The thread shall end.
    pub(super) fn stop(&self) {
        self.rung.lock().stop = true;
        self.condvar.notify_one();
    }

    /// Waits for work; `false`: end.
    pub(super) fn wait(&self) -> bool {
        let mut rung = self.rung.lock();
        while !rung.work && !rung.stop {
            self.condvar.wait(&mut rung);
        }
        rung.work = false;
        !rung.stop
    }
}

/// The highest appended number. Setting it costs two atomic operations while nobody waits.
#[derive(Default)]
pub(super) struct Appended {
    seq: AtomicU64,
    awaited: AtomicBool,
    notify: Notify,
}

impl Appended {
    /// Called after each append, in order.
    pub(super) fn set(&self, seq: u64) {
        // Sequentially consistent on both sides: either the waiter sees the number, or this sees the waiter.
        self.seq.store(seq, Ordering::SeqCst);
        if self.awaited.load(Ordering::SeqCst) && self.awaited.swap(false, Ordering::SeqCst) {
            self.notify.notify_waiters();
        }
    }

    /// The number now.
    pub(super) fn get(&self) -> u64 {
        self.seq.load(Ordering::SeqCst)
    }

    /// Waits until a record after `seq` was appended; returns the highest number then.
    pub(super) async fn after(&self, seq: u64) -> u64 {
        loop {
            let mut notified = std::pin::pin!(self.notify.notified());
            notified.as_mut().enable();
            self.awaited.store(true, Ordering::SeqCst);
            let now = self.get();
            if now > seq {
                return now;
            }
            notified.await;
        }
    }
}

#[derive(Default)]
struct Waits {
    durable: u64,
    over: bool,
    wakers: BTreeMap<u64, Waker>,
}

/// Who waits for a record to be on the disk: a sync wakes those whose records it reached, and nobody else.
#[derive(Default)]
pub(super) struct Durable(Mutex<Waits>);

impl Durable {
    /// Ready when record `seq` is on the disk, with the highest number that is; `None`: it never will be known to be.
    /// A record has one who waits for it, the last one who asked; who went away is woken in vain.
    pub(super) fn poll(&self, seq: u64, cx: &Context<'_>) -> Poll<Option<u64>> {
        let mut waits = self.0.lock();
        if waits.durable >= seq {
            return Poll::Ready(Some(waits.durable));
        }
        if waits.over {
            return Poll::Ready(None);
        }
        let waker = waits.wakers.entry(seq).or_insert_with(|| cx.waker().clone());
        waker.clone_from(cx.waker());
        Poll::Pending
    }

    /// Everything up to `seq` is on the disk.
    pub(super) fn reach(&self, seq: u64) {
        let mut waits = self.0.lock();
        waits.durable = waits.durable.max(seq);
        let later = waits.wakers.split_off(&seq.saturating_add(1));
        let reached = std::mem::replace(&mut waits.wakers, later);
        drop(waits);
        reached.into_values().for_each(Waker::wake);
    }

    /// Nothing more will be.
    pub(super) fn end(&self) {
        let mut waits = self.0.lock();
        waits.over = true;
        let wakers = std::mem::take(&mut waits.wakers);
        drop(waits);
        wakers.into_values().for_each(Waker::wake);
    }
}
