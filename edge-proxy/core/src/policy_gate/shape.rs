//! SELECTs that differ only in integer literals, as ORMs and benchmarks send them, share what was found out about one of
//! them. No text is forwarded or recorded but the client's own; what is shared are facts and decision.
//!
//! This holds only where no fact can depend on an integer's value, so it is kept narrow: one SELECT, of letters, digits
//! and the simplest punctuation (no quotes, comments, parameters, casts or signs), nothing opaque, nothing masked,
//! allowed. A fact that comes to depend on an integer (a row limit) has to leave its SELECTs out here; a property test
//! over all of `writ_sql`'s facts holds that.

use writ_model::{StatementKind, Verdict};

use crate::gate::Ruling;

/// The longest text that has a shape, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// The most digits of an integer that is left out: more may not be an integer to the server.
const DIGITS_MAX: usize = 9;
/// Stands for an integer; no text with a shape contains it.
const INTEGER: u8 = 1;

/// The text with each integer literal left out; `None` where that could leave out something else.
pub(super) fn of(text: &[u8]) -> Option<Vec<u8>> {
    let is_select = text.get(..7).is_some_and(|head| head.eq_ignore_ascii_case(b"select "));
    if !is_select || text.len() > TEXT_BYTES_MAX || !text.iter().all(|b| is_simple(*b)) {
        return None;
    }
    let mut shape = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.first() {
        let word = rest.iter().take_while(|b| is_word(**b)).count();
        let (token, tail) = rest.split_at_checked(word.max(1))?;
        let is_integer = word > 0 && word <= DIGITS_MAX && token.iter().all(u8::is_ascii_digit);
        if is_integer {
            shape.push(INTEGER);
        } else if word > 0 {
            shape.extend_from_slice(token);
        } else {
            shape.push(*first);
        }
        rest = tail;
    }
    Some(shape)
}

/// Letters, digits and the dot hang together: `t1`, `1.5`, `1e5` and `a.b` are no integers.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

fn is_simple(byte: u8) -> bool {
    is_word(byte)
        || matches!(
            byte,
            b' ' | b'\n' | b'\t' | b',' | b'=' | b'(' | b')' | b'*' | b';' | b'<' | b'>'
        )
}

/// Whether what was ruled on one text holds for all of its shape.
pub(super) fn may_share(ruling: &Ruling) -> bool {
    let facts = &ruling.facts;
    facts.statements == 1
        && facts.kinds.len() == 1
        && facts.kinds.contains(&StatementKind::Select)
        && facts.writes.is_empty()
        && facts.opaque.is_empty()
        && facts.session.is_empty()
        && ruling.rewritten.is_none()
        // Sharing writes the text into the record.
        && !ruling.redact_binds
        && matches!(ruling.decision.verdict, Verdict::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use writ_model::{Catalog, Column, Relation, RelationKind};
    use writ_sql::{Names, analyze};

    fn shape(text: &str) -> Option<String> {
        of(text.as_bytes()).map(|s| String::from_utf8_lossy(&s).replace('\u{1}', "#"))
    }

    #[test]
    fn only_integers_are_left_out() {
        for (text, expected) in [
            ("SELECT a FROM t WHERE id = 17;", Some("SELECT a FROM t WHERE id = #;")),
            ("select 1, t1.a2, 1.5, 1e5 from t1", Some("select #, t1.a2, 1.5, 1e5 from t1")),
            ("SELECT 1234567890", Some("SELECT 1234567890")),
            ("SELECT a FROM t WHERE b IN (1,22)", Some("SELECT a FROM t WHERE b IN (#,#)")),
            ("SELECT 'a1'", None),
            ("SELECT 1 -- 2", None),
            ("SELECT $1", None),
            ("SELECT 1::int", None),
            ("SELECT \"1\"", None),
            ("SELECT 1 /* 2 */", None),
            ("DELETE FROM t WHERE id = 1", None),
        ] {
            assert_eq!(shape(text).as_deref(), expected, "{text}");
        }
    }

    fn catalog() -> Catalog {
        let column = |number: i16, name: &str| Column {
            number,
            name: name.into(),
            type_name: "integer".into(),
            type_category: 'N',
            not_null: false,
            generated: false,
        };
        let relation = |oid: u32, name: &str| Relation {
            oid,
            schema: "public".into(),
            name: name.into(),
            kind: RelationKind::Table,
            owner: "app".into(),
            columns: vec![column(1, "id"), column(2, "a"), column(3, "b")],
            definition: None,
            parents: vec![],
            has_triggers: false,
            row_security: false,
            row_estimate: 1.0,
        };
        Catalog::new(150_000, vec![relation(20_000, "t"), relation(20_001, "u")], vec![])
    }

    fn facts(text: &str) -> writ_model::StatementFacts {
        let names = Names {
            search_path: vec!["pg_catalog".into(), "public".into()],
            role: "app".into(),
            temp_relations: vec![],
            temp_active: vec![],
            standard_conforming_strings: true,
        };
        analyze(text, &catalog(), &names).facts().clone()
    }

    #[test]
    fn whole_statements_have_the_same_facts_with_any_integers() {
        for text in [
            "SELECT a FROM t WHERE id = #",
            "SELECT a FROM t WHERE # = #",
            "SELECT a, b FROM t GROUP BY #, # ORDER BY #",
            "SELECT count(*) FROM t HAVING # > #",
            "SELECT a FROM t WHERE a IN (#, #) OR b = # LIMIT # OFFSET #",
            "SELECT a FROM t FETCH FIRST # ROWS ONLY",
            "SELECT a FROM t UNION SELECT b FROM u WHERE id < #",
            "SELECT CASE a WHEN # THEN b ELSE id END FROM t",
            "SELECT CAST(a AS numeric(#, #)) FROM t",
            "SELECT g FROM generate_series(#, #) AS g",
            "SELECT a FROM t TABLESAMPLE BERNOULLI (#)",
            "SELECT (SELECT max(a) FROM u WHERE u.id = # AND u.b = t.b) FROM t FOR UPDATE",
            "SELECT sum(a) OVER (ORDER BY b ROWS # PRECEDING) FROM t",
            "SELECT t.a FROM t JOIN u ON t.id = u.id AND u.a = # WHERE EXISTS (SELECT # FROM u WHERE b = #)",
        ] {
            let with = |n: [u32; 2]| {
                let mut next = n.iter().cycle();
                text.split('#')
                    .map(str::to_owned)
                    .reduce(|all, part| format!("{all}{}{part}", next.next().expect("endless")))
            };
            let first = facts(&with([1, 1]).expect("a text"));
            assert!(first.opaque.is_empty(), "{text}: {:?}", first.opaque);
            for pair in [[0, 0], [1, 2], [2, 1], [3, 999_999_999]] {
                assert_eq!(facts(&with(pair).expect("a text")), first, "{text} with {pair:?}");
            }
        }
    }

    /// Pieces that put integers where PostgreSQL's grammar gives them a meaning of their own.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "id",
            "a",
            "b",
            "#",
            "t",
            "u",
            "FROM t",
            "FROM t, u",
            "FROM t JOIN u ON t.id = u.id",
            "WHERE id = #",
            "WHERE # = #",
            "WHERE a IN (#, #)",
            "WHERE a < # AND b > #",
            "GROUP BY #",
            "GROUP BY a, #",
            "ORDER BY #",
            "ORDER BY b, #",
            "LIMIT #",
            "OFFSET #",
            "FETCH FIRST # ROWS ONLY",
            "count(*)",
            "max(#)",
            "lpad(a, #)",
            "generate_series(#, #)",
            "FROM generate_series(#, #)",
            "TABLESAMPLE BERNOULLI (#)",
            "FOR UPDATE",
            ",",
            "AS",
            "HAVING # > #",
            "UNION SELECT #",
            "CASE a WHEN # THEN # END",
            "CAST(a AS numeric(#, #))",
            "(SELECT # FROM u)",
            "NOT",
            "OR #",
            "AND #",
            "DISTINCT",
            "IS NULL",
            "VALUES (#)",
            "INTO",
            "pg_sleep(#)",
            "pg_read_file(#)",
            "lo_get(#)",
            "set_config(#, #, true)",
            ";",
            "WINDOW w AS (ORDER BY #)",
            "over (ROWS # PRECEDING)",
        ]);
        prop::collection::vec(piece, 1..10)
            .prop_map(|pieces| format!("SELECT {}", pieces.join(" ")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        /// What is found out about one text of a shape is found out about every other.
        #[test]
        fn facts_do_not_depend_on_integers(text in texts(), one in 0_u32..1_000_000_000, two in 0_u32..4) {
            let first = text.replace('#', &one.to_string());
            let second = text.replace('#', &two.to_string());
            let shapes = (of(first.as_bytes()), of(second.as_bytes()));
            prop_assert!(shapes.0.is_some());
            prop_assert_eq!(&shapes.0, &shapes.1);
            let (first, second) = (facts(&first), facts(&second));
            // A text that does not parse names its integers in the error: those are opaque, and never shared.
            if first.opaque.is_empty() {
                prop_assert_eq!(first, second);
            }
        }
    }
}
