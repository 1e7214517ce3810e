//! Which columns a principal sees masked, and how.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{ColumnRef, Tag};
pub use crate::mask_kind::{
    BucketSize, HASH_CHARACTERS_MAX, HASH_CHARACTERS_MIN, MaskKind, MaskKindError, Part,
};

/// One masked column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ColumnMask {
    /// How to mask.
    pub kind: MaskKind,
    /// What the column holds: chooses the look of a redacted value.
    pub tag: Tag,
}

/// The masked columns of one database for one principal: schema → relation → column → mask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMasks {
    by_relation: BTreeMap<String, BTreeMap<String, BTreeMap<String, ColumnMask>>>,
    /// Masked columns that may be compared for equality as they are.
    #[serde(default)]
    matched: BTreeSet<ColumnRef>,
}

impl ColumnMasks {
    /// Adds a mask; a later one for the same column replaces the earlier.
    pub fn insert(&mut self, schema: &str, relation: &str, column: &str, mask: ColumnMask) {
        self.by_relation
            .entry(schema.to_owned())
            .or_default()
            .entry(relation.to_owned())
            .or_default()
            .insert(column.to_owned(), mask);
    }

    /// The masked columns of one relation; `None` where it has none.
    #[must_use]
    pub fn relation(&self, schema: &str, relation: &str) -> Option<&BTreeMap<String, ColumnMask>> {
        self.by_relation.get(schema)?.get(relation)
    }

    /// Says whether the column may be compared with values that the principal gives, as it is and not as it is shown.
    pub fn let_match(&mut self, column: ColumnRef, may: bool) {
        if may {
            self.matched.insert(column);
        } else {
            self.matched.remove(&column);
        }
    }

    /// Whether [`Self::let_match`] was said of the column.
    #[must_use]
    pub fn may_match(&self, column: &ColumnRef) -> bool {
        self.matched.contains(column)
    }

    /// Whether any column may be compared as it is.
    #[must_use]
    pub fn matches_any(&self) -> bool {
        !self.matched.is_empty()
    }

    /// Whether nothing is masked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_relation.is_empty()
    }

    /// All masked columns as (schema, relation, column, mask).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str, &ColumnMask)> {
        self.by_relation.iter().flat_map(|(schema, relations)| {
            relations.iter().flat_map(move |(relation, columns)| {
                columns.iter().map(move |(column, mask)| {
                    (schema.as_str(), relation.as_str(), column.as_str(), mask)
                })
            })
        })
    }
}
