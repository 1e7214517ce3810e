//! How a value is masked, and how a policy writes it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most characters that `partial` shows at one end.
const SHOWN_CHARACTERS_MAX: u8 = 32;
/// The fewest hexadecimal characters of a `hash`: fewer would join what differs.
pub const HASH_CHARACTERS_MIN: u8 = 8;
/// The most hexadecimal characters of a `hash`: all of an HMAC-SHA-256.
pub const HASH_CHARACTERS_MAX: u8 = 64;
/// How long a `hash` is where the policy does not say.
const HASH_CHARACTERS_DEFAULT: u8 = 32;
/// The widest `noise`, in percent.
const NOISE_PERCENT_MAX: u8 = 100;
/// The longest `shift`, in days.
const SHIFT_DAYS_MAX: u16 = 3_660;
/// The most paths of one `json`.
const JSON_PATHS_MAX: usize = 16;
/// The most names in one path of a `json`.
const JSON_DEPTH_MAX: usize = 8;

/// How a value is masked. All kinds keep the column's type and keep NULL as NULL. A kind that is not made for a
/// column's type redacts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskKind {
    /// A fixed value of the column's type that looks like what it stands for (`***-**-****` for an SSN).
    Redact,
    /// NULL, whatever the value was.
    Null,
    /// A part of a text stays.
    Partial(Part),
    /// A keyed hash: equal values stay equal, so that they can be joined and counted.
    Hash {
        /// The length of the hash of a text, in hexadecimal characters.
        characters: u8,
    },
    /// Other digits for digits and other letters for letters, chosen by a key and the whole value.
    Token,
    /// The beginning of the range that the value lies in.
    Bucket(BucketSize),
    /// A number changed by a part that a key and the value choose.
    Noise {
        /// At most this much is added or taken.
        percent: u8,
    },
    /// A date moved by a time that a key and the value choose.
    Shift {
        /// At most this far, in either direction.
        days: u16,
    },
    /// Some or all values inside a JSON document.
    Json {
        /// Which; none: every string, number and boolean.
        paths: BTreeSet<Vec<String>>,
    },
}

/// Which part of a text stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Characters at both ends.
    Ends {
        /// How many at the beginning.
        first: u8,
        /// How many at the end.
        last: u8,
    },
    /// What stands after the `@` of an e-mail address.
    Domain,
}

/// How large a range is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketSize {
    /// Numbers that differ by less than this.
    Multiple(u32),
    /// Dates of one week.
    Week,
    /// Dates of one month.
    Month,
    /// Dates of one quarter.
    Quarter,
    /// Dates of one year.
    Year,
    /// Dates of one decade.
    Decade,
}

impl BucketSize {
    /// The name that `date_trunc` has for it; `None` for numbers.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        Some(match self {
            Self::Multiple(_) => return None,
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
            Self::Decade => "decade",
        })
    }
}

impl MaskKind {
    /// What hides at least what each of the two hides. Two kinds that differ show different things, so that together
    /// they must show nothing.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => Self::Null,
            (one, two) if one == two => one,
            _ => Self::Redact,
        }
    }

    /// Whether the mask needs the mask key.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        match self {
            Self::Hash { .. } | Self::Token | Self::Noise { .. } | Self::Shift { .. } => true,
            Self::Redact | Self::Null | Self::Partial(_) | Self::Bucket(_) | Self::Json { .. } => {
                false
            }
        }
    }
}

/// Why a text names no mask kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskKindError {
    /// No kind of that name.
    #[error(
        "{0:?} is no kind of mask; write \"redact\", \"null\", \"partial(F,L)\", \"partial(domain)\", \"hash\", \
         \"token\", \"bucket(N)\", \"bucket(year)\", \"noise(P)\", \"shift(D)\" or \"json(a.b, c)\""
    )]
    Unknown(String),
    /// A kind with parameters that it does not have.
    #[error("{kind} does not take ({parameters}); {expected}")]
    Parameters {
        /// The kind.
        kind: &'static str,
        /// What was written.
        parameters: String,
        /// What to write.
        expected: String,
    },
}

impl FromStr for MaskKind {
    type Err = MaskKindError;

    fn from_str(text: &str) -> Result<Self, MaskKindError> {
        let (name, inside) = match text.trim().split_once('(') {
            None => (text.trim(), None),
            Some((name, rest)) => {
                let inside = rest.strip_suffix(')');
                let inside = inside.ok_or_else(|| MaskKindError::Unknown(text.to_owned()))?;
                (name.trim_end(), Some(inside))
            }
        };
        match (name, inside) {
            ("redact", None) => Ok(Self::Redact),
            ("null", None) => Ok(Self::Null),
            ("token", None) => Ok(Self::Token),
            ("partial", inside) => partial(inside.unwrap_or_default()),
            ("hash", None) => Ok(Self::Hash { characters: HASH_CHARACTERS_DEFAULT }),
            ("hash", Some(inside)) => {
                let range = (HASH_CHARACTERS_MIN, HASH_CHARACTERS_MAX);
                Ok(Self::Hash { characters: number("hash", inside, range, "characters")? })
            }
            ("bucket", inside) => bucket(inside.unwrap_or_default()).map(Self::Bucket),
            ("noise", inside) => {
                let range = (1, NOISE_PERCENT_MAX);
                let percent = number("noise", inside.unwrap_or_default(), range, "percent")?;
                Ok(Self::Noise { percent })
            }
            ("shift", inside) => {
                let range = (1, SHIFT_DAYS_MAX);
                let days = number("shift", inside.unwrap_or_default(), range, "days")?;
                Ok(Self::Shift { days })
            }
            ("json", None) => Ok(Self::Json { paths: BTreeSet::new() }),
            ("json", Some(inside)) => json(inside),
            ("redact" | "null" | "token", Some(inside)) => Err(MaskKindError::Parameters {
                kind: if name == "token" { "token" } else { "a mask of no parameters" },
                parameters: inside.to_owned(),
                expected: format!("write {name:?} alone"),
            }),
            _ => Err(MaskKindError::Unknown(text.to_owned())),
        }
    }
}

fn number<N: FromStr + PartialOrd + Copy + fmt::Display>(
    kind: &'static str,
    inside: &str,
    (min, max): (N, N),
    unit: &str,
) -> Result<N, MaskKindError> {
    let number = inside.trim().parse().ok().filter(|n: &N| *n >= min && *n <= max);
    number.ok_or_else(|| MaskKindError::Parameters {
        kind,
        parameters: inside.to_owned(),
        expected: format!("write {kind}(N) with N from {min} to {max} {unit}"),
    })
}

fn partial(inside: &str) -> Result<MaskKind, MaskKindError> {
    if inside.trim() == "domain" {
        return Ok(MaskKind::Partial(Part::Domain));
    }
    let ends = inside.split_once(',').and_then(|(first, last)| {
        let (first, last) = (first.trim().parse::<u8>().ok()?, last.trim().parse::<u8>().ok()?);
        let fits = first <= SHOWN_CHARACTERS_MAX && last <= SHOWN_CHARACTERS_MAX;
        (fits && first + last > 0).then_some(Part::Ends { first, last })
    });
    ends.map(MaskKind::Partial).ok_or_else(|| MaskKindError::Parameters {
        kind: "partial",
        parameters: inside.to_owned(),
        expected: format!(
            "write partial(F,L) with how many characters stay at the beginning and at the end, up to \
             {SHOWN_CHARACTERS_MAX} each and not 0 both, or partial(domain)"
        ),
    })
}

fn bucket(inside: &str) -> Result<BucketSize, MaskKindError> {
    Ok(match inside.trim() {
        "week" => BucketSize::Week,
        "month" => BucketSize::Month,
        "quarter" => BucketSize::Quarter,
        "year" => BucketSize::Year,
        "decade" => BucketSize::Decade,
        other => match other.parse() {
            // A multiple of 1 would mask no whole number.
            Ok(multiple @ 2..) => BucketSize::Multiple(multiple),
            _ => {
                return Err(MaskKindError::Parameters {
                    kind: "bucket",
                    parameters: inside.to_owned(),
                    expected: "write bucket(N) with N from 2 for numbers, or bucket(week), bucket(month), \
                               bucket(quarter), bucket(year) or bucket(decade) for dates"
                        .to_owned(),
                });
            }
        },
    })
}

fn json(inside: &str) -> Result<MaskKind, MaskKindError> {
    let name = |n: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        (!n.is_empty() && n.bytes().all(plain)).then(|| n.to_owned())
    };
    let path = |p: &str| p.trim().split('.').map(name).collect::<Option<Vec<_>>>();
    let paths: Option<BTreeSet<Vec<String>>> = inside.split(',').map(path).collect();
    paths
        .filter(|paths| {
            paths.len() <= JSON_PATHS_MAX && paths.iter().all(|p| p.len() <= JSON_DEPTH_MAX)
        })
        .map(|paths| MaskKind::Json { paths })
        .ok_or_else(|| MaskKindError::Parameters {
            kind: "json",
            parameters: inside.to_owned(),
            expected: format!(
                "write json(a.b, c) with up to {JSON_PATHS_MAX} paths of up to {JSON_DEPTH_MAX} names of \
                 letters, digits, _ and -, or json for every value"
            ),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_as_policies_write_them() {
        let ends = |first, last| MaskKind::Partial(Part::Ends { first, last });
        let paths = |p: &[&[&str]]| MaskKind::Json {
            paths: p.iter().map(|p| p.iter().map(|n| (*n).to_owned()).collect()).collect(),
        };
        for (text, kind) in [
            ("redact", MaskKind::Redact),
            (" null ", MaskKind::Null),
            ("partial(0,4)", ends(0, 4)),
            ("partial( 2 , 0 )", ends(2, 0)),
            ("partial(domain)", MaskKind::Partial(Part::Domain)),
            ("hash", MaskKind::Hash { characters: 32 }),
            ("hash(11)", MaskKind::Hash { characters: 11 }),
            ("token", MaskKind::Token),
            ("bucket(10)", MaskKind::Bucket(BucketSize::Multiple(10))),
            ("bucket(decade)", MaskKind::Bucket(BucketSize::Decade)),
            ("noise(5)", MaskKind::Noise { percent: 5 }),
            ("shift(30)", MaskKind::Shift { days: 30 }),
            ("json", paths(&[])),
            ("json(a.b, c)", paths(&[&["a", "b"], &["c"]])),
        ] {
            assert_eq!(text.parse(), Ok(kind), "{text}");
        }
    }

    #[test]
    fn what_is_no_kind_is_refused_with_what_to_write() {
        let deep = format!("json({})", ["a"; JSON_DEPTH_MAX + 1].join("."));
        for text in [
            "",
            "blur",
            "partial",
            "partial(0,0)",
            "partial(4)",
            "partial(-1,4)",
            "partial(33,0)",
            "partial(0,4",
            "hash(7)",
            "hash(65)",
            "hash()",
            "token(3)",
            "null()",
            "bucket",
            "bucket(1)",
            "bucket(0)",
            "bucket(day)",
            "noise",
            "noise(0)",
            "noise(101)",
            "shift(0)",
            "shift(99999)",
            "json()",
            "json(a..b)",
            "json(a.'b')",
            &deep,
        ] {
            let error = text.parse::<MaskKind>().expect_err(text).to_string();
            assert!(error.contains("write"), "{error}");
        }
    }

    #[test]
    fn two_kinds_together_show_what_neither_hides() {
        let kind = |text: &str| text.parse::<MaskKind>().expect("a kind");
        for (one, two, both) in [
            ("hash", "hash", "hash"),
            ("hash", "null", "null"),
            ("redact", "token", "redact"),
            ("partial(0,4)", "partial(4,0)", "redact"),
            ("partial(0,4)", "partial(0,2)", "redact"),
        ] {
            assert_eq!(kind(one).and(kind(two)), kind(both), "{one} {two}");
            assert_eq!(kind(two).and(kind(one)), kind(both), "{two} {one}");
        }
    }
}
