//! What a running limit or a read-only session refuses beforehand: statements that could not be held to it.

use writ_model::facts::SessionEffect;
use writ_model::{Denial, Limits, OpaqueReason, StatementFacts, StatementKind};

/// The rule that a read-only session names.
pub(super) const READ_ONLY_RULE: &str = "read-only-session";
/// The rule that a bound on changed rows names.
pub(super) const BOUND_RULE: &str = "bounded-changes";

/// Why a statement is refused whatever else policy says; and the rule's name.
pub(super) fn refusal(
    facts: &StatementFacts,
    limits: &Limits,
    read_only: bool,
) -> Option<(&'static str, Denial)> {
    if read_only && let Some(denial) = read_only_refusal(facts) {
        return Some((READ_ONLY_RULE, denial));
    }
    let uncounted = limits.rows_affected_max.is_some() && facts.uncounted_changes;
    uncounted.then(|| {
        let denial = Denial {
            reason: "policy bounds the rows that a statement changes, and the server does not count them here".into(),
            next_step: "send the INSERT, UPDATE, DELETE or MERGE as a statement of its own, not inside WITH, \
                        COPY or EXPLAIN ANALYZE; DELETE instead of TRUNCATE"
                .into(),
        };
        (BOUND_RULE, denial)
    })
}

/// The server is told to be read-only too; here nothing gets as far as to tell it otherwise.
fn read_only_refusal(facts: &StatementFacts) -> Option<Denial> {
    let denial =
        |reason: String, next_step: &str| Some(Denial { reason, next_step: next_step.to_owned() });
    if facts.session.contains(&SessionEffect::ReadWrite) {
        return denial(
            "this session is read-only by policy, and cannot be made anything else".into(),
            "leave READ WRITE and settings of read-only transactions alone",
        );
    }
    if let Some(why) = facts.opaque.first() {
        let what = match why {
            OpaqueReason::UntrustedFunction(name) => format!("function {name}"),
            other => other.detail().to_owned(),
        };
        return denial(
            format!(
                "this session is read-only by policy, and whether {what} changes anything is not known"
            ),
            "leave it out; only what is known to read runs here",
        );
    }
    let changes = |kind: &&StatementKind| kind.changes() || **kind == StatementKind::SetRole;
    if let Some(kind) = facts.kinds.iter().find(changes) {
        return denial(
            format!("this session is read-only by policy: {} is not for it", kind.as_str()),
            "connect as a principal that may write, or ask a policy author",
        );
    }
    // COMMIT PREPARED makes another session's changes.
    let finishes_other = facts.kinds.contains(&StatementKind::Transaction)
        && facts.session.contains(&SessionEffect::Definitions);
    if !facts.writes.is_empty() || finishes_other {
        return denial(
            "this session is read-only by policy, and the statement changes rows".into(),
            "connect as a principal that may write, or ask a policy author",
        );
    }
    None
}
