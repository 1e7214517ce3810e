//! Facts + principal + context + policy set → decision. The only crate that names Cedar.
//!
//! Pure and total: an evaluation error is a deny (C5), and what nothing permits is refused.

mod ask;
mod compile;
mod decide;
mod entities;
mod explain;
mod masks;

pub use compile::{Policies, PolicyError, PolicyProblem, default_pack};
pub use entities::{ColumnSensitivity, RequestContext, Subject};
pub use writ_model::config::PolicyFile;
