//! Whether the edge is ready, and what its port shows beside counters.

use std::sync::Arc;

use writ_model::DatabaseName;
use writ_proto::node::Clock;

use crate::drain::Drain;
use crate::limits::Limits;
use crate::metrics::Health;
use crate::sessions::Sessions;
use crate::spool::Spool;
use crate::states::Databases;
use crate::takeover::Position;

/// How the edge is.
pub(crate) struct EdgeHealth {
    pub(crate) databases: Arc<Databases>,
    pub(crate) spool: Spool,
    pub(crate) clock: Clock,
    pub(crate) drain: Arc<Drain>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) limits: Arc<Limits>,
}

impl EdgeHealth {
    /// What this process knows and can do.
    pub(crate) fn position(&self) -> Position {
        let config = self.databases.config();
        let unready =
            |name: &&DatabaseName| !self.databases.get(name).is_some_and(|one| one.is_ready());
        Position {
            epoch: config.as_ref().map_or(0, |config| config.epoch.0),
            last_heard_micros: self.databases.last_heard().0,
            unready: config
                .iter()
                .flat_map(|config| config.databases.keys())
                .filter(unready)
                .map(ToString::to_string)
                .collect(),
        }
    }
}

impl Health for EdgeHealth {
    fn gauges(&self) -> Vec<(&'static str, &'static str, u64)> {
        let stats = self.spool.stats();
        let epoch = self.databases.config().map_or(0, |c| c.epoch.0);
        let behind = (self.clock)().since(self.databases.last_heard()).0;
        vec![
            ("epoch", "The configuration's epoch", epoch),
            ("behind_milliseconds", "Since the control plane was heard", behind),
            ("spool_bytes", "Bytes in the spool", stats.bytes_used),
            ("spool_bytes_max", "The spool's room", stats.bytes_max),
            ("draining", "Takes no new sessions", u64::from(self.drain.reason().is_some())),
            ("buffer_bytes", "Bytes in sessions' buffers", self.limits.buffers().held() as u64),
            ("records_unshipped", "Records that the lake has not", stats.records_unshipped),
        ]
    }

    fn not_ready(&self) -> Option<String> {
        if let Some(reason) = self.drain.reason() {
            let left = self.sessions.count();
            return Some(format!("draining: {reason}; {left} sessions are left"));
        }
        if self.databases.config().is_none() {
            return Some("no configuration yet".into());
        }
        let unready = self.position().unready;
        unready.first().map(|name| format!("the catalog of {name} has not been read yet"))
    }
}
