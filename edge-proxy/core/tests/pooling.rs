//! Sessions that share connections: when one is taken, when it is given back, and that nothing of one session is met by
//! another in it.

mod support;

use support::*;
use writ_edge_core::gate::SessionNames;
use writ_edge_core::{ApprovalNews, Backend, Effect};
use writ_model::DurationMs;

const PARSED: &[u8] = b"1\0\0\0\x04";
const BOUND: &[u8] = b"2\0\0\0\x04";
const CLOSED: &[u8] = b"3\0\0\0\x04";

fn attached(backend: Backend) -> Rig {
    let mut rig = Rig::pooled();
    rig.session.attach(backend, &SessionNames::default(), "UTF8");
    rig
}

fn close(name: &str) -> Vec<u8> {
    frame(b'C', format!("S{name}\0").as_bytes())
}

fn describe(name: &str) -> Vec<u8> {
    frame(b'D', format!("S{name}\0").as_bytes())
}

/// A connection in which a session prepared `text` under `name`, and which it gave back.
fn backend_with(name: &str, text: &str) -> Backend {
    let mut rig = attached(Backend::default());
    rig.client(&[parse(name, text), sync()].concat());
    rig.server(&[PARSED, &ready(b'I')].concat());
    rig.session.detach().expect("nothing is left in it")
}

#[test]
fn a_connection_is_asked_for_once_and_nothing_goes_before_it_is_there() {
    let mut rig = Rig::pooled();
    assert!(rig.effects().is_empty());
    rig.client(&query("select 1"));
    assert_eq!(rig.effects(), [Effect::Acquire]);
    rig.client(&query("select 2"));
    assert_eq!(rig.effects(), []);
    assert_eq!((rig.to_server(), rig.journal.lines.len()), (vec![], 0));
    rig.with(|session, _| session.attach(Backend::default(), &SessionNames::default(), "UTF8"));
    assert_eq!(rig.to_server(), query("select 1"));
    assert!(!rig.session.is_at_rest());
    rig.server(&[complete("SELECT 1"), ready(b'I')].concat());
    assert_eq!(rig.to_server(), query("select 2"));
    rig.server(&[complete("SELECT 1"), ready(b'I')].concat());
    assert!(rig.session.detach().is_some());
    rig.client(&query("select 3"));
    assert_eq!(rig.effects(), [Effect::Acquire]);
}

#[test]
fn half_a_message_takes_no_connection() {
    let mut rig = Rig::pooled();
    let whole = query("select 1");
    rig.client(&whole[..whole.len() - 1]);
    assert!(rig.effects().is_empty());
    rig.client(&whole[whole.len() - 1..]);
    assert_eq!(rig.effects(), [Effect::Acquire]);
}

#[test]
fn a_connection_is_kept_while_anything_in_it_is_the_sessions() {
    let mut rig = attached(Backend::default());
    rig.client(&query("begin"));
    rig.server(&[complete("BEGIN"), ready(b'T')].concat());
    assert!(rig.session.detach().is_none(), "a transaction");
    rig.client(&query("commit"));
    rig.server(&complete("COMMIT"));
    assert!(rig.session.detach().is_none(), "an answer is due");
    rig.server(&ready(b'I'));
    assert!(rig.session.is_at_rest());
    rig.client(&parse("", "select 1"));
    assert!(rig.session.detach().is_none(), "a series");
    rig.client(&sync());
    rig.server(&[PARSED, &ready(b'I')].concat());
    assert!(rig.session.detach().is_some());
}

#[test]
fn what_a_statement_leaves_behind_pins_the_connection() {
    for (text, tag) in [("set search_path", "SET"), ("prepare p select", "PREPARE")] {
        let mut rig = attached(Backend::default());
        rig.client(&query(text));
        rig.server(&[complete(tag), ready(b'I')].concat());
        assert!(rig.session.pinned().is_some(), "{text}");
        assert!(rig.session.detach().is_none(), "{text}");
    }
    let mut rig = attached(Backend::default());
    rig.client(&query("select 1"));
    let status = frame(b'S', b"search_path\0other\0");
    rig.server(&[status, complete("SELECT 1"), ready(b'I')].concat());
    assert!(rig.session.detach().is_none(), "the server says that names changed");
}

#[test]
fn what_waits_for_approvers_has_no_connection() {
    let mut rig = attached(Backend::default());
    rig.client(&query("hold delete"));
    assert!(matches!(rig.effects()[..], [Effect::RequestApproval(_)]));
    assert!(rig.session.detach().is_some(), "given to others while it waits");
    let id: writ_model::ApprovalId = "a-1".parse().expect("id");
    let pending = ApprovalNews::Pending { id, expires: DurationMs(1_000) };
    rig.with(|session, cx| session.on_approval(1, pending, cx));
    assert_eq!(rig.effects(), []);
    rig.with(|session, cx| session.on_approval(1, ApprovalNews::Granted, cx));
    assert_eq!(rig.effects(), [Effect::Acquire], "before the grant is used");
    rig.with(|session, _| session.attach(Backend::default(), &SessionNames::default(), "UTF8"));
    assert!(matches!(rig.effects()[..], [Effect::UseGrant { .. }]));
    assert!(!rig.session.is_at_rest());
    rig.with(|session, cx| session.on_approval(1, ApprovalNews::Used, cx));
    rig.durable();
    assert_eq!(rig.to_server(), query("hold delete"));
}

#[test]
fn a_statement_is_prepared_again_in_a_connection_that_lacks_it() {
    let mut rig = attached(Backend::default());
    rig.client(&[parse("s", "select 1"), sync()].concat());
    rig.server(&[PARSED, &ready(b'I')].concat());
    rig.session.detach().expect("at rest");
    rig.to_server();
    rig.to_client();
    rig.session.attach(Backend::default(), &SessionNames::default(), "UTF8");
    let run = [bind("", "s"), execute(""), sync()].concat();
    rig.client(&run);
    assert_eq!(rig.to_server(), [close("s"), parse("s", "select 1"), run.clone()].concat());
    let done = [BOUND, &complete("SELECT 1"), &ready(b'I')].concat();
    rig.server(&[CLOSED, PARSED, &done].concat());
    assert_eq!(rig.to_client(), done, "what was prepared again is not the client's to see");
    // The connection has it now.
    rig.client(&run);
    assert_eq!(rig.to_server(), run);
}

#[test]
fn a_name_that_another_session_used_is_made_free() {
    let mut rig = attached(backend_with("s", "select 1"));
    let prepare = parse("s", "select 2");
    rig.client(&[prepare.clone(), sync()].concat());
    assert_eq!(rig.to_server(), [close("s"), prepare, sync()].concat());
    rig.server(&[CLOSED, PARSED, &ready(b'I')].concat());
    assert_eq!(rig.to_client(), [PARSED, &ready(b'I')].concat());
    rig.client(&query("prepare s select"));
    rig.server(&[complete("PREPARE"), ready(b'I')].concat());
    let mut rig = attached(backend_with("s", "select 1"));
    rig.client(&query("prepare s select"));
    assert_eq!(rig.to_server(), [close("s"), query("prepare s select")].concat());
}

#[test]
fn what_another_session_prepared_is_met_by_nobody() {
    for (message, what) in [(bind("", "s"), "Bind"), (describe("s"), "Describe")] {
        let mut rig = attached(backend_with("s", "select 1"));
        rig.client(&[message, sync()].concat());
        let sent = rig.to_server();
        assert_eq!(tags(&sent), "PS", "{what} is refused in its place");
        rig.server(&[error("42601"), ready(b'I')].concat());
        assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("26000"), "{what}");
    }
    // EXECUTE by its name in SQL is decided as something unknown.
    let mut rig = attached(backend_with("s", "select 1"));
    rig.client(&query("execute s"));
    assert_eq!(rig.to_server(), query("writ_refused"));
}

#[test]
fn execute_in_sql_runs_nothing_that_the_connection_has_of_others() {
    let mut rig = attached(Backend::default());
    rig.client(&[parse("s", "select 1"), sync()].concat());
    rig.server(&[PARSED, &ready(b'I')].concat());
    rig.session.detach().expect("at rest");
    rig.to_server();
    rig.session.attach(backend_with("s", "select 2"), &SessionNames::default(), "UTF8");
    rig.client(&query("execute s"));
    assert_eq!(rig.to_server(), query("writ_refused"));
}

#[test]
fn what_the_connection_has_already_is_not_parsed_again() {
    let mut rig = attached(backend_with("s", "select 1"));
    rig.client(&[parse("s", "select 1"), bind("", "s"), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "CBS");
    rig.server(&[CLOSED, BOUND, &ready(b'I')].concat());
    assert_eq!(rig.to_client(), [PARSED, BOUND, &ready(b'I')].concat());
    // A second statement of the name is the error that it is.
    rig.client(&[parse("s", "select 1"), sync()].concat());
    rig.server(&[error("42601"), ready(b'I')].concat());
    assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("42P05"));
}

#[test]
fn after_an_error_nothing_is_taken_for_prepared() {
    let mut rig = attached(Backend::default());
    rig.client(&[parse("s", "select 1"), sync()].concat());
    rig.server(&[PARSED, &ready(b'I')].concat());
    rig.client(&[parse("t", "select broken"), sync()].concat());
    rig.server(&[error("42601"), ready(b'I')].concat());
    rig.to_server();
    rig.client(&[bind("", "s"), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "CPBS");
}

#[test]
fn names_are_those_of_the_connection() {
    let mut rig = Rig::pooled();
    let other = SessionNames { search_path: vec!["other".into()], ..SessionNames::default() };
    rig.session.attach(Backend::default(), &other, "UTF8");
    assert_eq!(rig.session.gate_mut().names, other);
}

#[test]
fn a_connection_of_a_session_that_broke_off_is_nobodys() {
    for sent in [query("select 1"), query("begin"), [parse("", "select 1"), sync()].concat()] {
        let mut rig = attached(Backend::default());
        rig.client(&sent);
        rig.with(|session, cx| session.on_client_closed(cx));
        assert!(rig.session.detach().is_none(), "its answers would be the next one's");
    }
    // Control: one that said goodbye when all was answered.
    let mut rig = attached(Backend::default());
    rig.client(&query("select 1"));
    rig.server(&[complete("SELECT 1"), ready(b'I')].concat());
    rig.client(&frame(b'X', b""));
    assert!(rig.session.detach().is_some());
}

#[test]
fn what_an_earlier_series_may_not_have_prepared_is_waited_for() {
    let mut rig = attached(backend_with("s", "select 2"));
    rig.client(&[parse("x", "broken"), parse("s", "select 1"), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PCPS");
    let run = [bind("", "s"), execute(""), sync()].concat();
    rig.client(&run);
    assert_eq!(tags(&rig.to_server()), "", "not before it is known what s is");
    rig.server(&[error("42601"), ready(b'I')].concat());
    // The server has the other session's statement still, and this session has none.
    // Bind and Execute are refused, each in its place.
    assert_eq!(tags(&rig.to_server()), "PPS");
}

#[test]
fn sql_prepare_of_a_name_that_is_taken_opens_nothing() {
    let mut rig = attached(Backend::default());
    rig.client(&[parse("p", "hold"), sync()].concat());
    rig.server(&[PARSED, &ready(b'I')].concat());
    rig.client(&query("prepare p select"));
    rig.server(&[error("42P05"), ready(b'I')].concat());
    rig.to_server();
    rig.client(&query("execute p"));
    assert!(
        !rig.to_server().windows(9).any(|bytes| bytes == b"execute p"),
        "it may be the held one"
    );
}

#[test]
fn a_query_drops_the_unnamed_statement() {
    let mut rig = attached(Backend::default());
    rig.client(&[parse("", "select 1"), sync()].concat());
    rig.server(&[PARSED, &ready(b'I')].concat());
    rig.client(&query("select 2"));
    rig.server(&[complete("SELECT 1"), ready(b'I')].concat());
    rig.to_server();
    rig.client(&[bind("", ""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "CPBS");
}
