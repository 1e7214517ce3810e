//! On a real PostgreSQL: the sanctioned filter by equality tells what it was permitted to tell and nothing else, and is
//! served by an index; GROUP BY a key goes on working over masked tables.

#[path = "../../../core/sql/tests/it/server.rs"]
#[allow(dead_code)]
mod server;

use server::Server;
use writ_edge_core::catalog::{CATALOG_QUERY, parse_catalog};
use writ_model::mask::ColumnMask;
use writ_model::{Catalog, ColumnMasks, ColumnRef, MaskKind};
use writ_sql::{Names, Rewrite, analyze};

const SCHEMA: &str = "
CREATE TABLE customers (id int PRIMARY KEY, name text, ssn varchar(11) UNIQUE, born date, doc json);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, buyer_ssn varchar(11), total int);
CREATE CAST (varchar AS uuid) WITH INOUT AS IMPLICIT;
CREATE TABLE marks (a int NOT NULL, b bool NOT NULL, ssn text, size int);
CREATE UNIQUE INDEX ON marks (a, b) WHERE b;
INSERT INTO marks VALUES (1, true, 'x', 5), (2, false, 'y', 6), (2, false, 'z', 7);
CREATE TABLE parents (id int PRIMARY KEY, ssn text, size int);
CREATE TABLE children () INHERITS (parents);
INSERT INTO parents VALUES (1, 'x', 1);
INSERT INTO children VALUES (1, 'y', 2);
CREATE TABLE cards (id int PRIMARY KEY, card bigint, amount numeric);
INSERT INTO cards VALUES (1, -5, '1e400');
CREATE VIEW people AS SELECT id, ssn FROM customers;
CREATE TABLE logs (id int, ssn text) PARTITION BY LIST (id);
CREATE TABLE logs_1 PARTITION OF logs FOR VALUES IN (1, 2, 3);
INSERT INTO customers SELECT g, 'name ' || g, '100-' || g, '1970-01-01', '{}' FROM generate_series(1, 2000) g;
INSERT INTO orders SELECT g, g % 50 + 1, '100-' || g % 50 + 1, g FROM generate_series(1, 200) g;
INSERT INTO logs VALUES (1, '100-1'), (2, '100-2');
ANALYZE;
";

fn column(relation: &str, column: &str) -> ColumnRef {
    ColumnRef { schema: "public".into(), relation: relation.into(), column: column.into() }
}

fn masks(matched: &[ColumnRef]) -> ColumnMasks {
    let mut masks = ColumnMasks::default();
    let all = [
        ("customers", "ssn"),
        ("customers", "born"),
        ("customers", "doc"),
        ("logs", "ssn"),
        ("logs_1", "ssn"),
        ("marks", "ssn"),
        ("parents", "ssn"),
        ("children", "ssn"),
        ("cards", "card"),
        ("cards", "amount"),
    ];
    for (relation, column) in all {
        let mask = ColumnMask { kind: MaskKind::Redact, tag: "pii.x".parse().expect("a tag") };
        masks.insert("public", relation, column, mask);
    }
    matched.iter().for_each(|column| masks.let_match(column.clone(), true));
    masks
}

struct World {
    server: Server,
    catalog: Catalog,
    masks: ColumnMasks,
}

impl World {
    fn new(matched: &[ColumnRef]) -> Option<Self> {
        let server = Server::start()?;
        assert_eq!(server.script(SCHEMA), "");
        let out = server.script(&format!("SET search_path = pg_catalog;\n{CATALOG_QUERY};"));
        let catalog = parse_catalog(out.trim()).unwrap_or_else(|e| panic!("{e}"));
        Some(Self { server, catalog, masks: masks(matched) })
    }

    fn rewritten(&self, text: &str) -> Result<String, String> {
        let analysis = analyze(text, &self.catalog, &Names::default());
        assert!(analysis.facts().opaque.is_empty(), "{text}: {:?}", analysis.facts().opaque);
        match analysis.rewrite(&self.catalog, &Names::default(), &self.masks) {
            Ok(Rewrite::Unchanged) => Ok(text.to_owned()),
            Ok(Rewrite::Text(text)) => Ok(text),
            Err(reason) => Err(reason.detail().to_owned()),
        }
    }

    /// What the server answers to what replaces `text`, inside a transaction that is undone; or why nothing does.
    fn run(&self, text: &str) -> String {
        self.run_between("", text, "")
    }

    fn run_between(&self, before: &str, text: &str, after: &str) -> String {
        match self.rewritten(text) {
            Ok(sent) => {
                self.server.script(&format!("BEGIN;\n{before}\n{sent};\n{after}\nROLLBACK;"))
            }
            Err(why) => format!("refused: {why}"),
        }
    }
}

/// Texts whose filter is sanctioned, and what they show.
const MATCHED: &[(&str, &str)] = &[
    ("SELECT id, ssn FROM customers WHERE ssn = '100-7'", "7|***\n"),
    ("SELECT id FROM customers c WHERE c.ssn = '100-7' AND name LIKE 'name%'", "7\n"),
    ("SELECT id FROM public.customers WHERE '100-7' = ssn AND id < 10 AND born = '1970-01-01'", ""),
    ("SELECT id FROM customers WHERE ssn IN ('100-7', '100-8', 'x') ORDER BY id", "7\n8\n"),
    ("SELECT id FROM customers WHERE ssn = ANY ('{100-7,100-9}'::text[]) ORDER BY id", "7\n9\n"),
    ("SELECT a FROM customers c(a, b, s) WHERE s = '100-7'", "7\n"),
    ("SELECT count(*) FROM customers WHERE ssn OPERATOR(pg_catalog.=) '100-7'::text", "1\n"),
    (
        "SELECT c.id, sum(o.total) FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.ssn = '100-2' GROUP BY c.id",
        "2|304\n",
    ),
    (
        "SELECT c.id, o.id FROM customers c LEFT JOIN orders o ON o.customer_id = c.id + 100 WHERE c.ssn = '100-2'",
        "2|\n",
    ),
    (
        "SELECT id FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE ssn = '100-50') ORDER BY id LIMIT 1",
        "49\n",
    ),
    ("WITH c AS (SELECT id, ssn FROM customers WHERE ssn = '100-3') SELECT * FROM c", "3|***\n"),
    (
        "SELECT id FROM customers WHERE ssn = '100-3' UNION ALL SELECT id FROM customers WHERE ssn = 'x'",
        "3\n",
    ),
    ("SELECT id, ssn FROM logs WHERE ssn = '100-2'", "2|***\n"),
];

/// Texts that compare what is shown: none of them may find a value.
const MASKED: &[&str] = &[
    "SELECT id FROM customers WHERE ssn = ANY (ARRAY['100-7'])",
    "SELECT id FROM customers WHERE ssn = '100-7'::name",
    "SELECT id FROM customers WHERE ssn LIKE '100-7'",
    "SELECT id FROM customers WHERE ssn BETWEEN '100-7' AND '100-7'",
    "SELECT id FROM customers WHERE lower(ssn) = '100-7'",
    "SELECT id FROM customers WHERE ssn = lower('100-7')",
    "SELECT id FROM customers WHERE ssn = '100-7' OR false",
    "SELECT id FROM customers WHERE NOT (ssn <> '100-7')",
    "SELECT id FROM customers WHERE (ssn, 1) = ('100-7', 1)",
    "SELECT id FROM customers WHERE (ssn = '100-7') IS TRUE",
    "SELECT id FROM customers WHERE ssn = (SELECT '100-7')",
    "SELECT id FROM customers WHERE ssn IN (SELECT '100-7')",
    "SELECT id FROM customers WHERE born = '1970-01-01'",
    "SELECT c.id FROM customers c JOIN orders o ON o.buyer_ssn = c.ssn",
    "SELECT c.id FROM customers c, orders o WHERE o.buyer_ssn = c.ssn",
    "SELECT c.id FROM orders o JOIN customers c ON c.ssn = '100-7'",
    "SELECT c.id FROM orders o LEFT JOIN customers c ON true WHERE c.ssn = '100-7'",
    "SELECT c.id FROM customers c RIGHT JOIN orders o ON true WHERE c.ssn = '100-7'",
    "SELECT c.id FROM customers c FULL JOIN orders o ON o.id = c.id WHERE c.ssn = '100-7'",
    "SELECT j.id FROM (customers c JOIN orders o USING (id)) AS j WHERE j.ssn = '100-7'",
    "SELECT id FROM people WHERE ssn = '100-7'",
    "SELECT id FROM (SELECT id, ssn FROM customers) s WHERE ssn = '100-7'",
    "WITH c AS (SELECT id, ssn FROM customers) SELECT id FROM c WHERE ssn = '100-7'",
    "SELECT id FROM customers GROUP BY id, ssn HAVING ssn = '100-7'",
    "SELECT 1 FROM customers HAVING bool_or(ssn = '100-7')",
];

#[test]
fn what_may_be_matched_is_found_and_still_shown_masked() {
    let sanctioned = [column("customers", "ssn"), column("logs", "ssn"), column("logs_1", "ssn")];
    let Some(world) = World::new(&sanctioned) else { return };
    for (text, shown) in MATCHED {
        assert_eq!(world.run(text), *shown, "{text}: {:?}", world.rewritten(text));
    }
    for text in MASKED {
        assert_eq!(world.run(text), "", "{text}: {:?}", world.rewritten(text));
    }
    // A parameter takes the column's type, and everything else about the statement still sees the mask.
    let prepared = "PREPARE p AS SELECT id, ssn, max(ssn) OVER () FROM customers WHERE ssn = $1";
    assert_eq!(world.run_between("", prepared, "EXECUTE p ('100-5');"), "5|***|***\n");
    let changed =
        "UPDATE customers SET name = 'x' WHERE ssn = '100-7' AND id > 0 RETURNING id, name, ssn";
    assert_eq!(world.run(changed), "7|x|***\n");
    let removed = "DELETE FROM customers USING orders o WHERE customers.ssn = '100-7' AND o.id = 1 RETURNING customers.id";
    assert_eq!(world.run(removed), "7\n");
    assert!(world.run("UPDATE customers SET name = 'x' WHERE ssn LIKE '1%'").contains("refused"));
    // Without the sanction the same texts find nothing, or are refused.
    let plain = World { masks: masks(&[]), ..world };
    for (text, _) in MATCHED {
        assert!(matches!(plain.run(text).as_str(), "" | "0\n"), "{text}");
    }
    assert!(plain.run(changed).contains("refused"));
    // One that holds for the parent but not for the partition is none.
    let half = World { masks: masks(&[column("logs", "ssn")]), ..plain };
    assert_eq!(half.run("SELECT id, ssn FROM logs WHERE ssn = '100-2'"), "");
}

#[test]
fn an_index_on_the_column_serves_the_filter() {
    let Some(world) = World::new(&[column("customers", "ssn")]) else { return };
    for text in [
        "EXPLAIN (COSTS OFF) SELECT id, ssn FROM customers WHERE ssn = '100-7'",
        "EXPLAIN (COSTS OFF) SELECT id FROM customers WHERE ssn IN ('100-7', '100-8')",
        "EXPLAIN (COSTS OFF) SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.ssn = '100-7'",
    ] {
        let plan = world.run(text);
        assert!(
            plan.contains("customers_ssn_key") && !plan.contains("Seq Scan on customers"),
            "{plan}"
        );
    }
    let unsanctioned = World { masks: masks(&[]), ..world };
    let plan = unsanctioned.run("EXPLAIN (COSTS OFF) SELECT id FROM customers WHERE ssn = '100-7'");
    assert!(plan.contains("Seq Scan on customers"), "control: {plan}");
}

#[test]
fn a_sanctioned_filter_tells_nothing_of_other_values() {
    let Some(world) = World::new(&[column("customers", "ssn")]) else { return };
    // The worlds agree on who has '100-7' and on nothing else that is masked.
    let worlds = [
        "UPDATE customers SET ssn = 'CANARY' || id, born = 'epoch' WHERE id <> 7;",
        "UPDATE customers SET ssn = NULL, born = now(), doc = '[]' WHERE id <> 7;",
    ];
    let matched = MATCHED.iter().map(|(text, _)| text).filter(|text| {
        text.contains("'100-7'") && !text.contains("100-8") && !text.contains("100-9")
    });
    for text in matched.chain(MASKED) {
        let [one, two] = worlds.map(|world_of| world.run_between(world_of, text, ""));
        assert_eq!(one, two, "{text}");
    }
    // They can be told apart by a value that only one of them has: that is what the filter is for.
    let text = "SELECT id FROM customers WHERE ssn = 'CANARY8'";
    let [one, two] = worlds.map(|world_of| world.run_between(world_of, text, ""));
    assert_eq!((one.as_str(), two.as_str()), ("8\n", ""), "control");
}

const GROUPED: &[(&str, &str)] = &[
    (
        "SELECT c.id, c.name, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 3 GROUP BY c.id",
        "3|name 3|4\n",
    ),
    (
        "SELECT c.id, c.ssn, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 3 GROUP BY c.id",
        "3|***|4\n",
    ),
    (
        "SELECT customers.id, upper(name) FROM customers GROUP BY customers.id ORDER BY name, born LIMIT 1",
        "1|NAME 1\n",
    ),
    ("SELECT id, name || ssn FROM customers GROUP BY id HAVING name = 'name 4'", "4|name 4***\n"),
    ("SELECT c.i, c.n FROM customers c(i, n) GROUP BY c.i ORDER BY 1 LIMIT 1", "1|name 1\n"),
    (
        "SELECT c.id, (SELECT max(o.total) FROM orders o WHERE o.customer_id = c.id AND c.name <> '') FROM customers c WHERE c.id = 2 GROUP BY c.id",
        "2|151\n",
    ),
    ("SELECT id, json_agg(doc) FROM customers WHERE id = 2 GROUP BY id", "2|[\"***\"]\n"),
];

#[test]
fn grouping_by_a_key_goes_on_working() {
    let Some(world) = World::new(&[]) else { return };
    for (text, shown) in GROUPED {
        assert_eq!(world.run(text), *shown, "{text}: {:?}", world.rewritten(text));
    }
    // What the server refuses without masks it still refuses.
    let not_by_key = "SELECT name, ssn FROM customers GROUP BY name";
    assert!(
        world.server.script(not_by_key).contains("must appear in the GROUP BY clause"),
        "control"
    );
    assert!(world.run(not_by_key).contains("must appear in the GROUP BY clause"));
}

#[test]
fn no_comparison_makes_the_server_quote_the_column() {
    let sanctioned =
        [column("customers", "ssn"), column("cards", "card"), column("cards", "amount")];
    let Some(world) = World::new(&sanctioned) else { return };
    for text in [
        "SELECT id FROM customers WHERE ssn = '00000000-0000-0000-0000-000000000000'::uuid",
        "SELECT id FROM cards WHERE card = 1::oid",
        "SELECT id FROM cards WHERE amount = 1::float8",
    ] {
        let told = world.run(text);
        assert!(!told.contains("100-") && !told.contains("range"), "{text}: {told}");
    }
    // Without a mask the first quotes a value: that is what must not come back.
    let first = "SELECT id FROM customers WHERE ssn = '00000000-0000-0000-0000-000000000000'::uuid";
    assert!(world.server.script(first).contains("100-"), "control");
    let typed = "PREPARE p (uuid) AS SELECT id FROM customers WHERE ssn = $1";
    let told = world.run_between("", typed, "EXECUTE p ('00000000-0000-0000-0000-000000000000');");
    assert!(!told.contains("100-"), "{told}");
    assert_eq!(world.run("SELECT id FROM cards WHERE card = -5"), "1\n");
    assert_eq!(world.run("SELECT id FROM cards WHERE card = 5.4"), "");
}

#[test]
fn only_a_primary_key_groups_what_depends_on_it() {
    let Some(world) = World::new(&[]) else { return };
    for (text, shown) in [
        (
            "SELECT a, b, count(ssn), sum(size) FROM marks GROUP BY a, b ORDER BY a",
            "1|t|1|5\n2|f|2|13\n",
        ),
        ("SELECT id, count(ssn), sum(size) FROM parents GROUP BY id", "1|2|3\n"),
        (
            "SELECT id, name, count(ssn) FROM customers WHERE id = 1 GROUP BY id, ROLLUP (name) ORDER BY name",
            "1|name 1|1\n1||1\n",
        ),
    ] {
        assert_eq!(world.run(text), shown, "{text}: {:?}", world.rewritten(text));
        assert_eq!(world.server.script(text), shown, "without masks");
    }
}
