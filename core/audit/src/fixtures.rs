//! Records of every kind, for tests.

use proptest::prelude::*;
use writ_model::{Epoch, StatementKind, Timestamp};

use crate::record::*;

pub(crate) fn session_profile() -> SessionProfile {
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

pub(crate) fn statement_profile(text: TextValue) -> StatementProfile {
    StatementProfile {
        text,
        kinds: vec![StatementKind::Select],
        reads: vec![RelationUse {
            schema: "public".into(),
            relation: "customers".into(),
            columns: vec![
                ColumnUse { name: "id".into(), tag: None, masked: false },
                ColumnUse {
                    name: "ssn".into(),
                    tag: Some("pii.ssn".parse().expect("tag")),
                    masked: true,
                },
            ],
        }],
        writes: vec![],
        functions: vec!["pg_catalog.now".into()],
        opaque: vec![OpaquePart { reason: "limit".into(), detail: "x".into() }],
        decision: DecisionKind::Mask,
        rules: vec!["default.mask".parse().expect("rule")],
        reason: "personal data".into(),
        epoch: Epoch(300),
        masked_columns: vec!["public.customers.ssn".into()],
        rewritten: true,
    }
}

pub(crate) fn intent(text: TextValue, binds: BindValues) -> Intent {
    Intent {
        statement: "st-1".parse().expect("id"),
        session: session_profile(),
        profile: statement_profile(text),
        protocol: ProtocolKind::Execute,
        effect: Effect::Forwarded,
        approval: Some("apr-1".parse().expect("id")),
        binds,
    }
}

fn text_value() -> impl Strategy<Value = TextValue> {
    prop_oneof![
        ".*".prop_map(TextValue::Clear),
        Just(TextValue::Redacted),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(TextValue::Sealed),
        (any::<[u8; 32]>(), any::<u64>())
            .prop_map(|(sha256, length)| TextValue::Digest { sha256, length }),
    ]
}

fn bind_values() -> impl Strategy<Value = BindValues> {
    let value = prop_oneof![
        Just(BindValue::Null),
        ".*".prop_map(BindValue::Text),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(BindValue::Binary),
    ];
    prop_oneof![
        Just(BindValues::None),
        proptest::collection::vec(value, 0..4).prop_map(BindValues::Clear),
        any::<u32>().prop_map(BindValues::Redacted),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(BindValues::Sealed),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    (any::<[u64; 3]>(), proptest::option::of("[0-9A-Z]{5}"), any::<bool>(), ".*").prop_map(
        |([rows, bytes_out, duration_us], sqlstate, cancelled, command_tag)| Outcome {
            statement: "st-1".parse().expect("id"),
            sqlstate,
            rows,
            bytes_out,
            duration_us,
            cancelled,
            command_tag,
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (text_value(), bind_values()).prop_map(|(text, binds)| Body::Intent(intent(text, binds))),
        outcome().prop_map(Body::Outcome),
        (".*", any::<bool>()).prop_map(|(version, clean)| Body::SourceStarted(SourceStarted {
            version,
            environment: "prod".into(),
            clean
        })),
        (any::<[u64; 2]>(), ".*").prop_map(|([first, last], reason)| Body::Gap(Gap {
            first,
            last,
            reason
        })),
        (".*", any::<bool>()).prop_map(|(authentication, tls)| {
            let session = session_profile();
            Body::SessionOpened(SessionOpened { session, authentication, tls, epoch: Epoch(1) })
        }),
        (any::<[u64; 2]>(), ".*").prop_map(|([statements, duration_us], reason)| {
            let session = "s-1".parse().expect("id");
            Body::SessionClosed(SessionClosed { session, reason, statements, duration_us })
        }),
        any::<[String; 5]>().prop_map(|[client_address, user, database, sqlstate, reason]| {
            let refused = ConnectionRefused { client_address, user, database, sqlstate, reason };
            Body::ConnectionRefused(refused)
        }),
        (any::<u64>(), any::<[String; 3]>(), any::<[u8; 32]>()).prop_map(
            |(event_seq, [kind, actor, payload], hash)| {
                Body::ControlEvent(ControlEvent { event_seq, kind, actor, payload, hash })
            }
        ),
    ]
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    (".*", any::<u64>(), any::<i64>(), body()).prop_map(|(source, seq, at, body)| Record {
        source,
        seq,
        at: Timestamp(at),
        body,
    })
}
