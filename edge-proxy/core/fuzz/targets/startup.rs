//! See `tests/fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| writ_edge_fuzz::fuzzing::startup(data));
