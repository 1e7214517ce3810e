//! Columns of generated values.
#![allow(dead_code)] // each test file uses its own part

use writ_classify::{ColumnSample, Finding, classify};
use writ_model::ColumnRef;

/// How many values a generated column has.
pub(crate) const ROWS: u64 = 60;

/// A fixed sequence of numbers without a visible pattern.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub(crate) fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    pub(crate) fn token(&mut self, alphabet: &str, count: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..count).map(|_| letters[self.below(letters.len() as u64) as usize]).collect()
    }
}

pub(crate) const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// [`ROWS`] values.
pub(crate) fn rows(mut make: impl FnMut(&mut Numbers) -> String) -> Vec<String> {
    let mut numbers = Numbers::new(42);
    (0..ROWS).map(|_| make(&mut numbers)).collect()
}

pub(crate) fn column(table: &str, name: &str, kind: &str, values: Vec<String>) -> ColumnSample {
    let type_category = match kind {
        "int4" | "int8" | "numeric" | "float8" => 'N',
        "date" | "timestamp" | "timestamptz" => 'D',
        "bool" => 'B',
        "status_enum" => 'E',
        "inet" | "cidr" => 'I',
        "uuid" | "jsonb" | "bytea" => 'U',
        "_text" => 'A',
        _ => 'S',
    };
    ColumnSample {
        column: ColumnRef {
            schema: "public".to_owned(),
            relation: table.to_owned(),
            column: name.to_owned(),
        },
        type_name: kind.to_owned(),
        type_category,
        values,
        null_fraction: 0.1,
    }
}

pub(crate) fn text(name: &str, values: Vec<String>) -> ColumnSample {
    column("t", name, "text", values)
}

pub(crate) fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| (*v).to_owned()).collect()
}

pub(crate) fn tag(finding: &Finding) -> Option<&str> {
    finding.tag.as_ref().map(|t| t.as_str())
}

/// The tag of one column, judged alone.
pub(crate) fn tag_of(sample: &ColumnSample) -> Option<String> {
    let finding = classify(sample);
    assert!(!finding.reason.is_empty() && finding.confidence_percent <= 100);
    tag(&finding).map(str::to_owned)
}

/// `digits` with the last one that makes them pass Luhn.
pub(crate) fn with_luhn(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b - b'0') * if i % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// A German IBAN with the right checksum.
pub(crate) fn iban(numbers: &mut Numbers) -> String {
    let account = numbers.digits(18);
    let check = 98 - format!("{account}131400").parse::<u128>().expect("digits") % 97;
    format!("DE{check:02}{account}")
}

pub(crate) const GIVEN: [&str; 14] = [
    "Dana", "Maria", "James", "Priya", "Chloé", "Lukas", "Olivia", "Noah", "Fatima", "Zbigniew",
    "Ravi", "Emily", "Quillon", "Thomas",
];
pub(crate) const FAMILY: [&str; 14] = [
    "Smith",
    "Kowalski",
    "O'Brien",
    "Müller",
    "Garcia",
    "Okonkwo",
    "Patel",
    "Rhodes",
    "Hill",
    "Lovelace",
    "Tanaka",
    "Vandersloot",
    "Nguyen",
    "Brown",
];
