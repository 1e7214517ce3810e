//! The tree is the very one that the parser crate gives over its encoded output.

use writ_sql_tree::{ParseError, parse, protobuf as pb};

/// Texts that together use most nodes of the grammar.
const TEXTS: &str = include_str!("statements.sql");

fn encoded(text: &str) -> Result<pb::ParseResult, String> {
    pg_query::parse(text, 0).map(|parsed| parsed.protobuf).map_err(|e| e.to_string())
}

fn statements() -> impl Iterator<Item = &'static str> {
    TEXTS.split(";;\n").map(str::trim).filter(|t| !t.is_empty())
}

#[test]
fn every_statement_has_the_tree_of_the_encoded_output() {
    let (mut count, mut wrong) = (0, Vec::new());
    for text in statements() {
        count += 1;
        match (encoded(text), parse(text)) {
            (Ok(expected), Ok(found)) if expected == found => {}
            (Ok(_), Ok(_)) => wrong.push(format!("{text}: another tree")),
            (Err(why), _) => wrong.push(format!("{text}: no statement: {why}")),
            (Ok(_), Err(why)) => wrong.push(format!("{text}: {why}")),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count > 150, "{count} statements");
}

#[test]
fn a_text_without_statements_has_none() {
    for text in ["", " ", "-- nothing", ";;"] {
        assert_eq!(parse(text).expect("no statement").stmts, Vec::new(), "{text}");
    }
}

#[test]
fn errors_are_the_parsers_own() {
    let Err(ParseError::Syntax { message, position }) = parse("SELECT 1 FORM t x") else {
        panic!("a syntax error");
    };
    assert_eq!(message, "syntax error at or near \"t\"");
    assert_eq!(position, 15);
    assert_eq!(parse("SELECT '\0'"), Err(ParseError::ZeroByte));
    assert!(matches!(parse("SELECT 'open"), Err(ParseError::Syntax { .. })));
}

#[test]
fn an_error_leaves_the_parser_usable_and_threads_do_not_meet() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..200 {
                    assert!(parse("SELECT FROM WHERE").is_err());
                    let text = format!("SELECT a FROM t WHERE b = {round}");
                    assert_eq!(parse(&text).ok(), encoded(&text).ok());
                }
            });
        }
    });
}
