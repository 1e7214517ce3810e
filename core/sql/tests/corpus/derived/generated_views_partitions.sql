-- Columns, views, partitions and children that hold masked values under another roof.

-- case: generated column
SELECT code4 FROM derived ORDER BY id;

-- case: generated column in predicate
SELECT id FROM derived WHERE code4 > '5' ORDER BY id;

-- case: generated column star
SELECT * FROM derived ORDER BY id;

-- case: generated column copy
COPY derived (id, code4) TO STDOUT;

-- case: generated column returning
BEGIN;
UPDATE derived SET ssn = ssn WHERE id = 3 RETURNING code4;
ROLLBACK;

-- case: generated column returning of an insert
BEGIN;
INSERT INTO derived (id, ssn) SELECT 900, ssn FROM people WHERE id = 1 RETURNING code4;
ROLLBACK;

-- case: generated column order
SELECT id FROM derived ORDER BY code4;

-- case: view
SELECT ssn, email FROM people_view ORDER BY id;

-- case: view renamed
SELECT b FROM people_named ORDER BY a;

-- case: view renamed again
SELECT z FROM people_named AS v (x, z) ORDER BY x;

-- case: view filter
SELECT id FROM people_high ORDER BY id;

-- case: view filter count
SELECT count(*) FROM people_high;

-- case: view filter join
SELECT o.id FROM orders o JOIN people_high h ON h.id = o.person_id ORDER BY o.id;

-- case: view filter not in
SELECT t.id FROM teams t WHERE t.id NOT IN (SELECT id FROM people_high) ORDER BY 1;

-- case: view ranked
SELECT id, position FROM people_ranked ORDER BY id;

-- case: view joined
SELECT badge FROM people_joined ORDER BY id;

-- case: view over view
SELECT id, ssn FROM people_twice ORDER BY id;

-- case: view over view count
SELECT count(*) FROM people_twice;

-- case: view aggregate
SELECT total, top FROM people_sum ORDER BY team_id;

-- case: view union
SELECT what FROM people_union ORDER BY what;

-- case: view barrier
SELECT id FROM people_barrier ORDER BY id;

-- case: view json
SELECT j ->> 'ssn' FROM people_json ORDER BY id;

-- case: view with function
SELECT v FROM people_fn ORDER BY id;

-- case: view recursive
SELECT s FROM people_chain ORDER BY id;

-- case: view whole row
SELECT v FROM people_view v ORDER BY id;

-- case: view functional notation
SELECT ssn(v) FROM people_view v ORDER BY id;

-- case: view copy
COPY (SELECT b FROM people_named ORDER BY a) TO STDOUT;

-- case: view in cte
WITH x AS (SELECT * FROM people_named) SELECT b FROM x ORDER BY a;

-- case: view by another name in path
SET search_path = other, public;
SELECT b FROM people_named ORDER BY a;

-- case: view group by key
SELECT a, b FROM people_named GROUP BY a, b ORDER BY a;

-- case: view explain
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM people_high;

-- case: view with limit
SELECT id FROM people_ranked WHERE position = 1;

-- case: materialized view
SELECT ssn FROM people_mat ORDER BY id;

-- case: materialized view star
SELECT * FROM people_mat ORDER BY id;

-- case: materialized view filter
SELECT id FROM people_high ORDER BY id DESC;

-- case: materialized view membership
SELECT id FROM people_mat_high ORDER BY id;

-- case: materialized view count
SELECT count(*) FROM people_mat_high;

-- case: materialized view ctid
SELECT ctid, id FROM people_mat_high ORDER BY ctid;

-- case: partition parent
SELECT secret FROM events ORDER BY id;

-- case: partition child
SELECT secret FROM events_1 ORDER BY id;

-- case: partition child by predicate
SELECT id FROM events_2 WHERE secret > 'm' ORDER BY id;

-- case: partition only parent
SELECT secret FROM ONLY events;

-- case: partition star
SELECT e.* FROM events e ORDER BY id;

-- case: partition whole row
SELECT e FROM events_1 e ORDER BY id;

-- case: partition tableoid
SELECT tableoid::regclass, id FROM events WHERE secret > 'm' ORDER BY id;

-- case: partition update returning
BEGIN;
UPDATE events SET kind = 'x' WHERE id = 1 RETURNING secret;
ROLLBACK;

-- case: partition move returning
BEGIN;
UPDATE events SET id = 60 WHERE id = 1 RETURNING *;
ROLLBACK;

-- case: inheritance parent
SELECT number FROM accounts ORDER BY id;

-- case: inheritance only parent
SELECT number FROM ONLY accounts ORDER BY id;

-- case: inheritance child
SELECT number FROM savings ORDER BY id;

-- case: inheritance child predicate
SELECT id FROM savings WHERE number > '5' ORDER BY id;

-- case: inheritance child star
SELECT * FROM savings ORDER BY id;

-- case: inheritance child as parent row
SELECT s::accounts FROM savings s ORDER BY id;

-- case: inheritance child functional notation
SELECT number(s) FROM savings s ORDER BY id;

-- case: inheritance parent delete returning
BEGIN;
DELETE FROM accounts WHERE id = 101 RETURNING number;
ROLLBACK;

-- case: composite masked field update
BEGIN;
UPDATE people SET home.street = 'x' WHERE id = 2 RETURNING home;
ROLLBACK;

-- case: composite field test
SELECT id FROM people WHERE (home).street > 'm' ORDER BY id;

-- case: composite row test
SELECT id FROM people WHERE home > ROW('m', '')::address ORDER BY id;

-- case: composite star in subquery
SELECT s.street FROM (SELECT (home).* FROM people) s ORDER BY 1;

-- case: composite to json
SELECT to_json(home) FROM people ORDER BY id;

-- case: jsonb contains guess
SELECT id FROM people WHERE doc ? 'card' AND doc ->> 'n' > '5' ORDER BY id;

-- case: jsonb set returning
SELECT jsonb_object_keys(doc), jsonb_array_elements(jsonb_build_array(doc -> 'card')) FROM people ORDER BY id;

-- case: jsonb delete key
SELECT doc - 'n' FROM people ORDER BY id;

-- case: jsonb update returning
BEGIN;
UPDATE people SET doc = doc || '{"x": 1}' WHERE id = 1 RETURNING doc;
ROLLBACK;

-- case: jsonb subscript assignment
BEGIN;
UPDATE people SET doc['x'] = '1' WHERE id = 1 RETURNING doc['card'];
ROLLBACK;

-- case: array slice
SELECT nicknames[1:1], cardinality(nicknames), array_length(nicknames, 1) FROM people ORDER BY id;

-- case: array overlap guess
SELECT id FROM people WHERE nicknames && ARRAY['bcd', 'fgh'] ORDER BY id;

-- case: array position
SELECT array_position(nicknames, nicknames[1]) FROM people ORDER BY id;

-- case: array of composite
SELECT (array_agg(home ORDER BY id))[2].street FROM people;

-- case: row security view of secret
SELECT count(*) FROM secured;

-- case: row security exists
SELECT t.id FROM teams t WHERE EXISTS (SELECT FROM secured s WHERE s.id = t.id) ORDER BY 1;

-- case: row security update count
BEGIN;
UPDATE secured SET body = 'x' WHERE id > 0;
ROLLBACK;

-- case: rule adds a select
BEGIN;
INSERT INTO ruled VALUES (2, 'y');
ROLLBACK;
