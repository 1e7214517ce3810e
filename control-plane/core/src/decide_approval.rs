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
use crate::state::State;
use crate::{GROUP_ADMINS, GROUP_DBA};

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
        Command::Vote { id, approve, reason } => vote(state, actor, *at, id, *approve, reason),
        Command::UseGrant { id, binding_digest, epoch } => {
            use_grant(state, actor, *at, id, binding_digest, *epoch)
        }
        Command::CancelApproval { id, reason } => cancel(state, actor, id, reason),
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
    if let Some(known) = state.approval_by_key(edge, &request.idempotency_key) {
        if known.request == *request {
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
    let pending = state.approvals.values().filter(|a| a.status == ApprovalStatus::Pending);
    if pending.count() >= PENDING_APPROVALS_MAX || state.approvals.contains_key(id) {
        return Err(Refusal::Conflict(format!(
            "{PENDING_APPROVALS_MAX} requests are waiting, the most; try again later"
        )));
    }
    let requester = state.actor(&request.principal)?;
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

fn vote(
    state: &State,
    actor: &ActorName,
    at: Timestamp,
    id: &ApprovalId,
    approve: bool,
    reason: &str,
) -> Result<Vec<Event>, Refusal> {
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
    let vote = Vote { approver: approver.clone(), approve, reason: reason.to_owned(), at };
    let mut events = vec![Event::ApprovalVoted { id: id.clone(), vote }];
    if !approve {
        let reason = if reason.is_empty() { "no reason given" } else { reason };
        let reason = format!("denied by {approver}: {reason}");
        events.push(Event::ApprovalDenied { id: id.clone(), reason });
        return Ok(events);
    }
    // C4: distinct approvers, whatever the log holds.
    let mut yes: BTreeSet<&PrincipalId> =
        approval.votes.iter().filter(|v| v.approve).map(|v| &v.approver).collect();
    yes.insert(approver);
    if u32::try_from(yes.len()).unwrap_or(u32::MAX) >= approval.request.quorum {
        let usable_until = at.plus(GRANT_USABLE);
        events.push(Event::ApprovalGranted { id: id.clone(), usable_until });
    }
    Ok(events)
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

fn use_grant(
    state: &State,
    actor: &ActorName,
    at: Timestamp,
    id: &ApprovalId,
    digest: &BindingDigest,
    epoch: Epoch,
) -> Result<Vec<Event>, Refusal> {
    let approval = find(state, id)?;
    own(state, actor, approval)?;
    // C4: at most once, in time, and for exactly what was approved.
    if approval.status != ApprovalStatus::Granted {
        return Err(in_state(approval, approval.status));
    }
    if approval.expires_at <= at {
        return Err(in_state(approval, ApprovalStatus::Expired));
    }
    let not_covered = |why| Err(Refusal::NotCovered(id.to_string(), why));
    if approval.request.binding_digest != *digest {
        return not_covered("something about the statement or its session is different");
    }
    if approval.request.epoch != epoch {
        return not_covered("it was decided under another epoch");
    }
    state.actor(&approval.request.principal)?;
    Ok(vec![Event::ApprovalUsed { id: id.clone(), binding_digest: *digest }])
}

fn cancel(
    state: &State,
    actor: &ActorName,
    id: &ApprovalId,
    reason: &str,
) -> Result<Vec<Event>, Refusal> {
    short("the reason", reason)?;
    let approval = find(state, id)?;
    own(state, actor, approval)?;
    if !approval.status.can_expire() {
        // The edge gives up on what is over: nothing to do.
        return Ok(Vec::new());
    }
    Ok(vec![Event::ApprovalCancelled { id: id.clone(), reason: reason.to_owned() }])
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

fn own(state: &State, actor: &ActorName, approval: &Approval) -> Result<(), Refusal> {
    let (edge, _) = needs_node(state, actor)?;
    if *edge == approval.edge {
        return Ok(());
    }
    Err(Refusal::Forbidden {
        actor: actor.to_string(),
        needs: format!("edge {}, which asked for this approval", approval.edge),
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
