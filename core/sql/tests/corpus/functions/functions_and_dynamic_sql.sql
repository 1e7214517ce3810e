-- Code that reads for one: functions, procedures, operators, casts, triggers, and text run as SQL.

-- case: function
SELECT ssn_of(3);

-- case: function in where
SELECT id FROM teams WHERE ssn_of(id) > '5' ORDER BY id;

-- case: function in from
SELECT * FROM ssn_of(3);

-- case: function definer
SELECT ssn_of_definer(3);

-- case: function set of rows
SELECT * FROM all_people() ORDER BY id;

-- case: function set of rows in select list
SELECT (all_people()).ssn;

-- case: function table
SELECT s FROM people_table() ORDER BY i;

-- case: function rows from
SELECT * FROM ROWS FROM (people_table(), generate_series(1, 3)) AS r (a, b, c);

-- case: function lateral
SELECT f.* FROM teams t, LATERAL ssn_of(t.id) f ORDER BY 1;

-- case: function in order by
SELECT id FROM teams ORDER BY ssn_of(id);

-- case: function in limit
SELECT id FROM orders ORDER BY id LIMIT length(ssn_of(1));

-- case: function in default
-- cleanup: DELETE FROM with_default
INSERT INTO with_default (id) VALUES (1) RETURNING body;

-- case: function in default read later
-- cleanup: DELETE FROM with_default
INSERT INTO with_default (id) VALUES (2);
SELECT body FROM with_default;

-- case: default keyword
-- cleanup: DELETE FROM with_default
INSERT INTO with_default (id, body) VALUES (3, DEFAULT), (4, 'x') RETURNING body;

-- case: default values by update
-- cleanup: DELETE FROM with_default
INSERT INTO with_default (id, body) VALUES (5, 'x');
UPDATE with_default SET body = DEFAULT WHERE id = 5 RETURNING body;

-- case: copy fills default
-- copy: 7\n
-- mode: simple
-- cleanup: DELETE FROM with_default
COPY with_default (id) FROM STDIN;
SELECT body FROM with_default;

-- case: function qualified
SELECT public.ssn_of(3);

-- case: function quoted
SELECT "public"."ssn_of"(3);

-- case: function named argument
SELECT dynamic($1 => 'SELECT ssn FROM people WHERE id = 1');

-- case: dynamic sql
SELECT dynamic('SELECT ssn FROM people WHERE id = 1');

-- case: dynamic sql concatenated
SELECT dynamic('SELECT s' || 'sn FROM peo' || 'ple WHERE id = 1');

-- case: aggregate
SELECT glue(id ORDER BY id) FROM teams;

-- case: aggregate as window
SELECT glue(id) OVER (ORDER BY id) FROM teams;

-- case: operator
SELECT 'x'::text ~~~~ '7%';

-- case: operator qualified
SELECT 'x'::text OPERATOR(public.~~~~) '7%';

-- case: operator any
SELECT 'x'::text ~~~~ ANY (ARRAY['1%', '2%', '3%']);

-- case: cast calls function
SELECT CAST(ROW(3)::handle AS text);

-- case: cast by colons
SELECT (ROW(4)::handle)::text;

-- case: cast by assignment
BEGIN;
INSERT INTO scratch (id, body) VALUES (1001, ROW(4)::handle) RETURNING body;
ROLLBACK;

-- case: cast function style
SELECT text(ROW(3)::handle);

-- case: domain check function
SELECT CAST('x' AS checked_text);

-- case: domain check by column
BEGIN;
CREATE TEMP TABLE t (x checked_text);
INSERT INTO t VALUES ('x');
ROLLBACK;

-- case: method notation
SELECT (p).initials FROM people p ORDER BY id;

-- case: do block
DO $$ BEGIN PERFORM set_config('my.v', (SELECT ssn FROM people WHERE id = 1), false); END $$;
SHOW my.v;

-- case: do execute
DO 'BEGIN EXECUTE ''CREATE TEMP TABLE o AS SELECT ssn FROM people''; END';
TABLE o;

-- case: do language sql
DO LANGUAGE plpgsql $$ BEGIN RAISE INFO '%', (SELECT count(*) FROM people WHERE ssn > '5'); END $$;

-- case: call
CALL tell(3);

-- case: call with expression
CALL tell((SELECT salary % 40 + 1 FROM people WHERE id = 1));

-- case: create function then call
BEGIN;
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1';
SELECT f();
ROLLBACK;

-- case: create function begin atomic
BEGIN;
CREATE FUNCTION f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT ssn FROM people WHERE id = 1; END;
SELECT f();
ROLLBACK;

-- case: create function in one message
-- send: whole
-- mode: simple
CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'; SELECT pg_temp.f();

-- case: create or replace of a harmless function
-- cleanup: CREATE OR REPLACE FUNCTION plus_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'
CREATE OR REPLACE FUNCTION plus_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT salary FROM people WHERE id = $1';
SELECT plus_one(3);

-- case: temp function
CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1';
SELECT pg_temp.f();

-- case: temp operator
BEGIN;
CREATE FUNCTION pg_temp.f(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT salary > $2 FROM people WHERE id = $1';
CREATE OPERATOR pg_temp.=> (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_temp.f);
SELECT 3 OPERATOR(pg_temp.=>) 5;
ROLLBACK;

-- case: create cast
BEGIN;
CREATE CAST (int AS tier) WITH INOUT;
SELECT salary::tier FROM people WHERE id = 1;
ROLLBACK;

-- case: create aggregate
BEGIN;
CREATE AGGREGATE pick (text) (SFUNC = textcat, STYPE = text);
SELECT pick(ssn ORDER BY id) FROM people;
ROLLBACK;

-- case: create trigger
BEGIN;
CREATE TRIGGER t BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
UPDATE people SET ssn = '111-11-1111' WHERE id = 1;
ROLLBACK;

-- case: create rule
BEGIN;
CREATE RULE r AS ON UPDATE TO scratch DO ALSO INSERT INTO ruled SELECT id, ssn FROM people;
UPDATE scratch SET n = 1 WHERE id = 1;
SELECT * FROM ruled;
ROLLBACK;

-- case: create policy
BEGIN;
CREATE POLICY p ON secured USING ((SELECT ssn FROM people WHERE id = 1) > '5');
SELECT count(*) FROM secured;
ROLLBACK;

-- case: create event trigger
CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION bell_says();

-- case: rule on insert
BEGIN;
INSERT INTO ruled VALUES (1, 'x');
ROLLBACK;

-- case: policy reads masked table
SELECT id FROM secured ORDER BY id;

-- case: trigger fills from a secret
-- cleanup: DELETE FROM inbox WHERE id > 10
INSERT INTO inbox (id, subject) VALUES (11, 'x') RETURNING hint;

-- case: trigger fills and is read later
-- cleanup: DELETE FROM inbox WHERE id > 10
INSERT INTO inbox (id, subject) VALUES (12, 'x');
SELECT hint FROM inbox WHERE id = 12;

-- case: trigger on copy
-- copy: 13\tx\n
-- mode: simple
-- cleanup: DELETE FROM inbox WHERE id > 10
COPY inbox (id, subject) FROM STDIN;
SELECT hint FROM inbox WHERE id = 13;

-- case: trigger on merge
-- cleanup: DELETE FROM inbox WHERE id > 10
MERGE INTO inbox i USING (VALUES (14)) v (id) ON i.id = v.id WHEN NOT MATCHED THEN INSERT (id, subject) VALUES (v.id, 'x');
SELECT hint FROM inbox WHERE id = 14;

-- case: trigger on derived table
BEGIN;
UPDATE derived SET copied = 'ok' WHERE id = 3 RETURNING copied;
ROLLBACK;

-- case: trigger on derived table then read
BEGIN;
UPDATE derived SET copied = 'ok' WHERE id = 4;
SELECT copied FROM derived WHERE id = 4;
ROLLBACK;

-- case: query to xml
SELECT query_to_xml('SELECT ssn FROM people', true, false, '');

-- case: query to xml and schema
SELECT query_to_xml_and_xmlschema('SELECT ssn FROM people WHERE id = 1', true, false, '');

-- case: table to xml
SELECT table_to_xml('people', true, false, '');

-- case: table to xml by oid
SELECT table_to_xml(oid, true, false, '') FROM pg_class WHERE relname = 'people';

-- case: schema to xml
SELECT schema_to_xml('app', true, false, '');

-- case: database to xml
SELECT length(database_to_xml(true, false, '')::text);

-- case: query to xml qualified
SELECT pg_catalog.query_to_xml('SELECT ssn FROM people', true, false, '');

-- case: query to xml quoted
SELECT "query_to_xml"('SELECT ssn FROM people', true, false, '');

-- case: ts stat
SELECT word FROM ts_stat('SELECT to_tsvector(''simple'', note) FROM people') ORDER BY word;

-- case: ts rewrite
SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, quote_literal(ssn)::tsquery FROM people WHERE id = 1');

-- case: dblink
SELECT * FROM dblink('dbname=corpus', 'SELECT ssn FROM people') AS t (s text);

-- case: dblink connect and exec
SELECT dblink_connect('c', 'dbname=corpus');
SELECT * FROM dblink('c', 'SELECT ssn FROM people') AS t (s text);

-- case: dblink exec
SELECT dblink_exec('dbname=corpus', 'UPDATE scratch SET n = n WHERE false');

-- case: crosstab
SELECT * FROM crosstab('SELECT id, grade::text, ssn FROM people ORDER BY 1', 'VALUES (''1''), (''2''), (''3''), (''4''), (''5'')') AS t (id int, a text, b text, c text, d text, e text);

-- case: connectby
SELECT * FROM connectby('people', 'ssn', 'email', '1', 0) AS t (a text, b text, c int);

-- case: normal rand and crosstab two
SELECT * FROM crosstab2('SELECT label, grade::text, ssn FROM people ORDER BY 1');

-- case: foreign server
BEGIN;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'corpus');
CREATE USER MAPPING FOR CURRENT_USER SERVER loop;
CREATE FOREIGN TABLE far (id int, ssn text) SERVER loop OPTIONS (table_name 'people');
SELECT * FROM far;
ROLLBACK;

-- case: import foreign schema
BEGIN;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'corpus');
CREATE USER MAPPING FOR CURRENT_USER SERVER loop;
IMPORT FOREIGN SCHEMA public LIMIT TO (people) FROM SERVER loop INTO other;
SELECT * FROM other.people;
ROLLBACK;

-- case: extension file fdw
CREATE EXTENSION file_fdw;

-- case: load library
LOAD 'auto_explain';

-- case: language creation
CREATE LANGUAGE plpythonu;

-- case: hidden in a generated column
BEGIN;
CREATE TABLE g (id int, s text GENERATED ALWAYS AS (plus_one(id)::text) STORED);
INSERT INTO g VALUES (1) RETURNING s;
ROLLBACK;

-- case: hidden in an index expression
BEGIN;
CREATE INDEX i ON teams (plus_one(id));
ROLLBACK;

-- case: hidden in a check
BEGIN;
CREATE TABLE g (id int CHECK (guess('x', '7%')));
INSERT INTO g VALUES (1);
ROLLBACK;

-- case: hidden in a statistics object
BEGIN;
CREATE STATISTICS s ON (plus_one(id)), title FROM teams;
ROLLBACK;

-- case: hidden in a partition key
BEGIN;
CREATE TABLE g (id int) PARTITION BY RANGE (plus_one(id));
ROLLBACK;

-- case: format with percent
SELECT dynamic(format('SELECT %I FROM %I WHERE id = 1', 'ssn', 'people'));

-- case: lo import by function
SELECT lo_import('/etc/hostname');

-- case: has privilege with side effect
SELECT has_table_privilege('people', 'SELECT'), ssn_of(1);

-- case: explain of a function
EXPLAIN ANALYZE SELECT ssn_of_definer(1);

-- case: prepared function
PREPARE f AS SELECT ssn_of(1);
EXECUTE f;

-- case: cursor of function
BEGIN;
DECLARE c CURSOR FOR SELECT ssn_of_definer(1);
FETCH c;
ROLLBACK;

-- case: table function column alias
SELECT x FROM people_table() AS t (y, x) ORDER BY y;

-- case: record function with definition list
SELECT * FROM json_to_recordset((SELECT json_agg(p) FROM people p)) AS t (ssn text);

-- case: trigger depth and notify
BEGIN;
UPDATE bell SET n = 7 WHERE id = 2 RETURNING n;
ROLLBACK;
