-- Tools as they are: psql's descriptions and pg_dump, through the edge.

-- case: psql describes tables
-- mode: psql
\d
\d orders
\d people
\d+ people
\d events
\d+ accounts
\d "Odd ""Table"

-- case: psql lists relations
-- mode: psql
\dt
\dt+ app.*
\dv
\dv+
\dm
\di
\ds
\dE
\dtvmis *.*

-- case: psql lists schemas and roles
-- mode: psql
\dn
\dn+
\du
\dg
\drds
\ddp

-- case: psql lists databases
-- mode: psql
\l
\conninfo

-- case: psql lists functions and types
-- mode: psql
\df
\df+ ssn_of
\da
\dT
\dT+
\dD
\do
\dC
\dc
\dO
\dL

-- case: psql lists the rest
-- mode: psql
\dx
\dx+ hstore
\dy
\dF
\dFd
\dFp
\dFt
\des
\det
\deu
\dew
\dRp
\dRs
\dX
\dP
\dA
\dAc
\dAf
\dAo
\dAp
\db
\dconfig work_mem
\dd
\dl
\dp
\z orders

-- case: psql shows sources
-- mode: psql
\sf plus_one
\sf+ ssn_of
\sv orders_view
\sv+ people_named

-- case: psql works
-- mode: psql
\set x 3
SELECT id FROM orders WHERE id = :x \gset
\echo :id
SELECT id, status FROM orders ORDER BY id LIMIT 3 \gx
SELECT count(*) FROM people \g /dev/null
SELECT 'SELECT ' || n FROM generate_series(1, 3) n \gexec
SELECT id, email FROM people LIMIT 1 \gdesc
\copy (SELECT id FROM orders ORDER BY id LIMIT 3) TO STDOUT
\if true
SELECT 1;
\endif
\errverbose

-- case: psql fetches in pieces
-- mode: psql
\set FETCH_COUNT 7
SELECT id, label, ssn FROM people ORDER BY id;

-- case: psql crosstab view
-- mode: psql
SELECT status, extract(month FROM placed)::int AS m, count(*) FROM orders GROUP BY 1, 2 ORDER BY 1, 2 \crosstabview status m

-- case: psql on error rollback
-- mode: psql
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT 1;
SELECT count(*) FROM orders;
COMMIT;

-- case: pg_dump of the schema
-- mode: pg_dump
--schema-only

-- case: pg_dump of one table
-- mode: pg_dump
--table=orders

-- case: pg_dump of one masked table
-- mode: pg_dump
--table=people --inserts

-- case: pg_dump of data
-- mode: pg_dump
--data-only --table=teams --table=orders --table=scratch
