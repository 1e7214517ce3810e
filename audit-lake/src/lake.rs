//! What the parts of a running lake share: the visible files, the checkpoints and the counters.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::ObjectStore;
use parking_lot::RwLock;
use writ_audit::SignedCheckpoint;

use crate::table::{DataFile, Position};

/// Shared by the writer, the SQL sessions and the status.
#[derive(Debug)]
pub struct Shared {
    /// The lake's directory.
    pub directory: PathBuf,
    /// A store whose root is the `records` table.
    pub store: Arc<dyn ObjectStore>,
    files: RwLock<Arc<Vec<DataFile>>>,
    checkpoints: RwLock<Arc<Vec<SignedCheckpoint>>>,
    position: RwLock<Position>,
    pending: AtomicU64,
    failed_commits: AtomicU64,
    duplicates: AtomicU64,
}

/// Numbers for metrics and health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeStatus {
    /// Committed records.
    pub records: u64,
    /// Visible files.
    pub files: u64,
    /// Records taken in and not yet committed: the lag.
    pub pending_records: u64,
    /// Records behind no checkpoint yet.
    pub unsealed_records: u64,
    /// The last checkpoint's number; 0: none.
    pub checkpoint: u64,
    /// Commits that failed since the start.
    pub failed_commits: u64,
    /// Records that were shipped again and dropped since the start.
    pub duplicates: u64,
    /// Every source's last committed number.
    pub sources: Vec<(String, u64)>,
}

impl Shared {
    /// What a lake shares right after it was opened.
    pub(crate) fn new(
        directory: PathBuf,
        store: Arc<dyn ObjectStore>,
        files: Vec<DataFile>,
        position: Position,
        checkpoints: Vec<SignedCheckpoint>,
    ) -> Self {
        Self {
            directory,
            store,
            files: RwLock::new(Arc::new(files)),
            checkpoints: RwLock::new(Arc::new(checkpoints)),
            position: RwLock::new(position),
            pending: AtomicU64::new(0),
            failed_commits: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
        }
    }

    /// The visible files at this moment, all of whole commits (L3).
    #[must_use]
    pub fn files(&self) -> Arc<Vec<DataFile>> {
        Arc::clone(&self.files.read())
    }

    /// All checkpoints, oldest first.
    #[must_use]
    pub fn checkpoints(&self) -> Arc<Vec<SignedCheckpoint>> {
        Arc::clone(&self.checkpoints.read())
    }

    /// The committed position.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position.read().clone()
    }

    pub(crate) fn committed(&self, file: DataFile, position: &Position) {
        Arc::make_mut(&mut self.files.write()).push(file);
        *self.position.write() = position.clone();
    }

    pub(crate) fn merged(&self, files: Vec<DataFile>) {
        *self.files.write() = Arc::new(files);
    }

    pub(crate) fn reloaded(&self, files: Vec<DataFile>, position: &Position) {
        *self.files.write() = Arc::new(files);
        *self.position.write() = position.clone();
        self.failed_commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn checkpointed(&self, signed: SignedCheckpoint) {
        Arc::make_mut(&mut self.checkpoints.write()).push(signed);
    }

    pub(crate) fn set_pending(&self, records: usize) {
        self.pending.store(records as u64, Ordering::Relaxed);
    }

    pub(crate) fn dropped_duplicates(&self, records: u64) {
        self.duplicates.fetch_add(records, Ordering::Relaxed);
    }

    /// The numbers at this moment.
    #[must_use]
    pub fn status(&self) -> LakeStatus {
        let position = self.position();
        let checkpoints = self.checkpoints();
        let last = checkpoints.last().map(|signed| &signed.checkpoint);
        let sealed = last.map_or(0, |checkpoint| checkpoint.tree_size);
        LakeStatus {
            records: position.frontier.size(),
            files: self.files().len() as u64,
            pending_records: self.pending.load(Ordering::Relaxed),
            unsealed_records: position.frontier.size().saturating_sub(sealed),
            checkpoint: last.map_or(0, |checkpoint| checkpoint.number),
            failed_commits: self.failed_commits.load(Ordering::Relaxed),
            duplicates: self.duplicates.load(Ordering::Relaxed),
            sources: position.heads.into_iter().map(|(source, head)| (source, head.seq)).collect(),
        }
    }
}
