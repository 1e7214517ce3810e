-- Sessions, transactions and what drivers send on their own.

-- case: select one
SELECT 1;

-- case: version
SELECT version();

-- case: show
SHOW server_version;
SHOW transaction_isolation;
SHOW search_path;
SHOW ALL;

-- case: set of harmless settings
SET application_name = 'report';
SET statement_timeout = '30s';
SET lock_timeout = 1000;
SET timezone = 'Europe/Oslo';
SET TIME ZONE 'UTC';
SET DateStyle = 'ISO, MDY';
SET client_min_messages = warning;
SET extra_float_digits = 3;
SET work_mem = '8MB';
RESET statement_timeout;

-- case: set transaction
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = 0;
SELECT 1;
COMMIT;

-- case: set session characteristics
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM orders;

-- case: set by set_config
SELECT set_config('statement_timeout', '10s', false), set_config('application_name', 'x', true);

-- case: custom settings
SET my.tenant = '42';
SELECT current_setting('my.tenant'), current_setting('my.other', true);

-- case: search path
SET search_path = app, public;
SELECT label FROM people ORDER BY id;

-- case: transactions
BEGIN;
SAVEPOINT a;
SELECT 1;
RELEASE a;
SAVEPOINT b;
ROLLBACK TO b;
COMMIT;

-- case: start transaction deferrable
START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE;
SELECT count(*) FROM people;
COMMIT AND CHAIN;
ROLLBACK;

-- case: end and abort
BEGIN WORK;
END WORK;
BEGIN TRANSACTION;
ABORT;

-- case: listen and notify
LISTEN jobs;
NOTIFY jobs, 'hello';
SELECT pg_notify('jobs', 'again');
UNLISTEN jobs;
UNLISTEN *;

-- case: advisory locks
SELECT pg_advisory_lock(42);
SELECT pg_try_advisory_lock(43), pg_advisory_unlock(42);
SELECT pg_advisory_unlock_all();

-- case: advisory transaction locks
BEGIN;
SELECT pg_advisory_xact_lock(1, 2), pg_try_advisory_xact_lock_shared(3);
COMMIT;

-- case: lock table
BEGIN;
LOCK TABLE scratch IN ROW EXCLUSIVE MODE;
COMMIT;

-- case: prepared statements
PREPARE p (int) AS SELECT id, status FROM orders WHERE id = $1;
EXECUTE p (3);
DEALLOCATE p;

-- case: prepared statement over a masked table
PREPARE p (int) AS SELECT id, label, ssn FROM people WHERE id = $1;
EXECUTE p (3);
EXECUTE p (4);
DEALLOCATE ALL;

-- case: cursor
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id;
FETCH 10 FROM c;
FETCH FORWARD 5 FROM c;
MOVE 3 IN c;
CLOSE c;
COMMIT;

-- case: cursor over a masked table
BEGIN;
DECLARE c NO SCROLL CURSOR WITHOUT HOLD FOR SELECT id, label, ssn FROM people ORDER BY id;
FETCH 10 FROM c;
FETCH ALL FROM c;
COMMIT;

-- case: cursor with hold
DECLARE c CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id;
FETCH 3 FROM c;
CLOSE c;

-- case: discard
DISCARD PLANS;
DISCARD SEQUENCES;
DISCARD TEMP;
DISCARD ALL;

-- case: pool reset
SELECT pg_advisory_unlock_all();
CLOSE ALL;
UNLISTEN *;
RESET ALL;

-- case: who and where
SELECT current_user, session_user, current_database(), current_schema(), current_schemas(true), pg_is_in_recovery();

-- case: now is a time
SELECT now() IS NOT NULL, clock_timestamp() >= transaction_timestamp(), pg_backend_pid() > 0, txid_current() > 0;

-- case: sequences
-- cleanup: ALTER SEQUENCE ticket RESTART
SELECT nextval('ticket') > 0, currval('ticket') > 0, lastval() > 0;

-- case: sizes
SELECT pg_size_pretty(pg_database_size(current_database())) IS NOT NULL, pg_relation_size('orders') > 0, pg_total_relation_size('orders') > 0;

-- case: existence checks
SELECT to_regclass('public.orders'), to_regclass('nothing') IS NULL, 'orders'::regclass, 'int4'::regtype;

-- case: privilege checks
SELECT has_table_privilege('orders', 'SELECT'), has_schema_privilege('public', 'USAGE'), has_database_privilege(current_database(), 'CONNECT');

-- case: encodings
SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = current_database();

-- case: jdbc connection setup
SET extra_float_digits = 3;
SET application_name = 'PostgreSQL JDBC Driver';
SELECT 1;

-- case: psycopg pool check
BEGIN;
SELECT 1;
ROLLBACK;

-- case: sqlalchemy connect checks
SELECT pg_catalog.version();
SELECT current_schema();
SHOW standard_conforming_strings;
SHOW transaction isolation level;

-- case: rails connect checks
SET client_min_messages TO 'warning';
SET standard_conforming_strings = on;
SET intervalstyle = iso_8601;
SHOW max_identifier_length;
SET SESSION timezone TO 'UTC';

-- case: django connect checks
SELECT set_config('TimeZone', 'UTC', false);

-- case: hibernate sequence call
-- cleanup: ALTER SEQUENCE ticket RESTART
SELECT nextval('public.ticket') IS NOT NULL;

-- case: keep alive with a comment
/* ping */ SELECT 1;

-- case: empty comment
-- mode: simple
-- send: whole
-- ping

-- case: many statements in one message
-- send: whole
-- mode: simple
BEGIN; SELECT 1; SELECT count(*) FROM orders; COMMIT; SELECT 2

-- case: a syntax error is the server's own
-- sqlstate: 42601
SELEC 1;

-- case: an unknown column is the server's own
-- sqlstate: 42703
SELECT nothing FROM orders;

-- case: a division by zero is the server's own
-- sqlstate: 22012
SELECT 1 / 0;

-- case: a unique violation is the server's own
-- sqlstate: 23505
INSERT INTO orders SELECT * FROM orders WHERE id = 1;

-- case: an error in a transaction is the server's own
-- sqlstate: 22012
BEGIN;
SELECT 1 / 0;
SELECT 1;
ROLLBACK;

-- case: analyze
ANALYZE orders;

-- case: vacuum
VACUUM orders;
