//! The checkpoints: whether they are whole, signed and linked, and whether the records are what they seal.

use std::collections::BTreeMap;
use std::path::Path;

use writ_audit::{Checkpoint, PublicKey, SignedCheckpoint};

use super::{Finding, VerifyError, names};
use crate::checkpoints;
use crate::table::Position;

/// The checkpoints whose signature holds, by number.
#[derive(Default)]
pub(super) struct Seals {
    trusted: BTreeMap<u64, Checkpoint>,
    /// Their numbers, by how many records they seal.
    by_size: BTreeMap<u64, Vec<u64>>,
    pub(super) findings: Vec<Finding>,
}

/// Reads the checkpoints of `lake`, and those that were `kept` elsewhere.
pub(super) fn read(
    lake: &Path,
    keys: &[PublicKey],
    kept: &[SignedCheckpoint],
) -> Result<Seals, VerifyError> {
    let directory = lake.join(checkpoints::DIRECTORY);
    let mut seals = Seals::default();
    for name in names(&directory)? {
        if name.ends_with(".tmp") {
            continue;
        }
        seals.take_file(&directory.join(&name), name, keys);
    }
    for signed in kept {
        seals.take_kept(signed, keys);
    }
    seals.check_links();
    for checkpoint in seals.trusted.values() {
        seals.by_size.entry(checkpoint.tree_size).or_default().push(checkpoint.number);
    }
    Ok(seals)
}

impl Seals {
    fn take_file(&mut self, path: &Path, name: String, keys: &[PublicKey]) {
        let signed = match checkpoints::read(path) {
            Ok(signed) => signed,
            Err(error) => {
                let reason = error.to_string();
                self.findings.push(Finding::CheckpointDamaged { name, reason });
                return;
            }
        };
        let number = signed.checkpoint.number;
        if checkpoints::file_name(number) != name {
            let reason = format!("it holds checkpoint {number}: it was renamed or copied");
            self.findings.push(Finding::CheckpointDamaged { name, reason });
            return;
        }
        match signed.verify(keys) {
            Ok(checkpoint) => {
                self.trusted.insert(number, checkpoint.clone());
            }
            Err(error) => self.findings.push(Finding::CheckpointForged { number, error }),
        }
    }

    fn take_kept(&mut self, signed: &SignedCheckpoint, keys: &[PublicKey]) {
        let number = signed.checkpoint.number;
        let kept = match signed.verify(keys) {
            Ok(kept) => kept,
            Err(error) => return self.findings.push(Finding::CheckpointForged { number, error }),
        };
        match self.trusted.get(&number) {
            Some(own) if own == kept => {}
            Some(_) => {
                let reason = "the lake has another one under this number than the one you kept: \
                              its history was replaced";
                self.misplaced(number, reason);
            }
            // Missing here: the link check says so, and what it sealed is checked all the same.
            None => {
                self.findings.push(Finding::CheckpointMissing { number });
                self.trusted.insert(number, kept.clone());
            }
        }
    }

    fn misplaced(&mut self, number: u64, reason: &str) {
        let reason = reason.to_owned();
        self.findings.push(Finding::CheckpointMisplaced { number, reason });
    }

    fn check_links(&mut self) {
        let mut before: Option<Checkpoint> = None;
        for (number, checkpoint) in self.trusted.clone() {
            let expected = before.as_ref().map_or(1, |before| before.number + 1);
            self.missing(expected, number);
            let size = before.as_ref().map_or(0, |before| before.tree_size);
            if number == expected && checkpoint.previous != before.as_ref().map(Checkpoint::hash) {
                self.misplaced(number, "it does not follow from the one before it");
            }
            if checkpoint.tree_size < size {
                self.misplaced(number, "it seals fewer records than the one before it");
            }
            before = Some(checkpoint);
        }
    }

    /// Names the numbers from `from` up to before `to`, except those that another finding names already.
    fn missing(&mut self, from: u64, to: u64) {
        for number in from..to {
            let named = self.findings.iter().any(|finding| match finding {
                Finding::CheckpointForged { number: n, .. }
                | Finding::CheckpointMissing { number: n } => *n == number,
                Finding::CheckpointDamaged { name, .. } => *name == checkpoints::file_name(number),
                _ => false,
            });
            if !named {
                self.findings.push(Finding::CheckpointMissing { number });
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.trusted.len() as u64
    }

    /// Commits repeat the last checkpoint's number: where the last checkpoints were removed, that shows.
    pub(super) fn check_known(&mut self, known: u64, lake: &str, findings: &mut Vec<Finding>) {
        std::mem::swap(&mut self.findings, findings);
        let last = self.trusted.keys().last().copied().unwrap_or(0);
        self.missing(last + 1, known + 1);
        let foreign = self.trusted.values().filter(|checkpoint| checkpoint.lake != lake);
        for number in foreign.map(|checkpoint| checkpoint.number).collect::<Vec<_>>() {
            self.misplaced(number, "it is of another lake");
        }
        std::mem::swap(&mut self.findings, findings);
    }

    /// Holds the records up to this moment against the checkpoints that seal exactly so many.
    pub(super) fn check(&self, at: &Position, sealed: &mut u64, findings: &mut Vec<Finding>) {
        let size = at.frontier.size();
        let numbers = self.by_size.get(&size).into_iter().flatten();
        for checkpoint in numbers.filter_map(|number| self.trusted.get(number)) {
            let number = checkpoint.number;
            if checkpoint.root != at.frontier.root() {
                let last = size.saturating_sub(1);
                findings.push(Finding::Root { number, first: *sealed, last });
                continue;
            }
            let heads = at.source_heads();
            let differing = checkpoint
                .heads
                .iter()
                .filter(|head| !heads.contains(head))
                .chain(heads.iter().filter(|head| !checkpoint.heads.contains(head)));
            let mut sources: Vec<String> = differing.map(|head| head.source.clone()).collect();
            sources.dedup();
            for source_name in sources {
                findings.push(Finding::Head { number, source_name });
            }
            *sealed = size;
        }
    }

    /// Holds the end of the table against the checkpoints.
    pub(super) fn check_end(&self, found: u64, findings: &mut Vec<Finding>) {
        if self.trusted.is_empty() && found > 0 {
            findings.push(Finding::Unsealed { records: found });
        }
        for checkpoint in self.trusted.values().filter(|checkpoint| checkpoint.tree_size > found) {
            let (number, sealed) = (checkpoint.number, checkpoint.tree_size);
            findings.push(Finding::RolledBack { number, sealed, found });
        }
    }
}
