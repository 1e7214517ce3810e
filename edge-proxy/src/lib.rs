//! Writ's edge: the process that stands between clients and databases.

pub mod upstream;
