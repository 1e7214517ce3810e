//! A session core under test: a gate that decides by the text's first word, a journal in memory, and the server's part
//! played by the test.
#![allow(dead_code, unreachable_pub)]

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use writ_audit::record::{DecisionKind, TextValue};
use writ_audit::{EncodedStatement, IntentRef, OutcomeRef, SessionProfile, StatementProfile};
use writ_edge_core::gate::{Left, Ruling, SessionNames, Stamp};
use writ_edge_core::screen::{Detect, Screen};
use writ_edge_core::{Backend, Cx, Effect, Gate, Journal, JournalFull, Outbox, Session};
use writ_model::facts::{CursorUse, SessionEffect};
use writ_model::sqlstate::{self, SqlState};
use writ_model::{
    Decision, Denial, DurationMs, Epoch, HoldTerms, HourlyLimit, Limits, OpaqueReason, RelationUse,
    StatementFacts, StatementKind, Tag, Timestamp, Verdict,
};

/// Decides by the first word of the text: `deny`, `hold`, `mask`, `strict`, `set`; anything else is allowed.
pub struct WordGate {
    pub epoch: u64,
    pub names: SessionNames,
    pub stamp: u64,
    pub limits: Limits,
    pub left: Left,
    pub charged: std::cell::RefCell<Vec<(u64, u64)>>,
    pub detect: Secrets,
    /// Whatever the epoch says: as a catalog or the time may.
    pub refuses_all: bool,
}

impl Default for WordGate {
    fn default() -> Self {
        Self {
            epoch: 1,
            names: SessionNames::default(),
            stamp: 1,
            limits: Limits::default(),
            left: Left::default(),
            charged: std::cell::RefCell::default(),
            detect: Secrets::default(),
            refuses_all: false,
        }
    }
}

pub fn verdict(word: &str) -> Verdict {
    match word {
        "deny" => Verdict::Deny(Denial { reason: "no".into(), next_step: "ask".into() }),
        "hold" => Verdict::Hold(HoldTerms {
            approvers: vec!["dba".parse().expect("group")],
            quorum: 1,
            expires: DurationMs(300_000),
            reason: "it deletes everything".into(),
        }),
        _ => Verdict::Allow,
    }
}

pub fn profile(text: &str, epoch: u64) -> EncodedStatement {
    EncodedStatement::from(&StatementProfile {
        text: TextValue::Clear(text.into()),
        kinds: vec![],
        reads: vec![],
        writes: vec![],
        functions: vec![],
        opaque: vec![],
        decision: DecisionKind::Allow,
        rules: vec![],
        reason: String::new(),
        epoch: Epoch(epoch),
        masked_columns: vec![],
        rewritten: false,
    })
}

/// Finds `SECRETS`.
#[derive(Default)]
pub struct Secrets(Vec<Tag>);

impl Detect for Secrets {
    fn tags(&self) -> &[Tag] {
        &self.0
    }

    fn find(&self, text: &[u8], each: &mut dyn FnMut(usize, Range<usize>)) {
        const WORD: &[u8] = b"SECRETS";
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| rest.len() >= WORD.len()) {
            if rest.starts_with(WORD) {
                each(0, at..at + WORD.len());
            }
            at += 1;
        }
    }
}

/// From this epoch on, the text `unknown …` is allowed.
pub const EPOCH_OF_THE_UNKNOWN: u64 = 77;

impl WordGate {
    fn facts(&self, shown: &str, word: &str) -> StatementFacts {
        let mut facts =
            StatementFacts { bounded: true, statements: 1, ..StatementFacts::default() };
        facts.kinds.extend(match word {
            "update" | "remake" => Some(StatementKind::Update),
            "deallocate" => Some(StatementKind::Prepare),
            "copyin" => Some(StatementKind::CopyIn),
            "begin" | "commit" | "savepoint" => Some(StatementKind::Transaction),
            "characteristics" => Some(StatementKind::Set),
            "lock" => Some(StatementKind::Lock),
            "declare" | "fetch" | "close" => Some(StatementKind::Cursor),
            _ => Some(StatementKind::Select),
        });
        let last = shown.split(' ').next_back().unwrap_or_default().to_owned();
        facts.cursors.extend(match word {
            "declare" => Some(CursorUse::Declare { name: last, hold: false }),
            "fetch" => Some(CursorUse::Fetch(last)),
            "close" => Some(CursorUse::Close(Some(last))),
            _ => None,
        });
        // `prepare NAME WORD` is decided by its first word, and what it prepares by its last.
        let name = shown.split(' ').nth(1).unwrap_or_default().to_owned();
        match word {
            "prepare" => facts.prepares.extend([name]),
            "execute" => facts.executes.extend([name]),
            "deallocate" => {
                facts.deallocates.insert((name != "all").then_some(name));
            }
            _ => {}
        }
        // What somebody makes later.
        if word == "unknown" && self.epoch < EPOCH_OF_THE_UNKNOWN {
            facts.opaque.insert(OpaqueReason::UnknownRelation("later".into()));
        }
        if word == "set" {
            facts.session.insert(SessionEffect::Names);
        }
        if word == "define" {
            facts.session.insert(SessionEffect::Definitions);
        }
        if matches!(word, "commit" | "rollback") {
            facts.session.insert(SessionEffect::TransactionEnd);
        }
        if matches!(word, "end" | "remake" | "uncover") {
            facts.session.insert(SessionEffect::TransactionEnd);
            facts.statements = 2;
        }
        if word == "end" {
            facts.reads.insert(RelationUse {
                oid: 1,
                schema: "public".into(),
                name: "t".into(),
                columns: [].into(),
            });
        }
        facts
    }

    fn ruling(&self, text: &[u8], mut verdict: Verdict, code: SqlState) -> Arc<Ruling> {
        let shown = String::from_utf8_lossy(text).into_owned();
        let word = shown.split(' ').next().unwrap_or_default().to_owned();
        let facts = self.facts(&shown, &word);
        if !facts.opaque.is_empty() {
            verdict = self::verdict("deny");
        }
        Arc::new(Ruling {
            text: text.into(),
            facts: Arc::new(facts),
            decision: Arc::new(Decision {
                verdict,
                rules: vec!["word".parse().expect("rule")],
                epoch: Epoch(self.epoch),
                strict: word.starts_with("strict") || word == "hold",
                limits: self.limits.clone(),
            }),
            sqlstate: code,
            rewritten: word
                .ends_with("mask")
                .then(|| format!("masked by {}", self.epoch).into_bytes().into_boxed_slice()),
            profile: profile(&shown, self.epoch),
            touched: Arc::from([]),
            redact_binds: false,
            screen: shown
                .contains("screened")
                .then(|| Arc::new(Screen { hidden: [0].into(), ..Screen::default() })),
            estimated: false,
            expected: None,
        })
    }
}

impl Gate for WordGate {
    fn refresh(&mut self, _now: Timestamp) -> Result<(), String> {
        self.stamp = self.epoch;
        Ok(())
    }
    fn stamp(&self) -> Stamp {
        Stamp(self.stamp)
    }
    fn rule(&mut self, text: &[u8], _now: Timestamp) -> Arc<Ruling> {
        let word = String::from_utf8_lossy(text).split(' ').next().unwrap_or_default().to_owned();
        let word = if self.refuses_all { "deny".to_owned() } else { word };
        self.ruling(text, verdict(&word), sqlstate::REFUSED)
    }
    fn rule_execute(
        &mut self,
        outer: &Ruling,
        prepared: &[Option<Arc<Ruling>>],
        _now: Timestamp,
    ) -> Arc<Ruling> {
        let word = |ruling: &Option<Arc<Ruling>>| {
            let text = ruling.as_ref().map(|r| String::from_utf8_lossy(&r.text).into_owned());
            text.as_deref().and_then(|t| t.split(' ').next_back()).unwrap_or("deny").to_owned()
        };
        let words: Vec<String> = prepared.iter().map(word).collect();
        let worst = ["deny", "hold"].into_iter().find(|w| words.iter().any(|word| word == w));
        self.ruling(&outer.text, verdict(worst.unwrap_or_default()), sqlstate::REFUSED)
    }
    fn function_call_text(&self, oid: u32, arguments: u32) -> Option<String> {
        let word = ["unknown", "call", "deny", "hold", "mask", "screened"].get(oid as usize)?;
        (oid > 0).then(|| format!("{word} {arguments}"))
    }
    fn refuse(&mut self, code: SqlState, what: &str, next_step: &str) -> Arc<Ruling> {
        let denial = Denial { reason: what.into(), next_step: next_step.into() };
        self.ruling(b"", Verdict::Deny(denial), code)
    }
    fn hides_rows(&self, _schema: &str, relation: &str) -> bool {
        relation == "masked"
    }
    fn names(&self) -> &SessionNames {
        &self.names
    }
    fn set_names(&mut self, names: SessionNames) {
        self.names = names;
    }
    fn set_own_catalog(&mut self, json: Option<&[u8]>) -> Result<(), String> {
        match json {
            Some(json) if !json.starts_with(b"{") => Err("not the catalog".into()),
            _ => Ok(()),
        }
    }
    fn wants_estimate(&self, ruling: &Ruling) -> bool {
        ruling.text.starts_with(b"expect") && !ruling.estimated
    }
    fn rule_expecting(&mut self, text: &[u8], rows: Option<u64>, _now: Timestamp) -> Arc<Ruling> {
        let word = if rows.is_some_and(|rows| rows > 100) { "deny" } else { "" };
        let mut ruling = Arc::into_inner(self.ruling(text, verdict(word), sqlstate::REFUSED))
            .expect("just made");
        ruling.estimated = true;
        Arc::new(ruling)
    }
    fn detect(&self) -> Option<&dyn Detect> {
        Some(&self.detect)
    }
    fn counts_usage(&self) -> bool {
        !self.limits.hourly.is_empty()
    }
    fn charge(&self, _now: Timestamp, rows: u64, bytes: u64) {
        self.charged.borrow_mut().push((rows, bytes));
    }
    fn left(&self, _limits: &[HourlyLimit], _now: Timestamp) -> Left {
        let rows: u64 = self.charged.borrow().iter().map(|(rows, _)| rows).sum();
        Left { rows: self.left.rows.map(|left| left.saturating_sub(rows)), ..self.left }
    }
}

/// Records in memory; `full` refuses intents.
#[derive(Default)]
pub struct MemoryJournal {
    pub seq: u64,
    pub full: bool,
    /// `intent ID EFFECT` and `outcome ID SQLSTATE|ok ROWS`.
    pub lines: Vec<String>,
}

impl Journal for MemoryJournal {
    fn intent(&mut self, _at: Timestamp, intent: &IntentRef<'_>) -> Result<u64, JournalFull> {
        if self.full {
            return Err(JournalFull);
        }
        self.seq += 1;
        self.lines.push(format!("intent {} {}", intent.statement, intent.effect.as_str()));
        Ok(self.seq)
    }
    fn outcome(&mut self, _at: Timestamp, outcome: &OutcomeRef<'_>) {
        self.seq += 1;
        let state = outcome.sqlstate.unwrap_or("ok");
        self.lines.push(format!("outcome {} {state} {}", outcome.statement, outcome.rows));
    }
}

/// The session and everything around it.
pub struct Rig {
    pub session: Session<WordGate>,
    pub journal: MemoryJournal,
    pub out: Outbox,
    pub now: Timestamp,
    inbox: BytesMut,
    from_server: Vec<u8>,
}

impl Rig {
    pub fn new() -> Self {
        let profile = SessionProfile {
            session: "s".parse().expect("id"),
            principal: "user:dana".parse().expect("id"),
            on_behalf_of: vec![],
            client_address: "127.0.0.1:1".into(),
            application_name: String::new(),
            database: "shop".parse().expect("id"),
            environment: "prod".parse().expect("id"),
            database_role: "app".into(),
        };
        Self {
            session: Session::new(WordGate::default(), profile, "UTF8"),
            journal: MemoryJournal::default(),
            out: Outbox::default(),
            now: Timestamp(1),
            inbox: BytesMut::new(),
            from_server: vec![],
        }
    }

    /// A session that shares connections.
    pub fn pooled() -> Self {
        let rig = Self::new();
        let profile = rig.session.profile().clone();
        Self { session: Session::pooled(WordGate::default(), profile, "UTF8"), ..rig }
    }

    fn step(&mut self, f: impl FnOnce(&mut Session<WordGate>, &mut Cx<'_>)) {
        let mut cx = Cx { now: self.now, journal: &mut self.journal, out: &mut self.out };
        f(&mut self.session, &mut cx);
        self.pump();
    }

    fn pump(&mut self) {
        let mut cx = Cx { now: self.now, journal: &mut self.journal, out: &mut self.out };
        let used = self.session.on_client(&self.inbox, &mut cx);
        let _ = self.inbox.split_to(used);
    }

    pub fn client(&mut self, bytes: &[u8]) -> &mut Self {
        self.inbox.extend_from_slice(bytes);
        self.pump();
        self
    }

    pub fn server(&mut self, bytes: &[u8]) -> &mut Self {
        let bytes = bytes.to_vec();
        self.step(|session, cx| assert_eq!(session.on_upstream(&bytes, cx), bytes.len()));
        self
    }

    /// Bytes of the server that may end in the middle of a message: the rest waits for more.
    pub fn server_part(&mut self, bytes: &[u8]) -> &mut Self {
        let mut all = std::mem::take(&mut self.from_server);
        all.extend_from_slice(bytes);
        let mut used = 0;
        self.step(|session, cx| used = session.on_upstream(&all, cx));
        self.from_server = all.split_off(used);
        self
    }

    /// What the client sent and the session has not dealt with.
    pub fn waiting(&self) -> &[u8] {
        &self.inbox
    }

    /// The same of the server's bytes.
    pub fn waiting_of_server(&self) -> &[u8] {
        &self.from_server
    }

    pub fn with(&mut self, f: impl FnOnce(&mut Session<WordGate>, &mut Cx<'_>)) -> &mut Self {
        self.step(f);
        self
    }

    pub fn durable(&mut self) -> &mut Self {
        let seq = self.journal.seq;
        self.step(|session, _| session.on_durable(seq));
        self
    }

    /// Bytes for the server since the last call.
    pub fn to_server(&mut self) -> Vec<u8> {
        self.out.to_upstream().split().to_vec()
    }

    /// Bytes for the client since the last call.
    pub fn to_client(&mut self) -> Vec<u8> {
        self.out.to_client.split().to_vec()
    }

    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.out.effects)
    }
}

/// A frame.
pub fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(u32::try_from(body.len() + 4).expect("small").to_be_bytes());
    out.extend(body);
    out
}

pub fn query(text: &str) -> Vec<u8> {
    frame(b'Q', format!("{text}\0").as_bytes())
}

pub fn parse(name: &str, text: &str) -> Vec<u8> {
    frame(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

pub fn bind(portal: &str, name: &str) -> Vec<u8> {
    frame(b'B', format!("{portal}\0{name}\0\0\0\0\0\0\0").as_bytes())
}

pub fn execute(portal: &str) -> Vec<u8> {
    frame(b'E', format!("{portal}\0\0\0\0\0").as_bytes())
}

pub fn sync() -> Vec<u8> {
    frame(b'S', b"")
}

pub fn ready(status: u8) -> Vec<u8> {
    frame(b'Z', &[status])
}

pub fn complete(tag: &str) -> Vec<u8> {
    frame(b'C', format!("{tag}\0").as_bytes())
}

pub fn error(code: &str) -> Vec<u8> {
    frame(b'E', format!("SERROR\0C{code}\0Mserver says\0P7\0\0").as_bytes())
}

pub fn tags(bytes: &[u8]) -> String {
    let mut rest = bytes;
    let mut tags = String::new();
    while let [tag, a, b, c, d, ..] = *rest {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        tags.push(char::from(tag));
        rest = &rest[length + 1..];
    }
    assert!(rest.is_empty(), "half a frame at the end");
    tags
}

/// One field of the first error or notice in `bytes`.
pub fn field(bytes: &[u8], code: u8) -> Option<String> {
    let mut rest = bytes;
    while let [tag, a, b, c, d, ..] = *rest {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if tag == b'E' || tag == b'N' {
            let body = &rest[5..=length];
            return writ_edge_core::frame::error_field(body, code)
                .map(|v| String::from_utf8_lossy(v).into_owned());
        }
        rest = &rest[length + 1..];
    }
    None
}

/// What the server answers to a question of our own.
pub fn answer(columns: &[&[u8]]) -> Vec<u8> {
    let mut row = u16::try_from(columns.len()).expect("few").to_be_bytes().to_vec();
    for column in columns {
        row.extend(u32::try_from(column.len()).expect("small").to_be_bytes());
        row.extend(*column);
    }
    let reply = [
        frame(b'1', b""),
        frame(b'2', b""),
        frame(b'D', &row),
        complete("SELECT 1"),
        frame(b'3', b""),
        frame(b'3', b""),
    ];
    reply.concat()
}

/// The same inside of a transaction block, where savepoints are around it.
pub fn answer_in_block(rows: &[&[&[u8]]]) -> Vec<u8> {
    let mark = |tag: &str| {
        let (parsed, bound, closed) = (frame(b'1', b""), frame(b'2', b""), frame(b'3', b""));
        [parsed, bound, complete(tag), closed.clone(), closed].concat()
    };
    let rows: Vec<u8> = rows.iter().flat_map(|columns| answer(columns)).collect();
    [mark("SAVEPOINT"), rows, mark("ROLLBACK"), mark("RELEASE"), ready(b'T')].concat()
}

/// An answer about names.
pub const NAMES: [&[u8]; 6] = [b"app", b"[\"pg_catalog\",\"x\"]", b"on", b"[]", b"x", b"[]"];

/// The server's answers that have no more to say.
pub const PARSED: &[u8] = b"1\0\0\0\x04";
pub const BOUND: &[u8] = b"2\0\0\0\x04";
pub const CLOSED: &[u8] = b"3\0\0\0\x04";

/// A session that shares connections, and has this one.
pub fn attached(backend: Backend) -> Rig {
    let mut rig = Rig::pooled();
    rig.session.attach(backend, &SessionNames::default(), "UTF8");
    rig
}

/// Describe of a statement.
pub fn describe(name: &str) -> Vec<u8> {
    frame(b'D', format!("S{name}\0").as_bytes())
}
