//! A lake on temporary files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use tempfile::TempDir;
use writ_audit::{Framed, PublicKey};
use writ_audit_lake::storage::{Lake, StorageConfig};
use writ_audit_lake::{Cadence, IngestError, IngestPort};
use writ_model::Timestamp;
use writ_proto::node::Clock;

pub const NOW: Timestamp = Timestamp(1_700_000_100_000_000);

pub fn clock() -> Clock {
    Arc::new(|| NOW)
}

/// Commits and seals as soon as there is something: tests wait for results, not for time.
pub const QUICK: Cadence =
    Cadence { commit: Duration::from_millis(1), checkpoint: Duration::from_millis(1) };

/// A lake's directory, which outlives the lake.
pub struct Files {
    pub dir: TempDir,
}

impl Files {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("dir") }
    }

    pub fn lake(&self) -> PathBuf {
        self.dir.path().join("tables")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.path().join("keys/checkpoint.key")
    }

    pub fn public(&self) -> PublicKey {
        let path = writ_audit_lake::keys::public_path(&self.key());
        writ_audit_lake::keys::load_public(&path).expect("public key")
    }

    pub fn config(&self, cadence: Cadence) -> StorageConfig {
        StorageConfig { directory: self.lake(), key_file: self.key(), cadence }
    }

    pub async fn open(&self) -> Lake {
        self.open_with(QUICK).await
    }

    pub async fn open_with(&self, cadence: Cadence) -> Lake {
        Lake::open(&self.config(cadence), clock()).await.expect("opened")
    }
}

pub async fn append(lake: &Lake, source: &str, framed: Vec<Framed>) -> Result<u64, IngestError> {
    lake.ingest().append(source, framed).await
}

/// A lake with these records, each batch a commit and a checkpoint of its own, closed.
pub async fn filled(batches: Vec<(&str, Vec<Framed>)>) -> Files {
    let files = Files::new();
    for (source, framed) in batches {
        let lake = files.open().await;
        append(&lake, source, framed).await.expect("appended");
        lake.close().await.expect("closed");
    }
    files
}

/// All rows as text, columns separated by `|`.
pub fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let row = |batch: &RecordBatch, row| {
        let cells: Vec<String> = batch
            .columns()
            .iter()
            .map(|column| array_value_to_string(column, row).expect("text"))
            .collect();
        cells.join("|")
    };
    let all = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |n| row(batch, n)));
    all.collect()
}

pub async fn query(lake: &Lake, sql: &str) -> Vec<String> {
    rows(&lake.engine().query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

pub async fn count(lake: &Lake) -> String {
    query(lake, "SELECT count(*) FROM records").await.concat()
}

/// The data files of a lake, in lake order.
pub fn parquet_files(lake: &Path) -> Vec<PathBuf> {
    files_of(&lake.join("records"), "parquet")
}

pub fn files_of(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("directory");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}
