//! The lake's files and its one writer, opened together and closed together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinHandle;
use writ_audit::{PublicKey, SignedCheckpoint};
use writ_proto::node::Clock;

use crate::checkpoints;
use crate::error::{LakeError, StoreError};
use crate::ingest::{Cadence, Ingest, WriterParts, writer};
use crate::keys;
use crate::lake::{LakeStatus, Shared};
use crate::sql::SqlEngine;
use crate::table::{Position, Table};

/// Where the lake keeps its files, and how often it commits and seals.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// The lake's directory: `records/` (the Delta table) and `checkpoints/`.
    pub directory: PathBuf,
    /// The file of the key that signs checkpoints; made where there is none.
    pub key_file: PathBuf,
    /// How often to commit and seal.
    pub cadence: Cadence,
}

impl StorageConfig {
    /// A lake in `directory` with its key in `key_file` and the usual cadence.
    #[must_use]
    pub fn new(directory: PathBuf, key_file: PathBuf) -> Self {
        Self { directory, key_file, cadence: Cadence::default() }
    }
}

/// A lake with its writer running, without any port.
#[derive(Debug)]
pub struct Lake {
    ingest: Ingest,
    shared: Arc<Shared>,
    engine: SqlEngine,
    public_key: PublicKey,
    writer: JoinHandle<Result<(), StoreError>>,
    /// Held until the writer has stopped: one process writes a lake.
    _lock: std::fs::File,
}

impl Lake {
    /// Opens or makes the lake and starts its writer.
    pub async fn open(config: &StorageConfig, clock: Clock) -> Result<Self, LakeError> {
        let directory = prepare(&config.directory)?;
        let lock = lock(&directory)?;
        let key = keys::load_or_create(&config.key_file)?;
        let opened = Table::open(&directory).await?;
        let checkpoints = load_checkpoints(&directory, &opened.position)?;
        let store = opened.table.store()?;
        let position = opened.position;
        let shared = Shared::new(directory, store, opened.files, position.clone(), checkpoints);
        let shared = Arc::new(shared);
        let engine = SqlEngine::new(Arc::clone(&shared))?;
        let public_key = key.public();
        let (ingest, writer, queue) = writer(WriterParts {
            lake_id: opened.table.id().to_owned(),
            table: opened.table,
            position,
            shared: Arc::clone(&shared),
            engine: engine.clone(),
            key,
            clock,
            cadence: config.cadence,
        });
        let writer = tokio::spawn(writer.run(queue));
        Ok(Self { ingest, shared, engine, public_key, writer, _lock: lock })
    }

    /// The way in.
    #[must_use]
    pub fn ingest(&self) -> Ingest {
        self.ingest.clone()
    }

    /// What SQL sessions run in.
    #[must_use]
    pub fn engine(&self) -> SqlEngine {
        self.engine.clone()
    }

    /// The key that verifies this lake's checkpoints.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The numbers at this moment.
    #[must_use]
    pub fn status(&self) -> LakeStatus {
        self.shared.status()
    }

    /// Stops in order: commits and seals what was taken in. Other holders of the way in must be gone.
    pub async fn close(self) -> Result<(), LakeError> {
        let Self { ingest, writer, _lock, .. } = self;
        drop(ingest);
        match writer.await {
            Ok(result) => Ok(result?),
            Err(error) => Err(StoreError::State(format!("the writer ended: {error}")).into()),
        }
    }

    /// Stops at once, as a kill would: nothing more is committed or sealed.
    pub async fn abort(self) {
        self.writer.abort();
        let _aborted = self.writer.await;
    }
}

fn prepare(directory: &Path) -> Result<PathBuf, StoreError> {
    let error = |source| StoreError::File { path: directory.to_owned(), source };
    std::fs::create_dir_all(directory.join(checkpoints::DIRECTORY)).map_err(error)?;
    directory.canonicalize().map_err(error)
}

fn lock(directory: &Path) -> Result<std::fs::File, StoreError> {
    let path = directory.join("writ.lock");
    let error = |source| StoreError::File { path: path.clone(), source };
    let file = std::fs::File::create(&path).map_err(error)?;
    file.try_lock().map_err(|_| {
        let text = format!("{} is in use by another lake process; stop that first", path.display());
        StoreError::Location(text)
    })?;
    Ok(file)
}

/// Reads the checkpoints; refuses to go on where the table is behind or beside what was promised (L2).
fn load_checkpoints(
    directory: &Path,
    position: &Position,
) -> Result<Vec<SignedCheckpoint>, StoreError> {
    let paths = checkpoints::files(directory)?;
    let all = paths.iter().map(|path| checkpoints::read(path)).collect::<Result<Vec<_>, _>>()?;
    if let Some(last) = all.last().map(|signed| &signed.checkpoint) {
        let size = position.frontier.size();
        let same_root = last.tree_size != size || last.root == position.frontier.root();
        if last.tree_size > size || !same_root {
            let text = format!(
                "checkpoint {} seals {} records, the table has {size}; it was rolled back or replaced",
                last.number, last.tree_size
            );
            return Err(StoreError::State(text));
        }
    }
    Ok(all)
}
