-- COPY, cursors, large objects and files.

-- case: copy table
COPY people TO STDOUT;

-- case: copy columns
COPY people (id, ssn, email) TO STDOUT;

-- case: copy qualified
COPY public.people (ssn) TO STDOUT;

-- case: copy csv
COPY people TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *);

-- case: copy binary
COPY people TO STDOUT (FORMAT binary);

-- case: copy query
COPY (SELECT ssn FROM people ORDER BY id) TO STDOUT;

-- case: copy table command
COPY (TABLE people) TO STDOUT;

-- case: copy values
COPY (VALUES ((SELECT ssn FROM people WHERE id = 1))) TO STDOUT;

-- case: copy returning
BEGIN;
COPY (UPDATE people SET grade = 1 WHERE id < 4 RETURNING ssn) TO STDOUT;
ROLLBACK;

-- case: copy delimiter and null
COPY people (ssn, phone) TO STDOUT (DELIMITER '|', NULL 'none', ENCODING 'LATIN1');

-- case: copy order by
COPY (SELECT id FROM people ORDER BY ssn) TO STDOUT;

-- case: copy partition parent
COPY (SELECT * FROM events) TO STDOUT;

-- case: copy partition child
COPY events_1 TO STDOUT;

-- case: copy inheritance child
COPY savings TO STDOUT;

-- case: copy view
COPY (SELECT * FROM people_view) TO STDOUT;

-- case: copy matview
COPY people_mat TO STDOUT;

-- case: copy old syntax
COPY people TO STDOUT BINARY;

-- case: copy old delimiter syntax
COPY people (id, ssn) TO STDOUT USING DELIMITERS '|';

-- case: copy to program
COPY people TO PROGRAM 'cat >/dev/null';

-- case: copy to file
COPY people TO '/dev/null';

-- case: copy from file
COPY scratch (body) FROM '/etc/passwd';

-- case: copy from program
BEGIN;
CREATE TEMP TABLE got (line text);
COPY got FROM PROGRAM 'echo hello';
SELECT * FROM got;
ROLLBACK;

-- case: copy quoted
COPY "public"."people" ("id", "ssn") TO STDOUT;

-- case: copy system catalog
COPY pg_catalog.pg_statistic TO STDOUT;

-- case: copy of pg_stats
-- expect: any
COPY (SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'people' ORDER BY attname) TO STDOUT;

-- case: cursor
BEGIN;
DECLARE c CURSOR FOR SELECT ssn FROM people ORDER BY id;
FETCH ALL FROM c;
ROLLBACK;

-- case: cursor binary
BEGIN;
DECLARE c BINARY CURSOR FOR SELECT salary, ssn FROM people ORDER BY id;
FETCH 5 FROM c;
ROLLBACK;

-- case: cursor with hold
DECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM people ORDER BY id;
FETCH ALL FROM c;
CLOSE c;

-- case: scroll cursor
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM people ORDER BY ssn;
FETCH LAST FROM c;
FETCH ABSOLUTE 3 FROM c;
ROLLBACK;

-- case: cursor from function
BEGIN;
SELECT people_cursor();
FETCH ALL FROM from_function;
ROLLBACK;

-- case: cursor to xml
BEGIN;
DECLARE c CURSOR FOR SELECT ssn FROM people;
SELECT cursor_to_xml('c', 100, true, false, '');
ROLLBACK;

-- case: prepare execute
PREPARE p AS SELECT ssn FROM people WHERE id = $1;
EXECUTE p (3);

-- case: prepare with masked parameter
PREPARE p (text) AS SELECT id FROM people WHERE ssn > $1 ORDER BY id;
EXECUTE p ('5');

-- case: execute with subquery argument
PREPARE p (text) AS SELECT $1;
EXECUTE p ((SELECT ssn FROM people WHERE id = 1));

-- case: prepare insert
BEGIN;
PREPARE p AS INSERT INTO scratch SELECT id + 1000, ssn FROM people RETURNING body;
EXECUTE p;
ROLLBACK;

-- case: create table as execute
BEGIN;
PREPARE p AS SELECT ssn FROM people;
CREATE TABLE stolen AS EXECUTE p;
SELECT * FROM stolen;
ROLLBACK;

-- case: explain analyze execute
PREPARE p AS SELECT id FROM people WHERE ssn > '5';
EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) EXECUTE p;

-- case: large object read
SELECT lo_get(424242);

-- case: large object read by offset
SELECT lo_get(424242, 0, 20);

-- case: large object descriptor
BEGIN;
SELECT loread(lo_open(424242, 262144), 100);
ROLLBACK;

-- case: large object table
SELECT data FROM pg_largeobject;

-- case: large object table without schema name
SELECT encode(data, 'hex') FROM pg_catalog.pg_largeobject WHERE loid = 424242;

-- case: large object from a secret
BEGIN;
SELECT lo_from_bytea(424299, ssn::bytea) FROM people WHERE id = 1;
SELECT lo_get(424299);
ROLLBACK;

-- case: large object export
SELECT lo_export(424242, '/tmp/writ-corpus-probe');

-- case: large object number
BEGIN;
SELECT lo_create(salary) FROM people WHERE id = 1;
SELECT oid FROM pg_largeobject_metadata ORDER BY oid;
ROLLBACK;

-- case: read a file
SELECT pg_read_file('PG_VERSION');

-- case: read a relation file
SELECT pg_read_binary_file(pg_relation_filepath('people'));

-- case: list directory
SELECT pg_ls_dir('base');

-- case: page of the heap
SELECT get_raw_page('people', 0);

-- case: heap page items
SELECT t_data FROM heap_page_items(get_raw_page('people', 0));

-- case: heap tuple attributes
SELECT t_attrs FROM heap_page_item_attrs(get_raw_page('people', 0), 'people'::regclass);

-- case: btree page items
SELECT data FROM bt_page_items('people_ssn_key', 1);

-- case: btree page stats
SELECT live_items, free_size FROM bt_page_stats('people_email', 1);

-- case: tuple statistics
SELECT tuple_len, free_space FROM pgstattuple('people');
