"""How clients prove who they are, through a real edge: passwords, certificates and bearer tokens."""

import json
import os
import subprocess

import psycopg2

from smoke_sasl import Client


def add(step, smoke):
    """Adds this file's steps."""
    sasl = Client(smoke)

    def admin(*args, **more):
        return smoke.writ(*args, token="ADMIN", **more)

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
        return admin("identities", "password", *args, **more)

    def made(service):
        return json.loads(password("set", service, "--json").stdout)["password"]

    def reaches(user, word, expected, **more):
        """An edge knows of a change when its next epoch has come."""
        smoke.until(f"{user} to be {expected}", lambda: expected in answer(user, word, **more))

    @step
    def a_service_logs_in_by_its_password():
        admin("identities", "add", "service:robot", "--group", "developers")
        first = made("service:robot")
        reaches("service:robot", first, "service:robot", channel_binding="require")
        # Without a binding where the client cannot have one; and never by sending the password.
        assert answer("service:robot", first, channel_binding="disable") == "service:robot"
        assert psql("service:robot", first, PGCHANNELBINDING="require").stdout.strip() == "1"
        # A service with a password may still come with a token, under its name alone.
        token = admin("token", "issue", "service:robot").stdout.strip()
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
        environment = {**smoke.ENV, "WRIT_TOKEN": smoke.ENV["WRIT_TOKEN_ADMIN"]}
        done = subprocess.run([smoke.WRIT, *args], input=text + "\n", capture_output=True, text=True, env=environment,
                              timeout=60)
        assert done.returncode == 0, done.stderr

    @step
    def a_wrong_password_tells_nothing():
        admin("identities", "add", "service:known")
        right = made("service:known")
        reaches("service:known", right, "service:known", channel_binding="require")

        def refusal(user):
            done = psql(user, "wrong")
            assert done.returncode == 2, done
            return done.stderr.replace(f'"{user}"', '"USER"')
        known = refusal("service:known")
        assert "password authentication failed" in known, known
        for other in ["service:nobody", "service:no/one", "service:"]:
            assert refusal(other) == known, (other, known)
        # The password is in no log, and nothing that it could be guessed by is in the event log.
        events = admin("cluster", "events", "--json").stdout
        assert "password_set" in events and right not in events
        for directory, _, files in os.walk(smoke.DIR):
            for name in files:
                if name.endswith(".log"):
                    with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                        assert right not in file.read(), name

    class Authority:
        """A CA of its own, by openssl, and certificates from it."""

        def __init__(self, name):
            self.dir = os.path.join(smoke.DIR, f"ca-{name}")
            os.mkdir(self.dir)
            self.certificate = self.path("ca.crt")
            self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                         "-subj", f"/CN={name}", "-keyout", self.path("ca.key"), "-out", self.certificate)

        def path(self, name):
            return os.path.join(self.dir, name)

        def openssl(self, *args):
            smoke.run(["openssl", *args])

        def issue(self, name, uri=None, common_name="", usage="clientAuth", year=None):
            """What libpq is told of a certificate: its file and its key's. `year`: the one that it was good in."""
            key, request, certificate = self.path(f"{name}.key"), self.path(f"{name}.csr"), self.path(f"{name}.crt")
            self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                         "-subj", f"/CN={common_name}" if common_name else "/O=smoke", "-keyout", key, "-out", request)
            extensions = self.path(f"{name}.ext")
            with open(extensions, "w", encoding="utf-8") as file:
                file.write(f"extendedKeyUsage={usage}\n" + (f"subjectAltName=URI:{uri}\n" if uri else ""))
            by = ["-in", request, "-extfile", extensions, "-out", certificate]
            if year:
                settings, index = self.path("ca.cnf"), self.path("index")
                with open(settings, "w", encoding="utf-8") as file:
                    file.write(f"[ca]\ndefault_ca = d\n[d]\ndatabase = {index}\nnew_certs_dir = {self.dir}\n"
                               "default_md = sha256\nrand_serial = yes\npolicy = any\n"
                               "[any]\norganizationName = optional\n")
                with open(index, "w", encoding="utf-8"):
                    pass
                self.openssl("ca", "-batch", "-config", settings, "-cert", self.certificate, "-keyfile",
                             self.path("ca.key"), "-startdate", f"{year}0101000000Z", "-enddate", f"{year}1231000000Z", *by)
            else:
                self.openssl("x509", "-req", "-CA", self.certificate, "-CAkey", self.path("ca.key"), "-CAcreateserial",
                             "-days", "1", *by)
            os.chmod(key, 0o600)
            return {"sslcert": certificate, "sslkey": key}

    def environment(*more):
        """Sets all rules of the sample's environment anew."""
        admin("environments", "add", "prod", "--staleness-max", "24h", "--when-stale", "read-only", *more)

    @step
    def a_client_logs_in_by_its_certificate():
        ours, theirs = Authority("ours"), Authority("theirs")
        admin("identities", "add", "service:certified", "--group", "developers")
        uri = "writ://principal/service:certified"
        good = ours.issue("good", uri)
        # Before the environment names a CA nobody is asked for a certificate.
        assert "no password supplied" in answer("certified", None, **good)
        environment("--client-ca", ours.certificate, "--client-names", "uri-or-common-name")
        try:
            reaches("certified", None, "service:certified", **good)
            assert answer("service:certified", None, **good) == "service:certified"
            by_name = ours.issue("by-name", common_name="certified")
            assert answer("certified", None, **by_name) == "service:certified"
            refusals = [
                (ours.issue("expired", uri, year=2020), "has expired"),
                (theirs.issue("foreign", uri), "is not from a CA that this environment trusts"),
                (ours.issue("server", uri, usage="serverAuth"), "is not for clients"),
                (ours.issue("nobody", "https://example.org"), "names no principal"),
                (ours.issue("other", "writ://principal/user:dana"), "is user:dana's, not"),
            ]
            for certificate, reason in refusals:
                got = answer("certified", None, **certificate)
                assert reason in got and "FATAL" in got, (reason, got)
            # Who shows none logs in as before; who shows a wrong one is not asked for anything else.
            token = smoke.ENV["WRIT_TOKEN_DEVELOPER"]
            assert answer("dana", token) == "user:dana"
            assert "is not from a CA" in answer("dana", token, **theirs.issue("dana", "writ://principal/user:dana"))
            # Disabled: a live session ends, and the certificate opens no other.
            connection = psycopg2.connect(**dsn("certified", None, **good))
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            admin("identities", "disable", "service:certified")

            def ended():
                try:
                    cursor.execute("SELECT 1")
                    return False
                except psycopg2.OperationalError:
                    return True
            smoke.until("the session to end", ended)
            assert "disabled" in answer("certified", None, **good)
            methods = "SELECT DISTINCT authentication FROM sessions WHERE actor_user = 'service:certified'"
            smoke.until("the lake", lambda: [row["authentication"] for row in smoke.lake(methods)] == ["certificate"])
        finally:
            environment()

    @step
    def a_bearer_token_logs_in_by_oauthbearer():
        token = smoke.ENV["WRIT_TOKEN_DEVELOPER"]
        environment("--oauth-issuer", "https://id.example.org/realm", "--oauth-scope", "openid postgres")
        try:
            def offered():
                with sasl.connect("user:dana") as stream:
                    tag, body = sasl.message(stream)
                    return body[4:] if (tag, body[:4]) == (b"R", b"\0\0\0\x0a") else None
            assert smoke.until("an offer", offered) == b"OAUTHBEARER\0\0"
            # A name alone is still asked for its token as a password.
            assert answer("dana", token) == "user:dana"
            assert sasl.oauth("user:dana", f"auth=Bearer {token}")[-1][0] == b"Z"
            for user, auth in [("user:dana", "auth="), ("user:dana", f"auth=Bearer {token[:-2]}"),
                               ("user:ada", f"auth=Bearer {token}"), ("user:nobody", f"auth=Bearer {token}")]:
                said = sasl.oauth(user, auth)
                challenge = next(body[4:] for tag, body in said if tag == b"R" and body[:4] == b"\0\0\0\x0b")
                assert json.loads(challenge) == {
                    "status": "invalid_token", "scope": "openid postgres",
                    "openid-configuration": "https://id.example.org/realm/.well-known/openid-configuration"}, challenge
                assert said[-1][0] == b"E" and b"C28000\0" in said[-1][1], said[-1]
        finally:
            environment()

    @step
    def guesses_are_not_heard_for_long():
        admin("identities", "add", "service:guessed")
        right = made("service:guessed")
        reaches("service:guessed", right, "service:guessed")
        said = [answer("service:guessed", f"guess {n}") for n in range(6)]
        assert all("password authentication failed" in text for text in said[:5]), said
        assert "too many logins failed" in said[5], said[5]
        # Not even what is right is heard from here; other names are.
        assert "too many logins failed" in answer("service:guessed", right)
        assert answer("dana", smoke.ENV["WRIT_TOKEN_DEVELOPER"]) == "user:dana"
        metrics = smoke.edge_says("/metrics")
        assert "writ_edge_logins_limited_total 2" in metrics, metrics
