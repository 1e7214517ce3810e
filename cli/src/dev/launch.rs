//! The planes of `writ dev`: in this process, or each in its own.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::files::{self, RunFile, choices};
use super::postgres::Postgres;
use super::{env, process, progress};
use crate::args::Plane;
use crate::failure::{Answer, Failure, Result, file};
use crate::planes::{self, Running};

/// The name of a plane, of its subcommand and of its files.
pub(super) fn name(plane: Plane) -> &'static str {
    match plane {
        Plane::ControlPlane => "control-plane",
        Plane::Edge => "edge",
        Plane::Lake => "lake",
    }
}

/// A plane's configuration file.
pub(super) fn config_path(dir: &Path, plane: Plane) -> PathBuf {
    dir.join(format!("{}.toml", name(plane)))
}

fn log_path(dir: &Path, plane: Plane) -> PathBuf {
    dir.join("log").join(format!("{}.log", name(plane)))
}

/// What was started.
pub(super) enum Planes {
    /// All in this process, in the order of their start.
    InProcess(Vec<Running>),
    /// Each in its own.
    Separate(Vec<(Plane, Child)>),
}

impl Planes {
    pub(super) fn new(separate: bool) -> Self {
        if separate { Self::Separate(Vec::new()) } else { Self::InProcess(Vec::new()) }
    }

    /// Starts one from its configuration file.
    pub(super) async fn start(&mut self, dir: &Path, plane: Plane) -> Result<()> {
        progress(&format!("{}: starting", name(plane)));
        match self {
            Self::InProcess(running) => {
                running.push(planes::start(plane, &config_path(dir, plane)).await?);
            }
            Self::Separate(children) => children.push((plane, spawn(dir, plane)?)),
        }
        Ok(())
    }

    /// Errors where a process has ended that should run.
    pub(super) fn check(&mut self, dir: &Path) -> Result<()> {
        let Self::Separate(children) = self else { return Ok(()) };
        children.iter_mut().try_for_each(|(plane, child)| check_child(dir, *plane, child))
    }

    /// The processes, for `run.toml`.
    pub(super) fn run_file(&self, detach: bool) -> RunFile {
        let mut run = RunFile::default();
        match self {
            Self::InProcess(_) => run.supervisor = Some(std::process::id()),
            Self::Separate(children) => {
                run.supervisor = (!detach).then(std::process::id);
                for (plane, child) in children {
                    *run.plane(*plane) = Some(child.id());
                }
            }
        }
        run
    }

    /// Ends them, the last first: the edge ships what it has while the lake still runs.
    pub(super) async fn stop(self, dir: &Path) {
        match self {
            Self::InProcess(running) => {
                for plane in running.into_iter().rev() {
                    plane.shutdown().await;
                }
            }
            Self::Separate(mut children) => {
                for (_, child) in children.iter_mut().rev() {
                    process::end(child.id(), dir);
                    let _ = child.wait();
                }
            }
        }
    }
}

/// Starts a plane as a process of its own, apart from our terminal.
fn spawn(dir: &Path, plane: Plane) -> Result<Child> {
    let program = std::env::current_exe().map_err(|e| file(Path::new("writ"), e))?;
    let mut command = Command::new(program);
    command.arg(name(plane)).arg("--config").arg(config_path(dir, plane));
    detached(&mut command, &log_path(dir, plane))?;
    command
        .spawn()
        .map_err(|error| Failure::no(format!("{} cannot be started: {error}", name(plane))))
}

/// Takes a command out of our terminal: its own process group, no input, output to `log`.
pub(super) fn detached(command: &mut Command, log: &Path) -> Result<()> {
    let open = || -> std::io::Result<(File, File)> {
        if let Some(parent) = log.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let out = File::options().create(true).append(true).open(log)?;
        Ok((out.try_clone()?, out))
    };
    let (out, err) = open().map_err(|error| file(log, error))?;
    command.process_group(0).stdin(Stdio::null()).stdout(out).stderr(err);
    Ok(())
}

fn check_child(dir: &Path, plane: Plane, child: &mut Child) -> Result<()> {
    match child.try_wait() {
        Ok(None) => Ok(()),
        _ => Err(ended(name(plane), &log_path(dir, plane))),
    }
}

/// The failure of a process that ended while it was waited for.
pub(super) fn ended(what: &str, log: &Path) -> Failure {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Failure::no(format!("{what} ended: {}; its log is {}", last.trim(), log.display()))
}

/// `writ dev stop`.
pub(super) fn stop(dir: &Path) -> Result<Answer> {
    let choices = choices(dir)?;
    let run = RunFile::load(dir)?.unwrap_or_default();
    let running: Vec<u32> = run.pids().filter(|pid| process::alive(*pid, dir)).collect();
    for pid in &running {
        process::end(*pid, dir);
    }
    Postgres::new(dir, &choices).stop()?;
    let _ = std::fs::remove_file(dir.join("dev.env"));
    let _ = std::fs::remove_file(dir.join("run.toml"));
    match running.is_empty() {
        true => println!("Nothing was running; PostgreSQL is stopped."),
        false => println!("Stopped. The data stays in {}.", dir.display()),
    }
    Ok(Answer::Done)
}

/// `writ dev start PLANE`: brings back one that was killed.
pub(super) async fn restart(dir: &Path, plane: Plane) -> Result<Answer> {
    let choices = files::choices(dir)?;
    let mut run = RunFile::load(dir)?.ok_or_else(|| super::not_running(dir))?;
    let Some(old) = *run.plane(plane) else {
        return Err(Failure::usage(format!(
            "{} is not a process of its own here; start with `writ dev --separate`",
            name(plane)
        )));
    };
    if process::alive(old, dir) {
        println!("{} runs already, as process {old}", name(plane));
        return Ok(Answer::Done);
    }
    let mut child = spawn(dir, plane)?;
    *run.plane(plane) = Some(child.id());
    run.save(dir)?;
    env::update(dir, env::pid_name(plane), &child.id().to_string())?;
    let check = || check_child(dir, plane, &mut child);
    super::ready::restarted(dir, &choices, plane, check).await?;
    println!("{} runs again, as process {}", name(plane), child.id());
    Ok(Answer::Done)
}
