//! E-mail addresses in text.

use super::{Hit, before};
use crate::tags::Kind;

/// The longest part before the `@`, in bytes.
const LOCAL_BYTES_MAX: usize = 64;
/// The longest domain, in bytes.
const DOMAIN_BYTES_MAX: usize = 253;
/// Ends of file names such as `icon@2x.png`, which are no domains.
const FILES: [&[u8]; 8] = [b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"css", b"js"];

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'')
        || byte >= 0x80
}

/// The address around the `@` at `at`, not before `floor`.
pub(super) fn at(text: &[u8], at: usize, floor: usize) -> Hit {
    let first = floor.max(at.saturating_sub(LOCAL_BYTES_MAX));
    let local = text.get(first..at)?;
    let length = local.iter().rev().position(|b| !is_local(*b)).unwrap_or(local.len());
    let mut start = at - length;
    // A quotation mark or a dot before it is not part of it.
    while text.get(start).is_some_and(|b| matches!(b, b'\'' | b'.' | b'-')) {
        start += 1;
    }
    if start >= at || before(text, at) == Some(b'.') {
        return None;
    }
    let end = at + 1 + domain(text.get(at + 1..)?)?;
    // `git@host:path` names a repository.
    let repository = text.get(start..at) == Some(b"git") && text.get(end) == Some(&b':');
    (!repository).then_some((Kind::Email, start..end))
}

/// How long the domain is that `text` starts with.
fn domain(text: &[u8]) -> Option<usize> {
    let text = text.get(..DOMAIN_BYTES_MAX).unwrap_or(text);
    let inside = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-') || *b >= 0x80;
    let length = text.iter().position(|b| !inside(b)).unwrap_or(text.len());
    let whole = text.get(..length)?;
    // What ends the sentence is not part of it.
    let kept = whole.iter().rev().position(|b| !matches!(b, b'.' | b'-'))?;
    let whole = whole.get(..length - kept)?;
    let dot = whole.iter().rposition(|b| *b == b'.')?;
    let (name, top) = (whole.get(..dot)?, whole.get(dot + 1..)?);
    let letters = (2..=24).contains(&top.len())
        && (top.iter().all(u8::is_ascii_alphabetic) || top.starts_with(b"xn--") || !top.is_ascii());
    let labels =
        name.split(|b| *b == b'.').all(|label| !label.is_empty() && !label.starts_with(b"-"));
    let file = FILES.iter().any(|end| top.eq_ignore_ascii_case(end));
    (letters && labels && !name.is_empty() && !file).then_some(whole.len())
}
