//! What the facts say about statements.

use std::fmt::Write as _;

use writ_model::{RelationUse, StatementKind};
use writ_sql::{Names, analyze};

use crate::shop::{analysis, catalog};

/// The facts of a text in short: `kinds | reads | writes | rest`.
fn short(text: &str) -> String {
    let analysis = analysis(text);
    let facts = analysis.facts();
    let kinds: Vec<_> = facts.kinds.iter().map(|k| k.as_str()).collect();
    let uses = |uses: &std::collections::BTreeSet<RelationUse>| {
        let one = |u: &RelationUse| {
            let columns: Vec<_> = u.columns.iter().map(String::as_str).collect();
            format!("{}.{}({})", u.schema, u.name, columns.join(","))
        };
        uses.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    let mut out =
        format!("{}; r {}; w {}", kinds.join("+"), uses(&facts.reads), uses(&facts.writes));
    if !facts.bounded {
        out.push_str("; unbounded");
    }
    for function in &facts.functions {
        let _ = write!(out, "; f {function}");
    }
    for effect in &facts.session {
        let _ = write!(out, "; s {effect:?}");
    }
    for name in &facts.defines {
        let _ = write!(out, "; d {name}");
    }
    for reason in &facts.opaque {
        let _ = write!(out, "; opaque {}", reason.detail());
    }
    out
}

const CASES: &[(&str, &str)] = &[
    ("", "empty; r ; w "),
    (" -- nothing", "empty; r ; w "),
    ("SELECT 1", "select; r ; w "),
    ("SELECT total FROM orders", "select; r public.orders(total); w "),
    ("SELECT count(*) FROM orders", "select; r public.orders(); w ; f pg_catalog.count"),
    (
        "SELECT o.id FROM orders o WHERE o.note = 'x' ORDER BY total",
        "select; r public.orders(id,note,total); w ",
    ),
    ("SELECT id AS a FROM orders ORDER BY a", "select; r public.orders(id); w "),
    (
        "SELECT 1 FROM plain JOIN orders USING (id)",
        "select; r public.orders(id) public.plain(id); w ",
    ),
    ("SELECT 1 FROM plain NATURAL JOIN orders", "select; r public.orders(id) public.plain(id); w "),
    (
        "SELECT secret FROM top_people",
        "select; r public.customers(id,ssn) public.people(secret) public.top_people(secret); w ",
    ),
    (
        "SELECT token FROM events WHERE id = 1",
        "select; r public.events(id,token) public.events_old(id,token); w ",
    ),
    ("SELECT token FROM ONLY events", "select; r public.events(token); w "),
    ("INSERT INTO orders (id, note) VALUES (1, $2)", "insert; r ; w public.orders(id,note)"),
    (
        "INSERT INTO plain SELECT id, note FROM orders RETURNING id",
        "insert; r public.orders(id,note) public.plain(id); w public.plain(id,ssn_x)",
    ),
    (
        "INSERT INTO plain VALUES (1) ON CONFLICT (id) DO UPDATE SET ssn_x = excluded.ssn_x",
        "insert; r public.plain(id); w public.plain(id,ssn_x)",
    ),
    ("INSERT INTO plain DEFAULT VALUES", "insert; r ; w public.plain()"),
    ("INSERT INTO plain VALUES (1), (2)", "insert; r ; w public.plain(id)"),
    (
        "INSERT INTO orders SELECT (p).id, p.id + 1 FROM plain p",
        "insert; r public.plain(id,ssn_x); w public.orders(customer_id,id)",
    ),
    (
        "INSERT INTO plain SELECT p.* FROM plain p",
        "insert; r public.plain(id,ssn_x); w public.plain(id,ssn_x)",
    ),
    (
        "INSERT INTO plain SELECT (p).* FROM plain p",
        "insert; r public.plain(id,ssn_x); w public.plain(id,ssn_x)",
    ),
    (
        "UPDATE orders SET note = 'x' WHERE id = 1",
        "update; r public.orders(id); w public.orders(note)",
    ),
    (
        "DELETE FROM orders WHERE id = 1",
        "delete; r public.orders(id); w public.orders(customer_id,id,note,total)",
    ),
    ("DELETE FROM plain", "delete; r ; w public.plain(id,ssn_x); unbounded"),
    (
        "WITH d AS (DELETE FROM plain WHERE id = 1 RETURNING id) SELECT * FROM d",
        "select+delete; r public.plain(id); w public.plain(id,ssn_x)",
    ),
    (
        "UPDATE people SET id = 1 WHERE secret = 'x'",
        "update; r public.customers(id,ssn) public.people(secret); \
         w public.customers(id) public.people(id)",
    ),
    (
        "DELETE FROM ids WHERE id = 1",
        "delete; r public.orders(id) public.ids(id); \
         w public.orders(customer_id,id,note,total) public.ids(id)",
    ),
    (
        "INSERT INTO ids VALUES (1)",
        "insert; r public.orders(id); w public.orders(id) public.ids(id)",
    ),
    ("EXPLAIN UPDATE ids SET id = 2", "explain; r public.orders(id) public.ids(); w "),
    ("SELECT id AS note FROM orders ORDER BY note", "select; r public.orders(id); w "),
    ("SELECT id AS note FROM orders GROUP BY note, id", "select; r public.orders(id,note); w "),
    (
        "SELECT total AS n FROM orders GROUP BY ROLLUP (n) ORDER BY n",
        "select; r public.orders(total); w ",
    ),
    (
        "SELECT (SELECT note FROM (SELECT 'x' AS note) x) FROM orders",
        "select; r public.orders(); w ",
    ),
    (
        "ALTER TABLE watched ALTER note SET NOT NULL",
        "alter; r public.watched(); w public.watched(); s Definitions; d watched",
    ),
    ("ALTER INDEX unlisted RENAME TO x", "alter; r ; w ; s Names; s Definitions; d unlisted; d x"),
    ("CREATE FUNCTION f(a int) RETURNS int RETURN a + 1", "create; r ; w ; s Definitions; d f"),
    (
        "CREATE FUNCTION pg_temp.f(a int) RETURNS int RETURN a + 1",
        "create; r ; w ; s Names; s Definitions; d pg_temp.f",
    ),
    ("TRUNCATE plain", "truncate; r ; w public.plain(id,ssn_x)"),
    ("EXPLAIN DELETE FROM plain", "explain; r public.plain(); w "),
    (
        "EXPLAIN (ANALYZE) DELETE FROM plain",
        "delete+explain; r ; w public.plain(id,ssn_x); unbounded",
    ),
    ("EXPLAIN (ANALYZE false) SELECT id FROM plain", "select+explain; r public.plain(id); w "),
    ("COPY plain FROM STDIN", "copy_in; r ; w public.plain(id,ssn_x)"),
    ("COPY plain TO STDOUT", "copy_out; r public.plain(id,ssn_x); w "),
    ("COPY plain TO '/x'", "copy_server_file; r public.plain(id,ssn_x); w "),
    ("COPY plain TO PROGRAM 'x'", "copy_program; r public.plain(id,ssn_x); w "),
    ("PREPARE p AS SELECT id FROM plain", "select+prepare; r public.plain(id); w "),
    ("DECLARE c CURSOR FOR SELECT id FROM plain", "select+cursor; r public.plain(id); w "),
    ("LOCK TABLE plain IN ACCESS SHARE MODE", "lock; r public.plain(); w "),
    ("SET search_path = app", "set; r ; w ; s Names"),
    ("SET statement_timeout = 0", "set; r ; w "),
    ("SET ROLE app", "set_role; r ; w ; s Names"),
    ("SET SESSION AUTHORIZATION app", "set_role; r ; w ; s Names"),
    ("RESET ALL", "set; r ; w ; s Names"),
    ("SET session_replication_role = replica", "server; r ; w "),
    ("SET debug_print_plan = on", "server; r ; w "),
    (
        "SELECT set_config('debug_print_parse', 'on', false)",
        "select+server; r ; w ; f pg_catalog.set_config",
    ),
    (
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "select+set; r ; w ; f pg_catalog.set_config; s Names",
    ),
    (
        "SELECT set_config('role', 'app', false)",
        "select+set_role; r ; w ; f pg_catalog.set_config; s Names",
    ),
    ("BEGIN", "transaction; r ; w "),
    ("COMMIT", "transaction; r ; w ; s TransactionEnd"),
    ("ROLLBACK TO s", "transaction; r ; w ; s TransactionEnd"),
    ("CREATE TABLE a (x int)", "create; r ; w ; s Definitions; d a"),
    ("CREATE TEMP TABLE a (x int)", "create; r ; w ; s Names; s Definitions; d a"),
    ("DROP TABLE IF EXISTS nowhere", "drop; r ; w ; s Names; s Definitions; d nowhere"),
    (
        "DROP TABLE app.nowhere, plain",
        "drop; r ; w public.plain(id,ssn_x); s Names; s Definitions; d app.nowhere; d plain",
    ),
    (
        "CREATE VIEW v AS SELECT id FROM plain",
        "create; r public.plain(id); w ; s Names; s Definitions; d v",
    ),
    (
        "REFRESH MATERIALIZED VIEW stored",
        "maintenance; r public.customers(ssn); w public.stored(ssn); s Names",
    ),
    ("CREATE ROLE x", "role; r ; w ; s Names; s Definitions"),
    ("ALTER SYSTEM SET a = 1", "server; r ; w "),
    ("SELECT * FROM pg_class", "select; r pg_catalog.pg_class(); w "),
    ("SELECT relname FROM pg_class", "select; r pg_catalog.pg_class(relname); w "),
];

#[test]
fn facts_of_common_statements() {
    let wrong: Vec<_> = CASES
        .iter()
        .map(|(text, want)| (text, short(text), want))
        .filter(|(_, got, want)| got != *want)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_condition_that_always_holds_bounds_nothing() {
    let bounded = |condition: &str| {
        analysis(&format!("DELETE FROM orders WHERE {condition}")).facts().bounded
    };
    for condition in [
        "true",
        "1 = 1",
        "id = id",
        "note IS NULL OR note IS NOT NULL",
        "NOT false",
        "'t'::bool",
        "id IS NOT NULL",
        "id = 1 OR true",
        "true AND 1 = 1",
        "note = 'a' OR NOT note = 'a'",
        "now() > '2000-01-01'",
        "EXISTS (SELECT 1)",
        "id > 1 OR id <= 1",
        "note LIKE '%'",
        "$1",
        "id >= id",
    ] {
        assert!(!bounded(condition), "{condition}");
    }
    for condition in [
        "id = 1",
        "id = $1",
        "note IS NULL",
        "note IS NOT NULL",
        "id = 1 AND true",
        "CURRENT OF c",
        "id IN (SELECT id FROM plain)",
        "note LIKE 'a%'",
    ] {
        assert!(bounded(condition), "{condition}");
    }
}

#[test]
fn parameters_and_prepared_statements_are_counted() {
    let analysis = analysis("PREPARE p AS SELECT $3::int + $1; EXECUTE q(1)");
    let facts = analysis.facts();
    assert_eq!(facts.parameters, 3);
    assert_eq!(facts.statements, 2);
    assert!(facts.prepares.contains("p"));
    assert!(facts.executes.contains("q"));
}

#[test]
fn what_drops_prepared_statements_says_which() {
    for (text, dropped) in [
        ("DEALLOCATE p; DEALLOCATE PREPARE \"Q\"", vec![Some("Q"), Some("p")]),
        ("DEALLOCATE ALL", vec![None]),
        ("DISCARD ALL", vec![None]),
        ("DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES", vec![]),
        ("PREPARE p AS SELECT 1", vec![]),
    ] {
        let facts = analysis(text).facts().clone();
        let named: Vec<Option<&str>> = facts.deallocates.iter().map(Option::as_deref).collect();
        assert_eq!(named, dropped, "{text}");
    }
}

#[test]
fn names_are_cut_where_the_server_cuts_them() {
    let long = "a".repeat(70);
    let analysis = analysis(&format!("SELECT 1 FROM {long}"));
    let cut = "a".repeat(63);
    assert_eq!(analysis.facts().opaque.first().map(|r| r.detail()), Some(cut.as_str()));
}

#[test]
fn hostile_texts_are_opaque_and_cheap() {
    let deep = |open: &str, middle: &str, close: &str, times: usize| {
        format!("SELECT {}{middle}{}", open.repeat(times), close.repeat(times))
    };
    for text in [
        deep("(", "1", ")", 100_000),
        deep("ARRAY[", "1", "]", 100_000),
        deep("NOT ", "true", "", 200_000),
        deep("CASE WHEN true THEN ", "1", " END", 50_000),
        deep("- ", "1", "", 300_000),
        format!("SELECT 1{}", " + 1".repeat(200_000)),
        format!("SELECT {}", "/*".repeat(30_000)),
        format!("SELECT {}1", "+".repeat(100_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(50_000)),
        format!("SELECT 1 FROM a{}", " JOIN a ON true".repeat(50_000)),
        "SELECT 1;".repeat(20_000),
        format!("SELECT id{} FROM plain{}", ",id".repeat(9_000), ",plain".repeat(9_000)),
        "x".repeat(2 << 20),
        "SELECT '\0'".to_owned(),
        "SELECT 'unfinished".to_owned(),
        // The second string goes on in the first one's escape mode.
        format!("SELECT E'a'\n'\\'' , {}1", "(".repeat(90_000)),
    ] {
        let analysis = analyze(&text, &catalog(), &Names::default());
        assert!(!analysis.facts().opaque.is_empty(), "{}", text.get(..40).unwrap_or(&text));
        assert!(analysis.facts().is_strict());
    }
}

#[test]
fn big_honest_texts_are_understood() {
    let list = (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let rows = (0..4_000).map(|n| format!("({n},'(((x')")).collect::<Vec<_>>().join(",");
    let any = (0..1000).map(|n| format!("id = {n}")).collect::<Vec<_>>().join(" OR ");
    let sum = vec!["id"; 500].join(" + ");
    let joins: String = (0..60).map(|n| format!(" JOIN plain p{n} ON p{n}.id = o.id")).collect();
    for text in [
        format!("SELECT id FROM orders WHERE id IN ({list})"),
        format!("INSERT INTO plain VALUES {rows}"),
        format!("SELECT id FROM orders WHERE {any}"),
        format!("SELECT {sum} FROM orders"),
        format!("SELECT o.id FROM orders o{joins}"),
        format!("SELECT {}1{}", "(".repeat(200), ")".repeat(200)),
    ] {
        let analysis = analyze(&text, &catalog(), &Names::default());
        let opaque = &analysis.facts().opaque;
        assert!(opaque.is_empty(), "{}: {opaque:?}", text.get(..60).unwrap_or(&text));
    }
}

#[test]
fn a_lexer_setting_that_the_parser_does_not_share_is_opaque() {
    let names = Names { standard_conforming_strings: false, ..Names::default() };
    let text = r"SELECT '\'' || ssn FROM customers --'";
    let analysis = analyze(text, &catalog(), &names);
    assert!(!analysis.facts().opaque.is_empty());
    assert!(analysis.facts().kinds.contains(&StatementKind::Unknown));
}
