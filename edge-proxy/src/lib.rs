//! Skeleton.

pub mod spool;
