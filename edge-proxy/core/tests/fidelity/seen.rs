//! What the server itself says a statement reads and writes: the range tables of its own trees.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::catalog::FIRST_USER_OID;
use writ_model::{Catalog, RelationKind};

use crate::tree::{Node, Value};

// Bits of `requiredPerms`.
const INSERT: u32 = 1;
const SELECT: u32 = 2;
const DELETE: u32 = 8;
/// What the server adds to a column's number in its sets of columns: system columns are negative.
const COLUMN_OFFSET: i64 = 7;

/// What a range table's entries are called; from PostgreSQL 16 on, their rights are nodes of their own.
const ENTRIES: [&str; 3] = ["RTE", "RANGETBLENTRY", "RTEPERMISSIONINFO"];

/// One relation as the server uses it, with columns by number; 0 stands for the whole row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Use {
    /// The columns read; `None` where none may be and the relation is not read either.
    pub(crate) read: Option<BTreeSet<i64>>,
    /// Columns that a view's definition names, which may be read.
    pub(crate) may_read: BTreeSet<i64>,
    /// The columns written; `None` where it is not written.
    pub(crate) written: Option<BTreeSet<i64>>,
    /// Whether rows are deleted.
    pub(crate) deleted: bool,
    /// Whether every use is in a view's definition.
    pub(crate) below_view: bool,
}

/// What trees use, by oid.
pub(crate) type Seen = BTreeMap<u32, Use>;

/// The fields with the conditions that row security adds to a statement.
const ROW_SECURITY: [&str; 2] = ["securityQuals", "withCheckOptions"];

/// Adds what one tree uses.
pub(crate) fn collect(value: &Value, catalog: &Catalog, seen: &mut Seen) {
    match value {
        Value::Atom(_) => {}
        Value::List(items) => items.iter().for_each(|item| collect(item, catalog, seen)),
        Value::Node(node) => {
            if ENTRIES.contains(&node.name.as_str()) {
                entry(node, seen);
                if is_system_view(node, catalog, seen) {
                    return;
                }
            }
            for (_, values) in node.fields.iter().filter(|f| !ROW_SECURITY.contains(&f.0.as_str()))
            {
                values.iter().for_each(|value| collect(value, catalog, seen));
            }
        }
    }
}

/// Adds what the conditions of row security read.
pub(crate) fn collect_row_security(value: &Value, catalog: &Catalog, seen: &mut Seen) {
    match value {
        Value::Atom(_) => {}
        Value::List(items) => {
            items.iter().for_each(|item| collect_row_security(item, catalog, seen));
        }
        Value::Node(node) => {
            for (name, values) in &node.fields {
                let wanted = ROW_SECURITY.contains(&name.as_str());
                let add = if wanted { collect } else { collect_row_security };
                values.iter().for_each(|value| add(value, catalog, seen));
            }
        }
    }
}

/// Whether an entry stands for one of the server's own views, which are known as they are; notes it.
fn is_system_view(node: &Node, catalog: &Catalog, seen: &mut Seen) -> bool {
    let [Value::Node(query)] = node.field("subquery") else { return false };
    let [Value::List(entries)] = query.field("rtable") else { return false };
    let Some(Value::Node(old)) = entries.first() else { return false };
    let view = catalog.relation_by_oid(old.number("relid"));
    let of_server = view.is_some_and(|v| v.is_system() && v.kind == RelationKind::View);
    if of_server {
        entry(old, seen);
    }
    of_server
}

fn entry(node: &Node, seen: &mut Seen) {
    let (oid, rights) = (node.number("relid"), node.number("requiredPerms"));
    // EXCLUDED is the row that a statement brings along, not a stored one.
    if node.number("rtekind") != 0 || oid == 0 || rights == 0 || node.word("relkind") == "c" {
        return;
    }
    let columns = |field: &str| {
        node.bits(field).into_iter().map(|bit| i64::from(bit) - COLUMN_OFFSET).collect::<Vec<_>>()
    };
    let fresh = !seen.contains_key(&oid);
    let used = seen.entry(oid).or_default();
    if rights & SELECT != 0 {
        used.read.get_or_insert_default().extend(columns("selectedCols"));
    }
    used.may_read.extend(columns("selectedCols"));
    let written: Vec<i64> =
        columns("insertedCols").into_iter().chain(columns("updatedCols")).collect();
    if rights & (INSERT | DELETE) != 0 || !written.is_empty() {
        used.written.get_or_insert_default().extend(written);
    }
    used.deleted |= rights & DELETE != 0;
    let below = node.number("checkAsUser") != 0;
    used.below_view = below && (fresh || used.below_view);
}

/// Whether a flat range table may list this only because one of the server's views needs it.
pub(crate) fn may_be_below_system_view(oid: u32, used: &Use) -> bool {
    oid < FIRST_USER_OID && used.below_view
}
