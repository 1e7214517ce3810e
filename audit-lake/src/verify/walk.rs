//! The records, file by file in the order of commits: bytes, chains, columns, tree.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow::array::{Array, BinaryArray, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use writ_audit::{Body, ChainError, ChainHash, ChainState, FramedRef, Record, merkle};

use super::seals::Seals;
use super::{Finding, Report};
use crate::columns;
use crate::log::{Listed, Log};
use crate::row::Row;
use crate::table::{DataFile, Position};

/// The most findings about the records of one file: a file that was replaced would have thousands.
const FINDINGS_PER_FILE_MAX: usize = 16;

struct Walk<'a> {
    table: &'a Path,
    log: &'a Log,
    seals: &'a Seals,
    position: Position,
    /// How many records are sealed by a checkpoint that holds.
    sealed: u64,
    report: &'a mut Report,
}

/// Walks all visible files; what it finds goes into `report`.
pub(super) fn walk(table: &Path, log: &Log, seals: &Seals, report: &mut Report) {
    let position = Position::default();
    let mut walk = Walk { table, log, seals, position, sealed: 0, report };
    walk.check_seals();
    for listed in log.files.values() {
        walk.file(listed);
    }
    let Walk { position, sealed, report, .. } = walk;
    seals.check_end(position.frontier.size(), &mut report.findings);
    report.sealed = sealed;
    report.sources = position.heads.into_iter().map(|(source, head)| (source, head.seq)).collect();
}

impl Walk<'_> {
    /// Walks one file. Where its records are not what the log says, that is found, and the walk goes on from what
    /// the log says: so that one place of tampering is not found again in everything after it.
    fn file(&mut self, listed: &Listed) {
        let Listed { file, sha256 } = listed;
        let before = self.report.findings.len();
        if let Some(batches) = self.read(file, sha256) {
            self.records(file, &batches);
        }
        if let Some(position) = self.log.positions.get(&file.end())
            && self.position != *position
        {
            // Located already where a record, a column or the file itself was named.
            if self.report.findings.len() == before {
                self.report.findings.push(Finding::Commit {
                    path: file.path.clone(),
                    first: file.first,
                    last: last(file),
                });
            }
            self.position = position.clone();
        }
        self.check_seals();
    }

    fn check_seals(&mut self) {
        self.seals.check(&self.position, &mut self.sealed, &mut self.report.findings);
    }

    /// The file's content; `None`, and a finding, where it cannot be read at all.
    fn read(&mut self, file: &DataFile, sha256: &str) -> Option<Vec<RecordBatch>> {
        let bytes = match std::fs::read(self.table.join(&file.path)) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let (path, first, last) = (file.path.clone(), file.first, last(file));
                self.report.findings.push(Finding::FileMissing { path, first, last });
                return None;
            }
            Err(error) => {
                self.altered(file, error.to_string());
                return None;
            }
        };
        if bytes.len() as u64 != file.size_bytes {
            let now = bytes.len();
            self.altered(file, format!("it has {now} bytes, {} were committed", file.size_bytes));
        }
        let found = hex::encode(Sha256::digest(&bytes));
        if found != sha256 {
            self.altered(file, format!("its SHA-256 is {found}, committed was {sha256}"));
        }
        match decode(bytes) {
            Ok(batches) => Some(batches),
            Err(reason) => {
                self.altered(file, reason);
                None
            }
        }
    }

    fn altered(&mut self, file: &DataFile, reason: String) {
        let (path, first, last) = (file.path.clone(), file.first, last(file));
        self.report.findings.push(Finding::FileAltered { path, first, last, reason });
    }

    fn records(&mut self, file: &DataFile, batches: &[RecordBatch]) {
        let before = self.report.findings.len();
        let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        if rows != file.count {
            let reason = format!("it has {rows} records, {} were committed", file.count);
            self.altered(file, reason);
        }
        for batch in batches {
            self.batch(file, batch);
        }
        self.report.records += rows;
        let new = self.report.findings.len() - before;
        if new > FINDINGS_PER_FILE_MAX {
            self.report.findings.truncate(before + FINDINGS_PER_FILE_MAX);
            self.altered(file, format!("{} more findings in it", new - FINDINGS_PER_FILE_MAX));
        }
    }

    fn batch(&mut self, file: &DataFile, batch: &RecordBatch) {
        let (Some(sources), Some(chains), Some(records)) = (
            column::<StringArray>(batch, "source"),
            binary(batch, "chain"),
            binary(batch, "record"),
        ) else {
            return self.altered(file, "it lacks the columns source, chain or record".to_owned());
        };
        let mut rows = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let index = self.position.frontier.size();
            // A merged file has checkpoints inside; the one at its end is checked after it.
            if index > file.first {
                self.check_seals();
            }
            let place = Place { file, index };
            let (bytes, chain) = (records.value(row), chains.value(row));
            self.position.frontier.push(merkle::leaf(bytes));
            let Some(chain) = ChainHash::from_slice(chain) else {
                self.record(&place, sources.value(row), 0, "its chain hash was edited".to_owned());
                continue;
            };
            match Record::decode(bytes) {
                Ok(record) => {
                    self.follow(&place, &record, bytes, chain);
                    rows.push(Row::new(place.index, &record, bytes.to_vec(), &chain.0));
                }
                Err(error) => self.record(&place, sources.value(row), 0, error.to_string()),
            }
        }
        if rows.len() == batch.num_rows() {
            self.columns(file, batch, &rows);
        }
    }

    fn record(&mut self, place: &Place<'_>, source: &str, seq: u64, reason: String) {
        self.report.findings.push(Finding::Record {
            path: place.file.path.clone(),
            index: place.index,
            source_name: source.to_owned(),
            seq,
            reason,
        });
    }

    /// Follows the record's chain, and goes on from what is there so that each break is found once.
    fn follow(&mut self, place: &Place<'_>, record: &Record, bytes: &[u8], chain: ChainHash) {
        let (source, seq) = (&record.source, record.seq);
        let mut head = self.position.heads.get(source).copied().unwrap_or_default();
        if let Err(error) = head.accept(FramedRef { seq, bytes, chain }) {
            self.record(place, source, seq, broken(&error));
            head = ChainState { seq, chain };
        }
        self.position.heads.insert(source.clone(), head);
        if let Body::Gap(gap) = &record.body {
            let text = format!(
                "{source}: records {} to {} were lost: {}",
                gap.first, gap.last, gap.reason
            );
            self.report.gaps.push(text);
        }
    }

    /// Every column must say what the canonical bytes say.
    fn columns(&mut self, file: &DataFile, batch: &RecordBatch, rows: &[Row]) {
        let expected = match columns::batch(rows) {
            Ok(expected) => expected,
            Err(error) => return self.altered(file, error.to_string()),
        };
        let names = |batch: &RecordBatch| -> Vec<String> {
            batch.schema().fields().iter().map(|field| field.name().clone()).collect()
        };
        if names(batch) != names(&expected) {
            return self.altered(file, "its columns are not those of the lake".to_owned());
        }
        for ((found, expected), name) in
            batch.columns().iter().zip(expected.columns()).zip(names(&expected))
        {
            if found == expected {
                continue;
            }
            let differs = |row: &usize| found.slice(*row, 1) != expected.slice(*row, 1);
            for row in (0..rows.len()).filter(differs) {
                if let Some(row) = rows.get(row) {
                    self.report.findings.push(Finding::Column {
                        path: file.path.clone(),
                        index: u64::try_from(row.lake_index).unwrap_or(0),
                        source_name: row.source.clone(),
                        seq: u64::try_from(row.seq).unwrap_or(0),
                        column: name.clone(),
                    });
                }
            }
        }
    }
}

struct Place<'a> {
    file: &'a DataFile,
    index: u64,
}

fn last(file: &DataFile) -> u64 {
    file.end().saturating_sub(1)
}

fn broken(error: &ChainError) -> String {
    match error {
        ChainError::Hole { expected, found } if found > expected => {
            format!(
                "it comes where {expected} is due: records {expected} to {} were removed",
                found - 1
            )
        }
        ChainError::Hole { expected, .. } => {
            format!("it comes where {expected} is due: it was inserted, repeated or moved")
        }
        ChainError::Broken { expected, found, .. } => {
            format!("it was edited: its chain hash is {found}, its bytes give {expected}")
        }
    }
}

fn decode(bytes: Bytes) -> Result<Vec<RecordBatch>, String> {
    let text = |error: &dyn std::fmt::Display| format!("it cannot be read: {error}");
    let read = || {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(|error| text(&error))?;
        reader.collect::<Result<_, _>>().map_err(|error| text(&error))
    };
    // The reader was not made for damaged files: on some it panics. That is a finding like any other.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(text(&"its structure is damaged")))
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Option<&'a T> {
    batch.column_by_name(name)?.as_any().downcast_ref()
}

fn binary<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a BinaryArray> {
    column::<BinaryArray>(batch, name).filter(|array| array.null_count() == 0)
}
