//! Logins and queries against a real PostgreSQL, and against servers that lie.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use writ_model::config::{CredentialRef, Database, UpstreamTls};

use super::testing::{PASSWORD, Postgres, one};
use super::*;

async fn try_connect(database: &Database) -> Result<Upstream, ConnectError> {
    connect(database, &[], &ConnectLimits::default()).await
}

async fn fails(database: &Database) -> ConnectError {
    let error = try_connect(database).await.expect_err("a refusal");
    let said = format!("{error} {error:?}");
    assert!(!said.contains(PASSWORD) && !said.contains("wrong-secret"), "{said}");
    error
}

fn with_tls(server: &Postgres, tls: UpstreamTls) -> Database {
    let mut database = server.database();
    database.tls = tls;
    database.host = "localhost".to_owned();
    database.tags.insert("tls_ca_file".to_owned(), server.ca_file());
    database
}

#[tokio::test]
async fn scram_lets_in_with_the_right_password_only() {
    let server = Postgres::start();
    let startup = [("application_name".to_owned(), "writ \"x\"".to_owned())];
    let mut upstream =
        connect(&server.database(), &startup, &ConnectLimits::default()).await.expect("connected");
    assert_eq!(
        one(&mut upstream, "SELECT current_setting('application_name')").await,
        "writ \"x\""
    );
    let process_id = one(&mut upstream, "SELECT pg_backend_pid()").await;
    assert_eq!(process_id, upstream.cancel_key.process_id.to_string());
    assert_eq!(upstream.cancel_key.secret.len(), 4);
    let known = |name: &str| upstream.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v);
    assert_eq!(known("server_encoding").map(String::as_str), Some("UTF8"));
    assert!(upstream.leftover.is_empty());

    let mut database = server.database();
    let wrong = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(wrong.path(), "wrong-secret").expect("written");
    database.credential = CredentialRef::File(wrong.path().display().to_string());
    let error = fails(&database).await;
    assert!(
        matches!(&error, ConnectError::AuthenticationRefused { reason, .. } if reason.contains("28P01")),
        "{error}"
    );

    database.credential = CredentialRef::File("/nonexistent/password".to_owned());
    let error = fails(&database).await;
    assert!(
        matches!(&error, ConnectError::CredentialMissing { place, .. } if place == "file /nonexistent/password"),
        "{error}"
    );
    database.credential = CredentialRef::Variable("WRIT_TEST_NO_SUCH_VARIABLE".to_owned());
    let error = fails(&database).await;
    assert!(
        error.to_string().contains("variable WRIT_TEST_NO_SUCH_VARIABLE is not set"),
        "{error}"
    );
    database.credential = CredentialRef::None;
    assert!(matches!(fails(&database).await, ConnectError::CredentialMissing { .. }));

    database = server.database();
    database.dbname = "nowhere".to_owned();
    let error = fails(&database).await;
    assert!(matches!(&error, ConnectError::Server(said) if said.sqlstate == "3D000"), "{error}");
}

#[tokio::test]
async fn other_ways_in_are_as_the_server_asks() {
    let server = Postgres::start();
    let mut admin = server.connect().await;
    let roles = format!(
        "CREATE ROLE trusted LOGIN; CREATE ROLE cleartext LOGIN PASSWORD '{PASSWORD}';
         SET password_encryption = 'md5'; CREATE ROLE hashed LOGIN PASSWORD '{PASSWORD}'"
    );
    admin.query(&roles).await.expect("roles");
    let login = |role: &str, tls| Database { username: role.to_owned(), ..with_tls(&server, tls) };

    let mut trusted = login("trusted", UpstreamTls::Disable);
    trusted.host = "127.0.0.1".to_owned();
    trusted.credential = CredentialRef::None;
    try_connect(&trusted).await.expect("trust");
    try_connect(&login("hashed", UpstreamTls::Disable)).await.expect("md5");
    try_connect(&login("cleartext", UpstreamTls::Require)).await.expect("clear text inside TLS");
    let error = fails(&login("cleartext", UpstreamTls::Disable)).await;
    assert!(
        matches!(&error, ConnectError::AuthenticationRefused { reason, .. } if reason.contains("without TLS")),
        "{error}"
    );
}

#[tokio::test]
async fn tls_is_checked_as_far_as_the_database_says() {
    let server = Postgres::start();
    let in_tls = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let database = with_tls(&server, UpstreamTls::VerifyFull);
    let mut upstream = try_connect(&database).await.expect("verified");
    assert_eq!(one(&mut upstream, in_tls).await, "t");

    let mut by_address = database.clone();
    by_address.host = "127.0.0.1".to_owned();
    let error = fails(&by_address).await;
    assert!(matches!(error, ConnectError::Tls { .. }), "another name: {error}");
    by_address.tls = UpstreamTls::Require;
    let mut upstream = try_connect(&by_address).await.expect("not verified");
    assert_eq!(one(&mut upstream, in_tls).await, "t");

    let other = Postgres::start();
    let mut stranger = database.clone();
    stranger.tags.insert("tls_ca_file".to_owned(), other.ca_file());
    assert!(matches!(fails(&stranger).await, ConnectError::Tls { .. }), "another issuer");
    stranger.tags.insert("tls_ca_file".to_owned(), "/nonexistent/ca".to_owned());
    let error = fails(&stranger).await;
    assert!(error.to_string().contains("/nonexistent/ca"), "{error}");
}

#[tokio::test]
async fn a_cancel_reaches_the_backend() {
    let server = Postgres::start();
    for tls in [UpstreamTls::Disable, UpstreamTls::Require] {
        let database = with_tls(&server, tls);
        let mut upstream = try_connect(&database).await.expect("connected");
        let key = upstream.cancel_key.clone();
        let id = key.process_id;
        let mut admin = server.connect().await;
        let canceller = async {
            let active = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = {id} AND query LIKE '%sleep%' AND state = 'active'"
            );
            while one(&mut admin, &active).await != "1" {}
            cancel(&database, &key).await.expect("asked");
        };
        let (slept, ()) = tokio::join!(upstream.query("SELECT pg_sleep(60)"), canceller);
        assert!(matches!(slept, Err(QueryError::Server(e)) if e.sqlstate == "57014"));
        assert_eq!(one(&mut upstream, "SELECT 1").await, "1");
    }
}

#[tokio::test]
async fn queries_keep_rows_errors_and_parameters_apart() {
    let server = Postgres::start();
    let mut upstream = server.connect().await;
    let rows = upstream.query("SELECT 1, NULL; SELECT ''").await.expect("rows");
    assert_eq!(rows, [vec![Some(b"1".to_vec()), None], vec![Some(Vec::new())]]);
    let error = upstream.query("SELECT 1; SELECT nothing").await.expect_err("no column");
    assert!(matches!(&error, QueryError::Server(e) if e.sqlstate == "42703"), "{error}");
    assert!(error.connection_is_usable());

    let tail = b"\0\0\0\x02\0\0\0\x0240\0\0\0\x012\0\x02\0\x01\0\x01";
    let sum = Parameters { types: &[23, 23], bind_tail: tail };
    let rows = upstream.query_with("SELECT $1 + $2", sum).await.expect("rows");
    assert_eq!(rows, [[Some(b"42".to_vec())]]);
    let two = upstream.query_with("SELECT 1; SELECT 2", Parameters::default()).await;
    assert!(matches!(two, Err(QueryError::Server(e)) if e.sqlstate == "42601"));
    assert!(matches!(upstream.query("SELECT '\0'").await, Err(QueryError::Unsendable(_))));

    upstream.query("SET standard_conforming_strings = off").await.expect("set");
    let latest = ("standard_conforming_strings".to_owned(), "off".to_owned());
    assert!(upstream.parameters.contains(&latest));

    let end = format!("SELECT pg_terminate_backend({})", upstream.cancel_key.process_id);
    let error = upstream.query(&end).await.expect_err("ended");
    assert!(!error.connection_is_usable(), "{error}");
}

/// How much a [`liar`] hears at once, in bytes.
const LIAR_HEARS_BYTES: usize = 1_024;

/// A server that says `script` piece by piece, each after one read; yields what it heard.
async fn liar(script: &'static [&'static [u8]]) -> (Database, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut heard = Vec::with_capacity(LIAR_HEARS_BYTES);
        for piece in script {
            let _ = stream.read_buf(&mut heard).await;
            let _ = stream.write_all(piece).await;
        }
        heard
    });
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").to_owned();
    let database = Database {
        host: "127.0.0.1".to_owned(),
        port,
        credential: CredentialRef::File(file),
        ..super::error::tests::database()
    };
    (database, heard)
}

#[tokio::test]
async fn servers_that_lie_get_no_login() {
    // SCRAM asked for, then "you are in" without the proof that the server knows the password.
    const SASL: &[u8] = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
    let (database, _) = liar(&[SASL, b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"]).await;
    assert!(matches!(fails(&database).await, ConnectError::Protocol(_)));
    // A length of 2 GiB.
    let (database, _) = liar(&[b"R\x7f\xff\xff\xff"]).await;
    assert!(matches!(fails(&database).await, ConnectError::Protocol(_)));
    // TLS asked for, and none there: nothing but the request for it may leave the edge.
    let (mut database, heard) = liar(&[b"N", b""]).await;
    database.tls = UpstreamTls::Require;
    assert!(matches!(fails(&database).await, ConnectError::Tls { .. }));
    assert_eq!(heard.await.expect("heard").len(), 8);
}

/// A login without a password, whose BackendKeyData has a key of so many bytes.
fn greets_with_key(length: usize) -> &'static [&'static [u8]] {
    let size = u32::try_from(8 + length).expect("a length").to_be_bytes();
    let key = [b"R\0\0\0\x08\0\0\0\0K", &size[..], b"\0\0\0\x2a", &vec![7; length]].concat();
    let greeting = [&key[..], b"Z\0\0\0\x05I"].concat();
    Box::leak(Box::new([&*Box::leak(greeting.into_boxed_slice())]))
}

#[tokio::test]
async fn startup_takes_cancel_keys_of_any_length_that_the_protocol_has() {
    for length in [4, 32, 255, 256] {
        let (database, _) = liar(greets_with_key(length)).await;
        let upstream = try_connect(&database).await.expect("connected");
        let key = &upstream.cancel_key;
        assert_eq!((key.process_id, key.secret.len()), (42, length));
        // It goes back as it came.
        let (database, heard) = liar(&[b""]).await;
        let server = database.servers().expect("one").remove(0);
        let key = CancelKey { server, ..upstream.cancel_key.clone() };
        cancel(&database, &key).await.expect("asked");
        let heard = heard.await.expect("heard");
        let head = [&u32::try_from(12 + length).expect("a length").to_be_bytes()[..]];
        let expected = [head[0], b"\x04\xd2\x16\x2e\0\0\0\x2a", &vec![7; length]].concat();
        assert_eq!(heard, expected);
    }
    for length in [0, 3, 257, 1_000] {
        let (database, _) = liar(greets_with_key(length)).await;
        let error = fails(&database).await;
        assert!(matches!(&error, ConnectError::Protocol(_)), "{length}: {error}");
    }
}

#[tokio::test]
async fn absent_and_silent_servers_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut database = super::error::tests::database();
    database.host = "127.0.0.1".to_owned();
    database.port = port;
    let limits = ConnectLimits { connect: Duration::from_millis(50) };
    let error = connect(&database, &[], &limits).await.expect_err("silence");
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
    drop(listener);
    let error = fails(&database).await;
    assert!(
        matches!(&error, ConnectError::Unreachable { address, .. } if *address == format!("127.0.0.1:{port}")),
        "{error}"
    );
}

#[test]
fn startup_parameters_cannot_change_who_we_are() {
    let database = crate::upstream::error::tests::database();
    let extra = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let given = [extra("user", "root"), extra("replication", "true"), extra("TimeZone", "UTC")];
    let message = startup_message(&database, &given).expect("a message");
    let expected = b"\0\0\0\x2d\0\x03\0\0user\0app\0database\0shop\0TimeZone\0UTC\0\0";
    assert_eq!(message.as_ref(), expected.as_slice());
    assert!(startup_message(&database, &[extra("a", "b\0user\0root")]).is_err());
}

/// The port of the server that is reached where these attributes are asked for.
async fn reached(database: &Database, attrs: SessionAttrs) -> Result<u16, ConnectError> {
    let database = Database { session_attrs: attrs, ..database.clone() };
    let upstream = try_connect(&database).await?;
    // The cancel request goes where the session is.
    cancel(&database, &upstream.cancel_key).await.expect("asked");
    Ok(upstream.cancel_key.server.port)
}

#[tokio::test]
async fn of_several_servers_the_one_that_is_asked_for_is_taken() {
    let primary = Postgres::start();
    let standby = primary.standby();
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let absent = nobody.local_addr().expect("an address").port();
    drop(nobody);
    let mut database = primary.database();
    database.host =
        format!("127.0.0.1:{absent},127.0.0.1:{},127.0.0.1:{}", standby.port, primary.port);
    for (attrs, expected) in [
        (SessionAttrs::Any, standby.port),
        (SessionAttrs::ReadWrite, primary.port),
        (SessionAttrs::Primary, primary.port),
        (SessionAttrs::ReadOnly, standby.port),
        (SessionAttrs::Standby, standby.port),
        (SessionAttrs::PreferStandby, standby.port),
    ] {
        assert_eq!(reached(&database, attrs).await.expect("a server"), expected, "{attrs}");
    }
    // A wrong password is wrong everywhere: the others are not bothered with it.
    let wrong =
        Database { credential: CredentialRef::File("/nonexistent".into()), ..database.clone() };
    assert!(matches!(fails(&wrong).await, ConnectError::CredentialMissing { .. }));

    // The primary goes: whom is there to write to?
    assert!(primary.control("stop"));
    let error = reached(&database, SessionAttrs::ReadWrite).await.expect_err("only the standby");
    let said = error.to_string();
    assert!(said.contains("is not read-write") && said.contains("cannot be reached"), "{said}");
    let mut admin = standby.connect().await;
    assert_eq!(one(&mut admin, "SELECT pg_promote()").await, "t");
    assert_eq!(reached(&database, SessionAttrs::ReadWrite).await.expect("promoted"), standby.port);
    let none_left = reached(&database, SessionAttrs::PreferStandby).await;
    assert_eq!(none_left.expect("any will do"), standby.port);
}
