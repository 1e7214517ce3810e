//! OAUTHBEARER (RFC 7628) as PostgreSQL 18 speaks it, the server's side: a token in the client's first message; where it
//! does not hold, where to get another, the client's word that it read so, and the end.

use serde_json::json;
use writ_model::Secret;
use writ_model::login::OauthIssuer;
use writ_model::sqlstate;

use crate::write::Message;

/// The mechanism's name.
pub const OAUTHBEARER: &str = "OAUTHBEARER";
/// What a client says when it has read where to get a token.
const UNDERSTOOD: &[u8] = b"\x01";
/// Stands between a message's parts, and at its end.
const SEPARATOR: char = '\x01';
/// How bearer tokens are introduced, in any case.
const BEARER: &str = "bearer";
/// Where an issuer's configuration is, below its own address (OpenID Connect Discovery, section 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// Reads a client's first message: the token in it. `None`: it has none yet, and asks where to get one.
pub fn first(message: &[u8]) -> Result<Option<Secret<String>>, Message> {
    let text = std::str::from_utf8(message).map_err(|_| malformed("The message is no text."))?;
    let mut parts = text.split(SEPARATOR);
    header(parts.next().unwrap_or_default())?;
    // Two separators are at the end: what is behind each of them is nothing.
    let rest: Vec<&str> = parts.collect();
    let [pairs @ .., "", ""] = rest.as_slice() else {
        return Err(malformed("Message did not contain a final terminator."));
    };
    let mut token = None;
    for pair in pairs {
        let (key, value) = pair.split_once('=').ok_or_else(|| malformed("A key has no value."))?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(malformed("A key has characters other than letters."));
        }
        if key == "auth" && token.replace(value).is_some() {
            return Err(malformed("Message contains multiple auth values."));
        }
    }
    match token {
        None => Err(malformed("Message does not contain an auth value.")),
        Some("") => Ok(None),
        Some(value) => bearer(value).map(Some),
    }
}

fn header(text: &str) -> Result<(), Message> {
    match text {
        "n,," | "y,," => Ok(()),
        _ if text.starts_with("p=") => Err(malformed(
            "The server does not support channel binding for OAuth, but the client message includes channel binding \
             data.",
        )),
        _ if text.starts_with("n,a=") || text.starts_with("y,a=") => Err(Message::fatal(
            sqlstate::NOT_SUPPORTED,
            "client uses authorization identity, but it is not supported",
            "",
        )),
        _ => Err(malformed("Unexpected channel-binding flag or attribute.")),
    }
}

fn bearer(value: &str) -> Result<Secret<String>, Message> {
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let token = token.trim_start_matches(' ');
    let body = token.trim_end_matches('=');
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if !scheme.eq_ignore_ascii_case(BEARER) || body.is_empty() || !body.bytes().all(is_token) {
        return Err(malformed("Bearer token is not in the correct format."));
    }
    Ok(Secret::new(token.to_owned()))
}

/// Where the token does not hold: what the client is told, as JSON (RFC 7628, section 3.2.2).
#[must_use]
pub fn failure(issuer: &OauthIssuer) -> String {
    let OauthIssuer { url, scope } = issuer;
    json!({
        "status": "invalid_token",
        "openid-configuration": format!("{}{WELL_KNOWN}", url.trim_end_matches('/')),
        "scope": scope,
    })
    .to_string()
}

/// Reads what a client says to that, and makes the error that ends the connection.
#[must_use]
pub fn last(user: &str, message: &[u8]) -> Message {
    if message != UNDERSTOOD {
        return malformed("Client did not send a kvsep response.");
    }
    Message::fatal(
        sqlstate::AUTHENTICATION,
        format!("OAuth bearer authentication failed for user \"{user}\""),
        "get a new token, and connect as the principal that it names",
    )
}

fn malformed(detail: &'static str) -> Message {
    let message = Message::fatal(
        sqlstate::PROTOCOL_VIOLATION,
        "malformed OAUTHBEARER message",
        "this is the driver's doing: try another version of it, or another one",
    );
    Message { detail: detail.to_owned(), ..message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> OauthIssuer {
        OauthIssuer { url: "https://id.example/".into(), scope: "openid postgres".into() }
    }

    #[test]
    fn the_example_of_rfc_7628_is_read() {
        let message = b"n,,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        let token = first(message).expect("read").expect("a token");
        assert_eq!(token.expose(), "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    }

    #[test]
    fn libpq_asks_where_to_get_a_token_by_none() {
        assert_eq!(first(b"n,,\x01auth=\x01\x01"), Ok(None));
        let told: serde_json::Value = serde_json::from_str(&failure(&issuer())).expect("JSON");
        let configuration = "https://id.example/.well-known/openid-configuration";
        let expected = json!({
            "status": "invalid_token",
            "openid-configuration": configuration,
            "scope": "openid postgres",
        });
        assert_eq!(told, expected);
        let refused = last("user:dana", b"\x01");
        assert_eq!(refused.code, sqlstate::AUTHENTICATION);
        assert_eq!(refused.message, "OAuth bearer authentication failed for user \"user:dana\"");
        for other in [&b""[..], b"\x01\x01", b"n,,"] {
            assert_eq!(last("user:dana", other).code, sqlstate::PROTOCOL_VIOLATION);
        }
    }

    #[test]
    fn whatever_else_is_said_is_no_token() {
        let table: [(&[u8], &str); 20] = [
            (b"", "08P01"),
            (b"n,,", "08P01"),
            (b"n,,\x01", "08P01"),
            (b"n,,\x01\x01", "08P01"),
            (b"n,,\x01auth=Bearer x\x01", "08P01"),
            (b"n,,\x01auth=Bearer x\x01\x01\x01", "08P01"),
            (b"n,,\x01auth=Bearer x\x01\x01more", "08P01"),
            (b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01", "08P01"),
            (b"n,,\x01auth\x01\x01", "08P01"),
            (b"n,,\x01=Bearer x\x01\x01", "08P01"),
            (b"n,,\x01a1=x\x01auth=Bearer x\x01\x01", "08P01"),
            (b"n,,\x01host=x\x01\x01", "08P01"),
            (b"n,,\x01auth=Basic x\x01\x01", "08P01"),
            (b"n,,\x01auth=Bearer\x01\x01", "08P01"),
            (b"n,,\x01auth=Bearer \x01\x01", "08P01"),
            (b"n,,\x01auth=Bearer x=y\x01\x01", "08P01"),
            (b"n,,\x01auth=Bearer x\xff\x01\x01", "08P01"),
            (b"p=tls-server-end-point,,\x01auth=Bearer x\x01\x01", "08P01"),
            (b"n,a=root,\x01auth=Bearer x\x01\x01", "0A000"),
            (b"x,,\x01auth=Bearer x\x01\x01", "08P01"),
        ];
        for (message, code) in table {
            let refused = first(message).expect_err("refused");
            assert_eq!(refused.code.0, code, "{}", message.escape_ascii());
        }
        for good in [&b"y,,\x01auth=bearer  x\x01\x01"[..], b"n,,\x01auth=BEARER x==\x01\x01"] {
            assert!(first(good).expect("control").is_some());
        }
    }
}
