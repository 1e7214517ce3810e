//! Passwords, keys and tokens in text.

use super::{Hit, OTHERS, before, is_word, near};
use crate::tags::Kind;
use crate::tokens::{TOKENS, jwt_end};

/// What stands before a password or a key, at the end of a word, in small letters.
const NAMES: [&str; 16] = [
    "password",
    "passwd",
    "passwort",
    "passphrase",
    "pwd",
    "pass",
    "secret",
    "token",
    "api_key",
    "api-key",
    "api key",
    "apikey",
    "access_key",
    "access key",
    "accesskey",
    "pin",
];
/// The longest password that is looked for, in bytes.
const PASSWORD_BYTES_MAX: usize = 200;
/// The longest part of a URL before its host, in bytes.
const URL_BYTES_MAX: usize = 200;
/// The longest private key, in bytes.
const PRIVATE_KEY_BYTES_MAX: usize = 16 * 1024;
/// A hash of a password is at least so long, in bytes.
const HASH_BYTES_MIN: usize = 28;
/// How a hash of a password starts.
const HASHES: [&[u8]; 16] = [
    b"$2a$",
    b"$2b$",
    b"$2x$",
    b"$2y$",
    b"$argon2id$",
    b"$argon2i$",
    b"$argon2d$",
    b"$6$",
    b"$5$",
    b"$1$",
    b"$y$",
    b"$7$",
    b"$scrypt$",
    b"$pbkdf2",
    b"$P$",
    b"$H$",
];

fn is_hash(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'$' | b'.' | b'/' | b'=' | b',' | b'+' | b'_' | b'-' | b':')
}

/// How many bytes from `start` on pass `test`.
fn run(text: &[u8], start: usize, test: impl Fn(u8) -> bool) -> usize {
    text.get(start..).unwrap_or_default().iter().take_while(|b| test(**b)).count()
}

/// The literal with this number was met at `start`.
pub(super) fn literal(text: &[u8], start: usize, number: usize) -> Hit {
    let Some(literal) = OTHERS.get(number) else {
        let token = TOKENS.get(number - OTHERS.len())?;
        let end = token.end(text, start)?;
        return (!is_word(before(text, start))).then_some((Kind::Key, start..end));
    };
    match *literal {
        "eyJ" => {
            let end = jwt_end(text, start)?;
            (!is_word(before(text, start))).then_some((Kind::Key, start..end))
        }
        "-----BEGIN " => private_key(text, start),
        "earer " => bearer(text, start + literal.len()),
        "assword is " | "assword was " => {
            password(text, start + literal.len()).map(|range| (Kind::Key, range))
        }
        _ => {
            let length = run(text, start, |b| is_hash(b) || matches!(b, b'{' | b'}'));
            let end = start + length;
            (length >= HASH_BYTES_MIN).then_some((Kind::Password, start..end))
        }
    }
}

fn private_key(text: &[u8], start: usize) -> Hit {
    let rest = text.get(start..)?;
    let rest = rest.get(..PRIVATE_KEY_BYTES_MAX).unwrap_or(rest);
    let head = rest.get(..64).unwrap_or(rest);
    let kind = b"PRIVATE KEY";
    head.windows(kind.len()).any(|part| part == kind).then(|| {
        let mark = b"-----END ";
        let end = rest.windows(mark.len()).position(|part| part == mark);
        // Without an end, all of it is the key.
        let end = end.map_or(rest.len(), |end| {
            end + rest
                .get(end..)
                .unwrap_or_default()
                .windows(5)
                .skip(5)
                .position(|p| p == b"-----")
                .map_or(5, |p| p + 10)
        });
        (Kind::Key, start..start + end)
    })
}

fn bearer(text: &[u8], start: usize) -> Hit {
    let length = run(text, start, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'+' | b'/' | b'-' | b'=')
    });
    let digits = text.get(start..start + length)?.iter().any(u8::is_ascii_digit);
    (length >= 16 && digits).then_some((Kind::Key, start..start + length))
}

/// The hash of a password that starts with the `$` at `at`.
pub(super) fn hash(text: &[u8], at: usize) -> Hit {
    let rest = text.get(at..)?;
    if !HASHES.iter().any(|start| rest.starts_with(start)) {
        return None;
    }
    let length = run(text, at, is_hash);
    (length >= HASH_BYTES_MIN).then_some((Kind::Password, at..at + length))
}

/// The password in the URL whose `@` is at `at`.
pub(super) fn in_url(text: &[u8], at: usize, floor: usize) -> Hit {
    let first = floor.max(at.saturating_sub(URL_BYTES_MAX));
    let ahead = text.get(first..at)?;
    // Neither a space nor a slash stands between `://` and the `@`.
    let stop = ahead.iter().rposition(|b| b.is_ascii_whitespace() || *b == b'/')?;
    let scheme = ahead.get(..=stop)?.ends_with(b"://");
    let user = ahead.get(stop + 1..)?;
    let colon = user.iter().position(|b| *b == b':')?;
    let start = first + stop + 1 + colon + 1;
    (scheme && at - start >= 3).then_some((Kind::Key, start..at))
}

/// The password or key that is assigned by the `:` or `=` at `at`.
pub(super) fn assigned(text: &[u8], at: usize) -> Hit {
    let mut name_end = at;
    while before(text, name_end).is_some_and(|b| matches!(b, b' ' | b'"' | b'\'' | b'-'))
        && at - name_end < 3
    {
        name_end -= 1;
    }
    if !before(text, name_end).is_some_and(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let named = NAMES.iter().any(|name| {
        name_end.checked_sub(name.len()).is_some_and(|start| {
            text.get(start..name_end).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
                && (name.len() > 4 || !is_word(before(text, start)))
        })
    });
    if !named {
        return None;
    }
    let after = at + 1 + run(text, at + 1, |b| matches!(b, b'=' | b'>'));
    let spaces = run(text, after, |b| matches!(b, b' ' | b'\t'));
    if spaces > 4 {
        return None;
    }
    password(text, after + spaces).map(|range| (Kind::Key, range))
}

/// The password from `start` on: what looks chosen or drawn, rather than the next word of the sentence.
fn password(text: &[u8], start: usize) -> Option<std::ops::Range<usize>> {
    let start = start + run(text, start, |b| matches!(b, b'"' | b'\'' | b'`'));
    let stop = |b: u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'`' | b',' | b';');
    let length = run(text, start, |b| !stop(b)).min(PASSWORD_BYTES_MAX);
    let word = text.get(start..start + length)?;
    let trimmed =
        word.iter().rev().take_while(|b| matches!(b, b'.' | b')' | b'!' | b'?' | b'}')).count();
    let word = word.get(..length - trimmed)?;
    let chosen = word.iter().any(|b| b.is_ascii_digit() || b"!@#$%^&*".contains(b));
    let long = word.len() >= 6 && word.iter().any(u8::is_ascii_alphabetic);
    // `token: 12 of 30` and `pass=3` are none; neither is a placeholder.
    let placeholder = word.starts_with(b"$") || word.starts_with(b"{") || word.starts_with(b"<");
    (chosen && long && !placeholder).then_some(start..start + word.len())
}

/// Whether a word that stands for a card is near, before `at`.
pub(super) fn card_word_near(text: &[u8], at: usize) -> bool {
    /// How far before a number the word may be, in bytes.
    const DISTANCE: usize = 48;
    const WORDS: [&str; 9] =
        ["card", "visa", "mastercard", "amex", "credit", "debit", "karte", "carte", "tarjeta"];
    near(text, at, DISTANCE, &WORDS)
}
