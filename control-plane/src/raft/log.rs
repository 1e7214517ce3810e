//! openraft's log storage on our store.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use rocksdb::WriteBatch;

use super::store::{LOG, META, Store};
use super::{Entry, LogId, Types, Vote, codec};

const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";

/// The Raft log and vote. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogStore {
    store: Arc<Store>,
}

impl LogStore {
    /// The log in `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    fn log_id(&self, key: &str) -> io::Result<Option<LogId>> {
        self.store.meta(key)?.map(|bytes| codec::decode_log_id(&bytes)).transpose()
    }

    /// Makes all writes so far durable, without holding up the runtime.
    async fn synced(&self) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.sync()).await.map_err(io::Error::other)?
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let start = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let mut entries = Vec::new();
        for row in self.store.rows(LOG, start)? {
            let (index, bytes) = row?;
            if !range.contains(&index) {
                break;
            }
            entries.push(codec::decode_entry(&bytes)?);
        }
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.store.meta(VOTE)?.map(|bytes| codec::decode_vote(&bytes)).transpose()
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let last_purged_log_id = self.log_id(PURGED)?;
        let last = self.store.last_row(LOG)?;
        let last = last.map(|(_, bytes)| codec::decode_entry(&bytes)).transpose()?;
        let last_log_id = last.map(|entry| entry.log_id).or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.store.put_meta(VOTE, &codec::encode_vote(vote))?;
        // C3: a vote that is forgotten could elect two leaders of one term.
        self.synced().await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        // Not synced: it is only a hint, and the log before it in the WAL is at least as new.
        match committed {
            Some(id) => self.store.put_meta(COMMITTED, &codec::encode_log_id(id)),
            None => self.store.delete_meta(COMMITTED),
        }
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.log_id(COMMITTED)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = WriteBatch::default();
        for entry in entries {
            let bytes = codec::encode_entry(&entry)?;
            batch.put_cf(self.store.family(LOG)?, entry.log_id.index.to_be_bytes(), bytes);
        }
        self.store.write(batch)?;
        // C3: acknowledged only once it is on the disk. Appends that wait together share one fsync.
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || callback.io_completed(store.sync()));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let from = last_log_id.map_or(0, |id| id.index.saturating_add(1));
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(self.store.family(LOG)?, from.to_be_bytes(), u64::MAX.to_be_bytes());
        self.store.write(batch)?;
        self.synced().await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let upto = log_id.index.saturating_add(1);
        let mut batch = WriteBatch::default();
        // One write: a crash leaves either both or none, so there is never a hole without a reason.
        batch.put_cf(self.store.family(META)?, PURGED, codec::encode_log_id(log_id));
        batch.delete_range_cf(self.store.family(LOG)?, 0_u64.to_be_bytes(), upto.to_be_bytes());
        self.store.write(batch)?;
        self.synced().await
    }
}
