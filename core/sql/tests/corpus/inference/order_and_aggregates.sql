-- The order of rows, and what aggregates and windows make of values.

-- case: order by
SELECT id FROM people ORDER BY ssn;

-- case: order by desc limit
SELECT id FROM people ORDER BY salary DESC LIMIT 1;

-- case: order by expression
SELECT id FROM people ORDER BY substr(ssn, 5), id;

-- case: order by position
SELECT ssn, id FROM people ORDER BY 1, 2;

-- case: order by alias
SELECT id, upper(email) AS e FROM people ORDER BY e;

-- case: order by using
SELECT id FROM people ORDER BY ssn USING >;

-- case: order by case
SELECT id FROM people ORDER BY CASE WHEN ssn > '5' THEN 0 ELSE 1 END, id;

-- case: order by subquery
SELECT id FROM orders o ORDER BY (SELECT ssn FROM people p WHERE p.id = o.person_id), id;

-- case: order by joined
SELECT o.id FROM orders o JOIN people p ON p.id = o.person_id ORDER BY p.salary, o.id;

-- case: fetch with ties
SELECT id FROM people ORDER BY level FETCH FIRST 1 ROW WITH TIES;

-- case: distinct
SELECT count(*) FROM (SELECT DISTINCT left(ssn, 1) FROM people) d;

-- case: distinct on
SELECT DISTINCT ON (team_id) team_id, id FROM people ORDER BY team_id, salary;

-- case: min max
SELECT min(ssn), max(ssn), min(born), max(salary) FROM people;

-- case: sum avg
SELECT sum(salary), avg(balance), stddev(salary) FROM people;

-- case: sum of one row
SELECT team_id, sum(salary) FROM people WHERE id = 3 GROUP BY team_id;

-- case: count distinct
SELECT count(DISTINCT left(ssn, 2)) FROM people;

-- case: string agg
SELECT string_agg(ssn, ',' ORDER BY id) FROM people;

-- case: string agg ordered by secret
SELECT string_agg(id::text, ',' ORDER BY ssn) FROM people;

-- case: array agg
SELECT array_agg(phone ORDER BY id) FROM people;

-- case: array agg ordered by secret
SELECT array_agg(id ORDER BY salary) FROM people;

-- case: json agg
SELECT json_agg(email ORDER BY id) FROM people;

-- case: jsonb object agg keys
SELECT jsonb_object_agg(ssn, id) FROM people;

-- case: bool and
SELECT team_id, bool_and(salary > 20000000) FROM people GROUP BY team_id ORDER BY 1;

-- case: bit or
SELECT bit_or(salary), bit_and(salary), bit_xor(salary) FROM people;

-- case: mode
SELECT mode() WITHIN GROUP (ORDER BY level) FROM people;

-- case: percentile disc
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ssn) FROM people;

-- case: percentile cont
SELECT percentile_cont(0.25) WITHIN GROUP (ORDER BY salary) FROM people;

-- case: hypothetical rank
SELECT rank('5') WITHIN GROUP (ORDER BY ssn) FROM people;

-- case: corr
SELECT corr(id, salary), regr_slope(salary, id), covar_pop(salary, id) FROM people;

-- case: range agg
SELECT range_agg(during) FROM rooms;

-- case: range intersect agg
SELECT range_intersect_agg(during) FROM rooms WHERE id = 2;

-- case: xml agg
SELECT xmlagg(xmlelement(name s, ssn) ORDER BY id) FROM people;

-- case: group by
SELECT count(*) FROM people GROUP BY left(ssn, 1) ORDER BY 1;

-- case: group by secret with key
SELECT level, count(*) FROM people GROUP BY level ORDER BY 2, 1;

-- case: grouping sets
SELECT team_id, level, count(*) FROM people GROUP BY GROUPING SETS ((team_id), (level), ()) ORDER BY 1, 2, 3;

-- case: cube
SELECT level, grade, count(*) FROM people GROUP BY CUBE (level, grade) ORDER BY 1, 2, 3;

-- case: rollup
SELECT left(ssn, 1) AS s, count(*) FROM people GROUP BY ROLLUP (1) ORDER BY 2, 1;

-- case: group by primary key
SELECT id, ssn, email FROM people GROUP BY id ORDER BY id;

-- case: group by primary key with join
SELECT p.id, p.ssn, sum(o.amount) FROM people p JOIN orders o ON o.person_id = p.id GROUP BY p.id ORDER BY p.id;

-- case: row number
SELECT id, row_number() OVER (ORDER BY ssn) FROM people ORDER BY id;

-- case: rank in partition
SELECT id, rank() OVER (PARTITION BY team_id ORDER BY salary) FROM people ORDER BY id;

-- case: partition by secret
SELECT id, count(*) OVER (PARTITION BY level) FROM people ORDER BY id;

-- case: lag
SELECT id, lag(ssn) OVER (ORDER BY id) FROM people;

-- case: lag across order of secret
SELECT id, lag(id) OVER (ORDER BY ssn) FROM people ORDER BY id;

-- case: first value
SELECT DISTINCT first_value(ssn) OVER (ORDER BY id) FROM people;

-- case: nth value in named window
SELECT id, nth_value(email, 2) OVER w FROM people WINDOW w AS (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING);

-- case: range frame over secret
SELECT id, count(*) OVER (ORDER BY salary RANGE BETWEEN 1000000 PRECEDING AND CURRENT ROW) FROM people ORDER BY id;

-- case: groups frame
SELECT id, count(*) OVER (ORDER BY level GROUPS CURRENT ROW) FROM people ORDER BY id;

-- case: window filter
SELECT id, count(*) FILTER (WHERE ssn > '5') OVER () FROM people ORDER BY id;

-- case: ntile
SELECT id, ntile(4) OVER (ORDER BY balance) FROM people ORDER BY id;

-- case: cume dist
SELECT id, cume_dist() OVER (ORDER BY born) FROM people ORDER BY id;

-- case: case
SELECT id, CASE WHEN ssn > '5' THEN 'high' ELSE 'low' END FROM people ORDER BY id;

-- case: case of value
SELECT id, CASE left(ssn, 1) WHEN '1' THEN 'a' WHEN '2' THEN 'b' ELSE 'c' END FROM people ORDER BY id;

-- case: coalesce nullif
SELECT id, coalesce(nullif(left(ssn, 1), '4'), 'four') FROM people ORDER BY id;

-- case: greatest
SELECT id, greatest(salary, 50000000), least(ssn, '5') FROM people ORDER BY id;

-- case: comparison column
SELECT id, ssn > '5' AS x FROM people ORDER BY id;

-- case: width bucket
SELECT id, width_bucket(salary, 0, 100000000, 10) FROM people ORDER BY id;

-- case: difference to a constant
SELECT id, born - DATE '1950-01-01' AS days, age(DATE '2020-01-01', born) FROM people ORDER BY id;

-- case: modulo
SELECT id, salary % 10, mod(salary, 97) FROM people ORDER BY id;

-- case: set returning by value
SELECT id, generate_series(1, salary / 20000000) FROM people ORDER BY 1, 2;

-- case: intersect count
SELECT count(*) FROM (SELECT left(ssn, 2) FROM people INTERSECT SELECT g::text FROM generate_series(10, 60) g) x;

-- case: except all
SELECT count(*) FROM (SELECT g::text FROM generate_series(10, 99) g EXCEPT ALL SELECT left(ssn, 2) FROM people) x;

-- case: union removes duplicates
SELECT count(*) FROM (SELECT left(ssn, 1) FROM people UNION SELECT left(ssn, 1) FROM app.people) x;

-- case: recursive count
WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < (SELECT salary / 10000000 FROM people WHERE id = 2)) SELECT max(n) FROM r;
