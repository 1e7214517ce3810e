//! What the session asks before any byte of a statement goes on (E1).

use std::sync::Arc;

use writ_audit::EncodedStatement;
use writ_model::sqlstate::SqlState;
use writ_model::{Decision, HourlyLimit, StatementFacts, Timestamp};

use crate::screen::{Detect, Screen};

/// Identifies everything but the text that a ruling depends on: epoch, catalog, names. Equal stamps of one gate
/// mean equal rulings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp(pub u64);

/// One column for the approver to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchedColumn {
    /// The schema's name.
    pub schema: String,
    /// The relation's name.
    pub relation: String,
    /// The column's name.
    pub column: String,
    /// What it holds; empty: harmless.
    pub tag: String,
    /// Whether it is written.
    pub written: bool,
}

/// What was decided for one text.
#[derive(Debug)]
pub struct Ruling {
    /// The text that was decided, exactly.
    pub text: Box<[u8]>,
    /// What the statement does.
    pub facts: Arc<StatementFacts>,
    /// The decision.
    pub decision: Arc<Decision>,
    /// The SQLSTATE of a refusal.
    pub sqlstate: SqlState,
    /// The text to send instead, with masks written in; `None`: the client's own.
    pub rewritten: Option<Box<[u8]>>,
    /// The record's constant part.
    pub profile: EncodedStatement,
    /// Columns, for an approval's request.
    pub touched: Arc<[TouchedColumn]>,
    /// Whether bind values stay out of the record, because sensitive columns are involved.
    pub redact_binds: bool,
    /// What its results are screened for; `None`: they pass as they are.
    pub screen: Option<Arc<Screen>>,
    /// Whether the planner was asked before it was decided.
    pub estimated: bool,
    /// The rows that it expected.
    pub expected: Option<u64>,
}

/// Whether a text that is sent in other words is so for its label alone: it reads nothing that could be masked.
pub(crate) fn is_label_only(facts: &StatementFacts) -> bool {
    facts.settings.contains(writ_model::label::APPLICATION_NAME)
        && facts.reads.is_empty()
        && facts.executes.is_empty()
}

impl Ruling {
    /// `allow`, `mask`, `hold` or `deny`.
    #[must_use]
    pub fn decided(&self) -> &'static str {
        match self.decision.verdict.as_str() {
            "allow" if self.screen.is_some() => "mask",
            "allow" if self.rewritten.is_some() && !is_label_only(&self.facts) => "mask",
            other => other,
        }
    }

    /// This ruling for another text with exactly the same facts. `None` where more than the text would
    /// differ: a text was rewritten, or the record does not keep it as it is.
    pub(crate) fn for_text(&self, text: &str) -> Option<Self> {
        if self.rewritten.is_some() || self.redact_binds {
            return None;
        }
        Some(Self {
            text: text.as_bytes().into(),
            facts: Arc::clone(&self.facts),
            decision: Arc::clone(&self.decision),
            sqlstate: self.sqlstate,
            rewritten: None,
            profile: self.profile.with_text(text)?,
            touched: Arc::clone(&self.touched),
            redact_binds: self.redact_binds,
            screen: self.screen.clone(),
            estimated: self.estimated,
            expected: self.expected,
        })
    }

    /// The text that goes to the server.
    #[must_use]
    pub fn sent(&self) -> &[u8] {
        self.rewritten.as_deref().unwrap_or(&self.text)
    }

    /// The ids of the determining rules, comma-separated.
    #[must_use]
    pub fn rules(&self) -> String {
        self.decision.rules.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(",")
    }
}

/// Where names stand in a session: what the server says, never what is guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionNames {
    /// `current_user`.
    pub role: String,
    /// The effective search path, temp and system schemas included.
    pub search_path: Vec<String>,
    /// Relations in the session's temporary schema.
    pub temp_relations: Vec<String>,
    /// Those of them that run something of their own: views, and tables with triggers, rules or code behind columns.
    pub temp_active: Vec<String>,
    /// How backslashes in plain literals are read.
    pub standard_conforming_strings: bool,
}

/// What is left of an hour's limits; `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Rows.
    pub rows: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
}

/// Decides texts for one session.
pub trait Gate {
    /// Takes the newest configuration and catalog. An error ends the session: the principal or the database is gone.
    fn refresh(&mut self, now: Timestamp) -> Result<(), String>;
    /// What rulings depend on at this moment.
    fn stamp(&self) -> Stamp;
    /// Decides `text`.
    fn rule(&mut self, text: &[u8], now: Timestamp) -> Arc<Ruling>;
    /// Decides a text that executes SQL-level prepared statements: `prepared` are their rulings under the
    /// current stamp, or `None` for one that is not known to this session.
    fn rule_execute(
        &mut self,
        outer: &Ruling,
        prepared: &[Option<Arc<Ruling>>],
        now: Timestamp,
    ) -> Arc<Ruling>;
    /// The text that does what a FunctionCall of `oid` with so many arguments does; `None`: not known.
    fn function_call_text(&self, oid: u32, arguments: u32) -> Option<String>;
    /// A refusal of something that never was a readable text, such as a message over the limit.
    fn refuse(&mut self, sqlstate: SqlState, what: &str, next_step: &str) -> Arc<Ruling>;
    /// Whether an error may not quote a row of this relation, because something in it is masked.
    fn hides_rows(&self, schema: &str, relation: &str) -> bool;
    /// The names in force.
    fn names(&self) -> &SessionNames;
    /// Sets them.
    fn set_names(&mut self, names: SessionNames);
    /// Uses a catalog of this session's own, which sees its uncommitted definitions; `None`: the shared one.
    fn set_own_catalog(&mut self, json: Option<&[u8]>) -> Result<(), String>;
    /// Whether a rule looks at, or limits, what principals take in an hour: rows are counted then.
    fn counts_usage(&self) -> bool {
        false
    }
    /// The client took this much.
    fn charge(&self, _now: Timestamp, _rows: u64, _bytes: u64) {}
    /// Whether a rule looks at the rows that the planner expects of this text, and they are not known yet.
    fn wants_estimate(&self, _ruling: &Ruling) -> bool {
        false
    }
    /// Decides again, now that the planner was asked; `None`: it does not know.
    fn rule_expecting(&mut self, text: &[u8], _rows: Option<u64>, now: Timestamp) -> Arc<Ruling> {
        self.rule(text, now)
    }
    /// What finds sensitive values in screened results.
    fn detect(&self) -> Option<&dyn Detect> {
        None
    }
    /// What is left of these limits.
    fn left(&self, _limits: &[HourlyLimit], _now: Timestamp) -> Left {
        Left::default()
    }
}

/// The right to forward one statement's bytes. Only the session's admission makes one, and using it consumes it.
#[derive(Debug)]
pub struct Permit {
    _private: (),
}

impl Permit {
    pub(crate) fn grant() -> Self {
        Self { _private: () }
    }
}
