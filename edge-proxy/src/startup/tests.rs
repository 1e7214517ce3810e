//! The start of connections over real TCP and real TLS, and beside a real server.

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use writ_edge_core::frame::{body, error_field};

use super::*;
use crate::tls::testing::{SSL_REQUEST, listener, shake_hands};
use crate::upstream::testing::Postgres;

const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];
const DANA: &[u8] = b"user\0dana\0database\0shop\0\0";
const NEGOTIATED: &[u8] = b"v\0\0\0\x0c\0\x03\0\x02\0\0\0\0";
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An edge that opens one connection.
struct Edge {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    opened: JoinHandle<io::Result<Opening>>,
}

impl Edge {
    async fn start() -> Self {
        let (tls, certificate) = listener();
        let acceptor = tls.current().acceptor(false).clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let opened = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await?;
            tokio::time::timeout(PATIENCE, open(tcp, &acceptor)).await?
        });
        Self { address, certificate, opened }
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    /// Shakes hands, offering these names by ALPN.
    async fn tls(&self, tcp: TcpStream, alpn: &[&str]) -> io::Result<TlsStream<TcpStream>> {
        shake_hands(tcp, &self.certificate, alpn).await
    }

    async fn asked_tls(&self, alpn: &[&str]) -> io::Result<TlsStream<TcpStream>> {
        let mut tcp = self.tcp().await;
        tcp.write_all(&SSL_REQUEST).await?;
        assert_eq!(tcp.read_u8().await?, b'S');
        self.tls(tcp, alpn).await
    }

    async fn opened(self) -> io::Result<Opening> {
        self.opened.await.expect("no panic")
    }

    async fn session(self) -> (ClientStream, Startup) {
        match self.opened().await.expect("opened") {
            Opening::Session(stream, startup) => (stream, startup),
            Opening::Cancel(..) => panic!("a cancel request"),
            Opening::Nothing(reason) => panic!("{reason}"),
        }
    }

    async fn is_nothing(self) -> bool {
        !matches!(self.opened().await, Ok(Opening::Session(..) | Opening::Cancel(..)))
    }
}

fn packet(major: u16, minor: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + body.len()).expect("a length").to_be_bytes();
    [&length, &major.to_be_bytes()[..], &minor.to_be_bytes(), body].concat()
}

/// Sends `bytes`, and says what came up to the end of the connection; an error where it was reset.
async fn last_words(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    bytes: &[u8],
) -> io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await??;
    Ok(answer)
}

fn code(answer: &[u8]) -> String {
    assert_eq!(answer.first(), Some(&b'E'), "{answer:?}");
    let code = error_field(body(answer), b'C').expect("a SQLSTATE");
    String::from_utf8(code.to_vec()).expect("UTF-8")
}

#[tokio::test]
async fn each_version_is_spoken_over_each_link() {
    for (minor, told) in [(0, false), (1, false), (2, false), (9, true)] {
        for link in ["plain", "asked", "direct"] {
            let edge = Edge::start().await;
            let mut client: Box<dyn Both> = match link {
                "plain" => Box::new(edge.tcp().await),
                "asked" => Box::new(edge.asked_tls(&[]).await.expect("TLS")),
                _ => {
                    let tcp = edge.tcp().await;
                    Box::new(edge.tls(tcp, &["postgresql"]).await.expect("TLS"))
                }
            };
            client.write_all(&packet(3, minor, DANA)).await.expect("sent");
            client.flush().await.expect("sent");
            let (mut stream, startup) = edge.session().await;
            assert_eq!(startup.asked.minor, minor);
            assert_eq!(stream.is_tls(), link != "plain", "{link}");
            assert_eq!(startup.get("user"), Some("dana"));
            send(&mut stream, b"R").await.expect("sent");
            stream.shutdown().await.expect("closed");
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.expect("heard");
            let expected = [if told { NEGOTIATED } else { b"" }, b"R"].concat();
            assert_eq!(heard, expected, "3.{minor} over {link}");
        }
    }
}

/// A stream to read and to write.
trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Both for S {}

#[tokio::test]
async fn gssenc_is_declined_once_and_tls_may_follow() {
    let edge = Edge::start().await;
    let mut tcp = edge.tcp().await;
    tcp.write_all(&GSSENC_REQUEST).await.expect("sent");
    assert_eq!(tcp.read_u8().await.expect("an answer"), b'N');
    tcp.write_all(&SSL_REQUEST).await.expect("sent");
    assert_eq!(tcp.read_u8().await.expect("an answer"), b'S');
    let mut client = edge.tls(tcp, &[]).await.expect("TLS");
    let answer = last_words(&mut client, &SSL_REQUEST).await.expect("an answer");
    assert_eq!(code(&answer), "0A000", "TLS inside TLS");
    assert!(edge.is_nothing().await);

    let edge = Edge::start().await;
    let mut tcp = edge.tcp().await;
    tcp.write_all(&GSSENC_REQUEST).await.expect("sent");
    assert_eq!(tcp.read_u8().await.expect("an answer"), b'N');
    assert_eq!(code(&last_words(&mut tcp, &GSSENC_REQUEST).await.expect("an answer")), "0A000");
    assert!(edge.is_nothing().await);
}

#[tokio::test]
async fn bytes_before_tls_are_not_taken_for_what_came_over_it() {
    let startup = packet(3, 0, DANA);
    // In the same packet, and before the handshake.
    let edge = Edge::start().await;
    let mut tcp = edge.tcp().await;
    let injected = [&SSL_REQUEST[..], &startup].concat();
    let answer = last_words(&mut tcp, &injected).await.unwrap_or_default();
    assert!(answer.is_empty() || answer[0] == b'S' && answer.get(1) != Some(&b'R'), "{answer:?}");
    assert!(edge.is_nothing().await);
    // Behind a request that holds more than its code.
    let edge = Edge::start().await;
    let mut tcp = edge.tcp().await;
    let longer = [&[0, 0, 0, 9], &SSL_REQUEST[4..], b"x"].concat();
    assert_eq!(last_words(&mut tcp, &longer).await.expect("closed"), b"");
    assert!(edge.is_nothing().await);
}

#[tokio::test]
async fn direct_tls_needs_its_alpn() {
    let edge = Edge::start().await;
    let tcp = edge.tcp().await;
    let mut client = edge.tls(tcp, &[]).await.expect("a handshake");
    let answer = last_words(&mut client, &packet(3, 0, DANA)).await.unwrap_or_default();
    assert!(answer.is_empty(), "closed without a word: {answer:?}");
    assert!(edge.is_nothing().await);
    for alpn in [&["h2"][..], &["http/1.1", "h2"]] {
        let edge = Edge::start().await;
        let tcp = edge.tcp().await;
        let refused = edge.tls(tcp, alpn).await.expect_err("no protocol in common");
        assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
        assert!(edge.is_nothing().await);
    }
}

#[tokio::test]
async fn tls_that_was_asked_for_may_come_without_alpn_but_not_with_another() {
    for alpn in [&[][..], &["postgresql"], &["h2", "postgresql"]] {
        let edge = Edge::start().await;
        let mut client = edge.asked_tls(alpn).await.expect("TLS");
        client.write_all(&packet(3, 2, DANA)).await.expect("sent");
        client.flush().await.expect("sent");
        assert_eq!(edge.session().await.1.cancel_key_bytes(), 32, "{alpn:?}");
    }
    let edge = Edge::start().await;
    let refused = edge.asked_tls(&["h2"]).await.expect_err("no protocol in common");
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    assert!(edge.is_nothing().await);
}

#[tokio::test]
async fn cancel_requests_bring_keys_of_both_lengths() {
    for length in [4, 32] {
        let edge = Edge::start().await;
        let key = [&[0, 0, 0, 7], &vec![9; length][..]].concat();
        let mut tcp = edge.tcp().await;
        tcp.write_all(&packet(1_234, 5_678, &key)).await.expect("sent");
        let Opening::Cancel(_, request) = edge.opened().await.expect("opened") else {
            panic!("no cancel request");
        };
        assert_eq!((request.process_id, request.key.expose().len()), (7, length));
    }
}

#[tokio::test]
async fn a_cancel_request_over_tls_is_not_broken_off() {
    for said in [true, false] {
        let edge = Edge::start().await;
        let mut client = edge.asked_tls(&[]).await.expect("TLS");
        client.write_all(&packet(1_234, 5_678, &[0, 0, 0, 7, 9, 9, 9, 9])).await.expect("sent");
        let Opening::Cancel(stream, _) = edge.opened().await.expect("opened") else {
            panic!("no cancel request");
        };
        if said {
            part(stream).await;
        } else {
            drop(stream);
        }
        let end = client.read(&mut [0; 1]).await.map_err(|error| error.kind());
        // Without TLS's own goodbye the client takes it for an attack.
        assert_eq!(end, if said { Ok(0) } else { Err(io::ErrorKind::UnexpectedEof) });
    }
}

#[tokio::test]
async fn a_reason_arrives_whatever_the_client_still_sends() {
    let edge = Edge::start().await;
    let mut tcp = edge.tcp().await;
    let oversize = packet(3, 0, &vec![b'x'; 30_000]);
    // The edge has seen enough, and said so, long before the client is done.
    tcp.write_all(&oversize[..1_000]).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = last_words(&mut tcp, &oversize[1_000..]).await.expect("not reset");
    assert_eq!(code(&answer), "08P01");
    assert!(error_field(body(&answer), b'H').is_some(), "a hint");
    assert!(edge.is_nothing().await);
    // What is no PostgreSQL client gets no answer.
    let edge = Edge::start().await;
    let mut tcp = edge.tcp().await;
    let answer = last_words(&mut tcp, b"GET / HTTP/1.1\r\n\r\n").await.unwrap_or_default();
    assert!(answer.is_empty(), "{answer:?}");
    assert!(edge.is_nothing().await);
}

#[tokio::test]
async fn answers_are_the_servers_own() {
    let server = Postgres::start();
    let refused = [
        packet(4, 0, DANA),
        packet(1_234, 7, DANA),
        packet(3, 0, b""),
        packet(3, 0, b"user\0dana"),
        packet(3, 0, b"user\0dana\0\0more"),
        packet(3, 0, b"database\0shop\0\0"),
    ];
    for bytes in refused {
        let mut theirs = TcpStream::connect(("127.0.0.1", server.port)).await.expect("PostgreSQL");
        let theirs = last_words(&mut theirs, &bytes).await.expect("an answer");
        let edge = Edge::start().await;
        let ours = last_words(&mut edge.tcp().await, &bytes).await.expect("an answer");
        assert_eq!(code(&ours), code(&theirs), "{bytes:?}");
        assert!(edge.is_nothing().await);
    }
    // The server has 3.0 alone and knows no options either: then both say the same, byte for byte.
    let options = packet(3, 0, b"user\0dana\0_pq_.a\0on\0_pq_.b\0\0\0");
    let mut theirs = TcpStream::connect(("127.0.0.1", server.port)).await.expect("PostgreSQL");
    theirs.write_all(&options).await.expect("sent");
    let edge = Edge::start().await;
    let mut ours = edge.tcp().await;
    ours.write_all(&options).await.expect("sent");
    let (_, startup) = edge.session().await;
    let (mut said, mut expected) = ([0; 27], [0; 27]);
    ours.read_exact(&mut said).await.expect("an answer");
    theirs.read_exact(&mut expected).await.expect("an answer");
    assert_eq!(said, expected);
    assert_eq!(said.first(), Some(&b'v'));
    assert_eq!(startup.unknown_options, ["_pq_.a", "_pq_.b"]);
}
