//! Writ's edge: PostgreSQL clients in front, databases behind, the session core in between; records into a spool that
//! is shipped to the lake.

pub mod database;
pub mod spool;
pub mod upstream;
