//! The threads that sessions run on. Each has an event loop of its own and keeps a session to its end, so that one
//! statement's bytes never wait for another core; everything that is not a session runs elsewhere.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// So many sessions come to one thread before the next one is used: what arrives for several at once is dealt with in one
/// waking, and a thread that is not needed costs nothing.
const SESSIONS_TOGETHER: usize = 16;
/// Stack of each thread, in bytes: deep SQL is analysed on it.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// One thread.
struct Worker {
    handle: Handle,
    /// How many tasks it was given that have not ended.
    load: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// All of them; they end when this is dropped, with what still runs on them.
pub struct Workers {
    workers: Vec<Worker>,
    stop: CancellationToken,
}

/// Takes a task off its worker's load when it ends, however it ends.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `count` threads, at least one.
    pub fn start(count: usize) -> io::Result<Self> {
        let mut workers = Self { workers: Vec::new(), stop: CancellationToken::new() };
        for number in 0..count.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let stop = workers.stop.clone();
            let thread = thread::Builder::new()
                .name(format!("sessions-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || runtime.block_on(stop.cancelled_owned()))?;
            workers.workers.push(Worker { handle, load: Arc::default(), thread: Some(thread) });
        }
        Ok(workers)
    }

    /// Runs a task on the first thread that has few, or else on the one that has the fewest.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let load = |worker: &&Worker| worker.load.load(Ordering::Relaxed);
        let first = self.workers.iter().find(|worker| load(worker) < SESSIONS_TOGETHER);
        let Some(worker) = first.or_else(|| self.workers.iter().min_by_key(load)) else { return };
        worker.load.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&worker.load));
        worker.handle.spawn(async move {
            let _counted = counted;
            task.await;
        });
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.workers.iter_mut().filter_map(|worker| worker.thread.take()) {
            // A thread that panicked has nothing more to say here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::thread::ThreadId;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[tokio::test]
    async fn tasks_are_spread_and_places_are_given_back() {
        let workers = Workers::start(2).expect("threads");
        const TASKS: usize = 4 * SESSIONS_TOGETHER;
        for round in 0..3 {
            let (threads, mut seen) = mpsc::unbounded_channel::<ThreadId>();
            let mut holds = Vec::new();
            for _ in 0..TASKS {
                let (release, held) = oneshot::channel::<()>();
                holds.push(release);
                let threads = threads.clone();
                workers.spawn(async move {
                    let _ = threads.send(thread::current().id());
                    let _ = held.await;
                });
            }
            drop(threads);
            let mut by_thread: HashMap<ThreadId, usize> = HashMap::new();
            for _ in 0..TASKS {
                *by_thread.entry(seen.recv().await.expect("a task")).or_default() += 1;
            }
            let mut shares: Vec<usize> = by_thread.into_values().collect();
            shares.sort_unstable();
            assert_eq!(shares, [TASKS / 2, TASKS / 2], "round {round}");
            drop(holds);
            while workers.workers.iter().any(|w| w.load.load(Ordering::Relaxed) > 0) {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_leaves_its_place_and_its_thread() {
        let workers = Workers::start(1).expect("a thread");
        workers.spawn(async { panic!("as planned") });
        let (done, told) = oneshot::channel();
        workers.spawn(async move {
            let _ = done.send(());
        });
        told.await.expect("the thread goes on");
        while workers.workers.iter().any(|w| w.load.load(Ordering::Relaxed) > 0) {
            tokio::task::yield_now().await;
        }
    }
}
