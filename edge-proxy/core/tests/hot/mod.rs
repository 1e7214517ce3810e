//! The hot path alone: a session with the default pack that is given the messages of one transaction after another, and the
//! server's answers to them. What is left out is what the shell does: sockets, the clock, the spool's file.
#![allow(dead_code, unreachable_pub)]

use writ_audit::{Header, IntentRef, OutcomeRef, SessionProfile, encode_intent, encode_outcome};
use writ_edge_core::policy_gate::PolicyGate;
use writ_edge_core::{
    Backend, Cx, Effect, Gate, Journal, JournalFull, Outbox, Session, SessionNames,
};
use writ_model::Timestamp;

use crate::gates::{Arc, DatabaseState, NOW, gate_on, state};

/// Encodes each record as the spool's journal does, and keeps the last one.
#[derive(Default)]
pub struct Encoding {
    seq: u64,
    bytes: Vec<u8>,
}

impl Encoding {
    fn header(&mut self, at: Timestamp) -> Header<'static> {
        self.bytes.clear();
        self.seq += 1;
        Header { source: "edge-1", seq: self.seq, at }
    }
}

impl Journal for Encoding {
    fn intent(&mut self, at: Timestamp, intent: &IntentRef<'_>) -> Result<u64, JournalFull> {
        let header = self.header(at);
        encode_intent(header, intent, &mut self.bytes);
        Ok(self.seq)
    }

    fn outcome(&mut self, at: Timestamp, outcome: &OutcomeRef<'_>) {
        let header = self.header(at);
        encode_outcome(header, outcome, &mut self.bytes);
    }
}

/// How a client sends its statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The same text in a Query.
    Simple,
    /// The same text parsed, bound and executed without a name.
    Extended,
    /// A statement with a name, bound and executed.
    Prepared,
    /// Texts that differ in a number.
    Varied,
}

pub const MODES: [Mode; 4] = [Mode::Simple, Mode::Extended, Mode::Prepared, Mode::Varied];

/// One session under load.
pub struct Hot<J = Encoding> {
    session: Session<PolicyGate>,
    journal: J,
    out: Outbox,
    /// The connection, where it is given back after each transaction.
    backend: Option<Backend>,
    names: SessionNames,
    mode: Mode,
    client: Vec<u8>,
    number: u32,
}

fn frame(tag: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    let length = u32::try_from(body.len() + 4).expect("a length");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
}

const TEXT: &str = "SELECT status FROM orders WHERE id = $1";
const BOUND_UNNAMED: &[u8] = b"\0\0\0\0\0\x01\0\0\0\x011\0\0";
const NAMED: &[u8] = b"\0p1\0\0\0\0\x01\0\0\0\x011\0\0";

const ROW: &[u8] = b"D\0\0\0\x0f\0\x01\0\0\0\x05open!C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
const DESCRIBED: &[u8] =
    b"T\0\0\0\x1f\0\x01status\0\0\0N\x21\0\x02\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";

/// Whose session it is.
pub fn profile() -> SessionProfile {
    SessionProfile {
        session: "01k9x8y7z6w5v4t3s2r1q0p9n8".parse().expect("an id"),
        principal: "user:dana".parse().expect("an id"),
        on_behalf_of: vec![],
        client_address: "127.0.0.1:40000".into(),
        application_name: "app".into(),
        database: "shop".parse().expect("an id"),
        environment: "prod".parse().expect("an id"),
        database_role: "app".into(),
    }
}

impl Hot {
    /// A session, with its names prepared.
    pub fn new(mode: Mode, pooled: bool) -> Self {
        Self::recording(Encoding::default(), state(), mode, pooled)
    }
}

impl<J: Journal> Hot<J> {
    /// The same, whose records go to `journal`, and which shares what is known of the database with others.
    pub fn recording(journal: J, state: Arc<DatabaseState>, mode: Mode, pooled: bool) -> Self {
        let profile = profile();
        let gate = gate_on(state, "user:dana", NOW).expect("may connect");
        let names = gate.names().clone();
        let session = if pooled {
            Session::pooled(gate, profile, "UTF8")
        } else {
            Session::new(gate, profile, "UTF8")
        };
        let mut hot = Self {
            session,
            journal,
            out: Outbox::default(),
            backend: pooled.then(Backend::default),
            names,
            mode,
            client: Vec::new(),
            number: 0,
        };
        if mode == Mode::Prepared {
            let mut parse = Vec::new();
            frame(b'P', format!("p1\0{TEXT}\0\0\0").as_bytes(), &mut parse);
            frame(b'S', b"", &mut parse);
            hot.exchange(&parse, b"1\0\0\0\x04Z\0\0\0\x05I");
        }
        hot
    }

    /// One transaction: what the client sends, and what the server answers.
    pub fn transaction(&mut self) {
        let mut client = std::mem::take(&mut self.client);
        client.clear();
        match self.mode {
            Mode::Simple => frame(b'Q', b"SELECT status FROM orders WHERE id = 1\0", &mut client),
            Mode::Varied => {
                use std::io::Write;
                self.number += 1;
                let from = client.len();
                client.extend_from_slice(b"Q\0\0\0\0SELECT status FROM orders WHERE id = ");
                let _written = write!(client, "{}", self.number);
                client.push(0);
                let length = u32::try_from(client.len() - from - 1).expect("a length");
                client[from + 1..from + 5].copy_from_slice(&length.to_be_bytes());
            }
            Mode::Extended => {
                client.extend_from_slice(b"P\0\0\0\0\0");
                client.extend_from_slice(TEXT.as_bytes());
                client.extend_from_slice(b"\0\0\0");
                let length = u32::try_from(client.len() - 1).expect("a length");
                client[1..5].copy_from_slice(&length.to_be_bytes());
                frame(b'B', BOUND_UNNAMED, &mut client);
                frame(b'E', b"\0\0\0\0\0", &mut client);
                frame(b'S', b"", &mut client);
            }
            Mode::Prepared => {
                frame(b'B', NAMED, &mut client);
                frame(b'E', b"\0\0\0\0\0", &mut client);
                frame(b'S', b"", &mut client);
            }
        }
        self.exchange(&client, answer(self.mode));
        self.client = client;
    }

    fn exchange(&mut self, client: &[u8], server: &[u8]) {
        let mut cx = Cx { now: NOW, journal: &mut self.journal, out: &mut self.out };
        let mut used = 0;
        if let Some(backend) = self.backend.take() {
            used = self.session.on_client(client, &mut cx);
            assert!(matches!(cx.out.effects.pop(), Some(Effect::Acquire)), "it asks for one");
            self.session.attach(backend, &self.names, "UTF8");
            used += self.session.on_client(&client[used..], &mut cx);
            assert_eq!(used, client.len());
            assert_eq!(self.session.on_upstream(server, &mut cx), server.len());
            self.backend = Some(self.session.detach().expect("nothing is left in it"));
        } else {
            used += self.session.on_client(client, &mut cx);
            assert_eq!(used, client.len());
            assert_eq!(self.session.on_upstream(server, &mut cx), server.len());
        }
        assert!(!self.out.to_upstream().is_empty(), "it goes on");
        assert!(!self.out.to_client.is_empty(), "and is answered");
        self.out.to_upstream().clear();
        self.out.to_client.clear();
        self.out.effects.clear();
    }
}

fn answer(mode: Mode) -> &'static [u8] {
    static SIMPLE: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| [DESCRIBED, ROW].concat());
    static EXTENDED: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| [b"1\0\0\0\x042\0\0\0\x04", ROW].concat());
    static PREPARED: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| [b"2\0\0\0\x04", ROW].concat());
    match mode {
        Mode::Simple | Mode::Varied => &SIMPLE,
        Mode::Extended => &EXTENDED,
        Mode::Prepared => &PREPARED,
    }
}
