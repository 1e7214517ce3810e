//! The targets, built with coverage: `tests/fuzzing` has them, and `tests/fuzz_corpus.rs` runs them without a fuzzer.

#[path = "../../tests/fuzzing/mod.rs"]
pub mod fuzzing;
#[path = "../../tests/gates/mod.rs"]
mod gates;
#[path = "../../tests/support/mod.rs"]
mod support;
