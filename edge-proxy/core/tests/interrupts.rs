//! Cancel requests that meet nothing of the client's, and messages that are not worth waiting for.

mod support;

use support::*;
use writ_edge_core::client_message_bytes_max;

/// A session whose next statement makes it ask the server what names mean.
fn stale() -> Rig {
    let mut rig = Rig::new();
    rig.client(&query("set search_path"));
    rig.server(&[complete("SET"), ready(b'I')].concat());
    (rig.to_server(), rig.to_client());
    rig.client(&query("select 1"));
    assert_eq!(tags(&rig.to_server()), "PBECCS");
    rig
}

#[test]
fn a_cancel_reaches_the_server_only_while_it_works_for_the_client() {
    let mut rig = Rig::new();
    rig.with(|s, cx| assert!(!s.on_cancel(cx), "idle"));
    rig.client(&query("select 1"));
    rig.with(|s, cx| assert!(s.on_cancel(cx), "a statement runs"));
    let mut rig = stale();
    rig.with(|s, cx| assert!(!s.on_cancel(cx), "a question of our own"));
}

#[test]
fn a_question_that_was_cancelled_is_asked_again() {
    let mut rig = stale();
    for _ in 0..3 {
        // The server ignores the rest up to Sync.
        rig.server(&[frame(b'1', b""), error("57014"), ready(b'I')].concat());
        assert_eq!(rig.to_client(), b"");
        assert_eq!(tags(&rig.to_server()), "PBECCS", "asked again");
    }
    rig.server(&answer(&NAMES));
    rig.server(&ready(b'I'));
    assert_eq!(rig.to_server(), query("select 1"), "and the statement goes on");

    let mut rig = stale();
    for _ in 0..3 {
        rig.server(&[error("57014"), ready(b'I')].concat());
    }
    assert!(rig.session.ended().is_none());
    rig.server(&error("57014"));
    assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("58000"), "not for ever");

    let mut rig = stale();
    rig.server(&error("42501"));
    assert!(rig.session.ended().is_some(), "control: other errors end the session");
}

#[test]
fn what_nobody_knows_is_refused_at_its_header() {
    for tag in [b'z', b'p', 0, 0xff] {
        let mut rig = Rig::new();
        rig.client(&query("select 1"));
        let _ = rig.to_server();
        // A gigabyte is announced, while a statement runs.
        rig.client(&[&[tag][..], &(1_i32 << 29).to_be_bytes()].concat());
        assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("08P01"), "{tag}");
        assert!(rig.session.ended().is_some());
    }
}

#[test]
fn only_what_is_read_as_a_whole_is_kept_as_a_whole() {
    for (tag, bytes) in [(b'Q', 16 << 20), (b'B', 64 << 20), (b'S', 1 << 20), (b'd', 0), (b'z', 0)]
    {
        assert_eq!(client_message_bytes_max(tag), bytes, "{}", char::from(tag));
    }
}
