//! Approvals (C4): who may vote, when a grant comes to be, and when it may be used.

use std::collections::BTreeSet;

use writ_model::ids::PrincipalKind;
use writ_model::{ApprovalId, BindingDigest, DurationMs, Epoch, PrincipalId, Timestamp};

use crate::approval::{Approval, ApprovalRequest, ApprovalStatus, Vote};
use crate::command::{Command, Submission};
use crate::decide::{needs, needs_node, needs_system, short};
use crate::decide_fleet::known_database;
use crate::event::{ActorName, Event};
use crate::refusal::Refusal;
use crate::seats::{Seat, WaitingSession};
use crate::state::State;
use crate::{GROUP_ADMINS, GROUP_DBA, join};

/// The longest that a request may wait.
pub const APPROVAL_EXPIRES_MAX: DurationMs = DurationMs::from_seconds(24 * 60 * 60);
/// How long a grant may be used after the last vote: the edge waits for it, so it uses it at once.
pub const GRANT_USABLE: DurationMs = DurationMs::from_seconds(60);
/// The most requests that wait at one time.
pub const PENDING_APPROVALS_MAX: usize = 1_000;
/// The most votes that a request may take.
pub const QUORUM_MAX: u32 = 16;
/// The most columns that a request names.
pub const TOUCHED_COLUMNS_MAX: usize = 10_000;
/// The longest statement text that a request keeps, in bytes; the digest covers all of it anyway.
pub const STATEMENT_TEXT_BYTES_MAX: usize = 64 * 1024;

pub(crate) fn decide(state: &State, submission: &Submission) -> Result<Vec<Event>, Refusal> {
    let Submission { actor, at, command } = submission;
    match command {
        Command::RequestApproval { id, request } => {
            request_approval(state, actor, *at, id, request)
        }
        Command::Vote { id, approve: true, sessions, reason, follow_up } => {
            let ballot = Ballot { id, reason, sessions: *sessions, follow_up };
            approve(state, actor, *at, &ballot)
        }
        Command::Vote { id, approve: false, reason, .. } => deny(state, actor, *at, id, reason),
        Command::UseGrant { id, key, binding_digest, epoch } => {
            let used = Use { id, key, binding_digest, epoch: *epoch };
            use_grant(state, actor, *at, &used)
        }
        Command::CancelApproval { id, key, reason } => cancel(state, actor, id, key, reason),
        Command::RevokeApproval { id, reason } => revoke(state, actor, id, reason),
        Command::ExpireDue => {
            needs_system(actor)?;
            Ok(expire_due(state, *at))
        }
        _ => Err(Refusal::Invalid("not about approvals".to_owned())),
    }
}

fn request_approval(
    state: &State,
    actor: &ActorName,
    at: Timestamp,
    id: &ApprovalId,
    request: &ApprovalRequest,
) -> Result<Vec<Event>, Refusal> {
    let (edge, node) = needs_node(state, actor)?;
    if node.environment.as_ref() != Some(&request.environment) {
        return Err(Refusal::Forbidden {
            actor: actor.to_string(),
            needs: format!("environment {}", request.environment),
        });
    }
    let who = WaitingSession::of(edge, request);
    if let Some((known, seat)) = state.seat(edge, &request.idempotency_key, None) {
        if seat.who.request(&known.request) == *request {
            return Ok(Vec::new());
        }
        return Err(Refusal::Conflict(format!(
            "approval {} was requested under this key for another statement",
            known.id
        )));
    }
    check_request(request)?;
    let database = known_database(state, &request.database)?;
    if database.environment != request.environment {
        return Err(Refusal::Conflict(format!(
            "database {} is in environment {}",
            database.name, database.environment
        )));
    }
    let requester = state.actor(&request.principal)?;
    if let Some(open) = join::open_for(state, at, &who, request) {
        return Ok(vec![Event::ApprovalJoined { id: open.id.clone(), session: Box::new(who) }]);
    }
    let pending = state.approvals.values().filter(|a| a.status == ApprovalStatus::Pending);
    if pending.count() >= PENDING_APPROVALS_MAX || state.approvals.contains_key(id) {
        return Err(Refusal::Conflict(format!(
            "{PENDING_APPROVALS_MAX} requests are waiting, the most; try again later"
        )));
    }
    let mut involved: BTreeSet<PrincipalId> = request.on_behalf_of.iter().cloned().collect();
    involved.extend(requester.chain_ids().cloned());
    let expires = DurationMs(request.expires.0.min(APPROVAL_EXPIRES_MAX.0));
    Ok(vec![Event::ApprovalRequested {
        id: id.clone(),
        edge: edge.clone(),
        request: Box::new(request.clone()),
        involved: involved.into_iter().collect(),
        expires_at: at.plus(expires),
    }])
}

fn check_request(request: &ApprovalRequest) -> Result<(), Refusal> {
    short("the reason", &request.reason)?;
    short("the idempotency key", &request.idempotency_key)?;
    let wrong = if request.idempotency_key.is_empty() {
        Some("an idempotency key")
    } else if request.approvers.is_empty() {
        Some("at least one group of approvers")
    } else if request.quorum == 0 || request.quorum > QUORUM_MAX {
        Some("a quorum of 1 to 16")
    } else if request.expires.0 == 0 {
        Some("a time to wait")
    } else if request.columns.len() > TOUCHED_COLUMNS_MAX {
        Some("at most 10000 columns")
    } else if request.statement_text.len() > STATEMENT_TEXT_BYTES_MAX {
        Some("a statement text of at most 65536 bytes")
    } else {
        None
    };
    wrong.map_or(Ok(()), |what| Err(Refusal::Invalid(format!("an approval request needs {what}"))))
}

/// A yes.
struct Ballot<'a> {
    id: &'a ApprovalId,
    reason: &'a str,
    sessions: Option<u32>,
    follow_up: &'a ApprovalId,
}

fn approve(
    state: &State,
    actor: &ActorName,
    at: Timestamp,
    ballot: &Ballot<'_>,
) -> Result<Vec<Event>, Refusal> {
    let (approval, approver) = open_vote(state, actor, at, ballot.id, ballot.reason)?;
    // C4: a yes is for what the voter saw; the others wait on in a request of their own.
    let seen = join::seen(approval, ballot.sessions)?;
    let mut events = join::move_unseen(state, approval, seen, ballot.follow_up)?;
    let covered = seen.min(approval.seats.count(ApprovalStatus::Pending));
    let vote = Vote {
        approver: approver.clone(),
        approve: true,
        reason: ballot.reason.to_owned(),
        at,
        sessions: u32::try_from(covered).ok(),
    };
    events.push(Event::ApprovalVoted { id: approval.id.clone(), vote });
    // C4: distinct approvers, whatever the log holds.
    let mut yes: BTreeSet<&PrincipalId> =
        approval.votes.iter().filter(|v| v.approve).map(|v| &v.approver).collect();
    yes.insert(approver);
    if u32::try_from(yes.len()).unwrap_or(u32::MAX) >= approval.request.quorum {
        let usable_until = at.plus(GRANT_USABLE);
        events.push(Event::ApprovalGranted { id: approval.id.clone(), usable_until });
    }
    Ok(events)
}

fn deny(
    state: &State,
    actor: &ActorName,
    at: Timestamp,
    id: &ApprovalId,
    reason: &str,
) -> Result<Vec<Event>, Refusal> {
    let (_, approver) = open_vote(state, actor, at, id, reason)?;
    let vote = Vote {
        approver: approver.clone(),
        approve: false,
        reason: reason.to_owned(),
        at,
        sessions: None,
    };
    let reason = if reason.is_empty() { "no reason given" } else { reason };
    let reason = format!("denied by {approver}: {reason}");
    Ok(vec![
        Event::ApprovalVoted { id: id.clone(), vote },
        Event::ApprovalDenied { id: id.clone(), reason },
    ])
}

/// The request, if it still takes votes and this one's.
fn open_vote<'s, 'a>(
    state: &'s State,
    actor: &'a ActorName,
    at: Timestamp,
    id: &ApprovalId,
    reason: &str,
) -> Result<(&'s Approval, &'a PrincipalId), Refusal> {
    short("the reason", reason)?;
    let approval = find(state, id)?;
    let approver = may_vote(state, actor, approval)?;
    // C4: too late is too late, also before the expiry is in the log.
    if approval.status == ApprovalStatus::Pending && approval.expires_at <= at {
        return Err(in_state(approval, ApprovalStatus::Expired));
    }
    if approval.status != ApprovalStatus::Pending {
        return Err(in_state(approval, approval.status));
    }
    Ok((approval, approver))
}

/// C4: a member of the request's groups, not an agent, not the requester, nobody whom the requester acts
/// for, nobody who acts for any of these, and not twice.
fn may_vote<'a>(
    state: &State,
    actor: &'a ActorName,
    approval: &Approval,
) -> Result<&'a PrincipalId, Refusal> {
    let request = &approval.request;
    let groups: Vec<&str> = request.approvers.iter().map(|g| g.as_str()).collect();
    let no = |why| Err(Refusal::NotAnApprover(actor.to_string(), why));
    let ActorName::Principal(id) = actor else { return no("only people and services vote") };
    let approver = state.actor(id)?;
    if id.kind() == PrincipalKind::Agent {
        return no("agents never approve");
    }
    if approver.involves(&request.principal) {
        return no("nobody approves their own statement");
    }
    let requester_chain = state.actor(&request.principal).map(|a| a.chain).unwrap_or_default();
    let mut behind = approval.involved.iter().chain(requester_chain.iter().map(|p| &p.id));
    if behind.any(|involved| approver.involves(involved)) {
        return no("the statement runs on their behalf");
    }
    if !state.is_member(id, &groups) {
        return Err(Refusal::Forbidden { actor: actor.to_string(), needs: groups.join(" or ") });
    }
    if approval.votes.iter().any(|v| v.approver == *id) {
        return no("they have voted already; it takes another approver");
    }
    Ok(id)
}

/// What an edge is about to run.
struct Use<'a> {
    id: &'a ApprovalId,
    key: &'a str,
    binding_digest: &'a BindingDigest,
    epoch: Epoch,
}

fn use_grant(
    state: &State,
    actor: &ActorName,
    at: Timestamp,
    used: &Use<'_>,
) -> Result<Vec<Event>, Refusal> {
    let approval = find(state, used.id)?;
    let seat = own(state, actor, approval, used.key)?;
    // C4: each session's grant at most once, in time, and for exactly what was approved.
    if seat.status != ApprovalStatus::Granted {
        return Err(in_state(approval, seat.status));
    }
    if approval.expires_at <= at {
        return Err(in_state(approval, ApprovalStatus::Expired));
    }
    let not_covered = |why| Err(Refusal::NotCovered(approval.id.to_string(), why));
    if seat.who.binding_digest != *used.binding_digest {
        return not_covered("something about the statement or its session is different");
    }
    if approval.request.epoch != used.epoch {
        return not_covered("it was decided under another epoch");
    }
    state.actor(&approval.request.principal)?;
    Ok(vec![Event::ApprovalUsed {
        id: approval.id.clone(),
        binding_digest: *used.binding_digest,
        key: seat.who.idempotency_key.clone(),
    }])
}

/// One session gives up. The last one that does ends the request.
fn cancel(
    state: &State,
    actor: &ActorName,
    id: &ApprovalId,
    key: &str,
    reason: &str,
) -> Result<Vec<Event>, Refusal> {
    short("the reason", reason)?;
    let approval = find(state, id)?;
    let seat = own(state, actor, approval, key)?;
    if !seat.status.can_expire() {
        // The edge gives up on what is over: nothing to do.
        return Ok(Vec::new());
    }
    let (id, reason) = (id.clone(), reason.to_owned());
    if approval.seats.active() > 1 || approval.seats.count(ApprovalStatus::Used) > 0 {
        let WaitingSession { edge, idempotency_key: key, .. } = seat.who.clone();
        return Ok(vec![Event::ApprovalLeft { id, edge, key, reason }]);
    }
    Ok(vec![Event::ApprovalCancelled { id, reason }])
}

fn revoke(
    state: &State,
    actor: &ActorName,
    id: &ApprovalId,
    reason: &str,
) -> Result<Vec<Event>, Refusal> {
    short("the reason", reason)?;
    let approval = find(state, id)?;
    let mut groups: Vec<&str> = approval.request.approvers.iter().map(|g| g.as_str()).collect();
    groups.extend([GROUP_ADMINS, GROUP_DBA]);
    needs(state, actor, &groups)?;
    if approval.status.is_final() {
        return Err(in_state(approval, approval.status));
    }
    Ok(vec![Event::ApprovalRevoked {
        id: id.clone(),
        reason: format!("revoked by {actor}: {reason}"),
    }])
}

fn expire_due(state: &State, at: Timestamp) -> Vec<Event> {
    let due = state.approvals.values().filter(|a| a.status.can_expire() && a.expires_at <= at);
    due.map(|a| Event::ApprovalExpired { id: a.id.clone() }).collect()
}

fn find<'s>(state: &'s State, id: &ApprovalId) -> Result<&'s Approval, Refusal> {
    state.approvals.get(id).ok_or_else(|| Refusal::NotFound {
        what: "approval",
        name: id.to_string(),
        list: "writ approvals list --all",
    })
}

/// The seat of a session on the edge that acts.
fn own<'s>(
    state: &State,
    actor: &ActorName,
    approval: &'s Approval,
    key: &str,
) -> Result<&'s Seat, Refusal> {
    let (edge, _) = needs_node(state, actor)?;
    approval.seats.find(edge, key).ok_or_else(|| Refusal::Forbidden {
        actor: actor.to_string(),
        needs: format!("the edge of a session that waits in approval {}", approval.id),
    })
}

fn in_state(approval: &Approval, status: ApprovalStatus) -> Refusal {
    let next = match status {
        ApprovalStatus::Pending => "it takes more votes first",
        ApprovalStatus::Granted => "the edge uses it; revoke it with `writ approvals revoke`",
        _ => "run the statement again to request a new one",
    };
    Refusal::ApprovalState { id: approval.id.to_string(), status: status.as_str(), next }
}
