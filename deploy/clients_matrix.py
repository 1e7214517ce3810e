"""The driver matrix: one program per driver runs a list of cells at the edge, as the developer, and directly.

Each program prints a JSON line per cell. A cell is the same, or it differs in a way that has a name here, or it is a failure.
The figures go to a table in Markdown, which docs/drivers.md shows.
"""

import collections
import json
import os
import re
import subprocess
from urllib.parse import unquote, urlsplit

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = os.path.join(HERE, "clients.d", "matrix")
JAR = "/usr/share/java/postgresql.jar"
SECONDS_MAX = 300
GROUPS = ["parameters as text", "parameters as binary", "results as text", "results as binary", "large values", "prepared statements",
          "pipelines", "COPY", "cancel", "transactions", "errors", "session", "cursors", "masking"]

Named = collections.namedtuple("Named", "drivers cell edge why")
# What differs on purpose or is known: for which drivers, which cell, what the edge's result must show, and why.
NAMED = [
    Named(".*", r"errors: (syntax|unknown relation)(, prepared)?", r"(42601|42P01).*rule=closed\.opaque",
          "The gateway refuses what it cannot read or does not know, with the server's SQLSTATE and words, its rule and a next step, and without a position"),
    Named(".*", r"masking: a masked column", r"\*\*\*-\*\*-\*\*\*\*", "The column is masked for a developer: this cell shows that the comparison sees it"),
    Named(".*", r"session: large objects", r"lo_creat is not known to be harmless", "Large objects go past tables and policies on them: their functions are opaque until a policy opens them"),
    Named(".*", r"session: another client encoding", r"cannot be understood in this client_encoding",
          "Texts are read as UTF-8: while client_encoding is another, a text that is not ASCII is refused (results are not concerned)"),
    Named("psycopg2|ODBC", r"large values: 5 MB of text(, in the text)?", r"longer than 1048576 bytes",
          "The driver puts the value into the text, and a text of more than 1 MiB is refused; as a parameter any size passes"),
    Named("asyncpg", r"cursors: step by step", r"FETCH and MOVE of a portal", "Cursor.forward() sends MOVE for a portal that Bind made, which is not decided on; its other calls work"),
]


def args_of(driver, url, tools, directory):
    """The command of a driver's program."""
    python = os.path.join(tools, "venv/bin/python")
    part = lambda name: os.path.join(PARTS, name)
    if driver == "JDBC":
        parts = urlsplit(url)
        jdbc = f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}?{parts.query}"
        return ["java", "-cp", f"{JAR}:{directory}", "Matrix", jdbc, unquote(parts.username), unquote(parts.password), os.path.join(directory, "cells")]
    if driver in ("tokio-postgres", "sqlx"):
        return [os.path.join(tools, "rust/debug/writ-clients-rust"), driver, part("cells.json"), url]
    return {
        "psycopg 3": [python, part("psycopg3.py"), url],
        "psycopg2 (PyPI)": [python, part("psycopg_2.py"), url],
        "psycopg2 (Debian)": ["/usr/bin/python3", part("psycopg_2.py"), url],
        "asyncpg": [python, part("asyncpg_.py"), url],
        "SQLAlchemy": [python, part("sqlalchemy_.py"), url],
        "node-postgres": ["node", part("pg.js"), url],
        "postgres.js": ["node", part("postgres.js"), url],
        "ODBC": ["/usr/bin/python3", part("pyodbc_.py"), url],
    }[driver]


DRIVERS = ["psycopg 3", "psycopg2 (PyPI)", "psycopg2 (Debian)", "asyncpg", "SQLAlchemy", "node-postgres", "postgres.js",
           "tokio-postgres", "sqlx", "JDBC", "ODBC"]


def cells_as_lines(directory):
    """The cells for the Java program, which reads no JSON."""
    with open(os.path.join(PARTS, "cells.json"), encoding="utf-8") as file:
        cells = json.load(file)
    escaped = lambda words: "\t".join(w.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t") for w in words) + "\n"
    with open(os.path.join(directory, "cells"), "w", encoding="utf-8") as file:
        file.writelines(escaped(["setup", text]) for text in cells["setup"])
        file.writelines(escaped(["type", name, *values]) for name, values in cells["types"].items())
        file.writelines(escaped(["error", name, text]) for name, text in cells["errors"].items())


class Matrix:
    """Runs the programs and keeps what they found."""

    def __init__(self, url, tools, directory, env):
        self.url, self.tools, self.directory, self.env = url, tools, directory, env
        self.versions, self.counts, self.named, self.unsupported = {}, {}, {}, {}

    def cells(self, driver, who):
        """What a driver's program prints, by cell; a schema of temporary tables has another number in each session."""
        if driver == "JDBC" and not os.path.exists(os.path.join(self.directory, "Matrix.class")):
            subprocess.run(["javac", "-cp", JAR, "-d", self.directory, os.path.join(PARTS, "Matrix.java")], check=True)
            cells_as_lines(self.directory)
        done = subprocess.run(args_of(driver, self.url(who), self.tools, self.directory), capture_output=True, text=True,
                              env=self.env, timeout=SECONDS_MAX, cwd=self.directory)
        found = {}
        for line in done.stdout.splitlines():
            row = json.loads(re.sub(r"pg_temp_\d+", "pg_temp_N", line))
            found[row["group"], row["cell"]] = row
        if done.returncode != 0 or not found:
            raise AssertionError(f"{driver} ended with {done.returncode} after {len(found)} cells:\n{done.stderr[-2000:]}")
        return found

    def compare(self, driver):
        edge, direct = self.cells(driver, "DEVELOPER"), self.cells(driver, "DIRECT")
        assert list(edge) == list(direct), f"other cells: {set(edge) ^ set(direct)}"
        self.versions[driver] = direct["driver", "version"]["result"]
        counts = self.counts[driver] = collections.Counter()
        wrong = []
        for (group, cell), row in direct.items():
            other = edge[group, cell]
            if "unsupported" in row:
                self.unsupported.setdefault((driver, group), {})[row["unsupported"]] = True
            elif group != "driver":
                counts[group] += 1
            if row == other:
                continue
            reason = name_of(driver, f"{group}: {cell}", json.dumps(other, ensure_ascii=False))
            if reason:
                counts[group, "named"] += 1
                self.named.setdefault(reason, []).append((driver, f"{group}: {cell}"))
            else:
                wrong.append(f"{group}: {cell}\n  direct {shown(row)}\n  edge   {shown(other)}")
        assert not wrong, f"{len(wrong)} cells differ:\n" + "\n".join(wrong)
        cells = sum(n for key, n in counts.items() if isinstance(key, str))
        return f"{self.versions[driver]}: {cells} cells, {sum(counts[g, 'named'] for g in GROUPS)} differ as named"

    def report(self):
        """The tables of docs/drivers.md."""
        lines = [f"| driver | {' | '.join(GROUPS)} |", "|---|" + "---|" * len(GROUPS)]
        for driver, counts in self.counts.items():
            words = [self.cell(driver, counts, group) for group in GROUPS]
            lines.append(f"| {self.versions[driver]} | {' | '.join(words)} |")
        cells = sum(n for counts in self.counts.values() for key, n in counts.items() if isinstance(key, str))
        differ = sum(len(where) for where in self.named.values())
        lines += ["", f"{cells} cells of {len(self.counts)} drivers: {cells - differ} the same, {differ} differ as named.", "",
                  "| differs | why |", "|---|---|"]
        for reason, where in self.named.items():
            cells = collections.defaultdict(list)
            for driver, cell in where:
                cells[cell].append(driver)
            lines.append(f"| {'; '.join(f'{cell} ({who(drivers, self.counts)})' for cell, drivers in cells.items())} | {reason} |")
        lines += ["", "| not supported | what |", "|---|---|"]
        why = collections.defaultdict(list)
        for (driver, group), reasons in self.unsupported.items():
            why[driver].append(f"{group}: {', '.join(reasons)}")
        lines += [f"| {driver} | {'; '.join(reasons)} |" for driver, reasons in why.items()]
        return "\n".join(lines) + "\n"

    def cell(self, driver, counts, group):
        if not counts[group]:
            return "–"
        return str(counts[group]) + (f" ({counts[group, 'named']})" if counts[group, "named"] else "")


def who(drivers, ran):
    return "all" if len(drivers) == len(ran) else ", ".join(drivers)


def shown(row):
    return json.dumps(row.get("result", row.get("unsupported")), ensure_ascii=False)[:600]


def name_of(driver, cell, edge):
    for named in NAMED:
        if re.match(named.drivers, driver) and re.fullmatch(named.cell, cell) and re.search(named.edge, edge):
            return named.why
    return None


def checks(matrix):
    """A check for each driver, with a name that CLIENTS_ONLY takes."""
    for driver in DRIVERS:
        def f(driver=driver):
            return matrix.compare(driver)
        f.__name__ = "matrix_" + re.sub(r"\W+", "_", driver).strip("_").lower()
        yield f
