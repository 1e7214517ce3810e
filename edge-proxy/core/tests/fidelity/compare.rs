//! The facts of a text against what the server saw: relations and columns, and the kind of statement.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::catalog::Relation;
use writ_model::{Catalog, RelationUse, StatementFacts, StatementKind as Kind};

use crate::seen::{Seen, may_be_below_system_view};

/// How the facts differ from what the server saw.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// The server uses it and the facts do not say so.
    pub(crate) under: Vec<String>,
    /// The facts say so and the server does not use it.
    pub(crate) over: Vec<String>,
}

type Columns = BTreeMap<u32, BTreeSet<String>>;

/// Compares. `flat`: what the trees list may include what the server's own views need.
pub(crate) fn compare(
    facts: &StatementFacts,
    seen: &Seen,
    catalog: &Catalog,
    flat: bool,
) -> Difference {
    let planned = facts.kinds.contains(&Kind::Explain) && !facts.kinds.iter().any(|k| k.changes());
    let (mut reads, mut optional, mut writes) = (Columns::new(), Columns::new(), Columns::new());
    for (oid, used) in seen {
        let Some(relation) = catalog.relation_by_oid(*oid) else { continue };
        optional.entry(*oid).or_default().extend(names(relation, &used.may_read));
        let hidden = flat && may_be_below_system_view(*oid, used);
        let reads = if hidden { &mut optional } else { &mut reads };
        if let Some(columns) = &used.read {
            reads.entry(*oid).or_default().extend(names(relation, columns));
        }
        if let Some(columns) = &used.written {
            if planned {
                // Nothing is written; the facts list the target as read.
                reads.entry(*oid).or_default();
            } else {
                let written = writes.entry(*oid).or_default();
                written.extend(names(relation, columns));
                if used.deleted {
                    written.extend(relation.columns.iter().map(|c| c.name.clone()));
                }
            }
        }
    }
    let mut difference = Difference::default();
    missing("reads", &reads, &facts.reads, catalog, &mut difference.under);
    missing("writes", &writes, &facts.writes, catalog, &mut difference.under);
    for (oid, columns) in optional {
        reads.entry(oid).or_default().extend(columns);
    }
    surplus("reads", &reads, &facts.reads, catalog, &mut difference.over);
    // What a utility statement changes is in no tree.
    let utility = [Kind::CopyIn, Kind::CopyServerFile, Kind::Maintenance, Kind::Truncate];
    if facts.kinds.iter().any(|k| utility.contains(k)) {
        return difference;
    }
    surplus("writes", &writes, &facts.writes, catalog, &mut difference.over);
    difference
}

/// The names of columns by number; system columns are left out: they hold no user's data.
fn names(relation: &Relation, numbers: &BTreeSet<i64>) -> Vec<String> {
    let whole = numbers.contains(&0);
    let used = |number: i16| whole || numbers.contains(&i64::from(number));
    relation.columns.iter().filter(|c| used(c.number)).map(|c| c.name.clone()).collect()
}

fn missing(
    what: &str,
    wanted: &Columns,
    said: &BTreeSet<RelationUse>,
    catalog: &Catalog,
    out: &mut Vec<String>,
) {
    for (oid, columns) in wanted {
        let Some(relation) = catalog.relation_by_oid(*oid) else { continue };
        match said.iter().find(|u| u.oid == *oid) {
            None => out.push(format!("{what} {} {columns:?}", relation.name)),
            Some(said) => {
                let unsaid: Vec<_> = columns.difference(&said.columns).collect();
                if !unsaid.is_empty() {
                    out.push(format!("{what} {} {unsaid:?}", relation.name));
                }
            }
        }
    }
}

fn surplus(
    what: &str,
    wanted: &Columns,
    said: &BTreeSet<RelationUse>,
    catalog: &Catalog,
    out: &mut Vec<String>,
) {
    let mut allowed = Columns::new();
    for (oid, columns) in wanted {
        for member in family(catalog, *oid) {
            allowed.entry(member).or_default().extend(columns.iter().cloned());
        }
    }
    for said in said {
        match allowed.get(&said.oid) {
            None => out.push(format!("{what} {} {:?}", said.name, said.columns)),
            Some(allowed) => {
                let more: Vec<_> = said.columns.difference(allowed).collect();
                if !more.is_empty() {
                    out.push(format!("{what} {} {more:?}", said.name));
                }
            }
        }
    }
}

/// The relations that share rows with one: the facts list them all, since a mask on one holds for all.
fn family(catalog: &Catalog, oid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([oid]);
    let (mut up, mut down) = (vec![oid], vec![oid]);
    while let Some(next) = up.pop() {
        let parents = catalog.relation_by_oid(next).map_or(&[][..], |r| r.parents.as_slice());
        up.extend(parents.iter().filter(|p| found.insert(**p)));
    }
    while let Some(next) = down.pop() {
        down.extend(catalog.children(next).iter().filter(|c| found.insert(**c)));
    }
    found
}

/// Whether the kinds of a text can be those of a statement with this command tag.
pub(crate) fn fits(tag: &str, kinds: &BTreeSet<Kind>) -> bool {
    let any = |wanted: &[Kind]| wanted.iter().any(|k| kinds.contains(k));
    let word = |n: usize| tag.split(' ').nth(n).unwrap_or_default();
    match word(0) {
        // EXECUTE has the tag of what it runs; CREATE TABLE AS that of its query.
        "SELECT" => any(&[Kind::Select, Kind::Prepare, Kind::Create]),
        "INSERT" => any(&[Kind::Insert, Kind::Prepare]),
        "UPDATE" => any(&[Kind::Update, Kind::Prepare]),
        "DELETE" => any(&[Kind::Delete, Kind::Prepare]),
        "MERGE" => any(&[Kind::Merge, Kind::Prepare]),
        "COPY" => any(&[Kind::CopyIn, Kind::CopyOut, Kind::CopyServerFile, Kind::CopyProgram]),
        "FETCH" | "MOVE" | "DECLARE" | "CLOSE" => any(&[Kind::Cursor]),
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" => {
            any(&[Kind::Transaction])
        }
        "PREPARE" if word(1) == "TRANSACTION" => any(&[Kind::Transaction]),
        "PREPARE" | "DEALLOCATE" => any(&[Kind::Prepare]),
        "EXPLAIN" => any(&[Kind::Explain]),
        "LISTEN" | "NOTIFY" | "UNLISTEN" => any(&[Kind::Notify]),
        "TRUNCATE" => any(&[Kind::Truncate]),
        "LOCK" => any(&[Kind::Lock]),
        "DO" => any(&[Kind::Do]),
        "CALL" => any(&[Kind::Call]),
        "DISCARD" => any(&[Kind::Discard]),
        "VACUUM" | "ANALYZE" | "CLUSTER" | "REINDEX" | "CHECKPOINT" | "REFRESH" => {
            any(&[Kind::Maintenance])
        }
        "SET" | "RESET" | "SHOW" => any(&[Kind::Set, Kind::SetRole, Kind::Server]),
        "LOAD" => any(&[Kind::Server]),
        "GRANT" | "REVOKE" => any(&[Kind::Grant, Kind::Role]),
        "COMMENT" | "SECURITY" => any(&[Kind::Alter]),
        "REASSIGN" => any(&[Kind::Role]),
        "CREATE" => any(&[Kind::Create, Kind::Role, Kind::Server]),
        "ALTER" => any(&[Kind::Alter, Kind::Role, Kind::Grant, Kind::Server]),
        // What a session made for itself it discards.
        "DROP" => any(&[Kind::Drop, Kind::Discard, Kind::Role, Kind::Server]),
        "IMPORT" => any(&[Kind::Server]),
        _ => false,
    }
}
