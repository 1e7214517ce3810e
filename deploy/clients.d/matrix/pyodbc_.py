"""The driver matrix: ODBC (psqlodbc) through unixODBC and pyodbc. Argument: a libpq URL."""

import os
import threading
import time

import pyodbc

from common import BIG, CELLS, attempt, cell, digest, parts, put, unsupported

GIVEN = parts()


def failure(error):
    return {"error": type(error).__name__, "text": [str(a) for a in error.args]}


def check(group, name, f):
    cell(group, name, f, failure)


def connect(**more):
    words = {"Driver": "PostgreSQL Unicode", "Servername": GIVEN["host"], "Port": GIVEN["port"], "Database": GIVEN["dbname"],
             "Username": GIVEN["user"], "Password": GIVEN["password"], "SSLmode": GIVEN.get("sslmode", "prefer"), **more}
    if "sslrootcert" in GIVEN:
        words["pqopt"] = "{sslrootcert=" + GIVEN["sslrootcert"] + "}"
    connection = pyodbc.connect(";".join(f"{k}={v}" for k, v in words.items()), autocommit=True)
    for text in CELLS["setup"]:
        connection.execute(text)
    return connection


def rows(connection, text, *values):
    cursor = connection.execute(text, *values)
    return [tuple(row) for row in cursor.fetchall()] if cursor.description else cursor.rowcount


def types(connection, mode):
    for name, literals in CELLS["types"].items():
        def results(name=name, literals=literals):
            return [attempt(lambda literal=literal: rows(connection, f"SELECT (?::text)::{name}", literal), failure) for literal in [*literals, None]]

        def parameter(literal, name):
            ((value,),) = rows(connection, f"SELECT (?::text)::{name}", literal)
            return rows(connection, f"SELECT (?::{name})::text", value)

        def parameters(name=name, literals=literals):
            return [attempt(lambda literal=literal: parameter(literal, name), failure) for literal in [*literals, None]]

        check("results as text", f"{name}, {mode}", results)
        check("parameters as text", f"{name}, {mode}", parameters)


def large(connection, mode):
    def text():
        ((back, length),) = rows(connection, "SELECT ?::text, octet_length(?::text)", BIG, BIG)
        return [digest(back), length, back == BIG]

    check("large values", f"5 MB of text, {mode}", text)


def prepared(connection, mode):
    text = "SELECT name, size + ?::int FROM m WHERE id = ?::int"
    check("prepared statements", f"the same many times, {mode}", lambda: [rows(connection, text, n, 1 + n % 2) for n in range(CELLS["many"])])

    def batch(fast):
        cursor = connection.cursor()
        cursor.fast_executemany = fast
        cursor.executemany("INSERT INTO m (id, name) VALUES (?, ?)", [(n, f"n{n}") for n in range(100, 160)])
        return rows(connection, "DELETE FROM m WHERE id >= 100")

    check("prepared statements", f"executemany, {mode}", lambda: batch(False))
    check("prepared statements", f"fast_executemany, {mode}", lambda: batch(True))


def cancels(connection):
    def cancel():
        cursor = connection.cursor()
        timer = threading.Timer(0.4, cursor.cancel)
        timer.start()
        began = time.monotonic()
        try:
            cursor.execute("SELECT pg_sleep(30)")
        except pyodbc.Error as error:
            timer.join()
            return [failure(error), time.monotonic() - began < 10, rows(connection, "SELECT 1")]

    def timeout():
        connection.timeout = 1
        try:
            return rows(connection, "SELECT pg_sleep(30)")
        finally:
            connection.timeout = 0

    check("cancel", "SQLCancel", cancel)
    check("cancel", "the driver's time-out", timeout)


def transactions(connection):
    insert = "INSERT INTO m (id, name) VALUES (?, 'new')"

    def run(*steps, end):
        connection.autocommit = False
        found = []
        for step in steps:
            try:
                found.append(rows(connection, *step))
            except pyodbc.Error as error:
                found.append(failure(error))
        end()
        connection.autocommit = True
        found.append(rows(connection, "SELECT count(*) FROM m"))
        rows(connection, "DELETE FROM m WHERE id >= 70")
        return found

    one, bad = (insert, 70), ("SELECT 1 / 0",)
    check("transactions", "commit", lambda: run(one, end=connection.commit))
    check("transactions", "rollback", lambda: run(one, end=connection.rollback))
    check("transactions", "an error, then rollback", lambda: run(one, bad, ("SELECT 1",), end=connection.rollback))
    check("transactions", "an error in a savepoint", lambda: run(
        one, ("SAVEPOINT s",), bad, ("ROLLBACK TO s",), (insert, 71), end=connection.commit))


def rollback_modes():
    """The Protocol option says what an error in a transaction undoes: nothing, all, or its statement."""
    for mode in ["0", "1", "2"]:
        def run(mode=mode):
            connection = connect(Protocol=f"7.4-{mode}")
            connection.autocommit = False
            found = []
            for text in ["INSERT INTO m (id, name) VALUES (70, 'x')", "SELECT 1 / 0", "INSERT INTO m (id, name) VALUES (71, 'x')"]:
                try:
                    found.append(rows(connection, text))
                except pyodbc.Error as error:
                    found.append(failure(error))
            connection.commit()
            found.append(rows(connection, "SELECT count(*) FROM m"))
            connection.close()
            return found
        check("transactions", f"an error, Protocol=7.4-{mode}", run)


def errors(connection):
    for name, text in CELLS["errors"].items():
        check("errors", name, lambda text=text: rows(connection, text))
    check("errors", "a parameter's value", lambda: rows(connection, "SELECT 1 / ?::int", 0))


def session(connection):
    def catalog(name, *values, **named):
        cursor = getattr(connection.cursor(), name)(*values, **named)
        return sorted(str(tuple(row)) for row in cursor.fetchall())

    check("session", "several results", lambda: several(connection))
    check("session", "result description", lambda: [list(map(str, c)) for c in connection.execute(
        "SELECT id, sku, id + 1 AS more FROM products WHERE id = 1").description])
    check("session", "tables", lambda: catalog("tables", schema="public"))
    check("session", "columns", lambda: catalog("columns", table="parent", schema="tools"))
    check("session", "primaryKeys", lambda: catalog("primaryKeys", "parent", schema="tools"))
    check("session", "foreignKeys", lambda: catalog("foreignKeys", foreignTable="child", foreignSchema="tools"))
    check("session", "statistics", lambda: catalog("statistics", "child", schema="tools"))
    check("session", "procedures", lambda: catalog("procedures", schema="tools"))
    check("session", "getTypeInfo", lambda: catalog("getTypeInfo"))
    check("session", "getinfo", lambda: [connection.getinfo(n) for n in [pyodbc.SQL_DBMS_NAME, pyodbc.SQL_DBMS_VER, pyodbc.SQL_DATABASE_NAME]])
    unsupported("session", "notices", "pyodbc does not show them")
    unsupported("session", "LISTEN and NOTIFY", "ODBC has none")
    check("masking", "a masked column", lambda: rows(connection, "SELECT id, ssn FROM customers WHERE id <= ? ORDER BY id", 3))


def several(connection):
    cursor = connection.execute("SELECT 1; SELECT 'a', 2")
    found = [[tuple(row) for row in cursor.fetchall()]]
    while cursor.nextset():
        found.append([tuple(row) for row in cursor.fetchall()])
    return found


def cursors():
    def pieces():
        connection = connect(UseDeclareFetch=1, Fetch=7)
        connection.autocommit = False
        cursor = connection.execute("SELECT n, repeat('x', n % 50) FROM generate_series(1, 1000) n")
        found = [tuple(cursor.fetchone()), len(cursor.fetchmany(10)), sum(row[0] for row in cursor)]
        connection.close()
        return found

    check("cursors", "UseDeclareFetch", pieces)
    unsupported("pipelines", "all", "psqlodbc waits for each answer")
    unsupported("COPY", "all", "ODBC has none")
    unsupported("results as binary", "all types", "psqlodbc has only the text format")
    unsupported("parameters as binary", "all types", "psqlodbc has only the text format")


def main():
    connection = connect()
    driver = connection.getinfo(pyodbc.SQL_DRIVER_VER)
    put("driver", "version", f"psqlodbc {driver}, pyodbc {pyodbc.version}")
    for mode, prepares in [("prepared on the server", 1), ("in the text", 0)]:
        other = connect(UseServerSidePrepare=prepares)
        types(other, mode)
        large(other, mode)
        prepared(other, mode)
        other.close()
    for part in [transactions, errors, session, cancels]:
        part(connection)
    rollback_modes()
    cursors()
    connection.close()
    os._exit(0)


main()
