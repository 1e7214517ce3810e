//! Two ways to wake: a bell for the spool's own threads, and a signal for the one who ships.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
