//! The exact text of rewrites.

use expect_test::{Expect, expect};
use writ_sql::Names;

use crate::shop::outcome;

fn check(text: &str, want: Expect) {
    want.assert_eq(&outcome(text, &Names::default()));
}

#[test]
fn a_table() {
    check("SELECT ssn FROM customers c WHERE id = 1", expect![[]]);
    check("SELECT c.d FROM public.customers c(a, b, c, d)", expect![[]]);
}

#[test]
fn copy_of_a_table() {
    check("COPY public.customers (id, ssn) TO stdout", expect![[]]);
}

#[test]
fn a_view_over_a_view() {
    check("SELECT * FROM top_people", expect![[]]);
}

#[test]
fn a_partition_masks_its_parent() {
    check("SELECT token, at FROM ONLY events_old", expect![[]]);
    check("SELECT token FROM events", expect![[]]);
    check("SELECT token FROM ONLY events", expect![[]]);
}

#[test]
fn quoted_names() {
    check("SELECT \"Sec ret\" FROM \"Odd \"\"Table\"", expect![[]]);
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
