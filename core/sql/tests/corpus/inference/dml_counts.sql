-- Row counts of changes as an oracle. All are undone.

-- case: update where
BEGIN;
UPDATE people SET label = label WHERE ssn > '5';
ROLLBACK;

-- case: delete where
BEGIN;
DELETE FROM savings WHERE number > '5';
ROLLBACK;

-- case: update from
BEGIN;
UPDATE orders o SET memo = 'x' FROM people p WHERE p.id = o.person_id AND p.ssn > '5';
ROLLBACK;

-- case: delete using
BEGIN;
DELETE FROM orders o USING people p WHERE p.id = o.person_id AND p.salary > 50000000;
ROLLBACK;

-- case: update where exists
BEGIN;
UPDATE orders o SET memo = 'x' WHERE EXISTS (SELECT FROM people p WHERE p.id = o.person_id AND p.email > 'm');
ROLLBACK;

-- case: insert select where
BEGIN;
INSERT INTO scratch (id) SELECT id + 1000 FROM people WHERE ssn > '5';
ROLLBACK;

-- case: merge when matched and
BEGIN;
MERGE INTO scratch s USING people p ON s.id = p.id WHEN MATCHED AND p.ssn > '5' THEN UPDATE SET n = 0 WHEN NOT MATCHED THEN DO NOTHING;
ROLLBACK;

-- case: merge into the masked table
BEGIN;
MERGE INTO people p USING teams t ON p.id = t.id AND p.ssn > '5' WHEN MATCHED THEN UPDATE SET label = 'x';
ROLLBACK;

-- case: merge condition on the target
BEGIN;
MERGE INTO people p USING teams t ON p.id = t.id WHEN MATCHED AND p.salary > 50000000 THEN UPDATE SET label = 'x' WHEN MATCHED THEN DO NOTHING;
ROLLBACK;

-- case: on conflict do update where
BEGIN;
INSERT INTO limits (id, cap, used) VALUES (1, 100, 1) ON CONFLICT (id) DO UPDATE SET used = 2 WHERE limits.cap > 70;
ROLLBACK;

-- case: on conflict on a masked key
BEGIN;
INSERT INTO badges (code, person_id, issued) VALUES ('bbbbbbbbbb', 1, '2022-01-01') ON CONFLICT (code) DO NOTHING;
ROLLBACK;

-- case: update sets a flag from a masked column
BEGIN;
UPDATE people SET grade = CASE WHEN ssn > '5' THEN 1 ELSE 0 END WHERE id > 0;
SELECT id, grade FROM people ORDER BY id;
ROLLBACK;

-- case: update returning a test
BEGIN;
UPDATE people SET grade = grade WHERE id < 9 RETURNING id, ssn > '5';
ROLLBACK;

-- case: delete returning all
BEGIN;
DELETE FROM badge_uses WHERE id < 5 RETURNING *;
ROLLBACK;

-- case: insert returning whole row
BEGIN;
INSERT INTO badge_uses SELECT id + 100, code, 'x' FROM badge_uses WHERE id < 4 RETURNING badge_uses;
ROLLBACK;

-- case: data modifying CTE
BEGIN;
WITH d AS (DELETE FROM badge_uses WHERE id < 9 RETURNING code) SELECT count(*) FROM d WHERE code > 'm';
ROLLBACK;

-- case: update masked column from itself
BEGIN;
UPDATE people SET salary = salary / 0 WHERE id = 1;
ROLLBACK;

-- case: update label from masked column
BEGIN;
UPDATE people SET label = ssn WHERE id < 5;
SELECT label FROM people WHERE id < 5 ORDER BY id;
ROLLBACK;

-- case: update row assignment
BEGIN;
UPDATE people SET (label, grade) = (SELECT q.ssn, 1 FROM people q WHERE q.id = people.id) WHERE id < 5;
SELECT label FROM people WHERE id < 5 ORDER BY id;
ROLLBACK;

-- case: where current of
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM people WHERE ssn > '5' FOR UPDATE;
FETCH 1 FROM c;
UPDATE people SET grade = 9 WHERE CURRENT OF c;
SELECT id FROM people WHERE grade = 9;
ROLLBACK;

-- case: select for update skip
BEGIN;
SELECT id FROM people WHERE ssn > '5' FOR UPDATE SKIP LOCKED;
ROLLBACK;

-- case: lock rows then look at xmax
BEGIN;
SELECT count(*) FROM people WHERE ssn > '5' FOR NO KEY UPDATE;
SELECT id FROM people WHERE xmax <> 0 ORDER BY id;
ROLLBACK;

-- case: copy from where
BEGIN;
COPY scratch (id) FROM STDIN WHERE (SELECT max(ssn) FROM people WHERE id = 1) > '5';
ROLLBACK;

-- case: create table as row count
BEGIN;
CREATE TABLE counted AS SELECT id FROM people WHERE ssn > '5';
ROLLBACK;

-- case: fetch count
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM people WHERE ssn > '5' ORDER BY id;
MOVE ALL IN c;
ROLLBACK;

-- case: explain analyze actual rows
EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) SELECT FROM people WHERE ssn > '5';

-- case: explain analyze update
BEGIN;
EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) UPDATE orders o SET memo = 'x' FROM people p WHERE p.id = o.person_id AND p.ssn > '5';
ROLLBACK;
