//! Cancel requests: they arrive at the process that takes connections, and may be for a session of the one before it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use writ_edge_core::startup::CancelRequest;
use writ_model::Secret;
use writ_proto::node::Clock;

use super::wire::Wire;
use super::{FromNew, FromOld};
use crate::sessions::{Cancelled, Sessions};

/// How long a cancel request is waited for: that it reaches the database.
pub const CANCEL_WAIT_MAX: Duration = Duration::from_secs(10);
/// Requests under way between two processes; more are given up.
const REQUESTS_MAX: usize = 64;

/// What became of a cancel request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The session had it, and it is over.
    Reached,
    /// There is no such session, or that is not its key.
    InVain,
    /// Too many at once.
    TooMany,
}

type Ask = (CancelRequest, oneshot::Sender<Outcome>);

/// Where cancel requests go.
pub struct Cancels {
    sessions: Arc<Sessions>,
    clock: Clock,
    /// The process before this one, as long as it is there.
    before: OnceLock<mpsc::Sender<Ask>>,
}

impl Cancels {
    /// To these sessions.
    #[must_use]
    pub fn new(sessions: Arc<Sessions>, clock: Clock) -> Self {
        Self { sessions, clock, before: OnceLock::new() }
    }

    /// Cancels what the session with this key runs, here or at the process before this one, and waits for it.
    pub async fn cancel(&self, request: &CancelRequest) -> Outcome {
        match self.sessions.cancel(request, (self.clock)()) {
            Cancelled::Told(over) => {
                let _ = tokio::time::timeout(CANCEL_WAIT_MAX, over).await;
                Outcome::Reached
            }
            Cancelled::TooMany => Outcome::TooMany,
            Cancelled::InVain => self.elsewhere(request).await,
        }
    }

    async fn elsewhere(&self, request: &CancelRequest) -> Outcome {
        let Some(before) = self.before.get() else { return Outcome::InVain };
        let (answer, heard) = oneshot::channel();
        match before.try_send((request.clone(), answer)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Outcome::TooMany,
            Err(mpsc::error::TrySendError::Closed(_)) => return Outcome::InVain,
        }
        let heard = tokio::time::timeout(CANCEL_WAIT_MAX, heard).await;
        heard.ok().and_then(Result::ok).unwrap_or(Outcome::InVain)
    }

    /// Passes requests on to the process before this one, until that ends.
    pub async fn pass_on(&self, mut wire: Wire) {
        let (asks, mut asked) = mpsc::channel(REQUESTS_MAX);
        if self.before.set(asks).is_err() {
            return;
        }
        match ask_for(&mut wire, &mut asked).await {
            Ok(()) => tracing::info!("the process that was taken over from has ended"),
            Err(error) => {
                tracing::warn!(%error, "clients of the process before this one cannot cancel any more");
            }
        }
    }

    /// Does what the process after this one passes on, until that ends.
    pub async fn serve(self: Arc<Self>, mut wire: Wire) -> io::Result<()> {
        let mut running = JoinSet::new();
        loop {
            let (number, outcome) = tokio::select! {
                said = wire.receive::<FromNew>() => match said? {
                    None => return Ok(()),
                    Some((FromNew::Cancel { number, process_id, key }, _)) => {
                        if running.len() < REQUESTS_MAX {
                            let this = Arc::clone(&self);
                            let request = CancelRequest { process_id, key: Secret::new(key) };
                            running.spawn(async move { (number, this.cancel(&request).await) });
                            continue;
                        }
                        (number, Outcome::TooMany)
                    }
                    // Of a newer process: nothing that this one would have to do.
                    Some(_) => continue,
                },
                Some(done) = running.join_next() => match done {
                    Ok(done) => done,
                    Err(_) => continue,
                },
            };
            wire.send(&FromOld::Cancelled { number, outcome }, &[]).await?;
        }
    }
}

async fn ask_for(wire: &mut Wire, asked: &mut mpsc::Receiver<Ask>) -> io::Result<()> {
    let mut waiting: HashMap<u64, oneshot::Sender<Outcome>> = HashMap::new();
    let mut number = 0;
    loop {
        tokio::select! {
            said = wire.receive::<FromOld>() => match said? {
                None => return Ok(()),
                Some((FromOld::Cancelled { number, outcome }, _)) => {
                    if let Some(answer) = waiting.remove(&number) {
                        // Whoever asked may have given up.
                        let _ = answer.send(outcome);
                    }
                }
                Some(_) => {}
            },
            Some((request, answer)) = asked.recv() => {
                waiting.retain(|_, answer| !answer.is_closed());
                number += 1;
                waiting.insert(number, answer);
                let CancelRequest { process_id, key } = request;
                let key = key.expose().clone();
                wire.send(&FromNew::Cancel { number, process_id, key }, &[]).await?;
            }
        }
    }
}
