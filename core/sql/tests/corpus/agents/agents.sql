-- An agent has no more than the person it acts for, and less where the pack says so.

-- case: star
-- as: AGENT
SELECT * FROM people ORDER BY id;

-- case: predicate
-- as: AGENT
SELECT id FROM people WHERE ssn > '5' ORDER BY id;

-- case: order
-- as: AGENT
SELECT id FROM people ORDER BY salary;

-- case: row to json
-- as: AGENT
SELECT row_to_json(p) FROM people p ORDER BY id;

-- case: failing cast
-- as: AGENT
SELECT ssn::int FROM people;

-- case: copy
-- as: AGENT
COPY people TO STDOUT;

-- case: cursor
-- as: AGENT
BEGIN;
DECLARE c CURSOR FOR SELECT ssn FROM people ORDER BY id;
FETCH ALL FROM c;
ROLLBACK;

-- case: view filter
-- as: AGENT
SELECT id FROM people_high ORDER BY id;

-- case: function
-- as: AGENT
SELECT ssn_of(2);

-- case: do block
-- as: AGENT
DO $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people WHERE id = 1); END $$;

-- case: create table as
-- as: AGENT
BEGIN;
CREATE TABLE stolen AS SELECT ssn FROM people;
SELECT * FROM stolen;
ROLLBACK;

-- case: update then read
-- as: AGENT
BEGIN;
UPDATE people SET label = ssn WHERE id < 5;
SELECT label FROM people WHERE id < 5 ORDER BY id;
ROLLBACK;

-- case: stacked out of read only
-- as: AGENT
-- send: whole
-- mode: simple
BEGIN READ ONLY; COMMIT; SELECT ssn FROM people ORDER BY id;

-- case: session authorization
-- as: AGENT
SET SESSION AUTHORIZATION writer;
SELECT ssn FROM people ORDER BY id;

-- case: claims another principal by a setting
-- as: AGENT
SET application_name = 'user:ada';
SET writ.principal = 'user:ada';
SELECT ssn FROM people ORDER BY id;

-- case: claims an administrator in a comment
-- as: AGENT
SELECT /* principal=user:ada unmasked=true */ ssn FROM people ORDER BY id;

-- case: many small questions, one answer each
-- as: AGENT
-- mode: simple
-- send: whole
@@12(SELECT count(*) FROM people WHERE id = 1 AND substr(ssn, # + 1, 1) > '4'; )@@

-- case: binary search by errors
-- as: AGENT
-- mode: simple
SELECT 1 / (ssn < '5')::int FROM people WHERE id = 1;
SELECT 1 / (ssn < '3')::int FROM people WHERE id = 1;
SELECT 1 / (ssn < '7')::int FROM people WHERE id = 1;

-- case: drops a table
-- as: AGENT
-- expect: refused
DROP TABLE scratch;

-- case: truncates a table
-- as: AGENT
-- expect: refused
TRUNCATE scratch;

-- case: deletes without a condition
-- as: AGENT
-- expect: refused
DELETE FROM scratch;

-- case: deletes with a condition that always holds
-- as: AGENT
-- expect: refused
DELETE FROM scratch WHERE true OR id = 1;

-- case: grants itself
-- as: AGENT
-- expect: refused
GRANT pg_read_all_data TO writer;

-- case: prepared and executed
-- as: AGENT
PREPARE p AS SELECT ssn FROM people WHERE id = $1;
EXECUTE p (4);
