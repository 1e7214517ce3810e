SELECT CURRENT_USER::pg_catalog.text,
  pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text,
  pg_catalog.current_setting('standard_conforming_strings'),
  (SELECT COALESCE(pg_catalog.json_agg(c.relname), '[]'::pg_catalog.json)::pg_catalog.text
    FROM pg_catalog.pg_class AS c
    WHERE pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
      AND c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
      AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog."char"[])),
  pg_catalog.current_setting('search_path'),
  -- Temporary relations that run something of their own: rules and triggers, and code behind columns and constraints.
  (WITH code AS (
      SELECT f.oid FROM pg_catalog.pg_proc AS f
      JOIN pg_catalog.pg_language AS l ON l.oid OPERATOR(pg_catalog.=) f.prolang
      WHERE f.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        AND l.lanname OPERATOR(pg_catalog.<>) 'internal'::pg_catalog.name
        AND NOT (l.lanname OPERATOR(pg_catalog.=) 'c'::pg_catalog.name
          AND f.provolatile OPERATOR(pg_catalog.=) 'i'::pg_catalog."char")
    ), calls AS (
      SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d
      LEFT JOIN pg_catalog.pg_operator AS o ON d.refclassid OPERATOR(pg_catalog.=) 2617::pg_catalog.oid
        AND o.oid OPERATOR(pg_catalog.=) d.refobjid
      WHERE d.refclassid OPERATOR(pg_catalog.=) ANY ('{1255,2617}'::pg_catalog.oid[])
        AND d.refobjid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        AND EXISTS (SELECT FROM code AS f
          WHERE f.oid OPERATOR(pg_catalog.=) COALESCE(o.oprcode::pg_catalog.oid, d.refobjid))
    ), conversions AS MATERIALIZED (
      SELECT t.castsource, t.casttarget FROM pg_catalog.pg_cast AS t
      JOIN code AS f ON f.oid OPERATOR(pg_catalog.=) t.castfunc
      WHERE t.castfunc OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    ), busy AS (
      -- Rows can hold anything, and domains over domains are not followed.
      SELECT y.oid FROM pg_catalog.pg_type AS y
      LEFT JOIN pg_catalog.pg_constraint AS k ON k.contypid OPERATOR(pg_catalog.=) y.oid
      WHERE y.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        AND (y.typtype OPERATOR(pg_catalog.=) 'c'::pg_catalog."char"
          OR EXISTS (SELECT FROM pg_catalog.pg_range AS g
            WHERE g.rngsubtype OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
              AND (g.rngtypid OPERATOR(pg_catalog.=) y.oid OR g.rngmultitypid OPERATOR(pg_catalog.=) y.oid))
          OR (y.typtype OPERATOR(pg_catalog.=) 'd'::pg_catalog."char"
            AND y.typbasetype OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid)
          OR EXISTS (SELECT FROM calls AS s
            WHERE (s.classid OPERATOR(pg_catalog.=) 1247::pg_catalog.oid AND s.objid OPERATOR(pg_catalog.=) y.oid)
              OR (s.classid OPERATOR(pg_catalog.=) 2606::pg_catalog.oid AND s.objid OPERATOR(pg_catalog.=) k.oid))
          OR EXISTS (SELECT FROM conversions AS t
            WHERE t.castsource OPERATOR(pg_catalog.=) y.oid OR t.casttarget OPERATOR(pg_catalog.=) y.oid))
    )
    SELECT COALESCE(pg_catalog.json_agg(c.relname), '[]'::pg_catalog.json)::pg_catalog.text
    FROM pg_catalog.pg_class AS c
    WHERE pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
      AND c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
      AND (c.relhasrules
        OR EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
          WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal)
        OR EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
          JOIN pg_catalog.pg_type AS y ON y.oid OPERATOR(pg_catalog.=) a.atttypid
          JOIN busy AS b ON b.oid OPERATOR(pg_catalog.=) y.oid OR b.oid OPERATOR(pg_catalog.=) y.typelem
          WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
            AND NOT a.attisdropped)
        OR EXISTS (SELECT FROM calls AS s
          WHERE s.objid OPERATOR(pg_catalog.=) c.oid
            OR s.objid OPERATOR(pg_catalog.=) ANY (ARRAY(
              SELECT x.oid FROM pg_catalog.pg_attrdef AS x WHERE x.adrelid OPERATOR(pg_catalog.=) c.oid
              UNION ALL SELECT k.oid FROM pg_catalog.pg_constraint AS k WHERE k.conrelid OPERATOR(pg_catalog.=) c.oid
              UNION ALL SELECT i.indexrelid FROM pg_catalog.pg_index AS i
                WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid)))))
