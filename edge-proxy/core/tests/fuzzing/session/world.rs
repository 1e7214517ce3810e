//! A session between a model client and a model server, with everything that the shell would do for it.

mod sharing;

use std::collections::HashMap;

use bytes::BytesMut;
use writ_audit::{Effect as RecordEffect, EncodedStatement, IntentRef, OutcomeRef, SessionProfile};
use writ_edge_core::{
    ApprovalAsk, ApprovalNews, Cx, Effect, Journal, JournalFull, Outbox, Session,
};
use writ_model::{DurationMs, Timestamp};

use super::checks::Checks;
use super::gate::FuzzGate;
use super::server::Server;
use super::shown;
use super::words::{is_approved, is_lucky};
use crate::fuzzing::choices::Choices;
use sharing::Lease;
pub use sharing::{Fault, Shelf};

/// One intent.
pub struct Intent {
    pub seq: u64,
    pub id: String,
    pub forwarded: bool,
    pub profile: EncodedStatement,
}

/// Records in memory.
#[derive(Default)]
pub struct Log {
    pub seq: u64,
    pub full: bool,
    pub intents: Vec<Intent>,
    pub outcomes: HashMap<String, usize>,
    /// Everything, as it was written.
    pub lines: Vec<String>,
}

impl Journal for Log {
    fn intent(&mut self, _at: Timestamp, intent: &IntentRef<'_>) -> Result<u64, JournalFull> {
        if self.full {
            return Err(JournalFull);
        }
        self.seq += 1;
        self.lines.push(format!("intent {} {}", intent.statement, intent.effect.as_str()));
        self.intents.push(Intent {
            seq: self.seq,
            id: intent.statement.to_owned(),
            forwarded: intent.effect == RecordEffect::Forwarded,
            profile: intent.profile.clone(),
        });
        Ok(self.seq)
    }

    fn outcome(&mut self, _at: Timestamp, outcome: &OutcomeRef<'_>) {
        self.seq += 1;
        let state = outcome.sqlstate.unwrap_or("ok");
        let (id, rows) = (outcome.statement, outcome.rows);
        self.lines.push(format!("outcome {id} {state} {rows} {}", outcome.cancelled));
        *self.outcomes.entry(id.to_owned()).or_default() += 1;
    }
}

/// What the session wants done and nobody has done yet.
#[derive(Default)]
pub struct Todo {
    pub sync: Option<u64>,
    pub asks: Vec<ApprovalAsk>,
    pub uses: Vec<u64>,
    pub estimates: Vec<String>,
    pub refreshes: usize,
    pub cancels: usize,
}

pub struct World {
    pub session: Session<FuzzGate>,
    pub journal: Log,
    out: Outbox,
    pub server: Server,
    /// Everything that the client has sent.
    said: Vec<u8>,
    client_wire: Vec<u8>,
    client_inbox: BytesMut,
    upstream_inbox: BytesMut,
    /// Everything that the client has seen.
    pub seen: Vec<u8>,
    /// Everything that the server was sent.
    pub sent: Vec<u8>,
    pub durable: u64,
    pub todo: Todo,
    pub checks: Checks,
    /// Bytes come in pieces of this size.
    piece: usize,
    server_gone: bool,
    /// The client has said all it had to say.
    pub eof: bool,
    arriving: bool,
    /// Where connections are shared: those of all, and whether the session has one.
    pub lease: Option<Lease>,
}

impl World {
    pub fn new(piece: usize) -> Self {
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
            session: Session::new(FuzzGate::default(), profile, "UTF8"),
            journal: Log::default(),
            out: Outbox::default(),
            server: Server::new(false),
            said: vec![],
            client_wire: vec![],
            client_inbox: BytesMut::new(),
            upstream_inbox: BytesMut::new(),
            seen: vec![],
            sent: vec![],
            durable: 0,
            todo: Todo::default(),
            checks: Checks::default(),
            piece,
            server_gone: false,
            eof: false,
            arriving: false,
            lease: None,
        }
    }

    /// Has the session do something, and carries out what it wants, as the shell does.
    pub fn with(&mut self, f: impl FnOnce(&mut Session<FuzzGate>, &mut Cx<'_>)) {
        self.step(f);
        self.work();
    }

    fn step<T>(&mut self, f: impl FnOnce(&mut Session<FuzzGate>, &mut Cx<'_>) -> T) -> T {
        let ended = self.session.ended().is_some();
        let mut cx = Cx { now: Timestamp(1), journal: &mut self.journal, out: &mut self.out };
        let result = f(&mut self.session, &mut cx);
        let to_client = self.out.to_client.split();
        let to_server = self.out.to_upstream().split();
        assert!(to_server.is_empty() || self.is_connected(), "bytes without a connection");
        assert!(!ended || (to_client.is_empty() && to_server.is_empty()), "said after the end");
        self.seen.extend_from_slice(&to_client);
        self.sent.extend_from_slice(&to_server);
        self.server.send(&to_server);
        for effect in std::mem::take(&mut self.out.effects) {
            assert!(!ended, "wanted after the end: {effect:?}");
            self.take(effect);
        }
        let gate = self.session.gate_mut();
        self.checks.recorded(gate, &self.journal);
        self.checks.sent(gate, &self.said, &self.sent, self.durable);
        result
    }

    fn take(&mut self, effect: Effect) {
        let todo = &mut self.todo;
        match effect {
            Effect::Sync(seq) => todo.sync = todo.sync.max(Some(seq)),
            Effect::RequestApproval(ask) => {
                self.checks.asked(&ask);
                todo.asks.push(*ask);
            }
            Effect::UseGrant { number, digest, epoch, .. } => {
                self.checks.used(number, &digest, epoch);
                todo.uses.push(number);
            }
            Effect::CancelApproval { .. } => {
                todo.asks.clear();
                todo.uses.clear();
            }
            Effect::Estimate { text, .. } => todo.estimates.push(text),
            Effect::CancelUpstream => todo.cancels += 1,
            Effect::RefreshDatabase => todo.refreshes += 1,
            Effect::Acquire => self.wants_connection(),
            Effect::StopAcquiring => self.stop_waiting(),
            Effect::Wake { .. } => unreachable!("there is no rate"),
            Effect::End(_) => self.checks.ended(),
        }
    }

    fn work(&mut self) {
        loop {
            let input = std::mem::take(&mut self.upstream_inbox);
            let upstream = match self.is_connected() {
                true => self.step(|s, cx| s.on_upstream(&input, cx)),
                false => 0,
            };
            self.upstream_inbox = BytesMut::from(&input[upstream..]);
            if upstream > 0 && self.is_contended() {
                self.release();
            }
            let input = std::mem::take(&mut self.client_inbox);
            let client = self.step(|s, cx| s.on_client(&input, cx));
            self.client_inbox = BytesMut::from(&input[client..]);
            if upstream == 0 && client == 0 {
                break;
            }
        }
        if self.eof
            && !self.arriving
            && self.client_wire.is_empty()
            && self.session.ended().is_none()
        {
            self.step(|s, cx| s.on_client_eof(cx));
        }
        if self.session.ended().is_some() {
            let input = std::mem::take(&mut self.client_inbox);
            self.step(|s, cx| s.note_unrun(&input, cx));
            self.client_inbox = input;
        }
        self.note_executed();
        self.release();
    }

    fn note_executed(&mut self) {
        let executed = std::mem::take(&mut self.server.executed);
        self.checks.executed(self.session.gate_mut(), &self.said, &executed);
    }

    /// The client sends; nothing of it has reached the gateway yet.
    pub fn client_sends(&mut self, bytes: &[u8]) {
        if self.eof {
            return;
        }
        self.said.extend_from_slice(bytes);
        self.client_wire.extend_from_slice(bytes);
    }

    /// So many bytes of the client reach the gateway.
    pub fn from_client(&mut self, count: usize) {
        let bytes: Vec<u8> = self.client_wire.drain(..count.min(self.client_wire.len())).collect();
        let mut pieces = bytes.chunks(self.piece).peekable();
        while let Some(piece) = pieces.next() {
            self.client_inbox.extend_from_slice(piece);
            self.arriving = pieces.peek().is_some();
            self.work();
        }
    }

    /// So many bytes of the server do.
    pub fn from_server(&mut self, count: usize) {
        let bytes = self.server.read(count.min(self.server.flushed().len()));
        for piece in bytes.chunks(self.piece) {
            self.upstream_inbox.extend_from_slice(piece);
            self.work();
        }
    }

    /// Bytes that no real server would send.
    pub fn from_nowhere(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            self.upstream_inbox.extend_from_slice(piece);
            self.work();
        }
    }

    pub fn server_steps(&mut self, count: usize) {
        for _ in 0..count {
            if !self.server.step() {
                break;
            }
        }
    }

    /// The record is durable as far as it is written.
    pub fn durable(&mut self) {
        self.todo.sync = None;
        self.durable = self.journal.seq;
        let seq = self.durable;
        self.with(|s, _| s.on_durable(seq));
    }

    /// What was asked for first is answered.
    pub fn answer(&mut self, which: usize) {
        match which % 6 {
            0 if self.todo.sync.is_some() => self.durable(),
            1 if !self.todo.asks.is_empty() => {
                let ask = self.todo.asks.remove(0);
                let pending = ApprovalNews::Pending {
                    id: format!("apr-{}", ask.number).parse().expect("an id"),
                    expires: DurationMs(9_000),
                };
                self.with(|s, cx| s.on_approval(ask.number, pending, cx));
                let approved = is_approved(&String::from_utf8_lossy(&ask.binding.statement));
                let news = match approved {
                    true => ApprovalNews::Granted,
                    false => ApprovalNews::Ended("denied".into()),
                };
                self.with(|s, cx| s.on_approval(ask.number, news, cx));
            }
            2 if !self.todo.uses.is_empty() => {
                let number = self.todo.uses.remove(0);
                self.checks.granted(number);
                self.with(|s, cx| s.on_approval(number, ApprovalNews::Used, cx));
            }
            3 if !self.todo.estimates.is_empty() => {
                let text = self.todo.estimates.remove(0);
                let rows = Some(if is_lucky(&text) { 5 } else { 5_000 });
                self.with(|s, _| s.on_estimate(rows));
            }
            4 if self.todo.refreshes > 0 => {
                self.todo.refreshes -= 1;
                self.with(|s, _| s.on_database_fresh());
            }
            5 if self.todo.cancels > 0 => {
                self.todo.cancels -= 1;
                self.server.cancel();
                self.with(|s, _| s.on_cancel_sent());
            }
            _ => {}
        }
    }

    /// News that nobody asked for, late, twice or of another statement.
    pub fn stray_news(&mut self, choices: &mut Choices<'_>) {
        let number = u64::from(choices.byte() % 8);
        let news = match choices.below(4) {
            0 => ApprovalNews::Granted,
            1 => ApprovalNews::Ended("late".into()),
            2 => ApprovalNews::Pending {
                id: "apr-other".parse().expect("an id"),
                expires: DurationMs(1),
            },
            // A grant counts as used only where the session asked for that.
            _ if !self.todo.uses.contains(&number) => ApprovalNews::Used,
            _ => return,
        };
        self.with(|s, cx| s.on_approval(number, news, cx));
    }

    pub fn server_closes(&mut self) {
        if !self.is_connected() {
            return;
        }
        self.server.closed = true;
        self.server_gone = true;
        self.with(|s, cx| s.on_upstream_closed(cx));
    }

    /// Everything that is on its way arrives and is answered, until nothing moves any more.
    pub fn settle(&mut self) {
        const ROUNDS_MAX: usize = 10_000;
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            let before = (self.seen.len(), self.sent.len(), self.journal.seq);
            self.from_client(usize::MAX);
            while self.server.step() {}
            self.from_server(usize::MAX);
            (0..6).for_each(|which| self.answer(which));
            self.connect(0);
            self.work();
            if self.server.closed && !self.server_gone && self.server.flushed().is_empty() {
                self.server_closes();
            }
            let after = (self.seen.len(), self.sent.len(), self.journal.seq);
            quiet = if before == after { quiet + 1 } else { 0 };
            // Nothing is said for some rounds where only effects are answered.
            if quiet > 8 {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// What of the client's bytes is not dealt with.
    pub fn waiting(&self) -> &[u8] {
        &self.client_inbox
    }

    pub fn in_server(&self) -> &[u8] {
        &self.upstream_inbox
    }
}

/// What happened, where something does not hold.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the client sent: {:#?}", shown(&self.said));
            println!("the server was sent: {:#?}", shown(&self.sent));
            println!("the client saw: {:#?}", shown(&self.seen));
            println!("records: {:#?}", self.journal.lines);
            println!("ended: {:?}", self.session.ended());
        }
    }
}
