//! A few values of each column, for the classifier.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use writ_model::config::ColumnClassification;
use writ_model::{Catalog, Column, Relation, RelationKind};

use super::{Classifier, ReadFailure, SampledColumn, TableSample, ask, quoted};
use crate::upstream::{QueryError, Row, Upstream};

/// How many rows are looked at per table.
const SAMPLE_ROWS_MAX: u32 = 200;
/// How much of a value is looked at, in characters.
const SAMPLE_VALUE_CHARS_MAX: u32 = 2_000;
/// From this many rows on, rows are taken from all over the table and not from its start.
const SCATTER_ROWS_MIN: f32 = 100_000.0;
/// How many rows a scattered sample picks from: whole pages are read, and some rows of many pages say more than all
/// rows of a few.
const SCATTER_ROWS: f32 = 4_000.0;

/// What was found in one table, and what the table looked like then.
#[derive(Debug)]
struct Examined {
    schema: String,
    name: String,
    columns: Vec<Column>,
    /// Where the table had no rows, only names and types were seen: worth another look.
    was_empty: bool,
    findings: Vec<ColumnClassification>,
}

impl Examined {
    fn holds_for(&self, relation: &Relation) -> bool {
        self.schema == relation.schema
            && self.name == relation.name
            && self.columns == relation.columns
    }
}

/// The findings of all tables of a database, by oid.
#[derive(Debug, Default)]
pub(super) struct Findings {
    examined: BTreeMap<u32, Examined>,
}

impl Findings {
    /// Examines tables that are new or changed, and forgets those that are gone.
    ///
    /// What was examined before an error stays: the next attempt goes on from there.
    pub(super) async fn update(
        &mut self,
        upstream: &mut Upstream,
        catalog: &Catalog,
        classifier: &Classifier,
    ) -> Result<(), ReadFailure> {
        self.examined.retain(|oid, _| catalog.relation_by_oid(*oid).is_some_and(has_rows_to_see));
        for relation in catalog.relations().iter().filter(|relation| has_rows_to_see(relation)) {
            if self.examined.get(&relation.oid).is_some_and(|known| known.holds_for(relation)) {
                continue;
            }
            let examined = examine(upstream, relation, classifier).await?;
            self.examined.insert(relation.oid, examined);
        }
        Ok(())
    }

    /// Forgets tables that were empty, so that the next update looks again. Whether there were any.
    pub(super) fn forget_empty(&mut self) -> bool {
        let before = self.examined.len();
        self.examined.retain(|_, examined| !examined.was_empty);
        self.examined.len() < before
    }

    /// All findings.
    pub(super) fn all(&self) -> Vec<ColumnClassification> {
        self.examined.values().flat_map(|examined| examined.findings.iter().cloned()).collect()
    }
}

fn has_rows_to_see(relation: &Relation) -> bool {
    let kind = matches!(
        relation.kind,
        RelationKind::Table
            | RelationKind::PartitionedTable
            | RelationKind::MaterializedView
            | RelationKind::ForeignTable
    );
    kind && !relation.is_system() && !relation.columns.is_empty()
}

async fn examine(
    upstream: &mut Upstream,
    relation: &Relation,
    classifier: &Classifier,
) -> Result<Examined, ReadFailure> {
    let rows = sample(upstream, relation).await?;
    let was_empty = rows.as_ref().is_some_and(Vec::is_empty);
    let table = table_sample(relation, &rows.unwrap_or_default());
    let classifier = Classifier::clone(classifier);
    let classified = tokio::task::spawn_blocking(move || classifier(&[table]));
    Ok(Examined {
        schema: relation.schema.clone(),
        name: relation.name.clone(),
        columns: relation.columns.clone(),
        was_empty,
        findings: classified.await.map_err(|_| ReadFailure::Classifier)?,
    })
}

/// Rows to look at; `None` where the server refuses: then names and types must do.
async fn sample(
    upstream: &mut Upstream,
    relation: &Relation,
) -> Result<Option<Vec<Row>>, ReadFailure> {
    let scattered = scatter_percent(relation);
    for percent in [scattered, None].into_iter().skip(usize::from(scattered.is_none())) {
        match ask(upstream, &sample_query(relation, percent)).await {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => return Ok(Some(rows)),
            Err(ReadFailure::Query(error)) if error.connection_is_usable() => {
                let table = format_args!("{}.{}", relation.schema, relation.name);
                let code = match &error {
                    QueryError::Server(said) => said.sqlstate.as_str(),
                    _ => "too large",
                };
                tracing::warn!(%table, code, "no sample: classified by names and types alone");
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(Vec::new()))
}

fn scatter_percent(relation: &Relation) -> Option<f32> {
    let scatters = matches!(relation.kind, RelationKind::Table | RelationKind::MaterializedView);
    let large = relation.row_estimate >= SCATTER_ROWS_MIN;
    (scatters && large).then(|| 100.0 * SCATTER_ROWS / relation.row_estimate)
}

fn sample_query(relation: &Relation, percent: Option<f32>) -> String {
    let mut sql = "SELECT ".to_owned();
    for (index, column) in relation.columns.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let name = quoted(&column.name);
        // Writing to a String cannot fail.
        let _ = write!(
            sql,
            "{comma}pg_catalog.left(t.{name}::pg_catalog.text, {SAMPLE_VALUE_CHARS_MAX})"
        );
    }
    let (schema, table) = (quoted(&relation.schema), quoted(&relation.name));
    let _ = write!(sql, " FROM {schema}.{table} AS t");
    if let Some(percent) = percent {
        let _ = write!(sql, " TABLESAMPLE SYSTEM ({percent}) ORDER BY pg_catalog.random()");
    }
    let _ = write!(sql, " LIMIT {SAMPLE_ROWS_MAX}");
    sql
}

fn table_sample(relation: &Relation, rows: &[Row]) -> TableSample {
    let values = |index: usize| {
        let values = rows.iter().filter_map(|row| row.get(index)?.as_deref());
        values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    };
    let columns = relation.columns.iter().enumerate().map(|(index, column)| SampledColumn {
        name: column.name.clone(),
        type_name: column.type_name.clone(),
        type_category: column.type_category,
        values: values(index),
    });
    TableSample {
        schema: relation.schema.clone(),
        relation: relation.name.clone(),
        columns: columns.collect(),
    }
}
