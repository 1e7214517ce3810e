//! How the nodes are right now, as they tell it; in memory only, because it says itself again.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use writ_control_core::State;
use writ_model::{EdgeId, Timestamp};
use writ_proto::v1;

use crate::convert::wire_kind;

/// The longest reason of a rejection that is kept, in bytes.
const REASON_BYTES_MAX: usize = 4_096;

#[derive(Debug, Clone, Default)]
struct Live {
    connections: u32,
    acknowledged: u64,
    rejected: u64,
    reject_reason: String,
    heartbeat: v1::EdgeHeartbeat,
    last_seen: Timestamp,
    software_version: String,
}

/// What is known of every node that was heard since this process started.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    live: Mutex<BTreeMap<EdgeId, Live>>,
}

impl Fleet {
    fn with(&self, name: &EdgeId, change: impl FnOnce(&mut Live)) {
        change(self.live.lock().entry(name.clone()).or_default());
    }

    /// A node connected; it counts as connected until the guard is dropped.
    pub(crate) fn connected<'a>(&'a self, name: &'a EdgeId, now: Timestamp) -> Connected<'a> {
        self.with(name, |live| {
            live.connections += 1;
            live.last_seen = now;
        });
        Connected { fleet: self, name }
    }

    pub(crate) fn hello(&self, name: &EdgeId, hello: v1::EdgeHello, now: Timestamp) {
        let v1::EdgeHello { software_version, epoch } = hello;
        self.with(name, |live| {
            live.software_version = software_version;
            live.acknowledged = epoch;
            live.last_seen = now;
        });
    }

    pub(crate) fn acknowledged(&self, name: &EdgeId, epoch: u64, now: Timestamp) {
        self.with(name, |live| {
            live.acknowledged = epoch;
            live.last_seen = now;
        });
    }

    pub(crate) fn rejected(&self, name: &EdgeId, reject: v1::EpochReject, now: Timestamp) {
        let v1::EpochReject { epoch, reason } = reject;
        self.with(name, |live| {
            live.rejected = epoch;
            live.reject_reason = reason.chars().take(REASON_BYTES_MAX / 4).collect();
            live.last_seen = now;
        });
    }

    pub(crate) fn heartbeat(&self, name: &EdgeId, heartbeat: v1::EdgeHeartbeat, now: Timestamp) {
        self.with(name, |live| {
            live.heartbeat = heartbeat;
            live.last_seen = now;
        });
    }

    /// Every enrolled node with how it is.
    pub(crate) fn list(&self, state: &State) -> Vec<v1::EdgeStatus> {
        let mut all = self.live.lock();
        // Removed nodes are forgotten here too.
        all.retain(|name, live| live.connections > 0 || state.nodes.contains_key(name));
        let nodes = state.nodes.iter().map(|(name, node)| {
            let live = all.get(name).cloned().unwrap_or_default();
            v1::EdgeStatus {
                id: name.to_string(),
                kind: wire_kind(node.kind).into(),
                environment: node.environment.as_ref().map(ToString::to_string).unwrap_or_default(),
                connected: live.connections > 0,
                epoch_acknowledged: live.acknowledged,
                epoch_rejected: live.rejected,
                reject_reason: live.reject_reason,
                sessions: live.heartbeat.sessions,
                held: live.heartbeat.held,
                spool_bytes: live.heartbeat.spool_bytes,
                last_seen_micros: live.last_seen.0,
                certificate_expires_at_micros: node.certificate_expires_at.0,
                software_version: live.software_version,
                draining: live.heartbeat.draining,
                drained_by: node.drain.as_ref().map(|d| d.by.to_string()).unwrap_or_default(),
                drain_reason: node.drain.as_ref().map(|d| d.reason.clone()).unwrap_or_default(),
                drain_deadline_micros: node.drain.as_ref().map_or(0, |d| d.deadline.0),
            }
        });
        nodes.collect()
    }
}

/// Counts a connection while it lives.
pub(crate) struct Connected<'a> {
    fleet: &'a Fleet,
    name: &'a EdgeId,
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.fleet.with(self.name, |live| live.connections = live.connections.saturating_sub(1));
    }
}
