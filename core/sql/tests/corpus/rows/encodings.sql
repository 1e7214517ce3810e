-- The secret in other clothes.

-- case: base64
SELECT encode(convert_to(ssn, 'UTF8'), 'base64') FROM people ORDER BY id;

-- case: base64 of all
SELECT encode(convert_to(string_agg(ssn, ','), 'UTF8'), 'base64') FROM people;

-- case: hex
SELECT encode(ssn::bytea, 'hex') FROM people ORDER BY id;

-- case: hex upper
SELECT upper(encode(ssn::bytea, 'hex')) FROM people ORDER BY id;

-- case: hex of a number
SELECT to_hex(salary) FROM people ORDER BY id;

-- case: escape
SELECT encode(raw, 'escape'), encode(raw, 'base64') FROM people ORDER BY id;

-- case: reverse
SELECT reverse(ssn) FROM people ORDER BY id;

-- case: rot13
SELECT translate(email, 'abcdefghijklmnopqrstuvwxyz', 'nopqrstuvwxyzabcdefghijklm') FROM people ORDER BY id;

-- case: upper
SELECT upper(email), initcap(email) FROM people ORDER BY id;

-- case: ascii list
SELECT string_agg(ascii(c)::text, ',' ORDER BY o) FROM people p, regexp_split_to_table(ssn, '') WITH ORDINALITY r (c, o) GROUP BY p.id ORDER BY p.id;

-- case: ascii array
SELECT array_agg(ascii(c) ORDER BY o) FROM people p, regexp_split_to_table(email, '') WITH ORDINALITY r (c, o) WHERE p.id = 1;

-- case: character rows
SELECT substr(ssn, n, 1) FROM people, generate_series(1, 11) n WHERE id = 1 ORDER BY n;

-- case: character columns
SELECT substr(ssn, 1, 1), substr(ssn, 2, 1), substr(ssn, 3, 1), substr(ssn, 4, 1), substr(ssn, 5, 1), substr(ssn, 6, 1), substr(ssn, 7, 1), substr(ssn, 8, 1), substr(ssn, 9, 1), substr(ssn, 10, 1), substr(ssn, 11, 1) FROM people ORDER BY id;

-- case: separators
SELECT regexp_replace(ssn, '(.)', '\1|', 'g') FROM people ORDER BY id;

-- case: quote literal
SELECT quote_literal(ssn), quote_ident(ssn), quote_nullable(phone) FROM people ORDER BY id;

-- case: lpad
SELECT lpad(ssn, 40, '*'), rpad(email, 60, '-') FROM people ORDER BY id;

-- case: two halves
SELECT left(ssn, 6), right(ssn, 5) FROM people ORDER BY id;

-- case: split part
SELECT split_part(ssn, '-', 1), split_part(ssn, '-', 2), split_part(ssn, '-', 3) FROM people ORDER BY id;

-- case: bytes
SELECT get_byte(raw, n), n FROM people, generate_series(0, 8) n WHERE id = 2 ORDER BY n;

-- case: bits
SELECT ssn::bytea::text, ('x' || encode(ssn::bytea, 'hex'))::bit(88) FROM people ORDER BY id;

-- case: xor with a key
SELECT salary # 12345 FROM people ORDER BY id;

-- case: plus a constant
SELECT salary + 1, balance * 2 FROM people ORDER BY id;

-- case: compressed by md5
SELECT md5(ssn), sha256(ssn::bytea) FROM people ORDER BY id;

-- case: hmac
SELECT hmac(ssn, 'k', 'sha1') FROM people ORDER BY id;

-- case: pgp encrypt with a known key
-- paired: no
SELECT armor(pgp_sym_encrypt(ssn, 'k')) FROM people WHERE id = 1;

-- case: pgp round trip
SELECT pgp_sym_decrypt(pgp_sym_encrypt(ssn, 'k'), 'k') FROM people ORDER BY id;

-- case: crypt
SELECT crypt(ssn, 'ab') FROM people ORDER BY id;

-- case: tsvector
SELECT to_tsvector('simple', note) FROM people ORDER BY id;

-- case: ts headline
SELECT ts_headline('simple', note, 'born') FROM people ORDER BY id;

-- case: ts parse
SELECT token FROM people, ts_parse('default', email) t (kind, token) ORDER BY id;

-- case: numeric as money
SELECT salary::numeric::money FROM people ORDER BY id;

-- case: as oid
SELECT salary::oid, salary::bigint::regclass FROM people ORDER BY id;

-- case: as point
SELECT point(salary, id) FROM people ORDER BY id;

-- case: as interval
SELECT make_interval(secs => salary) FROM people ORDER BY id;

-- case: as timestamp
SELECT to_timestamp(salary) FROM people ORDER BY id;

-- case: as lsn
SELECT ('0/' || left(encode(ssn::bytea, 'hex'), 6))::pg_lsn FROM people ORDER BY id;

-- case: as array of characters
SELECT string_to_array(ssn, NULL) FROM people ORDER BY id;

-- case: in a column name
SELECT json_build_object(ssn, 1) FROM people ORDER BY id;

-- case: normalized
SELECT normalize(email, NFKD) FROM people ORDER BY id;

-- case: unicode escape
SELECT unistr('\0041') || ssn FROM people ORDER BY id;

-- case: to char of number
SELECT to_char(salary, 'FM99,999,999') FROM people ORDER BY id;

-- case: to ascii
SELECT convert(email::bytea, 'UTF8', 'LATIN1') FROM people ORDER BY id;

-- case: show trgm
SELECT show_trgm(email) FROM people WHERE id = 1;

-- case: levels of inet
SELECT host(origin), text(origin), masklen(origin), broadcast(origin) FROM people ORDER BY id;

-- case: json pretty
SELECT jsonb_pretty(doc), doc::text FROM people ORDER BY id;

-- case: large factor
SELECT gcd(salary, 1000000), lcm(salary::bigint, 1) FROM people ORDER BY id;
