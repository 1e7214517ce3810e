//! Names that stand for something else when they are used than when they were decided on: portals by FETCH, and prepared
//! statements by EXECUTE (E1). And the server's answers about names, which are not asked for where asking would be noticed.

mod support;

use support::*;

fn done(rig: &mut Rig, tag: &str, status: u8) {
    rig.server(&[complete(tag), ready(status)].concat());
}

#[test]
fn fetch_does_not_run_what_bind_made() {
    let long = "p".repeat(70);
    for (bound, fetched) in [("c", "c"), (long.as_str(), &long[..63])] {
        let mut rig = Rig::new();
        rig.client(&query("begin"));
        done(&mut rig, "BEGIN", b'T');
        // What is held may be bound: it waits at its Execute.
        rig.client(&[parse("", "hold all"), bind(bound, ""), sync()].concat());
        rig.server(&[frame(b'1', b""), frame(b'2', b""), ready(b'T')].concat());
        rig.to_server();
        rig.to_client();
        rig.client(&query(&format!("fetch {fetched}")));
        let sent = rig.to_server();
        assert!(!String::from_utf8_lossy(&sent).contains("fetch"), "{bound}");
        rig.server(&[error("42601"), ready(b'E')].concat());
        assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("42501"), "{bound}");
        // With the transaction the portal is gone, and another cursor may have its name.
        rig.client(&query("rollback"));
        done(&mut rig, "ROLLBACK", b'I');
        rig.to_server();
        rig.client(&query(&format!("fetch {fetched}")));
        assert!(String::from_utf8_lossy(&rig.to_server()).contains("fetch"), "control");
    }
}

#[test]
fn fetch_that_was_parsed_before_the_bind_does_not_run_it_either() {
    let mut rig = Rig::new();
    rig.client(
        &[parse("f", "fetch c"), parse("", "hold all"), bind("c", ""), bind("", "f")].concat(),
    );
    rig.to_server();
    rig.client(&[execute(""), sync()].concat());
    let sent = String::from_utf8_lossy(&rig.to_server()).into_owned();
    assert!(sent.contains("writ_refused") && !sent.contains("E\0\0\0\t"), "{sent}");
}

#[test]
fn execute_is_decided_by_what_its_name_stands_for_now() {
    for again in ["deny", "hold"] {
        let mut rig = Rig::new();
        rig.client(&query("prepare p select"));
        done(&mut rig, "PREPARE", b'I');
        rig.client(&[parse("s", "execute p"), sync()].concat());
        rig.server(&[frame(b'1', b""), ready(b'I')].concat());
        rig.client(&query(&format!("prepare p {again}")));
        done(&mut rig, "PREPARE", b'I');
        rig.to_server();
        rig.to_client();
        rig.client(&[bind("", "s"), execute(""), sync()].concat());
        let sent = rig.to_server();
        assert!(!tags(&sent).contains('E'), "{again}: {}", tags(&sent));
    }
    // As long as it stands for the same, it runs.
    let mut rig = Rig::new();
    rig.client(&query("prepare p select"));
    done(&mut rig, "PREPARE", b'I');
    rig.to_server();
    rig.client(&[parse("s", "execute p"), bind("", "s"), execute(""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PBES", "control");
}

/// A session in a transaction, with a temporary relation, after another one made a definition.
fn beside_a_definition() -> Rig {
    let mut rig = Rig::new();
    rig.with(|s, _| s.gate_mut().names.temp_relations = vec!["t".into()]);
    rig.client(&query("begin"));
    if tags(&rig.to_server()) == "PBECCS" {
        rig.server(&[answer(&TEMPORARY), ready(b'I')].concat()).to_server();
    }
    done(&mut rig, "BEGIN", b'T');
    rig.with(|s, _| s.gate_mut().epoch = 2);
    let _ = rig.to_client();
    rig
}

/// Names of a session that has a temporary relation.
const TEMPORARY: [&[u8]; 6] =
    [b"app", b"[\"pg_catalog\"]", b"on", b"[\"t\"]", b"pg_catalog", b"[]"];

#[test]
fn before_a_transaction_has_its_snapshot_nothing_is_asked() {
    for text in ["characteristics 1", "savepoint a", "lock t", "commit"] {
        let mut rig = beside_a_definition();
        rig.client(&query(text));
        assert_eq!(rig.to_server(), query(text), "a question would take the snapshot before it");
        done(&mut rig, "SET", b'T');
        rig.client(&query("select 1"));
        assert_eq!(tags(&rig.to_server()), format!("{}S", "PBECC".repeat(4)), "control: {text}");
        rig.server(&answer_in_block(&[&TEMPORARY]));
        assert_eq!(rig.to_server(), query("select 1"));
    }
    // A BEGIN itself, outside of transactions, still asks first: what comes behind it need not.
    let mut rig = beside_a_definition();
    rig.client(&query("commit"));
    done(&mut rig, "COMMIT", b'I');
    rig.to_server();
    rig.client(&query("begin"));
    assert_eq!(tags(&rig.to_server()), "PBECCS");
}

#[test]
fn drivers_that_prepare_set_transaction_are_not_in_its_way_either() {
    let mut rig = beside_a_definition();
    let text = "characteristics 1";
    rig.client(&[parse("", text), bind("", ""), execute(""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PBES");
    // Control: what uses names waits.
    let mut rig = beside_a_definition();
    rig.client(&[parse("", "select 1"), bind("", ""), execute(""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), format!("{}S", "PBECC".repeat(4)));
}

#[test]
fn what_the_session_itself_changed_is_asked_before_a_lock() {
    let mut rig = Rig::new();
    rig.client(&query("begin"));
    done(&mut rig, "BEGIN", b'T');
    rig.client(&query("set search_path"));
    done(&mut rig, "SET", b'T');
    rig.to_server();
    rig.client(&query("characteristics 1"));
    assert_eq!(rig.to_server(), query("characteristics 1"), "it names nothing");
    done(&mut rig, "SET", b'T');
    // E1: which relation is locked depends on the search path; and a backslash may not be what it seems.
    for text in ["lock t", "characteristics \\ 1"] {
        let mut rig = Rig::new();
        rig.client(&query("set search_path"));
        done(&mut rig, "SET", b'T');
        rig.to_server();
        rig.client(&query(text));
        assert_eq!(tags(&rig.to_server()), format!("{}S", "PBECC".repeat(4)), "{text}");
    }
}

#[test]
fn a_question_leaves_no_locks_in_a_transaction() {
    let mut rig = Rig::new();
    rig.client(&query("begin"));
    done(&mut rig, "BEGIN", b'T');
    rig.client(&query("define"));
    done(&mut rig, "CREATE VIEW", b'T');
    rig.to_server();
    rig.client(&query("select 1"));
    let sent = String::from_utf8_lossy(&rig.to_server()).into_owned();
    let at = |what: &str| sent.find(what).unwrap_or_else(|| panic!("no {what}: {sent}"));
    assert!(at("SAVEPOINT writ_probe") < at("pg_get_viewdef"));
    assert!(at("pg_get_viewdef") < at("ROLLBACK TO SAVEPOINT writ_probe"));
    assert!(at("ROLLBACK TO SAVEPOINT") < at("RELEASE SAVEPOINT writ_probe"));
    rig.server(&answer_in_block(&[&[b"x"], &[b"{}"]]));
    assert_eq!(rig.to_server(), query("select 1"));
    // In the middle of a series nobody knows whether a block is open: there savepoints could be refused.
    let mut rig = Rig::new();
    rig.client(&[parse("", "define"), bind("", ""), execute("")].concat());
    rig.client(&parse("", "select 1"));
    rig.server(&[frame(b'1', b""), frame(b'2', b""), complete("CREATE VIEW")].concat());
    let sent = rig.to_server();
    assert!(tags(&sent).ends_with("PBECCPBECCPBECCH"), "{}", tags(&sent));
    assert!(!String::from_utf8_lossy(&sent).contains("SAVEPOINT"));
}
