//! Spans: what logins and statements took, for a collector of traces (docs/tracing.md). Without one, nothing of this is made.
//!
//! A span is made when its outcome is known, of times that were noted on the way; sessions hand it over and never wait.
//! It says who, what kind of thing, how long and how it ended: never a text, a value, or a message of an error.

mod export;
mod login;
mod session;
mod settings;
mod spans;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::mpsc;
use writ_edge_core::trace_context::TraceContext;
use writ_model::Timestamp;
use writ_proto::node::Clock;

use crate::metrics::Counter;
use crate::metrics::Metrics;

pub use export::{Exporter, FLUSH_MAX};
pub use login::{Login, Step};
pub use session::{SessionTrace, Waits};
pub use settings::{Root, Sampler, Settings};

use spans::Finished;

/// Finished logins and statements that wait to be sent, at most; further ones are dropped, and counted.
pub const FINISHED_MAX: usize = 8_192;

/// Fills with secure random bytes.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// Where sessions hand over what they finished; cheap to clone.
#[derive(Clone)]
pub struct Telemetry(Arc<Shared>);

struct Shared {
    sender: mpsc::Sender<Finished>,
    dropped: Counter,
    clock: Clock,
    random: Random,
    sampler: Sampler,
}

/// The place of a span in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    trace: [u8; 16],
    span: [u8; 8],
    /// The client's span.
    parent: Option<[u8; 8]>,
}

impl Telemetry {
    /// Begins to send spans. An error says what in the settings cannot be used.
    pub fn start(
        settings: &Settings,
        edge: &str,
        environment: &str,
        (clock, random): (Clock, Random),
        metrics: &Metrics,
    ) -> Result<(Self, Exporter), String> {
        let (sender, finished) = mpsc::channel(FINISHED_MAX);
        let resource = settings.resource(edge, environment);
        let counters = (metrics.spans_exported.clone(), metrics.spans_dropped.clone());
        let exporter =
            Exporter::start(settings, resource, finished, Arc::clone(&random), counters)?;
        let dropped = metrics.spans_dropped.clone();
        let sampler = settings.sampler;
        Ok((Self(Arc::new(Shared { sender, dropped, clock, random, sampler })), exporter))
    }

    fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    /// Spans that are not made, because there is no room for them.
    fn lost(&self, count: u64) {
        self.0.dropped.add(count);
    }

    /// A place for a new span; `None`: its trace is not kept.
    fn place(&self, parent: Option<&TraceContext>) -> Option<Place> {
        let random = &self.0.random;
        let trace = parent.map_or_else(|| id(random), |parent| parent.trace);
        let kept = self.0.sampler.keeps(&trace, parent);
        let parent = parent.map(|parent| parent.span);
        kept.then(|| Place { trace, span: id(random), parent })
    }

    /// Hands it over to be sent, where there is room.
    fn finish(&self, finished: Finished) {
        if let Err(
            mpsc::error::TrySendError::Full(lost) | mpsc::error::TrySendError::Closed(lost),
        ) = self.0.sender.try_send(finished)
        {
            self.lost(lost.count());
        }
    }
}

/// An id that is not all zeros.
fn id<const N: usize>(random: &Random) -> [u8; N] {
    let mut bytes = [0; N];
    random(&mut bytes);
    if bytes == [0; N]
        && let Some(last) = bytes.last_mut()
    {
        *last = 1;
    }
    bytes
}
