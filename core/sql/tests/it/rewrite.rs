//! The exact text of rewrites.

use expect_test::{Expect, expect};
use writ_sql::Names;

use crate::shop::outcome;

#[allow(clippy::needless_pass_by_value)]
fn check(text: &str, want: Expect) {
    want.assert_eq(&outcome(text, &Names::default()));
}

#[test]
fn a_table() {
    check(
        "SELECT ssn FROM customers c WHERE id = 1",
        expect![
            "SELECT ssn FROM (SELECT id, name, CASE WHEN email IS NULL THEN NULL::varchar(40) ELSE '***@***.***'::varchar(40) END AS email, CASE WHEN ssn IS NULL THEN NULL::varchar(5) ELSE '***-*'::varchar(5) END AS ssn, born, balance FROM public.customers) c WHERE id = 1"
        ],
    );
    check(
        "SELECT c.d FROM public.customers c(a, b, c, d)",
        expect![
            "SELECT c.d FROM (SELECT id, name, CASE WHEN email IS NULL THEN NULL::varchar(40) ELSE '***@***.***'::varchar(40) END AS email, CASE WHEN ssn IS NULL THEN NULL::varchar(5) ELSE '***-*'::varchar(5) END AS ssn, born, balance FROM public.customers) c(a, b, c, d)"
        ],
    );
}

#[test]
fn copy_of_a_table() {
    check(
        "COPY public.customers (id, ssn) TO stdout",
        expect![
            "COPY (SELECT id, ssn FROM (SELECT id, name, CASE WHEN email IS NULL THEN NULL::varchar(40) ELSE '***@***.***'::varchar(40) END AS email, CASE WHEN ssn IS NULL THEN NULL::varchar(5) ELSE '***-*'::varchar(5) END AS ssn, born, balance FROM ONLY public.customers) customers) TO STDOUT"
        ],
    );
}

#[test]
fn a_view_over_a_view() {
    check(
        "SELECT * FROM top_people",
        expect![
            "SELECT * FROM (SELECT people.secret FROM (SELECT customers.id, customers.ssn AS secret FROM (SELECT id, name, CASE WHEN email IS NULL THEN NULL::varchar(40) ELSE '***@***.***'::varchar(40) END AS email, CASE WHEN ssn IS NULL THEN NULL::varchar(5) ELSE '***-*'::varchar(5) END AS ssn, born, balance FROM public.customers) customers) people) top_people"
        ],
    );
}

#[test]
fn a_partition_masks_its_parent() {
    check(
        "SELECT token, at FROM ONLY events_old",
        expect![
            "SELECT token, at FROM (SELECT id, CASE WHEN token IS NULL THEN NULL::text ELSE '***'::text END AS token, at FROM ONLY public.events_old) events_old"
        ],
    );
    check(
        "SELECT token FROM events",
        expect![
            "SELECT token FROM (SELECT id, CASE WHEN token IS NULL THEN NULL::text ELSE '***'::text END AS token, at FROM public.events) events"
        ],
    );
    check("SELECT token FROM ONLY events", expect!["unchanged"]);
}

#[test]
fn returning() {
    check(
        "DELETE FROM \"Odd \"\"Table\" x WHERE id = 1 RETURNING *, id + 1",
        expect![[
            r#"DELETE FROM "Odd ""Table" x WHERE id = 1 RETURNING x.id AS id, CASE WHEN x."Sec ret" IS NULL THEN NULL::text ELSE '***'::text END AS "Sec ret", id + 1"#
        ]],
    );
}

#[test]
fn quoted_names() {
    check(
        "SELECT \"Sec ret\" FROM \"Odd \"\"Table\"",
        expect![[
            r#"SELECT "Sec ret" FROM (SELECT id, CASE WHEN "Sec ret" IS NULL THEN NULL::text ELSE '***'::text END AS "Sec ret" FROM public."Odd ""Table") "Odd ""Table""#
        ]],
    );
}

#[test]
fn nothing_masked_is_read() {
    for text in [
        "SELECT id, name FROM customers",
        "SELECT count(*) FROM customers",
        "SELECT id FROM customers FOR UPDATE",
        "UPDATE customers SET ssn = '1' WHERE id = 1 RETURNING id",
        "INSERT INTO customers (id, ssn) VALUES (1, '2') ON CONFLICT (id) DO NOTHING",
        "DELETE FROM customers WHERE id = 1",
        "SELECT * FROM app.customers",
        "SELECT id FROM ids",
        "COPY customers (id, name) TO STDOUT",
        "COPY customers FROM STDIN",
        "LOCK TABLE public.customers IN ACCESS SHARE MODE",
        "WITH customers AS (SELECT 1 AS ssn) SELECT ssn FROM customers",
        "WITH a AS (SELECT 1 AS ssn), customers AS (SELECT ssn FROM a) SELECT * FROM customers",
        "ANALYZE customers",
        "TRUNCATE customers",
        "CREATE INDEX ON customers (ssn)",
        "ALTER TABLE customers ADD COLUMN x int",
        "EXPLAIN DELETE FROM customers",
        "SELECT usename, 'SELECT ssn FROM customers' FROM pg_user",
    ] {
        assert_eq!(outcome(text, &Names::default()), "unchanged", "{text}");
    }
}
