//! Passwords from a Vault: one field of a secret of KV version 2, read over HTTP with a token out of a file.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use writ_model::Secret;
use writ_model::credential::VaultRef;

use super::tls;

/// How long one answer may take, connecting included.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);
/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long a secret without a lease of its own is used before it is read again.
const FRESH: Duration = Duration::from_secs(60);
/// Secrets that are kept, at most.
const SECRETS_MAX: usize = 4_096;

/// Where the Vault is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultConfig {
    /// `https://host:port`, or `http://` and a loopback address, such as an agent's.
    pub address: String,
    /// A file with the token; read for each request, so that whoever renews it only writes it.
    pub token_file: PathBuf,
    /// Whom to trust instead of the system's certificates: a PEM file.
    pub ca_file: Option<PathBuf>,
    /// The namespace, where there are any.
    pub namespace: Option<String>,
}

/// A Vault, and what was read from it lately.
pub struct Vault {
    config: VaultConfig,
    address: Address,
    read: Mutex<HashMap<String, Kept>>,
}

struct Address {
    tls: bool,
    host: String,
    port: u16,
}

#[derive(Clone)]
struct Kept {
    secret: Secret<String>,
    since: Instant,
    /// What the Vault says of how long it holds; zero: it does not say.
    lease: Duration,
}

impl Kept {
    fn is_fresh(&self) -> bool {
        let bound = if self.lease.is_zero() { FRESH } else { self.lease.min(FRESH) };
        self.since.elapsed() < bound
    }

    /// Whether it may still be used where the Vault does not answer.
    fn holds(&self) -> bool {
        self.lease.is_zero() || self.since.elapsed() < self.lease
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.config.address)
    }
}

/// Why there is no secret; says what to do, and never holds one.
#[derive(Debug)]
enum Trouble {
    /// The Vault says that there is none, or not for us.
    Refused(String),
    /// It cannot be asked.
    Silent(String),
}

/// The part of an answer that is read.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    lease_duration: u64,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    data: Option<HashMap<String, serde_json::Value>>,
}

impl Vault {
    /// A Vault that nothing was read from yet. The error says what is wrong with the configuration.
    pub fn new(config: VaultConfig) -> Result<Self, String> {
        let address = Address::parse(&config.address)?;
        Ok(Self { config, address, read: Mutex::default() })
    }

    /// The secret that `reference` names; read again where it was not lately, or where `again`. The error says what is
    /// wrong, and what to do.
    pub(super) async fn secret(
        &self,
        reference: &VaultRef,
        again: bool,
    ) -> Result<Secret<String>, String> {
        let name = reference.to_string();
        let known = self.read.lock().get(&name).cloned();
        if let Some(kept) = known.as_ref().filter(|kept| !again && kept.is_fresh()) {
            return Ok(kept.secret.clone());
        }
        let asked = tokio::time::timeout(ANSWER_WAIT_MAX, self.ask(reference)).await;
        let late = |_| Trouble::Silent(format!("does not answer within {ANSWER_WAIT_MAX:?}"));
        match asked.map_err(late).flatten() {
            Ok(kept) => {
                let mut read = self.read.lock();
                if read.len() >= SECRETS_MAX {
                    read.clear();
                }
                read.insert(name, kept.clone());
                Ok(kept.secret)
            }
            Err(Trouble::Refused(why)) => {
                self.read.lock().remove(&name);
                Err(why)
            }
            Err(Trouble::Silent(why)) => match known.filter(Kept::holds) {
                Some(kept) => {
                    tracing::warn!(
                        vault = self.config.address,
                        reason = why,
                        "the last known secret is used"
                    );
                    Ok(kept.secret)
                }
                None => Err(format!("{why}; check vault_address and the network")),
            },
        }
    }

    async fn ask(&self, reference: &VaultRef) -> Result<Kept, Trouble> {
        let silent = |why: String| Trouble::Silent(why);
        let Address { tls, host, port } = &self.address;
        let tcp = TcpStream::connect((host.as_str(), *port)).await;
        let tcp = tcp.map_err(|e| silent(format!("cannot be reached ({e})")))?;
        let (status, body) = if *tls {
            let ca = self.config.ca_file.as_ref().map(|file| file.display().to_string());
            let config = tls::trusting(ca.as_deref()).await.map_err(silent)?;
            let name = ServerName::try_from(host.clone()).map_err(|e| silent(e.to_string()))?;
            let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
            let stream = stream.map_err(|e| silent(format!("has no TLS that is trusted ({e})")))?;
            self.get(stream, reference).await?
        } else {
            self.get(tcp, reference).await?
        };
        kept(reference, status, &body)
    }

    async fn get(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        reference: &VaultRef,
    ) -> Result<(StatusCode, Bytes), Trouble> {
        let silent = |e: &dyn fmt::Display| Trouble::Silent(format!("breaks off ({e})"));
        let file = &self.config.token_file;
        let token = tokio::fs::read_to_string(file).await;
        let token = token.map_err(|e| {
            Trouble::Silent(format!("cannot be asked: {} cannot be read ({e})", file.display()))
        })?;
        let mut request = Request::get(format!("/v1/{}", reference.path()))
            .header("Host", format!("{}:{}", self.address.host, self.address.port))
            .header("X-Vault-Request", "true")
            .header("X-Vault-Token", token.trim());
        if let Some(namespace) = &self.config.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        // Not the error itself: it could hold the token.
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|_| Trouble::Refused(format!("{} holds no token", file.display())))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| silent(&e))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|e| silent(&e))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|e| silent(&e))?.to_bytes()))
        };
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = connection => match ended {
                // The answer is there as a whole.
                Ok(()) => answer.await,
                Err(error) => Err(silent(&error)),
            },
        }
    }
}

fn kept(reference: &VaultRef, status: StatusCode, body: &[u8]) -> Result<Kept, Trouble> {
    let refused = |why: String| Err(Trouble::Refused(why));
    match status {
        StatusCode::OK => {}
        StatusCode::FORBIDDEN => {
            return refused("lets the token read no such path; renew the token, or give it a policy for the path".into());
        }
        StatusCode::NOT_FOUND => {
            return refused("has no such secret, or its version was deleted".into());
        }
        status if status.is_redirection() => {
            return refused("answers with a redirection, which is not followed; name the active node in vault_address".into());
        }
        // Sealed, in standby, overloaded.
        status => return Err(Trouble::Silent(format!("answers {status}"))),
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return refused("does not answer as KV version 2 does".into());
    };
    let Some(fields) = answer.data.and_then(|data| data.data) else {
        return refused("has no such secret, or its version was deleted".into());
    };
    match fields.get(reference.field()) {
        Some(serde_json::Value::String(text)) if !text.is_empty() => Ok(Kept {
            secret: Secret::new(text.clone()),
            since: Instant::now(),
            lease: Duration::from_secs(answer.lease_duration),
        }),
        _ => refused(format!("has no text in the secret's field {}", reference.field())),
    }
}

impl Address {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("vault_address {text:?} {why}");
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(wrong("is not https://HOST:PORT")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let authority: hyper::http::uri::Authority =
            rest.parse().map_err(|_| wrong("is not https://HOST:PORT"))?;
        if rest.contains('@') {
            return Err(wrong("holds a user; only the token says who asks"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let loopback =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !tls && !loopback {
            return Err(wrong("would send the token in clear text; use https"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host, port })
    }
}

#[cfg(test)]
pub(super) mod tests;
