-- What people and programs do all day. None may be refused, and none may err.

-- case: select by key
SELECT id, amount, status FROM orders WHERE id = 7;

-- case: select star of an unmasked table
SELECT * FROM orders ORDER BY id;

-- case: select star of a masked table
SELECT * FROM people ORDER BY id;

-- case: page through
SELECT id, label FROM people ORDER BY id LIMIT 10 OFFSET 20;

-- case: keyset pagination
SELECT id, label FROM people WHERE id > 10 ORDER BY id FETCH FIRST 5 ROWS ONLY;

-- case: join to a masked table
SELECT o.id, p.label, p.ssn FROM orders o JOIN people p ON p.id = o.person_id ORDER BY o.id;

-- case: left join and coalesce
SELECT t.title, coalesce(sum(o.amount), 0) FROM teams t LEFT JOIN people p ON p.team_id = t.id LEFT JOIN orders o ON o.person_id = p.id GROUP BY t.id ORDER BY t.id;

-- case: group by primary key of an unmasked table
SELECT o.id, o.status, o.memo FROM orders o GROUP BY o.id ORDER BY o.id;

-- case: group by primary key of a masked table
SELECT p.id, p.label, count(o.id) FROM people p JOIN orders o ON o.person_id = p.id GROUP BY p.id ORDER BY p.id;

-- case: group by primary key over a masked column
SELECT p.id, p.email, count(*) FROM people p GROUP BY p.id ORDER BY p.id;

-- case: having
SELECT status, count(*) FROM orders GROUP BY status HAVING count(*) > 3 ORDER BY status;

-- case: rollup report over a masked table
SELECT team_id, grade, count(*), max(ssn) FROM people GROUP BY ROLLUP (team_id, grade) ORDER BY 1, 2;

-- case: cube
SELECT status, person_id % 2, sum(amount) FROM orders GROUP BY CUBE (status, person_id % 2) ORDER BY 1, 2;

-- case: grouping sets with grouping
SELECT status, extract(month FROM placed), grouping(status), count(*) FROM orders GROUP BY GROUPING SETS ((1), (2), ()) ORDER BY 1, 2, 3;

-- case: running total
SELECT id, sum(amount) OVER (ORDER BY placed, id ROWS UNBOUNDED PRECEDING) FROM orders ORDER BY id;

-- case: rank within group of a masked table
SELECT label, rank() OVER (PARTITION BY team_id ORDER BY joined, id) FROM people ORDER BY id;

-- case: moving average
SELECT id, avg(amount) OVER w FROM orders WINDOW w AS (PARTITION BY status ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) ORDER BY id;

-- case: percentile
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FROM orders;

-- case: filter aggregates
SELECT count(*) FILTER (WHERE status = 'paid'), sum(amount) FILTER (WHERE status = 'new') FROM orders;

-- case: string agg over a masked table
SELECT team_id, string_agg(label, ', ' ORDER BY id) FROM people GROUP BY team_id ORDER BY 1;

-- case: common table expressions
WITH paid AS (SELECT * FROM orders WHERE status = 'paid'), per AS (SELECT person_id, sum(amount) AS s FROM paid GROUP BY 1) SELECT p.label, per.s FROM per JOIN people p ON p.id = per.person_id ORDER BY 1;

-- case: recursive numbers
WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT sum(i) FROM n;

-- case: recursive with cycle
WITH RECURSIVE g (a, b) AS (SELECT 1, 2 UNION ALL SELECT b, a FROM g) CYCLE a SET c USING p SELECT a, b FROM g;

-- case: lateral top n
SELECT t.title, o.id FROM teams t, LATERAL (SELECT o.id FROM orders o WHERE o.person_id % 4 + 1 = t.id ORDER BY o.amount DESC, o.id LIMIT 2) o ORDER BY 1, 2;

-- case: correlated count
SELECT t.id, (SELECT count(*) FROM people p WHERE p.team_id = t.id) FROM teams t ORDER BY 1;

-- case: exists
SELECT id FROM people p WHERE EXISTS (SELECT FROM orders o WHERE o.person_id = p.id AND o.amount > 400) ORDER BY id;

-- case: not in list
SELECT id FROM orders WHERE status NOT IN ('new', 'sent') ORDER BY id;

-- case: set operations
SELECT id FROM people UNION SELECT person_id FROM orders EXCEPT SELECT 1 ORDER BY 1;

-- case: values
VALUES (1, 'a'), (2, 'b');

-- case: distinct on
SELECT DISTINCT ON (person_id) person_id, id FROM orders ORDER BY person_id, placed DESC, id;

-- case: tablesample
SELECT count(*) > 0 FROM orders TABLESAMPLE BERNOULLI (100);

-- case: generate series dates
SELECT d::date FROM generate_series(DATE '2021-01-01', DATE '2021-01-05', INTERVAL '1 day') d;

-- case: json report
SELECT json_agg(json_build_object('id', o.id, 'who', p.label)) FROM orders o JOIN people p ON p.id = o.person_id;

-- case: row to json of a masked table
SELECT row_to_json(p) FROM people p ORDER BY id LIMIT 3;

-- case: nested json as object mappers build it
SELECT coalesce(json_agg(x), '[]') FROM (SELECT p.id, p.label, p.email, (SELECT coalesce(json_agg(o), '[]') FROM (SELECT o.id, o.amount FROM orders o WHERE o.person_id = p.id ORDER BY o.id) o) AS orders FROM people p ORDER BY p.id LIMIT 5) x;

-- case: view
SELECT * FROM orders_view ORDER BY id;

-- case: view over a masked table
SELECT id, label, ssn FROM people_view ORDER BY id;

-- case: materialized view
SELECT * FROM orders_mat ORDER BY status;

-- case: partitioned table
SELECT kind, count(*) FROM events GROUP BY kind ORDER BY kind;

-- case: inherited table
SELECT id, holder FROM accounts ORDER BY id;

-- case: odd names
SELECT "select" FROM "Odd ""Table" ORDER BY id;

-- case: quoted aliases
SELECT o."id" AS "Order Id", "o"."amount" AS "Amount, EUR" FROM "public"."orders" AS "o" ORDER BY "Order Id";

-- case: case insensitive names
SELECT ID, LABEL FROM PEOPLE ORDER BY ID;

-- case: schema qualified
SELECT public.orders.id FROM public.orders ORDER BY 1;

-- case: null handling
SELECT id, note IS NULL FROM people ORDER BY id;

-- case: masked column in output only
SELECT id, email, phone, born, salary, doc, nicknames FROM people WHERE team_id = 2 ORDER BY id;

-- case: types
SELECT 1::smallint, 2::int, 3::bigint, 1.5::numeric, 1.5::real, 2.5::double precision, 'a'::text, 'b'::varchar(3), 'c'::char(3), true, DATE '2020-01-01', TIME '12:00', TIMESTAMP '2020-01-01 12:00', TIMESTAMPTZ '2020-01-01 12:00Z', INTERVAL '1 day', '\x00ff'::bytea, gen_random_uuid() IS NOT NULL, '{"a": 1}'::json, '{"a": 1}'::jsonb, '{1,2}'::int[], '10.0.0.1'::inet, '10.0.0.0/8'::cidr, '08:00:2b:01:02:03'::macaddr, '(1,2)'::point, '1 USD' IS NOT NULL, int4range(1, 5), 'a & b'::tsquery, 'a b'::tsvector, B'101', '<a/>'::xml, '12.34'::money, 'gold'::tier, ROW('a', 'b')::address;

-- case: arrays
SELECT (ARRAY[[1, 2], [3, 4]])[2][1], '{a,b}'::text[] || 'c'::text, array_length(ARRAY[1, 2, 3], 1), 2 = ANY (ARRAY[1, 2]);

-- case: ranges
SELECT int4range(1, 10) * int4range(5, 20), daterange('2020-01-01', '2020-02-01') @> DATE '2020-01-15';

-- case: json operators
SELECT payload ->> 'k', payload @> '{"k": 1}', jsonb_path_exists(payload, '$.k') FROM scratch ORDER BY id;

-- case: full text
SELECT to_tsvector('english', memo) @@ to_tsquery('english', 'memo') FROM orders ORDER BY id LIMIT 3;

-- case: regular expressions
SELECT regexp_replace(memo, '\d+', '#'), memo ~* 'MEMO' FROM orders ORDER BY id LIMIT 3;

-- case: string functions
SELECT upper('a'), lpad('1', 3, '0'), split_part('a-b', '-', 2), format('%s-%I', 1, 'x'), concat_ws(',', 'a', NULL, 'b'), translate('abc', 'ab', 'xy'), md5('a'), encode('abc', 'base64');

-- case: date functions
SELECT date_trunc('month', placed), extract(dow FROM placed), age(placed, DATE '2020-01-01'), to_char(placed, 'DD Mon YYYY') FROM orders ORDER BY id LIMIT 3;

-- case: math functions
SELECT round(1.555, 2), ceil(1.1), power(2, 10), mod(7, 3), abs(-1), sqrt(16), greatest(1, 2), width_bucket(5, 0, 10, 5);

-- case: conditional expressions
SELECT CASE WHEN amount > 100 THEN 'big' ELSE 'small' END, nullif(status, 'new'), coalesce(memo, '-') FROM orders ORDER BY id LIMIT 5;

-- case: comments
/* a report */ SELECT id -- the key
FROM orders /* of /* ours */ */ ORDER BY id;

-- case: keywords in strings
SELECT 'DROP TABLE people; DELETE FROM people; -- GRANT ALL', $$COPY people TO PROGRAM 'rm'$$, "o"."memo" FROM orders o WHERE memo <> 'TRUNCATE people' ORDER BY id;

-- case: keywords in comments
SELECT id FROM orders /* DROP TABLE orders; DO $$ BEGIN END $$ */ ORDER BY id; -- DELETE FROM orders

-- case: semicolon in a string
SELECT 'a;b', E'c\';d', $x$;$x$;

-- case: trailing semicolons and blanks
-- mode: simple
SELECT 1;  ;

-- case: empty query
-- mode: simple
-- send: whole
;

-- case: insert
BEGIN;
INSERT INTO scratch (id, body, n, payload) VALUES (5001, 'x', 1, '{"a": [1, 2]}');
ROLLBACK;

-- case: insert returning
BEGIN;
INSERT INTO scratch (id, body) VALUES (5002, 'x'), (5003, 'y') RETURNING id, body;
ROLLBACK;

-- case: insert select
BEGIN;
INSERT INTO scratch (id, n) SELECT id + 5000, amount FROM orders WHERE status = 'paid';
ROLLBACK;

-- case: insert default values
BEGIN;
CREATE TEMP TABLE d (id serial PRIMARY KEY, at date DEFAULT '2020-01-01');
INSERT INTO d DEFAULT VALUES RETURNING id, at;
ROLLBACK;

-- case: upsert
BEGIN;
INSERT INTO scratch (id, body) VALUES (1, 'new') ON CONFLICT (id) DO UPDATE SET body = excluded.body RETURNING body;
ROLLBACK;

-- case: upsert do nothing
BEGIN;
INSERT INTO scratch (id, body) VALUES (1, 'new') ON CONFLICT DO NOTHING;
ROLLBACK;

-- case: update by key
BEGIN;
UPDATE orders SET status = 'paid', memo = memo || '!' WHERE id = 3 RETURNING id, status, memo;
ROLLBACK;

-- case: update an unmasked column of a masked table
BEGIN;
UPDATE people SET label = 'x', grade = grade + 1 WHERE id = 3;
ROLLBACK;

-- case: update an unmasked column returning unmasked ones
BEGIN;
UPDATE people SET label = 'x' WHERE id = 3 RETURNING id, label, grade;
ROLLBACK;

-- case: update from an unmasked join
BEGIN;
UPDATE orders o SET memo = t.title FROM people p JOIN teams t ON t.id = p.team_id WHERE p.id = o.person_id AND o.id < 9;
ROLLBACK;

-- case: write a masked column blindly
BEGIN;
UPDATE people SET email = 'new@corp.example' WHERE id = 3;
ROLLBACK;

-- case: delete by key
BEGIN;
DELETE FROM orders WHERE id = 3 RETURNING id, amount;
ROLLBACK;

-- case: delete using
BEGIN;
DELETE FROM orders o USING teams t WHERE t.id = o.id AND t.title = 'red';
ROLLBACK;

-- case: merge
BEGIN;
MERGE INTO scratch s USING (VALUES (1, 'a'), (7001, 'b')) v (id, body) ON s.id = v.id WHEN MATCHED THEN UPDATE SET body = v.body WHEN NOT MATCHED THEN INSERT (id, body) VALUES (v.id, v.body);
ROLLBACK;

-- case: data modifying cte
BEGIN;
WITH moved AS (DELETE FROM scratch WHERE id = 2 RETURNING *) INSERT INTO scratch SELECT id + 6000, body, n, payload FROM moved RETURNING id;
ROLLBACK;

-- case: select for update
BEGIN;
SELECT id, status FROM orders WHERE id = 3 FOR UPDATE;
ROLLBACK;

-- case: select for update of a masked table
BEGIN;
SELECT id, label FROM people WHERE id = 3 FOR UPDATE;
ROLLBACK;

-- case: select for update of one of a join
BEGIN;
SELECT o.id, p.label FROM orders o JOIN people p ON p.id = o.person_id WHERE o.id < 4 ORDER BY o.id FOR UPDATE OF o SKIP LOCKED;
ROLLBACK;

-- case: job queue
BEGIN;
UPDATE scratch SET n = 1 WHERE id = (SELECT id FROM scratch ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id;
ROLLBACK;

-- case: temporary table
CREATE TEMP TABLE t (id int, body text);
INSERT INTO t SELECT id, memo FROM orders;
CREATE INDEX ON t (id);
ANALYZE t;
SELECT count(*) FROM t;
DROP TABLE t;

-- case: temporary table as
CREATE TEMP TABLE t AS SELECT id, status FROM orders;
SELECT count(*) FROM t;

-- case: temporary table as of a masked table
CREATE TEMP TABLE t AS SELECT id, label, email FROM people;
SELECT * FROM t ORDER BY id;

-- case: temporary table on commit drop
BEGIN;
CREATE TEMP TABLE t (id int) ON COMMIT DROP;
INSERT INTO t VALUES (1);
COMMIT;

-- case: create and use a table
BEGIN;
CREATE TABLE made (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT now(), ref int REFERENCES orders (id), UNIQUE (ref));
CREATE INDEX ON made (at);
INSERT INTO made (ref) VALUES (1) RETURNING id;
ROLLBACK;

-- case: create view and type
BEGIN;
CREATE TYPE mood AS ENUM ('ok', 'bad');
CREATE VIEW paid AS SELECT * FROM orders WHERE status = 'paid';
SELECT count(*) FROM paid;
ROLLBACK;

-- case: explain
EXPLAIN SELECT * FROM orders WHERE id = 1;

-- case: explain delete
EXPLAIN DELETE FROM orders;

-- case: explain delete of a masked table
EXPLAIN (COSTS OFF) DELETE FROM people WHERE id = 1;

-- case: explain analyze
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM orders;

-- case: explain json
EXPLAIN (FORMAT JSON, COSTS OFF) SELECT id FROM people WHERE id = 1;

-- case: copy out
COPY orders TO STDOUT;

-- case: copy out csv of a query
COPY (SELECT id, status FROM orders ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER);

-- case: copy out of a masked table
COPY people (id, label) TO STDOUT;

-- case: copy out binary
COPY orders (id, amount) TO STDOUT (FORMAT binary);

-- case: copy in
-- mode: simple extended
-- copy: 5101\tx\t1\t{}\n5102\t\\N\t\\N\t\\N\n
BEGIN;
COPY scratch FROM STDIN;
SELECT count(*) FROM scratch WHERE id > 5100;
ROLLBACK;

-- case: copy in csv
-- mode: simple
-- copy: id,body\n5103,"a ""quoted"" one"\n
BEGIN;
COPY scratch (id, body) FROM STDIN WITH (FORMAT csv, HEADER true);
SELECT body FROM scratch WHERE id = 5103;
ROLLBACK;

-- case: a large text
-- mode: simple extended
SELECT length('@@100000(0123456789)@@');

-- case: many values
-- mode: simple extended
SELECT count(*) FROM (VALUES (0)@@5000(, (#))@@) v (x);

-- case: many terms
SELECT count(*) FROM orders WHERE id = 0@@1000( OR id = #)@@;

-- case: a long in list
SELECT count(*) FROM orders WHERE id IN (0@@10000(, #)@@);

-- case: a wide select
SELECT 1@@1600(, # AS c#)@@ LIMIT 0;

-- case: a long concatenation
SELECT length(''@@900( || 'x#')@@);

-- case: thousands of parameters
-- mode: extended
-- params: 0@@9999(|#)@@
SELECT count(*) FROM orders WHERE id IN ($1@@2-10000(, $#)@@);

-- case: as many parameters as the protocol can carry
-- mode: extended
-- params: 0@@65534(|#)@@
SELECT count(*) FROM orders WHERE id IN ($1@@2-65535(, $#)@@);

-- case: window functions over a masked table
SELECT id, email, row_number() OVER (ORDER BY id), lag(label) OVER (ORDER BY id) FROM people ORDER BY id;
