//! Who may read the lake: holders of a valid token who are members of a reading group, as the followed
//! configuration says at that moment.

use std::sync::Arc;

use tokio::sync::watch;
use writ_model::config::EdgeConfig;
use writ_model::{Actor, Principal, PrincipalId, Timestamp};
use writ_proto::token;

use crate::pg::{AuthError, Authenticator, Identity};

/// Members of any of these may read the lake.
pub(crate) const READER_GROUPS: [&str; 2] = ["auditors", "admins"];

/// Checks tokens against the followed configuration.
pub(crate) struct TokenAuthenticator {
    pub(crate) config: watch::Receiver<Arc<EdgeConfig>>,
}

impl Authenticator for TokenAuthenticator {
    fn authenticate(
        &self,
        user: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<Identity, AuthError> {
        let config = Arc::clone(&self.config.borrow());
        check(&config, user, password, now)
    }
}

fn check(
    config: &EdgeConfig,
    user: &str,
    password: &str,
    now: Timestamp,
) -> Result<Identity, AuthError> {
    if config.epoch.0 == 0 {
        let text = "the lake has no configuration yet and cannot check tokens; \
                    check that it reaches its control plane";
        return Err(AuthError::NotAllowed(text.to_owned()));
    }
    let verified = token::verify(password, &config.token_keys, now)
        .map_err(|error| AuthError::BadToken(error.to_string()))?;
    let id = verified.principal();
    if user != id.to_string() && user != id.name() {
        let text = format!("this token is {id}'s; connect as {} or {id}, not `{user}`", id.name());
        return Err(AuthError::BadToken(text));
    }
    let actor = config.actor(id).map_err(|error| AuthError::NotAllowed(error.to_string()))?;
    may_read(&actor)?;
    let involved: Vec<PrincipalId> =
        std::iter::once(id.clone()).chain(actor.chain_ids().cloned()).collect();
    Ok(Identity { principal: id.to_string(), involved })
}

/// An agent may read only what everyone whom it acts for may read too.
fn may_read(actor: &Actor) -> Result<(), AuthError> {
    let reads = |principal: &&Principal| {
        principal.groups.iter().any(|group| READER_GROUPS.contains(&group.as_str()))
    };
    match std::iter::once(&actor.principal).chain(&actor.chain).find(|p| !reads(p)) {
        None => Ok(()),
        Some(principal) => Err(AuthError::NotAllowed(format!(
            "{0} is in none of the groups {1}; an administrator can change that with \
             `writ identities groups {0} --add auditors`",
            principal.id,
            READER_GROUPS.join(", ")
        ))),
    }
}
