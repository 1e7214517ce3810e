//! One question to Cedar, with the answer read the strict way (C5).

use cedar_policy::{Authorizer, Context, Decision as Cedar, Entities, EntityUid, Request};
use writ_model::RuleId;

use crate::compile::{Policies, Rule};
use crate::entities::{BuildError, uid};

/// What Cedar said.
#[derive(Debug)]
pub(crate) enum Answer<'p> {
    /// Permitted by these rules.
    Yes(Vec<&'p Rule>),
    /// Refused: by these rules, or, where there are none, because nothing permits it.
    No(Vec<&'p Rule>),
    /// A rule could not be evaluated; counts as a deny (C5).
    Broken(Option<RuleId>, String),
}

/// Everything but principal, action and resource.
pub(crate) struct Asker<'p> {
    pub(crate) policies: &'p Policies,
    pub(crate) entities: Entities,
    pub(crate) context: Context,
    pub(crate) authorizer: Authorizer,
}

impl<'p> Asker<'p> {
    pub(crate) fn ask(
        &self,
        principal: &EntityUid,
        action: &str,
        resource: &EntityUid,
    ) -> Answer<'p> {
        match self.try_ask(principal, action, resource) {
            Ok(answer) => answer,
            Err(error) => Answer::Broken(None, error.0),
        }
    }

    fn try_ask(
        &self,
        principal: &EntityUid,
        action: &str,
        resource: &EntityUid,
    ) -> Result<Answer<'p>, BuildError> {
        let action = uid("Action", action)?;
        let request =
            Request::new(principal.clone(), action, resource.clone(), self.context.clone(), None)
                .map_err(|e| BuildError(e.to_string()))?;
        let response = self.authorizer.is_authorized(&request, &self.policies.set, &self.entities);
        // C5: Cedar skips a rule that fails to evaluate, a `forbid` too. Any error is a deny here.
        if let Some(error) = response.diagnostics().errors().next() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(inner) = error;
            let rule = self.policies.rules.get(inner.policy_id()).map(|r| r.id.clone());
            return Ok(Answer::Broken(rule, error.to_string()));
        }
        let mut rules: Vec<&Rule> =
            response.diagnostics().reason().filter_map(|id| self.policies.rules.get(id)).collect();
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(match response.decision() {
            Cedar::Allow => Answer::Yes(rules),
            Cedar::Deny => Answer::No(rules),
        })
    }
}
