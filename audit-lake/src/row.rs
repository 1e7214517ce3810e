//! From a decoded record to the typed columns that SQL and other engines read. The verifier runs the same
//! code over the canonical bytes, so an edited column cannot disagree with its record unseen (L2).

use serde_json::Value;
use writ_audit::{
    BindValue, BindValues, Body, ChainHash, ConnectionRefused, ControlEvent, Intent, Outcome,
    Record, RelationUse, SessionClosed, SessionOpened, SessionProfile, StatementProfile, TextValue,
};
use writ_model::PrincipalId;

/// One column of one relation that a statement used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The schema's exact name.
    pub schema_name: String,
    /// The relation's exact name.
    pub relation_name: String,
    /// The column's exact name; empty where the relation was used without naming a column.
    pub column_name: String,
    /// `read` or `write`.
    pub operation: &'static str,
    /// What the column holds, where that is known.
    pub tag: Option<String>,
    /// Whether the principal saw it masked.
    pub masked: bool,
}

/// The extracted columns of one record. `None`: the record's kind has no such thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    pub(crate) lake_index: i64,
    pub(crate) source: String,
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) kind: &'static str,
    pub(crate) chain: [u8; 32],
    pub(crate) record: Vec<u8>,
    pub(crate) statement_id: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) principal_kind: Option<&'static str>,
    pub(crate) on_behalf_of: Option<String>,
    pub(crate) client_address: Option<String>,
    pub(crate) application_name: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) database_name: Option<String>,
    pub(crate) database_role: Option<String>,
    pub(crate) statement_text: Option<String>,
    pub(crate) statement_kinds: Option<String>,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) decision: Option<&'static str>,
    pub(crate) effect: Option<&'static str>,
    pub(crate) rules: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) epoch: Option<i64>,
    pub(crate) approval_id: Option<String>,
    pub(crate) masked_columns: Option<String>,
    pub(crate) relations_read: Option<String>,
    pub(crate) relations_written: Option<String>,
    pub(crate) functions: Option<String>,
    pub(crate) opaque: Option<String>,
    pub(crate) rewritten: Option<bool>,
    pub(crate) bind_values: Option<String>,
    pub(crate) access: Option<Vec<Access>>,
    pub(crate) sqlstate: Option<String>,
    pub(crate) rows: Option<i64>,
    pub(crate) bytes: Option<i64>,
    pub(crate) duration_us: Option<i64>,
    pub(crate) cancelled: Option<bool>,
    pub(crate) command_tag: Option<String>,
    pub(crate) authentication: Option<String>,
    pub(crate) tls: Option<bool>,
    pub(crate) statements: Option<i64>,
    pub(crate) event_seq: Option<i64>,
    pub(crate) event_kind: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) payload: Option<String>,
    pub(crate) event_hash: Option<String>,
}

/// A count as SQL's bigint; saturates.
pub(crate) fn bigint(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> Option<String> {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    Some(texts.join(","))
}

impl Row {
    /// The columns of `record`, whose canonical bytes are `bytes`, as number `lake_index` of the lake.
    #[must_use]
    pub fn new(lake_index: u64, record: &Record, bytes: Vec<u8>, chain: &[u8; 32]) -> Self {
        let mut row = Self {
            lake_index: bigint(lake_index),
            source: record.source.clone(),
            seq: bigint(record.seq),
            at: record.at.0,
            kind: record.body.kind(),
            chain: *chain,
            record: bytes,
            ..Self::default()
        };
        match &record.body {
            Body::SourceStarted(body) => {
                row.environment = Some(body.environment.clone());
                let how = if body.clean { "after an orderly stop" } else { "after a crash" };
                row.reason = Some(format!("writ {} started {how}", body.version));
            }
            Body::Gap(body) => {
                let text =
                    format!("records {} to {} were lost: {}", body.first, body.last, body.reason);
                row.reason = Some(text);
            }
            Body::SessionOpened(body) => row.session_opened(body),
            Body::SessionClosed(body) => row.session_closed(body),
            Body::ConnectionRefused(body) => row.connection_refused(body),
            Body::Intent(body) => row.intent(body),
            Body::Outcome(body) => row.outcome(body),
            Body::ControlEvent(body) => row.control_event(body),
        }
        row
    }

    /// Whether this is record `seq` of `source`.
    pub(crate) fn is(&self, source: &str, seq: u64) -> bool {
        self.seq == bigint(seq) && self.source == source
    }

    /// The chain hash after it.
    pub(crate) fn chain_hash(&self) -> ChainHash {
        ChainHash(self.chain)
    }

    fn principal(&mut self, principal: &PrincipalId) {
        self.principal = Some(principal.to_string());
        self.principal_kind = Some(principal.kind().as_str());
    }

    fn session(&mut self, profile: &SessionProfile) {
        let SessionProfile {
            session,
            principal,
            on_behalf_of,
            client_address,
            application_name,
            database,
            environment,
            database_role,
        } = profile;
        self.principal(principal);
        self.session_id = Some(session.to_string());
        self.on_behalf_of = list(on_behalf_of);
        self.client_address = Some(client_address.clone());
        self.application_name = Some(application_name.clone());
        self.database_name = Some(database.to_string());
        self.environment = Some(environment.to_string());
        self.database_role = Some(database_role.clone());
    }

    fn session_opened(&mut self, body: &SessionOpened) {
        let SessionOpened { session, authentication, tls, epoch } = body;
        self.session(session);
        self.authentication = Some(authentication.clone());
        self.tls = Some(*tls);
        self.epoch = Some(bigint(epoch.0));
    }

    fn session_closed(&mut self, body: &SessionClosed) {
        let SessionClosed { session, reason, statements, duration_us } = body;
        self.session_id = Some(session.to_string());
        self.reason = Some(reason.clone());
        self.statements = Some(bigint(*statements));
        self.duration_us = Some(bigint(*duration_us));
    }

    fn connection_refused(&mut self, body: &ConnectionRefused) {
        let ConnectionRefused { client_address, user, database, sqlstate, reason } = body;
        self.client_address = Some(client_address.clone());
        // Not proven, so it must not look like a principal.
        self.actor = Some(user.clone());
        self.database_name = Some(database.clone());
        self.sqlstate = Some(sqlstate.clone());
        self.reason = Some(reason.clone());
    }

    fn intent(&mut self, body: &Intent) {
        let Intent { statement, session, profile, protocol, effect, approval, binds } = body;
        self.session(session);
        self.statement_id = Some(statement.to_string());
        self.protocol = Some(protocol.as_str());
        self.effect = Some(effect.as_str());
        self.approval_id = approval.as_ref().map(ToString::to_string);
        self.bind_values = bind_text(binds);
        self.profile(profile);
    }

    fn profile(&mut self, profile: &StatementProfile) {
        let StatementProfile {
            text,
            kinds,
            reads,
            writes,
            functions,
            opaque,
            decision,
            rules,
            reason,
            epoch,
            masked_columns,
            rewritten,
        } = profile;
        self.statement_text = Some(text_value(text));
        self.statement_kinds = list(kinds.iter().map(|kind| kind.as_str()));
        self.relations_read = relation_list(reads);
        self.relations_written = relation_list(writes);
        self.functions = list(functions);
        let opaque = opaque.iter().map(|part| format!("{}({})", part.reason, part.detail));
        self.opaque = list(opaque);
        self.decision = Some(decision.as_str());
        self.rules = list(rules);
        self.reason = Some(reason.clone());
        self.epoch = Some(bigint(epoch.0));
        self.masked_columns = list(masked_columns);
        self.rewritten = Some(*rewritten);
        let mut access = Vec::new();
        reads.iter().for_each(|relation| accesses(relation, "read", &mut access));
        writes.iter().for_each(|relation| accesses(relation, "write", &mut access));
        self.access = Some(access);
    }

    fn outcome(&mut self, body: &Outcome) {
        let Outcome { statement, sqlstate, rows, bytes_out, duration_us, cancelled, command_tag } =
            body;
        self.statement_id = Some(statement.to_string());
        self.sqlstate.clone_from(sqlstate);
        self.rows = Some(bigint(*rows));
        self.bytes = Some(bigint(*bytes_out));
        self.duration_us = Some(bigint(*duration_us));
        self.cancelled = Some(*cancelled);
        self.command_tag = Some(command_tag.clone());
    }

    fn control_event(&mut self, body: &ControlEvent) {
        let ControlEvent { event_seq, kind, actor, payload, hash } = body;
        self.event_seq = Some(bigint(*event_seq));
        self.event_kind = Some(kind.clone());
        self.actor = Some(actor.clone());
        self.payload = Some(payload.clone());
        self.event_hash = Some(hex::encode(hash));
        if kind.starts_with(APPROVAL_EVENTS)
            && let Ok(payload) = serde_json::from_str::<Value>(payload)
        {
            self.approval_event(&payload);
        }
    }

    /// What an approval's event says in words: who asked for what, or who voted how. A field that is not
    /// there stays empty; the payload has all of it.
    fn approval_event(&mut self, payload: &Value) {
        let text = |path: &str| payload.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let texts =
            |path: &str| list(payload.pointer(path)?.as_array()?.iter().filter_map(Value::as_str));
        self.approval_id = text("/id");
        self.reason =
            text("/reason").or_else(|| text("/vote/reason")).or_else(|| text("/request/reason"));
        self.principal = text("/request/principal").or_else(|| text("/vote/approver"));
        self.on_behalf_of = texts("/request/on_behalf_of");
        let either = |one: &str, other: &str| text(one).or_else(|| text(other));
        self.session_id = either("/request/session", "/session/session");
        self.statement_id = either("/request/idempotency_key", "/session/idempotency_key")
            .or_else(|| text("/key").filter(|key| !key.is_empty()));
        self.environment = text("/request/environment");
        self.database_name = text("/request/database");
        self.client_address = either("/request/client_address", "/session/client_address");
        self.application_name = either("/request/application_name", "/session/application_name");
        self.statement_text = text("/request/statement_text");
        self.statement_kinds = texts("/request/kinds");
        self.rules = texts("/request/rules");
        self.epoch = payload.pointer("/request/epoch").and_then(Value::as_i64);
        self.decision = payload
            .pointer("/vote/approve")
            .and_then(Value::as_bool)
            .map(|approve| if approve { "approve" } else { "deny" });
    }
}

/// The names of all events about approvals begin so.
const APPROVAL_EVENTS: &str = "approval_";

fn relation_list(relations: &[RelationUse]) -> Option<String> {
    list(relations.iter().map(|relation| format!("{}.{}", relation.schema, relation.relation)))
}

fn accesses(relation: &RelationUse, operation: &'static str, out: &mut Vec<Access>) {
    let access = |column_name: &str, tag: Option<String>, masked: bool| Access {
        schema_name: relation.schema.clone(),
        relation_name: relation.relation.clone(),
        column_name: column_name.to_owned(),
        operation,
        tag,
        masked,
    };
    if relation.columns.is_empty() {
        out.push(access("", None, false));
    }
    for column in &relation.columns {
        let tag = column.tag.as_ref().map(ToString::to_string);
        out.push(access(&column.name, tag, column.masked));
    }
}

fn text_value(text: &TextValue) -> String {
    match text {
        TextValue::Clear(text) => text.clone(),
        TextValue::Redacted => "(redacted)".to_owned(),
        TextValue::Sealed(bytes) => format!("(sealed, {} bytes)", bytes.len()),
        TextValue::Digest { sha256, length } => {
            format!("(too large: {length} bytes, SHA-256 {})", hex::encode(sha256))
        }
    }
}

fn bind_text(binds: &BindValues) -> Option<String> {
    match binds {
        BindValues::None => None,
        BindValues::Clear(values) => {
            let values = values.iter().map(|value| match value {
                BindValue::Null => Value::Null,
                BindValue::Text(text) => Value::String(text.clone()),
                BindValue::Binary(bytes) => Value::String(format!("\\x{}", hex::encode(bytes))),
            });
            Some(Value::Array(values.collect()).to_string())
        }
        BindValues::Redacted(count) => Some(format!("({count} redacted)")),
        BindValues::Sealed(bytes) => Some(format!("(sealed, {} bytes)", bytes.len())),
    }
}
