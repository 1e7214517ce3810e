//! Passwords of services: who has them, how many, and what the log says of them.

use writ_control_core::password::{SEALED_KEYS_BYTES_MAX, Salt, SealedKeys};
use writ_control_core::{Command, Refusal, RefusalKind};
use writ_model::password::PASSWORDS_MAX;

use crate::world::*;

fn set(id: &str, salt: u8, keys: &[u8]) -> Command {
    let id = id.parse().expect("id");
    Command::SetPassword { id, salt: Salt([salt; 16]), keys: SealedKeys(keys.to_vec()) }
}

fn remove(id: &str, number: u32) -> Command {
    Command::RemovePassword { id: id.parse().expect("id"), number }
}

fn numbers(world: &World) -> Vec<u32> {
    let known = world.state.passwords.get(&"service:batch".parse().expect("id"));
    known.map_or_else(Vec::new, |known| known.list.iter().map(|p| p.number).collect())
}

#[test]
fn a_password_is_replaced_without_a_moment_without() {
    let (mut world, admin) = (World::new(), || person("user:admin"));
    let epoch = world.state.epoch;
    let events = world.ok(admin(), set("service:batch", 1, b"first"));
    assert_eq!(kinds(&events), ["password_set"]);
    assert_eq!(world.state.epoch.0, epoch.0 + 1, "edges are told");
    world.ok(admin(), set("service:batch", 1, b"second"));
    assert_eq!(numbers(&world), [1, 2]);
    assert_eq!(numbers(&world).len(), PASSWORDS_MAX);
    let full = world.refused(admin(), set("service:batch", 1, b"third"));
    assert!(full.to_string().contains("writ identities password remove service:batch"), "{full}");
    world.ok(admin(), remove("service:batch", 1));
    let events = world.ok(admin(), set("service:batch", 1, b"third"));
    assert_eq!(numbers(&world), [2, 3], "a number is not given twice: {events:?}");
}

#[test]
fn two_passwords_have_one_salt() {
    let (mut world, admin) = (World::new(), || person("user:admin"));
    world.ok(admin(), set("service:batch", 1, b"first"));
    let other = world.refused(admin(), set("service:batch", 2, b"second"));
    assert!(matches!(other, Refusal::Conflict(_)), "{other}");
    world.ok(admin(), remove("service:batch", 1));
    world.ok(admin(), set("service:batch", 2, b"second"));
    assert_eq!(numbers(&world), [2]);
}

#[test]
fn only_services_have_passwords_and_only_administrators_set_them() {
    let mut world = World::new();
    for id in ["user:dana", "agent:copilot"] {
        let refusal = world.refused(person("user:admin"), set(id, 1, b"keys"));
        assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal}");
    }
    for who in ["user:ben", "user:dana", "service:batch"] {
        for command in [set("service:batch", 1, b"keys"), remove("service:batch", 1)] {
            assert_eq!(world.refused(person(who), command).kind(), RefusalKind::Forbidden);
        }
    }
    for command in
        [set("service:nobody", 1, b"k"), remove("service:nobody", 1), remove("service:batch", 1)]
    {
        assert_eq!(world.refused(person("user:admin"), command).kind(), RefusalKind::NotFound);
    }
    let long = vec![0; SEALED_KEYS_BYTES_MAX + 1];
    world.refused(person("user:admin"), set("service:batch", 1, &long));
}

#[test]
fn what_is_sealed_is_not_printed() {
    let printed = format!("{:?}", set("service:batch", 1, &[0xab; 4]));
    assert!(printed.contains("SealedKeys(4 bytes)") && !printed.contains("abab"), "{printed}");
}
