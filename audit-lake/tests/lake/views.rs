//! What auditors ask, and what they get.

use writ_audit::DecisionKind;

use crate::files::{Files, append, query};
use crate::source::{Source, closed, event, intent, opened, outcome};

async fn lake() -> (Files, writ_audit_lake::storage::Lake) {
    let files = Files::new();
    let lake = files.open().await;
    let mut edge = Source::new("edge-1");
    let framed = edge.all([
        opened(),
        intent("st-1", "SELECT * FROM customers", DecisionKind::Mask),
        outcome("st-1", None),
        intent("st-2", "DROP TABLE customers", DecisionKind::Deny),
        outcome("st-2", Some("42501")),
        intent("st-3", "SELECT pg_sleep(60)", DecisionKind::Allow),
        closed(),
    ]);
    append(&lake, "edge-1", framed).await.expect("appended");
    let request = r#"{"type":"approval_requested","id":"apr-1","request":{"principal":"user:dana",
        "on_behalf_of":[],"database":"shop","environment":"prod","idempotency_key":"st-9",
        "statement_text":"DELETE FROM orders","reason":"no predicate","rules":["default.hold"]}}"#;
    let vote = r#"{"type":"approval_voted","id":"apr-1",
        "vote":{"approver":"user:lee","approve":true,"reason":"ticket 7"}}"#;
    let granted = r#"{"type":"approval_granted","id":"apr-1","usable_until":0}"#;
    let mut control = Source::new("control-plane:1");
    let framed = control.all([
        event(1, "principal_added", r#"{"type":"principal_added"}"#),
        event(2, "approval_requested", request),
        event(3, "approval_voted", vote),
        event(4, "approval_granted", granted),
    ]);
    append(&lake, "control-plane:1", framed).await.expect("appended");
    (files, lake)
}

#[tokio::test]
async fn statements_are_one_row_each_with_their_outcome() {
    let (_files, lake) = lake().await;
    let sql = "SELECT statement_id, actor_user, on_behalf_of, database, environment, decision, effect, sqlstate, \
               rows, bytes, duration_us, relations_read, masked_columns, rules, epoch, statement_text \
               FROM statements ORDER BY seq";
    let expected = [
        "st-1|agent:copilot|user:dana|shop|prod|mask|forwarded||3|120|1500|public.customers|public.customers.ssn|default.mask|7|SELECT * FROM customers",
        "st-2|agent:copilot|user:dana|shop|prod|deny|withheld|42501|3|120|1500|public.customers|public.customers.ssn|default.mask|7|DROP TABLE customers",
        "st-3|agent:copilot|user:dana|shop|prod|allow|forwarded|||||public.customers|public.customers.ssn|default.mask|7|SELECT pg_sleep(60)",
    ];
    assert_eq!(query(&lake, sql).await, expected);
    let sql = "SELECT time, source, session_id, client_address, application_name, database_role, approval_id, \
               reason, bind_values FROM statements WHERE statement_id = 'st-1'";
    let expected = r#"2023-11-14T22:13:20.002Z|edge-1|s-1|127.0.0.1:50000|psql|app||personal data|["42",null]"#;
    assert_eq!(query(&lake, sql).await, [expected]);
}

#[tokio::test]
async fn who_read_a_column() {
    let (_files, lake) = lake().await;
    let sql = "SELECT DISTINCT a.actor_user, a.operation, a.tag, a.masked, s.client_address \
               FROM access a JOIN statements s ON s.statement_id = a.statement_id \
               WHERE a.schema_name = 'public' AND a.relation_name = 'customers' AND a.column_name = 'ssn' \
               AND a.effect = 'forwarded'";
    assert_eq!(query(&lake, sql).await, ["agent:copilot|read|pii.ssn|true|127.0.0.1:50000"]);
    assert_eq!(query(&lake, "SELECT count(*) FROM access").await, ["6"]);
}

#[tokio::test]
async fn sessions_decisions_and_the_activity_view() {
    let (_files, lake) = lake().await;
    let sql =
        "SELECT session_id, actor_user, authentication, tls, end_reason, statements FROM sessions";
    assert_eq!(query(&lake, sql).await, ["s-1|agent:copilot|token|true|terminated|2"]);
    let sql = "SELECT decision, count(*) FROM decisions GROUP BY decision ORDER BY decision";
    assert_eq!(query(&lake, sql).await, ["allow|1", "deny|1", "mask|1"]);
    let sql = "SELECT class_uid, activity_id, type_uid, severity_id, status_id, disposition_id, actor_user_name, \
               query_info_query_string FROM ocsf_datastore_activity ORDER BY metadata_sequence";
    let expected = [
        "6005|1|600501|1|1|1|agent:copilot|SELECT * FROM customers",
        "6005|1|600501|3|2|2|agent:copilot|DROP TABLE customers",
        "6005|1|600501|1|0|1|agent:copilot|SELECT pg_sleep(60)",
    ];
    assert_eq!(query(&lake, sql).await, expected);
}

#[tokio::test]
async fn approvals_come_from_control_events() {
    let (_files, lake) = lake().await;
    let sql = "SELECT approval_id, status, actor_user, database, statement_text, statement_id, reason, approved_by \
               FROM approvals";
    let expected = "apr-1|granted|user:dana|shop|DELETE FROM orders|st-9|no predicate|user:lee";
    assert_eq!(query(&lake, sql).await, [expected]);
    let sql =
        "SELECT event_seq, kind, actor, source FROM control_events ORDER BY event_seq LIMIT 2";
    let expected = [
        "1|principal_added|user:lee|control-plane:1",
        "2|approval_requested|user:lee|control-plane:1",
    ];
    assert_eq!(query(&lake, sql).await, expected);
}

#[tokio::test]
async fn an_empty_lake_answers_every_table() {
    let files = Files::new();
    let lake = files.open().await;
    for table in [
        "records",
        "statements",
        "sessions",
        "decisions",
        "access",
        "approvals",
        "control_events",
        "checkpoints",
        "connections_refused",
        "gaps",
        "ocsf_datastore_activity",
    ] {
        let rows = query(&lake, &format!("SELECT * FROM {table}")).await;
        assert!(rows.is_empty(), "{table}: {rows:?}");
    }
}
