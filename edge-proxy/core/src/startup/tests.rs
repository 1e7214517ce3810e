//! What each packet before a session is, and what it is answered.

use proptest::prelude::*;

use super::*;
use crate::frame::{body, error_field};

const DANA: &[u8] = b"user\0dana\0database\0shop\0\0";

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(LENGTH_BYTES + CODE_BYTES + body.len()).expect("a length");
    [&length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

fn version(major: u16, minor: u16) -> u32 {
    Version { major, minor }.code()
}

/// What a preamble makes of bytes of which at most `step(n)` come at a time, and how many it read.
fn drive(
    preamble: &mut Preamble,
    bytes: &[u8],
    mut step: impl FnMut(usize) -> usize,
) -> (Option<Next>, usize) {
    let mut read = 0;
    loop {
        let received = bytes.get(..read).expect("no more than there is");
        match preamble.next(received) {
            Next::Read(count) => {
                assert!(count > 0 && count <= STARTUP_BYTES_MAX, "reads {count}");
                let come = step(count).clamp(1, count).min(bytes.len() - read);
                if come == 0 {
                    return (None, read);
                }
                read += come;
            }
            next => return (Some(next), read),
        }
    }
}

fn first(bytes: &[u8]) -> Next {
    drive(&mut Preamble::new(false), bytes, |count| count).0.expect("a whole packet")
}

fn session(code: u32, body: &[u8]) -> Startup {
    match first(&packet(code, body)) {
        Next::Session(startup) => startup,
        other => panic!("{other:?}"),
    }
}

fn refusal(bytes: &[u8]) -> Message {
    match first(bytes) {
        Next::Refuse(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_has_its_parameters_in_their_order() {
    let startup = session(version(3, 0), DANA);
    let expected = [("user", "dana"), ("database", "shop")];
    assert_eq!(startup.parameters, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!((startup.get("database"), startup.get("options")), (Some("shop"), None));
    let twice = session(version(3, 0), b"user\0dana\0user\0ada\0\0");
    assert_eq!(twice.get("user"), Some("ada"), "the last one counts, as at the server");
}

#[test]
fn versions_are_negotiated_as_the_server_does() {
    // Asked for, spoken, told by NegotiateProtocolVersion, bytes of the cancel key.
    let table = [
        ((3, 0), (3, 0), false, 4),
        ((3, 1), (3, 1), false, 4),
        ((3, 2), (3, 2), false, 32),
        ((3, 3), (3, 2), true, 32),
        ((3, 9_999), (3, 2), true, 32),
        ((3, u16::MAX), (3, 2), true, 32),
    ];
    for (asked, spoken, told, key) in table {
        let startup = session(version(asked.0, asked.1), DANA);
        assert_eq!(startup.version(), Version { major: spoken.0, minor: spoken.1 }, "{asked:?}");
        assert_eq!(startup.cancel_key_bytes(), key, "{asked:?}");
        let expected = told.then_some(&b"v\0\0\0\x0c\0\x03\0\x02\0\0\0\0"[..]);
        assert_eq!(startup.negotiation().as_deref(), expected, "{asked:?}");
    }
}

#[test]
fn options_of_the_protocol_are_named_back() {
    let options = b"user\0dana\0_pq_.a\0on\0_pq_.bc\0\0\0";
    // The version told is the one asked for, where it is spoken.
    for (minor, told) in [(0, 0), (1, 1), (2, 2), (7, 2)] {
        let startup = session(version(3, minor), options);
        let expected = [b"v\0\0\0\x1b\0\x03\0", &[told][..], b"\0\0\0\x02_pq_.a\0_pq_.bc\0"];
        assert_eq!(startup.negotiation().as_deref(), Some(&expected.concat()[..]), "3.{minor}");
        assert_eq!(startup.parameters.len(), 1, "none goes on to a database");
    }
}

#[test]
fn other_major_versions_are_told_which_there_are() {
    for major in [0, 1, 2, 4, 1_234, u16::MAX] {
        let message = refusal(&packet(version(major, 7), DANA));
        assert_eq!((message.severity, message.code.0), ("FATAL", "0A000"));
        let expected =
            format!("unsupported frontend protocol {major}.7: this edge speaks 3.0 to 3.2");
        assert_eq!(message.message, expected);
        let mut out = BytesMut::new();
        message.put(b'E', &mut out);
        assert_eq!(error_field(body(&out), b'C'), Some(&b"0A000"[..]));
    }
}

#[test]
fn a_malformed_start_up_is_told_why() {
    let bad: [&[u8]; 6] =
        [b"", b"user\0dana", b"user\0dana\0", b"user\0dana\0\0x\0", b"user\0\0x", b"u\0\xff\0\0"];
    for bad in bad {
        let message = refusal(&packet(version(3, 0), bad));
        assert_eq!(message.code.0, "08P01", "{bad:?}");
        assert!(!message.message.is_empty() && !message.hint.is_empty(), "{bad:?}");
    }
    for nobody in [&b"\0"[..], b"user\0\0\0", b"database\0shop\0\0"] {
        assert_eq!(refusal(&packet(version(3, 0), nobody)).code.0, "28000", "{nobody:?}");
    }
}

#[test]
fn lengths_are_bounded_before_the_packet_is_read() {
    let filler = |length: usize| {
        let value = "x".repeat(length - b"user\0d\0x\0\0\0".len());
        packet(version(3, 0), format!("user\0d\0x\0{value}\0\0").as_bytes())
    };
    let longest = STARTUP_BYTES_MAX - CODE_BYTES;
    assert!(matches!(first(&filler(longest)), Next::Session(_)));
    let head = |length: u32, code: u32| [length.to_be_bytes(), code.to_be_bytes()].concat();
    let message = refusal(&head(10_005, version(3, 2)));
    assert_eq!(message.code.0, "08P01");
    assert!(message.message.contains("10005 bytes"), "{}", message.message);
    assert!(matches!(refusal(&head(u32::MAX, version(3, 0))).code.0, "08P01"));
    // Nothing shows that these are PostgreSQL's.
    assert!(matches!(first(b"GET / HTTP/1.1\r\n\r\n"), Next::Close(_)));
    for length in [0, 4, 7] {
        assert!(matches!(first(&u32::to_be_bytes(length)), Next::Close(_)), "{length}");
    }
    let mut preamble = Preamble::new(false);
    let more = [packet(version(3, 0), DANA), vec![0]].concat();
    assert!(matches!(preamble.next(&more), Next::Close(_)), "more than was asked for");
}

#[test]
fn cancel_keys_are_of_any_length_that_the_protocol_has() {
    for length in [4, 5, 32, 255, 256] {
        let key = vec![7; length];
        let request = packet(CANCEL_REQUEST, &[&b"\0\0\x01\x02"[..], &key].concat());
        let expected = CancelRequest { process_id: 258, key: Secret::new(key) };
        assert_eq!(first(&request), Next::Cancel(expected), "{length}");
    }
    for length in [0, 1, 3, 257, 9_000] {
        let request = packet(CANCEL_REQUEST, &[&b"\0\0\x01\x02"[..], &vec![7; length]].concat());
        assert!(matches!(first(&request), Next::Close(_)), "{length}");
    }
    assert!(matches!(first(&packet(CANCEL_REQUEST, b"\0\0\x01")), Next::Close(_)));
    let request = first(&packet(CANCEL_REQUEST, b"\0\0\x01\x02key!"));
    assert!(!format!("{request:?}").contains("107"), "keys are not printed: {request:?}");
}

/// What a connection is answered that sends these codes one by one, up to the first that ends its preamble.
fn asks(direct_tls: bool, codes: &[u32]) -> Vec<Next> {
    let mut preamble = Preamble::new(direct_tls);
    codes.iter().map(|code| preamble.next(&packet(*code, b""))).collect()
}

#[test]
fn each_encryption_is_asked_for_once() {
    let again = |next: &Next| matches!(next, Next::Refuse(m) if m.code.0 == "0A000");
    assert_eq!(asks(false, &[SSL_REQUEST]), [Next::StartTls]);
    assert_eq!(asks(false, &[GSSENC_REQUEST, SSL_REQUEST]), [Next::Decline, Next::StartTls]);
    assert!(again(&asks(false, &[GSSENC_REQUEST, GSSENC_REQUEST])[1]));
    // Over TLS that was asked for, there is nothing more to ask for.
    for second in [SSL_REQUEST, GSSENC_REQUEST] {
        assert!(again(&asks(false, &[SSL_REQUEST, second])[1]), "{second}");
    }
    // Over TLS that was not asked for, both are declined once.
    let direct = asks(true, &[SSL_REQUEST, GSSENC_REQUEST, SSL_REQUEST]);
    assert_eq!(direct[..2], [Next::Decline, Next::Decline]);
    assert!(again(&direct[2]));
    for code in [SSL_REQUEST, GSSENC_REQUEST] {
        assert!(matches!(first(&packet(code, b"x")), Next::Close(_)), "a request is eight bytes");
    }
}

#[test]
fn direct_tls_is_for_postgresql_by_name() {
    assert!(is_direct_tls(0x16) && !is_direct_tls(0));
    assert!(is_alpn_ours(Some(b"postgresql")));
    for other in [None, Some(&b""[..]), Some(b"postgres"), Some(b"h2")] {
        assert!(!is_alpn_ours(other), "{other:?}");
    }
}

/// Bytes that are mostly almost a packet.
fn almost_packets() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        Just(CANCEL_REQUEST),
        Just(SSL_REQUEST),
        Just(GSSENC_REQUEST),
        (0_u16..5, 0_u16..5).prop_map(|(major, minor)| version(major, minor)),
        any::<u32>(),
    ];
    let text = prop_oneof![Just("user"), Just("_pq_.x"), Just("é"), Just(""), Just("\u{1}")];
    let texts = prop::collection::vec(text, 0..6);
    let texts = texts.prop_map(|texts| texts.join("\0").into_bytes());
    let body = prop_oneof![texts, prop::collection::vec(any::<u8>(), 0..300)];
    (code, body, -4_i32..4, any::<bool>()).prop_map(|(code, mut body, off, ends)| {
        if ends {
            body.extend([0, 0]);
        }
        let mut bytes = packet(code, &body);
        let length = i32::try_from(bytes.len()).expect("a length") + if ends { 0 } else { off };
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes
    })
}

proptest! {
    /// However the bytes come, the answer is the same, and not one is read beyond the packet.
    #[test]
    fn splits_change_nothing(
        bytes in prop_oneof![almost_packets(), prop::collection::vec(any::<u8>(), 0..40)],
        direct in any::<bool>(),
        steps in prop::collection::vec(1_usize..40, 1..40),
    ) {
        let whole = drive(&mut Preamble::new(direct), &bytes, |count| count);
        let mut next = steps.iter().cycle().copied();
        let split = drive(&mut Preamble::new(direct), &bytes, |_| next.next().expect("endless"));
        prop_assert_eq!(&whole, &split);
        let bytewise = drive(&mut Preamble::new(direct), &bytes, |_| 1);
        prop_assert_eq!(&whole, &bytewise);
        let trailed = [&bytes[..], &[0x16; 64]].concat();
        let trailed = drive(&mut Preamble::new(direct), &trailed, |count| count);
        if whole.0.is_some() {
            prop_assert_eq!(whole, trailed);
        }
    }

    /// What is written as a start-up is read as it was written.
    #[test]
    fn parameters_are_read_as_they_were_written(
        minor in any::<u16>(),
        parameters in prop::collection::vec(("[a-zA-Z_.é]{1,8}", "[^\0]{0,9}"), 0..9),
        options in prop::collection::vec("_pq_\\.[a-z]{0,5}", 0..3),
    ) {
        let user = ("user".to_owned(), "dana".to_owned());
        let parameters: Vec<_> = parameters.into_iter().chain([user]).collect();
        let mut body: Vec<u8> = Vec::new();
        for (name, value) in &parameters {
            body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        for name in &options {
            body.extend([name.as_bytes(), b"\0on\0"].concat());
        }
        body.push(0);
        let startup = session(version(3, minor), &body);
        prop_assert_eq!(startup.asked, Version { major: 3, minor });
        prop_assert_eq!(startup.parameters, parameters);
        prop_assert_eq!(startup.unknown_options, options);
    }
}
