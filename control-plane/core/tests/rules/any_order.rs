//! C4 under any order of commands, by a predicate over the log that shares nothing with the rules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use writ_control_core::{ActorName, Command, Event, EventEnvelope};
use writ_model::{ApprovalId, BindingDigest, Epoch, JointDigest, Timestamp};

use crate::world::*;

const PEOPLE: [&str; 6] =
    ["user:admin", "user:dana", "user:ben", "user:carol", "agent:copilot", "service:batch"];
const REQUESTERS: [&str; 3] = ["user:dana", "agent:copilot", "user:ben"];
const SESSIONS: u8 = 4;

/// Who waits: a requester, and one of their sessions.
type Who = (usize, u8);

#[derive(Debug, Clone)]
enum Step {
    Request(Who, u32),
    /// On the approval in this place of the list, for so many sessions.
    Vote(usize, usize, bool, Option<u32>),
    Use(Who, bool, bool),
    /// One session's grant in another approval, or what another session would run.
    Misuse(Who, usize, u8),
    Cancel(Who),
    Revoke(usize, usize),
    Disable(usize),
    Enable(usize),
    Wait(u64),
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    let (place, person) = (0..6_usize, 0..PEOPLE.len());
    let who = (0..REQUESTERS.len(), 0..SESSIONS);
    prop_oneof![
        8 => (who.clone(), 1..3_u32).prop_map(|(w, quorum)| Step::Request(w, quorum)),
        8 => (place.clone(), person.clone(), prop::bool::weighted(0.9), prop::option::of(0..5_u32))
            .prop_map(|(a, p, yes, sessions)| Step::Vote(a, p, yes, sessions)),
        6 => (who.clone(), prop::bool::weighted(0.9), prop::bool::weighted(0.9))
            .prop_map(|(w, digest, epoch)| Step::Use(w, digest, epoch)),
        2 => (who.clone(), place.clone(), 0..SESSIONS).prop_map(|(w, a, s)| Step::Misuse(w, a, s)),
        2 => who.prop_map(Step::Cancel),
        1 => (place, person.clone()).prop_map(|(a, p)| Step::Revoke(a, p)),
        1 => person.clone().prop_map(Step::Disable),
        1 => person.prop_map(Step::Enable),
        2 => (0..20_000_u64).prop_map(Step::Wait),
        1 => Just(Step::Expire),
    ]
}

fn key((n, session): Who) -> String {
    format!("st-{n}-{session}")
}

fn bound(session: u8) -> BindingDigest {
    BindingDigest([3 + session; 32])
}

/// What was said to the voters, as they said it: by approval, the sessions that a yes was for.
type Said = BTreeMap<String, Vec<u32>>;

struct Run {
    world: World,
    said: Said,
}

impl Run {
    fn new() -> Self {
        Self { world: World::new(), said: Said::new() }
    }

    fn at(&self, place: usize) -> ApprovalId {
        let ids: Vec<&ApprovalId> = self.world.state.approvals.keys().collect();
        match ids.len() {
            0 => "apr-none".parse().expect("id"),
            count => ids[place % count].clone(),
        }
    }

    fn of(&self, who: Who) -> ApprovalId {
        let edge = "edge-1".parse().expect("id");
        let found = self.world.state.seat(&edge, &key(who), None).map(|(a, _)| a.id.clone());
        found.unwrap_or_else(|| "apr-none".parse().expect("id"))
    }

    fn step(&mut self, step: &Step) {
        let fresh: ApprovalId = format!("apr-{}", self.world.log.len()).parse().expect("id");
        let someone = |n: usize| PEOPLE[n].parse().expect("id");
        let reason = || "r".to_owned();
        let uses = |id, who, binding_digest, epoch| {
            (node("edge-1"), Command::UseGrant { id, key: key(who), binding_digest, epoch })
        };
        let (actor, command) = match *step {
            Step::Request(who @ (n, session), quorum) => {
                let mut asked = request(REQUESTERS[n], &[]);
                asked.idempotency_key = key(who);
                asked.session = format!("s-{n}-{session}").parse().expect("id");
                asked.binding_digest = bound(session);
                asked.joint_digest = Some(JointDigest([7; 32]));
                asked.quorum = quorum;
                (node("edge-1"), Command::RequestApproval { id: fresh, request: Box::new(asked) })
            }
            Step::Vote(place, who, approve, sessions) => {
                let (id, reason) = (self.at(place), reason());
                let vote = Command::Vote { id, approve, sessions, reason, follow_up: fresh };
                return self.vote(person(PEOPLE[who]), vote);
            }
            Step::Use(who, digest, epoch) => {
                let digest = if digest { bound(who.1) } else { BindingDigest([99; 32]) };
                uses(self.of(who), who, digest, Epoch(if epoch { 5 } else { 6 }))
            }
            Step::Misuse(who, place, session) => {
                uses(self.at(place), who, bound(session), Epoch(5))
            }
            Step::Cancel(who) => {
                let (id, key) = (self.of(who), key(who));
                (node("edge-1"), Command::CancelApproval { id, key, reason: reason() })
            }
            Step::Revoke(place, who) => {
                let command = Command::RevokeApproval { id: self.at(place), reason: reason() };
                (person(PEOPLE[who]), command)
            }
            Step::Disable(n) => {
                (person("user:admin"), Command::DisablePrincipal { id: someone(n) })
            }
            Step::Enable(n) => (person("user:admin"), Command::EnablePrincipal { id: someone(n) }),
            Step::Wait(ms) => return self.world.later(ms),
            Step::Expire => (ActorName::System, Command::ExpireDue),
        };
        // Refused or not: what counts is what the log says afterwards.
        let _ = self.world.try_run(actor, command);
    }

    fn vote(&mut self, actor: ActorName, vote: Command) {
        let Command::Vote { id, approve: yes, sessions, .. } = &vote else { return };
        let (id, yes, sessions) = (id.to_string(), *yes, sessions.unwrap_or(1));
        if self.world.try_run(actor, vote).is_ok() && yes {
            self.said.entry(id).or_default().push(sessions);
        }
    }
}

#[derive(Default)]
struct Seen {
    requester: String,
    quorum: usize,
    yes: BTreeSet<String>,
    requested_until: Timestamp,
    usable_until: Option<Timestamp>,
    over: bool,
    /// Keys of the sessions that wait in it, with what their grant is bound to; and of those that ever did, in order.
    waiting: BTreeMap<String, BindingDigest>,
    joined: Vec<String>,
    used: u32,
}

impl Seen {
    fn wait(&mut self, key: &str, digest: BindingDigest) {
        self.waiting.insert(key.to_owned(), digest);
        self.joined.push(key.to_owned());
    }
}

/// Those that joined from the place `first` on and still wait go on waiting in `to`. What is wrong with that.
fn moved(seen: &mut BTreeMap<String, Seen>, id: &str, to: &str, first: usize) -> usize {
    let Some(from) = seen.get_mut(id) else { return 1 };
    let wrong = usize::from(from.usable_until.is_some());
    let tail = from.joined.split_off(first.min(from.joined.len()));
    let (gone, stay): (Vec<_>, Vec<_>) =
        tail.into_iter().partition(|key| from.waiting.contains_key(key));
    from.joined.extend(stay);
    let gone: Vec<_> =
        gone.into_iter().filter_map(|key| from.waiting.remove(&key).map(|d| (key, d))).collect();
    let Some(to) = seen.get_mut(to) else { return 1 };
    let first = gone.first().is_some_and(|(key, _)| to.joined == [key.as_str()]);
    for (key, digest) in gone.into_iter().skip(1) {
        to.wait(&key, digest);
    }
    wrong + usize::from(!first)
}

/// How often a statement ran that should not have, and how often one ran at all.
fn judge(log: &[EventEnvelope], said: &Said) -> (usize, usize) {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let mut ran = BTreeSet::new();
    let mut wrong = 0;
    for envelope in log {
        if let Event::ApprovalMoved { id, to, first_seat } = &envelope.event {
            wrong += moved(&mut seen, id.as_str(), to.as_str(), *first_seat as usize);
            continue;
        }
        let Some(id) = envelope.event.approval() else { continue };
        let entry = seen.entry(id.to_string()).or_default();
        match &envelope.event {
            Event::ApprovalRequested { request, expires_at, .. } => {
                entry.requester = request.principal.to_string();
                entry.quorum = request.quorum as usize;
                entry.requested_until = *expires_at;
                entry.wait(&request.idempotency_key, request.binding_digest);
            }
            Event::ApprovalJoined { session, .. } => {
                // What somebody said yes to does not grow.
                wrong += usize::from(!entry.yes.is_empty() || entry.over);
                entry.wait(&session.idempotency_key, session.binding_digest);
            }
            Event::ApprovalLeft { key, .. } => {
                entry.waiting.remove(key);
            }
            Event::ApprovalVoted { vote, .. } if vote.approve => {
                // By hand: who may say yes to what, in this small company.
                let may: &[&str] = match entry.requester.as_str() {
                    "user:ben" => &["user:carol"],
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
            Event::ApprovalUsed { binding_digest, key, .. } => {
                let in_time = entry.usable_until.is_some_and(|until| envelope.at < until);
                let covered = entry.waiting.remove(key) == Some(*binding_digest);
                entry.used += 1;
                let shown = said.get(id.as_str()).and_then(|said| said.iter().min().copied());
                let fits = entry.used <= shown.unwrap_or(0);
                wrong += usize::from(!in_time || !covered || !fits || entry.over);
                wrong += usize::from(!ran.insert((id.to_string(), key.clone())));
            }
            _ => entry.over = true,
        }
    }
    (wrong, seen.values().map(|entry| entry.used as usize).sum())
}

proptest! {
    #[test]
    fn nothing_runs_without_a_proper_grant(steps in prop::collection::vec(step(), 1..80)) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
        }
        prop_assert_eq!(judge(&run.world.log, &run.said).0, 0);
    }
}

#[test]
fn the_judge_sees_what_is_wrong() {
    let mut run = Run::new();
    let [one, two, three] = [(0, 0), (0, 1), (0, 2)];
    for who in [one, two, three] {
        run.step(&Step::Request(who, 1));
    }
    run.step(&Step::Vote(0, 2, true, Some(2)));
    for who in [one, two, three] {
        run.step(&Step::Use(who, true, true));
    }
    let (log, said) = (run.world.log, run.said);
    assert_eq!(judge(&log, &said), (0, 2), "the proper way is open, to the two that were seen");
    let mut twice = log.clone();
    twice.extend(log.last().cloned());
    assert!(judge(&twice, &said).0 > 0, "a second use");
    let less = said.keys().map(|id| (id.clone(), vec![1])).collect();
    assert_eq!(judge(&log, &less), (1, 2), "a voter who saw one");
    let mut unjoined = log.clone();
    unjoined.retain(|e| !matches!(e.event, Event::ApprovalJoined { .. }));
    assert_eq!(judge(&unjoined, &said).0, 2, "one that did not join ran, one was moved");
    let mut alone = log;
    for envelope in &mut alone {
        if let Event::ApprovalVoted { vote, .. } = &mut envelope.event {
            vote.approver = "user:dana".parse().expect("id");
        }
    }
    assert_eq!(judge(&alone, &said).0, 1, "a vote of the requester");
}
