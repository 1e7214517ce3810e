//! Who is let in at all, and what stays secret.

use std::os::unix::fs::PermissionsExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use writ_control_plane::app::{Config, StartError, start};
use writ_proto::v1;
use writ_proto::v1::edge_service_client::EdgeServiceClient;

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_port_disturbs_nobody() {
    let world = World::new().await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b""] {
        let mut socket = tokio::net::TcpStream::connect(world.running.address).await.expect("open");
        socket.write_all(garbage).await.expect("written");
        socket.shutdown().await.expect("closed");
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "no plain text");
    }
    world.admin().who_am_i(v1::Empty {}).await.expect("still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_said_plainly() {
    let world = World::new().await;
    let other = tempfile::tempdir().expect("a directory");
    let refused = World::start(&other, world.running.address.port(), None).await;
    let error = refused.expect_err("taken");
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    assert!(error.to_string().contains("stop what uses the port"), "{error}");
    assert!(!other.path().join("control/keys").exists(), "nothing was made");
    // The same data cannot be served twice either.
    let config = Config::loopback(world.dir.path().join("control"), 0);
    let twice = start(config, ports()).await.expect_err("in use");
    assert!(matches!(twice, StartError::Store(_)), "{twice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_need_their_certificate() {
    let world = World::new().await;
    world.shop().await;
    let mut anonymous = EdgeServiceClient::new(world.channel());
    let renew = v1::RenewRequest { csr_pem: String::new() };
    let refused = anonymous.renew(renew.clone()).await.expect_err("no certificate");
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    // Another authority's certificate does not pass the handshake, whatever it says.
    let foreign = World::new().await;
    foreign.shop().await;
    let mut edge = foreign.edge("edge-1").await;
    edge.identity.ca_pem = std::fs::read_to_string(&world.running.ca_file).expect("the CA");
    let channel = edge.identity.channel(&world.running.url("localhost")).expect("a channel");
    let refused = EdgeServiceClient::new(channel).renew(renew).await.expect_err("foreign");
    assert_ne!(refused.code(), Code::PermissionDenied, "{refused}");
    assert_ne!(refused.code(), Code::InvalidArgument, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_the_owners_and_never_in_the_log() {
    let world = World::new().await;
    world.shop().await;
    let join_token = world.join_token(v1::NodeKind::Edge, "prod").await;
    let data = world.dir.path().join("control");
    for file in ["keys/ca.key", "keys/config.seed", "keys/token.seed", "admin.token"] {
        let mode = std::fs::metadata(data.join(file)).expect(file).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let request = v1::ListEventsRequest { from: 1, follow: false };
    let mut events = world.admin().list_events(request).await.expect("listed").into_inner();
    let mut kinds = Vec::new();
    while let Some(event) = events.message().await.expect("read") {
        assert!(!event.payload_json.contains(&join_token), "{}", event.kind);
        kinds.push(event.kind);
    }
    assert_eq!(kinds.last().map(String::as_str), Some("join_token_issued"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cannot_take_the_control_planes_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = Config::loopback(dir.path().join("control"), 0);
    config.host_names.push("control.example".into());
    let running = start(config, ports()).await.expect("started");
    let world = World { dir, running };
    world.shop().await;
    let mut node = world.node("edge-1", v1::NodeKind::Edge).await;
    node.host_names.push("control.example".into());
    let refused = writ_proto::node::enroll_or_load(&node).await.expect_err("refused");
    assert!(refused.to_string().contains("own name"), "{refused}");
    node.host_names.pop();
    writ_proto::node::enroll_or_load(&node).await.expect("the token is still good");
}
