import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.MessageDigest;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** The driver matrix: JDBC. Arguments: URL, user, password, the file of the cells as lines of tab-separated words. */
public class Matrix {
    interface Call {
        Object get() throws Exception;
    }

    static String url, user, password;
    static Connection connection;
    static final Map<String, List<String>> TYPES = new LinkedHashMap<>();
    static final Map<String, String> ERRORS = new LinkedHashMap<>();
    static final List<String> SETUP = new ArrayList<>();

    static String json(Object value) {
        if (value == null) {
            return "null";
        }
        if (value instanceof Collection<?> list) {
            StringJoiner out = new StringJoiner(", ", "[", "]");
            list.forEach(item -> out.add(json(item)));
            return out.toString();
        }
        if (value instanceof Number || value instanceof Boolean) {
            return String.valueOf(value).matches("-?[0-9.]+|true|false") ? value.toString() : "\"" + value + "\"";
        }
        StringBuilder out = new StringBuilder("\"");
        for (char c : value.toString().toCharArray()) {
            out.append(c == '"' || c == '\\' ? "\\" + c : c < ' ' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return out.append('"').toString();
    }

    static void line(String group, String cell, String name, Object value) {
        System.out.println("{\"group\": " + json(group) + ", \"cell\": " + json(cell) + ", \"" + name + "\": " + json(value) + "}");
    }

    static List<Object> failure(Exception error) {
        List<Object> found = new ArrayList<>(List.of(error.getClass().getSimpleName()));
        if (error instanceof PSQLException own && own.getServerErrorMessage() != null) {
            ServerErrorMessage m = own.getServerErrorMessage();
            found.addAll(Arrays.asList(m.getSeverity(), m.getSQLState(), m.getMessage(), m.getDetail(), m.getHint(), m.getPosition(),
                m.getSchema(), m.getTable(), m.getColumn(), m.getDatatype(), m.getConstraint()));
        } else {
            found.add(error.getMessage());
        }
        if (error instanceof BatchUpdateException batch) {
            found.add(list(batch.getUpdateCounts()));
        }
        return found;
    }

    static Object attempt(Call call) {
        try {
            return call.get();
        } catch (Exception error) {
            return failure(error);
        }
    }

    static void check(String group, String cell, Call call) {
        line(group, cell, "result", attempt(call));
    }

    static List<Integer> list(int[] numbers) {
        List<Integer> found = new ArrayList<>();
        for (int n : numbers) {
            found.add(n);
        }
        return found;
    }

    static String digest(byte[] bytes) throws Exception {
        return bytes.length + " " + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes)).substring(0, 16);
    }

    static List<Object> rows(ResultSet rows) throws SQLException {
        List<Object> found = new ArrayList<>();
        while (rows.next()) {
            List<Object> row = new ArrayList<>();
            for (int n = 1; n <= rows.getMetaData().getColumnCount(); n++) {
                row.add(rows.getString(n));
            }
            found.add(row);
        }
        return found;
    }

    static Object run(String text, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(text)) {
            for (int n = 0; n < values.length; n++) {
                statement.setObject(n + 1, values[n]);
            }
            return statement.execute() ? rows(statement.getResultSet()) : statement.getUpdateCount();
        }
    }

    static void simple(String text) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(text);
        }
    }

    static Connection open(String more) throws SQLException {
        return DriverManager.getConnection(url + (url.contains("?") ? "&" : "?") + more, user, password);
    }

    static Object value(ResultSet rows) throws SQLException {
        Object found = rows.getObject(1);
        return found == null ? null : found instanceof byte[] bytes ? HexFormat.of().formatHex(bytes) : found.getClass().getSimpleName() + " " + rows.getString(1);
    }

    /** `prepareThreshold=-1` asks for the binary format from the first use on. */
    static void types(String format) throws Exception {
        for (String name : TYPES.keySet()) {
            List<String> literals = new ArrayList<>(TYPES.get(name));
            literals.add(null);
            check("results as " + format, name, () -> {
                List<Object> found = new ArrayList<>();
                for (String literal : literals) {
                    found.add(attempt(() -> result(name, literal, null)));
                }
                return found;
            });
            check("parameters as " + format, name, () -> {
                List<Object> found = new ArrayList<>();
                for (String literal : literals) {
                    found.add(attempt(() -> result(name, literal, "(?::" + name + ")::text")));
                }
                return found;
            });
        }
    }

    static Object result(String name, String literal, String back) throws SQLException {
        try (PreparedStatement select = connection.prepareStatement("SELECT (?::text)::" + name)) {
            select.setString(1, literal);
            ResultSet rows = select.executeQuery();
            rows.next();
            if (back == null) {
                return value(rows);
            }
            return run("SELECT " + back, rows.getObject(1));
        }
    }

    static void large() throws Exception {
        String big = "x漢".repeat(5_242_880 / 4);
        check("large values", "5 MB of text", () -> {
            try (PreparedStatement select = connection.prepareStatement("SELECT ?::text, octet_length(?::text)")) {
                select.setString(1, big);
                select.setString(2, big);
                ResultSet rows = select.executeQuery();
                rows.next();
                return List.of(digest(rows.getString(1).getBytes(StandardCharsets.UTF_8)), rows.getInt(2), big.equals(rows.getString(1)));
            }
        });
        check("large values", "10,000 parameters", () -> {
            Object[] values = new Object[10_000];
            Arrays.setAll(values, n -> n);
            return run("SELECT sum(x) FROM unnest(ARRAY[" + "?,".repeat(9_999) + "?]::int[]) x", values);
        });
    }

    static void prepared() throws Exception {
        check("prepared statements", "the same many times", () -> {
            List<Object> found = new ArrayList<>();
            try (PreparedStatement select = connection.prepareStatement("SELECT name, ?::int + size FROM m WHERE id = ?")) {
                for (int n = 0; n < 60; n++) {
                    select.setInt(1, n);
                    select.setInt(2, 1 + n % 2);
                    found.add(rows(select.executeQuery()));
                }
                found.add(select.unwrap(PGStatement.class).isUseServerPrepare());
            }
            return found;
        });
        check("prepared statements", "described", () -> {
            try (PreparedStatement select = connection.prepareStatement("SELECT id, name FROM m WHERE id = ? AND name = ?")) {
                return List.of(select.getParameterMetaData().getParameterTypeName(1), select.getParameterMetaData().getParameterTypeName(2),
                    select.getMetaData().getColumnTypeName(2));
            }
        });
        check("prepared statements", "DEALLOCATE ALL in between", () -> {
            List<Object> found = new ArrayList<>();
            try (PreparedStatement select = connection.prepareStatement("SELECT ?::int + 7")) {
                for (int n = 0; n < 12; n++) {
                    select.setInt(1, n);
                    found.add(attempt(() -> rows(select.executeQuery())));
                    if (n == 8) {
                        simple("DEALLOCATE ALL");
                    }
                }
            }
            return found;
        });
        check("prepared statements", "a table that changes", () -> {
            List<Object> found = new ArrayList<>();
            simple("CREATE TEMP TABLE c (a int)");
            simple("INSERT INTO c VALUES (1)");
            try (PreparedStatement select = connection.prepareStatement("SELECT * FROM c")) {
                for (int n = 0; n < 10; n++) {
                    if (n == 7) {
                        simple("ALTER TABLE c ADD COLUMN b int DEFAULT 5");
                    }
                    found.add(attempt(() -> rows(select.executeQuery())));
                }
            }
            return found;
        });
    }

    static Object batch(int... ids) throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO m (id, name) VALUES (?, 'new')", Statement.RETURN_GENERATED_KEYS)) {
            for (int id : ids) {
                insert.setInt(1, id);
                insert.addBatch();
            }
            return list(insert.executeBatch());
        }
    }

    static void pipelines() throws Exception {
        int[] many = new int[500];
        Arrays.setAll(many, n -> 100 + n);
        check("pipelines", "a batch", () -> batch(many));
        check("pipelines", "an error in the middle", () -> batch(700, 701, 700, 702));
        check("pipelines", "what is left", () -> run("DELETE FROM m WHERE id >= 100"));
        check("pipelines", "a batch of texts", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.addBatch("INSERT INTO m (id, name) VALUES (800, 'a')");
                statement.addBatch("UPDATE m SET name = 'b' WHERE id = 800");
                statement.addBatch("DELETE FROM m WHERE id = 800");
                return list(statement.executeBatch());
            }
        });
        check("pipelines", "a batch rewritten into one INSERT", () -> {
            Connection kept = connection;
            connection = open("reWriteBatchedInserts=true");
            try {
                setup();
                return List.of(batch(many), run("SELECT count(*) FROM m"));
            } finally {
                connection.close();
                connection = kept;
            }
        });
    }

    static void copies() throws Exception {
        simple("CREATE TEMP TABLE k (a int, b text, c numeric)");
        StringBuilder lines = new StringBuilder();
        for (int n = 0; n < 20_000; n++) {
            lines.append(n).append('\t').append(n % 3 == 0 ? "\\N" : "x漢").append('\t').append(n / 4.0).append('\n');
        }
        var api = connection.unwrap(PGConnection.class).getCopyAPI();
        String[][] options = {{"text", ""}, {"CSV", "(FORMAT csv, HEADER)"}, {"binary", "(FORMAT binary)"}};
        for (String[] option : options) {
            check("COPY", "in and out, " + option[0], () -> {
                List<Object> found = new ArrayList<>(List.of(api.copyIn("COPY k FROM STDIN", new StringReader(lines.toString()))));
                ByteArrayOutputStream out = new ByteArrayOutputStream();
                found.add(api.copyOut("COPY k TO STDOUT " + option[1], out));
                run("DELETE FROM k WHERE a >= 0");
                found.add(api.copyIn("COPY k FROM STDIN " + option[1], new ByteArrayInputStream(out.toByteArray())));
                found.addAll(List.of(digest(out.toByteArray()), run("SELECT count(*), sum(a), sum(c), count(b) FROM k")));
                run("DELETE FROM k WHERE a >= 0");
                return found;
            });
        }
        check("COPY", "a bad row", () -> Arrays.asList(
            attempt(() -> api.copyIn("COPY k FROM STDIN", new StringReader("1\ta\t1\nx\tb\t2\n"))), run("SELECT count(*) FROM k")));
        check("COPY", "given up by the client", () -> {
            var copy = api.copyIn("COPY k FROM STDIN");
            copy.writeToCopy("1\ta\t1\n".getBytes(), 0, 6);
            return Arrays.asList(attempt(() -> {
                copy.cancelCopy();
                return "given up";
            }), run("SELECT count(*) FROM k"));
        });
    }

    static void cancels() throws Exception {
        check("cancel", "Statement.cancel()", () -> {
            ScheduledExecutorService other = Executors.newScheduledThreadPool(1);
            try (Statement statement = connection.createStatement()) {
                ScheduledFuture<Object> said = other.schedule(() -> attempt(() -> {
                    statement.cancel();
                    return "said";
                }), 400, TimeUnit.MILLISECONDS);
                long began = System.nanoTime();
                Object found = attempt(() -> statement.execute("SELECT pg_sleep(30)"));
                return List.of(said.get(), found, System.nanoTime() - began < 10_000_000_000L, run("SELECT 1"));
            } finally {
                other.shutdownNow();
            }
        });
        check("cancel", "the driver's time-out", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(1);
                return List.of(attempt(() -> statement.execute("SELECT pg_sleep(30)")), run("SELECT 1"));
            }
        });
    }

    static void transactions() throws Exception {
        String insert = "INSERT INTO m (id, name) VALUES (?, 'new')";
        Object[][] cases = {{"commit", new String[] {"70"}, true}, {"rollback", new String[] {"70"}, false},
            {"an error, then rollback", new String[] {"70", "70", "71"}, false}, {"an error, then commit", new String[] {"70", "70"}, true}};
        for (Object[] each : cases) {
            check("transactions", (String) each[0], () -> {
                List<Object> found = new ArrayList<>();
                connection.setAutoCommit(false);
                for (String id : (String[]) each[1]) {
                    found.add(attempt(() -> run(insert, Integer.parseInt(id))));
                }
                found.add(attempt(() -> {
                    if ((Boolean) each[2]) {
                        connection.commit();
                    } else {
                        connection.rollback();
                    }
                    return "ended";
                }));
                connection.rollback();
                connection.setAutoCommit(true);
                found.addAll(List.of(run("SELECT count(*) FROM m"), run("DELETE FROM m WHERE id >= 70")));
                return found;
            });
        }
        check("transactions", "an error in a savepoint", () -> {
            connection.setAutoCommit(false);
            List<Object> found = new ArrayList<>(List.of(run(insert, 70)));
            Savepoint savepoint = connection.setSavepoint("Here");
            found.add(attempt(() -> run(insert, 70)));
            connection.rollback(savepoint);
            found.add(run(insert, 71));
            connection.releaseSavepoint(connection.setSavepoint());
            connection.commit();
            connection.setAutoCommit(true);
            found.add(run("DELETE FROM m WHERE id >= 70"));
            return found;
        });
        check("transactions", "isolation and read only", () -> {
            connection.setReadOnly(true);
            connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            connection.setAutoCommit(false);
            List<Object> found = new ArrayList<>(List.of(run("SHOW transaction_isolation"), run("SHOW transaction_read_only")));
            found.add(attempt(() -> run("CREATE TABLE public.never (a int)")));
            connection.rollback();
            connection.setAutoCommit(true);
            connection.setReadOnly(false);
            connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            return found;
        });
    }

    static void session() throws Exception {
        for (String name : ERRORS.keySet()) {
            check("errors", name, () -> run(ERRORS.get(name)));
        }
        check("errors", "a parameter's value", () -> run("SELECT 1 / ?::int", 0));
        check("session", "notices", () -> {
            List<Object> found = new ArrayList<>();
            for (String text : List.of("CREATE TEMP TABLE IF NOT EXISTS m (id int)", "COMMIT", "SELECT 1 AS " + "a".repeat(70))) {
                try (Statement statement = connection.createStatement()) {
                    statement.execute(text);
                    for (SQLWarning w = statement.getWarnings(); w != null; w = w.getNextWarning()) {
                        found.add(List.of(w.getSQLState(), w.getMessage()));
                    }
                }
            }
            return found;
        });
        check("session", "LISTEN and NOTIFY", () -> {
            simple("LISTEN one; LISTEN \"Zwei\"");
            try (Connection other = open("ApplicationName=other"); Statement statement = other.createStatement()) {
                statement.execute("NOTIFY one, 'first'");
                statement.execute("SELECT pg_notify('Zwei', 'häß')");
            }
            simple("NOTIFY one, 'own'");
            List<Object> found = new ArrayList<>();
            for (int tries = 0; found.size() < 3 && tries < 20; tries++) {
                var heard = connection.unwrap(PGConnection.class).getNotifications(500);
                for (int n = 0; heard != null && n < heard.length; n++) {
                    found.add(List.of(heard[n].getName(), heard[n].getParameter()));
                }
            }
            simple("UNLISTEN *");
            return found;
        });
        check("session", "parameter status", () -> {
            simple("SET TimeZone = 'Asia/Tokyo'");
            Map<String, String> now = connection.unwrap(PGConnection.class).getParameterStatuses();
            List<Object> found = Arrays.asList(now.get("TimeZone"), now.get("server_version"), now.get("client_encoding"));
            simple("RESET ALL");
            return found;
        });
        check("session", "several results", () -> {
            List<Object> found = new ArrayList<>();
            try (Statement statement = connection.createStatement()) {
                boolean more = statement.execute("SELECT 1; SELECT 'a', 2; UPDATE m SET size = 1 WHERE id = 1");
                while (more || statement.getUpdateCount() != -1) {
                    found.add(more ? rows(statement.getResultSet()) : statement.getUpdateCount());
                    more = statement.getMoreResults();
                }
            }
            return found;
        });
        check("session", "result description", () -> described());
        check("session", "large objects", () -> {
            connection.setAutoCommit(false);
            try {
                var api = connection.unwrap(PGConnection.class).getLargeObjectAPI();
                return api.createLO() > 0;
            } finally {
                connection.rollback();
                connection.setAutoCommit(true);
            }
        });
        check("masking", "a masked column", () -> run("SELECT id, ssn FROM customers WHERE id <= ? ORDER BY id", 3));
    }

    static Object described() throws SQLException {
        try (Statement statement = connection.createStatement()) {
            ResultSetMetaData meta = statement.executeQuery("SELECT id, sku, id + 1 AS more FROM products WHERE id = 1").getMetaData();
            List<Object> found = new ArrayList<>();
            for (int n = 1; n <= 3; n++) {
                found.add(List.of(meta.getColumnLabel(n), meta.getTableName(n), meta.getColumnTypeName(n), meta.isNullable(n), meta.isAutoIncrement(n)));
            }
            return found;
        }
    }

    static void cursors() throws Exception {
        String series = "SELECT n, repeat('x', n % 50) FROM generate_series(1, 1000) n";
        check("cursors", "fetch size", () -> {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(7);
                ResultSet rows = statement.executeQuery(series);
                long sum = 0;
                while (rows.next()) {
                    sum += rows.getInt(1);
                }
                return sum;
            } finally {
                connection.commit();
                connection.setAutoCommit(true);
            }
        });
        check("cursors", "two at once, one closed before its end", () -> {
            connection.setAutoCommit(false);
            try (Statement one = connection.createStatement(); Statement two = connection.createStatement()) {
                one.setFetchSize(5);
                two.setFetchSize(3);
                ResultSet first = one.executeQuery(series), second = two.executeQuery(series);
                for (int n = 0; n < 12; n++) {
                    first.next();
                    second.next();
                }
                second.close();
                return List.of(first.next() ? first.getInt(1) : 0, first.getString(2));
            } finally {
                connection.rollback();
                connection.setAutoCommit(true);
            }
        });
        check("cursors", "updatable", () -> {
            try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
                ResultSet rows = statement.executeQuery("SELECT id, name FROM m ORDER BY id");
                rows.absolute(2);
                rows.updateString("name", "zwei");
                rows.updateRow();
                rows.refreshRow();
                return List.of(rows.getString(2), run("SELECT name FROM m WHERE id = 2"));
            }
        });
    }

    static void setup() throws SQLException {
        for (String text : SETUP) {
            simple(text);
        }
    }

    static void read(String file) throws IOException {
        for (String line : Files.readAllLines(Path.of(file))) {
            String[] words = line.split("\t", -1);
            for (int n = 0; n < words.length; n++) {
                words[n] = words[n].translateEscapes();
            }
            switch (words[0]) {
                case "setup" -> SETUP.add(words[1]);
                case "type" -> TYPES.put(words[1], List.of(words).subList(2, words.length));
                default -> ERRORS.put(words[1], words[2]);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        url = args[0];
        user = args[1];
        password = args[2];
        read(args[3]);
        System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8));
        connection = open("prepareThreshold=-1");
        line("driver", "version", "result", "PostgreSQL JDBC " + connection.getMetaData().getDriverVersion() + ", Java " + Runtime.version().feature());
        setup();
        types("binary");
        connection.close();
        connection = open("binaryTransfer=false");
        setup();
        types("text");
        connection.close();
        connection = open("preferQueryMode=simple");
        setup();
        check("prepared statements", "preferQueryMode=simple", () -> run("SELECT name, ?::int + size FROM m WHERE id = ?", 3, 1));
        connection.close();
        connection = open("ApplicationName=matrix");
        setup();
        large();
        prepared();
        pipelines();
        copies();
        transactions();
        session();
        cursors();
        cancels();
        connection.close();
    }
}
