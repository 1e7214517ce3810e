//! Checksums and number plans.

/// Whether `digits` (ASCII digits only) passes the Luhn check.
pub(crate) fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b.wrapping_sub(b'0'));
            match i % 2 {
                0 => digit,
                _ if digit > 4 => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

fn leading(digits: &str, count: usize) -> u32 {
    digits.get(..count).and_then(|d| d.parse().ok()).unwrap_or(0)
}

/// Whether the first digits and the length are those of a card scheme. Keeps out IMEIs, which pass Luhn too.
pub(crate) fn card_scheme(digits: &str) -> bool {
    let (two, three, four) = (leading(digits, 2), leading(digits, 3), leading(digits, 4));
    match digits.len() {
        13 => two / 10 == 4,
        14 => (300..=305).contains(&three) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37),
        16..=19 => {
            two / 10 == 4
                || (51..=55).contains(&two)
                || (2221..=2720).contains(&four)
                || (3528..=3589).contains(&four)
                || four == 6011
                || (644..=649).contains(&three)
                || matches!(two, 50 | 56..=58 | 62 | 65)
        }
        _ => false,
    }
}

/// The digits of `text` where it is digits with single spaces or dashes between them.
pub(crate) fn grouped_digits(text: &str) -> Option<String> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-'));
    let tidy = !text.contains("  ") && !text.contains("--");
    let ends = text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit());
    (plain && tidy && ends).then(|| text.chars().filter(char::is_ascii_digit).collect())
}

/// Whether `text` is a number of a card's length that passes Luhn, of whatever scheme.
pub(crate) fn card_luhn(text: &str) -> bool {
    grouped_digits(text).is_some_and(|d| (12..=19).contains(&d.len()) && luhn(&d))
}

/// Whether `text` is the number of a payment card.
pub(crate) fn card(text: &str) -> bool {
    grouped_digits(text).is_some_and(|digits| card_scheme(&digits) && luhn(&digits))
}

/// Whether `text` has the shape of a card number, valid or not.
pub(crate) fn card_shape(text: &str) -> bool {
    grouped_digits(text).is_some_and(|digits| (13..=19).contains(&digits.len()))
}

/// The longest IBAN, in bytes.
pub(crate) const IBAN_MAX: usize = 34;

/// How long the IBANs of each country are: its two letters, and the length.
const IBAN_LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 \
DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 \
KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 \
QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// How long the IBANs of `country` are; `None` where it has none.
pub(crate) fn iban_length(country: &[u8]) -> Option<usize> {
    IBAN_LENGTHS
        .as_bytes()
        .chunks(5)
        .find(|entry| entry.starts_with(country))
        .and_then(|entry| std::str::from_utf8(entry.get(2..4)?).ok()?.parse().ok())
}

/// Whether `compact` (capitals and digits only) passes the check of an IBAN.
pub(crate) fn iban_check(compact: &[u8]) -> bool {
    let (Some(head), Some(body)) = (compact.get(..4), compact.get(4..)) else { return false };
    let mut remainder = 0_u32;
    for byte in body.iter().chain(head) {
        let Some(value) = char::from(*byte).to_digit(36) else { return false };
        remainder = (remainder * if value > 9 { 100 } else { 10 } + value) % 97;
    }
    remainder == 1
}

/// Whether `text` is an IBAN with a right checksum; spaces are allowed.
pub(crate) fn iban(text: &str) -> bool {
    let compact: Vec<u8> =
        text.bytes().filter(|b| *b != b' ').map(|b| b.to_ascii_uppercase()).collect();
    compact.get(..2).and_then(iban_length) == Some(compact.len()) && iban_check(&compact)
}

/// The sum of `digits` times `weights`; `None` where the lengths differ or something is no digit.
fn weighted(digits: &str, weights: &[u32]) -> Option<u32> {
    if digits.len() != weights.len() {
        return None;
    }
    digits.chars().zip(weights).map(|(c, w)| c.to_digit(10).map(|d| d * w)).sum()
}

/// Whether `digits` is a routing number of a bank in the United States.
pub(crate) fn aba_routing(digits: &str) -> bool {
    let first = leading(digits, 2);
    let district = (1..=12).contains(&first) || (21..=32).contains(&first);
    district
        && weighted(digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_some_and(|sum| sum.is_multiple_of(10))
}

/// Whether `text` is a Chinese resident identity number with a right check character.
pub(crate) fn resident_identity(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let (Some(body), Some(last)) = (text.get(..17), text.get(17..)) else { return false };
    let expected =
        weighted(body, &WEIGHTS).and_then(|sum| "10X98765432".chars().nth((sum % 11) as usize));
    let mut last = last.chars();
    expected.is_some()
        && last.next().map(|c| c.to_ascii_uppercase()) == expected
        && last.next().is_none()
}

/// Whether `text` is a Spanish DNI or NIE with its right letter.
pub(crate) fn dni(text: &str) -> bool {
    let compact: String =
        text.chars().filter(|c| *c != '-' && *c != ' ').collect::<String>().to_uppercase();
    let (Some(body), Some(letter)) = (compact.get(..8), compact.get(8..)) else { return false };
    let body = match body.chars().next() {
        Some('X') => body.replacen('X', "0", 1),
        Some('Y') => body.replacen('Y', "1", 1),
        Some('Z') => body.replacen('Z', "2", 1),
        _ => body.to_owned(),
    };
    let Ok(number) = body.parse::<usize>() else { return false };
    let expected = "TRWAGMYFPDXBNJZSQVHLCKE".chars().nth(number % 23);
    let mut letter = letter.chars();
    expected.is_some() && letter.next() == expected && letter.next().is_none()
}

/// Whether `text` is a number of the British National Health Service.
pub(crate) fn nhs_number(text: &str) -> bool {
    let Some(digits) = grouped_digits(text) else { return false };
    weighted(&digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).is_some_and(|sum| sum.is_multiple_of(11))
}

fn digits_of(text: &str, count: usize) -> Option<&str> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

/// Whether `text` is a French social security number with its key.
pub(crate) fn nir(text: &str) -> bool {
    // Corsica has letters: 2A counts as 19 and 2B as 18.
    let compact: String = text
        .chars()
        .filter(|c| *c != ' ')
        .collect::<String>()
        .replace("2A", "19")
        .replace("2B", "18");
    let (Some(body), Some(key)) = (compact.get(..13), compact.get(13..)) else { return false };
    let sex = body.starts_with(['1', '2']);
    match (digits_of(body, 13).map(str::parse::<u64>), digits_of(key, 2).map(str::parse::<u64>)) {
        (Some(Ok(body)), Some(Ok(key))) => sex && 97 - body % 97 == key,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_know_right_from_wrong() {
        assert!(card("4111 1111 1111 1111") && !card("4111 1111 1111 1112"));
        assert!(card("378282246310005") && !card("356938035643809"), "an IMEI is no card");
        assert!(iban("DE89 3704 0044 0532 0130 00") && !iban("DE89 3704 0044 0532 0130 01"));
        assert!(iban("GB82WEST12345698765432") && !iban("") && !iban("ÄÄ89"));
        assert!(aba_routing("021000021") && !aba_routing("021000022"));
        assert!(dni("12345678Z") && !dni("12345678A") && dni("X1234567L"));
        assert!(
            resident_identity("11010519491231002X") && !resident_identity("110105194912310021")
        );
    }

    #[test]
    fn a_tenth_of_random_numbers_pass_luhn() {
        let passing =
            (0..10_000_u64).filter(|n| luhn(&(n * 7_919 + 1_000_003).to_string())).count();
        assert!((800..1_200).contains(&passing), "{passing}");
    }
}
