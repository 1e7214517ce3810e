//! Benchmarks side by side with peers: every figure is a ratio between targets that were measured in turn in
//! the same run (A B C A B C …), so that a noisy machine shifts all of them alike.

mod cpu;
mod forward;
mod pgbench;
mod report;
mod stream;
mod target;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use report::Report;
use target::Target;

/// Measures PostgreSQL endpoints against each other.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// An endpoint: NAME=URL or NAME=URL,PID where PID is the proxy whose CPU time counts. The first is the baseline
    /// of throughput ratios.
    #[arg(long = "target", required_unless_present = "forward", value_parser = target::parse)]
    targets: Vec<Target>,
    /// Which target the others are compared with besides the first, in throughput and in CPU per transaction.
    #[arg(long)]
    peer: Option<String>,
    /// Measures nothing, and forwards bytes instead: FROM=TO, two addresses. What a proxy costs that does nothing.
    #[arg(long, value_parser = forward::parse)]
    forward: Option<forward::Route>,
    /// How many times each target is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long one pgbench run lasts.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Client counts.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    clients: Vec<u32>,
    /// pgbench query modes; `simple-quoted` is `simple` with texts of which each is analysed, `connect` is `simple` with a
    /// connection for each, `tpcb-simple` (`-extended`, `-prepared`) pgbench's own transaction with writes.
    #[arg(long, value_delimiter = ',', default_value = "simple,simple-quoted,extended,prepared")]
    modes: Vec<String>,
    /// Rows of the streamed result; 0 leaves streaming out.
    #[arg(long, default_value_t = 1_000_000)]
    stream_rows: u64,
    /// Where psql and pgbench are.
    #[arg(long, default_value = "/usr/lib/postgresql/15/bin")]
    bin_dir: std::path::PathBuf,
    /// Print JSON instead of Markdown.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(route) = args.forward {
        return forward::run(route);
    }
    ensure!(args.rounds > 0, "--rounds must be at least 1");
    let mut report = Report::default();
    let measured = measure(&args, &mut report);
    // What was measured before something failed is shown all the same: it took minutes.
    if args.json {
        println!("{:#}", report.to_json());
    } else {
        print!("{}", report.to_markdown(&args.targets, args.peer.as_deref()));
    }
    measured
}

/// All modes, then the streams.
fn measure(args: &Args, report: &mut Report) -> Result<()> {
    for mode in &args.modes {
        for &clients in &args.clients {
            let name = format!("{mode}, {clients} clients");
            eprintln!("pgbench: {name}");
            for _ in 0..args.rounds {
                for target in &args.targets {
                    let run = pgbench::run(&args.bin_dir, target, mode, clients, args.seconds)
                        .with_context(|| format!("{} ({name})", target.name))?;
                    report.add(&name, target, run);
                }
            }
        }
    }
    if args.stream_rows > 0 {
        for kind in [stream::Kind::Select, stream::Kind::CopyOut, stream::Kind::CopyIn] {
            eprintln!("stream: {}", kind.name());
            for _ in 0..args.rounds {
                for target in &args.targets {
                    let run = stream::run(&args.bin_dir, target, kind, args.stream_rows)
                        .with_context(|| format!("{} ({})", target.name, kind.name()))?;
                    report.add(kind.name(), target, run);
                }
            }
        }
    }
    Ok(())
}
