-- Guesses in a predicate: the rows, or their number, tell.

-- case: greater than
SELECT count(*) FROM people WHERE ssn > '5';

-- case: like prefix
SELECT id FROM people WHERE ssn LIKE '7%' ORDER BY id;

-- case: not like
SELECT id FROM people WHERE ssn NOT LIKE '%3%' ORDER BY id;

-- case: regular expression
SELECT id FROM people WHERE ssn ~ '^[1-4]' ORDER BY id;

-- case: similar to
SELECT id FROM people WHERE ssn SIMILAR TO '(1|2|3)%' ORDER BY id;

-- case: between
SELECT id FROM people WHERE salary BETWEEN 10000000 AND 50000000 ORDER BY id;

-- case: in list
SELECT count(*) FROM people WHERE left(ssn, 1) IN ('1', '2', '3');

-- case: any array
SELECT id FROM people WHERE left(email, 1) = ANY (ARRAY['b', 'c', 'd', 'f', 'g', 'h']) ORDER BY id;

-- case: parameter
-- mode: extended binary
-- params: 7%
SELECT id FROM people WHERE ssn LIKE $1 ORDER BY id;

-- case: null test of expression
SELECT id FROM people WHERE nullif(left(ssn, 1), '7') IS NULL ORDER BY id;

-- case: is distinct from
SELECT id FROM people WHERE left(ssn, 1) IS DISTINCT FROM '4' ORDER BY id;

-- case: boolean expression as row filter
SELECT id FROM people WHERE (salary > 50000000) IS TRUE ORDER BY id;

-- case: row comparison
SELECT id FROM people WHERE (ssn, id) > ('5', 0) ORDER BY id;

-- case: row in subquery
SELECT id FROM people p WHERE (left(ssn, 1), 1) IN (VALUES ('4', 1), ('5', 1)) ORDER BY id;

-- case: jsonb path
SELECT id FROM people WHERE doc ->> 'card' > '5' ORDER BY id;

-- case: jsonb path predicate
SELECT id FROM people WHERE doc @? '$.card ? (@ starts with "4")' ORDER BY id;

-- case: jsonb path like_regex
SELECT id FROM people WHERE doc @@ '$.card like_regex "^[1-5]"' ORDER BY id;

-- case: jsonb subscripting
SELECT id FROM people WHERE doc['n']::int > 500 ORDER BY id;

-- case: array element
SELECT id FROM people WHERE nicknames[1] > 'm' ORDER BY id;

-- case: array length of unnest
SELECT id FROM people WHERE (SELECT max(length(x)) FROM unnest(nicknames) x) > 10 ORDER BY id;

-- case: length
SELECT id, length(note) FROM people ORDER BY id;

-- case: octet length
SELECT sum(octet_length(email)) FROM people;

-- case: bit of a byte
SELECT id FROM people WHERE get_bit(raw, 0) = 1 ORDER BY id;

-- case: date part
SELECT id FROM people WHERE extract(year FROM born) > 1970 ORDER BY id;

-- case: overlaps
SELECT id FROM people WHERE (born, born + 1) OVERLAPS (DATE '1950-01-01', DATE '1960-01-01') ORDER BY id;

-- case: inet containment
SELECT id FROM people WHERE origin << '128.0.0.0/1' ORDER BY id;

-- case: uuid order
SELECT id FROM people WHERE token > '80000000-0000-0000-0000-000000000000' ORDER BY id;

-- case: enum order
SELECT id FROM people WHERE level >= 'silver' ORDER BY id;

-- case: composite field
SELECT id FROM people WHERE (home).zip > '5' ORDER BY id;

-- case: domain value
SELECT id FROM people WHERE account > 'DE5' ORDER BY id;

-- case: range overlap
SELECT id FROM rooms WHERE during && int4range(0, 60) ORDER BY id;

-- case: range bounds
SELECT id, upper(during) - lower(during) AS hours FROM rooms ORDER BY id;

-- case: trigram similarity
SELECT id FROM people WHERE email % 'bcdfg@hjk.example' ORDER BY id;

-- case: exists with a guess
SELECT 1 WHERE EXISTS (SELECT FROM people WHERE id = 3 AND ssn LIKE '%7%4%');

-- case: not exists
SELECT t.id FROM teams t WHERE NOT EXISTS (SELECT FROM people p WHERE p.team_id = t.id AND p.salary > 60000000) ORDER BY 1;

-- case: in subquery
SELECT id FROM orders WHERE person_id IN (SELECT id FROM people WHERE salary > 50000000) ORDER BY id;

-- case: all subquery
SELECT id FROM teams t WHERE 50000000 > ALL (SELECT salary FROM people WHERE id % 4 + 1 = t.id) ORDER BY 1;

-- case: scalar subquery
SELECT id FROM teams WHERE (SELECT ssn FROM people WHERE id = 7) > '5';

-- case: limit from a value
SELECT id FROM orders ORDER BY id LIMIT (SELECT salary % 7 FROM people WHERE id = 1);

-- case: offset from a value
SELECT id FROM orders ORDER BY id OFFSET (SELECT salary % 50 FROM people WHERE id = 1);

-- case: generate series to a value
SELECT count(*) FROM people p, generate_series(1, p.salary / 1000000) g;

-- case: having
SELECT team_id FROM people GROUP BY team_id HAVING max(ssn) > '95' ORDER BY 1;

-- case: filter clause
SELECT count(*) FILTER (WHERE ssn > '5') FROM people;

-- case: tablesample then predicate
SELECT count(*) FROM people TABLESAMPLE SYSTEM (100) WHERE ssn > '5';

-- case: merge join on guess
SELECT p.id FROM people p JOIN (VALUES ('4'), ('5')) v (c) ON left(p.ssn, 1) = v.c ORDER BY 1;

-- case: outer join nulls
SELECT t.id, p.id FROM teams t LEFT JOIN people p ON p.id = t.id AND p.ssn > '5' ORDER BY 1;

-- case: full join
SELECT count(*) FROM people p FULL JOIN (SELECT generate_series(1, 9)::text AS d) v ON v.d = left(p.ssn, 1);

-- case: self join on masked
SELECT count(*) FROM people a JOIN people b ON left(a.ssn, 1) = left(b.ssn, 1);

-- case: cross row comparison
SELECT a.id, b.id FROM people a JOIN people b ON a.salary > b.salary AND a.id < 4 AND b.id < 4 ORDER BY 1, 2;

-- case: semi join by key of masked table
SELECT id FROM people WHERE id IN (SELECT person_id FROM badges WHERE code > 'm') ORDER BY 1;

-- case: lateral limit
SELECT t.id, x.id FROM teams t, LATERAL (SELECT id FROM people p WHERE p.team_id = t.id ORDER BY salary LIMIT 1) x ORDER BY 1;

-- case: not in
SELECT id FROM teams WHERE 'x' NOT IN (SELECT left(ssn, 1) FROM people WHERE people.team_id = teams.id AND ssn > '9') ORDER BY 1;

-- case: system column with a guess
SELECT count(ctid) FROM people WHERE ssn > '5';

-- case: collation
SELECT id FROM people WHERE email COLLATE "C" > 'm' ORDER BY id;

-- case: current of style position
SELECT id FROM people WHERE position('7' IN ssn) = 1 ORDER BY id;

-- case: hash of value
SELECT id FROM people WHERE hashtext(ssn) > 0 ORDER BY id;

-- case: md5 of value
SELECT id FROM people WHERE md5(ssn) > '8' ORDER BY id;

-- case: digest
SELECT id, encode(digest(ssn, 'sha256'), 'hex') FROM people ORDER BY id;

-- case: crc style checksum
SELECT sum(ascii(substr(ssn, 1, 1))) FROM people;
