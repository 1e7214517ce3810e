//! A small world to decide in: principals, databases and statements.
#![allow(dead_code)] // each test file uses its own part

use std::collections::{BTreeMap, BTreeSet};

use writ_model::config::{CredentialRef, Database, Pooling, UpstreamTls};
use writ_model::{
    Actor, ColumnMasks, ColumnRef, Decision, Epoch, Principal, RelationUse, StatementFacts,
    StatementKind, Timestamp, Verdict,
};
use writ_policy::{ColumnSensitivity, Policies, PolicyFile, RequestContext, Subject, default_pack};

pub(crate) fn principal(id: &str, groups: &[&str]) -> Principal {
    Principal {
        id: id.parse().expect("an id"),
        display_name: id.to_owned(),
        groups: groups.iter().map(|g| g.parse().expect("a group")).collect(),
        on_behalf_of: None,
        disabled: false,
    }
}

pub(crate) fn actor(id: &str, groups: &[&str]) -> Actor {
    Actor { principal: principal(id, groups), chain: Vec::new() }
}

/// `agent` with its groups, acting for everyone in `chain`, nearest first.
pub(crate) fn agent(groups: &[&str], chain: &[(&str, &[&str])]) -> Actor {
    let chain: Vec<Principal> = chain.iter().map(|(id, groups)| principal(id, groups)).collect();
    let mut agent = principal("agent:copilot", groups);
    agent.on_behalf_of = chain.first().map(|p| p.id.clone());
    Actor { principal: agent, chain }
}

pub(crate) fn dana() -> Actor {
    actor("user:dana", &["developers"])
}

pub(crate) fn danas_agent() -> Actor {
    agent(&[], &[("user:dana", &["developers"])])
}

pub(crate) fn database(environment: &str) -> Database {
    Database {
        name: "shop".parse().expect("a name"),
        environment: environment.parse().expect("a name"),
        owner: "team-shop".to_owned(),
        tags: BTreeMap::from([("tier".to_owned(), "1".to_owned())]),
        host: "db.example".to_owned(),
        port: 5432,
        dbname: "shop".to_owned(),
        username: "writ".to_owned(),
        credential: CredentialRef::None,
        tls: UpstreamTls::VerifyFull,
        pooling: Pooling::Session,
        session_attrs: writ_model::server::SessionAttrs::Any,
        label: writ_model::label::Label::None,
        client_certificate: None,
        roles: Vec::new(),
    }
}

pub(crate) fn request() -> RequestContext {
    RequestContext {
        now: Timestamp(1_800_000_000_000_000),
        client_address: Some("10.1.2.3".parse().expect("an address")),
        application_name: "psql".to_owned(),
        usage: writ_model::Usage::default(),
        rows_expected: None,
    }
}

pub(crate) fn with_pack(text: &str) -> Policies {
    let mut files = default_pack();
    files.push(PolicyFile { name: "site.cedar".to_owned(), text: text.to_owned() });
    Policies::compile(&files).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn pack() -> Policies {
    with_pack("")
}

pub(crate) fn only(text: &str) -> Policies {
    let file = PolicyFile { name: "site.cedar".to_owned(), text: text.to_owned() };
    Policies::compile(&[file]).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn relation(schema: &str, name: &str, columns: &[&str]) -> RelationUse {
    RelationUse {
        oid: 16_384,
        schema: schema.to_owned(),
        name: name.to_owned(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
    }
}

pub(crate) fn customers() -> RelationUse {
    relation("public", "customers", &["id", "email"])
}

/// One statement of `kinds` that reads and writes the given relations, everything known.
pub(crate) fn facts(
    kinds: &[StatementKind],
    reads: &[RelationUse],
    writes: &[RelationUse],
) -> StatementFacts {
    StatementFacts {
        kinds: kinds.iter().copied().collect(),
        statements: 1,
        reads: reads.iter().cloned().collect(),
        writes: writes.iter().cloned().collect(),
        bounded: true,
        ..StatementFacts::default()
    }
}

pub(crate) fn sensitivity(relation: &str, column: &str, tag: &str) -> ColumnSensitivity {
    ColumnSensitivity {
        column: ColumnRef {
            schema: "public".to_owned(),
            relation: relation.to_owned(),
            column: column.to_owned(),
        },
        tag: tag.parse().expect("a tag"),
    }
}

pub(crate) fn sensitive() -> Vec<ColumnSensitivity> {
    vec![
        sensitivity("customers", "email", "pii.email"),
        sensitivity("orders", "ship_email", "pii.email"),
        sensitivity("customers", "ssn", "pii.national_id"),
    ]
}

pub(crate) fn decide(
    p: &Policies,
    actor: &Actor,
    environment: &str,
    facts: &StatementFacts,
) -> Decision {
    let database = database(environment);
    let subject = Subject { actor, database: &database, epoch: Epoch(7) };
    p.decide(&subject, &request(), facts, &sensitive())
}

pub(crate) fn connect(p: &Policies, actor: &Actor, environment: &str) -> Decision {
    let database = database(environment);
    p.connect(&Subject { actor, database: &database, epoch: Epoch(7) }, &request())
}

pub(crate) fn masks(p: &Policies, actor: &Actor) -> ColumnMasks {
    let database = database("prod");
    let subject = Subject { actor, database: &database, epoch: Epoch(7) };
    p.masks(&subject, &request(), &sensitive()).expect("masks")
}

/// The masked columns as `table.column kind`.
pub(crate) fn masked(p: &Policies, actor: &Actor) -> BTreeSet<String> {
    let masks = masks(p, actor);
    masks.iter().map(|(_, table, column, m)| format!("{table}.{column} {:?}", m.kind)).collect()
}

pub(crate) fn rules(decision: &Decision) -> Vec<&str> {
    decision.rules.iter().map(|r| r.as_str()).collect()
}

pub(crate) fn reason(decision: &Decision) -> &str {
    match &decision.verdict {
        Verdict::Deny(denial) => &denial.reason,
        Verdict::Hold(terms) => &terms.reason,
        Verdict::Allow => "",
    }
}

pub(crate) fn next_step(decision: &Decision) -> &str {
    match &decision.verdict {
        Verdict::Deny(denial) => &denial.next_step,
        _ => "",
    }
}
