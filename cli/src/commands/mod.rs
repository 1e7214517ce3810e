//! User commands: each asks a server one thing and prints the answer.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod cluster;
pub(crate) mod databases;
pub(crate) mod edges;
pub(crate) mod environments;
pub(crate) mod identities;
pub(crate) mod identity;
pub(crate) mod passwords;
pub(crate) mod policy;
mod verify;
