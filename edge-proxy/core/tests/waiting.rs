//! Messages that wait for a connection that sessions share, and get none.

mod support;

use support::*;
use writ_edge_core::gate::SessionNames;
use writ_edge_core::{ApprovalNews, Backend, Effect, EndReason};
use writ_model::{DurationMs, sqlstate};

/// What the client's message waits for is not there.
fn waiting(message: &[u8]) -> Rig {
    let mut rig = Rig::pooled();
    rig.client(message);
    assert_eq!(rig.effects(), [Effect::Acquire]);
    rig
}

fn cancel(rig: &mut Rig) {
    rig.with(|session, cx| assert!(!session.on_cancel(cx), "there is no server to ask"));
}

#[test]
fn a_cancel_ends_the_wait_for_a_connection() {
    let mut rig = waiting(&query("select 1"));
    cancel(&mut rig);
    assert_eq!(rig.effects(), [Effect::StopAcquiring]);
    let answer = rig.to_client();
    assert_eq!((tags(&answer).as_str(), answer.last()), ("EZ", Some(&b'I')));
    assert_eq!(field(&answer, b'C').as_deref(), Some("57014"));
    assert_eq!(rig.journal.lines, ["intent s-1 withheld", "outcome s-1 57014 0"]);
    // It goes on, at the end of the line.
    rig.client(&query("select 2"));
    assert_eq!(rig.effects(), [Effect::Acquire]);
    rig.session.attach(Backend::default(), &SessionNames::default(), "UTF8");
    rig.with(|_, _| {});
    assert_eq!(rig.to_server(), query("select 2"), "nothing of what was cancelled");
    // Control: nothing waits any more, and what runs is the server's to cancel.
    rig.with(|session, cx| assert!(session.on_cancel(cx)));
}

#[test]
fn a_cancelled_series_that_waited_is_ignored_up_to_its_sync() {
    let series = [parse("", "select 1"), bind("", ""), execute("")].concat();
    let mut rig = waiting(&series);
    cancel(&mut rig);
    assert_eq!(tags(&rig.to_client()), "E");
    assert_eq!(rig.effects(), [Effect::StopAcquiring]);
    rig.client(&[parse("s", "select 9"), sync()].concat());
    assert_eq!(tags(&rig.to_client()), "Z");
    assert_eq!((rig.effects(), rig.to_server()), (vec![], vec![]));
    assert_eq!(rig.journal.lines, ["intent s-1 withheld", "outcome s-1 57014 0"]);
    // Nothing of it was prepared.
    rig.client(&[bind("", "s"), sync()].concat());
    rig.session.attach(Backend::default(), &SessionNames::default(), "UTF8");
    rig.with(|_, _| {});
    assert_eq!(tags(&rig.to_server()), "PS", "refused");
}

#[test]
fn a_cancelled_wait_says_what_did_not_run() {
    for (message, answer, records) in [
        (parse("s", "select 1"), "E", 1),
        (bind("", "s"), "E", 1),
        (describe("s"), "E", 0),
        (sync(), "Z", 0),
        (frame(b'F', &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), "EZ", 1),
    ] {
        let mut rig = waiting(&message);
        cancel(&mut rig);
        assert_eq!(tags(&rig.to_client()), answer);
        assert_eq!(rig.journal.lines.len(), 2 * records, "{:?}", rig.journal.lines);
        assert!(rig.waiting().is_empty() && rig.to_server().is_empty());
    }
    // One that is not even read.
    let mut header = vec![b'Q'];
    header.extend((100_u32 << 20).to_be_bytes());
    let mut rig = waiting(&header);
    cancel(&mut rig);
    assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("57014"));
    assert_eq!(rig.journal.lines.len(), 2);
}

#[test]
fn what_waited_for_approvers_is_cancelled_without_a_connection() {
    let mut rig = attached(Backend::default());
    rig.client(&query("hold delete"));
    rig.session.detach().expect("given to others while it waits");
    rig.effects();
    cancel(&mut rig);
    assert!(matches!(rig.effects()[..], [Effect::CancelApproval { .. }]));
    assert_eq!(tags(&rig.to_client()), "EZ");
    assert_eq!(rig.journal.lines, ["intent s-1 withheld", "outcome s-1 57014 0"]);
    // Approved, and waiting for a connection.
    rig.client(&query("hold delete"));
    rig.session.attach(Backend::default(), &SessionNames::default(), "UTF8");
    rig.with(|_, _| {});
    rig.session.detach().expect("given to others while it waits");
    let id: writ_model::ApprovalId = "a-2".parse().expect("id");
    let pending = ApprovalNews::Pending { id, expires: DurationMs(1_000) };
    rig.with(|session, cx| session.on_approval(2, pending, cx));
    rig.with(|session, cx| session.on_approval(2, ApprovalNews::Granted, cx));
    assert!(rig.effects().ends_with(&[Effect::Acquire]));
    rig.to_client();
    cancel(&mut rig);
    assert!(rig.effects().contains(&Effect::StopAcquiring));
    assert_eq!(tags(&rig.to_client()), "EZ");
    assert_eq!(rig.journal.lines.len(), 4, "{:?}", rig.journal.lines);
    assert!(rig.to_server().is_empty(), "C4: and its grant was not used");
}

#[test]
fn what_waits_when_its_session_ends_has_its_record() {
    type End = fn(&mut Rig);
    let gone: End = |rig| {
        rig.with(|session, cx| session.on_client_eof(cx));
    };
    let killed: End = |rig| {
        let (code, reason) = (sqlstate::ADMIN_SHUTDOWN, EndReason::Killed);
        rig.with(|session, cx| session.end_with(code, "ended by ada", reason, cx));
    };
    for (end, code) in [(gone, "08006"), (killed, "57P01")] {
        let mut rig = waiting(&query("select 1"));
        end(&mut rig);
        let input = rig.waiting().to_vec();
        rig.with(|session, cx| session.note_unrun(&input, cx));
        assert_eq!(rig.journal.lines, ["intent s-1 withheld", &format!("outcome s-1 {code} 0")]);
        rig.with(|session, cx| session.note_unrun(&input, cx));
        assert_eq!(rig.journal.lines.len(), 2, "once");
    }
    // Control: nothing waits.
    let mut rig = Rig::pooled();
    gone(&mut rig);
    rig.with(|session, cx| session.note_unrun(&query("select 1"), cx));
    assert!(rig.journal.lines.is_empty());
}
