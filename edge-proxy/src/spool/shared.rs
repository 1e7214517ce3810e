//! The spool's state, what each call does with it, and its two threads: one makes records durable in groups,
//! one prepares the next segment and frees acknowledged ones.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use tokio::sync::watch;
use writ_audit::codec::RECORD_BYTES_MAX;
use writ_audit::{ChainHash, ChainState, Framed, Header};
use writ_model::Timestamp;

use super::recover::{self, Opened};
use super::segment::{Active, Held, SEGMENT_HEADER_BYTES, Segment, entry_at, entry_bytes};
use super::signal::{Appended, Bell, Durable};
use super::state::{State, StateFile};
use super::supply::Supply;
use super::{ReadLimits, Recovered, SpoolConfig, SpoolError, SpoolFull, SpoolStats, SyncPort};

/// What the encoding buffer may keep between records, in bytes.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

thread_local! {
    /// Where a thread encodes its records: what another core wrote last would have to be fetched from there.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What the calls and the threads share.
pub(super) struct Shared {
    source: String,
    dir: PathBuf,
    sync: Arc<dyn SyncPort>,
    supply: Supply,
    state_file: File,
    pub(super) inner: Mutex<Inner>,
    pub(super) appended: Appended,
    pub(super) committer: Bell,
    pub(super) keeper: Bell,
    durable: Mutex<Option<watch::Sender<u64>>>,
    pub(super) durable_seen: watch::Receiver<u64>,
    pub(super) awaited: Durable,
    /// Held as long as the directory is ours.
    _lock: File,
}

/// What the lock guards.
pub(super) struct Inner {
    last: ChainState,
    pub(super) acked: ChainState,
    clean_at: Option<u64>,
    /// Never empty; records are appended to the last one.
    held: VecDeque<Held>,
    active: Active,
    state: StateFile,
    stopped: Option<SpoolFull>,
}

impl Inner {
    /// The chain after record `seq`, where it is known.
    pub(super) fn chain_at(&self, seq: u64) -> Option<ChainHash> {
        if seq == self.acked.seq {
            return Some(self.acked.chain);
        }
        let held = self.held.iter().rev().find(|held| held.before.seq <= seq)?;
        held.chain_at(seq)
    }

    fn remember(&mut self) {
        self.state.write(&State { acked: self.acked, clean_at: self.clean_at });
    }
}

impl Shared {
    pub(super) fn open(
        config: SpoolConfig,
        sync: Arc<dyn SyncPort>,
    ) -> Result<(Self, Recovered), SpoolError> {
        let Opened {
            lock,
            state,
            state_file,
            mut held,
            active,
            last,
            acked,
            next_index,
            recovered,
        } = recover::open(&config)?;
        let SpoolConfig { dir, source, bytes_max, segment_bytes } = config;
        let used = held.iter().map(|held| held.segment.bytes).sum();
        let supply = Supply::new(dir.clone(), segment_bytes, bytes_max, used, next_index);
        let active = match active {
            Some(active) => active,
            None => {
                let disk = |full: SpoolFull| SpoolError::File {
                    path: dir.clone(),
                    source: io::Error::other(full),
                };
                let (first, active) = supply.take().map_err(disk)?.place(last, &source);
                held.push_back(first);
                active
            }
        };
        let (durable, durable_seen) = watch::channel(0);
        let inner = Inner { last, acked, clean_at: None, held, active, state, stopped: None };
        let shared = Self {
            source,
            dir,
            sync,
            supply,
            state_file,
            inner: Mutex::new(inner),
            appended: Appended::default(),
            committer: Bell::default(),
            keeper: Bell::default(),
            durable: Mutex::new(Some(durable)),
            durable_seen,
            awaited: Durable::default(),
            _lock: lock,
        };
        shared.appended.set(last.seq);
        shared.inner.lock().remember();
        shared
            .commit()
            .and_then(|()| shared.sync.sync(&shared.state_file))
            .map_err(shared.file())?;
        shared.keeper.ring();
        Ok((shared, recovered))
    }

    fn file(&self) -> impl FnOnce(io::Error) -> SpoolError {
        let path = self.dir.clone();
        |source| SpoolError::File { path, source }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.supply.bytes_max
    }

    /// Whether segments leave this much of the spool.
    pub(super) fn room_beside(&self, reserve_bytes: u64) -> Result<(), SpoolFull> {
        let bytes_max = self.supply.bytes_max;
        match self.supply.used_bytes().checked_add(reserve_bytes) {
            Some(wanted) if wanted <= bytes_max => Ok(()),
            _ => Err(SpoolFull::Full { bytes_max }),
        }
    }

    pub(super) fn append(
        &self,
        at: Timestamp,
        encode: impl FnOnce(Header<'_>, &mut Vec<u8>),
    ) -> Result<u64, SpoolFull> {
        BUFFER.with_borrow_mut(|buffer| self.append_with(buffer, at, encode))
    }

    fn append_with(
        &self,
        buffer: &mut Vec<u8>,
        at: Timestamp,
        encode: impl FnOnce(Header<'_>, &mut Vec<u8>),
    ) -> Result<u64, SpoolFull> {
        buffer.clear();
        buffer.shrink_to(BUFFER_BYTES_KEPT);
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        if let Some(stopped) = &inner.stopped {
            return Err(stopped.clone());
        }
        let seq = inner.last.seq.saturating_add(1);
        encode(Header { source: &self.source, seq, at }, buffer);
        let bytes = buffer.len();
        if !inner.active.fits(bytes) {
            self.roll(inner, bytes)?;
        }
        let was_half_full = inner.active.half_full();
        let (seq, chain) = inner.last.append(buffer);
        let place = inner.active.push(seq, &chain, buffer);
        if let Some(held) = inner.held.back_mut() {
            held.appended(seq, place);
        }
        let now_half_full = !was_half_full && inner.active.half_full();
        // Under the lock, so that the numbers go up.
        self.appended.set(seq);
        drop(guard);
        if now_half_full {
            self.keeper.ring();
        }
        Ok(seq)
    }

    /// Goes on in a new segment.
    fn roll(&self, inner: &mut Inner, record_bytes: usize) -> Result<(), SpoolFull> {
        let needed = SEGMENT_HEADER_BYTES.saturating_add(entry_bytes(record_bytes)) as u64;
        if record_bytes > RECORD_BYTES_MAX || needed > self.supply.segment_bytes {
            return Err(SpoolFull::TooLarge { bytes: record_bytes });
        }
        let (held, active) = self.supply.take()?.place(inner.last, &self.source);
        inner.held.push_back(held);
        inner.active = active;
        Ok(())
    }

    pub(super) fn read(&self, seq: u64, limits: ReadLimits) -> Result<Vec<Framed>, SpoolError> {
        let (segments, mut at) = self.segments_after(seq, limits.bytes_max)?;
        let mut records = Vec::new();
        let mut bytes = 0_usize;
        for segment in segments {
            let published = segment.map.published();
            while let Some((record, next)) = entry_at(published, at) {
                bytes = bytes.saturating_add(record.bytes.len());
                let enough = records.len() >= limits.records_max
                    || (bytes > limits.bytes_max && !records.is_empty());
                if record.seq > limits.up_to || enough {
                    return Ok(records);
                }
                let framed =
                    Framed { seq: record.seq, bytes: record.bytes.to_vec(), chain: record.chain };
                records.push(framed);
                at = next;
            }
            at = SEGMENT_HEADER_BYTES;
        }
        Ok(records)
    }

    /// The segments with the records after `seq`, and the first one's place in the first of them. Reading
    /// them needs no lock: what is published does not change.
    fn segments_after(
        &self,
        seq: u64,
        bytes_max: usize,
    ) -> Result<(Vec<Arc<Segment>>, usize), SpoolError> {
        let inner = self.inner.lock();
        let freed = inner.held.front().map_or(inner.last.seq, |held| held.before.seq);
        if seq < freed {
            return Err(SpoolError::Freed { freed });
        }
        let from = inner.held.partition_point(|held| held.last_seq <= seq);
        let mut bytes = 0;
        let mut segments = Vec::new();
        for held in inner.held.range(from..) {
            segments.push(Arc::clone(&held.segment));
            // The first may be read from its last record on: it does not count.
            if bytes > bytes_max as u64 {
                break;
            }
            bytes = if segments.len() == 1 { 0 } else { bytes + held.segment.bytes };
        }
        let next = seq.saturating_add(1);
        let place = inner.held.get(from).map_or(SEGMENT_HEADER_BYTES, |held| held.place_of(next));
        Ok((segments, place))
    }

    pub(super) fn acknowledge(&self, seq: u64) {
        let mut inner = self.inner.lock();
        if seq <= inner.acked.seq {
            return;
        }
        let chain = if seq <= inner.last.seq { inner.chain_at(seq) } else { None };
        let Some(chain) = chain else {
            tracing::error!(
                seq,
                last = inner.last.seq,
                "a record was acknowledged that was never written"
            );
            return;
        };
        inner.acked = ChainState { seq, chain };
        inner.remember();
        let frees = inner.held.len() > 1 && inner.held.front().is_some_and(|h| h.last_seq <= seq);
        drop(inner);
        if frees {
            self.keeper.ring();
        }
    }

    pub(super) fn resume_from(&self, at: ChainState) -> Result<(), SpoolError> {
        let mut inner = self.inner.lock();
        if inner.last.seq != 0 {
            return Err(SpoolError::NotEmpty { last_seq: inner.last.seq });
        }
        inner.last = at;
        inner.acked = at;
        inner.active.place_again(at, &self.source);
        if let Some(held) = inner.held.back_mut() {
            held.before = at;
            held.last_seq = at.seq;
        }
        inner.remember();
        self.appended.set(at.seq);
        drop(inner);
        // The next commit syncs the segment with its first record; the header goes with it.
        self.sync.sync(&self.state_file).map_err(self.file())?;
        self.commit().map_err(self.file())
    }

    pub(super) fn stats(&self) -> SpoolStats {
        let inner = self.inner.lock();
        SpoolStats {
            bytes_used: self.supply.used_bytes(),
            bytes_max: self.supply.bytes_max,
            last_seq: inner.last.seq,
            acked_seq: inner.acked.seq,
            durable_seq: *self.durable_seen.borrow(),
            records_unshipped: inner.last.seq.saturating_sub(inner.acked.seq),
            stopped: inner.stopped.clone(),
        }
    }

    pub(super) fn close(&self) -> Result<(), SpoolError> {
        let mut inner = self.inner.lock();
        if inner.stopped.is_some() {
            return Ok(());
        }
        inner.stopped = Some(SpoolFull::Closed);
        drop(inner);
        self.commit().map_err(self.file())?;
        self.end_durable();
        self.supply.discard_spare();
        let mut inner = self.inner.lock();
        inner.clean_at = Some(inner.last.seq);
        inner.remember();
        drop(inner);
        self.sync.sync(&self.state_file).map_err(self.file())
    }

    /// Makes everything appended before the call durable, then says so.
    fn commit(&self) -> io::Result<()> {
        let inner = self.inner.lock();
        let target = inner.last.seq;
        let dirty: Vec<_> = inner
            .held
            .iter()
            .map(|held| &held.segment)
            .filter(|segment| segment.is_dirty())
            .map(|segment| (Arc::clone(segment), segment.map.published().len()))
            .collect();
        drop(inner);
        for (segment, end) in dirty {
            self.sync.sync(&segment.file)?;
            segment.synced.fetch_max(end, Ordering::AcqRel);
        }
        // E6: only now, after every file up to `target` is on the disk.
        if let Some(durable) = &*self.durable.lock() {
            durable.send_if_modified(|seq| {
                let more = target > *seq;
                *seq = target.max(*seq);
                more
            });
            self.awaited.reach(target);
        }
        Ok(())
    }

    /// Nothing more becomes durable: those who wait for it are told.
    fn end_durable(&self) {
        self.durable.lock().take();
        self.awaited.end();
    }

    pub(super) fn spawn(
        self: &Arc<Self>,
        name: &str,
        body: fn(&Self),
    ) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(self);
        thread::Builder::new().name(name.to_owned()).spawn(move || body(&shared))
    }

    pub(super) fn commit_loop(&self) {
        while self.committer.wait() {
            if let Err(error) = self.commit() {
                // After a failed sync the kernel may have dropped the pages: what was not durable never will
                // be known to be. Nothing more is taken, and those who wait are told by the sender's end.
                tracing::error!(%error, "the audit spool could not be made durable; it takes no more records");
                self.inner.lock().stopped = Some(SpoolFull::Failed(error.to_string()));
                self.end_durable();
                return;
            }
        }
    }

    pub(super) fn keep_loop(&self) {
        while self.keeper.wait() {
            if let Err(error) = self.free() {
                tracing::warn!(%error, "acknowledged records could not be freed; will try again");
            }
            let wanted = self.inner.lock().active.half_full();
            if wanted && let Err(full) = self.supply.prepare() {
                tracing::warn!(%full, "no segment could be prepared ahead");
            }
        }
    }

    /// Removes segments that the lake has in full; never the one that is appended to.
    fn free(&self) -> io::Result<()> {
        let inner = self.inner.lock();
        let acked = inner.acked.seq;
        let behind = inner.held.len().saturating_sub(1);
        let freed: Vec<_> = inner
            .held
            .iter()
            .take(behind)
            .take_while(|held| held.last_seq <= acked)
            .map(|held| Arc::clone(&held.segment))
            .collect();
        drop(inner);
        if freed.is_empty() {
            return Ok(());
        }
        // What was acknowledged must be on the disk before the records are gone from it.
        self.sync.sync(&self.state_file)?;
        for segment in freed {
            fs::remove_file(&segment.path)?;
            self.inner.lock().held.pop_front();
            self.supply.give_back(segment.bytes);
        }
        Ok(())
    }
}
