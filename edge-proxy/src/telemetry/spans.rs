//! What is said of a login and of a statement, in the protocol's terms.

use std::net::IpAddr;
use std::sync::Arc;

use writ_audit::{Effect, ProtocolKind, SessionProfile};
use writ_model::{PrincipalId, Timestamp};
use writ_proto::otlp::any_value::Value;
use writ_proto::otlp::span::Kind;
use writ_proto::otlp::status::Code;
use writ_proto::otlp::{AnyValue, ArrayValue, KeyValue, Span, Status};

use super::Place;

/// The longest name of an operation, in bytes: PostgreSQL's own are shorter.
const OPERATION_BYTES_MAX: usize = 40;
/// Shorter parts of a statement than this get no span of their own, in microseconds.
const PART_US_MIN: i64 = 100;
/// The W3C flag of a trace that is kept.
const FLAG_SAMPLED: u32 = 0x01;
/// It is known whether the parent is in another process.
const FLAG_REMOTE_KNOWN: u32 = 0x100;
/// It is.
const FLAG_REMOTE: u32 = 0x200;

/// From one moment to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// A part of a login or a statement that took time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) what: What,
    pub(super) when: Interval,
}

/// What took time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The TLS handshake and the start-up message.
    Tls,
    /// Proving who it is.
    Authentication,
    /// Analysis and policy, with what they had to ask the database.
    Decide,
    /// Approvers.
    Approval,
    /// A connection to the database.
    Connection,
    /// The record on its way to the disk.
    Record,
    /// The database.
    Database,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Authentication => "authenticate",
            Self::Decide => "decide",
            Self::Approval => "wait for approval",
            Self::Connection => "wait for connection",
            Self::Record => "wait for record",
            Self::Database => "database",
        }
    }
}

/// What is the same for all spans of a session.
#[derive(Debug)]
pub(super) struct SessionFacts {
    pub(super) session: String,
    pub(super) principal: PrincipalId,
    pub(super) on_behalf_of: Vec<PrincipalId>,
    pub(super) client: Option<IpAddr>,
    pub(super) database: String,
    pub(super) environment: String,
}

impl From<&SessionProfile> for SessionFacts {
    fn from(profile: &SessionProfile) -> Self {
        let address = profile.client_address.parse::<std::net::SocketAddr>().ok();
        Self {
            session: profile.session.to_string(),
            principal: profile.principal.clone(),
            on_behalf_of: profile.on_behalf_of.clone(),
            client: address.map(|address| address.ip()),
            database: profile.database.to_string(),
            environment: profile.environment.to_string(),
        }
    }
}

/// The database's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerFacts {
    pub(super) host: String,
    pub(super) port: u16,
    /// The database's name there.
    pub(super) dbname: String,
}

/// A statement with its outcome.
#[derive(Debug)]
pub(super) struct StatementFacts {
    pub(super) place: Place,
    pub(super) session: Arc<SessionFacts>,
    pub(super) server: Option<Arc<ServerFacts>>,
    pub(super) id: String,
    pub(super) when: Interval,
    pub(super) parts: Vec<Part>,
    pub(super) decision: &'static str,
    pub(super) effect: Effect,
    pub(super) protocol: ProtocolKind,
    pub(super) approval: Option<String>,
    pub(super) epoch: u64,
    /// The server's command tag.
    pub(super) tag: String,
    pub(super) sqlstate: Option<String>,
    pub(super) rows: u64,
    pub(super) bytes_out: u64,
    pub(super) cancelled: bool,
}

/// A login with its outcome.
#[derive(Debug)]
pub(super) struct LoginFacts {
    pub(super) place: Place,
    pub(super) client: IpAddr,
    /// `None`: it was turned away.
    pub(super) session: Option<Arc<SessionFacts>>,
    pub(super) method: Option<String>,
    pub(super) tls: bool,
    pub(super) sqlstate: Option<&'static str>,
    pub(super) when: Interval,
    pub(super) parts: Vec<Part>,
}

/// What a session hands over.
#[derive(Debug)]
pub(super) enum Finished {
    Statement(Box<StatementFacts>),
    Login(Box<LoginFacts>),
}

impl Finished {
    fn parts(&self) -> &[Part] {
        match self {
            Self::Statement(facts) => &facts.parts,
            Self::Login(facts) => &facts.parts,
        }
    }

    /// How many spans it makes.
    pub(super) fn count(&self) -> u64 {
        1 + self.parts().iter().filter(|part| shown(part)).count() as u64
    }

    /// Its spans: the whole, then its parts. `id` makes ids of spans; without `people` nobody is named.
    pub(super) fn spans(self, people: bool, id: impl FnMut() -> [u8; 8]) -> Vec<Span> {
        match self {
            Self::Statement(facts) => statement(*facts, people, id),
            Self::Login(facts) => login(*facts, people, id),
        }
    }
}

/// Waiting for people and for the database is always shown, the rest where it took time.
fn shown(part: &Part) -> bool {
    let took = part.when.to.0.saturating_sub(part.when.from.0);
    matches!(part.what, What::Approval | What::Database) || took >= PART_US_MIN
}

fn statement(facts: StatementFacts, people: bool, mut id: impl FnMut() -> [u8; 8]) -> Vec<Span> {
    let operation = operation(&facts.tag);
    let mut attributes = about_database(&facts.session.database, operation);
    attributes.extend(about_session(&facts.session, people));
    if let Some(server) = &facts.server {
        attributes.extend(about_server(server));
    }
    attributes.extend([
        text("writ.statement.id", facts.id),
        text("writ.decision", facts.decision),
        text("writ.effect", facts.effect.as_str()),
        text("writ.protocol", facts.protocol.as_str()),
        number("writ.epoch", facts.epoch),
        number("writ.rows", facts.rows),
        number("writ.bytes_out", facts.bytes_out),
    ]);
    attributes.extend(facts.approval.map(|approval| text("writ.approval.id", approval)));
    attributes.extend(facts.cancelled.then(|| flag("writ.cancelled", true)));
    let sqlstate = facts.sqlstate.as_deref();
    attributes.extend(about_error(sqlstate));
    let name = match operation {
        Some(operation) => format!("{operation} {}", facts.session.database),
        None => facts.session.database.clone(),
    };
    let whole = Span {
        attributes,
        status: status(sqlstate),
        ..span(facts.place, name, Kind::Server, facts.when)
    };
    let mut spans = vec![whole];
    for part in facts.parts.iter().filter(|part| shown(part)) {
        let mut span = child(facts.place, *part, id());
        if part.what == What::Database {
            let dbname = facts.server.as_ref().map_or("", |server| server.dbname.as_str());
            span.kind = Kind::Client.into();
            span.attributes = about_database(dbname, operation);
            span.attributes.extend(facts.server.as_deref().into_iter().flat_map(about_server));
            span.attributes.extend(about_error(sqlstate));
            span.status = status(sqlstate);
        }
        spans.push(span);
    }
    spans
}

fn login(facts: LoginFacts, people: bool, mut id: impl FnMut() -> [u8; 8]) -> Vec<Span> {
    let mut attributes = vec![text("db.system.name", "postgresql"), flag("writ.tls", facts.tls)];
    match &facts.session {
        Some(session) => {
            attributes.push(text("db.namespace", session.database.clone()));
            attributes.extend(about_session(session, people));
        }
        None if people => attributes.push(text("client.address", facts.client.to_string())),
        None => {}
    }
    attributes.extend(facts.method.map(|method| text("writ.authentication", method)));
    attributes.extend(about_error(facts.sqlstate));
    let whole = Span {
        attributes,
        status: status(facts.sqlstate),
        ..span(facts.place, "login".to_owned(), Kind::Server, facts.when)
    };
    let parts = facts.parts.iter().filter(|part| shown(part));
    std::iter::once(whole).chain(parts.map(|part| child(facts.place, *part, id()))).collect()
}

fn child(whole: Place, part: Part, id: [u8; 8]) -> Span {
    let place = Place { parent: Some(whole.span), span: id, ..whole };
    let span = span(place, part.what.name().to_owned(), Kind::Internal, part.when);
    Span { flags: FLAG_SAMPLED | FLAG_REMOTE_KNOWN, ..span }
}

fn span(place: Place, name: String, kind: Kind, when: Interval) -> Span {
    let remote = if place.parent.is_some() { FLAG_REMOTE } else { 0 };
    Span {
        trace_id: place.trace.to_vec(),
        span_id: place.span.to_vec(),
        parent_span_id: place.parent.map_or_else(Vec::new, |parent| parent.to_vec()),
        name,
        kind: kind.into(),
        start_time_unix_nano: nanoseconds(when.from),
        end_time_unix_nano: nanoseconds(when.to.max(when.from)),
        attributes: Vec::new(),
        status: None,
        flags: FLAG_SAMPLED | FLAG_REMOTE_KNOWN | remote,
    }
}

fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.0).unwrap_or(0).saturating_mul(1_000)
}

fn about_database(namespace: &str, operation: Option<&str>) -> Vec<KeyValue> {
    let mut attributes =
        vec![text("db.system.name", "postgresql"), text("db.namespace", namespace)];
    attributes.extend(operation.map(|operation| text("db.operation.name", operation)));
    attributes
}

fn about_server(server: &ServerFacts) -> [KeyValue; 2] {
    let port = number("server.port", u64::from(server.port));
    [text("server.address", server.host.clone()), port]
}

fn about_session(session: &SessionFacts, people: bool) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("writ.session.id", session.session.clone()),
        text("writ.environment", session.environment.clone()),
        text("writ.principal.kind", session.principal.kind().as_str()),
    ];
    if people {
        attributes.push(text("writ.principal", session.principal.to_string()));
        if !session.on_behalf_of.is_empty() {
            let values = session.on_behalf_of.iter().map(|id| string(id.to_string())).collect();
            let list = Value::ArrayValue(ArrayValue { values });
            attributes.push(attribute("writ.on_behalf_of", list));
        }
        let address = session.client.map(|address| text("client.address", address.to_string()));
        attributes.extend(address);
    }
    attributes
}

/// Of an error, its class alone: its message may quote data.
fn about_error(sqlstate: Option<&str>) -> Vec<KeyValue> {
    let Some(code) = sqlstate else { return Vec::new() };
    let well_formed = |b: u8| b.is_ascii_digit() || b.is_ascii_uppercase();
    if code.len() != 5 || !code.bytes().all(well_formed) {
        return vec![text("error.type", "_OTHER")];
    }
    vec![text("db.response.status_code", code), text("error.type", code)]
}

fn status(sqlstate: Option<&str>) -> Option<Status> {
    sqlstate.map(|_| Status { code: Code::Error.into() })
}

/// `INSERT` of `INSERT 0 1`: the words in front of the counts, where it is what a command tag is.
fn operation(tag: &str) -> Option<&str> {
    let words = tag.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let known = |b: u8| b.is_ascii_uppercase() || b == b' ';
    let is_name =
        !words.is_empty() && words.len() <= OPERATION_BYTES_MAX && words.bytes().all(known);
    is_name.then_some(words)
}

fn string(value: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.into())) }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

/// An attribute that is a text.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(string(value)) }
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn flag(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}
