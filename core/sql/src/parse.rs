//! Text to parse tree and back, on a stack that fits the text.

use pg_query::{Node, NodeEnum, protobuf as pb};
use serde_json::Value;
use writ_model::OpaqueReason;

use crate::limits::{self, Depth};

/// The stack of the thread that parses deep texts, in bytes; only touched pages are backed.
const DEEP_STACK_BYTES: usize = 256 << 20;

/// Runs `work` on the caller's stack where `text` is shallow. Where it is not, or `work` gives `None`,
/// runs it on a large stack. Every tree must be dropped inside `work`.
pub(crate) fn with_stack<T: Send>(
    text: &str,
    work: impl Fn(Depth) -> Result<Option<T>, OpaqueReason> + Sync,
) -> Result<T, OpaqueReason> {
    if limits::check(text)? == Depth::Shallow
        && let Some(done) = work(Depth::Shallow)?
    {
        return Ok(done);
    }
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(DEEP_STACK_BYTES)
            .spawn_scoped(scope, || work(Depth::Deep))
            .map_err(|e| OpaqueReason::Limit(format!("no thread for a deep statement: {e}")))?
            .join()
            .map_err(|_| OpaqueReason::Limit("the analysis of a deep statement failed".into()))??
            .ok_or_else(|| OpaqueReason::Limit("the statement is too deep".into()))
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
pub(crate) fn print(tree: &pb::ParseResult) -> Result<String, OpaqueReason> {
    let failed = |why: String| OpaqueReason::Rewrite(why);
    let text =
        std::panic::catch_unwind(|| pg_query::deparse(tree, pg_query::DeparseOptions::default()))
            .map_err(|_| failed("the statement cannot be printed".into()))?
            .map_err(|e| failed(format!("the statement cannot be printed: {e}")))?;
    let again = parse(&text).map_err(|e| failed(format!("the printed text: {}", e.detail())))?;
    let same = tree.stmts.len() == again.stmts.len()
        && tree.stmts.iter().zip(&again.stmts).all(|(a, b)| match (&a.stmt, &b.stmt) {
            (Some(a), Some(b)) => same(a, b),
            _ => false,
        });
    if same { Ok(text) } else { Err(failed("the printed text has another meaning".into())) }
}

/// Whether two expressions are the same but for their places in the text.
pub(crate) fn same(a: &Node, b: &Node) -> bool {
    without_places(a).is_some_and(|a| Some(a) == without_places(b))
}

/// The tree as a plain value without the places in the text.
fn without_places(tree: &Node) -> Option<Value> {
    let mut value = serde_json::to_value(tree).ok()?;
    strip(&mut value);
    Some(value)
}

fn strip(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(fields) => {
            fields.retain(|field, _| !is_place(field));
            fields.values_mut().for_each(strip);
        }
        _ => {}
    }
}

fn is_place(field: &str) -> bool {
    field.contains("location")
        || matches!(
            field,
            "stmt_len" | "list_start" | "list_end" | "rexpr_list_start" | "rexpr_list_end"
        )
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
