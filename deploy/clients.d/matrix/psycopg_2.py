"""The driver matrix: psycopg2, of PyPI or of Debian. It speaks simple queries only. Argument: a libpq URL."""

import io
import select
import threading
import time

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from common import BIG, CELLS, URL, cell, digest, put, unsupported

FIELDS = ["severity", "sqlstate", "message_primary", "message_detail", "message_hint", "statement_position", "schema_name",
          "table_name", "column_name", "datatype_name", "constraint_name"]


def failure(error):
    diag = getattr(error, "diag", None)
    if diag is None or diag.sqlstate is None:
        return {"error": type(error).__name__, "text": str(error)}
    return {"error": type(error).__name__, **{f: getattr(diag, f) for f in FIELDS if getattr(diag, f) is not None}}


def check(group, name, f):
    cell(group, name, f, failure)


def connect():
    connection = psycopg2.connect(URL)
    connection.autocommit = True
    for text in CELLS["setup"]:
        rows(connection, text)
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    psycopg2.extras.register_ipaddress(connection)
    psycopg2.extensions.register_adapter(dict, psycopg2.extras.Json)
    return connection


def rows(connection, text, values=None):
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall() if cursor.description else cursor.statusmessage


def types(connection):
    for name, literals in CELLS["types"].items():
        def results(name=name, literals=literals):
            return [rows(connection, f"SELECT %s::{name}", (literal,)) for literal in [*literals, None]]

        def parameters(name=name, literals=literals):
            values = [rows(connection, f"SELECT %s::{name}", (literal,))[0][0] for literal in [*literals, None]]
            return [rows(connection, f"SELECT (%s::{name})::text", (value,)) for value in values]

        check("results as text", name, results)
        check("parameters as text", name, parameters)
    unsupported("results as binary", "all types", "psycopg2 has only the text format")
    unsupported("parameters as binary", "all types", "psycopg2 puts parameters into the text")

    def large():
        ((back, length),) = rows(connection, "SELECT %s, octet_length(%s)", (BIG, BIG))
        return [digest(back), length, back == BIG]

    check("large values", "5 MB of text", large)
    many = list(range(CELLS["parameters"]))
    check("large values", "10,000 parameters", lambda: rows(connection, f"SELECT sum(x) FROM unnest(ARRAY[{','.join(['%s'] * len(many))}]) x", many))


def prepared(connection):
    unsupported("prepared statements", "the same many times", "psycopg2 prepares nothing itself")

    def batch():
        with connection.cursor() as cursor:
            psycopg2.extras.execute_batch(cursor, "INSERT INTO m (id, name) VALUES (%s, %s)", [(n, f"n{n}") for n in range(100, 350)])
            found = psycopg2.extras.execute_values(
                cursor, "INSERT INTO m (id, name) VALUES %s RETURNING id", [(n, f"n{n}") for n in range(400, 650)], fetch=True)
        return [found, rows(connection, "DELETE FROM m WHERE id >= 100")]

    check("prepared statements", "PREPARE and EXECUTE", lambda: [
        rows(connection, "PREPARE p (int) AS SELECT $1 + size FROM m WHERE id = $1"),
        [rows(connection, "EXECUTE p (%s)", (1 + n % 2,)) for n in range(CELLS["many"])], rows(connection, "DEALLOCATE p")])
    check("prepared statements", "execute_batch and execute_values", batch)
    unsupported("pipelines", "all", "psycopg2 waits for each answer")


def copies(connection):
    rows(connection, "CREATE TEMP TABLE k (a int, b text, c numeric)")
    data = "".join(f"{n}\t{'x漢' if n % 3 else chr(92) + 'N'}\t{n / 4}\n" for n in range(20_000))

    def around(option):
        with connection.cursor() as cursor:
            cursor.copy_expert("COPY k FROM STDIN", io.StringIO(data))
            file = io.BytesIO()
            cursor.copy_expert(f"COPY k TO STDOUT {option}", file)
            rows(connection, "DELETE FROM k WHERE a >= 0")
            file.seek(0)
            cursor.copy_expert(f"COPY k FROM STDIN {option}", file)
            found = [cursor.statusmessage, digest(file.getvalue().hex()), rows(connection, "SELECT count(*), sum(a), sum(c), count(b) FROM k")]
            rows(connection, "DELETE FROM k WHERE a >= 0")
            return found

    def broken(file):
        try:
            with connection.cursor() as cursor:
                cursor.copy_expert("COPY k FROM STDIN", file)
        except (psycopg2.Error, ValueError) as error:
            return [failure(error), rows(connection, "SELECT count(*) FROM k")]

    class Fails(io.StringIO):
        def read(self, _size=-1):
            raise ValueError("given up")

    for name, option in {"text": "", "CSV": "(FORMAT csv, HEADER)", "binary": "(FORMAT binary)"}.items():
        check("COPY", f"in and out, {name}", lambda option=option: around(option))
    check("COPY", "a bad row", lambda: broken(io.StringIO("1\ta\t1\nx\tb\t2\n")))
    check("COPY", "given up by the client", lambda: broken(Fails()))


def attempt_all(calls):
    found = []
    for call in calls:
        try:
            found.append(call())
        except psycopg2.Error as error:
            found.append(failure(error))
    return found


def cancels(connection):
    def cancel():
        said = []
        timer = threading.Timer(0.4, lambda: said.extend(attempt_all([connection.cancel])))
        timer.start()
        began = time.monotonic()
        found = attempt_all([lambda: rows(connection, "SELECT pg_sleep(30)")])
        timer.join()
        return [said, found, time.monotonic() - began < 10, rows(connection, "SELECT 1")]

    def inside():
        connection.autocommit = False
        rows(connection, "INSERT INTO m (id, name) VALUES (60, 'sixty')")
        found = cancel_only()
        connection.rollback()
        connection.autocommit = True
        return [found, rows(connection, "SELECT count(*) FROM m")]

    def cancel_only():
        timer = threading.Timer(0.4, connection.cancel)
        timer.start()
        found = attempt_all([lambda: rows(connection, "SELECT pg_sleep(30)"), lambda: rows(connection, "SELECT 1")])
        return [found, connection.get_transaction_status()]

    check("cancel", "cancel()", cancel)
    check("cancel", "inside a transaction", inside)
    check("cancel", "statement_timeout", lambda: attempt_all([
        lambda: rows(connection, "SET statement_timeout = 100"), lambda: rows(connection, "SELECT pg_sleep(30)"),
        lambda: rows(connection, "RESET statement_timeout")]))


def transactions(connection):
    insert = "INSERT INTO m (id, name) VALUES (%s, 'new')"

    def run(*steps, end):
        connection.autocommit = False
        found = attempt_all([lambda text=text: rows(connection, text) for text in steps])
        status = connection.get_transaction_status()
        end()
        connection.autocommit = True
        found += [status, rows(connection, "SELECT count(*) FROM m")]
        rows(connection, "DELETE FROM m WHERE id >= 70")
        return found

    one = insert % 70
    check("transactions", "commit", lambda: run(one, end=connection.commit))
    check("transactions", "rollback", lambda: run(one, end=connection.rollback))
    check("transactions", "an error, then rollback", lambda: run(one, "SELECT 1 / 0", "SELECT 1", end=connection.rollback))
    check("transactions", "an error, then commit", lambda: run(one, "SELECT 1 / 0", end=connection.commit))
    check("transactions", "an error in a savepoint", lambda: run(
        one, "SAVEPOINT s", insert % 71, one, "ROLLBACK TO s", insert % 72, "RELEASE s", end=connection.commit))
    check("transactions", "isolation and read only", lambda: isolation(connection))


def isolation(connection):
    connection.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True, autocommit=False)
    found = [rows(connection, f"SHOW transaction_{what}") for what in ["isolation", "read_only", "deferrable"]]
    found += attempt_all([lambda: rows(connection, "CREATE TABLE public.never (a int)")])
    connection.rollback()
    connection.set_session(isolation_level="DEFAULT", readonly="DEFAULT", deferrable="DEFAULT", autocommit=True)
    return found


def errors(connection):
    for name, text in CELLS["errors"].items():
        check("errors", name, lambda text=text: rows(connection, text))
    check("errors", "several statements", lambda: rows(connection, "SELECT 1; SELECT 1 / 0; SELECT 2"))


def session(connection):
    def notices():
        del connection.notices[:]
        for text in ["CREATE TEMP TABLE IF NOT EXISTS m (id int)", "COMMIT", f"SELECT 1 AS {'a' * 70}"]:
            rows(connection, text)
        return list(connection.notices)

    def notifications():
        rows(connection, 'LISTEN one; LISTEN "Zwei"')
        other = psycopg2.connect(URL)
        other.autocommit = True
        rows(other, "NOTIFY one, 'first'")
        rows(other, "SELECT pg_notify('Zwei', 'häß')")
        other.close()
        rows(connection, "NOTIFY one, 'own'")
        deadline = time.monotonic() + 10
        while len(connection.notifies) < 3 and time.monotonic() < deadline:
            select.select([connection], [], [], 1)
            connection.poll()
        found = [[n.channel, n.payload] for n in connection.notifies]
        rows(connection, "UNLISTEN *")
        return found

    def status():
        rows(connection, "SET TimeZone = 'Asia/Tokyo'")
        found = [connection.get_parameter_status(n) for n in ["TimeZone", "server_version", "client_encoding", "is_superuser"]]
        rows(connection, "RESET ALL")
        return [found, connection.get_parameter_status("TimeZone"), connection.server_version, connection.protocol_version]

    def encoding():
        connection.set_client_encoding("LATIN1")
        found = attempt_all([lambda: rows(connection, "SELECT 'plain'"), lambda: rows(connection, "SELECT %s || 'ß'", ("ä",))])
        connection.set_client_encoding("UTF8")
        return found

    check("session", "notices", notices)
    check("session", "LISTEN and NOTIFY", notifications)
    check("session", "parameter status", status)
    check("session", "another client encoding", encoding)
    check("session", "an empty query", lambda: rows(connection, ""))
    check("session", "several results", lambda: rows(connection, "SELECT 1; SELECT 'a', 2"))
    check("session", "result description", lambda: description(connection))
    check("session", "large objects", lambda: large_object(connection))
    check("masking", "a masked column", lambda: rows(connection, "SELECT id, ssn FROM customers WHERE id <= %s ORDER BY id", (3,)))


def description(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, sku, id + 1 AS more FROM products WHERE id = 1")
        return [[c.name, c.type_code, c.internal_size, (c.table_oid or 0) > 0, c.table_column] for c in cursor.description]


def large_object(connection):
    connection.autocommit = False
    try:
        made = connection.lobject(0, "wb")
        made.write(b"large")
        return made.tell()
    finally:
        connection.rollback()
        connection.autocommit = True


def cursors(connection):
    series = "SELECT n, repeat('x', n %% 50) FROM generate_series(1, %s) n"

    def named(use, **how):
        connection.autocommit = False
        with connection.cursor("c", **how) as cursor:
            cursor.itersize = 7
            cursor.execute(series, (1000,))
            found = use(cursor)
        connection.rollback()
        connection.autocommit = True
        return found

    def scrolled(cursor):
        cursor.scroll(500)
        found = [cursor.fetchone()[0]]
        cursor.scroll(-100)
        return [*found, cursor.fetchone()[0]]

    check("cursors", "in pieces", lambda: named(lambda c: [c.fetchone(), len(c.fetchmany(10)), sum(row[0] for row in c)]))
    check("cursors", "scrolling", lambda: named(scrolled, scrollable=True))
    check("cursors", "WITH HOLD", lambda: named(lambda c: [connection.commit(), len(c.fetchmany(3)), len(c.fetchall())], withhold=True))


def main():
    put("driver", "version", f"psycopg2 {psycopg2.__version__.split()[0]}, libpq {psycopg2.extensions.libpq_version()}")
    connection = connect()
    for part in [types, prepared, copies, transactions, errors, session, cursors, cancels]:
        part(connection)
    check("session", "reset()", lambda: [connection.reset(), rows(connection, "SELECT count(*) FROM pg_class WHERE relname = 'm'")])
    connection.close()


main()
