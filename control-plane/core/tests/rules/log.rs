//! C1 and C2.

use expect_test::expect;
use proptest::prelude::*;
use writ_control_core::{ApprovalStatus, ChainError, Event, EventEnvelope, State};

use crate::world::*;

fn full_log() -> World {
    let mut world = World::new();
    let id = world.request("apr-1", request("agent:copilot", &["user:dana"]));
    world.ok(person("user:ben"), vote(&id, true));
    world.ok(node("edge-1"), use_grant(&id));
    world
}

fn replay(log: &[EventEnvelope]) -> Result<State, ChainError> {
    let mut state = State::default();
    log.iter().try_for_each(|envelope| state.apply(envelope))?;
    Ok(state)
}

#[test]
fn replay_gives_the_same_state_byte_for_byte() {
    let world = full_log();
    let log: Vec<EventEnvelope> = world
        .log
        .iter()
        .map(|e| serde_json::to_string(e).expect("json"))
        .map(|json| serde_json::from_str(&json).expect("an event"))
        .collect();
    let state = replay(&log).expect("replayed");
    assert_eq!(state, world.state);
    let bytes = serde_json::to_vec(&state).expect("json");
    assert_eq!(bytes, serde_json::to_vec(&world.state).expect("json"));
    let back: State = serde_json::from_slice(&bytes).expect("a state");
    assert_eq!(back, state);
}

#[test]
fn a_command_makes_one_epoch() {
    let world = World::new();
    let mut last = 0;
    for envelope in &world.log {
        assert!(envelope.epoch.0 == last || envelope.epoch.0 == last + 1);
        last = envelope.epoch.0;
    }
    let bootstrap: Vec<u64> = world.log.iter().take(7).map(|e| e.epoch.0).collect();
    assert_eq!(bootstrap, [1; 7], "seven events, one epoch");
}

/// Events as they were written before sessions joined requests: the same bytes again, so that the chain holds (C1).
#[test]
fn logs_from_before_requests_were_joined_replay() {
    let requested = serde_json::to_string(&request("user:dana", &[])).expect("json");
    assert!(!requested.contains("joint_digest"), "{requested}");
    let digest = serde_json::to_string(&[3_u8; 32]).expect("json");
    let used = format!(r#"{{"type":"approval_used","id":"apr-1","binding_digest":{digest}}}"#);
    let voted = r#"{"type":"approval_voted","id":"apr-1","vote":{"approver":"user:ben","approve":true,"reason":"","at":5}}"#;
    let mut log = full_log().log;
    let old = log.len() - 3..;
    assert_eq!(log[old.clone()].len(), 3, "a vote, a grant, a use");
    for (envelope, text) in log[old].iter_mut().zip([voted, "", &used]) {
        if !text.is_empty() {
            envelope.event = serde_json::from_str(text).expect("an event");
            assert_eq!(serde_json::to_string(&envelope.event).expect("json"), text);
        }
    }
    let mut previous = log[log.len() - 4].hash;
    for envelope in log.iter_mut().rev().take(3).rev() {
        envelope.previous_hash = previous;
        envelope.hash = envelope.expected_hash().expect("a hash");
        previous = envelope.hash;
    }
    let state = replay(&log).expect("replayed");
    let approval = state.approvals.values().next().expect("an approval");
    assert_eq!(approval.status, ApprovalStatus::Used);
    assert_eq!(approval.seats.count(ApprovalStatus::Used), 1);
}

proptest! {
    #[test]
    fn any_change_of_the_log_is_found(index in 0_usize..20, what in 0..5) {
        let mut log = full_log().log;
        let index = index % (log.len() - 1);
        match what {
            0 => { log.remove(index); }
            1 => { let twice = log[index].clone(); log.insert(index, twice); }
            2 => log.swap(index, index + 1),
            3 => log[index].at.0 += 1,
            _ => log[index].event = Event::NodeRemoved { name: "x".parse().expect("id") },
        }
        prop_assert!(replay(&log).is_err());
    }
}

#[test]
fn the_format_of_the_log_is_fixed() {
    let world = full_log();
    let first = serde_json::to_string(&world.log[0]).expect("json");
    expect![[r#"{"seq":1,"at":1000000,"actor":{"by":"system"},"epoch":1,"event":{"type":"cluster_bootstrapped","cluster":"c1"},"previous_hash":"0000000000000000000000000000000000000000000000000000000000000000","hash":"eba1439475ba48047d9d6759bf113395d3bfdc57d974eaeb1a0595862dc16d5b"}"#]].assert_eq(&first);
    let granted = world.log.iter().find(|e| matches!(e.event, Event::ApprovalGranted { .. }));
    expect![[r#"{"type":"approval_granted","id":"apr-1","usable_until":61000000}"#]]
        .assert_eq(&serde_json::to_string(&granted.map(|e| &e.event)).expect("json"));
}
