//! Databases in which principals act as roles of their own: the session begins as one, and nothing that it runs is another's.
//!
//! The role is a start-up parameter: what RESET, DISCARD and the end of a transaction go back to is the role, and not the
//! one that the edge logs in with.

use writ_model::role::{ActsAs, acts_as};
use writ_model::{
    Actor, Denial, Limits, OpaqueReason, StatementFacts, StatementKind, Timestamp, Usage, Verdict,
};

use super::PolicyGate;
use super::state::{DatabaseState, ScopeKey};

/// The rule that a change of the role names.
pub(super) const ROLE_RULE: &str = "mapped-role";

/// The role that the database's rules give `actor`; `None`: they give none to anybody.
pub(super) fn role_of(state: &DatabaseState, actor: &Actor) -> Result<Option<String>, Denial> {
    match acts_as(&state.database.roles, actor) {
        ActsAs::Login => Ok(None),
        ActsAs::Role(role) => Ok(Some(role.to_owned())),
        ActsAs::Nobody => Err(Denial {
            reason: format!(
                "no role of the database {} is given to {} or to its groups",
                state.database.name, actor.principal.id
            ),
            next_step: "an administrator can give one with `writ databases add --role WHOM=ROLE`, to everybody else with *=ROLE".into(),
        }),
    }
}

/// Who acts, and within which limits of the session; or why they may not connect.
pub(super) fn may_connect(
    state: &DatabaseState,
    key: &ScopeKey,
    now: Timestamp,
    usage: Usage,
) -> Result<(Actor, Limits), Denial> {
    let actor = state
        .config
        .actor(&key.principal)
        .map_err(|e| Denial { reason: e.to_string(), next_step: "ask an administrator".into() })?;
    let decision = state.policies.connect(&state.subject(&actor), &key.context(now, usage));
    match decision.verdict {
        Verdict::Allow => Ok((actor, decision.limits)),
        Verdict::Deny(denial) => Err(denial),
        Verdict::Hold(_) => Err(Denial {
            reason: "connecting needs an approval, which is not supported".into(),
            next_step: "let the policy permit Connect without approval".into(),
        }),
    }
}

impl PolicyGate {
    /// The role that the session has to begin with; `None`: the one that the edge logs in with.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.acting.as_deref()
    }

    /// Why a statement is refused whatever else policy says: it may run as another role.
    pub(super) fn role_refusal(&self, facts: &StatementFacts) -> Option<(&'static str, Denial)> {
        let role = self.acting.as_ref()?;
        let denial = |reason: String, next_step: &str| {
            Some((ROLE_RULE, Denial { reason, next_step: next_step.to_owned() }))
        };
        // Whatever happened in the connection: the server says who it is.
        if self.names.role != *role {
            let is = &self.names.role;
            return denial(
                format!("this session acts as role {role}, and the database says that it is {is}"),
                "connect again",
            );
        }
        if facts.kinds.contains(&StatementKind::SetRole) {
            return denial(
                format!("this session acts as role {role}, and as no other"),
                "leave SET ROLE, SET SESSION AUTHORIZATION and definitions with a role of their own away",
            );
        }
        // What is asked of a constraint is known; code that is not could run as whatever the edge's login may be.
        let unknown = |why: &&OpaqueReason| !matches!(why, OpaqueReason::Oracle(_));
        let why = facts.opaque.iter().find(unknown)?;
        denial(
            format!(
                "this session acts as role {role}, and whether {} changes that is not known",
                why.detail()
            ),
            "leave it out; only what is known to keep the role runs here",
        )
    }
}
