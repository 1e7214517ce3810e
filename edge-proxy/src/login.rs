//! Clients prove who they are: asks as `writ_edge_core::login` decides, and checks the answers.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use writ_edge_core::login::{self, Ask, Method, SaslInitial};
use writ_edge_core::scram::{AwaitsFirst, Link, NONCE_BYTES, Verifier};
use writ_edge_core::startup::Startup;
use writ_edge_core::write::Message;
use writ_model::config::EdgeConfig;
use writ_model::sqlstate;
use writ_model::{PrincipalId, Secret};

use crate::client::{Door, Refused, STARTUP_TIMEOUT};
use crate::startup::ClientStream;

/// The largest answer to a request for a password, in bytes.
const PASSWORD_BYTES_MAX: usize = 8 * 1024;
/// The length in front of a message's body, in bytes; it counts itself.
const LENGTH_BYTES: usize = 4;

/// Who a client proved to be. Only [`Door::authenticate`] makes one.
pub(crate) struct Proven {
    principal: PrincipalId,
    method: Method,
}

impl Proven {
    /// Who.
    pub(crate) fn principal(&self) -> &PrincipalId {
        &self.principal
    }

    /// How.
    pub(crate) fn method(&self) -> Method {
        self.method
    }
}

impl From<Message> for Refused {
    fn from(message: Message) -> Self {
        let Message { code, message, detail, hint, .. } = message;
        let reason = if detail.is_empty() { message } else { format!("{message}: {detail}") };
        Self::new(code, reason, hint)
    }
}

fn broken_off(_: io::Error) -> Refused {
    Refused::new(
        sqlstate::AUTHENTICATION,
        "the connection ended before the login did",
        "connect again; the client's own message says why it gave up",
    )
}

impl Door {
    /// Asks for a proof, and checks it; `link` is what the connection can be bound to.
    pub(crate) async fn authenticate(
        &self,
        stream: &mut ClientStream,
        startup: &Startup,
        config: &EdgeConfig,
        link: &Link,
    ) -> Result<Proven, Refused> {
        let user = startup.get("user").unwrap_or_default();
        let link = if stream.is_tls() { link } else { &Link::Unbound };
        let ask = Ask::of(user, link);
        let asked = async {
            send(stream, &ask.message()).await.map_err(broken_off)?;
            match &ask {
                Ask::Token => self.token(stream, user, config).await,
                Ask::Sasl(offered) => self.sasl(stream, user, config, offered, link).await,
            }
        };
        tokio::time::timeout(STARTUP_TIMEOUT, asked).await.unwrap_or_else(|_| {
            Err(Refused::new(
                sqlstate::AUTHENTICATION,
                "no proof of who the client is came in time",
                "connect again, and have the token or password ready",
            ))
        })
    }

    async fn token(
        &self,
        stream: &mut ClientStream,
        user: &str,
        config: &EdgeConfig,
    ) -> Result<Proven, Refused> {
        let Some(token) = password(stream).await.map_err(broken_off)? else {
            return Err(Refused::new(
                sqlstate::BAD_PASSWORD,
                "no token came as the password",
                "put a token from `writ login` into PGPASSWORD or the URL",
            ));
        };
        let now = (self.shared.clock)();
        let verified =
            writ_proto::token::verify(token.expose(), &config.token_keys, now).map_err(|e| {
                let hint =
                    "then connect again; with a service's password, connect with user=service:NAME";
                Refused::new(sqlstate::BAD_PASSWORD, e.to_string(), hint)
            })?;
        let principal = verified.principal();
        if user != principal.name() && user != principal.to_string() {
            return Err(Refused::new(
                sqlstate::AUTHENTICATION,
                format!("the token is {principal}'s, not {user:?}'s"),
                format!("connect with user={}", principal.name()),
            ));
        }
        Ok(Proven { principal: principal.clone(), method: Method::Token })
    }

    async fn sasl(
        &self,
        stream: &mut ClientStream,
        user: &str,
        config: &EdgeConfig,
        offered: &[&'static str],
        link: &Link,
    ) -> Result<Proven, Refused> {
        let Some(body) = response(stream).await.map_err(broken_off)? else {
            return Err(not_an_answer());
        };
        let SaslInitial { mechanism, response: first } = SaslInitial::read(body.expose())?;
        let method = login::chosen(offered, mechanism).ok_or_else(|| {
            Refused::new(
                sqlstate::PROTOCOL_VIOLATION,
                "client selected an invalid SASL authentication mechanism",
                "this is the driver's doing: try another version of it, or another one",
            )
        })?;
        let principal = self.scram(stream, user, config, link, (mechanism, first)).await?;
        Ok(Proven { principal, method })
    }

    async fn scram(
        &self,
        stream: &mut ClientStream,
        user: &str,
        config: &EdgeConfig,
        link: &Link,
        (mechanism, first): (&str, &[u8]),
    ) -> Result<PrincipalId, Refused> {
        let known = user.parse::<PrincipalId>().ok();
        let passwords = known.as_ref().and_then(|id| config.passwords.get(id));
        let mock_salts = config.mock_salts.as_ref().unwrap_or(&self.mock_salts);
        let verifier = match passwords.filter(|passwords| !passwords.keys.is_empty()) {
            Some(passwords) => Verifier::of(passwords),
            None => Verifier::mock(mock_salts, user),
        };
        let mut nonce = [0; NONCE_BYTES];
        (self.random)(&mut nonce);
        let exchange = AwaitsFirst::new(verifier, link.clone(), &nonce);
        let (exchange, challenge) = exchange.first(mechanism, first)?;
        send(stream, &login::sasl_continue(&challenge)).await.map_err(broken_off)?;
        let Some(last) = response(stream).await.map_err(broken_off)? else {
            return Err(not_an_answer());
        };
        let proven = exchange.last(user, last.expose()).map_err(with_next_step)?;
        send(stream, &login::sasl_final(proven.message())).await.map_err(broken_off)?;
        // Nobody without an id has a password.
        known.ok_or_else(not_an_answer)
    }
}

/// The same for everyone: it tells nothing of who has a password.
fn with_next_step(mut message: Message) -> Message {
    if message.code == sqlstate::BAD_PASSWORD {
        message.hint = "check the service's name and password: an administrator sees what there is with `writ \
                        identities password list`; with a token, connect with user=NAME, without `service:`"
            .to_owned();
    }
    message
}

fn not_an_answer() -> Refused {
    Refused::new(
        sqlstate::PROTOCOL_VIOLATION,
        "expected a SASL response",
        "this is the driver's doing: try another version of it, or another one",
    )
}

async fn send(stream: &mut ClientStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// The body of the client's answer. `None`: it sent something else, or too much.
async fn response(stream: &mut ClientStream) -> io::Result<Option<Secret<Vec<u8>>>> {
    let tag = stream.read_u8().await?;
    let length = stream.read_i32().await?;
    let length = match usize::try_from(length) {
        Ok(length) if tag == b'p' && (LENGTH_BYTES..=PASSWORD_BYTES_MAX).contains(&length) => {
            length - LENGTH_BYTES
        }
        _ => return Ok(None),
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Secret::new(body)))
}

/// A password. `None`: the client sent something else.
async fn password(stream: &mut ClientStream) -> io::Result<Option<Secret<String>>> {
    let body = response(stream).await?;
    let text = body.as_ref().and_then(|body| body.expose().strip_suffix(&[0]));
    let text = text.filter(|text| !text.is_empty());
    Ok(text.and_then(|text| String::from_utf8(text.to_vec()).ok()).map(Secret::new))
}
