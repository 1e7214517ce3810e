//! The control plane's shell: a replicated event log, the fleet's certificates and configuration, approvals,
//! and the interface for people. The rules are in `writ-control-core`.

mod admin;
pub mod app;
pub mod ca;
mod client_ca;
mod convert;
mod edges;
mod fleet;
mod keys;
pub mod leader;
mod push;
pub mod raft;
mod server;
mod ship;
mod vault;
mod watching;
