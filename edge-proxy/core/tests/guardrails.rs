//! Running limits: what the client and the server see where a statement passes one, in every protocol.

mod support;

use support::*;
use writ_edge_core::Effect;
use writ_edge_core::gate::Left;
use writ_model::{HourlyLimit, Limits};

fn rows(max: u64) -> Limits {
    Limits { rows_max: Some(max), ..Limits::default() }
}

fn affected(max: u64) -> Limits {
    Limits { rows_affected_max: Some(max), ..Limits::default() }
}

fn limited(limits: Limits) -> Rig {
    let mut rig = Rig::new();
    rig.with(|s, _| s.gate_mut().limits = limits);
    rig
}

fn data(count: usize) -> Vec<u8> {
    frame(b'D', b"\0\x01\0\0\0\x01x").repeat(count)
}

fn described() -> Vec<u8> {
    frame(b'T', b"\0\0")
}

#[test]
fn a_query_past_its_rows_is_cancelled_and_ends_in_our_error() {
    let mut rig = limited(rows(3));
    rig.client(&query("select all"));
    rig.server(&[described(), data(2)].concat());
    assert_eq!(tags(&rig.to_client()), "TDD");
    rig.server(&data(5));
    assert_eq!(tags(&rig.to_client()), "D", "exactly the limit");
    assert_eq!(rig.effects(), [Effect::CancelUpstream]);
    // More that was under way is dropped, and asked to be cancelled once.
    rig.server(&data(1_000)).server(&[error("57014"), ready(b'I')].concat());
    assert_eq!(rig.effects(), []);
    let seen = rig.to_client();
    assert_eq!(tags(&seen), "EZ");
    assert_eq!(field(&seen, b'C').as_deref(), Some("54000"));
    assert_eq!(field(&seen, b'D').as_deref(), Some("rule=word epoch=1"));
    assert!(field(&seen, b'M').expect("message").contains("more than 3 rows"));
    assert_eq!(rig.journal.lines.last().map(String::as_str), Some("outcome s-1 54000 3"));
}

#[test]
fn within_its_limit_a_query_is_what_it_was() {
    let mut rig = limited(rows(3));
    rig.client(&query("select all"));
    let reply = [described(), data(3), complete("SELECT 3"), ready(b'I')].concat();
    rig.server(&reply);
    assert_eq!(rig.to_client(), reply);
    assert_eq!(rig.effects(), []);
    assert_eq!(rig.to_server(), query("select all"));
}

#[test]
fn nothing_is_forwarded_while_a_cancel_request_may_still_hit_it() {
    let mut rig = limited(rows(1));
    rig.client(&query("select all"));
    let _ = rig.to_server();
    rig.server(&[data(2), error("57014"), ready(b'I')].concat());
    rig.client(&query("select next"));
    assert_eq!(rig.to_server(), b"");
    rig.with(|s, _| s.on_cancel_sent());
    assert_eq!(rig.to_server(), query("select next"));
}

#[test]
fn a_query_that_was_done_before_the_cancel_is_made_to_fail() {
    let mut rig = limited(rows(1));
    rig.client(&query("select all"));
    let _ = rig.to_server();
    // In a transaction of the client's: without the refusal the server would be in no failed state.
    rig.server(&[described(), data(2), complete("SELECT 2"), ready(b'T')].concat());
    assert_eq!(tags(&rig.to_client()), "TD");
    assert_eq!(rig.to_server(), query("writ_refused"));
    rig.server(&[error("42601"), ready(b'E')].concat());
    let seen = rig.to_client();
    assert_eq!(tags(&seen), "EZ");
    assert_eq!(field(&seen, b'C').as_deref(), Some("54000"));
    assert_eq!(seen.last(), Some(&b'E'), "the transaction has failed for both");
}

#[test]
fn later_statements_of_a_text_are_dropped_with_it() {
    let mut rig = limited(rows(1));
    rig.client(&query("select a; select b"));
    let first = [described(), data(2), complete("SELECT 2")].concat();
    let second = [described(), data(1), complete("SELECT 1"), ready(b'I')].concat();
    rig.server(&[first, second].concat());
    assert_eq!(tags(&rig.to_client()), "TD");
    rig.server(&[error("42601"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "EZ");
}

#[test]
fn a_copy_into_the_server_in_a_text_that_was_cut_is_failed() {
    let mut rig = limited(rows(1));
    rig.client(&query("select a; copy t from stdin"));
    let _ = rig.to_server();
    rig.server(&[data(2), complete("SELECT 2"), frame(b'G', b"\0\0\0")].concat());
    assert_eq!(tags(&rig.to_server()), "f");
    rig.server(&[error("57014"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "DEZ");
}

#[test]
fn copy_out_is_counted_too() {
    let mut rig = limited(rows(2));
    rig.client(&query("copy t to stdout"));
    rig.server(&[frame(b'H', b"\0\0\0"), frame(b'd', b"a\n").repeat(3)].concat());
    assert_eq!(tags(&rig.to_client()), "Hdd");
    assert_eq!(rig.effects(), [Effect::CancelUpstream]);
    let rest = [frame(b'd', b"a\n"), frame(b'c', b""), complete("COPY 4"), ready(b'I')].concat();
    rig.server(&rest).server(&[error("42601"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!((tags(&seen).as_str(), field(&seen, b'C').as_deref()), ("EZ", Some("54000")));
}

#[test]
fn bytes_are_counted_by_frames() {
    let one = data(1).len() as u64;
    let mut rig = limited(Limits { bytes_max: Some(2 * one + 1), ..Limits::default() });
    rig.client(&query("select all"));
    rig.server(&data(3));
    assert_eq!(tags(&rig.to_client()), "DD");
    // One row alone can be too much: no byte of it passes.
    let mut rig = limited(Limits { bytes_max: Some(one - 1), ..Limits::default() });
    rig.client(&query("select all"));
    rig.server(&data(1));
    assert_eq!(rig.to_client(), b"");
}

#[test]
fn a_limited_execute_keeps_the_rest_of_its_pipeline_back() {
    let mut rig = limited(rows(1));
    let head = [parse("", "select $1"), bind("", ""), execute("")].concat();
    let tail = [parse("", "update t"), bind("", ""), execute(""), sync()].concat();
    rig.client(&[head.clone(), tail].concat());
    assert_eq!(tags(&rig.to_server()), "PBEH", "the client's next statement must not run first");
    rig.server(&[frame(b'1', b""), frame(b'2', b""), data(2)].concat());
    assert_eq!(rig.effects(), [Effect::CancelUpstream]);
    rig.server(&error("57014"));
    let seen = rig.to_client();
    assert_eq!(tags(&seen), "12DE");
    assert_eq!(field(&seen, b'C').as_deref(), Some("54000"));
    assert_eq!(rig.to_server(), b"", "not before the cancel request is over");
    rig.with(|s, _| s.on_cancel_sent());
    assert_eq!(rig.to_server(), sync(), "what follows is skipped, as the server does");
    rig.server(&ready(b'I'));
    assert_eq!(tags(&rig.to_client()), "Z");
}

#[test]
fn an_execute_that_was_done_before_the_cancel_is_made_to_fail() {
    let mut rig = limited(rows(1));
    rig.client(&[parse("", "select $1"), bind("", ""), execute(""), sync()].concat());
    let _ = rig.to_server();
    rig.server(&[frame(b'1', b""), frame(b'2', b""), data(2), complete("SELECT 2")].concat());
    assert_eq!(tags(&rig.to_client()), "12D");
    rig.with(|s, _| s.on_cancel_sent());
    assert_eq!(tags(&rig.to_server()), "PH", "no Sync: it would commit");
    rig.server(&error("42601"));
    let seen = rig.to_client();
    assert_eq!((tags(&seen).as_str(), field(&seen, b'C').as_deref()), ("E", Some("54000")));
    assert_eq!(rig.to_server(), sync());
}

#[test]
fn without_limits_a_pipeline_is_not_held_up() {
    let mut rig = limited(Limits::default());
    let sent = [
        parse("", "select 1"),
        bind("", ""),
        execute(""),
        parse("", "update t"),
        bind("", ""),
        execute(""),
        sync(),
    ]
    .concat();
    rig.client(&sent);
    assert_eq!(rig.to_server(), sent);
}

/// An Execute with a row limit.
fn execute_some(portal: &str, count: i32) -> Vec<u8> {
    frame(b'E', &[portal.as_bytes(), b"\0", &count.to_be_bytes()].concat())
}

#[test]
fn a_portal_fetched_in_parts_has_one_limit() {
    let mut rig = limited(rows(5));
    rig.client(&[parse("", "select $1"), bind("", ""), execute_some("", 3)].concat());
    rig.server(&[frame(b'1', b""), frame(b'2', b""), data(3), frame(b's', b"")].concat());
    assert_eq!(tags(&rig.to_client()), "12DDDs");
    assert_eq!(rig.journal.lines.last().map(String::as_str), Some("outcome s-1 ok 3"));
    rig.client(&execute_some("", 3));
    rig.server(&[data(3), frame(b's', b"")].concat());
    assert_eq!(tags(&rig.to_client()), "DD");
    assert_eq!(rig.effects(), [Effect::CancelUpstream]);
    // A portal made anew starts anew.
    let mut rig = limited(rows(5));
    for _ in 0..3 {
        rig.client(&[parse("", "select $1"), bind("", ""), execute_some("", 3), sync()].concat());
        let reply = [frame(b'1', b""), frame(b'2', b""), data(3), frame(b's', b"")].concat();
        rig.server(&reply).server(&ready(b'I'));
    }
    assert_eq!(rig.effects(), []);
}

#[test]
fn a_cursor_fetched_in_parts_has_one_limit() {
    let fetch = |rig: &mut Rig, count: usize, status: u8| {
        rig.client(&query("fetch 3 from c"));
        rig.server(&[described(), data(count), complete("FETCH 3"), ready(status)].concat());
        let shown = tags(&rig.to_client());
        shown.matches('D').count()
    };
    let open = |rig: &mut Rig| {
        rig.client(&query("declare c"));
        rig.server(&[complete("DECLARE CURSOR"), ready(b'T')].concat());
        let _ = rig.to_client();
    };
    let mut rig = limited(rows(5));
    open(&mut rig);
    assert_eq!(fetch(&mut rig, 3, b'T'), 3);
    // Made again without being closed: the server refuses, and a savepoint would bring the old one back.
    rig.client(&query("declare c"));
    rig.server(&[error("42P03"), ready(b'E')].concat());
    let _ = rig.to_client();
    assert_eq!(fetch(&mut rig, 3, b'T'), 2);
    assert_eq!(rig.effects(), [Effect::CancelUpstream]);
    // Closed and made again, it is another.
    let mut rig = limited(rows(5));
    for _ in 0..3 {
        open(&mut rig);
        assert_eq!(fetch(&mut rig, 3, b'T'), 3);
        rig.client(&query("close c"));
        rig.server(&[complete("CLOSE CURSOR"), ready(b'T')].concat());
    }
    assert_eq!(rig.effects(), []);
}

#[test]
fn an_hour_is_shared_by_all_statements() {
    let who = "user:dana".parse().expect("id");
    let hourly = vec![HourlyLimit { principal: who, rows_max: Some(5), bytes_max: None }];
    let mut rig = limited(Limits { hourly, ..Limits::default() });
    rig.with(|s, _| s.gate_mut().left = Left { rows: Some(5), bytes: None });
    rig.client(&query("select a"));
    rig.server(&[data(3), complete("SELECT 3"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "DDDCZ");
    rig.with(|s, _| {
        let charged: u64 = s.gate_mut().charged.borrow().iter().map(|(rows, _)| rows).sum();
        let bytes: u64 = s.gate_mut().charged.borrow().iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(charged, 3);
        assert_eq!(bytes, (data(3).len() + complete("SELECT 3").len() + 6) as u64);
    });
    rig.client(&query("select b"));
    rig.server(&data(1));
    // Another session of the same principal takes one meanwhile.
    rig.with(|s, _| s.gate_mut().charged.borrow_mut().push((1, 0)));
    rig.server(&data(0)).server(&data(2));
    assert_eq!(tags(&rig.to_client()), "D");
    assert_eq!(rig.effects(), [Effect::CancelUpstream]);
    rig.server(&[error("57014"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert!(field(&seen, b'M').expect("message").contains("in an hour"), "{seen:?}");
}

#[test]
fn a_bounded_change_that_stands_alone_commits_or_leaves_nothing() {
    let begin = |rig: &mut Rig| {
        rig.client(&query("update t"));
        assert_eq!(rig.to_server(), query("BEGIN"));
        rig.server(&[complete("BEGIN"), ready(b'T')].concat());
        assert_eq!(rig.to_client(), b"");
        assert_eq!(rig.to_server(), query("update t"));
    };
    let mut rig = limited(affected(2));
    begin(&mut rig);
    rig.server(&[complete("UPDATE 2"), ready(b'T')].concat());
    assert_eq!(rig.to_client(), b"", "not complete before it is committed");
    assert_eq!(rig.to_server(), query("COMMIT"));
    rig.server(&[complete("COMMIT"), ready(b'I')].concat());
    assert_eq!(rig.to_client(), [complete("UPDATE 2"), ready(b'I')].concat());
    assert_eq!(rig.journal.lines, ["intent s-1 forwarded", "outcome s-1 ok 2"]);

    let mut rig = limited(affected(2));
    begin(&mut rig);
    rig.server(&[complete("UPDATE 3"), ready(b'T')].concat());
    assert_eq!(rig.to_server(), query("writ_refused"));
    rig.server(&[error("42601"), ready(b'E')].concat());
    assert_eq!(rig.to_server(), query("ROLLBACK"));
    rig.client(&query("select 1"));
    assert_eq!(rig.to_server(), b"");
    rig.server(&[complete("ROLLBACK"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!((tags(&seen).as_str(), field(&seen, b'C').as_deref()), ("EZ", Some("54000")));
    assert!(field(&seen, b'M').expect("message").contains("more than 2 rows"));
    assert_eq!(rig.to_server(), query("select 1"), "the session goes on");
    // Negative control: without the limit the same change has happened when its count is known.
    let mut rig = limited(Limits::default());
    rig.client(&query("update t"));
    assert_eq!(rig.to_server(), query("update t"));
}

#[test]
fn a_wrapped_change_fails_as_it_would_alone() {
    // Its own error.
    let mut rig = limited(affected(2));
    rig.client(&query("update t"));
    rig.server(&[complete("BEGIN"), ready(b'T')].concat());
    rig.server(&[error("23505"), ready(b'E')].concat());
    let _ = rig.to_server();
    rig.server(&[complete("ROLLBACK"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!((tags(&seen).as_str(), field(&seen, b'C').as_deref()), ("EZ", Some("23505")));
    // A deferred constraint, which the server finds at COMMIT.
    let mut rig = limited(affected(2));
    rig.client(&query("update t"));
    rig.server(&[complete("BEGIN"), ready(b'T')].concat());
    rig.server(&[complete("UPDATE 1"), ready(b'T')].concat());
    rig.server(&[error("23503"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!((tags(&seen).as_str(), field(&seen, b'C').as_deref()), ("EZ", Some("23503")));
    assert_eq!(rig.journal.lines.last().map(String::as_str), Some("outcome s-1 23503 1"));
    // No transaction, no statement.
    let mut rig = limited(affected(2));
    rig.client(&query("update t"));
    let _ = rig.to_server();
    rig.server(&[error("57P03"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "EZ");
    assert_eq!(rig.to_server(), b"");
    // A cancel request that hits the ROLLBACK leaves no transaction open.
    let mut rig = limited(affected(2));
    rig.client(&query("update t"));
    rig.server(&[complete("BEGIN"), ready(b'T')].concat());
    rig.server(&[error("57014"), ready(b'E')].concat());
    let _ = rig.to_server();
    rig.server(&[error("57014"), ready(b'E')].concat());
    assert_eq!(rig.to_server(), query("ROLLBACK"));
    rig.server(&[complete("ROLLBACK"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "EZ");
}

#[test]
fn a_bounded_copy_in_is_wrapped_too() {
    let mut rig = limited(affected(1));
    rig.client(&[query("copyin t"), frame(b'd', b"1\n2\n"), frame(b'c', b"")].concat());
    assert_eq!(rig.to_server(), query("BEGIN"));
    rig.server(&[complete("BEGIN"), ready(b'T')].concat());
    assert_eq!(rig.to_server(), query("copyin t"));
    rig.server(&frame(b'G', b"\0\0\0"));
    assert_eq!(tags(&rig.to_server()), "dc");
    rig.server(&[complete("COPY 2"), ready(b'T')].concat());
    assert_eq!(rig.to_server(), query("writ_refused"));
    rig.server(&[error("42601"), ready(b'E')].concat());
    assert_eq!(rig.to_server(), query("ROLLBACK"));
    rig.server(&[complete("ROLLBACK"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "GEZ");
}

#[test]
fn in_a_transaction_of_the_clients_the_transaction_fails() {
    let mut rig = limited(affected(2));
    rig.client(&query("begin"));
    rig.server(&[complete("BEGIN"), ready(b'T')].concat());
    let _ = (rig.to_server(), rig.to_client());
    rig.client(&query("update t"));
    assert_eq!(rig.to_server(), query("update t"), "its own transaction is enough");
    rig.server(&[complete("UPDATE 3"), ready(b'T')].concat());
    assert_eq!(rig.to_server(), query("writ_refused"));
    rig.server(&[error("42601"), ready(b'E')].concat());
    let seen = rig.to_client();
    assert_eq!((tags(&seen).as_str(), seen.last()), ("EZ", Some(&b'E')));
}

#[test]
fn a_bounded_execute_is_judged_before_its_sync() {
    let mut rig = limited(affected(2));
    rig.client(&[parse("", "update t"), bind("", ""), execute(""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PBEH", "Sync would commit");
    rig.server(&[frame(b'1', b""), frame(b'2', b""), complete("UPDATE 3")].concat());
    assert_eq!(tags(&rig.to_server()), "PH");
    rig.server(&error("42601"));
    assert_eq!(rig.to_server(), sync());
    rig.server(&ready(b'I'));
    let seen = rig.to_client();
    assert_eq!((tags(&seen).as_str(), field(&seen, b'C').as_deref()), ("12EZ", Some("54000")));
    // Within the bound: the same answers as ever.
    rig.client(&[parse("", "update t"), bind("", ""), execute(""), sync()].concat());
    let _ = rig.to_server();
    rig.server(&[frame(b'1', b""), frame(b'2', b""), complete("UPDATE 2")].concat());
    assert_eq!(rig.to_server(), sync());
    rig.server(&ready(b'I'));
    assert_eq!(tags(&rig.to_client()), "12CZ");
}

#[test]
fn what_cannot_be_counted_is_refused_with_the_next_step() {
    // Fetched in parts, an UPDATE … RETURNING would be committed before its count is known.
    let mut rig = limited(affected(2));
    rig.client(&[parse("", "update t"), bind("", ""), execute_some("", 1), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PBPS");
    rig.server(&[frame(b'1', b""), frame(b'2', b""), error("42601"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!(field(&seen, b'C').as_deref(), Some("42501"));
    assert!(field(&seen, b'H').expect("hint").contains("without a limit on rows"));
    // In the middle of a series, BEGIN would not be the edge's own.
    let mut rig = limited(affected(2));
    rig.client(&[parse("", "begin"), bind("", ""), execute("")].concat());
    rig.server(&[frame(b'1', b""), frame(b'2', b""), complete("BEGIN")].concat());
    let _ = (rig.to_server(), rig.to_client());
    rig.client(&query("update t"));
    assert_eq!(rig.to_server(), query("writ_refused"));
}

#[test]
fn a_session_that_ends_in_between_has_an_outcome() {
    let mut rig = limited(affected(2));
    rig.client(&query("update t"));
    rig.server(&[complete("BEGIN"), ready(b'T')].concat());
    rig.server(&[complete("UPDATE 1"), ready(b'T')].concat());
    rig.with(|s, cx| s.on_upstream_closed(cx));
    assert_eq!(rig.journal.lines.len(), 2, "{:?}", rig.journal.lines);
}

#[test]
fn splitting_a_limited_answer_at_every_byte_changes_nothing() {
    let reply =
        [described(), data(5), complete("SELECT 5"), ready(b'I'), error("42601"), ready(b'I')]
            .concat();
    let play = |size: usize| {
        let mut rig = limited(rows(2));
        rig.client(&query("select all"));
        let mut held = Vec::new();
        for piece in reply.chunks(size) {
            held.extend(piece);
            let bytes = held.clone();
            let mut used = 0;
            rig.with(|s, cx| used = s.on_upstream(&bytes, cx));
            held.drain(..used);
        }
        assert!(held.is_empty());
        (rig.to_server(), rig.to_client(), rig.effects(), rig.journal.lines.clone())
    };
    let whole = play(reply.len());
    assert_eq!(tags(&whole.1), "TDDEZ");
    for size in [1, 2, 3, 5, 7, 11] {
        assert_eq!(play(size), whole, "pieces of {size}");
    }
}

fn asked(rig: &mut Rig) -> String {
    let effects = rig.effects();
    let [Effect::Estimate { text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    text.clone()
}

#[test]
fn a_text_waits_for_the_planner_where_a_rule_looks_at_it() {
    let mut rig = Rig::new();
    rig.client(&query("expect much"));
    assert_eq!(asked(&mut rig), "expect much");
    rig.client(&query("select 1"));
    assert_eq!(rig.to_server(), b"", "nothing overtakes it");
    rig.with(|s, _| s.on_estimate(Some(101)));
    assert_eq!(rig.to_server(), query("writ_refused"));
    rig.server(&[error("42601"), ready(b'I')].concat());
    assert_eq!(rig.to_server(), query("select 1"));
    for rows in [Some(100), None] {
        let mut rig = Rig::new();
        rig.client(&query("expect less"));
        let _ = asked(&mut rig);
        rig.with(|s, _| s.on_estimate(rows));
        assert_eq!(rig.to_server(), query("expect less"));
    }
    // In the extended protocol it is asked at Parse; for the same text the answer holds for a while.
    let mut rig = Rig::new();
    rig.client(&[parse("a", "expect $1"), sync()].concat());
    let _ = asked(&mut rig);
    rig.with(|s, _| s.on_estimate(Some(1)));
    assert_eq!(tags(&rig.to_server()), "PS");
    rig.server(&[frame(b'1', b""), ready(b'I')].concat());
    rig.with(|s, _| s.gate_mut().epoch = 2);
    rig.client(&[bind("", "a"), execute(""), sync()].concat());
    assert_eq!(rig.effects(), []);
    assert_eq!(tags(&rig.to_server()), "BES");
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut rig = Rig::new();
    rig.with(|s, _| s.on_estimate(Some(1)));
    rig.client(&query("expect much"));
    let _ = asked(&mut rig);
    rig.with(|s, _| s.on_estimate(Some(1_000))).with(|s, _| s.on_estimate(Some(1)));
    assert_eq!(rig.to_server(), query("writ_refused"));
}
