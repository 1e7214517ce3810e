//! What is fuzzed: one function for each target, which takes any bytes and panics where an invariant does not hold. The
//! fuzzers (edge-proxy/core/fuzz) look for bytes that break one; `fuzz_corpus.rs` replays what they have kept.
#![allow(dead_code, unreachable_pub)]

mod choices;
mod frames;
mod results;
mod session;
mod startup;
mod statements;
mod wire;

pub use frames::frames;
pub use results::results;
pub use session::{forgetful, leaky, pooling, session};
pub use startup::startup;
pub use statements::statements;

/// The targets by name.
pub const TARGETS: [(&str, fn(&[u8])); 6] = [
    ("frames", frames),
    ("pooling", pooling),
    ("results", results),
    ("session", session),
    ("startup", startup),
    ("statements", statements),
];
