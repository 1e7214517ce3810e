-- Whole rows, and columns under other names.

-- case: star
SELECT * FROM people ORDER BY id;

-- case: table command
TABLE people;

-- case: qualified star
SELECT p.* FROM people p ORDER BY id;

-- case: row value
SELECT p FROM people p ORDER BY id;

-- case: row as text
SELECT p::text FROM people p ORDER BY id;

-- case: row by table name
SELECT people FROM people ORDER BY id;

-- case: row by qualified table name
SELECT public.people.ssn FROM public.people ORDER BY id;

-- case: row to json
SELECT row_to_json(p) FROM people p ORDER BY id;

-- case: to jsonb
SELECT to_jsonb(people) FROM people ORDER BY id;

-- case: json agg of rows
SELECT json_agg(p) FROM people p;

-- case: jsonb each of a row
SELECT k.key, k.value FROM people p, jsonb_each_text(to_jsonb(p)) k WHERE p.id = 3 ORDER BY 1;

-- case: jsonb populate record
SELECT (jsonb_populate_record(p, '{"label": "x"}')).ssn FROM people p ORDER BY id;

-- case: json to record
SELECT r.ssn FROM people p, json_to_record(row_to_json(p)) r (ssn text) ORDER BY 1;

-- case: hstore of a row
SELECT hstore(p) -> 'ssn' FROM people p ORDER BY id;

-- case: hstore each
SELECT (each(hstore(p))).value FROM people p WHERE id = 2;

-- case: functional notation
SELECT ssn(p) FROM people p ORDER BY id;

-- case: functional notation with table name
SELECT ssn(people), email(people) FROM people ORDER BY id;

-- case: attribute notation of function
SELECT p.initials FROM people p ORDER BY id;

-- case: attribute of row
SELECT (p).ssn FROM people p ORDER BY id;

-- case: star of row
SELECT (p).* FROM people p ORDER BY id;

-- case: star of a function of row
SELECT (x.r).ssn FROM (SELECT p AS r FROM people p) x ORDER BY 1;

-- case: row constructor
SELECT ROW(p.*) FROM people p ORDER BY id;

-- case: row constructor of columns
SELECT (id, ssn) FROM people ORDER BY id;

-- case: row comparison of rows
SELECT count(*) FROM people a, people b WHERE a < b;

-- case: row equality guess
SELECT id FROM people p WHERE p.*::text LIKE '%(7%' OR p.*::text LIKE '%,7%' ORDER BY id;

-- case: order by row
SELECT id FROM people p ORDER BY p;

-- case: distinct row
SELECT DISTINCT p FROM people p WHERE id < 4 ORDER BY p;

-- case: count of row
SELECT count(p) FROM people p WHERE NOT (p IS NULL);

-- case: row is null test
SELECT id FROM people p WHERE p IS NOT NULL ORDER BY id;

-- case: md5 of row
SELECT id, md5(p::text) FROM people p ORDER BY id;

-- case: hash of row
SELECT id, hash_record(p) FROM people p ORDER BY id;

-- case: concat row
SELECT concat(p) FROM people p ORDER BY id;

-- case: format row
SELECT format('%s', p) FROM people p ORDER BY id;

-- case: string agg of row
SELECT string_agg(p::text, ';' ORDER BY id) FROM people p;

-- case: array of rows
SELECT array_agg(p ORDER BY id) FROM people p WHERE id < 5;

-- case: unnest array of rows
SELECT u.ssn FROM (SELECT array_agg(p ORDER BY id) AS a FROM people p) x, unnest(x.a) u;

-- case: field of array element
SELECT (array_agg(p ORDER BY id))[2].ssn FROM people p;

-- case: lag of row
SELECT (lag(p) OVER (ORDER BY id)).ssn FROM people p;

-- case: max of row
SELECT max(p::text) FROM people p;

-- case: composite column
SELECT home, (home).street, (home).* FROM people ORDER BY id;

-- case: domain column
SELECT account, account::text FROM people ORDER BY id;

-- case: column aliases of table
SELECT e FROM people AS p (a, b, c, d, e) ORDER BY a;

-- case: column aliases shift
SELECT id FROM people AS p (ssn, x, y, z, id) ORDER BY 1;

-- case: column aliases swap
SELECT label FROM people AS p (id, ssn, a, b, label) ORDER BY 1;

-- case: join alias
SELECT j.ssn FROM (people p JOIN teams t ON t.id = p.team_id) AS j (a, b, c, d, ssn) ORDER BY a;

-- case: join alias with star
SELECT j.* FROM (people p JOIN badges b ON b.person_id = p.id) AS j ORDER BY 1;

-- case: join using alias
SELECT u.id FROM people p JOIN app.people q USING (id) AS u WHERE p.ssn > q.ssn ORDER BY 1;

-- case: using masked column
SELECT count(*) FROM badges JOIN badge_uses USING (code);

-- case: using merges
SELECT code, door FROM badges FULL JOIN badge_uses USING (code) ORDER BY door, badge_uses.id;

-- case: natural join
SELECT badge_uses.id FROM badges NATURAL JOIN badge_uses ORDER BY 1;

-- case: natural join on derived
SELECT count(*) FROM people NATURAL JOIN (SELECT ssn FROM people WHERE id < 10) x;

-- case: natural shift by rename
SELECT p.id FROM people p NATURAL JOIN (SELECT '4'::text AS s) v WHERE left(p.ssn, 1) = v.s ORDER BY 1;

-- case: cte
WITH x AS (SELECT * FROM people) SELECT ssn FROM x ORDER BY id;

-- case: cte column names
WITH x (a, b, c, d, e) AS (SELECT * FROM people) SELECT e FROM x ORDER BY a;

-- case: cte materialized
WITH x AS MATERIALIZED (SELECT id, ssn FROM people) SELECT id FROM x WHERE ssn > '5' ORDER BY id;

-- case: cte not materialized
WITH x AS NOT MATERIALIZED (SELECT id, ssn FROM people) SELECT id FROM x WHERE ssn > '5' ORDER BY id;

-- case: cte twice
WITH x AS (SELECT ssn s FROM people), y AS (SELECT s t FROM x) SELECT t FROM y;

-- case: cte row
WITH x AS (SELECT p FROM people p) SELECT (x.p).ssn FROM x;

-- case: cte named like a column
WITH ssn AS (SELECT * FROM people) SELECT ssn FROM ssn;

-- case: cte within cte
WITH x AS (WITH y AS (SELECT ssn FROM people) TABLE y) TABLE x;

-- case: cte in a subquery
SELECT (WITH y AS (SELECT ssn FROM people WHERE id = 3) TABLE y);

-- case: cte search clause
WITH RECURSIVE r (id, s) AS (SELECT id, ssn FROM people WHERE id = 1 UNION ALL SELECT p.id, p.ssn FROM people p, r WHERE p.id = r.id + 1 AND p.id < 6) SEARCH DEPTH FIRST BY s SET o SELECT o FROM r;

-- case: cte cycle clause
WITH RECURSIVE r (id, s) AS (SELECT id, ssn FROM people WHERE id = 1 UNION ALL SELECT p.id, p.ssn FROM people p, r WHERE p.id = r.id + 1 AND p.id < 6) CYCLE s SET c USING path SELECT path FROM r;

-- case: recursive through strings
WITH RECURSIVE r (n, c) AS (SELECT 1, substr((SELECT ssn FROM people WHERE id = 1), 1, 1) UNION ALL SELECT n + 1, substr((SELECT ssn FROM people WHERE id = 1), n + 1, 1) FROM r WHERE n < 11) SELECT c FROM r;

-- case: union
SELECT title FROM teams UNION SELECT ssn FROM people ORDER BY 1;

-- case: union all first arm names
SELECT 'x' AS a UNION ALL SELECT ssn FROM people;

-- case: except
SELECT ssn FROM people EXCEPT SELECT title FROM teams ORDER BY 1;

-- case: nested set operations
(SELECT title FROM teams EXCEPT SELECT 'red') UNION ALL (SELECT email FROM people INTERSECT SELECT email FROM people) ORDER BY 1;

-- case: union of rows
SELECT p FROM people p UNION ALL SELECT q FROM people q LIMIT 3;

-- case: values of subquery
VALUES ((SELECT ssn FROM people WHERE id = 1)), ((SELECT email FROM people WHERE id = 2));

-- case: lateral
SELECT x.s FROM people p, LATERAL (SELECT p.ssn AS s) x ORDER BY p.id;

-- case: lateral function
SELECT u FROM people p, unnest(ARRAY[p.ssn, p.email]) u ORDER BY p.id, u;

-- case: lateral string to table
SELECT c FROM people p, string_to_table(p.ssn, NULL) c WHERE p.id = 3;

-- case: lateral regexp split
SELECT c FROM people p, regexp_split_to_table(p.ssn, '') WITH ORDINALITY r (c, o) WHERE p.id < 3 ORDER BY p.id, o;

-- case: lateral rows from
SELECT * FROM people p, LATERAL ROWS FROM (unnest(ARRAY[p.ssn]), generate_series(1, 1)) AS r (a, b) ORDER BY p.id LIMIT 5;

-- case: lateral values
SELECT v.a FROM people p CROSS JOIN LATERAL (VALUES (p.ssn), (p.phone)) v (a) ORDER BY p.id;

-- case: xmltable
SELECT x.v FROM people p, XMLTABLE('/r' PASSING xmlelement(name r, p.ssn) COLUMNS v text PATH '.') x ORDER BY p.id;

-- case: xmlforest
SELECT xmlforest(ssn, email AS e) FROM people ORDER BY id;

-- case: xmlconcat and serialize
SELECT xmlserialize(CONTENT xmlconcat(xmlelement(name a, ssn), xmlpi(name b, email)) AS text) FROM people ORDER BY id;

-- case: jsonb path query
SELECT jsonb_path_query(doc, '$.*') FROM people ORDER BY id;

-- case: jsonb each
SELECT e.value FROM people, jsonb_each_text(doc) e ORDER BY id, 1;

-- case: json build
SELECT json_build_object('s', ssn, 'd', doc) FROM people ORDER BY id;

-- case: array literal
SELECT ARRAY[ssn, email] FROM people ORDER BY id;

-- case: array subquery
SELECT ARRAY(SELECT ssn FROM people ORDER BY id);

-- case: array to string
SELECT array_to_string(nicknames, '/') FROM people ORDER BY id;

-- case: array concat
SELECT nicknames || ssn FROM people ORDER BY id;

-- case: subselect in select list
SELECT (SELECT ssn) FROM people ORDER BY id;

-- case: correlated outer reference
SELECT (SELECT max(p.ssn) FROM teams t) FROM people p GROUP BY p.id ORDER BY p.id;

-- case: outer name shadow
SELECT (SELECT ssn FROM teams LIMIT 1) FROM people ORDER BY id;

-- case: deep alias chain
SELECT d FROM (SELECT c AS d FROM (SELECT b AS c FROM (SELECT ssn AS b FROM people) x) y) z;

-- case: whole row of subquery
SELECT x FROM (SELECT ssn FROM people) x;

-- case: whole row of join alias
SELECT j FROM (people p JOIN teams t ON t.id = p.team_id) AS j ORDER BY 1 LIMIT 3;

-- case: collate
SELECT ssn COLLATE "C" FROM people ORDER BY id;

-- case: at time zone
SELECT seen_at AT TIME ZONE 'UTC' FROM people ORDER BY id;

-- case: extract
SELECT extract(epoch FROM born), to_char(born, 'YYYY-MM-DD') FROM people ORDER BY id;

-- case: overlay
SELECT overlay(ssn PLACING 'x' FROM 1 FOR 0) FROM people ORDER BY id;

-- case: json typed casts
SELECT to_json(ssn), to_json(born), to_json(salary) FROM people ORDER BY id;
