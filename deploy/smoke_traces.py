"""Spans and logs: a span leads to its record, tells where the time went, and neither spans nor logs hold data or secrets.

The whole acceptance test is traced; the last step here looks through everything that it left behind."""

import glob
import json
import os
import re
import subprocess
import sys

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
PARENT = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
# In texts, values, errors and names that clients give.
CANARY = "canary7731trace"
NUMBER = 730019283746


class Collector:
    """OpenTelemetry's definitions and gRPC, from PyPI, in a process of their own."""

    def __init__(self, directory):
        self.file = os.path.join(directory, "spans.jsonl")
        self.python = os.path.join(os.environ.get("TMPDIR", "/tmp"), "writ-traces", "bin", "python")
        self.port, self.process = "0", None
        if not self.is_there():
            print("smoke: fetching grpcio and opentelemetry-proto (PyPI)", flush=True)
            home = os.path.dirname(os.path.dirname(self.python))
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
            subprocess.run([self.python, "-m", "pip", "install", "-q", "grpcio", "opentelemetry-proto"], check=True)
        self.start()

    def is_there(self):
        line = [self.python, "-c", "import grpc, opentelemetry.proto"]
        return os.path.exists(self.python) and subprocess.run(line, capture_output=True).returncode == 0

    def start(self):
        line = [self.python, os.path.join(HERE, "traces.d", "collector.py"), self.file, self.port]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        self.port = self.process.stdout.readline().strip()
        assert self.port.isdigit() and self.port != "0", "the collector does not start"

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def text(self):
        with open(self.file, encoding="utf-8") as file:
            return file.read()

    def spans(self):
        return [json.loads(line) for line in self.text().splitlines()]


def start(directory):
    """A collector, and the variables that an edge finds it by."""
    collector = Collector(directory)
    return collector, {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_RESOURCE_ATTRIBUTES": "team=smoke%20test",
        "WRIT_LOG": "warn,writ=trace",
        "WRIT_LOG_FORMAT": "json",
    }


def add(step, smoke):
    """Adds this file's steps; `smoke` is the acceptance test's own module."""

    def statement_of(text):
        """The row of the last statement whose text holds `text`, once it has ended."""
        query = f"SELECT * FROM statements WHERE statement_text LIKE '%{text}%' AND ended_at IS NOT NULL ORDER BY time DESC LIMIT 1"
        return smoke.until("a record", lambda: (smoke.lake(query) or [None])[0])

    def trace_of(row):
        """The span of a statement, and those below it by name."""
        def found():
            return [s for s in smoke.collector.spans() if s["attributes"].get("writ.statement.id") == row["statement_id"]]
        span = smoke.until("a span", found)
        assert len(span) == 1, span
        below = [s for s in smoke.collector.spans() if s["parent"] == span[0]["id"]]
        assert all(s["trace"] == span[0]["trace"] for s in below), below
        return span[0], {s["name"]: s for s in below}

    def run(who, text, fails=None):
        connection = psycopg2.connect(smoke.url(who), application_name=CANARY)
        connection.autocommit = True
        cursor = connection.cursor()
        try:
            cursor.execute(text)
            assert fails is None, "it was not refused"
        except psycopg2.Error as error:
            assert error.pgcode == fails, error
        connection.close()

    @step
    def a_span_leads_to_its_record():
        traceparent = f"00-{PARENT[0]}-{PARENT[1]}-01"
        run("AGENT", f"SELECT id, ssn, '{CANARY}a' FROM customers WHERE id < 4 /*traceparent='{traceparent}'*/")
        row = statement_of(f"{CANARY}a")
        span, below = trace_of(row)
        assert (span["trace"], span["parent"]) == PARENT, "the text's trace"
        assert span["name"] == "SELECT shop" and "database" in below, (span["name"], list(below))
        server = json.loads(smoke.writ("databases", "list", "--json", token="ADMIN").stdout)
        server = next(d for d in server if d["name"] == "shop")
        expected = {
            "db.system.name": "postgresql", "db.namespace": "shop", "db.operation.name": "SELECT",
            "server.address": server["host"], "server.port": server["port"], "client.address": "127.0.0.1",
            "writ.session.id": row["session_id"], "writ.principal": row["actor_user"], "writ.principal.kind": "agent",
            "writ.on_behalf_of": row["on_behalf_of"].split(","), "writ.decision": row["decision"],
            "writ.effect": row["effect"], "writ.protocol": row["protocol"], "writ.environment": row["environment"],
            "writ.epoch": int(row["epoch"]), "writ.rows": int(row["rows"]), "writ.bytes_out": int(row["bytes"]),
        }
        found = {key: span["attributes"].get(key) for key in expected}
        assert found == expected, (found, expected)
        assert row["decision"] == "mask" and int(row["rows"]) == 3, row
        assert below["database"]["kind"] == 3 and below["database"]["attributes"]["db.namespace"] == server["dbname"]
        resource = span["resource"]
        assert (resource["service.name"], resource["service.instance.id"]) == ("writ-edge", "edge-1"), resource
        assert resource["team"] == "smoke test", resource
        for one in below.values():
            assert span["from"] <= one["from"] <= one["to"] <= span["to"], (span, one)

    @step
    def spans_tell_refusals_and_errors_by_their_codes():
        run("AGENT", f"DROP TABLE orders /* {CANARY}b */", fails="42501")
        span, below = trace_of(statement_of(f"{CANARY}b"))
        assert span["attributes"]["db.response.status_code"] == "42501" and span["status"] == 2, span
        assert span["attributes"]["writ.decision"] == "deny" and "database" not in below, (span, list(below))
        run("DEVELOPER", f"SELECT '{CANARY}c'::int", fails="22P02")
        span, below = trace_of(statement_of(f"{CANARY}c"))
        assert span["attributes"]["error.type"] == "22P02" and "database" in below, (span, list(below))
        try:
            psycopg2.connect(smoke.url("DEVELOPER").replace(smoke.ENV["WRIT_TOKEN_DEVELOPER"], CANARY))
            raise AssertionError("logged in")
        except psycopg2.OperationalError:
            pass

        def logins(code):
            return [s for s in smoke.collector.spans()
                    if s["name"] == "login" and s["attributes"].get("db.response.status_code") == code]
        refused = smoke.until("a login that was refused", lambda: logins("28P01"))[-1]
        assert "writ.principal" not in refused["attributes"], refused
        fine = logins(None)[-1]
        assert fine["attributes"]["writ.authentication"] == "token" and fine["attributes"]["writ.tls"] is True, fine
        below = {s["name"] for s in smoke.collector.spans() if s["parent"] == fine["id"]}
        assert {"tls", "authenticate", "wait for connection"} <= below, below

    @step
    def a_span_tells_what_was_waited_for():
        held = smoke.Held(f"DELETE FROM support_tickets /* {CANARY}d */")
        smoke.writ("approvals", "deny", held.id, "--reason", "no", token="DBA1")
        held.end()
        span, below = trace_of(statement_of(f"{CANARY}d"))
        assert span["attributes"]["writ.decision"] == "hold", span
        wait = below["wait for approval"]
        assert wait["to"] - wait["from"] > (span["to"] - span["from"]) / 2, (span, wait)
        assert "database" not in below, list(below)

    @step
    def a_collector_that_is_away_harms_nothing():
        def counted(name):
            return int(re.search(rf"writ_edge_spans_{name}_total (\d+)", smoke.edge_says("/metrics")).group(1))
        assert counted("exported") > 0, "control"
        dropped, exported = counted("dropped"), counted("exported")
        smoke.collector.stop()
        for _ in range(20):
            run("DEVELOPER", "SELECT count(*) FROM orders")
        smoke.until("spans given up", lambda: counted("dropped") > dropped, seconds=60)
        smoke.collector.start()
        run("DEVELOPER", "SELECT count(*) FROM orders")
        smoke.until("spans that arrive again", lambda: counted("exported") > exported, seconds=60)

    @step
    def spans_and_logs_hold_no_data_and_no_secrets():
        for mode in ["simple", "extended", "prepared"]:
            script = os.path.join(smoke.DIR, "value.sql")
            with open(script, "w", encoding="utf-8") as file:
                file.write("SELECT count(*) FROM orders WHERE id = :number;\n")
            smoke.run([smoke.pgbench(), "-n", "-M", mode, "-f", script, "-D", f"number={NUMBER}", "-t", "2",
                       smoke.url("DEVELOPER")])
        known = f"SELECT bind_values FROM statements WHERE bind_values LIKE '%{NUMBER}%'"
        smoke.until("the value in its record", lambda: smoke.lake(known))
        hidden = {CANARY, str(NUMBER), smoke.psql_password()}
        hidden |= {value for name, value in smoke.ENV.items() if name.startswith("WRIT_TOKEN_")}
        for row in smoke.psql("DIRECT", "SELECT ssn, email, phone, card_number, address FROM customers").splitlines():
            hidden |= {value for value in row.split("|") if len(value) > 5}
        logs = {}
        for name in glob.glob(os.path.join(smoke.DIR, "log", "*")):
            with open(name, encoding="utf-8") as file:
                logs[os.path.basename(name)] = file.read()
        edge = next(text for name, text in logs.items() if "edge" in name)
        for line in edge.splitlines():
            assert {"level", "timestamp"} <= set(json.loads(line)), line
        spans = smoke.collector.text()
        assert spans.count("\n") > 100 and len(edge) > 0, "control: there is something to look through"
        # What everybody would see: the words of statements, too.
        for name, text in {**logs, "spans": spans}.items():
            leaks = [value for value in hidden if value in text]
            assert not leaks, f"{name} holds {leaks[:3]}"
            texts = re.findall(r"(?i)select .{0,40} from \w+", text)
            assert not texts, f"{name} holds {texts[:3]}"
        planted = spans + next(iter(smoke.psql("DIRECT", "SELECT ssn FROM customers").splitlines()))
        assert [value for value in hidden if value in planted], "control: it would be found"
