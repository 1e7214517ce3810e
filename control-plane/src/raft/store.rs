//! One RocksDB for everything that must survive: the Raft log, the vote, and the event log.
//!
//! The write-ahead log is flushed by hand, so that nothing reaches the disk by accident: what was not synced
//! before it was acknowledged is missing after a crash, and in the test that looks for it (C3).

use std::io;
use std::path::{Path, PathBuf};

use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, Direction, IteratorMode, Options, WriteBatch,
};
use tokio::sync::watch;
use writ_control_core::EventEnvelope;
use writ_model::EventSeq;

/// Raft log entries by index.
pub(super) const LOG: &str = "log";
/// Single values: vote, positions.
pub(super) const META: &str = "meta";
/// The event log by sequence number.
const EVENTS: &str = "events";
const FAMILIES: [&str; 3] = [LOG, META, EVENTS];
/// The most write-ahead log that is kept before memory is written to tables.
const WAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Whether acknowledged writes are on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// C3: fsync before anything is acknowledged. The only choice outside tests.
    Synced,
    /// No fsync: acknowledged writes can be lost. What the tests for C3 must find.
    Lost,
}

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error("{0} is in use by another control plane; stop it first")]
    InUse(PathBuf),
    /// RocksDB says no.
    #[error("the control plane's store at {path} does not open: {reason}")]
    Open {
        /// Where.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// The open database.
pub struct Store {
    db: DB,
    options: Options,
    durability: Durability,
    /// Dropped after the database: fields are dropped in this order.
    closed: watch::Sender<()>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.db.path()).finish_non_exhaustive()
    }
}

pub(super) fn failed(error: rocksdb::Error) -> io::Error {
    io::Error::other(error)
}

impl Store {
    /// Opens or creates the store at `path`.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_manual_wal_flush(true);
        options.set_max_total_wal_size(WAL_BYTES_MAX);
        options.enable_statistics();
        // All families of one write stand or fall together.
        options.set_atomic_flush(true);
        let families = FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
        let db = DB::open_cf_descriptors(&options, path, families).map_err(|error| {
            let reason = error.into_string();
            if reason.contains("lock") {
                return StoreError::InUse(path.to_owned());
            }
            StoreError::Open { path: path.to_owned(), reason }
        })?;
        Ok(Self { db, options, durability, closed: watch::Sender::new(()) })
    }

    /// Its sender is gone once the database is closed and its lock is free.
    #[must_use]
    pub fn closed(&self) -> watch::Receiver<()> {
        self.closed.subscribe()
    }

    /// How often the write-ahead log was synced, as RocksDB counts.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.options.get_ticker_count(rocksdb::statistics::Ticker::WalFileSynced)
    }

    /// Makes every write so far durable (C3). Blocks for an fsync.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self.durability {
            Durability::Synced => self.db.flush_wal(true).map_err(failed),
            Durability::Lost => Ok(()),
        }
    }

    pub(super) fn family(&self, name: &'static str) -> io::Result<&ColumnFamily> {
        self.db.cf_handle(name).ok_or_else(|| io::Error::other(format!("no column family {name}")))
    }

    pub(super) fn write(&self, batch: WriteBatch) -> io::Result<()> {
        self.db.write(batch).map_err(failed)
    }

    pub(super) fn meta(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.db.get_cf(self.family(META)?, key).map_err(failed)
    }

    pub(super) fn put_meta(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.db.put_cf(self.family(META)?, key, value).map_err(failed)
    }

    pub(super) fn delete_meta(&self, key: &str) -> io::Result<()> {
        self.db.delete_cf(self.family(META)?, key).map_err(failed)
    }

    /// Rows of `family` from `from` on, in order.
    pub(super) fn rows(
        &self,
        family: &'static str,
        from: u64,
    ) -> io::Result<impl Iterator<Item = io::Result<(u64, Box<[u8]>)>> + '_> {
        let start = from.to_be_bytes();
        let mode = IteratorMode::From(&start, Direction::Forward);
        let rows = self.db.iterator_cf(self.family(family)?, mode);
        Ok(rows.map(|row| {
            let (key, value) = row.map_err(failed)?;
            Ok((number(&key)?, value))
        }))
    }

    /// The last row of `family`.
    pub(super) fn last_row(&self, family: &'static str) -> io::Result<Option<(u64, Box<[u8]>)>> {
        let mut rows = self.db.iterator_cf(self.family(family)?, IteratorMode::End);
        let Some(row) = rows.next() else { return Ok(None) };
        let (key, value) = row.map_err(failed)?;
        Ok(Some((number(&key)?, value)))
    }

    pub(super) fn put_event(
        &self,
        batch: &mut WriteBatch,
        envelope: &EventEnvelope,
    ) -> io::Result<()> {
        let json = serde_json::to_vec(envelope).map_err(io::Error::other)?;
        batch.put_cf(self.family(EVENTS)?, envelope.seq.0.to_be_bytes(), json);
        Ok(())
    }

    /// Events from `from` on, at most `limit`, in order.
    pub fn events(&self, from: EventSeq, limit: usize) -> io::Result<Vec<EventEnvelope>> {
        let rows = self.rows(EVENTS, from.0)?.take(limit);
        rows.map(|row| serde_json::from_slice(&row?.1).map_err(io::Error::other)).collect()
    }
}

fn number(key: &[u8]) -> io::Result<u64> {
    key.try_into().map(u64::from_be_bytes).map_err(io::Error::other)
}
