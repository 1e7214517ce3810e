//! Clients prove who they are: asks as `writ_edge_core::login` decides, and checks the answers.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use writ_edge_core::attempts::{Attempts, Failure, Verdict};
use writ_edge_core::login::{self, Ask, Method, SaslInitial};
use writ_edge_core::oauthbearer;
use writ_edge_core::scram::{AwaitsFirst, Link, NONCE_BYTES, Verifier};
use writ_edge_core::startup::Startup;
use writ_edge_core::write::Message;
use writ_model::config::EdgeConfig;
use writ_model::login::{Logins, OauthIssuer};
use writ_model::password::KEY_BYTES;
use writ_model::sqlstate;
use writ_model::{PrincipalId, Secret};
use writ_proto::node::Clock;
use writ_proto::token::TokenError;

use crate::certificates;
use crate::client::{Refused, STARTUP_TIMEOUT};
use crate::metrics::Metrics;
use crate::startup::ClientStream;

#[cfg(test)]
mod tests;

/// The largest answer to a request for a password, in bytes.
const PASSWORD_BYTES_MAX: usize = 8 * 1024;
/// The length in front of a message's body, in bytes; it counts itself.
const LENGTH_BYTES: usize = 4;

/// Who a client proved to be. Only [`Authenticator::authenticate`] makes one.
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

/// Lets clients prove who they are, and remembers who failed.
pub struct Authenticator {
    clock: Clock,
    random: Random,
    metrics: Arc<Metrics>,
    attempts: Mutex<Attempts>,
    /// For as long as nobody has a password, and so no other edge can be compared with.
    mock_salts: Secret<[u8; KEY_BYTES]>,
}

/// Fills with secure random bytes.
type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// One client's login.
struct Login<'a> {
    by: &'a Authenticator,
    stream: &'a mut ClientStream,
    /// What it calls itself.
    user: &'a str,
    config: &'a EdgeConfig,
    /// What the connection can be bound to.
    link: &'a Link,
    /// Where it comes from.
    address: IpAddr,
}

fn logins(config: &EdgeConfig) -> Option<&Logins> {
    config.environment.as_ref().map(|environment| &environment.logins)
}

/// Whether clients may have a certificate to show.
pub(crate) fn asks_for_certificates(config: Option<&EdgeConfig>) -> bool {
    config.and_then(logins).is_some_and(|logins| logins.certificates.is_some())
}

impl Authenticator {
    /// Knows nobody yet.
    #[must_use]
    pub fn new(clock: Clock, random: Random, metrics: Arc<Metrics>) -> Self {
        let mut mock_salts = [0; KEY_BYTES];
        random(&mut mock_salts);
        let number = || {
            let mut bytes = [0; 8];
            random(&mut bytes);
            u64::from_ne_bytes(bytes)
        };
        let attempts = Mutex::new(Attempts::new([number(), number(), number(), number()]));
        let mock_salts = Secret::new(mock_salts);
        Self { clock, random, metrics, attempts, mock_salts }
    }

    /// Asks for a proof, and checks it; `link` is what the connection can be bound to over TLS.
    pub(crate) async fn authenticate(
        &self,
        stream: &mut ClientStream,
        startup: &Startup,
        config: &EdgeConfig,
        (address, link): (IpAddr, &Link),
    ) -> Result<Proven, Refused> {
        let user = startup.get("user").unwrap_or_default();
        let link = if stream.is_tls() { link } else { &Link::Unbound };
        let mut login = Login { by: self, stream, user, config, link, address };
        tokio::time::timeout(STARTUP_TIMEOUT, login.run()).await.unwrap_or_else(|_| {
            Err(Refused::new(
                sqlstate::AUTHENTICATION,
                "no proof of who the client is came in time",
                "connect again, and have the token or password ready",
            ))
        })
    }
}

impl Login<'_> {
    async fn run(&mut self) -> Result<Proven, Refused> {
        if let Some(principal) = self.certificate()? {
            return Ok(Proven { principal, method: Method::Certificate });
        }
        let ask = Ask::of(self.user, self.link, self.issuer().is_some());
        self.send(&ask.message()).await?;
        let proven = match &ask {
            Ask::Token => self.token().await?,
            Ask::Sasl(offered) => self.sasl(offered).await?,
        };
        // Only now: a good token of somebody else's must not end the count of failures under this name.
        let now = (self.by.clock)();
        self.by.attempts.lock().succeeded(self.user, self.address, now);
        Ok(proven)
    }

    /// Whom its certificate proves it to be. `None`: it showed none, or none is asked for; one that is no good is not
    /// passed over.
    fn certificate(&self) -> Result<Option<PrincipalId>, Refused> {
        let rule = logins(self.config).and_then(|logins| logins.certificates.as_ref());
        let (Some(rule), Some(shown)) = (rule, certificates::presented(self.stream)) else {
            return Ok(None);
        };
        let now = (self.by.clock)();
        certificates::proven(shown, rule, self.config, self.user, now).map(Some)
    }

    /// Where bearer tokens are from; they go over TLS alone.
    fn issuer(&self) -> Option<&OauthIssuer> {
        logins(self.config)
            .and_then(|logins| logins.oauth.as_ref())
            .filter(|_| self.stream.is_tls())
    }

    /// The one place that says what a token proves.
    fn verified(&self, token: &Secret<String>) -> Result<PrincipalId, TokenError> {
        let now = (self.by.clock)();
        let verified = writ_proto::token::verify(token.expose(), &self.config.token_keys, now);
        // One that was signed is nobody's guess, whatever else is wrong with it.
        if let Err(TokenError::Malformed | TokenError::Signature) = verified {
            self.failed(Failure::Token);
        }
        Ok(verified?.principal().clone())
    }

    /// Whether this try is heard, now that it is there. Asked right before it is looked at: of those that come at once,
    /// few are looked at before the first ones are counted.
    async fn heard(&self) -> Result<(), Refused> {
        let now = (self.by.clock)();
        let verdict = self.by.attempts.lock().verdict(self.user, self.address, now);
        match verdict {
            Verdict::Go => Ok(()),
            Verdict::Wait(wait) => {
                tokio::time::sleep(Duration::from_millis(wait.0)).await;
                Ok(())
            }
            Verdict::Refuse(left) => {
                self.by.metrics.logins_limited.add(1);
                Err(Refused::new(
                    sqlstate::AUTHENTICATION,
                    "too many logins failed from this address",
                    format!("try again in {} s, with what is right", left.0.div_ceil(1_000)),
                ))
            }
        }
    }

    fn failed(&self, what: Failure) {
        let now = (self.by.clock)();
        self.by.metrics.logins_failed.add(1);
        self.by.attempts.lock().failed(what, self.user, self.address, now);
    }

    fn is_called(&self, principal: &PrincipalId) -> bool {
        self.user == principal.name() || self.user == principal.to_string()
    }

    async fn token(&mut self) -> Result<Proven, Refused> {
        let Some(token) = self.password().await? else {
            return Err(Refused::new(
                sqlstate::BAD_PASSWORD,
                "no token came as the password",
                "put a token from `writ login` into PGPASSWORD or the URL",
            ));
        };
        self.heard().await?;
        let principal = self.verified(&token).map_err(|e| {
            let hint =
                "then connect again; with a service's password, connect with user=service:NAME";
            Refused::new(sqlstate::BAD_PASSWORD, e.to_string(), hint)
        })?;
        if !self.is_called(&principal) {
            return Err(Refused::new(
                sqlstate::AUTHENTICATION,
                format!("the token is {principal}'s, not {:?}'s", self.user),
                format!("connect with user={}", principal.name()),
            ));
        }
        Ok(Proven { principal, method: Method::Token })
    }

    async fn sasl(&mut self, offered: &[&'static str]) -> Result<Proven, Refused> {
        let body = self.response().await?;
        let SaslInitial { mechanism, response: first } = SaslInitial::read(body.expose())?;
        let method = login::chosen(offered, mechanism).ok_or_else(|| {
            Refused::new(
                sqlstate::PROTOCOL_VIOLATION,
                "client selected an invalid SASL authentication mechanism",
                "this is the driver's doing: try another version of it, or another one",
            )
        })?;
        let principal = match method {
            Method::OauthBearer => self.bearer(first).await?,
            _ => self.scram(mechanism, first).await?,
        };
        Ok(Proven { principal, method })
    }

    async fn scram(&mut self, mechanism: &str, first: &[u8]) -> Result<PrincipalId, Refused> {
        let known = self.user.parse::<PrincipalId>().ok();
        let passwords = known.as_ref().and_then(|id| self.config.passwords.get(id));
        let mock_salts = self.config.mock_salts.as_ref().unwrap_or(&self.by.mock_salts);
        let verifier = match passwords.filter(|passwords| !passwords.keys.is_empty()) {
            Some(passwords) => Verifier::of(passwords),
            None => Verifier::mock(mock_salts, self.user),
        };
        let mut nonce = [0; NONCE_BYTES];
        (self.by.random)(&mut nonce);
        let exchange = AwaitsFirst::new(verifier, self.link.clone(), &nonce);
        let (exchange, challenge) = exchange.first(mechanism, first)?;
        self.send(&login::sasl_continue(&challenge)).await?;
        let last = self.response().await?;
        self.heard().await?;
        let proven = exchange.last(self.user, last.expose()).map_err(|refused| {
            if refused.code == sqlstate::BAD_PASSWORD {
                self.failed(Failure::Password);
            }
            with_next_step(refused)
        })?;
        self.send(&login::sasl_final(proven.message())).await?;
        // Nobody without an id has a password.
        known.ok_or_else(not_an_answer)
    }

    async fn bearer(&mut self, first: &[u8]) -> Result<PrincipalId, Refused> {
        let token = oauthbearer::first(first)?;
        if let Some(token) = token {
            self.heard().await?;
            let verified = self.verified(&token).ok();
            if let Some(principal) = verified.filter(|principal| self.is_called(principal)) {
                return Ok(principal);
            }
        }
        // Whatever is wrong with it, the client is told the same: where to get another.
        let Some(issuer) = self.issuer() else { return Err(not_an_answer()) };
        let failure = oauthbearer::failure(issuer);
        self.send(&login::sasl_continue(&failure)).await?;
        let last = self.response().await?;
        Err(oauthbearer::last(self.user, last.expose()).into())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.stream.write_all(bytes).await.map_err(broken_off)?;
        self.stream.flush().await.map_err(broken_off)
    }

    /// The body of the client's answer in an exchange.
    async fn response(&mut self) -> Result<Secret<Vec<u8>>, Refused> {
        answer(self.stream).await.map_err(broken_off)?.ok_or_else(not_an_answer)
    }

    /// A password. `None`: the client sent something else.
    async fn password(&mut self) -> Result<Option<Secret<String>>, Refused> {
        let body = answer(self.stream).await.map_err(broken_off)?;
        let text = body.as_ref().and_then(|body| body.expose().strip_suffix(&[0]));
        let text = text.filter(|text| !text.is_empty());
        Ok(text.and_then(|text| String::from_utf8(text.to_vec()).ok()).map(Secret::new))
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

// The error is the connection's own, and says nothing that the client could still read.
#[allow(clippy::needless_pass_by_value)]
fn broken_off(_: io::Error) -> Refused {
    Refused::new(
        sqlstate::AUTHENTICATION,
        "the connection ended before the login did",
        "connect again; the client's own message says why it gave up",
    )
}

/// What the client answers. `None`: something else, or too much.
async fn answer(stream: &mut ClientStream) -> io::Result<Option<Secret<Vec<u8>>>> {
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
