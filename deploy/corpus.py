"""Runs the corpus: every case on two databases that differ in masked cells only, through a real edge.

A case that may leak fails when a planted secret comes back in any form, or when the two databases answer differently. A
case that must not be denied fails when it is refused or errs. The control runs the same cases without the edge: most of
those that may leak have to leak there, or they prove nothing.

Usage: corpus.py WRIT-BINARY [FAMILY | FAMILY/CASE ...]
"""

import collections
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from corpus_oracles import APPROVAL, Seen, canaries, canaries_in, comparable, difference
from corpus_servers import NAMES, Edge, make, remove
from corpus_world import World
from corpus_wire import Hang, Url, Wire, first_error, refusal, run_script, values

HOME = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "core/sql/tests/corpus")
# Fewer cases than these are not the corpus.
LEAK_CASES_MIN = 400
ORDINARY_CASES_MIN = 120
# Of the cases that may leak, the part that leaks without the edge. The others are ways that may become leaks.
CONTROL_LEAKS_MIN = 0.6
ORDINARY = "ordinary"
TOOLS = {"psql", "pg_dump"}


FIRST = World("a")
# The OIDs of the world's functions, for FunctionCall.
FUNCTIONS = {}
FIRST.fill()


# What tools print that is of no database: approvals, and pg_dump's random key.
VARIES = re.compile(APPROVAL.pattern + rb"|restrict \S+")


class Case:
    """One case: a header of `-- key: value` lines, and what to send."""

    def __init__(self, family, file, headers, body):
        body = guessed(body, FIRST)
        self.family = headers.get("family", family)
        self.file = file
        self.name = headers["case"]
        self.expect = headers.get("expect", "answered" if family == ORDINARY else "any")
        # Extended with text results differs from simple in the protocol only, which has a family of its own.
        both = ["simple", "extended", "binary"] if family == ORDINARY else ["simple", "binary"]
        self.modes = both if headers.get("mode", "both") == "both" else headers["mode"].split()
        self.who = headers.get("as", "DEVELOPER").split()
        self.params = expand(headers["params"]).split("|") if "params" in headers else ()
        self.copy = headers["copy"].encode().decode("unicode_escape").encode() if "copy" in headers else None
        self.cleanup = headers.get("cleanup")
        self.paired = headers.get("paired", "yes") == "yes"
        self.sqlstate = headers.get("sqlstate")
        # A leak that is stated, with its reason, and does not fail the run.
        self.residue = headers.get("residue")
        self.body = expand(body)
        before, then, after = self.body.partition("\n-- then\n")
        self.setup = before if then and "setup-as" in headers else None
        self.text = after if self.setup is not None else self.body
        self.whole = headers.get("send") == "whole"

    @property
    def ordinary(self):
        return self.family == ORDINARY

    def steps(self):
        """The statements, each to be sent on its own: a `;` at the end of a line ends one, outside of `$$`."""
        if self.whole:
            return [self.text.strip("\n")]
        steps, current = [], []
        for line in self.text.splitlines():
            current.append(line)
            text = "\n".join(current)
            if line.rstrip().endswith(";") and text.count("$$") % 2 == 0:
                steps.append(text.strip())
                current = []
        rest = "\n".join(current).strip()
        return steps + ([rest] if rest else [])


def guessed(text, world):
    """`<<badges.code 3>>` is what that row holds in the first of the two databases: a guess that is right there only."""
    return re.sub(r"<<(\S+) (\d+)>>", lambda m: world.known[m[1], int(m[2])], text)


def expand(text):
    """`@@N(part)@@` is `part` N times, with `#` the number of the turn from 0; `@@M-N(part)@@` counts from M to N."""
    def turns(match):
        first = int(match[1] or 0)
        last = int(match[2]) if match[1] else int(match[2]) - 1
        return "".join(match[3].replace("#", str(n)) for n in range(first, last + 1))
    return re.sub(r"@@(?:(\d+)-)?(\d+)\((.*?)\)@@", turns, text, flags=re.S)


def load(path, family, file):
    with open(path, encoding="utf-8", errors="surrogateescape") as source:
        text = source.read()
    for part in re.split(r"(?m)^(?=-- case: )", text)[1:]:
        headers, body, lines = {}, [], part.splitlines()
        while lines and (found := re.match(r"-- (case|family|expect|mode|as|params|copy|cleanup|paired|residue|send|setup-as|sqlstate): (.*)", lines[0])):
            headers[found[1]] = found[2]
            lines.pop(0)
        body = "\n".join(lines).strip("\n")
        yield Case(family, file, headers, body)


def load_all():
    cases = []
    for family in sorted(os.listdir(HOME)):
        directory = os.path.join(HOME, family)
        if os.path.isdir(directory):
            for file in sorted(os.listdir(directory)):
                cases += load(os.path.join(directory, file), family, f"{family}/{file}")
    names = collections.Counter((c.family, c.name) for c in cases)
    twice = [f"{family}/{name}" for (family, name), n in names.items() if n > 1]
    if twice:
        raise SystemExit(f"cases with the same name: {twice}")
    return cases


class Run:
    """One case, one mode, one database: what came back."""

    def __init__(self):
        self.messages = []
        self.raw = b""
        self.hang = False
        self.ended = None
        self.output = None

    def seen(self):
        return Seen(self.raw, self.messages)

    def same_as(self, other, oid_limit):
        if self.output is not None:
            texts = [re.sub("|".join(NAMES), NAMES[0], r.output) for r in (self, other)]
            return None if texts[0] == texts[1] else first_line_that_differs(*texts)
        return difference(comparable(self.messages, oid_limit, NAMES), comparable(other.messages, oid_limit, NAMES))


def first_line_that_differs(a, b):
    for left, right in zip(a.splitlines(), b.splitlines()):
        if left != right:
            return f"{left[:200]}  !=  {right[:200]}"
    return "one output is longer"


def run_tool(case, mode, text_url):
    run = Run()
    more = {"env": {**os.environ, "PGOPTIONS": "", "PSQL_PAGER": "", "LC_ALL": "C.UTF-8"}, "capture_output": True, "timeout": 120}
    if mode == "psql":
        done = subprocess.run(["psql", text_url, "-X", "-f", "-"], input=case.text.encode("utf-8", "surrogateescape"), **more)
        failed = b"ERROR:" in done.stderr or b"FATAL:" in done.stderr
    else:
        done = subprocess.run(["pg_dump", "-d", text_url, *case.text.split()], **more)
        failed = done.returncode != 0
    run.raw = done.stdout + done.stderr
    run.output = VARIES.sub(b"", run.raw).decode("utf-8", "replace")
    run.ended = done.stderr.decode("utf-8", "replace").strip() if failed else None
    return run


def run_case(case, mode, url, text_url):
    if mode in TOOLS:
        return run_tool(case, mode, text_url)
    run = Run()
    wire = Wire(url)
    try:
        if mode == "script":
            run_script(wire, case.text.splitlines(), FUNCTIONS)
        steps = case.steps() if mode != "script" else []
        for step in steps:
            if mode == "simple":
                wire.query(step, case.copy)
            else:
                wire.extended(step, case.params, mode == "binary", case.copy)
    except Hang:
        run.hang = True
    except (ConnectionError, OSError) as error:
        run.ended = f"{type(error).__name__}: {error}"
    finally:
        wire.close()
    run.messages, run.raw = wire.messages, bytes(wire.log)
    return run


class Result:
    """What the oracles say of one case in one mode as one principal."""

    def __init__(self, case, mode, who):
        self.case, self.mode, self.who = case, mode, who
        self.leaks = []
        self.fault = None
        self.outcome = "answered"

    def judge(self, runs, planted, oid_limit):
        told = self.case.body + "|".join(self.case.params)
        for run, secrets in zip(runs, planted):
            self.leaks += [f"canary {secret} as {needle[:60]!r}" for secret, needle in canaries_in(run.seen(), secrets, told)[:1]]
        if self.case.paired:
            differs = runs[0].same_as(runs[1], oid_limit)
            self.leaks += [f"paired: {differs}"] if differs else []
        refused = [refusal(run.messages) for run in runs]
        error = runs[0].ended or first_error(runs[0].messages)
        if any(run.hang for run in runs):
            self.fault = "hangs"
        elif any(refused) or (error and "42501" in error):
            self.outcome = "refused"
        elif error:
            self.outcome = "error"
        self.why = next((r for r in refused if r), None) or error or ""
        self.expectation()

    def expectation(self):
        if self.fault:
            return
        if self.case.sqlstate:
            if self.case.sqlstate not in self.why:
                self.fault = f"not {self.case.sqlstate}: {self.why or 'answered'}"
        elif self.case.expect == "answered" and self.outcome != "answered":
            self.fault = f"{self.outcome}: {self.why}"
        elif self.case.expect == "refused" and self.outcome == "answered":
            self.fault = "answered, should be refused"


class Corpus:
    """The cases and the two pairs of servers."""

    def __init__(self, cases, edge, servers, planted):
        self.cases = cases
        self.edge = edge
        self.servers = servers
        self.planted = [canaries(secrets) for secrets in planted]
        self.pool = ThreadPoolExecutor(2)
        self.oid_limit = min(int(max_oid(s)) for s in servers) + 1
        procedures = servers[0].sql("SELECT oid::regprocedure::text, oid FROM pg_proc")
        FUNCTIONS.update((values(body)[0].decode(), int(values(body)[1])) for kind, body in procedures if kind == b"D")
        self.tools_are_older = tools_are_older(servers[0])

    def both(self, targets, case, mode):
        jobs = [self.pool.submit(run_case, case, mode, url, text) for url, text in targets]
        return [job.result() for job in jobs]

    def through_edge(self, case, mode, who):
        targets = [(self.edge.url(who, n), self.edge.text_url(who, n)) for n in NAMES]
        if case.setup is not None:
            for name in NAMES:
                wire = Wire(self.edge.url("ADMIN", name))
                wire.query(case.setup)
                wire.close()
        runs = self.both(targets, case, mode)
        self.clean(case, self.servers[:2])
        result = Result(case, mode, who)
        result.judge(runs, self.planted, self.oid_limit)
        return result

    def direct(self, case, mode):
        servers = self.servers[2:]
        if case.setup is not None:
            for server in servers:
                wire = Wire(Url(server.url))
                wire.query(case.setup)
                wire.close()
        runs = self.both([(Url(s.url), s.url) for s in servers], case, mode)
        self.clean(case, servers)
        result = Result(case, mode, "DIRECT")
        result.judge(runs, self.planted, self.oid_limit)
        return result

    @staticmethod
    def clean(case, servers):
        for server in servers:
            if case.cleanup:
                wire = Wire(Url(server.url))
                for statement in case.cleanup.split(";"):
                    wire.query(statement)
                wire.close()

    def drifted(self, before):
        """The relations that cases have changed and not put back."""
        now = [state(server) for server in self.servers[:2]]
        return [sorted(set(b.items()) ^ set(n.items())) for b, n in zip(before, now) if b != n]


def tools_are_older(server):
    messages = server.sql("SHOW server_version_num")
    number = next(body[6:].decode() for kind, body in messages if kind == b"D")
    tool = subprocess.run(["psql", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r" (\d+)", tool)[1]) < int(number) // 10_000


def max_oid(server):
    messages = server.sql("SELECT max(oid::bigint) FROM (SELECT oid FROM pg_class UNION ALL SELECT oid FROM pg_type) o")
    return next(body[6:].decode() for kind, body in messages if kind == b"D")


STATE = """SELECT c.oid::regclass::text, c.relkind, CASE WHEN c.relkind IN ('r', 'm', 'p') THEN
  md5((query_to_xml('SELECT * FROM ' || c.oid::regclass || ' t ORDER BY t::text', true, false, ''))::text) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'app', 'other') AND c.relkind IN ('r', 'm', 'p', 'v', 'S')
UNION ALL SELECT p.oid::regprocedure::text, 'p', NULL FROM pg_proc p WHERE p.oid >= 16384"""


def state(server):
    return {values(body)[0]: values(body)[1:3][-1] for kind, body in server.sql(STATE) if kind == b"D"}


def chosen(cases, wanted):
    if not wanted:
        return cases
    return [c for c in cases if any(f"{c.family}/{c.name}".startswith(w) for w in wanted)]


def run_all(corpus):
    results, file, before = [], None, [state(s) for s in corpus.servers[:2]]
    for case in corpus.cases:
        for who in case.who:
            for mode in case.modes:
                result = corpus.through_edge(case, mode, who)
                if result.fault and mode in TOOLS and corpus.tools_are_older and corpus.direct(case, mode).fault:
                    print(f"left out: {case.family}/{case.name}: this machine's {mode} is older than the server, and fails "
                          "without the edge too", flush=True)
                    continue
                results.append(result)
                if (result.leaks and not case.residue) or result.fault:
                    tell(result)
        if case.file != file and file is not None or case is corpus.cases[-1] or os.environ.get("CORPUS_STRICT"):
            for drift in corpus.drifted(before):
                print(f"DRIFT near {case.file} {case.name}: {drift[:4]}", flush=True)
                before = [state(s) for s in corpus.servers[:2]]
        file = case.file
    return results


def tell(result):
    what = "LEAK " if result.leaks else "FAULT"
    print(f"{what} {result.case.family}/{result.case.name} ({result.case.file}, {result.mode}, {result.who}): "
          f"{' ; '.join(result.leaks) or result.fault}"[:700], flush=True)


def control(corpus):
    """How many of the cases that may leak do so when nothing stands before the database."""
    leaky = [c for c in corpus.cases if not c.ordinary]
    silent = [c for c in leaky if not any(corpus.direct(c, mode).leaks for mode in c.modes)]
    if os.environ.get("CORPUS_SILENT"):
        print("silent in the control: " + " ".join(f"{c.family}/{c.name}" for c in silent))
    return len(leaky) - len(silent), len(leaky)


def summary(results):
    rows = collections.defaultdict(collections.Counter)
    for result in results:
        row = rows[result.case.family]
        row["runs"] += 1
        row[result.outcome] += 1
        row["residue" if result.case.residue else "leaks"] += bool(result.leaks)
        row["faults"] += bool(result.fault)
    for family in rows:
        rows[family]["cases"] = len({r.case.name for r in results if r.case.family == family})
    columns = ["cases", "runs", "answered", "error", "refused", "residue", "leaks", "faults"]
    total = sum(rows.values(), collections.Counter())
    width = max(map(len, rows)) + 2
    print("\n" + "family".ljust(width) + "".join(c.rjust(10) for c in columns))
    for name, row in [*sorted(rows.items()), ("total", total)]:
        print(name.ljust(width) + "".join(str(row[c]).rjust(10) for c in columns))


def main():
    wanted = sys.argv[2:]
    every = load_all()
    cases = chosen(every, wanted)
    directory = tempfile.mkdtemp(prefix="writ-corpus-")
    os.chmod(directory, 0o755)
    servers, edge = [], None
    started = time.monotonic()
    try:
        with open(os.path.join(HOME, "schema.sql"), encoding="utf-8") as file:
            servers, planted = make(directory, file.read())
        edge = Edge(sys.argv[1], directory, servers)
        with open(os.path.join(HOME, "masks.txt"), encoding="utf-8") as file:
            edge.declare(file.read(), servers[0])
        print(f"two databases, {len(planted[0])} secrets in each, one edge: ready after {time.monotonic() - started:.0f} s", flush=True)
        corpus = Corpus(cases, edge, servers, planted)
        results = run_all(corpus)
        leaks, leaky = control(corpus) if not os.environ.get("CORPUS_NO_CONTROL") else (0, 0)
    finally:
        if edge:
            edge.stop()
        for server in servers:
            server.stop()
        if not os.environ.get("CORPUS_KEEP"):
            remove(directory)
    return verdict(results, leaks, leaky, every, bool(wanted), time.monotonic() - started)


def verdict(results, leaks, leaky, every, partial, seconds):
    summary(results)
    ordinary = sum(c.ordinary for c in every)
    print(f"\n{len(every) - ordinary} cases that may leak, {ordinary} that must not be denied; {len(results)} runs in {seconds:.0f} s")
    bad = [r for r in results if (r.leaks and not r.case.residue) or r.fault]
    stated = {(r.case.family, r.case.name): r.case.residue for r in results if r.case.residue}
    print("stated residue:" + "".join(f"\n    {family}/{name}: {why}" for (family, name), why in sorted(stated.items())))
    if leaky:
        print(f"control: without the edge {leaks} of {leaky} cases leak ({100 * leaks / leaky:.0f} %)")
    few = not partial and (len(every) - ordinary < LEAK_CASES_MIN or ordinary < ORDINARY_CASES_MIN)
    blunt = not partial and leaky and leaks < CONTROL_LEAKS_MIN * leaky
    if few:
        print(f"FAIL  fewer cases than {LEAK_CASES_MIN} and {ORDINARY_CASES_MIN}")
    if blunt:
        print("FAIL  too few cases leak without the edge")
    for kind, some in [("leaks", [r for r in bad if r.leaks]), ("faults", [r for r in bad if not r.leaks])]:
        names = sorted({f"{r.case.family}/{r.case.name}" for r in some})
        print(f"{len(names)} cases with {kind}" + "".join(f"\n    {n}" for n in names))
    return 1 if bad or few or blunt else 0


if __name__ == "__main__":
    sys.exit(main())
