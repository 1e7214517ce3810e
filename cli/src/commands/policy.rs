//! `writ policy`: check files here, make them the set in force, and show what is.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use writ_proto::v1;
use writ_proto::v1::command::Command;

use crate::args::Policy;
use crate::client;
use crate::failure::{Answer, Failure, Result, file};
use crate::output::{Format, sentence};
use crate::settings::Settings;

use super::databases::done;

/// Runs one of them.
pub(crate) async fn run(settings: &Settings, command: Policy) -> Result<Answer> {
    match command {
        Policy::Check { paths } => check(settings, &read(&paths)?),
        Policy::Apply { paths } => {
            let files = read(&paths)?;
            compile(&files)?;
            let what = format!(
                "{} policy file{} in force",
                files.len(),
                if files.len() == 1 { " is" } else { "s are" }
            );
            let policies = v1::PolicySet { files };
            let command = Command::ApplyPolicies(v1::ApplyPolicies { policies: Some(policies) });
            let mut admin = client::connect(settings).await?;
            done(settings, &what, client::submit(&mut admin, command).await?)
        }
        Policy::Show { default_pack } => show(settings, default_pack).await,
    }
}

/// Reads files, and the `.cedar` files of directories in the order of their names.
fn read(paths: &[PathBuf]) -> Result<Vec<v1::PolicyFile>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).map_err(|error| file(path, error))?;
            let mut inside: Vec<PathBuf> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|p| p.extension().is_some_and(|e| e == "cedar"))
                .collect();
            inside.sort();
            if inside.is_empty() {
                return Err(Failure::usage(format!("{} has no .cedar files", path.display())));
            }
            found.extend(inside);
        } else {
            found.push(path.clone());
        }
    }
    found.iter().map(|path| read_one(path)).collect()
}

fn read_one(path: &Path) -> Result<v1::PolicyFile> {
    let text = std::fs::read_to_string(path).map_err(|error| file(path, error))?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(v1::PolicyFile { name, text })
}

/// Compiles as an edge would; how many files there are, the default pack's included.
fn compile(files: &[v1::PolicyFile]) -> Result<usize> {
    let files: Vec<_> = files
        .iter()
        .map(|f| writ_model::config::PolicyFile { name: f.name.clone(), text: f.text.clone() })
        .collect();
    crate::planes::compile_policies(&files)
}

fn check(settings: &Settings, files: &[v1::PolicyFile]) -> Result<Answer> {
    match compile(files) {
        Ok(count) => {
            let text = format!("{count} policy files compile, the default pack's included");
            sentence(settings.format, &text, &json!({ "ok": true, "files": count }));
            Ok(Answer::Done)
        }
        Err(failure) => {
            let text = failure.to_string();
            sentence(settings.format, &text, &json!({ "ok": false, "problem": text }));
            Ok(Answer::No)
        }
    }
}

async fn show(settings: &Settings, default_pack: bool) -> Result<Answer> {
    let reply = client::connect(settings).await?.show_policies(v1::Empty {}).await?.into_inner();
    let mut files = reply.files;
    if default_pack || files.is_empty() {
        // A file of the set replaces the pack's file of its name.
        let pack = crate::planes::default_pack().into_iter();
        let pack: Vec<_> = pack.filter(|p| files.iter().all(|f| f.name != p.name)).collect();
        let pack = pack.into_iter().map(|p| v1::PolicyFile { name: p.name, text: p.text });
        files.splice(0..0, pack);
    }
    if settings.format == Format::Json {
        let list: Vec<Value> =
            files.iter().map(|f| json!({ "name": f.name, "text": f.text })).collect();
        crate::output::say!("{}", Value::Array(list));
        return Ok(Answer::Done);
    }
    for f in files {
        crate::output::say!("// ---- {}\n{}", f.name, f.text.trim_end());
    }
    Ok(Answer::Done)
}
