//! The session core between a model client and a model server. The bytes choose who does what, when, and how much of it
//! has arrived; what must hold then does not depend on that.

mod checks;
mod client;
mod gate;
mod pool;
mod programs;
mod server;
mod words;
mod world;

use super::choices::Choices;
use super::wire;
use crate::support::frame;
use checks::Checks;
use client::Client;
pub use pool::{forgetful, leaky, pooling};
use server::Server;
use world::World;
use writ_edge_core::EndReason;

/// Things that happen in one run at most.
const STEPS_MAX: usize = 96;

/// What the run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Any messages at any time; policy depends on texts alone. The client sees what a server with that policy would say.
    Reference,
    /// Approvals, limits, cancels, changes of the configuration, a full spool. The client sends whole units.
    Eventful,
    /// As before, and both sides may say anything.
    Rogue,
}

pub fn session(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mode = [Mode::Reference, Mode::Eventful, Mode::Reference, Mode::Rogue][choices.below(4)];
    let piece = 1 + choices.below(13);
    let rest = choices.rest();
    let (whole, client) = play(mode, rest, usize::MAX);
    let (parts, _) = play(mode, rest, piece);
    if mode == Mode::Rogue {
        // What a server answers before it was asked means something else than what it answers then.
        return;
    }
    let closed = whole.server.closed || parts.server.closed;
    if !closed && !rules_by_what_was_sent(&whole, &client) {
        assert_eq!(whole.session.ended(), parts.session.ended(), "in pieces of {piece}");
        // How much of an answer came before a session was ended for its principal depends on the pieces.
        if whole.session.ended() != Some(EndReason::Revoked) {
            assert_eq!(answers(&whole, mode), answers(&parts, mode), "in pieces of {piece}");
        }
    }
    // Around an error, what the server will ignore may be sent or not: it depends on what comes first.
    if !closed && !shown(&whole.seen).iter().any(|line| line.starts_with('E')) {
        assert_eq!(lasting(&whole.sent), lasting(&parts.sent), "in pieces of {piece}");
        assert_eq!(recorded(&whole), recorded(&parts), "in pieces of {piece}");
    }
    if mode == Mode::Reference {
        like_the_reference(&whole, &client);
    } else {
        each_unit_is_answered(&whole, &client);
    }
}

/// Whether there was an error, and a text whose ruling depends on what had been sent before, whether the server ignored it or
/// not: one that ends a transaction and reads on is refused where names may change half way, and EXECUTE is refused of what
/// nobody prepared (E2). What is sent behind an error depends on the pieces.
fn rules_by_what_was_sent(world: &World, client: &Client) -> bool {
    let depends = |line: &String| line.contains("end ") || line.contains("execute ");
    let failed = |line: &String| line.starts_with('E');
    shown(&world.seen).iter().any(failed) && shown(&client.sent).iter().any(depends)
}

/// What the client saw. Behind an error of an eventful run every error is as good as another: a statement that the server
/// ignores or refuses by itself is refused by policy where the answer before it had come already.
fn answers(world: &World, mode: Mode) -> Vec<String> {
    let mut failed = false;
    let mut line = |line: String| {
        let is_error = line.starts_with('E');
        let same = failed && is_error && mode == Mode::Eventful;
        failed |= is_error;
        if same { "E".to_owned() } else { line }
    };
    shown(&world.seen).into_iter().map(&mut line).collect()
}

/// What the server was sent but for Flush, which is asked for where an answer is waited for and changes nothing else:
/// whether it had come already depends on the pieces.
fn lasting(sent: &[u8]) -> Vec<String> {
    shown(sent).into_iter().filter(|line| !line.starts_with("H ")).collect()
}

/// The records of one kind in their order: whether an answer had come before the next statement did depends on the pieces.
fn recorded(world: &World) -> (Vec<&String>, Vec<&String>) {
    world.journal.lines.iter().partition(|line| line.starts_with("intent"))
}

fn play(mode: Mode, data: &[u8], piece: usize) -> (World, Client) {
    let mut choices = Choices::new(data);
    let mut world = World::new(piece);
    let mut client = Client::new(mode != Mode::Reference);
    if mode != Mode::Reference {
        world.checks.renewals = true;
        limits(&mut world, &mut choices);
    }
    let mut steps = 0;
    while !choices.is_empty() && steps < STEPS_MAX && world.session.ended().is_none() {
        steps += 1;
        step(mode, &mut world, &mut client, &mut choices);
    }
    world.journal.full = false;
    let last = client.epilogue();
    world.client_sends(&last);
    world.settle();
    at_rest(mode, &world);
    (world, client)
}

fn limits(world: &mut World, choices: &mut Choices<'_>) {
    let chosen = choices.byte();
    let some = |bit: u8, max: u64| (chosen & bit > 0).then_some(max);
    world.with(|s, _| {
        let limits = &mut s.gate_mut().words.limits;
        limits.rows_max = some(1, u64::from(chosen >> 6));
        limits.rows_affected_max = some(2, u64::from(chosen >> 6));
        limits.bytes_max = some(4, 40);
    });
}

fn step(mode: Mode, world: &mut World, client: &mut Client, choices: &mut Choices<'_>) {
    match choices.below(16) {
        0..=2 if mode == Mode::Reference => world.client_sends(&client.message(choices)),
        0..=2 => world.client_sends(&client.unit(choices)),
        3 => world.client_sends(&client.usual(choices)),
        4 => world.from_client(1 + usize::from(choices.byte())),
        5 => world.from_client(usize::MAX),
        6..=7 => world.server_steps(1 + choices.below(8)),
        8 => world.from_server(1 + usize::from(choices.byte())),
        9 => world.from_server(usize::MAX),
        10..=11 => world.answer(usize::from(choices.byte())),
        12 => {
            let frames = [
                frame(b'N', b"SNOTICE\0C00000\0Mhello\0\0"),
                frame(b'A', b"\0\0\0\x01channel\0text\0"),
                frame(b'S', b"TimeZone\0UTC\0"),
            ];
            world.server.says(&frames[choices.below(3)]);
        }
        13 => world.server.flush(),
        14 if mode == Mode::Reference => world.settle(),
        14 => event(world, choices),
        _ if mode == Mode::Rogue => rogue(world, choices),
        _ => world.settle(),
    }
}

/// What happens around a session.
fn event(world: &mut World, choices: &mut Choices<'_>) {
    match choices.below(12) {
        0..=2 => {
            let mut asks_server = false;
            world.with(|s, cx| asks_server = s.on_cancel(cx));
            if asks_server {
                world.server.cancel();
            }
        }
        3 => world.with(|s, _| s.gate_mut().words.epoch += 1),
        4..=5 => {
            let mood = choices.below(gate::MOODS.len());
            world.with(|s, _| s.gate_mut().mood = mood);
        }
        6 => world.journal.full = true,
        7 => world.journal.full = false,
        8..=9 => world.stray_news(choices),
        10 if choices.below(8) == 0 => world.with(|s, _| s.gate_mut().gone = true),
        10 if choices.below(8) == 1 => world.server_closes(),
        10 if choices.below(8) == 2 => world.with(|s, cx| s.on_client_closed(cx)),
        11 if choices.below(4) == 0 => world.eof = true,
        _ => world.durable(),
    }
}

/// What nobody should say.
fn rogue(world: &mut World, choices: &mut Choices<'_>) {
    let tags = b"12345CDEGHIKNRSTVZcdnstvQPBFfX\0\xff";
    let tag = choices.one_of(tags);
    let length = choices.below(8);
    let body = choices.bytes(length);
    match choices.below(4) {
        0 => world.client_sends(&frame(tag, body)),
        1 => world.client_sends(body),
        2 => world.from_nowhere(body),
        _ => world.from_nowhere(&frame(tag, body)),
    }
}

/// Nothing is on its way any more.
fn at_rest(mode: Mode, world: &World) {
    let ended = world.session.ended();
    Checks::outcomes(&world.journal, ended.is_some() || mode != Mode::Rogue);
    if mode == Mode::Rogue {
        return;
    }
    assert!(!String::from_utf8_lossy(&world.seen).contains("SECRETS"), "E3: it was to be hidden");
    let (frames, rest) = wire::split_off(&world.seen);
    assert!(rest.is_empty() || ended.is_some(), "half a message");
    let mut after_error = false;
    for (tag, _) in frames.iter().filter(|(tag, _)| !b"NAS".contains(tag)) {
        assert!(
            !after_error || matches!(tag, b'Z' | b'E'),
            "E4: {} after an error",
            char::from(*tag)
        );
        after_error = *tag == b'E';
    }
    assert!(!world.eof || ended.is_some(), "the client is gone, and its session is not");
    if ended.is_none() {
        assert!(world.waiting().is_empty(), "stuck: {:?}", shown(world.waiting()));
        assert!(world.in_server().is_empty(), "stuck: {:?}", shown(world.in_server()));
        assert!(!world.session.is_running(), "something is still waited for");
        assert!(!world.session.is_held() && world.session.awaits_durable().is_none());
    }
}

/// Frames to compare and to read; what comes at any time left out, and of errors only their code.
pub fn shown(bytes: &[u8]) -> Vec<String> {
    let (frames, rest) = wire::split_off(bytes);
    let mut all: Vec<String> = frames
        .into_iter()
        .filter(|(tag, _)| !b"NA".contains(tag))
        .map(|(tag, body)| match tag {
            b'E' if body.first() == Some(&b'S') => format!("E {}", wire::field(body, b'C')),
            _ => format!("{} {}", char::from(tag), body.escape_ascii()),
        })
        .filter(|line| !line.starts_with("S T"))
        .collect();
    if !rest.is_empty() {
        all.push(format!("… {}", rest.escape_ascii()));
    }
    all
}

/// The client sees what a server would say that has the policy itself.
fn like_the_reference(world: &World, client: &Client) {
    let reference = Server::new(true);
    let mut reference = if world.lease.is_some() { reference.shared() } else { reference };
    reference.send(&client.sent);
    while reference.step() {}
    reference.flush();
    let hide = |line: String| line.replace("SECRETS", "*******");
    let want: Vec<String> = shown(reference.flushed()).into_iter().map(hide).collect();
    let got = shown(&world.seen);
    if world.session.ended().is_none() {
        assert!(!reference.closed, "the server would have closed the connection");
        assert_eq!(got, want, "what the client sees, and what it would see without a gateway");
        return;
    }
    assert!(reference.closed, "it ended: {:?} after {got:?}", world.session.ended());
    let same = got.iter().zip(&want).take_while(|(a, b)| a == b).count();
    let own = &got[same..];
    if world.session.ended() == Some(EndReason::Terminated) && !want.contains(&"E 08P01".into()) {
        assert_eq!(got, want, "what the client saw before it said goodbye");
    }
    assert!(own.iter().all(|line| line.starts_with("E ")), "{own:?} after {same} of {want:?}");
}

/// One ReadyForQuery for each unit, no more and no less.
fn each_unit_is_answered(world: &World, client: &Client) {
    let ready = shown(&world.seen).iter().filter(|line| line.starts_with('Z')).count();
    if world.session.ended().is_none() {
        assert_eq!(ready, client.units, "answers, units: {:?}", shown(&world.seen));
    } else {
        assert!(ready <= client.units, "{ready} answers to {} units", client.units);
    }
}
