-- What the server itself keeps or computes of the data.

-- case: pg_stats
SELECT attname, most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'people' ORDER BY attname;

-- case: pg_stats frequencies
SELECT attname, most_common_freqs, null_frac, n_distinct, correlation, avg_width FROM pg_stats WHERE tablename = 'people' ORDER BY attname;

-- case: pg_stats correlation
SELECT correlation FROM pg_stats WHERE tablename = 'people' AND attname = 'ssn';

-- case: pg_stats distinct count
SELECT n_distinct FROM pg_stats WHERE tablename = 'people' AND attname = 'level';

-- case: pg_stats width
SELECT avg_width FROM pg_stats WHERE tablename = 'people' AND attname = 'email';

-- case: pg_stats star
SELECT * FROM pg_stats WHERE schemaname = 'public' ORDER BY tablename, attname;

-- case: pg_stats unqualified alias
SELECT s.most_common_vals::text FROM pg_catalog.pg_stats AS s WHERE s.tablename = 'people' ORDER BY 1;

-- case: pg_stats row
SELECT s FROM pg_stats s WHERE tablename = 'people' ORDER BY attname;

-- case: pg_stats predicate
SELECT attname FROM pg_stats WHERE tablename = 'people' AND (histogram_bounds::text::text[])[1] > '3' ORDER BY 1;

-- case: pg_stats of index expression
SELECT histogram_bounds FROM pg_stats WHERE tablename = 'people_ssn_upper';

-- case: pg_statistic
SELECT stavalues1, stavalues2, stavalues3 FROM pg_statistic WHERE starelid = 'people'::regclass ORDER BY staattnum;

-- case: pg_statistic numbers
SELECT staattnum, stanumbers1, stanumbers2, stanumbers3, stadistinct, stawidth FROM pg_statistic WHERE starelid = 'people'::regclass ORDER BY staattnum;

-- case: pg_statistic row
SELECT s::text FROM pg_statistic s WHERE starelid = 'people'::regclass ORDER BY staattnum;

-- case: pg_stats_ext
SELECT * FROM pg_stats_ext WHERE tablename = 'people' ORDER BY statistics_name;

-- case: pg_stats_ext values
SELECT most_common_vals, most_common_freqs, most_common_base_freqs FROM pg_stats_ext WHERE tablename = 'people' ORDER BY statistics_name;

-- case: pg_stats_ext distinct and dependencies
SELECT n_distinct, dependencies FROM pg_stats_ext WHERE tablename = 'people' ORDER BY statistics_name;

-- case: pg_stats_ext_exprs
SELECT * FROM pg_stats_ext_exprs ORDER BY statistics_name;

-- case: pg_statistic_ext_data
SELECT stxdndistinct, stxddependencies, stxdmcv, stxdexpr FROM pg_statistic_ext_data;

-- case: pg_mcv_list_items
SELECT m.* FROM pg_statistic_ext_data d, pg_mcv_list_items(d.stxdmcv) m WHERE d.stxdmcv IS NOT NULL;

-- case: pg_attribute missing value
SELECT attname, attmissingval FROM pg_attribute WHERE attrelid = 'people'::regclass ORDER BY attnum;

-- case: explain estimate by guess
EXPLAIN SELECT * FROM people WHERE ssn > '5';

-- case: explain estimate equality
EXPLAIN SELECT * FROM people WHERE level = 'gold';

-- case: explain estimate range
EXPLAIN (FORMAT json) SELECT * FROM people WHERE salary > 50000000;

-- case: explain estimate of a view
EXPLAIN SELECT id FROM people_high;

-- case: explain estimate of group
EXPLAIN SELECT count(*) FROM people GROUP BY level;

-- case: explain estimate distinct
EXPLAIN SELECT DISTINCT level FROM people;

-- case: explain estimate join
EXPLAIN SELECT 1 FROM people a JOIN people b ON a.level = b.level;

-- case: explain width
EXPLAIN SELECT email FROM people;

-- case: explain width of whole row
EXPLAIN SELECT p FROM people p;

-- case: explain width through a join
EXPLAIN (COSTS ON) SELECT a.email, b.ssn FROM people a JOIN people b USING (id) ORDER BY a.team_id;

-- case: explain estimate of distinct values
EXPLAIN (FORMAT JSON) SELECT DISTINCT email, ssn FROM people;

-- case: explain width through a hash
EXPLAIN SELECT p.note, p.email FROM teams t JOIN people p ON t.id = p.team_id;

-- case: explain verbose
EXPLAIN (VERBOSE, COSTS OFF) SELECT ssn FROM people WHERE ssn > '5';

-- case: explain delete estimate
EXPLAIN DELETE FROM people WHERE ssn > '5';

-- case: explain update estimate
EXPLAIN UPDATE orders SET memo = 'x' FROM people p WHERE p.id = person_id AND p.ssn > '5';

-- case: explain partial index
EXPLAIN (COSTS OFF) SELECT id FROM people WHERE id = 3;

-- case: explain initplan
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT id FROM teams WHERE id = (SELECT salary % 4 FROM people WHERE id = 1);

-- case: explain settings and wal
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT count(*) FROM people WHERE ssn LIKE '7%';

-- case: explain buffers
EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT id FROM people WHERE email > 'm';

-- case: explain sort memory
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT ssn FROM people ORDER BY email, ssn;

-- case: explain execute generic
PREPARE p (text) AS SELECT id FROM people WHERE ssn > $1;
EXPLAIN EXECUTE p ('5');

-- case: explain constant folding
-- expect: any
EXPLAIN (VERBOSE, COSTS OFF) SELECT ssn_of(1) FROM teams;

-- case: column size
SELECT id, pg_column_size(email) FROM people ORDER BY id;

-- case: row size
SELECT id, pg_column_size(p.*) FROM people p ORDER BY id;

-- case: row size by ctid
SELECT id, pg_column_size(p) FROM people p ORDER BY id;

-- case: column compression
SELECT id, pg_column_compression(note) FROM people ORDER BY id;

-- case: octets of row text
SELECT id, octet_length(p::text) FROM people p ORDER BY id;

-- case: ctid
SELECT id, ctid FROM people ORDER BY id;

-- case: ctid of a badge
SELECT ctid FROM badges ORDER BY person_id;

-- case: ctid predicate
SELECT count(*) FROM people WHERE ctid < '(1,1)';

-- case: ctid of partition rows
SELECT id, ctid, tableoid FROM events_1 ORDER BY id;

-- case: xmin and cmin
-- paired: no
SELECT xmin, cmin, xmax FROM people ORDER BY id;

-- case: physical order
SELECT id FROM people_high;

-- case: index order of a masked index
SET enable_seqscan = off;
SELECT person_id FROM badges;

-- case: index only scan order
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT id FROM people WHERE upper(ssn) > '';

-- case: tid scan
SELECT id FROM people WHERE ctid = ANY (ARRAY['(0,1)', '(0,2)', '(1,1)', '(1,2)']::tid[]) ORDER BY id;

-- case: tablesample by page
SELECT count(*) FROM people TABLESAMPLE SYSTEM (50) REPEATABLE (1);

-- case: current query
SELECT ssn, current_query() FROM people WHERE id = 1;

-- case: current query of prepared
PREPARE p AS SELECT ssn, current_query() FROM people WHERE id = 1;
EXECUTE p;

-- case: pg_stat_activity
SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid();

-- case: pg_stat_activity with secret
-- paired: no
SELECT ssn, (SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()) FROM people WHERE id = 1;

-- case: pg_stat_get_activity
SELECT query FROM pg_stat_get_activity(pg_backend_pid());

-- case: pg_stat_get_backend_activity
SELECT pg_stat_get_backend_activity(1);

-- case: pg_prepared_statements
PREPARE p AS SELECT ssn FROM people WHERE ssn > '5';
SELECT name, statement, parameter_types FROM pg_prepared_statements;

-- case: pg_prepared_statement function
PREPARE p AS SELECT ssn FROM people WHERE ssn > '5';
SELECT statement FROM pg_prepared_statement();

-- case: pg_cursors
BEGIN;
DECLARE c CURSOR FOR SELECT ssn FROM people;
SELECT statement FROM pg_cursors;
ROLLBACK;

-- case: pg_cursor function
BEGIN;
DECLARE c CURSOR FOR SELECT ssn FROM people;
SELECT statement FROM pg_cursor();
ROLLBACK;

-- case: pg_stat_statements
-- paired: no
SELECT query FROM pg_stat_statements ORDER BY query;

-- case: pg_stat_statements function
-- paired: no
SELECT query FROM pg_stat_statements(true) ORDER BY query;

-- case: pg_stat_statements rows
-- paired: no
SELECT rows FROM pg_stat_statements ORDER BY rows;

-- case: pg_locks tuple
BEGIN;
SELECT id FROM people WHERE ssn > '5' FOR UPDATE;
SELECT count(*) FROM pg_locks WHERE locktype = 'tuple';
ROLLBACK;

-- case: index size
SELECT pg_relation_size('people_ssn_key'), pg_relation_size('people_email');

-- case: toast size
SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE relname = 'people';

-- case: index tuples of a partial index
-- residue: how many rows an index or a materialised view has that somebody with rights filtered by a masked column
SELECT reltuples, relpages FROM pg_class WHERE relname = 'people_rich';

-- case: matview tuples
-- residue: how many rows an index or a materialised view has that somebody with rights filtered by a masked column
SELECT reltuples FROM pg_class WHERE relname = 'people_mat_high';

-- case: pg_stat_user_tables
-- paired: no
SELECT relname, n_live_tup, n_tup_ins FROM pg_stat_user_tables ORDER BY 1;

-- case: matview live tuples
-- residue: how many rows an index or a materialised view has that somebody with rights filtered by a masked column
SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = 'people_mat_high';

-- case: matview row estimate by function
-- residue: how many rows an index or a materialised view has that somebody with rights filtered by a masked column
SELECT pg_stat_get_live_tuples('people_mat_high'::regclass);

-- case: stat function columns
SELECT pg_stat_get_tuples_inserted('people_mat_high'::regclass);

-- case: view definition of a constant
SELECT pg_get_viewdef('people_high'::regclass);

-- case: partition bound of a guess
SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'events_1';

-- case: large object metadata
SELECT oid, lomowner FROM pg_largeobject_metadata;

-- case: pg_largeobject size
SELECT loid, length(data) FROM pg_largeobject;

-- case: pg_shadow
SELECT passwd FROM pg_shadow;

-- case: pg_authid
SELECT rolname, rolpassword FROM pg_authid;

-- case: pg_authid row
SELECT a FROM pg_authid a;

-- case: user mapping options
SELECT umoptions FROM pg_user_mappings;

-- case: information schema user mapping
SELECT option_value FROM information_schema.user_mapping_options;

-- case: pg_settings of another
-- paired: no
SELECT name, setting, sourcefile FROM pg_settings WHERE name LIKE '%file%';

-- case: pg_file_settings
SELECT setting FROM pg_file_settings;

-- case: pg_hba
SELECT line_number, type, database, user_name, address, netmask, auth_method, options, error FROM pg_hba_file_rules;

-- case: replication slots
SELECT slot_name, plugin FROM pg_replication_slots;

-- case: backend memory contexts
-- paired: no
SELECT name, ident FROM pg_backend_memory_contexts WHERE ident LIKE '%people%';

-- case: backend memory ident of plan
-- paired: no
PREPARE p AS SELECT ssn FROM people;
SELECT ident FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource';

-- case: partial index made to be counted
BEGIN;
CREATE INDEX probe ON people (id) WHERE ssn > '5';
SELECT reltuples FROM pg_class WHERE relname = 'probe';
ROLLBACK;

-- case: index made to be measured
BEGIN;
CREATE INDEX probe ON people (ssn);
SELECT relpages, pg_relation_size('probe') FROM pg_class WHERE relname = 'probe';
ROLLBACK;

-- case: statistics object made to be read
BEGIN;
CREATE STATISTICS probe (mcv) ON level, grade FROM people;
ANALYZE people;
SELECT most_common_vals FROM pg_stats_ext WHERE statistics_name = 'probe';
ROLLBACK;
