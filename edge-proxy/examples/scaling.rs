//! How many transactions sessions on one thread do, and on two: `scaling ROUNDS SECONDS`. What sessions share inside of the
//! edge takes part (the facts and decisions of texts, the spool with its chain and its files), sockets do not: client and
//! server are in the process. Prints a line of Markdown for each mode: transactions in a second, and the ratio of each round.

#[path = "../core/tests/gates/mod.rs"]
mod gates;
#[path = "../core/tests/hot/mod.rs"]
mod hot;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hot::{Hot, MODES, Mode};
use writ_edge_core::policy_gate::state::DatabaseState;
use writ_edge_proxy::journal::SpoolJournal;
use writ_edge_proxy::metrics::Metrics;
use writ_edge_proxy::spool::{Spool, SpoolConfig};

const USAGE: &str = "usage: scaling ROUNDS SECONDS";
/// Sessions of one thread.
const SESSIONS: usize = 16;
/// Room in the spool: nobody ships its records, so they are acknowledged unseen.
const SPOOL_BYTES: u64 = 1 << 30;
const SEGMENT_BYTES: u64 = 16 << 20;
/// How often records are acknowledged.
const ACKNOWLEDGED_EVERY: Duration = Duration::from_millis(10);

struct Bench {
    journal: SpoolJournal,
    state: Arc<DatabaseState>,
    time: Duration,
}

impl Bench {
    /// Transactions in a second of sessions on so many threads.
    fn rate(&self, mode: Mode, threads: usize) -> f64 {
        let stop = AtomicBool::new(false);
        let (done, took) = thread::scope(|scope| {
            let work = || {
                let of_session = || {
                    let journal = self.journal.of_session(&hot::profile());
                    Hot::recording(journal, Arc::clone(&self.state), mode, true)
                };
                let mut sessions: Vec<_> = (0..SESSIONS).map(|_| of_session()).collect();
                let mut done = 0u32;
                while !stop.load(Ordering::Relaxed) {
                    sessions.iter_mut().for_each(Hot::transaction);
                    done += SESSIONS as u32;
                }
                done
            };
            let began = Instant::now();
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            thread::sleep(self.time);
            stop.store(true, Ordering::Relaxed);
            let done =
                running.into_iter().map(|t| f64::from(t.join().expect("it ends"))).sum::<f64>();
            (done, began.elapsed())
        });
        done / took.as_secs_f64()
    }
}

fn median(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [rounds, seconds] = args.as_slice() else { return Err(USAGE.into()) };
    let (rounds, time) = (rounds.parse::<usize>()?, Duration::from_secs_f64(seconds.parse()?));
    let dir = tempfile::tempdir()?;
    let (spool, _) = Spool::open(SpoolConfig {
        dir: dir.path().join("spool"),
        source: "edge-1".into(),
        bytes_max: SPOOL_BYTES,
        segment_bytes: SEGMENT_BYTES,
    })?;
    let shipped = spool.clone();
    thread::spawn(move || {
        loop {
            thread::sleep(ACKNOWLEDGED_EVERY);
            shipped.acknowledge(shipped.last_seq());
        }
    });
    let journal = SpoolJournal::new(spool, Arc::new(Metrics::default()));
    let bench = Bench { journal, state: gates::state(), time };
    println!(
        "| mode | one thread | two threads | ratio, smallest / median / largest |\n|---|---|---|---|"
    );
    for mode in MODES {
        let rounds: Vec<_> =
            (0..rounds.max(1)).map(|_| (bench.rate(mode, 1), bench.rate(mode, 2))).collect();
        let (_, one, _) = median(rounds.iter().map(|(one, _)| *one).collect());
        let (_, two, _) = median(rounds.iter().map(|(_, two)| *two).collect());
        let (least, middle, most) = median(rounds.iter().map(|(one, two)| two / one).collect());
        println!("| {mode:?} | {one:.0} | {two:.0} | {least:.2} / {middle:.2} / {most:.2} |");
    }
    Ok(())
}
