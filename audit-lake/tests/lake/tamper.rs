//! Every way of tampering is found and named; the untouched lake is not (L2).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use writ_audit::{Body, DecisionKind, Framed, PublicKey, SigningKey};
use writ_audit_lake::verify::{Finding, Report, verify, verify_with};
use writ_audit_lake::{checkpoints, storage::Lake};

use crate::files::{Files, clock, files_of, filled, parquet_files};
use crate::source::{Source, intent, outcome};

/// Two sources, three commits, three checkpoints, ten records.
fn batches() -> Vec<(&'static str, Vec<Framed>)> {
    let mut one = Source::new("edge-1");
    let mut two = Source::new("edge-2");
    let first = one.statements(2);
    let second = two.statements(1);
    vec![("edge-1", first), ("edge-2", second), ("edge-1", one.statements(2))]
}

async fn lake() -> Files {
    let files = filled(batches()).await;
    let report = check(&files);
    assert!(report.is_intact(), "the negative control: {report}");
    assert_eq!((report.records, report.files, report.checkpoints, report.sealed), (10, 3, 3, 10));
    assert_eq!(report.sources["edge-1"], 8);
    files
}

fn check(files: &Files) -> Report {
    verify(&files.lake(), &[files.public()]).expect("verified")
}

fn name(path: &Path) -> String {
    path.file_name().expect("name").to_string_lossy().into_owned()
}

fn read(path: &Path) -> RecordBatch {
    let file = std::fs::File::open(path).expect("file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("parquet").build();
    let batches: Vec<RecordBatch> = reader.expect("reader").map(|b| b.expect("batch")).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).expect("one batch")
}

fn write(path: &Path, batch: &RecordBatch) {
    let file = std::fs::File::create(path).expect("file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("writer");
    writer.write(batch).expect("written");
    writer.close().expect("closed");
}

fn pick(batch: &RecordBatch, rows: &[u32]) -> RecordBatch {
    take_record_batch(batch, &UInt32Array::from(rows.to_vec())).expect("taken")
}

fn replace_column(batch: &RecordBatch, name: &str, array: ArrayRef) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    columns[batch.schema().index_of(name).expect("column")] = array;
    RecordBatch::try_new(batch.schema(), columns).expect("batch")
}

/// Makes the log agree with the files again, as someone who knows Delta would: sizes and hashes of the
/// files, and the hashes from commit to commit. `edit` may change every action besides.
fn relog(files: &Files, edit: impl Fn(u64, &mut Value)) {
    let table = files.lake().join("records");
    let mut previous: Option<String> = None;
    for (version, path) in files_of(&table.join("_delta_log"), "json").iter().enumerate() {
        let text = std::fs::read_to_string(path).expect("commit");
        let mut out = String::new();
        for line in text.lines() {
            let mut action: Value = serde_json::from_str(line).expect("action");
            edit(version as u64, &mut action);
            if let (Some(info), Some(previous)) = (action.get_mut("commitInfo"), &previous) {
                info["writ.previous"] = previous.clone().into();
            }
            if let Some(add) = action.get_mut("add") {
                let bytes =
                    std::fs::read(table.join(add["path"].as_str().expect("path"))).expect("file");
                add["size"] = bytes.len().into();
                add["tags"]["writ.sha256"] = hex::encode(Sha256::digest(&bytes)).into();
            }
            out.push_str(&format!("{action}\n"));
        }
        previous = Some(hex::encode(Sha256::digest(&out)));
        std::fs::write(path, out).expect("written");
    }
}

fn commit_files(files: &Files) -> Vec<PathBuf> {
    files_of(&files.lake().join("records/_delta_log"), "json")
}

fn checkpoint_files(files: &Files) -> Vec<PathBuf> {
    files_of(&files.lake().join("checkpoints"), "json")
}

#[tokio::test]
async fn rewriting_the_log_without_a_change_is_no_tampering() {
    // The control for every test below that rewrites the log: what it finds is not the rewriting.
    let files = lake().await;
    relog(&files, |_, _| ());
    assert!(check(&files).is_intact());
}

#[tokio::test]
async fn a_flipped_byte_anywhere_in_a_file_names_the_file() {
    let files = lake().await;
    for path in parquet_files(&files.lake()) {
        let bytes = std::fs::read(&path).expect("file");
        for at in (0..bytes.len()).step_by(997).chain([bytes.len() - 1]) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            std::fs::write(&path, &flipped).expect("written");
            let findings = check(&files).findings;
            let named = |finding: &Finding| matches!(finding, Finding::FileAltered { path: found, .. } if *found == name(&path));
            assert!(findings.iter().any(named), "byte {at}: {findings:?}");
        }
        std::fs::write(&path, bytes).expect("restored");
    }
    assert!(check(&files).is_intact());
}

#[tokio::test]
async fn a_removed_file_is_named_and_the_rest_still_verified() {
    let files = lake().await;
    let paths = parquet_files(&files.lake());
    std::fs::remove_file(&paths[1]).expect("removed");
    let missing = Finding::FileMissing { path: name(&paths[1]), first: 4, last: 5 };
    assert_eq!(check(&files).findings, std::slice::from_ref(&missing));
    let mut last = std::fs::read(&paths[2]).expect("file");
    last[100] ^= 1;
    std::fs::write(&paths[2], last).expect("written");
    let findings = check(&files).findings;
    assert_eq!(findings[0], missing);
    assert!(matches!(&findings[1], Finding::FileAltered { first: 6, last: 9, .. }), "{findings:?}");
}

#[tokio::test]
async fn a_removed_record_is_named() {
    let files = lake().await;
    let path = &parquet_files(&files.lake())[0];
    write(path, &pick(&read(path), &[0, 2, 3]));
    relog(&files, |_, _| ());
    let findings = check(&files).findings;
    let named = |finding: &Finding| match finding {
        Finding::Record { index: 1, source_name, seq: 3, reason, .. } => {
            source_name == "edge-1" && reason.contains("records 2 to 2 were removed")
        }
        _ => false,
    };
    assert!(findings.iter().any(named), "{findings:?}");
}

#[tokio::test]
async fn reordered_records_are_named() {
    let files = lake().await;
    let path = &parquet_files(&files.lake())[0];
    write(path, &pick(&read(path), &[0, 2, 1, 3]));
    relog(&files, |_, _| ());
    let findings = check(&files).findings;
    let named = |finding: &Finding| matches!(finding, Finding::Record { index: 1, seq: 3, .. });
    assert!(findings.iter().any(named), "{findings:?}");
}

#[tokio::test]
async fn an_inserted_record_is_named() {
    let files = lake().await;
    let path = &parquet_files(&files.lake())[0];
    write(path, &pick(&read(path), &[0, 1, 1, 2, 3]));
    relog(&files, |_, _| ());
    let findings = check(&files).findings;
    let named = |finding: &Finding| match finding {
        Finding::Record { index: 2, seq: 2, reason, .. } => reason.contains("inserted"),
        _ => false,
    };
    assert!(findings.iter().any(named), "{findings:?}");
}

#[tokio::test]
async fn an_edited_column_is_named() {
    let files = lake().await;
    let path = &parquet_files(&files.lake())[2];
    let batch = read(path);
    let index = batch.schema().index_of("statement_text").expect("column");
    let texts = batch.column(index).as_any().downcast_ref::<StringArray>().expect("text");
    let edited: StringArray = texts.iter().map(|text| text.map(|_| "SELECT 'nothing'")).collect();
    write(path, &replace_column(&batch, "statement_text", Arc::new(edited)));
    relog(&files, |_, _| ());
    let findings = check(&files).findings;
    let expected = Finding::Column {
        path: name(path),
        index: 6,
        source_name: "edge-1".into(),
        seq: 5,
        column: "statement_text".into(),
    };
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert_eq!(findings[0], expected);
}

#[tokio::test]
async fn an_edited_record_is_named() {
    let files = lake().await;
    let path = &parquet_files(&files.lake())[1];
    let mut other = Source::new("edge-2");
    let forged = other.all([
        intent("edge-2-0-0", "SELECT 'nothing'", DecisionKind::Allow),
        outcome("edge-2-0-0", None),
    ]);
    let batch = read(path);
    let bytes = arrow::array::BinaryArray::from_iter_values(forged.iter().map(|f| &f.bytes));
    write(path, &replace_column(&batch, "record", Arc::new(bytes)));
    relog(&files, |_, _| ());
    let findings = check(&files).findings;
    let named = |finding: &Finding| match finding {
        Finding::Record { index: 4, source_name, seq: 1, reason, .. } => {
            source_name == "edge-2" && reason.contains("it was edited")
        }
        _ => false,
    };
    assert!(findings.iter().any(named), "{findings:?}");
}

/// The strongest attacker short of having the key: everything is recomputed, only the checkpoints are real.
async fn recomputed(edit: impl Fn(&mut Vec<(&'static str, Vec<Framed>)>)) -> Report {
    let files = lake().await;
    let mut batches = batches();
    edit(&mut batches);
    let forged = filled(batches).await;
    let id = |files: &Files| {
        let first = std::fs::read_to_string(&commit_files(files)[0]).expect("commit");
        let metadata = first.lines().find_map(|line| {
            let action: Value = serde_json::from_str(line).expect("action");
            Some(action.get("metaData")?["id"].as_str()?.to_owned())
        });
        metadata.expect("id")
    };
    let real = id(&files);
    relog(&forged, |_, action| {
        if let Some(metadata) = action.get_mut("metaData") {
            metadata["id"] = real.clone().into();
        }
    });
    std::fs::remove_dir_all(files.lake().join("records")).expect("removed");
    std::fs::rename(forged.lake().join("records"), files.lake().join("records")).expect("moved");
    check(&files)
}

#[tokio::test]
async fn recomputing_everything_still_meets_the_signed_root() {
    let control = recomputed(|_| ()).await;
    assert!(control.is_intact(), "{control}");
    let report = recomputed(|batches| {
        let mut edge = Source::new("edge-2");
        batches[1].1 = edge.statements(1);
        batches[1].1[1] = {
            let mut edge = Source::new("edge-2");
            let intent: Body = intent("edge-2-0-0", "SELECT 0", DecisionKind::Allow);
            edge.all([intent, outcome("edge-2-0-0", Some("57014"))])[1].clone()
        };
    })
    .await;
    let expected = [
        Finding::Root { number: 2, first: 4, last: 5 },
        Finding::Root { number: 3, first: 4, last: 9 },
    ];
    assert_eq!(report.findings, expected);
}

#[tokio::test]
async fn a_truncated_table_meets_the_checkpoints() {
    let report = recomputed(|batches| {
        batches.pop();
    })
    .await;
    assert_eq!(report.findings, [Finding::RolledBack { number: 3, sealed: 10, found: 6 }]);
}

#[tokio::test]
async fn a_removed_last_commit_is_a_roll_back_and_the_lake_does_not_open() {
    let files = lake().await;
    std::fs::remove_file(commit_files(&files).last().expect("commit")).expect("removed");
    assert_eq!(check(&files).findings, [Finding::RolledBack { number: 3, sealed: 10, found: 6 }]);
    let refused =
        Lake::open(&files.config(crate::files::QUICK), clock()).await.expect_err("rolled back");
    assert!(refused.to_string().contains("rolled back"), "{refused}");
}

#[tokio::test]
async fn removed_and_edited_commits_are_named() {
    let files = lake().await;
    let path = &commit_files(&files)[2];
    let text = std::fs::read_to_string(path).expect("commit");
    std::fs::write(path, text.replace("\"timestamp\":", "\"timestamp\": ")).expect("written");
    assert_eq!(check(&files).findings, [Finding::CommitAltered { version: 2, next: 3 }]);
    std::fs::remove_file(path).expect("removed");
    let findings = check(&files).findings;
    assert_eq!(findings[0], Finding::CommitMissing { version: 2 });
    std::fs::write(path, "{}{").expect("written");
    let findings = check(&files).findings;
    assert!(matches!(findings[0], Finding::CommitDamaged { version: 2, .. }), "{findings:?}");
    let foreign = files.lake().join("records/_delta_log/00000000000000000003.checkpoint.parquet");
    std::fs::write(foreign, "x").expect("written");
    let named = |finding: &Finding| matches!(finding, Finding::LogForeign { .. });
    assert!(check(&files).findings.iter().any(named));
}

#[tokio::test]
async fn damaged_forged_and_removed_checkpoints_are_named() {
    let files = lake().await;
    let paths = checkpoint_files(&files);
    let text = std::fs::read_to_string(&paths[1]).expect("checkpoint");
    std::fs::write(&paths[1], text.replace("\"tree_size\": 6", "\"tree_size\": 5"))
        .expect("written");
    let findings = check(&files).findings;
    assert!(
        matches!(&findings[..], [Finding::CheckpointDamaged { name: n, .. }] if *n == name(&paths[1])),
        "{findings:?}"
    );

    let real = checkpoints::parse(&text).expect("checkpoint");
    let other = SigningKey::from_seed(&[9; 32]).expect("seed");
    let forged = checkpoints::render(&real.checkpoint.clone().sign(&other));
    std::fs::write(&paths[1], forged).expect("written");
    let findings = check(&files).findings;
    assert!(matches!(findings[..], [Finding::CheckpointForged { number: 2, .. }]), "{findings:?}");

    std::fs::remove_file(&paths[1]).expect("removed");
    assert_eq!(check(&files).findings, [Finding::CheckpointMissing { number: 2 }]);
    std::fs::write(&paths[1], &text).expect("restored");
    assert!(check(&files).is_intact());
    for path in &paths {
        std::fs::remove_file(path).expect("removed");
    }
    let findings = check(&files).findings;
    assert!(findings.contains(&Finding::Unsealed { records: 10 }), "{findings:?}");
    assert!(findings.contains(&Finding::CheckpointMissing { number: 2 }), "{findings:?}");
}

#[tokio::test]
async fn a_kept_checkpoint_shows_a_lake_that_was_rolled_back_with_its_checkpoints() {
    let files = lake().await;
    let paths = checkpoint_files(&files);
    let kept = checkpoints::read(&paths[2]).expect("checkpoint");
    std::fs::remove_file(&paths[2]).expect("removed");
    std::fs::remove_file(&commit_files(&files)[3]).expect("removed");
    assert!(check(&files).is_intact(), "nothing in the lake itself can show this");
    let keys: [PublicKey; 1] = [files.public()];
    let report = verify_with(&files.lake(), &keys, &[kept]).expect("verified");
    let expected = [
        Finding::CheckpointMissing { number: 3 },
        Finding::RolledBack { number: 3, sealed: 10, found: 6 },
    ];
    assert_eq!(report.findings, expected);
}

#[tokio::test]
async fn tampering_inside_a_merged_file_is_named_like_anywhere_else() {
    let mut edge = Source::new("edge-1");
    let files = filled((0..16).map(|_| ("edge-1", edge.statements(1))).collect()).await;
    let paths = parquet_files(&files.lake());
    let merged = paths.iter().find(|path| name(path).contains("-32-")).expect("a merged file");
    let report = check(&files);
    assert!(report.is_intact(), "the negative control: {report}");
    assert_eq!((report.files, report.checkpoints, report.sealed), (1, 16, 32));
    let rows: Vec<u32> = (0..32).filter(|row| *row != 9).collect();
    write(merged, &pick(&read(merged), &rows));
    relog(&files, |_, _| ());
    let findings = check(&files).findings;
    let named = |finding: &Finding| match finding {
        Finding::Record { index: 9, seq: 11, reason, .. } => reason.contains("records 10 to 10"),
        _ => false,
    };
    assert!(findings.iter().any(named), "{findings:?}");
    // A merge that does not put back what it takes away is refused as a commit.
    let files = filled(batches()).await;
    relog(&files, |version, action| {
        if version == 3 && action.get("txn").is_some() {
            let path = name(&parquet_files(&files.lake())[0]);
            *action = serde_json::json!({ "remove": { "path": path, "dataChange": true } });
        }
    });
    let findings = check(&files).findings;
    let damaged = |finding: &Finding| matches!(finding, Finding::CommitDamaged { version: 3, .. });
    assert!(findings.iter().any(damaged), "{findings:?}");
}

#[tokio::test]
async fn another_key_trusts_nothing() {
    let files = lake().await;
    let other = SigningKey::from_seed(&[9; 32]).expect("seed").public();
    let report = verify(&files.lake(), &[other]).expect("verified");
    assert!(!report.is_intact());
    assert!(verify(&files.lake(), &[]).is_err(), "no key is an error, not a pass");
}
