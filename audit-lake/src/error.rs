//! Errors of the lake, one enum per operation, each with its next step.

use std::path::PathBuf;

use writ_audit::{ChainError, ChainHash, DecodeError};

/// Why records were not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// The batch does not follow what the lake has of this source (L1).
    #[error("source {source_name}: {error}")]
    Chain {
        /// Whose records.
        source_name: String,
        /// What is wrong.
        error: ChainError,
    },
    /// A record's bytes are not canonical.
    #[error("source {source_name}, record {seq}: {error}")]
    Malformed {
        /// Whose record.
        source_name: String,
        /// Which record.
        seq: u64,
        /// What is wrong.
        error: DecodeError,
    },
    /// A record says that it is another source's or another number.
    #[error(
        "source {source_name}, record {seq}: its bytes say source `{said_source}`, record {said_seq}; ship it as what it is"
    )]
    Mislabelled {
        /// As shipped.
        source_name: String,
        /// As shipped.
        seq: u64,
        /// As its bytes say.
        said_source: String,
        /// As its bytes say.
        said_seq: u64,
    },
    /// The source ships another record under a number that the lake has already.
    #[error(
        "source {source_name}: record {seq} is in the lake already with another content (its chain hash there is \
         {committed}, here {shipped}); this source has forked, for instance from a restored disk: give it a new name"
    )]
    Forked {
        /// Whose record.
        source_name: String,
        /// Which record.
        seq: u64,
        /// The chain hash in the lake.
        committed: ChainHash,
        /// The chain hash as shipped now.
        shipped: ChainHash,
    },
    /// The commit failed; nothing of the batch is in the lake.
    #[error("the lake could not commit: {0}; ship the batch again")]
    Commit(String),
    /// The lake is shutting down.
    #[error("the lake is shutting down; ship the batch again to the next one")]
    Stopping,
}

/// Why the lake cannot open or write its files.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of the lake.
    #[error("{path}: {source}; check that the directory exists and that this user may write it")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The Delta table.
    #[error("the Delta table: {0}")]
    Delta(#[from] deltalake::DeltaTableError),
    /// Parquet.
    #[error("Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrow.
    #[error("Arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// The object store.
    #[error("the object store: {0}")]
    Object(#[from] object_store::Error),
    /// What the table's last commit says of itself is not usable.
    #[error("the lake's last commit is damaged ({0}); run `writ audit verify`")]
    State(String),
    /// A checkpoint file is not usable.
    #[error("checkpoint {path}: {reason}; run `writ audit verify`")]
    Checkpoint {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key file is not usable.
    #[error("{path}: {reason}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A path that is no URL.
    #[error("`{0}` is not a directory or URL that the lake can use")]
    Location(String),
}

/// Why the lake cannot start or serve.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// Its files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A port cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; stop what uses the port, or set another `{option}`"
    )]
    Listen {
        /// The address.
        address: String,
        /// The option that sets it.
        option: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The certificate cannot be used: the lake does not serve without one.
    #[error(
        "TLS: {0}; the lake does not serve without TLS: remove identity.pb from its data directory and enrol again"
    )]
    Tls(String),
    /// Enrolment, or the configuration to follow.
    #[error(transparent)]
    Node(#[from] writ_proto::node::NodeError),
    /// The SQL engine could not be set up.
    #[error("SQL: {0}")]
    Sql(#[from] datafusion::error::DataFusionError),
}
