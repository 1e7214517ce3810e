"""A pool whose clients all send the same held statement: one request, one decision, a single use for each client."""

import collections
import concurrent.futures
import json
import re
import threading
import time

import psycopg2

CLIENTS = 50
STORM = 200


def add(step, smoke, add_shared):
    """Adds this file's steps; `smoke` is the acceptance test's own module."""

    class Pool:
        """Clients of one principal, each in a session of its own, that send the same statement."""

        def __init__(self, count, statement, database="shop"):
            self.executor = concurrent.futures.ThreadPoolExecutor(STORM)
            self.connections = []
            self.lock = threading.Lock()
            self.statement = statement
            self.url = smoke.url("DEVELOPER").replace("/shop?", f"/{database}?")
            self.known = {a["id"] for a in smoke.pending()}
            self.running = []
            self.more(count)

        def more(self, count):
            self.running += [self.executor.submit(self.client) for _ in range(count)]

        def client(self):
            connection = psycopg2.connect(self.url)
            connection.autocommit = True
            with self.lock:
                self.connections.append(connection)
            try:
                cursor = connection.cursor()
                cursor.execute(self.statement)
                return min(cursor.rowcount, 1), None  # of all products
            except psycopg2.Error as error:
                # Of a session that was ended, psycopg2 tells that its connection is closed; psql tells why.
                return 0, error.pgcode or str(error)
            finally:
                connection.close()

        def requests(self):
            return [a for a in smoke.pending() if a["id"] not in self.known]

        def waiting(self, count):
            def all_wait():
                new = self.requests()
                return new if sum(a["waiting"] for a in new) == count else None
            return smoke.until(f"{count} waiting sessions", all_wait, 60.0)

        def results(self):
            done = [future.result(timeout=90) for future in self.running]
            self.executor.shutdown()
            return done

    def approve(request, sessions):
        return smoke.writ("approvals", "approve", request, "--sessions", str(sessions), token="DBA1")

    def stock():
        return int(smoke.psql("DIRECT", "SELECT stock FROM products WHERE id = 1"))

    def storm(count, statement):
        before = stock()
        began = time.monotonic()
        pool = Pool(count, statement, "shared")
        (request,) = pool.waiting(count)
        waited = time.monotonic()
        shown = smoke.writ("approvals", "show", request["id"], token="DBA1").stdout
        assert re.search(rf"Waiting\s+{count}\b", shown), shown
        unsaid = smoke.writ("approvals", "approve", request["id"], token="DBA1", check=False)
        assert unsaid.returncode == 1 and f"--sessions {count}" in unsaid.stderr, unsaid.stderr
        approve(request["id"], count)
        done = pool.results()
        assert done == [(1, None)] * count, collections.Counter(done)
        assert stock() == before + count, "exactly once each"
        print(f"    {count} sessions waited in one request after {waited - began:.1f} s, "
              f"ran {time.monotonic() - waited:.1f} s later", flush=True)

    @step
    def one_approval_lets_a_whole_pool_run_once_each():
        add_shared()
        storm(CLIENTS, "UPDATE products SET stock = stock + 1")

    @step
    def a_storm_makes_one_request():
        storm(STORM, "UPDATE products SET stock = stock + 1 /* a storm */")
        smoke.writ("databases", "remove", "shared", token="ADMIN")

    @step
    def sessions_that_an_approver_did_not_see_wait_on():
        before = stock()
        pool = Pool(3, "UPDATE products SET stock = stock + 1 /* seen */")
        (request,) = pool.waiting(3)
        pool.more(7)
        pool.waiting(10)
        said = approve(request["id"], 3).stdout
        (rest,) = pool.waiting(7)
        assert rest["id"] != request["id"] and rest["id"] in said, said
        smoke.until("the three that were seen", lambda: stock() == before + 3)
        smoke.writ("approvals", "deny", rest["id"], "--reason", "no more of these", token="DBA1")
        assert sorted(pool.results(), key=str) == [(0, "57014")] * 7 + [(1, None)] * 3
        assert stock() == before + 3, "only those that were seen"

    @step
    def one_client_that_gives_up_leaves_the_others_waiting():
        pool = Pool(4, "UPDATE products SET stock = stock + 1 /* leaving */")
        (request,) = pool.waiting(4)
        pool.connections[0].cancel()
        pool.waiting(3)
        before = stock()
        approve(request["id"], 3)
        assert sorted(pool.results(), key=str) == [(0, "57014")] + [(1, None)] * 3
        assert stock() == before + 3
        pool = Pool(2, "UPDATE products SET stock = stock + 1 /* all leave */")
        (request,) = pool.waiting(2)
        for connection in pool.connections:
            connection.cancel()
        assert pool.results() == [(0, "57014")] * 2
        ended = json.loads(smoke.writ("approvals", "show", request["id"], "--json", token="DBA1").stdout)
        assert ended["status"] == "cancelled", ended

    @step
    def revoking_an_approval_ends_all_that_run_under_it():
        before = stock()
        pool = Pool(5, "UPDATE products SET stock = stock + (SELECT 1 FROM pg_sleep(30))")
        (request,) = pool.waiting(5)
        approve(request["id"], 5)
        runs = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(30)%' "
                "AND pid <> pg_backend_pid()")
        smoke.until("all five to run", lambda: smoke.psql("DIRECT", runs) == "5")
        told = time.monotonic()
        smoke.writ("approvals", "revoke", request["id"], "--reason", "the wrong table", token="DBA1")
        done = pool.results()
        over = [rows == 0 and ("closed" in said or said == "57P01") for rows, said in done]
        assert all(over), collections.Counter(done)
        print(f"    {int((time.monotonic() - told) * 1000)} ms after the command began", flush=True)
        smoke.until("the server to stop", lambda: smoke.psql("DIRECT", runs) == "0", 5.0)
        assert stock() == before
