"""The driver matrix: psycopg 3. Argument: a libpq URL."""

import threading
import time

import psycopg
from psycopg import pq

from common import BIG, CELLS, URL, cell, digest, put

FIELDS = ["severity_nonlocalized", "sqlstate", "message_primary", "message_detail", "message_hint", "statement_position",
          "schema_name", "table_name", "column_name", "datatype_name", "constraint_name"]


def failure(error):
    diag = getattr(error, "diag", None)
    if diag is None or diag.sqlstate is None:
        return {"error": type(error).__name__, "text": str(error)}
    return {"error": type(error).__name__, **{f: getattr(diag, f) for f in FIELDS if getattr(diag, f) is not None}}


def check(group, name, f):
    cell(group, name, f, failure)


def connect():
    connection = psycopg.connect(URL, autocommit=True)
    for text in CELLS["setup"]:
        connection.execute(text)
    return connection


def raw(connection, text, values, result_format, parameter_formats):
    """A statement at the level of libpq: values as bytes in a chosen format."""
    done = connection.pgconn.exec_params(text.encode(), values, None, parameter_formats, result_format)
    if done.status != pq.ExecStatus.TUPLES_OK:
        return done.error_message.decode()
    return [done.ftype(0), done.fformat(0), done.get_value(0, 0)]


def types(connection):
    for name, literals in CELLS["types"].items():
        def results(binary, name=name, literals=literals):
            found = []
            for literal in [*literals, None]:
                cursor = connection.cursor(binary=binary)
                found.append(cursor.execute(f"SELECT %t::{name}", (literal,)).fetchone())
            return found

        def parameters(kind, name=name, literals=literals):
            found = []
            for literal in [*literals, None]:
                value = connection.execute(f"SELECT %t::{name}", (literal,)).fetchone()[0]
                found.append(connection.execute(f"SELECT ({kind}::{name})::text", (value,)).fetchone())
            return found

        def bytes_back(name=name, literals=literals):
            found = []
            for literal in literals:
                made = raw(connection, f"SELECT $1::{name}", [literal.encode()], 1, [0])
                found.append([made, raw(connection, f"SELECT $1::{name}", [made[2]], 0, [1])])
            return found

        check("results as text", name, lambda: results(False))
        check("results as binary", name, lambda: results(True))
        check("parameters as text", name, lambda: parameters("%t"))
        check("parameters as binary", name, lambda: parameters("%b"))
        check("parameters as binary", f"{name}, libpq", bytes_back)
    check("large values", "5 MB of text", lambda: large(connection, False))
    check("large values", "5 MB of text, binary", lambda: large(connection, True))
    many = list(range(CELLS["parameters"]))
    marks = ",".join(["%s"] * len(many))
    check("large values", "10,000 parameters", lambda: connection.execute(f"SELECT sum(x) FROM unnest(ARRAY[{marks}]::int[]) x", many).fetchone())


def large(connection, binary):
    cursor = connection.cursor(binary=binary)
    back, length = cursor.execute(f"SELECT {'%b' if binary else '%t'}::text, octet_length({'%b' if binary else '%t'}::text)", (BIG, BIG)).fetchone()
    return [digest(back), length, back == BIG]


def prepared(connection):
    text = "SELECT name, %s + size FROM m WHERE id = %s"
    check("prepared statements", "the same many times", lambda: [
        connection.execute(text, (n, 1 + n % 2), prepare=True).fetchone() for n in range(CELLS["many"])])
    check("prepared statements", "past the driver's threshold", lambda: [
        connection.execute("SELECT %s::int * 2", (n,)).fetchone()[0] for n in range(CELLS["many"])])
    check("prepared statements", "executemany with RETURNING", lambda: returned(connection))
    check("prepared statements", "DEALLOCATE ALL in between", lambda: deallocated(connection, text))
    check("prepared statements", "a table that changes", lambda: changed(connection))
    check("prepared statements", "PREPARE and EXECUTE", lambda: [
        connection.execute("PREPARE p (int) AS SELECT $1 + 1").statusmessage,
        connection.execute("EXECUTE p (4)").fetchone(), connection.execute("DEALLOCATE p").statusmessage])


def returned(connection):
    cursor = connection.cursor()
    cursor.executemany("INSERT INTO m (id, name) VALUES (%s, %s) RETURNING id, name", [(n, f"n{n}") for n in range(100, 120)], returning=True)
    found = [cursor.fetchone()]
    while cursor.nextset():
        found.append(cursor.fetchone())
    connection.execute("DELETE FROM m WHERE id >= 100")
    return found


def deallocated(connection, text):
    connection.execute("DEALLOCATE ALL")
    return attempt_all([lambda: connection.execute(text, (1, 1), prepare=True).fetchone()] * 3)


def changed(connection):
    connection.execute("CREATE TEMP TABLE c (a int)")
    connection.execute("INSERT INTO c VALUES (1)")
    select = [lambda: connection.execute("SELECT * FROM c", prepare=True).fetchall()] * 2
    before = attempt_all(select)
    connection.execute("ALTER TABLE c ADD COLUMN b int DEFAULT 5")
    return [before, attempt_all(select)]


def attempt_all(calls):
    found = []
    for call in calls:
        try:
            found.append(call())
        except psycopg.Error as error:
            found.append(failure(error))
    return found


def pipelines(connection):
    def plain():
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int + 1", (n,)) for n in range(40)]
        return [c.fetchone()[0] for c in cursors]

    def broken():
        found = []
        # Where the error comes early, psycopg raises it at a later execute, and leaves what is behind it unsent.
        cursors = [connection.cursor() for _ in range(5)]
        try:
            with connection.pipeline() as pipeline:
                for cursor, n in zip(cursors, [1, 2, 0, 4, 5]):
                    cursor.execute("SELECT 10 / %s::int", (n,))
                pipeline.sync()
        except psycopg.Error as error:
            found.append(failure(error))
        for cursor in cursors:
            found += attempt_all([cursor.fetchone])
        return [found, connection.execute("SELECT 1").fetchone()]

    def in_a_transaction():
        try:
            with connection.pipeline(), connection.transaction():
                connection.execute("INSERT INTO m (id, name) VALUES (50, 'fifty')")
                connection.execute("INSERT INTO m (id, name) VALUES (50, 'again')")
                connection.execute("INSERT INTO m (id, name) VALUES (51, 'more')")
        except psycopg.Error as error:
            return [failure(error), connection.execute("SELECT count(*) FROM m").fetchone()]

    def with_syncs():
        with connection.pipeline() as pipeline:
            first = connection.execute("SELECT 1")
            pipeline.sync()
            second = connection.execute("SELECT 2")
            pipeline.sync()
            third = connection.execute("SELECT repeat('x', 300000)")
        return [first.fetchone(), second.fetchone(), digest(third.fetchone()[0])]

    check("pipelines", "40 statements", plain)
    check("pipelines", "an error in the middle", broken)
    check("pipelines", "a transaction that fails", in_a_transaction)
    check("pipelines", "several Syncs", with_syncs)


def copies(connection):
    connection.execute("CREATE TEMP TABLE k (a int, b text, c numeric)")
    options = {"text": "", "CSV": "(FORMAT csv, HEADER)", "binary": "(FORMAT binary)"}

    def out(option):
        with connection.cursor().copy(f"COPY k TO STDOUT {option}") as copy:
            return digest(b"".join(bytes(part) for part in copy).hex())

    def around(option):
        with connection.cursor().copy("COPY k FROM STDIN") as copy:
            for n in range(20_000):
                copy.write_row((n, "x\t漢\\" if n % 3 else None, n / 4))
        with connection.cursor().copy(f"COPY k TO STDOUT {option}") as copy:
            data = b"".join(bytes(part) for part in copy)
        connection.execute("DELETE FROM k WHERE a >= 0")
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY k FROM STDIN {option}") as copy:
                for start in range(0, len(data), 70_001):
                    copy.write(data[start:start + 70_001])
            status = cursor.statusmessage
        rows = connection.execute("SELECT count(*), sum(a), sum(c), count(b) FROM k").fetchone()
        again = out(option)
        connection.execute("DELETE FROM k WHERE a >= 0")
        return [len(data), status, rows, again]

    for name, option in options.items():
        check("COPY", f"in and out, {name}", lambda option=option: around(option))
    check("COPY", "rows with types", lambda: typed_rows(connection))
    check("COPY", "a bad row", lambda: bad(connection, lambda copy: copy.write("1\ta\t1\nx\tb\t2\n")))
    check("COPY", "given up by the client", lambda: bad(connection, give_up))
    check("COPY", "a query out", lambda: query_out(connection))


def typed_rows(connection):
    with connection.cursor().copy("COPY (SELECT n, 'x' || n, n / 3.0::float8 FROM generate_series(1, 5) n) TO STDOUT (FORMAT binary)") as copy:
        copy.set_types(["int4", "text", "float8"])
        return list(copy.rows())


def query_out(connection):
    with connection.cursor().copy("COPY (SELECT id, sku FROM products WHERE id <= %s ORDER BY id) TO STDOUT", (3,)) as copy:
        return [bytes(part) for part in copy]


def give_up(copy):
    copy.write("1\ta\t1\n")
    raise ValueError("given up")


def bad(connection, write):
    try:
        with connection.cursor().copy("COPY k FROM STDIN") as copy:
            write(copy)
    except Exception as error:
        return [failure(error), connection.execute("SELECT count(*) FROM k").fetchone()]


def cancels(connection):
    def cancel(way):
        said = []
        timer = threading.Timer(0.4, lambda: said.extend(attempt_all([way])))
        timer.start()
        began = time.monotonic()
        try:
            connection.execute("SELECT pg_sleep(30)")
        except psycopg.Error as error:
            timer.join()
            return [said, failure(error), time.monotonic() - began < 10, connection.execute("SELECT 1").fetchone()]

    check("cancel", "cancel()", lambda: cancel(connection.cancel))
    check("cancel", "cancel_safe()", lambda: cancel(connection.cancel_safe))
    check("cancel", "inside a transaction", lambda: cancel_inside(connection))
    check("cancel", "when nothing runs", lambda: [connection.cancel(), time.sleep(0.3), connection.execute("SELECT 1").fetchone()])
    check("cancel", "statement_timeout", lambda: connection.execute("SET statement_timeout = 100") and connection.execute("SELECT pg_sleep(30)"))
    connection.execute("RESET statement_timeout")


def cancel_inside(connection):
    try:
        with connection.transaction():
            connection.execute("INSERT INTO m (id, name) VALUES (60, 'sixty')")
            threading.Timer(0.4, connection.cancel).start()
            connection.execute("SELECT pg_sleep(30)")
    except psycopg.Error as error:
        return [failure(error), connection.info.transaction_status.name, connection.execute("SELECT count(*) FROM m").fetchone()]


def transactions(connection):
    count = "SELECT count(*) FROM m"
    insert = "INSERT INTO m (id, name) VALUES (%s, 'new')"

    def run(fail, inner=None):
        before = connection.execute(count).fetchone()
        try:
            with connection.transaction(force_rollback=fail == "roll back"):
                connection.execute(insert, (70,))
                if inner:
                    inner()
                if fail == "error":
                    connection.execute("SELECT 1 / 0")
        except psycopg.Error as error:
            return [before, failure(error), connection.execute(count).fetchone()]
        after = connection.execute(count).fetchone()
        connection.execute("DELETE FROM m WHERE id >= 70")
        return [before, after]

    def savepoint():
        try:
            with connection.transaction():
                connection.execute(insert, (71,))
                connection.execute(insert, (70,))
        except psycopg.Error:
            pass

    def failed_state():
        connection.autocommit = False
        found = attempt_all([lambda: connection.execute("SELECT 1 / 0"), lambda: connection.execute("SELECT 1")])
        status = connection.info.transaction_status.name
        connection.rollback()
        connection.autocommit = True
        return [found, status, connection.info.transaction_status.name]

    check("transactions", "commit", lambda: run(None))
    check("transactions", "rollback", lambda: run("roll back"))
    check("transactions", "an error, then rollback", lambda: run("error"))
    check("transactions", "an error in a savepoint", lambda: run(None, savepoint))
    check("transactions", "a statement after an error", failed_state)
    check("transactions", "isolation and read only", lambda: isolation(connection))


def isolation(connection):
    connection.autocommit = False
    connection.isolation_level, connection.read_only, connection.deferrable = psycopg.IsolationLevel.SERIALIZABLE, True, True
    found = [connection.execute(f"SHOW transaction_{what}").fetchone() for what in ["isolation", "read_only", "deferrable"]]
    found += attempt_all([lambda: connection.execute("CREATE TABLE public.never (a int)")])
    connection.rollback()
    connection.isolation_level = connection.read_only = connection.deferrable = None
    connection.autocommit = True
    return found


def errors(connection):
    for name, text in CELLS["errors"].items():
        check("errors", name, lambda text=text: connection.execute(text).fetchall())
    check("errors", "a parameter's value", lambda: connection.execute("SELECT 1 / %s::int", (0,)).fetchall())
    check("errors", "several statements", lambda: connection.execute("SELECT 1; SELECT 1 / 0; SELECT 2"))


def session(connection):
    def notices():
        heard = []
        connection.add_notice_handler(lambda d: heard.append([d.severity, d.sqlstate, d.message_primary]))
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS m (id int)")
        connection.execute("COMMIT")
        connection.execute(f"SELECT 1 AS {'a' * 70}")
        return heard

    def notifications():
        connection.execute("LISTEN one")
        connection.execute('LISTEN "Zwei"')
        with psycopg.connect(URL, autocommit=True) as other:
            other.execute("NOTIFY one, 'first'")
            other.execute("SELECT pg_notify('Zwei', 'häß')")
        connection.execute("NOTIFY one, 'own'")
        heard = [[n.channel, n.payload] for n in connection.notifies(timeout=10, stop_after=3)]
        connection.execute("UNLISTEN *")
        return heard

    def status():
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        connection.execute("SET application_name = 'matrix'")
        names = [b"TimeZone", b"application_name", b"server_version", b"client_encoding", b"DateStyle", b"is_superuser"]
        found = [connection.pgconn.parameter_status(n) for n in names]
        connection.execute("RESET ALL")
        return [found, connection.pgconn.parameter_status(b"TimeZone")]

    def encoding():
        connection.execute("SET client_encoding = 'LATIN1'")
        found = [connection.execute("SELECT %s || 'ß'", ("ä",)).fetchone()]
        found += attempt_all([lambda: connection.execute("SELECT chr(28450)").fetchone()])
        connection.execute("SET client_encoding = 'UTF8'")
        return found

    check("session", "notices", notices)
    check("session", "LISTEN and NOTIFY", notifications)
    check("session", "parameter status", status)
    check("session", "another client encoding", encoding)
    check("session", "several results", lambda: [r.fetchall() for r in connection.execute("SELECT 1; SELECT 'a', 2").results()])
    check("session", "an empty query", lambda: connection.execute("").statusmessage)
    check("session", "result description", lambda: description(connection))
    check("masking", "a masked column", lambda: connection.execute("SELECT id, ssn FROM customers WHERE id <= %s ORDER BY id", (3,)).fetchall())


def description(connection):
    done = connection.pgconn.exec_params(b"SELECT id, sku, id + 1 AS more FROM products WHERE id = 1", None)
    columns = range(done.nfields)
    return [[done.fname(n), done.ftable(n) > 0, done.ftablecol(n), done.ftype(n), done.fmod(n), done.fsize(n)] for n in columns]


def cursors(connection):
    series = "SELECT n, repeat('x', n % 50) FROM generate_series(1, 1000) n"

    def server_side():
        with connection.transaction(), connection.cursor("c") as cursor:
            cursor.itersize = 7
            cursor.execute(series)
            return [cursor.fetchone(), len(cursor.fetchmany(10)), sum(row[0] for row in cursor)]

    def scrolled():
        with connection.transaction(), connection.cursor("s", scrollable=True) as cursor:
            cursor.execute(series)
            cursor.scroll(500)
            found = [cursor.fetchone()[0]]
            cursor.scroll(-100)
            return [*found, cursor.fetchone()[0]]

    def held():
        with connection.cursor("h", withhold=True) as cursor:
            cursor.execute(series)
            return [len(cursor.fetchmany(3)), len(cursor.fetchall())]

    def streamed():
        return sum(row[0] for row in connection.cursor().stream(series, size=13))

    check("cursors", "in pieces", server_side)
    check("cursors", "scrolling", scrolled)
    check("cursors", "WITH HOLD", held)
    check("cursors", "row by row", streamed)


def main():
    put("driver", "version", f"psycopg {psycopg.__version__}, libpq {pq.version()}")
    connection = connect()
    for part in [types, prepared, pipelines, copies, transactions, errors, session, cursors, cancels]:
        part(connection)
    connection.close()


main()
