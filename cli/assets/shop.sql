-- The sample shop: personal data to mask, and look-alikes that must stay readable. Deterministic: the same rows
-- every time. Nobody in it exists; card numbers pass the Luhn check, IBANs their own, and SSNs are shaped like SSNs.
BEGIN;

CREATE FUNCTION pg_temp.luhn(prefix text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT prefix || ((10 - sum(CASE WHEN place % 2 = 1 THEN (digit * 2) / 10 + (digit * 2) % 10 ELSE digit END) % 10) % 10)::text
  FROM (SELECT substr(reverse(prefix), place, 1)::int AS digit, place FROM generate_series(1, length(prefix)) AS place) AS digits
$$;
CREATE FUNCTION pg_temp.pick(list text[], n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT list[1 + (n % cardinality(list))::int]
$$;
CREATE FUNCTION pg_temp.iban(account text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT 'DE' || lpad((98 - (account || '131400')::numeric % 97)::int::text, 2, '0') || account
$$;

CREATE TABLE customers (
  id            bigint PRIMARY KEY,
  customer_uuid uuid NOT NULL UNIQUE,
  full_name     text NOT NULL,
  email         text NOT NULL UNIQUE,
  phone         text,
  ssn           varchar(11) NOT NULL,
  birth_date    date NOT NULL,
  card_number   varchar(19),
  address       text,
  notes         text,
  loyalty_tier  text NOT NULL,
  created_at    timestamptz NOT NULL
);
INSERT INTO customers
SELECT n,
       md5('customer ' || n)::uuid,
       first || ' ' || last,
       lower(first) || '.' || lower(last) || n || '@' || pg_temp.pick(ARRAY['example.com','example.org','mail.example.net'], n),
       '+1-' || (201 + n * 7 % 700) || '-555-' || lpad((n * 37 % 10000)::text, 4, '0'),
       lpad((100 + n * 13 % 560)::text, 3, '0') || '-' || lpad((10 + n * 7 % 89)::text, 2, '0') || '-' || lpad((1000 + n * 17 % 8999)::text, 4, '0'),
       date '1950-01-01' + (n * 47 % 18000)::int,
       pg_temp.luhn('4' || lpad((n * 7919 % 1000003)::text, 7, '0') || lpad((n * 104729 % 9999991)::text, 7, '0')),
       (n * 3 % 999 + 1) || ' ' || pg_temp.pick(ARRAY['Oak Street','Maple Avenue','Harbor Road','Station Lane','Mill Road'], n / 3) || ', '
         || pg_temp.pick(ARRAY['Springfield, IL 62701','Portland, OR 97201','Austin, TX 78701','Boston, MA 02108'], n / 5),
       CASE n % 6
         WHEN 0 THEN 'Integration partner. API key sk_live_' || md5('key ' || n)
         WHEN 1 THEN 'Prefers mail to ' || lower(first) || '@private.example.org; call after six'
         WHEN 2 THEN 'Uses access key AKIA' || upper(substr(md5('aws ' || n), 1, 16)) || ' for exports'
         WHEN 3 THEN 'VIP, free shipping'
         WHEN 4 THEN 'Reset done. New password: Sun' || n || 'flower!'
         ELSE NULL
       END,
       pg_temp.pick(ARRAY['bronze','silver','gold'], n),
       timestamptz '2024-01-01 08:00:00+00' + n * interval '13 hours'
FROM (
  SELECT n,
         pg_temp.pick(ARRAY['Ava','Liam','Noah','Emma','Mia','Lucas','Zoe','Omar','Ines','Yuki','Ravi','Lena','Tom'], n) AS first,
         pg_temp.pick(ARRAY['Smith','Garcia','Chen','Okafor','Novak','Haddad','Kim','Rossi','Silva','Meyer','Dubois'], n / 2) AS last
  FROM generate_series(1::bigint, 500) AS n
) AS people;

CREATE TABLE products (
  id          bigint PRIMARY KEY,
  sku         text NOT NULL UNIQUE,
  ean         char(13) NOT NULL,
  title       text NOT NULL,
  price_cents integer NOT NULL,
  stock       integer NOT NULL
);
INSERT INTO products
SELECT n,
       'SKU-' || upper(substr(md5('sku ' || n), 1, 4)) || '-' || lpad(n::text, 4, '0'),
       lpad((400000000000 + n * 1234567)::text, 13, '0'),
       pg_temp.pick(ARRAY['Linen','Wool','Cotton','Oak','Steel'], n) || ' ' || pg_temp.pick(ARRAY['shirt','blanket','chair','lamp','bowl','desk'], n / 5),
       500 + (n * 379 % 20000)::int,
       (n * 11 % 400)::int
FROM generate_series(1::bigint, 120) AS n;

CREATE TABLE orders (
  id           bigint PRIMARY KEY,
  order_number text NOT NULL UNIQUE,
  customer_id  bigint NOT NULL REFERENCES customers (id),
  status       text NOT NULL,
  total_cents  integer NOT NULL,
  placed_at    timestamptz NOT NULL
);
INSERT INTO orders
SELECT n,
       'ORD-' || (2024 + n % 3) || '-' || lpad((n * 7919 % 1000000)::text, 6, '0'),
       1 + n * 31 % 500,
       pg_temp.pick(ARRAY['paid','shipped','delivered','returned','open'], n),
       1000 + (n * 911 % 50000)::int,
       timestamptz '2025-01-01 00:00:00+00' + n * interval '4 hours'
FROM generate_series(1::bigint, 2000) AS n;

CREATE TABLE order_items (
  order_id   bigint NOT NULL REFERENCES orders (id),
  line       integer NOT NULL,
  product_id bigint NOT NULL REFERENCES products (id),
  quantity   integer NOT NULL,
  PRIMARY KEY (order_id, line)
);
INSERT INTO order_items
SELECT o, line, 1 + (o * 17 + line * 5) % 120, 1 + (o + line) % 4
FROM generate_series(1, 2000) AS o, generate_series(1, 3) AS line
WHERE line <= 1 + o % 3;

CREATE TABLE payments (
  id           bigint PRIMARY KEY,
  order_id     bigint NOT NULL REFERENCES orders (id),
  method       text NOT NULL,
  card_number  varchar(19),
  iban         varchar(34),
  amount_cents integer NOT NULL,
  reference    uuid NOT NULL,
  paid_at      timestamptz NOT NULL
);
INSERT INTO payments
SELECT n, n,
       CASE WHEN n % 4 = 0 THEN 'transfer' ELSE 'card' END,
       CASE WHEN n % 4 <> 0 THEN (SELECT card_number FROM customers WHERE id = 1 + n * 31 % 500) END,
       CASE WHEN n % 4 = 0 THEN pg_temp.iban('50010517' || lpad((n * 7654321 % 10000000000)::text, 10, '0')) END,
       1000 + (n * 911 % 50000)::int,
       md5('payment ' || n)::uuid,
       timestamptz '2025-01-01 00:05:00+00' + n * interval '4 hours'
FROM generate_series(1::bigint, 2000) AS n
WHERE n % 5 <> 4;

CREATE TABLE support_tickets (
  id          bigint PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customers (id),
  subject     text NOT NULL,
  body        text NOT NULL,
  state       text NOT NULL,
  opened_at   timestamptz NOT NULL
);
INSERT INTO support_tickets
SELECT n, c.id,
       pg_temp.pick(ARRAY['Where is my order','Wrong size','Refund','Cannot log in'], n),
       CASE n % 4
         WHEN 0 THEN 'Please call me at ' || c.phone || ' about my order'
         WHEN 1 THEN 'My card ' || c.card_number || ' was charged twice'
         WHEN 2 THEN 'Write to ' || c.email || ', my old address is gone'
         ELSE 'The parcel came late, nothing else to say'
       END,
       pg_temp.pick(ARRAY['open','waiting','closed'], n),
       timestamptz '2025-06-01 09:00:00+00' + n * interval '9 hours'
FROM generate_series(1::bigint, 300) AS n
JOIN customers AS c ON c.id = 1 + n * 7 % 500;

CREATE INDEX ON orders (customer_id);
CREATE INDEX ON payments (order_id);
COMMIT;
