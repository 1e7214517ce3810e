//! Statements a second, and messages for which there is no room.

mod support;

use std::sync::Arc;

use support::*;
use writ_edge_core::Effect;
use writ_edge_core::rate::{DELAY_MAX_US, Rate};
use writ_edge_core::session::CONTROL_BYTES_MAX;
use writ_model::Timestamp;

const SECOND_US: i64 = 1_000_000;

fn limited(rate: &Arc<Rate>) -> Rig {
    let mut rig = Rig::new();
    rig.now = Timestamp(1_800_000_000 * SECOND_US);
    rig.session.set_rate(Some(Arc::clone(rate)));
    rig
}

fn wakes(rig: &mut Rig) -> Vec<(i64, bool)> {
    let now = rig.now.0;
    let wake = |effect| match effect {
        Effect::Wake { at, refused } => (at.0 - now, refused),
        other => panic!("{other:?}"),
    };
    rig.effects().into_iter().map(wake).collect()
}

/// The time is so much later, and the session is told.
fn later(rig: &mut Rig, us: i64) {
    rig.now = Timestamp(rig.now.0 + us);
    rig.with(|session, _| session.on_wake());
}

fn answered(rig: &mut Rig) {
    rig.server(&[complete("SELECT 1"), ready(b'I')].concat());
}

#[test]
fn a_statement_waits_for_its_turn() {
    let mut rig = limited(&Arc::new(Rate::new(2)));
    for text in ["select 1", "select 2"] {
        rig.client(&query(text));
        assert_eq!(rig.to_server(), query(text), "saved up");
        answered(&mut rig);
    }
    rig.client(&query("select 3"));
    assert_eq!(wakes(&mut rig), [(SECOND_US / 2, false)]);
    rig.client(&query("select 4"));
    assert_eq!(rig.effects(), [], "one at a time");
    later(&mut rig, SECOND_US / 2 - 1);
    assert_eq!(rig.to_server(), b"", "E1: not a byte of it before its turn");
    assert_eq!(wakes(&mut rig), [(1, false)], "woken too early, it asks again");
    assert_eq!(rig.journal.lines.len(), 4, "nothing of it is recorded yet");
    later(&mut rig, 1);
    assert_eq!(rig.to_server(), query("select 3"));
    answered(&mut rig);
    assert_eq!(wakes(&mut rig), [(SECOND_US / 2, false)]);
    assert_eq!(rig.to_server(), b"");
    later(&mut rig, SECOND_US / 2);
    assert_eq!(rig.to_server(), query("select 4"));
}

#[test]
fn without_a_rate_nothing_waits() {
    let mut rig = Rig::new();
    for _ in 0..1_000 {
        rig.client(&query("select 1"));
        assert_eq!(rig.to_server(), query("select 1"));
        answered(&mut rig);
    }
    assert_eq!(rig.effects(), []);
}

#[test]
fn what_has_no_turn_within_the_delay_is_refused_after_it() {
    let rate = Arc::new(Rate::new(1));
    // One is saved up, and five hold the places of the next 5 s.
    let mut others: Vec<Rig> = (0..6).map(|_| limited(&rate)).collect();
    for (at, other) in others.iter_mut().enumerate() {
        other.client(&query("select 1"));
        let waits: Vec<_> =
            (at > 0).then_some((at as i64 * SECOND_US, false)).into_iter().collect();
        assert_eq!(wakes(other), waits);
    }
    let mut rig = limited(&rate);
    rig.client(&query("select 2"));
    assert_eq!(wakes(&mut rig), [(DELAY_MAX_US, true)]);
    assert_eq!(rig.to_server(), b"");
    later(&mut rig, DELAY_MAX_US);
    assert_eq!(rig.to_server(), query("writ_refused"), "E4: the server refuses");
    rig.server(&[error("42601"), ready(b'I')].concat());
    let told = rig.to_client();
    assert_eq!(field(&told, b'C').as_deref(), Some("53400"));
    assert!(field(&told, b'M').expect("a message").contains("1 statements a second"));
    assert!(rig.journal.lines[0].ends_with("withheld"), "{:?}", rig.journal.lines);
    // The bucket has one again by then: the session goes on.
    rig.client(&query("select 3"));
    later(&mut rig, SECOND_US);
    assert_eq!(rig.to_server(), query("select 3"));
}

#[test]
fn a_refused_execute_fails_its_pipeline_up_to_sync() {
    let rate = Arc::new(Rate::new(1));
    let mut rig = limited(&rate);
    rig.client(&[parse("a", "select 1"), sync()].concat());
    rig.to_server();
    rig.server(&[frame(b'1', b""), ready(b'I')].concat());
    // What was counted at its Parse is free at its Execute, once.
    rig.client(&[bind("", "a"), execute(""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "BES");
    rig.server(&[frame(b'2', b""), complete("SELECT 1"), ready(b'I')].concat());
    rig.to_client();
    while rate.take(rig.now) != writ_edge_core::rate::Turn::TooLate {}
    rig.client(&[bind("", "a"), execute(""), execute(""), sync(), query("select 2")].concat());
    assert_eq!(tags(&rig.to_server()), "B");
    assert_eq!(wakes(&mut rig), [(DELAY_MAX_US, true)]);
    later(&mut rig, DELAY_MAX_US);
    assert_eq!(tags(&rig.to_server()), "P", "E4: the server refuses");
    rig.server(&[frame(b'2', b""), error("42601")].concat());
    assert_eq!(tags(&rig.to_server()), "S", "and the second one is skipped");
    rig.server(&ready(b'I'));
    assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("53400"));
    // The place of the one that was skipped stays empty.
    later(&mut rig, 2 * SECOND_US);
    assert_eq!(rig.to_server(), query("select 2"), "the session goes on");
}

#[test]
fn a_message_for_which_there_is_no_room_is_refused_unread() {
    let large = query(&format!("select {}", "x".repeat(2 * CONTROL_BYTES_MAX)));
    let mut rig = Rig::new();
    rig.session.set_message_room(0);
    for piece in large.chunks(1 << 16) {
        rig.client(piece);
    }
    assert_eq!(rig.to_server(), query("writ_refused"));
    assert!(rig.waiting().is_empty(), "nothing of it is kept");
    rig.server(&[error("42601"), ready(b'I')].concat());
    assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("53200"));
    // Small ones still go, and a large one that is there already takes no more room.
    rig.client(&query("select 1"));
    assert_eq!(rig.to_server(), query("select 1"));
    answered(&mut rig);
    rig.client(&large);
    assert_eq!(rig.to_server(), large);
    answered(&mut rig);
    rig.session.set_message_room(usize::MAX);
    for piece in large.chunks(1 << 16) {
        rig.client(piece);
    }
    assert_eq!(rig.to_server(), large, "control: room again");
}
