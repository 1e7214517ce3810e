//! Says what a column holds, with no configuration: from its name, its type and sampled values.
//!
//! Columns are judged, not cells. One value of sixteen digits that passes a checksum is chance; a column where nine in
//! ten do is a card column. Names alone are not believed where the values say otherwise.
//!
//! [`Scanner`] finds single values inside of text, fast enough for results that stream through.

mod checks;
mod column;
mod dates;
mod digits;
mod embedded;
mod hints;
mod identity;
mod keys;
mod numbers;
mod pattern;
mod people;
mod phones;
mod scan;
mod shapes;
mod table;
mod tags;
mod tokens;

pub use column::classify;
pub use keys::follow_keys;
pub use scan::{Finds, Found, Scanner};
pub use table::classify_table;
pub use tags::Kind;

use writ_model::{ColumnRef, Tag};

/// What is known of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSample {
    /// Which column.
    pub column: ColumnRef,
    /// The type's name, such as `text` or `int4`.
    pub type_name: String,
    /// `pg_type.typcategory`: `S` text, `N` number, `D` date or time, `B` boolean, `E` enum, `A` array, ….
    pub type_category: char,
    /// Sampled values as text, without the NULLs.
    pub values: Vec<String>,
    /// The part of the rows that is NULL, 0 to 1.
    pub null_fraction: f32,
}

/// What one column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which column.
    pub column: ColumnRef,
    /// What it holds; `None`: looked at, and found harmless.
    pub tag: Option<Tag>,
    /// 0 to 100.
    pub confidence_percent: u8,
    /// Why, for people.
    pub reason: String,
}
