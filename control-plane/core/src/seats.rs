//! Who waits in a request: each session has a seat, and once enough approved, a single-use grant of its own (C4).

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use writ_model::{BindingDigest, EdgeId, SessionId, Timestamp};

use crate::approval::{ApprovalRequest, ApprovalStatus};

/// One session as it asked: what differs among those that wait in one request. Part of the log's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingSession {
    /// The edge that it is on: only that edge may use or cancel for it.
    pub edge: EdgeId,
    /// The session.
    pub session: SessionId,
    /// The statement id: asking twice makes one seat.
    pub idempotency_key: String,
    /// What its grant is bound to.
    pub binding_digest: BindingDigest,
    /// Where the client is.
    pub client_address: String,
    /// What the client calls itself.
    pub application_name: String,
    /// The planner's estimate when it asked, in whole rows.
    pub rows_estimate: Option<u64>,
}

impl WaitingSession {
    /// The part of `request` that is the session's own.
    #[must_use]
    pub fn of(edge: &EdgeId, request: &ApprovalRequest) -> Self {
        Self {
            edge: edge.clone(),
            session: request.session.clone(),
            idempotency_key: request.idempotency_key.clone(),
            binding_digest: request.binding_digest,
            client_address: request.client_address.clone(),
            application_name: request.application_name.clone(),
            rows_estimate: request.rows_estimate,
        }
    }

    /// `request` as this session would have made it.
    #[must_use]
    pub fn request(&self, request: &ApprovalRequest) -> ApprovalRequest {
        ApprovalRequest {
            session: self.session.clone(),
            idempotency_key: self.idempotency_key.clone(),
            binding_digest: self.binding_digest,
            client_address: self.client_address.clone(),
            application_name: self.application_name.clone(),
            rows_estimate: self.rows_estimate,
            ..request.clone()
        }
    }
}

/// A session in a request, and where its own grant stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Who.
    pub who: WaitingSession,
    /// When it asked.
    pub asked_at: Timestamp,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// Why it ended, for people; empty while it goes on.
    pub ended_reason: String,
}

impl Seat {
    pub(crate) fn new(who: WaitingSession, asked_at: Timestamp) -> Self {
        Self { who, asked_at, status: ApprovalStatus::Pending, ended_reason: String::new() }
    }

    fn is(&self, edge: &EdgeId, key: &str) -> bool {
        self.who.edge == *edge && self.who.idempotency_key == key
    }
}

/// All seats of a request. Shared until they change: the state is copied for each event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seats(Arc<Vec<Seat>>);

impl Serialize for Seats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Seats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|seats| Self(Arc::new(seats)))
    }
}

impl Seats {
    /// In the order in which they asked.
    pub fn iter(&self) -> impl Iterator<Item = &Seat> {
        self.0.iter()
    }

    /// How many ever asked.
    #[must_use]
    pub fn joined(&self) -> usize {
        self.0.len()
    }

    /// How many are in this state.
    #[must_use]
    pub fn count(&self, status: ApprovalStatus) -> usize {
        self.iter().filter(|seat| seat.status == status).count()
    }

    /// How many wait for votes, or for their turn to use their grant.
    #[must_use]
    pub fn active(&self) -> usize {
        self.iter().filter(|seat| seat.status.can_expire()).count()
    }

    /// The seat of the session on `edge` that asked under `key`. Where no key is given (edges that know of no joining):
    /// the request's only one.
    #[must_use]
    pub fn find(&self, edge: &EdgeId, key: &str) -> Option<&Seat> {
        match self.0.as_slice() {
            [only] if key.is_empty() => Some(only).filter(|seat| seat.who.edge == *edge),
            seats => seats.iter().find(|seat| seat.is(edge, key)),
        }
    }

    /// The first that waits for votes behind `seen` others that do, with its place.
    #[must_use]
    pub fn unseen(&self, seen: usize) -> Option<(usize, &Seat)> {
        let waiting = |(_, seat): &(usize, &Seat)| seat.status == ApprovalStatus::Pending;
        self.0.iter().enumerate().filter(waiting).nth(seen)
    }

    /// The largest of the estimates: what all that wait were told to expect at most.
    #[must_use]
    pub fn rows_estimate(&self) -> Option<u64> {
        self.iter().filter_map(|seat| seat.who.rows_estimate).max()
    }

    pub(crate) fn push(&mut self, seat: Seat) {
        Arc::make_mut(&mut self.0).push(seat);
    }

    /// Takes those out that wait for votes, from place `first` on.
    pub(crate) fn take_from(&mut self, first: usize) -> Self {
        let all = Arc::make_mut(&mut self.0);
        let tail = all.split_off(first.min(all.len()));
        let (moved, stay): (Vec<_>, Vec<_>) =
            tail.into_iter().partition(|seat| seat.status == ApprovalStatus::Pending);
        all.extend(stay);
        Self(Arc::new(moved))
    }

    pub(crate) fn grant_all(&mut self) {
        self.change(|s| s == ApprovalStatus::Pending, ApprovalStatus::Granted, "");
    }

    /// Ends those that go on; a revocation also those that run.
    pub(crate) fn end_all(&mut self, status: ApprovalStatus, reason: &str) {
        let running = status == ApprovalStatus::Revoked;
        let ends = |s: ApprovalStatus| s.can_expire() || (running && s == ApprovalStatus::Used);
        self.change(ends, status, reason);
    }

    fn change(
        &mut self,
        which: impl Fn(ApprovalStatus) -> bool,
        status: ApprovalStatus,
        reason: &str,
    ) {
        for seat in Arc::make_mut(&mut self.0).iter_mut().filter(|seat| which(seat.status)) {
            seat.status = status;
            reason.clone_into(&mut seat.ended_reason);
        }
    }

    /// Ends one, or marks its grant as used.
    pub(crate) fn set(&mut self, edge: &EdgeId, key: &str, status: ApprovalStatus, reason: &str) {
        let found = Arc::make_mut(&mut self.0).iter_mut().find(|seat| seat.is(edge, key));
        if let Some(seat) = found {
            seat.status = status;
            reason.clone_into(&mut seat.ended_reason);
        }
    }
}
