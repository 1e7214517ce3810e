//! The edge: PostgreSQL clients in front, databases behind, the session core in between; records into a spool that is
//! shipped to the lake.

pub mod app;
pub mod approvals;
mod certificates;
pub mod classify;
pub mod client;
pub mod connection;
pub mod database;
pub mod drain;
mod estimates;
mod health;
mod holding;
pub mod journal;
mod limited;
pub mod limits;
pub mod live;
pub mod login;
pub mod mailbox;
pub mod mask_key;
pub mod metrics;
mod parameters;
pub mod pool;
pub mod sessions;
mod sharing;
pub mod ship;
pub mod side;
mod spare;
pub mod spool;
pub mod spools;
pub mod startup;
pub mod states;
pub mod stream;
pub mod takeover;
pub mod telemetry;
pub mod tls;
pub mod upstream;
pub mod workers;
