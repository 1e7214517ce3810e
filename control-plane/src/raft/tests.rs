//! The store against openraft's own suite, and C3: what was acknowledged is on the disk.

use std::path::Path;
use std::sync::Arc;

use openraft::StorageError;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use openraft::{EntryPayload, RaftLogReader};

use super::{Batch, Durability, Entry, LogId, LogStore, Machine, Store, Types};

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

#[tokio::test]
async fn a_store_has_one_owner() {
    let dir = tempfile::tempdir().expect("a directory");
    let _first = Store::open(dir.path(), Durability::Synced).expect("opened");
    let second = Store::open(dir.path(), Durability::Synced);
    assert!(matches!(second, Err(super::StoreError::InUse(_))), "{second:?}");
}
