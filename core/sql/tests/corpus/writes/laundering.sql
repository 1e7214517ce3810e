-- Writing what may not be read, and reading the copy.

-- case: create table as
BEGIN;
CREATE TABLE stolen AS SELECT * FROM people;
SELECT ssn, email, salary FROM stolen ORDER BY id;
ROLLBACK;

-- case: create table as renamed
BEGIN;
CREATE TABLE stolen (a, b) AS SELECT id, ssn FROM people;
SELECT b FROM stolen ORDER BY a;
ROLLBACK;

-- case: create temp table as
CREATE TEMP TABLE stolen AS TABLE people;
SELECT ssn, email FROM stolen ORDER BY id;

-- case: create temp table as with no data then insert
CREATE TEMP TABLE stolen AS SELECT ssn FROM people WITH NO DATA;
INSERT INTO stolen SELECT ssn FROM people;
SELECT * FROM stolen;

-- case: select into
BEGIN;
SELECT ssn AS s INTO stolen FROM people;
SELECT s FROM stolen;
ROLLBACK;

-- case: select into temp
SELECT id, email AS e INTO TEMP stolen FROM people;
SELECT e FROM stolen ORDER BY id;

-- case: create table like then insert
BEGIN;
CREATE TABLE stolen (LIKE people INCLUDING ALL);
INSERT INTO stolen SELECT * FROM people;
SELECT ssn FROM stolen ORDER BY id;
ROLLBACK;

-- case: insert select into unmasked column
BEGIN;
INSERT INTO scratch (id, body) SELECT id + 1000, ssn FROM people;
SELECT body FROM scratch ORDER BY id;
ROLLBACK;

-- case: insert select returning
BEGIN;
INSERT INTO scratch (id, body, n) SELECT id + 1000, email, salary FROM people RETURNING body, n;
ROLLBACK;

-- case: insert with cte
BEGIN;
WITH x AS (SELECT id + 1000 AS i, ssn FROM people) INSERT INTO scratch (id, body) SELECT * FROM x;
SELECT body FROM scratch ORDER BY id;
ROLLBACK;

-- case: insert values subquery
BEGIN;
INSERT INTO scratch (id, body) VALUES (1001, (SELECT ssn FROM people WHERE id = 1));
SELECT body FROM scratch WHERE id = 1001;
ROLLBACK;

-- case: insert on conflict set from masked
BEGIN;
INSERT INTO scratch (id, body) SELECT id, 'x' FROM people WHERE id = 1 ON CONFLICT (id) DO UPDATE SET body = (SELECT ssn FROM people WHERE id = 2);
SELECT body FROM scratch WHERE id = 1;
ROLLBACK;

-- case: on conflict excluded into unmasked
BEGIN;
INSERT INTO scratch (id, body) SELECT id, ssn FROM people ON CONFLICT (id) DO UPDATE SET body = excluded.body || '!';
SELECT body FROM scratch ORDER BY id;
ROLLBACK;

-- case: update from
BEGIN;
UPDATE orders SET memo = p.ssn FROM people p WHERE p.id = orders.person_id;
SELECT memo FROM orders ORDER BY id;
ROLLBACK;

-- case: update subselect
BEGIN;
UPDATE orders o SET memo = (SELECT email FROM people p WHERE p.id = o.person_id) WHERE id < 50;
SELECT memo FROM orders ORDER BY id;
ROLLBACK;

-- case: update multiple columns
BEGIN;
UPDATE scratch s SET (body, n) = (SELECT ssn, salary FROM people p WHERE p.id = s.id) WHERE id > 0;
SELECT body, n FROM scratch ORDER BY id;
ROLLBACK;

-- case: update same row
BEGIN;
UPDATE people SET label = email WHERE id < 9;
SELECT label FROM people ORDER BY id;
ROLLBACK;

-- case: update same row returning
BEGIN;
UPDATE people SET label = upper(ssn) WHERE id < 9 RETURNING label;
ROLLBACK;

-- case: update grade by salary
BEGIN;
UPDATE people SET grade = salary % 10 WHERE id < 9;
SELECT id, grade FROM people ORDER BY id;
ROLLBACK;

-- case: update returning old
BEGIN;
UPDATE people SET grade = 2 WHERE id < 9 RETURNING ssn, email, people.*;
ROLLBACK;

-- case: update returning expression
BEGIN;
UPDATE people p SET grade = 2 WHERE id < 9 RETURNING reverse(p.ssn), to_jsonb(p);
ROLLBACK;

-- case: delete returning
BEGIN;
DELETE FROM savings WHERE id = 101 RETURNING number, savings;
ROLLBACK;

-- case: delete returning in cte
BEGIN;
WITH d AS (DELETE FROM savings WHERE id < 105 RETURNING *) SELECT d.number FROM d;
ROLLBACK;

-- case: delete returning into insert
BEGIN;
WITH d AS (DELETE FROM badge_uses WHERE id < 5 RETURNING id, code) INSERT INTO scratch (id, body) SELECT id + 1000, code FROM d RETURNING body;
ROLLBACK;

-- case: merge insert
BEGIN;
MERGE INTO scratch s USING people p ON s.id = p.id + 1000 WHEN NOT MATCHED THEN INSERT (id, body) VALUES (p.id + 1000, p.ssn);
SELECT body FROM scratch ORDER BY id;
ROLLBACK;

-- case: merge update
BEGIN;
MERGE INTO scratch s USING people p ON s.id = p.id WHEN MATCHED THEN UPDATE SET body = p.email, n = p.salary;
SELECT body, n FROM scratch ORDER BY id;
ROLLBACK;

-- case: create view
BEGIN;
CREATE VIEW v AS SELECT ssn AS x FROM people;
SELECT x FROM v;
ROLLBACK;

-- case: create temp view
CREATE TEMP VIEW v AS SELECT ssn AS x FROM people;
SELECT x FROM v;

-- case: create view over view
BEGIN;
CREATE VIEW v AS SELECT b AS x FROM people_named;
CREATE VIEW w AS SELECT x AS y FROM v;
SELECT y FROM w;
ROLLBACK;

-- case: create or replace view
-- cleanup: CREATE OR REPLACE VIEW orders_view AS SELECT id, person_id, amount, status FROM orders
CREATE OR REPLACE VIEW orders_view AS SELECT o.id, o.person_id, o.amount, p.ssn AS status FROM orders o JOIN people p ON p.id = o.person_id;
SELECT status FROM orders_view ORDER BY id;

-- case: create materialized view
BEGIN;
CREATE MATERIALIZED VIEW v AS SELECT ssn AS x FROM people;
SELECT x FROM v;
ROLLBACK;

-- case: create view with check function
BEGIN;
CREATE VIEW v WITH (security_invoker) AS SELECT id FROM people WHERE ssn > '5';
SELECT count(*) FROM v;
ROLLBACK;

-- case: add column default
ALTER TABLE scratch ADD COLUMN extra text DEFAULT (ssn_of(1));

-- case: rename column
BEGIN;
ALTER TABLE people RENAME COLUMN ssn TO label2;
SELECT label2 FROM people;
ROLLBACK;

-- case: rename table
BEGIN;
ALTER TABLE people RENAME TO persons;
SELECT ssn FROM persons;
ROLLBACK;

-- case: swap tables by name
BEGIN;
ALTER TABLE app.people RENAME TO teams;
SET LOCAL search_path = app;
SELECT ssn FROM teams;
ROLLBACK;

-- case: set schema
BEGIN;
ALTER TABLE people SET SCHEMA other;
ROLLBACK;

-- case: attach partition
BEGIN;
CREATE TABLE more_events PARTITION OF events FOR VALUES FROM (100) TO (200);
INSERT INTO more_events SELECT 150, 'in', secret FROM events WHERE id = 1;
SELECT secret FROM more_events;
ROLLBACK;

-- case: detach partition
BEGIN;
ALTER TABLE events DETACH PARTITION events_1;
SELECT secret FROM events_1;
ROLLBACK;

-- case: inherit
BEGIN;
CREATE TABLE heir () INHERITS (people);
INSERT INTO heir SELECT * FROM people WHERE id = 1;
SELECT ssn FROM heir;
ROLLBACK;

-- case: parent above
BEGIN;
CREATE TABLE above (id int, ssn text);
ALTER TABLE people INHERIT above;
SELECT ssn FROM above;
ROLLBACK;

-- case: typed table
BEGIN;
CREATE TYPE t AS (s text);
CREATE TABLE typed OF t;
INSERT INTO typed SELECT ssn FROM people;
SELECT s FROM typed;
ROLLBACK;

-- case: composite into jsonb
BEGIN;
UPDATE scratch SET payload = (SELECT to_jsonb(p) FROM people p WHERE p.id = scratch.id) WHERE id > 0;
SELECT payload FROM scratch ORDER BY id;
ROLLBACK;

-- case: sequence
SELECT setval('ticket', salary) FROM people WHERE id = 3;

-- case: comment on
DO $$ BEGIN EXECUTE format('COMMENT ON TABLE scratch IS %L', (SELECT ssn FROM people WHERE id = 1)); END $$;
SELECT obj_description('scratch'::regclass);

-- case: index then pg_stats
BEGIN;
CREATE INDEX i ON people ((ssn || ''));
ANALYZE people;
SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'i';
ROLLBACK;

-- case: analyze a copy then pg_stats
CREATE TEMP TABLE t AS SELECT ssn FROM people;
ANALYZE t;
SELECT histogram_bounds FROM pg_stats WHERE tablename = 't';

-- case: refresh then read
REFRESH MATERIALIZED VIEW people_mat;
SELECT ssn FROM people_mat ORDER BY id;

-- case: logical decoding
SELECT pg_create_logical_replication_slot('probe', 'test_decoding');
SELECT data FROM pg_logical_slot_peek_changes('probe', NULL, NULL);
SELECT pg_drop_replication_slot('probe');

-- case: publication
BEGIN;
CREATE PUBLICATION p FOR TABLE people;
ROLLBACK;

-- case: subscription
CREATE SUBSCRIPTION s CONNECTION 'dbname=corpus' PUBLICATION p WITH (connect = false);

-- case: copy round trip
BEGIN;
CREATE TEMP TABLE t (s text);
COPY t FROM STDIN;
INSERT INTO t SELECT ssn FROM people;
COPY t TO STDOUT;
ROLLBACK;

-- case: grant and read
GRANT SELECT ON people TO PUBLIC;

-- case: security label
SECURITY LABEL ON TABLE people IS 'x';

-- case: truncate restart
BEGIN;
TRUNCATE badge_uses;
ROLLBACK;

-- case: table as with toast
CREATE TEMP TABLE t AS SELECT repeat(note, 500) AS n FROM people;
SELECT left(n, 40) FROM t;

-- case: view with local column privilege
BEGIN;
CREATE VIEW v (public_name) AS SELECT ssn FROM people;
COPY (SELECT public_name FROM v) TO STDOUT;
ROLLBACK;

-- case: insert into view
BEGIN;
INSERT INTO people_named (a, b, c) SELECT 500, b, c FROM people_named WHERE a = 1;
ROLLBACK;

-- case: update view
BEGIN;
UPDATE people_named SET c = b WHERE a = 1;
SELECT c FROM people_named WHERE a = 1;
ROLLBACK;

-- case: update view where secret
BEGIN;
UPDATE people_named SET c = 'x' WHERE b > '5';
ROLLBACK;

-- case: delete view returning
BEGIN;
DELETE FROM people_named WHERE a = 40 RETURNING b;
ROLLBACK;

-- case: update filtered view
BEGIN;
UPDATE people_high SET label = 'x' WHERE id > 0;
ROLLBACK;
