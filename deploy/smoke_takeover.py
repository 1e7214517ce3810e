"""Zero-downtime upgrade: a new process takes over from the running edge while clients come and go."""

import json
import os
import signal
import subprocess
import threading
import time

import psycopg2
import psycopg2.extensions


class Clients:
    """Threads that connect for every query. What fails is kept."""

    WORKERS = 4

    def __init__(self, url, mark):
        self.url, self.mark = url, mark
        self.failed, self.done = [], []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(w,)) for w in range(self.WORKERS)]
        for thread in self._threads:
            thread.start()

    def _run(self, worker):
        n = 0
        while not self._stop.is_set():
            n += 1
            text = f"SELECT '{self.mark} {worker}-{n}'"
            try:
                connection = psycopg2.connect(self.url)
                connection.autocommit = True
                cursor = connection.cursor()
                cursor.execute(text)
                assert cursor.fetchone() == (f"{self.mark} {worker}-{n}",)
                connection.close()
                self.done.append(text)
            except psycopg2.Error as error:
                self.failed.append(str(error))

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def add(step, smoke):
    """Adds this file's steps; `smoke` is the acceptance test's own module."""
    log = os.path.join(smoke.DIR, "log", "edge-taken-over.log")

    def new_process(**environment):
        with open(log, "ab") as out:
            line = [smoke.WRIT, "edge", "--config", os.path.join(smoke.DIR, "edge.toml"), "--take-over"]
            environment = {**smoke.ENV, "WRIT_EDGE_DRAIN_SECONDS": "60", **environment}
            return subprocess.Popen(line, env=environment, stdout=out, stderr=out)

    def alive(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except FileNotFoundError:
            return False

    def ends(pid):
        smoke.until("the old process to end", lambda: not alive(pid), 40.0)

    def serves(process):
        """The socket for the next process is in its place once a process has taken over."""
        started = os.path.join(smoke.DIR, "edge", "control", f"edge-{process.pid}.sock")
        smoke.until("the new process to begin", lambda: os.path.exists(started) or process.poll() is not None)
        smoke.until("the new process to take over", lambda: not os.path.exists(started), 40.0)
        assert process.poll() is None, open(log, encoding="utf-8").read()[-2000:]

    def session(who="DEVELOPER", name="takeover"):
        connection = psycopg2.connect(smoke.url(who), application_name=name)
        connection.autocommit = True
        return connection, connection.cursor()

    def open_sessions():
        top = json.loads(smoke.writ("edges", "top", "edge-1", "--json", token="ADMIN").stdout)
        assert not any(edge["problem"] for edge in top["edges"]), top["edges"]
        return {session["application_name"] for session in top["sessions"]}

    def more(clients, count):
        goal = len(clients.done) + count
        smoke.until("clients", lambda: len(clients.done) >= goal or clients.failed, 60.0)

    def recorded_once(clients):
        """Each statement is in the lake once, in the streams of several processes, and no stream has a gap."""
        rows = smoke.lake("SELECT statement_text, source, sqlstate FROM statements "
                          f"WHERE statement_text LIKE 'SELECT ''{clients.mark} %'")
        texts = [row["statement_text"] for row in rows]
        assert len(texts) == len(set(texts)), "a statement is in the lake twice"
        return {row["source"] for row in rows} if set(clients.done) <= set(texts) else None

    def no_gaps():
        gaps = smoke.lake("SELECT source, count(*) AS n, max(seq) - min(seq) + 1 AS span FROM records GROUP BY source")
        assert all(gap["n"] == gap["span"] for gap in gaps), gaps
        key = os.path.join(smoke.DIR, "lake/keys/checkpoint.pub")
        smoke.writ("audit", "verify", os.path.join(smoke.DIR, "lake"), "--key", key)

    def back_to_normal(process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        smoke.bring_back("edge")

    @step
    def an_edge_is_replaced_and_nobody_notices():
        first = new_process()
        serves(first)
        ends(int(smoke.ENV["WRIT_PID_EDGE"]))
        _, busy = session(name="old-process")
        busy.execute("BEGIN")
        busy.execute("SELECT count(*) FROM orders")
        line = ["psql", smoke.url("DEVELOPER"), "-X", "-A", "-t", "-v", "VERBOSITY=verbose"]
        idle = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        idle.stdin.write("BEGIN; SELECT 'here';\n")
        idle.stdin.flush()
        assert idle.stdout.readline() == "BEGIN\n" and idle.stdout.readline() == "here\n"
        clients = Clients(smoke.url("DEVELOPER"), "replaced")
        more(clients, 20)
        second = new_process()
        serves(second)
        more(clients, 20)
        assert first.poll() is None and open_sessions() >= {"old-process", "psql"}, open_sessions()
        _, on_new = session("ADMIN", "new-process")
        assert open_sessions() >= {"old-process", "new-process"}, "operators see both processes"
        on_new.connection.close()
        # What is in a transaction is finished where it began, and then its client is told.
        assert first.poll() is None
        busy.execute("SELECT count(*) FROM orders")
        assert busy.fetchone() == (2000,)
        # A cancel comes to the new process, and is for a session of the old one.
        cancel = threading.Timer(0.5, busy.connection.cancel)
        cancel.start()
        began = time.monotonic()
        try:
            busy.execute("SELECT pg_sleep(60)")
            raise AssertionError("it was not cancelled")
        except psycopg2.extensions.QueryCanceledError:
            assert time.monotonic() - began < 5.0
        cancel.join()
        out, err = idle.communicate("SELECT 'still here';\nCOMMIT;\nSELECT 'too late';\n", timeout=30)
        assert "still here" in out and "too late" not in out, (out, err)
        assert "57P01: this edge ends its sessions" in err, err
        busy.execute("ROLLBACK")
        assert first.wait(40) == 0, "the old process ends in order"
        third = new_process()
        serves(third)
        more(clients, 20)
        assert second.wait(40) == 0, "so does the next one"
        more(clients, 20)
        clients.stop()
        assert not clients.failed, (len(clients.failed), len(clients.done), clients.failed[:3])
        sources = smoke.until("all statements in the lake", lambda: recorded_once(clients), 30.0)
        assert len(sources) > 1 and all(source.split("#")[0] == "edge-1" for source in sources), sources
        no_gaps()
        print(f"    {len(clients.done)} connections over two replacements, none refused", flush=True)
        back_to_normal(third)

    @step
    def a_plain_restart_is_noticed():
        """The control of the step before: these clients do see an edge that is away."""
        clients = Clients(smoke.url("DEVELOPER"), "restarted")
        more(clients, 20)
        os.kill(int(smoke.ENV["WRIT_PID_EDGE"]), signal.SIGTERM)
        ends(int(smoke.ENV["WRIT_PID_EDGE"]))
        smoke.bring_back("edge")
        clients.stop()
        assert any("refused" in failure for failure in clients.failed), clients.failed[:3]

    @step
    def a_process_that_does_not_get_ready_changes_nothing():
        first = int(smoke.ENV["WRIT_PID_EDGE"])
        clients = Clients(smoke.url("DEVELOPER"), "unready")
        stranger = new_process(WRIT_EDGE_NAME="edge-9")
        assert stranger.wait(20) == 1
        assert "this is edge edge-1, not edge-9" in open(log, encoding="utf-8").read()
        without = run_plain()
        assert without.returncode == 1 and "replace it with --take-over" in without.stderr, without
        # It never hears the control plane, so it is not as far as the running one.
        stuck = new_process(WRIT_EDGE_CONTROL_PLANE="https://localhost:1")
        begun = os.path.join(smoke.DIR, "edge", "control", f"edge-{stuck.pid}.sock")
        smoke.until("the new process to begin", lambda: os.path.exists(begun))
        more(clients, 50)
        stuck.kill()
        stuck.wait(10)
        more(clients, 20)
        clients.stop()
        assert alive(first) and not clients.failed, clients.failed[:3]
        smoke.until("all statements in the lake", lambda: recorded_once(clients), 30.0)

    def run_plain():
        return smoke.run([smoke.WRIT, "edge", "--config", os.path.join(smoke.DIR, "edge.toml")], check=False)

    @step
    def what_a_killed_process_leaves_behind_the_next_one_ships():
        _, busy = session()
        busy.execute("BEGIN")
        smoke.kill("LAKE")
        second = new_process()
        serves(second)
        busy.execute("SELECT 'left behind'")
        smoke.kill("EDGE")
        smoke.bring_back("lake")
        rows = smoke.until("the record", lambda: smoke.lake(
            "SELECT source FROM statements WHERE statement_text = 'SELECT ''left behind'''"), 40.0)
        assert [row["source"] for row in rows] == ["edge-1"], rows
        assert smoke.psql("DEVELOPER", "SELECT count(*) FROM orders") == "2000"
        no_gaps()
        back_to_normal(second)
