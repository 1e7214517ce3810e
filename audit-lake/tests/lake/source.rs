//! A source of records, and the records that it writes.

use writ_audit::*;
use writ_model::{Epoch, StatementKind, Timestamp};

/// One edge or control-plane node: numbers and chains its records.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    state: ChainState,
}

impl Source {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), state: ChainState::default() }
    }

    /// The next record.
    pub fn next(&mut self, body: Body) -> Framed {
        let seq = self.state.seq + 1;
        let at = Timestamp(1_700_000_000_000_000 + i64::try_from(seq).expect("small") * 1_000);
        let record = Record { source: self.name.clone(), seq, at, body };
        let bytes = record.to_bytes();
        let (seq, chain) = self.state.append(&bytes);
        Framed { seq, bytes, chain }
    }

    /// The next records.
    pub fn all(&mut self, bodies: impl IntoIterator<Item = Body>) -> Vec<Framed> {
        bodies.into_iter().map(|body| self.next(body)).collect()
    }

    /// `count` statements, each with its outcome.
    pub fn statements(&mut self, count: usize) -> Vec<Framed> {
        let first = self.state.seq;
        let bodies = (0..count).flat_map(|n| {
            let id = format!("{}-{first}-{n}", self.name.replace('#', "-"));
            [intent(&id, &format!("SELECT {n}"), DecisionKind::Allow), outcome(&id, None)]
        });
        let bodies: Vec<Body> = bodies.collect();
        self.all(bodies)
    }
}

pub fn session() -> SessionProfile {
    SessionProfile {
        session: "s-1".parse().expect("id"),
        principal: "agent:copilot".parse().expect("id"),
        on_behalf_of: vec!["user:dana".parse().expect("id")],
        client_address: "127.0.0.1:50000".into(),
        application_name: "psql".into(),
        database: "shop".parse().expect("id"),
        environment: "prod".parse().expect("id"),
        database_role: "app".into(),
    }
}

fn column(name: &str, tag: Option<&str>, masked: bool) -> ColumnUse {
    let tag = tag.map(|tag| tag.parse().expect("tag"));
    ColumnUse { name: name.into(), tag, masked }
}

/// A statement that reads `public.customers`, id in clear and ssn masked.
pub fn intent(id: &str, text: &str, decision: DecisionKind) -> Body {
    let withheld = matches!(decision, DecisionKind::Deny | DecisionKind::Hold);
    let profile = StatementProfile {
        text: TextValue::Clear(text.into()),
        kinds: vec![StatementKind::Select],
        reads: vec![RelationUse {
            schema: "public".into(),
            relation: "customers".into(),
            columns: vec![column("id", None, false), column("ssn", Some("pii.ssn"), true)],
        }],
        writes: vec![],
        functions: vec!["pg_catalog.now".into()],
        opaque: vec![],
        decision,
        rules: vec!["default.mask".parse().expect("rule")],
        reason: "personal data".into(),
        epoch: Epoch(7),
        masked_columns: vec!["public.customers.ssn".into()],
        rewritten: true,
    };
    Body::Intent(Intent {
        statement: id.parse().expect("id"),
        session: session(),
        profile,
        protocol: ProtocolKind::Simple,
        effect: if withheld { Effect::Withheld } else { Effect::Forwarded },
        approval: None,
        binds: BindValues::Clear(vec![BindValue::Text("42".into()), BindValue::Null]),
    })
}

pub fn outcome(id: &str, sqlstate: Option<&str>) -> Body {
    Body::Outcome(Outcome {
        statement: id.parse().expect("id"),
        sqlstate: sqlstate.map(str::to_owned),
        rows: 3,
        bytes_out: 120,
        duration_us: 1_500,
        cancelled: false,
        command_tag: if sqlstate.is_some() { String::new() } else { "SELECT 3".into() },
    })
}

pub fn opened() -> Body {
    let (session, authentication) = (session(), "token".to_owned());
    Body::SessionOpened(SessionOpened { session, authentication, tls: true, epoch: Epoch(7) })
}

pub fn closed() -> Body {
    Body::SessionClosed(SessionClosed {
        session: "s-1".parse().expect("id"),
        reason: "terminated".into(),
        statements: 2,
        duration_us: 9_000,
    })
}

pub fn event(event_seq: u64, kind: &str, payload: &str) -> Body {
    Body::ControlEvent(ControlEvent {
        event_seq,
        kind: kind.into(),
        actor: "user:lee".into(),
        payload: payload.into(),
        hash: [7; 32],
    })
}
