//! How a client proves who it is, decided: what it is asked for, and the messages of it. What is asked for depends on
//! how the name is written and on the connection alone: nothing in it tells who exists, or who has a password.

use bytes::{BufMut, BytesMut};
use writ_model::PrincipalKind;
use writ_model::sqlstate;

use crate::frame::{take_array, take_cstr};
use crate::oauthbearer::OAUTHBEARER;
use crate::scram::{Link, SCRAM, SCRAM_PLUS};
use crate::write::{Message, framed};

/// AuthenticationCleartextPassword.
const CLEARTEXT_PASSWORD: i32 = 3;
/// AuthenticationSASL.
const SASL: i32 = 10;
/// AuthenticationSASLContinue.
const SASL_CONTINUE: i32 = 11;
/// AuthenticationSASLFinal.
const SASL_FINAL: i32 = 12;
/// The length of a response that is not there.
const NO_RESPONSE: i32 = -1;

/// How a client proved who it is; in the records by this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By a token in place of a password.
    Token,
    /// By a password, without having sent it.
    Scram,
    /// The same, bound to the connection.
    ScramPlus,
    /// By a bearer token.
    OauthBearer,
    /// By a certificate, in the handshake.
    Certificate,
}

impl Method {
    /// The name in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Scram => "scram-sha-256",
            Self::ScramPlus => "scram-sha-256-plus",
            Self::OauthBearer => "oauthbearer",
            Self::Certificate => "certificate",
        }
    }
}

/// What a client is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A token, as the password.
    Token,
    /// An exchange by one of these mechanisms, the best one first.
    Sasl(Vec<&'static str>),
}

impl Ask {
    /// What a client is asked for that calls itself `user`. A name alone is asked for a token; a name with its kind is
    /// asked by SASL: a service for its password, and everyone for a bearer token where the environment has an issuer
    /// (`oauth`).
    #[must_use]
    pub fn of(user: &str, link: &Link, oauth: bool) -> Self {
        let kind = user.split_once(':').map(|(kind, _)| kind);
        let is = |wanted: PrincipalKind| kind == Some(wanted.as_str());
        let mut mechanisms: Vec<&'static str> = match kind {
            _ if is(PrincipalKind::Service) => link.mechanisms().to_vec(),
            _ if is(PrincipalKind::User) || is(PrincipalKind::Agent) => Vec::new(),
            _ => return Self::Token,
        };
        mechanisms.extend(oauth.then_some(OAUTHBEARER));
        if mechanisms.is_empty() { Self::Token } else { Self::Sasl(mechanisms) }
    }

    /// The request.
    #[must_use]
    pub fn message(&self) -> BytesMut {
        match self {
            Self::Token => authentication(CLEARTEXT_PASSWORD, b""),
            Self::Sasl(mechanisms) => {
                let names = mechanisms.iter().flat_map(|name| name.bytes().chain([0]));
                authentication(SASL, &names.chain([0]).collect::<Vec<u8>>())
            }
        }
    }
}

fn authentication(code: i32, data: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    framed(b'R', &mut out, |out| {
        out.put_i32(code);
        out.put_slice(data);
    });
    out
}

/// Another message of the server in an exchange.
#[must_use]
pub fn sasl_continue(text: &str) -> BytesMut {
    authentication(SASL_CONTINUE, text.as_bytes())
}

/// Its last one.
#[must_use]
pub fn sasl_final(text: &str) -> BytesMut {
    authentication(SASL_FINAL, text.as_bytes())
}

/// A client's first message in an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslInitial<'a> {
    /// The mechanism that it chose.
    pub mechanism: &'a str,
    /// What it says by it.
    pub response: &'a [u8],
}

impl<'a> SaslInitial<'a> {
    /// Reads the body of a SASLInitialResponse.
    pub fn read(body: &'a [u8]) -> Result<Self, Message> {
        Self::take(body).ok_or_else(|| {
            Message::fatal(
                sqlstate::PROTOCOL_VIOLATION,
                "malformed SASLInitialResponse",
                "this is the driver's doing: try another version of it, or another one",
            )
        })
    }

    fn take(mut rest: &'a [u8]) -> Option<Self> {
        let mechanism = std::str::from_utf8(take_cstr(&mut rest)?).ok()?;
        let length = i32::from_be_bytes(take_array(&mut rest)?);
        let whole = match length {
            NO_RESPONSE => rest.is_empty(),
            length => usize::try_from(length) == Ok(rest.len()),
        };
        whole.then_some(Self { mechanism, response: rest })
    }
}

/// The method that a client chose by the name of its mechanism; `None`: none that was offered.
#[must_use]
pub fn chosen(offered: &[&str], mechanism: &str) -> Option<Method> {
    match mechanism {
        _ if !offered.contains(&mechanism) => None,
        SCRAM => Some(Method::Scram),
        SCRAM_PLUS => Some(Method::ScramPlus),
        OAUTHBEARER => Some(Method::OauthBearer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_depends_on_how_the_name_is_written() {
        let bound = Link::EndPoint(vec![1]);
        let sasl = |mechanisms: &[&'static str]| Ask::Sasl(mechanisms.to_vec());
        for (user, link, ask, with_issuer) in [
            ("dana", &bound, Ask::Token, Ask::Token),
            ("other:dana", &bound, Ask::Token, Ask::Token),
            ("servicebatch", &bound, Ask::Token, Ask::Token),
            ("user:dana", &bound, Ask::Token, sasl(&[OAUTHBEARER])),
            ("agent:copilot", &Link::Unbound, Ask::Token, sasl(&[OAUTHBEARER])),
            (
                "service:batch",
                &bound,
                sasl(&[SCRAM_PLUS, SCRAM]),
                sasl(&[SCRAM_PLUS, SCRAM, OAUTHBEARER]),
            ),
            ("service:batch", &Link::Unbound, sasl(&[SCRAM]), sasl(&[SCRAM, OAUTHBEARER])),
            (
                "service:no such one",
                &bound,
                sasl(&[SCRAM_PLUS, SCRAM]),
                sasl(&[SCRAM_PLUS, SCRAM, OAUTHBEARER]),
            ),
        ] {
            assert_eq!(Ask::of(user, link, false), ask, "{user}");
            assert_eq!(Ask::of(user, link, true), with_issuer, "{user}");
        }
    }

    #[test]
    fn requests_are_the_protocols_own() {
        assert_eq!(Ask::Token.message(), &b"R\0\0\0\x08\0\0\0\x03"[..]);
        let sasl = Ask::Sasl(vec![SCRAM]).message();
        assert_eq!(sasl, &b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"[..]);
        assert_eq!(sasl_continue("r=1"), &b"R\0\0\0\x0b\0\0\0\x0br=1"[..]);
        assert_eq!(sasl_final("v="), &b"R\0\0\0\x0a\0\0\0\x0cv="[..]);
    }

    #[test]
    fn a_first_message_says_how_long_it_is() {
        let good = SaslInitial::read(b"SCRAM-SHA-256\0\0\0\0\x03n,,").expect("read");
        assert_eq!(good, SaslInitial { mechanism: SCRAM, response: b"n,," });
        let empty = SaslInitial::read(b"X\0\xff\xff\xff\xff").expect("read");
        assert_eq!(empty, SaslInitial { mechanism: "X", response: b"" });
        for bad in [
            &b""[..],
            b"SCRAM-SHA-256",
            b"X\0\0\0\0",
            b"X\0\0\0\0\x04n,,",
            b"X\0\0\0\0\x02n,,",
            b"X\0\xff\xff\xff\xffn",
            b"X\0\xff\xff\xff\xfe",
            b"\xff\0\0\0\0\0",
        ] {
            assert_eq!(SaslInitial::read(bad).expect_err("refused").code.0, "08P01", "{bad:?}");
        }
    }

    #[test]
    fn only_what_was_offered_is_chosen() {
        assert_eq!(chosen(&[SCRAM_PLUS, SCRAM], SCRAM), Some(Method::Scram));
        assert_eq!(chosen(&[SCRAM_PLUS, SCRAM], SCRAM_PLUS), Some(Method::ScramPlus));
        assert_eq!(chosen(&[SCRAM], SCRAM_PLUS), None);
        assert_eq!(chosen(&[SCRAM], "PLAIN"), None);
        assert_eq!(chosen(&[SCRAM], OAUTHBEARER), None);
        assert_eq!(chosen(&[SCRAM, OAUTHBEARER], OAUTHBEARER), Some(Method::OauthBearer));
    }
}
