//! Who there is: principals, groups, and the very first state.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::config::{TokenKey, resolve_actor};
use writ_model::{GroupName, Principal, PrincipalId, ids::PrincipalKind};

use crate::decide::short;
use crate::event::Event;
use crate::refusal::Refusal;
use crate::state::State;
use crate::{GROUP_ADMINS, GROUPS_AT_START};

/// The most principals.
pub const PRINCIPALS_MAX: usize = 100_000;
/// The most groups of one principal.
pub const GROUPS_OF_PRINCIPAL_MAX: usize = 256;

pub(crate) fn bootstrap(
    state: &State,
    cluster: &str,
    admin: &Principal,
    token_key: &TokenKey,
) -> Result<Vec<Event>, Refusal> {
    if state.last.0 != 0 {
        return Err(Refusal::Conflict(format!("cluster {} is there already", state.cluster)));
    }
    let mut events = vec![Event::ClusterBootstrapped { cluster: cluster.to_owned() }];
    for name in GROUPS_AT_START {
        let name: GroupName =
            name.parse().map_err(|e| Refusal::Invalid(format!("the group name {name}: {e}")))?;
        events.push(Event::GroupAdded { name });
    }
    events.push(Event::PrincipalAdded { principal: admin.clone() });
    events.push(Event::TokenKeyAdded { key: token_key.clone() });
    Ok(events)
}

fn new_groups(state: &State, groups: &BTreeSet<GroupName>) -> Result<Vec<Event>, Refusal> {
    if groups.len() > GROUPS_OF_PRINCIPAL_MAX {
        return Err(Refusal::Invalid(format!(
            "a principal is in at most {GROUPS_OF_PRINCIPAL_MAX} groups, not {}",
            groups.len()
        )));
    }
    let unknown = groups.difference(&state.groups);
    Ok(unknown.map(|name| Event::GroupAdded { name: name.clone() }).collect())
}

pub(crate) fn add_principal(state: &State, new: &Principal) -> Result<Vec<Event>, Refusal> {
    short("the display name", &new.display_name)?;
    if let Some(known) = state.principals.get(&new.id) {
        if known == new {
            return Ok(Vec::new());
        }
        return Err(Refusal::Conflict(format!(
            "{} is there already; change its groups with `writ identities groups {}`",
            new.id, new.id
        )));
    }
    if state.principals.len() >= PRINCIPALS_MAX {
        return Err(Refusal::Conflict(format!("there are {PRINCIPALS_MAX} principals, the most")));
    }
    match (&new.on_behalf_of, new.id.kind()) {
        (Some(_), PrincipalKind::User | PrincipalKind::Service) => {
            return Err(Refusal::Invalid(format!(
                "only an agent acts on behalf of another principal; {} is none",
                new.id
            )));
        }
        (Some(behind), PrincipalKind::Agent) if !state.principals.contains_key(behind) => {
            return Err(unknown_principal(behind));
        }
        _ => {}
    }
    // The chain must hold with the new one in it; a disabled one behind it is for later.
    let mut with_new: BTreeMap<PrincipalId, Principal> = state.principals.clone();
    let enabled = Principal { disabled: false, ..new.clone() };
    with_new.insert(new.id.clone(), enabled);
    resolve_actor(&with_new, &new.id)?;
    let mut events = new_groups(state, &new.groups)?;
    events.push(Event::PrincipalAdded { principal: new.clone() });
    Ok(events)
}

pub(crate) fn disable(state: &State, id: &PrincipalId) -> Result<Vec<Event>, Refusal> {
    let known = principal(state, id)?;
    if known.disabled {
        return Ok(Vec::new());
    }
    keeps_an_admin(state, id)?;
    let mut events = vec![Event::PrincipalDisabled { id: id.clone() }];
    // C4: what a disabled principal, or anyone acting for it, asked for must not go on.
    let involved = state
        .approvals
        .values()
        .filter(|a| a.status.can_expire())
        .filter(|a| a.request.principal == *id || a.involved.contains(id));
    events.extend(involved.map(|a| Event::ApprovalCancelled {
        id: a.id.clone(),
        reason: format!("{id} was disabled"),
    }));
    Ok(events)
}

pub(crate) fn enable(state: &State, id: &PrincipalId) -> Result<Vec<Event>, Refusal> {
    if principal(state, id)?.disabled {
        return Ok(vec![Event::PrincipalEnabled { id: id.clone() }]);
    }
    Ok(Vec::new())
}

pub(crate) fn set_groups(
    state: &State,
    id: &PrincipalId,
    groups: &BTreeSet<GroupName>,
) -> Result<Vec<Event>, Refusal> {
    let known = principal(state, id)?;
    if known.groups == *groups {
        return Ok(Vec::new());
    }
    if !groups.iter().any(|g| g.as_str() == GROUP_ADMINS) {
        keeps_an_admin(state, id)?;
    }
    let mut events = new_groups(state, groups)?;
    events.push(Event::PrincipalGroupsSet { id: id.clone(), groups: groups.clone() });
    Ok(events)
}

/// Somebody must be able to administer after `leaving` cannot any more.
fn keeps_an_admin(state: &State, leaving: &PrincipalId) -> Result<(), Refusal> {
    if !state.is_member(leaving, &[GROUP_ADMINS]) {
        return Ok(());
    }
    let stays = |id: &PrincipalId| {
        id != leaving
            && state.is_member(id, &[GROUP_ADMINS])
            && state.actor(id).is_ok_and(|actor| !actor.involves(leaving))
    };
    if state.principals.keys().any(stays) {
        return Ok(());
    }
    Err(Refusal::Conflict(format!("{leaving} is the last of {GROUP_ADMINS}; add another first")))
}

pub(crate) fn principal<'s>(state: &'s State, id: &PrincipalId) -> Result<&'s Principal, Refusal> {
    state.principals.get(id).ok_or_else(|| unknown_principal(id))
}

fn unknown_principal(id: &PrincipalId) -> Refusal {
    Refusal::NotFound { what: "principal", name: id.to_string(), list: "writ identities list" }
}
