-- Texts that a reader could split or read otherwise than the server does.

-- case: nested comment
SELECT /* a /* b */ , */ ssn FROM people ORDER BY id;

-- case: comment ends inside string
SELECT '*/' /* ' */ || ssn FROM people ORDER BY id;

-- case: comment instead of blanks
SELECT/**/ssn/**/FROM/**/people/**/ORDER/**/BY/**/id;

-- case: line comment with quote
SELECT ssn -- it's
FROM people -- "
ORDER BY id;

-- case: line comment to the end of text
SELECT ssn FROM people ORDER BY id --

-- case: dollar quote
SELECT $$ FROM teams; $$ || ssn FROM people ORDER BY id;

-- case: dollar quote with tag
SELECT $a$ $b$ $$ $a$ || ssn FROM people ORDER BY id;

-- case: dollar in an identifier
SELECT ssn AS a$b$ FROM people ORDER BY id;

-- case: escape string
SELECT E'\' FROM teams --' || ssn FROM people ORDER BY id;

-- case: escape string in hex
SELECT id FROM people WHERE ssn > E'\x35' ORDER BY id;

-- case: unicode string
SELECT id FROM people WHERE ssn > U&'\0035' ORDER BY id;

-- case: string continued on the next line
SELECT ssn || 'a'
'b' FROM people ORDER BY id;

-- case: national string
SELECT N'x' || ssn FROM people ORDER BY id;

-- case: bit string
SELECT B'101', X'1F', ssn FROM people ORDER BY id;

-- case: two statements
-- send: whole
-- mode: simple
SELECT 1; SELECT ssn FROM people ORDER BY id;

-- case: two statements with a comment between
-- send: whole
-- mode: simple
SELECT 1 /* ; */; /* ; */ SELECT ssn FROM people ORDER BY id

-- case: empty statements
-- send: whole
-- mode: simple
;;; SELECT ssn FROM people ORDER BY id;;;

-- case: begin and rest
-- send: whole
-- mode: simple
BEGIN; SELECT ssn FROM people ORDER BY id; COMMIT; SELECT email FROM people ORDER BY id;

-- case: copy then select
-- send: whole
-- mode: simple
COPY (SELECT 1) TO STDOUT; SELECT ssn FROM people ORDER BY id;

-- case: copy from then select
-- send: whole
-- mode: simple
-- copy: 9001\tx\n
-- cleanup: DELETE FROM scratch WHERE id > 9000
COPY scratch (id, body) FROM STDIN; SELECT ssn FROM people ORDER BY id;

-- case: copy data that looks like sql
-- mode: simple
-- copy: 9002\tSELECT ssn FROM people;\n\\.\nSELECT ssn FROM people;\n
-- cleanup: DELETE FROM scratch WHERE id > 9000
COPY scratch (id, body) FROM STDIN;

-- case: semicolon in quoted name
SELECT ssn AS ";DROP" FROM people ORDER BY id;

-- case: semicolon in rule
CREATE RULE r AS ON UPDATE TO scratch DO ALSO (SELECT 1; SELECT ssn FROM people);

-- case: carriage return ends a line comment
-- mode: simple
SELECT 1 AS a --@@1(
)@@, ssn FROM people ORDER BY id;

-- case: vertical tab and form feed
SELECT	ssn	FROM	people	ORDER	BY	id;

-- case: no-break space is a name
-- expect: any
SELECT ssn FROM people;

-- case: byte order mark
-- expect: any
﻿SELECT ssn FROM people;

-- case: full width letters
-- expect: any
SELECT ｓｓｎ FROM people;

-- case: operators without blanks
SELECT-1,ssn||''FROM people ORDER BY-id;

-- case: operator with comment start
SELECT id FROM people WHERE salary >-- x
50000000 ORDER BY id;

-- case: operator like arrow
SELECT doc->'card',doc->>'card',doc#>>'{card}' FROM people ORDER BY id;

-- case: cast chain
SELECT ssn::text::varchar::text::bpchar FROM people ORDER BY id;

-- case: cast syntax of types
SELECT CAST(ssn AS character varying (200)), text 'x' FROM people ORDER BY id;

-- case: type function syntax
SELECT "varchar"(ssn), bpchar(ssn) FROM people ORDER BY id;

-- case: nested parentheses
SELECT @@100(()@@ssn@@100())@@ FROM people ORDER BY id;

-- case: nested subqueries
SELECT s FROM @@40((SELECT * FROM )@@(SELECT ssn AS s FROM people) t@@40() t#)@@;

-- case: very deep parentheses
SELECT @@5000(()@@ssn@@5000())@@ FROM people;

-- case: very deep subqueries
SELECT s FROM @@900((SELECT * FROM )@@(SELECT ssn AS s FROM people) t@@900() t#)@@;

-- case: long chain of operators
SELECT ssn@@2000( || '#')@@ FROM people WHERE id = 1;

-- case: long chain of and
SELECT id FROM people WHERE ssn > '5'@@1500( AND id <> -#)@@ ORDER BY id;

-- case: long in list
SELECT id FROM people WHERE left(ssn, 1) IN ('1'@@3000(, 'x#')@@) ORDER BY id;

-- case: long union
SELECT ssn FROM people@@200( UNION ALL SELECT 'a#')@@;

-- case: many joins
SELECT p.ssn FROM people p@@100( JOIN teams t# ON t#.id = p.team_id)@@ ORDER BY p.id;

-- case: many columns
SELECT ssn@@1500(, id AS c#)@@ FROM people ORDER BY id;

-- case: many ctes
WITH c AS (SELECT ssn FROM people)@@200(, c# AS (SELECT * FROM c))@@ SELECT * FROM c199;

-- case: nested comments too many
SELECT @@2000(/*)@@ x @@2000(*/)@@ ssn FROM people;

-- case: unclosed comment
-- mode: simple
SELECT ssn FROM people /* ORDER BY id

-- case: unclosed string
-- mode: simple
SELECT ssn FROM people WHERE label = 'x

-- case: unclosed dollar quote
-- mode: simple
-- send: whole
SELECT ssn FROM people WHERE label = $a$ x $b$

-- case: syntax error after a good statement
-- send: whole
-- mode: simple
SELECT ssn FROM people; SELEC 1

-- case: many small statements
-- send: whole
-- mode: simple
@@50(SELECT #; )@@SELECT ssn FROM people

-- case: large text
SELECT ssn, '@@20000(0123456789)@@' FROM people WHERE id = 1;

-- case: large comment
SELECT ssn /* @@20000(0123456789)@@ */ FROM people ORDER BY id;

-- case: grammar of a newer server
-- expect: any
SELECT JSON_SERIALIZE(ssn) FROM people;

-- case: system user is a column
SELECT system_user FROM people;

-- case: json constructor of a newer server
-- expect: any
SELECT JSON_OBJECT('a' VALUE ssn) FROM people;

-- case: merge returning of a newer server
-- expect: any
MERGE INTO scratch s USING people p ON s.id = p.id WHEN MATCHED THEN UPDATE SET body = p.ssn RETURNING s.body;

-- case: parameter that is not there
-- mode: simple
SELECT ssn FROM people WHERE id = $1;

-- case: psql variable syntax
-- mode: simple
SELECT :ssn FROM people;
