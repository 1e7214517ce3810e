//! One login: its steps, and whether it became a session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use writ_audit::SessionProfile;
use writ_model::Timestamp;
use writ_model::sqlstate::SqlState;

use super::spans::{Finished, Interval, LoginFacts, Part, What};
use super::{Place, Telemetry};

/// A step of a login that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// TLS and the start-up message.
    Tls,
    /// Who it is, is proven.
    Authentication,
    /// The database's connection is there.
    Connection,
}

/// A login on its way.
pub struct Login {
    began: Instant,
    trace: Option<Box<Trace>>,
}

struct Trace {
    telemetry: Telemetry,
    place: Place,
    client: IpAddr,
    began: Timestamp,
    last: Timestamp,
    parts: Vec<Part>,
}

impl Login {
    /// A client connected just now.
    #[must_use]
    pub fn begin(telemetry: Option<&Telemetry>, client: SocketAddr) -> Self {
        let trace = telemetry.and_then(|telemetry| {
            let place = telemetry.place(None)?;
            let now = telemetry.now();
            let (telemetry, client) = (telemetry.clone(), client.ip());
            let parts = Vec::new();
            Some(Box::new(Trace { telemetry, place, client, began: now, last: now, parts }))
        });
        Self { began: Instant::now(), trace }
    }

    /// When the client connected.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// A step is over; the next one begins.
    pub fn step(&mut self, step: Step) {
        let Some(trace) = &mut self.trace else { return };
        let what = match step {
            Step::Tls => What::Tls,
            Step::Authentication => What::Authentication,
            Step::Connection => What::Connection,
        };
        let now = trace.telemetry.now();
        trace.parts.push(Part { what, when: Interval { from: trace.last, to: now } });
        trace.last = now;
    }

    /// It became a session.
    pub fn opened(&mut self, profile: &SessionProfile, method: &str, tls: bool) {
        self.end(|facts| {
            facts.session = Some(Arc::new(profile.into()));
            facts.method = Some(method.to_owned());
            facts.tls = tls;
        });
    }

    /// It was turned away with this code.
    pub fn refused(&mut self, code: SqlState, tls: bool) {
        self.end(|facts| {
            facts.sqlstate = Some(code.0);
            facts.tls = tls;
        });
    }

    fn end(&mut self, how: impl FnOnce(&mut LoginFacts)) {
        let Some(trace) = self.trace.take() else { return };
        let Trace { telemetry, place, client, began, parts, .. } = *trace;
        let when = Interval { from: began, to: telemetry.now() };
        let mut facts = LoginFacts {
            place,
            client,
            session: None,
            method: None,
            tls: false,
            sqlstate: None,
            when,
            parts,
        };
        how(&mut facts);
        telemetry.finish(Finished::Login(Box::new(facts)));
    }
}
