"""The PostgreSQL servers of the corpus, and the edge in front of them."""

import json
import os
import pwd
import shutil
import socket
import subprocess

from corpus_wire import Url, Wire, first_error
from corpus_world import World

BIN = os.environ.get("WRIT_TEST_PG_BIN", "/usr/lib/postgresql/15/bin")
# The edge knows the two databases by these names; both are called `corpus` at their servers.
NAMES = ["corpus", "corpuz"]
OPTIONS = {
    "listen_addresses": "127.0.0.1", "fsync": "off", "autovacuum": "off", "shared_buffers": "24MB", "wal_level": "logical",
    "max_connections": "60", "jit": "off", "shared_preload_libraries": "pg_stat_statements", "max_prepared_transactions": "8",
    "timezone": "UTC", "log_statement": "all", "restart_after_crash": "on",
}


def free_ports(count, first=18400):
    """The first of `count` free ports in a row."""
    for base in range(first, 31000, 20):
        sockets = []
        try:
            for offset in range(count):
                s = socket.socket()
                sockets.append(s)
                s.bind(("127.0.0.1", base + offset))
            return base
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise SystemExit("no free ports")


def as_postgres(args, **more):
    if os.geteuid() == 0:
        args = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *args]
    done = subprocess.run(args, capture_output=True, text=True, cwd="/", timeout=300, env={**os.environ, "LC_ALL": "C.UTF-8"}, **more)
    if done.returncode != 0:
        raise SystemExit(f"{args} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Server:
    """One PostgreSQL server with one filling of the world."""

    def __init__(self, directory, port):
        self.directory = directory
        self.port = port
        self.url = f"postgresql://writer@127.0.0.1:{port}/corpus?sslmode=disable"

    def start(self):
        options = " ".join(f"-c {name}={value}" for name, value in OPTIONS.items())
        as_postgres([f"{BIN}/pg_ctl", "-D", self.directory, "-l", f"{self.directory}.log", "-w", "-t", "120",
                     "-o", f"-p {self.port} -k {os.path.dirname(self.directory)} {options}", "start"])

    def stop(self):
        as_postgres([f"{BIN}/pg_ctl", "-D", self.directory, "-m", "immediate", "-w", "stop"])

    def sql(self, text):
        """Runs a text directly; the last value of the first row of its last result."""
        wire = Wire(Url(self.url))
        try:
            wire.query(text)
            error = first_error(wire.messages)
            if error:
                raise SystemExit(f"{error}\n{text[:400]}")
            return wire.messages
        finally:
            wire.close()


def make(directory, schema):
    """Four servers: two for the edge, and two like them for the control; and what was planted in each pair."""
    os.makedirs(directory, exist_ok=True)
    os.chmod(directory, 0o755)
    home = os.path.join(directory, "pg")
    os.makedirs(home)
    if os.geteuid() == 0:
        postgres = pwd.getpwnam("postgres")
        os.chown(home, postgres.pw_uid, postgres.pw_gid)
    base = free_ports(4)
    empty = Server(os.path.join(home, "empty"), base)
    as_postgres([f"{BIN}/initdb", "-A", "trust", "-U", "writer", "--locale=C.UTF-8", "-E", "UTF8", "-N", "-D", empty.directory])
    empty.start()
    psql(empty.url.replace("/corpus?", "/postgres?"), "CREATE DATABASE corpus")
    psql(empty.url, schema)
    empty.stop()
    servers, planted = [], []
    for number, seed in enumerate("ab"):
        server = Server(os.path.join(home, seed), base + number)
        as_postgres(["cp", "-a", empty.directory, server.directory])
        server.start()
        world = World(seed)
        psql(server.url, world.fill())
        planted.append(world.secrets)
        servers.append(server)
    for number, server in enumerate(list(servers)):
        server.stop()
        control = Server(f"{server.directory}_control", base + 2 + number)
        as_postgres(["cp", "-a", server.directory, control.directory])
        servers.append(control)
    for server in servers:
        server.start()
    return servers, planted


def psql(url, script, check=True, env=None, args=()):
    done = subprocess.run(["psql", url, "-X", "-q", "-v", f"ON_ERROR_STOP={int(check)}", "-f", "-", *args], input=script,
                          capture_output=True, text=True, timeout=300, env={**os.environ, **(env or {})}, errors="replace")
    if check and done.returncode != 0:
        raise SystemExit(f"psql failed: {done.stderr[:2000]}")
    return done


class Edge:
    """`writ dev` in front of the two servers, with every column of the world declared."""

    def __init__(self, writ, directory, servers):
        self.writ = os.path.abspath(writ)
        self.directory = os.path.join(directory, "writ")
        self.env = {}
        base = free_ports(8, 17400)
        self.run("dev", "--data-dir", self.directory, "--port-base", str(base), "--database-url", servers[0].url, "--detach")
        with open(os.path.join(self.directory, "dev.env"), encoding="utf-8") as file:
            for line in file:
                name, _, value = line.strip().partition("=")
                self.env[name] = value[1:-1].replace("'\\''", "'")
        self.env["WRIT_TOKEN"] = self.env["WRIT_TOKEN_ADMIN"]
        empty = os.path.join(directory, "no.password")
        with open(empty, "w", encoding="utf-8"):
            pass
        self.run("databases", "add", NAMES[1], "--environment", "prod", "--owner", "dba", "--host", "127.0.0.1", "--port",
                 str(servers[1].port), "--dbname", "corpus", "--username", "writer", "--password-file", empty, "--tls", "disable")

    def run(self, *args):
        done = subprocess.run([self.writ, *args], capture_output=True, text=True, timeout=300, env={**os.environ, **self.env})
        if done.returncode != 0:
            raise SystemExit(f"writ {' '.join(args)} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def url(self, who, database):
        return Url(self.env[f"WRIT_URL_{who}"], dbname=database)

    def text_url(self, who, database):
        return self.env[f"WRIT_URL_{who}"].replace(f"/{NAMES[0]}?", f"/{database}?")

    def declare(self, masks, server):
        """Says what every named column holds, to both databases."""
        tags, tables = {}, set()
        for line in masks.splitlines():
            if line and not line.startswith("#"):
                name, _, tag = line.rpartition(" ")
                table, column = (name, None) if tag == "-" else name.rsplit(".", 1)
                tables.add(table)
                if column:
                    tags[table, column.strip('"')] = tag
        known = {name: {row["column"]: row["holds"] for row in json.loads(self.run("databases", "classify", name, "--all", "--json"))}
                 for name in NAMES}
        for table in sorted(tables):
            for column in columns(server, table):
                schema = table if table.count(".") else f"public.{table}"
                name = f"{schema}.{column}".replace('"Odd ""Table"', 'Odd "Table')
                tag = tags.get((table, column))
                if table == "derived" and tag is None and column != "id":
                    continue
                for database in NAMES:
                    what = ["--set", tag] if tag else ["--harmless"]
                    if known[database].get(name) != (tag or "harmless"):
                        self.run("databases", "classify", database, name, *what)

    def stop(self):
        subprocess.run([self.writ, "dev", "stop", "--data-dir", self.directory], capture_output=True, timeout=60,
                       env={**os.environ, **self.env})


def columns(server, table):
    from corpus_wire import values
    messages = server.sql(f"SELECT attname FROM pg_attribute WHERE attrelid = $n${table}$n$::regclass AND attnum > 0")
    return [values(body)[0].decode() for kind, body in messages if kind == b"D"]


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
