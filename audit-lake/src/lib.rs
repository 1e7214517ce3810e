//! The audit lake: takes records in, commits them as Parquet in a Delta table, seals them with signed
//! checkpoints, answers SQL over them, and verifies all of it offline.

pub mod app;
mod auth;
pub mod checkpoints;
pub mod columns;
pub mod error;
mod grpc;
pub mod ingest;
pub mod keys;
pub mod lake;
mod listen;
mod log;
mod peer;
pub mod pg;
mod provider;
pub mod row;
pub mod sql;
pub mod storage;
pub mod table;
mod tls;
pub mod verify;
mod views;

pub use error::{IngestError, LakeError, StoreError};
pub use ingest::{AckedSeq, Cadence, Ingest, IngestPort};
pub use lake::{LakeStatus, Shared};
pub use pg::{AuthError, Authenticator, Identity};
pub use sql::SqlEngine;
