import java.io.StringReader;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;

/** JDBC: all of DatabaseMetaData, queries as database browsers send them, and the usual ways to run statements. */
public class Metadata {
    static Connection connection;

    static void print(String what, ResultSet rows) throws SQLException {
        ResultSetMetaData meta = rows.getMetaData();
        List<String> lines = new ArrayList<>();
        while (rows.next()) {
            StringBuilder line = new StringBuilder(what);
            for (int n = 1; n <= meta.getColumnCount(); n++) {
                line.append('|').append(rows.getString(n));
            }
            lines.add(line.toString());
        }
        System.out.println(what + ": " + lines.size() + " rows, " + meta.getColumnCount() + " columns");
        lines.forEach(System.out::println);
        rows.close();
    }

    static void metadata(DatabaseMetaData meta) throws SQLException {
        System.out.println(meta.getDatabaseProductVersion() + meta.getSQLKeywords() + meta.getNumericFunctions()
            + meta.getMaxColumnNameLength() + meta.getDefaultTransactionIsolation());
        print("catalogs", meta.getCatalogs());
        print("schemas", meta.getSchemas());
        print("types", meta.getTypeInfo());
        print("table types", meta.getTableTypes());
        print("client info", meta.getClientInfoProperties());
        print("system tables", meta.getTables(null, "pg_catalog", "pg_c%", null));
        for (String schema : new String[] {"public", "tools"}) {
            print("tables", meta.getTables(null, schema, "%", null));
            print("columns", meta.getColumns(null, schema, "%", "%"));
            print("udts", meta.getUDTs(null, schema, "%", null));
            print("functions", meta.getFunctions(null, schema, "%"));
            print("function columns", meta.getFunctionColumns(null, schema, "%", "%"));
            print("procedures", meta.getProcedures(null, schema, "%"));
            print("procedure columns", meta.getProcedureColumns(null, schema, "%", "%"));
            print("privileges", meta.getTablePrivileges(null, schema, "%"));
        }
        for (String[] table : new String[][] {{"tools", "parent"}, {"tools", "child"}, {"public", "customers"}}) {
            print("keys", meta.getPrimaryKeys(null, table[0], table[1]));
            print("imported", meta.getImportedKeys(null, table[0], table[1]));
            print("exported", meta.getExportedKeys(null, table[0], table[1]));
            print("indexes", meta.getIndexInfo(null, table[0], table[1], false, true));
            print("row ids", meta.getBestRowIdentifier(null, table[0], table[1], DatabaseMetaData.bestRowSession, true));
            print("versions", meta.getVersionColumns(null, table[0], table[1]));
            print("column privileges", meta.getColumnPrivileges(null, table[0], table[1], "%"));
        }
        print("cross", meta.getCrossReference(null, "tools", "parent", null, "tools", "child"));
    }

    static final String[] BROWSER = {
        "SELECT current_schema(), session_user, version(), current_database()",
        "SELECT db.oid, db.* FROM pg_catalog.pg_database db WHERE datallowconn ORDER BY datname",
        "SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d "
            + "ON d.objoid = n.oid AND d.objsubid = 0 AND d.classoid = 'pg_namespace'::regclass ORDER BY nspname",
        "SELECT c.oid, c.relname, c.relkind, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS part, "
            + "pg_catalog.pg_get_partkeydef(c.oid) AS key FROM pg_catalog.pg_class c LEFT OUTER JOIN "
            + "pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass "
            + "WHERE c.relnamespace = 'tools'::regnamespace AND c.relkind NOT IN ('i', 'I', 'c') ORDER BY c.relname",
        "SELECT c.relname, a.*, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) AS def, dsc.description "
            + "FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON a.attrelid = c.oid "
            + "LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum "
            + "LEFT OUTER JOIN pg_catalog.pg_description dsc ON c.oid = dsc.objoid AND a.attnum = dsc.objsubid "
            + "WHERE NOT a.attisdropped AND c.oid = 'tools.parent'::regclass ORDER BY a.attnum",
        "SELECT c.oid, c.*, t.relname AS tabrelname, rt.relnamespace AS refnamespace, d.description, "
            + "pg_catalog.pg_get_constraintdef(c.oid) AS source FROM pg_catalog.pg_constraint c "
            + "INNER JOIN pg_catalog.pg_class t ON t.oid = c.conrelid LEFT OUTER JOIN pg_catalog.pg_class rt "
            + "ON rt.oid = c.confrelid LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid "
            + "WHERE t.relnamespace = 'tools'::regnamespace ORDER BY c.oid",
        "SELECT i.*, i.indkey AS keys, c.relname, c.relnamespace, c.relam, c.reltablespace, tc.relname AS tabrelname, "
            + "pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS pred, pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) "
            + "AS expr, pg_catalog.pg_relation_size(i.indexrelid) AS size, pg_catalog.pg_stat_get_numscans(i.indexrelid) "
            + "AS scans FROM pg_catalog.pg_index i INNER JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
            + "INNER JOIN pg_catalog.pg_class tc ON tc.oid = i.indrelid "
            + "WHERE c.relnamespace = 'tools'::regnamespace ORDER BY c.relname",
        "SELECT t.oid, t.*, c.relkind, format_type(nullif(t.typbasetype, 0), t.typtypmod) AS base, d.description "
            + "FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid = t.typrelid "
            + "LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid = d.objoid WHERE t.typname IS NOT NULL "
            + "AND (c.relkind IS NULL OR c.relkind = 'c') ORDER BY t.oid",
        "SELECT e.*, t.typname FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid ORDER BY e.oid",
        "SELECT p.oid, p.*, pg_catalog.pg_get_expr(p.proargdefaults, 0), l.lanname, "
            + "CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) END FROM pg_catalog.pg_proc p "
            + "JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'tools'::regnamespace ORDER BY p.oid",
        "SELECT x.oid, x.*, p.proname FROM pg_catalog.pg_trigger x LEFT OUTER JOIN pg_catalog.pg_proc p ON p.oid = x.tgfoid "
            + "WHERE NOT x.tgisinternal ORDER BY x.oid",
        "SELECT r.oid, r.rulename, pg_get_ruledef(r.oid) FROM pg_catalog.pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class "
            + "WHERE c.relnamespace = 'tools'::regnamespace ORDER BY r.oid",
        "SELECT a.oid, a.*, pd.description FROM pg_catalog.pg_roles a LEFT JOIN pg_catalog.pg_shdescription pd "
            + "ON a.oid = pd.objoid ORDER BY a.rolname",
        "SELECT name, setting, unit, category, short_desc, context, vartype, boot_val FROM pg_catalog.pg_settings "
            + "WHERE name LIKE 'enable%' ORDER BY name",
        "SELECT e.oid, cfg.tbls, n.nspname, e.* FROM pg_catalog.pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
            + "LEFT JOIN (SELECT oid, array_length(extconfig, 1) AS tbls FROM pg_extension) cfg ON cfg.oid = e.oid",
        "SELECT * FROM pg_catalog.pg_available_extensions ORDER BY name LIMIT 3",
        "SELECT relname, pg_total_relation_size(oid) > 0, pg_relation_size(oid) > 0 FROM pg_class "
            + "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
        "SELECT schemaname, relname, n_live_tup >= 0 FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY 2",
        "SELECT datname, numbackends >= 0 FROM pg_stat_database WHERE datname IS NOT NULL ORDER BY 1",
        "SELECT locktype, mode, granted FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'virtualxid'",
        "SELECT pid > 0, usename, state FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        "SELECT seqrelid::regclass, seqstart, seqincrement FROM pg_catalog.pg_sequence ORDER BY 1",
        "SELECT * FROM information_schema.columns WHERE table_schema = 'tools' ORDER BY table_name, ordinal_position",
        "SELECT * FROM information_schema.table_constraints WHERE table_schema IN ('tools', 'public') ORDER BY 3",
        "SELECT * FROM information_schema.key_column_usage WHERE table_schema = 'tools' ORDER BY 3, 7",
        "SELECT * FROM information_schema.referential_constraints ORDER BY 3",
        "SELECT * FROM information_schema.routines WHERE routine_schema = 'tools' ORDER BY 3",
        "SELECT * FROM information_schema.views WHERE table_schema = 'tools'",
        "SELECT has_table_privilege('tools.parent', 'SELECT'), has_schema_privilege('tools', 'USAGE'), "
            + "pg_get_viewdef('tools.totals'::regclass, true), obj_description('tools.parent'::regclass), "
            + "col_description('tools.parent'::regclass, 2), pg_get_serial_sequence('tools.child', 'id')",
        "SELECT x.* FROM products x ORDER BY id LIMIT 200",
        "EXPLAIN (COSTS false, FORMAT JSON) SELECT * FROM tools.child WHERE amount > 3",
    };

    static void statements() throws Exception {
        for (String text : BROWSER) {
            try (Statement statement = connection.createStatement()) {
                print(text, statement.executeQuery(text));
            }
        }
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TEMP TABLE jt (id serial PRIMARY KEY, a int, b text)");
            statement.setFetchSize(50);
            print("in pieces", statement.executeQuery("SELECT id, parent_id FROM tools.child ORDER BY id"));
        }
        try (PreparedStatement insert = connection.prepareStatement(
                "INSERT INTO jt (a, b) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int n = 0; n < 20; n++) {
                insert.setInt(1, n);
                insert.setString(2, "x" + n);
                insert.addBatch();
            }
            System.out.println(Arrays.toString(insert.executeBatch()));
            print("made keys", insert.getGeneratedKeys());
        }
        Savepoint savepoint = connection.setSavepoint();
        try (Statement statement = connection.createStatement()) {
            statement.executeQuery("SELECT 1 / 0");
        } catch (SQLException error) {
            System.out.println(error.getSQLState() + " " + error.getMessage());
        }
        connection.rollback(savepoint);
        try (PreparedStatement select = connection.prepareStatement("SELECT b FROM jt WHERE a = ?")) {
            System.out.println(select.getParameterMetaData().getParameterTypeName(1));
            System.out.println(select.getMetaData().getColumnTypeName(1));
            for (int n = 0; n < 8; n++) { // Past the point where the driver keeps a statement on the server.
                select.setInt(1, n);
                print("kept", select.executeQuery());
            }
        }
        PGConnection own = connection.unwrap(PGConnection.class);
        System.out.println(own.getCopyAPI().copyIn("COPY jt (a, b) FROM STDIN", new StringReader("7\tq\n8\tr\n")));
        try (Statement statement = connection.createStatement()) {
            System.out.println(statement.executeUpdate("UPDATE jt SET b = 'z' WHERE a = 7; DELETE FROM jt WHERE a = 8"));
            ResultSet rows = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)
                .executeQuery("SELECT id, a FROM jt WHERE a = 3");
            rows.next();
            rows.updateInt("a", 33);
            rows.updateRow();
        }
        connection.commit();
        connection.setAutoCommit(true);
        connection.setReadOnly(true);
        print("read only", connection.createStatement().executeQuery("SELECT count(*) FROM jt"));
        System.out.println(connection.isValid(5));
    }

    public static void main(String[] args) throws Exception {
        connection = DriverManager.getConnection(args[0], args[1], args[2]);
        metadata(connection.getMetaData());
        statements();
        connection.close();
    }
}
