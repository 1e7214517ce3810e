//! Facts + principal + context + policy set → decision. The only crate that names Cedar.
//!
//! Pure and total: an evaluation error is a deny (C5), and what nothing permits is refused.

mod ask;
mod calls;
mod compile;
mod decide;
mod entities;
mod explain;
mod limits;
mod masks;

pub use compile::{Policies, PolicyError, PolicyProblem, default_pack};
pub use entities::{ColumnSensitivity, RequestContext, Subject};
pub use writ_model::config::PolicyFile;

/// A policy set as it is in force: the default pack, in which a file of the set replaces the pack's file of its name.
#[must_use]
pub fn with_default_pack(files: &[PolicyFile]) -> Vec<PolicyFile> {
    let replaced = |pack: &PolicyFile| files.iter().any(|file| file.name == pack.name);
    let mut all: Vec<PolicyFile> =
        default_pack().into_iter().filter(|pack| !replaced(pack)).collect();
    all.extend_from_slice(files);
    all
}
