//! Masks of values inside JSON documents.

use std::collections::BTreeSet;

use crate::kinds::{Masked, literal, op};

/// What stands for a value inside a document.
const HIDDEN: &str = "'\"***\"'";
/// Longer documents are redacted: the work per document is bounded. In characters.
const DOCUMENT_CHARACTERS_MAX: usize = 1 << 20;
/// Pieces of JSON that stay: keys with their colon, punctuation, and null; and those that do not: strings, numbers,
/// true and false. Of two pieces that begin alike the longer is taken, so that a key is never a string.
const PIECES: &str = r#"("(?:[^"\\]|\\.)*"[[:space:]]*:|[][{},[:space:]]+|null)|("(?:[^"\\]|\\.)*"|[^][{},"[:space:]]+)"#;

/// The values at `paths`, or all where there are none.
pub(crate) fn json(column: &Masked<'_>, paths: &BTreeSet<Vec<String>>) -> Option<String> {
    match (column.base, paths.is_empty()) {
        ("json" | "jsonb", true) => Some(all(column)),
        ("jsonb", false) => Some(some(column, paths)),
        // The paths of `json` could only be followed by reading it as jsonb, which not every document is.
        _ => None,
    }
}

/// Every string, number and boolean. The text is taken apart and put together again.
fn all(column: &Masked<'_>) -> String {
    let Masked { type_name, value, .. } = column;
    let pieces = literal_with_backslashes(PIECES);
    let length = "pg_catalog.length(writ_document.document)";
    let long = op(length, ">", &DOCUMENT_CHARACTERS_MAX.to_string());
    format!(
        "CASE WHEN {value} IS NULL THEN NULL::{type_name} ELSE (SELECT CASE WHEN {long} THEN {} ELSE \
         (SELECT (pg_catalog.string_agg(COALESCE(writ_pieces.piece[1], {HIDDEN}), '' ORDER BY \
         writ_pieces.place))::{type_name} FROM pg_catalog.regexp_matches(writ_document.document, {pieces}, 'g') WITH \
         ORDINALITY AS writ_pieces(piece, place)) END FROM (SELECT ({value})::pg_catalog.text AS document OFFSET 0) \
         writ_document) END",
        column.constant()
    )
}

fn literal_with_backslashes(text: &str) -> String {
    format!("E{}", literal(&text.replace('\\', "\\\\")))
}

/// The values at some paths. Where a path meets anything but an object on its way, all of that is hidden, since what
/// the path means cannot be found in it; a document that is no object is hidden as a whole.
fn some(column: &Masked<'_>, paths: &BTreeSet<Vec<String>>) -> String {
    let Masked { type_name, value, .. } = column;
    let mut masked = (*value).to_owned();
    for path in paths {
        let place = place(value, path);
        masked =
            format!("pg_catalog.jsonb_set({masked}, {place}, {HIDDEN}::pg_catalog.jsonb, false)");
    }
    let object = op(&format!("pg_catalog.jsonb_typeof({value})"), "=", "'object'");
    format!(
        "CASE WHEN {value} IS NULL THEN NULL::{type_name} WHEN {object} THEN {masked} ELSE {} END",
        column.constant()
    )
}

/// The path of what is to be hidden in this document; empty where there is nothing: `jsonb_set` does nothing then.
/// All paths are judged on the document as it was, so that no expression is as large as all before it.
fn place(value: &str, path: &[String]) -> String {
    let array = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|n| literal(n)).collect();
        format!("ARRAY[{}]::pg_catalog.text[]", names.join(", "))
    };
    let mut cases = String::new();
    for at in 1..path.len() {
        let Some(begin) = path.get(..at) else { continue };
        let begin = array(begin);
        let found = format!("pg_catalog.jsonb_typeof({})", op(value, "#>", &begin));
        cases.push_str(&format!("WHEN {} THEN {begin} ", op(&found, "<>", "'object'")));
    }
    let whole = array(path);
    let found = op(value, "#>", &whole);
    format!("CASE {cases}WHEN {found} IS NOT NULL THEN {whole} ELSE '{{}}'::pg_catalog.text[] END")
}
