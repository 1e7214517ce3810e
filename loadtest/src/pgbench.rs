//! One `pgbench -S` run and what it cost the proxy.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cpu;
use crate::report::Run;
use crate::target::Target;

/// At one client every transaction's latency is logged for percentiles; above, the log itself would be measured.
const LOG_LATENCY_CLIENTS_MAX: u32 = 1;

/// `simple` with the number in quotes: ever new texts that may share nothing, so that the edge analyses each of them.
const QUOTED_MODE: &str = "simple-quoted";
/// The rows of `pgbench -i -s 10`.
const ACCOUNTS: u32 = 1_000_000;

/// `connect`: a connection for each `SELECT`.
const CONNECT_MODE: &str = "connect";
/// `tpcb-simple` and its like: pgbench's own transaction of three UPDATEs, a SELECT and an INSERT.
const WRITES_PREFIX: &str = "tpcb-";

/// The arguments of pgbench for a mode; a script of our own is written into `scratch`.
fn script(mode: &str, scratch: &Path) -> Result<Vec<String>> {
    if let Some(protocol) = mode.strip_prefix(WRITES_PREFIX) {
        return Ok(["-b", "tpcb-like", "-M", protocol].map(str::to_owned).to_vec());
    }
    if mode == CONNECT_MODE {
        return Ok(["-S", "-C", "-M", "simple"].map(str::to_owned).to_vec());
    }
    if mode != QUOTED_MODE {
        return Ok(["-S", "-M", mode].map(str::to_owned).to_vec());
    }
    let path = scratch.join("quoted.sql");
    let query = "SELECT abalance FROM pgbench_accounts WHERE aid = ':aid';";
    std::fs::write(&path, format!("\\set aid random(1, {ACCOUNTS})\n{query}\n"))?;
    Ok(vec!["-f".into(), path.display().to_string(), "-M".into(), "simple".into()])
}

/// pgbench's threads. It waits for a Parse with the whole thread: where transactions hold connections that others of the thread
/// wait for, each client needs its own.
fn threads(mode: &str, clients: u32) -> u32 {
    if mode.starts_with(WRITES_PREFIX) { clients } else { clients.min(2) }
}

/// Runs pgbench against `target`. Its tables must exist (`pgbench -i`).
pub(crate) fn run(
    bin_dir: &Path,
    target: &Target,
    mode: &str,
    clients: u32,
    seconds: u32,
) -> Result<Run> {
    let scratch = tempfile::tempdir()?;
    let mut command = Command::new(bin_dir.join("pgbench"));
    command
        .args(script(mode, scratch.path())?)
        .args(["-n", "-c", &clients.to_string(), "-j", &threads(mode, clients).to_string()])
        .args(["-T", &seconds.to_string()])
        .current_dir(scratch.path());
    let logged = clients <= LOG_LATENCY_CLIENTS_MAX;
    if logged {
        command.args(["-l", "--log-prefix", "latency"]);
    }
    let before = target.pid.map(cpu::micros).transpose()?;
    let output = command.arg(&target.url).output().context("pgbench does not start")?;
    let after = target.pid.map(cpu::micros).transpose()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("pgbench failed: {}{}", text, String::from_utf8_lossy(&output.stderr));
    }
    let transactions = number_after(&text, "number of transactions actually processed: ")?;
    let per_second = number_after(&text, "tps = ")?;
    let cpu_micros =
        before.zip(after).map(|(before, after)| (after - before) as f64 / transactions);
    let (p50_micros, p99_micros) = if logged { percentiles(scratch.path())? } else { (None, None) };
    Ok(Run { per_second, cpu_micros, p50_micros, p99_micros })
}

fn number_after(text: &str, label: &str) -> Result<f64> {
    let (_, rest) =
        text.split_once(label).with_context(|| format!("pgbench did not print `{label}`"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().with_context(|| format!("pgbench printed no number after `{label}`"))
}

/// The third column of pgbench's log is the latency in microseconds.
fn percentiles(dir: &Path) -> Result<(Option<f64>, Option<f64>)> {
    let mut latencies: Vec<u64> = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        for line in BufReader::new(std::fs::File::open(entry?.path())?).lines() {
            latencies.extend(line?.split(' ').nth(2).and_then(|l| l.parse::<u64>().ok()));
        }
    }
    latencies.sort_unstable();
    let at =
        |share: f64| latencies.get((latencies.len() as f64 * share) as usize).map(|l| *l as f64);
    Ok((at(0.50), at(0.99)))
}
