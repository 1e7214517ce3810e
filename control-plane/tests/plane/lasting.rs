//! What was acknowledged is there after a restart, and the chain says so.

use std::path::Path;

use writ_control_core::State;
use writ_control_plane::raft::{Durability, Store};
use writ_model::EventSeq;
use writ_proto::v1;

use crate::world::*;

async fn events(world: &World) -> Vec<v1::Event> {
    let request = v1::ListEventsRequest { from: 1, follow: false };
    let mut stream = world.admin().list_events(request).await.expect("listed").into_inner();
    let mut events = Vec::new();
    while let Some(event) = stream.message().await.expect("read") {
        events.push(event);
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_nothing() {
    let world = World::new().await;
    world.shop().await;
    world.person("user:dana", &["developers"], "").await;
    let mut edge = world.edge("edge-1").await;
    edge.until(|c| c.databases.len() == 1).await;
    let before = events(&world).await;
    let ca = std::fs::read(&world.running.ca_file).expect("the CA");
    let world = world.restart(None).await;
    assert_eq!(events(&world).await, before, "a restart makes no events");
    assert_eq!(std::fs::read(&world.running.ca_file).expect("the CA"), ca);
    // The edge finds back with its old certificate, and the numbers go on.
    let applied = world.run(policies("permit(principal, action, resource);")).await;
    assert_eq!(applied.first_event, before.len() as u64 + 1);
    edge.until(|c| c.epoch.0 >= applied.epoch).await;
    // What is on the disk is a dense chain that folds to the same end.
    let after = events(&world).await;
    let World { dir, running } = world;
    running.shutdown().await;
    let path = dir.path().join("control/raft");
    let store = Store::open(&path, Durability::Synced).expect("opened");
    let kept = store.events(EventSeq(1), usize::MAX).expect("read");
    let mut state = State::default();
    for envelope in &kept {
        state.apply(envelope).expect("the chain holds");
    }
    let last = after.last().expect("events");
    assert_eq!((state.last.0, state.last_hash.0.to_vec()), (last.seq, last.hash.clone()));
    let mut forged = kept;
    forged[2].at.0 += 1;
    let mut state = State::default();
    assert!(forged.iter().try_for_each(|e| state.apply(e)).is_err(), "a forged event is found");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_the_same_time_all_count_once() {
    let world = World::new().await;
    let before = events(&world).await.len();
    let mut running = tokio::task::JoinSet::new();
    for n in 0..40 {
        let mut admin = world.admin();
        let principal = v1::Principal {
            id: format!("user:p{n}"),
            display_name: String::new(),
            ..v1::Principal::default()
        };
        let add = v1::AddPrincipal { principal: Some(principal) };
        let command = v1::command::Command::AddPrincipal(add);
        running.spawn(async move { submit(&mut admin, command).await.expect("added") });
    }
    let mut epochs: Vec<u64> = running.join_all().await.iter().map(|r| r.epoch).collect();
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 40, "each command has its own epoch");
    let seqs: Vec<u64> = events(&world).await.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, (1..=before as u64 + 40).collect::<Vec<_>>(), "dense");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else if entry.file_name() != "LOCK" {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_power_failure() {
    let world = World::new().await;
    for n in 0..3 {
        let text = format!("// {n}");
        let done = world.run(policies(&text)).await;
        // What the disk has at this moment, without anything that the process still holds in memory.
        let dir = tempfile::tempdir().expect("a directory");
        copy(&world.dir.path().join("control"), &dir.path().join("control"));
        let running = World::start(&dir, 0, None).await.expect("started");
        let after = World { dir, running };
        let status = after.admin().cluster_status(v1::Empty {}).await.expect("status");
        assert_eq!(status.into_inner().last_event, done.last_event);
        let shown = after.admin().show_policies(v1::Empty {}).await.expect("shown").into_inner();
        assert_eq!(shown.files[0].text, text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_are_refused() {
    let world = World::new().await;
    let World { dir, running } = world;
    running.shutdown().await;
    std::fs::remove_file(dir.path().join("control/keys/token.seed")).expect("removed");
    let refused = World::start(&dir, 0, None).await.expect_err("foreign keys");
    assert!(refused.to_string().contains("restore both"), "{refused}");
}
