//! The session core against scripts of both sides: what is decided, forwarded, replaced, held and recorded.

mod support;

use support::*;
use writ_edge_core::{ApprovalNews, Effect};
use writ_model::DurationMs;

#[test]
fn an_allowed_query_goes_on_unchanged_and_is_recorded() {
    let mut rig = Rig::new();
    rig.client(&query("select 1"));
    assert_eq!(rig.to_server(), query("select 1"));
    let reply = [frame(b'T', b"\0\0"), frame(b'D', b"\0\0"), complete("SELECT 1"), ready(b'I')];
    rig.server(&reply.concat());
    assert_eq!(rig.to_client(), reply.concat());
    assert_eq!(rig.journal.lines, ["intent s-1 forwarded", "outcome s-1 ok 1"]);
}

#[test]
fn a_refused_query_is_refused_by_the_server_itself() {
    let mut rig = Rig::new();
    rig.client(&query("deny drop table t"));
    assert_eq!(rig.to_server(), query("writ_refused"));
    rig.server(&[error("42601"), ready(b'E')].concat());
    let seen = rig.to_client();
    assert_eq!(tags(&seen), "EZ");
    assert_eq!(field(&seen, b'C').as_deref(), Some("42501"));
    assert_eq!(field(&seen, b'D').as_deref(), Some("rule=word epoch=1"));
    assert_eq!(field(&seen, b'P'), None);
    assert_eq!(rig.journal.lines, ["intent s-1 withheld", "outcome s-1 42501 0"]);
    rig.client(&query("rollback"));
    assert_eq!(rig.to_server(), query("rollback"));
}

#[test]
fn a_masked_query_is_sent_rewritten_and_errors_do_not_point_into_it() {
    let mut rig = Rig::new();
    rig.client(&query("mask select"));
    assert_eq!(rig.to_server(), query("masked by 1"));
    rig.server(&[error("22P02"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!(field(&seen, b'C').as_deref(), Some("22P02"));
    assert_eq!(field(&seen, b'P'), None);
}

fn constraint_error(code: &str, relation: &str) -> Vec<u8> {
    let body = format!(
        "SERROR\0C{code}\0Mno\0DFailing row contains (7, secret).\0spublic\0t{relation}\0\0"
    );
    frame(b'E', body.as_bytes())
}

#[test]
fn a_refused_row_is_quoted_only_where_nothing_in_it_is_masked() {
    for (code, relation, quoted) in [
        ("23514", "masked", false),
        ("23505", "masked", false),
        ("44000", "masked", false),
        ("23514", "plain", true),
        ("22P02", "masked", true),
    ] {
        for text in [query("allow update"), sync()] {
            let mut rig = Rig::new();
            rig.client(&text);
            rig.server(&[constraint_error(code, relation), ready(b'I')].concat());
            let seen = rig.to_client();
            assert_eq!(tags(&seen), "EZ", "{code} {relation}");
            assert_eq!(field(&seen, b'M').as_deref(), Some("no"));
            let detail = field(&seen, b'D').expect("a detail");
            assert_eq!(detail.contains("secret"), quoted, "{code} {relation}: {detail}");
        }
    }
}

#[test]
fn a_strict_statement_waits_for_its_record() {
    let mut rig = Rig::new();
    rig.client(&query("strict delete"));
    assert_eq!(rig.effects(), [Effect::Sync(1)]);
    // Negative control: without durability nothing ever goes on, whatever else happens.
    rig.client(b"").with(|session, _| session.on_durable(0)).client(&query("select 1"));
    assert_eq!(rig.to_server(), b"");
    rig.durable();
    assert_eq!(rig.to_server(), query("strict delete"));
}

/// A session with an unnamed `text` prepared, and its Execute waiting behind a refused Parse that the server answers:
/// the Execute is skipped.
fn skipped_behind_a_refusal(text: &str) -> Rig {
    let mut rig = Rig::new();
    rig.client(&[parse("", text), sync()].concat());
    rig.server(&[frame(b'1', b""), ready(b'I')].concat());
    rig.client(&[parse("x", "deny do"), bind("", ""), execute("")].concat());
    rig.server(&error("42601"));
    rig.client(&sync()).server(&ready(b'I'));
    assert_eq!(tags(&rig.to_client()), "1ZEZ");
    rig.to_server();
    rig
}

#[test]
fn what_admits_a_skipped_statement_admits_no_other() {
    for next in [query("deny drop"), parse("", "deny drop"), query("strict delete")] {
        let mut rig = skipped_behind_a_refusal("strict insert");
        assert_eq!(rig.journal.lines.last().map(String::as_str), Some("outcome s-2 ok 0"));
        rig.client(&next);
        let sent = rig.to_server();
        assert!(sent.is_empty() || String::from_utf8_lossy(&sent).contains("writ_refused"));
    }
}

#[test]
fn nobody_is_asked_about_a_skipped_statement() {
    let mut rig = skipped_behind_a_refusal("hold delete");
    assert!(matches!(
        rig.effects().as_slice(),
        [Effect::RequestApproval(_), Effect::CancelApproval { .. }, ..]
    ));
    rig.client(&query("deny drop"));
    assert_eq!(rig.to_server(), query("writ_refused"));
}

#[test]
fn a_record_admits_only_the_bytes_that_it_was_written_for() {
    let mut rig = Rig::new();
    rig.client(&query("strictmask delete"));
    rig.with(|s, _| s.gate_mut().epoch = 2).with(|s, _| s.on_durable(1));
    assert_eq!(rig.to_server(), b"", "the new epoch's bytes have no record yet");
    rig.durable();
    assert_eq!(rig.to_server(), query("masked by 2"));
}

fn hold(rig: &mut Rig) {
    rig.client(&query("hold delete"));
    let effects = rig.effects();
    assert!(matches!(effects.as_slice(), [Effect::RequestApproval(_)]), "{effects:?}");
    let id = "apr-1".parse().expect("id");
    rig.with(|s, cx| {
        s.on_approval(1, ApprovalNews::Pending { id, expires: DurationMs(9_000) }, cx)
    });
}

#[test]
fn a_held_query_goes_on_after_its_grant_was_used() {
    let mut rig = Rig::new();
    hold(&mut rig);
    let seen = rig.to_client();
    assert_eq!(tags(&seen), "N");
    let message = field(&seen, b'M').expect("message");
    assert!(message.contains("apr-1") && message.contains("dba"), "{message}");
    rig.with(|s, cx| s.on_approval(1, ApprovalNews::Granted, cx));
    assert!(matches!(rig.effects().as_slice(), [Effect::UseGrant { .. }]));
    assert_eq!(rig.to_server(), b"");
    rig.with(|s, cx| s.on_approval(1, ApprovalNews::Used, cx)).durable();
    assert_eq!(rig.to_server(), query("hold delete"));
    rig.server(&[complete("DELETE 3"), ready(b'I')].concat());
    assert_eq!(rig.journal.lines, ["intent s-1 forwarded", "outcome s-1 ok 3"]);
}

#[test]
fn no_other_news_lets_a_held_statement_pass() {
    let mut rig = Rig::new();
    hold(&mut rig);
    rig.with(|s, cx| s.on_approval(1, ApprovalNews::Used, cx)).durable();
    assert_eq!(rig.to_server(), b"", "a grant that was not asked for");
    rig.with(|s, cx| s.on_approval(1, ApprovalNews::Ended("denied by user:ada".into()), cx));
    rig.with(|s, cx| s.on_approval(1, ApprovalNews::Granted, cx));
    assert_eq!(rig.to_server(), query("writ_refused"));
    let _ = rig.to_client();
    rig.server(&[error("42601"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!(field(&seen, b'C').as_deref(), Some("57014"));
    assert!(field(&seen, b'M').expect("message").contains("denied by user:ada"));
    assert_eq!(field(&seen, b'D').as_deref(), Some("rule=word request=apr-1 epoch=1"));
}

#[test]
fn what_is_refused_meanwhile_no_approval_lets_pass() {
    // The catalog or the time may make policy refuse, in the same epoch, what it held.
    for stage in 0..4 {
        let mut rig = Rig::new();
        hold(&mut rig);
        if stage > 0 {
            rig.with(|s, cx| s.on_approval(1, ApprovalNews::Granted, cx));
        }
        if stage == 3 {
            rig.journal.full = true;
        }
        let _ = (rig.effects(), rig.to_client());
        rig.with(|s, _| s.gate_mut().refuses_all = true);
        if stage > 1 {
            rig.with(|s, cx| s.on_approval(1, ApprovalNews::Used, cx));
        }
        assert!(matches!(rig.effects().as_slice(), [Effect::CancelApproval { .. }]), "{stage}");
        assert_eq!(rig.to_server(), query("writ_refused"), "{stage}");
        rig.server(&[error("42601"), ready(b'I')].concat());
        let code = if stage == 3 { "58000" } else { "42501" };
        assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some(code), "{stage}");
    }
}

#[test]
fn cancelling_ends_a_held_statement_and_leaves_the_server_alone() {
    let mut rig = Rig::new();
    hold(&mut rig);
    rig.with(|s, cx| assert!(!s.on_cancel(cx), "the server runs nothing"));
    assert!(matches!(rig.effects().as_slice(), [Effect::CancelApproval { .. }]));
    assert_eq!(rig.to_server(), query("writ_refused"));
    rig.with(|s, cx| assert!(s.on_cancel(cx), "now it does"));
}

#[test]
fn a_new_epoch_asks_again_about_what_was_held_under_the_old_one() {
    let mut rig = Rig::new();
    hold(&mut rig);
    let mut epoch = 1;
    let mut next = |rig: &mut Rig| {
        epoch += 1;
        rig.with(|s, _| s.gate_mut().epoch = epoch);
        // C4: what was granted for the old epoch is void.
        rig.with(|s, cx| s.on_approval(epoch - 1, ApprovalNews::Granted, cx));
    };
    let mut asked = 1;
    for _ in 0..16 {
        next(&mut rig);
        let effects = rig.effects();
        assert!(
            matches!(
                effects.as_slice(),
                [Effect::CancelApproval { .. }, Effect::RequestApproval(_)]
            ),
            "{effects:?}"
        );
        assert_eq!(rig.to_server(), b"", "nothing passes");
        // Late news of the old request are not news of the new one: they neither let it pass nor end it.
        // Each epoch made one more request.
        let (old, new) = (asked, asked + 1);
        asked += 1;
        let pending = |id: &str| ApprovalNews::Pending {
            id: id.parse().expect("id"),
            expires: DurationMs(9_000),
        };
        rig.with(|s, cx| s.on_approval(old, pending("apr-old"), cx));
        rig.with(|s, cx| s.on_approval(new, pending("apr-new"), cx));
        for late in
            [ApprovalNews::Granted, ApprovalNews::Used, ApprovalNews::Ended("cancelled".into())]
        {
            rig.with(|s, cx| s.on_approval(old, late, cx));
        }
        assert!(rig.effects().is_empty());
        assert_eq!(rig.to_server(), b"", "it still waits");
    }
    next(&mut rig);
    assert!(matches!(rig.effects().as_slice(), [Effect::CancelApproval { .. }]));
    assert_eq!(rig.to_server(), query("writ_refused"));
}

#[test]
fn without_room_for_the_record_nothing_goes_on() {
    let mut rig = Rig::new();
    rig.journal.full = true;
    rig.client(&query("select 1"));
    assert_eq!(rig.to_server(), query("writ_refused"));
    rig.server(&[error("42601"), ready(b'I')].concat());
    assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("58000"));
    // What has no intent has no outcome: the room that is left belongs to outcomes of statements that ran.
    rig.client(&query("deny")).server(&[error("42601"), ready(b'I')].concat());
    assert_eq!(rig.journal.lines, [""; 0]);
}

#[test]
fn a_pipeline_is_forwarded_and_each_execute_recorded() {
    let mut rig = Rig::new();
    let sent = [parse("", "select $1"), bind("", ""), execute(""), sync()].concat();
    rig.client(&sent);
    assert_eq!(rig.to_server(), sent);
    let reply = [frame(b'1', b""), frame(b'2', b""), complete("SELECT 1"), ready(b'I')].concat();
    rig.server(&reply);
    assert_eq!(rig.to_client(), reply);
    assert_eq!(rig.journal.lines, ["intent s-1 forwarded", "outcome s-1 ok 1"]);
}

#[test]
fn a_refused_parse_fails_its_pipeline_up_to_sync() {
    let mut rig = Rig::new();
    let before = [parse("", "select 1"), bind("", ""), execute("")].concat();
    let refused = [parse("", "deny"), bind("", ""), execute(""), sync()].concat();
    rig.client(&[before.clone(), refused].concat());
    let sent = rig.to_server();
    assert!(sent.starts_with(&before));
    assert!(!sent.windows(4).any(|w| w == b"deny"), "a refused text reached the server");
    let reply =
        [frame(b'1', b""), frame(b'2', b""), complete("SELECT 1"), error("42601"), ready(b'I')];
    rig.server(&reply.concat());
    let seen = rig.to_client();
    assert_eq!(tags(&seen), "12CEZ");
    assert_eq!(field(&seen, b'C').as_deref(), Some("42501"));
}

#[test]
fn a_failed_parse_does_not_change_what_a_name_stands_for() {
    let mut rig = Rig::new();
    rig.client(&[parse("s1", "select 1"), sync()].concat());
    rig.server(&[frame(b'1', b""), ready(b'I')].concat());
    // The server refuses the second: the name goes on to mean the first.
    rig.client(&[parse("s1", "mask select"), sync()].concat());
    rig.server(&[error("42P05"), ready(b'I')].concat());
    let _ = (rig.to_server(), rig.to_client());
    rig.with(|s, _| s.gate_mut().epoch = 2);
    rig.client(&[bind("", "s1"), execute(""), sync()].concat());
    // A changed epoch makes it decide again: by the first text, which needs no other bytes.
    assert_eq!(tags(&rig.to_server()), "BES");
}

#[test]
fn a_statement_prepared_under_an_older_epoch_is_prepared_anew() {
    let mut rig = Rig::new();
    rig.client(&[parse("s1", "mask select"), sync()].concat());
    rig.server(&[frame(b'1', b""), ready(b'I')].concat());
    let _ = (rig.to_server(), rig.to_client());
    rig.with(|s, _| s.gate_mut().epoch = 2);
    rig.client(&[bind("", "s1"), execute(""), sync()].concat());
    let sent = rig.to_server();
    assert_eq!(tags(&sent), "CPBES");
    assert!(sent.windows(11).any(|w| w == b"masked by 2"));
    let reply =
        [frame(b'3', b""), frame(b'1', b""), frame(b'2', b""), complete("SELECT 1"), ready(b'I')];
    rig.server(&reply.concat());
    assert_eq!(tags(&rig.to_client()), "2CZ", "the client did not ask for the renewal");
}

#[test]
fn a_text_that_ends_a_transaction_uses_no_temporary_relation() {
    // Once the transaction is over, another relation may stand behind the name: the masked one that it hid.
    for (temporary, goes) in [("[\"customers\"]", false), ("[]", true)] {
        let mut rig = Rig::new();
        rig.client(&query("begin")).server(&[complete("BEGIN"), ready(b'T')].concat());
        rig.client(&query("set it")).server(&[complete("SET"), ready(b'T')].concat());
        rig.client(&query("uncover 1"));
        rig.to_server();
        let mut names = NAMES;
        names[3] = temporary.as_bytes();
        rig.server(&answer_in_block(&[&names]));
        let sent = if goes { "uncover 1" } else { "writ_refused" };
        assert_eq!(rig.to_server(), query(sent), "{temporary}");
    }
}

#[test]
fn a_text_that_ends_a_transaction_of_definitions_uses_no_names() {
    // What a view of the session's own writes is in no list of what is written.
    for text in ["end and use", "remake 1"] {
        let mut rig = Rig::new();
        rig.client(&query(text));
        assert_eq!(rig.to_server(), query(text), "the control: nothing was defined before");
        rig.server(&[complete("COMMIT"), complete("SELECT 1"), ready(b'T')].concat());
        rig.client(&query("define")).server(&[complete("CREATE TABLE"), ready(b'T')].concat());
        let _ = (rig.to_client(), rig.to_server());
        rig.client(&query(text));
        assert_eq!(tags(&rig.to_server()), format!("{}S", "PBECC".repeat(5)), "what is there now");
        rig.server(&answer_in_block(&[&[b"pg_catalog"], &[b"{}"]]));
        assert_eq!(
            rig.to_server(),
            query("writ_refused"),
            "E2: what it undoes was looked at as if it stayed"
        );
    }
}

#[test]
fn before_an_unknown_name_is_refused_the_catalog_is_read_again() {
    let asks = |rig: &mut Rig| rig.effects().iter().any(|e| matches!(e, Effect::RefreshDatabase));
    let mut rig = Rig::new();
    rig.client(&query("deny"));
    assert!(!asks(&mut rig), "control: no catalog would change that");
    rig.server(&[error("42601"), ready(b'I')].concat());
    let _ = (rig.to_client(), rig.to_server());

    rig.client(&query("unknown 1"));
    assert!(asks(&mut rig));
    assert_eq!(rig.to_server(), b"", "E1: it waits");
    rig.with(|s, _| s.gate_mut().epoch = EPOCH_OF_THE_UNKNOWN);
    rig.with(|s, _| s.on_database_fresh());
    assert_eq!(rig.to_server(), query("unknown 1"), "someone had made it");
    rig.server(&[complete("SELECT 1"), ready(b'I')].concat());

    rig.with(|s, _| s.gate_mut().epoch = 1);
    rig.client(&query("unknown 2"));
    assert!(asks(&mut rig));
    rig.with(|s, _| s.on_database_fresh());
    assert_eq!(rig.to_server(), query("writ_refused"), "nobody had");
    rig.server(&[error("42601"), ready(b'I')].concat());
    rig.client(&query("unknown 2"));
    assert!(asks(&mut rig), "another message, another look");
    // However long the answer takes: once for a message.
    rig.with(|s, _| s.on_database_fresh());
    assert!(!asks(&mut rig));
    assert_eq!(rig.to_server(), query("writ_refused"));
}

#[test]
fn after_set_the_server_is_asked_what_names_mean() {
    let mut rig = Rig::new();
    rig.client(&query("set search_path"));
    let _ = rig.to_server();
    rig.server(&[complete("SET"), ready(b'I')].concat());
    let _ = rig.to_client();
    rig.client(&query("select 1"));
    assert_eq!(tags(&rig.to_server()), "PBECCS");
    let columns: [&[u8]; 6] = [b"app", b"[\"pg_catalog\",\"x\"]", b"on", b"[]", b"x", b"[]"];
    rig.server(&[answer(&columns), ready(b'I')].concat());
    assert_eq!(rig.to_client(), b"", "answers to our own question");
    assert_eq!(rig.to_server(), query("select 1"));
    rig.with(|s, _| assert_eq!(s.gate_mut().names.search_path, ["pg_catalog", "x"]));
}

#[test]
fn a_sync_that_copy_swallows_is_not_waited_for() {
    let mut rig = Rig::new();
    rig.client(&[parse("", "copy"), bind("", ""), execute(""), sync()].concat());
    rig.server(&[frame(b'1', b""), frame(b'2', b""), frame(b'G', b"\0\0\0")].concat());
    let _ = rig.to_server();
    let data = [frame(b'd', b"1\n"), frame(b'c', b""), sync()].concat();
    rig.client(&data);
    assert_eq!(rig.to_server(), data);
    rig.server(&[complete("COPY 1"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "12GCZ");
    rig.client(&query("select 1"));
    assert_eq!(rig.to_server(), query("select 1"));
}

#[test]
fn a_message_over_the_limit_is_refused_unread() {
    let mut rig = Rig::new();
    let body = vec![b'x'; 100 * 1024 * 1024];
    let mut message = frame(b'Q', &body);
    message.extend(query("select 1"));
    for piece in message.chunks(1 << 20) {
        rig.client(piece);
    }
    assert_eq!(rig.to_server(), query("writ_refused"));
    rig.server(&[error("42601"), ready(b'I')].concat());
    assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("54000"));
    assert_eq!(rig.to_server(), query("select 1"), "the session goes on");
}

#[test]
fn splitting_input_at_every_byte_changes_nothing() {
    let script = [
        query("select 1"),
        parse("a", "mask select"),
        bind("p", "a"),
        execute("p"),
        parse("", "deny"),
        sync(),
        query("deny x"),
        frame(b'X', b""),
    ]
    .concat();
    let replies = [complete("SELECT 1"), ready(b'I')].concat();
    let series = [
        frame(b'1', b""),
        frame(b'2', b""),
        frame(b'D', b"\0\0"),
        complete("SELECT 1"),
        error("42601"),
        ready(b'I'),
    ]
    .concat();
    let last = [error("42601"), ready(b'I')].concat();
    let whole = play(&script, &[&replies, &series, &last], script.len());
    for size in [1, 2, 3, 7] {
        assert_eq!(play(&script, &[&replies, &series, &last], size), whole, "pieces of {size}");
    }
}

/// Plays a script with input in pieces, and returns everything that came out.
fn play(script: &[u8], replies: &[&Vec<u8>], size: usize) -> (Vec<u8>, Vec<u8>, Vec<String>) {
    let mut rig = Rig::new();
    for piece in script.chunks(size) {
        rig.client(piece);
    }
    let mut to_server = rig.to_server();
    let mut to_client = rig.to_client();
    for reply in replies {
        let mut held = Vec::new();
        for piece in reply.chunks(size) {
            held.extend(piece);
            let bytes = held.clone();
            let mut used = 0;
            rig.with(|s, cx| used = s.on_upstream(&bytes, cx));
            held.drain(..used);
        }
        assert!(held.is_empty());
        to_server.extend(rig.to_server());
        to_client.extend(rig.to_client());
    }
    (to_server, to_client, std::mem::take(&mut rig.journal.lines))
}
