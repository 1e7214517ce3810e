-- Unique, foreign-key, exclusion and check constraints answer a guess. All guesses are right in one database only.

-- case: unique guess by insert
BEGIN;
INSERT INTO badges (code, person_id, issued) VALUES ('<<badges.code 3>>', 1, '2022-01-01');
ROLLBACK;

-- case: unique guess on conflict do nothing
BEGIN;
INSERT INTO badges (code, person_id, issued) VALUES ('<<badges.code 3>>', 1, '2022-01-01') ON CONFLICT DO NOTHING;
ROLLBACK;

-- case: unique guess on conflict do update
BEGIN;
INSERT INTO badges (code, person_id, issued) VALUES ('<<badges.code 3>>', 1, '2022-01-01') ON CONFLICT (code) DO UPDATE SET person_id = 2;
ROLLBACK;

-- case: unique guess on constraint
BEGIN;
INSERT INTO badges (code, person_id, issued) VALUES ('<<badges.code 4>>', 1, '2022-01-01') ON CONFLICT ON CONSTRAINT badges_pkey DO NOTHING;
ROLLBACK;

-- case: unique guess returning
BEGIN;
INSERT INTO badges (code, person_id, issued) VALUES ('<<badges.code 5>>', 1, '2022-01-01') ON CONFLICT (code) DO NOTHING RETURNING person_id;
ROLLBACK;

-- case: unique guess by update
BEGIN;
UPDATE people SET ssn = '<<people.ssn 3>>' WHERE id = 7;
ROLLBACK;

-- case: unique guess by merge
BEGIN;
MERGE INTO badges b USING (VALUES (99)) v (n) ON b.person_id = v.n WHEN NOT MATCHED THEN INSERT VALUES ('<<badges.code 6>>', 1, '2022-01-01');
ROLLBACK;

-- case: unique guess by copy
-- mode: simple
-- copy: <<badges.code 7>>\t1\t2022-01-01\n
BEGIN;
COPY badges FROM STDIN;
ROLLBACK;

-- case: unique guess through a view
BEGIN;
INSERT INTO people_named (a, b, c) VALUES (900, '<<people.ssn 4>>', 'x');
ROLLBACK;

-- case: unique guess as parameter
-- mode: extended binary
-- params: <<badges.code 8>>
INSERT INTO badges (code, person_id, issued) SELECT $1, 1, DATE '2022-01-01' WHERE false;

-- case: unique guess as bound value
-- mode: extended
-- params: <<badges.code 8>>
-- cleanup: DELETE FROM badges WHERE issued = '1999-01-01'
INSERT INTO badges (code, person_id, issued) VALUES ($1, 1, '1999-01-01') ON CONFLICT DO NOTHING;

-- case: unique guess in many rows
BEGIN;
INSERT INTO badges (code, person_id, issued) VALUES ('<<badges.code 3>>', 1, '2022-01-01'), ('<<badges.code 4>>', 1, '2022-01-01'), ('zzzz', 1, '2022-01-01') ON CONFLICT DO NOTHING;
ROLLBACK;

-- case: foreign key guess
BEGIN;
INSERT INTO badge_uses VALUES (900, '<<badges.code 3>>', 'x');
ROLLBACK;

-- case: foreign key guess by update
BEGIN;
UPDATE badge_uses SET code = '<<badges.code 9>>' WHERE id = 1;
ROLLBACK;

-- case: foreign key guess by copy
-- mode: simple
-- copy: 901\t<<badges.code 3>>\tx\n
BEGIN;
COPY badge_uses FROM STDIN;
ROLLBACK;

-- case: foreign key of one's own
BEGIN;
CREATE TABLE mine (code text REFERENCES badges (code));
INSERT INTO mine VALUES ('<<badges.code 3>>');
ROLLBACK;

-- case: foreign key added to guesses
BEGIN;
CREATE TABLE mine (code text);
INSERT INTO mine VALUES ('<<badges.code 3>>');
ALTER TABLE mine ADD FOREIGN KEY (code) REFERENCES badges (code);
ROLLBACK;

-- case: temporary foreign key
CREATE TEMP TABLE mine (code text REFERENCES people (ssn));

-- case: foreign key cascade count
BEGIN;
CREATE TABLE mine (code text REFERENCES badges (code) ON DELETE CASCADE);
DELETE FROM badge_uses WHERE id = 3;
ROLLBACK;

-- case: exclusion guess
BEGIN;
INSERT INTO rooms VALUES (900, int4range(0, 40));
ROLLBACK;

-- case: exclusion on conflict
BEGIN;
INSERT INTO rooms VALUES (900, int4range(20, 24)) ON CONFLICT DO NOTHING;
ROLLBACK;

-- case: check with a masked partner
BEGIN;
UPDATE limits SET used = 70 WHERE id = 2;
ROLLBACK;

-- case: check with a masked partner in bulk
BEGIN;
UPDATE limits SET used = 60 WHERE id > 0;
ROLLBACK;

-- case: not null fails with the row
BEGIN;
UPDATE people SET team_id = NULL WHERE id = 4;
ROLLBACK;

-- case: foreign key of an unmasked column fails
BEGIN;
UPDATE people SET team_id = 77 WHERE id = 4;
ROLLBACK;

-- case: primary key of an unmasked column fails
BEGIN;
INSERT INTO people SELECT * FROM people WHERE id = 4;
ROLLBACK;

-- case: delete fails by reference
BEGIN;
DELETE FROM people WHERE id = 4;
ROLLBACK;

-- case: delete fails by masked reference
BEGIN;
DELETE FROM badges WHERE person_id = 2;
ROLLBACK;

-- case: new unique index on duplicates
BEGIN;
CREATE UNIQUE INDEX u ON people (left(ssn, 2));
ROLLBACK;

-- case: new unique index concurrently
-- cleanup: DROP INDEX IF EXISTS probe_u
CREATE UNIQUE INDEX CONCURRENTLY probe_u ON people (left(ssn, 2));

-- case: unique with a default
BEGIN;
INSERT INTO people (id) VALUES (1);
ROLLBACK;

-- case: partition routing
BEGIN;
CREATE TABLE parts (s text) PARTITION BY LIST (s);
CREATE TABLE part_a PARTITION OF parts FOR VALUES IN ('a');
INSERT INTO parts SELECT ssn FROM people;
ROLLBACK;

-- case: domain check against masked
BEGIN;
INSERT INTO people SELECT 901, 'x', 1, 1, 'n', 'e', 'p', 1, 1, born, seen_at, token, doc, nicknames, raw, home, level, left(ssn, 2), origin, note, joined FROM people WHERE id = 1;
ROLLBACK;
