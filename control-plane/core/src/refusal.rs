//! Why a command is refused, with the next step.

use writ_model::config::ActorError;

/// Whose turn it is, for the status that the caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The caller may not.
    Forbidden,
    /// What it names is not there.
    NotFound,
    /// Not in this state of things.
    Conflict,
    /// The command itself is wrong.
    Invalid,
}

/// A refusal; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller lacks a right.
    #[error("{actor} may not do this; it takes a member of {needs}")]
    Forbidden {
        /// Who tried.
        actor: String,
        /// What it would take.
        needs: String,
    },
    /// C4: this person may not vote on this request.
    #[error("{0} may not vote on this request: {1}")]
    NotAnApprover(String, &'static str),
    /// An unknown thing.
    #[error("there is no {what} `{name}`; list what there is with `{list}`")]
    NotFound {
        /// What sort of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// The command that lists them.
        list: &'static str,
    },
    /// The principal cannot act.
    #[error(transparent)]
    Actor(#[from] ActorError),
    /// It is there already, and different.
    #[error("{0}")]
    Conflict(String),
    /// The approval is not in the state that this needs.
    #[error("approval {id} is {status}; {next}")]
    ApprovalState {
        /// Which.
        id: String,
        /// Where it stands.
        status: &'static str,
        /// What to do.
        next: &'static str,
    },
    /// C4: nobody approves more executions than were shown to them.
    #[error(
        "{waiting} sessions wait in approval {id}, and each would run the statement once; look at them with `writ approvals show {id}`, then say how many with --sessions {waiting}"
    )]
    HowMany {
        /// Which.
        id: String,
        /// How many wait.
        waiting: usize,
    },
    /// C4: the grant does not cover this.
    #[error("the grant of approval {0} does not cover this statement: {1}; request a new approval")]
    NotCovered(String, &'static str),
    /// A join token that does not open anything.
    #[error("the join token {0}; get a new one with `writ join-token`")]
    JoinToken(&'static str),
    /// A malformed command.
    #[error("{0}")]
    Invalid(String),
    /// The policy set does not compile.
    #[error("the policies are not accepted: {0}; nothing changed")]
    Policy(String),
}

impl Refusal {
    /// The first axis: whose fault.
    #[must_use]
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Forbidden { .. } | Self::NotAnApprover(..) | Self::JoinToken(_) => {
                RefusalKind::Forbidden
            }
            Self::NotFound { .. } | Self::Actor(ActorError::Unknown(_)) => RefusalKind::NotFound,
            Self::Actor(_)
            | Self::Conflict(_)
            | Self::ApprovalState { .. }
            | Self::HowMany { .. }
            | Self::NotCovered(..) => RefusalKind::Conflict,
            Self::Invalid(_) | Self::Policy(_) => RefusalKind::Invalid,
        }
    }
}
