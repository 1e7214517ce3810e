//! The frame codec. What it reads is exactly what is there, and how bytes are cut into pieces changes nothing.

use writ_edge_core::client_message_bytes_max;
use writ_edge_core::frame::{self, FRAME_BYTES_MAX, HEADER_BYTES, Header, Scan};

use super::choices::Choices;
use crate::support::{Rig, query};

/// The largest message of the server that is waited for as a whole, in bytes.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;

pub fn frames(data: &[u8]) {
    let mut choices = Choices::new(data);
    match choices.byte() % 3 {
        0 => {
            headers(data);
            bodies(choices.rest());
        }
        1 => from_client(&mut choices),
        _ => from_server(&mut choices),
    }
}

/// A header is known from its bytes on, and what follows it changes nothing.
fn headers(data: &[u8]) {
    let whole = frame::scan(data);
    for end in 0..data.len().min(HEADER_BYTES + 3) {
        let found = frame::scan(&data[..end]);
        assert_eq!(found, if end < HEADER_BYTES { Scan::Incomplete } else { whole });
    }
    if let Scan::Frame(Header { tag, total }) = whole {
        assert!((HEADER_BYTES..=FRAME_BYTES_MAX).contains(&total));
        let length = u32::try_from(total - 1).expect("32 bits").to_be_bytes();
        assert_eq!([&[tag][..], &length].concat(), data[..HEADER_BYTES]);
    }
}

/// What was read of a body is all of it, but for names that the server cuts too.
fn same_or_cut(names: &[&[u8]], read: &[u8], body: &[u8]) {
    if names.iter().all(|name| name.len() < frame::NAME_BYTES) {
        assert_eq!(read, body);
    } else {
        assert!(read.len() <= body.len());
    }
}

/// What is read from a body, written again, is the body: nothing in it goes unseen.
fn bodies(body: &[u8]) {
    let nul = b"\0".as_slice();
    if let Some(text) = frame::query_text(body) {
        assert_eq!([text, nul].concat(), body);
    }
    if let Some(parts) = frame::parse(body) {
        let whole = [parts.name, nul, parts.text, nul, parts.types].concat();
        same_or_cut(&[parts.name], &whole, body);
    }
    if let Some(parts) = frame::bind(body) {
        let whole = [parts.portal, nul, parts.statement, nul, parts.tail].concat();
        same_or_cut(&[parts.portal, parts.statement], &whole, body);
        values(parts.tail);
    }
    if let Some((portal, limit)) = frame::execute(body) {
        same_or_cut(&[portal], &[portal, nul, &limit.to_be_bytes()].concat(), body);
    }
    if let Some((what, name)) = frame::target(body) {
        same_or_cut(&[name], &[&[what][..], name, nul].concat(), body);
    }
    if let Some(call) = frame::function_call(body) {
        assert_eq!(call.oid.to_be_bytes(), body[..4]);
        assert_eq!(frame::walk_values(&call.tail, |_, _| {}), Some(call.arguments));
        // One more count: of the results' formats.
        assert_eq!(call.tail.len() + 4, body.len() + 2);
    }
    if let Some(columns) = frame::data_row(body) {
        let bytes: usize = columns.iter().map(|c| 4 + c.map_or(0, <[u8]>::len)).sum();
        assert_eq!(bytes + 2, body.len());
    }
    for code in *b"CMDst" {
        let _ = frame::error_field(body, code);
    }
    let _ = frame::rows_of_tag(body);
    for more in [&body[..body.len().saturating_sub(1)], &[body, nul].concat()] {
        only_one_length_is_right(body, more);
    }
}

/// No body is right with a byte more or less (E1: what is decided is what the server reads).
fn only_one_length_is_right(body: &[u8], other: &[u8]) {
    if body.is_empty() || body == other {
        return;
    }
    let both = |one: bool, other: bool| assert!(!(one && other), "{body:?}");
    both(frame::query_text(body).is_some(), frame::query_text(other).is_some());
    both(frame::parse(body).is_some(), frame::parse(other).is_some());
    both(frame::bind(body).is_some(), frame::bind(other).is_some());
    both(frame::execute(body).is_some(), frame::execute(other).is_some());
    both(frame::target(body).is_some(), frame::target(other).is_some());
    both(frame::function_call(body).is_some(), frame::function_call(other).is_some());
    both(frame::data_row(body).is_some(), frame::data_row(other).is_some());
}

fn values(tail: &[u8]) {
    let mut bytes = 0;
    let mut seen = 0;
    let count = frame::walk_values(tail, |_, value| {
        seen += 1;
        bytes += 4 + value.map_or(0, <[u8]>::len);
    });
    assert_eq!(count, Some(seen));
    let formats = usize::from(u16::from_be_bytes([tail[0], tail[1]]));
    let at = 2 + formats * 2 + 2 + bytes;
    let results = usize::from(u16::from_be_bytes([tail[at], tail[at + 1]]));
    assert_eq!(at + 2 + results * 2, tail.len());
}

/// Any bytes of a client, in one piece and in pieces.
fn from_client(choices: &mut Choices<'_>) {
    let sizes = [1 + choices.below(16), 1 + choices.below(16)];
    let bytes = choices.rest();
    let play = |sizes: &[usize]| {
        let mut rig = Rig::new();
        for piece in pieces(bytes, sizes) {
            rig.client(piece);
        }
        rig
    };
    let (mut whole, mut parts) = (play(&[bytes.len().max(1)]), play(&sizes));
    same(&mut whole, &mut parts);
    for rig in [&whole, &parts] {
        let waiting = rig.waiting();
        if let (Scan::Frame(header), None) = (frame::scan(waiting), rig.session.ended())
            && waiting.len() < header.total
        {
            // Data that a statement may ask for stays where it is, however long it says it is.
            let data = header.tag == b'd' && rig.session.is_running();
            // A refusal has its place after the answers to what was sent before.
            let turn = matches!(header.tag, b'Q' | b'F') && !rig.session.is_idle();
            let max = client_message_bytes_max(header.tag);
            assert!(data || turn || header.total <= max, "{header:?} is waited for");
        }
    }
}

/// Any bytes of a server, in one piece and in pieces.
fn from_server(choices: &mut Choices<'_>) {
    let sizes = [1 + choices.below(16), 1 + choices.below(16)];
    let texts = ["select 1", "select screened", "mask 1", "deny 1", "strict 1", "copyin 1"];
    // At most one: a second would go on as soon as the first seems to be answered, which depends on the pieces.
    let asked: Vec<Vec<u8>> =
        (0..choices.below(2)).map(|_| query(choices.one_of(&texts))).collect();
    let limit = choices.below(4) as u64;
    let bytes = choices.rest();
    let play = |sizes: &[usize]| {
        let mut rig = Rig::new();
        rig.with(|s, _| s.gate_mut().limits.rows_max = (limit > 0).then_some(limit));
        rig.client(&asked.concat());
        for piece in pieces(bytes, sizes) {
            rig.server_part(piece);
        }
        rig
    };
    let (mut whole, mut parts) = (play(&[bytes.len().max(1)]), play(&sizes));
    same(&mut whole, &mut parts);
    for rig in [&whole, &parts] {
        let waiting = rig.waiting_of_server();
        if let (Scan::Frame(header), None) = (frame::scan(waiting), rig.session.ended()) {
            assert!(waiting.len() < header.total, "{header:?} was not looked at");
            assert!(header.total <= REPLY_BYTES_MAX, "{header:?} is waited for");
        }
    }
}

fn pieces<'a>(bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let (mut rest, mut turn) = (bytes, 0);
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.len().min(sizes[turn % sizes.len()]));
        (rest, turn) = (after, turn + 1);
        (!piece.is_empty()).then_some(piece)
    })
}

fn same(one: &mut Rig, other: &mut Rig) {
    assert_eq!(one.session.ended(), other.session.ended());
    assert_eq!(one.to_client(), other.to_client());
    assert_eq!(one.to_server(), other.to_server());
    assert_eq!(one.effects(), other.effects());
    assert_eq!(one.journal.lines, other.journal.lines);
    assert_eq!(one.out.values_screened, other.out.values_screened);
    if one.session.ended().is_none() {
        assert_eq!(one.waiting(), other.waiting());
        assert_eq!(one.waiting_of_server(), other.waiting_of_server());
    }
}
