//! Entries, votes and memberships as bytes on disk: our own format, so that a new openraft does not change it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use openraft::{BasicNode, EntryPayload};
use prost::Message;

use super::{Batch, Entry, LogId, Membership, StoredMembership, Vote};

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct LogIdRow {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    node: u64,
    #[prost(uint64, tag = "3")]
    index: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct VoteRow {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    node: u64,
    #[prost(bool, tag = "3")]
    committed: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct VotersRow {
    #[prost(uint64, repeated, tag = "1")]
    ids: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct NodeRow {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    address: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct MembershipRow {
    #[prost(message, repeated, tag = "1")]
    configs: Vec<VotersRow>,
    #[prost(message, repeated, tag = "2")]
    nodes: Vec<NodeRow>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct EntryRow {
    #[prost(message, required, tag = "1")]
    log_id: LogIdRow,
    /// A JSON [`Batch`]: the same JSON that the hash chain is over.
    #[prost(bytes = "vec", optional, tag = "2")]
    batch: Option<Vec<u8>>,
    #[prost(message, optional, tag = "3")]
    membership: Option<MembershipRow>,
}

/// Where the state machine is.
#[derive(Clone, PartialEq, Eq, Message)]
struct AppliedRow {
    #[prost(message, optional, tag = "1")]
    last: Option<LogIdRow>,
    #[prost(message, optional, tag = "2")]
    membership_at: Option<LogIdRow>,
    #[prost(message, required, tag = "3")]
    membership: MembershipRow,
}

fn damaged(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the control plane's log is damaged: {error}"),
    )
}

fn decode<T: Message + Default>(bytes: &[u8]) -> io::Result<T> {
    T::decode(bytes).map_err(damaged)
}

impl From<LogId> for LogIdRow {
    fn from(id: LogId) -> Self {
        Self { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<LogIdRow> for LogId {
    fn from(row: LogIdRow) -> Self {
        let leader_id =
            openraft::impls::leader_id_adv::LeaderId { term: row.term, node_id: row.node };
        Self { leader_id, index: row.index }
    }
}

impl From<&Membership> for MembershipRow {
    fn from(membership: &Membership) -> Self {
        let configs = membership.get_joint_config().iter();
        let configs = configs.map(|ids| VotersRow { ids: ids.iter().copied().collect() }).collect();
        let nodes = membership.nodes();
        let nodes = nodes.map(|(id, n)| NodeRow { id: *id, address: n.addr.clone() }).collect();
        Self { configs, nodes }
    }
}

impl TryFrom<MembershipRow> for Membership {
    type Error = io::Error;
    fn try_from(row: MembershipRow) -> io::Result<Self> {
        if row.configs.is_empty() && row.nodes.is_empty() {
            return Ok(Self::default());
        }
        let configs: Vec<BTreeSet<u64>> =
            row.configs.into_iter().map(|c| c.ids.into_iter().collect()).collect();
        let nodes: BTreeMap<u64, BasicNode> =
            row.nodes.into_iter().map(|n| (n.id, BasicNode { addr: n.address })).collect();
        Self::new(configs, nodes).map_err(damaged)
    }
}

pub(super) fn encode_log_id(id: LogId) -> Vec<u8> {
    LogIdRow::from(id).encode_to_vec()
}

pub(super) fn decode_log_id(bytes: &[u8]) -> io::Result<LogId> {
    decode::<LogIdRow>(bytes).map(Into::into)
}

pub(super) fn encode_vote(vote: &Vote) -> Vec<u8> {
    let row = VoteRow {
        term: vote.leader_id.term,
        node: vote.leader_id.node_id,
        committed: vote.committed,
    };
    row.encode_to_vec()
}

pub(super) fn decode_vote(bytes: &[u8]) -> io::Result<Vote> {
    let VoteRow { term, node, committed } = decode(bytes)?;
    let leader_id = openraft::impls::leader_id_adv::LeaderId { term, node_id: node };
    Ok(Vote { leader_id, committed })
}

pub(super) fn encode_entry(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut row = EntryRow { log_id: entry.log_id.into(), batch: None, membership: None };
    match &entry.payload {
        EntryPayload::Blank => {}
        EntryPayload::Normal(batch) => {
            row.batch = Some(serde_json::to_vec(batch).map_err(damaged)?);
        }
        EntryPayload::Membership(membership) => row.membership = Some(membership.into()),
    }
    Ok(row.encode_to_vec())
}

pub(super) fn decode_entry(bytes: &[u8]) -> io::Result<Entry> {
    let EntryRow { log_id, batch, membership } = decode(bytes)?;
    let payload = match (batch, membership) {
        (None, None) => EntryPayload::Blank,
        (Some(json), None) => {
            EntryPayload::Normal(serde_json::from_slice::<Batch>(&json).map_err(damaged)?)
        }
        (None, Some(row)) => EntryPayload::Membership(row.try_into()?),
        (Some(_), Some(_)) => return Err(damaged("an entry with two contents")),
    };
    Ok(Entry { log_id: log_id.into(), payload })
}

pub(super) fn encode_applied(last: Option<LogId>, membership: &StoredMembership) -> Vec<u8> {
    let row = AppliedRow {
        last: last.map(Into::into),
        membership_at: (*membership.log_id()).map(Into::into),
        membership: membership.membership().into(),
    };
    row.encode_to_vec()
}

pub(super) fn decode_applied(bytes: &[u8]) -> io::Result<(Option<LogId>, StoredMembership)> {
    let AppliedRow { last, membership_at, membership } = decode(bytes)?;
    let stored = StoredMembership::new(membership_at.map(Into::into), membership.try_into()?);
    Ok((last.map(Into::into), stored))
}
