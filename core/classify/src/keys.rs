//! Foreign keys: both ends hold the same values, so what is found at one holds at the other.

use std::collections::HashMap;

use writ_model::behind::{Key, KeyKind};
use writ_model::config::ColumnClassification;
use writ_model::{Catalog, ColumnRef, Relation, Tag};

use crate::tags::Kind;

/// From this confidence on, in percent, a column that was found harmless is not screened.
const SURE_PERCENT: u8 = 70;

/// Carries findings over foreign keys, in both directions, to columns that were taken for harmless. Doubt is left as it
/// is: what is `unclassified` is masked, and what is uncertain is screened, and neither may end by a key that somebody
/// makes.
pub fn follow_keys(findings: &mut [ColumnClassification], catalog: &Catalog) {
    let pairs: Vec<(ColumnRef, ColumnRef)> =
        catalog.behind().keys.iter().flat_map(|key| ends(key, catalog)).collect();
    let places: HashMap<ColumnRef, usize> =
        findings.iter().enumerate().map(|(at, finding)| (finding.column.clone(), at)).collect();
    // Each round settles at least one column, and none twice.
    loop {
        let mut settled = false;
        for (here, there) in &pairs {
            let (Some(&here), Some(&there)) = (places.get(here), places.get(there)) else {
                continue;
            };
            settled |= carry(findings, here, there, "it is referred to by");
            settled |= carry(findings, there, here, "it refers to");
        }
        if !settled {
            return;
        }
    }
}

/// The columns of a foreign key and those that they refer to.
fn ends(key: &Key, catalog: &Catalog) -> Vec<(ColumnRef, ColumnRef)> {
    let tables = (catalog.relation_by_oid(key.relation), catalog.relation_by_oid(key.referenced));
    let (KeyKind::Foreign, (Some(from), Some(to))) = (key.kind, tables) else { return Vec::new() };
    let named = |relation: &Relation, number: i16| {
        let column = relation.columns.iter().find(|column| column.number == number)?;
        Some(ColumnRef {
            schema: relation.schema.clone(),
            relation: relation.name.clone(),
            column: column.name.clone(),
        })
    };
    let numbers = key.columns.iter().zip(&key.referenced_columns);
    numbers.filter_map(|(a, b)| Some((named(from, *a)?, named(to, *b)?))).collect()
}

/// Gives the finding at `from` to the column at `to`, where nothing is there. Whether it did.
fn carry(findings: &mut [ColumnClassification], from: usize, to: usize, how: &str) -> bool {
    let certain = |tag: &Tag| tag.as_str() != Kind::Unclassified.as_str();
    let Some(source) = findings.get(from).filter(|f| f.tag.as_ref().is_some_and(certain)).cloned()
    else {
        return false;
    };
    match findings.get_mut(to) {
        Some(target) if target.tag.is_none() && target.confidence_percent >= SURE_PERCENT => {
            target.tag = source.tag;
            target.confidence_percent = source.confidence_percent;
            target.reason = format!("{how} {}", source.column);
            true
        }
        _ => false,
    }
}
