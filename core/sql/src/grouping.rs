//! GROUP BY a key: the server lets a query show every column of a table whose primary key it groups by. A subselect in
//! the table's place has no key, so that the columns that are shown are named in GROUP BY too: each group has one value
//! of them, so that the groups stay the same.

use std::collections::BTreeSet;
use std::rc::Rc;

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::behind::KeyKind;
use writ_model::{Relation, RelationKind};

use crate::bounds::clauses;
use crate::children::{Children, Visitor, descend};
use crate::scope::{Entry, Hit, Source};
use crate::walk::Walk;
use crate::{mask, parse};

/// Types that have no equality: the server cannot group by them.
const UNGROUPABLE: [&str; 10] =
    ["json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle", "txid_snapshot"];

impl Walk<'_> {
    /// Adds to GROUP BY what depends on a key that is in it.
    pub(crate) fn group_dependents(&self, select: &mut pb::SelectStmt) {
        let sets = |item: &Node| matches!(item.node, Some(NodeEnum::GroupingSet(_)));
        // A column of a set is NULL in the rows of the others: none may be added to all of them.
        if self.masks.is_none()
            || select.group_clause.is_empty()
            || select.group_clause.iter().any(sets)
        {
            return;
        }
        let Some(level) = self.levels.last() else { return };
        for entry in level.entries.iter().filter(|e| e.replaced) {
            let Some(relation) = self.keyed(entry) else { continue };
            let grouped: BTreeSet<String> = select
                .group_clause
                .iter()
                .filter_map(|item| real(&level.entries, entry, item))
                .collect();
            if !self.has_key_in(entry, relation, &grouped) {
                continue;
            }
            let mut used = Used { entries: &level.entries, entry, columns: BTreeSet::new() };
            used.all_of(select);
            let missing = relation.columns.iter().enumerate().filter(|(_, column)| {
                used.columns.contains(&column.name)
                    && !grouped.contains(&column.name)
                    && !UNGROUPABLE.contains(&element(&column.type_name))
            });
            let added: Vec<Node> = missing
                .map(|(at, column)| {
                    let shown = entry.renames.get(at).unwrap_or(&column.name);
                    reference(&entry.alias, shown)
                })
                .collect();
            select.group_clause.extend(added);
        }
    }

    /// The table that an entry stands for, if it is one.
    fn keyed(&self, entry: &Entry) -> Option<&Relation> {
        let Source::Relation { schema, name, .. } = &entry.source else { return None };
        self.catalog.relation(schema, name).filter(|found| found.definition.is_none())
    }

    /// Whether the primary key is grouped by as it is, and no row of another table stands among those of this one.
    fn has_key_in(&self, entry: &Entry, relation: &Relation, grouped: &BTreeSet<String>) -> bool {
        let Some(masks) = self.masks else { return false };
        let only = matches!(entry.source, Source::Relation { only: true, .. });
        let partitioned = relation.kind == RelationKind::PartitionedTable;
        if !only && !partitioned && !self.catalog.children(relation.oid).is_empty() {
            return false;
        }
        let masked = mask::of(self.catalog, masks, relation, only);
        let holds = |number: &i16| {
            let column = relation.columns.iter().find(|c| c.number == *number);
            column.is_some_and(|c| grouped.contains(&c.name) && !masked.contains_key(&c.name))
        };
        self.catalog.keys(relation.oid).any(|key| {
            key.kind == KeyKind::Primary
                && key.relation == relation.oid
                && !key.columns.is_empty()
                && key.columns.iter().all(holds)
        })
    }
}

/// The real column of `entry` that `node` surely names.
fn real(entries: &[Rc<Entry>], entry: &Entry, node: &Node) -> Option<String> {
    let Some(NodeEnum::ColumnRef(column)) = &node.node else { return None };
    let fields: Option<Vec<&str>> = column.fields.iter().map(parse::string).collect();
    let name = match fields?[..] {
        [name] => {
            let others = entries.iter().filter(|e| e.unqualified && e.alias != entry.alias);
            others.map(|e| e.hit(name)).all(|hit| hit == Hit::None).then_some(name)?
        }
        [table, name] if table == entry.alias => name,
        _ => return None,
    };
    match entry.hit(name) {
        Hit::Column(real) => Some(real),
        _ => None,
    }
}

/// The type of an array's elements, and of anything else the type itself.
fn element(type_name: &str) -> &str {
    type_name.split_once('[').map_or(type_name, |(element, _)| element)
}

fn reference(alias: &str, column: &str) -> Node {
    let fields = [alias, column]
        .map(|text| Node { node: Some(NodeEnum::String(pb::String { sval: text.to_owned() })) });
    Node { node: Some(NodeEnum::ColumnRef(pb::ColumnRef { fields: fields.into(), location: 0 })) }
}

/// The columns of `entry` that a query shows or sorts by.
struct Used<'a> {
    entries: &'a [Rc<Entry>],
    entry: &'a Entry,
    columns: BTreeSet<String>,
}

impl Used<'_> {
    fn all_of(&mut self, select: &pb::SelectStmt) {
        select.target_list.clone().children(self);
        select.having_clause.clone().children(self);
        select.sort_clause.clone().children(self);
        select.distinct_clause.clone().children(self);
        select.window_clause.clone().children(self);
    }

    fn note(&mut self, column: &Node) {
        if let Some(real) = real(self.entries, self.entry, column) {
            self.columns.insert(real);
            return;
        }
        let Some(NodeEnum::ColumnRef(column)) = &column.node else { return };
        let names = parse::strings(&column.fields);
        let star = column.fields.last().is_some_and(|field| parse::string(field).is_none());
        let here = match names.as_slice() {
            [_] => true,
            [table, _] => *table == self.entry.alias,
            _ => false,
        };
        if let (true, true, Source::Relation { columns: Some(all), .. }) =
            (star, here, &self.entry.source)
        {
            self.columns.extend(all.iter().cloned());
        }
    }
}

impl Visitor for Used<'_> {
    fn node(&mut self, node: &mut Node) {
        match node.node.as_mut() {
            Some(NodeEnum::ColumnRef(_)) => self.note(node),
            Some(NodeEnum::SelectStmt(select)) => self.select(select),
            Some(inner) => {
                // What the walk does not know is opaque there; here it is only not a column.
                let _ = descend(inner, self);
            }
            None => {}
        }
    }

    fn range_var(&mut self, _: &mut pb::RangeVar) {}

    /// A subquery can look at the rows of the query around it.
    fn select(&mut self, select: &mut pb::SelectStmt) {
        clauses(select, self);
    }
}
