"""The server's own programs through the edge: pgbench, pg_dump with pg_restore, and what asks for replication."""

import os
import re

BENCH = ["-n", "-c", "8", "-j", "2", "-t", "40", "--random-seed=7"]
PIPELINE = r"""
\set aid random(1, 100000)
\startpipeline
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
COMMIT;
\endpipeline
"""
SUMS = """SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
  (SELECT sum(bbalance) FROM pgbench_branches), count(*), sum(delta), md5(string_agg(x::text, ' ' ORDER BY x::text))
  FROM (SELECT tid, bid, aid, delta FROM pgbench_history) x"""


def checks(run, url, same, execute, definitions, directory):
    """The checks, made from what the other clients are checked with."""

    def value(text):
        return run(["psql", url("DIRECT"), "-X", "-A", "-t", "-c", text]).stdout.strip()

    def pgbench():
        """Each protocol and a pipeline, eight clients at once: the same sums as directly, no transaction lost."""
        script = os.path.join(directory, "pipeline.sql")
        with open(script, "w", encoding="utf-8") as file:
            file.write(PIPELINE)
        ways = {"simple": ["-M", "simple"], "extended": ["-M", "extended"], "prepared": ["-M", "prepared"],
                "pipeline": ["-M", "prepared", "-f", script]}
        results = []
        for who in ["DEVELOPER", "DIRECT"]:
            run(["pgbench", "-i", "-q", "-s", "1", url(who)])
            found = [value("SELECT count(*) FROM pgbench_accounts")]
            for name, args in ways.items():
                done = run(["pgbench", *BENCH, *args, url(who)])
                counted = re.search(r"actually processed: (\S+)", done.stdout)
                failures = re.search(r"failed transactions: (\d+)", done.stdout)
                found += [name, counted and counted[1], failures and failures[1], value(SUMS)]
            results.append("\n".join(map(str, found)))
            execute("DIRECT", "DROP TABLE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history")
        same("what pgbench leaves", *results)
        return f"{len(ways)} ways, 8 clients, 320 transactions each"

    def pg_restore():
        """A dump of definitions and data in the custom format, restored."""
        dump = os.path.join(directory, "mig.dump")
        execute("DIRECT", "CREATE SCHEMA mig; CREATE TABLE mig.a (id int PRIMARY KEY, b text DEFAULT 'x', c numeric(8, 2));"
                "CREATE INDEX ON mig.a (b); CREATE SEQUENCE mig.s START 7; CREATE VIEW mig.v AS SELECT id FROM mig.a;"
                "INSERT INTO mig.a SELECT n, E'tab\\t' || n, n / 7.0 FROM generate_series(1, 5000) n; SELECT nextval('mig.s')")
        content = "SELECT count(*), md5(string_agg(a::text, ',' ORDER BY id)), (SELECT last_value FROM mig.s) FROM mig.a"
        wanted = definitions("mig") + value(content)
        run(["pg_dump", url("DIRECT"), "-Fc", "--schema", "mig", "--no-owner", "-f", dump])
        for args in [[], ["-1"], ["-j", "2"]]:
            execute("DIRECT", "DROP SCHEMA mig CASCADE")
            run(["pg_restore", "--no-owner", "--exit-on-error", *args, "-d", url("DEVELOPER"), dump])
            same("what was restored", definitions("mig") + value(content), wanted)
        execute("DIRECT", "DROP SCHEMA mig CASCADE")
        return "plain, in one transaction, two jobs"

    def replication():
        """Refused, with words, and nothing is written."""
        target = os.path.join(directory, "base")
        said = []
        commands = {
            "pg_basebackup": ["pg_basebackup", "-d", url("ADMIN"), "-D", target],
            "pg_receivewal": ["pg_receivewal", "-d", url("ADMIN"), "-D", directory, "--no-loop"],
            "replication=database": ["psql", url("ADMIN") + "&replication=database", "-X", "-c", "IDENTIFY_SYSTEM"],
            "replication=true": ["psql", url("ADMIN") + "&replication=true", "-X", "-c", "IDENTIFY_SYSTEM"],
        }
        for name, args in commands.items():
            done = run(args, False)
            assert done.returncode != 0 and "FATAL:" in done.stderr, (name, done)
            said.append(f"{name}: {re.search('FATAL:  (.*)', done.stderr)[1]}")
        assert not os.path.exists(target) or not os.listdir(target), "something was copied"
        return "refused; " + "; ".join(said)

    for f, name in [(pgbench, "pgbench"), (pg_restore, "pg_restore"), (replication, "replication")]:
        f.__name__ = name
        yield f
