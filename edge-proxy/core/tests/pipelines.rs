//! Pipelines: what is sent ahead of the answers to what came before, and what those answers must not change about it.

mod support;

use support::*;
use writ_edge_core::Effect;

/// A series of its own for an unnamed `text`.
fn series(text: &str) -> Vec<u8> {
    [parse("", text), bind("", ""), execute(""), sync()].concat()
}

fn series_reply(tag: &str) -> Vec<u8> {
    [frame(b'1', b""), frame(b'2', b""), complete(tag), ready(b'I')].concat()
}

#[test]
fn the_end_of_a_transaction_leaves_the_portals_of_the_next_one() {
    let mut rig = Rig::new();
    rig.client(&[series("select 1"), series("strict insert")].concat());
    assert_eq!(tags(&rig.to_server()), "PBESPB", "its Execute waits for the record");
    // While it does, the first series is answered.
    rig.server(&series_reply("SELECT 1"));
    rig.durable();
    assert_eq!(tags(&rig.to_server()), "ES");
    rig.server(&series_reply("INSERT 0 1"));
    assert_eq!(tags(&rig.to_client()), "12CZ12CZ");
    // Control: afterwards it is gone.
    rig.client(&[execute(""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PS");
}

#[test]
fn a_bound_portal_is_not_fetched_from_behind_an_older_answer() {
    for answered in [false, true] {
        let mut rig = Rig::new();
        let held = [parse("", "hold delete"), bind("p", "")].concat();
        rig.client(&[sync(), held].concat());
        if answered {
            rig.server(&ready(b'I'));
        }
        let _ = rig.to_server();
        rig.client(&[parse("", "fetch p"), bind("", ""), execute(""), sync()].concat());
        let mut sent = rig.to_server();
        if !answered {
            // That answer says whether there still is a portal: the text waits for it.
            assert_eq!(tags(&sent), "");
            rig.server(&ready(b'I'));
            sent.extend(rig.to_server());
        }
        let sent = String::from_utf8_lossy(&sent).into_owned();
        assert!(sent.contains("writ_refused") && !sent.contains("fetch"), "{answered}: {sent:?}");
    }
}

#[test]
fn what_a_transaction_sets_may_be_undone_whatever_was_answered_before() {
    let mut rig = Rig::new();
    rig.client(&[sync(), parse("", "set search_path"), bind("", ""), execute("")].concat());
    rig.server(&ready(b'I'));
    rig.server(&[frame(b'1', b""), frame(b'2', b""), complete("SET")].concat());
    // In the same series names are asked for, and then the series fails, and SET is undone.
    rig.client(&parse("", "select 1"));
    rig.server(&answer(&NAMES));
    rig.client(&sync());
    let _ = (rig.to_server(), rig.to_client());
    rig.server(&[error("42P01"), ready(b'I')].concat());
    rig.client(&query("select 2"));
    assert_eq!(tags(&rig.to_server()), "PBECCS", "names are asked for again");
}

fn asks_for_approval(rig: &mut Rig) -> bool {
    rig.effects().iter().any(|effect| matches!(effect, Effect::RequestApproval(_)))
}

#[test]
fn a_refused_parse_does_not_take_back_a_later_one() {
    for name in ["", "s1"] {
        let mut rig = Rig::new();
        rig.client(&[parse(name, "select 1"), sync()].concat());
        rig.server(&[frame(b'1', b""), ready(b'I')].concat());
        // All of it is sent before the first answer comes.
        let close = frame(b'C', format!("S{name}\0").as_bytes());
        let second = [parse(name, "select bad"), sync()].concat();
        let third = [close, parse(name, "hold delete"), sync()].concat();
        rig.client(&[second, third].concat());
        rig.server(&[error("42601"), ready(b'I')].concat());
        rig.server(&[frame(b'3', b""), frame(b'1', b""), ready(b'I')].concat());
        let _ = (rig.to_server(), rig.effects());
        rig.client(&[bind("", name), execute(""), sync()].concat());
        assert_eq!(tags(&rig.to_server()), "B", "E1: what the server has under the name is held");
        assert!(asks_for_approval(&mut rig));
    }
}

#[test]
fn a_refused_parse_is_answered_before_its_name_is_bound() {
    let mut rig = Rig::new();
    rig.client(&[parse("s1", "select 1"), sync()].concat());
    rig.server(&[frame(b'1', b""), ready(b'I')].concat());
    // The server has the name, and refuses to give it another meaning; the Bind comes before it has said so.
    rig.client(&[parse("s1", "holdmask"), sync()].concat());
    rig.with(|s, _| s.gate_mut().epoch = 2);
    rig.client(&[bind("", "s1"), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PSPS");
    rig.server(&[error("42P05"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_server()), "BS", "what the server has is what was decided first");
    rig.server(&[frame(b'2', b""), ready(b'I')].concat());
    rig.client(&[parse("s2", "holdmask"), sync()].concat());
    rig.server(&[frame(b'1', b""), ready(b'I')].concat());
    rig.with(|s, _| s.gate_mut().epoch = 3);
    rig.client(&[bind("", "s2"), sync()].concat());
    let sent = String::from_utf8_lossy(&rig.to_server()).into_owned();
    assert!(
        sent.contains("masked by 3"),
        "what is bound is what the configuration says now: {sent:?}"
    );
}

#[test]
fn a_query_between_an_error_and_its_sync_is_not_even_read() {
    for next in [query("deny"), query("select 1"), parse("", "hold delete"), frame(b'Q', b"half")] {
        let mut rig = Rig::new();
        rig.client(&[parse("", "select 1"), bind("", ""), execute("")].concat());
        rig.client(&frame(b'H', b""));
        rig.server(&[frame(b'1', b""), frame(b'2', b""), error("22012")].concat());
        let _ = (rig.to_server(), rig.to_client());
        rig.client(&[next, sync()].concat());
        assert_eq!(rig.to_server(), sync());
        assert_eq!(rig.effects(), []);
        rig.server(&ready(b'I'));
        assert_eq!(tags(&rig.to_client()), "Z");
        assert_eq!(rig.journal.lines, ["intent s-1 forwarded", "outcome s-1 22012 0"]);
    }
}

#[test]
fn an_error_in_the_middle_of_a_pipeline_ends_its_series_and_no_other() {
    let mut rig = Rig::new();
    rig.client(&[series("select 1"), series("select 2"), series("select 3")].concat());
    let failed = [frame(b'1', b""), frame(b'2', b""), error("22012"), ready(b'I')].concat();
    rig.server(&[series_reply("SELECT 1"), failed, series_reply("SELECT 3")].concat());
    assert_eq!(tags(&rig.to_client()), "12CZ12EZ12CZ");
    let outcomes: Vec<&String> = rig.journal.lines.iter().filter(|l| l.contains("out")).collect();
    assert_eq!(outcomes, ["outcome s-1 ok 1", "outcome s-2 22012 0", "outcome s-3 ok 3"]);
}

#[test]
fn a_portal_is_fetched_in_parts_across_flushes() {
    let mut rig = Rig::new();
    let part = frame(b'E', b"p\0\0\0\0\x02");
    let flush = frame(b'H', b"");
    let suspended = frame(b's', b"");
    rig.client(&[parse("", "select 1"), bind("p", ""), part.clone(), flush.clone()].concat());
    rig.server(&[frame(b'1', b""), frame(b'2', b""), suspended.clone()].concat());
    rig.client(&[part.clone(), flush.clone()].concat()).server(&suspended);
    // Other statements in between leave it alone.
    rig.client(&[parse("", "select 2"), bind("", ""), execute(""), flush.clone()].concat());
    rig.server(&[frame(b'1', b""), frame(b'2', b""), complete("SELECT 1")].concat());
    rig.client(&[part, flush].concat()).server(&complete("SELECT 1"));
    assert_eq!(tags(&rig.to_server()), "PBEHEHPBEHEH");
    assert_eq!(tags(&rig.to_client()), "12ss12CC");
    rig.client(&sync()).server(&ready(b'I'));
    assert_eq!(rig.journal.lines.iter().filter(|l| l.starts_with("intent")).count(), 4);
}

#[test]
fn what_nothing_asked_for_is_not_shown() {
    for reply in
        [frame(b'T', b"\0\0"), frame(b'D', b"\0\0"), frame(b'd', b"1\n"), frame(b'V', b"x")]
    {
        let mut rig = Rig::new();
        let notice = frame(b'N', b"SNOTICE\0Mhello\0\0");
        rig.server(&notice);
        assert_eq!(rig.to_client(), notice, "control: what comes at any time passes");
        rig.server_part(&reply);
        let seen = rig.to_client();
        assert_eq!(tags(&seen), "E");
        assert_eq!(field(&seen, b'C').as_deref(), Some("08P01"));
    }
}

#[test]
fn a_name_that_an_earlier_series_may_not_have_changed_is_waited_for() {
    let mut rig = Rig::new();
    rig.client(&[parse("s", "hold delete"), sync()].concat());
    rig.server(&[frame(b'1', b""), ready(b'I')].concat());
    rig.to_server();
    let run = [bind("", "s"), execute(""), sync()].concat();
    rig.client(&[parse("s", "select 1"), sync(), run].concat());
    assert_eq!(tags(&rig.to_server()), "PS", "what s is, the answer tells");
    rig.server(&[error("42P05"), ready(b'I')].concat());
    assert!(matches!(rig.effects()[..], [Effect::RequestApproval(_)]), "the held one, held");
}

#[test]
fn names_that_the_server_takes_for_one_are_one() {
    let name = |last: &str| format!("{}{last}", "n".repeat(63));
    let mut rig = Rig::new();
    rig.client(&[parse(&name("a"), "select 1"), sync()].concat());
    rig.server(&[frame(b'1', b""), ready(b'I')].concat());
    let closed = frame(b'C', format!("S{}\0", name("b")).as_bytes());
    rig.client(&[closed, parse(&name("b"), "hold delete"), sync()].concat());
    rig.server(&[frame(b'3', b""), frame(b'1', b""), ready(b'I')].concat());
    rig.client(&[bind("", &name("a")), execute(""), sync()].concat());
    assert!(matches!(rig.effects()[..], [Effect::RequestApproval(_)]), "it is what b was");
}

#[test]
fn the_end_of_a_transaction_leaves_what_a_refused_bind_goes_back_to() {
    let mut rig = Rig::new();
    rig.client(&[series("select 1"), series("begin"), series("select 2")].concat());
    rig.to_server();
    rig.server(&series_reply("SELECT 1"));
    let begun = [frame(b'1', b""), frame(b'2', b""), complete("BEGIN"), ready(b'T')].concat();
    rig.server(&[begun, error("42601"), ready(b'E')].concat());
    // The unnamed portal is the BEGIN's still, and what the server says of it is its own.
    rig.client(&[execute(""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "ES");
}

#[test]
fn a_query_ends_the_unnamed_portal() {
    let mut rig = Rig::new();
    rig.client(&query("begin"));
    rig.server(&[complete("BEGIN"), ready(b'T')].concat());
    rig.client(&[parse("", "hold"), bind("", ""), sync()].concat());
    rig.server(&[frame(b'1', b""), frame(b'2', b""), ready(b'T')].concat());
    rig.client(&query("select 1"));
    rig.server(&[complete("SELECT 1"), ready(b'T')].concat());
    (rig.to_server(), rig.effects());
    rig.client(&[execute(""), sync()].concat());
    assert!(!asks_for_approval(&mut rig), "nobody decides on what cannot run");
    assert_eq!(tags(&rig.to_server()), "PS");
}

#[test]
fn a_portal_that_a_sync_may_end_is_waited_for() {
    let mut rig = Rig::new();
    let bound = [parse("", "select 1"), bind("", ""), parse("x", "deny"), sync()].concat();
    rig.client(&[bound, execute(""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PBPS");
    rig.server(&[frame(b'1', b""), frame(b'2', b""), error("42601")].concat());
    assert_eq!(tags(&rig.to_server()), "", "its transaction is not over");
    rig.server(&ready(b'I'));
    assert_eq!(
        tags(&rig.to_server()),
        "PS",
        "there is no portal, and the server is made to say so"
    );
    // Control: in a transaction it stays.
    let mut rig = Rig::new();
    rig.client(&[parse("", "begin"), bind("", ""), sync(), execute(""), sync()].concat());
    rig.to_server();
    rig.server(&[frame(b'1', b""), frame(b'2', b""), ready(b'T')].concat());
    assert_eq!(tags(&rig.to_server()), "ES");
}

#[test]
fn a_portal_that_a_query_may_end_is_waited_for() {
    for (text, status, is_there) in [("commit", b'I', false), ("select 1", b'T', true)] {
        let mut rig = Rig::new();
        rig.client(&[parse("", "begin"), bind("", ""), execute("")].concat());
        rig.server(&[frame(b'1', b""), frame(b'2', b""), complete("BEGIN")].concat());
        rig.client(&[parse("", "hold delete"), bind("p", ""), query(text)].concat());
        rig.server(&[frame(b'1', b""), frame(b'2', b"")].concat());
        rig.client(&[execute("p"), sync()].concat());
        assert!(!asks_for_approval(&mut rig), "nobody decides on what may not run, behind {text}");
        rig.to_server();
        rig.server(&[complete("DONE"), ready(status)].concat());
        assert_eq!(asks_for_approval(&mut rig), is_there, "behind {text}");
        assert_eq!(tags(&rig.to_server()), if is_there { "" } else { "PS" }, "behind {text}");
    }
}

#[test]
fn a_portal_that_an_execute_may_end_is_waited_for() {
    let ends = [("commit", "COMMIT"), ("commit", "ROLLBACK"), ("rollback", "ROLLBACK")];
    let stays = [("rollback TO s", "ROLLBACK"), ("select 1", "SELECT 1")];
    for (text, tag) in ends.into_iter().chain(stays) {
        let is_there = stays.contains(&(text, tag));
        let mut rig = Rig::new();
        rig.client(&[parse("", "hold delete"), bind("p", "")].concat());
        rig.client(&[parse("", text), bind("", ""), execute("")].concat());
        let waits = text != "select 1";
        rig.client(&[execute("p"), sync()].concat());
        assert_eq!(asks_for_approval(&mut rig), !waits, "nobody decides on what may not run");
        assert_eq!(tags(&rig.to_server()), if waits { "PBPBEH" } else { "PBPBE" }, "{text}");
        let bound = [frame(b'1', b""), frame(b'2', b"")].concat();
        rig.server(&[&bound[..], &bound, &complete(tag)].concat());
        assert_eq!(asks_for_approval(&mut rig), is_there && waits, "{text}: {tag}");
        assert_eq!(tags(&rig.to_server()), if is_there { "" } else { "PS" }, "{text}: {tag}");
    }
}

#[test]
fn a_fetch_of_what_may_have_ended_is_waited_for() {
    for (status, refused) in [(b'I', false), (b'T', true)] {
        let mut rig = Rig::new();
        // Prepared before the portal was bound, and executed when that may be gone.
        rig.client(&[parse("f", "fetch p"), sync()].concat());
        rig.server(&[frame(b'1', b""), ready(b'I')].concat());
        rig.client(&[parse("", "begin"), bind("", ""), execute("")].concat());
        let held = [parse("", "hold delete"), bind("p", ""), sync()].concat();
        rig.to_server();
        rig.client(&[held, bind("", "f"), execute(""), sync()].concat());
        assert_eq!(tags(&rig.to_server()), "PBSB", "its Execute waits");
        let bound = [frame(b'1', b""), frame(b'2', b"")].concat();
        rig.server(&[&bound[..], &complete("BEGIN"), &bound, &ready(status)].concat());
        assert_eq!(tags(&rig.to_server()), if refused { "PS" } else { "ES" });
    }
}

#[test]
fn a_parse_that_fails_drops_the_unnamed_statement() {
    // Ignored behind another error, it does not.
    for (before, is_there) in [(vec![], false), (parse("x", "syntax"), true)] {
        let mut rig = Rig::new();
        rig.client(&[parse("", "hold delete"), sync()].concat());
        rig.server(&[frame(b'1', b""), ready(b'I')].concat());
        rig.client(&[before, parse("", "syntax"), sync()].concat());
        rig.server(&[error("42601"), ready(b'I')].concat());
        (rig.to_server(), rig.to_client());
        rig.client(&[bind("", ""), execute(""), sync()].concat());
        assert_eq!(asks_for_approval(&mut rig), is_there, "nobody decides on what cannot run");
        assert_eq!(tags(&rig.to_server()), if is_there { "B" } else { "PPS" });
    }
}

#[test]
fn what_came_before_a_wrong_answer_is_passed_on_before_the_error() {
    let mut rig = Rig::new();
    rig.client(&query("select 1"));
    // BindComplete answers no query; ParameterDescription before it goes on as it is.
    rig.server_part(&[frame(b't', b"\0\0"), frame(b'2', b""), complete("SELECT 1")].concat());
    assert_eq!(tags(&rig.to_client()), "tE");
}
