//! Classification of sampled tables, as the database watch asks for it.

use std::sync::Arc;

use writ_classify::{ColumnSample, classify_table};
use writ_model::ColumnRef;
use writ_model::config::{ClassificationSource, ColumnClassification};

use crate::database::{Classifier, SampledColumn, TableSample};

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
