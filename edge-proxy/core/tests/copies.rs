//! COPY from the client: what the server ignores while it copies, what comes too late, and what is no COPY at all.

mod support;

use support::*;

fn copying() -> Vec<u8> {
    frame(b'G', b"\0\0\0")
}

fn data() -> Vec<u8> {
    frame(b'd', b"1\n")
}

fn done() -> Vec<u8> {
    frame(b'c', b"")
}

/// A RowDescription of one text column that comes from an expression, and a row of it.
fn secret_rows() -> Vec<u8> {
    let column = [&b"\0\x01c\0"[..], &[0; 6], &25_u32.to_be_bytes(), &[0; 8]].concat();
    [frame(b'T', &column), frame(b'D', b"\0\x01\0\0\0\x07SECRETS")].concat()
}

#[test]
fn data_for_what_is_no_copy_does_not_wait_for_ever() {
    let mut rig = Rig::new();
    rig.client(&[parse("", "select 1"), bind("", ""), execute(""), data(), sync()].concat());
    // The server answers at a Flush or Sync, and the Sync is behind the data.
    assert_eq!(tags(&rig.to_server()), "PBEH");
    rig.server(&[frame(b'1', b""), frame(b'2', b""), complete("SELECT 1")].concat());
    assert_eq!(rig.to_server(), sync(), "the data is ignored");
    rig.server(&ready(b'I'));
    assert_eq!(tags(&rig.to_client()), "12CZ");
}

#[test]
fn one_text_may_copy_twice() {
    let mut rig = Rig::new();
    rig.client(&[query("copyin a; copyin b"), data(), done()].concat());
    assert_eq!(tags(&rig.to_server()), "Q");
    for _ in 0..2 {
        rig.server(&copying());
        assert_eq!(tags(&rig.to_server()).trim_start_matches('H'), "dc");
        rig.client(&[data(), done()].concat()).server(&complete("COPY 1"));
    }
    assert_eq!(tags(&rig.to_server()).trim_start_matches('H'), "", "there is no third COPY");
    rig.server(&ready(b'I'));
    assert_eq!(tags(&rig.to_client()), "GCGCZ");
    rig.client(&query("select 1"));
    assert_eq!(rig.to_server(), query("select 1"), "what was too much is ignored");
}

#[test]
fn one_text_may_copy_in_both_directions_between_other_statements() {
    let mut rig = Rig::new();
    let rows = [frame(b'D', b"\0\x01\0\0\0\x010"), complete("SELECT 1")].concat();
    let out = [frame(b'H', b"\0\0\0"), data(), done(), complete("COPY 1")].concat();
    rig.client(&query("select 0; copyin a; copyout a; copyin a; select 1"));
    let _ = rig.to_server();
    rig.server(&[rows.clone(), copying()].concat());
    rig.client(&data()).client(&done());
    assert_eq!(tags(&rig.to_server()), "dc");
    rig.server(&[complete("COPY 1"), out, copying()].concat());
    rig.client(&data());
    assert_eq!(tags(&rig.to_server()), "d", "it does not wait for the end");
    rig.client(&frame(b'f', b"no\0"));
    rig.server(&[error("57014"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "DCGCHdcCGEZ");
    assert_eq!(tags(&rig.to_server()), "f");
    rig.client(&query("select 1"));
    assert_eq!(rig.to_server(), query("select 1"));
}

#[test]
fn a_sync_behind_a_simple_copy_is_not_waited_for() {
    let mut rig = Rig::new();
    rig.client(&[query("copyin a"), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "QS");
    rig.server(&copying());
    rig.client(&[data(), done()].concat());
    rig.server(&[complete("COPY 1"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "GCZ");
    let _ = rig.to_server();
    rig.client(&query("select 1"));
    assert_eq!(rig.to_server(), query("select 1"));
    // Control: behind a query that is no COPY it is answered.
    rig.client(&sync()).server(&[complete("SELECT 1"), ready(b'I'), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "CZZ");
}

#[test]
fn a_sync_inside_of_a_failing_copy_answers_nothing_else() {
    let mut rig = Rig::new();
    rig.client(&query("copyin a")).server(&copying());
    let _ = rig.to_server();
    // E3: the server may read the Sync before or after it fails; its answer must not be taken for the next query's, whose
    // rows would pass unseen then.
    rig.client(&[data(), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "d", "the server would ignore it");
    rig.server(&[error("22P04"), ready(b'I')].concat());
    rig.client(&query("select screened"));
    assert_eq!(rig.to_server(), query("select screened"));
    rig.server(&[secret_rows(), complete("SELECT 1"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!(tags(&seen), "GEZTDCZ");
    assert!(!String::from_utf8_lossy(&seen).contains("SECRETS"));
}

#[test]
fn late_data_after_a_copy_failed_is_ignored() {
    // Simple: the server is idle again and ignores it.
    let mut rig = Rig::new();
    rig.client(&query("copyin a")).server(&copying());
    rig.client(&data()).server(&[error("22P04"), ready(b'I')].concat());
    let _ = rig.to_server();
    rig.client(&[data(), data(), done(), query("select 1")].concat());
    assert_eq!(rig.to_server(), query("select 1"));
    // Extended: it skips everything up to Sync.
    let mut rig = Rig::new();
    rig.client(&[parse("", "copyin a"), bind("", ""), execute("")].concat());
    rig.client(&frame(b'H', b""));
    rig.server(&[frame(b'1', b""), frame(b'2', b""), copying()].concat());
    rig.client(&data()).server(&error("22P04"));
    let _ = rig.to_server();
    rig.client(&[data(), done(), query("deny"), sync(), query("select 1")].concat());
    assert_eq!(rig.to_server(), sync(), "and so is the query, unread");
    rig.server(&ready(b'I'));
    assert_eq!(rig.to_server(), query("select 1"));
    assert_eq!(tags(&rig.to_client()), "12GEZ");
}

#[test]
fn a_client_that_gives_up_a_copy_goes_on() {
    let mut rig = Rig::new();
    rig.client(&[parse("", "copyin a"), bind("", ""), execute(""), sync()].concat());
    rig.server(&[frame(b'1', b""), frame(b'2', b""), copying()].concat());
    let _ = rig.to_server();
    rig.client(&[data(), frame(b'f', b"no\0"), sync(), query("select 1")].concat());
    assert_eq!(tags(&rig.to_server()), "dfS");
    rig.server(&[error("57014"), ready(b'I')].concat());
    assert_eq!(rig.to_server(), query("select 1"));
    assert_eq!(tags(&rig.to_client()), "12GEZ");
}

#[test]
fn nothing_else_waits_inside_of_a_copy() {
    // After SET, a text waits for what names mean, and the server for data.
    for message in [parse("", "select 1"), query("select 1"), execute(""), frame(b'D', b"P\0")] {
        let mut rig = Rig::new();
        rig.client(&query("set search_path; copyin a"));
        rig.server(&[complete("SET"), copying()].concat());
        let _ = rig.to_client();
        rig.client(&message);
        assert_eq!(field(&rig.to_client(), b'C').as_deref(), Some("08P01"));
        assert!(rig.session.ended().is_some());
    }
}
