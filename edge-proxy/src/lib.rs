//! Skeleton.

pub mod ship;
pub mod spool;
