"""Guardrails beyond the default pack, on real parts: each rule is applied, met, and shown not to be in others' way."""

import io
import os
import time

import psycopg2


def add(step, smoke):
    """Adds this file's steps; `smoke` is the acceptance test's own module. Returns what puts a policy in force."""

    def apply(text):
        """Puts a policy in force and waits until the edge has its epoch."""
        path = os.path.join(smoke.DIR, "guardrails.cedar")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text or "// nothing beside the default pack\n")
        smoke.writ("policy", "apply", path, token="ADMIN")
        # A refusal says under which epoch it was made; equal epochs twice in a row are the newest.
        marker = f'@id("smoke.marker.{time.monotonic_ns()}") @reason("marker")\n' \
                 'forbid (principal == User::"dana", action == Action::"Read", resource == Table::"shop/public/payments");\n'
        with open(path, "a", encoding="utf-8") as file:
            file.write(marker)
        smoke.writ("policy", "apply", path, token="ADMIN")
        name = marker.split('"')[1]
        smoke.until("the policy", lambda: name in smoke.psql(
            "DEVELOPER", "SELECT count(*) FROM payments", check=False).stderr, 10)

    def connect(autocommit=True):
        connection = psycopg2.connect(smoke.url("DEVELOPER"))
        connection.autocommit = autocommit
        return connection, connection.cursor()

    def fails(cursor, statement, code, says=""):
        try:
            cursor.execute(statement)
        except psycopg2.Error as error:
            assert error.pgcode == code and says in str(error), (statement, error.pgcode, str(error))
            return
        raise AssertionError(f"went through: {statement}")

    def direct(statement):
        return smoke.psql("DIRECT", statement)

    @step
    def a_running_limit_ends_an_export():
        apply('@id("smoke.rows") @max_rows("100")\n'
              'permit (principal == User::"dana", action == Action::"WithoutApproval", resource);\n')
        connection, cursor = connect()
        cursor.execute("SELECT id FROM customers ORDER BY id LIMIT 100")
        assert len(cursor.fetchall()) == 100
        fails(cursor, "SELECT id FROM customers", "54000", "more than 100 rows")
        began = time.monotonic()
        fails(cursor, "SELECT generate_series(1, 200000000)", "54000")
        assert time.monotonic() - began < 20, "the server went on"
        # A cancel request never hits the statement after: many small results are done before it comes.
        for _ in range(50):
            fails(cursor, "SELECT id FROM customers LIMIT 101", "54000")
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
        out = io.StringIO()
        try:
            cursor.copy_expert("COPY (SELECT id FROM customers) TO STDOUT", out)
            raise AssertionError("exported")
        except psycopg2.Error as error:
            assert error.pgcode == "54000", error
        assert out.getvalue().count("\n") == 100, "up to the limit, and not one more"
        connection.close()
        # Inside a transaction it fails as with any error.
        connection, cursor = connect(autocommit=False)
        fails(cursor, "SELECT id FROM customers LIMIT 101", "54000")
        fails(cursor, "SELECT 1", "25P02")
        connection.rollback()
        cursor.execute("DECLARE c CURSOR FOR SELECT id FROM customers")
        cursor.execute("FETCH 60 FROM c")
        assert len(cursor.fetchall()) == 60
        fails(cursor, "FETCH 60 FROM c", "54000")
        connection.rollback()
        connection.close()
        # The extended protocol, with what follows in the pipeline.
        script = os.path.join(smoke.DIR, "limit.sql")
        with open(script, "w", encoding="utf-8") as file:
            file.write("\\startpipeline\nSELECT id FROM customers;\nUPDATE products SET stock = -77 WHERE id = 1;\n\\endpipeline\n")
        for mode in ["extended", "prepared"]:
            done = smoke.run([smoke.pgbench(), "-n", "-M", mode, "-f", script, "-t", "1", smoke.url("DEVELOPER")], check=False)
            assert "more than 100 rows" in done.stdout + done.stderr, (done.stdout, done.stderr)
            assert direct("SELECT count(*) FROM products WHERE stock = -77") == "0", "the statement behind it ran"
        # Others are not limited.
        assert smoke.psql("ADMIN", "SELECT id FROM customers").count("\n") > 100

    @step
    def a_bounded_change_is_made_whole_or_not_at_all():
        apply('@id("smoke.bound") @max_rows_affected("5")\n'
              'permit (principal == User::"dana", action == Action::"Write", resource);\n')
        total = "SELECT sum(stock) FROM products WHERE id <= 20"
        before = direct(total)
        connection, cursor = connect()
        fails(cursor, "UPDATE products SET stock = stock + 1 WHERE id <= 6", "54000", "more than 5 rows")
        assert direct(total) == before
        cursor.execute("UPDATE products SET stock = stock WHERE id <= 5")
        assert cursor.rowcount == 5 and connection.info.transaction_status == 0
        fails(cursor, "WITH w AS (UPDATE products SET stock = 0 WHERE id <= 20 RETURNING 1) SELECT 1", "42501")
        fails(cursor, "EXPLAIN ANALYZE UPDATE products SET stock = 0 WHERE id <= 20", "42501")
        fails(cursor, "BEGIN; UPDATE products SET stock = 0 WHERE id <= 20; COMMIT", "42501", "by themselves")
        cursor.execute("PREPARE p AS UPDATE products SET stock = stock + $1 WHERE id <= $2")
        fails(cursor, "EXECUTE p (1, 20)", "54000")
        rows = "".join(f"{n}\tSKU-{n}\t{n:013}\ttitle\t1\t1\n" for n in range(70_000, 70_006))
        try:
            cursor.copy_expert("COPY products FROM STDIN", io.StringIO(rows))
            raise AssertionError("copied in")
        except psycopg2.Error as error:
            assert error.pgcode == "54000", error
        cursor.copy_expert("COPY products FROM STDIN", io.StringIO(rows.split("70005")[0]))
        assert direct("SELECT count(*) FROM products WHERE id >= 70000") == "5"
        direct("DELETE FROM products WHERE id >= 70000")
        connection.close()
        # In the client's transaction: a savepoint brings nothing back.
        connection, cursor = connect(autocommit=False)
        cursor.execute("SAVEPOINT s")
        fails(cursor, "UPDATE products SET stock = stock + 1 WHERE id <= 6", "54000")
        cursor.execute("ROLLBACK TO s")
        connection.commit()
        connection.close()
        script = os.path.join(smoke.DIR, "bound.sql")
        with open(script, "w", encoding="utf-8") as file:
            file.write("UPDATE products SET stock = stock + 1 WHERE id <= 20;\n")
        done = smoke.run([smoke.pgbench(), "-n", "-M", "extended", "-f", script, "-t", "1", smoke.url("DEVELOPER")], check=False)
        assert "more than 5 rows" in done.stdout + done.stderr, (done.stdout, done.stderr)
        assert direct(total) == before
        # Control: without the rule the same change is made.
        apply("")
        assert smoke.psql("DEVELOPER", "UPDATE products SET stock = stock + 1 WHERE id <= 6") == "UPDATE 6"
        assert direct(total) == str(int(before) + 6)

    @step
    def nothing_disarms_a_read_only_session():
        tricks = [
            "SET default_transaction_read_only = off",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "BEGIN READ WRITE",
            "SET transaction_read_only = off",
            "RESET transaction_read_only",
            "SELECT set_config('transaction_read_only', 'off', false)",
            "SELECT set_config('default_' || 'transaction_read_only', 'off', false)",
            "ALTER ROLE CURRENT_USER SET default_transaction_read_only = off",
            "UPDATE pg_settings SET setting = 'off' WHERE name = 'default_transaction_read_only'",
            "DO $$ BEGIN PERFORM set_config('default_transaction_read_only', 'off', false); END $$",
            "UPDATE products SET stock = 0 WHERE id = 1",
            "INSERT INTO products SELECT * FROM products WHERE false",
            "CREATE TEMP TABLE t (id int)",
            "SELECT 1 AS a INTO smoke_into",
            "EXPLAIN ANALYZE DELETE FROM products WHERE id = 1",
            "SELECT lo_create(0)",
        ]
        # Control: at a server that is only told so at the start, the first of them undoes it.
        alone = psycopg2.connect(smoke.url("DIRECT"), options="-c default_transaction_read_only=on")
        alone.autocommit = True
        fails(alone.cursor(), "UPDATE products SET stock = stock WHERE id = 1", "25006")
        alone.cursor().execute(tricks[0])
        alone.cursor().execute("UPDATE products SET stock = stock WHERE id = 1")
        alone.close()
        apply('@id("smoke.reader") @access_mode("read_only")\n'
              'permit (principal == User::"dana", action == Action::"Connect", resource);\n')
        connection = psycopg2.connect(smoke.url("DEVELOPER"), options="-c default_transaction_read_only=off")
        connection.autocommit = True
        cursor = connection.cursor()
        shows = "SHOW transaction_read_only"
        for trick in tricks:
            fails(cursor, trick, "42501")
            cursor.execute(shows)
            assert cursor.fetchone() == ("on",), trick
        # What pools and tools do is fine, and leaves it as it is.
        for harmless in ["RESET ALL", "DISCARD ALL", "RESET default_transaction_read_only", "SET default_transaction_read_only TO DEFAULT",
                         "BEGIN READ ONLY", "ROLLBACK", "BEGIN", "ROLLBACK AND CHAIN", "ROLLBACK",
                         "SELECT count(*) FROM products", "EXPLAIN DELETE FROM products WHERE id = 1"]:
            cursor.execute(harmless)
        cursor.execute(shows)
        assert cursor.fetchone() == ("on",)
        fails(cursor, "SELECT nextval('customers_id_seq')" if direct(
            "SELECT count(*) FROM pg_class WHERE relname = 'customers_id_seq'") == "1"
            else "SELECT txid_current(), pg_advisory_xact_lock(1) FROM products FOR UPDATE", "25006")
        connection.close()

    @step
    def an_hours_budget_runs_out():
        apply('@id("smoke.hour") @rows_per_hour("1000000")\n'
              'permit (principal == User::"dana", action == Action::"Read", resource);\n')
        # What was taken before counts too: the budget is set by what is left.
        connection, cursor = connect()
        cursor.execute("SELECT id FROM customers")
        taken = len(cursor.fetchall())
        connection.close()
        apply(f'@id("smoke.hour") @rows_per_hour("{taken + 150}")\n'
              'permit (principal == User::"dana", action == Action::"Read", resource);\n')
        connection, cursor = connect()
        other, second = connect()
        got = 0
        for n in range(100):
            try:
                (cursor if n % 2 else second).execute("SELECT id FROM customers LIMIT 50")
                got += 50
            except psycopg2.Error as error:
                assert error.pgcode == "54000" and "in an hour" in str(error), error
                break
        assert got <= 150, got
        cursor.execute("BEGIN")
        cursor.execute("ROLLBACK")
        connection.close()
        other.close()
        assert smoke.psql("ADMIN", "SELECT id FROM customers").count("\n") > 100

    @step
    def definitions_and_functions_are_opened_by_name():
        direct("CREATE SCHEMA IF NOT EXISTS scratch")
        direct("CREATE OR REPLACE FUNCTION public.smoke_twice(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2 * n; END'")
        direct("CREATE OR REPLACE FUNCTION public.smoke_other(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2 * n; END'")
        apply('@id("smoke.scope")\n'
              'forbid (principal == User::"dana", action == Action::"Define", resource)\n'
              'unless { resource in Schema::"shop/scratch" };\n'
              '@id("smoke.call")\n'
              'permit (principal == User::"dana", action == Action::"Call", resource == Function::"shop/public/smoke_twice");\n')
        connection, cursor = connect()
        cursor.execute("CREATE TABLE scratch.t (id int)")
        cursor.execute("CREATE INDEX ON scratch.t (id)")
        for statement in ["CREATE TABLE t (id int)", "CREATE TABLE public.t (id int)", "CREATE VIEW v AS SELECT 1",
                          "SET search_path = scratch; CREATE TABLE u (id int)"]:
            fails(cursor, statement, "42501", "")
        cursor.execute("SELECT smoke_twice(21)")
        assert cursor.fetchone() == (42,)
        fails(cursor, "SELECT smoke_other(21)", "42501", "Call")
        connection.close()
        direct("DROP SCHEMA scratch CASCADE")
        direct("DROP FUNCTION public.smoke_twice(int), public.smoke_other(int)")
        apply("")

    return apply
