//! A command against the state: events, or a refusal. Rights are checked here, so that no caller can forget.

use writ_model::config::PolicyFile;
use writ_model::{EdgeId, Epoch, EventSeq, PrincipalId};

use crate::command::{Command, Submission};
use crate::event::{ActorName, ChainError, Event, EventEnvelope, EventHash};
use crate::refusal::Refusal;
use crate::state::{Node, State};
use crate::{GROUP_ADMINS, decide_approval, decide_fleet, decide_identity, password};

/// The largest policy set, in bytes of text.
pub const POLICY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most files in one policy set.
pub const POLICY_FILES_MAX: usize = 1_000;
/// The longest text for people that a command may carry (a reason, a display name), in bytes.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// Says whether a policy set compiles, and where not. Given from outside, so that this crate names no language.
pub type PolicyCheck<'a> = &'a dyn Fn(&[PolicyFile]) -> Result<(), String>;

/// Decides. No events: the command asks for what is so already.
pub fn decide(
    state: &State,
    submission: &Submission,
    check_policies: PolicyCheck<'_>,
) -> Result<Vec<Event>, Refusal> {
    let actor = &submission.actor;
    match &submission.command {
        Command::Bootstrap { cluster, admin, token_key } => {
            needs_system(actor)?;
            decide_identity::bootstrap(state, cluster, admin, token_key)
        }
        Command::AddPrincipal { principal } => {
            needs(state, actor, &[GROUP_ADMINS])?;
            decide_identity::add_principal(state, principal)
        }
        Command::DisablePrincipal { id } => {
            needs(state, actor, &[GROUP_ADMINS])?;
            decide_identity::disable(state, id)
        }
        Command::EnablePrincipal { id } => {
            needs(state, actor, &[GROUP_ADMINS])?;
            decide_identity::enable(state, id)
        }
        Command::SetGroups { id, groups } => {
            needs(state, actor, &[GROUP_ADMINS])?;
            decide_identity::set_groups(state, id, groups)
        }
        Command::SetPassword { id, salt, keys } => {
            needs(state, actor, &[GROUP_ADMINS])?;
            password::set(state, id, *salt, keys)
        }
        Command::RemovePassword { id, number } => {
            needs(state, actor, &[GROUP_ADMINS])?;
            password::remove(state, id, *number)
        }
        Command::ApplyPolicies { files } => {
            needs(state, actor, &[GROUP_ADMINS])?;
            apply_policies(state, files, check_policies)
        }
        Command::RequestApproval { .. }
        | Command::Vote { .. }
        | Command::UseGrant { .. }
        | Command::CancelApproval { .. }
        | Command::RevokeApproval { .. }
        | Command::ExpireDue => decide_approval::decide(state, submission),
        _ => decide_fleet::decide(state, submission),
    }
}

fn apply_policies(
    state: &State,
    files: &[PolicyFile],
    check: PolicyCheck<'_>,
) -> Result<Vec<Event>, Refusal> {
    let bytes: usize = files.iter().map(|f| f.text.len()).sum();
    if bytes > POLICY_BYTES_MAX || files.len() > POLICY_FILES_MAX {
        return Err(Refusal::Invalid(format!(
            "a policy set has at most {POLICY_FILES_MAX} files and {POLICY_BYTES_MAX} bytes; this one has {} and {bytes}",
            files.len()
        )));
    }
    check(files).map_err(Refusal::Policy)?;
    if state.policies == files {
        return Ok(Vec::new());
    }
    Ok(vec![Event::PoliciesApplied { files: files.to_vec() }])
}

/// The principal that acts, if it is enabled and in one of `groups`.
pub(crate) fn needs<'a>(
    state: &State,
    actor: &'a ActorName,
    groups: &[&str],
) -> Result<&'a PrincipalId, Refusal> {
    let forbidden = || Refusal::Forbidden { actor: actor.to_string(), needs: groups.join(" or ") };
    let ActorName::Principal(id) = actor else { return Err(forbidden()) };
    state.actor(id)?;
    if state.is_member(id, groups) { Ok(id) } else { Err(forbidden()) }
}

/// The enrolled node that acts.
pub(crate) fn needs_node<'a, 's>(
    state: &'s State,
    actor: &'a ActorName,
) -> Result<(&'a EdgeId, &'s Node), Refusal> {
    let forbidden = || Refusal::Forbidden {
        actor: actor.to_string(),
        needs: "the enrolled edges; enrol this one again with `writ join-token`".to_owned(),
    };
    let ActorName::Node(name) = actor else { return Err(forbidden()) };
    let node = state.nodes.get(name).ok_or_else(forbidden)?;
    Ok((name, node))
}

pub(crate) fn needs_system(actor: &ActorName) -> Result<(), Refusal> {
    if *actor == ActorName::System {
        return Ok(());
    }
    Err(Refusal::Forbidden { actor: actor.to_string(), needs: "the control plane".to_owned() })
}

pub(crate) fn short(what: &str, text: &str) -> Result<(), Refusal> {
    if text.len() <= TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::Invalid(format!(
        "{what} has {} bytes; shorten it to at most {TEXT_BYTES_MAX}",
        text.len()
    )))
}

/// Puts events in their place after `state`: numbered, chained, and under a new epoch where any of them
/// changes what edges get (E5: one command, one epoch).
pub fn seal(
    state: &State,
    submission: &Submission,
    events: Vec<Event>,
) -> Result<Vec<EventEnvelope>, ChainError> {
    let changes = events.iter().any(Event::changes_configuration);
    let epoch = Epoch(state.epoch.0.saturating_add(u64::from(changes)));
    let mut seq = state.last;
    let mut previous_hash = state.last_hash;
    let mut sealed = Vec::with_capacity(events.len());
    for event in events {
        seq = EventSeq(seq.0.saturating_add(1));
        let mut envelope = EventEnvelope {
            seq,
            at: submission.at,
            actor: submission.actor.clone(),
            epoch,
            event,
            previous_hash,
            hash: EventHash::default(),
        };
        envelope.hash = envelope.expected_hash()?;
        previous_hash = envelope.hash;
        sealed.push(envelope);
    }
    Ok(sealed)
}
