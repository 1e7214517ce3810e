//! See `tests/fuzzing`.
#![no_main]

use writ_edge_fuzz::{fuzzing, run};

libfuzzer_sys::fuzz_target!(|data: &[u8]| run(fuzzing::session, data));
