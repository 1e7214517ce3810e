//! Text to parse tree and back, on a stack that fits the text.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::OpaqueReason;

use crate::children::Places;
use crate::limits;

/// The stack of the thread that parses deep texts, in bytes; only touched pages are backed.
const DEEP_STACK_BYTES: usize = 256 << 20;

/// What one level of a tree takes of the stack at most, in bytes: measured, with a margin of two.
const LEVEL_BYTES: usize = if cfg!(debug_assertions) { 128 << 10 } else { 8 << 10 };
/// What must be left for what does not grow with the tree, in bytes; the C parser keeps half of it free.
const STACK_RESERVE_BYTES: usize = 768 << 10;

/// Whether what is left of this stack can hold a tree of `levels`.
pub(crate) fn fits_here(levels: usize) -> bool {
    stacker::remaining_stack()
        .and_then(|left| left.checked_sub(STACK_RESERVE_BYTES))
        .is_some_and(|left| left / LEVEL_BYTES >= levels)
}

/// Runs `work` on the caller's stack where it can hold the tree of `text` and `more` levels. Where it
/// cannot, or `work` gives `None` because a view below does not fit, runs it on a large stack. Every
/// tree must be dropped inside `work`.
pub(crate) fn with_stack<T: Send>(
    text: &str,
    more: usize,
    work: impl Fn() -> Result<Option<T>, OpaqueReason> + Sync,
) -> Result<T, OpaqueReason> {
    let levels = limits::check(text)?;
    if fits_here(levels + more)
        && let Some(done) = work()?
    {
        return Ok(done);
    }
    on_large_stack(&work)??.ok_or_else(|| OpaqueReason::Limit("the statement is too deep".into()))
}

/// Runs `work` where every text within the limits fits.
pub(crate) fn on_large_stack<T: Send>(work: impl Fn() -> T + Sync) -> Result<T, OpaqueReason> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(DEEP_STACK_BYTES)
            .spawn_scoped(scope, &work)
            .map_err(|e| OpaqueReason::Limit(format!("no thread for a deep statement: {e}")))?
            .join()
            .map_err(|_| OpaqueReason::Limit("the analysis of a deep statement failed".into()))
    })
}

/// Parses `text` by the server's grammar. The caller has checked the limits.
pub(crate) fn parse(text: &str) -> Result<pb::ParseResult, OpaqueReason> {
    writ_sql_tree::parse(text).map_err(|e| OpaqueReason::Syntax(e.to_string()))
}

/// Parses one query that this crate or the server wrote.
pub(crate) fn parse_query(text: &str) -> Result<Box<pb::SelectStmt>, OpaqueReason> {
    let tree = parse(text)?;
    let mut statements = tree.stmts.into_iter().filter_map(|raw| raw.stmt?.node);
    match (statements.next(), statements.next()) {
        (Some(NodeEnum::SelectStmt(select)), None) => Ok(select),
        _ => Err(OpaqueReason::Syntax("a definition is not one query".into())),
    }
}

/// Prints a tree, and proves that the text means that tree and nothing else.
pub(crate) fn print(mut tree: pb::ParseResult) -> Result<String, OpaqueReason> {
    let failed = |why: String| OpaqueReason::Rewrite(why);
    let text =
        std::panic::catch_unwind(|| pg_query::deparse(&tree, pg_query::DeparseOptions::default()))
            .map_err(|_| failed("the statement cannot be printed".into()))?
            .map_err(|e| failed(format!("the statement cannot be printed: {e}")))?;
    let mut again =
        parse(&text).map_err(|e| failed(format!("the printed text: {}", e.detail())))?;
    for raw in tree.stmts.iter_mut().chain(&mut again.stmts) {
        raw.forget_places();
    }
    if tree.stmts == again.stmts {
        Ok(text)
    } else {
        Err(failed("the printed text has another meaning".into()))
    }
}

/// Whether two expressions are the same but for their places in the text.
pub(crate) fn same(a: &Node, b: &Node) -> bool {
    let (mut a, mut b) = (a.clone(), b.clone());
    a.forget_places();
    b.forget_places();
    a == b
}

/// The text of a String node.
pub(crate) fn string(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::String(s) => Some(&s.sval),
        _ => None,
    }
}

/// The texts of a list of String nodes; anything else in it is `*`.
pub(crate) fn strings(nodes: &[Node]) -> Vec<String> {
    nodes.iter().map(|n| string(n).unwrap_or("*").to_owned()).collect()
}

/// The text of a string constant, also behind a cast.
pub(crate) fn constant(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::AConst(c) => match c.val.as_ref()? {
            pb::a_const::Val::Sval(s) => Some(&s.sval),
            _ => None,
        },
        NodeEnum::TypeCast(cast) => constant(cast.arg.as_deref()?),
        _ => None,
    }
}
