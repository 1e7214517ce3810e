//! The control plane's shell: a replicated event log, the fleet's certificates and configuration, approvals,
//! and the interface for people. The rules are in `writ-control-core`.

pub mod raft;
