//! Writes that tell of masked values: a constraint answers whether a value is there, by an error or a row count.
//!
//! UNIQUE and EXCLUDE answer about the columns that they cover, a foreign key about the columns that it points to and,
//! when the row there goes or changes, about those that point to it; CHECK answers about the columns of the row that the
//! change leaves as they are.

use std::collections::BTreeSet;

use writ_model::behind::{Key, KeyKind};
use writ_model::{
    Catalog, ColumnMasks, Relation, RelationUse, StatementFacts, StatementKind as Kind,
};

use crate::mask;

/// The constraints through which `facts` can ask about masked columns, as `schema.relation.constraint`.
pub(crate) fn of(
    catalog: &Catalog,
    masks: &ColumnMasks,
    facts: &StatementFacts,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if masks.is_empty() {
        return found;
    }
    for write in &facts.writes {
        let Some(relation) = catalog.relation_by_oid(write.oid) else { continue };
        for key in catalog.keys(relation.oid) {
            if asks(catalog, masks, facts, write, key) {
                let owner = catalog.relation_by_oid(key.relation).unwrap_or(relation);
                found.insert(format!("{}.{}.{}", owner.schema, owner.name, key.name));
            }
        }
    }
    found
}

fn asks(
    catalog: &Catalog,
    masks: &ColumnMasks,
    facts: &StatementFacts,
    write: &RelationUse,
    key: &Key,
) -> bool {
    let has = |kinds: &[Kind]| kinds.iter().any(|k| facts.kinds.contains(k));
    let changes = has(&[Kind::Update, Kind::Merge]);
    let stores = changes || has(&[Kind::Insert, Kind::CopyIn]);
    let owns = key.relation == write.oid;
    let (own, other) = (names(catalog, key.relation, &key.columns), || {
        names(catalog, key.referenced, &key.referenced_columns)
    });
    let given = |columns: &[&str]| columns.iter().any(|c| write.columns.contains(*c));
    match key.kind {
        KeyKind::Primary | KeyKind::Unique | KeyKind::Exclusion => {
            stores && given(&own) && any_masked(catalog, masks, key.relation, &own)
        }
        KeyKind::Check => {
            let left: Vec<&str> =
                own.iter().filter(|c| !write.columns.contains(**c)).copied().collect();
            changes && given(&own) && any_masked(catalog, masks, key.relation, &left)
        }
        // Definitions ask, not rows.
        KeyKind::DefaultPartition => false,
        KeyKind::Foreign => {
            let other = other();
            let points = owns && stores && given(&own);
            let goes =
                key.referenced == write.oid && (has(&[Kind::Delete]) || (changes && given(&other)));
            (points && any_masked(catalog, masks, key.referenced, &other))
                || (goes && any_masked(catalog, masks, key.relation, &own))
        }
    }
}

fn names<'a>(catalog: &'a Catalog, relation: u32, numbers: &[i16]) -> Vec<&'a str> {
    let columns = catalog.relation_by_oid(relation).map_or(&[][..], |r| r.columns.as_slice());
    columns.iter().filter(|c| numbers.contains(&c.number)).map(|c| c.name.as_str()).collect()
}

fn any_masked(catalog: &Catalog, masks: &ColumnMasks, relation: u32, columns: &[&str]) -> bool {
    let masked = |relation: &Relation| {
        let masked = mask::of(catalog.into(), masks, relation, false);
        columns.iter().any(|c| masked.contains_key(*c))
    };
    catalog.relation_by_oid(relation).is_some_and(masked)
}
