-- The world that the cases run in. `corpus.py` fills it twice: the two fillings differ only in masked cells (see
-- `masks.txt`) and in what the database itself derives from them.

CREATE EXTENSION dblink;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE EXTENSION tablefunc;
CREATE EXTENSION btree_gist;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION pageinspect;
CREATE EXTENSION pgstattuple;
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION lo;

CREATE SCHEMA app;
CREATE SCHEMA other;

CREATE TABLE teams (
    id int PRIMARY KEY,
    title text NOT NULL,
    city text NOT NULL
);

CREATE TYPE address AS (street text, zip text);
CREATE TYPE tier AS ENUM ('basic', 'silver', 'gold');
CREATE DOMAIN iban AS text CHECK (length(VALUE) > 3);

CREATE TABLE people (
    id int PRIMARY KEY,
    label text NOT NULL,
    team_id int NOT NULL REFERENCES teams (id),
    grade int NOT NULL,
    ssn text NOT NULL UNIQUE,
    email text NOT NULL,
    phone varchar(20),
    salary int NOT NULL,
    balance numeric(14, 2) NOT NULL,
    born date NOT NULL,
    seen_at timestamptz NOT NULL,
    token uuid NOT NULL,
    doc jsonb NOT NULL,
    nicknames text[] NOT NULL,
    raw bytea NOT NULL,
    home address NOT NULL,
    level tier NOT NULL,
    account iban NOT NULL,
    origin inet NOT NULL,
    note text,
    joined date NOT NULL
);
CREATE INDEX people_email ON people (email);
CREATE INDEX people_ssn_upper ON people (upper(ssn));
CREATE INDEX people_rich ON people (id) WHERE salary > 50000000;
CREATE STATISTICS people_stat (mcv, dependencies, ndistinct) ON team_id, salary FROM people;
CREATE STATISTICS people_expr ON (lower(ssn)) FROM people;

CREATE TABLE orders (
    id int PRIMARY KEY,
    person_id int NOT NULL REFERENCES people (id),
    amount numeric(10, 2) NOT NULL,
    status text NOT NULL,
    memo text,
    placed date NOT NULL
);

CREATE TABLE scratch (id int PRIMARY KEY, body text, n bigint, payload jsonb);

-- A masked value with its own keys.
CREATE TABLE badges (code text PRIMARY KEY, person_id int NOT NULL REFERENCES people (id), issued date NOT NULL);
CREATE TABLE badge_uses (id int PRIMARY KEY, code text NOT NULL REFERENCES badges (code), door text NOT NULL);
CREATE TABLE rooms (id int PRIMARY KEY, during int4range NOT NULL, EXCLUDE USING gist (during WITH &&));
CREATE TABLE limits (id int PRIMARY KEY, cap int NOT NULL, used int NOT NULL, CHECK (used <= cap));

-- Partitions, and inheritance: only the parents are named in masks.txt.
CREATE TABLE events (id int, kind text, secret text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (20);
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (20) TO (100);
CREATE TABLE accounts (id int PRIMARY KEY, holder text NOT NULL, number text NOT NULL);
CREATE TABLE savings (rate int NOT NULL DEFAULT 1) INHERITS (accounts);

-- Odd names.
CREATE TABLE "Odd ""Table" (id int PRIMARY KEY, "Sec ret" text, "select" text);
CREATE TABLE a_table_whose_name_is_exactly_sixty_three_bytes_long_abcdefghij (id int PRIMARY KEY, secret text);
CREATE TABLE app.people (id int PRIMARY KEY, ssn text NOT NULL, label text NOT NULL);
CREATE TABLE other.people (id int PRIMARY KEY, ssn text NOT NULL, label text NOT NULL);

-- Derived: nothing in masks.txt speaks of these columns; they hold what they hold because of masked ones.
CREATE TABLE derived (
    id int PRIMARY KEY,
    ssn text NOT NULL,
    code4 text GENERATED ALWAYS AS (right(ssn, 9)) STORED,
    copied text DEFAULT 'ok'
);
CREATE FUNCTION derived_fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.copied := NEW.ssn;
    RETURN NEW;
END $$;
CREATE TRIGGER derived_fill BEFORE UPDATE ON derived FOR EACH ROW EXECUTE FUNCTION derived_fill();

CREATE TABLE inbox (id int PRIMARY KEY, subject text NOT NULL, hint text NOT NULL DEFAULT 'todo');
CREATE FUNCTION inbox_hint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT p.ssn INTO NEW.hint FROM public.people p WHERE p.id = NEW.id % 40 + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER inbox_hint BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION inbox_hint();

CREATE TABLE bell (id int PRIMARY KEY, n int NOT NULL);
CREATE FUNCTION bell_says() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'it is %', (SELECT string_agg(ssn, ',') FROM public.people WHERE id <= NEW.n);
    RETURN NEW;
END $$;
CREATE TRIGGER bell_says BEFORE UPDATE ON bell FOR EACH ROW EXECUTE FUNCTION bell_says();

CREATE FUNCTION ssn_of(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM public.people WHERE id = $1';
CREATE TABLE with_default (id int PRIMARY KEY, body text DEFAULT public.ssn_of(3));
CREATE FUNCTION ssn_of_definer(int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN (SELECT ssn FROM public.people WHERE id = $1);
END $$;
CREATE FUNCTION all_people() RETURNS SETOF people LANGUAGE sql STABLE AS 'SELECT * FROM public.people';
CREATE FUNCTION people_table() RETURNS TABLE (i int, s text) LANGUAGE sql STABLE
    AS 'SELECT id, ssn FROM public.people';
CREATE FUNCTION dynamic(text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
    EXECUTE $1 INTO r;
    RETURN r;
END $$;
CREATE FUNCTION people_cursor() RETURNS refcursor LANGUAGE plpgsql AS $$
DECLARE c refcursor := 'from_function';
BEGIN
    OPEN c FOR SELECT ssn FROM public.people;
    RETURN c;
END $$;
CREATE PROCEDURE tell(n int) LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '%', (SELECT ssn FROM public.people WHERE id = n);
END $$;
CREATE FUNCTION initials(p people) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT p.ssn';
CREATE FUNCTION guess(text, text) RETURNS boolean LANGUAGE sql STABLE
    AS 'SELECT EXISTS (SELECT 1 FROM public.people WHERE ssn LIKE $2)';
CREATE OPERATOR ~~~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = guess);
CREATE TYPE handle AS (n int);
CREATE FUNCTION handle_text(handle) RETURNS text LANGUAGE sql STABLE AS 'SELECT public.ssn_of($1.n)';
CREATE CAST (handle AS text) WITH FUNCTION handle_text(handle) AS ASSIGNMENT;
CREATE FUNCTION glue_step(text, int) RETURNS text LANGUAGE sql STABLE
    AS 'SELECT coalesce($1, '''') || public.ssn_of($2)';
CREATE AGGREGATE glue (int) (SFUNC = glue_step, STYPE = text);
CREATE FUNCTION checked(text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RAISE EXCEPTION 'not %', (SELECT ssn FROM public.people WHERE id = 5);
END $$;
CREATE DOMAIN checked_text AS text CHECK (checked(VALUE));
CREATE FUNCTION plus_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';

-- Views.
CREATE VIEW people_view AS SELECT * FROM people;
CREATE VIEW people_named AS SELECT id AS a, ssn AS b, label AS c FROM people;
CREATE VIEW people_high AS SELECT id, label FROM people WHERE ssn > '5';
CREATE VIEW people_ranked AS SELECT id, label, row_number() OVER (ORDER BY ssn) AS position FROM people;
CREATE VIEW people_joined AS SELECT p.id, b.code AS badge FROM people p JOIN badges b ON b.person_id = p.id;
CREATE VIEW people_twice AS SELECT * FROM people_view v WHERE v.salary > 30000000;
CREATE VIEW people_sum AS SELECT team_id, sum(salary) AS total, max(ssn) AS top FROM people GROUP BY team_id;
CREATE VIEW people_union AS SELECT ssn AS what FROM people UNION ALL SELECT title FROM teams;
CREATE VIEW people_barrier WITH (security_barrier) AS SELECT id, label FROM people WHERE email LIKE 'a%';
CREATE VIEW people_json AS SELECT id, to_jsonb(p) AS j FROM people p;
CREATE VIEW people_fn AS SELECT id, ssn_of(id) AS v FROM teams;
CREATE VIEW orders_view AS SELECT id, person_id, amount, status FROM orders;
CREATE RECURSIVE VIEW people_chain (id, s) AS
    SELECT id, ssn FROM people WHERE id = 1 UNION ALL SELECT p.id, p.ssn FROM people p, people_chain c
    WHERE p.id = c.id + 1 AND p.id < 10;
CREATE MATERIALIZED VIEW people_mat AS SELECT id, ssn, label FROM people WITH NO DATA;
CREATE MATERIALIZED VIEW people_mat_high AS SELECT id, label FROM people WHERE ssn > '5' WITH NO DATA;
CREATE MATERIALIZED VIEW orders_mat AS SELECT status, count(*) AS n FROM orders GROUP BY status WITH NO DATA;

-- Rules and row security.
CREATE TABLE ruled (id int PRIMARY KEY, body text);
CREATE RULE ruled_tells AS ON INSERT TO ruled DO ALSO SELECT ssn FROM people;
CREATE TABLE secured (id int PRIMARY KEY, body text NOT NULL);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
ALTER TABLE secured FORCE ROW LEVEL SECURITY;
CREATE POLICY secured_rows ON secured USING (EXISTS (SELECT 1 FROM people p WHERE p.id = secured.id AND p.ssn > '5'));

-- A large object per world, and a sequence.
CREATE SEQUENCE ticket;
