//! Offline verification (L2): reads the log, the Parquet files and the checkpoints, trusts nothing but the
//! checkpoint keys, and names whatever is not as the lake left it. Needs no service and changes nothing.

mod finding;
mod seals;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use writ_audit::{PublicKey, SignedCheckpoint};

pub use finding::Finding;

use crate::{log, table};

/// Why nothing could be verified. Tampering is never an error: it is a [`Finding`].
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file or directory cannot be read.
    #[error("{path}: {source}; name the directory that holds records/ and checkpoints/")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Without keys, anyone could have signed.
    #[error("no checkpoint key was given; get the lake's checkpoint.pub from where you trust it")]
    NoKeys,
}

/// What verification saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The lake's id.
    pub lake: String,
    /// Records read.
    pub records: u64,
    /// Files that commits name.
    pub files: u64,
    /// Checkpoints whose signature holds.
    pub checkpoints: u64,
    /// Records that a checkpoint seals; the others are too new.
    pub sealed: u64,
    /// Every source and its last record's number.
    pub sources: BTreeMap<String, u64>,
    /// Gaps that the sources themselves recorded (L1): no tampering, but records that were lost.
    pub gaps: Vec<String>,
    /// Files that no commit names, from interrupted writes: no reader sees them.
    pub leftovers: Vec<String>,
    /// What is wrong; empty: the lake is intact.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "lake {}: {} records in {} files from {} sources; {} checkpoints, {} records sealed",
            self.lake,
            self.records,
            self.files,
            self.sources.len(),
            self.checkpoints,
            self.sealed
        )?;
        for gap in &self.gaps {
            writeln!(f, "gap: {gap}")?;
        }
        for name in &self.leftovers {
            writeln!(f, "left over from an interrupted write, read by nobody: {name}")?;
        }
        for finding in &self.findings {
            writeln!(f, "TAMPERED: {finding}")?;
        }
        let verdict = if self.is_intact() { "intact" } else { "NOT intact" };
        write!(f, "the lake is {verdict}")
    }
}

/// Verifies the lake in `lake`, the directory that holds `records/` and `checkpoints/`.
pub fn verify(lake: &Path, keys: &[PublicKey]) -> Result<Report, VerifyError> {
    verify_with(lake, keys, &[])
}

/// Verifies, and holds the lake also against checkpoints that were kept in another place: only they can show
/// that a lake was rolled back together with its own checkpoints.
pub fn verify_with(
    lake: &Path,
    keys: &[PublicKey],
    kept: &[SignedCheckpoint],
) -> Result<Report, VerifyError> {
    if keys.is_empty() {
        return Err(VerifyError::NoKeys);
    }
    let table = lake.join(table::DIRECTORY);
    // Checkpoints first: a running lake may commit meanwhile, but it never seals what is not committed.
    let mut seals = seals::read(lake, keys, kept)?;
    let mut log = log::read(&table).map_err(|(path, source)| VerifyError::File { path, source })?;
    let mut report = Report {
        lake: std::mem::take(&mut log.lake),
        leftovers: std::mem::take(&mut log.leftovers),
        findings: std::mem::take(&mut log.findings),
        files: log.files.len() as u64,
        checkpoints: seals.count(),
        ..Report::default()
    };
    report.findings.append(&mut seals.findings);
    seals.check_known(log.checkpoint, &report.lake, &mut report.findings);
    walk::walk(&table, &log, &seals, &mut report);
    report.leftovers.extend(unlisted(&table, &log)?);
    Ok(report)
}

fn names(directory: &Path) -> Result<Vec<String>, VerifyError> {
    log::names(directory).map_err(|source| VerifyError::File { path: directory.to_owned(), source })
}

/// What no commit names, and what a merge replaced and left for its readers.
fn unlisted(table: &Path, log: &log::Log) -> Result<Vec<String>, VerifyError> {
    let listed: BTreeSet<&str> = log
        .files
        .values()
        .map(|listed| listed.file.path.as_str())
        .chain(log.merged.iter().map(String::as_str))
        .collect();
    let mut names = names(table)?;
    names.retain(|name| name != log::DIRECTORY && !listed.contains(name.as_str()));
    Ok(names)
}
