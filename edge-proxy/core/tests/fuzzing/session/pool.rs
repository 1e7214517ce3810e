//! Sessions of one principal that share connections: each client sees what it would see with a connection of its own.

use writ_edge_core::EndReason;

use super::world::{Fault, Shelf, World};
use super::{
    Client, Mode, STEPS_MAX, at_rest, each_unit_is_answered, like_the_reference, limits, shown,
    step,
};
use crate::fuzzing::choices::Choices;

/// Sessions of one run.
const SESSIONS: usize = 3;

type Pair = (World, Client);

pub fn pooling(data: &[u8]) {
    share(data, Fault::Nothing);
}

/// A pool that forgets what sessions prepared in its connections.
pub fn forgetful(data: &[u8]) {
    share(data, Fault::Forgets);
}

/// A pool that gives on what its sessions did not give back.
pub fn leaky(data: &[u8]) {
    share(data, Fault::Leaks);
}

fn share(data: &[u8], fault: Fault) {
    let mut choices = Choices::new(data);
    let mode = [Mode::Reference, Mode::Eventful][choices.below(2)];
    let piece = 1 + choices.below(13);
    let shelf = Shelf::new(1 + choices.below(2), fault);
    let mut pairs: Vec<Pair> = (0..SESSIONS)
        .map(|at| {
            let client = Client::new(mode == Mode::Eventful).among(at, SESSIONS);
            (World::sharing(piece, &shelf), client)
        })
        .collect();
    if mode == Mode::Eventful {
        pairs.iter_mut().for_each(|(world, _)| limits(world, &mut choices));
    }
    let mut steps = 0;
    while !choices.is_empty() && steps < 2 * STEPS_MAX {
        steps += 1;
        let (world, client) = &mut pairs[choices.below(SESSIONS)];
        if world.session.ended().is_some() {
            continue;
        }
        match choices.below(8) {
            0..=3 => step(mode, world, client, &mut choices),
            4 => world.client_sends(&client.named(&mut choices)),
            5 => world.connect(choices.below(2)),
            _ => world.settle(),
        }
    }
    finish(&mut pairs);
    for (world, client) in &pairs {
        judge(mode, world, client);
    }
    assert!(shelf.borrow().is_quiet(), "a connection that somebody waits for, or has");
}

/// Every client says goodbye, and everybody who waits gets a connection in turn.
fn finish(pairs: &mut [Pair]) {
    for (world, client) in pairs.iter_mut() {
        world.journal.full = false;
        let last = client.farewell();
        world.client_sends(&last);
    }
    for _ in 0..=SESSIONS {
        pairs.iter_mut().for_each(|(world, _)| world.settle());
    }
}

fn judge(mode: Mode, world: &World, client: &Client) {
    let ended = world.session.ended();
    assert!(ended.is_some(), "a session that does not end");
    at_rest(mode, world);
    if mode == Mode::Reference {
        return like_the_reference(world, client);
    }
    each_unit_is_answered(world, client);
    let ready = shown(&world.seen).iter().filter(|line| line.starts_with('Z')).count();
    let goodbye = ended == Some(EndReason::Terminated);
    assert!(!goodbye || ready == client.units, "{ready} answers to {} units", client.units);
}
