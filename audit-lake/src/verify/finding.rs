//! What verification finds, each kind with its place.

use writ_audit::CheckpointError;

/// One thing that is not as the lake left it. Record ranges are lake indices, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A commit between others is gone.
    #[error("commit {version} is missing from _delta_log: it was removed")]
    CommitMissing {
        /// Which.
        version: u64,
    },
    /// A commit's file cannot be read as the lake writes it.
    #[error("commit {version} is damaged: {reason}")]
    CommitDamaged {
        /// Which.
        version: u64,
        /// What is wrong.
        reason: String,
    },
    /// A commit's file is not the one that the next commit followed.
    #[error("commit {version} was edited: its SHA-256 is not the one that commit {next} repeats")]
    CommitAltered {
        /// Which.
        version: u64,
        /// The commit after it.
        next: u64,
    },
    /// A file in the log that the lake does not write, but that readers would believe.
    #[error("_delta_log/{name} is not the lake's: it was put there")]
    LogForeign {
        /// Its name.
        name: String,
    },
    /// A data file is gone.
    #[error("file {path} (records {first} to {last}) is missing: it was removed")]
    FileMissing {
        /// The file, inside the table.
        path: String,
        /// Its first record.
        first: u64,
        /// Its last record.
        last: u64,
    },
    /// A data file's bytes are not those that were committed.
    #[error("file {path} (records {first} to {last}) was altered: {reason}")]
    FileAltered {
        /// The file, inside the table.
        path: String,
        /// Its first record.
        first: u64,
        /// Its last record.
        last: u64,
        /// In which way.
        reason: String,
    },
    /// A record does not follow from the one before it at its source.
    #[error("record {index} in {path} (source {source_name}, number {seq}): {reason}")]
    Record {
        /// The file, inside the table.
        path: String,
        /// Its lake index.
        index: u64,
        /// Its source.
        source_name: String,
        /// Its number at that source.
        seq: u64,
        /// What is wrong.
        reason: String,
    },
    /// A column does not say what the record's signed bytes say.
    #[error(
        "record {index} in {path} (source {source_name}, number {seq}): column `{column}` was edited: \
         it does not say what the record's canonical bytes say"
    )]
    Column {
        /// The file, inside the table.
        path: String,
        /// Its lake index.
        index: u64,
        /// Its source.
        source_name: String,
        /// Its number at that source.
        seq: u64,
        /// Which column.
        column: String,
    },
    /// The records of a commit are not those that its author counted into the tree.
    #[error(
        "records {first} to {last} ({path}) are not the ones that were committed: \
         one of them was edited, removed, inserted or moved"
    )]
    Commit {
        /// Their file.
        path: String,
        /// Its first record.
        first: u64,
        /// Its last record.
        last: u64,
    },
    /// A checkpoint's file is not readable or was edited.
    #[error("checkpoint file {name}: {reason}")]
    CheckpointDamaged {
        /// The file's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint that no trusted key signed.
    #[error("checkpoint {number}: {error}")]
    CheckpointForged {
        /// Its number.
        number: u64,
        /// What is wrong.
        error: CheckpointError,
    },
    /// A checkpoint is gone.
    #[error("checkpoint {number} is missing: it was removed")]
    CheckpointMissing {
        /// Its number.
        number: u64,
    },
    /// A checkpoint that does not go with the others.
    #[error("checkpoint {number}: {reason}")]
    CheckpointMisplaced {
        /// Its number.
        number: u64,
        /// In which way.
        reason: String,
    },
    /// The table has fewer records than were signed for.
    #[error(
        "the table was rolled back or truncated: checkpoint {number} seals {sealed} records, {found} are there; \
         records {found} to {} are gone", sealed - 1
    )]
    RolledBack {
        /// The checkpoint.
        number: u64,
        /// How many it seals.
        sealed: u64,
        /// How many are there.
        found: u64,
    },
    /// The records are not those that were signed.
    #[error(
        "records {first} to {last} are not what checkpoint {number} sealed: \
         one of them was edited, removed, inserted or moved, and everything after it recomputed"
    )]
    Root {
        /// The checkpoint.
        number: u64,
        /// The first record that it seals and the last good one does not.
        first: u64,
        /// The last record that it seals.
        last: u64,
    },
    /// A source's chain is not where the checkpoint says.
    #[error("checkpoint {number}: the records of source {source_name} are not the ones it sealed")]
    Head {
        /// The checkpoint.
        number: u64,
        /// Which source.
        source_name: String,
    },
    /// There are records and nothing to hold them against.
    #[error(
        "no checkpoint seals the {records} records: they prove nothing; a lake that has just started \
         seals within seconds, otherwise its checkpoints were removed"
    )]
    Unsealed {
        /// How many there are.
        records: u64,
    },
}
