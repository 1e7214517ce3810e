//! The same statement written in another way: letters in another case, comments between words, quoted names, an idle CTE,
//! a query around it. None of it may change what is decided.

use pg_query::protobuf::{KeywordKind, Token};
use writ_sql::{Names, analyze};

use crate::leaks::LEAKS;
use crate::shop::{catalog, outcome};

/// A word of a text and what stands before it.
struct Word<'a> {
    gap: &'a str,
    text: &'a str,
    keyword: bool,
    name: bool,
}

fn words(text: &str) -> Vec<Word<'_>> {
    let scanned = pg_query::scan(text).expect("a text of the tests");
    let mut before = 0;
    let mut words = Vec::new();
    for token in &scanned.tokens {
        let place = |at: i32| usize::try_from(at).expect("a place");
        let (start, end) = (place(token.start), place(token.end));
        words.push(Word {
            gap: &text[before..start],
            text: &text[start..end],
            keyword: token.keyword_kind() != KeywordKind::NoKeyword,
            name: token.token() == Token::Ident,
        });
        before = end;
    }
    words
}

fn other_case(text: &str) -> String {
    let turned = |at: usize, c: char| {
        if at.is_multiple_of(2) { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
    };
    let word = |w: &Word<'_>| {
        let plain = (w.keyword || w.name) && !w.text.contains(['"', '\'']);
        let text = match plain {
            true => w.text.chars().enumerate().map(|(at, c)| turned(at, c)).collect(),
            false => w.text.to_owned(),
        };
        format!("{}{text}", w.gap)
    };
    words(text).iter().map(word).collect()
}

fn commented(text: &str) -> String {
    let word = |w: &Word<'_>| {
        let gap = if w.gap.trim().is_empty() && !w.gap.is_empty() {
            "/* ; */ /* /* ' */ */\t".to_owned()
        } else {
            w.gap.to_owned()
        };
        format!("{gap}{}", w.text)
    };
    words(text).iter().map(word).collect()
}

fn quoted(text: &str) -> String {
    let word = |w: &Word<'_>| {
        if w.name && !w.keyword && !w.text.contains(['"', '\'']) {
            format!("{}\"{}\"", w.gap, w.text.to_lowercase())
        } else {
            format!("{}{}", w.gap, w.text)
        }
    };
    words(text).iter().map(word).collect()
}

/// A text in other letters, with comments, and with its names in quotes.
pub(crate) fn spellings(text: &str) -> [String; 3] {
    [other_case(text), commented(text), quoted(text)]
}

#[test]
fn another_spelling_is_decided_and_rewritten_alike() {
    let names = Names::default();
    let mut spelled = 0;
    for text in LEAKS {
        let want = outcome(text, &names);
        let facts = analyze(text, &catalog(), &names).facts().clone();
        for variant in spellings(text) {
            spelled += usize::from(variant != **text);
            assert_eq!(analyze(&variant, &catalog(), &names).facts(), &facts, "{variant}");
            assert_eq!(outcome(&variant, &names), want, "{variant}");
        }
    }
    assert!(spelled > LEAKS.len() * 2, "control: only {spelled} variants differ from their texts");
}

#[test]
fn a_query_around_it_hides_nothing() {
    let names = Names::default();
    let mut wrapped = 0;
    for text in LEAKS {
        let query = text.starts_with("SELECT") || text.starts_with("WITH");
        if !query || text.contains(';') || text.contains(" INTO ") || text.contains("FOR UPDATE") {
            continue;
        }
        let reads = analyze(text, &catalog(), &names).facts().reads.clone();
        for variant in [
            format!("SELECT 1 FROM ({text}) AS wrapped"),
            format!("WITH wrapped AS ({text}) SELECT count(*) FROM wrapped"),
            format!("SELECT EXISTS ({text})"),
        ] {
            let found = analyze(&variant, &catalog(), &names);
            let around = found.facts();
            if around.opaque.iter().any(|o| o.as_str() == "syntax") {
                continue;
            }
            wrapped += 1;
            for read in &reads {
                let same = around.reads.iter().find(|r| r.oid == read.oid && r.name == read.name);
                let columns = same.map(|r| &r.columns);
                assert!(
                    columns.is_some_and(|c| c.is_superset(&read.columns)),
                    "{variant}: {read:?}"
                );
            }
            assert_ne!(outcome(&variant, &names), "unchanged", "{variant}");
        }
    }
    assert!(wrapped > 60, "control: {wrapped}");
}
