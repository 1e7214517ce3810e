//! The replicated log: openraft over RocksDB, behind our own types and our own bytes on disk.

mod codec;
mod log;
mod machine;
mod network;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};
use writ_control_core::EventEnvelope;
use writ_model::EventSeq;

pub use log::LogStore;
pub use machine::{Machine, SnapshotRef};
pub use network::Alone;
pub use store::{Durability, Store, StoreError};

/// What one log entry holds: the events of one command, for a state that ends at `after`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The last event that the leader had seen when it decided.
    pub after: EventSeq,
    /// What follows.
    pub events: Vec<EventEnvelope>,
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events after {}", self.events.len(), self.after)
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applied {
    /// It is in the event log.
    Done,
    /// Something else came first: nothing of it is in the event log.
    Superseded,
}

openraft::declare_raft_types!(
    /// The types of this log.
    pub Types:
        D = Batch,
        R = Applied,
        NodeId = u64,
        Node = openraft::BasicNode,
);

/// A running node.
pub type Raft = openraft::Raft<Types, Machine>;
type LogId = openraft::alias::LogIdOf<Types>;
type Entry = openraft::alias::EntryOf<Types>;
type Vote = openraft::alias::VoteOf<Types>;
type Membership = openraft::Membership<u64, openraft::BasicNode>;
type StoredMembership = openraft::alias::StoredMembershipOf<Types>;
