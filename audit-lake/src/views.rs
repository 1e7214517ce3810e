//! The tables that auditors see, as SQL over `records`. Their columns are documented in
//! `docs/lake-tables.md`.

/// Name and definition of each view; later ones may use earlier ones.
pub(crate) const VIEWS: &[(&str, &str)] = &[
    ("statements", STATEMENTS),
    ("sessions", SESSIONS),
    ("connections_refused", CONNECTIONS_REFUSED),
    ("decisions", DECISIONS),
    ("access", ACCESS),
    ("control_events", CONTROL_EVENTS),
    ("approvals", APPROVALS),
    ("gaps", GAPS),
    ("ocsf_datastore_activity", OCSF),
];

const STATEMENTS: &str = r#"
SELECT i."at" AS "time", i.statement_id, i.session_id, i.principal AS actor_user,
  i.principal_kind AS actor_kind, i.on_behalf_of, i.client_address, i.application_name,
  i.environment, i.database_name AS "database", i.database_role, i.statement_text, i.statement_kinds,
  i.bind_values, i.protocol, i.decision, i.effect, i.rules, i.reason, i.epoch, i.approval_id,
  i.relations_read, i.relations_written, i.masked_columns, i.rewritten, i.functions, i.opaque,
  o."rows", o.bytes, o.duration_us, o.sqlstate, o.cancelled, o.command_tag, o."at" AS ended_at,
  i.source, i.seq, i.lake_index
FROM (SELECT * FROM records WHERE kind = 'intent') i
LEFT JOIN (
  SELECT source, statement_id, "at", "rows", bytes, duration_us, sqlstate, cancelled, command_tag
  FROM records WHERE kind = 'outcome'
) o ON o.source = i.source AND o.statement_id = i.statement_id"#;

const SESSIONS: &str = r#"
SELECT o."at" AS "time", o.session_id, o.principal AS actor_user, o.principal_kind AS actor_kind,
  o.on_behalf_of, o.client_address, o.application_name, o.environment,
  o.database_name AS "database", o.database_role, o.authentication, o.tls, o.epoch,
  c."at" AS ended_at, c.reason AS end_reason, c.statements, c.duration_us, o.source, o.seq
FROM (SELECT * FROM records WHERE kind = 'session_opened') o
LEFT JOIN (
  SELECT source, session_id, "at", reason, statements, duration_us
  FROM records WHERE kind = 'session_closed'
) c ON c.source = o.source AND c.session_id = o.session_id"#;

const CONNECTIONS_REFUSED: &str = r#"
SELECT "at" AS "time", client_address, actor AS claimed_user, database_name AS "database", sqlstate,
  reason, source, seq
FROM records WHERE kind = 'connection_refused'"#;

const DECISIONS: &str = r#"
SELECT "at" AS "time", statement_id, session_id, principal AS actor_user,
  principal_kind AS actor_kind, on_behalf_of, environment, database_name AS "database",
  statement_kinds, decision, effect, rules, reason, epoch, approval_id, masked_columns, opaque,
  source, seq
FROM records WHERE kind = 'intent'"#;

const ACCESS: &str = r#"
SELECT "time", statement_id, session_id, actor_user, actor_kind, on_behalf_of, environment,
  "database", decision, effect, a['schema_name'] AS schema_name,
  a['relation_name'] AS relation_name, a['column_name'] AS column_name,
  a['operation'] AS operation, a['tag'] AS tag, a['masked'] AS masked, source, seq
FROM (
  SELECT "at" AS "time", statement_id, session_id, principal AS actor_user,
    principal_kind AS actor_kind, on_behalf_of, environment, database_name AS "database", decision,
    effect, source, seq, unnest("access") AS a
  FROM records WHERE kind = 'intent'
) used"#;

const CONTROL_EVENTS: &str = r#"
SELECT "at" AS "time", event_seq, event_kind AS kind, actor, payload, event_hash AS hash,
  approval_id, source, seq
FROM records WHERE kind = 'control_event'"#;

/// One row for each approval. Aggregates, because several control-plane nodes may ship the same event.
const APPROVALS: &str = r#"
SELECT approval_id,
  min("at") FILTER (WHERE event_kind = 'approval_requested') AS "time",
  CASE WHEN bool_or(event_kind = 'approval_revoked') THEN 'revoked'
    WHEN bool_or(event_kind = 'approval_used') THEN 'used'
    WHEN bool_or(event_kind = 'approval_denied') THEN 'denied'
    WHEN bool_or(event_kind = 'approval_cancelled') THEN 'cancelled'
    WHEN bool_or(event_kind = 'approval_expired') THEN 'expired'
    WHEN bool_or(event_kind = 'approval_granted') THEN 'granted'
    ELSE 'pending' END AS status,
  max(principal) FILTER (WHERE event_kind = 'approval_requested') AS actor_user,
  max(on_behalf_of) AS on_behalf_of, max(environment) AS environment,
  max(database_name) AS "database",
  max(statement_id) FILTER (WHERE event_kind = 'approval_requested') AS statement_id,
  max(session_id) FILTER (WHERE event_kind = 'approval_requested') AS session_id,
  max(statement_text) AS statement_text, max(rules) AS rules,
  max(reason) FILTER (WHERE event_kind = 'approval_requested') AS reason,
  string_agg(DISTINCT principal, ',') FILTER (
    WHERE event_kind = 'approval_voted' AND decision = 'approve') AS approved_by,
  string_agg(DISTINCT principal, ',') FILTER (
    WHERE event_kind = 'approval_voted' AND decision = 'deny') AS denied_by,
  min("at") FILTER (WHERE event_kind = 'approval_granted') AS granted_at,
  min("at") FILTER (WHERE event_kind = 'approval_used') AS used_at,
  max("at") AS last_event_at
FROM records WHERE kind = 'control_event' AND approval_id IS NOT NULL
GROUP BY approval_id"#;

const GAPS: &str = r#"
SELECT "at" AS "time", source, seq, kind, reason
FROM records WHERE kind IN ('gap', 'source_started')"#;

/// OCSF 1.x, class 6005 Datastore Activity: activity 1 Read, 2 Update, 5 Write, 6 Create, 7 Delete, 99 Other.
const OCSF: &str = r#"
SELECT 6 AS category_uid, 6005 AS class_uid, activity_id, 600500 + activity_id AS type_uid,
  severity_id, status_id, disposition_id, "time", actor_user_name, actor_user_type,
  actor_authorizations, actor_session_uid, src_endpoint, app_name, database_name, database_type_id,
  query_info_query_string, query_info_uid, status_code, status_detail, duration, metadata_product,
  metadata_sequence
FROM (
  SELECT CASE
      WHEN statement_kinds LIKE '%delete%' OR statement_kinds LIKE '%drop%'
        OR statement_kinds LIKE '%truncate%' THEN 7
      WHEN statement_kinds LIKE '%update%' OR statement_kinds LIKE '%merge%'
        OR statement_kinds LIKE '%alter%' THEN 2
      WHEN statement_kinds LIKE '%insert%' OR statement_kinds LIKE '%copy_in%' THEN 5
      WHEN statement_kinds LIKE '%create%' THEN 6
      WHEN statement_kinds LIKE '%select%' OR statement_kinds LIKE '%copy_out%' THEN 1
      ELSE 99 END AS activity_id,
    CASE WHEN decision = 'deny' THEN 3 WHEN decision = 'hold' THEN 2 ELSE 1 END AS severity_id,
    CASE WHEN effect = 'withheld' OR sqlstate IS NOT NULL THEN 2
      WHEN ended_at IS NULL THEN 0 ELSE 1 END AS status_id,
    CASE WHEN effect = 'withheld' THEN 2 ELSE 1 END AS disposition_id,
    "time", actor_user AS actor_user_name, actor_kind AS actor_user_type,
    on_behalf_of AS actor_authorizations, session_id AS actor_session_uid,
    client_address AS src_endpoint, application_name AS app_name,
    "database" AS database_name, 1 AS database_type_id, statement_text AS query_info_query_string,
    statement_id AS query_info_uid, sqlstate AS status_code, reason AS status_detail,
    duration_us / 1000 AS duration, 'Writ' AS metadata_product, lake_index AS metadata_sequence
  FROM statements
) activity"#;
