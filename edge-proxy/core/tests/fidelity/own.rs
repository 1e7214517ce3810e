//! Statements of every shape, for a run that takes seconds: none may differ from what the server sees, none may be
//! opaque.

/// What the statements are about.
pub(crate) const SCHEMA: &str = "
CREATE SCHEMA app;
CREATE TABLE people (id int PRIMARY KEY, name text, mail text UNIQUE, ssn text, born date, boss int);
CREATE TABLE orders (id int PRIMARY KEY, person int REFERENCES people, total numeric, note text, tags text[]);
CREATE TABLE app.orders (LIKE orders INCLUDING ALL);
CREATE TABLE \"Odd Name\" (id int, \"Sec ret\" text, \"select\" int);
CREATE TABLE dropped (a int, b text, c int);
ALTER TABLE dropped DROP COLUMN a;
CREATE TABLE events (id int, at date, token text) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE events_2 PARTITION OF events DEFAULT;
CREATE TABLE animals (name text, age int);
CREATE TABLE dogs (breed text) INHERITS (animals);
CREATE TABLE made (a int, b int GENERATED ALWAYS AS (a * 2) STORED);
CREATE VIEW adults AS SELECT id, name, ssn AS secret FROM people WHERE born < '2005-01-01';
CREATE VIEW adult_names AS SELECT name FROM adults;
CREATE VIEW simple AS SELECT id, note FROM orders;
CREATE VIEW twice AS SELECT note AS what, id AS key FROM simple WHERE id IN (SELECT person FROM orders);
CREATE TABLE excluded (key int PRIMARY KEY, data text);
CREATE VIEW grouped AS SELECT person, sum(total) AS total FROM orders GROUP BY person;
CREATE TYPE pair AS (x int, y text);
CREATE TABLE pairs (id int, p pair, list pair[]);
CREATE TABLE docs (id int, body jsonb);
";

/// Each line is one text.
pub(crate) const STATEMENTS: &str = r#"
SELECT 1
SELECT name FROM people
SELECT * FROM people
SELECT p.* FROM people p
SELECT p FROM people p
SELECT people FROM people
SELECT (p).name FROM people p
SELECT (p.*)::text FROM people p
SELECT row_to_json(p) FROM people p
SELECT count(*) FROM people
SELECT count(p.*) FROM people p
SELECT name AS n FROM people ORDER BY n
SELECT name FROM people ORDER BY ssn
SELECT name FROM people GROUP BY name HAVING max(born) > '2000-01-01'
SELECT upper(name) AS ssn FROM people GROUP BY people.ssn, name
SELECT id AS note FROM orders ORDER BY note
SELECT DISTINCT ON (person) note FROM orders ORDER BY person, total DESC
SELECT sum(total) OVER w FROM orders WINDOW w AS (PARTITION BY person ORDER BY id)
SELECT sum(total) FILTER (WHERE note = 'x') OVER (PARTITION BY person) FROM orders
SELECT person, note, sum(total) FROM orders GROUP BY GROUPING SETS ((person), (note), ())
SELECT string_agg(note, ',' ORDER BY total) FROM orders
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders
SELECT public.people.name FROM public.people
SELECT orders.id, o.id FROM orders, app.orders o
SELECT "Sec ret", "select" FROM "Odd Name"
SELECT U&"\0053ec ret" FROM U&"Odd\0020Name"
SELECT * FROM dropped
SELECT d FROM dropped d
SELECT d.c FROM dropped AS d(x)
SELECT x FROM dropped AS d(x)
SELECT x, y FROM dropped AS d(x, y)
SELECT o.note FROM people p JOIN orders o ON p.id = o.person
SELECT note FROM people JOIN app.orders USING (id)
SELECT id FROM people JOIN orders USING (id)
SELECT j.id FROM people JOIN orders USING (id) AS j
SELECT * FROM people JOIN orders USING (id)
SELECT 1 FROM people NATURAL JOIN orders
SELECT * FROM people NATURAL JOIN orders
SELECT p.name FROM people p LEFT JOIN orders o ON o.person = p.id AND o.total > 5
SELECT x.note FROM (SELECT * FROM orders) x
SELECT x.a FROM (SELECT note AS a, total FROM orders) x WHERE x.total > 1
SELECT name FROM people WHERE id IN (SELECT person FROM orders WHERE note = 'a')
SELECT name FROM people p WHERE EXISTS (SELECT FROM orders o WHERE o.person = p.id AND note = name)
SELECT name FROM people WHERE EXISTS (SELECT 1 FROM (SELECT person AS q FROM orders) o WHERE q = people.id)
SELECT (SELECT max(total) FROM orders WHERE person = people.id) FROM people
SELECT ARRAY(SELECT note FROM orders) FROM people
SELECT p.name, l.note FROM people p, LATERAL (SELECT note FROM orders WHERE person = p.id LIMIT 1) l
SELECT p.name, t FROM people p, unnest(string_to_array(p.mail, '@')) t
SELECT o.id, t FROM orders o CROSS JOIN LATERAL unnest(o.tags) WITH ORDINALITY AS t(tag, n)
SELECT name FROM people UNION ALL SELECT note FROM orders ORDER BY 1
SELECT name FROM people EXCEPT SELECT note FROM orders INTERSECT SELECT ssn FROM people
(SELECT name FROM people ORDER BY born LIMIT 1) UNION (TABLE adult_names)
VALUES (1, 'a'), ((SELECT max(id) FROM people), 'b')
TABLE simple
WITH a AS (SELECT id, name FROM people) SELECT name FROM a
WITH people AS (SELECT 1 AS ssn) SELECT ssn FROM people
WITH a AS (SELECT ssn FROM people), b AS (SELECT * FROM a) SELECT 1 FROM b
WITH a AS MATERIALIZED (SELECT * FROM people) SELECT name FROM a
WITH RECURSIVE t AS (SELECT id, boss FROM people WHERE boss IS NULL UNION ALL SELECT p.id, p.boss FROM people p JOIN t ON p.boss = t.id) SELECT id FROM t
WITH RECURSIVE t(a, b) AS (SELECT id, boss FROM people UNION ALL SELECT p.id, t.a FROM people p, t WHERE p.id = t.b) SEARCH DEPTH FIRST BY a SET o CYCLE a SET c USING w SELECT a FROM t
SELECT name FROM adults
SELECT secret FROM adults WHERE id = 1
SELECT name FROM adult_names
SELECT a FROM adult_names a
SELECT total FROM grouped
SELECT token FROM events
SELECT token FROM events_1
SELECT token FROM ONLY events
SELECT name FROM animals
SELECT name FROM ONLY animals
SELECT breed FROM dogs
SELECT tableoid::regclass, ctid, xmin FROM people
SELECT name FROM people TABLESAMPLE BERNOULLI (50) REPEATABLE (1)
SELECT name FROM people FOR UPDATE
SELECT name FROM people p, orders o WHERE p.id = o.person FOR NO KEY UPDATE OF p SKIP LOCKED
SELECT (p).x, (p).y FROM pairs
SELECT (pairs.p).x FROM pairs
SELECT (list[1]).y FROM pairs
SELECT id, (p).* FROM pairs
SELECT body -> 'a' ->> 'b' FROM docs WHERE body @> '{"a": 1}'
SELECT r.a FROM docs, jsonb_to_record(body) AS r(a int, b text)
SELECT x.* FROM docs d, jsonb_each_text(d.body) x
SELECT xmltable.a FROM people, XMLTABLE('/r' PASSING xmlparse(CONTENT name) COLUMNS a text PATH 'a')
SELECT CASE WHEN born IS NULL THEN name ELSE mail END FROM people
SELECT COALESCE(name, mail), NULLIF(ssn, 'x'), GREATEST(id, boss) FROM people
SELECT ROW(name, id) = ROW('a', 1), (id, boss) IN ((1, 2)) FROM people
SELECT name COLLATE "C", name LIKE 'a%' ESCAPE '\', name SIMILAR TO 'a' FROM people
SELECT tags[1], tags[1:2], note = ANY (tags) FROM orders
SELECT current_user, now(), (SELECT count(*) FROM pg_class WHERE relname = 'people')
SELECT relname, nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
SELECT tablename FROM pg_tables
SELECT column_name FROM information_schema.columns WHERE table_name = 'people'
SELECT a.name, (SELECT b.name FROM people b WHERE b.id = a.boss) FROM people a
SELECT 1 FROM people p, orders o WHERE (p.id, p.name) = (o.id, o.note)
SELECT name FROM people ORDER BY born USING <
SELECT name FROM people LIMIT (SELECT count(*) FROM orders) OFFSET 1
SELECT DISTINCT p.name FROM people p GROUP BY p.id
SELECT name, ssn FROM people GROUP BY id
SELECT id, id AS name FROM people ORDER BY name
SELECT id AS x FROM people GROUP BY x ORDER BY -id
SELECT name FROM (SELECT id AS boss FROM orders) o, people WHERE people.boss = o.boss
SELECT (SELECT name FROM (SELECT 1 AS one) x) FROM people
SELECT (SELECT note FROM (SELECT note FROM orders LIMIT 1) x) FROM app.orders
SELECT name FROM people WHERE (SELECT bool_or(person = id) FROM (SELECT person FROM orders) o)
INSERT INTO people VALUES (1, 'a', 'b', 'c', '2000-01-01', NULL), (2, 'b', 'c', 'd', NULL, 1)
INSERT INTO people (id, name) VALUES (3, 'x') RETURNING id, name
INSERT INTO people (id) SELECT id + 100 FROM orders
INSERT INTO orders SELECT id, id, 1, name FROM people
INSERT INTO orders (id, tags[1]) VALUES (50, 'x')
INSERT INTO pairs (id, p.x) VALUES (1, 2)
INSERT INTO made DEFAULT VALUES
INSERT INTO made (a) VALUES (1) RETURNING b
INSERT INTO made VALUES (1, DEFAULT)
INSERT INTO people AS p (id, name) VALUES (3, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name || p.mail WHERE p.ssn IS NOT NULL RETURNING p.born
INSERT INTO people (id, mail) VALUES (4, 'q') ON CONFLICT DO NOTHING
INSERT INTO simple (id, note) VALUES (70, 'x')
INSERT INTO events VALUES (1, '2020-02-02', 't') RETURNING *
WITH n AS (SELECT 80 AS id) INSERT INTO orders (id) SELECT id FROM n RETURNING (SELECT count(*) FROM people)
UPDATE people SET name = 'z' WHERE id = 1
UPDATE people SET name = mail
UPDATE people p SET (name, mail) = (p.mail, 'm' || p.id) WHERE born < now()
UPDATE people SET (name, ssn) = (SELECT note, 'x' FROM orders WHERE person = people.id)
UPDATE people SET name = o.note FROM orders o WHERE o.person = people.id RETURNING people.id, o.total
UPDATE orders SET tags[2] = note WHERE id = 1
UPDATE pairs SET p.y = 'q', list[1].x = 3
UPDATE simple SET note = 'w' WHERE id = 70
UPDATE adults SET name = 'v' WHERE secret = 'x' RETURNING secret
UPDATE made SET a = a + 1
UPDATE events SET token = 'u' WHERE id = 1
UPDATE ONLY animals SET age = 1
WITH u AS (UPDATE orders SET note = 'r' WHERE id = 1 RETURNING person) SELECT name FROM people JOIN u ON u.person = id
DELETE FROM orders WHERE id = 999
DELETE FROM orders USING people p WHERE p.id = orders.person AND p.name = 'none'
DELETE FROM app.orders
DELETE FROM simple WHERE note = 'w'
DELETE FROM events WHERE token = 'none' RETURNING id
WITH d AS (DELETE FROM docs RETURNING body) INSERT INTO docs SELECT 1, body FROM d
MERGE INTO orders o USING people p ON o.person = p.id WHEN MATCHED AND o.total > 5 THEN UPDATE SET note = p.name WHEN NOT MATCHED THEN INSERT (id, person) VALUES (p.id + 1000, p.id)
MERGE INTO app.orders o USING (SELECT id, note FROM orders) s ON s.id = o.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN DO NOTHING
EXPLAIN SELECT name FROM people
EXPLAIN UPDATE people SET name = 'x' WHERE ssn = 'y'
EXPLAIN (ANALYZE, COSTS off) SELECT note FROM orders WHERE id = 1
EXPLAIN CREATE TABLE never AS SELECT name FROM people
CREATE TABLE copies AS SELECT id, name FROM people
SELECT note INTO notes FROM orders
CREATE TABLE more AS TABLE people WITH NO DATA
CREATE TEMP TABLE mine AS SELECT mail FROM people
SELECT * FROM mine
CREATE VIEW v1 AS SELECT ssn FROM people
CREATE VIEW v2 AS SELECT a.name, t.token FROM adults a, events t
CREATE MATERIALIZED VIEW m1 AS SELECT born FROM people
REFRESH MATERIALIZED VIEW m1
CREATE RULE r AS ON INSERT TO copies DO ALSO INSERT INTO notes SELECT name FROM people WHERE id = new.id
EXPLAIN UPDATE adults SET name = 'x' WHERE secret = 'y'
EXPLAIN DELETE FROM simple
UPDATE twice SET what = 'q' WHERE key = 1
DELETE FROM twice WHERE what = 'none'
INSERT INTO excluded VALUES (1, 'a') ON CONFLICT (key) DO UPDATE SET data = 'b' RETURNING excluded.data
CREATE RULE gone AS ON DELETE TO adults DO INSTEAD DELETE FROM orders WHERE person = old.id RETURNING 1, old.name, old.secret
CREATE FUNCTION add(a int) RETURNS int RETURN a + 1
CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT name FROM public.people
ALTER INDEX orders_pkey RENAME TO orders_key
ALTER SCHEMA s RENAME TO s2
CREATE TABLE app.people (LIKE people)
CREATE FUNCTION f() RETURNS text STABLE BEGIN ATOMIC SELECT ssn FROM people LIMIT 1; END
PREPARE q AS SELECT name FROM people WHERE id = $1
EXECUTE q(1)
PREPARE w AS UPDATE people SET born = $1 WHERE id = $2
EXECUTE w(now(), 1)
DEALLOCATE ALL
BEGIN
DECLARE c CURSOR FOR SELECT note FROM orders
FETCH 1 FROM c
CLOSE c
SAVEPOINT s
LOCK TABLE app.orders IN ACCESS SHARE MODE
ROLLBACK TO s
COMMIT
COPY (SELECT name FROM people) TO STDOUT
COPY (DELETE FROM docs RETURNING id) TO STDOUT
COPY people (id, name) TO STDOUT
TRUNCATE docs
ANALYZE people
CREATE INDEX ON people (lower(name)) WHERE born IS NOT NULL
COMMENT ON TABLE people IS 'x'
GRANT SELECT ON people TO public
ALTER TABLE people ADD COLUMN extra int
SELECT extra FROM people
DROP TABLE more
"#;
