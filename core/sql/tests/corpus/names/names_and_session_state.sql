-- The same table by other names, and settings that change what names and texts mean.

-- case: search path
SET search_path = app, public;
SELECT ssn FROM people ORDER BY id;

-- case: search path local
BEGIN;
SET LOCAL search_path = other;
SELECT ssn FROM people ORDER BY id;
ROLLBACK;

-- case: search path by set_config
SELECT set_config('search_path', 'app', false);
SELECT ssn FROM people ORDER BY id;

-- case: search path in the same statement
SELECT set_config('search_path', 'app', false), (SELECT ssn FROM people WHERE id = 1);

-- case: search path in one message
-- send: whole
-- mode: simple
SET search_path = app; SELECT ssn FROM people ORDER BY id;

-- case: search path then rollback
-- send: whole
-- mode: simple
BEGIN; SET search_path = app; ROLLBACK; SELECT ssn FROM people ORDER BY id;

-- case: search path empty
SET search_path = '';
SELECT ssn FROM public.people ORDER BY id;

-- case: search path of a missing schema
SET search_path = nowhere, public;
SELECT ssn FROM people ORDER BY id;

-- case: search path quoted user
SET search_path = "$user", app;
SELECT ssn FROM people ORDER BY id;

-- case: search path by alter role
-- cleanup: ALTER ROLE writer RESET search_path
ALTER ROLE writer SET search_path = app;

-- case: search path by alter database
-- cleanup: ALTER DATABASE corpus RESET search_path
ALTER DATABASE corpus SET search_path = app;

-- case: search path by function attribute
BEGIN;
CREATE FUNCTION f() RETURNS text LANGUAGE sql SET search_path = app AS 'SELECT ssn FROM people WHERE id = 1';
SELECT f();
ROLLBACK;

-- case: search path by update of pg_settings
UPDATE pg_settings SET setting = 'app' WHERE name = 'search_path';
SELECT ssn FROM people ORDER BY id;

-- case: pg_catalog after
SET search_path = app, pg_catalog;
SELECT ssn FROM people ORDER BY id;

-- case: temp table shadows a masked table
CREATE TEMP TABLE people (id int, ssn text);
SELECT ssn FROM public.people ORDER BY id;

-- case: temp table dropped again
CREATE TEMP TABLE people (id int, ssn text);
DROP TABLE pg_temp.people;
SELECT ssn FROM people ORDER BY id;

-- case: temp table rolled back
BEGIN;
CREATE TEMP TABLE people (id int, ssn text);
ROLLBACK;
SELECT ssn FROM people ORDER BY id;

-- case: temp table on commit drop
BEGIN;
CREATE TEMP TABLE people (id int, ssn text) ON COMMIT DROP;
COMMIT;
SELECT ssn FROM people ORDER BY id;

-- case: temp table back to savepoint
BEGIN;
SAVEPOINT s;
CREATE TEMP TABLE people (id int, ssn text);
ROLLBACK TO SAVEPOINT s;
SELECT ssn FROM people ORDER BY id;
ROLLBACK;

-- case: temp table created and read in one message
-- send: whole
-- mode: simple
CREATE TEMP TABLE people (id int, ssn text); DROP TABLE people; SELECT ssn FROM people ORDER BY id;

-- case: temp view with the name of a harmless table
CREATE TEMP VIEW teams AS SELECT id, ssn AS title FROM people;
SELECT title FROM teams ORDER BY id;

-- case: temp function shadows a builtin
CREATE FUNCTION pg_temp.lower(text) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.people WHERE id = 1';
SELECT pg_temp.lower('X');

-- case: user function shadows a builtin
BEGIN;
CREATE FUNCTION public.upper(varchar) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.people WHERE id = 1';
SELECT upper('x'::varchar);
ROLLBACK;

-- case: schema before pg_catalog
BEGIN;
CREATE FUNCTION public.length(text) RETURNS int LANGUAGE sql AS 'SELECT salary FROM public.people WHERE id = 1';
SET LOCAL search_path = public, pg_catalog;
SELECT length('x'::text);
ROLLBACK;

-- case: discard all
SET search_path = app;
DISCARD ALL;
SELECT ssn FROM people ORDER BY id;

-- case: discard temp
CREATE TEMP TABLE people (id int, ssn text);
DISCARD TEMP;
SELECT ssn FROM people ORDER BY id;

-- case: reset all
SET search_path = app;
RESET ALL;
SELECT ssn FROM people ORDER BY id;

-- case: reset by default
SET search_path = app;
SET search_path TO DEFAULT;
SELECT ssn FROM people ORDER BY id;

-- case: quoted names
SELECT "ssn" FROM "public"."people" ORDER BY "id";

-- case: upper case
SELECT SSN FROM PEOPLE ORDER BY ID;

-- case: mixed with quotes
SELECT p."ssn" FROM PUBLIC."people" p ORDER BY 1;

-- case: odd table
SELECT "Sec ret" FROM "Odd ""Table" ORDER BY id;

-- case: odd table star
SELECT * FROM "Odd ""Table" ORDER BY id;

-- case: odd keyword column
SELECT o."Sec ret", o."select" FROM "Odd ""Table" o ORDER BY id;

-- case: unicode identifier
SELECT U&"s\0073n" FROM U&"p\0065ople" ORDER BY id;

-- case: unicode identifier with another escape
SELECT U&"!0073sn" UESCAPE '!' FROM U&"!0070eople" UESCAPE '!' ORDER BY id;

-- case: unicode identifier long form
SELECT U&"\+000073sn" FROM people ORDER BY id;

-- case: truncated name
SELECT secret FROM a_table_whose_name_is_exactly_sixty_three_bytes_long_abcdefghij_and_more ORDER BY id;

-- case: truncated quoted name
SELECT secret FROM "a_table_whose_name_is_exactly_sixty_three_bytes_long_abcdefghijklm" ORDER BY id;

-- case: full length name
SELECT secret FROM a_table_whose_name_is_exactly_sixty_three_bytes_long_abcdefghij ORDER BY id;

-- case: truncated alias
SELECT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab.ssn FROM people aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac ORDER BY id;

-- case: database qualified
SELECT ssn FROM corpus.public.people ORDER BY id;

-- case: cte with the name of the table
WITH people AS (SELECT id, ssn FROM people) SELECT ssn FROM people ORDER BY id;

-- case: cte shadows and the schema does not
WITH people AS (SELECT 1 AS id) SELECT p.ssn FROM public.people p, people q WHERE q.id = p.id;

-- case: cte of a sibling does not reach
WITH a AS (WITH people AS (SELECT 1) SELECT 1), b AS (SELECT ssn FROM people) TABLE b;

-- case: cte of an inner query does not reach out
SELECT (WITH people AS (SELECT 'x' AS ssn) SELECT ssn FROM people), ssn FROM people ORDER BY id;

-- case: cte later does not reach back
WITH a AS (SELECT ssn FROM people), people AS (SELECT 'x' AS ssn) SELECT ssn FROM a;

-- case: cte recursive reaches back
-- expect: any
WITH RECURSIVE a AS (SELECT ssn FROM public.people), people AS (SELECT 'x' AS ssn) SELECT ssn FROM a;

-- case: cte in insert target
BEGIN;
WITH scratch AS (SELECT id, ssn FROM people) INSERT INTO scratch (id, body) SELECT id + 1000, ssn FROM scratch;
SELECT body FROM scratch ORDER BY id;
ROLLBACK;

-- case: cte with the name of a function
WITH ssn_of AS (SELECT ssn FROM people) SELECT * FROM ssn_of;

-- case: alias with the name of a column
SELECT ssn.ssn FROM people ssn ORDER BY ssn.id;

-- case: alias with the name of another table
SELECT teams.ssn FROM people teams ORDER BY id;

-- case: alias hides schema name
SELECT public.ssn FROM people public ORDER BY id;

-- case: column with the name of a table
SELECT people.people FROM (SELECT people FROM people) people;

-- case: no alias for values
SELECT column1 FROM (VALUES ((SELECT ssn FROM people WHERE id = 1))) v;

-- case: unnamed output column
SELECT "?column?" FROM (SELECT ssn || '' FROM people) x;

-- case: output column named as function
SELECT coalesce FROM (SELECT coalesce(ssn, '') FROM people) x;

-- case: order by output name hides input
SELECT upper(ssn) AS id FROM people ORDER BY id;

-- case: group by output name
SELECT left(ssn, 1) AS label2, count(*) FROM people GROUP BY label2 ORDER BY 2, 1;

-- case: only
SELECT ssn FROM ONLY people ORDER BY id;

-- case: star after name
SELECT ssn FROM people * ORDER BY id;

-- case: keyword END as alias
SELECT ssn END FROM people ORDER BY id;

-- case: alias without AS that looks like a clause
SELECT ssn LIKE_ FROM people ORDER BY id;

-- case: set role
SET ROLE pg_read_all_data;
SELECT ssn FROM people ORDER BY id;

-- case: set role none
SET ROLE NONE;
SELECT ssn FROM people ORDER BY id;

-- case: set session authorization
SET SESSION AUTHORIZATION writer;
SELECT ssn FROM people ORDER BY id;

-- case: set role by set_config
SELECT set_config('role', 'pg_monitor', false);

-- case: standard conforming strings off
SET standard_conforming_strings = off;
SELECT 'a\', (SELECT ssn FROM people WHERE id = 1), '\'';

-- case: standard conforming strings by set_config
SELECT set_config('standard_conforming_strings', 'off', false);
SELECT '\', (SELECT ssn FROM people WHERE id = 1) --';

-- case: standard conforming strings one message
-- send: whole
-- mode: simple
SET standard_conforming_strings = off; SELECT 'a\', (SELECT ssn FROM people WHERE id = 1), '\'';

-- case: backslash quote
SET backslash_quote = on;
SELECT E'a\'', ssn FROM people ORDER BY id;

-- case: client encoding latin1
SET client_encoding = 'LATIN1';
SELECT ssn, email FROM people ORDER BY id;

-- case: client encoding sjis
SET client_encoding = 'SJIS';
SELECT ssn FROM people ORDER BY id;

-- case: client encoding gbk hides a quote
SET client_encoding = 'GBK';
SELECT '縗', ssn FROM people ORDER BY id;

-- case: set names
SET NAMES 'SQL_ASCII';
SELECT ssn FROM people ORDER BY id;

-- case: client encoding by set_config
SELECT set_config('client_encoding', 'BIG5', false);
SELECT ssn FROM people ORDER BY id;

-- case: bytea output
SET bytea_output = 'escape';
SELECT raw FROM people ORDER BY id;

-- case: datestyle and intervalstyle
SET DateStyle = 'German';
SELECT born FROM people ORDER BY id;

-- case: extra float digits
SET extra_float_digits = 3;
SELECT salary::float8, balance::float8 FROM people ORDER BY id;

-- case: row security off
SET row_security = off;
SELECT ssn FROM people ORDER BY id;

-- case: transform null equals
SET transform_null_equals = on;
SELECT count(*) FROM people WHERE (CASE WHEN ssn > '5' THEN ssn END) = NULL;

-- case: default tablespace
SET default_tablespace = '';
SELECT ssn FROM people ORDER BY id;

-- case: session replication role
SET session_replication_role = replica;
SELECT ssn FROM people ORDER BY id;

-- case: array nulls
SET array_nulls = off;
SELECT nicknames FROM people ORDER BY id;

-- case: check function bodies
SET check_function_bodies = off;
CREATE FUNCTION pg_temp.g() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people';
SELECT pg_temp.g();

-- case: plan cache mode
SET plan_cache_mode = force_generic_plan;
PREPARE p AS SELECT id FROM people WHERE ssn > $1 ORDER BY id;
EXECUTE p ('5');

-- case: default transaction read only off
SET default_transaction_read_only = off;
SELECT ssn FROM people ORDER BY id;

-- case: enable seqscan off
SET enable_seqscan = off;
SELECT id FROM people WHERE email > 'm';

-- case: physical order by index
SET enable_seqscan = off;
SET enable_sort = off;
SELECT id FROM people WHERE email > '';

-- case: physical order by masked predicate on constant
SET enable_seqscan = off;
SELECT id FROM people WHERE ssn IS NOT NULL;
