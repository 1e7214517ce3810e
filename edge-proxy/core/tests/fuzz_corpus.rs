//! What the fuzzers have kept, replayed without them: every input that reached something new, and every find. Beside it a
//! short fuzz without a fuzzer: mutants of those inputs, the same ones each time for one `WRIT_FUZZ_SEED`, and
//! `WRIT_FUZZ_TIMES` as many as below.

mod fuzzing;
mod gates;
mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// The longest mutant, in bytes.
const MUTANT_BYTES_MAX: usize = 512;
/// The most changes to one input.
const CHANGES_MAX: usize = 6;

fn target(name: &str) -> fn(&[u8]) {
    let known = fuzzing::TARGETS.into_iter().find(|(known, _)| *known == name);
    known.expect("a target").1
}

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .expect("a corpus")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("an input")))
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

/// Runs one input, and says which it was where it fails.
fn run(target: fn(&[u8]), what: &str, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        println!("{what}, to be kept in fuzz/corpus: printf '{}'", printable(input));
        resume_unwind(panic);
    }
}

fn printable(input: &[u8]) -> String {
    input.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % count
    }

    fn mutant(&mut self, inputs: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut input = inputs[self.below(inputs.len())].1.clone();
        for _ in 0..=self.below(CHANGES_MAX) {
            let at = self.below(input.len() + 1);
            let byte = u8::try_from(self.below(256)).expect("a byte");
            match self.below(5) {
                0 => input.insert(at, byte),
                1 if at < input.len() => drop(input.remove(at)),
                2 if at < input.len() => input[at] = byte,
                3 if at < input.len() => input[at] ^= 1 << (byte % 8),
                _ => {
                    let other = &inputs[self.below(inputs.len())].1;
                    let from = self.below(other.len() + 1);
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
            }
        }
        input.truncate(MUTANT_BYTES_MAX);
        input
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Tries `mutants` of them; their count, not a time, so that a result does not depend on the machine.
fn replay(name: &str, mutants: u64) {
    let (target, inputs) = (target(name), corpus(name));
    for (path, input) in &inputs {
        run(target, path, input);
    }
    let seed = variable("WRIT_FUZZ_SEED", 0x5eed);
    let mut random = Random(seed.max(1));
    for count in 1..=mutants * variable("WRIT_FUZZ_TIMES", 1) {
        run(target, &format!("mutant {count} of {name}"), &random.mutant(&inputs));
    }
}

/// The most mutants until a fault that is made on purpose is noticed.
const NOTICED_WITHIN: u64 = 3_000;

/// Whether the model notices what `faulty` does wrong.
fn is_noticed(name: &str, faulty: fn(&[u8])) -> bool {
    let inputs = corpus(name);
    let mut random = Random(0x5eed);
    let fails = |input: &[u8]| catch_unwind(|| faulty(input)).is_err();
    (0..NOTICED_WITHIN).any(|_| fails(&random.mutant(&inputs)))
}

#[test]
fn a_pool_that_is_at_fault_is_noticed() {
    assert!(is_noticed("pooling", fuzzing::forgetful), "what others prepared is forgotten");
    assert!(is_noticed("pooling", fuzzing::leaky), "what was not given back is given on");
}

#[test]
fn frames() {
    replay("frames", 100_000);
}

#[test]
fn pooling() {
    replay("pooling", 3_000);
}

#[test]
fn results() {
    replay("results", 30_000);
}

#[test]
fn session() {
    replay("session", 3_000);
}

#[test]
fn startup() {
    replay("startup", 100_000);
}

#[test]
fn statements() {
    replay("statements", 20_000);
}
