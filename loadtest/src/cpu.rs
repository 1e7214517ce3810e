//! CPU time of a process, from `/proc/PID/stat`.

use anyhow::{Context, Result};

/// User and system time so far, in microseconds.
pub(crate) fn micros(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path)
        .with_context(|| format!("{path}: is the proxy still running?"))?;
    // The command name may hold spaces and parentheses: fields count from the last one.
    let (_, fields) = stat.rsplit_once(')').context("an unexpected stat line")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks =
        || fields.next().and_then(|f| f.parse::<u64>().ok()).context("a short stat line");
    let total = ticks()? + ticks()?;
    Ok(total * 1_000_000 / rustix::param::clock_ticks_per_second())
}
