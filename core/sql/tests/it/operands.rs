//! Texts that differ in integers alone: which may share their facts, and that those have the same ones.

use proptest::prelude::*;
use writ_model::StatementFacts;
use writ_sql::{SHAPED_TEXT_BYTES_MAX, Shape, integers_are_operands};

use crate::shop::analysis;

fn shape(text: &str) -> Option<String> {
    let mut shape = Shape::default();
    shape
        .take(text.as_bytes())
        .then(|| String::from_utf8_lossy(shape.as_bytes()).replace('\u{1}', "#"))
}

fn facts(text: &str) -> StatementFacts {
    analysis(text).facts().clone()
}

/// `#` stands for integers.
fn with(text: &str, integers: &[u32]) -> String {
    let mut next = integers.iter().cycle();
    let mut parts = text.split('#').map(str::to_owned);
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |all, part| format!("{all}{}{part}", next.next().expect("endless")))
}

#[test]
fn only_whole_integers_are_left_out_of_plain_texts() {
    for (text, expected) in [
        ("SELECT a FROM t WHERE id = 17;", Some("SELECT a FROM t WHERE id = #;")),
        (
            "select t1.a2, 1.5, 1e5, 0x1f, 1_0 from t1 where a=1",
            Some("select t1.a2, 1.5, 1e5, 0x1f, 1_0 from t1 where a=#"),
        ),
        ("SELECT a FROM t WHERE b IN (1,22)", Some("SELECT a FROM t WHERE b IN (#,#)")),
        ("UPDATE t SET a = a + -5", Some("UPDATE t SET a = a + -#")),
        // More digits may be a bigint or a numeric: they stay.
        ("SELECT 1234567890, 1", Some("SELECT 1234567890, #")),
        ("SELECT a FROM t WHERE id = 5AND b = 6", Some("SELECT a FROM t WHERE id = 5AND b = #")),
        ("SELECT a FROM t", None),
        ("SELECT 'a1'", None),
        ("SELECT 1 -- 2", None),
        ("SELECT 1 /* 2 */", None),
        ("SELECT $1 + 1", None),
        ("SELECT 1::int", None),
        ("SELECT \"1\" + 1", None),
        ("SELECT a[1] FROM t", None),
        ("SELECT é1 + 1", None),
        ("SELECT \u{1}", None),
    ] {
        assert_eq!(shape(text).as_deref(), expected, "{text}");
    }
    let long = format!("SELECT {}1", " ".repeat(SHAPED_TEXT_BYTES_MAX));
    assert_eq!(shape(&long), None);
}

const SHARED: &[&str] = &[
    "SELECT total FROM orders WHERE id = #",
    "SELECT total FROM orders WHERE # < id AND (total > # AND customer_id = -#)",
    "SELECT total FROM orders WHERE id IN (#, #) AND total BETWEEN # AND #;",
    "SELECT o.total FROM orders o JOIN customers c ON c.id = o.customer_id AND c.id = # WHERE o.id <> #",
    "UPDATE orders SET total = total + #, customer_id = # WHERE id = #",
    "UPDATE orders SET total = total + -# WHERE id = #",
    "DELETE FROM orders WHERE id = #",
    "INSERT INTO orders (id, customer_id, total) VALUES (#, #, - #), (#, 1, #)",
];

#[test]
fn integers_beside_columns_change_no_fact() {
    for text in SHARED {
        let first = with(text, &[1, 1]);
        assert!(integers_are_operands(&first), "{first}");
        let expected = facts(&first);
        assert!(expected.opaque.is_empty(), "{first}: {:?}", expected.opaque);
        for integers in [&[0, 0][..], &[1, 2, 3], &[3, 999_999_999]] {
            let other = with(text, integers);
            assert_eq!(shape(&other), shape(&first));
            assert_eq!(facts(&other), expected, "{other}");
        }
    }
}

#[test]
fn integers_with_a_meaning_of_their_own_are_no_operands() {
    for text in [
        "SELECT 1",
        "SELECT total FROM orders LIMIT 1",
        "SELECT total FROM orders WHERE id = 1 LIMIT 1",
        "SELECT total FROM orders WHERE id = 1 OFFSET 2",
        "SELECT total FROM orders WHERE id = 1 FETCH FIRST 2 ROWS ONLY",
        "SELECT total, note FROM orders WHERE id = 1 ORDER BY 2",
        "SELECT total, count(*) FROM orders WHERE id = 1 GROUP BY 1",
        "SELECT total FROM orders WHERE 1 = 1",
        "DELETE FROM orders WHERE id = 1 OR 1 < 2",
        // Whether this is a condition depends on both integers together.
        "DELETE FROM orders WHERE id = 1 OR id <> 2",
        "DELETE FROM orders WHERE id = 1 OR NOT id = 2",
        "DELETE FROM orders WHERE NOT (id = 1 AND id <> 2)",
        "SELECT CAST(total AS numeric(10, 2)) FROM orders WHERE id = 1",
        "SELECT CAST(total AS float(24)) FROM orders WHERE id = 1",
        "SELECT total FROM orders WHERE pg_sleep(5) IS NULL AND id = 1",
        "SELECT total FROM orders WHERE id = (SELECT 1)",
        "SELECT total FROM orders TABLESAMPLE BERNOULLI (1) WHERE id = 1",
        "SELECT sum(total) OVER (ORDER BY id ROWS 1 PRECEDING) FROM orders WHERE id = 1",
        "SELECT total FROM orders WHERE id = 1; SELECT total FROM orders WHERE id = 2",
        // The integer of ten digits is a constant beside a column too: it must not stand in for another.
        "SELECT total FROM orders WHERE id = 1234567890 LIMIT 5",
        "INSERT INTO orders SELECT id, customer_id, total FROM orders WHERE id = 1 LIMIT 3",
        "SET work_mem = 64",
        "FETCH 5 FROM c",
        "EXPLAIN SELECT total FROM orders WHERE id = 1",
        "SELECT total FROM orders WHERE id = 1 AND",
        "SELECT 'x' FROM orders WHERE id = 1",
    ] {
        assert!(!integers_are_operands(text), "{text}");
    }
}

/// Pieces that put integers where PostgreSQL's grammar gives them a meaning of their own, and where it does not.
fn pieces() -> impl Strategy<Value = String> {
    let head = prop::sample::select(vec![
        "SELECT total FROM orders",
        "SELECT #, total FROM orders",
        "SELECT total FROM orders o JOIN customers c ON c.id = #",
        "SELECT max(#) FROM orders",
        "UPDATE orders SET total = total + #",
        "UPDATE orders SET total = lpad(note, #)",
        "DELETE FROM orders",
        "SELECT g FROM generate_series(#, #) AS g",
        "INSERT INTO orders (id, total) VALUES (#, #), (#, total)",
        "SELECT total FROM orders TABLESAMPLE BERNOULLI (#)",
    ]);
    let condition = prop::sample::select(vec![
        "id = #",
        "# = #",
        "id <> #",
        "# <> total",
        "customer_id IN (#, #)",
        "customer_id IN (#, id)",
        "total BETWEEN # AND -#",
        "total BETWEEN SYMMETRIC # AND #",
        "NOT id > #",
        "id + # = total",
        "pg_sleep(#) IS NULL",
        "EXISTS (SELECT # FROM customers WHERE id = #)",
        "CASE id WHEN # THEN total ELSE # END = id",
        "CAST(total AS numeric(#, #)) = id",
        "total = ANY (ARRAY(SELECT #))",
        "(id, total) = (#, #)",
        "id IS DISTINCT FROM #",
        "#",
    ]);
    let tail = prop::sample::select(vec![
        "",
        "",
        "",
        "",
        "LIMIT #",
        "OFFSET #",
        "ORDER BY #",
        "GROUP BY #",
        "HAVING # > #",
        "FOR UPDATE",
        "FETCH FIRST # ROWS ONLY",
        "UNION SELECT #",
        "; SELECT #",
        "RETURNING #",
    ]);
    let joined = prop::sample::select(vec![" AND ", " AND ", " OR ", " OR NOT "]);
    let parts = (head, prop::collection::vec(condition, 0..4), joined, tail);
    parts.prop_map(|(head, conditions, joined, tail)| {
        let conditions = conditions.join(joined);
        let filter = if conditions.is_empty() { "" } else { " WHERE " };
        format!("{head}{filter}{conditions} {tail}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    /// What is found out about one text is found out about every other of its shape.
    #[test]
    fn facts_do_not_depend_on_operands(
        text in pieces(),
        // Often equal, often not.
        one in prop::collection::vec(prop_oneof![0_u32..3, 0_u32..1_000_000_000], 1..5),
        two in prop::collection::vec(0_u32..3, 1..5),
    ) {
        let (first, second) = (with(&text, &one), with(&text, &two));
        prop_assert_eq!(shape(&first), shape(&second));
        // What is found out about the shape from one text holds for the others, too.
        prop_assert_eq!(integers_are_operands(&first), integers_are_operands(&second));
        if integers_are_operands(&first) {
            prop_assert_eq!(facts(&first), facts(&second));
        }
    }
}

/// The property above says nothing unless integers do change facts elsewhere.
#[test]
fn elsewhere_integers_do_change_facts() {
    let either = |n: u32| facts(&format!("DELETE FROM orders WHERE id = 1 OR id <> {n}"));
    assert_ne!(either(1), either(2), "control");
    let set = |n: u32| format!("SET default_transaction_read_only = {n}");
    assert_eq!(shape(&set(0)), shape(&set(1)));
    assert_ne!(facts(&set(0)), facts(&set(1)), "control");
    assert!(!integers_are_operands(&set(1)));
}
