//! What operators see of a session, and what becomes of its statement when they end it.

mod support;

use support::*;
use writ_audit::record::{DecisionKind, TextValue};
use writ_audit::{EncodedStatement, StatementProfile};
use writ_edge_core::{Activity, ApprovalNews, Doing, EndReason};
use writ_model::sqlstate::ADMIN_SHUTDOWN;
use writ_model::{DurationMs, Epoch, Timestamp};

fn activity(rig: &mut Rig) -> Activity {
    let mut seen = None;
    rig.with(|session, _| seen = Some(session.activity(10)));
    seen.expect("asked")
}

fn doing(rig: &mut Rig) -> Doing {
    activity(rig).doing
}

#[test]
fn what_a_session_does_is_told_from_moment_to_moment() {
    let mut rig = Rig::new();
    assert_eq!(
        activity(&mut rig),
        Activity { doing: Doing::Idle, statements: 0, text: String::new() }
    );
    rig.client(&query("select 12345"));
    let running = Doing::Running { since: Timestamp(1) };
    let expected = Activity { doing: running, statements: 1, text: "select 123…".into() };
    assert_eq!(activity(&mut rig), expected);
    rig.server(&[complete("SELECT 1"), ready(b'T')].concat());
    assert_eq!(doing(&mut rig), Doing::InTransaction);
    rig.client(&query("oops"));
    rig.server(&[error("42601"), ready(b'E')].concat());
    let failed = activity(&mut rig);
    assert_eq!((failed.doing, failed.text.as_str()), (Doing::FailedTransaction, ""));
}

#[test]
fn what_holds_a_statement_up_is_told() {
    let mut rig = Rig::new();
    rig.client(&query("hold it"));
    assert_eq!(doing(&mut rig), Doing::Held { request: None });
    let id = || "apr-1".parse().expect("id");
    let pending = ApprovalNews::Pending { id: id(), expires: DurationMs(9_000) };
    rig.with(|s, cx| s.on_approval(1, pending, cx));
    let held = activity(&mut rig);
    assert_eq!(held.doing, Doing::Held { request: Some(id()) });
    assert_eq!(held.text, "hold it");
    let mut rig = Rig::new();
    rig.client(&query("strict write"));
    assert_eq!(doing(&mut rig), Doing::Recording);
    let mut rig = Rig::pooled();
    rig.client(&query("select 1"));
    assert_eq!(doing(&mut rig), Doing::WaitingForConnection);
}

#[test]
fn the_values_of_a_bind_are_never_shown() {
    let mut rig = Rig::new();
    let values = frame(b'B', b"\0s\0\0\0\0\x01\0\0\0\x06secret\0\0");
    rig.client(&[parse("s", "select $1"), values, execute(""), sync()].concat());
    let seen = activity(&mut rig);
    assert!(matches!(seen.doing, Doing::Running { .. }), "{seen:?}");
    assert_eq!(seen.text, "select $1");
}

#[test]
fn what_the_record_withholds_is_not_shown_either() {
    let with = |text| {
        EncodedStatement::from(&StatementProfile {
            text,
            kinds: vec![],
            reads: vec![],
            writes: vec![],
            functions: vec![],
            opaque: vec![],
            decision: DecisionKind::Allow,
            rules: vec![],
            reason: String::new(),
            epoch: Epoch(1),
            masked_columns: vec![],
            rewritten: false,
        })
    };
    assert!(!with(TextValue::Redacted).keeps_text());
    assert!(!with(TextValue::Sealed(vec![1])).keeps_text());
    assert!(with(TextValue::Digest { sha256: [0; 32], length: 9 }).keeps_text());
    assert!(with(TextValue::Clear("x".into())).keeps_text(), "control");
}

#[test]
fn a_statement_that_an_operator_ends_is_recorded_with_what_its_client_saw() {
    let ended = |reason, code: &str| {
        let mut rig = Rig::new();
        rig.client(&query("select 1"));
        rig.with(|s, cx| s.end_with(ADMIN_SHUTDOWN, "enough", reason, cx));
        assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("57P01"));
        assert_eq!(rig.journal.lines, ["intent s-1 forwarded", &format!("outcome s-1 {code} 0")]);
    };
    ended(EndReason::Killed, "57P01");
    ended(EndReason::Drained, "57P01");
    ended(EndReason::Revoked, "57P01");
    // Control: whose client went away saw nothing.
    ended(EndReason::ClientGone, "ok");
}
