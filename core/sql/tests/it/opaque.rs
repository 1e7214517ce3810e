//! Ordinary statements that must be understood: what drivers, tools and people send all day.

use crate::shop::analysis;

const PLAIN: &[&str] = &[
    "SELECT version()",
    "SELECT current_schema(), current_user, session_user, now(), CURRENT_TIMESTAMP",
    "SHOW TRANSACTION ISOLATION LEVEL",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SET extra_float_digits = 3; SET application_name = 'x'",
    "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
    "SAVEPOINT a; RELEASE a",
    "LISTEN x; NOTIFY x, 'y'; UNLISTEN *",
    "SELECT pg_advisory_lock(1), pg_try_advisory_xact_lock(2), pg_advisory_unlock_all()",
    "SELECT pg_sleep(1), pg_backend_pid(), txid_current(), pg_is_in_recovery()",
    "SELECT current_setting('server_version_num')",
    "SELECT current_setting('server_version_num'::text, true)::int, pg_catalog.current_setting('writ.principal')",
    "SHOW writ.principal; SHOW ALL; RESET ALL",
    "SELECT set_config('bytea_output', 'hex', false) FROM pg_show_all_settings() WHERE name = 'bytea_output'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = app AS 'SELECT 1'",
    "SELECT nextval('orders_id_seq'), lastval()",
    "FETCH 10 FROM c; MOVE c; CLOSE c",
    "DEALLOCATE ALL",
    "SELECT * FROM generate_series(1, 10) g",
    "SELECT g FROM generate_series(1, 10) AS g(n) WHERE n > 2",
    "SELECT * FROM unnest($1::int[], $2::text[]) WITH ORDINALITY AS t(a, b, n)",
    "SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY[1])) AS t(a, b)",
    "SELECT id, sum(total) OVER w AS s FROM orders WINDOW w AS (PARTITION BY note) ORDER BY s",
    "SELECT note AS n, count(*) FROM orders GROUP BY n HAVING count(*) > 1 ORDER BY 2 DESC",
    "SELECT x.a FROM (SELECT id AS a FROM orders) x WHERE x.a = 1",
    "SELECT a FROM (VALUES (1, 2)) v(a, b) JOIN orders o ON o.id = v.b",
    "SELECT id FROM orders UNION SELECT id FROM plain ORDER BY id LIMIT 5 OFFSET 2",
    "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t) SELECT sum(n) FROM t",
    "SELECT * FROM json_to_recordset('[]') AS t(a int, b text)",
    "SELECT j->>'a', j #> '{b}' FROM (SELECT '{}'::jsonb AS j) x",
    "SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS b text PATH 'b') x",
    "SELECT EXTRACT(year FROM now()), TRIM(both 'x' FROM 'xax'), POSITION('a' IN 'b')",
    "SELECT OVERLAY('abc' PLACING 'x' FROM 1), SUBSTRING('abc' FROM 2), CAST('1' AS int)",
    "SELECT now() AT TIME ZONE 'UTC', 'a' LIKE 'b' ESCAPE 'c', 1 BETWEEN 0 AND 2",
    "INSERT INTO orders DEFAULT VALUES RETURNING id",
    "INSERT INTO orders (id, note) SELECT g, 'x' FROM generate_series(1, 10) g",
    "INSERT INTO orders AS o (id) VALUES (1) ON CONFLICT (id) DO UPDATE \
     SET note = excluded.note || o.note WHERE o.total > 0 RETURNING *, (xmax = 0) AS fresh",
    "UPDATE orders o SET (note, total) = (SELECT p.ssn_x, 1 FROM plain p WHERE p.id = o.id) \
     WHERE o.id = 1",
    "DELETE FROM orders USING plain p WHERE p.id = orders.id AND orders.note = $1",
    "MERGE INTO orders o USING plain p ON o.id = p.id WHEN MATCHED AND o.total > 1 THEN \
     UPDATE SET note = p.ssn_x WHEN NOT MATCHED THEN INSERT (id, note) VALUES (p.id, p.ssn_x)",
    "SELECT 'DELETE FROM x; DROP TABLE y' -- TRUNCATE z",
    "SELECT $$ ; DO $$, $a$ ' $a$",
    "CREATE TABLE a (id serial PRIMARY KEY, n int CHECK (n > 0) DEFAULT 1, \
     o int REFERENCES orders (id), UNIQUE (n), CHECK (n < id))",
    "CREATE TABLE a (x int); CREATE INDEX a_x ON a (x); INSERT INTO a VALUES (1); SELECT x FROM a",
    "CREATE TABLE b (LIKE orders INCLUDING ALL)",
    "CREATE TABLE b PARTITION OF events FOR VALUES FROM (1) TO (2)",
    "CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN d AS int CHECK (value > 0)",
    "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT a'",
    "CREATE INDEX CONCURRENTLY i ON orders (lower(note)) WHERE total > 0",
    "ALTER TABLE orders ADD COLUMN c int DEFAULT 0, DROP COLUMN note",
    "COMMENT ON TABLE orders IS 'x'",
    "GRANT SELECT ON orders TO app",
    "VACUUM (ANALYZE) orders",
    "COPY orders (id, note) FROM STDIN WITH (FORMAT csv)",
    "SELECT oid, relname FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)",
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), \
     pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
     WHERE c.oid = 'orders'::regclass AND NOT a.attisdropped ORDER BY a.attnum",
    "SELECT table_name FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog')",
    "SELECT oid::regtype::text, t.typname FROM pg_type t WHERE typarray = ANY ($1::oid[])",
    "SELECT o, o.note, (o).total FROM orders o",
    "SELECT ROW(1, 2) = ROW(1, 2), ARRAY[[1], [2]] && '{1}'",
    "TABLE orders",
    "SELECT note FROM orders FOR UPDATE SKIP LOCKED",
    "SELECT o1.id FROM orders o1 JOIN orders o2 USING (id) AS j WHERE j.id = 1",
    "DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT id FROM orders",
    "SELECT to_tsvector('a') @@ to_tsquery('b'), regexp_replace('a', 'b', 'c', 'g')",
    "CHECKPOINT",
];

#[test]
fn ordinary_statements_are_understood() {
    let opaque: Vec<_> = PLAIN
        .iter()
        .map(|text| (text, analysis(text).facts().opaque.clone()))
        .filter(|(_, opaque)| !opaque.is_empty())
        .collect();
    assert!(opaque.is_empty(), "{opaque:#?}");
}

/// Whoever reads the mask key can undo masks, and whoever sets it or the principal chooses what they show.
const OWN_SETTINGS: &[&str] = &[
    "SHOW writ.mask_key_inner",
    "SHOW \"Writ\".\"MASK_KEY_OUTER\"",
    "SELECT current_setting('writ.mask_key_inner')",
    "SELECT pg_catalog.current_setting(E'WR\\x49T.mask_key_inner', true)",
    "SELECT current_setting(U&'\\0077rit.mask_key_inner')",
    "SELECT current_setting('writ.' || 'mask_key_inner')",
    "SELECT current_setting(note) FROM orders",
    "SELECT current_setting($1)",
    "SELECT current_setting(setting_name => 'writ.mask_key_inner')",
    "SELECT current_setting('[writ.mask_key_inner]'::jsonb ->> 0)",
    "SELECT current_setting(('{writ.mask_key_inner}'::text[])[1])",
    "SELECT current_setting('writ.mask_key_innerx'::varchar(19))",
    "SELECT ('writ.mask_key_inner'::text).current_setting",
    "SELECT (SELECT 'writ.mask_key_inner'::text AS current_setting).current_setting FROM orders",
    "PREPARE p(text) AS SELECT current_setting($1)",
    "EXPLAIN SELECT current_setting('writ.mask_key_inner')",
    "SELECT 1 FROM orders WHERE current_setting('writ.mask_key_inner') LIKE '3%'",
    "INSERT INTO orders (note) VALUES (current_setting('writ.mask_key_inner'))",
    "CREATE VIEW v AS SELECT current_setting('writ.mask_key_inner')",
    "CREATE TABLE t (k text DEFAULT current_setting('writ.mask_key_inner'))",
    "CREATE POLICY p ON orders USING (note = current_setting('writ.mask_key_inner'))",
    "CREATE RULE r AS ON UPDATE TO orders DO INSTEAD SELECT current_setting('writ.mask_key_inner')",
    "CREATE FUNCTION f() RETURNS text RETURN current_setting('writ.mask_key_inner')",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET writ.mask_key_inner FROM CURRENT AS 'SELECT 1'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET writ.mask_key_inner = 'a' AS 'SELECT 1'",
    "ALTER FUNCTION f() SET writ.mask_key_inner FROM CURRENT",
    "ALTER ROLE app SET writ.mask_key_inner = 'a'",
    "ALTER ROLE app SET writ.mask_key_inner FROM CURRENT",
    "ALTER ROLE ALL IN DATABASE shop SET writ.principal = 'a'",
    "ALTER DATABASE shop SET writ.mask_key_inner = 'a'",
    "ALTER SYSTEM SET writ.mask_key_inner = 'a'",
    "SET writ.mask_key_inner = 'a'",
    "SET LOCAL \"WRIT\".mask_key_inner TO DEFAULT",
    "RESET writ.mask_key_inner",
    "SET writ.principal = 'user:ada'",
    "SELECT set_config('writ.mask_key_inner', 'a', false)",
    "SELECT set_config('writ.' || 'principal', 'a', true)",
    "SELECT set_config('search_pathx'::varchar(11), 'app', false)",
    "SELECT set_config('{search_path}'::name[] -> 1, 'app', false)",
];

#[test]
fn the_gateways_own_settings_are_out_of_reach() {
    for text in OWN_SETTINGS {
        let opaque = analysis(text).facts().opaque.clone();
        assert!(!opaque.is_empty(), "{text}");
    }
}
