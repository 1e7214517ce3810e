//! Addresses of machines in text.

use std::net::Ipv6Addr;

use super::{Hit, before, is_word};
use crate::tags::Kind;

/// An address of IPv6 written out is no longer than this, in bytes.
const IPV6_BYTES_MAX: usize = 45;
/// A shorter one is as likely a path of code such as `a::b`.
const IPV6_BYTES_MIN: usize = 8;
/// Six pairs of digits with signs between them.
const MAC_BYTES: usize = 17;

/// An address around the `:` at `at`: MAC or IPv6.
pub(super) fn at_colon(text: &[u8], at: usize, floor: usize) -> Hit {
    let hex = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_hexdigit() || *b == b':');
    if !hex(text.get(at + 1)) || at == 0 || !hex(text.get(at - 1)) {
        return None;
    }
    let first = floor.max(at.saturating_sub(IPV6_BYTES_MAX));
    let part = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let ahead = text.get(first..at)?;
    let start = at - ahead.iter().rev().position(|b| !part(b)).unwrap_or(ahead.len());
    let rest = text.get(start..)?;
    let rest = rest.get(..IPV6_BYTES_MAX).unwrap_or(rest);
    let length = rest.iter().position(|b| !part(b)).unwrap_or(rest.len());
    let length = length - rest.get(..length)?.iter().rev().take_while(|b| **b == b'.').count();
    if is_word(before(text, start)) || is_word(text.get(start + length).copied()) {
        return None;
    }
    if let Some(hit) = mac(text, start, b':') {
        return Some(hit);
    }
    let whole = text.get(start..start + length)?;
    let signs = whole.iter().filter(|b| **b == b':').count();
    let address = std::str::from_utf8(whole).ok()?.parse::<Ipv6Addr>().is_ok();
    let clear = length >= IPV6_BYTES_MIN && whole.iter().any(u8::is_ascii_digit);
    (signs >= 2 && clear && address).then(|| (Kind::Ip, start..start + length))
}

/// A MAC address whose first `-` is at `at`.
pub(super) fn at_dash(text: &[u8], at: usize, floor: usize) -> Hit {
    if text.get(at + 3) != Some(&b'-') {
        return None;
    }
    let start = at.checked_sub(2).filter(|start| *start >= floor)?;
    mac(text, start, b'-')
}

/// The MAC address from `start` on, with `sign` between its pairs.
fn mac(text: &[u8], start: usize, sign: u8) -> Hit {
    let whole = text.get(start..start + MAC_BYTES)?;
    let pairs = whole.chunks(3).all(|chunk| match chunk {
        [a, b, c] => a.is_ascii_hexdigit() && b.is_ascii_hexdigit() && *c == sign,
        [a, b] => a.is_ascii_hexdigit() && b.is_ascii_hexdigit(),
        _ => false,
    });
    let around = |byte: Option<u8>| is_word(byte) || byte == Some(sign);
    let alone = !around(before(text, start)) && !around(text.get(start + MAC_BYTES).copied());
    (pairs && alone).then(|| (Kind::Mac, start..start + MAC_BYTES))
}
