//! `writ`: the one binary. It parses, builds and runs; what the planes do is in their own crates.

mod args;
mod client;
mod commands;
mod dev;
mod failure;
mod lake_client;
mod output;
mod planes;
mod settings;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::{Answer, Failure, Result};
use crate::settings::Settings;

/// A statement that is not cached allocates its parse tree in small pieces; this allocator halves that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stack of each worker thread, in bytes: deep SQL is parsed and planned on it.
const WORKER_STACK_BYTES: usize = 16 * 1024 * 1024;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(failure) = start_logging(&cli) {
        eprintln!("writ: {failure}");
        return ExitCode::from(failure.code());
    }
    // Another library may have installed the same provider already; that is what we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(WORKER_STACK_BYTES)
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(Failure::no(format!("cannot start the runtime: {error}"))),
    };
    match outcome {
        Ok(Answer::Done) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("writ: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// `WRIT_LOG` says what is logged, as `tracing-subscriber` has it, and `WRIT_LOG_FORMAT` how: `text` or `json`, a line each.
fn start_logging(cli: &Cli) -> Result<()> {
    let default = if cli.command.is_server() { "warn,writ=info" } else { "error" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("WRIT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match std::env::var("WRIT_LOG_FORMAT").as_deref() {
        Err(_) | Ok("" | "text") => logging.with_target(false).init(),
        Ok("json") => logging.json().flatten_event(true).init(),
        Ok(other) => {
            let text = format!("WRIT_LOG_FORMAT is `{other}`: write text or json");
            return Err(Failure::usage(text));
        }
    }
    Ok(())
}

async fn run(cli: Cli) -> Result<Answer> {
    let settings = Settings::resolve(&cli.connection)?;
    match cli.command {
        Command::ControlPlane(server) => planes::run_control_plane(&server.config).await,
        Command::Edge(edge) => planes::run_edge(&edge.server.config, edge.take_over).await,
        Command::Lake(server) => planes::run_lake(&server.config).await,
        Command::Dev(dev) => dev::run(dev).await,
        Command::Login(login) => commands::identity::login(&settings, &login).await,
        Command::Whoami => commands::identity::whoami(&settings).await,
        Command::Connect(connect) => commands::identity::connect(&settings, &connect),
        Command::Token(token) => commands::identity::token(&settings, &token).await,
        Command::JoinToken(join) => commands::edges::join_token(&settings, &join).await,
        Command::Approvals { command } => commands::approvals::run(&settings, command).await,
        Command::Policy { command } => commands::policy::run(&settings, command).await,
        Command::Identities { command } => commands::identities::run(&settings, command).await,
        Command::Environments { command } => commands::environments::run(&settings, command).await,
        Command::Databases { command } => commands::databases::run(&settings, command).await,
        Command::Edges { command } => commands::edges::run(&settings, command).await,
        Command::Cluster { command } => commands::cluster::run(&settings, command).await,
        Command::Audit { command } => commands::audit::run(&settings, command).await,
    }
}
