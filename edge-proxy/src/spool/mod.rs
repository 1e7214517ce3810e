//! The audit records of this edge on their way to the lake: appended to files in memory so that a process
//! kill loses none of them, made durable in groups, shipped, and freed once the lake has them.
//!
//! Order of one strict statement (E6): append → [`Spool::request_sync`] → wait until [`Spool::durable`]
//! reaches the record's number ([`Spool::poll_durable`]) → forward. If the receiver of [`Spool::durable`] reports that its
//! sender is gone, nothing will become durable any more: refuse.

mod map;
mod recover;
mod segment;
mod shared;
mod signal;
mod state;
mod supply;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::watch;
use writ_audit::{ChainHash, ChainState, Framed, Header};
use writ_model::Timestamp;

use shared::Shared;
pub use state::all_shipped;

/// The smallest segment, in bytes.
pub const SEGMENT_BYTES_MIN: u64 = 4096;
/// Segments are multiples of this, in bytes: a page.
const PAGE_BYTES: u64 = 4096;

/// Where the spool is and how much it may take.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// The directory; this process alone uses it.
    pub dir: PathBuf,
    /// The name of this source: the edge's id.
    pub source: String,
    /// The bound for all segments together, in bytes; room for at least two.
    pub bytes_max: u64,
    /// The size of one segment, in bytes, rounded up to pages. A record must fit into one: choose more than
    /// [`writ_audit::codec::RECORD_BYTES_MAX`] where every record shall.
    pub segment_bytes: u64,
}

/// What was found at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// The last whole record's number; 0: none.
    pub last_seq: u64,
    /// Whether the last run ended in order. `false` on a fresh disk: nothing says so.
    pub clean: bool,
    /// Bytes that were cut off or set aside because they do not follow in the chain.
    pub torn_bytes: u64,
    /// Nothing was remembered here: before the first append, ask the lake where this source's chain is and
    /// [`Spool::resume_from`] there.
    pub fresh: bool,
}

/// Why the spool cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file cannot be used.
    #[error("spool: {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has the directory.
    #[error(
        "the spool {0} is used by another process; stop it, or give this edge a directory of its own"
    )]
    Locked(PathBuf),
    /// The sizes do not work.
    #[error(
        "the spool needs room for two segments of {segment_bytes} bytes, but bytes_max is {bytes_max}; raise it"
    )]
    TooSmall {
        /// The size of a segment.
        segment_bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// The directory is another source's.
    #[error(
        "{path} holds records of a source that is not `{source_name}`; give each edge a directory of its own"
    )]
    OtherSource {
        /// Which file.
        path: PathBuf,
        /// This source.
        source_name: String,
    },
    /// Records that the lake never acknowledged are missing (L1).
    #[error(
        "the spool {dir} begins at record {first}, but the lake acknowledged only up to {acked}: segment \
         files were removed; restore them, or move the directory away to start from what the lake has"
    )]
    Hole {
        /// The directory.
        dir: PathBuf,
        /// What the lake acknowledged.
        acked: u64,
        /// What is there.
        first: u64,
    },
    /// The records are not those that were acknowledged.
    #[error(
        "record {seq} in the spool {dir} is not the one that the lake acknowledged: files were altered or \
         come from elsewhere; move the directory away to start from what the lake has"
    )]
    Forked {
        /// The directory.
        dir: PathBuf,
        /// The record.
        seq: u64,
    },
    /// The record was acknowledged and freed.
    #[error("records up to {freed} are freed; read from {freed} on")]
    Freed {
        /// The last one that is gone.
        freed: u64,
    },
    /// Resuming needs an empty spool.
    #[error(
        "the spool holds records up to {last_seq}; only an empty one can start after the lake's"
    )]
    NotEmpty {
        /// The last record.
        last_seq: u64,
    },
}

/// Why a record was not taken. It has no number then, and nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpoolFull {
    /// The bound is reached: the lake has not acknowledged enough.
    #[error("the audit spool is full ({bytes_max} bytes); it empties once the lake can be reached")]
    Full {
        /// The bound.
        bytes_max: u64,
    },
    /// The disk is full, or refuses a new file.
    #[error("the audit spool cannot get space on the disk: {0}")]
    Disk(String),
    /// The record can never fit: record a digest of the text instead.
    #[error(
        "a record of {bytes} bytes does not fit into a segment; record a digest of its text instead"
    )]
    TooLarge {
        /// The record's size.
        bytes: usize,
    },
    /// A sync failed: the kernel may have dropped what was written, so nothing more is taken.
    #[error("the audit spool could not be made durable: {0}; check the disk and restart the edge")]
    Failed(String),
    /// [`Spool::close`] was called.
    #[error("the audit spool is closed")]
    Closed,
}

/// How full it is and how far it is shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolStats {
    /// Bytes of all segments, with headers and what is allocated ahead.
    pub bytes_used: u64,
    /// Their bound.
    pub bytes_max: u64,
    /// The last appended record.
    pub last_seq: u64,
    /// The last acknowledged record.
    pub acked_seq: u64,
    /// The last record known to be on the disk.
    pub durable_seq: u64,
    /// Records that the lake has not acknowledged.
    pub records_unshipped: u64,
    /// Why nothing is taken any more, if so.
    pub stopped: Option<SpoolFull>,
}

/// Makes a file's contents durable.
pub trait SyncPort: Send + Sync {
    /// Returns once everything written to `file` before the call is on the disk.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The operating system's `fdatasync`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fdatasync;

impl SyncPort for Fdatasync {
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// Bounds of one read.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// The last record to read.
    pub up_to: u64,
    /// At most so many bytes of records, but at least one record.
    pub bytes_max: usize,
    /// At most so many records.
    pub records_max: usize,
}

/// The spool. Clones are the same spool; when the last is dropped its threads end.
#[derive(Clone)]
pub struct Spool(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Handle {
    fn stop(&self) {
        self.shared.committer.stop();
        self.shared.keeper.stop();
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has nothing more to say here.
            let _ = thread.join();
        }
    }
}

impl Spool {
    /// Opens the directory, or makes it, and recovers what is there.
    pub fn open(config: SpoolConfig) -> Result<(Self, Recovered), SpoolError> {
        Self::open_with(config, Arc::new(Fdatasync))
    }

    /// [`Spool::open`] with another way to sync.
    pub fn open_with(
        mut config: SpoolConfig,
        sync: Arc<dyn SyncPort>,
    ) -> Result<(Self, Recovered), SpoolError> {
        let segment_bytes = config.segment_bytes.max(SEGMENT_BYTES_MIN);
        config.segment_bytes =
            segment_bytes.checked_next_multiple_of(PAGE_BYTES).unwrap_or(u64::MAX);
        if config.segment_bytes.saturating_mul(2) > config.bytes_max {
            let SpoolConfig { segment_bytes, bytes_max, .. } = config;
            return Err(SpoolError::TooSmall { segment_bytes, bytes_max });
        }
        let dir = config.dir.clone();
        let failed = |source| SpoolError::File { path: dir.clone(), source };
        let (shared, recovered) = Shared::open(config, sync)?;
        let shared = Arc::new(shared);
        let threads = vec![
            shared.spawn("spool-commit", Shared::commit_loop).map_err(failed)?,
            shared.spawn("spool-keep", Shared::keep_loop).map_err(failed)?,
        ];
        Ok((Self(Arc::new(Handle { shared, threads: Mutex::new(threads) })), recovered))
    }

    /// Appends the record that `encode` writes for the header it is given, and returns its number. From then
    /// on a process kill does not lose it.
    ///
    /// `encode` runs under the spool's lock: it must only encode.
    pub fn append(
        &self,
        at: Timestamp,
        encode: impl FnOnce(Header<'_>, &mut Vec<u8>),
    ) -> Result<u64, SpoolFull> {
        self.0.shared.append(at, encode)
    }

    /// [`Spool::append`], unless that would leave less than `reserve_bytes` of the spool.
    pub fn append_leaving(
        &self,
        reserve_bytes: u64,
        at: Timestamp,
        encode: impl FnOnce(Header<'_>, &mut Vec<u8>),
    ) -> Result<u64, SpoolFull> {
        self.0.shared.room_beside(reserve_bytes)?;
        self.0.shared.append(at, encode)
    }

    /// The bound of all segments together, in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.0.shared.bytes_max()
    }

    /// The name of this source.
    #[must_use]
    pub fn source(&self) -> &str {
        self.0.shared.source()
    }

    /// Asks for everything appended so far to be made durable; does not wait.
    pub fn request_sync(&self) {
        self.0.shared.committer.ring();
    }

    /// The highest number known to be on the disk. Its sender goes away when a sync fails or the spool is
    /// closed: then nothing more becomes durable.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.0.shared.durable_seen.clone()
    }

    /// Ready when record `seq` is on the disk, with the highest number that is; `None`: a sync failed or the spool is closed,
    /// and it never will be known to be. One task waits for a record: the last one that asked is woken.
    pub fn poll_durable(&self, seq: u64, cx: &Context<'_>) -> Poll<Option<u64>> {
        self.0.shared.awaited.poll(seq, cx)
    }

    /// The last appended record's number.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.0.shared.appended.get()
    }

    /// Waits for a record after `seq`; returns the last appended number.
    pub async fn appended_after(&self, seq: u64) -> u64 {
        self.0.shared.appended.after(seq).await
    }

    /// The records after `seq`, in order: at most `bytes_max` bytes of them, but at least one if there is one.
    pub fn read_after(&self, seq: u64, bytes_max: usize) -> Result<Vec<Framed>, SpoolError> {
        let limits = ReadLimits { up_to: u64::MAX, bytes_max, records_max: usize::MAX };
        self.read_within(seq, limits)
    }

    /// [`Spool::read_after`] with all bounds.
    pub fn read_within(&self, seq: u64, limits: ReadLimits) -> Result<Vec<Framed>, SpoolError> {
        self.0.shared.read(seq, limits)
    }

    /// The lake has everything up to `seq`: remembers that and frees segments, soon.
    pub fn acknowledge(&self, seq: u64) {
        self.0.shared.acknowledge(seq);
    }

    /// What the lake has acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> ChainState {
        self.0.shared.inner.lock().acked
    }

    /// The chain after record `seq`; `None` where the record is freed or not there yet.
    #[must_use]
    pub fn chain_at(&self, seq: u64) -> Option<ChainHash> {
        self.0.shared.inner.lock().chain_at(seq)
    }

    /// Starts an empty spool after the record that the lake has as this source's last.
    pub fn resume_from(&self, seq: u64, chain: ChainHash) -> Result<(), SpoolError> {
        self.0.shared.resume_from(ChainState { seq, chain })
    }

    /// How full it is and how far it is shipped.
    #[must_use]
    pub fn stats(&self) -> SpoolStats {
        self.0.shared.stats()
    }

    /// Takes no more records, makes all durable, and marks the end as clean.
    pub fn close(&self) -> Result<(), SpoolError> {
        self.0.stop();
        self.0.shared.close()
    }
}
