//! Names that stand for something else when they are used than when they were decided on: portals by FETCH, and prepared
//! statements by EXECUTE (E1).

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
