"""Runs the tools that people use with PostgreSQL through the edge, and the same directly, and compares.

Tools that describe or read run as the developer; what they print must be the same. Migrations run as the developer, whose
ALTER and DROP a DBA approves, and must leave the same definitions behind. Dumps are of the administrator (the same, byte
for byte) and of the developer (the same but for masked columns). One line per tool; exit code 1 on a difference.
"""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from urllib.parse import unquote, urlsplit

import psycopg2

import clients_matrix
import clients_tools

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = os.path.join(HERE, "clients.d")
WRIT, TOOLS = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
DIR = tempfile.mkdtemp(prefix="writ-clients-")
ENV = dict(os.environ, CLIENTS_TOOLS=TOOLS, NODE_PATH=os.path.join(TOOLS, "node_modules"), PGTZ="UTC")
PYTHON = os.path.join(TOOLS, "venv/bin/python")
CHECKS = []

PSQL = r"""
\d
\d+
\d customers
\d+ customers
\d orders_pkey
\d tools.*
\d+ tools.*
\dS pg_catalog.pg_class
\d+ pg_stats
\d information_schema.tables
\da tools.*
\dA+
\dAc btree
\dAf btree
\dAo btree
\dAp btree
\db+
\dc
\dC+
\dconfig+ enable*
\dd
\dD+ tools.*
\ddp
\dE
\des+
\det+
\deu+
\dew+
\df tools.*
\df+ tools.*
\df+ lower
\dfS pg_get*
\dF+
\dFd+
\dFp+
\dFt+
\dg+
\di+ tools.*
\dl+
\dL+
\dm+ tools.*
\dn+
\do+ tools.*
\doS ===
\dO+ tools.*
\dp
\dp tools.*
\dP+ tools.*
\drds
\dRp+
\dRs+
\ds+ tools.*
\dt+
\dt+ *.*
\dtvmsiE tools.*
\dT+ tools.*
\dTS+ int*
\du+
\dv+ tools.*
\dx+
\dX tools.*
\dy
\l+
\lo_list+
\sf tools.doubled
\sf+ tools.stamp
\sv tools.totals
\sv+ tools.totals
\ef tools.doubled
\ev tools.totals
\z tools.*
\encoding
SELECT id, code FROM tools.parent WHERE id < 3 \gdesc
SELECT state, count(*) FROM tools.parent GROUP BY 1 \gexec
SELECT parent_id, amount, 1 FROM tools.child WHERE id < 4 \crosstabview
\copy tools.child (id, amount) to stdout
\copy (SELECT sku FROM products ORDER BY id LIMIT 3) to stdout csv header
SELECT 1/0
SELECT * FROM nowhere
SELECT nothing FROM orders
\errverbose
SHOW search_path
EXPLAIN (COSTS OFF) SELECT o.status FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.id = 3
"""


def check(f):
    CHECKS.append(f)
    return f


def run(args, check_code=True, timeout=300, **more):
    done = subprocess.run(args, capture_output=True, text=True, env={**ENV, **more}, timeout=timeout, cwd=DIR)
    if check_code and done.returncode != 0:
        raise AssertionError(f"{os.path.basename(args[0])} failed ({done.returncode}):\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}")
    return done


def url(who):
    return ENV["WRIT_DIRECT_URL"] if who == "DIRECT" else ENV[f"WRIT_URL_{who}"]


def same(what, edge, direct):
    """Raises with the first differing lines."""
    if edge != direct:
        lines = list(difflib.unified_diff(direct.splitlines(), edge.splitlines(), "direct", "edge", n=1, lineterm=""))
        raise AssertionError(f"{what} differs:\n" + "\n".join(line[:300] for line in lines[:40]))


def execute(who, text):
    connection = psycopg2.connect(url(who))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(text)
    connection.close()


class Approver(threading.Thread):
    """The DBA, who approves whatever waits."""

    def __init__(self):
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.count = 0

    def run(self):
        token = {**ENV, "WRIT_TOKEN": ENV["WRIT_TOKEN_DBA1"]}
        while not self.done.wait(0.2):
            listed = subprocess.run([WRIT, "approvals", "list", "--json"], capture_output=True, text=True, env=token)
            for request in json.loads(listed.stdout or "[]"):
                self.count += 1
                subprocess.run([WRIT, "approvals", "approve", request["id"]], capture_output=True, env=token)


def both(args_of, normal=lambda text: text):
    """The same program at the edge and directly; gives what both print."""
    outputs = []
    for who in ["DEVELOPER", "DIRECT"]:
        done = run(args_of(url(who)))
        outputs.append(normal(done.stdout + done.stderr))
    same(os.path.basename(args_of("")[0]), *outputs)
    return outputs[0]


def definitions(*schemas):
    args = ["pg_dump", url("DIRECT"), "--schema-only"]
    for schema in schemas:
        args += ["--schema", schema]
    return plain_dump(run(args).stdout)


def plain_dump(text):
    """Without the random key that newer versions write."""
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M)


def migrate(args_of):
    """Up and down, at the edge and directly: the same words, and the same definitions in between."""
    results = []
    for who in ["DEVELOPER", "DIRECT"]:
        up = run(args_of(url(who), "up"))
        made = definitions("mig") + json.dumps(rows_of("mig"))
        down = run(args_of(url(who), "down"))
        results.append((up.stdout, made, down.stdout))
        execute("DIRECT", "DROP SCHEMA IF EXISTS mig CASCADE")
    for name, edge, direct in zip(["what it prints", "what it leaves", "what it prints on the way back"], *results):
        same(name, edge, direct)
    assert "CREATE TABLE mig." in results[0][1], "nothing was made"
    return results


def rows_of(schema):
    """How many rows each table of a schema has."""
    connection = psycopg2.connect(url("DIRECT"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace ORDER BY 1", (schema,))
        found = {}
        for (name,) in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM "{schema}"."{name}"')
            found[name] = cursor.fetchone()[0]
    connection.close()
    return found


@check
def psql():
    """Each command, its output and its errors."""
    commands = PSQL.strip().splitlines()
    wrong = []
    for command in commands:
        outputs = []
        for who in ["DEVELOPER", "DIRECT"]:
            done = subprocess.run(["psql", url(who), "-X", "-f", "-"], input=command + "\n", text=True, capture_output=True,
                                  env={**ENV, "PSQL_EDITOR": "cat", "EDITOR": "cat"}, cwd=DIR)
            # A refused name or text has no position, and the gateway adds its reason and the next step.
            added = r"/tmp/psql\.edit\.\S+|LOCATION: .*|LINE \d+: .*\n *\^\n|DETAIL:  rule=closed\.opaque.*\n|HINT:  (check|correct) the .*\n"
            outputs.append(re.sub(added, "", done.stdout + done.stderr))
        try:
            same(command, *outputs)
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, f"{len(wrong)} of {len(commands)}:\n" + "\n".join(wrong)
    return f"{len(commands)} commands"


@check
def pg_dump_of_an_administrator():
    """Definitions and data, plain and in parallel with a shared snapshot, restored and compared."""
    dumps = [plain_dump(run(["pg_dump", url(who)]).stdout) for who in ["ADMIN", "DIRECT"]]
    same("the dump", *dumps)
    texts = []
    for who in ["ADMIN", "DIRECT"]:
        directory = os.path.join(DIR, f"parallel-{who}")
        run(["pg_dump", url(who), "-Fd", "-j", "3", "-f", directory])
        texts.append(plain_dump(run(["pg_restore", "-f", "-", directory]).stdout))
    same("the parallel dump", *texts)
    inserts = [plain_dump(run(["pg_dump", url(who), "--inserts", "--table", "products"]).stdout) for who in ["ADMIN", "DIRECT"]]
    same("the dump as INSERT", *inserts)
    return f"{len(dumps[0])} bytes"


@check
def pg_dump_of_a_developer():
    """The same definitions; data without one masked value and otherwise the same."""
    dumps = [plain_dump(run(["pg_dump", url(who), "--schema-only"]).stdout) for who in ["DEVELOPER", "DIRECT"]]
    same("the definitions", *dumps)
    data = [run(["pg_dump", url(who), "--data-only", "--schema", "public"]).stdout for who in ["DEVELOPER", "DIRECT"]]
    masked, changed = 0, set()
    for (table, columns, edge), (_, _, direct) in zip(*(list(copied(text)) for text in data)):
        assert len(edge) == len(direct), table
        for one, other in zip(edge, direct):
            for column, seen, real in zip(columns, one, other):
                if seen != real:
                    changed.add(f"{table}.{column}")
                    masked += 1
    assert {"public.customers.ssn", "public.customers.email", "public.customers.card_number"} <= changed, changed
    assert not changed & {"public.orders.id", "public.products.sku", "public.orders.status"}, changed
    secrets = [row[column] for table, columns, rows in copied(data[1]) if table == "public.customers"
               for row in rows for column in [columns.index("ssn"), columns.index("card_number")] if row[column] != "\\N"]
    assert secrets and not [s for s in secrets if s in data[0]], "a masked value is in the dump"
    return f"{masked} cells of {len(changed)} columns masked"


def copied(dump):
    """The tables of a dump: name, columns, rows."""
    for found in re.finditer(r"^COPY (\S+) \((.*?)\) FROM stdin;\n(.*?)^\\\.$", dump, flags=re.M | re.S):
        rows = [line.split("\t") for line in found[3].splitlines()]
        yield found[1], found[2].split(", "), rows


@check
def sqlalchemy():
    return f"{len(both(lambda u: [PYTHON, os.path.join(PARTS, 'reflect.py'), u]))} bytes reflected"


@check
def asyncpg_and_psycopg():
    return f"{len(both(lambda u: [PYTHON, os.path.join(PARTS, 'drivers.py'), u]).splitlines())} lines"


@check
def jdbc():
    jar = "/usr/share/java/postgresql.jar"
    run(["javac", "-cp", jar, "-d", DIR, os.path.join(PARTS, "Metadata.java")])

    def args(target):
        parts = urlsplit(target)
        if not target:
            return ["java"]
        jdbc_url = f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}?{parts.query}"
        return ["java", "-cp", f"{jar}:{DIR}", "Metadata", jdbc_url, unquote(parts.username), unquote(parts.password)]

    # `pg_attribute.attmissingval` holds a value of the table's rows: nobody who reads masked sees it.
    sample = re.compile(r"\|\{42\}\|")
    return f"{len(both(args, lambda text: sample.sub('|null|', text)).splitlines())} lines"


@check
def alembic():
    migrate(lambda u, phase: [PYTHON, os.path.join(PARTS, "alembic_migrations.py"), u, phase])


@check
def django():
    migrate(lambda u, phase: [PYTHON, os.path.join(PARTS, "django_migrations.py"), u, phase])


def orm(name):
    def f():
        migrate(lambda u, phase: ["node", os.path.join(PARTS, "orms.js"), name, u, phase])
    f.__name__ = name
    return f


CHECKS.extend(orm(name) for name in ["script", "knex", "sequelize", "typeorm", "drizzle"])


@check
def psql_restores_a_dump():
    """What pg_dump wrote, run by psql statement by statement and as one text."""
    schema = plain_dump(run(["pg_dump", url("DIRECT"), "--schema-only", "--schema", "tools", "--no-owner", "--no-acl"]).stdout)
    wanted = ["CREATE TABLE", "CREATE SEQUENCE", "CREATE TYPE", "CREATE DOMAIN", "CREATE VIEW", "CREATE INDEX", "ALTER SEQUENCE"]
    kept = [s for s in split_dump(schema) if any(s.startswith(w) for w in wanted) or "ADD CONSTRAINT" in s or s.startswith(("SET", "SELECT pg_catalog.set_config"))]
    text = "CREATE SCHEMA mig;\n" + "\n".join(kept).replace("tools.", "mig.")
    results = []
    for who in ["DEVELOPER", "DIRECT"]:
        for way in [["-f", "-"], ["-1", "-f", "-"]]:
            done = subprocess.run(["psql", url(who), "-X", "-v", "ON_ERROR_STOP=1", *way], input=text, capture_output=True,
                                  text=True, env=ENV)
            assert done.returncode == 0, (who, way, [line for line in done.stderr.splitlines() if "ERROR" in line], done.stderr[-600:])
            results.append(definitions("mig"))
            execute("DIRECT", "DROP SCHEMA mig CASCADE")
        execute(who, text)
        results.append(definitions("mig"))
        execute("DIRECT", "DROP SCHEMA mig CASCADE")
    for other in results[1:]:
        same("what was restored", other, results[0])
    return f"{len(kept)} statements, three ways"


def split_dump(text):
    """The statements of a dump without functions."""
    lines = [line for line in text.splitlines() if line and not line.startswith("--")]
    return [s.strip() + ";" for s in "\n".join(lines).split(";\n")]


MATRIX = clients_matrix.Matrix(url, TOOLS, DIR, ENV)
CHECKS.extend(clients_matrix.checks(MATRIX))
CHECKS.extend(clients_tools.checks(run, url, same, execute, definitions, DIR))


def free_port_base():
    import socket
    for base in range(int(os.environ.get("CLIENTS_PORTS", "18400")), 32000, 10):
        sockets = []
        try:
            for offset in range(8):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", base + offset))
            return base
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise SystemExit("no free ports")


def start():
    run([WRIT, "dev", "--data-dir", DIR, "--port-base", str(free_port_base()), "--detach"])
    with open(os.path.join(DIR, "dev.env"), encoding="utf-8") as file:
        for line in file:
            name, _, value = line.strip().partition("=")
            ENV[name] = value[1:-1].replace("'\\''", "'")
    with open(os.path.join(PARTS, "fixture.sql"), encoding="utf-8") as file:
        execute("DIRECT", file.read())
    # What \dt+ shows of sizes is then the same whenever it is asked: autovacuum finds nothing to do between the two.
    execute("DIRECT", "VACUUM (ANALYZE)")
    # Made behind the edge's back: it learns of it within a second, and then classifies it.
    for _ in range(200):
        if run(["psql", url("DEVELOPER"), "-X", "-c", "SELECT code FROM tools.parent WHERE id = 1"], False).stdout.find("C-1") > 0:
            return
    raise AssertionError("the edge does not see the fixture")


def main():
    start()
    approver = Approver()
    approver.start()
    only = os.environ.get("CLIENTS_ONLY")
    failed = 0
    print(f"{'tool':<32} {'result':<9} notes", flush=True)
    for f in CHECKS:
        if only and not any(f.__name__.startswith(name) for name in only.split(",")):
            continue
        before = approver.count
        try:
            notes = f() or ""
            approved = approver.count - before
            notes += f"{', ' if notes and approved else ''}{f'{approved} approvals' if approved else ''}"
            print(f"{f.__name__.replace('_', ' '):<32} {'same':<9} {notes}", flush=True)
        except Exception as error:  # each tool is reported; any difference fails the whole
            failed += 1
            execute("DIRECT", "DROP SCHEMA IF EXISTS mig CASCADE")
            print(f"{f.__name__.replace('_', ' '):<32} {'DIFFERENT':<9} {error}", flush=True)
    approver.done.set()
    report = os.environ.get("CLIENTS_REPORT")
    if report:
        with open(report, "w", encoding="utf-8") as file:
            file.write(MATRIX.report())
    return failed


if __name__ == "__main__":
    code = 1
    try:
        code = 1 if main() else 0
    finally:
        subprocess.run([WRIT, "dev", "stop", "--data-dir", DIR], env=ENV, capture_output=True, timeout=60)
        if code == 0:
            shutil.rmtree(DIR, ignore_errors=True)
        else:
            print(f"logs are in {DIR}/log")
    sys.exit(code)
