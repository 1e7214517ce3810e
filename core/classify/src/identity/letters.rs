//! Identity numbers that letters or their separators tell.

use super::Scheme;
use crate::checks;
use crate::digits::{Digits, dated, weighted};
use crate::pattern::pattern;

pattern!(NINO, r"^[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]$");
// Where two people would have the same number, digits are replaced by L to V.
pattern!(
    CODICE_FISCALE,
    r"^[A-Z]{6}[0-9L-NP-V]{2}[A-EHLMPRST][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z]$"
);
pattern!(HETU, r"^\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]$");
pattern!(DASHED_10, r"^\d{6}-\d{4}$");
pattern!(DASHED_13, r"^\d{6}-[1-8]\d{6}$");
pattern!(PPS, r"^\d{7}[A-W][A-IW]?$");
pattern!(NRIC, r"^[STFG]\d{7}[A-Z]$");
pattern!(TAIWANESE, r"^[A-Z][1289]\d{8}$");
pattern!(CURP, r"^[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d$");
pattern!(RUT, r"^\d{1,2}\.\d{3}\.\d{3}-[0-9Kk]$");
pattern!(AHV, r"^756\.\d{4}\.\d{4}\.\d{2}$");
pattern!(STEUER_RVNR, r"^\d{2}(0[1-9]|[12]\d|3[01]|[4-9]\d)(0[1-9]|1[0-2])\d{2}[A-Z]\d{3}$");

pub(super) const SCHEMES: [Scheme; 15] = [
    Scheme::text("British NINO", |v| NINO.matches(v)),
    Scheme::text("Italian codice fiscale", codice_fiscale),
    Scheme::text("Finnish henkilötunnus", hetu),
    Scheme::text("Danish CPR", danish_dashed),
    Scheme::text("Korean registration number", korean),
    Scheme::text("Irish PPS number", pps),
    Scheme::text("Singaporean NRIC", nric),
    Scheme::text("Taiwanese identity number", taiwanese),
    Scheme::text("Mexican CURP", |v| CURP.matches(v)),
    Scheme::text("Chilean RUT", rut),
    Scheme::text("Swiss AHV number", ahv),
    Scheme::text("German pension number", |v| STEUER_RVNR.matches(v)),
    Scheme::text("French NIR", checks::nir),
    Scheme::text("Spanish DNI or NIE", checks::dni),
    Scheme::text("Chinese identity number", checks::resident_identity),
];

/// The value of a digit or letter, 0 to 35.
fn value(character: char) -> u32 {
    character.to_digit(36).unwrap_or(0)
}

/// The digits of the part of `text` that is digits.
fn digits(text: &str) -> Option<Digits> {
    let only: String = text.chars().filter(char::is_ascii_digit).collect();
    Digits::of(&only)
}

fn codice_fiscale(text: &str) -> bool {
    /// What a digit or letter at an odd place counts, from 0 and from A on.
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let text = text.to_ascii_uppercase();
    if !CODICE_FISCALE.matches(&text) {
        return false;
    }
    let sum: u32 = text
        .chars()
        .take(15)
        .enumerate()
        .map(|(place, c)| {
            let from_start =
                if c.is_ascii_digit() { value(c) } else { value(c).saturating_sub(10) };
            match place % 2 {
                0 => ODD.get(from_start as usize).copied().unwrap_or(0),
                _ => from_start,
            }
        })
        .sum();
    text.chars().last().map(value) == Some(10 + sum % 26)
}

fn hetu(text: &str) -> bool {
    const CHECKS: &str = "0123456789ABCDEFHJKLMNPRSTUVWXY";
    let Some(digits) = text.get(..10).and_then(digits) else { return false };
    let expected = CHECKS.chars().nth((digits.number(0, 9) % 31) as usize);
    HETU.matches(text)
        && dated(digits.number(2, 2), digits.number(0, 2))
        && text.chars().last() == expected
}

/// New numbers have no check digit any more: the date and the dash must do.
fn danish_dashed(text: &str) -> bool {
    DASHED_10.matches(text) && digits(text).is_some_and(|d| dated(d.number(2, 2), d.number(0, 2)))
}

/// New numbers have no check digit any more: the date, the dash and the digit for the sex must do.
fn korean(text: &str) -> bool {
    DASHED_13.matches(text)
        && digits(text).is_some_and(|d| d.number(2, 2) <= 12 && d.number(4, 2) <= 31)
}

fn pps(text: &str) -> bool {
    let Some(number) = text.get(..7).and_then(Digits::of) else { return false };
    let mut tail = text.chars().skip(7);
    let (check, second) = (tail.next().map(value), tail.next());
    let second = match second {
        None | Some('W') => 0,
        Some(letter) => value(letter).saturating_sub(9),
    };
    let sum = weighted(number.as_slice(), &[8, 7, 6, 5, 4, 3, 2]) + second * 9;
    // W stands for 0, A for 1.
    let expected = if sum.is_multiple_of(23) { value('W') } else { 9 + sum % 23 };
    PPS.matches(text) && check == Some(expected)
}

fn nric(text: &str) -> bool {
    let Some(number) = text.get(1..8).and_then(Digits::of) else { return false };
    if !NRIC.matches(text) {
        return false;
    }
    let offset = if text.starts_with(['T', 'G']) { 4 } else { 0 };
    let letters = if text.starts_with(['S', 'T']) { "JZIHGFEDCBA" } else { "XWUTRQPNMLK" };
    let sum = weighted(number.as_slice(), &[2, 7, 6, 5, 4, 3, 2]) + offset;
    text.chars().last() == letters.chars().nth((sum % 11) as usize)
}

fn taiwanese(text: &str) -> bool {
    /// The letters in the order of the numbers from 10 on that they stand for.
    const LETTERS: &str = "ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let Some(number) = text.get(1..).and_then(Digits::of) else { return false };
    let Some(letter) = text.chars().next().and_then(|c| LETTERS.find(c)) else { return false };
    let Ok(letter) = u32::try_from(letter + 10) else { return false };
    let sum =
        letter / 10 + letter % 10 * 9 + weighted(number.as_slice(), &[8, 7, 6, 5, 4, 3, 2, 1, 1]);
    TAIWANESE.matches(text) && sum.is_multiple_of(10)
}

fn rut(text: &str) -> bool {
    let Some((body, check)) = text.rsplit_once('-') else { return false };
    let sum: u32 = body
        .chars()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .zip([2, 3, 4, 5, 6, 7].into_iter().cycle())
        .map(|(digit, weight)| digit * weight)
        .sum();
    let expected = match 11 - sum % 11 {
        11 => "0".to_owned(),
        10 => "K".to_owned(),
        other => other.to_string(),
    };
    RUT.matches(text) && check.to_uppercase() == expected
}

/// Thirteen digits with the check digit of goods: the dots tell it from those.
fn ahv(text: &str) -> bool {
    let sum = digits(text).map(|d| {
        weighted(d.as_slice(), &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
    });
    AHV.matches(text) && sum == Some(true)
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_patterns_compile() {
        for pattern in [
            &super::NINO,
            &super::CODICE_FISCALE,
            &super::HETU,
            &super::DASHED_10,
            &super::DASHED_13,
            &super::PPS,
            &super::NRIC,
            &super::TAIWANESE,
            &super::CURP,
            &super::RUT,
            &super::AHV,
            &super::STEUER_RVNR,
        ] {
            assert_eq!(pattern.broken(), None);
        }
    }
}
