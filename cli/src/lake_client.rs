//! PostgreSQL over TLS as a client: to the lake's SQL, and to an edge while `writ dev` waits for it.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use crate::failure::{Failure, Result, chain, file};

/// How long one connection attempt may take.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Where to connect, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Host name or address, checked against the server's certificate.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
    /// User name.
    pub(crate) user: String,
    /// Password or token.
    pub(crate) password: String,
    /// Database name.
    pub(crate) dbname: String,
    /// CA file; `None`: no TLS.
    pub(crate) ca: Option<PathBuf>,
}

impl Target {
    /// Reads a libpq URL; the parts of it that Writ writes itself.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = |what: &str| {
            Failure::usage(format!(
                "the URL {what}; write postgresql://USER:PASSWORD@HOST:PORT/DB?sslmode=verify-full&sslrootcert=FILE"
            ))
        };
        let url = url::Url::parse(text).map_err(|_| bad("cannot be read"))?;
        if !matches!(url.scheme(), "postgresql" | "postgres") {
            return Err(bad("is not for PostgreSQL"));
        }
        let query = |name: &str| {
            url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let tls = !matches!(query("sslmode").as_deref(), Some("disable"));
        Ok(Self {
            host: url.host_str().ok_or_else(|| bad("names no host"))?.to_owned(),
            port: url.port().unwrap_or(5432),
            user: decode(url.username()).ok_or_else(|| bad("has a broken user name"))?,
            password: decode(url.password().unwrap_or_default())
                .ok_or_else(|| bad("has a broken password"))?,
            dbname: decode(url.path().trim_start_matches('/'))
                .ok_or_else(|| bad("has a broken database name"))?,
            ca: if tls {
                Some(query("sslrootcert").ok_or_else(|| bad("has no sslrootcert"))?.into())
            } else {
                None
            },
        })
    }

    /// The libpq URL of this target.
    pub(crate) fn url(&self) -> String {
        let Self { host, port, user, password, dbname, ca } = self;
        let (user, password, dbname) = (encode(user), encode(password), encode(dbname));
        let tls = match ca {
            Some(ca) => {
                format!("sslmode=verify-full&sslrootcert={}", encode(&ca.display().to_string()))
            }
            None => "sslmode=disable".to_owned(),
        };
        format!("postgresql://{user}:{password}@{host}:{port}/{dbname}?{tls}")
    }
}

/// Percent-encodes everything that is not unreserved.
pub(crate) fn encode(text: &str) -> String {
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(b).to_string()
        }
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// A connected client. The connection ends when this is dropped.
pub(crate) async fn connect(target: &Target) -> Result<tokio_postgres::Client> {
    let mut config = tokio_postgres::Config::new();
    config
        .host(&target.host)
        .port(target.port)
        .user(&target.user)
        .password(&target.password)
        .dbname(&target.dbname)
        .application_name("writ")
        .connect_timeout(CONNECT_TIMEOUT);
    let failed = |error: &tokio_postgres::Error| {
        Failure::no(format!("{}:{}: {}", target.host, target.port, explain(error)))
    };
    match &target.ca {
        Some(ca) => {
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
            let (client, connection) =
                config.connect(Rustls::new(ca)?).await.map_err(|e| failed(&e))?;
            tokio::spawn(connection);
            Ok(client)
        }
        None => {
            let (client, connection) =
                config.connect(tokio_postgres::NoTls).await.map_err(|e| failed(&e))?;
            tokio::spawn(connection);
            Ok(client)
        }
    }
}

/// What the server said: message, detail and hint, then SQLSTATE; or what went wrong on the way to it.
pub(crate) fn explain(error: &tokio_postgres::Error) -> String {
    let Some(said) = error.as_db_error() else { return chain(error) };
    let more = [said.detail(), said.hint()].into_iter().flatten();
    let text = more.fold(said.message().to_owned(), |text, more| format!("{text}; {more}"));
    format!("{text} ({})", said.code().code())
}

/// TLS by rustls against one CA.
#[derive(Clone)]
struct Rustls(Arc<rustls::ClientConfig>);

impl Rustls {
    fn new(ca: &Path) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| file(ca, error))? {
            let certificate = certificate.map_err(|error| file(ca, error))?;
            roots.add(certificate).map_err(|error| file(ca, error))?;
        }
        let config =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

impl MakeTlsConnect<Socket> for Rustls {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = rustls::pki_types::InvalidDnsNameError;
    fn make_tls_connect(&mut self, host: &str) -> std::result::Result<Handshake, Self::Error> {
        let name = ServerName::try_from(host)?.to_owned();
        Ok(Handshake { name, config: Arc::clone(&self.0) })
    }
}

struct Handshake {
    name: ServerName<'static>,
    config: Arc<rustls::ClientConfig>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;
    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let stream = TlsConnector::from(self.config).connect(self.name, stream).await?;
            Ok(Stream(Box::new(stream)))
        })
    }
}

struct Stream(Box<tokio_rustls::client::TlsStream<Socket>>);

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_round_trip() {
        let target = Target {
            host: "127.0.0.1".into(),
            port: 7403,
            user: "user:audrey".into(),
            password: "a.b-c/@%".into(),
            dbname: "lake".into(),
            ca: Some("/some dir/ca.pem".into()),
        };
        assert_eq!(Target::parse(&target.url()).expect("a URL"), target);
        let plain = Target { ca: None, ..target };
        assert_eq!(Target::parse(&plain.url()).expect("a URL"), plain);
    }

    #[test]
    fn urls_that_would_not_check_the_server_are_usage_errors() {
        assert_eq!(Target::parse("postgresql://u:p@h/db").expect_err("no CA").code(), 2);
        assert_eq!(Target::parse("https://h/").expect_err("no PostgreSQL").code(), 2);
        assert_eq!(
            Target::parse("postgresql://u:%zz@h/db?sslmode=disable").expect_err("broken").code(),
            2
        );
    }
}
