//! Whether a WHERE clause bounds a change: best effort against conditions that hold for every row.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::Relation;

use crate::children::{Children, Visitor, descend};
use crate::parse;

/// So many arms of an OR are compared with each other.
const ARMS_MAX: usize = 64;

/// Whether `condition` can be false for a row of `target`.
pub(crate) fn bounds(condition: &Node, target: Option<&Relation>) -> bool {
    !always(condition, target)
}

/// Looks for something that depends on a row.
struct Rows(bool);

impl Visitor for Rows {
    fn node(&mut self, node: &mut Node) {
        match node.node.as_mut() {
            Some(NodeEnum::ColumnRef(_) | NodeEnum::CurrentOfExpr(_)) => self.0 = true,
            Some(NodeEnum::SelectStmt(select)) => self.select(select),
            Some(inner) => {
                // What the walk does not know is opaque there; here it is only not a column.
                let _ = descend(inner, self);
            }
            None => {}
        }
    }

    fn range_var(&mut self, _: &mut pb::RangeVar) {}

    fn select(&mut self, select: &mut pb::SelectStmt) {
        clauses(select, self);
    }
}

/// Visits what a subquery computes, from where, and under which conditions.
pub(crate) fn clauses(select: &mut pb::SelectStmt, visitor: &mut impl Visitor) {
    select.target_list.children(visitor);
    select.where_clause.children(visitor);
    select.having_clause.children(visitor);
    select.from_clause.children(visitor);
    select.larg.children(visitor);
    select.rarg.children(visitor);
}

fn depends_on_rows(node: &Node) -> bool {
    let mut rows = Rows(false);
    rows.node(&mut node.clone());
    rows.0
}

fn always(node: &Node, target: Option<&Relation>) -> bool {
    let Some(inner) = node.node.as_ref() else { return true };
    if !depends_on_rows(node) {
        // `true`, `1 = 1`, `now() > …`, `EXISTS (SELECT 1)`: the same for every row.
        return true;
    }
    match inner {
        NodeEnum::BoolExpr(expression) => boolean(expression, target),
        NodeEnum::AExpr(expression) => comparison(expression),
        NodeEnum::NullTest(test) => {
            let not_null = test.nulltesttype() == pb::NullTestType::IsNotNull;
            not_null && test.arg.as_deref().is_some_and(|a| never_null(a, target))
        }
        NodeEnum::CoalesceExpr(expression) => {
            expression.args.last().is_some_and(|last| always(last, target))
        }
        _ => false,
    }
}

fn boolean(expression: &pb::BoolExpr, target: Option<&Relation>) -> bool {
    match expression.boolop() {
        pb::BoolExprType::AndExpr => expression.args.iter().all(|a| always(a, target)),
        pb::BoolExprType::OrExpr => {
            expression.args.iter().any(|a| always(a, target)) || covers(&expression.args)
        }
        _ => false,
    }
}

/// Whether two arms are a condition and its opposite.
fn covers(arms: &[Node]) -> bool {
    let arms = arms.get(..ARMS_MAX).unwrap_or(arms);
    let pairs =
        arms.iter().enumerate().flat_map(|(at, a)| arms.iter().skip(at + 1).map(move |b| (a, b)));
    pairs.into_iter().any(|(a, b)| opposite(a, b) || opposite(b, a))
}

fn opposite(a: &Node, b: &Node) -> bool {
    match (&a.node, &b.node) {
        (Some(NodeEnum::NullTest(a)), Some(NodeEnum::NullTest(b))) => {
            a.nulltesttype != b.nulltesttype && same(a.arg.as_deref(), b.arg.as_deref())
        }
        (_, Some(NodeEnum::BoolExpr(not))) if not.boolop() == pb::BoolExprType::NotExpr => {
            not.args.first().is_some_and(|inner| parse::same(a, inner))
        }
        (Some(NodeEnum::AExpr(a)), Some(NodeEnum::AExpr(b))) => {
            let ops = (name(a), name(b));
            let pair = |x: &str, y: &str| ops == (Some(x), Some(y)) || ops == (Some(y), Some(x));
            (pair("=", "<>") || pair("<", ">=") || pair(">", "<=") || pair("<=", ">="))
                && same(a.lexpr.as_deref(), b.lexpr.as_deref())
                && same(a.rexpr.as_deref(), b.rexpr.as_deref())
        }
        _ => false,
    }
}

fn name(expression: &pb::AExpr) -> Option<&str> {
    expression.name.last().and_then(parse::string)
}

fn same(a: Option<&Node>, b: Option<&Node>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if parse::same(a, b))
}

fn comparison(expression: &pb::AExpr) -> bool {
    use pb::AExprKind::{AexprBetween, AexprIlike, AexprLike, AexprNotDistinct, AexprOp};
    let reflexive = same(expression.lexpr.as_deref(), expression.rexpr.as_deref());
    let operator = name(expression);
    match expression.kind() {
        AexprOp => reflexive && matches!(operator, Some("=" | "<=" | ">=" | "~" | "~~")),
        AexprNotDistinct => reflexive,
        AexprLike | AexprIlike => {
            let pattern = expression.rexpr.as_deref().and_then(parse::constant);
            reflexive
                || (matches!(operator, Some("~~" | "~~*"))
                    && pattern.is_some_and(|p| !p.is_empty() && p.chars().all(|c| c == '%')))
        }
        AexprBetween => false,
        _ => false,
    }
}

fn never_null(node: &Node, target: Option<&Relation>) -> bool {
    let Some(NodeEnum::ColumnRef(column)) = &node.node else { return false };
    let name = column.fields.last().and_then(parse::string);
    let column = name.and_then(|n| target.and_then(|t| t.column(n)));
    column.is_some_and(|c| c.not_null)
}
