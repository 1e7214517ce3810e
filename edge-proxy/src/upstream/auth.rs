//! Logging in: what the server asks for, and what it gets.

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use writ_model::Secret;
use writ_model::config::{CredentialRef, Database};

use super::error::{ConnectError, ServerError, server_error};
use super::frames::{self, Message};
use super::{Upstream, UpstreamStream, address, tls, unexpected};

const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// What an Authentication message asks for; numbers as in the protocol.
enum Asked {
    Nothing,
    ClearText,
    Md5([u8; 4]),
    Sasl(Vec<String>),
    SaslContinue(Bytes),
    SaslFinal(Bytes),
}

/// Answers the server's questions until it is content.
pub(super) async fn authenticate(
    upstream: &mut Upstream,
    database: &Database,
) -> Result<(), ConnectError> {
    let refused = |reason: &str| refused(database, reason.to_owned());
    match ask(upstream, database).await? {
        Asked::Nothing => return Ok(()),
        Asked::ClearText => {
            if matches!(upstream.stream, UpstreamStream::Plain(_)) {
                return Err(refused(
                    "it wants the password in clear text over a link without TLS; set the database's tls to verify_full, or let the server use scram-sha-256",
                ));
            }
            let password = credential(database).await?;
            answer(upstream, &[password.expose().as_bytes(), b"\0"]).await?;
        }
        Asked::Md5(salt) => {
            let password = credential(database).await?;
            let hash = md5_hash(database.username.as_bytes(), password.expose().as_bytes(), salt);
            answer(upstream, &[hash.as_bytes(), b"\0"]).await?;
        }
        Asked::Sasl(mechanisms) => return scram(upstream, database, &mechanisms).await,
        Asked::SaslContinue(_) | Asked::SaslFinal(_) => return Err(unexpected(b'R')),
    }
    match ask(upstream, database).await? {
        Asked::Nothing => Ok(()),
        _ => Err(unexpected(b'R')),
    }
}

async fn scram(
    upstream: &mut Upstream,
    database: &Database,
    mechanisms: &[String],
) -> Result<(), ConnectError> {
    let bad = |_| {
        refused(database, "its SCRAM answer is not that of a server which knows the password; check the credential and that this is the right server".to_owned())
    };
    let offers = |name: &str| mechanisms.iter().any(|mechanism| mechanism == name);
    let end_point = match &upstream.stream {
        UpstreamStream::Tls(stream) => tls::server_end_point(stream),
        UpstreamStream::Plain(_) => None,
    };
    let (mechanism, binding) = match end_point {
        Some(hash) if offers(SCRAM_PLUS) => {
            (SCRAM_PLUS, ChannelBinding::tls_server_end_point(hash))
        }
        Some(_) => (SCRAM, ChannelBinding::unrequested()),
        None => (SCRAM, ChannelBinding::unsupported()),
    };
    if !offers(mechanism) {
        return Err(refused(
            database,
            format!(
                "it offers {mechanisms:?} and not {SCRAM}; set password_encryption to scram-sha-256 there and set the role's password anew"
            ),
        ));
    }
    let password = credential(database).await?;
    let mut scram = ScramSha256::new(password.expose().as_bytes(), binding);
    let first = scram.message().to_vec();
    let length = u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes();
    answer(upstream, &[mechanism.as_bytes(), b"\0", &length, &first]).await?;
    let Asked::SaslContinue(data) = ask(upstream, database).await? else {
        return Err(unexpected(b'R'));
    };
    scram.update(&data).map_err(bad)?;
    let proof = scram.message().to_vec();
    answer(upstream, &[&proof]).await?;
    // Only a server that knows the password can sign: AuthenticationOk without that is not accepted.
    let Asked::SaslFinal(data) = ask(upstream, database).await? else {
        return Err(unexpected(b'R'));
    };
    scram.finish(&data).map_err(bad)?;
    match ask(upstream, database).await? {
        Asked::Nothing => Ok(()),
        _ => Err(unexpected(b'R')),
    }
}

/// Sends a PasswordMessage, SASLInitialResponse or SASLResponse: all have the tag `p`.
async fn answer(upstream: &mut Upstream, parts: &[&[u8]]) -> Result<(), ConnectError> {
    let mut out = BytesMut::new();
    frames::put(&mut out, b'p', parts)
        .ok_or_else(|| ConnectError::Protocol("the password is too long".to_owned()))?;
    Ok(upstream.send(&out).await?)
}

async fn ask(upstream: &mut Upstream, database: &Database) -> Result<Asked, ConnectError> {
    loop {
        let Message { tag, body } = upstream.login_message().await?;
        match tag {
            b'R' => return asked(database, body),
            b'E' => return Err(refusal(database, server_error(&body))),
            b'N' | b'v' => {}
            _ => return Err(unexpected(tag)),
        }
    }
}

fn asked(database: &Database, mut body: Bytes) -> Result<Asked, ConnectError> {
    let short = || ConnectError::Protocol("an authentication request is short".to_owned());
    let kind = body.try_get_i32().map_err(|_| short())?;
    match kind {
        0 => Ok(Asked::Nothing),
        3 => Ok(Asked::ClearText),
        5 => Ok(Asked::Md5(body.first_chunk::<4>().copied().ok_or_else(short)?)),
        10 => Ok(Asked::Sasl(mechanisms(&body))),
        11 => Ok(Asked::SaslContinue(body)),
        12 => Ok(Asked::SaslFinal(body)),
        _ => {
            let reason = format!(
                "it asks for authentication method {kind}, which the edge does not have; use scram-sha-256 in its pg_hba.conf"
            );
            Err(refused(database, reason))
        }
    }
}

fn mechanisms(body: &[u8]) -> Vec<String> {
    let names = body.split(|byte| *byte == 0).take_while(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

fn refused(database: &Database, reason: String) -> ConnectError {
    ConnectError::AuthenticationRefused {
        address: address(database),
        role: database.username.clone(),
        reason,
    }
}

/// Sorts an error of the server: class 28 is about who we are.
pub(super) fn refusal(database: &Database, error: ServerError) -> ConnectError {
    if !error.sqlstate.starts_with("28") {
        return ConnectError::Server(error);
    }
    let next = "check the role, its password and the server's pg_hba.conf";
    refused(database, format!("{error}; {next}"))
}

/// Reads the password from where the database's `credential` points.
async fn credential(database: &Database) -> Result<Secret<String>, ConnectError> {
    let (place, found) = match &database.credential {
        CredentialRef::File(name) => {
            let read = tokio::fs::read_to_string(name).await;
            (format!("file {name}"), read.map_err(|error| format!("cannot be read ({error})")))
        }
        CredentialRef::Variable(name) => {
            let read = std::env::var(name);
            (format!("variable {name}"), read.map_err(|_| "is not set, or not UTF-8".to_owned()))
        }
        CredentialRef::None => {
            ("the server asks for one and".to_owned(), Err("the credential is `none`".to_owned()))
        }
    };
    let missing =
        |reason| ConnectError::CredentialMissing { role: database.username.clone(), place, reason };
    match found {
        Ok(text) if text.trim().is_empty() => Err(missing("is empty".to_owned())),
        Ok(text) => Ok(Secret::new(text.trim().to_owned())),
        Err(reason) => Err(missing(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_methods_are_refused_with_the_next_step() {
        let database = crate::upstream::error::tests::database();
        let Err(error) = asked(&database, Bytes::from_static(b"\0\0\0\x07")) else {
            panic!("GSSAPI was taken");
        };
        assert!(error.to_string().contains("use scram-sha-256"), "{error}");
        assert!(asked(&database, Bytes::from_static(b"\0\0")).is_err());
        assert!(asked(&database, Bytes::from_static(b"\0\0\0\x05abc")).is_err());
    }

    #[test]
    fn mechanisms_end_at_the_empty_name() {
        assert_eq!(mechanisms(b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"), [SCRAM_PLUS, SCRAM]);
        assert!(mechanisms(b"\0").is_empty());
    }
}
