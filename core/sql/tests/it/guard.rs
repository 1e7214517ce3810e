//! What the facts say for guardrails: cursors, uncounted changes, ways out of read-only mode, and where objects go.

use writ_model::facts::{CursorUse, SessionEffect};

use crate::shop::analysis;

#[test]
fn every_way_out_of_read_only_mode_is_seen() {
    for (text, leaves) in [
        ("SET default_transaction_read_only = off", true),
        ("SET DEFAULT_TRANSACTION_READ_ONLY TO 'off'", true),
        ("SET LOCAL transaction_read_only = 0", true),
        ("SET transaction_read_only TO DEFAULT", true),
        ("RESET transaction_read_only", true),
        ("SET TRANSACTION READ WRITE", true),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE", true),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", true),
        ("BEGIN READ WRITE", true),
        ("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE", true),
        ("START TRANSACTION READ WRITE", true),
        ("SELECT set_config('transaction_read_only', 'off', true)", true),
        ("SELECT pg_catalog.set_config('Default_Transaction_Read_Only', 'off', false)", true),
        ("EXPLAIN ANALYZE SELECT set_config('transaction_read_only', 'off', true)", true),
        ("PREPARE p AS SELECT set_config('transaction_read_only', 'off', true)", true),
        // Must not be refused: these leave a read-only session as it is.
        ("BEGIN", false),
        ("BEGIN READ ONLY", false),
        ("SET TRANSACTION READ ONLY", false),
        ("SET default_transaction_read_only = on", false),
        ("RESET default_transaction_read_only", false),
        ("RESET ALL", false),
        ("DISCARD ALL", false),
        ("SET search_path = public", false),
        ("SELECT set_config('search_path', 'public', false)", false),
        ("SHOW transaction_read_only", false),
        ("SELECT current_setting('transaction_read_only')", false),
    ] {
        let analysis = analysis(text);
        let found = analysis.facts().session.contains(&SessionEffect::ReadWrite);
        assert_eq!(found, leaves, "{text}: {:?}", analysis.facts());
    }
}

#[test]
fn a_change_that_no_tag_counts_is_said_to_be_one() {
    for (text, uncounted) in [
        ("DELETE FROM orders WHERE id = 1", false),
        ("INSERT INTO orders SELECT * FROM orders", false),
        ("UPDATE orders SET note = 'x' WHERE id = 1 RETURNING id", false),
        ("INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x'", false),
        ("PREPARE p AS DELETE FROM orders WHERE id = 1", false),
        ("EXPLAIN DELETE FROM orders WHERE id = 1", false),
        ("COPY orders FROM STDIN", false),
        ("SELECT 1", false),
        ("WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT 1", true),
        (
            "WITH d AS (DELETE FROM plain WHERE id = 1 RETURNING id) DELETE FROM orders WHERE id = 1",
            true,
        ),
        ("EXPLAIN ANALYZE DELETE FROM orders WHERE id = 1", true),
        ("COPY (DELETE FROM orders WHERE id = 1 RETURNING id) TO STDOUT", true),
        (
            "CREATE TABLE t AS WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT * FROM d",
            true,
        ),
        ("TRUNCATE orders", true),
    ] {
        assert_eq!(analysis(text).facts().uncounted_changes, uncounted, "{text}");
    }
}

#[test]
fn cursors_are_known_by_name() {
    let uses = |text: &str| analysis(text).facts().cursors.iter().cloned().collect::<Vec<_>>();
    let declare = |hold| CursorUse::Declare { name: "c".into(), hold };
    assert_eq!(uses("DECLARE c CURSOR FOR SELECT 1"), [declare(false)]);
    assert_eq!(uses("DECLARE c CURSOR WITH HOLD FOR SELECT 1"), [declare(true)]);
    assert_eq!(uses("FETCH 10 FROM \"C d\""), [CursorUse::Fetch("C d".into())]);
    assert_eq!(uses("MOVE ALL IN c"), [CursorUse::Fetch("c".into())]);
    assert_eq!(uses("CLOSE c"), [CursorUse::Close(Some("c".into()))]);
    assert_eq!(uses("CLOSE ALL"), [CursorUse::Close(None)]);
}

#[test]
fn objects_are_placed_in_schemas() {
    for (text, expected) in [
        ("CREATE TABLE t (id int)", "public table"),
        ("CREATE TABLE reporting.t (id int)", "reporting table"),
        ("CREATE TABLE db.reporting.t (id int)", "reporting table"),
        ("CREATE TEMP TABLE t (id int)", "pg_temp table"),
        ("CREATE TABLE t AS SELECT 1", "public table"),
        ("SELECT 1 AS a INTO reporting.t", "reporting table"),
        ("CREATE VIEW reporting.v AS SELECT 1", "reporting view"),
        ("CREATE MATERIALIZED VIEW reporting.v AS SELECT 1", "reporting materialized_view"),
        ("CREATE INDEX ON orders (id)", "public index"),
        ("ALTER TABLE orders ADD x int", "public table"),
        ("ALTER TABLE orders SET SCHEMA private", "private,public table"),
        ("ALTER TABLE orders RENAME TO o", "public table"),
        ("DROP TABLE orders, private.x", "private,public table"),
        ("DROP TABLE nowhere", "? table"),
        ("DROP FUNCTION f(int)", "? function"),
        ("DROP FUNCTION reporting.f(int)", "reporting function"),
        ("DROP TRIGGER t ON orders", "public trigger"),
        ("DROP SCHEMA reporting CASCADE", "reporting schema"),
        ("CREATE SCHEMA reporting", "reporting schema"),
        ("ALTER SCHEMA reporting RENAME TO r2", "r2,reporting schema"),
        ("CREATE SEQUENCE s", "public sequence"),
        ("CREATE TYPE reporting.mood AS ENUM ('ok')", "reporting type"),
        ("ALTER TYPE reporting.mood ADD VALUE 'x'", "reporting type"),
        ("CREATE DOMAIN d AS int", "public domain"),
        (
            "CREATE FUNCTION reporting.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "reporting function",
        ),
        ("COMMENT ON COLUMN orders.id IS 'x'", "public table"),
        ("BEGIN; CREATE TABLE t (id int); COMMIT", "public table"),
        // E2: where the second object goes is not known.
        ("SET search_path = private; CREATE TABLE t (id int)", "? table"),
        ("SELECT set_config('search_path', 'private', false); CREATE TABLE t (id int)", "? table"),
        ("SELECT 1", ""),
    ] {
        let analysis = analysis(text);
        let facts = analysis.facts();
        let schemas = facts.define_schemas.iter().map(|s| s.as_deref().unwrap_or("?"));
        let kinds = facts.object_kinds.iter().map(String::as_str);
        let found = format!(
            "{} {}",
            schemas.collect::<Vec<_>>().join(","),
            kinds.collect::<Vec<_>>().join(",")
        );
        assert_eq!(found.trim(), expected, "{text}");
    }
}
