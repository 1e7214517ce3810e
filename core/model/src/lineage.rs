//! Where the values of a statement come from and what they decide on: recorded, not yet asked about by policy.
//!
//! Columns are named by `pg_class.oid` and `attnum`: the relations' names are in the facts' reads and writes. A view's
//! columns are its own; what is below a view is in the reads.

use serde::{Deserialize, Serialize};

/// One column of one relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceColumn {
    /// `pg_class.oid`.
    pub relation: u32,
    /// `attnum`.
    pub column: i16,
}

/// How a value comes from its sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Derivation {
    /// It has no sources.
    Constant,
    /// It is the source.
    Identity,
    /// It is computed from one row of each source.
    Transform,
    /// It is computed from many rows.
    Aggregate,
    /// Not known: it may come from any column that the statement reads.
    Unknown,
}

/// One value: a column of the result, or what is stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Value {
    /// How it is made.
    pub derivation: Derivation,
    /// Of what, sorted.
    pub sources: Vec<SourceColumn>,
}

/// What a column is used for besides being shown or stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// It decides which rows there are: WHERE, HAVING, ON CONFLICT, WHEN.
    Filter,
    /// It decides which rows belong together.
    Join,
    /// GROUP BY, DISTINCT, UNION, PARTITION BY.
    Group,
    /// ORDER BY.
    Order,
}

/// The lineage of one text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lineage {
    /// The columns of the last query's result, in order.
    pub outputs: Vec<Value>,
    /// What columns are stored in, and what is stored there.
    pub assignments: Vec<(SourceColumn, Value)>,
    /// What decides on rows and their order, sorted.
    pub uses: Vec<(Place, SourceColumn)>,
    /// Whether more may decide on rows than `uses` has.
    pub partial: bool,
}
