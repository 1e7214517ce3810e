//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677, 5929), the server's side: messages in, messages out. Errors
//! are the server's own. Who it is that logs in says the start-up packet, and not the name in the exchange.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::CtOutput;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use writ_model::Secret;
use writ_model::password::{ITERATIONS, KEY_BYTES, PASSWORDS_MAX, Passwords, SALT_BYTES};
use writ_model::sqlstate::{self, SqlState};

use crate::write::Message;

#[cfg(test)]
mod tests;

/// The mechanism without channel binding.
pub const SCRAM: &str = "SCRAM-SHA-256";
/// The mechanism with it.
pub const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// The largest message of a client, in bytes: the server's own limit.
pub const MESSAGE_BYTES_MAX: usize = 1_024;
/// How many random bytes the edge adds to the nonce.
pub const NONCE_BYTES: usize = 18;
/// The one type of channel binding that PostgreSQL has.
const END_POINT: &str = "tls-server-end-point";
/// What a made-up salt is derived for: nothing else may be derived for the same.
const MOCK_SALT: &[u8] = b"writ scram mock salt\0";

type Key = [u8; KEY_BYTES];

/// The keys of one password.
#[derive(Clone, Copy)]
struct Keys {
    stored_key: Key,
    server_key: Key,
}

/// What proves that somebody knows a password, without being it.
#[derive(Clone)]
pub struct Verifier {
    salt: [u8; SALT_BYTES],
    /// `None`: nobody's, and no proof is right.
    keys: [Option<Keys>; PASSWORDS_MAX],
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(…)")
    }
}

impl Verifier {
    /// One for somebody's passwords: any of them is right.
    #[must_use]
    pub fn of(passwords: &Passwords) -> Self {
        let mut keys = [None; PASSWORDS_MAX];
        keys.iter_mut().zip(&passwords.keys).for_each(|(to, from)| {
            let (stored_key, server_key) = (*from.stored_key.expose(), *from.server_key.expose());
            *to = Some(Keys { stored_key, server_key });
        });
        Self { salt: passwords.salt, keys }
    }

    /// One for a `user` that does not exist, or has none: always the same from the `secret`, and always wrong.
    #[must_use]
    pub fn mock(secret: &Secret<Key>, user: &str) -> Self {
        let derived = hmac(secret.expose(), &[MOCK_SALT, user.as_bytes()]);
        let mut salt = [0; SALT_BYTES];
        salt.iter_mut().zip(derived).for_each(|(to, from)| *to = from);
        Self { salt, keys: [None; PASSWORDS_MAX] }
    }

    /// The server's key of the password that somebody proved to know. The same is done for each password that there is
    /// and that there could be: how long it takes tells nothing.
    fn server_key(&self, proof: &Key, said: &[&[u8]]) -> Option<Key> {
        let mut proven = None;
        for keys in &self.keys {
            let stored_key = keys.map_or([0; KEY_BYTES], |keys| keys.stored_key);
            let mut client_key = *proof;
            client_key.iter_mut().zip(hmac(&stored_key, said)).for_each(|(key, s)| *key ^= s);
            let known = is_equal(&Sha256::digest(client_key), &stored_key);
            if let Some(keys) = keys.filter(|_| known) {
                proven = Some(keys.server_key);
            }
        }
        proven
    }
}

/// What the connection can be bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// No TLS, or a certificate whose signature names no single hash: nothing.
    Unbound,
    /// The hash of the edge's certificate, as `tls-server-end-point` makes it.
    EndPoint(Vec<u8>),
}

impl Link {
    /// The mechanisms to offer, the better one first.
    #[must_use]
    pub fn mechanisms(&self) -> &'static [&'static str] {
        match self {
            Self::Unbound => &[SCRAM],
            Self::EndPoint(_) => &[SCRAM_PLUS, SCRAM],
        }
    }
}

/// An exchange whose first message is awaited.
#[derive(Debug)]
pub struct AwaitsFirst {
    verifier: Verifier,
    link: Link,
    nonce: String,
}

/// An exchange whose last message is awaited.
#[derive(Debug)]
pub struct AwaitsFinal {
    verifier: Verifier,
    /// What `c=` must be.
    binding: String,
    nonce: String,
    /// The client's first message without its header, and ours.
    so_far: String,
}

/// What goes back with AuthenticationSASLFinal; whoever has it may say who logged in.
#[derive(Debug, PartialEq, Eq)]
pub struct Proven(String);

impl Proven {
    /// The server's last message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0
    }
}

impl AwaitsFirst {
    /// Begins. `nonce` must come from a secure source of randomness.
    #[must_use]
    pub fn new(verifier: Verifier, link: Link, nonce: &[u8; NONCE_BYTES]) -> Self {
        Self { verifier, link, nonce: STANDARD.encode(nonce) }
    }

    /// Reads the client's first message, and makes the answer.
    pub fn first(self, mechanism: &str, message: &[u8]) -> Result<(AwaitsFinal, String), Message> {
        let Self { verifier, link, nonce } = self;
        let end_point = match (mechanism, &link) {
            (SCRAM, _) => None,
            (SCRAM_PLUS, Link::EndPoint(hash)) => Some(hash.as_slice()),
            _ => {
                return Err(refusal(
                    sqlstate::PROTOCOL_VIOLATION,
                    "client selected an invalid SASL authentication mechanism",
                    "",
                ));
            }
        };
        let text = text(message)?;
        let (header, bare) = split_header(text)?;
        check_flag(header, end_point.is_some(), &link)?;
        let mut attributes = bare.split(',');
        match attributes.next() {
            Some(first) if first.starts_with("m=") => {
                return Err(refusal(
                    sqlstate::NOT_SUPPORTED,
                    "client requires an unsupported SCRAM extension",
                    "",
                ));
            }
            Some(first) if first.starts_with("n=") => {}
            _ => return Err(malformed("Attribute expected, but another one was found.")),
        }
        let clients = attributes.next().and_then(|second| second.strip_prefix("r="));
        let clients = clients.filter(|nonce| is_printable(nonce));
        let clients = clients.ok_or_else(|| malformed("The nonce is missing or not printable."))?;
        if !attributes.all(is_extension) {
            return Err(malformed("What follows the nonce is no attribute."));
        }
        let nonce = format!("{clients}{nonce}");
        let salt = STANDARD.encode(verifier.salt);
        let answer = format!("r={nonce},s={salt},i={ITERATIONS}");
        let binding = [header.as_bytes(), end_point.unwrap_or_default()].concat();
        let so_far = format!("{bare},{answer}");
        let binding = STANDARD.encode(binding);
        Ok((AwaitsFinal { verifier, binding, nonce, so_far }, answer))
    }
}

impl AwaitsFinal {
    /// Reads the client's last message. Only who knows the password gets an answer; `user` is for the error.
    pub fn last(self, user: &str, message: &[u8]) -> Result<Proven, Message> {
        let text = text(message)?;
        let (unproven, proof) = text
            .rsplit_once(",p=")
            .ok_or_else(|| malformed("The proof is missing, or more comes behind it."))?;
        let proof: Key =
            decode(proof).ok_or_else(|| malformed("Malformed proof in client-final-message."))?;
        let mut attributes = unproven.split(',');
        let binding = attributes.next().and_then(|first| first.strip_prefix("c="));
        let binding = binding.ok_or_else(|| malformed("The channel binding is missing."))?;
        let nonce = attributes.next().and_then(|second| second.strip_prefix("r="));
        let nonce = nonce.ok_or_else(|| malformed("The nonce is missing."))?;
        if !attributes.all(is_extension) {
            return Err(malformed("What follows the nonce is no attribute."));
        }
        if !is_equal(binding.as_bytes(), self.binding.as_bytes()) {
            return Err(refusal(
                sqlstate::AUTHENTICATION,
                "SCRAM channel binding check failed",
                "This connection is not the one that the client binds to.",
            ));
        }
        if !is_equal(nonce.as_bytes(), self.nonce.as_bytes()) {
            return Err(refusal(
                sqlstate::PROTOCOL_VIOLATION,
                "invalid SCRAM response",
                "Nonce does not match.",
            ));
        }
        let said = [self.so_far.as_bytes(), b",", unproven.as_bytes()];
        let Some(server_key) = self.verifier.server_key(&proof, &said) else {
            let text = format!("password authentication failed for user \"{user}\"");
            return Err(refusal(sqlstate::BAD_PASSWORD, text, ""));
        };
        Ok(Proven(format!("v={}", STANDARD.encode(hmac(&server_key, &said)))))
    }
}

/// The header (`n,,`, `y,,` or `p=…,,`) and what follows it.
fn split_header(text: &str) -> Result<(&str, &str), Message> {
    let flag = text.find(',').ok_or_else(|| malformed("Comma expected."))?;
    let (_, rest) = text.split_at_checked(flag + 1).unwrap_or((text, ""));
    if rest.starts_with('a') {
        return Err(refusal(
            sqlstate::NOT_SUPPORTED,
            "client uses authorization identity, but it is not supported",
            "",
        ));
    }
    if !rest.starts_with(',') {
        return Err(malformed("Unexpected attribute in client-first-message."));
    }
    text.split_at_checked(flag + 2).ok_or_else(|| malformed("Comma expected."))
}

/// Checks the first flag against the mechanism: whoever takes the offer of binding away in between is found here.
fn check_flag(header: &str, plus: bool, link: &Link) -> Result<(), Message> {
    let flag = header.trim_end_matches(',');
    match (flag.split_once('='), flag) {
        (Some(("p", kind)), _) if plus && kind == END_POINT => Ok(()),
        (Some(("p", _)), _) if plus => {
            Err(refusal(sqlstate::PROTOCOL_VIOLATION, "unsupported SCRAM channel-binding type", ""))
        }
        (Some(("p", _)), _) => Err(malformed(
            "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding \
             data.",
        )),
        (None, "n" | "y") if plus => Err(malformed(
            "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.",
        )),
        (None, "y") if *link != Link::Unbound => Err(refusal(
            sqlstate::AUTHENTICATION,
            "SCRAM channel binding negotiation error",
            "The client supports SCRAM channel binding but thinks the server does not. However, this server does \
             support channel binding.",
        )),
        (None, "n" | "y") => Ok(()),
        _ => Err(malformed("Unexpected channel-binding flag.")),
    }
}

fn text(message: &[u8]) -> Result<&str, Message> {
    if message.is_empty() {
        return Err(malformed("The message is empty."));
    }
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(malformed("The message is too long."));
    }
    let text = std::str::from_utf8(message).ok().filter(|text| !text.contains('\0'));
    text.ok_or_else(|| malformed("The message is no text."))
}

/// As RFC 5802 has it: everything that prints, but no comma.
fn is_printable(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b',')
}

/// An attribute that means nothing here: a letter, and a value.
fn is_extension(attribute: &str) -> bool {
    matches!(attribute.as_bytes(), [letter, b'=', _, ..] if letter.is_ascii_alphabetic())
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    // A key of any length is one: there is no other error.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; KEY_BYTES] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Compares in constant time, by hashes: so the lengths do not matter either.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    let hashed = |bytes| CtOutput::<Sha256>::new(Sha256::digest(bytes));
    hashed(left) == hashed(right)
}

fn malformed(detail: &'static str) -> Message {
    refusal(sqlstate::PROTOCOL_VIOLATION, "malformed SCRAM message", detail)
}

fn refusal(code: SqlState, message: impl Into<String>, detail: &str) -> Message {
    Message { detail: detail.to_owned(), ..Message::fatal(code, message, "") }
}
