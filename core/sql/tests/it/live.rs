//! Against a real server: rewrites run there, and two databases that differ only in masked cells give
//! the same answers (E3); what psql and pg_dump send is understood.

use writ_model::mask::ColumnMask;
use writ_model::{Catalog, ColumnMasks, MaskKind};
use writ_sql::{Names, Rewrite, SystemColumn, analyze, sensitive_system_columns};

use crate::generate::Generator;
use crate::leaks::LEAKS;
use crate::server::Server;
use crate::shop::masks;
use crate::variants::spellings;

const SCHEMA: &str = "
CREATE SCHEMA app;
CREATE TABLE customers (id int PRIMARY KEY, name text, email varchar(40), ssn varchar(5), born date,
  balance numeric(10,2));
CREATE TABLE orders (id int, customer_id int, total numeric, note text);
CREATE TABLE app.customers (LIKE customers);
CREATE TABLE \"Odd \"\"Table\" (id int, \"Sec ret\" text);
CREATE TABLE plain (id int, ssn_x text);
CREATE VIEW people AS SELECT id, ssn AS secret FROM customers;
CREATE VIEW top_people AS SELECT secret FROM people;
CREATE VIEW ids AS SELECT id FROM orders;
CREATE MATERIALIZED VIEW stored AS SELECT ssn FROM customers;
CREATE TABLE events (id int, token text, at timestamp(3)) PARTITION BY LIST (id);
CREATE TABLE events_old PARTITION OF events FOR VALUES IN (1, 2, 3);
CREATE FUNCTION peek(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE kinds (a text, b varchar(3), c char(4), d int, e bigint, f numeric(8,2), g float8,
  h bool, i date, j timestamptz, k timestamp(3), l time, m interval, n uuid, o bytea, p json, q jsonb,
  r inet, s int[], t mood, u text[], v xml, w point, x money, y bit(3), z int4range);
INSERT INTO kinds VALUES ('CAN', 'CAN', 'CAN', 7731, 7731, 7731, 7731, true, '2001-07-31', now(), now(),
  now(), '7 years', gen_random_uuid(), 'CAN', '\"CAN\"', '\"CAN\"', '7.7.3.1', '{7731}', 'ok', '{CAN}',
  '<CAN/>', '(7,7)', 7731, '111', '[7,31)');
INSERT INTO kinds (a) VALUES (NULL);
INSERT INTO orders SELECT g, g, g * 10, g::text FROM generate_series(1, 4) g;
INSERT INTO customers SELECT g, 'name ' || g, 'x', 'x', '2000-01-01', g FROM generate_series(1, 4) g;
INSERT INTO plain VALUES (1, '1');
INSERT INTO \"Odd \"\"Table\" VALUES (1, 'x');
INSERT INTO events VALUES (1, 'x', now());
";

/// Two fillings of the masked cells and of nothing else.
const WORLDS: [&str; 2] = [
    "UPDATE customers SET ssn = id::text, email = 'CANARY' || id; \
     UPDATE \"Odd \"\"Table\" SET \"Sec ret\" = 'CANARY'; UPDATE events SET token = 'CANARY';",
    "UPDATE customers SET ssn = 'C' || 9 - id, email = 'CANARY'; \
     UPDATE \"Odd \"\"Table\" SET \"Sec ret\" = 'CANARIES'; UPDATE events SET token = 'CANARIES';",
];

/// Looks at what a statement left behind.
fn follow_up(text: &str) -> &'static str {
    let has = |s: &str| text.contains(s);
    if has("DECLARE c") {
        "FETCH ALL FROM c;"
    } else if has("PREPARE p") {
        "EXECUTE p(1);"
    } else if has("stolen") {
        "TABLE stolen;"
    } else if has("INTO plain") {
        "TABLE plain;"
    } else if has("orders") {
        "SELECT id, customer_id, total, note FROM orders ORDER BY id;"
    } else {
        ""
    }
}

/// Undone changes leave dead rows behind, by which the planner chooses: each run begins without them.
const TIDY: &str = "VACUUM (FULL, ANALYZE) customers, orders, app.customers, plain, kinds, events, \"Odd \"\"Table\"";

/// What each text prints in one of the worlds.
fn answers(server: &Server, world: &str, texts: &[String]) -> Vec<String> {
    assert_eq!(server.script(TIDY), "");
    let script: String = texts
        .iter()
        .map(|text| {
            let follow = follow_up(text);
            let world = if text.starts_with("BEGIN;") { "" } else { world };
            format!("BEGIN;\n{world}\n{text};\n{follow}\nROLLBACK;\n\\echo ~~~~\n")
        })
        .collect();
    let out = server.script(&script);
    // Times and places differ between any two runs.
    let quiet = |part: &str| {
        let lines = part.lines().filter(|l| !l.contains("Time:") && !l.contains("actual time"));
        lines
            .map(|l| l.split(':').skip_while(|s| *s == "psql").collect::<Vec<_>>().join(":"))
            .collect()
    };
    out.split("~~~~\n").map(quiet).map(|lines: Vec<String>| lines.join("\n")).collect()
}

fn rewritten(catalog: &Catalog, masks: &ColumnMasks, text: &str) -> Option<String> {
    let analysis = analyze(text, catalog, &Names::default());
    assert!(analysis.facts().opaque.is_empty(), "{text}: {:?}", analysis.facts().opaque);
    match analysis.rewrite(catalog, &Names::default(), masks) {
        Ok(Rewrite::Text(text)) => Some(text),
        Ok(Rewrite::Unchanged) => panic!("{text}: unchanged"),
        Err(_) => None,
    }
}

#[test]
fn masked_cells_do_not_interfere() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(SCHEMA), "");
    let (catalog, masks) = (server.catalog(), masks());
    let masked: Vec<(String, String)> = LEAKS
        .iter()
        .filter(|text| !text.starts_with("BEGIN"))
        .filter_map(|text| Some(((*text).to_owned(), rewritten(&catalog, &masks, text)?)))
        .collect();
    assert!(masked.len() + 5 > LEAKS.len(), "only {} of {} rewritten", masked.len(), LEAKS.len());
    let (originals, texts): (Vec<_>, Vec<_>) = masked.into_iter().unzip();
    let [one, two] = WORLDS.map(|world| answers(&server, world, &texts));
    for ((original, text), (a, b)) in originals.iter().zip(&texts).zip(one.iter().zip(&two)) {
        assert_eq!(a, b, "{original}\n{text}");
        assert!(!a.contains("CANAR"), "{original}\n{text}\n{a}");
        assert!(!a.contains("ERROR") || may_fail(original), "{original}\n{text}\n{a}");
    }
    // Without the rewrite, most of them tell the worlds apart.
    let [one, two] = WORLDS.map(|world| answers(&server, world, &originals));
    let told = one.iter().zip(&two).filter(|(a, b)| a != b).count();
    assert!(told * 2 > originals.len(), "only {told} of {} leak unmasked", originals.len());
}

/// How many generated statements are tried, and from which seed; a longer run sets these.
const GENERATED: (&str, u64) = ("WRIT_FUZZ_STATEMENTS", 200);
const SEED: (&str, u64) = ("WRIT_FUZZ_SEED", 1);
/// So many statements go to the server at once.
const BATCH: usize = 100;

fn setting((name, default): (&str, u64)) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn generated_statements_do_not_tell_masked_cells_apart() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(SCHEMA), "");
    let (catalog, masks) = (server.catalog(), masks());
    let (count, seed) = (setting(GENERATED), setting(SEED));
    let mut generator = Generator::new(seed);
    let (mut tried, mut answered, mut leaks_without) = (0, 0, 0);
    while tried < count {
        let mut batch: Vec<(String, String)> = Vec::new();
        while batch.len() < BATCH && tried < count {
            tried += 1;
            let text = generator.statement();
            let analysis = analyze(&text, &catalog, &Names::default());
            assert!(analysis.facts().opaque.is_empty(), "{text}: {:?}", analysis.facts().opaque);
            let rewrite = analysis.rewrite(&catalog, &Names::default(), &masks);
            for spelling in spellings(&text) {
                let spelled = analyze(&spelling, &catalog, &Names::default());
                assert_eq!(spelled.facts(), analysis.facts(), "{spelling}");
                assert_eq!(
                    spelled.rewrite(&catalog, &Names::default(), &masks),
                    rewrite,
                    "{spelling}"
                );
            }
            match rewrite {
                Ok(Rewrite::Text(masked)) => batch.push((text, masked)),
                Ok(Rewrite::Unchanged) => batch.push((text.clone(), text)),
                Err(_) => {}
            }
        }
        let (originals, texts): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let [one, two] = WORLDS.map(|world| answers(&server, world, &texts));
        for ((original, text), (a, b)) in originals.iter().zip(&texts).zip(one.iter().zip(&two)) {
            assert_eq!(a, b, "seed {seed}\n{original}\n{text}");
            assert!(!a.contains("CANAR"), "seed {seed}\n{original}\n{text}\n{a}");
            answered += u64::from(!a.contains("ERROR"));
        }
        let [one, two] = WORLDS.map(|world| answers(&server, world, &originals));
        leaks_without += one.iter().zip(&two).map(|(a, b)| u64::from(a != b)).sum::<u64>();
    }
    println!("{tried} statements, {answered} answered, {leaks_without} leak without the rewrite");
    assert!(answered * 10 > tried * 7, "only {answered} of {tried} are answered");
    assert!(leaks_without * 10 > tried, "control: only {leaks_without} of {tried} leak");
}

/// Statements that fail with or without masks, or that the server cannot plan over a subselect.
fn may_fail(text: &str) -> bool {
    text.contains("::int")
        || text.contains("1/0")
        || text.contains("pg_authid")
        || text.contains("NATURAL")
        || text.contains("MERGE")
}

#[test]
fn every_type_has_a_mask() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(SCHEMA), "");
    let catalog = server.catalog();
    let relation = catalog.relation("public", "kinds").expect("the table");
    for kind in [MaskKind::Redact, MaskKind::Null] {
        let mut masks = ColumnMasks::default();
        for column in &relation.columns {
            let tag = "pii.email".parse().expect("a tag");
            let mask = ColumnMask { kind: kind.clone(), tag };
            masks.insert("public", "kinds", &column.name, mask);
        }
        let text = rewritten(&catalog, &masks, "CREATE TABLE copied AS SELECT * FROM kinds")
            .expect("a rewrite");
        let types = "SELECT string_agg(format_type(atttypid, -1), ',' ORDER BY attnum) \
                     FROM pg_attribute WHERE attnum > 0 AND attrelid =";
        let out = server.script(&format!(
            "BEGIN; {text};\nTABLE copied; {types} 'copied'::regclass; {types} 'kinds'::regclass; \
             ROLLBACK;"
        ));
        assert!(!out.contains("CAN") && !out.contains("7731"), "{out}");
        let lines: Vec<_> = out.lines().collect();
        let [first, .., copied, kinds] = lines.as_slice() else { panic!("{out}") };
        assert_eq!(copied, kinds, "{out}");
        assert_eq!(first.contains("***"), kind == MaskKind::Redact, "{out}");
    }
}

fn system_masks() -> ColumnMasks {
    let mut masks = masks();
    for (schema, relation, column) in sensitive_system_columns() {
        let tag = "secret.system".parse().expect("a tag");
        masks.insert(schema, relation, column, ColumnMask { kind: MaskKind::Redact, tag });
    }
    masks
}

/// Each text is understood, and what replaces it runs.
fn all_understood(server: &Server, texts: &[String]) {
    let (catalog, masks) = (server.catalog(), system_masks());
    // pg_dump sets an empty search path first.
    let names = Names { search_path: vec!["public".to_owned()], ..Names::default() };
    let mut script = String::new();
    for text in texts {
        let analysis = analyze(text, &catalog, &names);
        assert!(analysis.facts().opaque.is_empty(), "{:?}: {text}", analysis.facts().opaque);
        match analysis.rewrite(&catalog, &names, &masks) {
            Ok(Rewrite::Unchanged) => {}
            Ok(Rewrite::Text(text)) => script.push_str(&format!("{text};\n")),
            Err(reason) => panic!("{reason:?}: {text}"),
        }
    }
    let out = server.script(&script);
    assert!(!out.contains("ERROR") && !out.contains("CANAR"), "{out}\n{script}");
}

#[test]
fn psql_describes_everything() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(SCHEMA), "");
    assert_eq!(server.script(&WORLDS.concat()), "");
    let from = server.log().len();
    let commands = [
        "\\d",
        "\\d customers",
        "\\d+ customers",
        "\\d+ people",
        "\\d+ events",
        "\\dt+",
        "\\dv+",
        "\\di+",
        "\\ds+",
        "\\dm+",
        "\\df+",
        "\\dn+",
        "\\du+",
        "\\dp",
        "\\dT+",
        "\\dx+",
        "\\l+",
        "\\db+",
        "\\da",
        "\\dc",
        "\\dC",
        "\\dd",
        "\\ddp",
        "\\dD",
        "\\dE",
        "\\des+",
        "\\deu+",
        "\\dew+",
        "\\dFt",
        "\\dF+",
        "\\dL+",
        "\\do",
        "\\dO",
        "\\dRp+",
        "\\dRs+",
        "\\dX",
        "\\dy",
        "\\drds",
        "\\dS",
        "\\sf peek",
        "\\sv people",
        "\\z",
        "\\dPn",
        "\\dconfig",
        "\\dAc",
        "\\dAo",
    ];
    let out = server.script(&commands.join("\n"));
    assert!(!out.contains("ERROR"), "{out}");
    let texts = server.logged(from);
    assert!(texts.len() > 60, "{}", texts.len());
    all_understood(&server, &texts);
}

/// In the manner of drivers and designers that look at a schema.
const INTROSPECTION: &[&str] = &[
    "SELECT current_database() AS cat, n.nspname AS schem, c.relname AS name, \
     CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE NULL END AS kind, d.description \
     FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d \
     ON (c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass) \
     WHERE c.relnamespace = n.oid AND c.relname LIKE E'cust\\\\_%' ORDER BY kind, schem, name",
    "SELECT * FROM (SELECT n.nspname, a.attname, a.atttypid, a.attnotnull OR (t.typtype = 'd' AND \
     t.typnotnull) AS attnotnull, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS at, \
     nullif(a.attidentity, '') AS identity, pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc \
     FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid) \
     JOIN pg_catalog.pg_attribute a ON (a.attrelid = c.oid) \
     JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid) \
     LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid = def.adrelid AND a.attnum = def.adnum) \
     WHERE a.attnum > 0 AND NOT a.attisdropped) c WHERE true ORDER BY nspname, at",
    "SELECT r.column_name, (r.keys).n, (r.keys).x FROM (SELECT a.attname AS column_name, \
     information_schema._pg_expandarray(i.indkey) AS keys FROM pg_index i \
     JOIN pg_attribute a ON a.attrelid = i.indrelid) r",
    "SELECT c.column_name, c.data_type, c.column_default FROM information_schema.columns c \
     WHERE c.table_schema = ANY (current_schemas(false)) ORDER BY c.ordinal_position",
    "SELECT t.oid, t.typname, e.enumlabel FROM pg_type t LEFT JOIN pg_enum e ON e.enumtypid = t.oid \
     WHERE t.oid = 'mood'::regtype OR t.typelem IN (SELECT oid FROM pg_type) ORDER BY e.enumsortorder",
    "SELECT conname, pg_get_constraintdef(oid, true), conkey[1] FROM pg_constraint \
     WHERE conrelid = 'public.customers'::regclass AND contype IN ('p', 'u', 'f')",
    "SELECT name, setting FROM pg_settings WHERE name IN ('TimeZone', 'server_encoding')",
    "SELECT usename, datname, state FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    "SELECT relname, n_live_tup, pg_total_relation_size(relid) FROM pg_stat_user_tables",
    "SELECT l.pid, l.mode, c.relname FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation",
];

#[test]
fn introspection_is_understood() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(SCHEMA), "");
    let texts: Vec<String> = INTROSPECTION.iter().map(|t| (*t).to_owned()).collect();
    all_understood(&server, &texts);
    let out = server.script(&texts.join(";\n"));
    assert!(!out.contains("ERROR"), "the texts are good to begin with: {out}");
}

#[test]
fn sensitive_system_columns_are_masked() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(SCHEMA), "");
    assert_eq!(server.script(&format!("{} ANALYZE;", WORLDS.concat())), "");
    let control = server.script("SELECT * FROM pg_stats");
    assert!(control.contains("CANAR"), "{control}");
    let catalog = server.catalog();
    // Some came with later versions.
    let exists = |(schema, relation, column): &&SystemColumn| {
        catalog.relation(schema, relation).is_some_and(|r| r.column(column).is_some())
    };
    assert!(sensitive_system_columns().iter().filter(exists).count() > 25);
    let mut texts: Vec<String> = sensitive_system_columns()
        .iter()
        .filter(exists)
        .map(|(schema, relation, column)| {
            format!("SELECT *, {column} AS again FROM {schema}.{relation}")
        })
        .collect();
    texts.push("SELECT most_common_vals::text::text[] FROM pg_stats".to_owned());
    texts.push("COPY pg_authid TO STDOUT".to_owned());
    all_understood(&server, &texts);
}

/// Runs the texts in two worlds, with masks and without: only without may they differ.
fn only_unmasked_worlds_differ(masks: &ColumnMasks, texts: &[&str], fill: &str, worlds: [&str; 2]) {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(SCHEMA), "");
    let catalog = server.catalog();
    let rewrites = texts.iter().map(|text| {
        let analysis = analyze(text, &catalog, &Names::default());
        match analysis.rewrite(&catalog, &Names::default(), masks) {
            Ok(Rewrite::Text(text)) => text,
            other => panic!("{text}: {other:?}"),
        }
    });
    let shown = |texts: &str| {
        worlds.map(|world| server.script(&format!("BEGIN;\n{fill}\n{world}\n{texts};\nROLLBACK;")))
    };
    let [one, two] = shown(&rewrites.collect::<Vec<_>>().join(";\n"));
    assert!(!one.contains("ERROR"), "{one}");
    assert_eq!(one, two);
    let [one, two] = shown(&texts.join(";\n"));
    assert_ne!(one, two, "control");
}

/// Which statistics there are, and where their rows lie, follows from the data as much as what they say.
#[test]
fn statistics_do_not_tell_data_apart() {
    let texts = [
        "TABLE pg_stats",
        "TABLE pg_catalog.pg_statistic",
        "COPY pg_catalog.pg_statistic TO STDOUT",
    ];
    let fill = "INSERT INTO plain SELECT g, 'x' FROM generate_series(1, 1000) g; ANALYZE plain;";
    let worlds = [
        "UPDATE plain SET ssn_x = id % 3; ANALYZE plain; ANALYZE orders; ANALYZE customers;",
        "ANALYZE customers; ANALYZE orders; UPDATE plain SET ssn_x = repeat('long', 40) || id; ANALYZE plain;",
    ];
    only_unmasked_worlds_differ(&system_masks(), &texts, fill, worlds);
}

/// What the planner expects follows from how many values there are and how long they are.
#[test]
fn plans_do_not_tell_data_apart() {
    for text in [
        "EXPLAIN SELECT DISTINCT email FROM customers",
        "EXPLAIN (COSTS ON, FORMAT JSON) SELECT a.email FROM customers a JOIN customers b USING (id) ORDER BY a.born",
        "PREPARE p AS SELECT count(*) FROM customers GROUP BY email; EXPLAIN (COSTS) EXECUTE p",
        "EXPLAIN (COSTS, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT email FROM people, customers",
    ] {
        let fill = "DELETE FROM customers; INSERT INTO customers SELECT g, 'n' FROM generate_series(1, 500) g;";
        let worlds = [
            "UPDATE customers SET email = id % 3; ANALYZE customers;",
            "UPDATE customers SET email = repeat('long', 8) || id; ANALYZE customers;",
        ];
        only_unmasked_worlds_differ(&masks(), &[text], fill, worlds);
    }
}

/// The text of a prepared statement is not at hand where its plan is asked for.
#[test]
fn plans_of_prepared_statements_show_no_costs() {
    let rewritten = |masks: &ColumnMasks| {
        let analysis = analyze("EXPLAIN EXECUTE p", &Catalog::default(), &Names::default());
        analysis.rewrite(&Catalog::default(), &Names::default(), masks)
    };
    let without = Rewrite::Text("EXPLAIN (COSTS OFF) EXECUTE p".to_owned());
    assert_eq!(rewritten(&masks()), Ok(without));
    assert_eq!(rewritten(&ColumnMasks::default()), Ok(Rewrite::Unchanged), "control");
}

#[test]
fn pg_dump_is_understood() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.script(SCHEMA), "");
    assert_eq!(server.script(&WORLDS.concat()), "");
    let from = server.log().len();
    let dump = server.program("pg_dump").output().expect("pg_dump runs");
    let dump = String::from_utf8(dump.stdout).expect("UTF-8");
    assert!(dump.contains("CANAR"), "the control shows what is masked: {dump}");
    let texts = server.logged(from);
    assert!(texts.iter().any(|t| t.starts_with("COPY public.customers")), "{texts:?}");
    let (prepared, rest): (Vec<_>, Vec<_>) =
        texts.into_iter().partition(|t| t.starts_with("PREPARE") || t.starts_with("EXECUTE"));
    all_understood(&server, &prepared);
    all_understood(&server, &rest);
}
