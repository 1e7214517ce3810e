//! The spool against kills, torn files, full disks and syncs that fail.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

use super::segment::{ENTRY_HEADER_BYTES, SEGMENT_HEADER_BYTES, segment_path};
use super::*;

const RECORD_BYTES: usize = 500;
const DEADLINE: Duration = Duration::from_secs(20);
const CHILD_DIR: &str = "WRIT_SPOOL_TEST_CHILD_DIR";

fn config(dir: &Path) -> SpoolConfig {
    SpoolConfig {
        dir: dir.to_owned(),
        source: "edge-1".into(),
        bytes_max: 1024 * 1024,
        segment_bytes: 16 * 1024,
    }
}

fn open(dir: &Path) -> (Spool, Recovered) {
    Spool::open(config(dir)).expect("open")
}

/// Appends a record that says its own number.
fn append(spool: &Spool) -> Result<u64, SpoolFull> {
    spool.append(Timestamp(0), |header, out| {
        assert!(out.is_empty(), "the buffer is handed out empty");
        assert_eq!(header.source, "edge-1");
        out.extend_from_slice(&header.seq.to_be_bytes());
        out.resize(RECORD_BYTES, b'x');
    })
}

fn append_many(spool: &Spool, count: u64) {
    (0..count).for_each(|_| {
        append(spool).expect("room");
    });
}

/// L1: everything after `from` is there once, in order, and follows. Returns where it ends.
fn walk(spool: &Spool, from: ChainState) -> ChainState {
    let mut state = from;
    loop {
        let records = spool.read_after(state.seq, 10_000).expect("read");
        if records.is_empty() {
            return state;
        }
        for record in records {
            state.accept(record.as_ref()).expect("follows");
            assert_eq!(record.bytes.first_chunk(), Some(&record.seq.to_be_bytes()));
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::yield_now();
    }
}

fn copy_dir(from: &Path) -> TempDir {
    let to = TempDir::new().expect("dir");
    for entry in fs::read_dir(from).expect("dir") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), to.path().join(entry.file_name())).expect("copy");
    }
    to
}

/// Overwrites a part of the first segment file.
fn overwrite(dir: &Path, at: usize, with: &[u8]) {
    let path = segment_path(dir, 0);
    let mut bytes = fs::read(&path).expect("read");
    bytes[at..at + with.len()].copy_from_slice(with);
    fs::write(&path, bytes).expect("write");
}

#[test]
fn records_come_back_in_order_over_many_segments_and_runs() {
    let dir = TempDir::new().expect("dir");
    let (spool, recovered) = open(dir.path());
    assert_eq!(recovered, Recovered { last_seq: 0, clean: false, torn_bytes: 0, fresh: true });
    append_many(&spool, 300);
    let end = walk(&spool, ChainState::default());
    assert_eq!(end.seq, 300);
    spool.close().expect("close");
    assert_eq!(append(&spool), Err(SpoolFull::Closed));
    drop(spool);

    let (spool, recovered) = open(dir.path());
    assert_eq!(recovered, Recovered { last_seq: 300, clean: true, torn_bytes: 0, fresh: false });
    assert_eq!(*spool.durable().borrow(), 300);
    assert_eq!(append(&spool), Ok(301));
    assert_eq!(walk(&spool, end).seq, 301);
    assert_eq!(walk(&spool, ChainState::default()).seq, 301);
    drop(spool);
    assert!(!open(dir.path()).1.clean, "dropped, not closed");
}

#[test]
fn a_read_keeps_its_bounds_but_gives_at_least_one_record() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) = open(dir.path());
    append_many(&spool, 200);
    let read = |seq, up_to, bytes_max, records_max| {
        let limits = ReadLimits { up_to, bytes_max, records_max };
        let records = spool.read_within(seq, limits).expect("read");
        records.iter().map(|record| record.seq).collect::<Vec<_>>()
    };
    assert_eq!(read(0, u64::MAX, 1, 10), [1]);
    assert_eq!(read(70, u64::MAX, 3 * RECORD_BYTES, 10), [71, 72, 73]);
    assert_eq!(read(70, u64::MAX, usize::MAX, 2), [71, 72]);
    assert_eq!(read(70, 71, usize::MAX, 10), [71]);
    assert_eq!(read(0, u64::MAX, usize::MAX, usize::MAX), (1..=200).collect::<Vec<_>>());
    assert!(read(200, u64::MAX, usize::MAX, 10).is_empty());
    for seq in 1..=200 {
        assert_eq!(read(seq - 1, u64::MAX, 1, 1), [seq]);
    }
}

/// Not a test by itself: what [`a_killed_process_loses_no_record`] kills.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let (spool, _) = open(Path::new(&dir));
    loop {
        if let Ok(seq) = append(&spool) {
            println!("\nappended {seq}");
        }
    }
}

#[test]
fn a_killed_process_loses_no_record() {
    let dir = TempDir::new().expect("dir");
    let mut told = 0;
    for round in 1..=3_u64 {
        let mut child = Command::new(std::env::current_exe().expect("exe"))
            .args(["--exact", "spool::tests::child_that_appends_until_it_is_killed", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("spawn");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let seq_of = |line: std::io::Result<String>| -> Option<u64> {
            line.ok()?.strip_prefix("appended ")?.parse().ok()
        };
        told = lines.by_ref().filter_map(seq_of).find(|seq| *seq >= round * 200).expect("appends");
        child.kill().expect("kill");
        // What it still said before the kill counts too.
        told = lines.filter_map(seq_of).fold(told, u64::max);
        assert_eq!(child.wait().expect("wait").signal(), Some(9), "killed, not ended");
    }
    let (spool, recovered) = open(dir.path());
    assert!(recovered.last_seq >= told, "E6: {} < {told}", recovered.last_seq);
    assert!(!recovered.clean);
    assert_eq!(walk(&spool, ChainState::default()).seq, recovered.last_seq);
    assert_eq!(append(&spool), Ok(recovered.last_seq + 1));
}

#[test]
fn a_directory_copied_at_any_moment_recovers_to_a_prefix() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) = open(dir.path());
    let (go, rounds) = std::sync::mpsc::sync_channel(0);
    std::thread::scope(|scope| {
        scope.spawn(|| rounds.into_iter().for_each(|()| append_many(&spool, 100)));
        for _ in 0..10 {
            let before = spool.last_seq();
            go.send(()).expect("appends");
            until("an append", || spool.last_seq() > before);
            let copy = copy_dir(dir.path());
            let (copied, recovered) = open(copy.path());
            assert!(recovered.last_seq >= before);
            assert_eq!(walk(&copied, ChainState::default()).seq, recovered.last_seq);
            assert_eq!(append(&copied), Ok(recovered.last_seq + 1));
        }
        drop(go);
    });
}

#[test]
fn a_torn_end_is_cut_wherever_it_is_torn() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) = open(dir.path());
    append_many(&spool, 10);
    drop(spool);
    let entry = (ENTRY_HEADER_BYTES + RECORD_BYTES).next_multiple_of(8);
    let last = SEGMENT_HEADER_BYTES + 9 * entry;
    for cut in (0..ENTRY_HEADER_BYTES + RECORD_BYTES).step_by(13) {
        let copy = copy_dir(dir.path());
        overwrite(copy.path(), last + cut, &vec![0; entry - cut]);
        let (spool, recovered) = open(copy.path());
        assert_eq!((recovered.last_seq, recovered.clean), (9, false), "cut at {cut}");
        assert_eq!(recovered.torn_bytes > 0, cut > 0, "cut at {cut}");
        assert_eq!(append(&spool), Ok(10));
        assert_eq!(walk(&spool, ChainState::default()).seq, 10);
        drop(spool);
        let recovered = open(copy.path()).1;
        assert_eq!((recovered.last_seq, recovered.torn_bytes), (10, 0), "the cut left nothing");
    }
    let copy = copy_dir(dir.path());
    assert_eq!(open(copy.path()).1.last_seq, 10, "control: uncut, all are there");
}

#[test]
fn an_altered_record_ends_the_chain_and_later_segments_are_set_aside() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) = open(dir.path());
    append_many(&spool, 100);
    drop(spool);
    overwrite(dir.path(), SEGMENT_HEADER_BYTES + ENTRY_HEADER_BYTES + 20, b"y");
    let (spool, recovered) = open(dir.path());
    assert_eq!(recovered.last_seq, 0);
    assert!(recovered.torn_bytes > 0);
    let kept = fs::read_dir(dir.path()).expect("dir").filter(|entry| {
        entry.as_ref().is_ok_and(|e| e.path().extension().is_some_and(|s| s == "torn"))
    });
    assert!(kept.count() >= 2, "whole segments are kept for a person to look at");
    assert_eq!(append(&spool), Ok(1));
}

#[test]
fn a_full_spool_refuses_and_takes_again_after_an_acknowledgement() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) =
        Spool::open(SpoolConfig { bytes_max: 64 * 1024, ..config(dir.path()) }).expect("open");
    let mut last = 0;
    let full = loop {
        match append(&spool) {
            Ok(seq) => last = seq,
            Err(full) => break full,
        }
    };
    assert_eq!(full, SpoolFull::Full { bytes_max: 64 * 1024 });
    assert_eq!(append(&spool), Err(full), "control: without an acknowledgement it stays full");
    let stats = spool.stats();
    assert!(stats.bytes_used <= stats.bytes_max && stats.records_unshipped == last);
    let on_disk: u64 = fs::read_dir(dir.path())
        .expect("dir")
        .map(|entry| entry.expect("entry"))
        .filter(|entry| entry.path().extension().is_some_and(|suffix| suffix == "seg"))
        .map(|entry| entry.metadata().expect("metadata").len())
        .sum();
    assert_eq!(on_disk, stats.bytes_used);

    spool.acknowledge(last / 2);
    until("space", || append(&spool) == Ok(last + 1));
    assert!(matches!(spool.read_after(0, 1), Err(SpoolError::Freed { .. })));
    let acked = spool.acknowledged();
    assert_eq!(acked.seq, last / 2);
    assert_eq!(walk(&spool, acked).seq, last + 1);
    drop(spool);
    let (spool, recovered) = open(dir.path());
    assert_eq!((recovered.last_seq, recovered.torn_bytes), (last + 1, 0));
    assert_eq!(spool.acknowledged(), acked, "remembered");
    assert_eq!(walk(&spool, acked).seq, last + 1);
}

#[test]
fn a_spool_goes_round_many_times_its_size() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) =
        Spool::open(SpoolConfig { bytes_max: 32 * 1024, ..config(dir.path()) }).expect("open");
    let mut shipped = ChainState::default();
    for _ in 0..1_000 {
        until("space", || append(&spool).is_ok());
        shipped = walk(&spool, shipped);
        spool.acknowledge(shipped.seq);
    }
    assert_eq!(shipped.seq, 1_000);
    assert!(spool.stats().bytes_used <= 32 * 1024);
}

#[test]
fn a_record_that_can_never_fit_is_refused_and_takes_no_number() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) = open(dir.path());
    let large = spool.append(Timestamp(0), |_, out| out.resize(20_000, 1));
    assert_eq!(large, Err(SpoolFull::TooLarge { bytes: 20_000 }));
    assert_eq!(append(&spool), Ok(1));
}

/// A port whose syncs wait for a gate, fail, or go through.
#[derive(Default)]
struct Port {
    closed: Mutex<bool>,
    opened: Condvar,
    entered: AtomicUsize,
    fails: AtomicBool,
}

impl SyncPort for Port {
    fn sync(&self, file: &File) -> io::Result<()> {
        self.entered.fetch_add(1, Ordering::SeqCst);
        let mut closed = self.closed.lock();
        while *closed {
            self.opened.wait(&mut closed);
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no sync"));
        }
        file.sync_data()
    }
}

#[tokio::test]
async fn durable_is_reported_only_after_the_sync_returned() {
    let dir = TempDir::new().expect("dir");
    let port = Arc::new(Port::default());
    let (spool, _) = Spool::open_with(config(dir.path()), port.clone()).expect("open");
    let mut durable = spool.durable();
    append_many(&spool, 5);
    *port.closed.lock() = true;
    let entered = port.entered.load(Ordering::SeqCst);
    spool.request_sync();
    until("a sync", || port.entered.load(Ordering::SeqCst) > entered);
    // Appended while the sync runs: not covered by it.
    append_many(&spool, 2);
    assert_eq!(*durable.borrow_and_update(), 0, "the sync has not returned");
    *port.closed.lock() = false;
    port.opened.notify_all();
    durable.changed().await.expect("reported");
    assert_eq!(*durable.borrow_and_update(), 5, "only what was there when the sync began");
    spool.request_sync();
    assert_eq!(*durable.wait_for(|seq| *seq >= 7).await.expect("reported"), 7);
}

/// A task that notes that it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Waits for record `seq` in a task of its own; returns that task, and how its first look went.
fn wait_for(spool: &Spool, seq: u64) -> (Arc<Woken>, Poll<Option<u64>>) {
    let task = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&task));
    let first = spool.poll_durable(seq, &Context::from_waker(&waker));
    (task, first)
}

#[test]
fn a_sync_wakes_those_whose_records_it_reached_and_nobody_else() {
    let dir = TempDir::new().expect("dir");
    let port = Arc::new(Port::default());
    let (spool, _) = Spool::open_with(config(dir.path()), port.clone()).expect("open");
    let woken = |task: &Woken| task.0.load(Ordering::SeqCst);
    append_many(&spool, 3);
    let waits: Vec<_> = [2, 3, 4].map(|seq| wait_for(&spool, seq)).into();
    assert!(waits.iter().all(|(task, first)| first.is_pending() && !woken(task)));
    spool.request_sync();
    until("two are woken", || woken(&waits[0].0) && woken(&waits[1].0));
    assert_eq!(wait_for(&spool, 3).1, Poll::Ready(Some(3)));
    assert!(!woken(&waits[2].0) && wait_for(&spool, 4).1.is_pending(), "its record is not there");
    // Who asked last for a record is the one who waits for it.
    let (task, _) = wait_for(&spool, 4);
    append_many(&spool, 1);
    spool.request_sync();
    until("the third is woken", || woken(&task));
    assert!(!woken(&waits[2].0));
    // What a failed sync leaves never is durable, and those who wait for it are told.
    port.fails.store(true, Ordering::SeqCst);
    append_many(&spool, 1);
    let (task, first) = wait_for(&spool, 5);
    assert!(first.is_pending());
    spool.request_sync();
    until("it is told", || woken(&task));
    assert_eq!(
        [4, 5].map(|seq| wait_for(&spool, seq).1),
        [Poll::Ready(Some(4)), Poll::Ready(None)]
    );
}

#[tokio::test]
async fn a_sync_that_fails_never_reports_durable_and_stops_the_spool() {
    let dir = TempDir::new().expect("dir");
    let port = Arc::new(Port::default());
    let (spool, _) = Spool::open_with(config(dir.path()), port.clone()).expect("open");
    port.fails.store(true, Ordering::SeqCst);
    let mut durable = spool.durable();
    append_many(&spool, 5);
    spool.request_sync();
    assert!(durable.changed().await.is_err(), "those who wait are told");
    assert_eq!(*durable.borrow(), 0);
    assert_eq!(append(&spool), Err(SpoolFull::Failed("no sync".into())));
    // A later sync that works proves nothing about pages that the failed one may have dropped.
    port.fails.store(false, Ordering::SeqCst);
    spool.request_sync();
    assert_eq!(spool.stats().durable_seq, 0);
    assert!(matches!(append(&spool), Err(SpoolFull::Failed(_))));
}

#[test]
fn many_threads_get_dense_numbers_and_one_chain() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) = open(dir.path());
    let seqs = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let seq = append(&spool).expect("room");
                    spool.request_sync();
                    assert!(seqs.lock().insert(seq), "a number is given once");
                }
            });
        }
    });
    assert_eq!(walk(&spool, ChainState::default()).seq, 800);
    until("durable", || *spool.durable().borrow() == 800);
}

#[test]
fn an_empty_spool_goes_on_after_what_the_lake_has_and_only_an_empty_one() {
    let dir = TempDir::new().expect("dir");
    let (spool, recovered) = open(dir.path());
    assert!(recovered.fresh);
    let lake = ChainState { seq: 5_000, chain: ChainHash([7; 32]) };
    spool.resume_from(lake.seq, lake.chain).expect("empty");
    assert_eq!((spool.acknowledged(), *spool.durable().borrow()), (lake, 5_000));
    assert_eq!(append(&spool), Ok(5_001));
    assert_eq!(walk(&spool, lake).seq, 5_001);
    assert!(matches!(spool.resume_from(9_000, lake.chain), Err(SpoolError::NotEmpty { .. })));
    drop(spool);
    let (spool, recovered) = open(dir.path());
    assert_eq!((recovered.last_seq, recovered.fresh), (5_001, false));
    assert_eq!(walk(&spool, lake).seq, 5_001);
}

#[test]
fn a_directory_is_not_shared_and_not_taken_over() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) = open(dir.path());
    append_many(&spool, 1);
    assert!(matches!(Spool::open(config(dir.path())), Err(SpoolError::Locked(_))));
    drop(spool);
    let other = SpoolConfig { source: "edge-2".into(), ..config(dir.path()) };
    assert!(matches!(Spool::open(other), Err(SpoolError::OtherSource { .. })));
    let small = SpoolConfig { bytes_max: 20_000, ..config(dir.path()) };
    assert!(matches!(Spool::open(small), Err(SpoolError::TooSmall { .. })));
}

#[test]
fn a_missing_segment_that_was_never_acknowledged_is_not_passed_over() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) = open(dir.path());
    append_many(&spool, 100);
    spool.acknowledge(10);
    drop(spool);
    fs::remove_file(segment_path(dir.path(), 0)).expect("remove");
    let opened = Spool::open(config(dir.path()));
    assert!(matches!(opened, Err(SpoolError::Hole { acked: 10, .. })), "L1");
}

#[tokio::test]
async fn one_who_waits_for_a_record_is_woken_by_it() {
    let dir = TempDir::new().expect("dir");
    let (spool, _) = open(dir.path());
    for expected in 1..=50 {
        let waiting = tokio::spawn({
            let spool = spool.clone();
            async move { spool.appended_after(expected - 1).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(append(&spool), Ok(expected));
        let seen = tokio::time::timeout(DEADLINE, waiting).await.expect("woken").expect("ends");
        assert_eq!(seen, expected);
    }
}
