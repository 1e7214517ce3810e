-- One of everything that a tool may describe, beside the sample tables. Runs directly, before the tools do.
CREATE SCHEMA tools;
COMMENT ON SCHEMA tools IS 'what tools describe';
SET search_path = tools;
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE span AS RANGE (subtype = int4);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE numbers START 7 INCREMENT 3;
CREATE TABLE parent (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  code varchar(20) NOT NULL UNIQUE,
  state mood DEFAULT 'glad',
  size positive DEFAULT 1,
  twice int GENERATED ALWAYS AS (size * 2) STORED,
  labels text[],
  extra jsonb DEFAULT '{}',
  made timestamptz(3) DEFAULT now()
);
COMMENT ON TABLE parent IS 'a parent';
COMMENT ON COLUMN parent.code IS 'a code';
CREATE TABLE child (
  id serial PRIMARY KEY,
  parent_id bigint NOT NULL REFERENCES parent (id) ON DELETE CASCADE DEFERRABLE,
  amount numeric(12, 2) CHECK (amount >= 0),
  UNIQUE (parent_id, amount)
);
CREATE INDEX child_amount ON child (amount DESC) WHERE amount > 10;
CREATE INDEX child_expression ON child ((amount * 2)) INCLUDE (parent_id);
CREATE STATISTICS child_statistics ON parent_id, amount FROM child;
CREATE TABLE measured (at date NOT NULL, n int) PARTITION BY RANGE (at);
CREATE TABLE measured_old PARTITION OF measured FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE measured_rest PARTITION OF measured DEFAULT;
CREATE TABLE base (a int);
CREATE TABLE derived (b int) INHERITS (base);
CREATE VIEW totals AS SELECT parent_id, sum(amount) AS total FROM child GROUP BY parent_id;
COMMENT ON VIEW totals IS 'totals';
CREATE MATERIALIZED VIEW stored AS SELECT count(*) AS n FROM child;
CREATE FUNCTION doubled(n int, OUT result int) LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE PROCEDURE nothing(a text DEFAULT 'x') LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE AGGREGATE total_of(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TRIGGER child_stamp BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE RULE base_rule AS ON DELETE TO base DO INSTEAD NOTHING;
CREATE POLICY own_rows ON parent FOR SELECT USING (size > 0);
CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int);
CREATE COLLATION plain (provider = libc, locale = 'C');
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
GRANT SELECT ON child TO pg_monitor;
ALTER DEFAULT PRIVILEGES IN SCHEMA tools GRANT SELECT ON TABLES TO pg_monitor;
INSERT INTO parent (code) SELECT 'C-' || n FROM generate_series(1, 20) n;
INSERT INTO child (parent_id, amount) SELECT 1 + n % 20, n FROM generate_series(1, 100) n;
INSERT INTO measured SELECT '2019-12-20'::date + n, n FROM generate_series(1, 30) n;
ALTER TABLE parent ADD COLUMN late int DEFAULT 42;
ANALYZE parent, child, measured;
