//! One process of an edge takes over from another without a client noticing: the new one starts beside the old one, gets
//! its listening sockets, and says when it is ready; only then does the old one stop taking connections and drain. What
//! waits in the sockets' queues meanwhile is taken by one of the two, so nothing is refused.
//!
//! Both speak over a Unix socket in the edge's data directory ([`control`]):
//!
//! | new process | old process |
//! |---|---|
//! | `take_over`: which versions it speaks, which edge it is | `handing`: where the old one is, with the sockets; or `refused` |
//! | starts up; `ready` once it knows as much and can as much | stops taking connections; `yours` |
//! | serves; `cancel` where a client's request is for a session over there | drains; `cancelled` |
//!
//! Until `yours`, the end of the connection changes nothing at the old process. The protocol's versions are in
//! [`VERSIONS`]: unknown fields are passed over, so a new field needs no new version.

pub mod cancels;
pub mod control;
pub mod new;
pub mod old;
pub mod retire;
#[cfg(test)]
mod tests;
pub mod wire;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The versions of the protocol that this process speaks.
pub const VERSIONS: RangeInclusive<u32> = 1..=1;
/// How long either side may take for an answer that needs no work.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long the new process may take to be ready; then it gives up, and the old one goes on.
pub const READY_WITHIN: Duration = Duration::from_secs(90);

/// What the new process says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum FromNew {
    /// It wants to take over.
    TakeOver {
        /// The oldest version of the protocol that it speaks.
        oldest: u32,
        /// The newest.
        newest: u32,
        /// Which edge it is.
        edge: String,
        /// Its software's version, for the log.
        software: String,
    },
    /// It is ready, and waits to be given everything.
    Ready,
    /// A client wants to cancel what runs in a session that is not the new process's.
    Cancel {
        /// Answered with the same number.
        number: u64,
        /// The session's number.
        process_id: i32,
        /// The session's key.
        key: Vec<u8>,
    },
}

/// What the old process says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum FromOld {
    /// It will be taken over; with it come the descriptors: the listeners in this order, then the lock of who serves.
    Handing {
        /// The version of the protocol from here on.
        version: u32,
        /// What is listened on.
        listeners: Vec<Listener>,
        /// Where the old process is.
        at: Position,
    },
    /// It will not.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// The old process takes no more connections: everything is the new one's.
    Yours,
    /// What became of a cancel request.
    Cancelled {
        /// The request's number.
        number: u64,
        /// What became of it.
        outcome: cancels::Outcome,
    },
}

/// What a listening socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// PostgreSQL clients.
    Clients,
    /// Metrics and health.
    Metrics,
}

/// A listening socket of the old process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// What it is for.
    pub role: Role,
    /// The address that it was configured with.
    pub configured: SocketAddr,
}

/// What an edge knows and can do; who takes over must not be behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The configuration in force (E5); 0: none.
    pub epoch: u64,
    /// When the control plane was last heard, in microseconds since 1970.
    pub last_heard_micros: i64,
    /// Databases that are configured and cannot be served now.
    pub unready: Vec<String>,
}

impl Position {
    /// What this one lacks to take over from `old`; `None`: nothing.
    #[must_use]
    pub fn lacks(&self, old: &Self) -> Option<String> {
        if self.epoch < old.epoch {
            let (new, old) = (self.epoch, old.epoch);
            return Some(format!(
                "it has epoch {new} of the configuration, the running edge {old}"
            ));
        }
        if self.last_heard_micros < old.last_heard_micros {
            return Some("it has not heard the control plane yet".to_owned());
        }
        let worse = self.unready.iter().find(|name| !old.unready.contains(name));
        worse.map(|name| format!("it has not read the catalog of {name} yet"))
    }
}

/// Why a take-over did not happen. The running edge goes on in any case.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// The socket cannot be used.
    #[error("the running edge's socket {path}: {source}; is it the same user's?")]
    Socket {
        /// Where it is.
        path: std::path::PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The other side is not who it must be.
    #[error(
        "the process behind the edge's socket is user {theirs}'s, not user {ours}'s; start the edge as the same user"
    )]
    Stranger {
        /// Its user.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// What was said is not the protocol.
    #[error(
        "the running edge said something unexpected: {0}; stop it and start this one without --take-over"
    )]
    Protocol(String),
    /// The running edge said no.
    #[error("the running edge refused: {0}")]
    Refused(String),
    /// No answer, or the end of the connection.
    #[error(
        "the running edge did not answer ({0}); look at its log, or stop it and start this one without --take-over"
    )]
    Silent(String),
    /// This process does not get as far as the running one is.
    #[error("this process was not ready in time: {0}; the running edge goes on")]
    NotReady(String),
}
