//! The names of a query's output columns, as far as the text alone says them for sure.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::children::{Children, Visitor};
use crate::parse;
use crate::scope::Hit;
use crate::walk::Walk;

/// Names that a query's output surely has. It may have others: `*` and most expressions do not tell.
pub(crate) fn sure(select: &pb::SelectStmt) -> Vec<String> {
    // The first arm of a set operation names the columns.
    let mut first = select;
    while let Some(left) = first.larg.as_deref() {
        first = left;
    }
    if let Some(Some(NodeEnum::List(row))) = first.values_lists.first().map(|row| &row.node) {
        return (1..=row.items.len()).map(|at| format!("column{at}")).collect();
    }
    first.target_list.iter().filter_map(name).collect()
}

/// Those of a statement in WITH or FROM.
pub(crate) fn sure_of(query: Option<&Node>) -> Vec<String> {
    match query.map(|q| &q.node) {
        Some(Some(NodeEnum::SelectStmt(select))) => sure(select),
        _ => Vec::new(),
    }
}

fn name(target: &Node) -> Option<String> {
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
    if !target.name.is_empty() {
        return Some(target.name.clone());
    }
    match &target.val.as_deref()?.node {
        Some(NodeEnum::ColumnRef(column)) => {
            column.fields.last().and_then(parse::string).map(str::to_owned)
        }
        Some(NodeEnum::FuncCall(call)) => {
            call.funcname.last().and_then(parse::string).map(str::to_owned)
        }
        _ => None,
    }
}

/// The name that an item of ORDER BY, GROUP BY or DISTINCT ON is, if it is only a name.
fn bare(item: &Node) -> Option<&str> {
    let item = match &item.node {
        Some(NodeEnum::SortBy(sort)) => sort.node.as_deref()?,
        _ => item,
    };
    match &item.node {
        Some(NodeEnum::ColumnRef(column)) => match column.fields.as_slice() {
            [only] => parse::string(only),
            _ => None,
        },
        _ => None,
    }
}

impl Walk<'_> {
    /// Items of ORDER BY or DISTINCT ON: a name alone is first of all an output column's.
    pub(crate) fn ordered(&mut self, items: &mut [Node], outputs: &[String]) {
        for item in items {
            match bare(item) {
                Some(name) if outputs.iter().any(|o| o == name) => {
                    if let Some(NodeEnum::SortBy(sort)) = &item.node {
                        self.operator(&sort.use_op);
                    }
                }
                Some(_) => self.outputs(|walk| walk.node(item)),
                None => item.children(self),
            }
        }
    }

    /// Items of GROUP BY: a name alone is first of all a column's of this level, and then an output
    /// column's.
    pub(crate) fn grouped(&mut self, items: &mut [Node], outputs: &[String]) {
        for item in items {
            if let Some(NodeEnum::GroupingSet(set)) = item.node.as_mut() {
                self.grouped(&mut set.content, outputs);
                continue;
            }
            match bare(item) {
                Some(name) if self.is_here(name) => item.children(self),
                Some(name) if outputs.iter().any(|o| o == name) && !self.may_be_here(name) => {}
                Some(_) => self.outputs(|walk| walk.node(item)),
                None => item.children(self),
            }
        }
    }

    fn is_here(&self, name: &str) -> bool {
        let sure = |hit| matches!(hit, Hit::Column(_) | Hit::System(_) | Hit::Derived);
        self.here(name).any(sure)
    }

    fn may_be_here(&self, name: &str) -> bool {
        self.here(name).any(|hit| hit != Hit::None)
    }

    fn here(&self, name: &str) -> impl Iterator<Item = Hit> {
        let entries = self.levels.last().map_or(&[][..], |l| l.entries.as_slice());
        entries.iter().filter(|e| e.unqualified).map(move |e| e.hit(name))
    }
}
