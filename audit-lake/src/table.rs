//! The Delta table `records`: Parquet files and the commits that make them visible (L3). Each commit carries
//! where every source's chain and the Merkle tree are, so that a restart needs no second state (L1).

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use deltalake::DeltaTableBuilder;
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::operations::create::CreateBuilder;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use writ_audit::{ChainHash, ChainState, Frontier, SourceHead};
use writ_model::{DurationMs, Timestamp};

use crate::columns;
use crate::error::StoreError;
use crate::log::{self, Listed, Log};

/// The directory of the table inside a lake.
pub const DIRECTORY: &str = "records";
/// So many neighbouring small files become one.
pub const MERGE_FILES: usize = 16;
/// Files are not merged into larger ones than this, in bytes: a merge must not hold up commits for long.
pub const MERGED_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long files that a merge replaced stay for the queries that began before it.
pub const MERGED_KEPT: DurationMs = DurationMs::from_seconds(600);

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

impl DataFile {
    /// The lake index after its last record.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }

    /// How large it is, as a power of [`MERGE_FILES`].
    fn level(&self) -> u32 {
        self.count.max(1).ilog(MERGE_FILES as u64)
    }
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
    id: String,
    version: u64,
    /// The SHA-256 of the last commit's file: the next one repeats it (L2).
    last_commit: String,
    /// Files that a merge replaced, and when: removed where nobody can be reading them any more.
    merged: Vec<(Timestamp, String)>,
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

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError + '_ {
    |source| StoreError::File { path: path.to_owned(), source }
}

impl Table {
    /// Opens the table of the lake in `lake`, or makes it.
    pub async fn open(lake: &Path) -> Result<Opened, StoreError> {
        let directory = lake.join(DIRECTORY);
        std::fs::create_dir_all(&directory).map_err(file_error(&directory))?;
        let directory = directory.canonicalize().map_err(file_error(&directory))?;
        if !directory.join(log::DIRECTORY).join(log::commit_name(0)).exists() {
            create(&directory).await?;
        }
        let mut table = Self {
            directory,
            id: String::new(),
            version: 0,
            last_commit: String::new(),
            merged: Vec::new(),
        };
        let (files, position) = table.reload()?;
        // Nobody reads yet.
        table.remove_merged(Timestamp(i64::MAX));
        Ok(Opened { table, files, position })
    }

    /// The table's id: also the lake's.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A store whose root is the table.
    pub fn store(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        Ok(Arc::new(LocalFileSystem::new_with_prefix(&self.directory)?))
    }

    /// Reads the log again: also after a commit whose end is not known.
    pub fn reload(&mut self) -> Result<(Vec<DataFile>, Position), StoreError> {
        let log = log::read(&self.directory)
            .map_err(|(path, source)| StoreError::File { path, source })?;
        if let Some(finding) = log.findings.first() {
            return Err(StoreError::State(finding.to_string()));
        }
        let position = log.position();
        let Log { lake, version, last, files, merged, .. } = log;
        self.id = lake;
        self.version = version;
        self.last_commit = last.unwrap_or_default();
        self.merged = merged.into_iter().map(|path| (Timestamp::default(), path)).collect();
        Ok((files.into_values().map(|listed| listed.file).collect(), position))
    }

    /// Writes a batch as a Parquet file that nobody sees yet.
    pub fn put(&self, first: u64, batch: &RecordBatch) -> Result<PendingFile, StoreError> {
        let bytes = encode(batch)?;
        let count = batch.num_rows() as u64;
        let (sha256, size_bytes) = (log::sha256(&bytes), bytes.len() as u64);
        let path = file_name(first, count);
        self.write_new(Path::new(&path), &bytes)?;
        sync(&self.directory)?;
        let file = DataFile { first, count, path, size_bytes };
        Ok(PendingFile(Listed { file, sha256 }))
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.directory.join(path);
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::File::create_new(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(file_error(&path))
    }

    /// Makes a file visible, together with the lake's new position (L3). `checkpoint`: the last one's number.
    pub fn commit(
        &mut self,
        pending: PendingFile,
        position: &Position,
        checkpoint: u64,
        at: Timestamp,
    ) -> Result<DataFile, StoreError> {
        let PendingFile(listed) = pending;
        let millis = at.0.div_euclid(1_000);
        let mut info = self.commit_info("WRITE", checkpoint, millis);
        info[log::POSITION_FIELD] = position.to_json();
        let mut actions = vec![json!({ "commitInfo": info })];
        for (source, head) in &position.heads {
            let txn = json!({ "appId": source, "version": head.seq, "lastUpdated": millis });
            actions.push(json!({ "txn": txn }));
        }
        actions.push(add(&listed, millis, true));
        self.write_commit(&actions)?;
        Ok(listed.file)
    }

    fn commit_info(&self, operation: &str, checkpoint: u64, millis: i64) -> Value {
        json!({
            "timestamp": millis,
            "operation": operation,
            "operationParameters": { "mode": "Append" },
            "isBlindAppend": operation == "WRITE",
            "engineInfo": concat!("writ/", env!("CARGO_PKG_VERSION")),
            log::CHECKPOINT_FIELD: checkpoint,
            log::PREVIOUS_FIELD: self.last_commit,
        })
    }

    /// Writes the next commit: whole or not at all, durable before this returns, never over another (L3).
    fn write_commit(&mut self, actions: &[Value]) -> Result<(), StoreError> {
        let version = self.version + 1;
        let text: String = actions.iter().map(|action| format!("{action}\n")).collect();
        let directory = Path::new(log::DIRECTORY);
        let name = log::commit_name(version);
        let beside = directory.join(format!("{name}.tmp"));
        let (from, to) = (self.directory.join(&beside), self.directory.join(directory).join(name));
        if from.exists() {
            std::fs::remove_file(&from).map_err(file_error(&from))?;
        }
        self.write_new(&beside, text.as_bytes())?;
        // Unlike a rename, a link fails where that commit is there already.
        std::fs::hard_link(&from, &to).map_err(file_error(&to))?;
        std::fs::remove_file(&from).map_err(file_error(&from))?;
        sync(&self.directory.join(directory))?;
        self.version = version;
        self.last_commit = log::sha256(text.as_bytes());
        Ok(())
    }

    /// Replaces neighbouring small files by one with the same records; `None`: there are not enough of them.
    /// The old files stay for [`MERGED_KEPT`], for who reads them now.
    pub fn merge(
        &mut self,
        files: &[DataFile],
        checkpoint: u64,
        at: Timestamp,
    ) -> Result<Option<Vec<DataFile>>, StoreError> {
        let Some(from) = merge_from(files) else { return Ok(None) };
        let (kept, small) = files.split_at(from);
        let mut batches = Vec::new();
        for file in small {
            batches.extend(read(&self.directory.join(&file.path))?);
        }
        let batch = arrow::compute::concat_batches(&columns::schema(), &batches)?;
        let first = small.first().map_or(0, |file| file.first);
        let PendingFile(listed) = self.put(first, &batch)?;
        let millis = at.0.div_euclid(1_000);
        let mut actions =
            vec![json!({ "commitInfo": self.commit_info("OPTIMIZE", checkpoint, millis) })];
        actions.extend(small.iter().map(|file| remove(file, millis)));
        actions.push(add(&listed, millis, false));
        self.write_commit(&actions)?;
        self.remove_merged(at);
        self.merged.extend(small.iter().map(|file| (at, file.path.clone())));
        Ok(Some(kept.iter().cloned().chain([listed.file]).collect()))
    }

    fn remove_merged(&mut self, now: Timestamp) {
        let directory = &self.directory;
        self.merged.retain(|(at, path)| {
            let kept = now.since(*at) < MERGED_KEPT;
            if !kept {
                // It may be gone already; one that stays does no harm.
                let _gone = std::fs::remove_file(directory.join(path));
            }
            kept
        });
    }
}

/// Where the run of files begins that is to be merged: at the end, enough of them, none larger than the rest.
fn merge_from(files: &[DataFile]) -> Option<usize> {
    let levels = files.iter().map(DataFile::level).max().unwrap_or(0);
    (0..=levels).find_map(|level| {
        let (mut bytes, mut run) = (0, 0);
        for file in files.iter().rev().take_while(|file| file.level() <= level) {
            bytes += file.size_bytes;
            if bytes > MERGED_BYTES_MAX {
                break;
            }
            run += 1;
        }
        (run >= MERGE_FILES).then(|| files.len() - run)
    })
}

/// A written file that no commit has made visible.
#[derive(Debug)]
pub struct PendingFile(Listed);

fn add(listed: &Listed, millis: i64, data_change: bool) -> Value {
    let Listed { file, sha256 } = listed;
    json!({ "add": {
        "path": file.path,
        "partitionValues": {},
        "size": file.size_bytes,
        "modificationTime": millis,
        "dataChange": data_change,
        "stats": json!({ "numRecords": file.count }).to_string(),
        "tags": { log::SHA256_TAG: sha256 },
    } })
}

fn remove(file: &DataFile, millis: i64) -> Value {
    json!({ "remove": {
        "path": file.path,
        "deletionTimestamp": millis,
        "dataChange": false,
        "extendedFileMetadata": true,
        "partitionValues": {},
        "size": file.size_bytes,
    } })
}

async fn create(directory: &Path) -> Result<(), StoreError> {
    let url = url::Url::from_directory_path(directory)
        .map_err(|()| StoreError::Location(directory.display().to_string()))?;
    let table = DeltaTableBuilder::from_url(url)?.build()?;
    let schema: StructType = columns::schema().as_ref().try_into_kernel()?;
    CreateBuilder::new()
        .with_log_store(table.log_store())
        .with_table_name("records")
        .with_comment("Audit records of Writ; see docs/lake-tables.md")
        .with_columns(schema.fields().cloned())
        .await?;
    let log = directory.join(log::DIRECTORY);
    sync(&log.join(log::commit_name(0)))?;
    sync(&log)
}

/// Makes a file or a directory's entries survive a power loss: an acknowledged record is forgotten by its source.
fn sync(path: &Path) -> Result<(), StoreError> {
    std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(file_error(path))
}

fn read(path: &Path) -> Result<Vec<RecordBatch>, StoreError> {
    let file = std::fs::File::open(path).map_err(file_error(path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.build()?;
    Ok(reader.collect::<Result<_, _>>()?)
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
