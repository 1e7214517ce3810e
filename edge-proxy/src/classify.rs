//! Classification of sampled tables, as the database watch asks for it.

use std::ops::Range;
use std::sync::Arc;

use writ_classify::{ColumnSample, Kind, Scanner, classify_table};
use writ_edge_core::screen::Detect;
use writ_model::config::{ClassificationSource, ColumnClassification};
use writ_model::{ColumnRef, Tag};

use crate::database::{Classifier, SampledColumn, TableSample};

/// The kinds of values that give themselves away inside of text.
const DETECTED: [Kind; 9] = [
    Kind::Email,
    Kind::Phone,
    Kind::NationalId,
    Kind::Ip,
    Kind::Mac,
    Kind::Card,
    Kind::Iban,
    Kind::Password,
    Kind::Key,
];

/// Finds sensitive values in results.
pub struct Detector {
    scanner: Scanner,
    tags: Vec<Tag>,
}

impl Default for Detector {
    fn default() -> Self {
        let tags = DETECTED.iter().filter_map(|kind| kind.as_str().parse().ok()).collect();
        Self { scanner: Scanner::new(), tags }
    }
}

impl Detect for Detector {
    fn tags(&self) -> &[Tag] {
        &self.tags
    }

    fn find(&self, text: &[u8], each: &mut dyn FnMut(usize, Range<usize>)) {
        for found in self.scanner.find(text) {
            if let Some(place) = DETECTED.iter().position(|kind| *kind == found.kind) {
                each(place, found.range);
            }
        }
    }
}

/// Judges columns by name, type and values.
#[must_use]
pub fn port() -> Classifier {
    Arc::new(|tables: &[TableSample]| tables.iter().flat_map(table).collect())
}

fn table(table: &TableSample) -> Vec<ColumnClassification> {
    let samples: Vec<ColumnSample> =
        table.columns.iter().map(|column| sample(table, column)).collect();
    classify_table(&samples)
        .into_iter()
        .map(|finding| ColumnClassification {
            column: finding.column,
            tag: finding.tag,
            confidence_percent: finding.confidence_percent,
            reason: finding.reason,
            source: ClassificationSource::Detected,
        })
        .collect()
}

fn sample(table: &TableSample, column: &SampledColumn) -> ColumnSample {
    ColumnSample {
        column: ColumnRef {
            schema: table.schema.clone(),
            relation: table.relation.clone(),
            column: column.name.clone(),
        },
        type_name: column.type_name.clone(),
        type_category: column.type_category,
        values: column.values.clone(),
        null_fraction: 0.0,
    }
}
