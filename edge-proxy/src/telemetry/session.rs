//! The statements of one session on their way: when each arrived, what it waited for, and how it ended.

use std::collections::VecDeque;
use std::sync::Arc;

use writ_audit::{Effect, IntentRef, OutcomeRef, ProtocolKind, SessionProfile};
use writ_edge_core::trace_context;
use writ_model::Timestamp;
use writ_model::server::Server;

use super::spans::{Finished, Interval, Part, ServerFacts, SessionFacts, StatementFacts, What};
use super::{Place, Telemetry};

/// Statements of one session whose outcome is not known, at most: further ones get no span.
const OPEN_MAX: usize = 1_024;
/// Waits that are noted of one statement, at most.
const PARTS_MAX: usize = 16;

/// What a session waits for at the end of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// Something of the client's was received and not dealt with.
    pub in_line: bool,
    /// A statement waits for its approval.
    pub held: bool,
    /// No connection to the database is free.
    pub connection: bool,
}

/// What is noted of one session.
#[derive(Clone)]
pub struct SessionTrace {
    telemetry: Telemetry,
    session: Arc<SessionFacts>,
    server: Option<Arc<ServerFacts>>,
    open: VecDeque<Open>,
    /// Since when something of the client's waits.
    arrived: Option<Timestamp>,
    waiting: Option<(What, Timestamp)>,
    /// Waits that are over, of the statement that comes next.
    waited: Vec<Part>,
    last_outcome: Timestamp,
}

/// A statement that was decided.
#[derive(Clone)]
struct Open {
    place: Place,
    id: String,
    arrived: Timestamp,
    decided: Timestamp,
    parts: Vec<Part>,
    decision: &'static str,
    effect: Effect,
    protocol: ProtocolKind,
    approval: Option<String>,
    epoch: u64,
}

impl Telemetry {
    /// Notes what happens in a session.
    #[must_use]
    pub fn session(&self, profile: &SessionProfile) -> SessionTrace {
        SessionTrace {
            telemetry: self.clone(),
            session: Arc::new(profile.into()),
            server: None,
            open: VecDeque::new(),
            arrived: None,
            waiting: None,
            waited: Vec::new(),
            last_outcome: Timestamp(0),
        }
    }
}

impl SessionTrace {
    /// The session's connection is to this server, where the database is called `dbname`.
    pub fn at_server(&mut self, dbname: &str, server: &Server) {
        let same = |now: &Arc<ServerFacts>| now.host == server.host && now.port == server.port;
        if !self.server.as_ref().is_some_and(same) {
            let (host, port) = (server.host.clone(), server.port);
            self.server = Some(Arc::new(ServerFacts { host, port, dbname: dbname.to_owned() }));
        }
    }

    /// A turn ended that began at `began`.
    pub fn turn_ended(&mut self, began: Timestamp, waits: Waits) {
        self.arrived = waits.in_line.then(|| self.arrived.unwrap_or(began));
        let waiting = match waits {
            Waits { connection: true, .. } => Some(What::Connection),
            Waits { held: true, .. } => Some(What::Approval),
            _ => None,
        };
        if self.waiting.map(|(what, _)| what) != waiting {
            self.wait_ended(began);
            self.waiting = waiting.map(|what| (what, self.telemetry.now()));
        }
    }

    fn wait_ended(&mut self, to: Timestamp) {
        if let Some((what, from)) = self.waiting.take()
            && self.waited.len() < PARTS_MAX
        {
            self.waited.push(Part { what, when: Interval { from, to: to.max(from) } });
        }
    }

    /// A statement was decided; it was looked at from `at` on.
    pub fn intent(&mut self, at: Timestamp, intent: &IntentRef<'_>) {
        self.wait_ended(at);
        let arrived = self.arrived.take().unwrap_or(at);
        let mut parts = std::mem::take(&mut self.waited);
        if self.open.len() >= OPEN_MAX {
            return self.telemetry.lost(1);
        }
        let context = trace_context::of_statement(intent.text);
        let Some(place) = self.telemetry.place(context.as_ref()) else { return };
        parts.retain(|part| part.when.to >= arrived);
        let decided = self.telemetry.now();
        parts.push(deciding(arrived.max(self.last_outcome.min(at)), decided, &parts));
        self.open.push_back(Open {
            place,
            id: intent.statement.to_owned(),
            arrived,
            decided,
            parts,
            decision: intent.decided,
            effect: intent.effect,
            protocol: intent.protocol,
            approval: intent.approval.map(ToString::to_string),
            epoch: intent.epoch.0,
        });
    }

    /// A statement's outcome is known.
    pub fn outcome(&mut self, at: Timestamp, outcome: &OutcomeRef<'_>) {
        self.last_outcome = at;
        let Some(index) = self.open.iter().position(|open| open.id == outcome.statement) else {
            return;
        };
        let Some(mut open) = self.open.remove(index) else { return };
        open.parts.append(&mut self.waited);
        if open.effect == Effect::Forwarded {
            run(&mut open, at, outcome.duration_us);
        }
        self.telemetry.finish(Finished::Statement(Box::new(StatementFacts {
            place: open.place,
            session: Arc::clone(&self.session),
            server: self.server.clone(),
            id: open.id,
            when: Interval { from: open.arrived, to: at },
            parts: open.parts,
            decision: open.decision,
            effect: open.effect,
            protocol: open.protocol,
            approval: open.approval,
            epoch: open.epoch,
            tag: outcome.command_tag.to_owned(),
            sqlstate: outcome.sqlstate.map(str::to_owned),
            rows: outcome.rows,
            bytes_out: outcome.bytes_out,
            cancelled: outcome.cancelled,
        })));
    }
}

/// When it was decided: before its approval was asked for, and after what it waited for first.
fn deciding(from: Timestamp, decided: Timestamp, waits: &[Part]) -> Part {
    let asked = waits.iter().find(|part| part.what == What::Approval);
    let to = asked.map_or(decided, |part| part.when.from);
    let before = waits.iter().map(|part| part.when.to).filter(|end| *end <= to);
    let from = before.fold(from, Timestamp::max).min(to);
    Part { what: What::Decide, when: Interval { from, to } }
}

/// When its record was waited for, and when the database had it.
fn run(open: &mut Open, at: Timestamp, duration_us: u64) {
    let took = i64::try_from(duration_us).unwrap_or(i64::MAX);
    let started = Timestamp(at.0.saturating_sub(took)).max(open.decided);
    if started > open.decided {
        let when = Interval { from: open.decided, to: started };
        open.parts.push(Part { what: What::Record, when });
    }
    let waits = open.parts.iter().map(|part| part.when.to).filter(|end| *end <= at);
    let from = waits.fold(started, Timestamp::max).min(at);
    open.parts.push(Part { what: What::Database, when: Interval { from, to: at } });
}
