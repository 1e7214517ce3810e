"""What results show beyond masking at the source: the sanctioned filter by equality, and screened free text."""

import io

import psycopg2

PROSE = ["The parcel came late but everyone was kind about it", "We talked about the new colour of the door",
         "Please ring twice, the bell is slow today", "Nothing to add, all went well this morning"]
CARD, MAIL = "4111 1111 1111 1111", "jo.canary@example.org"


def add(step, smoke, apply):
    """Adds this file's steps; `apply` puts a policy in force."""

    def direct(statement):
        return smoke.psql("DIRECT", statement)

    def connect(who="DEVELOPER"):
        connection = psycopg2.connect(smoke.url(who))
        connection.autocommit = True
        return connection, connection.cursor()

    @step
    def a_sanctioned_filter_finds_by_a_masked_value():
        apply('@id("smoke.match")\n'
              'permit (principal == User::"dana", action == Action::"Match", resource) when { resource.tag == "pii.national_id" };\n')
        ssn = direct("SELECT ssn FROM customers WHERE id = 7")
        connection, cursor = connect()
        cursor.execute("SELECT id, ssn FROM customers WHERE ssn = %s", (ssn,))
        assert cursor.fetchall() == [(7, "***-**-****")]
        cursor.execute("SELECT id FROM customers WHERE ssn LIKE %s", (ssn,))
        assert cursor.fetchall() == []
        # An agent that acts for her may not: nothing permits the agent itself.
        agent, agents = connect("AGENT")
        agents.execute("SELECT id FROM customers WHERE ssn = %s", (ssn,))
        assert agents.fetchall() == []
        apply("")
        cursor.execute("SELECT id FROM customers WHERE ssn = %s", (ssn,))
        assert cursor.fetchall() == [], "without the rule"
        connection.close()
        agent.close()

    def screened_counter():
        lines = smoke.edge_says("/metrics").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("writ_edge_values_screened_total "))

    @step
    def free_text_is_screened_as_it_passes():
        values = ", ".join(f"({n}, '{PROSE[n % 4]} {n}', 'R-{n:05}')" for n in range(1, 401))
        direct(f"CREATE TABLE remarks (id int, remark text, code text); INSERT INTO remarks VALUES {values}")
        shown = "SELECT remark FROM remarks WHERE id = 1"
        # The new table is classified first, and found to hold nothing.
        smoke.until("the table", lambda: PROSE[1] in smoke.psql("DEVELOPER", shown, check=False).stdout)
        direct(f"UPDATE remarks SET remark = 'card {CARD}, mail {MAIL}, order 20261121-000417', code = '{MAIL}' WHERE id = 1")
        hidden = f"card **** **** **** ****, mail **.******@*******.***, order 20261121-000417"
        before = screened_counter()
        connection, cursor = connect()
        for query in [shown, "SELECT remark || '' FROM remarks WHERE id = 1", "SELECT max(remark) FROM remarks WHERE id = 1",
                      "WITH r AS (SELECT * FROM remarks) SELECT remark FROM r WHERE id = 1",
                      "UPDATE remarks SET id = 1 WHERE id = 1 RETURNING remark"]:
            cursor.execute(query)
            assert cursor.fetchall() == [(hidden,)], query
        # Every way in which rows come.
        cursor.execute("PREPARE p AS " + shown)
        cursor.execute("EXECUTE p")
        assert cursor.fetchall() == [(hidden,)]
        cursor.execute("BEGIN")
        cursor.execute("DECLARE c CURSOR FOR " + shown)
        cursor.execute("FETCH ALL FROM c")
        assert cursor.fetchall() == [(hidden,)]
        cursor.execute("COMMIT")
        copied = io.StringIO()
        cursor.copy_expert("COPY (" + shown + ") TO STDOUT", copied)
        assert copied.getvalue() == hidden + "\n"
        cursor.execute("SELECT to_json(remark) FROM remarks WHERE id = 1")
        assert cursor.fetchone() == (hidden.replace("card **** **** **** ****", "card 1111 1111 1111 1111"),)
        # A column of codes is vouched for by its values, and is not looked at.
        cursor.execute("SELECT code, remark FROM remarks WHERE id = 1")
        assert cursor.fetchone() == (MAIL, hidden)
        assert screened_counter() - before >= 10
        # Who may see it sees it.
        assert CARD in smoke.psql("ADMIN", shown)
        connection.close()
        direct("DROP TABLE remarks")
