//! Writ's edge: the process that stands between clients and databases.

pub mod database;
pub mod upstream;
