//! The session core's journal, on the spool.

use writ_audit::record::{ConnectionRefused, SessionClosed, SessionOpened, SourceStarted};
use writ_audit::{
    Body, Header, IntentRef, OutcomeRef, Record, SessionProfile, encode_intent, encode_outcome,
};
use writ_edge_core::{Journal, JournalFull};
use writ_model::Timestamp;

use crate::metrics::{Class, Metrics};
use crate::spool::Spool;
use crate::telemetry::{SessionTrace, Telemetry};
use std::sync::Arc;

/// The share of the spool that only outcomes and session records may use: each intent leaves room for its outcome.
const RESERVE_PERCENT: u64 = 5;

/// Writes records; cheap to clone.
#[derive(Clone)]
pub struct SpoolJournal {
    spool: Spool,
    metrics: Arc<Metrics>,
    class: Class,
    telemetry: Option<Telemetry>,
    /// Of a session where spans are made.
    trace: Option<Box<SessionTrace>>,
}

impl SpoolJournal {
    /// A journal on `spool`.
    #[must_use]
    pub fn new(spool: Spool, metrics: Arc<Metrics>) -> Self {
        Self { spool, metrics, class: Class::default(), telemetry: None, trace: None }
    }

    /// The same, that has spans made of what it records.
    #[must_use]
    pub fn traced(self, telemetry: Option<Telemetry>) -> Self {
        Self { telemetry, ..self }
    }

    /// Where spans go, if anywhere.
    #[must_use]
    pub fn telemetry(&self) -> Option<&Telemetry> {
        self.telemetry.as_ref()
    }

    /// The same for one session, whose statements are counted with its class.
    #[must_use]
    pub fn of_session(&self, profile: &SessionProfile) -> Self {
        let class = self.metrics.class(&profile.database, &profile.principal);
        let trace = self.telemetry.as_ref().map(|telemetry| Box::new(telemetry.session(profile)));
        Self { class, trace, ..self.clone() }
    }

    /// What is noted of the session, where spans are made.
    pub fn trace(&mut self) -> Option<&mut SessionTrace> {
        self.trace.as_deref_mut()
    }

    /// What the session's statements are counted in.
    #[must_use]
    pub fn class(&self) -> &Class {
        &self.class
    }

    /// Writes a record that is not on the hot path.
    pub fn write(&self, at: Timestamp, body: Body) {
        let written = self.spool.append(at, |header, out| {
            let record = Record { source: header.source.to_owned(), seq: header.seq, at, body };
            record.encode(out);
        });
        if written.is_err() {
            self.lost();
        }
    }

    /// The process started.
    pub fn started(&self, at: Timestamp, environment: &str, clean: bool) {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let environment = environment.to_owned();
        self.write(at, Body::SourceStarted(SourceStarted { version, environment, clean }));
    }

    /// A client was turned away.
    pub fn refused(&self, at: Timestamp, refused: ConnectionRefused) {
        self.metrics.connections_refused.add(1);
        self.write(at, Body::ConnectionRefused(refused));
    }

    /// A session began.
    pub fn opened(&self, at: Timestamp, opened: SessionOpened) {
        self.write(at, Body::SessionOpened(opened));
    }

    /// A session ended.
    pub fn closed(&self, at: Timestamp, closed: SessionClosed) {
        self.write(at, Body::SessionClosed(closed));
    }

    fn lost(&self) {
        // E6: never silent. The spool's stop is visible in metrics, and statements are refused meanwhile.
        self.metrics.records_lost.add(1);
        tracing::error!("the audit spool is full: a record was not written");
    }
}

impl Journal for SpoolJournal {
    fn intent(&mut self, at: Timestamp, intent: &IntentRef<'_>) -> Result<u64, JournalFull> {
        let reserve = self.spool.bytes_max() / 100 * RESERVE_PERCENT;
        let encode = |header: Header<'_>, out: &mut Vec<u8>| encode_intent(header, intent, out);
        match self.spool.append_leaving(reserve, at, encode) {
            Ok(seq) => {
                self.metrics.statements.add(1);
                let decided = match intent.decided {
                    "mask" => &self.class.masked,
                    "hold" => &self.class.held,
                    "deny" => &self.class.denied,
                    _ => &self.class.allowed,
                };
                decided.add(1);
                if let Some(trace) = &mut self.trace {
                    trace.intent(at, intent);
                }
                Ok(seq)
            }
            Err(_full) => {
                self.metrics.statements_unrecorded.add(1);
                Err(JournalFull)
            }
        }
    }

    fn outcome(&mut self, at: Timestamp, outcome: &OutcomeRef<'_>) {
        self.class.statement.observe_us(outcome.duration_us);
        if let Some(trace) = &mut self.trace {
            trace.outcome(at, outcome);
        }
        if self.spool.append(at, |header, out| encode_outcome(header, outcome, out)).is_err() {
            self.lost();
        }
    }
}
