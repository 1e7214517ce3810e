//! Who acts, and for whom.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{GroupName, PrincipalId};

/// The longest chain of "on behalf of" that is accepted, in principals.
pub const DELEGATION_DEPTH_MAX: usize = 8;

/// A user, a service or an agent, as the control plane knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The principal's id.
    pub id: PrincipalId,
    /// A name for people to read.
    pub display_name: String,
    /// The groups it is a direct member of.
    pub groups: BTreeSet<GroupName>,
    /// For an agent: whom it acts for. `None` for everyone else.
    pub on_behalf_of: Option<PrincipalId>,
    /// A disabled principal is refused everywhere and its sessions end.
    pub disabled: bool,
}

/// Who acts in one session: the principal, then everyone it acts on behalf of, nearest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who connected.
    pub principal: Principal,
    /// Whom it acts for, nearest first; empty for users and services.
    pub chain: Vec<Principal>,
}

impl Actor {
    /// The ids of everyone this actor acts for, nearest first.
    pub fn chain_ids(&self) -> impl Iterator<Item = &PrincipalId> {
        self.chain.iter().map(|p| &p.id)
    }

    /// Whether `id` is this actor or someone it acts for: such a principal may not approve it (C4).
    #[must_use]
    pub fn involves(&self, id: &PrincipalId) -> bool {
        self.principal.id == *id || self.chain_ids().any(|c| c == id)
    }
}
