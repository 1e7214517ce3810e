//! Gates to test with: a small shop, its people, and the default pack.
#![allow(dead_code, unused_imports, unreachable_pub)]

pub use std::collections::{BTreeMap, BTreeSet};
pub use std::sync::Arc;

pub use writ_edge_core::policy_gate::sensitivity::KnownColumns;
pub use writ_edge_core::policy_gate::state::DatabaseState;
pub use writ_edge_core::policy_gate::{Client, Current, PolicyGate};
pub use writ_edge_core::{Gate, SessionNames};
pub use writ_model::catalog::{Function, Volatility};
pub use writ_model::config::{
    ClassificationSource, ColumnClassification, CredentialRef, Database, EdgeConfig, Environment,
    PolicyFile, Pooling, UpstreamTls, WhenStale,
};
pub use writ_model::{
    Catalog, Column, ColumnRef, DurationMs, Epoch, Principal, Relation, RelationKind, Timestamp,
    Verdict,
};
pub use writ_policy::Policies;

pub const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

pub struct Fixed(pub Arc<DatabaseState>, pub Timestamp);

impl Current for Fixed {
    fn state(&self) -> Option<Arc<DatabaseState>> {
        Some(Arc::clone(&self.0))
    }
    fn is_newest(&self, state: &Arc<DatabaseState>) -> bool {
        Arc::ptr_eq(&self.0, state)
    }
    fn last_heard(&self) -> Timestamp {
        self.1
    }
}

pub fn principal(id: &str, groups: &[&str], behind: Option<&str>) -> Principal {
    Principal {
        id: id.parse().expect("id"),
        display_name: id.into(),
        groups: groups.iter().map(|g| g.parse().expect("group")).collect(),
        on_behalf_of: behind.map(|b| b.parse().expect("id")),
        disabled: false,
    }
}

pub fn table(oid: u32, name: &str, columns: &[(&str, &str, char)]) -> Relation {
    Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        kind: RelationKind::Table,
        owner: "app".into(),
        columns: columns
            .iter()
            .enumerate()
            .map(|(at, (name, type_name, category))| Column {
                number: i16::try_from(at + 1).expect("small"),
                name: (*name).into(),
                type_name: (*type_name).into(),
                type_category: *category,
                not_null: false,
                generated: false,
            })
            .collect(),
        definition: None,
        parents: vec![],
        has_triggers: false,
        row_security: false,
        row_estimate: 10.0,
    }
}

pub fn classified(relation: &str, column: &str, tag: Option<&str>) -> ColumnClassification {
    ColumnClassification {
        column: ColumnRef {
            schema: "public".into(),
            relation: relation.into(),
            column: column.into(),
        },
        tag: tag.map(|t| t.parse().expect("tag")),
        confidence_percent: 99,
        reason: String::new(),
        source: ClassificationSource::Detected,
    }
}

pub fn state() -> Arc<DatabaseState> {
    state_with(&[])
}

pub fn state_with(files: &[PolicyFile]) -> Arc<DatabaseState> {
    let catalog = Catalog::new(
        150_000,
        vec![
            table(20_000, "customers", &[("id", "integer", 'N'), ("ssn", "text", 'S')]),
            table(20_001, "orders", &[("id", "integer", 'N'), ("status", "text", 'S')]),
        ],
        vec![Function {
            oid: 20_100,
            schema: "public".into(),
            name: "my_function".into(),
            language: "plpgsql".into(),
            volatility: Volatility::Volatile,
            security_definer: false,
        }],
    );
    let found = [
        classified("customers", "id", None),
        classified("customers", "ssn", Some("pii.national_id")),
        classified("orders", "id", None),
        classified("orders", "status", None),
    ];
    let database = Database {
        name: "shop".parse().expect("name"),
        environment: "prod".parse().expect("name"),
        owner: "shop team".into(),
        tags: BTreeMap::new(),
        host: "localhost".into(),
        port: 5432,
        dbname: "shop".into(),
        username: "app".into(),
        credential: CredentialRef::None,
        tls: UpstreamTls::Disable,
        pooling: Pooling::Session,
        session_attrs: writ_model::server::SessionAttrs::Any,
        label: writ_model::label::Label::None,
        client_certificate: None,
        roles: Vec::new(),
    };
    let principals = [
        principal("user:dana", &["developers"], None),
        principal("user:ada", &["admins"], None),
        principal("user:audrey", &["auditors"], None),
        principal("agent:copilot", &[], Some("user:dana")),
        principal("agent:helper", &[], Some("user:ada")),
    ];
    let config = EdgeConfig {
        epoch: Epoch(7),
        environment: Some(Environment {
            name: "prod".parse().expect("name"),
            staleness_max: DurationMs(60_000),
            when_stale: WhenStale::ReadOnly,
            logins: writ_model::login::Logins::default(),
        }),
        principals: principals.into_iter().map(|p| (p.id.clone(), p)).collect(),
        groups: BTreeSet::new(),
        databases: BTreeMap::from([(database.name.clone(), database.clone())]),
        ..EdgeConfig::default()
    };
    let policies = Policies::compile(&writ_policy::with_default_pack(files)).expect("policies");
    let known = KnownColumns::new(&[], &found);
    Arc::new(DatabaseState::new(
        Arc::new(config),
        Arc::new(policies),
        database,
        Arc::new(catalog),
        known,
    ))
}

pub fn try_gate(who: &str, heard: Timestamp) -> Result<PolicyGate, writ_model::Denial> {
    gate_on(state(), who, heard)
}

pub fn gate_on(
    state: Arc<DatabaseState>,
    who: &str,
    heard: Timestamp,
) -> Result<PolicyGate, writ_model::Denial> {
    let client = Client {
        principal: who.parse().expect("id"),
        address: None,
        application_name: "psql".into(),
    };
    let names = SessionNames {
        role: "app".into(),
        search_path: vec!["pg_catalog".into(), "public".into()],
        temp_relations: vec![],
        temp_active: vec![],
        standard_conforming_strings: true,
    };
    PolicyGate::connect(Arc::new(Fixed(state, heard)), client, names, NOW)
}

pub fn gate(who: &str) -> PolicyGate {
    try_gate(who, NOW).expect("may connect")
}

pub fn gate_with(who: &str, text: &str) -> PolicyGate {
    let file = PolicyFile { name: "site.cedar".into(), text: text.into() };
    gate_on(state_with(&[file]), who, NOW).expect("may connect")
}
