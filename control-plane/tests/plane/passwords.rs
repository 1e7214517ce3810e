//! What passwords are checked against reaches the edges, and nobody else.

use tokio_stream::StreamExt;
use tonic::Code;
use writ_model::Secret;
use writ_model::password::{KEY_BYTES, SALT_BYTES};
use writ_proto::v1;
use writ_proto::v1::command::Command;

use crate::world::*;

const STORED: [u8; KEY_BYTES] = [0x5a; KEY_BYTES];
const SERVER: [u8; KEY_BYTES] = [0xa5; KEY_BYTES];

fn set(id: &str, key_bytes: usize) -> Command {
    let keys = v1::PasswordKeys {
        stored_key: STORED[..key_bytes].to_vec(),
        server_key: SERVER[..key_bytes].to_vec(),
    };
    let salt = vec![3; SALT_BYTES];
    Command::SetPassword(v1::SetPassword { id: id.into(), salt, keys: Some(keys) })
}

async fn list(client: &mut Admin) -> v1::ListPasswordsReply {
    let request = v1::ListPasswordsRequest { id: "service:batch".into() };
    client.list_passwords(request).await.expect("listed").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_get_the_keys_and_the_log_does_not() {
    let world = World::new().await;
    world.shop().await;
    world.person("service:batch", &[], "").await;
    let mut edge = world.edge("edge-1").await;
    let before = edge.until(|config| !config.databases.is_empty()).await;
    assert!(before.passwords.is_empty() && before.mock_salts.is_none());
    assert!(list(&mut world.admin()).await.salt.is_empty());
    world.run(set("service:batch", KEY_BYTES)).await;
    let held = edge.until(|config| !config.passwords.is_empty()).await;
    let passwords = &held.passwords[&"service:batch".parse().expect("id")];
    assert_eq!(passwords.salt, [3; SALT_BYTES]);
    assert_eq!(passwords.keys[0].stored_key, Secret::new(STORED));
    assert_eq!(passwords.keys[0].server_key, Secret::new(SERVER));
    let salts = held.mock_salts.clone().expect("made up from something");
    // The same after a start, and on another edge: two of them would tell who has a password.
    let world = world.restart(None).await;
    let mut other = world.edge("edge-2").await;
    let on_other = other.until(|config| !config.passwords.is_empty()).await;
    assert_eq!(on_other.mock_salts, Some(salts));
    assert_eq!(on_other.passwords, held.passwords);
    let status = list(&mut world.admin()).await;
    assert_eq!((status.salt, status.passwords[0].number), (vec![3; SALT_BYTES], 1));
    let request = v1::ListEventsRequest { from: 1, follow: false };
    let events = world.admin().list_events(request).await.expect("events").into_inner();
    let events: Vec<_> = events.map(|event| event.expect("an event")).collect().await;
    let set = events.iter().find(|event| event.kind == "password_set").expect("in the log");
    for key in ["5a5a5a5a", "a5a5a5a5"] {
        assert!(!set.payload_json.contains(key), "{}", set.payload_json);
    }
    assert!(set.payload_json.contains("03030303"), "control: {}", set.payload_json);
    let remove = v1::RemovePassword { id: "service:batch".into(), number: 1 };
    world.run(Command::RemovePassword(remove)).await;
    other.until(|config| config.passwords.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_is_refused() {
    let world = World::new().await;
    let mut batch = world.person("service:batch", &[], "").await;
    let refused = submit(&mut world.admin(), set("service:batch", KEY_BYTES - 1)).await;
    assert_eq!(refused.expect_err("refused").code(), Code::InvalidArgument);
    let refused = submit(&mut batch, set("service:batch", KEY_BYTES)).await;
    assert_eq!(refused.expect_err("refused").code(), Code::PermissionDenied, "its own");
    let request = v1::ListPasswordsRequest { id: "service:batch".into() };
    let refused = batch.list_passwords(request).await.expect_err("refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
}
