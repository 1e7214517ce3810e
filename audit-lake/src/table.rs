//! The Delta table `records`: Parquet files and the commits that make them visible (L3). Each commit carries
//! where every source's chain and the Merkle tree are, so that a restart needs no second state (L1).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, StructType, Transaction};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableBuilder};
use object_store::{ObjectStore, PutMode, PutOptions, path::Path as ObjectPath};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use writ_audit::{ChainHash, ChainState, Frontier, SourceHead};
use writ_model::Timestamp;

use crate::columns;
use crate::error::StoreError;

/// The directory of the table inside a lake.
pub const DIRECTORY: &str = "records";
/// The tag of an add action that holds the file's SHA-256.
pub const SHA256_TAG: &str = "writ.sha256";
/// The field of a commit's information that holds the lake's position.
pub const POSITION_FIELD: &str = "writ";
/// The field of a commit's information that holds the SHA-256 of the commit file before it.
pub const PREVIOUS_FIELD: &str = "writ.previous";
/// The field of a commit's information that holds the last checkpoint's number at that moment.
pub const CHECKPOINT_FIELD: &str = "writ.checkpoint";
/// The directory of commits inside the table.
pub const LOG_DIRECTORY: &str = "_delta_log";

/// One visible Parquet file: records `first` to `first + count - 1` of the lake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataFile {
    /// The first record's `lake_index`.
    pub first: u64,
    /// How many records.
    pub count: u64,
    /// The path inside the table.
    pub path: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// How far the lake is: the Merkle tree and the chain of every source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// The Merkle tree over all records.
    pub frontier: Frontier,
    /// Every source's chain, by source.
    pub heads: BTreeMap<String, ChainState>,
}

impl Position {
    /// The heads as a checkpoint states them.
    #[must_use]
    pub fn source_heads(&self) -> Vec<SourceHead> {
        let head = |(source, state): (&String, &ChainState)| SourceHead {
            source: source.clone(),
            seq: state.seq,
            chain: state.chain,
        };
        self.heads.iter().map(head).collect()
    }

    fn to_json(&self) -> Value {
        let heads: Vec<Value> = self
            .heads
            .iter()
            .map(|(source, head)| json!([source, head.seq, head.chain.to_string()]))
            .collect();
        json!({ "frontier": hex::encode(self.frontier.to_bytes()), "heads": heads })
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let frontier = hex::decode(value.get("frontier")?.as_str()?).ok()?;
        let mut heads = BTreeMap::new();
        for head in value.get("heads")?.as_array()? {
            let chain = hex::decode(head.get(2)?.as_str()?).ok()?;
            let chain = ChainHash::from_slice(&chain)?;
            let state = ChainState { seq: head.get(1)?.as_u64()?, chain };
            heads.insert(head.get(0)?.as_str()?.to_owned(), state);
        }
        Some(Self { frontier: Frontier::from_bytes(&frontier).ok()?, heads })
    }
}

/// The open table.
#[derive(Debug)]
pub struct Table {
    directory: PathBuf,
    table: DeltaTable,
    /// The SHA-256 of the last commit's file: the next one repeats it (L2).
    last_commit: String,
}

/// What a table holds when it is opened.
#[derive(Debug)]
pub struct Opened {
    /// The table.
    pub table: Table,
    /// Its files, in lake order.
    pub files: Vec<DataFile>,
    /// Where it is.
    pub position: Position,
}

impl Table {
    /// Opens the table of the lake in `lake`, or makes it.
    pub async fn open(lake: &Path) -> Result<Opened, StoreError> {
        let directory = lake.join(DIRECTORY);
        std::fs::create_dir_all(&directory)
            .map_err(|source| StoreError::File { path: directory.clone(), source })?;
        let directory = directory
            .canonicalize()
            .map_err(|source| StoreError::File { path: directory.clone(), source })?;
        let url = url::Url::from_directory_path(&directory)
            .map_err(|()| StoreError::Location(directory.display().to_string()))?;
        let mut table = DeltaTableBuilder::from_url(url)?.build()?;
        if table.verify_deltatable_existence().await? {
            table.load().await?;
        } else {
            table = create(&table).await?;
        }
        let last_commit = commit_sha256(&directory, table.version().unwrap_or(0))?;
        let table = Self { directory, table, last_commit };
        let files = table.files()?;
        let position = table.position().await?;
        let records: u64 = files.iter().map(|file| file.count).sum();
        if records != position.frontier.size() {
            let size = position.frontier.size();
            let text = format!("its files hold {records} records, its commit says {size}");
            return Err(StoreError::State(text));
        }
        Ok(Opened { table, files, position })
    }

    /// The table's id: also the lake's.
    pub fn id(&self) -> Result<String, StoreError> {
        Ok(self.table.snapshot()?.metadata().id().to_owned())
    }

    /// A store whose root is the table.
    #[must_use]
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.table.object_store()
    }

    fn files(&self) -> Result<Vec<DataFile>, StoreError> {
        let mut files = Vec::new();
        for view in self.table.snapshot()?.log_data().iter() {
            let path = view.path().into_owned();
            let (first, count) = parse_name(&path)
                .ok_or_else(|| StoreError::State(format!("`{path}` is not a file of a lake")))?;
            let size_bytes = u64::try_from(view.size()).unwrap_or(0);
            files.push(DataFile { first, count, path, size_bytes });
        }
        files.sort();
        Ok(files)
    }

    /// Where the last commit says the lake is.
    async fn position(&self) -> Result<Position, StoreError> {
        let version = self.table.version().unwrap_or(0);
        if version == 0 {
            return Ok(Position::default());
        }
        let entry = self.table.log_store().read_commit_entry(version).await?.unwrap_or_default();
        let text = String::from_utf8_lossy(&entry);
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find_map(|action| Position::from_json(action.get("commitInfo")?.get(POSITION_FIELD)?))
            .ok_or_else(|| StoreError::State(format!("version {version} has no position")))
    }

    /// Reads the table again: after a commit whose end is not known.
    pub async fn reload(&mut self) -> Result<(Vec<DataFile>, Position), StoreError> {
        self.table.load().await?;
        self.last_commit = commit_sha256(&self.directory, self.table.version().unwrap_or(0))?;
        Ok((self.files()?, self.position().await?))
    }

    /// Writes a batch as a Parquet file that nobody sees yet.
    pub async fn put(&self, first: u64, batch: &RecordBatch) -> Result<PendingFile, StoreError> {
        let bytes = encode(batch)?;
        let count = batch.num_rows() as u64;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let size_bytes = bytes.len() as u64;
        let path = file_name(first, count);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let to = ObjectPath::from(path.as_str());
        self.store().put_opts(&to, bytes.into(), options).await?;
        sync(&self.directory.join(&path))?;
        sync(&self.directory)?;
        Ok(PendingFile { file: DataFile { first, count, path, size_bytes }, sha256 })
    }

    /// Makes a file visible, together with the lake's new position (L3). `checkpoint`: the last one's number.
    pub async fn commit(
        &mut self,
        pending: PendingFile,
        position: &Position,
        checkpoint: u64,
        at: Timestamp,
    ) -> Result<DataFile, StoreError> {
        let PendingFile { file, sha256 } = pending;
        let add = Add {
            path: file.path.clone(),
            size: i64::try_from(file.size_bytes).unwrap_or(i64::MAX),
            modification_time: at.0.div_euclid(1_000),
            data_change: true,
            stats: Some(json!({ "numRecords": file.count }).to_string()),
            tags: Some(HashMap::from([(SHA256_TAG.to_owned(), Some(sha256))])),
            ..empty_add()
        };
        let sequence = |(source, head): (&String, &ChainState)| {
            Transaction::new(source, i64::try_from(head.seq).unwrap_or(i64::MAX))
        };
        let properties = CommitProperties::default()
            .with_cleanup_expired_logs(Some(false))
            // Every byte of the log is covered by a hash; a summary of it would not be.
            .with_create_checkpoint(false)
            .with_max_retries(0)
            .with_application_transactions(position.heads.iter().map(sequence).collect())
            .with_metadata([
                (POSITION_FIELD.to_owned(), position.to_json()),
                (CHECKPOINT_FIELD.to_owned(), Value::from(checkpoint)),
                (PREVIOUS_FIELD.to_owned(), Value::from(self.last_commit.clone())),
            ]);
        let operation =
            DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        let log_store = self.table.log_store();
        let finished = CommitBuilder::from(properties)
            .with_actions(vec![Action::Add(add)])
            .build(Some(self.table.snapshot()?), log_store, operation)
            .await?;
        let version = finished.version();
        sync(&commit_path(&self.directory, version))?;
        sync(&self.directory.join(LOG_DIRECTORY))?;
        self.last_commit = commit_sha256(&self.directory, version)?;
        self.table.state = Some(finished.snapshot());
        Ok(file)
    }
}

/// A written file that no commit has made visible.
#[derive(Debug)]
pub struct PendingFile {
    file: DataFile,
    sha256: String,
}

fn empty_add() -> Add {
    Add {
        path: String::new(),
        partition_values: HashMap::new(),
        size: 0,
        modification_time: 0,
        data_change: true,
        stats: None,
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}

async fn create(table: &DeltaTable) -> Result<DeltaTable, StoreError> {
    let schema: StructType = columns::schema().as_ref().try_into_kernel()?;
    let created = CreateBuilder::new()
        .with_log_store(table.log_store())
        .with_table_name("records")
        .with_comment("Audit records of Writ; see docs/lake-tables.md")
        .with_columns(schema.fields().cloned())
        .await?;
    Ok(created)
}

/// The file of commit `version` of the table in `directory`.
fn commit_path(directory: &Path, version: impl std::fmt::Display) -> PathBuf {
    directory.join(LOG_DIRECTORY).join(commit_name(version))
}

/// The name of commit `version`'s file.
#[must_use]
pub fn commit_name(version: impl std::fmt::Display) -> String {
    format!("{version:0>20}.json")
}

fn commit_sha256(directory: &Path, version: impl std::fmt::Display) -> Result<String, StoreError> {
    let path = commit_path(directory, version);
    let bytes = std::fs::read(&path).map_err(|source| StoreError::File { path, source })?;
    Ok(hex::encode(Sha256::digest(&bytes)))
}

/// Makes a file or a directory's entries survive a power loss: an acknowledged record is forgotten by its source.
fn sync(path: &Path) -> Result<(), StoreError> {
    std::fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|source| StoreError::File { path: path.to_owned(), source })
}

fn encode(batch: &RecordBatch) -> Result<Vec<u8>, StoreError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.close()?;
    Ok(bytes)
}

/// The random part keeps a retry from meeting a file that an interrupted commit left behind.
fn file_name(first: u64, count: u64) -> String {
    format!("records-{first:020}-{count}-{}.parquet", ulid::Ulid::new())
}

/// The first index and the count in a file's name.
#[must_use]
pub fn parse_name(path: &str) -> Option<(u64, u64)> {
    let mut parts = path.strip_prefix("records-")?.strip_suffix(".parquet")?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
