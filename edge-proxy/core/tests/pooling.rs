//! Sessions that share connections: when one is taken, when it is given back, and that nothing of one session is met by
//! another in it.

mod support;

use support::*;
use writ_edge_core::gate::SessionNames;
use writ_edge_core::session::BACKEND_STATEMENTS_MAX;
use writ_edge_core::{ApprovalNews, Backend, Effect};
use writ_model::DurationMs;

fn close(name: &str) -> Vec<u8> {
    frame(b'C', format!("S{name}\0").as_bytes())
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
        // In the server's words, by which drivers prepare again, and nothing more.
        let told = rig.to_client();
        assert_eq!(field(&told, b'C').as_deref(), Some("26000"), "{what}");
        let words = field(&told, b'M');
        assert_eq!(words.as_deref(), Some("prepared statement \"s\" does not exist"), "{what}");
        assert_eq!((field(&told, b'D'), field(&told, b'H')), (None, None), "{what}");
        assert_eq!(field(&told, b'R').as_deref(), Some("FetchPreparedStatement"), "{what}");
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
    assert_eq!(tags(&rig.to_server()), "PS");
    rig.server(&[error("42P05"), ready(b'I')].concat());
    assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("42P05"));
}

#[test]
fn what_an_error_made_the_server_ignore_is_not_taken_for_done() {
    let mut rig = attached(Backend::default());
    for name in ["s", "t"] {
        rig.client(&[parse(name, "select 1"), sync()].concat());
        rig.server(&[PARSED, &ready(b'I')].concat());
    }
    rig.client(&[parse("u", "select broken"), close("s"), sync()].concat());
    rig.server(&[error("42601"), ready(b'I')].concat());
    rig.to_server();
    rig.client(&[bind("", "s"), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "CPBS", "its Close may have been done or not");
    rig.server(&[CLOSED, PARSED, BOUND, &ready(b'I')].concat());
    rig.client(&[bind("", "t"), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "BS", "control: nothing of it was ignored");
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
    for text in ["select 2", "deny 2", "update 3"] {
        let mut rig = attached(Backend::default());
        rig.session.gate_mut().limits.rows_affected_max = Some(9);
        rig.client(&[parse("", "select 1"), sync()].concat());
        rig.server(&[PARSED, &ready(b'I')].concat());
        rig.client(&query(text));
        match text {
            // What it changes is counted in a transaction of the edge's own.
            "update 3" => {
                rig.server(&[complete("BEGIN"), ready(b'T')].concat());
                rig.server(&[complete("UPDATE 1"), ready(b'T')].concat());
                rig.server(&[complete("COMMIT"), ready(b'I')].concat());
            }
            _ => drop(rig.server(&[error("42601"), ready(b'I')].concat())),
        }
        rig.to_client();
        rig.client(&[bind("", ""), sync()].concat());
        rig.server(&[error("42601"), ready(b'I')].concat());
        let told = rig.to_client();
        assert_eq!(field(&told, b'C').as_deref(), Some("26000"), "{text}");
        let words = field(&told, b'M');
        assert_eq!(words.as_deref(), Some("unnamed prepared statement does not exist"), "{text}");
        let backend = rig.session.detach().expect("nothing is left in it");
        // Nor does the connection have it for anyone else.
        let mut other = Rig::pooled();
        other.session.attach(Backend::default(), &SessionNames::default(), "UTF8");
        other.client(&[parse("", "select 1"), sync()].concat());
        other.server(&[PARSED, &ready(b'I')].concat());
        other.session.detach().expect("nothing is left in it");
        other.to_server();
        other.session.attach(backend, &SessionNames::default(), "UTF8");
        other.client(&[bind("", ""), sync()].concat());
        assert_eq!(tags(&other.to_server()), "CPBS", "{text}");
    }
}

#[test]
fn a_series_that_begins_before_a_query_is_answered_is_the_sessions() {
    let mut rig = attached(Backend::default());
    let update = [parse("", "update 1"), bind("", ""), execute(""), frame(b'H', b"")].concat();
    rig.client(&[query("select 1"), update].concat());
    rig.server(&[complete("SELECT 1"), ready(b'I')].concat());
    rig.server(&[PARSED, BOUND, &complete("UPDATE 1")].concat());
    assert!(rig.session.detach().is_none(), "what it changed is not committed");
    rig.client(&sync());
    rig.server(&ready(b'I'));
    assert!(rig.session.detach().is_some(), "control");
}

#[test]
fn a_second_statement_of_a_name_is_the_servers_to_refuse() {
    // Wherever the first one was prepared.
    for (elsewhere, sent) in [(false, "PS"), (true, "CPPS")] {
        let mut rig = attached(Backend::default());
        rig.client(&[parse("s", "select 1"), sync()].concat());
        rig.server(&[PARSED, &ready(b'I')].concat());
        if elsewhere {
            rig.session.detach().expect("at rest");
            rig.session.attach(Backend::default(), &SessionNames::default(), "UTF8");
        }
        (rig.to_server(), rig.to_client());
        rig.client(&[parse("s", "select 2"), sync()].concat());
        assert_eq!(tags(&rig.to_server()), sent);
        let renewed = if elsewhere { [CLOSED, PARSED].concat() } else { vec![] };
        rig.server(&[&renewed[..], &error("42P05"), &ready(b'I')].concat());
        assert_eq!(tags(&rig.to_client()), "EZ");
        rig.client(&[bind("", "s"), sync()].concat());
        assert!(rig.to_server().windows(8).any(|bytes| bytes == b"select 1"), "it is what it was");
    }
}

#[test]
fn in_a_failed_transaction_the_server_itself_refuses_what_the_connection_has() {
    let series = [parse("", "error"), bind("", ""), execute(""), sync()].concat();
    let of_series = [PARSED, BOUND, &error("22012"), &ready(b'E')].concat();
    let of_query = [error("22012"), ready(b'E')].concat();
    for (fails, failed) in [(series, of_series), (query("error"), of_query)] {
        // Known before its answer, or not yet.
        for pipelined in [false, true] {
            let mut rig = attached(backend_with("s", "select 1"));
            rig.client(&query("begin"));
            rig.server(&[complete("BEGIN"), ready(b'T')].concat());
            rig.client(&fails);
            if !pipelined {
                rig.server(&failed);
            }
            rig.to_server();
            rig.client(&[parse("s", "select 1"), sync()].concat());
            assert_eq!(tags(&rig.to_server()), "CPS", "{} pipelined: {pipelined}", tags(&fails));
        }
    }
}

#[test]
fn nothing_that_may_fail_goes_before_a_parse_of_a_taken_name() {
    // What the session prepared is in another connection, or in doubt since a Close of it was ignored.
    for elsewhere in [true, false] {
        let mut rig = attached(Backend::default());
        rig.client(&[parse("s", "select 1"), sync()].concat());
        rig.server(&[PARSED, &ready(b'I')].concat());
        if elsewhere {
            rig.session.detach().expect("at rest");
            rig.session.attach(Backend::default(), &SessionNames::default(), "UTF8");
        }
        rig.client(&query("begin"));
        rig.server(&[complete("BEGIN"), ready(b'T')].concat());
        let ignored = if elsewhere { vec![] } else { close("s") };
        rig.client(&[parse("", "error"), ignored, sync()].concat());
        rig.server(&[error("42601"), ready(b'E')].concat());
        (rig.to_server(), rig.to_client());
        rig.client(&[parse("s", "rollback"), sync()].concat());
        let taken = [close("s"), parse("s", ""), parse("s", "rollback"), sync()].concat();
        assert_eq!(rig.to_server(), taken, "elsewhere: {elsewhere}");
        let refused = [error("42P05"), ready(b'E')].concat();
        rig.server(&[&[CLOSED, PARSED].concat()[..], &refused].concat());
        assert_eq!(rig.to_client(), refused, "elsewhere: {elsewhere}");
        rig.client(&[bind("", "s"), sync()].concat());
        let again = [close("s"), parse("s", "select 1"), bind("", "s"), sync()].concat();
        assert_eq!(rig.to_server(), again, "it is what it was, elsewhere: {elsewhere}");
    }
}

#[test]
fn what_a_failed_parse_dropped_is_not_prepared_again() {
    let mut rig = attached(Backend::default());
    rig.client(&[parse("", "select 1"), sync()].concat());
    rig.server(&[PARSED, &ready(b'I')].concat());
    rig.client(&[parse("", "syntax"), sync()].concat());
    rig.server(&[error("42601"), ready(b'I')].concat());
    (rig.to_server(), rig.to_client());
    rig.client(&[bind("", ""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PS", "there is none");
    rig.server(&[error("42601"), ready(b'I')].concat());
    assert!(rig.to_client().windows(5).any(|bytes| bytes == b"26000"));
}

#[test]
fn what_is_described_is_prepared_again_only_where_it_is_still_allowed() {
    for (refuses, sent) in [(false, "CPDS"), (true, "PS")] {
        let mut rig = attached(Backend::default());
        rig.client(&[parse("s", "select 1"), sync()].concat());
        rig.server(&[PARSED, &ready(b'I')].concat());
        rig.session.detach().expect("at rest");
        rig.to_server();
        let gate = rig.session.gate_mut();
        (gate.epoch, gate.refuses_all) = (2, refuses);
        rig.session.attach(Backend::default(), &SessionNames::default(), "UTF8");
        rig.client(&[describe("s"), sync()].concat());
        assert_eq!(tags(&rig.to_server()), sent, "E1, refused: {refuses}");
    }
}

/// A session with a statement `p` in another connection sends SQL's PREPARE of that name.
fn prepares_by_sql_what_it_has() -> Rig {
    let mut rig = attached(Backend::default());
    rig.client(&[parse("p", "select 1"), sync()].concat());
    rig.server(&[PARSED, &ready(b'I')].concat());
    rig.session.detach().expect("at rest");
    (rig.to_server(), rig.to_client());
    rig.session.attach(Backend::default(), &SessionNames::default(), "UTF8");
    rig.client(&query("prepare p select"));
    rig
}

#[test]
fn sql_prepare_of_what_the_session_has_elsewhere_finds_the_name_taken() {
    let mut rig = prepares_by_sql_what_it_has();
    let nothing = parse("p", "");
    assert_eq!(rig.to_server(), [close("p"), nothing, query("prepare p select")].concat());
    rig.server(&[CLOSED, PARSED, &error("42P05"), &ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "EZ");
}

#[test]
fn a_query_behind_an_error_of_our_own_is_answered() {
    let mut rig = prepares_by_sql_what_it_has();
    rig.to_server();
    // A late cancel request, which the server's client had sent for something else.
    rig.server(&[CLOSED, &error("57014")].concat());
    assert_eq!(
        rig.to_server(),
        sync(),
        "the server ignores the Query, and its client sends no Sync"
    );
    rig.server(&ready(b'I'));
    assert_eq!(tags(&rig.to_client()), "EZ");
    assert!(!rig.session.is_running());
}

#[test]
fn a_message_over_the_limit_waits_for_a_connection_as_others_do() {
    let mut rig = Rig::pooled();
    let mut header = vec![b'Q'];
    header.extend((100_u32 << 20).to_be_bytes());
    rig.client(&header);
    assert_eq!((rig.effects(), rig.to_server()), (vec![Effect::Acquire], vec![]));
    rig.with(|session, _| session.attach(Backend::default(), &SessionNames::default(), "UTF8"));
    assert_eq!(rig.to_server(), query("writ_refused"));
}

#[test]
fn a_connection_with_too_many_names_is_worn() {
    let mut backend = Backend::default();
    let mut names = 0;
    while !backend.is_worn() {
        let mut rig = attached(backend);
        for _ in 0..100 {
            names += 1;
            rig.client(&[parse(&format!("s{names}"), "select 1"), sync()].concat());
            rig.server(&[PARSED, &ready(b'I')].concat());
        }
        backend = rig.session.detach().expect("at rest");
        assert!(names <= BACKEND_STATEMENTS_MAX + 100, "{names} names");
    }
    assert!(names > BACKEND_STATEMENTS_MAX, "control: not before");
}

/// A session with a statement `s` that its connection lacks.
fn prepared_elsewhere(backend: Backend) -> Rig {
    let mut rig = attached(Backend::default());
    rig.client(&[parse("s", "select 1"), sync()].concat());
    rig.server(&[PARSED, &ready(b'I')].concat());
    rig.session.detach().expect("at rest");
    (rig.to_server(), rig.to_client());
    rig.session.attach(backend, &SessionNames::default(), "UTF8");
    rig
}

#[test]
fn deallocate_of_what_another_connection_has_finds_something() {
    for backend in [Backend::default(), backend_with("s", "select 2")] {
        let mut rig = prepared_elsewhere(backend);
        rig.client(&query("deallocate s"));
        assert_eq!(rig.to_server(), [close("s"), parse("s", ""), query("deallocate s")].concat());
        rig.server(&[CLOSED, PARSED, &complete("DEALLOCATE"), &ready(b'I')].concat());
        assert_eq!(tags(&rig.to_client()), "CZ");
        rig.client(&[bind("", "s"), sync()].concat());
        assert_eq!(tags(&rig.to_server()), "PS", "it is gone, wherever it was");
        rig.server(&[error("42601"), ready(b'I')].concat());
        assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("26000"));
        assert!(rig.session.detach().is_some(), "nothing of it is left");
    }
    // Control: of a name that the session has not, the server finds nothing, whatever another session left there.
    let mut rig = attached(backend_with("s", "select 1"));
    rig.client(&query("deallocate s"));
    assert_eq!(rig.to_server(), [close("s"), query("deallocate s")].concat());
}

#[test]
fn deallocate_all_drops_what_other_connections_have() {
    let mut rig = prepared_elsewhere(backend_with("t", "select 2"));
    rig.client(&query("deallocate all"));
    assert_eq!(rig.to_server(), query("deallocate all"));
    rig.server(&[complete("DEALLOCATE ALL"), ready(b'I')].concat());
    rig.client(&[bind("", "s"), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PS", "it is gone, wherever it was");
    rig.server(&[error("42601"), ready(b'I')].concat());
    let backend = rig.session.detach().expect("nothing of it is left");
    let mut other = prepared_elsewhere(backend);
    other.client(&[parse("t", "select 2"), sync()].concat());
    assert_eq!(tags(&other.to_server()), "CPS", "E1: what is there now is not known");
}

#[test]
fn a_deallocate_that_failed_drops_nothing() {
    let mut rig = prepared_elsewhere(Backend::default());
    rig.client(&query("deallocate s"));
    rig.server(&[CLOSED, PARSED, &error("57014"), &ready(b'I')].concat());
    (rig.to_server(), rig.to_client());
    rig.client(&[bind("", "s"), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "CPBS", "prepared again, as it was");
}

#[test]
fn what_comes_behind_a_deallocate_waits_for_its_answer() {
    for mut rig in [prepared_elsewhere(Backend::default()), {
        let mut own = Rig::new();
        own.client(&[parse("s", "select 1"), sync()].concat());
        own.server(&[PARSED, &ready(b'I')].concat());
        own.to_server();
        own
    }] {
        let drops = [parse("", "deallocate s"), bind("", ""), execute("")].concat();
        rig.client(&[drops, parse("s", "select 2"), bind("", "s"), sync()].concat());
        let sent = rig.to_server();
        assert!(tags(&sent).ends_with("EH"), "{}", tags(&sent));
        let renewed = tags(&sent).matches('C').count();
        let answers = [PARSED, BOUND, &[CLOSED, PARSED].concat().repeat(renewed)].concat();
        rig.server(&[answers, complete("DEALLOCATE")].concat());
        assert!(rig.to_server().windows(8).any(|bytes| bytes == b"select 2"), "another one");
    }
}

#[test]
fn a_deallocate_waits_for_what_drops_the_name_before_it() {
    let mut rig = prepared_elsewhere(Backend::default());
    let run = |text: &str| [parse("", text), bind("", ""), execute("")].concat();
    rig.client(&[run("deallocate all"), sync(), run("deallocate s"), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PBESPBH", "nothing is made for it to drop");
    let all = [PARSED, BOUND, &complete("DEALLOCATE ALL"), &ready(b'I')].concat();
    rig.server(&[&all[..], PARSED, BOUND].concat());
    assert_eq!(tags(&rig.to_server()), "CES", "the server finds nothing");
}
