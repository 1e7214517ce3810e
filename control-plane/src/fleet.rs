//! How the nodes are right now, as they tell it; in memory only, because it says itself again.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use writ_control_core::State;
use writ_model::{EdgeId, Timestamp};
use writ_proto::v1;

use crate::convert::wire_kind;

/// The longest reason of a rejection that is kept, in bytes.
const REASON_BYTES_MAX: usize = 4_096;

/// A process that was not heard for so long, while another one of its node was, does not count: it is gone, and its
/// connection has not noticed. Three heartbeats, in milliseconds.
const SILENT_MS_MAX: u64 = 6_000;

/// What one process of a node said of itself.
#[derive(Debug, Clone, Default)]
struct Said {
    acknowledged: u64,
    rejected: u64,
    reject_reason: String,
    heartbeat: v1::EdgeHeartbeat,
    last_seen: Timestamp,
    software_version: String,
}

impl Said {
    /// Two processes of one node, as one: what they have is added up, and what holds of the node holds of both.
    fn and(self, newer: &Self) -> Self {
        let v1::EdgeHeartbeat { sessions, spool_bytes, held, draining } = newer.heartbeat;
        let (this, rejects) = (self.heartbeat, newer.rejected >= self.rejected);
        Self {
            acknowledged: self.acknowledged.min(newer.acknowledged),
            rejected: self.rejected.max(newer.rejected),
            reject_reason: if rejects { newer.reject_reason.clone() } else { self.reject_reason },
            heartbeat: v1::EdgeHeartbeat {
                sessions: this.sessions.saturating_add(sessions),
                spool_bytes: this.spool_bytes.saturating_add(spool_bytes),
                held: this.held.saturating_add(held),
                draining: this.draining && draining,
            },
            last_seen: self.last_seen.max(newer.last_seen),
            software_version: newer.software_version.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct Live {
    /// The connections, the newest last; an edge has two while one process takes over from another. `None`: it has not
    /// said who it is yet.
    connections: BTreeMap<u64, Option<Said>>,
    /// What the last one said that is gone.
    before: Said,
    last_seen: Timestamp,
}

impl Live {
    fn said(&self) -> Said {
        let all = || self.connections.values().flatten();
        let newest = all().map(|said| said.last_seen).max().unwrap_or_default();
        let heard = all().filter(|said| newest.since(said.last_seen).0 <= SILENT_MS_MAX);
        let said = heard.fold(None, |all: Option<Said>, said| {
            Some(all.map_or_else(|| said.clone(), |all| all.and(said)))
        });
        Said { last_seen: self.last_seen, ..said.unwrap_or_else(|| self.before.clone()) }
    }
}

/// What is known of every node that was heard since this process started.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    live: Mutex<BTreeMap<EdgeId, Live>>,
}

impl Fleet {
    /// A process of a node connected; it counts as connected until this is dropped.
    pub(crate) fn connected<'a>(&'a self, name: &'a EdgeId, now: Timestamp) -> Connected<'a> {
        let mut all = self.live.lock();
        let live = all.entry(name.clone()).or_default();
        let number = live.connections.keys().last().map_or(0, |last| last.wrapping_add(1));
        live.connections.insert(number, None);
        live.last_seen = now;
        Connected { fleet: self, name, number }
    }

    /// Every enrolled node with how it is.
    pub(crate) fn list(&self, state: &State) -> Vec<v1::EdgeStatus> {
        let mut all = self.live.lock();
        // Removed nodes are forgotten here too.
        all.retain(|name, live| !live.connections.is_empty() || state.nodes.contains_key(name));
        let nodes = state.nodes.iter().map(|(name, node)| {
            let live = all.get(name);
            let said = live.map(Live::said).unwrap_or_default();
            v1::EdgeStatus {
                id: name.to_string(),
                kind: wire_kind(node.kind).into(),
                environment: node.environment.as_ref().map(ToString::to_string).unwrap_or_default(),
                connected: live.is_some_and(|live| !live.connections.is_empty()),
                epoch_acknowledged: said.acknowledged,
                epoch_rejected: said.rejected,
                reject_reason: said.reject_reason,
                sessions: said.heartbeat.sessions,
                held: said.heartbeat.held,
                spool_bytes: said.heartbeat.spool_bytes,
                last_seen_micros: said.last_seen.0,
                certificate_expires_at_micros: node.certificate_expires_at.0,
                software_version: said.software_version,
                draining: said.heartbeat.draining,
                drained_by: node.drain.as_ref().map(|d| d.by.to_string()).unwrap_or_default(),
                drain_reason: node.drain.as_ref().map(|d| d.reason.clone()).unwrap_or_default(),
                drain_deadline_micros: node.drain.as_ref().map_or(0, |d| d.deadline.0),
            }
        });
        nodes.collect()
    }
}

/// One connection of a node, while it lives: it takes what comes over it.
pub(crate) struct Connected<'a> {
    fleet: &'a Fleet,
    name: &'a EdgeId,
    number: u64,
}

impl Connected<'_> {
    fn says(&self, now: Timestamp, change: impl FnOnce(&mut Said)) {
        if let Some(live) = self.fleet.live.lock().get_mut(self.name) {
            live.last_seen = now;
            let said = live.connections.entry(self.number).or_default().get_or_insert_default();
            said.last_seen = now;
            change(said);
        }
    }

    pub(crate) fn hello(&self, hello: v1::EdgeHello, now: Timestamp) {
        let v1::EdgeHello { software_version, epoch } = hello;
        self.says(now, |said| {
            said.software_version = software_version;
            said.acknowledged = epoch;
        });
    }

    pub(crate) fn acknowledged(&self, epoch: u64, now: Timestamp) {
        self.says(now, |said| said.acknowledged = epoch);
    }

    pub(crate) fn rejected(&self, reject: v1::EpochReject, now: Timestamp) {
        let v1::EpochReject { epoch, reason } = reject;
        self.says(now, |said| {
            said.rejected = epoch;
            said.reject_reason = reason.chars().take(REASON_BYTES_MAX / 4).collect();
        });
    }

    pub(crate) fn heartbeat(&self, heartbeat: v1::EdgeHeartbeat, now: Timestamp) {
        self.says(now, |said| said.heartbeat = heartbeat);
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        if let Some(live) = self.fleet.live.lock().get_mut(self.name)
            && let Some(Some(said)) = live.connections.remove(&self.number)
        {
            live.before = said;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(sessions: u64, draining: bool) -> v1::EdgeHeartbeat {
        v1::EdgeHeartbeat { sessions, spool_bytes: 10, held: 1, draining }
    }

    fn hello(version: &str, epoch: u64) -> v1::EdgeHello {
        v1::EdgeHello { software_version: version.into(), epoch }
    }

    fn said(fleet: &Fleet, name: &EdgeId) -> Said {
        fleet.live.lock().get(name).map(Live::said).expect("heard")
    }

    #[test]
    fn two_processes_of_an_edge_are_shown_as_one() {
        let (fleet, name) = (Fleet::default(), "edge-1".parse().expect("a name"));
        let at = |second: i64| Timestamp(second * 1_000_000);
        let old = fleet.connected(&name, at(0));
        old.hello(hello("1", 7), at(0));
        old.heartbeat(beat(3, false), at(0));
        let new = fleet.connected(&name, at(1));
        assert_eq!(said(&fleet, &name).acknowledged, 7, "the new one has not said who it is");
        new.hello(hello("2", 8), at(2));
        new.heartbeat(beat(4, false), at(2));
        old.heartbeat(beat(2, true), at(3));
        let both = said(&fleet, &name);
        assert_eq!(
            (both.heartbeat.sessions, both.heartbeat.held),
            (6, 2),
            "neither hides the other"
        );
        assert!(!both.heartbeat.draining, "the new one takes sessions");
        assert_eq!((both.acknowledged, both.software_version.as_str()), (7, "2"));
        drop(old);
        let one = said(&fleet, &name);
        assert_eq!((one.heartbeat.sessions, one.acknowledged, one.last_seen), (4, 8, at(3)));
        drop(new);
        assert_eq!(said(&fleet, &name).heartbeat.sessions, 4, "as it was when it was last heard");
    }

    #[test]
    fn a_connection_that_is_dead_and_does_not_know_it_counts_no_sessions() {
        let (fleet, name) = (Fleet::default(), "edge-1".parse().expect("a name"));
        let dead = fleet.connected(&name, Timestamp(0));
        dead.heartbeat(beat(3, false), Timestamp(0));
        let again = fleet.connected(&name, Timestamp(0));
        again.heartbeat(beat(3, false), Timestamp(6_000_000));
        assert_eq!(said(&fleet, &name).heartbeat.sessions, 6, "it may be slow");
        again.heartbeat(beat(3, false), Timestamp(6_001_000));
        assert_eq!(said(&fleet, &name).heartbeat.sessions, 3);
    }
}
