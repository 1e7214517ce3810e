//! DO blocks that hold nothing but plain definitions. PostgreSQL has no CREATE TYPE IF NOT EXISTS and no ADD CONSTRAINT
//! IF NOT EXISTS, so migration tools write the block that ignores the error. Any other block is code, and opaque.

use pg_query::{NodeEnum, protobuf as pb};

use crate::limits;
use crate::parse;
use crate::walk::Walk;

impl Walk<'_> {
    /// Walks the statements of a block of definitions; false where the block may be anything else.
    pub(crate) fn block(&mut self, block: &pb::DoStmt) -> bool {
        let Some(inner) = body(block).and_then(definitions) else { return false };
        let Ok(levels) = limits::check(inner) else { return false };
        if !parse::fits_here(levels) {
            self.too_deep = true;
            return true;
        }
        let Ok(mut tree) = parse::parse(inner) else { return false };
        let known = |s: &pb::RawStmt| {
            s.stmt.as_ref().and_then(|n| n.node.as_ref()).is_some_and(is_followed)
        };
        if tree.stmts.is_empty() || !tree.stmts.iter().all(known) {
            return false;
        }
        for statement in tree.stmts.iter_mut().filter_map(|s| s.stmt.as_deref_mut()) {
            self.statement(statement);
        }
        true
    }
}

/// Definitions that need no rewriting, and after which, whether they worked or not, names mean the same.
fn is_followed(statement: &NodeEnum) -> bool {
    match statement {
        NodeEnum::CreateEnumStmt(_) => true,
        NodeEnum::AlterTableStmt(alter) => alter.cmds.iter().all(|c| match &c.node {
            Some(NodeEnum::AlterTableCmd(c)) => c.subtype() == pb::AlterTableType::AtAddConstraint,
            _ => false,
        }),
        _ => false,
    }
}

/// The text of a block in PL/pgSQL.
fn body(block: &pb::DoStmt) -> Option<&str> {
    let mut body = None;
    for argument in &block.args {
        let Some(NodeEnum::DefElem(argument)) = &argument.node else { return None };
        let text = argument.arg.as_deref().and_then(parse::string)?;
        match argument.defname.as_str() {
            "as" => body = Some(text),
            "language" if text.eq_ignore_ascii_case("plpgsql") => {}
            _ => return None,
        }
    }
    body
}

/// The statements of `BEGIN …; [EXCEPTION WHEN a OR b THEN NULL;] END`. PL/pgSQL reads words with the server's own
/// scanner, and takes a statement that begins with none of its own words for SQL, up to the semicolon.
fn definitions(body: &str) -> Option<&str> {
    let scanned = pg_query::scan(body).ok()?;
    let mut words = Vec::new();
    for token in &scanned.tokens {
        let (start, end) = (usize::try_from(token.start).ok()?, usize::try_from(token.end).ok()?);
        match token.token() {
            pb::Token::SqlComment | pb::Token::CComment => {}
            _ => words.push((start, end, body.get(start..end)?)),
        }
    }
    let is = |at: usize, word: &str| words.get(at).is_some_and(|w| w.2.eq_ignore_ascii_case(word));
    let mut end = words.len();
    if end > 0 && is(end - 1, ";") {
        end -= 1;
    }
    end = end.checked_sub(1).filter(|e| is(0, "begin") && is(*e, "end"))?;
    let handler = (1..end).find(|at| is(*at, "exception") && is(at - 1, ";"));
    if let Some(handler) = handler {
        let mut at = handler + 1;
        if !is(at, "when") {
            return None;
        }
        // The conditions are names; what is done about them is nothing.
        while is(at, "when") || is(at, "or") {
            let name = words.get(at + 1)?.2;
            name.chars().all(|c| c.is_ascii_alphabetic() || c == '_').then_some(())?;
            at += 2;
        }
        let nothing = is(at + 1, "null") && is(at + 2, ";");
        if !is(at, "then") || at + (if nothing { 3 } else { 1 }) != end {
            return None;
        }
        end = handler;
    }
    let starts = |at: usize| is(at, "create") || is(at, "alter");
    let all_sql = (1..end).filter(|at| *at == 1 || is(at - 1, ";")).all(starts);
    let (first, last) = (words.get(1)?, words.get(end.checked_sub(1)?)?);
    (end > 2 && all_sql && last.2 == ";").then(|| body.get(first.0..last.1)).flatten()
}
