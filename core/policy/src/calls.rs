//! Functions: which of a statement's calls policy opens, or closes, by name.
//!
//! A function of the server that is known to be harmless needs no permit, and a `forbid` closes it. Any other makes its
//! statement opaque (E2), unless `Call` is permitted on it.

use std::borrow::Cow;

use cedar_policy::EntityUid;
use writ_model::{OpaqueReason, PrincipalId, StatementFacts};

use crate::ask::{Answer, Asker};
use crate::decide::{Tally, note};
use crate::entities::{Called, Subject, function_uid};
use crate::explain::{Refusal, broken, errored, forbidden};

/// The functions that questions are put about. `all`: the harmless ones too.
pub(crate) fn of(facts: &StatementFacts, all: bool) -> Vec<Called> {
    let mut found: Vec<Called> = facts.opaque.iter().filter_map(untrusted).collect();
    if all {
        let harmless = facts.functions.iter().filter_map(|name| called(name, true));
        for function in harmless {
            if !found.iter().any(|f| f.schema == function.schema && f.name == function.name) {
                found.push(function);
            }
        }
    }
    found
}

/// The function that makes a statement opaque, where it has a name that is one function's alone.
fn untrusted(reason: &OpaqueReason) -> Option<Called> {
    match reason {
        OpaqueReason::UntrustedFunction(name) => called(name, false),
        _ => None,
    }
}

/// `schema.name`, or a bare name of the server's. `None` where it could be read in two ways, or is no function's name.
fn called(text: &str, trusted: bool) -> Option<Called> {
    if text.contains(char::is_whitespace) {
        return None;
    }
    let (schema, name) = match text.split('.').collect::<Vec<_>>().as_slice() {
        [name] => ("pg_catalog", *name),
        [schema, name] => (*schema, *name),
        _ => return None,
    };
    Some(Called { schema: schema.to_owned(), name: name.to_owned(), trusted })
}

/// Asks about every function; gives the facts without what policy opened by name.
pub(crate) fn ask<'f>(
    asker: &Asker<'_>,
    principals: &[(PrincipalId, EntityUid)],
    s: &Subject<'_>,
    facts: &'f StatementFacts,
    tally: &mut Tally,
) -> Result<Cow<'f, StatementFacts>, Refusal> {
    let mut open = Cow::Borrowed(facts);
    for function in of(facts, asker.policies.forbids_calls) {
        if permitted(asker, principals, s, &function, tally)? {
            let opened = |reason: &OpaqueReason| untrusted(reason).as_ref() == Some(&function);
            if open.opaque.iter().any(opened) {
                open.to_mut().opaque.retain(|reason| !opened(reason));
            }
        }
    }
    Ok(open)
}

/// Whether everyone in the chain may call it. A rule that forbids it refuses.
fn permitted(
    asker: &Asker<'_>,
    principals: &[(PrincipalId, EntityUid)],
    s: &Subject<'_>,
    function: &Called,
    tally: &mut Tally,
) -> Result<bool, Refusal> {
    let resource = function_uid(s, function).map_err(|e| broken(&e))?;
    let mut all = true;
    for (id, principal) in principals {
        tally.asked = Some(id.clone());
        match asker.ask(principal, "Call", &resource) {
            Answer::Yes(rules) => note(&rules, tally),
            Answer::No(rules) if rules.is_empty() => all = false,
            Answer::No(rules) => return Err(forbidden(&rules)),
            Answer::Broken(rule, error) => return Err(errored(rule, &error)),
        }
    }
    Ok(all)
}
