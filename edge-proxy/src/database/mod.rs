//! What a database contains and what its columns hold, kept up to date; and what its planner expects of a statement.

mod estimate;
mod sample;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use writ_model::Catalog;
use writ_model::config::ColumnClassification;

use crate::upstream::{ConnectError, ConnectLimits, QueryError, Row, Target, Upstream, connect};

pub use estimate::{EstimateRequest, estimate, estimate_rows, expected_rows};
pub use watch::DatabaseWatch;

/// The longest that we wait for the answer to one of our own queries, where the server's own bound does not hold.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// How our own sessions call themselves in `pg_stat_activity`.
const APPLICATION_NAME: &str = "writ edge";

/// What is known of one database at one moment. Everything in it belongs together.
#[derive(Debug, Clone)]
pub struct DatabaseView {
    /// Counts the views of this process, 1 for the first.
    pub version: u64,
    /// What the database contains.
    pub catalog: Arc<Catalog>,
    /// What its columns hold, in the order of relations' oids.
    pub findings: Arc<Vec<ColumnClassification>>,
}

/// One column of a [`TableSample`].
#[derive(Clone, PartialEq, Eq)]
pub struct SampledColumn {
    /// The exact name.
    pub name: String,
    /// As `format_type` prints it.
    pub type_name: String,
    /// `pg_type.typcategory`.
    pub type_category: char,
    /// Values that are not NULL, as text, each cut to its first 2,000 characters.
    pub values: Vec<String>,
}

impl std::fmt::Debug for SampledColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values are what the edge exists to protect: they stay out of every log.
        let Self { name, type_name, type_category: _, values } = self;
        write!(f, "SampledColumn({name} {type_name}, {} values)", values.len())
    }
}

/// What a classifier sees of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSample {
    /// The schema's exact name.
    pub schema: String,
    /// The table's exact name.
    pub relation: String,
    /// All its columns.
    pub columns: Vec<SampledColumn>,
}

/// Says what columns hold. Pure, but may take its time: it runs on a thread where it may.
pub type Classifier = Arc<dyn Fn(&[TableSample]) -> Vec<ColumnClassification> + Send + Sync>;

/// Why a database could not be read. Texts are for operators.
#[derive(Debug, thiserror::Error)]
enum ReadFailure {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the catalog could not be read: {0}")]
    Query(#[from] QueryError),
    #[error(
        "the database did not answer within {ANSWER_WAIT_MAX:?}; check its load and the network"
    )]
    Silent,
    #[error(transparent)]
    Catalog(#[from] writ_edge_core::catalog::CatalogError),
    #[error("the database's answer has another shape than asked for")]
    Shape,
    #[error("the classifier failed")]
    Classifier,
}

/// A session of our own: read only, with nothing but `pg_catalog` to find names in, and a bound on statements.
async fn open(
    target: Target<'_>,
    limits: &ConnectLimits,
    statement_timeout: Duration,
) -> Result<Upstream, ReadFailure> {
    let startup = [("client_encoding", "UTF8"), ("application_name", APPLICATION_NAME)];
    let startup = startup.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut upstream = connect(target, &startup, limits).await?;
    // Not as startup parameters: poolers in front of PostgreSQL refuse those that they do not know.
    let settings = format!(
        "SET search_path = pg_catalog; SET standard_conforming_strings = on; \
         SET default_transaction_read_only = on; SET statement_timeout = {}",
        statement_timeout.as_millis()
    );
    ask(&mut upstream, &settings).await?;
    Ok(upstream)
}

/// One simple query, with a bound on the wait. After an error, drop the connection unless it says it is usable.
async fn ask(upstream: &mut Upstream, sql: &str) -> Result<Vec<Row>, ReadFailure> {
    match tokio::time::timeout(ANSWER_WAIT_MAX, upstream.query(sql)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ReadFailure::Silent),
    }
}

/// The only text of an answer of one row and one column.
fn only_text(rows: Vec<Row>) -> Result<String, ReadFailure> {
    let [row]: [Row; 1] = rows.try_into().map_err(|_| ReadFailure::Shape)?;
    let [value]: [Option<Vec<u8>>; 1] = row.try_into().map_err(|_| ReadFailure::Shape)?;
    String::from_utf8(value.ok_or(ReadFailure::Shape)?).map_err(|_| ReadFailure::Shape)
}

/// `name` as a quoted identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
