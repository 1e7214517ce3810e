//! How a connection starts, decided: what each packet before the session is, and what it is answered. As PostgreSQL
//! 18's own server does it (`ProcessStartupPacket`), stricter only where that is said.

use std::ops::RangeInclusive;

use bytes::{BufMut, BytesMut};
use writ_model::Secret;
use writ_model::sqlstate;

use crate::frame::{take_array, take_cstr};
use crate::write::{Message, framed};

#[cfg(test)]
mod tests;

/// The largest start-up packet, in bytes, without the length in front: the server's own limit.
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// How long a key for cancelling may be, in bytes.
pub const CANCEL_KEY_BYTES: RangeInclusive<usize> = 4..=256;
/// The length of the keys given to clients that speak 3.0 or 3.1, in bytes: all that those have room for.
const CANCEL_KEY_BYTES_SHORT: usize = 4;
/// The length of the keys given to clients that speak 3.2, in bytes: as long as the server's, and not to be guessed.
const CANCEL_KEY_BYTES_LONG: usize = 32;

/// The protocol's name in ALPN.
pub const ALPN: &[u8] = b"postgresql";
/// The answer to a request for TLS: shake hands now.
pub const TLS_ACCEPTED: &[u8] = b"S";
/// The answer to a request for an encryption that is not had: go on without, or ask for another.
pub const ENCRYPTION_DECLINED: &[u8] = b"N";

/// The first byte of a TLS handshake. As a packet's length it would be hundreds of megabytes.
const TLS_RECORD: u8 = 0x16;
/// The length in front of every packet, in bytes; it counts itself.
const LENGTH_BYTES: usize = 4;
/// A packet's version or request code, in bytes.
const CODE_BYTES: usize = 4;
/// What the names of the protocol's own options begin with.
const OPTION_PREFIX: &str = "_pq_.";

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Another one is another protocol.
    pub major: u16,
    /// A greater one adds to the smaller ones.
    pub minor: u16,
}

impl Version {
    /// The oldest that is spoken.
    pub const OLDEST: Self = Self { major: 3, minor: 0 };
    /// The newest that is spoken. Between them, 3.1 was never given a meaning of its own.
    pub const NEWEST: Self = Self { major: 3, minor: 2 };

    fn of(code: u32) -> Self {
        let [a, b, c, d] = code.to_be_bytes();
        Self { major: u16::from_be_bytes([a, b]), minor: u16::from_be_bytes([c, d]) }
    }

    fn code(self) -> u32 {
        u32::from(self.major) << 16 | u32::from(self.minor)
    }
}

/// Whether a connection whose first byte is this one starts TLS without asking for it.
#[must_use]
pub fn is_direct_tls(first: u8) -> bool {
    first == TLS_RECORD
}

/// Whether TLS that was not asked for is meant for us. Without the name, the peer may believe that it talks to another
/// service of the same certificate, and what one protocol takes for data the other would run.
#[must_use]
pub fn is_alpn_ours(negotiated: Option<&[u8]>) -> bool {
    negotiated == Some(ALPN)
}

/// What a StartupMessage says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// Name and value, in the client's order.
    pub parameters: Vec<(String, String)>,
    /// The version that the client asked for; its major number is ours.
    pub asked: Version,
    /// The names of options of the protocol that are not known here; none are known.
    pub unknown_options: Vec<String>,
}

impl Startup {
    /// The value of a parameter; of several the last, as the server has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rfind(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The version that is spoken.
    #[must_use]
    pub fn version(&self) -> Version {
        self.asked.min(Version::NEWEST)
    }

    /// How long the client's key for cancelling is, in bytes.
    #[must_use]
    pub fn cancel_key_bytes(&self) -> usize {
        if self.version() >= Version::NEWEST {
            CANCEL_KEY_BYTES_LONG
        } else {
            CANCEL_KEY_BYTES_SHORT
        }
    }

    /// The NegotiateProtocolVersion that goes before any request for a password, where the client asked for more than
    /// there is. A client that asked for 3.1 gets what it asked for, which is 3.0.
    #[must_use]
    pub fn negotiation(&self) -> Option<BytesMut> {
        if self.asked <= Version::NEWEST && self.unknown_options.is_empty() {
            return None;
        }
        let mut out = BytesMut::new();
        framed(b'v', &mut out, |out| {
            out.put_u32(self.version().code());
            out.put_i32(i32::try_from(self.unknown_options.len()).unwrap_or(i32::MAX));
            for option in &self.unknown_options {
                out.put_slice(option.as_bytes());
                out.put_u8(0);
            }
        });
        Some(out)
    }
}

/// A CancelRequest: whoever has the key may cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequest {
    /// The session's number, as BackendKeyData told it.
    pub process_id: i32,
    /// Its key; the length is among [`CANCEL_KEY_BYTES`].
    pub key: Secret<Vec<u8>>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Read so many bytes more, and not one beyond them: what a client sends before TLS is never taken for what came
    /// over it (CVE-2021-23222).
    Read(usize),
    /// Say [`TLS_ACCEPTED`] and shake hands; the next packet comes over TLS.
    StartTls,
    /// Say [`ENCRYPTION_DECLINED`]; the next packet comes as this one did.
    Decline,
    /// A session is wanted.
    Session(Startup),
    /// Another session's statement is to be cancelled; nothing is answered.
    Cancel(CancelRequest),
    /// Say so, and close.
    Refuse(Message),
    /// Close without a word: nothing shows that a PostgreSQL client would read one.
    Close(String),
}

/// What a connection has asked for before its session. Each kind of encryption is asked for once at most.
#[derive(Debug)]
pub struct Preamble {
    tls: bool,
    tls_settled: bool,
    gssenc_settled: bool,
}

impl Preamble {
    /// A connection's beginning; `direct_tls` where TLS was started without asking.
    #[must_use]
    pub fn new(direct_tls: bool) -> Self {
        Self { tls: direct_tls, tls_settled: false, gssenc_settled: false }
    }

    /// Looks at what has come of a packet: nothing at first, then what was read since the last one was dealt with.
    pub fn next(&mut self, received: &[u8]) -> Next {
        let mut rest = received;
        let Some(length) = take_array(&mut rest) else {
            return Next::Read(LENGTH_BYTES.saturating_sub(received.len()));
        };
        // Where a usize is shorter, the length is too large all the same.
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let head = LENGTH_BYTES + CODE_BYTES;
        if length < head {
            return Next::Close(format!("a start-up packet of {length} bytes"));
        }
        let Some(code) = take_array(&mut rest) else {
            return Next::Read(head.saturating_sub(received.len()));
        };
        let code = u32::from_be_bytes(code);
        if length > LENGTH_BYTES + STARTUP_BYTES_MAX {
            return too_long(length, code);
        }
        match received.len() {
            less if less < length => Next::Read(length - less),
            more if more > length => Next::Close("bytes behind a start-up packet".to_owned()),
            _ => self.packet(code, rest),
        }
    }

    fn packet(&mut self, code: u32, body: &[u8]) -> Next {
        match code {
            CANCEL_REQUEST => cancel(body),
            // Stricter than the server: what would follow the code has no meaning, and is not passed over.
            SSL_REQUEST | GSSENC_REQUEST if !body.is_empty() => {
                Next::Close("a request for encryption with more in it".to_owned())
            }
            SSL_REQUEST if !self.tls_settled => {
                self.tls_settled = true;
                if self.tls {
                    return Next::Decline;
                }
                // One encryption is enough.
                (self.tls, self.gssenc_settled) = (true, true);
                Next::StartTls
            }
            GSSENC_REQUEST if !self.gssenc_settled => {
                self.gssenc_settled = true;
                Next::Decline
            }
            // A request that comes again is not a version that there is.
            _ => startup(Version::of(code), body),
        }
    }
}

fn too_long(length: usize, code: u32) -> Next {
    if Version::of(code).major != Version::NEWEST.major {
        return Next::Close(format!("a start-up packet of {length} bytes"));
    }
    Next::Refuse(Message::fatal(
        sqlstate::PROTOCOL_VIOLATION,
        format!("a start-up packet of {length} bytes, of which {STARTUP_BYTES_MAX} may be"),
        "pass fewer or shorter connection parameters; a token goes into the password",
    ))
}

fn cancel(body: &[u8]) -> Next {
    let mut key = body;
    match take_array(&mut key) {
        Some(process_id) if CANCEL_KEY_BYTES.contains(&key.len()) => Next::Cancel(CancelRequest {
            process_id: i32::from_be_bytes(process_id),
            key: Secret::new(key.to_vec()),
        }),
        _ => Next::Close("a cancel request without a key that can be".to_owned()),
    }
}

fn startup(asked: Version, body: &[u8]) -> Next {
    if asked.major != Version::NEWEST.major {
        return Next::Refuse(unsupported(asked));
    }
    match parameters(asked, body) {
        Ok(startup) if startup.get("user").is_none_or(str::is_empty) => {
            Next::Refuse(Message::fatal(
                sqlstate::AUTHENTICATION,
                "no PostgreSQL user name specified in startup packet",
                "connect with user= and the name of the token's principal",
            ))
        }
        Ok(startup) => Next::Session(startup),
        Err(reason) => Next::Refuse(Message::fatal(
            sqlstate::PROTOCOL_VIOLATION,
            reason,
            "this is the driver's doing: try another version of it, or another one",
        )),
    }
}

fn unsupported(asked: Version) -> Message {
    let (oldest, newest) = (Version::OLDEST, Version::NEWEST);
    Message::fatal(
        sqlstate::NOT_SUPPORTED,
        format!(
            "unsupported frontend protocol {}.{}: this edge speaks {}.{} to {}.{}",
            asked.major, asked.minor, oldest.major, oldest.minor, newest.major, newest.minor
        ),
        "use a driver that speaks version 3, as all do since PostgreSQL 7.4",
    )
}

fn parameters(asked: Version, body: &[u8]) -> Result<Startup, &'static str> {
    const LAYOUT: &str = "invalid startup packet layout: expected terminator as last byte";
    let mut startup = Startup { parameters: Vec::new(), asked, unknown_options: Vec::new() };
    let mut rest = body;
    loop {
        let name = take_cstr(&mut rest).ok_or(LAYOUT)?;
        if name.is_empty() {
            return if rest.is_empty() { Ok(startup) } else { Err(LAYOUT) };
        }
        let value = take_cstr(&mut rest).ok_or(LAYOUT)?;
        let text = |bytes| std::str::from_utf8(bytes).map(str::to_owned);
        // Stricter than the server, whose databases may have other encodings: ours are named in UTF-8.
        let not_utf8 = |_| "a start-up parameter is not UTF-8";
        let name = text(name).map_err(not_utf8)?;
        if name.starts_with(OPTION_PREFIX) {
            startup.unknown_options.push(name);
        } else {
            startup.parameters.push((name, text(value).map_err(not_utf8)?));
        }
    }
}
