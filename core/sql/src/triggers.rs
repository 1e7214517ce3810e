//! PL/pgSQL trigger functions that are plain enough to be known: assignments to columns of NEW, IF, and RETURN.
//!
//! The body is cut at semicolons and keywords, and every piece between must be an expression by the server's grammar; a
//! cut in the wrong place, as inside a string, leaves a piece that does not parse. Anything else is not known (E2).
//! Columns of NEW and OLD that an expression looks at count as read: where they are masked nothing may run, since an
//! error in the expression would show them.

use std::rc::Rc;

use writ_model::{Relation, StatementFacts};

use crate::parse;
use crate::scope::{Entry, Level, Source};
use crate::walk::Walk;

/// What PL/pgSQL tells a trigger function, as far as it is plain text.
const VARIABLES: &[&str] = &[
    "tg_name",
    "tg_when",
    "tg_level",
    "tg_op",
    "tg_relid",
    "tg_table_name",
    "tg_table_schema",
    "tg_nargs",
];

impl Walk<'_> {
    /// What a trigger of `relation` reads and calls, where it is known to do nothing else.
    pub(crate) fn trigger(&mut self, relation: &Relation, oid: u32) -> Option<Rc<StatementFacts>> {
        let catalog = self.catalog;
        let function = catalog.function_by_oid(oid)?;
        if function.language != "plpgsql" {
            return self.harmless(oid);
        }
        let body = catalog.body(oid).filter(|b| b.trigger)?;
        let text = without_comments(body.body.as_deref()?)?;
        let levels = crate::limits::check(&text).ok()?;
        if !self.fits(levels) {
            return None;
        }
        let names = self.names_inside(function, body, false)?;
        self.inside(&names, false, |below| {
            let row = |alias: &str| Entry {
                unqualified: false,
                ..Entry::relation(catalog, relation, alias, true)
            };
            let variables = VARIABLES.iter().map(|v| (*v).to_owned()).collect();
            let own = Entry { source: Source::Known(variables), ..Entry::derived("") };
            below.levels.push(Level {
                entries: [row("new"), row("old"), own].map(Rc::new).into(),
                ..Level::default()
            });
            let mut pieces = text.split(';');
            let first = pieces.next().and_then(|piece| word(piece, "begin"));
            first.is_some_and(|piece| below.piece(piece)) && pieces.all(|piece| below.piece(piece))
        })
    }

    /// One statement of the body, with the keywords before it.
    fn piece(&mut self, piece: &str) -> bool {
        let piece = piece.trim();
        if let Some(rest) = word(piece, "else") {
            return self.piece(rest);
        }
        if let Some(rest) = word(piece, "if").or_else(|| word(piece, "elsif")) {
            let lower = rest.to_ascii_lowercase();
            let mut cuts = lower.match_indices("then").map(|(at, _)| at);
            return cuts.any(|at| {
                let (condition, after) =
                    (rest.get(..at), rest.get(at..).and_then(|r| word(r, "then")));
                match (condition, after) {
                    (Some(condition), Some(after)) => self.value(condition) && self.piece(after),
                    _ => false,
                }
            });
        }
        let words: Vec<String> = piece.split_whitespace().map(str::to_ascii_lowercase).collect();
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] | ["end"] | ["end", "if"] | ["null"] | ["return", "new" | "old" | "null"] => true,
            _ => self.assignment(piece),
        }
    }

    /// `new.column := expression`.
    fn assignment(&mut self, piece: &str) -> bool {
        let Some((target, value)) = piece.split_once('=') else { return false };
        let target = target.trim_end().trim_end_matches(':').trim_end().to_ascii_lowercase();
        let column = target.strip_prefix("new.").unwrap_or_default();
        let named = !column.is_empty()
            && column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '"');
        named && self.value(value)
    }

    fn value(&mut self, expression: &str) -> bool {
        let Ok(mut query) = parse::parse_query(&format!("SELECT {expression}")) else {
            return false;
        };
        self.select_stmt(&mut query);
        true
    }
}

/// What follows a keyword at the start.
fn word<'t>(text: &'t str, keyword: &str) -> Option<&'t str> {
    let text = text.trim_start();
    let (head, rest) = text.split_at_checked(keyword.len())?;
    let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    (head.eq_ignore_ascii_case(keyword) && ends).then_some(rest)
}

/// The text without comments to the end of a line. Where a quote could hide what is a comment, there must be none.
fn without_comments(text: &str) -> Option<String> {
    if !text.contains("--") {
        return Some(text.to_owned());
    }
    let plain = !text.contains(['\'', '"', '$']) && !text.contains("/*");
    let lines = text.lines().map(|line| line.split("--").next().unwrap_or_default());
    plain.then(|| lines.collect::<Vec<_>>().join("\n"))
}
