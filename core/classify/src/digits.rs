//! The digits of a number, without its separators.

/// The longest number that is looked at, in digits.
const DIGITS_MAX: usize = 19;

/// Up to nineteen digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digits {
    values: [u8; DIGITS_MAX],
    count: usize,
}

impl Digits {
    /// The digits of `text`, where it is digits with single separators between them.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut digits = Self { values: [0; DIGITS_MAX], count: 0 };
        let mut separated = true;
        for byte in text.bytes() {
            if byte.is_ascii_digit() {
                *digits.values.get_mut(digits.count)? = byte - b'0';
                digits.count += 1;
                separated = false;
            } else if separated || !matches!(byte, b' ' | b'-' | b'.' | b'/' | b'+') {
                return None;
            } else {
                separated = true;
            }
        }
        (!separated).then_some(digits)
    }

    /// With zeros before it until it has `count` digits: a column of numbers does not keep them.
    pub(crate) fn padded(self, count: usize) -> Self {
        let missing = count.saturating_sub(self.count).min(DIGITS_MAX - self.count);
        let mut padded = Self { values: [0; DIGITS_MAX], count: self.count + missing };
        for (to, from) in padded.values.iter_mut().skip(missing).zip(self.as_slice()) {
            *to = *from;
        }
        padded
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.values.get(..self.count).unwrap_or_default()
    }

    /// All of them, where there are just `N`.
    pub(crate) fn exactly<const N: usize>(&self) -> Option<&[u8; N]> {
        self.as_slice().try_into().ok()
    }

    /// The number that `count` digits from `start` on make; 0 where there are not so many.
    pub(crate) fn number(&self, start: usize, count: usize) -> u64 {
        number(self.as_slice().get(start..start + count).unwrap_or_default())
    }
}

/// The number that `digits` make.
pub(crate) fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n, d| n * 10 + u64::from(*d))
}

/// The sum of the digits times the weights, of as many as there are weights.
pub(crate) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

/// Whether the digits pass the Luhn check.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// Whether the last digit is the check digit of ISO 7064, modulus 11,10.
pub(crate) fn iso_7064(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10, |product, digit| {
        let sum = (product + u32::from(*digit)) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(*check)
}

/// Whether `month` and `day` are those of some date.
pub(crate) fn dated(month: u64, day: u64) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}
