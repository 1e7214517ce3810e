//! Where the values of statements come from.

use writ_model::lineage::{Derivation, SourceColumn, Value};
use writ_sql::{Names, analyze};

use crate::shop::{analysis, catalog};

fn column(source: SourceColumn) -> String {
    let catalog = catalog();
    let relation = catalog.relation_by_oid(source.relation).expect("a relation");
    let column = relation.columns.iter().find(|c| c.number == source.column).expect("a column");
    format!("{}.{}", relation.name, column.name)
}

fn value(value: &Value) -> String {
    let sources: Vec<String> = value.sources.iter().map(|s| column(*s)).collect();
    let kind = format!("{:?}", value.derivation).to_lowercase();
    format!("{kind}({})", sources.join(" "))
}

/// `outputs | assignments | uses`, and `…` where more is used.
fn short(text: &str) -> String {
    let analysis = analysis(text);
    let lineage = analysis.lineage(&catalog(), &Names::default());
    let outputs: Vec<String> = lineage.outputs.iter().map(value).collect();
    let assignments: Vec<String> = lineage
        .assignments
        .iter()
        .map(|(at, v)| format!("{} = {}", column(*at), value(v)))
        .collect();
    let uses: Vec<String> =
        lineage.uses.iter().map(|(p, s)| format!("{p:?} {}", column(*s)).to_lowercase()).collect();
    let more = if lineage.partial { "…" } else { "" };
    format!("{} | {} | {}{more}", outputs.join(", "), assignments.join(", "), uses.join(", "))
}

const CASES: &[(&str, &str)] = &[
    ("SELECT 1, $1", "constant(), constant() |  | "),
    ("SELECT note FROM orders WHERE id = 1", "identity(orders.note) |  | filter orders.id"),
    ("SELECT lower(note) || total FROM orders", "transform(orders.total orders.note) |  | "),
    (
        "SELECT count(*), sum(total) FROM orders GROUP BY note ORDER BY 2",
        "aggregate(), aggregate(orders.total) |  | group orders.note, order orders.total",
    ),
    ("SELECT DISTINCT note FROM orders", "identity(orders.note) |  | group orders.note"),
    ("SELECT n FROM (SELECT note AS n FROM orders) x", "identity(orders.note) |  | "),
    ("SELECT x.b FROM orders AS x(a, b)", "identity(orders.customer_id) |  | "),
    (
        "WITH a AS (SELECT id, upper(note) AS n FROM orders) SELECT n FROM a WHERE id = 1",
        "transform(orders.note) |  | filter orders.id",
    ),
    (
        "SELECT o.note, p.ssn_x FROM orders o JOIN plain p USING (id)",
        "identity(orders.note), identity(plain.ssn_x) |  | join orders.id, join plain.id",
    ),
    (
        "SELECT note FROM orders UNION ALL SELECT ssn_x FROM plain",
        "identity(orders.note plain.ssn_x) |  | ",
    ),
    ("SELECT note FROM orders UNION SELECT 'x'", "transform(orders.note) |  | group orders.note"),
    (
        "SELECT (SELECT max(total) FROM orders o WHERE o.id = p.id) FROM plain p",
        "aggregate(orders.id orders.total plain.id) |  | filter orders.id, filter plain.id",
    ),
    ("SELECT secret FROM people", "identity(people.secret) |  | "),
    ("SELECT o FROM plain o", "transform(plain.id plain.ssn_x) |  | "),
    (
        "SELECT * FROM plain ORDER BY ssn_x",
        "identity(plain.id), identity(plain.ssn_x) |  | order plain.ssn_x",
    ),
    ("SELECT note AS n FROM orders ORDER BY n", "identity(orders.note) |  | order orders.note"),
    (
        "INSERT INTO plain (id, ssn_x) SELECT id, upper(note) FROM orders RETURNING id",
        "identity(plain.id) | plain.id = identity(orders.id), plain.ssn_x = transform(orders.note) | ",
    ),
    ("INSERT INTO plain VALUES (1, 'x')", " | plain.id = constant(), plain.ssn_x = constant() | "),
    (
        "UPDATE plain SET ssn_x = o.note FROM orders o WHERE o.id = plain.id",
        " | plain.ssn_x = identity(orders.note) | filter orders.id, filter plain.id",
    ),
    ("SELECT x FROM generate_series(1, 2) x", "unknown() |  | "),
    ("SELECT nothing.x FROM orders", "unknown() |  | "),
];

#[test]
fn lineage_of_common_statements() {
    let wrong: Vec<_> = CASES
        .iter()
        .map(|(text, want)| (*text, short(text), *want))
        .filter(|(_, got, want)| got != want)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn settings_are_named() {
    let settings =
        |text: &str| -> Vec<_> { analysis(text).facts().settings.iter().cloned().collect() };
    let found = settings("SET TimeZone = 'x'; SELECT set_config('Search_Path', '', true)");
    assert_eq!(found, ["search_path", "timezone"]);
    let found =
        settings("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SET TRANSACTION READ ONLY");
    assert_eq!(found, ["default_transaction_read_only"]);
}

#[test]
fn hostile_texts_have_bounded_lineage() {
    let doubling: String =
        (1..40).map(|n| format!(", c{n} AS (SELECT * FROM c{0} x, c{0} y)", n - 1)).collect();
    let text = format!("WITH c0 AS (SELECT * FROM orders){doubling} SELECT * FROM c39");
    let found = analyze(&text, &catalog(), &Names::default());
    let lineage = found.lineage(&catalog(), &Names::default());
    let unknown = |v: &Value| v.derivation == Derivation::Unknown;
    assert!(lineage.partial || lineage.outputs.iter().any(unknown));
    assert!(lineage.outputs.len() < 5_000);
}
