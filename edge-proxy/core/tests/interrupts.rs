//! Cancel requests that meet nothing of the client's, and messages that are not worth waiting for.

mod support;

use support::*;
use writ_edge_core::{EndReason, client_message_bytes_max};

/// A session whose next statement makes it ask the server what names mean.
fn stale() -> Rig {
    let mut rig = Rig::new();
    rig.client(&query("set search_path"));
    rig.server(&[complete("SET"), ready(b'I')].concat());
    rig.to_server();
    rig.to_client();
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
    let mut closed = vec![];
    for _ in 0..3 {
        // The server ignores the rest up to Sync.
        rig.server(&[closed, frame(b'1', b""), error("57014"), ready(b'I')].concat());
        assert_eq!(rig.to_client(), b"");
        assert_eq!(tags(&rig.to_server()), "CCPBECCS", "what was prepared is there still");
        closed = [frame(b'3', b""), frame(b'3', b"")].concat();
    }
    rig.server(&[closed, answer(&NAMES)].concat());
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

/// A session in a transaction block, asking what is defined there, and the answer to its savepoint.
fn asking_in_a_block() -> (Rig, Vec<u8>) {
    let mut rig = Rig::new();
    rig.client(&query("begin")).server(&[complete("BEGIN"), ready(b'T')].concat());
    rig.client(&query("define")).server(&[complete("CREATE VIEW"), ready(b'T')].concat());
    let _ = (rig.to_server(), rig.to_client());
    rig.client(&query("select 1"));
    assert_eq!(tags(&rig.to_server()), format!("{}S", "PBECC".repeat(5)));
    let closed = [frame(b'3', b""), frame(b'3', b"")].concat();
    (rig, [frame(b'1', b""), frame(b'2', b""), complete("SAVEPOINT"), closed].concat())
}

#[test]
fn a_question_that_was_disturbed_in_a_block_is_undone_and_asked_again() {
    // Others drop a view while its definition is read, or are in the way of a lock.
    let closed = [frame(b'3', b""), frame(b'3', b"")].concat();
    for code in ["XX000", "40P01", "55P03", "57014"] {
        let (mut rig, marked) = asking_in_a_block();
        let mut first = vec![];
        for _ in 0..3 {
            rig.server(&[first, marked.clone(), error(code), ready(b'E')].concat());
            let undo = rig.to_server();
            assert_eq!(tags(&undo), "CCPBECCPBECCS", "its statement and portal are there still");
            assert!(String::from_utf8_lossy(&undo).contains("ROLLBACK TO SAVEPOINT writ_probe"));
            let undone = [closed.clone(), marked.clone(), marked.clone(), ready(b'T')].concat();
            rig.server(&undone);
            assert_eq!(tags(&rig.to_server()), format!("CC{}S", "PBECC".repeat(5)), "asked again");
            first = closed.clone();
        }
        assert_eq!(rig.to_client(), b"");
        let (mut other, _) = asking_in_a_block();
        rig.server(&[first, answer_in_block(&[&[b"x"], &[b"{}"]])].concat());
        assert_eq!(rig.to_server(), query("select 1"), "and the statement goes on");
        // Control: without its savepoint nothing can be undone, and other errors are no disturbance.
        other.server(&error(code));
        assert!(other.session.ended().is_some(), "{code}");
    }
    let (mut rig, marked) = asking_in_a_block();
    rig.server(&[marked, error("42501")].concat());
    assert!(rig.session.ended().is_some());
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

fn eof(rig: &mut Rig) -> Option<EndReason> {
    rig.with(|s, cx| s.on_client_eof(cx));
    rig.session.ended()
}

#[test]
fn what_a_client_sent_before_it_went_away_is_still_run() {
    let mut rig = Rig::new();
    rig.client(&[query("update 1"), query("update 2")].concat());
    assert_eq!(eof(&mut rig), None);
    rig.server(&[complete("UPDATE 1"), ready(b'I')].concat());
    assert_eq!(eof(&mut rig), None, "the second one runs");
    rig.server(&[complete("UPDATE 1"), ready(b'I')].concat());
    assert_eq!(eof(&mut rig), Some(EndReason::ClientGone));
    assert_eq!(rig.journal.lines.last().map(String::as_str), Some("outcome s-2 ok 1"));
}

#[test]
fn a_client_that_goes_away_leaves_nothing_open() {
    // The server keeps its answers until a Sync, which will not come.
    let mut rig = Rig::new();
    rig.client(&[parse("", "update 1"), bind("", ""), execute("")].concat());
    let _ = rig.to_server();
    assert_eq!(eof(&mut rig), None);
    assert_eq!(tags(&rig.to_server()), "H");
    rig.server(&[frame(b'1', b""), frame(b'2', b""), complete("UPDATE 1")].concat());
    assert_eq!(eof(&mut rig), Some(EndReason::ClientGone));
    assert_eq!(rig.journal.lines.last().map(String::as_str), Some("outcome s-1 ok 1"));
    // It waits for data, which will not come: goodbye by FIN, or by Terminate.
    for goodbye in [vec![], frame(b'X', b"")] {
        let mut rig = Rig::new();
        rig.client(&query("copyin 1")).server(&frame(b'G', b"\0\0\0"));
        rig.client(&[frame(b'd', b"1\n"), goodbye].concat());
        assert!(eof(&mut rig).is_some());
        assert_eq!(rig.journal.lines.len(), 2, "intent and outcome");
    }
}

#[test]
fn only_what_is_read_as_a_whole_is_kept_as_a_whole() {
    for (tag, bytes) in [(b'Q', 16 << 20), (b'B', 64 << 20), (b'S', 1 << 20), (b'd', 0), (b'z', 0)]
    {
        assert_eq!(client_message_bytes_max(tag), bytes, "{}", char::from(tag));
    }
}
