"""Operations of edges: who is connected and does what, ending a session, draining."""

import json
import os
import signal
import subprocess
import threading
import urllib.error

import psycopg2


def add(step, smoke):
    """Adds this file's steps; `smoke` is the acceptance test's own module."""

    def connect(who, name):
        connection = psycopg2.connect(smoke.url(who), application_name=name)
        connection.autocommit = True
        return connection, connection.cursor()

    def top(who="ADMIN"):
        return json.loads(smoke.writ("edges", "top", "--json", token=who).stdout)["sessions"]

    def live(name, who="ADMIN"):
        return next((s for s in top(who) if s["application_name"] == name), None)

    def running(who, name, query):
        target = f"{smoke.url(who)}&application_name={name}"
        return subprocess.Popen(["psql", target, "-X", "-A", "-t", "-v", "VERBOSITY=verbose", "-c", query],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @step
    def a_question_that_others_disturb_is_asked_again():
        # What the edge asks behind a definition in a block reads views, whose relations somebody locks for longer than the
        # client's lock_timeout: it is undone, and asked again.
        owner = psycopg2.connect(smoke.url("DIRECT"))
        with owner, owner.cursor() as cursor:
            cursor.execute("CREATE VIEW disturbed AS SELECT id FROM orders")
        client, cursor = connect("ADMIN", "disturbed")
        cursor.execute("BEGIN")
        cursor.execute("SET LOCAL lock_timeout = '300ms'")
        cursor.execute("CREATE TABLE made_meanwhile (i int)")
        owner.cursor().execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        released = threading.Event()

        def release():
            released.set()
            owner.rollback()

        timer = threading.Timer(0.5, release)
        timer.start()
        cursor.execute("SELECT count(*) FROM made_meanwhile")
        assert cursor.fetchone() == (0,) and released.is_set(), "it waited for the lock"
        timer.join()
        cursor.execute("ROLLBACK")
        with owner, owner.cursor() as cursor:
            cursor.execute("DROP VIEW disturbed")
        owner.close()
        client.close()

    @step
    def top_shows_what_sessions_do():
        idle, _ = connect("DEVELOPER", "top-idle")
        busy, cursor = connect("DEVELOPER", "top-transaction")
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1")
        agent, _ = connect("AGENT", "top-agent")
        held = smoke.Held("DELETE FROM order_items")
        with running("DEVELOPER", "top-running", "SELECT pg_sleep(60), 'a long text'") as psql:
            seen = smoke.until("the statement to run", lambda: (lambda s: s if s and s["state"] == "running" else None)(
                live("top-running")))
            assert seen["principal"] == "user:dana" and seen["database"] == "shop", seen
            assert seen["edge"] == "edge-1" and seen["client"].startswith("127.0.0.1:"), seen
            assert seen["statement_text"] == "SELECT pg_sleep(60), 'a long text'" and seen["since"], seen
            assert live("top-idle")["state"] == "idle"
            transaction = live("top-transaction")
            assert (transaction["state"], transaction["statements"]) == ("in transaction", 2), transaction
            waiting = next(s for s in top() if s["approval"] == held.id)
            assert waiting["state"] == "held" and waiting["statement_text"] == "DELETE FROM order_items", waiting
            assert live("top-agent")["on_behalf_of"] == ["user:dana"], live("top-agent")
            # Who may look, and is not the database's owner, sees that something runs and not what.
            assert live("top-running", "AUDITOR")["statement_text"] == ""
            shown = smoke.writ("edges", "top", "edge-1", token="ADMIN").stdout
            assert held.id in shown and "agent:copilot for user:dana" in shown, shown
            refused = smoke.writ("edges", "top", token="DEVELOPER", check=False)
            assert refused.returncode == 1 and "may not see sessions" in refused.stderr, refused
            unknown = smoke.writ("edges", "top", "edge-9", token="ADMIN", check=False)
            assert unknown.returncode == 1 and "edge-9" in unknown.stderr, unknown
            # Cancelled, not killed: the server would go on sleeping, and steps behind this one count who sleeps.
            psql.send_signal(signal.SIGINT)
            psql.wait(timeout=10)
        held.process.kill()
        held.end()
        for connection in (idle, busy, agent):
            connection.close()

    @step
    def a_killed_session_says_who_and_why():
        asleep = ("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
                  "AND query LIKE '%id = 2 AND pg_sleep(60)%'")
        read = "SELECT stock FROM products WHERE id = 2"
        before = smoke.psql("ADMIN", read)
        update = "UPDATE products SET stock = stock + 1 WHERE id = 2 AND pg_sleep(60) IS NOT NULL"
        with running("DEVELOPER", "to-be-killed", update) as psql:
            smoke.until("the statement to run", lambda: smoke.psql("DIRECT", asleep) == "1")
            session = live("to-be-killed")["session"]
            refused = smoke.writ("edges", "kill", session, "--reason", "mine", token="AUDITOR", check=False)
            assert refused.returncode == 1 and psql.poll() is None, refused
            done = json.loads(smoke.writ("edges", "kill", session, "--reason", "it blocks the shop", "--json",
                                         token="ADMIN").stdout)
            _, err = psql.communicate(timeout=10)
        assert "57P01" in err and "ended by user:ada: it blocks the shop" in err, err
        smoke.until("the server to stop", lambda: smoke.psql("DIRECT", asleep) == "0", 10.0)
        assert smoke.psql("ADMIN", read) == before, "the statement went on behind a connection that was gone"
        again = smoke.writ("edges", "kill", session, "--reason", "again", token="ADMIN", check=False)
        assert again.returncode == 1 and "no session" in again.stderr, again
        rows = smoke.until("the record", lambda: smoke.lake(
            f"SELECT end_reason FROM sessions WHERE session_id = '{session}' AND end_reason IS NOT NULL"))
        assert rows[0]["end_reason"] == "killed by user:ada: it blocks the shop", rows
        rows = smoke.lake(f"SELECT sqlstate FROM statements WHERE session_id = '{session}'")
        assert [r["sqlstate"] for r in rows] == ["57P01"], rows
        rows = smoke.until("the event", lambda: smoke.lake(
            f"SELECT kind, actor, payload FROM control_events WHERE event_seq = {done['event']}"))
        assert (rows[0]["kind"], rows[0]["actor"]) == ("session_killed", "user:ada"), rows
        assert session in rows[0]["payload"] and "it blocks the shop" in rows[0]["payload"], rows

    def readyz():
        try:
            return 200, smoke.edge_says("/readyz")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def listed():
        edges = json.loads(smoke.writ("edges", "list", "--json", token="ADMIN").stdout)
        return next(e for e in edges if e["id"] == "edge-1")

    def ends(cursor, query):
        """The session is over. With libpq from 14 on this driver tells the last of two errors, that the connection is closed, and
        not the first one, why: of PostgreSQL's own connections too. psql tells both."""
        try:
            cursor.execute(query)
        except psycopg2.OperationalError as error:
            return "closed" in str(error) or error.pgcode == "57P01"
        return False

    def in_transaction(name):
        connection, cursor = connect("DEVELOPER", name)
        cursor.execute("BEGIN")
        cursor.execute("SELECT count(*) FROM orders")
        return connection, cursor

    def refused_kindly():
        done = smoke.psql("DEVELOPER", "SELECT 1", check=False)
        assert done.returncode != 0 and "being drained by user:ada: a new kernel" in done.stderr, done.stderr

    @step
    def a_drained_edge_ends_its_sessions_outside_of_transactions():
        line = ["psql", smoke.url("DEVELOPER"), "-X", "-A", "-t", "-v", "VERBOSITY=verbose"]
        idle = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        idle.stdin.write("SELECT 'here';\n")
        idle.stdin.flush()
        assert idle.stdout.readline() == "here\n"
        _, busy = in_transaction("drained-busy")
        smoke.writ("edges", "drain", "edge-1", "--deadline", "60s", "--reason", "a new kernel", token="ADMIN")
        smoke.until("the drain", lambda: readyz()[0] == 503, 2.0)
        assert "draining" in readyz()[1] and smoke.edge_says("/livez") == "ok\n", readyz()
        refused_kindly()
        out, err = idle.communicate("SELECT 'still here';\n", timeout=10)
        assert out == "" and "57P01: this edge ends its sessions: it is being drained" in err, (out, err)
        busy.execute("SELECT count(*) FROM orders")
        assert busy.fetchone() == (2000,), "what is in a transaction is finished"
        state = smoke.until("the number", lambda: (lambda s: s if "1 sessions left" in s else None)(listed()["state"]))
        assert state.startswith("being drained by user:ada"), state
        busy.execute("COMMIT")
        assert ends(busy, "SELECT 1"), "outside of the transaction it goes on"
        smoke.until("the last session", lambda: listed()["state"] == "drained by user:ada")
        # A process that comes back is as drained as it was, with or without its control plane.
        smoke.kill("EDGE")
        smoke.bring_back("edge")
        assert readyz()[0] == 503, readyz()
        refused_kindly()
        smoke.writ("edges", "resume", "edge-1", token="ADMIN")
        smoke.until("the edge to be back", lambda: readyz() == (200, "ok\n"), 5.0)
        assert smoke.psql("DEVELOPER", "SELECT count(*) FROM orders") == "2000"
        again = smoke.writ("edges", "resume", "edge-1", token="ADMIN")
        assert "was not drained" in again.stdout, again.stdout

    @step
    def a_drain_has_a_deadline():
        _, busy = in_transaction("deadline")
        done = smoke.writ("edges", "drain", "edge-1", "--deadline", "1s", "--wait", token="ADMIN")
        assert "has no sessions left" in done.stdout, done.stdout
        assert ends(busy, "SELECT 1"), "it goes on behind its deadline"
        log = smoke.writ("cluster", "events", "--json", token="ADMIN").stdout.splitlines()
        kinds = {json.loads(line)["kind"] for line in log}
        assert {"edge_drained", "edge_resumed"} <= kinds, kinds
        smoke.writ("edges", "resume", "edge-1", token="ADMIN")
        smoke.until("the edge to be back", lambda: readyz()[0] == 200, 5.0)

    @step
    def a_process_that_is_told_to_end_drains():
        _, busy = in_transaction("terminated")
        os.kill(int(smoke.ENV["WRIT_PID_EDGE"]), signal.SIGTERM)
        smoke.until("the drain", lambda: readyz()[0] == 503, 2.0)
        done = smoke.psql("DEVELOPER", "SELECT 1", check=False)
        assert done.returncode != 0 and "this edge shuts down" in done.stderr, done.stderr
        busy.execute("SELECT count(*) FROM orders")
        assert busy.fetchone() == (2000,), "what is in a transaction is finished"
        busy.execute("COMMIT")
        assert ends(busy, "SELECT 1")
        smoke.until("the process to end", lambda: not alive(int(smoke.ENV["WRIT_PID_EDGE"])), 5.0)
        smoke.bring_back("edge")
        assert smoke.psql("DEVELOPER", "SELECT count(*) FROM orders") == "2000"

    def alive(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except FileNotFoundError:
            return False

    @step
    def a_reader_that_has_seen_enough_is_no_error():
        for arguments in (("edges", "list"), ("edges", "list", "--json"), ("cluster", "events", "--json")):
            reader, writer = os.pipe()
            os.close(reader)
            environment = dict(smoke.ENV, WRIT_TOKEN=smoke.ENV["WRIT_TOKEN_ADMIN"])
            done = subprocess.run([smoke.WRIT, *arguments], env=environment, stdout=writer, stderr=subprocess.PIPE, text=True)
            os.close(writer)
            assert (done.returncode, done.stderr) == (0, ""), done
