//! Texts that define something and then use it, as migrations do.

use writ_sql::Names;

use crate::shop::{analysis, outcome};

/// Each must be understood: nothing in it is opaque, and the shop's masks do not stop it.
const UNDERSTOOD: &[&str] = &[
    "CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'x'); \
     CREATE INDEX t_b ON t (b); SELECT a, b FROM t",
    "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (a int, m mood); INSERT INTO t VALUES (1, 'a'); \
     ALTER TYPE mood ADD VALUE 'b'; SELECT m FROM t",
    "CREATE SCHEMA app2; CREATE TABLE app2.t (a int); INSERT INTO app2.t VALUES (1); SELECT * FROM orders",
    "CREATE TABLE t (a int, o int); ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (o) REFERENCES orders (id); \
     ALTER TABLE t ADD COLUMN c text; UPDATE t SET c = 'x' WHERE a = 1; SELECT c FROM t",
    "ALTER TABLE orders ADD COLUMN c text, ADD d int DEFAULT 0; UPDATE orders SET c = note WHERE id > 0; \
     CREATE INDEX ON orders (c); ALTER TABLE orders ALTER COLUMN c SET NOT NULL; SELECT c, d FROM orders",
    "ALTER TABLE orders DROP COLUMN note; SELECT * FROM orders",
    "ALTER TABLE orders RENAME COLUMN note TO remark; SELECT remark FROM orders; UPDATE orders SET remark = '' WHERE id = 1",
    "ALTER TABLE orders RENAME TO sales; SELECT note FROM sales; CREATE INDEX ON sales (note)",
    "ALTER TABLE customers ADD COLUMN tier text; UPDATE customers SET tier = name WHERE id = 1; \
     SELECT id, tier FROM customers",
    "ALTER TABLE customers ALTER COLUMN name TYPE varchar(80); SELECT name FROM customers",
    "ALTER TABLE customers RENAME COLUMN name TO full_name; SELECT full_name FROM customers",
    "ALTER TABLE customers ALTER COLUMN email TYPE varchar(254) USING \"email\"::varchar(254)",
    "ALTER TABLE customers ALTER email TYPE text, ALTER COLUMN ssn TYPE varchar(5), ALTER ssn TYPE varchar USING ssn::varchar",
    "ALTER TABLE customers ADD CONSTRAINT u UNIQUE (name); ALTER TABLE customers ADD CHECK (name <> '')",
    "ALTER INDEX orders_pkey RENAME TO orders_pk; SELECT id FROM orders",
    "ALTER INDEX orders_pkey SET (fillfactor = 70)",
    "ALTER TABLE watched ADD COLUMN c text",
    "DROP TABLE IF EXISTS gone; CREATE TABLE gone (a int); INSERT INTO gone VALUES (1)",
    "DROP TABLE plain; DROP TABLE orders",
    "DROP TABLE orders; CREATE TABLE orders (x int); INSERT INTO orders VALUES (1); SELECT x FROM orders",
    "CREATE VIEW v AS SELECT id, note FROM orders; SELECT * FROM v; COMMENT ON VIEW v IS 'x'",
    "CREATE TEMP TABLE x AS SELECT id FROM orders; SELECT id FROM x; SELECT note FROM orders",
    "CREATE TABLE IF NOT EXISTS orders (id int); INSERT INTO orders (id) VALUES (1); SELECT note FROM orders",
    "CREATE TABLE IF NOT EXISTS t (a int); CREATE INDEX IF NOT EXISTS i ON t (a); \
     INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; CREATE TABLE t (a int); \
     CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); SELECT a FROM t",
    "CREATE TABLE t (a int, b text) PARTITION BY LIST (a); CREATE TABLE t1 (a int, b text); \
     ALTER TABLE ONLY t ATTACH PARTITION t1 FOR VALUES IN (1); INSERT INTO t VALUES (1, 'x')",
    "CREATE TABLE audit.orders (a int); SELECT note FROM orders",
    "CREATE TABLE x (a int); ALTER TABLE x RENAME TO y; INSERT INTO y VALUES (1); SELECT a FROM y",
    "BEGIN; INSERT INTO orders (id) VALUES (1); COMMIT; SELECT id FROM orders",
    "DO $$ BEGIN CREATE TYPE mood AS ENUM ('a;b'); EXCEPTION WHEN duplicate_object THEN null; END $$; SELECT id FROM orders",
    "DO 'BEGIN CREATE TYPE x.mood AS ENUM (''a''); EXCEPTION WHEN duplicate_object OR others THEN END;' LANGUAGE plpgsql",
    "DO $$ begin -- one\n ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES plain (id); end $$",
    "CREATE DOMAIN d AS text CHECK (value <> ''); CREATE TABLE t (a d); INSERT INTO t VALUES ('x')",
    "CREATE POLICY p ON orders USING (total > 0); ALTER TABLE orders ENABLE ROW LEVEL SECURITY; SELECT id FROM orders",
    "CREATE TYPE s.span AS RANGE (subtype = integer, multirange_type_name = s.spans); CREATE TABLE t (a int); \
     INSERT INTO t VALUES (1); SELECT o.note FROM orders o",
    "CREATE UNLOGGED TABLE t AS SELECT id FROM customers; ALTER TABLE t SET LOGGED; SELECT id FROM t",
    "CREATE SEQUENCE s; CREATE TABLE t (a int DEFAULT nextval('s')); ALTER SEQUENCE s OWNED BY t.a; INSERT INTO t DEFAULT VALUES",
];

/// Each must not pass: a name may mean something that was not looked at.
const REFUSED: &[&str] = &[
    // A new relation that may hide one that is known.
    "CREATE TABLE app.orders (id int); SET search_path = app; SELECT note FROM orders",
    "CREATE TEMP TABLE orders (id int); SELECT note FROM orders",
    "CREATE SCHEMA dana; CREATE TABLE customers (ssn text); SELECT ssn FROM customers",
    "CREATE TABLE customers (ssn text); SELECT ssn FROM customers",
    // What was dropped can uncover another.
    "DROP VIEW ids CASCADE; SELECT id FROM people",
    "DROP SCHEMA app CASCADE; SELECT id FROM orders",
    "DROP TYPE mood CASCADE; SELECT id FROM orders",
    "ALTER TABLE orders DROP COLUMN id CASCADE; SELECT id FROM ids",
    // A name of other rows.
    "ALTER TABLE customers RENAME TO clients; SELECT ssn FROM clients",
    "ALTER TABLE customers RENAME COLUMN ssn TO s; SELECT s FROM customers",
    "ALTER TABLE customers RENAME COLUMN name TO tmp; ALTER TABLE customers RENAME COLUMN ssn TO name; \
     SELECT name FROM customers",
    "ALTER TABLE customers SET SCHEMA app; SELECT ssn FROM app.customers",
    "ALTER TABLE customers ALTER COLUMN ssn TYPE int USING ssn::int",
    // What is called `text` may be something else by now.
    "CREATE TEMP TABLE text (a int); ALTER TABLE public.customers ALTER COLUMN email TYPE text USING email::text",
    "SET search_path = evil, pg_catalog; ALTER TABLE public.customers ALTER COLUMN email TYPE text USING email::text",
    "CREATE TEMP TABLE c () INHERITS (orders)",
    // Which fails, or shows another value, depends on what is there.
    "ALTER TABLE customers ALTER COLUMN email TYPE varchar(39)",
    "ALTER TABLE customers ALTER COLUMN email TYPE varchar(254) USING email::varchar(39)",
    "ALTER TABLE customers ALTER COLUMN email TYPE varchar(254) USING ssn::varchar(254)",
    "ALTER TABLE customers ALTER COLUMN email TYPE varchar(254) USING lower(email)::varchar(254)",
    "ALTER TABLE customers ALTER COLUMN email TYPE varchar(254) USING email::int::varchar(254)",
    "ALTER TABLE customers ALTER COLUMN email TYPE varchar(254) COLLATE \"C\"",
    "ALTER TABLE customers ALTER COLUMN email TYPE char(254)",
    "ALTER TABLE customers ALTER COLUMN email TYPE other.text",
    "ALTER TABLE customers ADD CONSTRAINT u UNIQUE (ssn)",
    "ALTER TABLE customers ADD EXCLUDE USING gist (ssn WITH =)",
    "ALTER TABLE customers ADD CHECK (ssn > '5')",
    "ALTER TABLE customers ADD COLUMN g text GENERATED ALWAYS AS (ssn) STORED; SELECT g FROM customers",
    "ALTER TABLE customers ADD COLUMN c text; UPDATE customers SET c = ssn WHERE id = 1; SELECT c FROM customers",
    "ALTER TABLE customers ADD COLUMN c text; SELECT c FROM customers; SELECT c, s FROM customers",
    "ALTER TABLE customers ADD COLUMN note text; SELECT ssn FROM customers; SELECT unknown FROM customers",
    "ALTER TABLE events DETACH PARTITION events_old; SELECT token FROM events_old",
    "CREATE TABLE t (LIKE events); ALTER TABLE events_old INHERIT t; SELECT token FROM t",
    "CREATE TABLE t (id int, token text, at timestamp) PARTITION BY LIST (id); \
     ALTER TABLE t ATTACH PARTITION events_old DEFAULT; SELECT token FROM t",
    "CREATE VIEW v AS SELECT ssn FROM customers; SELECT ssn FROM v",
    "CREATE MATERIALIZED VIEW v AS SELECT ssn FROM customers; SELECT ssn FROM v",
    // Writes that do something else.
    "CREATE VIEW v AS SELECT id, note FROM orders; DELETE FROM v",
    "CREATE VIEW v AS SELECT id, note FROM orders; INSERT INTO v VALUES (1, 'x')",
    "CREATE TRIGGER g BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f(); INSERT INTO orders (id) VALUES (1)",
    "CREATE TABLE t (a int); CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); INSERT INTO t VALUES (1)",
    "CREATE TABLE t (a int); CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); COPY t FROM STDIN",
    "CREATE RULE r AS ON INSERT TO orders DO ALSO DELETE FROM plain; INSERT INTO orders (id) VALUES (1)",
    // Rows that are there already.
    "CREATE FOREIGN TABLE f (ssn text) SERVER s; SELECT ssn FROM f",
    "CREATE FOREIGN TABLE f (ssn text) SERVER s; COPY f TO STDOUT",
    "CREATE TABLE IF NOT EXISTS t (ssn text); SELECT ssn FROM t",
    "CREATE TABLE IF NOT EXISTS t (ssn text); UPDATE t SET ssn = ssn WHERE true RETURNING ssn",
    "CREATE TABLE t (a int); SELECT * FROM other.t",
    "CREATE TABLE t (a int); SELECT * FROM pg_toast.t",
    // Code of the text's own.
    "CREATE FUNCTION lower(text) RETURNS text LANGUAGE sql AS 'SELECT 1'; SELECT lower(note) FROM orders",
    "CREATE FUNCTION f(orders) RETURNS text LANGUAGE sql AS 'SELECT 1'; SELECT o.f FROM orders o",
    "ALTER FUNCTION g() RENAME TO upper; SELECT upper(note) FROM orders",
    "CREATE TYPE lower AS RANGE (subtype = integer); SELECT lower(note) FROM orders",
    "CREATE TYPE x AS RANGE (subtype = integer, multirange_type_name = lower); SELECT lower(note) FROM orders",
    "CREATE TYPE x AS RANGE (subtype = integer, canonical = f); SELECT note FROM orders",
    "CREATE OPERATOR + (FUNCTION = f, LEFTARG = text, RIGHTARG = text); SELECT note FROM orders",
    // Past the end of a transaction.
    "CREATE TABLE t (a int); COMMIT; SELECT a FROM public.t",
    "ALTER TABLE orders RENAME TO sales; ROLLBACK; SELECT note FROM public.sales",
    "BEGIN; DROP TABLE orders; ROLLBACK; SELECT note FROM public.orders",
    "BEGIN; SET LOCAL search_path = app; COMMIT; SELECT id FROM orders",
    // Blocks of code.
    "DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); PERFORM f(); END $$",
    "DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN others THEN PERFORM f(); END $$",
    "DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN others THEN null; null; END $$",
    "DO $$ BEGIN CREATE TABLE t AS SELECT ssn FROM customers; END $$",
    "DO $$ DECLARE x int; BEGIN CREATE TYPE mood AS ENUM ('a'); END $$",
    "DO $$ BEGIN EXECUTE 'x'; END $$",
    "DO $$ BEGIN ALTER TABLE customers ADD CONSTRAINT u UNIQUE (ssn); END $$",
    "DO $$ BEGIN ALTER TABLE orders ADD CONSTRAINT c CHECK (peek(note) = ''); END $$",
    "DO $$ BEGIN ALTER TABLE orders DROP COLUMN note; END $$",
    "DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); END $$ LANGUAGE plpython3u",
    "DO LANGUAGE sql $$ CREATE TYPE mood AS ENUM ('a') $$",
    "DO $$ <<a>> BEGIN CREATE TYPE mood AS ENUM ('a'); END $$",
    "DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); END; BEGIN DELETE FROM orders; END $$",
    "DO $$ BEGIN END $$",
    "DO $$ $$",
    // A plan is made again with the names of now.
    "DROP TABLE orders; EXECUTE p",
    "SET search_path = app; EXECUTE p",
    "CREATE TEMP TABLE orders (id int); EXECUTE p",
    "SET search_path = app; DROP TABLE orders",
];

#[test]
fn scripts_are_understood() {
    let mut wrong = Vec::new();
    for text in UNDERSTOOD {
        let opaque = analysis(text).facts().opaque.clone();
        let outcome = outcome(text, &Names::default());
        if !opaque.is_empty() || outcome.starts_with("refused") {
            wrong.push(format!("{text}: {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_that_may_mean_something_else_are_refused() {
    let mut wrong = Vec::new();
    for text in REFUSED {
        let outcome = outcome(text, &Names::default());
        if !(outcome.starts_with("refused") || outcome.starts_with("opaque")) {
            wrong.push(format!("{text}: {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_masked_stays_masked_after_a_change_of_its_table() {
    let text = "ALTER TABLE customers ADD COLUMN tier text; SELECT ssn, tier FROM customers";
    let outcome = outcome(text, &Names::default());
    assert!(outcome.contains("CASE WHEN ssn IS NULL"), "{outcome}");
    assert!(outcome.contains("balance, tier FROM public.customers"), "{outcome}");
}

#[test]
fn a_dropped_temporary_table_uncovers_what_is_masked() {
    let names = Names { temp_relations: vec!["customers".to_owned()], ..Names::default() };
    assert_eq!(outcome("SELECT ssn FROM customers", &names), "unchanged", "the control");
    let outcome = outcome("DROP TABLE customers; SELECT ssn FROM customers", &names);
    assert!(outcome.contains("CASE WHEN ssn IS NULL"), "{outcome}");
}

/// A session that made something temporary before: its path has the server's own name for the schema.
fn with_temporary() -> Names {
    let path = ["pg_temp_3", "pg_catalog", "public"];
    Names {
        search_path: path.map(str::to_owned).to_vec(),
        temp_relations: vec!["earlier".to_owned()],
        ..Names::default()
    }
}

#[test]
fn a_session_with_temporary_tables_makes_another_and_uses_it_in_one_text() {
    for text in [
        "CREATE TEMP TABLE x AS SELECT id FROM orders; SELECT id FROM x; SELECT note FROM orders",
        "BEGIN; CREATE TEMP TABLE x (a int); INSERT INTO x SELECT id FROM earlier; SELECT a FROM pg_temp.x; COMMIT",
        "CREATE TEMP TABLE x (a int); ALTER TABLE x RENAME TO y; INSERT INTO y VALUES (1); SELECT a FROM y",
        "DROP TABLE earlier; CREATE TEMP TABLE earlier (a int); SELECT a FROM earlier",
        "CREATE TEMP TABLE IF NOT EXISTS x (a int); INSERT INTO x VALUES (1); SELECT a FROM x",
        "CREATE TEMP TABLE IF NOT EXISTS earlier (a int); INSERT INTO earlier VALUES (1); SELECT a FROM earlier",
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1); SELECT a FROM t",
        "CREATE TEMP TABLE x AS SELECT ssn FROM customers; DROP TABLE x; SELECT note FROM orders",
    ] {
        let outcome = outcome(text, &with_temporary());
        assert!(
            !outcome.starts_with("refused") && !outcome.starts_with("opaque"),
            "{text}: {outcome}"
        );
    }
}

#[test]
fn what_a_new_temporary_relation_may_hide_is_refused() {
    for text in [
        "CREATE TEMP TABLE orders (id int); SELECT note FROM orders",
        "CREATE TEMP TABLE customers (ssn text); SELECT ssn FROM customers",
        "CREATE TEMP TABLE x (ssn text); ALTER TABLE x RENAME TO customers; INSERT INTO customers VALUES ('1')",
        "CREATE TEMP TABLE IF NOT EXISTS orders (id int); DELETE FROM orders",
        // Not its own temporary schema, or not surely.
        "CREATE TEMP TABLE x (a int); SELECT a FROM public.x",
        "CREATE TEMP TABLE x (a int); SELECT a FROM pg_temp_4.y",
        "SET search_path = app; CREATE TEMP TABLE IF NOT EXISTS x (a int); SELECT a FROM x",
        "DISCARD TEMP; CREATE TEMP TABLE IF NOT EXISTS x (a int); SELECT a FROM x",
        "CREATE TEMP TABLE x (a int); COMMIT; SELECT a FROM x",
        "CREATE TABLE IF NOT EXISTS x (ssn text); SELECT ssn FROM x",
        // What runs behind it, and what it shows.
        "CREATE TEMP VIEW x AS SELECT ssn FROM customers; SELECT ssn FROM x",
        "CREATE TEMP VIEW x AS SELECT id, note FROM orders; DELETE FROM x",
        "CREATE TEMP TABLE x (a int); CREATE TRIGGER g BEFORE INSERT ON x FOR EACH ROW EXECUTE FUNCTION f(); INSERT INTO x VALUES (1)",
        "CREATE TEMP TABLE x (a int); ALTER TABLE events_old INHERIT x; SELECT a FROM x",
    ] {
        let outcome = outcome(text, &with_temporary());
        assert!(
            outcome.starts_with("refused") || outcome.starts_with("opaque"),
            "{text}: {outcome}"
        );
    }
}

#[test]
fn what_is_copied_into_a_temporary_table_is_masked_on_the_way() {
    let text = "CREATE TEMP TABLE x AS SELECT ssn FROM customers; SELECT ssn FROM x";
    let outcome = outcome(text, &with_temporary());
    assert!(outcome.contains("CASE WHEN ssn IS NULL"), "{outcome}");
}

#[test]
fn many_changes_are_bounded() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for n in 0..5_000 {
        let _ = write!(text, "ALTER TABLE orders ADD COLUMN c{n} int; ");
    }
    assert!(!analysis(&text).facts().opaque.is_empty());
}
