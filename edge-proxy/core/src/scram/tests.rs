//! The exchange against RFC 7677's own example, a real client, and clients that lie.

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::password::scram_sha_256;
use proptest::prelude::*;

use writ_model::password::PasswordKeys;

use super::*;

const PASSWORD: &[u8] = b"correct horse battery staple";
const NONCE: &[u8; NONCE_BYTES] = b"eighteen bytes, ok";
const CERTIFICATE: &[u8] = &[7; 32];

fn verifier() -> Verifier {
    Verifier::of(&parsed(&scram_sha_256(PASSWORD)).expect("as PostgreSQL keeps it"))
}

/// Reads `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, salt and keys in base64.
fn parsed(text: &str) -> Option<Passwords> {
    let rest = text.strip_prefix("SCRAM-SHA-256$4096:")?;
    let (salt, keys) = rest.split_once('$')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    let key = |text| decode(text).map(Secret::new);
    let keys = PasswordKeys { stored_key: key(stored_key)?, server_key: key(server_key)? };
    Some(Passwords { salt: decode(salt)?, keys: vec![keys] })
}

fn mock_salts(byte: u8) -> Secret<Key> {
    Secret::new([byte; KEY_BYTES])
}

fn end_point() -> Link {
    Link::EndPoint(CERTIFICATE.to_vec())
}

/// What a real client and the edge make of each other.
fn log_in(
    verifier: Verifier,
    link: Link,
    mechanism: &str,
    binding: ChannelBinding,
    password: &[u8],
) -> Result<(), Message> {
    let mut client = ScramSha256::new(password, binding);
    let exchange = AwaitsFirst::new(verifier, link, NONCE);
    let (exchange, answer) = exchange.first(mechanism, client.message())?;
    client.update(answer.as_bytes()).expect("an answer that a client takes");
    let proven = exchange.last("robot", client.message())?;
    client.finish(proven.message().as_bytes()).expect("the server proves itself too");
    Ok(())
}

fn bound(hash: &[u8]) -> ChannelBinding {
    ChannelBinding::tls_server_end_point(hash.to_vec())
}

/// The password's verifier, made without the code under test.
fn derived(password: &[u8], salt: [u8; SALT_BYTES]) -> Passwords {
    let mac = |key: &[u8], text: &[u8]| -> Key {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
        mac.update(text);
        mac.finalize().into_bytes().into()
    };
    let mut last = mac(password, &[&salt[..], &[0, 0, 0, 1]].concat());
    let mut salted = last;
    for _ in 1..ITERATIONS {
        last = mac(password, &last);
        salted.iter_mut().zip(last).for_each(|(to, from)| *to ^= from);
    }
    let stored_key = Secret::new(Sha256::digest(mac(&salted, b"Client Key")).into());
    let server_key = Secret::new(mac(&salted, b"Server Key"));
    Passwords { salt, keys: vec![PasswordKeys { stored_key, server_key }] }
}

#[test]
fn the_example_of_rfc_7677_is_answered_as_it_says() {
    let salt = decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("a salt");
    let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
    let verifier = Verifier::of(&derived(b"pencil", salt));
    let exchange = AwaitsFirst { verifier, link: Link::Unbound, nonce };
    let (exchange, answer) =
        exchange.first(SCRAM, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").expect("an answer");
    let both = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    assert_eq!(answer, format!("r={both},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    let last = format!("c=biws,r={both},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    let proven = exchange.last("user", last.as_bytes()).expect("the right proof");
    assert_eq!(proven.message(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

#[test]
fn a_real_client_gets_in_with_its_password_alone() {
    let ways = [
        (Link::Unbound, SCRAM, ChannelBinding::unsupported as fn() -> _),
        (Link::Unbound, SCRAM, ChannelBinding::unrequested),
        (end_point(), SCRAM, ChannelBinding::unsupported),
        (end_point(), SCRAM_PLUS, || bound(CERTIFICATE)),
    ];
    for (link, mechanism, binding) in ways {
        log_in(verifier(), link.clone(), mechanism, binding(), PASSWORD).expect("let in");
        let refused = log_in(verifier(), link, mechanism, binding(), b"wrong").expect_err("wrong");
        assert_eq!(refused.code.0, "28P01");
        assert_eq!(refused.message, "password authentication failed for user \"robot\"");
    }
}

#[test]
fn another_connection_and_a_withheld_offer_are_found() {
    let said = |link, mechanism, binding| {
        let refused = log_in(verifier(), link, mechanism, binding, PASSWORD).expect_err("refused");
        (refused.code.0, refused.message)
    };
    let check = ("28000", "SCRAM channel binding check failed".to_owned());
    assert_eq!(said(end_point(), SCRAM_PLUS, bound(&[8; 32])), check, "somebody between");
    assert_eq!(said(end_point(), SCRAM_PLUS, bound(&[7; 31])), check);
    let negotiation = ("28000", "SCRAM channel binding negotiation error".to_owned());
    assert_eq!(said(end_point(), SCRAM, ChannelBinding::unrequested()), negotiation);
    let malformed = ("08P01", "malformed SCRAM message".to_owned());
    assert_eq!(said(end_point(), SCRAM, bound(CERTIFICATE)), malformed);
    assert_eq!(said(end_point(), SCRAM_PLUS, ChannelBinding::unsupported()), malformed);
    assert_eq!(said(end_point(), SCRAM_PLUS, ChannelBinding::unrequested()), malformed);
    let mechanism =
        ("08P01", "client selected an invalid SASL authentication mechanism".to_owned());
    assert_eq!(said(Link::Unbound, SCRAM_PLUS, bound(CERTIFICATE)), mechanism);
    assert_eq!(said(end_point(), "SCRAM-SHA-1", bound(CERTIFICATE)), mechanism);
    assert_eq!(Link::Unbound.mechanisms(), [SCRAM]);
    assert_eq!(end_point().mechanisms(), [SCRAM_PLUS, SCRAM]);
}

#[test]
fn nobody_learns_who_exists() {
    let salt = |verifier: Verifier| {
        let exchange = AwaitsFirst::new(verifier, Link::Unbound, NONCE);
        exchange.first(SCRAM, b"n,,n=,r=abc").expect("an answer").1
    };
    let mock = |secret, user| salt(Verifier::mock(&mock_salts(secret), user));
    assert_eq!(mock(1, "robot"), mock(1, "robot"), "the same each time");
    assert_ne!(mock(1, "robot"), mock(1, "other"));
    assert_ne!(mock(1, "robot"), mock(2, "robot"), "not to be worked out without the secret");
    assert_eq!(mock(1, "robot").len(), salt(verifier()).len());
    let refusal = |verifier, password: &[u8]| {
        let binding = ChannelBinding::unsupported();
        log_in(verifier, Link::Unbound, SCRAM, binding, password).expect_err("refused")
    };
    let unknown = refusal(Verifier::mock(&mock_salts(1), "robot"), PASSWORD);
    assert_eq!(unknown, refusal(verifier(), b"wrong"));
    // A service whose passwords were all removed is not let in by the keys that stand in for them.
    let none = Verifier { keys: [None; PASSWORDS_MAX], ..verifier() };
    assert_eq!(refusal(none, PASSWORD).code.0, "28P01");
}

#[test]
fn either_of_two_passwords_is_right_until_it_is_removed() {
    let mut passwords = derived(b"the old one", [5; SALT_BYTES]);
    passwords.keys.extend(derived(b"the new one", [5; SALT_BYTES]).keys);
    let said = |passwords: &Passwords, password: &[u8]| {
        let binding = ChannelBinding::unsupported();
        log_in(Verifier::of(passwords), Link::Unbound, SCRAM, binding, password)
    };
    said(&passwords, b"the old one").expect("let in");
    said(&passwords, b"the new one").expect("let in");
    said(&passwords, b"another one").expect_err("neither");
    passwords.keys.remove(0);
    said(&passwords, b"the old one").expect_err("removed");
    said(&passwords, b"the new one").expect("let in");
}

#[test]
fn first_messages_that_are_none_are_told_as_the_server_does() {
    let long = format!("n,,n=,r={}", "x".repeat(MESSAGE_BYTES_MAX));
    let table: [(&[u8], &str); 20] = [
        (b"", "08P01"),
        (b"n", "08P01"),
        (b"n,", "08P01"),
        (b"n,,", "08P01"),
        (b"x,,n=,r=abc", "08P01"),
        (b"nn,,n=,r=abc", "08P01"),
        (b"p,,n=,r=abc", "08P01"),
        (b"p=tls-unique,,n=,r=abc", "08P01"),
        (b"n,a=root,n=,r=abc", "0A000"),
        (b"n,x,n=,r=abc", "08P01"),
        (b"n,,m=1,n=,r=abc", "0A000"),
        (b"n,,r=abc", "08P01"),
        (b"n,,n=", "08P01"),
        (b"n,,n=,r=", "08P01"),
        (b"n,,n=,r=a b", "08P01"),
        (b"n,,n=,r=a\x7f", "08P01"),
        (b"n,,n=,r=abc,", "08P01"),
        (b"n,,n=,r=a\0bc", "08P01"),
        (b"n,,n=\xff,r=abc", "08P01"),
        (long.as_bytes(), "08P01"),
    ];
    let first = |message| AwaitsFirst::new(verifier(), Link::Unbound, NONCE).first(SCRAM, message);
    for (message, code) in table {
        let refused = first(message).expect_err("refused");
        assert_eq!(refused.code.0, code, "{}", String::from_utf8_lossy(message));
    }
    first(b"n,,n=any,r=abc,x=unknown").expect("extensions that are not mandatory");
}

#[test]
fn last_messages_that_are_none_are_told_as_the_server_does() {
    let proof = STANDARD.encode([0; KEY_BYTES]);
    let nonce = format!("abc{}", STANDARD.encode(NONCE));
    let table = [
        (format!("c=biws,r={nonce}"), "08P01", "malformed SCRAM message"),
        (format!("c=biws,r={nonce},p="), "08P01", "malformed SCRAM message"),
        (format!("c=biws,r={nonce},p={}", &proof[..40]), "08P01", "malformed SCRAM message"),
        (format!("c=biws,r={nonce},p={proof},x=1"), "08P01", "malformed SCRAM message"),
        (format!("r={nonce},c=biws,p={proof}"), "08P01", "malformed SCRAM message"),
        (format!("c=biws,p={proof}"), "08P01", "malformed SCRAM message"),
        (format!("c=biws,r={nonce},,p={proof}"), "08P01", "malformed SCRAM message"),
        (format!("c=biws,r=abc,p={proof}"), "08P01", "invalid SCRAM response"),
        (format!("c=biws,r={nonce}x,p={proof}"), "08P01", "invalid SCRAM response"),
        (format!("c=eSws,r={nonce},p={proof}"), "28000", "SCRAM channel binding check failed"),
        (
            format!("c=biws,r={nonce},x=1,p={proof}"),
            "28P01",
            "password authentication failed for user \"robot\"",
        ),
    ];
    for (message, code, text) in table {
        let exchange = AwaitsFirst::new(verifier(), Link::Unbound, NONCE);
        let (exchange, _) = exchange.first(SCRAM, b"n,,n=,r=abc").expect("an answer");
        let refused = exchange.last("robot", message.as_bytes()).expect_err("refused");
        assert_eq!((refused.code.0, refused.message.as_str()), (code, text), "{message}");
    }
}

#[test]
fn verifiers_are_not_printed() {
    assert_eq!(format!("{:?}", verifier()), "Verifier(…)");
}

proptest! {
    /// Nothing that a client can say makes it panic, or lets it in.
    #[test]
    fn no_message_gets_in_without_the_password(
        first in prop_oneof![
            Just(b"n,,n=,r=abc".to_vec()),
            "[nyp],[a,]?[nm]=[a-z]{0,3},r=[ -~é]{0,9}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..60),
        ],
        last in prop_oneof![
            "c=(biws|[a-zA-Z0-9=]{0,8}),r=[ -~]{0,40},p=[a-zA-Z0-9+/=]{0,48}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..60),
        ],
        plus in any::<bool>(),
    ) {
        let mechanism = if plus { SCRAM_PLUS } else { SCRAM };
        let key = |byte| Secret::new([byte; KEY_BYTES]);
        let keys = vec![PasswordKeys { stored_key: key(4), server_key: key(5) }];
        let known = Verifier::of(&Passwords { salt: [3; SALT_BYTES], keys });
        if let Ok((exchange, answer)) = AwaitsFirst::new(known, end_point(), NONCE).first(mechanism, &first) {
            prop_assert!(answer.len() <= 2 * MESSAGE_BYTES_MAX);
            prop_assert!(exchange.last("robot", &last).is_err());
        }
    }
}
