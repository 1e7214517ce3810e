-- What errors, notices and parameters say.

-- case: cast to int
SELECT ssn::int FROM people;

-- case: cast in where
SELECT 1 FROM people WHERE email::int = 1;

-- case: cast to date
SELECT note::date FROM people;

-- case: cast to uuid
SELECT ssn::uuid FROM people;

-- case: cast to json
SELECT ssn::json FROM people;

-- case: cast to inet
SELECT email::inet FROM people;

-- case: cast to enum
SELECT ssn::tier FROM people;

-- case: cast to regclass
SELECT ssn::regclass FROM people;

-- case: cast to regtype
SELECT phone::regtype FROM people;

-- case: cast to boolean
SELECT email::boolean FROM people;

-- case: cast to xml
SELECT ('<' || ssn)::xml FROM people;

-- case: cast to interval
SELECT ssn::interval FROM people;

-- case: cast to numeric overflow
SELECT salary::numeric(3) FROM people;

-- case: cast to smallint out of range
SELECT salary::smallint FROM people;

-- case: cast to bit
SELECT ssn::bit(8) FROM people;

-- case: cast to jsonpath
SELECT email::jsonpath FROM people;

-- case: cast to tsquery
SELECT (ssn || ' &&& ')::tsquery FROM people;

-- case: cast through domain
SELECT left(ssn, 1)::iban FROM people;

-- case: cast array text
SELECT ssn::int[] FROM people;

-- case: cast of composite
SELECT ssn::address FROM people;

-- case: cast only one row
SELECT CASE WHEN id = 3 THEN ssn::int ELSE 0 END FROM people;

-- case: cast with explicit function
SELECT int4in(textout(ssn)) FROM people;

-- case: to number
SELECT to_number(email, '999') FROM people;

-- case: to date
SELECT to_date(email, 'YYYY-MM-DD') FROM people;

-- case: make date
SELECT make_date(salary, 1, 1) FROM people;

-- case: chr out of range
SELECT chr(salary) FROM people;

-- case: repeat too long
SELECT repeat(ssn, 100000000) FROM people;

-- case: invalid regexp
SELECT 'x' ~ ('(' || ssn) FROM people;

-- case: invalid time zone
SELECT now() AT TIME ZONE ssn FROM people;

-- case: invalid encoding name
SELECT convert_to('x', ssn) FROM people;

-- case: invalid digest name
SELECT digest('x', ssn) FROM people;

-- case: invalid hex
SELECT decode(ssn, 'hex') FROM people;

-- case: invalid format
SELECT format(ssn || '%', 1) FROM people;

-- case: division by a test
SELECT 1 / (CASE WHEN ssn > '5' THEN 0 ELSE 1 END) FROM people WHERE id = 3;

-- case: division in where
SELECT id FROM people WHERE id = 3 AND 1 / (CASE WHEN salary > 40000000 THEN 0 ELSE 1 END) = 1;

-- case: sqrt of a test
SELECT sqrt(CASE WHEN ssn > '4' THEN -1 ELSE 1 END) FROM people WHERE id = 5;

-- case: more than one row
SELECT (SELECT id FROM people WHERE ssn > '5' AND id < 4);

-- case: array subscript error
SELECT (ARRAY[1, 2])[salary / 0] FROM people;

-- case: negative limit
SELECT 1 LIMIT (SELECT 50000000 - salary FROM people WHERE id = 2);

-- case: window frame negative
SELECT sum(1) OVER (ORDER BY id ROWS (SELECT 50000000 - salary FROM people WHERE id = 2) PRECEDING) FROM teams;

-- case: json error quotes input
SELECT json_object(ARRAY[ssn]) FROM people;

-- case: jsonb set path
SELECT jsonb_set('{"a": [1]}', ARRAY['a', ssn], '1') FROM people;

-- case: jsonpath strict error
SELECT jsonb_path_query(doc, 'strict $.card.nothing') FROM people;

-- case: jsonpath double error
SELECT jsonb_path_query(doc, '$.card.datetime("x")') FROM people;

-- case: xml parse detail
SELECT xmlparse(DOCUMENT '<a>' || email || '</b>') FROM people;

-- case: xpath error
SELECT xpath(ssn || '[', '<a/>') FROM people;

-- case: set config application name
SELECT set_config('application_name', ssn, false) FROM people WHERE id = 2;

-- case: set config local
BEGIN;
SELECT set_config('application_name', email, true) FROM people WHERE id = 2;
SHOW application_name;
ROLLBACK;

-- case: set config custom
SELECT set_config('my.value', ssn, false) FROM people WHERE id = 2;
SELECT current_setting('my.value');

-- case: set config invalid value
SELECT set_config('DateStyle', ssn, false) FROM people WHERE id = 2;

-- case: set config invalid number
SELECT set_config('work_mem', ssn, false) FROM people WHERE id = 2;

-- case: set config of a computed name
SELECT set_config('my.' || chr(97), ssn, false) FROM people WHERE id = 2;

-- case: set config in where
SELECT 1 FROM people WHERE id = 2 AND set_config('my.value', ssn, false) <> '';
SHOW my.value;

-- case: notify payload
LISTEN channel;
SELECT pg_notify('channel', ssn) FROM people WHERE id = 2;
SELECT 1;

-- case: notify channel name
SELECT pg_notify(ssn, 'x') FROM people WHERE id = 2;

-- case: notify too long
SELECT pg_notify('channel', repeat(ssn, 2000)) FROM people WHERE id = 2;

-- case: lc_messages
SET lc_messages = 'C';
SELECT ssn::int FROM people;

-- case: client_min_messages debug
SET client_min_messages = debug5;
SELECT id FROM people WHERE ssn > '5' ORDER BY id;

-- case: verbose tree in log
SET client_min_messages = log;
SET debug_print_plan = on;
SELECT id FROM people WHERE ssn LIKE '4%' ORDER BY id;

-- case: log statement to client
-- paired: no
SET client_min_messages = log;
SET log_min_duration_statement = 0;
SELECT count(*) FROM people WHERE ssn > '5';

-- case: log executor stats
-- paired: no
SET client_min_messages = log;
SET log_executor_stats = on;
SELECT count(*) FROM people WHERE ssn > '5';

-- case: unique violation detail
BEGIN;
INSERT INTO badges (code, person_id, issued) SELECT code, 1, issued FROM badges;
ROLLBACK;

-- case: check violation shows row
BEGIN;
UPDATE limits SET used = 99 WHERE id = 1;
ROLLBACK;

-- case: not null violation shows row
BEGIN;
UPDATE people SET label = NULL WHERE id = 3;
ROLLBACK;

-- case: not null of insert select
BEGIN;
INSERT INTO people SELECT * FROM people;
ROLLBACK;

-- case: foreign key detail
BEGIN;
INSERT INTO badge_uses SELECT 1000, left(ssn, 3), 'x' FROM people WHERE id = 1;
ROLLBACK;

-- case: foreign key delete detail
BEGIN;
DELETE FROM badges WHERE person_id = 3;
ROLLBACK;

-- case: exclusion detail
BEGIN;
INSERT INTO rooms (id, during) SELECT 100, int4range(0, 10000);
ROLLBACK;

-- case: exclusion probe
BEGIN;
INSERT INTO rooms (id, during) VALUES (100, '[20,26)');
ROLLBACK;

-- case: partition violation
BEGIN;
UPDATE events SET id = 500 WHERE id = 1;
ROLLBACK;

-- case: domain violation
BEGIN;
UPDATE people SET account = 'x' WHERE id = 1;
ROLLBACK;

-- case: value too long
BEGIN;
UPDATE people SET phone = repeat('9', 40) WHERE id = 1;
ROLLBACK;

-- case: add unique constraint
-- cleanup: ALTER TABLE people DROP CONSTRAINT IF EXISTS people_level_key
ALTER TABLE people ADD CONSTRAINT people_level_key UNIQUE (level);

-- case: create unique index
BEGIN;
CREATE UNIQUE INDEX probe ON people (left(ssn, 1));
ROLLBACK;

-- case: create index on a failing expression
BEGIN;
CREATE INDEX probe ON people ((ssn::int));
ROLLBACK;

-- case: create index on a test
BEGIN;
CREATE INDEX probe ON people ((1 / CASE WHEN ssn > '99' THEN 0 ELSE 1 END));
ROLLBACK;

-- case: add check constraint
ALTER TABLE people ADD CONSTRAINT probe CHECK (ssn > '3');

-- case: add check as oracle not valid
BEGIN;
ALTER TABLE people ADD CONSTRAINT probe CHECK (ssn > '3') NOT VALID;
ALTER TABLE people VALIDATE CONSTRAINT probe;
ROLLBACK;

-- case: alter type using
ALTER TABLE people ALTER COLUMN ssn TYPE int USING ssn::int;

-- case: alter type without using
ALTER TABLE people ALTER COLUMN salary TYPE smallint;

-- case: alter add generated
ALTER TABLE people ADD COLUMN probe text GENERATED ALWAYS AS (ssn) STORED;

-- case: copy in error context
-- copy: a\tb\n
COPY badges FROM STDIN;

-- case: statement timeout context
SET statement_timeout = '1s';
SELECT count(*) FROM people WHERE ssn > '5' AND pg_sleep(0) IS NOT NULL;

-- case: raise in DO
DO $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people WHERE id = 1); END $$;

-- case: raise exception in DO
DO $$ BEGIN RAISE EXCEPTION '%', (SELECT ssn FROM people WHERE id = 1); END $$;

-- case: assert in DO
DO $$ BEGIN ASSERT (SELECT ssn < '5' FROM people WHERE id = 1), 'no'; END $$;

-- case: notice by trigger
BEGIN;
UPDATE bell SET n = n WHERE id = 3;
ROLLBACK;

-- case: notice by procedure
CALL tell(4);

-- case: domain check raises
SELECT 'x'::checked_text;

-- case: error position in view
SELECT b::int FROM people_named;

-- case: statement with hint
SELECT snn FROM people WHERE ssn::int = 1;

-- case: advisory lock by value
SELECT pg_advisory_lock(salary) FROM people WHERE id = 2;
SELECT objid FROM pg_locks WHERE locktype = 'advisory';

-- case: prepared transaction name
BEGIN;
SELECT ssn FROM people;
PREPARE TRANSACTION 'probe';
ROLLBACK PREPARED 'probe';

-- case: sequence by value
-- cleanup: ALTER SEQUENCE ticket RESTART
SELECT setval('ticket', (SELECT salary FROM people WHERE id = 2));
SELECT last_value FROM ticket;

-- case: random seed by value
SELECT setseed((SELECT salary FROM people WHERE id = 2) / 100000000.0);
SELECT random();

-- case: savepoint then error
BEGIN;
SAVEPOINT s;
SELECT ssn::int FROM people;
ROLLBACK TO s;
SELECT email::int FROM people;
ROLLBACK;
