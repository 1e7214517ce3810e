//! Carrying out commands: decide on the leader, propose, wait until it is durable and applied (C2, C3).

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{ClientWriteError, RaftError};
use tokio::sync::{Mutex, watch};
use writ_control_core::{
    ActorName, ChainError, Command, Event, Refusal, State, Submission, decide, seal,
};
use writ_model::config::PolicyFile;
use writ_model::{Epoch, EventSeq};
use writ_proto::node::Clock;

use crate::raft::{Applied, Batch, Raft};

/// How often a command is decided again when something else came first.
const ATTEMPTS_MAX: usize = 8;
/// How long a proposal may take before its fate counts as unknown.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Says whether a policy set compiles.
pub type PolicyPort = Arc<dyn Fn(&[PolicyFile]) -> Result<(), String> + Send + Sync>;

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The events, none where it asked for what was so already.
    pub events: Vec<Event>,
    /// The last event after it.
    pub last: EventSeq,
    /// The epoch after it.
    pub epoch: Epoch,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// This node cannot write now.
    #[error("the control plane cannot write now: {0}; try again")]
    Unavailable(String),
    /// Whether it was carried out is not known.
    #[error("whether this was carried out is not known: {0}; look before you try again")]
    Unknown(String),
    /// The event cannot be made.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Carries out commands, one at a time.
pub struct Leader {
    raft: Raft,
    state: watch::Receiver<Arc<State>>,
    clock: Clock,
    check_policies: PolicyPort,
    one_at_a_time: Mutex<()>,
}

impl Leader {
    /// The leader's side of `raft`.
    #[must_use]
    pub fn new(
        raft: Raft,
        state: watch::Receiver<Arc<State>>,
        clock: Clock,
        check_policies: PolicyPort,
    ) -> Self {
        Self { raft, state, clock, check_policies, one_at_a_time: Mutex::new(()) }
    }

    /// The current state.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.borrow())
    }

    /// The state, now and whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.state.clone()
    }

    /// The replicated log.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> writ_model::Timestamp {
        (self.clock)()
    }

    /// Decides `command` and makes its events durable. What this returns is in the log for good.
    pub async fn submit(&self, actor: ActorName, command: Command) -> Result<Outcome, SubmitError> {
        let _turn = self.one_at_a_time.lock().await;
        let mut submission = Submission { actor, at: self.now(), command };
        for _ in 0..ATTEMPTS_MAX {
            let state = self.state();
            submission.at = self.now();
            let events = decide(&state, &submission, &*self.check_policies)?;
            if events.is_empty() {
                return Ok(Outcome { events, last: state.last, epoch: state.epoch });
            }
            let sealed = seal(&state, &submission, events.clone())?;
            let (last, epoch) =
                sealed.last().map_or((state.last, state.epoch), |e| (e.seq, e.epoch));
            match self.propose(Batch { after: state.last, events: sealed }).await? {
                Applied::Done => return Ok(Outcome { events, last, epoch }),
                // A caller that went away may have left a proposal behind: decide again on top of it.
                Applied::Superseded => {}
            }
        }
        Err(SubmitError::Unavailable("other commands came first".to_owned()))
    }

    async fn propose(&self, batch: Batch) -> Result<Applied, SubmitError> {
        let answer = tokio::time::timeout(PROPOSE_TIMEOUT, self.raft.client_write(batch)).await;
        match answer {
            Ok(Ok(written)) => Ok(written.data),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                let leader = forward.leader_id.map_or("nobody".to_owned(), |id| id.to_string());
                Err(SubmitError::Unavailable(format!("the leader is node {leader}")))
            }
            Ok(Err(error)) => Err(SubmitError::Unknown(error.to_string())),
            Err(_) => Err(SubmitError::Unknown(format!("no answer in {PROPOSE_TIMEOUT:?}"))),
        }
    }
}
