//! The analysis answers for every text, on any stack that a caller may have.

use proptest::prelude::*;
use writ_model::{Catalog, OpaqueReason};
use writ_sql::{Names, Rewrite, analyze};

use crate::shop::{catalog, masks};

/// The smallest stack that a caller may have, in bytes.
const CALLER_STACK_BYTES: usize = 1 << 20;

#[test]
fn texts_of_any_depth_fit_the_callers_stack() {
    let work = || {
        let names = Names::default();
        for count in [10, 61, 450, 2_000, 7_900, 20_000] {
            for (open, close) in [
                ("NOT ", ""),
                ("(", ")"),
                ("- ", ""),
                ("CASE WHEN true THEN ", " END"),
                ("(SELECT ", ")"),
                ("1 + ", ""),
                ("ssn || ", ""),
                ("f(", ")"),
                ("ARRAY[", "]"),
                ("1 UNION SELECT ", ""),
            ] {
                let text = format!(
                    "SELECT {}ssn{} FROM customers",
                    open.repeat(count),
                    close.repeat(count)
                );
                let analysis = analyze(&text, &catalog(), &names);
                let _ = analysis.rewrite(&catalog(), &names, &masks());
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(CALLER_STACK_BYTES).spawn(work);
    thread.expect("a thread").join().expect("no overflow");
}

#[test]
fn modifiers_of_types_that_the_server_refuses_are_not_printed() {
    let names = Names::default();
    for modifier in ["ssn || 'x'", "f(1)", "(SELECT 1)", "$1", "1, NOT true"] {
        for of in ["public.code", "pg_catalog.timestamptz", "pg_catalog.interval", "pg_catalog.bit"]
        {
            let text = format!("SELECT ssn, {of}({modifier}) 'a' FROM customers");
            let analysis = analyze(&text, &catalog(), &names);
            let opaque = &analysis.facts().opaque;
            assert!(opaque.iter().any(|why| matches!(why, OpaqueReason::Syntax(_))), "{text}");
            assert!(analysis.rewrite(&catalog(), &names, &masks()).is_err(), "{text}");
        }
    }
    let text = "SELECT ssn, numeric(10, -2) '7', public.geometry(point) 'x' FROM customers";
    assert_eq!(analyze(text, &catalog(), &names).facts().opaque, [].into());
}

#[test]
fn a_deep_view_behind_a_short_text_fits_too() {
    let deep = format!(" SELECT {}ssn AS secret FROM public.customers;", "NOT ".repeat(300));
    let shop = catalog();
    let relations = shop.relations().iter().cloned().map(|mut relation| {
        if relation.name == "people" {
            relation.definition = Some(deep.clone());
        }
        relation
    });
    let catalog = Catalog::new(150_000, relations.collect(), Vec::new());
    let work = move || {
        let analysis = analyze("SELECT secret FROM top_people", &catalog, &Names::default());
        assert_eq!(analysis.facts().opaque, [].into());
        let rewrite = analysis.rewrite(&catalog, &Names::default(), &masks());
        assert!(matches!(rewrite, Ok(Rewrite::Text(text)) if text.contains("***")));
    };
    let thread = std::thread::Builder::new().stack_size(CALLER_STACK_BYTES).spawn(work);
    thread.expect("a thread").join().expect("no overflow");
}

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "customers",
    "orders",
    "c",
    "ssn",
    "id",
    "*",
    ".",
    ",",
    "(",
    ")",
    "=",
    "'1'",
    "$1",
    "AS",
    "JOIN",
    "ON",
    "USING",
    "NATURAL",
    "LATERAL",
    "WITH",
    "RECURSIVE",
    "x",
    "UNION",
    "ALL",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "RETURNING",
    "MERGE",
    "WHEN",
    "MATCHED",
    "THEN",
    "COPY",
    "TO",
    "STDOUT",
    "STDIN",
    "CREATE",
    "TABLE",
    "VIEW",
    "INDEX",
    "ALTER",
    "ADD",
    "COLUMN",
    "DROP",
    "ORDER",
    "BY",
    "GROUP",
    "LIMIT",
    "1",
    "::",
    "text",
    "[",
    "]",
    "CASE",
    "END",
    "ELSE",
    "NULL",
    "IS",
    "NOT",
    "people",
    "top_people",
    "\"",
    "'",
    "E'",
    "$$",
    "--",
    "/*",
    "*/",
    "\n",
    ";",
    "EXPLAIN",
    "PREPARE",
    "p",
    "EXECUTE",
    "DECLARE",
    "CURSOR",
    "FOR",
    "row_to_json",
    "count",
    "events",
    "ONLY",
];

const STARTS: &[&str] = &[
    "",
    "SELECT ssn FROM customers ",
    "SELECT * FROM customers c JOIN orders o ",
    "WITH x AS (",
    "UPDATE customers SET name = 'x' ",
    "INSERT INTO orders SELECT ",
    "SELECT ",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn word_soup_never_panics(
        start in prop::sample::select(STARTS),
        words in prop::collection::vec(prop::sample::select(WORDS), 0..14),
    ) {
        let text = format!("{start}{}", words.join(" "));
        let (catalog, masks, names) = (catalog(), masks(), Names::default());
        let analysis = analyze(&text, &catalog, &names);
        if analysis.touches_masked(&catalog, &masks) {
            // What reads a masked column is rewritten or refused.
            let passed = analysis.rewrite(&catalog, &names, &masks) == Ok(Rewrite::Unchanged);
            prop_assert!(!passed, "{}", text);
        }
    }

    #[test]
    fn any_text_has_facts(text in "\\PC{0,60}") {
        let analysis = analyze(&text, &catalog(), &Names::default());
        prop_assert!(analysis.facts().statements > 0 || !analysis.facts().kinds.is_empty());
    }
}
