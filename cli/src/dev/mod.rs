//! `writ dev`: all of Writ on this machine, with a sample database; for trying, testing and developing.

mod bootstrap;
mod env;
mod files;
mod launch;
mod postgres;
mod process;
mod ready;
mod start;

use std::path::{Path, PathBuf};

use crate::args::{Dev, DevCommand};
use crate::failure::{Answer, Failure, Result, file};

/// Runs `writ dev` or one of its subcommands.
pub(crate) async fn run(dev: Dev) -> Result<Answer> {
    match dev.command {
        None => start::run(&dev.start).await,
        Some(DevCommand::Stop(dir)) => launch::stop(&absolute(&dir.data_dir)?),
        Some(DevCommand::Start { plane, dir }) => {
            launch::restart(&absolute(&dir.data_dir)?, plane).await
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| file(path, error))
}

/// A step that people can watch.
fn progress(text: &str) {
    eprintln!("  · {text}");
}

/// What to say when nothing runs in a directory.
fn not_running(dir: &Path) -> Failure {
    Failure::no(format!(
        "nothing runs in {}; start it with `writ dev --data-dir {}`",
        dir.display(),
        dir.display()
    ))
}
