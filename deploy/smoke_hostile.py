"""Clients that mean no good, or are on a bad line: nothing of them stays, and nobody else notices."""

import concurrent.futures
import os
import random
import socket
import struct
import subprocess
import time

import psycopg2

# What the edge may take for one client that reads nothing, in bytes: its buffers for both sides, with room to spare.
UNREAD_BYTES_MAX = 48 << 20
# The edge gives a client so long to say who it is, in seconds; the rest is for a busy machine.
STARTUP_SECONDS_MAX = 10 + 20


def break_off(connection):
    """Ends a client's connection as a machine that is switched off does, without goodbye."""
    plain = socket.socket(fileno=os.dup(connection.fileno()))
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.shutdown(socket.SHUT_RDWR)
    plain.close()


def add_shared(step, smoke, connect, one):
    """Adds the steps for sessions that share connections: `connect` makes one, `one` asks it."""

    def locks():
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid BETWEEN 6000 AND 6099"
        return int(smoke.psql("DIRECT", query))

    @step
    def clients_that_break_off_leave_nothing_in_shared_connections():
        for number in range(9):
            connection, cursor = connect()
            cursor.execute("BEGIN")
            cursor.execute(f"SELECT pg_advisory_xact_lock({6000 + number})")
            assert locks() >= 1, "control: the lock is seen"
            if number % 3 == 1:
                # In the middle of a statement, whose end nobody waits for.
                with concurrent.futures.ThreadPoolExecutor(1) as pool:
                    running = pool.submit(cursor.execute, f"SELECT pg_sleep(1) /* left in {number} */")
                    runs = f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%* left in {number} *%' AND wait_event = 'PgSleep'"
                    smoke.until("the statement to run", lambda: smoke.psql("DIRECT", runs) == "1")
                    break_off(connection)
                    assert running.exception(timeout=20)
            elif number % 3 == 2:
                cursor.execute("DECLARE c CURSOR FOR SELECT * FROM orders")
                cursor.execute("FETCH 1 FROM c")
                break_off(connection)
            else:
                break_off(connection)
            other, cursor = connect()
            cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NULL, count(*) FROM pg_cursors GROUP BY 1")
            assert cursor.fetchall() in ([], [(True, 0)]), "a transaction of another client's"
            other.close()
        smoke.until("the locks", lambda: locks() == 0)

    @step
    def a_flood_of_cancel_requests_ends_no_statement():
        connection, cursor = connect()
        host, port = smoke.ENV["WRIT_EDGE"].split(":")

        def cancel(_):
            with socket.create_connection((host, int(port)), timeout=15) as stream:
                key = random.randbytes(4)
                stream.sendall(struct.pack("!IHHI", 16, 1234, 5678, random.randrange(1, 200)) + key)
                while stream.recv(64):
                    pass

        with concurrent.futures.ThreadPoolExecutor(33) as pool:
            answer = pool.submit(one, cursor, "SELECT 'there' FROM pg_sleep(2)")
            for done in [pool.submit(cancel, n) for n in range(400)]:
                done.result(timeout=60)
            assert answer.result(timeout=30) == "there"
            # Control: its own key does.
            slept = pool.submit(cursor.execute, "SELECT pg_sleep(60)")
            sleeps = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            smoke.until("the statement", lambda: smoke.psql("DIRECT", sleeps) == "t")
            connection.cancel()
            assert isinstance(slept.exception(timeout=20), psycopg2.errors.QueryCanceled)
        connection.close()


def add(step, smoke):
    """Adds this file's other steps."""

    def edge_bytes():
        with open(f"/proc/{smoke.ENV['WRIT_PID_EDGE']}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))

    @step
    def a_client_that_reads_nothing_is_waited_for():
        before = edge_bytes()
        rows = "SELECT repeat('x', 1000) FROM generate_series(1, 2000000)"
        reader = subprocess.Popen(["psql", smoke.url("DEVELOPER"), "-qAtX", "-v", "FETCH_COUNT=0", "-c",
                                   f"COPY ({rows}) TO STDOUT"], stdout=subprocess.PIPE)
        waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'ClientWrite'"
        try:
            smoke.until("the server waits", lambda: smoke.psql("DIRECT", waits) == "t")
            grown = edge_bytes() - before
            assert grown < UNREAD_BYTES_MAX, f"{grown} bytes for what nobody reads"
            assert smoke.psql("DEVELOPER", "SELECT 'served'") == "served", "others are"
        finally:
            reader.kill()
            reader.communicate()
        smoke.until("the end", lambda: smoke.psql("DIRECT", waits) == "f")

    @step
    def clients_that_say_half_of_it_keep_nobody_out():
        host, port = smoke.ENV["WRIT_EDGE"].split(":")
        began = time.monotonic()
        half = [socket.create_connection((host, int(port)), timeout=STARTUP_SECONDS_MAX) for _ in range(200)]
        for number, stream in enumerate(half):
            # Nothing, half a length, TLS that is not begun, and a length that never comes.
            stream.sendall([b"", b"\0\0", b"\x16\x03", b"\0\0\x27\x10\0\x03"][number % 4])
        assert smoke.psql("DEVELOPER", "SELECT 'served'") == "served"
        for stream in half:
            try:
                while stream.recv(1024):
                    pass
            except ConnectionError:
                pass
            stream.close()
        assert time.monotonic() - began < STARTUP_SECONDS_MAX, "each has its time, and no more"
