//! What an expression is made of, while it is walked.

use writ_model::lineage::{Derivation, SourceColumn, Value};

/// An expression while it is walked.
pub(super) struct Sum {
    pub(super) sources: Vec<SourceColumn>,
    pub(super) unknown: bool,
    pub(super) aggregate: bool,
    /// Whether a value from below is already made of others.
    pub(super) made: bool,
}

impl Sum {
    pub(super) fn new() -> Self {
        Self { sources: Vec::new(), unknown: false, aggregate: false, made: false }
    }

    pub(super) fn value(mut self, identity: bool) -> Value {
        sort(&mut self.sources);
        let derivation = match (self.unknown, self.aggregate, self.sources.is_empty()) {
            (true, ..) => Derivation::Unknown,
            (_, true, _) => Derivation::Aggregate,
            (.., true) => Derivation::Constant,
            _ if identity && !self.made => Derivation::Identity,
            _ => Derivation::Transform,
        };
        Value { derivation, sources: self.sources }
    }

    pub(super) fn add(&mut self, value: &Value) {
        self.sources.extend_from_slice(&value.sources);
        self.unknown |= value.derivation == Derivation::Unknown;
        self.aggregate |= value.derivation == Derivation::Aggregate;
        self.made |= value.derivation == Derivation::Transform;
    }
}

pub(super) fn sort<T: Ord>(items: &mut Vec<T>) {
    items.sort_unstable();
    items.dedup();
}
