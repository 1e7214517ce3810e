SELECT pg_catalog.json_build_object(
  'server_version_num', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
  'relations', (
    SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(
        c.oid::pg_catalog.int8, n.nspname, c.relname, c.relkind::pg_catalog.text,
        pg_catalog.pg_get_userbyid(c.relowner),
        COALESCE(a.columns, '[]'::pg_catalog.json),
        CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog."char"[])
              AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[])
              -- NULL where it was dropped since the snapshot was taken: to print it would fail.
              AND pg_catalog.pg_table_is_visible(c.oid) IS NOT NULL
          THEN pg_catalog.pg_get_viewdef(c.oid) END,
        COALESCE(p.parents, '[]'::pg_catalog.json),
        EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
            WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal)
          OR EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r
            WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid
              AND r.rulename OPERATOR(pg_catalog.<>) '_RETURN'::pg_catalog.name
              AND r.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
        c.relrowsecurity, c.reltuples)), '[]'::pg_catalog.json)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    LEFT JOIN (
      SELECT t.attrelid, pg_catalog.json_agg(pg_catalog.json_build_array(
          t.attnum, t.attname, pg_catalog.format_type(t.atttypid, t.atttypmod),
          y.typcategory::pg_catalog.text, t.attnotnull,
          t.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog."char") ORDER BY t.attnum) AS columns
      FROM pg_catalog.pg_attribute AS t
      JOIN pg_catalog.pg_type AS y ON y.oid OPERATOR(pg_catalog.=) t.atttypid
      WHERE t.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT t.attisdropped
      GROUP BY t.attrelid
    ) AS a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
    LEFT JOIN (
      SELECT i.inhrelid, pg_catalog.json_agg(i.inhparent::pg_catalog.int8 ORDER BY i.inhseqno) AS parents
      FROM pg_catalog.pg_inherits AS i GROUP BY i.inhrelid
    ) AS p ON p.inhrelid OPERATOR(pg_catalog.=) c.oid
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog."char"[])
      AND (c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char")
      AND n.nspname OPERATOR(pg_catalog.<>) 'pg_toast'::pg_catalog.name),
  'functions', (
    SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(
        f.oid::pg_catalog.int8, n.nspname, f.proname, l.lanname,
        f.provolatile::pg_catalog.text, f.prosecdef)), '[]'::pg_catalog.json)
    FROM pg_catalog.pg_proc AS f
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) f.pronamespace
    JOIN pg_catalog.pg_language AS l ON l.oid OPERATOR(pg_catalog.=) f.prolang),
