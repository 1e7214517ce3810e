//! What replaces a masked relation: a subselect with a masked value in place of each value to hide.

use std::collections::BTreeMap;

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::mask::{ColumnMask, MaskKind};
use writ_model::{Catalog, Column, ColumnMasks, OpaqueReason, Relation, StatementFacts};

use crate::kinds::value;
use crate::overlay::Seen;
use crate::scope::family;
use crate::{parse, system};

/// The masks of a relation by column, with those of the relations that share its rows.
pub(crate) fn of(
    catalog: Seen<'_>,
    masks: &ColumnMasks,
    relation: &Relation,
    only: bool,
) -> BTreeMap<String, ColumnMask> {
    let mut found = BTreeMap::new();
    for member in family(catalog, relation, only) {
        for (column, mask) in masks.relation(&member.schema, &member.name).into_iter().flatten() {
            if relation.column(column).is_none() {
                continue;
            }
            let together = |other: &mut ColumnMask| {
                other.kind = other.kind.clone().and(mask.kind.clone());
            };
            found.entry(column.clone()).and_modify(together).or_insert_with(|| mask.clone());
        }
    }
    found
}

/// Whether the facts read a masked column.
pub(crate) fn touched(catalog: Seen<'_>, masks: &ColumnMasks, facts: &StatementFacts) -> bool {
    facts.reads.iter().any(|read| {
        let Some(masked) = masks.relation(&read.schema, &read.name) else { return false };
        let known = catalog.relation(&read.schema, &read.name).is_some();
        // A masked column that the snapshot does not have may have another name now.
        masked.keys().any(|c| read.columns.contains(c) || (!known && read.columns.contains("*")))
    })
}

/// Whether a row of the relation, as an error may quote it, holds something masked. A relation that the snapshot
/// does not have may hold anything, unless it is the session's own temporary one.
pub(crate) fn rows_are(catalog: &Catalog, masks: &ColumnMasks, schema: &str, name: &str) -> bool {
    if masks.is_empty() || schema.starts_with("pg_temp") {
        return false;
    }
    catalog
        .relation(schema, name)
        .is_none_or(|found| !of(catalog.into(), masks, found, false).is_empty())
}

/// The node that stands for `relation` with its masked columns replaced. `inner` is the query of a
/// view that is put in its place.
pub(crate) fn subselect(
    relation: &Relation,
    masked: &BTreeMap<String, ColumnMask>,
    only: bool,
    inner: Option<Box<pb::SelectStmt>>,
    written: &pb::RangeVar,
) -> Result<NodeEnum, OpaqueReason> {
    let query = match inner {
        Some(view) if masked.is_empty() => view,
        inner => {
            let mut query = parse::parse_query(&text(relation, masked, only))?;
            if let (Some(view), Some(from)) = (inner, query.from_clause.first_mut()) {
                from.node = Some(subquery(view, named(&relation.name)));
            }
            query
        }
    };
    let alias = written.alias.clone().unwrap_or_else(|| named(&written.relname));
    Ok(subquery(query, alias))
}

fn named(name: &str) -> pb::Alias {
    pb::Alias { aliasname: name.to_owned(), colnames: Vec::new() }
}

fn subquery(query: Box<pb::SelectStmt>, alias: pb::Alias) -> NodeEnum {
    NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
        lateral: false,
        subquery: Some(Box::new(Node { node: Some(NodeEnum::SelectStmt(query)) })),
        alias: Some(alias),
    }))
}

/// The expression of an oid.
pub(crate) fn oid(oid: u32) -> Option<NodeEnum> {
    expression(&format!("{oid}::pg_catalog.oid"))
}

/// The expression that stands for a masked column of the entry called `alias`.
pub(crate) fn value_of(alias: &str, column: &Column, mask: &ColumnMask) -> Option<NodeEnum> {
    expression(&value(column, mask, &format!("{}.{}", quoted(alias), quoted(&column.name))))
}

fn expression(text: &str) -> Option<NodeEnum> {
    let query = parse::parse_query(&format!("SELECT {text}")).ok()?;
    match query.target_list.into_iter().next()?.node? {
        NodeEnum::ResTarget(target) => target.val?.node,
        _ => None,
    }
}

/// `name` as a quoted identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text(relation: &Relation, masked: &BTreeMap<String, ColumnMask>, only: bool) -> String {
    let keys = system::keys_of(&relation.schema, &relation.name);
    let shown = |column: &Column| {
        let name = quoted(&column.name);
        match masked.get(&column.name) {
            // Which statistics there are depends on the data: none are shown to be.
            Some(mask) if !keys.is_empty() && !column.not_null => {
                let mask = ColumnMask { kind: MaskKind::Null, ..mask.clone() };
                format!("{} AS {name}", value(column, &mask, &name))
            }
            Some(mask) => format!("{} AS {name}", value(column, mask, &name)),
            None => name,
        }
    };
    let columns: Vec<String> = relation.columns.iter().map(shown).collect();
    let only = if only { "ONLY " } else { "" };
    let (schema, name) = (quoted(&relation.schema), quoted(&relation.name));
    let order = order(relation, keys);
    format!("SELECT {} FROM {only}{schema}.{name}{order}", columns.join(", "))
}

/// Where rows lie in the server's statistics depends on the widths of samples of data: they come in an order of their own.
fn order(relation: &Relation, keys: &[&str]) -> String {
    let here: Vec<String> =
        keys.iter().filter(|key| relation.column(key).is_some()).map(|key| quoted(key)).collect();
    if here.is_empty() { String::new() } else { format!(" ORDER BY {}", here.join(", ")) }
}
