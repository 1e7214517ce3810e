  'behind', pg_catalog.json_build_object(
    'functions', (
      SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(
          f.oid::pg_catalog.int8,
          CASE WHEN l.lanname OPERATOR(pg_catalog.=) 'sql'::pg_catalog.name
            THEN COALESCE(pg_catalog.pg_get_function_sqlbody(f.oid), f.prosrc)
            WHEN l.lanname OPERATOR(pg_catalog.=) 'internal'::pg_catalog.name
              OR f.prorettype OPERATOR(pg_catalog.=) 'pg_catalog.trigger'::pg_catalog.regtype::pg_catalog.oid
            THEN f.prosrc END,
          f.prosqlbody IS NOT NULL,
          COALESCE(pg_catalog.to_json(f.proargnames), '[]'::pg_catalog.json),
          pg_catalog.pg_get_expr(f.proargdefaults, 0::pg_catalog.oid),
          COALESCE(pg_catalog.to_json(f.proconfig), '[]'::pg_catalog.json),
          e.extname,
          COALESCE(g.support, '[]'::pg_catalog.json),
          f.prorettype OPERATOR(pg_catalog.=) 'pg_catalog.trigger'::pg_catalog.regtype::pg_catalog.oid)),
        '[]'::pg_catalog.json)
      FROM pg_catalog.pg_proc AS f
      JOIN pg_catalog.pg_language AS l ON l.oid OPERATOR(pg_catalog.=) f.prolang
      LEFT JOIN pg_catalog.pg_depend AS d ON d.classid OPERATOR(pg_catalog.=) 1255::pg_catalog.oid
        AND d.objid OPERATOR(pg_catalog.=) f.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog."char"
      LEFT JOIN pg_catalog.pg_extension AS e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
      LEFT JOIN (
        SELECT a.aggfnoid::pg_catalog.oid AS oid, pg_catalog.to_json(pg_catalog.array_remove(ARRAY[
            a.aggtransfn::pg_catalog.oid::pg_catalog.int8, a.aggfinalfn::pg_catalog.oid::pg_catalog.int8,
            a.aggcombinefn::pg_catalog.oid::pg_catalog.int8, a.aggserialfn::pg_catalog.oid::pg_catalog.int8,
            a.aggdeserialfn::pg_catalog.oid::pg_catalog.int8, a.aggmtransfn::pg_catalog.oid::pg_catalog.int8,
            a.aggminvtransfn::pg_catalog.oid::pg_catalog.int8, a.aggmfinalfn::pg_catalog.oid::pg_catalog.int8],
            0::pg_catalog.int8)) AS support
        FROM pg_catalog.pg_aggregate AS a
      ) AS g ON g.oid OPERATOR(pg_catalog.=) f.oid
      WHERE f.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
    'operators', (
      SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(
          n.nspname, o.oprname, o.oprcode::pg_catalog.oid::pg_catalog.int8)), '[]'::pg_catalog.json)
      FROM pg_catalog.pg_operator AS o
      JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
      WHERE o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
    'casts', (
      SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(
          pg_catalog.format_type(k.castsource, NULL), pg_catalog.format_type(k.casttarget, NULL),
          k.castfunc::pg_catalog.int8)), '[]'::pg_catalog.json)
      FROM pg_catalog.pg_cast AS k
      WHERE k.castfunc OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
    'domains', (
      SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(
          pg_catalog.format_type(y.oid, NULL), pg_catalog.format_type(y.base, NULL),
          COALESCE(u.functions, '[]'::pg_catalog.json))),
        '[]'::pg_catalog.json)
      FROM (
        SELECT y.oid, y.typbasetype AS base FROM pg_catalog.pg_type AS y
        WHERE y.typtype OPERATOR(pg_catalog.=) 'd'::pg_catalog."char"
          AND y.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        -- A range checks its bounds as values of the type below it.
        UNION ALL
        SELECT g.rngtypid, g.rngsubtype FROM pg_catalog.pg_range AS g
        WHERE g.rngsubtype OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION ALL
        SELECT g.rngmultitypid, g.rngsubtype FROM pg_catalog.pg_range AS g
        WHERE g.rngsubtype OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      ) AS y
      LEFT JOIN (
        SELECT COALESCE(k.contypid, d.objid) AS oid, pg_catalog.json_agg(DISTINCT
            COALESCE(o.oprcode::pg_catalog.oid, d.refobjid)::pg_catalog.int8) AS functions
        FROM pg_catalog.pg_depend AS d
        LEFT JOIN pg_catalog.pg_operator AS o ON d.refclassid OPERATOR(pg_catalog.=) 2617::pg_catalog.oid
          AND o.oid OPERATOR(pg_catalog.=) d.refobjid
        LEFT JOIN pg_catalog.pg_constraint AS k ON d.classid OPERATOR(pg_catalog.=) 2606::pg_catalog.oid
          AND k.oid OPERATOR(pg_catalog.=) d.objid
        WHERE d.classid OPERATOR(pg_catalog.=) ANY ('{1247,2606}'::pg_catalog.oid[])
          AND d.refclassid OPERATOR(pg_catalog.=) ANY ('{1255,2617}'::pg_catalog.oid[])
        GROUP BY 1
      ) AS u ON u.oid OPERATOR(pg_catalog.=) y.oid),
    'hooks', (
      SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(
          h.relation::pg_catalog.int8, h.event, h.filled, h.function::pg_catalog.int8,
          pg_catalog.encode(h.arguments, 'hex'))), '[]'::pg_catalog.json)
      FROM (
        SELECT DISTINCT s.relation, s.event, s.filled, s.arguments,
          COALESCE(o.oprcode::pg_catalog.oid, d.refobjid) AS function
        FROM (
          SELECT 2604::pg_catalog.oid AS classid, x.oid AS objid, 0 AS objsubid, x.adrelid AS relation,
            CASE c.attgenerated WHEN 's'::pg_catalog."char" THEN 'generated' WHEN 'v'::pg_catalog."char" THEN 'virtual'
              ELSE 'default' END AS event,
            x.adnum AS filled, NULL::pg_catalog.bytea AS arguments
          FROM pg_catalog.pg_attrdef AS x
          JOIN pg_catalog.pg_attribute AS c ON c.attrelid OPERATOR(pg_catalog.=) x.adrelid
            AND c.attnum OPERATOR(pg_catalog.=) x.adnum
          UNION ALL
          SELECT 1259::pg_catalog.oid, c.attrelid, c.attnum::pg_catalog.int4, c.attrelid,
            CASE c.attgenerated WHEN 's'::pg_catalog."char" THEN 'generated' ELSE 'virtual' END, c.attnum, NULL
          FROM pg_catalog.pg_attribute AS c
          WHERE c.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog."char"
          UNION ALL
          SELECT 2606::pg_catalog.oid, k.oid, 0, k.conrelid, 'write', 0::pg_catalog.int2, NULL
          FROM pg_catalog.pg_constraint AS k
          WHERE k.contype OPERATOR(pg_catalog.=) 'c'::pg_catalog."char"
            AND k.conrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
          UNION ALL
          SELECT 1259::pg_catalog.oid, i.indexrelid, 0, i.indrelid, 'write', 0::pg_catalog.int2, NULL
          FROM pg_catalog.pg_index AS i
          UNION ALL
          SELECT 1259::pg_catalog.oid, p.partrelid, 0, p.partrelid, 'write', 0::pg_catalog.int2, NULL
          FROM pg_catalog.pg_partitioned_table AS p
          UNION ALL
          SELECT 3381::pg_catalog.oid, s.oid, 0, s.stxrelid, 'write', 0::pg_catalog.int2, NULL
          FROM pg_catalog.pg_statistic_ext AS s
          UNION ALL
          SELECT 3256::pg_catalog.oid, p.oid, 0, p.polrelid, 'policy', 0::pg_catalog.int2, NULL
          FROM pg_catalog.pg_policy AS p
          UNION ALL
          SELECT 2620::pg_catalog.oid, t.oid, 0, t.tgrelid, 'trigger', 0::pg_catalog.int2, t.tgargs
          FROM pg_catalog.pg_trigger AS t WHERE NOT t.tgisinternal
        ) AS s
        JOIN pg_catalog.pg_depend AS d ON d.classid OPERATOR(pg_catalog.=) s.classid
          AND d.objid OPERATOR(pg_catalog.=) s.objid AND d.objsubid OPERATOR(pg_catalog.=) s.objsubid
          AND d.refclassid OPERATOR(pg_catalog.=) ANY ('{1255,2617}'::pg_catalog.oid[])
        LEFT JOIN pg_catalog.pg_operator AS o ON d.refclassid OPERATOR(pg_catalog.=) 2617::pg_catalog.oid
          AND o.oid OPERATOR(pg_catalog.=) d.refobjid
        UNION
        SELECT t.tgrelid, 'trigger', 0::pg_catalog.int2, t.tgargs, t.tgfoid
        FROM pg_catalog.pg_trigger AS t WHERE NOT t.tgisinternal
        UNION
        SELECT r.ev_class, 'rule', 0::pg_catalog.int2, NULL, 0::pg_catalog.oid
        FROM pg_catalog.pg_rewrite AS r
        WHERE r.rulename OPERATOR(pg_catalog.<>) '_RETURN'::pg_catalog.name
          AND r.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION
        SELECT c.oid, 'forced', 0::pg_catalog.int2, NULL, 0::pg_catalog.oid
        FROM pg_catalog.pg_class AS c WHERE c.relforcerowsecurity
        UNION
        SELECT 0::pg_catalog.oid, 'definition', 0::pg_catalog.int2, NULL, e.evtfoid
        FROM pg_catalog.pg_event_trigger AS e
        WHERE e.evtenabled OPERATOR(pg_catalog.<>) 'D'::pg_catalog."char"
          AND e.evtevent OPERATOR(pg_catalog.<>) 'login'::pg_catalog.name
      ) AS h),
    'dependences', (
      SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(
          s.relation::pg_catalog.int8, s.filled, s.source::pg_catalog.int8, s.looked_at)), '[]'::pg_catalog.json)
      FROM (
        SELECT x.adrelid AS relation, x.adnum AS filled, d.refobjid AS source, d.refobjsubid AS looked_at
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_attrdef AS x ON x.oid OPERATOR(pg_catalog.=) d.objid
        WHERE d.classid OPERATOR(pg_catalog.=) 2604::pg_catalog.oid
          AND d.refclassid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
          AND d.refobjsubid OPERATOR(pg_catalog.>) 0
          AND (d.refobjid OPERATOR(pg_catalog.<>) x.adrelid
            OR d.refobjsubid OPERATOR(pg_catalog.<>) x.adnum::pg_catalog.int4)
        UNION
        SELECT d.objid, d.objsubid::pg_catalog.int2, d.refobjid, d.refobjsubid
        FROM pg_catalog.pg_depend AS d
        WHERE d.classid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
          AND d.refclassid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
          AND d.objsubid OPERATOR(pg_catalog.>) 0 AND d.refobjsubid OPERATOR(pg_catalog.>) 0
        UNION
        SELECT p.polrelid, 0::pg_catalog.int2, d.refobjid, d.refobjsubid
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_policy AS p ON p.oid OPERATOR(pg_catalog.=) d.objid
        WHERE d.classid OPERATOR(pg_catalog.=) 3256::pg_catalog.oid
          AND d.refclassid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
          AND d.refobjsubid OPERATOR(pg_catalog.>) 0
      ) AS s),
    'keys', (
      SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(
          s.relation::pg_catalog.int8, s.name, s.kind, s.attnums, s.referenced::pg_catalog.int8,
          s.there, s.acts)), '[]'::pg_catalog.json)
      FROM (
        SELECT i.indrelid AS relation, c.relname AS name,
          CASE WHEN i.indisexclusion THEN 'x'
            WHEN i.indisprimary AND i.indimmediate AND i.indisvalid THEN 'p' ELSE 'u' END AS kind,
          (SELECT COALESCE(pg_catalog.json_agg(DISTINCT a.looked_at), '[]'::pg_catalog.json) FROM (
            SELECT k.k::pg_catalog.int4 AS looked_at
            FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k
            WHERE k.ordinality OPERATOR(pg_catalog.<=) i.indnkeyatts::pg_catalog.int8
              AND k.k OPERATOR(pg_catalog.>) 0::pg_catalog.int2
            UNION ALL
            SELECT d.refobjsubid FROM pg_catalog.pg_depend AS d
            WHERE (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
              AND d.classid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
              AND d.objid OPERATOR(pg_catalog.=) i.indexrelid
              AND d.refclassid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
              AND d.refobjid OPERATOR(pg_catalog.=) i.indrelid
              AND d.refobjsubid OPERATOR(pg_catalog.>) 0) AS a) AS attnums,
          0::pg_catalog.oid AS referenced, '[]'::pg_catalog.json AS there, false AS acts
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
        WHERE (i.indisunique OR i.indisexclusion)
          AND i.indrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
          AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"
          AND c.relnamespace OPERATOR(pg_catalog.<>) 99::pg_catalog.oid
        UNION ALL
        SELECT k.conrelid, k.conname, k.contype::pg_catalog.text, COALESCE(pg_catalog.to_json(k.conkey), '[]'::pg_catalog.json),
          k.confrelid, COALESCE(pg_catalog.to_json(k.confkey), '[]'::pg_catalog.json),
          k.contype OPERATOR(pg_catalog.=) 'f'::pg_catalog."char"
            AND ARRAY[k.confdeltype, k.confupdtype] OPERATOR(pg_catalog.&&) '{c,n,d}'::pg_catalog."char"[]
        FROM pg_catalog.pg_constraint AS k
        WHERE k.contype OPERATOR(pg_catalog.=) ANY ('{f,c}'::pg_catalog."char"[])
          AND k.conrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION ALL
        -- A new partition is compared with the rows of the default one.
        SELECT p.partrelid, 'default partition', 'd',
          CASE WHEN 0::pg_catalog.int2 OPERATOR(pg_catalog.=) ANY (p.partattrs::pg_catalog.int2[]) THEN (
              SELECT pg_catalog.json_agg(a.attnum) FROM pg_catalog.pg_attribute AS a
              WHERE a.attrelid OPERATOR(pg_catalog.=) p.partrelid
                AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2)
            ELSE pg_catalog.to_json(p.partattrs::pg_catalog.int2[]) END,
          0::pg_catalog.oid, '[]'::pg_catalog.json, false
        FROM pg_catalog.pg_partitioned_table AS p
        WHERE p.partdefid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
      ) AS s)
  )
)::pg_catalog.text
