//! The whole lake behind its two ports: mTLS ingest with gRPC, SQL with psql and a driver.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, NoTls};
use tokio_stream::StreamExt;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Code, Status};
use writ_audit::{DecisionKind, Framed};
use writ_audit_lake::app::{self, Config, Ports, Running};
use writ_audit_lake::verify::verify;
use writ_proto::v1;
use writ_proto::v1::ingest_service_client::IngestServiceClient;

use crate::files::{QUICK, clock};
use crate::node::{Authority, Certified};
use crate::source::{Source, intent, outcome};

const ANY_PORT: &str = "127.0.0.1:0";

struct Service {
    authority: Authority,
    dir: tempfile::TempDir,
    running: Running,
}

fn config(data_dir: PathBuf) -> Config {
    let any: SocketAddr = ANY_PORT.parse().expect("address");
    Config {
        name: "lake-1".into(),
        ca_file: data_dir.join("ca.pem"),
        data_dir,
        ingest_listen: any,
        sql_listen: any,
        host_names: vec!["localhost".into()],
        // Nobody is there: the lake goes on with its last known good configuration.
        control_plane: "https://127.0.0.1:1".into(),
        join_token: None,
        cadence: QUICK,
    }
}

impl Service {
    async fn start() -> Self {
        let authority = Authority::new();
        let dir = tempfile::tempdir().expect("dir");
        authority.enrol_lake(dir.path());
        std::fs::write(dir.path().join("ca.pem"), &authority.ca_pem).expect("ca");
        let ports = Ports { clock: clock() };
        let running = app::start(config(dir.path().to_owned()), ports).await.expect("started");
        Self { authority, dir, running }
    }

    async fn source(&self, certified: Option<Certified>) -> IngestServiceClient<Channel> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.authority.ca_pem))
            .domain_name("localhost");
        if let Some(Certified { certificate, key }) = certified {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let url = format!("https://{}", self.running.ingest_address());
        let endpoint = Channel::from_shared(url).expect("url").tls_config(tls).expect("tls");
        IngestServiceClient::new(endpoint.connect_lazy())
    }

    async fn edge(&self, name: &str) -> IngestServiceClient<Channel> {
        let uri = format!("writ://edge/{name}");
        self.source(Some(self.authority.certify(&[&uri]))).await
    }

    /// Runs psql with these arguments.
    async fn psql(&self, user: &str, token: &str, sslmode: &str, sql: &[&str]) -> Output {
        let root = self.dir.path().join("ca.pem");
        let port = self.running.sql_address().port();
        let url = format!(
            "host=localhost hostaddr=127.0.0.1 port={port} user={user} dbname=writ sslmode={sslmode} sslrootcert={}",
            root.display()
        );
        let mut command = tokio::process::Command::new("psql");
        command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url]);
        command.args(sql.iter().flat_map(|sql| ["-c", sql]));
        command.env("PGPASSWORD", token).output().await.expect("psql")
    }

    async fn psql_ok(&self, sql: &[&str]) -> String {
        let token = self.authority.token("user:erin", 60);
        let output = self.psql("erin", &token, "verify-full", sql).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{sql:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn psql_refused(&self, user: &str, token: &str, sslmode: &str, sql: &str) -> String {
        let output = self.psql(user, token, sslmode, &[sql]).await;
        assert!(!output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// A driver's connection.
    async fn driver(&self, user: &str, token: &str) -> Result<Client, tokio_postgres::Error> {
        let mut socket = TcpStream::connect(self.running.sql_address()).await.expect("connected");
        socket.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.expect("SSLRequest");
        assert_eq!(socket.read_u8().await.expect("answer"), b'S');
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(self.authority.ca_pem.as_bytes()).expect("pem");
        roots.add(ca).expect("root");
        let tls =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let name = ServerName::try_from("localhost").expect("name");
        let stream = connector.connect(name, socket).await.expect("TLS");
        let mut config = tokio_postgres::Config::new();
        config.user(user).password(token).dbname("writ").ssl_mode(SslMode::Disable);
        let (client, connection) = config.connect_raw(stream, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

fn batch(source: &str, framed: &[Framed]) -> v1::ShipBatch {
    let records = framed.iter().map(|frame| v1::FramedRecord {
        seq: frame.seq,
        record: frame.bytes.clone(),
        chain: frame.chain.0.to_vec(),
    });
    v1::ShipBatch { source: source.into(), records: records.collect() }
}

/// Ships batches in one stream; the acknowledgements, up to the error that ends it.
async fn ship(
    client: &mut IngestServiceClient<Channel>,
    batches: Vec<v1::ShipBatch>,
) -> (Vec<u64>, Option<Status>) {
    let mut acks = match client.ship(tokio_stream::iter(batches)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return (vec![], Some(status)),
    };
    let mut seen = Vec::new();
    while let Some(ack) = acks.next().await {
        match ack {
            Ok(ack) => seen.push(ack.seq),
            Err(status) => return (seen, Some(status)),
        }
    }
    (seen, None)
}

async fn resume(
    client: &mut IngestServiceClient<Channel>,
    source: &str,
) -> Result<v1::ResumeReply, Status> {
    client
        .resume(v1::ResumeRequest { source: source.into() })
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_source_ships_is_acknowledged_and_resumes() {
    let service = Service::start().await;
    let mut client = service.edge("edge-1").await;
    assert_eq!(resume(&mut client, "edge-1").await.expect("resumed").seq, 0);
    let mut edge = Source::new("edge-1");
    let (one, two) = (edge.statements(2), edge.statements(1));
    let batches = vec![batch("edge-1", &one), batch("edge-1", &two), batch("edge-1", &one)];
    let (acks, error) = ship(&mut client, batches).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(acks.len(), 3);
    assert_eq!(acks.last(), Some(&6));
    let resumed = resume(&mut client, "edge-1").await.expect("resumed");
    assert_eq!((resumed.seq, resumed.chain), (6, two[1].chain.0.to_vec()));
    // Acknowledged is queryable.
    assert_eq!(service.psql_ok(&["SELECT count(*) FROM records"]).await.trim(), "6");
    let _lost = edge.statements(1);
    let (acks, error) = ship(&mut client, vec![batch("edge-1", &edge.statements(1))]).await;
    let error = error.expect("a hole");
    assert_eq!((acks.len(), error.code()), (0, Code::FailedPrecondition));
    assert!(error.message().contains("ship from 7 on"), "{error}");
    drop(client);
    let (tables, key) = (service.dir.path().join("tables"), service.running.public_key());
    service.running.shutdown().await.expect("stopped");
    let report = verify(&tables, &[key]).expect("verified");
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.records, report.sealed), (6, 6));
}

#[tokio::test]
async fn two_processes_of_an_edge_ship_a_stream_each() {
    let service = Service::start().await;
    let (mut old, mut new) = (service.edge("edge-1").await, service.edge("edge-1").await);
    let (mut first, mut second) = (Source::new("edge-1"), Source::new("edge-1#2"));
    for round in 1..=2 {
        for (client, source) in [(&mut old, &mut first), (&mut new, &mut second)] {
            let framed = batch(&source.name.clone(), &source.statements(1));
            let (acks, error) = ship(client, vec![framed]).await;
            assert_eq!((acks.as_slice(), error.is_none()), ([2 * round].as_slice(), true));
        }
    }
    for stream in ["edge-1", "edge-1#2"] {
        assert_eq!(resume(&mut new, stream).await.expect("resumed").seq, 4);
    }
    // Neither passes for the other: what was recorded in one stream is no record of the other.
    let (_, error) = ship(&mut old, vec![batch("edge-1#2", &first.statements(1))]).await;
    assert_eq!(error.expect("it does not follow").code(), Code::FailedPrecondition);
    let other = resume(&mut new, "edge-2#2").await.expect_err("another's");
    assert_eq!(other.code(), Code::PermissionDenied);
    drop((old, new));
    let (tables, key) = (service.dir.path().join("tables"), service.running.public_key());
    service.running.shutdown().await.expect("stopped");
    let report = verify(&tables, &[key]).expect("verified");
    assert!(report.is_intact(), "{report}");
    let sources: Vec<_> = report.sources.into_iter().collect();
    assert_eq!(sources, [("edge-1".to_owned(), 4), ("edge-1#2".to_owned(), 4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_acknowledges_what_was_taken_in_and_ends_open_streams() {
    let service = Service::start().await;
    let mut client = service.edge("edge-1").await;
    let framed = Source::new("edge-1").statements(1);
    let (send, batches) = tokio::sync::mpsc::channel(1);
    send.send(batch("edge-1", &framed)).await.expect("sent");
    let batches = tokio_stream::wrappers::ReceiverStream::new(batches);
    let mut acks = client.ship(batches).await.expect("shipping").into_inner();
    assert_eq!(acks.next().await.expect("an answer").expect("committed").seq, 2);
    let (tables, key) = (service.dir.path().join("tables"), service.running.public_key());
    // The client never ends its stream, and an auditor stays connected.
    let token = service.authority.token("user:erin", 60);
    let driver = service.driver("erin", &token).await.expect("connected");
    let stopped = tokio::time::timeout(Duration::from_secs(20), service.running.shutdown()).await;
    stopped.expect("in time").expect("in order");
    assert!(acks.next().await.is_none_or(|ack| ack.is_err()), "the stream has ended");
    driver.simple_query("SELECT 1").await.expect_err("disconnected");
    drop(send);
    let report = verify(&tables, &[key]).expect("verified");
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.sealed, 2);
}

#[tokio::test]
async fn nobody_ships_as_somebody_else() {
    let service = Service::start().await;
    let framed = Source::new("edge-2").statements(1);
    let mut client = service.edge("edge-1").await;
    let refused = resume(&mut client, "edge-2").await.expect_err("another's");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let (_, error) = ship(&mut client, vec![batch("edge-2", &framed)]).await;
    assert_eq!(error.expect("another's").code(), Code::PermissionDenied);
    for uris in [&["writ://lake/edge-1"][..], &[], &["writ://edge/edge-1", "writ://edge/edge-2"]] {
        let mut client = service.source(Some(service.authority.certify(uris))).await;
        let refused = resume(&mut client, "edge-1").await.expect_err("no source");
        assert_eq!(refused.code(), Code::PermissionDenied, "{uris:?}: {refused}");
    }
    // No certificate, and one of another authority: there is not even a connection.
    resume(&mut service.source(None).await, "edge-1").await.expect_err("no certificate");
    let foreign = Authority::new().certify(&["writ://edge/edge-1"]);
    resume(&mut service.source(Some(foreign)).await, "edge-1").await.expect_err("another CA");
    // The control plane's records come in under its own name.
    let mut client =
        service.source(Some(service.authority.certify(&["writ://control-plane/1"]))).await;
    assert_eq!(resume(&mut client, "control-plane:1").await.expect("resumed").seq, 0);
}

#[tokio::test]
async fn auditors_use_psql() {
    let service = Service::start().await;
    let mut client = service.edge("edge-1").await;
    let framed = Source::new("edge-1").all([
        intent("st-1", "SELECT ssn FROM customers", DecisionKind::Mask),
        outcome("st-1", None),
    ]);
    let (acks, error) = ship(&mut client, vec![batch("edge-1", &framed)]).await;
    assert_eq!((acks, error.is_none()), (vec![2], true));
    let tables = service.psql_ok(&["\\dt"]).await;
    for table in ["statements", "access", "sessions", "approvals", "control_events", "checkpoints"]
    {
        assert!(tables.contains(&format!("public|{table}|")), "{table}: {tables}");
    }
    let columns = service.psql_ok(&["\\d statements"]).await;
    for column in ["time|timestamp", "actor_user|", "statement_text|", "duration_us|bigint"] {
        assert!(columns.contains(column), "{column}: {columns}");
    }
    assert!(service.psql_ok(&["\\l"]).await.contains("writ"));
    let sql = "SELECT a.actor_user, s.statement_text, s.rows FROM access a JOIN statements s USING (statement_id) \
               WHERE a.relation_name = 'customers' AND a.column_name = 'ssn'";
    let found = service.psql_ok(&[sql]).await;
    assert_eq!(found.trim(), "agent:copilot|SELECT ssn FROM customers|3");
    let transaction = ["BEGIN", "SELECT count(*) FROM statements", "COMMIT"];
    assert!(service.psql_ok(&transaction).await.contains("\n1\n"));
}

#[tokio::test]
async fn the_lake_is_read_only_and_says_so() {
    let service = Service::start().await;
    let token = service.authority.token("user:root", 60);
    for sql in [
        "DELETE FROM records",
        "INSERT INTO records SELECT * FROM records",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW statements",
        "COPY records TO '/somewhere'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "EXPLAIN ANALYZE INSERT INTO records SELECT * FROM records",
    ] {
        let refused = service.psql_refused("user:root", &token, "require", sql).await;
        let expected = ["read-only", "syntax", "ParserError", "Expected"];
        assert!(expected.iter().any(|text| refused.contains(text)), "{sql}: {refused}");
    }
    let unknown =
        service.psql_refused("root", &token, "require", "SELECT nothing FROM records").await;
    assert!(unknown.contains("nothing"), "{unknown}");
}

#[tokio::test]
async fn only_auditors_and_admins_get_in() {
    let service = Service::start().await;
    let cases = [
        ("dana", service.authority.token("user:dana", 60), "is in none of the groups auditors"),
        (
            "helper",
            service.authority.token("agent:helper", 60),
            "user:dana is in none of the groups",
        ),
        ("erin", service.authority.token("user:erin", -60), "expired"),
        ("root", service.authority.token("user:erin", 60), "this token is user:erin's"),
        ("ghost", service.authority.token("user:ghost", 60), "is not known"),
        ("erin", Authority::new().token("user:erin", 60) + "x", "signature"),
        ("erin", "hunter2".to_owned(), "not a Writ token"),
    ];
    for (user, token, expected) in cases {
        let refused = service.psql_refused(user, &token, "require", "SELECT 1").await;
        assert!(refused.contains(expected), "{user}: {refused}");
    }
    let token = service.authority.token("user:erin", 60);
    let refused = service.psql_refused("erin", &token, "disable", "SELECT 1").await;
    assert!(refused.contains("only over TLS"), "{refused}");
    assert_eq!(service.psql_ok(&["SELECT 1"]).await.trim(), "1", "the control");
}

#[tokio::test]
async fn a_driver_uses_parameters() {
    let service = Service::start().await;
    let mut client = service.edge("edge-1").await;
    let framed = Source::new("edge-1").statements(3);
    let (acks, _) = ship(&mut client, vec![batch("edge-1", &framed)]).await;
    assert_eq!(acks, [6]);
    let token = service.authority.token("user:root", 60);
    let driver = service.driver("user:root", &token).await.expect("connected");
    let sql = "SELECT statement_text, rows FROM statements WHERE statement_id = $1";
    let row = driver.query_one(sql, &[&"edge-1-0-1"]).await.expect("one row");
    assert_eq!((row.get::<_, &str>(0), row.get::<_, i64>(1)), ("SELECT 1", 3));
    let refused = driver.execute("DELETE FROM records", &[]).await.expect_err("read-only");
    let code = refused.as_db_error().map(|error| error.code().code().to_owned());
    assert_eq!(code.as_deref(), Some("42501"), "{refused}");
    let refused = service.driver("dana", &service.authority.token("user:dana", 60)).await;
    let code = refused.err().and_then(|error| Some(error.as_db_error()?.code().code().to_owned()));
    assert_eq!(code.as_deref(), Some("28000"));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let service = Service::start().await;
    let dir = tempfile::tempdir().expect("dir");
    service.authority.enrol_lake(dir.path());
    let mut taken = config(dir.path().to_owned());
    taken.sql_listen = service.running.sql_address();
    let refused = app::start(taken, Ports { clock: clock() }).await.expect_err("taken").to_string();
    assert!(refused.contains("`sql_listen`"), "{refused}");
    assert!(refused.contains(&service.running.sql_address().to_string()), "{refused}");
}

#[tokio::test]
async fn garbage_on_either_port_ends_that_connection_only() {
    let service = Service::start().await;
    for address in [service.running.ingest_address(), service.running.sql_address()] {
        let mut socket = TcpStream::connect(address).await.expect("connected");
        socket.write_all(&[0xff; 512]).await.expect("written");
        socket.shutdown().await.expect("sent");
        let mut rest = Vec::new();
        // It ends, in order or with a reset.
        let _ended = socket.read_to_end(&mut rest).await;
    }
    assert_eq!(service.psql_ok(&["SELECT 1"]).await.trim(), "1");
    let mut client = service.edge("edge-1").await;
    assert_eq!(resume(&mut client, "edge-1").await.expect("resumed").seq, 0);
}
