//! Logging in: what the server asks for, and what it gets.

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use writ_model::config::Database;

use super::credential::{Target, Used};
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
    target: Target<'_>,
    used: &mut Used,
) -> Result<(), ConnectError> {
    let database = target.database;
    let refused = |reason: &str| refused(database, reason.to_owned());
    match ask(upstream, database).await? {
        Asked::Nothing => return Ok(()),
        Asked::ClearText => {
            if matches!(upstream.stream, UpstreamStream::Plain(_)) {
                return Err(refused(
                    "it wants the password in clear text over a link without TLS; set the database's tls to verify_full, or let the server use scram-sha-256",
                ));
            }
            let password = used.password(target).await?;
            answer(upstream, &[password.expose().as_bytes(), b"\0"]).await?;
        }
        Asked::Md5(salt) => {
            let password = used.password(target).await?;
            let hash = md5_hash(database.username.as_bytes(), password.expose().as_bytes(), salt);
            answer(upstream, &[hash.as_bytes(), b"\0"]).await?;
        }
        Asked::Sasl(mechanisms) => return scram(upstream, target, &mechanisms, used).await,
        Asked::SaslContinue(_) | Asked::SaslFinal(_) => return Err(unexpected(b'R')),
    }
    match ask(upstream, database).await? {
        Asked::Nothing => Ok(()),
        _ => Err(unexpected(b'R')),
    }
}

async fn scram(
    upstream: &mut Upstream,
    target: Target<'_>,
    mechanisms: &[String],
    used: &mut Used,
) -> Result<(), ConnectError> {
    let database = target.database;
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
    let password = used.password(target).await?;
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
        wrong: false,
    }
}

/// Sorts an error of the server: class 28 is about who we are.
pub(super) fn refusal(database: &Database, error: ServerError) -> ConnectError {
    if !error.sqlstate.starts_with("28") {
        return ConnectError::Server(error);
    }
    let next = "check the role, its password and the server's pg_hba.conf";
    ConnectError::AuthenticationRefused {
        address: address(database),
        role: database.username.clone(),
        reason: format!("{error}; {next}"),
        wrong: true,
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
