-- What only the protocol can say. `-` is the unnamed statement or portal.

-- case: function call of a user function
-- mode: script
function ssn_of(integer) 3
wait

-- case: function call of lo_get
-- mode: script
function lo_get(oid) 424242
wait

-- case: function call of query_to_xml
-- mode: script
function query_to_xml(text,boolean,boolean,text) SELECT ssn FROM people|t|f|
wait

-- case: function call of set_config
-- mode: script
function set_config(text,text,boolean) search_path|app|f
wait
query SELECT ssn FROM people ORDER BY id
wait

-- case: function call of pg_notify
-- mode: script
query LISTEN a
wait
function pg_notify(text,text) a|b
wait

-- case: function call of a definer function
-- mode: script
function ssn_of_definer(integer) 4
wait

-- case: function call of dynamic SQL
-- mode: script
function dynamic(text) SELECT ssn FROM people WHERE id = 1
wait

-- case: function call in a transaction
-- mode: script
query BEGIN
wait
function ssn_of(integer) 5
wait
query ROLLBACK
wait

-- case: pipeline
-- mode: script
parse - SELECT ssn FROM people ORDER BY id
bind - -
execute -
parse - SELECT email FROM people ORDER BY id
bind - -
execute -
sync
wait

-- case: pipeline without sync between statements and flush
-- mode: script
parse a SELECT ssn FROM people ORDER BY id
describe S a
flush
bind x a
describe P x
flush
execute x
flush
sync
wait

-- case: unnamed statement replaced before execute
-- mode: script
parse - SELECT id FROM teams ORDER BY id
parse - SELECT ssn FROM people ORDER BY id
bind - -
execute -
sync
wait

-- case: unnamed statement replaced after bind
-- mode: script
parse - SELECT id FROM teams ORDER BY id
bind p -
parse - SELECT ssn FROM people ORDER BY id
execute p
bind - -
execute -
sync
wait

-- case: unnamed portal replaced
-- mode: script
parse a SELECT id FROM teams ORDER BY id
parse b SELECT ssn FROM people ORDER BY id
bind - a
bind - b
execute -
sync
wait

-- case: named statement reused after error
-- mode: script
parse a SELECT id FROM teams ORDER BY id
sync
wait
parse a SELECT ssn FROM people ORDER BY id
sync
wait
bind - a
execute -
sync
wait

-- case: named statement closed and made anew
-- mode: script
parse a SELECT id FROM teams ORDER BY id
sync
wait
close S a
parse a SELECT ssn FROM people ORDER BY id
bind - a
execute -
sync
wait

-- case: statement closed in a failed pipeline
-- mode: script
parse a SELECT id FROM teams ORDER BY id
sync
wait
parse - SELEC
close S a
parse a SELECT ssn FROM people ORDER BY id
sync
wait
bind - a
execute -
sync
wait

-- case: sql prepare then protocol bind
-- mode: script
query PREPARE p AS SELECT ssn FROM people ORDER BY id
wait
bind - p
execute -
sync
wait

-- case: protocol parse then sql execute
-- mode: script
parse p SELECT ssn FROM people ORDER BY id
sync
wait
query EXECUTE p
wait

-- case: protocol parse then sql deallocate and prepare
-- mode: script
parse p SELECT id FROM teams ORDER BY id
sync
wait
query DEALLOCATE p; PREPARE p AS SELECT ssn FROM people ORDER BY id
wait
bind - p
execute -
sync
wait

-- case: deallocate all then bind
-- mode: script
parse p SELECT ssn FROM people ORDER BY id
sync
wait
query DEALLOCATE ALL
wait
bind - p
execute -
sync
wait

-- case: discard all then bind
-- mode: script
parse p SELECT ssn FROM people ORDER BY id
sync
wait
query DISCARD ALL
wait
bind - p
execute -
sync
wait

-- case: sql cursor executed as portal
-- mode: script
query BEGIN
wait
query DECLARE c CURSOR FOR SELECT ssn FROM people ORDER BY id
wait
describe P c
execute c
sync
wait
query ROLLBACK
wait

-- case: portal fetched by sql
-- mode: script
query BEGIN
wait
parse - SELECT ssn FROM people ORDER BY id
bind c -
sync
wait
query FETCH ALL FROM c
wait
query ROLLBACK
wait

-- case: portal in pieces
-- mode: script
query BEGIN
wait
parse - SELECT ssn FROM people ORDER BY id
bind c -
execute c 5
execute c 5
execute c
sync
wait
query ROLLBACK
wait

-- case: search path changed between parse and bind
-- mode: script
parse p SELECT ssn FROM people ORDER BY id
sync
wait
query SET search_path = app, public
wait
bind - p
execute -
sync
wait

-- case: search path changed in the pipeline
-- mode: script
parse s SET search_path = app, public
bind - s
execute -
parse p SELECT ssn FROM people ORDER BY id
bind - p
execute -
sync
wait

-- case: search path changed and rolled back in the pipeline
-- mode: script
query BEGIN
wait
parse s SET LOCAL search_path = app
bind - s
execute -
parse r ROLLBACK
bind - r
execute -
parse p SELECT ssn FROM people ORDER BY id
bind - p
execute -
sync
wait

-- case: table made between parse and bind
-- mode: script
parse p SELECT ssn FROM people ORDER BY id
sync
wait
query CREATE TEMP TABLE people (id int, ssn text)
wait
bind - p
execute -
sync
wait
query DROP TABLE pg_temp.people
wait
bind - p
execute -
sync
wait

-- case: simple query inside an extended pipeline
-- mode: script
parse p SELECT id FROM teams ORDER BY id
bind - p
query SELECT ssn FROM people ORDER BY id
wait
execute -
sync
wait

-- case: query while skipping to sync
-- mode: script
parse - SELEC
query SELECT ssn FROM people ORDER BY id
sync
wait
sync
wait

-- case: copy out by extended query
-- mode: script
parse - COPY people TO STDOUT
bind - -
execute -
sync
wait

-- case: copy in then other messages
-- mode: script
query COPY scratch (id, body) FROM STDIN
read G
copy-data x
query SELECT ssn FROM people ORDER BY id
copy-fail
wait

-- case: copy done outside of copy
-- mode: script
copy-data x
copy-done
query SELECT ssn FROM people ORDER BY id
wait

-- case: describe statement
-- mode: script
parse p SELECT ssn, p FROM people p
describe S p
sync
wait

-- case: binary results
-- mode: script
parse - SELECT ssn, salary, born, balance, token, doc, nicknames, raw FROM people ORDER BY id
bind-binary - -
execute -
sync
wait

-- case: one byte frames
-- mode: script
frames 1
query SELECT ssn FROM people ORDER BY id
wait

-- case: seven byte frames in a pipeline
-- mode: script
frames 7
parse - SELECT ssn FROM people ORDER BY id
bind - -
execute -
sync
wait

-- case: three byte frames and two statements
-- mode: script
frames 3
query SELECT 1; SELECT ssn FROM people ORDER BY id
wait

-- case: bound parameter decides
-- mode: script
parse - SELECT CASE WHEN $1 THEN ssn ELSE label END FROM people ORDER BY id
bind - - t
execute -
sync
wait

-- case: bound parameter as setting name
-- mode: script
parse - SELECT set_config($1, $2, false)
bind - - search_path|app
execute -
sync
wait
query SELECT ssn FROM people ORDER BY id
wait

-- case: bound parameter as dynamic text
-- mode: script
parse - SELECT query_to_xml($1, true, false, '')
bind - - SELECT ssn FROM people
execute -
sync
wait

-- case: bound parameter as regclass
-- mode: script
parse - SELECT table_to_xml($1::regclass, true, false, '')
bind - - people
execute -
sync
wait

-- case: bound parameter as file name
-- mode: script
parse - SELECT pg_read_file($1)
bind - - PG_VERSION
execute -
sync
wait

-- case: many portals of one statement
-- mode: script
query BEGIN
wait
parse p SELECT ssn FROM people WHERE id = $1
bind a p 1
bind b p 2
execute b
execute a
sync
wait
query ROLLBACK
wait

-- case: parse with a nul inside
-- mode: script
raw 500000001800530045004c4543542031003b20534500000000
sync
wait

-- case: flush between parse and error
-- mode: script
parse - SELECT ssn::int FROM people
bind - -
flush
execute -
sync
wait

-- case: execute twice
-- mode: script
parse - SELECT ssn FROM people ORDER BY id
bind - -
execute -
execute -
sync
wait

-- case: statement name of the edge's own
-- mode: script
parse writ SELECT ssn FROM people ORDER BY id
bind writ writ
execute writ
sync
wait

-- case: begin in a pipeline then failure
-- mode: script
parse b BEGIN
bind - b
execute -
parse - SELECT ssn::int FROM people
bind - -
execute -
parse - SELECT email FROM people
bind - -
execute -
sync
wait
query ROLLBACK
wait
