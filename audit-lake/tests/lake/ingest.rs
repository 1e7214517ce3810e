//! Taking in: exactly once, in order, whole or not at all (L1, L3).

use std::time::Duration;

use writ_audit::{ChainHash, Framed};
use writ_audit_lake::table::Table;
use writ_audit_lake::{Cadence, IngestError, IngestPort, verify};

use crate::files::{Files, append, count, files_of, parquet_files};
use crate::source::Source;

#[tokio::test]
async fn a_restart_goes_on_where_it_was_and_shipping_again_changes_nothing() {
    let files = Files::new();
    let mut edge = Source::new("edge-1");
    let first = edge.statements(3);
    let lake = files.open().await;
    assert_eq!(append(&lake, "edge-1", first.clone()).await, Ok(6));
    lake.close().await.expect("closed");

    let lake = files.open().await;
    let state = lake.ingest().resume("edge-1").await.expect("resumed");
    assert_eq!((state.seq, state.chain), (6, first[5].chain));
    // The acknowledgement was lost: the source ships all of it again, with something new.
    let mut again = first.clone();
    again.extend(edge.statements(1));
    assert_eq!(append(&lake, "edge-1", again).await, Ok(8));
    assert_eq!(append(&lake, "edge-1", first[..3].to_vec()).await, Ok(8));
    assert_eq!(count(&lake).await, "8");
    assert_eq!(lake.status().duplicates, 9);
    lake.close().await.expect("closed");
    let report = verify::verify(&files.lake(), &[files.public()]).expect("verified");
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.records, report.sealed), (8, 8));
}

#[tokio::test]
async fn a_hole_is_refused_with_the_number_that_must_come_next() {
    let files = Files::new();
    let lake = files.open().await;
    let framed = Source::new("edge-1").statements(3);
    append(&lake, "edge-1", framed[..2].to_vec()).await.expect("appended");
    let refused = append(&lake, "edge-1", framed[3..].to_vec()).await.expect_err("a hole");
    let text = "source edge-1: record 4 came where 3 was expected; ship from 3 on";
    assert_eq!(refused.to_string(), text);
    // A batch with a hole inside is refused as a whole.
    let inside: Vec<Framed> = [2, 4].map(|at: usize| framed[at].clone()).to_vec();
    append(&lake, "edge-1", inside).await.expect_err("a hole");
    assert_eq!(count(&lake).await, "2");
    assert_eq!(append(&lake, "edge-1", framed[2..].to_vec()).await, Ok(6));
    lake.close().await.expect("closed");
}

#[tokio::test]
async fn altered_and_mislabelled_records_are_refused() {
    let files = Files::new();
    let lake = files.open().await;
    let framed = Source::new("edge-1").statements(1);
    let mut altered = framed.clone();
    altered[0].bytes[20] ^= 1;
    let refused = append(&lake, "edge-1", altered).await.expect_err("altered").to_string();
    assert!(refused.contains("record 1 does not follow"), "{refused}");
    let refused = append(&lake, "edge-2", framed.clone()).await.expect_err("another's");
    assert!(matches!(refused, IngestError::Mislabelled { .. }), "{refused}");
    let bytes = b"no record".to_vec();
    let chain = ChainHash::START.next(&bytes);
    let garbage = vec![Framed { seq: 1, bytes, chain }];
    let refused = append(&lake, "edge-1", garbage).await.expect_err("garbage");
    assert!(matches!(refused, IngestError::Malformed { seq: 1, .. }), "{refused}");
    let mut zero = framed.clone();
    zero[0].seq = 0;
    append(&lake, "edge-1", zero[..1].to_vec()).await.expect_err("number 0");
    assert_eq!(append(&lake, "edge-1", framed).await, Ok(2));
    lake.close().await.expect("closed");
}

#[tokio::test]
async fn a_source_that_forked_is_told_and_never_acknowledged() {
    let files = Files::new();
    let lake = files.open().await;
    let mut edge = Source::new("edge-1");
    let before = edge.statements(1);
    let mut restored = edge.clone();
    let real = edge.statements(2);
    append(&lake, "edge-1", before).await.expect("appended");
    append(&lake, "edge-1", real.clone()).await.expect("appended");
    // The disk was restored to record 2, and the source writes other records under the same numbers.
    let _skipped = restored.next(crate::source::opened());
    let fork = restored.statements(2);
    for upto in [1, 2, 4] {
        let refused = append(&lake, "edge-1", fork[..upto].to_vec()).await.expect_err("a fork");
        assert!(matches!(refused, IngestError::Forked { .. }), "{refused}");
    }
    assert_eq!(append(&lake, "edge-1", real).await, Ok(6), "what is the same is acknowledged");
    lake.close().await.expect("closed");
}

#[tokio::test]
async fn waiting_batches_of_all_sources_are_one_commit() {
    let files = Files::new();
    let hour = Duration::from_secs(3_600);
    let lake =
        files.open_with(Cadence { commit: Duration::from_millis(200), checkpoint: hour }).await;
    let ingest = lake.ingest();
    let mut pending = Vec::new();
    for name in ["edge-1", "edge-2", "edge-3"] {
        let framed = Source::new(name).statements(2);
        pending.push(ingest.submit(name, framed).await.expect("queued"));
    }
    for pending in pending {
        assert_eq!(pending.committed().await, Ok(4));
    }
    assert_eq!(count(&lake).await, "12");
    assert_eq!(parquet_files(&files.lake()).len(), 1);
    drop(ingest);
    lake.close().await.expect("closed");
    assert_eq!(files_of(&files.lake().join("checkpoints"), "json").len(), 1, "sealed at the end");
}

#[tokio::test]
async fn a_file_without_its_commit_is_seen_by_nobody() {
    let files = Files::new();
    let mut edge = Source::new("edge-1");
    let lake = files.open().await;
    append(&lake, "edge-1", edge.statements(1)).await.expect("appended");
    lake.close().await.expect("closed");
    // As a kill -9 between the file and its commit leaves it.
    let real = std::fs::read(&parquet_files(&files.lake())[0]).expect("file");
    let orphan = "records-00000000000000000002-2-01AN4Z07BY79KA1307SR9X4MV3.parquet";
    std::fs::write(files.lake().join("records").join(orphan), real).expect("written");
    let opened = Table::open(&files.lake()).await.expect("opened");
    assert_eq!(opened.files.len(), 1);

    let lake = files.open().await;
    assert_eq!(append(&lake, "edge-1", edge.statements(1)).await, Ok(4));
    assert_eq!(count(&lake).await, "4");
    lake.close().await.expect("closed");
    let report = verify::verify(&files.lake(), &[files.public()]).expect("verified");
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.leftovers, [orphan]);
}

#[tokio::test]
async fn a_killed_lake_has_every_acknowledged_record_and_no_half_batch() {
    let files = Files::new();
    let mut edge = Source::new("edge-1");
    let hour = Duration::from_secs(3_600);
    let lake = files.open().await;
    append(&lake, "edge-1", edge.statements(2)).await.expect("acknowledged");
    lake.close().await.expect("closed");
    let lake = files.open_with(Cadence { commit: hour, checkpoint: hour }).await;
    let ingest = lake.ingest();
    let never = edge.statements(2);
    let pending = ingest.submit("edge-1", never.clone()).await.expect("queued");
    lake.abort().await;
    assert_eq!(pending.committed().await, Err(IngestError::Stopping));
    drop(ingest);
    let lake = files.open().await;
    assert_eq!(lake.ingest().resume("edge-1").await.expect("resumed").seq, 4);
    assert_eq!(append(&lake, "edge-1", never).await, Ok(8));
    lake.close().await.expect("closed");
}

#[tokio::test]
async fn a_second_process_on_the_same_files_is_refused() {
    let files = Files::new();
    let lake = files.open().await;
    let config = files.config(crate::files::QUICK);
    let second = writ_audit_lake::storage::Lake::open(&config, crate::files::clock()).await;
    let refused = second.expect_err("in use").to_string();
    assert!(refused.contains("in use by another lake process"), "{refused}");
    lake.close().await.expect("closed");
}

#[tokio::test]
async fn small_files_are_merged_and_every_proof_still_holds() {
    let files = Files::new();
    let mut edge = Source::new("edge-1");
    let lake = files.open().await;
    for _ in 0..40 {
        append(&lake, "edge-1", edge.statements(1)).await.expect("appended");
    }
    assert!(lake.status().files < 16, "{:?}", lake.status());
    assert_eq!(count(&lake).await, "80");
    let sql = "SELECT count(*), min(lake_index), max(lake_index), count(DISTINCT seq) FROM records";
    assert_eq!(crate::files::query(&lake, sql).await, ["80|0|79|80"]);
    lake.close().await.expect("closed");
    let report = verify::verify(&files.lake(), &[files.public()]).expect("verified");
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.records, report.sealed, report.leftovers.len()), (80, 80, 0));
    // What was merged is removed at the latest with the next start.
    let lake = files.open().await;
    assert_eq!(count(&lake).await, "80");
    assert_eq!(parquet_files(&files.lake()).len() as u64, lake.status().files);
    lake.close().await.expect("closed");
    // The negative control: a merged file is protected like any other.
    let path = &parquet_files(&files.lake())[0];
    let mut bytes = std::fs::read(path).expect("file");
    bytes[200] ^= 1;
    std::fs::write(path, bytes).expect("written");
    assert!(!verify::verify(&files.lake(), &[files.public()]).expect("verified").is_intact());
}

#[tokio::test]
async fn the_delta_library_reads_what_the_lake_wrote() {
    let files = Files::new();
    let mut edge = Source::new("edge-1");
    let lake = files.open().await;
    for _ in 0..20 {
        append(&lake, "edge-1", edge.statements(1)).await.expect("appended");
    }
    let expected = lake.status().files;
    lake.close().await.expect("closed");
    let url = url::Url::from_directory_path(files.lake().join("records")).expect("url");
    let table = deltalake::open_table(url).await.expect("opened");
    let snapshot = table.snapshot().expect("snapshot");
    assert_eq!(snapshot.log_data().iter().count() as u64, expected);
    let rows: usize = snapshot.log_data().iter().filter_map(|file| file.num_records()).sum();
    assert_eq!(rows, 40);
}
