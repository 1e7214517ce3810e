//! `writ identities password`: passwords of services. A password is made or read here, and goes nowhere: the control
//! plane is sent what it is checked against.

use std::io::IsTerminal;
use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use writ_model::Secret;
use writ_model::password::{ITERATIONS, KEY_BYTES, PasswordKeys, SALT_BYTES};
use writ_proto::v1;
use writ_proto::v1::command::Command;

use crate::args::Password;
use crate::client;
use crate::failure::{Answer, Failure, Result};
use crate::output::{moment, rows, sentence};
use crate::settings::Settings;

use super::databases::done;

/// How much chance is in a password that is made here, in bytes.
const MADE_BYTES: usize = 24;
/// The shortest password that is taken from people, in characters.
const CHARS_MIN: usize = 16;
/// The longest, in bytes: a message that carries more is refused by servers.
const BYTES_MAX: usize = 900;

/// Runs one of them.
pub(crate) async fn run(settings: &Settings, command: Password) -> Result<Answer> {
    match command {
        Password::List { id } => list(settings, id).await,
        Password::Set { id, stdin } => set(settings, id, stdin).await,
        Password::Remove { id, number } => {
            let mut admin = client::connect(settings).await?;
            let what =
                format!("password {number} of {id} is removed; sessions that it opened go on");
            let command = Command::RemovePassword(v1::RemovePassword { id, number });
            done(settings, &what, client::submit(&mut admin, command).await?)
        }
    }
}

async fn list(settings: &Settings, id: String) -> Result<Answer> {
    let mut admin = client::connect(settings).await?;
    let request = v1::ListPasswordsRequest { id };
    let reply = admin.list_passwords(request).await?.into_inner();
    let row =
        |p: v1::PasswordStatus| json!({ "number": p.number, "set_at": moment(p.set_at_micros) });
    let list: Vec<Value> = reply.passwords.into_iter().map(row).collect();
    let columns = [("NUMBER", "number"), ("SET", "set_at")];
    rows(
        settings.format,
        &columns,
        &list,
        "no password; set one with `writ identities password set`",
    );
    Ok(Answer::Done)
}

async fn set(settings: &Settings, id: String, stdin: bool) -> Result<Answer> {
    let mut admin = client::connect(settings).await?;
    let request = v1::ListPasswordsRequest { id: id.clone() };
    let known = admin.list_passwords(request).await?.into_inner();
    // Two passwords at once have one salt: a client is told it before it proves that it knows either.
    let salt = match known.salt.as_slice() {
        [] => random::<SALT_BYTES>(),
        salt => salt.try_into().map_err(|_| Failure::no("the salt is none; use a newer `writ`"))?,
    };
    let (password, made) = if stdin { (read()?, false) } else { (make(), true) };
    let keys = keys(password.expose(), &salt);
    let wire = v1::SetPassword {
        id: id.clone(),
        salt: salt.to_vec(),
        keys: Some(v1::PasswordKeys {
            stored_key: keys.stored_key.expose().to_vec(),
            server_key: keys.server_key.expose().to_vec(),
        }),
    };
    let reply = client::submit(&mut admin, Command::SetPassword(wire)).await?;
    let how = format!("{id} has the password now (epoch {}); connect with user={id}", reply.epoch);
    let mut value = json!({ "id": id, "epoch": reply.epoch });
    if !made {
        sentence(settings.format, &how, &value);
        return Ok(Answer::Done);
    }
    value["password"] = json!(password.expose());
    let text = format!("{how}\nIt is not shown again:\n{}", password.expose());
    sentence(settings.format, &text, &value);
    Ok(Answer::Done)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut bytes);
    bytes
}

fn make() -> Secret<String> {
    Secret::new(URL_SAFE_NO_PAD.encode(random::<MADE_BYTES>()))
}

fn read() -> Result<Secret<String>> {
    if std::io::stdin().is_terminal() {
        eprint!("Type the new password: ");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::usage(error.to_string()))?;
    accepted(line.trim_end_matches(['\r', '\n']))
}

fn accepted(password: &str) -> Result<Secret<String>> {
    if password.chars().count() < CHARS_MIN || password.len() > BYTES_MAX {
        return Err(Failure::usage(format!(
            "a password has at least {CHARS_MIN} characters and at most {BYTES_MAX} bytes; leave out --stdin, and one is made"
        )));
    }
    Ok(Secret::new(password.to_owned()))
}

/// The keys of SCRAM-SHA-256 (RFC 5802). What SASLprep (RFC 4013) does not take is taken as it is, as every client of
/// PostgreSQL does.
fn keys(password: &str, salt: &[u8; SALT_BYTES]) -> PasswordKeys {
    let prepared = stringprep::saslprep(password).unwrap_or(password.into());
    let mut salted = [0; KEY_BYTES];
    let iterations = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, prepared.as_bytes(), &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let secret = |bytes: &[u8]| {
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(bytes);
        Secret::new(key)
    };
    PasswordKeys {
        stored_key: secret(digest::digest(&digest::SHA256, client_key.as_ref()).as_ref()),
        server_key: secret(hmac::sign(&key, b"Server Key").as_ref()),
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn shown(password: &str, salt: &str) -> (String, String) {
        let salt = STANDARD.decode(salt).expect("base64").try_into().expect("16 bytes");
        let PasswordKeys { stored_key, server_key } = keys(password, &salt);
        (STANDARD.encode(stored_key.expose()), STANDARD.encode(server_key.expose()))
    }

    #[test]
    fn keys_are_those_of_rfc_7677s_example() {
        let (stored_key, server_key) = shown("pencil", "W22ZaJ0SNY7soEsUEjb6gQ==");
        assert_eq!(stored_key, "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
        assert_eq!(server_key, "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
    }

    #[test]
    fn passwords_that_look_the_same_are_the_same() {
        let salt = "W22ZaJ0SNY7soEsUEjb6gQ==";
        // RFC 4013, section 3: a soft hyphen is left out, a feminine ordinal is an `a`, a Roman nine is `IX`.
        for (written, prepared) in [("I\u{ad}X", "IX"), ("\u{aa}", "a"), ("\u{2168}", "IX")] {
            assert_eq!(shown(written, salt), shown(prepared, salt), "{written:?}");
        }
        assert_ne!(shown("user", salt), shown("USER", salt), "the case is kept");
        // A control character is prohibited: then nothing is done to the text.
        assert_ne!(shown("\u{7}I\u{ad}X", salt), shown("\u{7}IX", salt));
    }

    #[test]
    fn short_passwords_are_not_taken() {
        let made = make();
        accepted(made.expose()).expect("what is made here");
        assert_ne!(made, make());
        for bad in ["", "fifteen-letters", &"x".repeat(BYTES_MAX + 1)] {
            assert_eq!(accepted(bad).expect_err("refused").code(), 2, "{bad}");
        }
    }
}
