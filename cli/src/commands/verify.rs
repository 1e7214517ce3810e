//! `writ audit verify`: proves a lake's files offline, trusting the checkpoint key alone.

use std::path::Path;

use crate::failure::{Answer, Failure, Result};
use crate::settings::Settings;

/// Verifies the lake in `dir` against `key`.
#[cfg(feature = "lake")]
pub(crate) fn run(settings: &Settings, dir: &Path, key: Option<&Path>) -> Result<Answer> {
    use crate::output::sentence;
    use writ_audit_lake::app::{CHECKPOINT_KEY_FILE, TABLES_DIRECTORY};
    use writ_audit_lake::{keys, verify};

    let beside = keys::public_path(&dir.join(CHECKPOINT_KEY_FILE));
    let key = keys::load_public(key.unwrap_or(&beside)).map_err(|e| Failure::no(e.to_string()))?;
    let tables = dir.join(TABLES_DIRECTORY);
    let tables = if tables.is_dir() { tables } else { dir.to_owned() };
    let report = verify::verify(&tables, &[key]).map_err(|e| Failure::no(e.to_string()))?;
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let json = serde_json::json!({
        "intact": report.is_intact(),
        "lake": report.lake,
        "records": report.records,
        "sealed": report.sealed,
        "files": report.files,
        "checkpoints": report.checkpoints,
        "sources": report.sources,
        "gaps": report.gaps,
        "leftovers": report.leftovers,
        "findings": findings,
    });
    sentence(settings.format, &report.to_string(), &json);
    Ok(if report.is_intact() { Answer::Done } else { Answer::No })
}

/// Verifies the lake in `dir` against `key`.
#[cfg(not(feature = "lake"))]
pub(crate) fn run(_settings: &Settings, _dir: &Path, _key: Option<&Path>) -> Result<Answer> {
    Err(Failure::no("this build has no lake; build it with `--features lake`"))
}
