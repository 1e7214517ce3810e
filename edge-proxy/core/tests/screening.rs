//! Screened results through the session: in every protocol, whole and in pieces, and no byte else is changed.

mod support;

use support::*;

/// A RowDescription of one text column that comes from an expression.
fn described() -> Vec<u8> {
    let column = [&b"\0\x01c\0"[..], &[0; 6], &25_u32.to_be_bytes(), &[0; 8]].concat();
    frame(b'T', &column)
}

fn row(value: &str) -> Vec<u8> {
    let length = i32::try_from(value.len()).expect("short").to_be_bytes();
    frame(b'D', &[&b"\0\x01"[..], &length, value.as_bytes()].concat())
}

const SHOWN: &str = "of SECRETS told";
const HIDDEN: &str = "of ******* told";

#[test]
fn a_query_is_screened_however_its_bytes_come() {
    let reply =
        |value| [described(), row(value), row("plain"), complete("SELECT 2"), ready(b'I')].concat();
    let (came, goes) = (reply(SHOWN), reply(HIDDEN));
    for at in 0..came.len() {
        let mut rig = Rig::new();
        rig.client(&query("select screened"));
        rig.server_part(came.get(..at).expect("a part"));
        rig.server_part(came.get(at..).expect("the rest"));
        assert_eq!(rig.to_client(), goes, "{at}");
    }
    // Others pass as they are.
    let mut rig = Rig::new();
    rig.client(&query("select all")).server(&came);
    assert_eq!(rig.to_client(), came);
    rig.client(&query("select screened")).server(&came).client(&query("select all")).server(&came);
    assert_eq!(rig.to_client(), [goes, came].concat());
}

#[test]
fn an_execute_is_screened_by_its_portals_own_columns() {
    let mut rig = Rig::new();
    rig.client(&[parse("", "select screened"), bind("", ""), execute(""), sync()].concat());
    assert_eq!(tags(&rig.to_server()), "PBDES", "one Describe more than the client sent");
    rig.server(&[frame(b'1', b""), frame(b'2', b""), described()].concat());
    rig.server(&[row(SHOWN), complete("SELECT 1"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!(tags(&seen), "12DCZ", "the client did not ask for a description");
    assert!(String::from_utf8_lossy(&seen).contains(HIDDEN));
    // A portal without rows, and the client's own Describe.
    rig.client(
        &[parse("", "update screened"), bind("", ""), frame(b'D', b"P\0"), execute(""), sync()]
            .concat(),
    );
    assert_eq!(tags(&rig.to_server()), "PBDDES");
    rig.server(&[frame(b'1', b""), frame(b'2', b""), frame(b'n', b""), frame(b'n', b"")].concat());
    rig.server(&[complete("UPDATE 1"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "12nCZ");
}

#[test]
fn an_error_at_our_own_describe_ends_the_series_as_the_clients_would() {
    let mut rig = Rig::new();
    rig.client(&[parse("", "select screened"), bind("", ""), execute(""), sync()].concat());
    rig.to_server();
    rig.server(&[frame(b'1', b""), frame(b'2', b""), error("XX000"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!(tags(&seen), "12EZ");
    assert_eq!(field(&seen, b'C').as_deref(), Some("XX000"));
    rig.client(&query("select all")).server(&[complete("SELECT 0"), ready(b'I')].concat());
    assert_eq!(tags(&rig.to_client()), "CZ");
}

#[test]
fn cursors_and_copies_are_screened() {
    let mut rig = Rig::new();
    rig.client(&query("declare screened c")).server(&[complete("DECLARE"), ready(b'T')].concat());
    rig.to_client();
    let reply = |value| [described(), row(value), complete("FETCH 1"), ready(b'T')].concat();
    rig.client(&query("fetch c")).server(&reply(SHOWN));
    assert_eq!(rig.to_client(), reply(HIDDEN));
    let copy = |value: &str| {
        let line = frame(b'd', format!("1\t{value}\n").as_bytes());
        [frame(b'H', b"\0\0\0"), line, frame(b'c', b""), complete("COPY 1"), ready(b'T')].concat()
    };
    rig.client(&query("select screened")).server(&copy(SHOWN));
    assert_eq!(rig.to_client(), copy(HIDDEN));
}

#[test]
fn a_row_that_is_too_large_to_look_through_ends_the_session() {
    let mut rig = Rig::new();
    rig.client(&query("select screened")).server(&described());
    rig.to_client();
    rig.server_part(&[&b"D"[..], &(100_i32 << 20).to_be_bytes()].concat());
    let seen = rig.to_client();
    assert_eq!(field(&seen, b'C').as_deref(), Some("54000"));
}

#[test]
fn a_screened_row_that_comes_in_pieces_is_metered_once() {
    let mut rig = Rig::new();
    rig.with(|s, _| s.gate_mut().limits.rows_max = Some(1));
    rig.client(&query("select screened")).server(&described());
    for piece in row(SHOWN).chunks(3) {
        rig.server_part(piece);
    }
    rig.server(&[complete("SELECT 1"), ready(b'I')].concat());
    let seen = rig.to_client();
    assert_eq!(tags(&seen), "TDCZ");
    assert!(String::from_utf8_lossy(&seen).contains(HIDDEN));
}
