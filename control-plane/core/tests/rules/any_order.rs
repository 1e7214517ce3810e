//! C4 under any order of commands, by a predicate over the log that shares nothing with the rules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use writ_control_core::{ActorName, Command, Event, EventEnvelope};
use writ_model::{ApprovalId, BindingDigest, Epoch, Timestamp};

use crate::world::*;

const PEOPLE: [&str; 6] =
    ["user:admin", "user:dana", "user:ben", "user:carol", "agent:copilot", "service:batch"];
const APPROVALS: [(&str, &str); 3] =
    [("apr-0", "user:dana"), ("apr-1", "agent:copilot"), ("apr-2", "user:ben")];

#[derive(Debug, Clone)]
enum Step {
    Request(usize, u32),
    Vote(usize, usize, bool),
    Use(usize, bool, bool),
    Cancel(usize),
    Revoke(usize, usize),
    Disable(usize),
    Enable(usize),
    Wait(u64),
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    let (approval, person) = (0..APPROVALS.len(), 0..PEOPLE.len());
    prop_oneof![
        3 => (approval.clone(), 1..3_u32).prop_map(|(a, quorum)| Step::Request(a, quorum)),
        8 => (approval.clone(), person.clone(), prop::bool::weighted(0.9))
            .prop_map(|(a, p, yes)| Step::Vote(a, p, yes)),
        5 => (approval.clone(), prop::bool::weighted(0.9), prop::bool::weighted(0.9))
            .prop_map(|(a, digest, epoch)| Step::Use(a, digest, epoch)),
        1 => approval.clone().prop_map(Step::Cancel),
        1 => (approval, person.clone()).prop_map(|(a, p)| Step::Revoke(a, p)),
        1 => person.clone().prop_map(Step::Disable),
        1 => person.prop_map(Step::Enable),
        2 => (0..40_000_u64).prop_map(Step::Wait),
        1 => Just(Step::Expire),
    ]
}

fn run(world: &mut World, step: &Step) {
    let approval = |n: usize| -> ApprovalId { APPROVALS[n].0.parse().expect("id") };
    let someone = |n: usize| PEOPLE[n].parse().expect("id");
    let reason = || "r".to_owned();
    let (actor, command) = match *step {
        Step::Request(n, quorum) => {
            let mut asked = request(APPROVALS[n].1, &[]);
            asked.idempotency_key = format!("st-{n}");
            asked.quorum = quorum;
            (node("edge-1"), Command::RequestApproval { id: approval(n), request: Box::new(asked) })
        }
        Step::Vote(n, who, yes) => (person(PEOPLE[who]), vote(&approval(n), yes)),
        Step::Use(n, digest, epoch) => {
            let binding_digest = BindingDigest([if digest { 3 } else { 4 }; 32]);
            let epoch = Epoch(if epoch { 5 } else { 6 });
            (node("edge-1"), Command::UseGrant { id: approval(n), binding_digest, epoch })
        }
        Step::Cancel(n) => {
            (node("edge-1"), Command::CancelApproval { id: approval(n), reason: reason() })
        }
        Step::Revoke(n, who) => {
            let command = Command::RevokeApproval { id: approval(n), reason: reason() };
            (person(PEOPLE[who]), command)
        }
        Step::Disable(n) => (person("user:admin"), Command::DisablePrincipal { id: someone(n) }),
        Step::Enable(n) => (person("user:admin"), Command::EnablePrincipal { id: someone(n) }),
        Step::Wait(ms) => return world.later(ms),
        Step::Expire => (ActorName::System, Command::ExpireDue),
    };
    // Refused or not: what counts is what the log says afterwards.
    let _ = world.try_run(actor, command);
}

#[derive(Default)]
struct Seen {
    quorum: usize,
    yes: BTreeSet<String>,
    requested_until: Timestamp,
    usable_until: Option<Timestamp>,
    over: bool,
}

/// How often a statement ran that should not have, and how often one ran at all.
fn judge(log: &[EventEnvelope]) -> (usize, usize) {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let (mut wrong, mut used) = (0, 0);
    for envelope in log {
        let Some(id) = envelope.event.approval() else { continue };
        let entry = seen.entry(id.to_string()).or_default();
        match &envelope.event {
            Event::ApprovalRequested { request, expires_at, .. } => {
                entry.quorum = request.quorum as usize;
                entry.requested_until = *expires_at;
            }
            Event::ApprovalVoted { vote, .. } if vote.approve => {
                // By hand: who may say yes to what, in this small company.
                let may: &[&str] = match id.as_str() {
                    "apr-2" => &["user:carol"],
                    _ => &["user:ben", "user:carol"],
                };
                let late = envelope.at >= entry.requested_until;
                wrong += usize::from(!may.contains(&vote.approver.to_string().as_str()) || late);
                wrong += usize::from(!entry.yes.insert(vote.approver.to_string()));
            }
            Event::ApprovalVoted { .. } => {}
            Event::ApprovalGranted { usable_until, .. } => {
                wrong += usize::from(entry.yes.len() < entry.quorum || entry.over);
                entry.usable_until = Some(*usable_until);
            }
            Event::ApprovalUsed { binding_digest, .. } => {
                let in_time = entry.usable_until.is_some_and(|until| envelope.at < until);
                let covered = *binding_digest == BindingDigest([3; 32]);
                wrong += usize::from(!in_time || !covered || entry.over);
                entry.over = true;
                used += 1;
            }
            _ => entry.over = true,
        }
    }
    (wrong, used)
}

proptest! {
    #[test]
    fn nothing_runs_without_a_proper_grant(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            run(&mut world, step);
        }
        prop_assert_eq!(judge(&world.log).0, 0);
    }
}

#[test]
fn the_judge_sees_what_is_wrong() {
    let mut world = World::new();
    for step in [Step::Request(0, 1), Step::Vote(0, 2, true), Step::Use(0, true, true)] {
        run(&mut world, &step);
    }
    assert_eq!(judge(&world.log), (0, 1), "the proper way is open");
    let mut twice = world.log.clone();
    twice.extend(world.log.last().cloned());
    assert_eq!(judge(&twice), (1, 2), "a second use");
    let mut alone = world.log;
    for envelope in &mut alone {
        if let Event::ApprovalVoted { vote, .. } = &mut envelope.event {
            vote.approver = "user:dana".parse().expect("id");
        }
    }
    assert_eq!(judge(&alone).0, 1, "a vote of the requester");
}
