//! Refusals: which rules made them, why in a sentence, and the next step.

use std::collections::BTreeSet;

use writ_model::{Denial, OpaqueReason, RuleId, StatementFacts};

use crate::compile::Rule;
use crate::decide::administers;
use crate::entities::BuildError;

/// The rules that refuse, and what the client is told.
pub(crate) type Refusal = (BTreeSet<RuleId>, Denial);

pub(crate) fn forbidden(rules: &[&Rule]) -> Refusal {
    let ids: BTreeSet<RuleId> = rules.iter().map(|r| r.id.clone()).collect();
    let first = |pick: fn(&Rule) -> Option<&String>| rules.iter().find_map(|r| pick(r)).cloned();
    let denial = Denial {
        reason: first(|r| r.reason.as_ref()).unwrap_or_else(|| "a policy forbids it".to_owned()),
        next_step: first(|r| r.next_step.as_ref())
            .unwrap_or_else(|| "ask a policy author about the named rule".to_owned()),
    };
    (ids, denial)
}

fn built_in(rule: &str, reason: String, next_step: &str) -> Refusal {
    let rules = rule.parse().into_iter().collect();
    (rules, Denial { reason, next_step: next_step.to_owned() })
}

/// Nothing permits it: the closed default, explained by action.
pub(crate) fn closed(action: &str, facts: &StatementFacts) -> Refusal {
    match action {
        "RunOpaque" => opaque(facts),
        "Administer" => {
            let kinds: Vec<&str> =
                facts.kinds.iter().filter(|k| administers(**k)).map(|k| k.as_str()).collect();
            built_in(
                "closed.administer",
                format!("no policy permits {} through the gateway", kinds.join(", ")),
                "ask a policy author to permit Action::\"Administer\" for this case",
            )
        }
        "Define" if facts.define_schemas.contains(&None) => built_in(
            "closed.define",
            "no policy permits Define here, and which schema the object is in is not known"
                .to_owned(),
            "write the object's name with its schema, in a statement by itself, or ask a policy author",
        ),
        "Connect" => built_in(
            "closed.connect",
            "no policy lets this principal reach the database".to_owned(),
            "ask an administrator to add the principal to a group",
        ),
        other => built_in(
            &format!("closed.{}", other.to_ascii_lowercase()),
            format!("no policy permits {other} here"),
            "ask a policy author to permit it",
        ),
    }
}

fn opaque(facts: &StatementFacts) -> Refusal {
    let Some(why) = facts.opaque.first() else {
        let reason = "the statement is of a kind that is not known".to_owned();
        return built_in("closed.opaque", reason, "use a plain SQL statement");
    };
    let detail = why.detail();
    let (reason, next_step) = match why {
        OpaqueReason::Syntax(_) => {
            (format!("the statement does not parse: {detail}"), "correct the statement")
        }
        OpaqueReason::Limit(_) => {
            (format!("the statement passes a limit: {detail}"), "make the statement smaller")
        }
        OpaqueReason::UnknownNode(_) => {
            (format!("{detail} is not analysed yet"), "write the statement another way")
        }
        OpaqueReason::UnknownRelation(_) => (
            format!("relation {detail} does not exist or is too new for the gateway's catalog"),
            "check the name; if the relation was just made, try again in a few seconds",
        ),
        OpaqueReason::UnknownColumn(_) => {
            (format!("column {detail} cannot be resolved"), "qualify it with its table's name")
        }
        OpaqueReason::UntrustedFunction(_) => (
            format!("function {detail} is not known to be harmless"),
            "leave the function out, or ask a policy author to permit Action::\"Call\" on it",
        ),
        OpaqueReason::DynamicSql(_) => (
            format!("{detail} runs text that cannot be analysed"),
            "send the inner statement itself",
        ),
        OpaqueReason::Rewrite(_) => (
            format!("masked data is used in a way that cannot be masked soundly: {detail}"),
            "select from the table directly, or leave the masked columns out",
        ),
        OpaqueReason::Oracle(_) => (
            format!(
                "the constraint {detail} would answer whether a value that is masked for you exists"
            ),
            "leave the columns of that constraint out, ask a person to run it, or ask an administrator for unmasked \
             access to them",
        ),
        OpaqueReason::Session(_) => (
            format!("the session's state is not known: {detail}"),
            "send the statements one at a time, or reconnect",
        ),
    };
    built_in("closed.opaque", reason, next_step)
}

pub(crate) fn errored(rule: Option<RuleId>, error: &str) -> Refusal {
    let (mut rules, denial) = built_in(
        "closed.error",
        format!("a policy could not be evaluated, so the answer is no: {error}"),
        "ask a policy author to correct the named rule",
    );
    rules.extend(rule);
    (rules, denial)
}

pub(crate) fn broken(error: &BuildError) -> Refusal {
    errored(None, &error.0)
}
