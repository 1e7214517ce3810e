"""Sessions that share connections to their database: few connections for many, and nothing of one met by another."""

import concurrent.futures
import json
import os
import subprocess
import threading

import psycopg2

import smoke_hostile

CONNECTIONS = 3
# What a session may leave in its connection, how it sees it itself, and what a session that has nothing of it sees.
STATES = {
    "a setting": ("SET work_mem = '77MB'", "SHOW work_mem", "77MB", "4MB"),
    "set_config": ("SELECT set_config('statement_timeout', '12345', false)", "SHOW statement_timeout", "12345ms", "0"),
    "what transactions begin with": ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                                     "SHOW transaction_isolation", "serializable", "read committed"),
    "a temporary table": ("CREATE TEMP TABLE mine AS SELECT 1 AS n", "SELECT to_regclass('mine') IS NOT NULL", True, False),
    "an advisory lock": ("SELECT pg_advisory_lock(4711)",
                         "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", 1, 0),
    "LISTEN": ("LISTEN news", "SELECT count(*) FROM pg_listening_channels()", 1, 0),
    "PREPARE": ("PREPARE mine AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'", 1, 0),
    "a cursor WITH HOLD": ("DECLARE mine CURSOR WITH HOLD FOR SELECT 1",
                           "SELECT count(*) FROM pg_cursors WHERE name = 'mine'", 1, 0),
}


def add(step, smoke):
    """Adds this file's steps; `smoke` is the acceptance test's own module."""

    def shared(who):
        return smoke.url(who).replace("/shop?", "/shared?")

    def connect(who="DEVELOPER"):
        connection = psycopg2.connect(shared(who))
        connection.autocommit = True
        return connection, connection.cursor()

    def one(cursor, query):
        cursor.execute(query)
        return cursor.fetchone()[0]

    def answers():
        try:
            connect()[0].close()
            return True
        except psycopg2.Error:
            return False

    def add_shared():
        listed = json.loads(smoke.writ("databases", "list", "--json", token="ADMIN").stdout)
        shop = next(d for d in listed if d["name"] == "shop")
        password = os.path.join(smoke.DIR, "postgres", "secrets", "shop_app.password")
        if not os.path.exists(password):
            password = next(os.path.join(at, "shop_app.password") for at, _, files in os.walk(smoke.DIR)
                            if "shop_app.password" in files)
        smoke.writ("databases", "add", "shared", "--environment", shop["environment"], "--owner", "dba",
                   "--host", shop["host"], "--port", str(shop["port"]), "--dbname", shop["dbname"],
                   "--username", shop["username"], "--password-file", password, "--tls", shop["tls"],
                   "--pooling", "transaction", "--connections-max", str(CONNECTIONS), token="ADMIN")
        smoke.until("the shared database", answers)

    def work(_):
        connection, cursor = connect()
        seen = set()
        for _ in range(10):
            seen.add(one(cursor, "SELECT pg_backend_pid()"))
            ssn = one(cursor, "SELECT ssn FROM customers LIMIT 1")
            assert not smoke.SSN.search(ssn), ssn
        connection.close()
        return seen

    @step
    def many_sessions_share_few_connections():
        add_shared()
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            pids = set().union(*pool.map(work, range(60)))
        assert 1 <= len(pids) <= CONNECTIONS, pids
        connection, cursor = connect("ADMIN")
        assert one(cursor, "SELECT current_setting('writ.principal')") == "user:ada"
        assert one(cursor, "SELECT pg_backend_pid()") not in pids, "a connection of another principal's"
        connection.close()

    @step
    def nothing_of_one_session_reaches_another():
        for what, (leave, look, own, other) in STATES.items():
            mine, cursor = connect()
            cursor.execute(leave)
            others = [connect() for _ in range(CONNECTIONS + 1)]
            for _ in range(2):
                assert one(cursor, look) == own, what
                seen = [one(c, look) for _, c in others]
                assert seen == [other] * len(seen), (what, seen)
            mine.close()
            seen = [one(c, look) for _, c in others]
            assert seen == [other] * len(seen), (what, seen)
            for connection, _ in others:
                connection.close()

    @step
    def prepared_statements_work_in_shared_connections():
        script = os.path.join(smoke.DIR, "shared.sql")
        with open(script, "w", encoding="utf-8") as file:
            file.write("\\set n random(1, 100)\nSELECT id, full_name FROM customers WHERE id = :n;\n"
                       "BEGIN;\nSELECT count(*) FROM orders WHERE customer_id = :n;\nCOMMIT;\n")
        # A thread for each client: pgbench prepares without looking after the others of its thread.
        for mode in ("extended", "prepared"):
            done = smoke.run(["pgbench", shared("DEVELOPER"), "-n", "-M", mode, "-c", "12", "-j", "12",
                              "-t", "40", "-f", script])
            assert "number of transactions actually processed: 480/480" in done.stdout, done.stdout + done.stderr

    @step
    def a_cancel_meets_no_other_session():
        stop = threading.Event()

        def bystander(_):
            connection, cursor = connect()
            count = 0
            while not stop.is_set():
                one(cursor, "SELECT count(*) FROM orders")
                count += 1
            connection.close()
            return count

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            counts = [pool.submit(bystander, n) for n in range(4)]
            victim, cursor = connect()
            cancelled = 0
            for _ in range(40):
                timer = threading.Timer(0.02, victim.cancel)
                timer.start()
                try:
                    cursor.execute("SELECT pg_sleep(0.02)")
                except psycopg2.errors.QueryCanceled:
                    cancelled += 1
                timer.join()
            stop.set()
            assert all(c.result() > 0 for c in counts)
        assert 0 < cancelled, "no cancel came in time"

    def hold_all():
        holding = []
        for _ in range(CONNECTIONS):
            connection, cursor = connect()
            cursor.execute("BEGIN")
            holding.append((connection, cursor))
        return holding

    def waits(count):
        return f"writ_edge_pool_waiting_sessions {count}\n" in smoke.edge_says("/metrics")

    @step
    def a_cancel_ends_the_wait_for_a_connection():
        # A first one of its kind logs in with a connection; what waits below is a statement.
        subprocess.run(["psql", shared("DEVELOPER"), "-X", "-q", "-c", "SELECT 1"], check=True, stdout=subprocess.DEVNULL)
        holding = hold_all()
        waiting, cursor = connect()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(one, cursor, "SELECT 'cancelled in the line'")
            smoke.until("the wait", lambda: waits(1))
            waiting.cancel()
            error = answer.exception(timeout=5)
            assert error.pgcode == "57014" and "waited for a connection" in str(error), error
            smoke.until("its place", lambda: waits(0), 2.0)
            # Its client goes on, and this time another one goes away.
            answer = pool.submit(one, cursor, "SELECT 'served'")
            smoke.until("the wait", lambda: waits(1))
            leaving = subprocess.Popen(["psql", shared("DEVELOPER"), "-X", "-c", "SELECT 'left in the line'"])
            smoke.until("both", lambda: waits(2))
            leaving.kill()
            leaving.wait()
            smoke.until("one", lambda: waits(1))
            holding[0][1].execute("COMMIT")
            assert answer.result(timeout=10) == "served"
        for connection, _ in [*holding, (waiting, None)]:
            connection.close()
        for text, sqlstate in (("cancelled", "57014"), ("left", "08006")):
            look = f"SELECT effect, sqlstate FROM statements WHERE statement_text LIKE '%{text} in the line%' AND sqlstate IS NOT NULL"
            (row,) = smoke.until("the record", lambda look=look: smoke.lake(look))
            assert (row["effect"], row["sqlstate"]) == ("withheld", sqlstate), row

    @step
    def a_log_in_that_gives_up_leaves_the_line():
        holding = hold_all()
        # No connection began with this setting yet: it waits for one to be greeted by.
        leaving = subprocess.Popen(["psql", shared("DEVELOPER") + "&options=-cstatement_timeout%3D54321", "-X", "-c", "SELECT 1"])
        smoke.until("the wait", lambda: waits(1))
        leaving.kill()
        leaving.wait()
        smoke.until("its place", lambda: waits(0), 2.0)
        for connection, _ in holding:
            connection.close()

    @step
    def who_waits_for_a_connection_gets_the_next():
        holding = hold_all()
        waiting, cursor = connect()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(one, cursor, "SELECT 'served'")
            smoke.until("the wait", lambda: waits(1))
            assert not answer.done()
            holding[0][1].execute("COMMIT")
            assert answer.result(timeout=10) == "served"
        for connection, _ in [*holding, (waiting, None)]:
            connection.close()

    smoke_hostile.add_shared(step, smoke, connect, one)

    @step
    def held_statements_take_no_shared_connection():
        before = {a["id"] for a in smoke.pending()}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            held = [pool.submit(lambda: connect()[1].execute("DELETE FROM order_items")) for _ in range(CONNECTIONS + 2)]
            (request,) = smoke.until("one request for all", lambda: (lambda new: new if sum(
                a["waiting"] for a in new) == len(held) else None)([a for a in smoke.pending() if a["id"] not in before]))
            connection, cursor = connect()
            assert one(cursor, "SELECT 'not in their way'") == "not in their way"
            connection.close()
            smoke.writ("approvals", "deny", request["id"], "--reason", "no", token="DBA1")
            for one_held in held:
                assert one_held.exception(timeout=20).pgcode == "57014", one_held.exception()
        smoke.writ("databases", "remove", "shared", token="ADMIN")

    return add_shared
