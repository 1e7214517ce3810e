//! Telephone, card, account and identity numbers in text, from their first digit on.

use super::{Hit, Look, before, is_word, near, secret};
use crate::tags::Kind;
use crate::{checks, identity};

/// A run of digits longer than this is none of ours.
const RUN_MAX: usize = 19;
/// The longest text that is tried as an identity number, in bytes.
const IDENTITY_BYTES_MAX: usize = 18;

/// How many digits stand from `at` on.
fn run(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Whether runs of these lengths stand from `start` on, with a sign that `sign` allows between them, and where they end.
fn grouped(
    text: &[u8],
    start: usize,
    lengths: &[usize],
    sign: impl Fn(usize, u8) -> bool,
) -> Option<usize> {
    let mut at = start;
    for (place, length) in lengths.iter().enumerate() {
        if place > 0 {
            if !sign(place - 1, *text.get(at)?) {
                return None;
            }
            at += 1;
        }
        if run(text, at) != *length {
            return None;
        }
        at += length;
    }
    Some(at)
}

/// Whether what stands from `start` to `end` is not part of something longer.
fn alone(text: &[u8], start: usize, end: usize) -> bool {
    let joined = |sign: Option<u8>, next: Option<u8>| {
        matches!(sign, Some(b'-' | b'.' | b'/' | b',')) && next.is_some_and(|b| b.is_ascii_digit())
    };
    let earlier = start.checked_sub(2).and_then(|at| text.get(at).copied());
    !is_word(before(text, start))
        && !is_word(text.get(end).copied())
        && !joined(before(text, start), earlier)
        && before(text, start) != Some(b'-')
        && text.get(end) != Some(&b'-')
        && !joined(text.get(end).copied(), text.get(end + 1).copied())
}

fn string(text: &[u8], start: usize, end: usize) -> Option<&str> {
    std::str::from_utf8(text.get(start..end)?).ok()
}

/// What starts with the digits at `at`; where nothing does, go on after them.
pub(super) fn at_digits(text: &[u8], at: usize, floor: usize) -> Look {
    let length = run(text, at);
    let end = at + length;
    let hit = match (length, text.get(end)) {
        _ if before(text, at).is_some_and(|b| b.is_ascii_alphabetic()) => {
            after_letters(text, at, length, floor)
        }
        (13..=RUN_MAX, _) => card(text, at, end).filter(|_| secret::card_word_near(text, at)),
        // Most runs end here: short, and nothing that joins them to the next.
        (3..=7, Some(b'-' | b' ' | b'.' | b')' | b'+' | b'/' | b'A'..=b'F'))
        | (1..=2, Some(b'.')) => grouped_number(text, at, length),
        (8, Some(b'A'..=b'Z' | b'-')) => dni(text, at),
        (7, Some(b'A'..=b'W')) => identity_at(text, at),
        (8..=12, _) => named_phone(text, at, end),
        _ => None,
    };
    match hit {
        Some((kind, range)) => Look::Found(kind, range),
        None => Look::On(end),
    }
}

/// Numbers in groups.
fn grouped_number(text: &[u8], at: usize, length: usize) -> Hit {
    match length {
        1..=3 if text.get(at + length) == Some(&b'.') => {
            ipv4(text, at).or_else(|| identity_at(text, at))
        }
        3 => ssn(text, at).or_else(|| american_phone(text, at)),
        4 => grouped_card(text, at).or_else(|| national_phone(text, at)),
        6 => identity_at(text, at).or_else(|| national_phone(text, at)),
        _ => national_phone(text, at),
    }
}

fn ssn(text: &[u8], at: usize) -> Hit {
    let end = grouped(text, at, &[3, 2, 4], |_, sign| sign == b'-')?;
    let number = string(text, at, end)?;
    (alone(text, at, end) && crate::shapes::ssn(number)).then_some((Kind::NationalId, at..end))
}

fn american_phone(text: &[u8], at: usize) -> Hit {
    let first = text.get(at).copied()?;
    let bracket = before(text, at) == Some(b'(');
    let lengths: &[usize] = &[3, 3, 4];
    let end = if bracket {
        // `(415) 555-2671`
        let gap = run_of(text, at + 3, b") ").min(2);
        let rest =
            grouped(text, at + 3 + gap, &[3, 4], |_, sign| matches!(sign, b'-' | b'.' | b' '));
        rest.filter(|_| text.get(at + 3) == Some(&b')'))?
    } else {
        let sign = text.get(at + 3).copied()?;
        let end = grouped(text, at, lengths, |place, s| s == sign || (place == 1 && s == b'-'))?;
        // Three groups with spaces are as likely something else.
        Some(end).filter(|_| matches!(sign, b'-' | b'.') || text.get(at + 7) == Some(&b'-'))?
    };
    let start = if bracket { at - 1 } else { at };
    let possible = matches!(first, b'2'..=b'9');
    let ends = !is_word(text.get(end).copied()) && text.get(end) != Some(&b'-');
    let starts = bracket || alone(text, at, end) || before(text, at) == Some(b'-');
    (possible && starts && ends).then_some((Kind::Phone, start..end))
}

/// How many bytes from `at` on are among `of`.
fn run_of(text: &[u8], at: usize, of: &[u8]) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|b| of.contains(b)).count()
}

/// The words that stand right before a telephone number.
const PHONE_WORDS: [&str; 9] =
    ["phone", "tel", "mobile", "cell", "call", "telefon", "handy", "fax", "whatsapp"];
/// How far before a number the word may be, in bytes.
const PHONE_WORD_DISTANCE: usize = 14;

/// A number as it is dialled inside of a country: it starts with 0, and a word says what it is.
fn national_phone(text: &[u8], at: usize) -> Hit {
    if text.get(at) != Some(&b'0') || !near(text, at, PHONE_WORD_DISTANCE, &PHONE_WORDS) {
        return None;
    }
    let (end, digits) = spread(text, at);
    ((9..=12).contains(&digits) && alone(text, at, end)).then_some((Kind::Phone, at..end))
}

fn named_phone(text: &[u8], at: usize, end: usize) -> Hit {
    let named = near(text, at, PHONE_WORD_DISTANCE, &PHONE_WORDS);
    (named && alone(text, at, end)).then_some((Kind::Phone, at..end))
}

/// Where digits with single separators end, and how many they are.
fn spread(text: &[u8], start: usize) -> (usize, usize) {
    let (mut at, mut digits) = (start, 0);
    let mut end = start;
    while let Some(byte) = text.get(at) {
        if byte.is_ascii_digit() {
            digits += 1;
            end = at + 1;
        } else if !matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')') || at > end + 1 {
            break;
        }
        at += 1;
    }
    (end, digits)
}

/// The number with a country's code that starts with the `+` at `at`.
pub(super) fn at_plus(text: &[u8], at: usize) -> Hit {
    if !text.get(at + 1).is_some_and(|b| matches!(b, b'1'..=b'9')) || is_word(before(text, at)) {
        return None;
    }
    // What follows with a space may be the next number of the text: a call has no more than fifteen digits.
    let (end, digits) = spread(text, at + 1);
    if (8..=15).contains(&digits) && !is_word(text.get(end).copied()) {
        return Some((Kind::Phone, at..end));
    }
    let single = at + 1 + run(text, at + 1);
    ((9..=16).contains(&(single - at)) && !is_word(text.get(single).copied()))
        .then_some((Kind::Phone, at..single))
}

fn card(text: &[u8], start: usize, end: usize) -> Hit {
    let number = string(text, start, end)?;
    (alone(text, start, end) && checks::card(number)).then_some((Kind::Card, start..end))
}

/// A card number in groups: rare enough that no word need be near.
fn grouped_card(text: &[u8], at: usize) -> Hit {
    let sign = text.get(at + 4).copied().filter(|sign| matches!(sign, b' ' | b'-'))?;
    let same = |_: usize, s: u8| s == sign;
    let lengths: [&[usize]; 3] = [&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];
    lengths.iter().find_map(|lengths| {
        let end = grouped(text, at, lengths, same)?;
        card(text, at, end)
    })
}

/// An address of IPv4. Versions stay small: one part must not.
fn ipv4(text: &[u8], at: usize) -> Hit {
    let mut end = at;
    let mut largest = 0_u32;
    for place in 0..4 {
        if place > 0 {
            if text.get(end) != Some(&b'.') {
                return None;
            }
            end += 1;
        }
        let length = run(text, end);
        let octet: u32 =
            string(text, end, end + length)?.parse().ok().filter(|octet| *octet < 256)?;
        if length > 3 {
            return None;
        }
        largest = largest.max(octet);
        end += length;
    }
    (largest > 99 && alone(text, at, end)).then_some((Kind::Ip, at..end))
}

/// A Spanish DNI: eight digits and their letter.
fn dni(text: &[u8], at: usize) -> Hit {
    let end = at + 8 + usize::from(text.get(at + 8) == Some(&b'-')) + 1;
    let number = string(text, at, end)?;
    let letter = number.ends_with(|c: char| c.is_ascii_uppercase());
    (letter && alone(text, at, end) && checks::dni(number)).then_some((Kind::NationalId, at..end))
}

/// An identity number whose separators or letters say what it is.
fn identity_at(text: &[u8], at: usize) -> Hit {
    let rest = text.get(at..)?;
    let rest = rest.get(..IDENTITY_BYTES_MAX).unwrap_or(rest);
    let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+');
    let length = rest.iter().position(|b| !part(b)).unwrap_or(rest.len());
    let length = length
        - rest.get(..length)?.iter().rev().take_while(|b| !b.is_ascii_alphanumeric()).count();
    let end = at + length;
    let number = string(text, at, end)?;
    let marked = number.contains(|c: char| !c.is_ascii_digit());
    (marked && alone(text, at, end) && identity::in_text(number))
        .then_some((Kind::NationalId, at..end))
}

/// What has letters before its digits: an account number, a British or an Italian identity number.
fn after_letters(text: &[u8], at: usize, length: usize, floor: usize) -> Hit {
    let ahead = text.get(floor..at)?;
    let letters = ahead.iter().rev().take_while(|b| b.is_ascii_uppercase()).count();
    let start = at - letters;
    if is_word(before(text, start)) {
        return None;
    }
    match (letters, length) {
        (2, 2..) => iban(text, start).or_else(|| nino(text, start)),
        (6, 2) => word_identity(text, start, 16),
        (1, 7) => word_identity(text, start, 9),
        (1, 9) => word_identity(text, start, 10),
        (4, 6) => word_identity(text, start, 18),
        _ => None,
    }
}

fn nino(text: &[u8], start: usize) -> Hit {
    [9, 13].into_iter().find_map(|length| word_identity(text, start, length))
}

fn word_identity(text: &[u8], start: usize, length: usize) -> Hit {
    let number = string(text, start, start + length)?;
    let ends = !is_word(text.get(start + length).copied());
    (ends && identity::in_text(number)).then_some((Kind::NationalId, start..start + length))
}

/// An IBAN, with or without spaces.
fn iban(text: &[u8], start: usize) -> Hit {
    let length = checks::iban_length(text.get(start..start + 2)?)?;
    let (mut at, mut taken) = (start, 0);
    let mut compact = [0_u8; checks::IBAN_MAX];
    while taken < length {
        match text.get(at) {
            Some(byte) if byte.is_ascii_alphanumeric() => {
                *compact.get_mut(taken)? = *byte;
                taken += 1;
            }
            Some(b' ') if taken > 0 && taken % 4 == 0 => {}
            _ => return None,
        }
        at += 1;
    }
    let right = checks::iban_check(compact.get(..length)?);
    (right && !is_word(text.get(at).copied())).then_some((Kind::Iban, start..at))
}
