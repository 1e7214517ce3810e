//! The questions each statement raises, and the verdict from their answers.

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, EntityUid};
use writ_model::{
    Decision, Denial, HoldTerms, Limits, PrincipalId, RuleId, StatementFacts, StatementKind,
    Verdict,
};

use crate::ask::{Answer, Asker};
use crate::calls;
use crate::compile::{Policies, Rule};
use crate::entities::{
    BuildError, ColumnSensitivity, Others, RequestContext, Subject, context, database_uid,
    entities, principal_uid, schema_uid, table_uid,
};
use crate::explain::{Refusal, broken, closed, errored, forbidden};

/// The verdict while questions are still being asked.
#[derive(Default)]
pub(crate) struct Tally {
    rules: BTreeSet<RuleId>,
    hold: Option<HoldTerms>,
    strict: bool,
    limits: Limits,
    /// Whom the question at hand is about.
    pub(crate) asked: Option<PrincipalId>,
}

/// Stops at the first refusal.
pub(crate) type Step = Result<(), Refusal>;

impl Policies {
    /// May this actor reach the database at all?
    #[must_use]
    pub fn connect(&self, s: &Subject<'_>, c: &RequestContext) -> Decision {
        let facts = no_statement();
        self.run(s, c, &facts, &[], |asker, principals, tally| {
            let database = database_uid(s).map_err(|e| broken(&e))?;
            for (id, principal) in principals {
                tally.asked = Some(id.clone());
                require(asker, principal, "Connect", &database, &facts, tally)?;
            }
            Ok(())
        })
    }

    /// May this statement go on, does it wait, or is it refused?
    #[must_use]
    pub fn decide(
        &self,
        s: &Subject<'_>,
        c: &RequestContext,
        facts: &StatementFacts,
        sensitive: &[ColumnSensitivity],
    ) -> Decision {
        self.run(s, c, facts, sensitive, |asker, principals, tally| {
            // What stays opaque once the functions that policy opens by name are known.
            let facts = &calls::ask(asker, principals, s, facts, tally)?;
            let questions = questions(s, facts).map_err(|e| broken(&e))?;
            let held = resources(s, facts).map_err(|e| broken(&e))?;
            for (id, principal) in principals {
                tally.asked = Some(id.clone());
                for (action, resource) in &questions {
                    require(asker, principal, action, resource, facts, tally)?;
                }
            }
            for (id, principal) in principals {
                tally.asked = Some(id.clone());
                for resource in &held {
                    approval(asker, principal, resource, facts, tally)?;
                }
            }
            Ok(())
        })
    }

    fn run(
        &self,
        s: &Subject<'_>,
        c: &RequestContext,
        facts: &StatementFacts,
        sensitive: &[ColumnSensitivity],
        ask: impl FnOnce(&Asker<'_>, &[(PrincipalId, EntityUid)], &mut Tally) -> Step,
    ) -> Decision {
        let mut tally = Tally { strict: facts.is_strict(), ..Tally::default() };
        let outcome =
            self.asker(s, c, facts, sensitive).map_err(|e| broken(&e)).and_then(|asker| {
                let principals = principals(s).map_err(|e| broken(&e))?;
                ask(&asker, &principals, &mut tally)
            });
        let Tally { rules, hold, strict, limits, asked: _ } = tally;
        let (verdict, rules) = match (outcome, hold) {
            (Err((rules, denial)), _) => (Verdict::Deny(denial), rules),
            (Ok(()), Some(terms)) => (Verdict::Hold(terms), rules),
            (Ok(()), None) => (Verdict::Allow, rules),
        };
        let strict = strict || matches!(verdict, Verdict::Hold(_));
        Decision { verdict, rules: rules.into_iter().collect(), epoch: s.epoch, strict, limits }
    }

    fn asker(
        &self,
        s: &Subject<'_>,
        c: &RequestContext,
        facts: &StatementFacts,
        sensitive: &[ColumnSensitivity],
    ) -> Result<Asker<'_>, BuildError> {
        let tables = facts
            .reads
            .iter()
            .chain(&facts.writes)
            .map(|r| (r.schema.as_str(), r.name.as_str()))
            .collect();
        let schemas: Vec<&str> = facts.define_schemas.iter().filter_map(Option::as_deref).collect();
        let functions = calls::of(facts, self.forbids_calls);
        let others = Others { schemas: &schemas, functions: &functions };
        Ok(Asker {
            policies: self,
            entities: entities(s, &tables, &[], &others)?,
            context: context(s, c, facts, sensitive)?,
            authorizer: Authorizer::new(),
        })
    }
}

/// The connected principal and everyone it acts for.
pub(crate) fn principals(s: &Subject<'_>) -> Result<Vec<(PrincipalId, EntityUid)>, BuildError> {
    let all = std::iter::once(&s.actor.principal).chain(&s.actor.chain);
    all.map(|principal| Ok((principal.id.clone(), principal_uid(principal)?))).collect()
}

/// The facts of a question that no statement raises.
pub(crate) fn no_statement() -> StatementFacts {
    StatementFacts { bounded: true, ..StatementFacts::default() }
}

pub(crate) fn administers(kind: StatementKind) -> bool {
    use StatementKind as K;
    matches!(kind, K::Grant | K::Role | K::SetRole | K::Server | K::CopyProgram | K::CopyServerFile)
}

/// The permissions that the statement needs, in the order in which a refusal explains most.
fn questions(
    s: &Subject<'_>,
    facts: &StatementFacts,
) -> Result<Vec<(&'static str, EntityUid)>, BuildError> {
    use StatementKind as K;
    let database = database_uid(s)?;
    let has = |wanted: &[K]| facts.kinds.iter().any(|k| wanted.contains(k));
    let mut asked = Vec::new();
    if facts.kinds.iter().any(|k| administers(*k)) {
        asked.push(("Administer", database.clone()));
    }
    // E2: these are opaque even where the analysis gave no reason.
    if !facts.opaque.is_empty() || has(&[K::Unknown, K::Do, K::Call]) {
        asked.push(("RunOpaque", database.clone()));
    }
    if has(&[K::Create, K::Alter, K::Drop, K::Maintenance]) {
        let place = |schema: &Option<String>| match schema {
            Some(schema) => schema_uid(s, schema),
            None => Ok(database.clone()),
        };
        for schema in &facts.define_schemas {
            asked.push(("Define", place(schema)?));
        }
        if facts.define_schemas.is_empty() {
            asked.push(("Define", database.clone()));
        }
    }
    let writes_kind =
        has(&[K::Insert, K::Update, K::Delete, K::Merge, K::Truncate, K::CopyIn]) || !facts.bounded;
    if writes_kind && facts.writes.is_empty() {
        asked.push(("Write", database.clone()));
    }
    for table in &facts.writes {
        asked.push(("Write", table_uid(s, &table.schema, &table.name)?));
    }
    for table in &facts.reads {
        asked.push(("Read", table_uid(s, &table.schema, &table.name)?));
    }
    if has(&[K::CopyOut]) {
        for table in &facts.reads {
            asked.push(("Export", table_uid(s, &table.schema, &table.name)?));
        }
        if facts.reads.is_empty() {
            asked.push(("Export", database.clone()));
        }
    }
    if asked.is_empty() {
        asked.push(("Read", database));
    }
    Ok(asked)
}

/// What an approval could be needed for: every table the statement uses, or the database.
fn resources(s: &Subject<'_>, facts: &StatementFacts) -> Result<BTreeSet<EntityUid>, BuildError> {
    let mut found = facts
        .reads
        .iter()
        .chain(&facts.writes)
        .map(|t| table_uid(s, &t.schema, &t.name))
        .collect::<Result<BTreeSet<_>, _>>()?;
    if found.is_empty() || !facts.defines.is_empty() {
        found.insert(database_uid(s)?);
    }
    Ok(found)
}

fn require(
    asker: &Asker<'_>,
    principal: &EntityUid,
    action: &str,
    resource: &EntityUid,
    facts: &StatementFacts,
    tally: &mut Tally,
) -> Step {
    match asker.ask(principal, action, resource) {
        Answer::Yes(rules) => {
            note(&rules, tally);
            Ok(())
        }
        Answer::No(rules) if rules.is_empty() => Err(closed(action, facts)),
        Answer::No(rules) => {
            note(&rules, tally);
            Err(forbidden(&rules))
        }
        Answer::Broken(rule, error) => Err(errored(rule, &error)),
    }
}

fn approval(
    asker: &Asker<'_>,
    principal: &EntityUid,
    resource: &EntityUid,
    facts: &StatementFacts,
    tally: &mut Tally,
) -> Step {
    match asker.ask(principal, "WithoutApproval", resource) {
        Answer::Yes(rules) => {
            note(&rules, tally);
            Ok(())
        }
        Answer::No(rules) if rules.is_empty() => Err(closed("WithoutApproval", facts)),
        Answer::No(rules) if rules.iter().any(|r| r.hold.is_none()) => Err(forbidden(&rules)),
        Answer::No(rules) => {
            note(&rules, tally);
            rules.iter().filter_map(|r| r.hold.as_ref()).try_for_each(|terms| merge(tally, terms))
        }
        Answer::Broken(rule, error) => Err(errored(rule, &error)),
    }
}

pub(crate) fn note(rules: &[&Rule], tally: &mut Tally) {
    if let Some(who) = tally.asked.clone() {
        rules.iter().for_each(|rule| rule.limits.add_to(&mut tally.limits, &who));
    }
    tally.rules.extend(rules.iter().map(|r| r.id.clone()));
    tally.strict |= rules.iter().any(|r| r.strict);
}

/// Adds `terms`: the approvers common to all rules, the largest quorum, the shortest wait. Rules without a common
/// approver cannot all be satisfied by one set of votes, so that is a refusal rather than a weaker hold.
fn merge(tally: &mut Tally, terms: &HoldTerms) -> Step {
    let Some(hold) = &mut tally.hold else {
        tally.hold = Some(terms.clone());
        return Ok(());
    };
    hold.approvers.retain(|group| terms.approvers.contains(group));
    hold.quorum = hold.quorum.max(terms.quorum);
    hold.expires = hold.expires.min(terms.expires);
    if !hold.reason.contains(&terms.reason) {
        hold.reason = format!("{}; {}", hold.reason, terms.reason);
    }
    if hold.approvers.is_empty() {
        let denial = Denial {
            reason: "several rules hold this statement and no group may approve for all of them"
                .to_owned(),
            next_step: "ask a policy author to name a common group in their @approvers".to_owned(),
        };
        return Err((tally.rules.clone(), denial));
    }
    Ok(())
}
