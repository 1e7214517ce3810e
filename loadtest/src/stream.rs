//! One big result, streamed: MB/s and what it cost the proxy per GB.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cpu;
use crate::report::Run;
use crate::target::Target;

/// How the result is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// DataRow messages.
    Select,
    /// CopyData messages.
    CopyOut,
    /// CopyData messages of the client.
    CopyIn,
}

/// Where COPY puts its rows: `loadtest/run` makes it.
const COPY_TABLE: &str = "loadtest_rows";

/// How many bytes are read from psql at a time.
const READ_BYTES: usize = 1 << 20;

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Select => "SELECT stream (MB/s)",
            Self::CopyOut => "COPY out (MB/s)",
            Self::CopyIn => "COPY in (MB/s)",
        }
    }

    fn sql(self, rows: u64) -> String {
        let query = format!(
            "SELECT i, 'row ' || i AS label, i * 7 AS amount, repeat('x', 60) AS pad FROM generate_series(1, {rows}) i"
        );
        match self {
            // FETCH_COUNT would turn it into a cursor; a plain \g streams into psql's buffer.
            Self::Select => query,
            Self::CopyOut => format!("COPY ({query}) TO STDOUT"),
            Self::CopyIn => format!("COPY {COPY_TABLE} FROM STDIN"),
        }
    }
}

/// Streams `rows` rows through psql and counts the bytes that it prints, or is given.
pub(crate) fn run(bin_dir: &Path, target: &Target, kind: Kind, rows: u64) -> Result<Run> {
    let input = match kind {
        Kind::CopyIn => copy_text(rows),
        Kind::Select | Kind::CopyOut => String::new(),
    };
    let before = target.pid.map(cpu::micros).transpose()?;
    let started = Instant::now();
    let mut child = Command::new(bin_dir.join("psql"))
        .args(["-X", "-q", "-A", "-t", "-c", &kind.sql(rows), &target.url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("psql does not start")?;
    let mut bytes = input.len();
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let mut output = child.stdout.take().context("no output")?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match output.read(&mut buffer)? {
            0 => break,
            count => bytes += count,
        }
    }
    ensure!(child.wait()?.success(), "psql failed");
    let seconds = started.elapsed().as_secs_f64();
    let after = target.pid.map(cpu::micros).transpose()?;
    let megabytes = bytes as f64 / 1e6;
    let cpu_micros = before.zip(after).map(|(before, after)| (after - before) as f64 / megabytes);
    Ok(Run { per_second: megabytes / seconds, cpu_micros, p50_micros: None, p99_micros: None })
}

/// The rows that `Select` reads, as COPY takes them.
fn copy_text(rows: u64) -> String {
    let pad = "x".repeat(60);
    let row = |i| format!("{i}\trow {i}\t{}\t{pad}\n", i * 7);
    (1..=rows).map(row).collect()
}
