//! Small pieces of the lineage pass.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::Relation;

use super::{Column, Columns, Item, Scope};
use crate::parse;

pub(super) fn push<'a>(
    scope: &mut Scope<'a, '_>,
    alias: Option<&'a pb::Alias>,
    columns: Columns<'a>,
) {
    let renames = alias.map_or(&[][..], |a| &a.colnames);
    let alias = alias.map_or("", |a| &a.aliasname);
    scope.items.push(Item { alias, renames, columns, unqualified: true });
}

pub(super) fn find_cte<'s>(
    scope: &'s Scope<'_, '_>,
    name: &str,
) -> Option<Option<&'s Vec<Column>>> {
    let own = scope.ctes.iter().rev().find(|(n, _)| *n == name);
    match (own, scope.around) {
        (Some((_, columns)), _) => Some(columns.as_ref()),
        (None, Some(around)) => find_cte(around, name),
        (None, None) => None,
    }
}

pub(super) fn renamed(mut columns: Vec<Column>, names: &[Node]) -> Vec<Column> {
    for (column, name) in columns.iter_mut().zip(names) {
        if let Some(name) = parse::string(name) {
            name.clone_into(&mut column.name);
        }
    }
    columns
}

pub(super) fn work_of(columns: &[Column]) -> usize {
    columns.iter().map(|c| 1 + c.value.sources.len()).sum()
}

pub(super) fn number(relation: &Relation, name: &str) -> Option<i16> {
    relation.column(name).map(|c| c.number)
}

pub(super) fn is_column(node: Option<&Node>) -> bool {
    matches!(node.and_then(|n| n.node.as_ref()), Some(NodeEnum::ColumnRef(_)))
}
