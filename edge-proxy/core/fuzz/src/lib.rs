//! The targets, built with coverage: `tests/fuzzing` has them, and `tests/fuzz_corpus.rs` runs them without a fuzzer.

#[path = "../../tests/fuzzing/mod.rs"]
pub mod fuzzing;
#[path = "../../tests/gates/mod.rs"]
mod gates;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Runs a target on one input. What fails is unwound before the process ends, so that the model prints what happened.
pub fn run(target: fn(&[u8]), data: &[u8]) {
    static UNHOOKED: Once = Once::new();
    // The fuzzer's own hook would end it at once.
    UNHOOKED.call_once(|| drop(std::panic::take_hook()));
    if catch_unwind(AssertUnwindSafe(|| target(data))).is_err() {
        std::process::abort();
    }
}
