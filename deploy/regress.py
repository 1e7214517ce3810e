"""PostgreSQL's regression tests, directly and through an edge that allows everything; what psql printed is compared.

Both servers are made alike and fresh, with a superuser of the name of the principal, so that names agree. Each test whose
output differs is printed with its first differing lines; the differences are left in a directory. Lines that
deploy/regress.d/known.json explains are counted apart. Exit code 1 on any other.
"""

import collections
import difflib
import glob
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WRIT, TESTS, ONLY = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3:]
BIN = os.environ.get("WRIT_TEST_PG_BIN", "/usr/lib/postgresql/15/bin")
PG_REGRESS = "/usr/lib/postgresql/15/lib/pgxs/src/test/regress/pg_regress"
# Another program for the edge alone, such as a release build of it.
EDGE = os.environ.get("REGRESS_EDGE", "")
PORTS = int(os.environ.get("REGRESS_PORTS", "18400"))
# The sample administrator of `writ dev`.
PRINCIPAL = "ada"
SETTINGS = ["fsync=off", "max_prepared_transactions=2", "max_connections=120", "log_line_prefix=%m [%p] %q%a ", "listen_addresses=127.0.0.1",
            "lc_messages=C", "log_min_messages=warning", "jit=off"]
# A test that prints nothing for so long hangs, and is ended.
HANGS_S = 300
DIR = tempfile.mkdtemp(prefix="writ-regress-")
# The server, which runs as a user of its own, reads and writes the tests' files.
os.chmod(DIR, 0o755)


def run(args, check=True, env=None, timeout=300):
    done = subprocess.run(args, capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=timeout, errors="replace", cwd="/")
    if check and done.returncode != 0:
        raise SystemExit(f"{args} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done


def as_postgres(args):
    if os.geteuid() == 0:
        args = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *args]
    return run(args, env={"LC_ALL": "C"})


class Server:
    """A fresh server with the database `regression`, as pg_regress would make it."""

    def __init__(self, name, port):
        self.port, self.directory, self.sockets = port, os.path.join(DIR, f"pg-{name}"), os.path.join(DIR, f"sockets-{name}")
        for directory in [self.directory, self.sockets]:
            os.makedirs(directory)
            if os.geteuid() == 0:
                os.chown(directory, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
        as_postgres([f"{BIN}/initdb", "-A", "trust", "-U", PRINCIPAL, "--locale=C", "-E", "UTF8", "-N", "-D", self.directory])
        options = " ".join(f"-c '{setting}'" for setting in SETTINGS)
        as_postgres([f"{BIN}/pg_ctl", "-D", self.directory, "-l", os.path.join(self.sockets, "log"), "-w", "-o",
                     f"-p {port} -k {self.sockets} {options}", "start"])
        self.sql("postgres", "CREATE DATABASE regression TEMPLATE template0")
        for name, value in [("lc_messages", "C"), ("lc_monetary", "C"), ("lc_numeric", "C"), ("lc_time", "C"), ("bytea_output", "hex"),
                            ("timezone_abbreviations", "Default")]:
            self.sql("postgres", f"ALTER DATABASE regression SET {name} TO '{value}'")
        # `writ dev` waits until it has classified columns, of which a new database has none.
        self.sql("regression", "CREATE TABLE classified_first (a int)")

    def sql(self, database, text):
        run(["psql", f"postgresql://{PRINCIPAL}@127.0.0.1:{self.port}/{database}", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", text])

    def stop(self):
        as_postgres([f"{BIN}/pg_ctl", "-D", self.directory, "-m", "immediate", "-w", "stop"])


class Edge:
    """`writ dev` in front of a server, under the policies of deploy/regress.d."""

    def __init__(self, server):
        self.directory, self.env = os.path.join(DIR, "writ"), {}
        url = f"postgresql://{PRINCIPAL}@127.0.0.1:{server.port}/regression?sslmode=disable"
        separate = ["--separate"] if EDGE else []
        run([WRIT, "dev", "--data-dir", self.directory, "--port-base", str(PORTS + 10), "--database-url", url, "--detach", *separate])
        with open(os.path.join(self.directory, "dev.env"), encoding="utf-8") as file:
            for line in file:
                name, _, value = line.strip().partition("=")
                self.env[name] = value[1:-1].replace("'\\''", "'")
        self.env["WRIT_TOKEN"] = self.env["WRIT_TOKEN_ADMIN"]
        self.other = self.exchange() if EDGE else None
        server.sql("regression", "DROP TABLE classified_first")
        parts = os.path.join(HERE, "regress.d")
        run([sys.executable, os.path.join(parts, "apply.py"), os.path.join(HERE, "../proto"), parts], env=self.env)

    def exchange(self):
        """Ends the edge and starts the other program in its place, with its configuration."""
        os.kill(int(self.env["WRIT_PID_EDGE"]), signal.SIGTERM)
        while os.path.exists(f"/proc/{self.env['WRIT_PID_EDGE']}"):
            time.sleep(0.1)
        with open(os.path.join(DIR, "edge-process.log"), "w", encoding="utf-8") as log:
            other = subprocess.Popen([os.path.abspath(EDGE), "edge", "--config", os.path.join(self.directory, "edge.toml")],
                                     stdout=log, stderr=log, cwd="/")
        while run(["psql", self.env["WRIT_URL_ADMIN"], "-X", "-q", "-c", "SELECT 1"], check=False).returncode != 0:
            if other.poll() is not None:
                raise SystemExit(f"{EDGE} ended: {log.name}")
            time.sleep(0.2)
        return other

    def stop(self):
        if self.other:
            self.other.terminate()
            self.other.wait()
        run([WRIT, "dev", "stop", "--data-dir", self.directory], check=False, env=self.env)


def regress(name, host, port, env):
    """pg_regress against a server or an edge; its results, by test, and what it says of them."""
    work = os.path.join(DIR, name)
    shutil.copytree(TESTS, work)
    libraries = os.path.join(work, "lib")
    os.makedirs(libraries)
    for library in [os.path.join(TESTS, "regress.so"), *(f"/usr/lib/postgresql/15/lib/{n}.so" for n in ["refint", "autoinc"])]:
        shutil.copy(library, libraries)
    for directory in ["results", "testtablespace"]:
        os.makedirs(os.path.join(work, directory), exist_ok=True)
    run(["chmod", "-R", "a+rwX", work])
    which = ONLY or [f"--schedule={os.path.join(work, 'parallel_schedule')}"]
    args = [PG_REGRESS, f"--inputdir={work}", f"--outputdir={work}", "--bindir=/usr/lib/postgresql/15/bin", f"--dlpath={libraries}", "--use-existing",
            f"--host={host}", f"--port={port}", f"--user={PRINCIPAL}", "--dbname=regression", "--max-connections=20", *which]
    log = os.path.join(DIR, f"{name}.log")
    with open(log, "w", encoding="utf-8") as file, subprocess.Popen(args, stdout=file, stderr=file, env={**os.environ, **env}, cwd="/") as tests:
        try:
            while tests.poll() is None:
                time.sleep(5)
                end_what_hangs(os.path.join(work, "results"))
        finally:
            tests.terminate()
    with open(log, encoding="utf-8") as file:
        said = file.read()
    results = {}
    for file in glob.glob(os.path.join(work, "results", "*.out")):
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            # The only thing that names the run: its directory.
            results[os.path.basename(file)[:-4]] = opened.read().replace(work, "DIRECTORY")
    return results, said


def end_what_hangs(results):
    """Ends each psql that writes to one of these files and has not for long."""
    for process in glob.glob("/proc/[0-9]*"):
        try:
            output = os.readlink(f"{process}/fd/1")
            if os.path.dirname(output) == results and time.time() - os.path.getmtime(output) > HANGS_S:
                print(f"ended      {os.path.basename(output)}: nothing came for {HANGS_S} s", flush=True)
                os.kill(int(os.path.basename(process)), signal.SIGTERM)
        except OSError:
            continue  # it ended meanwhile, or is another's


def known():
    """What may differ: in which test, in which lines, and why."""
    with open(os.path.join(HERE, "regress.d", "known.json"), encoding="utf-8") as file:
        return json.load(file)


def compare(direct, edge):
    explained, wrong = collections.Counter(), []
    rules = known()
    for test in direct:
        if direct[test] == edge.get(test):
            continue
        lines = list(difflib.unified_diff(direct[test].splitlines(), edge.get(test, "").splitlines(), "direct", "edge", n=0, lineterm=""))
        with open(os.path.join(DIR, f"{test}.diff"), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join(difflib.unified_diff(direct[test].splitlines(), edge.get(test, "").splitlines(), "direct", "edge", n=3, lineterm="")))
        left = []
        for line in lines[2:]:
            why = None if line.startswith("@@") else next((r["id"] for r in rules if re.fullmatch(r["test"], test) and re.search(r["line"], line[1:])), None)
            if why:
                explained[test, why] += 1
            elif not line.startswith("@@"):
                left.append(line)
        if left:
            wrong.append((test, left))
    return explained, wrong


def main():
    servers = [Server(name, PORTS + n) for n, name in enumerate(["direct", "edge"])]
    edge = None
    try:
        servers[0].sql("regression", "DROP TABLE classified_first")
        direct, said = regress("direct", "127.0.0.1", servers[0].port, {"PGSSLMODE": "disable"})
        passed = len(re.findall(r"\.\.\. ok", said))
        print(f"directly: {len(direct)} tests, {passed} as expected by PostgreSQL", flush=True)
        edge = Edge(servers[1])
        host, _, port = edge.env["WRIT_EDGE"].partition(":")
        env = {"PGPASSWORD": edge.env["WRIT_TOKEN_ADMIN"], "PGSSLMODE": "verify-full", "PGSSLROOTCERT": edge.env["WRIT_CA"]}
        through, said = regress("edge", host, port, env)
        passed = len(re.findall(r"\.\.\. ok", said))
        print(f"through the edge: {len(through)} tests, {passed} as expected by PostgreSQL", flush=True)
        explained, wrong = compare(direct, through)
        for (test, why), count in sorted(explained.items()):
            print(f"explained  {test}: {count} lines, {why}")
        for test, lines in wrong:
            print(f"DIFFERENT  {test}: {len(lines)} lines\n" + "\n".join(f"    {line[:200]}" for line in lines[:12]))
        same = len(direct) - len({test for test, _ in explained} | {test for test, _ in wrong})
        print(f"{same} of {len(direct)} tests are the same, byte for byte; {len(wrong)} differ without an explanation")
        return 1 if wrong or not direct else 0
    finally:
        if edge:
            edge.stop()
        for server in servers:
            server.stop()
        print(f"outputs and differences are in {DIR}")


if __name__ == "__main__":
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
