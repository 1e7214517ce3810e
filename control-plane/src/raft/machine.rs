//! openraft's state machine: the event log, and the state that is its fold (C1).

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use rocksdb::WriteBatch;
use tokio::sync::watch;
use writ_control_core::State;
use writ_model::EventSeq;

use super::store::{META, Store};
use super::{Applied, Batch, LogId, StoredMembership, Types, codec};

const APPLIED: &str = "applied";
const SNAPSHOT: &str = "snapshot";
/// Events that are read at one time.
const PAGE_EVENTS: usize = 1_024;

type Snapshot = openraft::alias::SnapshotOf<Types, SnapshotRef>;
type SnapshotMeta = openraft::alias::SnapshotMetaOf<Types>;

/// A snapshot is a place in the event log, which keeps everything anyway.
#[derive(Debug, Clone)]
pub struct SnapshotRef {
    store: Arc<Store>,
    last: EventSeq,
}

/// Applies batches and tells everyone who watches.
#[derive(Debug)]
pub struct Machine {
    store: Arc<Store>,
    applied: Option<LogId>,
    membership: StoredMembership,
    state: watch::Sender<Arc<State>>,
}

impl Machine {
    /// Folds the events in `store` into a state.
    pub fn open(store: Arc<Store>) -> io::Result<Self> {
        let (applied, membership) = match store.meta(APPLIED)? {
            Some(bytes) => codec::decode_applied(&bytes)?,
            None => (None, StoredMembership::default()),
        };
        let mut state = State::default();
        loop {
            let page = store.events(EventSeq(state.last.0.saturating_add(1)), PAGE_EVENTS)?;
            if page.is_empty() {
                break;
            }
            for envelope in &page {
                state.apply(envelope).map_err(io::Error::other)?;
            }
        }
        let (state, _) = watch::channel(Arc::new(state));
        Ok(Self { store, applied, membership, state })
    }

    /// The state, now and whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.state.subscribe()
    }

    /// Applies one batch to `state` and `write`; on an error neither may be used.
    fn apply_batch(
        &self,
        state: &mut Arc<State>,
        write: &mut WriteBatch,
        batch: &Batch,
    ) -> io::Result<Applied> {
        if batch.after != state.last {
            return Ok(Applied::Superseded);
        }
        let next = Arc::make_mut(state);
        for envelope in &batch.events {
            next.apply(envelope).map_err(io::Error::other)?;
            self.store.put_event(write, envelope)?;
        }
        Ok(Applied::Done)
    }

    fn put_applied(&self, write: &mut WriteBatch) -> io::Result<()> {
        let bytes = codec::encode_applied(self.applied, &self.membership);
        write.put_cf(self.store.family(META)?, APPLIED, bytes);
        Ok(())
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotRef;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            let mut state = Arc::clone(&self.state.borrow());
            let mut write = WriteBatch::default();
            let mut answer = Applied::Done;
            match &entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(batch) => {
                    answer = self.apply_batch(&mut state, &mut write, batch)?;
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                }
            }
            self.applied = Some(entry.log_id);
            self.put_applied(&mut write)?;
            // Not synced: events and position are one write, and the Raft log can always repeat it.
            self.store.write(write)?;
            if state.last != self.state.borrow().last {
                self.state.send_replace(state);
            }
            if let Some(responder) = responder {
                responder.send(answer);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            store: Arc::clone(&self.store),
            applied: self.applied,
            membership: self.membership.clone(),
            last: self.state.borrow().last,
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotRef,
    ) -> io::Result<()> {
        let mut state = Arc::clone(&self.state.borrow());
        // Committed events are a prefix of the leader's: only what is missing here is taken.
        while state.last < snapshot.last {
            let from = EventSeq(state.last.0.saturating_add(1));
            let page = snapshot.store.events(from, PAGE_EVENTS)?;
            if page.is_empty() {
                return Err(io::Error::other("the snapshot's events are not all there"));
            }
            let mut write = WriteBatch::default();
            for envelope in page.iter().take_while(|e| e.seq <= snapshot.last) {
                Arc::make_mut(&mut state).apply(envelope).map_err(io::Error::other)?;
                self.store.put_event(&mut write, envelope)?;
            }
            self.store.write(write)?;
        }
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        let mut write = WriteBatch::default();
        self.put_applied(&mut write)?;
        write.put_cf(self.store.family(META)?, SNAPSHOT, encode_snapshot(meta, snapshot.last));
        self.store.write(write)?;
        self.state.send_replace(state);
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.sync()).await.map_err(io::Error::other)?
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let Some(bytes) = self.store.meta(SNAPSHOT)? else { return Ok(None) };
        let (last, position) = bytes
            .split_first_chunk::<8>()
            .ok_or_else(|| io::Error::other("the snapshot's position is damaged"))?;
        let (last_log_id, last_membership) = codec::decode_applied(position)?;
        let meta = SnapshotMeta { last_log_id, last_membership };
        let last = EventSeq(u64::from_be_bytes(*last));
        Ok(Some(Snapshot { meta, snapshot: SnapshotRef { store: Arc::clone(&self.store), last } }))
    }
}

fn encode_snapshot(meta: &SnapshotMeta, last: EventSeq) -> Vec<u8> {
    let mut bytes = last.0.to_be_bytes().to_vec();
    bytes.extend(codec::encode_applied(meta.last_log_id, &meta.last_membership));
    bytes
}

/// Makes a snapshot of where the machine was.
#[derive(Debug)]
pub struct Builder {
    store: Arc<Store>,
    applied: Option<LogId>,
    membership: StoredMembership,
    last: EventSeq,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotRef;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let meta =
            SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        self.store.put_meta(SNAPSHOT, &encode_snapshot(&meta, self.last))?;
        // The log before it may be purged once this returns.
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.sync()).await.map_err(io::Error::other)??;
        let snapshot = SnapshotRef { store: Arc::clone(&self.store), last: self.last };
        Ok(Snapshot { meta, snapshot })
    }
}
