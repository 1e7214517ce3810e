"""How clients prove who they are, through a real edge: passwords of services, with psql and psycopg2."""

import json
import os
import subprocess

import psycopg2


def add(step, smoke):
    """Adds this file's steps."""

    def dsn(user, password, **more):
        host, port = smoke.ENV["WRIT_EDGE"].split(":")
        parts = {"host": host, "port": port, "dbname": "shop", "user": user, "password": password,
                 "sslmode": "verify-full", "sslrootcert": smoke.ENV["WRIT_CA"], **more}
        return {name: value for name, value in parts.items() if value is not None}

    def answer(user, password, **more):
        """What a client gets: its own name as the database sees it, or the error."""
        with_ = dsn(user, password, **more)
        try:
            connection = psycopg2.connect(**with_)
        except psycopg2.OperationalError as error:
            return str(error)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('writ.principal')")
            row = cursor.fetchone()[0]
        connection.close()
        return row

    def psql(user, word, **more):
        host, port = smoke.ENV["WRIT_EDGE"].split(":")
        return smoke.run(["psql", "-X", "-A", "-t", "-c", "SELECT 1"], check=False, PGHOST=host, PGPORT=port, PGUSER=user,
                         PGDATABASE="shop", PGPASSWORD=word, PGSSLMODE="verify-full", PGSSLROOTCERT=smoke.ENV["WRIT_CA"],
                         **more)

    def password(*args, **more):
        return smoke.writ("identities", "password", *args, **more)

    def made(service):
        return json.loads(password("set", service, "--json").stdout)["password"]

    def reaches(user, word, expected, **more):
        """An edge knows of a change when its next epoch has come."""
        smoke.until(f"{user} to be {expected}", lambda: expected in answer(user, word, **more))

    @step
    def a_service_logs_in_by_its_password():
        smoke.writ("identities", "add", "service:robot", "--group", "developers")
        first = made("service:robot")
        reaches("service:robot", first, "service:robot", channel_binding="require")
        # Without a binding where the client cannot have one; and never by sending the password.
        assert answer("service:robot", first, channel_binding="disable") == "service:robot"
        assert psql("service:robot", first, PGCHANNELBINDING="require").stdout.strip() == "1"
        # A service with a password may still come with a token, under its name alone.
        token = smoke.writ("token", "issue", "service:robot").stdout.strip()
        assert answer("robot", token) == "service:robot"
        assert "this is not a Writ token" in answer("robot", first)
        # Another password beside it, then the first one away.
        second = "an own password, of 16 or more: \u2168"
        run_with(["identities", "password", "set", "service:robot", "--stdin"], second)
        reaches("service:robot", second, "service:robot", channel_binding="require")
        assert answer("service:robot", first) == "service:robot"
        assert password("set", "service:robot", check=False).returncode == 1, "two at most"
        password("remove", "service:robot", "1")
        reaches("service:robot", first, "password authentication failed")
        assert answer("service:robot", second) == "service:robot"
        methods = "SELECT DISTINCT authentication FROM sessions WHERE actor_user = 'service:robot' ORDER BY 1"
        expected = ["scram-sha-256", "scram-sha-256-plus", "token"]
        smoke.until("each method in the lake", lambda: [row["authentication"] for row in smoke.lake(methods)] == expected)

    def run_with(args, text):
        environment = {**smoke.ENV}
        done = subprocess.run([smoke.WRIT, *args], input=text + "\n", capture_output=True, text=True, env=environment,
                              timeout=60)
        assert done.returncode == 0, done.stderr

    @step
    def a_wrong_password_tells_nothing():
        smoke.writ("identities", "add", "service:known")
        right = made("service:known")
        reaches("service:known", right, "service:known", channel_binding="require")

        def refusal(user):
            done = psql(user, "wrong")
            assert done.returncode == 2, done
            return done.stderr.replace(user, "USER")
        known = refusal("service:known")
        assert "password authentication failed" in known, known
        for other in ["service:nobody", "service:no/one", "service:"]:
            assert refusal(other) == known, (other, known)
        # The password is in no log, and nothing that it could be guessed by is in the event log.
        events = smoke.writ("cluster", "events", "--json").stdout
        assert "password_set" in events and right not in events
        for directory, _, files in os.walk(smoke.DIR):
            for name in files:
                if name.endswith(".log"):
                    with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                        assert right not in file.read(), name
