//! The store against openraft's own suite, and C3: what was acknowledged is on the disk.

use std::path::Path;
use std::sync::Arc;

use openraft::StorageError;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use openraft::{EntryPayload, RaftLogReader};

use writ_control_core::{ActorName, Command, Event, State, Submission, seal};
use writ_model::Timestamp;

use super::{
    Alone, Applied, Batch, Durability, Entry, LogId, LogStore, Machine, Raft, Store, Types,
};

struct OnDisk;

impl StoreBuilder<Types, LogStore, Machine, tempfile::TempDir> for OnDisk {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError<Types>> {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Arc::new(Store::open(dir.path(), Durability::Synced).expect("opened"));
        let machine = Machine::open(Arc::clone(&store)).expect("a machine");
        Ok((dir, LogStore::new(store), machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_passes_openrafts_suite() {
    Suite::test_all(OnDisk).await.expect("passes");
}

fn entry(index: u64) -> Entry {
    let leader_id = openraft::impls::leader_id_adv::LeaderId { term: 1, node_id: 1 };
    let batch = Batch { after: writ_model::EventSeq(index), events: Vec::new() };
    Entry { log_id: LogId { leader_id, index }, payload: EntryPayload::Normal(batch) }
}

async fn append(log: &mut LogStore, index: u64) {
    let (done, acknowledged) = Types::oneshot();
    log.append([entry(index)], IOFlushed::signal(done)).await.expect("written");
    acknowledged.await.expect("answered").expect("acknowledged");
}

fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).expect("readable") {
        let file = file.expect("a file");
        if file.file_name() != "LOCK" {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("copied");
        }
    }
}

/// Appends entries; after each acknowledgement takes what is on the disk, as after a power failure, and counts
/// the entries and votes that were acknowledged but are not there, and the syncs.
async fn lost_after_power_failure(durability: Durability) -> (usize, u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Arc::new(Store::open(dir.path(), durability).expect("opened"));
    let mut log = LogStore::new(Arc::clone(&store));
    let syncs_before = store.syncs();
    let mut lost = 0;
    for index in 0..5 {
        let vote = openraft::Vote {
            leader_id: openraft::impls::leader_id_adv::LeaderId { term: index, node_id: 1 },
            committed: true,
        };
        log.save_vote(&vote).await.expect("saved");
        append(&mut log, index).await;
        let after = tempfile::tempdir().expect("a directory");
        copy(dir.path(), after.path());
        let found = Arc::new(Store::open(after.path(), Durability::Synced).expect("opened"));
        let mut found = LogStore::new(found);
        let entries = found.try_get_log_entries(..).await.expect("read");
        lost += usize::from(entries.last().map(|e| e.log_id.index) != Some(index));
        lost += usize::from(found.read_vote().await.expect("read") != Some(vote));
    }
    (lost, store.syncs() - syncs_before)
}

#[tokio::test]
async fn what_is_acknowledged_survives_a_power_failure() {
    let (lost, syncs) = lost_after_power_failure(Durability::Synced).await;
    assert_eq!(lost, 0);
    assert!(syncs >= 10, "each vote and each append waits for an fsync: {syncs}");
}

#[tokio::test]
async fn a_store_that_does_not_sync_is_found_out() {
    let (lost, syncs) = lost_after_power_failure(Durability::Lost).await;
    assert_eq!(lost, 10, "the copy holds only what was flushed");
    assert_eq!(syncs, 0);
}

async fn node(dir: &Path) -> (Raft, tokio::sync::watch::Receiver<Arc<State>>) {
    let store = Arc::new(Store::open(dir, Durability::Synced).expect("opened"));
    let machine = Machine::open(Arc::clone(&store)).expect("a machine");
    let state = machine.watch();
    let settings = openraft::Config { max_in_snapshot_log_to_keep: 0, ..Default::default() };
    let settings = Arc::new(settings.validate().expect("valid"));
    let raft = Raft::new(1, settings, Alone, LogStore::new(store), machine).await.expect("a node");
    if !raft.is_initialized().await.expect("known") {
        let members = std::collections::BTreeMap::from([(1, openraft::BasicNode::default())]);
        raft.initialize(members).await.expect("initialised");
    }
    let wait = raft.wait(Some(std::time::Duration::from_secs(20)));
    wait.current_leader(1, "leads").await.expect("a leader");
    raft.ensure_linearizable(openraft::raft::ReadPolicy::ReadIndex).await.expect("caught up");
    (raft, state)
}

fn group(state: &State, name: &str) -> Batch {
    let event = Event::GroupAdded { name: name.parse().expect("id") };
    let submission = Submission {
        actor: ActorName::System,
        at: Timestamp(1),
        command: Command::ExpireDue, // only who and when are used
    };
    let events = seal(state, &submission, vec![event]).expect("sealed");
    Batch { after: state.last, events }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_log_still_gives_the_state_and_a_late_batch_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let (raft, state) = node(dir.path()).await;
    let start = Arc::clone(&state.borrow());
    for name in ["a", "b", "c"] {
        let batch = group(&Arc::clone(&state.borrow()), name);
        assert_eq!(raft.client_write(batch).await.expect("written").data, Applied::Done);
    }
    // Decided on a state that is past: not a fact.
    let late = raft.client_write(group(&start, "d")).await.expect("written");
    assert_eq!(late.data, Applied::Superseded);
    let before = Arc::clone(&state.borrow());
    assert_eq!(before.groups.len(), 3);
    let last = late.log_id;
    raft.trigger().snapshot().await.expect("asked");
    let wait = || raft.wait(Some(std::time::Duration::from_secs(20)));
    wait().snapshot(last, "a snapshot").await.expect("made");
    raft.trigger().purge_log(last.index).await.expect("asked");
    wait().purged(Some(last), "purged").await.expect("purged");
    raft.shutdown().await.expect("stopped");
    drop((raft, state));
    let mut reopened = None;
    while reopened.is_none() {
        tokio::task::yield_now().await;
        reopened = Store::open(dir.path(), Durability::Synced).ok();
    }
    let left = reopened.expect("opened");
    assert_eq!(left.rows(super::store::LOG, 0).expect("read").count(), 0, "the Raft log is gone");
    drop(left);
    let (raft, state) = node(dir.path()).await;
    assert_eq!(*state.borrow(), before);
    let more = group(&before, "e");
    assert_eq!(raft.client_write(more).await.expect("written").data, Applied::Done);
    raft.shutdown().await.expect("stopped");
}

#[tokio::test]
async fn a_store_has_one_owner() {
    let dir = tempfile::tempdir().expect("a directory");
    let _first = Store::open(dir.path(), Durability::Synced).expect("opened");
    let second = Store::open(dir.path(), Durability::Synced);
    assert!(matches!(second, Err(super::StoreError::InUse(_))), "{second:?}");
}
