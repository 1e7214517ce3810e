//! Logins over real TLS, with a client that knows the protocol and one that lies.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use writ_edge_core::attempts::FAILURES_OF_NAME_MAX;
use writ_edge_core::scram::{SCRAM, SCRAM_PLUS};
use writ_model::config::{Environment, WhenStale};
use writ_model::password::{PasswordKeys, Passwords};
use writ_model::{DurationMs, Timestamp};

use super::*;
use crate::startup::{Opening, open};
use crate::tls::Listener;
use crate::tls::testing::{SSL_REQUEST, listener, shake_hands};

const PASSWORD: &[u8] = b"correct horse battery staple";
const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

/// An edge that logs clients in, one after another.
struct Edge {
    authenticator: Authenticator,
    config: EdgeConfig,
    tls: Listener,
    certificate: CertificateDer<'static>,
    listener: TcpListener,
}

/// As PostgreSQL keeps it.
fn passwords() -> Passwords {
    let text = postgres_protocol::password::scram_sha_256(PASSWORD);
    let rest = text.strip_prefix("SCRAM-SHA-256$4096:").expect("a verifier");
    let (salt, keys) = rest.split_once('$').expect("a salt");
    let (stored_key, server_key) = keys.split_once(':').expect("two keys");
    let decode = |text: &str| STANDARD.decode(text).expect("base64");
    let key = |text| Secret::new(decode(text).try_into().expect("32 bytes"));
    let keys = PasswordKeys { stored_key: key(stored_key), server_key: key(server_key) };
    Passwords { salt: decode(salt).try_into().expect("16 bytes"), keys: vec![keys] }
}

impl Edge {
    async fn start() -> Self {
        let (tls, certificate) = listener();
        let oauth = OauthIssuer { url: "https://id.example".into(), scope: "openid".into() };
        let environment = Environment {
            name: "prod".parse().expect("a name"),
            staleness_max: DurationMs(1),
            when_stale: WhenStale::Refuse,
            logins: Logins { certificates: None, oauth: Some(oauth) },
        };
        let config = EdgeConfig {
            environment: Some(environment),
            passwords: [("service:robot".parse().expect("an id"), passwords())].into(),
            mock_salts: Some(Secret::new([7; KEY_BYTES])),
            ..EdgeConfig::default()
        };
        let random: Random = Arc::new(|bytes: &mut [u8]| rand::fill(bytes));
        Self {
            authenticator: Authenticator::new(Arc::new(|| NOW), random, Arc::default()),
            config,
            tls,
            certificate,
            listener: TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        }
    }

    /// What becomes of the next client.
    async fn log_in(&self) -> Result<Proven, Refused> {
        let (tcp, address) = self.listener.accept().await.expect("a client");
        let tls = self.tls.current();
        let opening = open(tcp, tls.acceptor(false)).await.expect("opened");
        let Opening::Session(mut stream, startup) = opening else { panic!("no session") };
        let from = (address.ip(), &tls.link);
        self.authenticator.authenticate(&mut stream, &startup, &self.config, from).await
    }

    async fn client(&self, user: &str) -> Client {
        let address = self.listener.local_addr().expect("an address");
        let mut tcp = TcpStream::connect(address).await.expect("connected");
        tcp.write_all(&SSL_REQUEST).await.expect("sent");
        assert_eq!(tcp.read_u8().await.expect("an answer"), b'S');
        let mut stream = shake_hands(tcp, &self.certificate, &[]).await.expect("TLS");
        let body = [&[0, 3, 0, 0], b"user\0".as_slice(), user.as_bytes(), b"\0\0"].concat();
        let length = u32::try_from(4 + body.len()).expect("a length");
        stream.write_all(&[&length.to_be_bytes(), &body[..]].concat()).await.expect("sent");
        stream.flush().await.expect("sent");
        Client { stream }
    }

    /// What becomes of a client that proves a password by SCRAM.
    async fn scram(&self, user: &str, password: &[u8]) -> Result<Proven, Refused> {
        let hash = crate::upstream::end_point(&self.certificate).expect("a hash");
        let client = async {
            let mut client = self.client(user).await;
            let offered = client.request(10).await.expect("SASL");
            assert_eq!(offered, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0OAUTHBEARER\0\0");
            let binding = ChannelBinding::tls_server_end_point(hash);
            client.prove(SCRAM_PLUS, password, binding).await;
        };
        tokio::join!(self.log_in(), client).0
    }
}

struct Client {
    stream: TlsStream<TcpStream>,
}

impl Client {
    /// An authentication request of this kind. `None`: the connection ended.
    async fn request(&mut self, kind: i32) -> Option<Vec<u8>> {
        let tag = self.stream.read_u8().await.ok()?;
        assert_eq!(tag, b'R');
        let length = self.stream.read_i32().await.ok()?;
        assert_eq!(self.stream.read_i32().await.ok()?, kind);
        let mut body = vec![0; usize::try_from(length - 8).expect("a length")];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(body)
    }

    async fn say(&mut self, body: &[u8]) {
        let length = i32::try_from(4 + body.len()).expect("a length");
        let message = [b"p", &length.to_be_bytes()[..], body].concat();
        self.stream.write_all(&message).await.expect("sent");
        self.stream.flush().await.expect("sent");
    }

    async fn begin(&mut self, mechanism: &str, response: &[u8]) {
        let length = i32::try_from(response.len()).expect("a length").to_be_bytes();
        self.say(&[mechanism.as_bytes(), &[0], &length, response].concat()).await;
    }

    async fn prove(&mut self, mechanism: &str, password: &[u8], binding: ChannelBinding) {
        let mut scram = ScramSha256::new(password, binding);
        self.begin(mechanism, scram.message()).await;
        let Some(challenge) = self.request(11).await else { return };
        scram.update(&challenge).expect("a challenge");
        self.say(scram.message()).await;
        if let Some(last) = self.request(12).await {
            scram.finish(&last).expect("the edge proves itself too");
        }
    }
}

fn shown(outcome: Result<Proven, Refused>) -> Result<(String, &'static str), (String, String)> {
    let name = |proven: Proven| (proven.principal().to_string(), proven.method().as_str());
    outcome.map(name).map_err(|refused| (refused.code.0.to_owned(), refused.reason))
}

#[tokio::test]
async fn a_service_proves_its_password_bound_to_the_connection() {
    let edge = Edge::start().await;
    let proven = shown(edge.scram("service:robot", PASSWORD).await);
    assert_eq!(proven, Ok(("service:robot".into(), "scram-sha-256-plus")));
    let wrong = |user: &str| {
        let reason = format!("password authentication failed for user \"{user}\"");
        Err(("28P01".to_owned(), reason))
    };
    for (user, password) in
        [("service:robot", &b"wrong"[..]), ("service:nobody", PASSWORD), ("service:", PASSWORD)]
    {
        assert_eq!(shown(edge.scram(user, password).await), wrong(user));
    }
}

#[tokio::test]
async fn a_withheld_offer_and_another_certificate_are_found() {
    let edge = Edge::start().await;
    let ways = [
        (SCRAM, ChannelBinding::unsupported(), None),
        (SCRAM, ChannelBinding::unrequested(), Some("negotiation error")),
        (SCRAM_PLUS, ChannelBinding::tls_server_end_point(vec![1; 32]), Some("check failed")),
    ];
    for (mechanism, binding, refused) in ways {
        let client = async {
            let mut client = edge.client("service:robot").await;
            client.request(10).await.expect("SASL");
            client.prove(mechanism, PASSWORD, binding).await;
        };
        match (shown(tokio::join!(edge.log_in(), client).0), refused) {
            (Ok((_, method)), None) => assert_eq!(method, "scram-sha-256"),
            (Err((code, reason)), Some(text)) => {
                assert_eq!(code, "28000");
                assert!(reason.contains(text), "{reason}");
            }
            (outcome, _) => panic!("{outcome:?}"),
        }
    }
}

#[tokio::test]
async fn after_some_failures_a_name_is_not_heard() {
    let edge = Edge::start().await;
    for _ in 0..FAILURES_OF_NAME_MAX {
        let (code, _) = shown(edge.scram("service:robot", b"guess").await).expect_err("wrong");
        assert_eq!(code, "28P01");
    }
    let limited = shown(edge.scram("service:robot", PASSWORD).await);
    let expected = ("28000".to_owned(), "too many logins failed from this address".to_owned());
    assert_eq!(limited, Err(expected), "even what is right");
    assert_eq!(edge.authenticator.metrics.logins_limited.get(), 1);
    assert_eq!(edge.authenticator.metrics.logins_failed.get(), u64::from(FAILURES_OF_NAME_MAX));
    let other = shown(edge.scram("service:other", b"guess").await);
    assert_eq!(other.expect_err("wrong").0, "28P01", "another name is heard");
}

#[tokio::test]
async fn a_bearer_token_that_does_not_hold_is_told_where_to_get_one() {
    let edge = Edge::start().await;
    for (user, auth) in [("user:dana", "auth=Bearer forged"), ("service:robot", "auth=")] {
        let client = async {
            let mut client = edge.client(user).await;
            client.request(10).await.expect("SASL");
            let first = format!("n,,\x01{auth}\x01\x01");
            client.begin(oauthbearer::OAUTHBEARER, first.as_bytes()).await;
            let told = client.request(11).await.expect("a failure");
            let told: serde_json::Value = serde_json::from_slice(&told).expect("JSON");
            assert_eq!(told["status"], "invalid_token");
            client.say(b"\x01").await;
        };
        let refused = shown(tokio::join!(edge.log_in(), client).0).expect_err("refused");
        let reason = format!("OAuth bearer authentication failed for user \"{user}\"");
        assert_eq!(refused, ("28000".to_owned(), reason));
    }
}

#[tokio::test]
async fn what_was_not_offered_is_not_taken() {
    let edge = Edge::start().await;
    for (user, said) in [
        ("user:dana", &b"SCRAM-SHA-256\0\0\0\0\x0bn,,n=,r=abc"[..]),
        ("service:robot", b"PLAIN\0\0\0\0\0"),
        ("service:robot", b"SCRAM-SHA-256"),
        ("service:robot", b""),
    ] {
        let client = async {
            let mut client = edge.client(user).await;
            client.request(10).await.expect("SASL");
            client.say(said).await;
        };
        let refused = shown(tokio::join!(edge.log_in(), client).0).expect_err("refused");
        assert_eq!(refused.0, "08P01", "{said:?}");
    }
}
