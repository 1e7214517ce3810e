//! FunctionCall messages: decided as the SELECT that does the same, and sent as they came (E1).

mod support;

use support::*;
use writ_edge_core::{ApprovalNews, Effect};

const CALL: u32 = 1;
const DENY: u32 = 2;
const HOLD: u32 = 3;
const MASK: u32 = 4;
const SCREENED: u32 = 5;

/// A call with one argument.
fn call(oid: u32, argument: &[u8]) -> Vec<u8> {
    let mut body = oid.to_be_bytes().to_vec();
    body.extend(b"\0\x01\0\x01\0\x01");
    body.extend(u32::try_from(argument.len()).expect("short").to_be_bytes());
    body.extend(argument);
    body.extend(b"\0\x01");
    frame(b'F', &body)
}

/// A call of no function, which the server refuses in another's place.
fn nothing() -> Vec<u8> {
    frame(b'F', &[0; 10])
}

fn refused(rig: &mut Rig, message: &[u8]) -> (String, String) {
    rig.client(message);
    assert_eq!(rig.to_server(), nothing());
    rig.server(&[error("42883"), ready(b'I')].concat());
    let answer = rig.to_client();
    let field = |code| field(&answer, code).unwrap_or_default();
    (field(b'C'), field(b'M'))
}

#[test]
fn a_call_goes_on_as_it_came_and_is_recorded() {
    let mut rig = Rig::new();
    let message = call(CALL, b"\0\0\0\x07");
    rig.client(&message);
    assert_eq!(rig.to_server(), message);
    let answer = [frame(b'V', b"\0\0\0\x01x"), ready(b'I')].concat();
    rig.server(&answer);
    assert_eq!(rig.to_client(), answer);
    assert_eq!(rig.journal.lines, ["intent s-1 forwarded", "outcome s-1 ok 1"]);
}

#[test]
fn what_a_select_would_not_do_a_call_does_not_do_either() {
    for (oid, reason) in [
        (0, "not known"),
        (99, "not known"),
        (DENY, "no"),
        (MASK, "cannot be masked"),
        (SCREENED, "cannot be masked"),
    ] {
        let (code, message) = refused(&mut Rig::new(), &call(oid, b"x"));
        assert_eq!(code, "42501", "{oid}");
        assert!(message.contains(reason), "{oid}: {message}");
    }
}

#[test]
fn an_approval_is_of_the_arguments_too() {
    let ask = |argument: &[u8]| {
        let mut rig = Rig::new();
        rig.client(&call(HOLD, argument));
        let effects = rig.effects();
        let Some(Effect::RequestApproval(ask)) = effects.into_iter().next() else {
            panic!("nobody was asked")
        };
        (rig, ask)
    };
    let (mut rig, seven) = ask(b"7");
    let (_, eight) = ask(b"8");
    assert_ne!(seven.digest, eight.digest);
    assert_eq!(rig.to_server(), b"");
    let number = seven.number;
    let id = || "a-1".parse().expect("an id");
    let news = [
        ApprovalNews::Pending { id: id(), expires: writ_model::DurationMs(1_000) },
        ApprovalNews::Granted,
    ];
    for news in news {
        rig.with(|session, cx| session.on_approval(number, news, cx));
    }
    assert_eq!(rig.to_server(), b"", "granted is not used");
    rig.with(|session, cx| session.on_approval(number, ApprovalNews::Used, cx));
    rig.durable();
    assert_eq!(rig.to_server(), call(HOLD, b"7"));
}

#[test]
fn half_a_call_is_a_protocol_violation() {
    let mut rig = Rig::new();
    rig.client(&frame(b'F', &CALL.to_be_bytes()));
    assert_eq!(rig.to_server(), b"");
    assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("08P01"));
    assert!(rig.session.ended().is_some());
}

#[test]
fn a_refused_call_leaves_the_unnamed_statement_alone() {
    let mut rig = Rig::new();
    rig.client(&[parse("", "select 1"), sync()].concat());
    rig.server(&[frame(b'1', b""), ready(b'I')].concat());
    rig.client(&call(DENY, b"x"));
    let sent = rig.to_server();
    // A Query would have dropped it.
    assert_eq!(tags(&sent), "PSF");
    assert!(sent.ends_with(&nothing()));
}
