//! Whether the edge takes new sessions. It does not while an operator drains it, which outlives a restart, and while its
//! process ends. Sessions that are open end as soon as no transaction is, and all of them when the drain's time is over.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use writ_model::sqlstate;
use writ_proto::node::{NodeError, read_file, write_file};
use writ_proto::v1;

use crate::client::Refused;
use crate::sessions::{SessionEvent, Sessions};

/// The file that says that the edge is drained, in its data directory.
const FILE: &str = "drained.json";
/// How often it is looked whether all sessions are gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long sessions have for their last words.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What an operator said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who.
    pub by: String,
    /// Why; empty where nobody said.
    pub reason: String,
}

/// Why no sessions are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    order: Option<Order>,
    ending: bool,
}

/// One edge's drain.
pub struct Drain {
    file: PathBuf,
    sessions: Arc<Sessions>,
    state: watch::Sender<State>,
    deadline: Mutex<Option<JoinHandle<()>>>,
}

impl Drain {
    /// As it was left: drained, where it was drained when the last process ended.
    pub fn open(data_dir: &std::path::Path, sessions: Arc<Sessions>) -> Result<Self, NodeError> {
        let file = data_dir.join(FILE);
        // What cannot be read was written by a drain: the control plane says soon what holds.
        let unknown = || Order { by: "unknown".to_owned(), reason: String::new() };
        let order = read_file(&file)?
            .map(|bytes| serde_json::from_slice(&bytes).unwrap_or_else(|_| unknown()));
        if let Some(Order { by, .. }) = &order {
            tracing::warn!(%by, "this edge is drained; `writ edges resume` ends that");
        }
        let (state, _) = watch::channel(State { order, ending: false });
        Ok(Self { file, sessions, state, deadline: Mutex::default() })
    }

    /// Does what the control plane says.
    pub fn follow(self: &Arc<Self>, said: v1::Drain) {
        let v1::Drain { draining, ends_in_ms, by, reason } = said;
        if let Some(timer) = self.deadline.lock().take() {
            timer.abort();
        }
        let order = draining.then_some(Order { by, reason });
        if let Err(error) = self.keep(order.as_ref()) {
            tracing::error!(%error, "the drain cannot be kept: a restart would forget it");
        }
        let before = self.state.borrow().order.is_some();
        self.state.send_modify(|state| state.order = order);
        match (before, draining) {
            (false, false) => {}
            (true, false) => {
                tracing::info!("this edge takes sessions again");
                if !self.state.borrow().ending {
                    self.sessions.tell_all(|| SessionEvent::Resume);
                }
            }
            (_, true) => {
                tracing::info!(ends_in_ms, "this edge is drained");
                self.sessions.tell_all(|| SessionEvent::Drain);
                let sessions = Arc::clone(&self.sessions);
                let timer = tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(ends_in_ms)).await;
                    sessions.tell_all(|| SessionEvent::Kill);
                });
                *self.deadline.lock() = Some(timer);
            }
        }
    }

    fn keep(&self, order: Option<&Order>) -> Result<(), NodeError> {
        let failed = |source| NodeError::File { path: self.file.clone(), source };
        match order {
            Some(order) => {
                let bytes = serde_json::to_vec(order).map_err(|e| failed(e.into()))?;
                write_file(&self.file, &bytes)
            }
            None => match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            },
        }
    }

    /// The process ends: takes no more sessions, and returns when all are gone, at the latest `patience` from now.
    pub async fn end(&self, patience: Duration) {
        self.state.send_modify(|state| state.ending = true);
        self.sessions.tell_all(|| SessionEvent::Drain);
        if tokio::time::timeout(patience, self.empty()).await.is_err() {
            self.sessions.tell_all(|| SessionEvent::Kill);
            let _ = tokio::time::timeout(LAST_WORDS, self.empty()).await;
        }
    }

    async fn empty(&self) {
        while self.sessions.count() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Why no sessions are taken; `None`: they are.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let State { order, ending } = &*self.state.borrow();
        match order {
            _ if *ending => Some("this edge shuts down".to_owned()),
            None => None,
            Some(Order { by, reason }) if reason.is_empty() => {
                Some(format!("this edge is being drained by {by}"))
            }
            Some(Order { by, reason }) => {
                Some(format!("this edge is being drained by {by}: {reason}"))
            }
        }
    }

    /// Refuses a new client while no sessions are taken.
    pub(crate) fn admit(&self) -> Result<(), Refused> {
        let refused = |reason| {
            let hint = "connect again: another edge, or this one once it is back, serves you";
            Refused::new(sqlstate::CANNOT_CONNECT_NOW, reason, hint)
        };
        self.reason().map_or(Ok(()), |reason| Err(refused(reason)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::sessions::testing::enter;

    fn said(draining: bool, ends_in_ms: u64) -> v1::Drain {
        v1::Drain { draining, ends_in_ms, by: "user:ada".into(), reason: "new kernel".into() }
    }

    fn drain(dir: &std::path::Path) -> (Arc<Drain>, Arc<Sessions>) {
        let sessions = Arc::new(Sessions::default());
        let drain = Drain::open(dir, Arc::clone(&sessions)).expect("opened");
        (Arc::new(drain), sessions)
    }

    #[tokio::test]
    async fn a_drained_edge_stays_so_until_it_is_resumed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, _) = drain(dir.path());
        assert!(first.admit().is_ok(), "control");
        first.follow(said(true, 60_000));
        let refused = first.admit().expect_err("drained");
        assert_eq!(refused.code, sqlstate::CANNOT_CONNECT_NOW);
        assert_eq!(refused.reason, "this edge is being drained by user:ada: new kernel");
        let (restarted, sessions) = drain(dir.path());
        assert!(restarted.admit().is_err(), "the file says so");
        let (_place, mut events) = enter(&sessions, "user:dana", "s");
        restarted.follow(said(false, 0));
        assert!(restarted.admit().is_ok());
        assert!(matches!(events.try_recv(), Some(SessionEvent::Resume)));
        restarted.follow(said(false, 0));
        assert!(events.try_recv().is_none(), "nothing new");
        assert!(drain(dir.path()).0.admit().is_ok());
    }

    #[tokio::test]
    async fn what_cannot_be_read_counts_as_drained() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(FILE), b"{").expect("written");
        assert!(drain(dir.path()).0.admit().is_err());
    }

    #[tokio::test]
    async fn sessions_are_told_at_once_and_ended_at_the_deadline() {
        let dir = tempfile::tempdir().expect("a directory");
        let (drain, sessions) = drain(dir.path());
        let (_place, mut events) = enter(&sessions, "user:dana", "s");
        let began = Instant::now();
        drain.follow(said(true, 300));
        assert!(matches!(events.recv().await, Some(SessionEvent::Drain)));
        assert!(matches!(events.recv().await, Some(SessionEvent::Kill)));
        assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
        drain.follow(said(true, 60_000));
        let timer = drain.deadline.lock().as_ref().map(JoinHandle::abort_handle);
        drain.follow(said(false, 0));
        assert!(matches!(events.recv().await, Some(SessionEvent::Drain)));
        assert!(matches!(events.recv().await, Some(SessionEvent::Resume)));
        let timer = timer.expect("a deadline");
        while !timer.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(events.try_recv().is_none(), "no deadline after it was resumed");
    }

    #[tokio::test]
    async fn a_process_that_ends_waits_for_its_sessions_and_not_for_ever() {
        let dir = tempfile::tempdir().expect("a directory");
        let (drain, sessions) = drain(dir.path());
        let (place, mut events) = enter(&sessions, "user:dana", "s");
        let goes = async {
            let told = events.recv().await;
            drop(place);
            told
        };
        let began = Instant::now();
        let ((), told) = tokio::join!(drain.end(Duration::from_secs(60)), goes);
        assert!(matches!(told, Some(SessionEvent::Drain)));
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        let (_stays, mut events) = enter(&sessions, "user:dana", "s");
        drain.end(Duration::from_millis(50)).await;
        assert!(matches!(events.try_recv(), Some(SessionEvent::Drain)));
        assert!(matches!(events.try_recv(), Some(SessionEvent::Kill)), "its time was over");
        // An operator who resumes it does not stop a process that ends.
        drain.follow(said(false, 0));
        assert!(drain.admit().is_err());
    }
}
