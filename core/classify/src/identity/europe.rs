//! Identity numbers of Europe that are digits.

use super::Scheme;
use crate::digits::{Digits, dated, iso_7064, luhn, number, weighted};

pub(super) const SCHEMES: [Scheme; 19] = [
    Scheme::digits("German tax id", 11, german_tax_id),
    Scheme::digits("Dutch BSN", 9, dutch),
    Scheme::digits("Belgian national number", 11, belgian),
    Scheme::digits("Polish PESEL", 11, polish),
    Scheme::digits("Swedish personnummer", 10, swedish),
    Scheme::digits("Swedish personnummer, long", 12, swedish),
    Scheme::digits("Danish CPR", 10, danish_checked),
    Scheme::digits("Portuguese NIF", 9, portuguese),
    Scheme::digits("Romanian CNP", 13, romanian),
    Scheme::digits("Austrian insurance number", 10, austrian),
    Scheme::digits("Bulgarian EGN", 10, bulgarian),
    Scheme::digits("Czech or Slovak birth number", 10, czech),
    Scheme::digits("Croatian OIB", 11, |digits| iso_7064(digits.as_slice())),
    Scheme::digits("Estonian or Lithuanian personal code", 11, baltic),
    Scheme::digits("Latvian personal code", 11, latvian),
    Scheme::digits("Greek AMKA", 11, greek),
    Scheme::digits("Yugoslav and Slovene EMŠO", 13, yugoslav),
    Scheme::digits("Norwegian birth number", 11, norwegian),
    Scheme::digits("Hungarian personal number", 11, hungarian),
];

/// Whether `text` is one whose separators stand where that number has them.
pub(super) fn in_text(text: &str) -> bool {
    let sign_at = |place: usize| text.as_bytes().get(place).copied();
    let Some(digits) = Digits::of(text) else { return false };
    match (text.len(), sign_at(6)) {
        (11, Some(b'-' | b'+')) => swedish(&digits) && digits.as_slice().len() == 10,
        (11, Some(b'/')) => czech(&digits) && digits.as_slice().len() == 10,
        (12, Some(b'-')) => latvian(&digits) && digits.as_slice().len() == 11,
        (15, _) => {
            let signs = (sign_at(2), sign_at(5), sign_at(8), sign_at(12));
            signs == (Some(b'.'), Some(b'.'), Some(b'-'), Some(b'.')) && belgian(&digits)
        }
        _ => false,
    }
}

fn german_tax_id(digits: &Digits) -> bool {
    let Some([body @ .., _]) = digits.exactly::<11>() else { return false };
    // Of the first ten digits one stands twice or three times, and no other more than once.
    let mut counts = [0_u8; 10];
    for digit in body {
        if let Some(count) = counts.get_mut(usize::from(*digit)) {
            *count += 1;
        }
    }
    let repeated = counts.iter().filter(|count| **count > 1).count();
    let most = counts.iter().max().copied().unwrap_or(0);
    body.first() != Some(&0) && repeated == 1 && most <= 3 && iso_7064(digits.as_slice())
}

fn dutch(digits: &Digits) -> bool {
    // The last weight is -1; 10 is the same modulo 11.
    let sum = weighted(digits.as_slice(), &[9, 8, 7, 6, 5, 4, 3, 2, 10]);
    sum > 0 && sum.is_multiple_of(11)
}

fn belgian(digits: &Digits) -> bool {
    let (body, check) = (digits.number(0, 9), digits.number(9, 2));
    let month = digits.number(2, 2) % 20;
    // People born from 2000 on have a 2 before the number that is divided.
    let right = |body: u64| 97 - body % 97 == check;
    month <= 12 && digits.number(4, 2) <= 31 && (right(body) || right(2_000_000_000 + body))
}

fn polish(digits: &Digits) -> bool {
    let sum = weighted(digits.as_slice(), &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    dated(digits.number(2, 2) % 20, digits.number(4, 2)) && sum.is_multiple_of(10)
}

fn swedish(digits: &Digits) -> bool {
    let all = digits.as_slice();
    let century = all.len() == 10 || matches!(digits.number(0, 2), 18..=20);
    let ten = all.get(all.len().saturating_sub(10)..).unwrap_or_default();
    let part = |range: std::ops::Range<usize>| number(ten.get(range).unwrap_or_default());
    // Whoever has no number of their own gets the day plus 60.
    century && dated(part(2..4), part(4..6) % 60) && luhn(ten)
}

fn danish_checked(digits: &Digits) -> bool {
    dated(digits.number(2, 2), digits.number(0, 2))
        && weighted(digits.as_slice(), &[4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

fn portuguese(digits: &Digits) -> bool {
    let Some([first @ 1..=3, .., check]) = digits.exactly::<9>() else { return false };
    let sum = weighted(digits.as_slice(), &[9, 8, 7, 6, 5, 4, 3, 2]);
    let expected = match 11 - sum % 11 {
        10 | 11 => 0,
        other => other,
    };
    *first > 0 && expected == u32::from(*check)
}

fn romanian(digits: &Digits) -> bool {
    let Some([1..=9, .., check]) = digits.exactly::<13>() else { return false };
    let sum = weighted(digits.as_slice(), &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    let expected = if sum == 10 { 1 } else { sum };
    dated(digits.number(3, 2), digits.number(5, 2)) && expected == u32::from(*check)
}

fn austrian(digits: &Digits) -> bool {
    let Some([_, _, _, check, ..]) = digits.exactly::<10>() else { return false };
    let sum = weighted(digits.as_slice(), &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]);
    // Months beyond twelve are given where a day's numbers are used up.
    let (day, month) = (digits.number(4, 2), digits.number(6, 2));
    (1..=31).contains(&day) && (1..=15).contains(&month) && sum % 11 == u32::from(*check)
}

fn bulgarian(digits: &Digits) -> bool {
    let Some([.., check]) = digits.exactly::<10>() else { return false };
    let sum = weighted(digits.as_slice(), &[2, 4, 8, 5, 10, 9, 7, 3, 6]);
    dated(digits.number(2, 2) % 20, digits.number(4, 2)) && sum % 11 % 10 == u32::from(*check)
}

fn czech(digits: &Digits) -> bool {
    let whole = digits.number(0, 10);
    // Women have 50 added to the month, and 20 is added where a day's numbers are used up.
    let month = digits.number(2, 2) % 50;
    let month = if month > 20 { month - 20 } else { month };
    let early = digits.number(0, 9) % 11 == 10 && whole.is_multiple_of(10);
    dated(month, digits.number(4, 2)) && (whole.is_multiple_of(11) || early)
}

fn baltic(digits: &Digits) -> bool {
    let Some([1..=8, .., check]) = digits.exactly::<11>() else { return false };
    let first = weighted(digits.as_slice(), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(digits.as_slice(), &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
    let expected = if first < 10 { first } else { second % 10 };
    dated(digits.number(3, 2), digits.number(5, 2)) && expected == u32::from(*check)
}

fn latvian(digits: &Digits) -> bool {
    let Some([.., check]) = digits.exactly::<11>() else { return false };
    let sum = weighted(digits.as_slice(), &[10, 5, 8, 4, 2, 1, 6, 3, 7, 9]);
    let (day, month) = (digits.number(0, 2), digits.number(2, 2));
    // Numbers that tell no birthday start with 32 to 39.
    (dated(month, day) || (32..=39).contains(&day)) && (1 + sum) % 11 % 10 == u32::from(*check)
}

fn greek(digits: &Digits) -> bool {
    dated(digits.number(2, 2), digits.number(0, 2)) && luhn(digits.as_slice())
}

fn yugoslav(digits: &Digits) -> bool {
    let Some([.., check]) = digits.exactly::<13>() else { return false };
    let sum = weighted(digits.as_slice(), &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]);
    let expected = (11 - sum % 11) % 11;
    // The year has three digits: 9.. or 0...
    dated(digits.number(2, 2), digits.number(0, 2))
        && matches!(digits.number(4, 1), 9 | 0)
        && expected == u32::from(*check)
}

fn norwegian(digits: &Digits) -> bool {
    let all = digits.as_slice();
    let first = weighted(all, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]);
    let second = weighted(all, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]);
    // Whoever has no number of their own gets the day plus 40, and for some registers the month plus 40 or 80.
    dated(digits.number(2, 2) % 40, digits.number(0, 2) % 40)
        && first.is_multiple_of(11)
        && second.is_multiple_of(11)
}

fn hungarian(digits: &Digits) -> bool {
    let Some([1..=8, .., check]) = digits.exactly::<11>() else { return false };
    let older = weighted(digits.as_slice(), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) % 11;
    let newer = weighted(digits.as_slice(), &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) % 11;
    let check = u32::from(*check);
    dated(digits.number(3, 2), digits.number(5, 2)) && (older == check || newer == check)
}
