//! Identity numbers of the rest of the world that are digits.

use super::Scheme;
use crate::digits::{Digits, dated, luhn, weighted};

pub(super) const SCHEMES: [Scheme; 8] = [
    Scheme::digits("Brazilian CPF", 11, brazilian),
    Scheme::digits("Indian Aadhaar", 12, aadhaar),
    Scheme::digits("Turkish identity number", 11, turkish),
    Scheme::digits("South African identity number", 13, south_african),
    Scheme::digits("Thai identity number", 13, thai),
    Scheme::grouped("Canadian SIN", 9, canadian),
    Scheme::grouped("Australian tax file number", 9, australian),
    Scheme::grouped("Ukrainian tax number", 10, ukrainian),
];

/// Whether `text` is one whose separators stand where that number has them.
pub(super) fn in_text(text: &str) -> bool {
    let sign_at = |place: usize| text.as_bytes().get(place).copied();
    text.len() == 14
        && (sign_at(3), sign_at(7), sign_at(11)) == (Some(b'.'), Some(b'.'), Some(b'-'))
        && Digits::of(text).is_some_and(|digits| brazilian(&digits))
}

fn brazilian(digits: &Digits) -> bool {
    let Some([first, rest @ ..]) = digits.exactly::<11>() else { return false };
    let all = digits.as_slice();
    let check = |weights: &[u32]| weighted(all, weights) * 10 % 11 % 10;
    let (ninth, tenth) = (all.get(9).copied(), all.get(10).copied());
    // One digit eleven times passes, and is given to nobody.
    rest.iter().any(|digit| digit != first)
        && ninth.map(u32::from) == Some(check(&[10, 9, 8, 7, 6, 5, 4, 3, 2]))
        && tenth.map(u32::from) == Some(check(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]))
}

/// Twelve digits with a Verhoeff check digit.
fn aadhaar(digits: &Digits) -> bool {
    // The dihedral group of the pentagon: 0 to 4 are its turns, 5 to 9 its reflections.
    let product = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    // One step of the permutation that moves each place on.
    let moved =
        |digit: u32| [1, 5, 7, 6, 2, 8, 3, 0, 9, 4].get(digit as usize).copied().unwrap_or(0);
    let mut check = 0;
    for (place, digit) in digits.as_slice().iter().rev().enumerate() {
        let digit = (0..place % 8).fold(u32::from(*digit), |digit, _| moved(digit));
        check = product(check, digit);
    }
    check == 0 && digits.number(0, 1) > 1
}

fn turkish(digits: &Digits) -> bool {
    let Some([first, .., tenth, eleventh]) = digits.exactly::<11>() else { return false };
    let all = digits.as_slice();
    let odd = weighted(all, &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let even = weighted(all, &[0, 1, 0, 1, 0, 1, 0, 1]);
    let total = odd + even + u32::from(*tenth);
    // 9 is -1 modulo 10.
    *first > 0
        && (odd * 7 + even * 9) % 10 == u32::from(*tenth)
        && total % 10 == u32::from(*eleventh)
}

fn south_african(digits: &Digits) -> bool {
    dated(digits.number(2, 2), digits.number(4, 2))
        && digits.number(10, 1) <= 2
        && luhn(digits.as_slice())
}

fn thai(digits: &Digits) -> bool {
    let Some([1..=8, .., check]) = digits.exactly::<13>() else { return false };
    let sum = weighted(digits.as_slice(), &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    (11 - sum % 11) % 10 == u32::from(*check)
}

fn canadian(digits: &Digits) -> bool {
    luhn(digits.as_slice())
}

fn australian(digits: &Digits) -> bool {
    weighted(digits.as_slice(), &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
}

fn ukrainian(digits: &Digits) -> bool {
    let Some([.., check]) = digits.exactly::<10>() else { return false };
    // The first weight is -1; 10 is the same modulo 11.
    let sum = weighted(digits.as_slice(), &[10, 5, 7, 9, 4, 6, 10, 5, 7]);
    sum % 11 % 10 == u32::from(*check)
}
