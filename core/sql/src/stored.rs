//! Materialised views over masked relations: they hold what was read when they were filled.

use std::collections::BTreeSet;

use writ_model::lineage::SourceColumn;
use writ_model::{ColumnMasks, Relation, RelationKind};

use crate::lineage::{self, Into};
use crate::mask;
use crate::walk::Walk;

impl Walk<'_> {
    /// Whether a materialised view must stay closed: open is one whose every column that comes from a masked column is
    /// masked itself, and whose rows do not depend on masked columns. Anything that is not known closes it (E2).
    pub(crate) fn closed_store(&self, view: &Relation, masks: &ColumnMasks) -> bool {
        let facts = self.facts_below(view);
        let definition = view.definition.as_deref();
        let lineage = definition.and_then(|d| lineage::of_definition(d, self.catalog, Into::All));
        let (Some((columns, below)), true) = (lineage, facts.opaque.is_empty()) else {
            return true;
        };
        let own = mask::of(self.catalog, masks, view, false);
        let is_masked = |source: &SourceColumn| {
            let Some(relation) = self.catalog.relation_by_oid(source.relation) else { return true };
            let masked = mask::of(self.catalog, masks, relation, false);
            relation
                .columns
                .iter()
                .any(|c| c.number == source.column && masked.contains_key(&c.name))
        };
        if below.partial || columns.len() != view.columns.len() {
            return true;
        }
        if below.uses.iter().any(|(_, source)| is_masked(source)) {
            return true;
        }
        let mut followed = BTreeSet::new();
        for (column, made) in view.columns.iter().zip(&columns) {
            let unknown = made.value.derivation == writ_model::lineage::Derivation::Unknown;
            let hidden = own.contains_key(&column.name);
            if !hidden && (unknown || made.value.sources.iter().any(is_masked)) {
                return true;
            }
            followed.extend(made.value.sources.iter().copied());
        }
        // What the definition reads in a way that the lineage does not show, as in the body of a function.
        facts.reads.iter().any(|read| {
            let Some(relation) = self.catalog.relation_by_oid(read.oid) else { return false };
            if relation.kind == RelationKind::MaterializedView {
                // What is below it is followed.
                return false;
            }
            let read = relation.columns.iter().filter(|c| read.columns.contains(&c.name));
            read.map(|c| SourceColumn { relation: relation.oid, column: c.number }).any(|source| {
                is_masked(&source) && !followed.contains(&source) && relation.oid != view.oid
            })
        })
    }
}
