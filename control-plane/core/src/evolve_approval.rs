//! What events about approvals do to the state: total, and the same for logs of every age (C1, C2).

use writ_model::{ApprovalId, Timestamp};

use crate::approval::{Approval, ApprovalStatus};
use crate::event::{ActorName, Event, EventEnvelope};
use crate::seats::{Seat, Seats, WaitingSession};
use crate::state::State;

/// How many ended approvals are kept for listing; older ones are only in the log.
pub const ENDED_APPROVALS_KEPT_MAX: usize = 1_000;
/// How many sessions the ended approvals that are kept may have had together.
pub const ENDED_SEATS_KEPT_MAX: usize = 20_000;

pub(crate) fn evolve(state: &mut State, envelope: &EventEnvelope) {
    match &envelope.event {
        Event::ApprovalRequested { .. } => requested(state, envelope),
        Event::ApprovalMoved { id, to, first_seat } => moved(state, id, to, *first_seat),
        event => {
            if let Some(approval) = event.approval().and_then(|id| state.approvals.get_mut(id)) {
                went_on(approval, envelope);
            }
        }
    }
}

fn requested(state: &mut State, envelope: &EventEnvelope) {
    let Event::ApprovalRequested { id, edge, request, involved, expires_at } = &envelope.event
    else {
        return;
    };
    forget_ended(state);
    let mut approval = Approval {
        id: id.clone(),
        request: (**request).clone(),
        seats: Seats::default(),
        follow_up: None,
        involved: involved.clone(),
        status: ApprovalStatus::Pending,
        votes: Vec::new(),
        requested_at: envelope.at,
        expires_at: *expires_at,
        ended_reason: String::new(),
    };
    approval.seats.push(Seat::new(WaitingSession::of(edge, request), envelope.at));
    state.approvals.insert(id.clone(), approval);
}

/// Those that a voter did not see go on waiting elsewhere, each since it asked.
fn moved(state: &mut State, id: &ApprovalId, to: &ApprovalId, first_seat: u32) {
    let first = usize::try_from(first_seat).unwrap_or(usize::MAX);
    let Some(from) = state.approvals.get_mut(id) else { return };
    let seats = from.seats.take_from(first);
    from.follow_up = Some(to.clone());
    let Some(follow_up) = state.approvals.get_mut(to) else { return };
    if let Some(seat) = seats.iter().next() {
        follow_up.requested_at = seat.asked_at;
    }
    follow_up.seats = seats;
}

fn went_on(approval: &mut Approval, envelope: &EventEnvelope) {
    let not_in_time = match approval.status {
        ApprovalStatus::Granted => "the grant was not used in time",
        _ => "nobody decided in time",
    };
    match &envelope.event {
        Event::ApprovalJoined { session, .. } => {
            approval.seats.push(Seat::new((**session).clone(), envelope.at));
        }
        Event::ApprovalLeft { edge, key, reason, .. } => {
            approval.seats.set(edge, key, ApprovalStatus::Cancelled, reason);
            settle(approval);
        }
        Event::ApprovalVoted { vote, .. } => approval.votes.push(vote.clone()),
        Event::ApprovalGranted { usable_until, .. } => {
            approval.status = ApprovalStatus::Granted;
            approval.expires_at = *usable_until;
            approval.seats.grant_all();
        }
        Event::ApprovalUsed { key, .. } => {
            used(approval, &envelope.actor, key);
            settle(approval);
        }
        Event::ApprovalDenied { reason, .. } => end(approval, ApprovalStatus::Denied, reason),
        Event::ApprovalExpired { .. } => end(approval, ApprovalStatus::Expired, not_in_time),
        Event::ApprovalCancelled { reason, .. } => end(approval, ApprovalStatus::Cancelled, reason),
        Event::ApprovalRevoked { reason, .. } => end(approval, ApprovalStatus::Revoked, reason),
        _ => {}
    }
}

fn used(approval: &mut Approval, actor: &ActorName, key: &str) {
    let ActorName::Node(edge) = actor else { return };
    let Some(seat) = approval.seats.find(edge, key) else { return };
    let key = seat.who.idempotency_key.clone();
    approval.seats.set(edge, &key, ApprovalStatus::Used, "");
}

fn end(approval: &mut Approval, status: ApprovalStatus, reason: &str) {
    approval.seats.end_all(status, reason);
    reason.clone_into(&mut approval.ended_reason);
    approval.status = status;
    settle(approval);
}

/// Where nobody waits any more and some ran, it is used: they may still run, and be revoked.
fn settle(approval: &mut Approval) {
    if approval.seats.active() == 0 && approval.seats.count(ApprovalStatus::Used) > 0 {
        approval.status = ApprovalStatus::Used;
    }
}

/// Drops the oldest approvals that need no more memory; which ones depends on the log alone (C1).
fn forget_ended(state: &mut State) {
    let mut ended: Vec<(Timestamp, ApprovalId, usize)> = state
        .approvals
        .values()
        .filter(|a| !a.status.can_expire())
        .map(|a| (a.requested_at, a.id.clone(), a.seats.joined()))
        .collect();
    let mut seats: usize = ended.iter().map(|(_, _, seats)| *seats).sum();
    let mut count = ended.len();
    if count <= ENDED_APPROVALS_KEPT_MAX && seats <= ENDED_SEATS_KEPT_MAX {
        return;
    }
    ended.sort();
    for (_, id, of_it) in ended {
        if count <= ENDED_APPROVALS_KEPT_MAX && seats <= ENDED_SEATS_KEPT_MAX {
            return;
        }
        state.approvals.remove(&id);
        count = count.saturating_sub(1);
        seats = seats.saturating_sub(of_it);
    }
}
