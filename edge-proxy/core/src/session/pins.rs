//! What statements leave behind in a connection.

use writ_model::facts::{CursorUse, SessionEffect};
use writ_model::{StatementFacts, StatementKind};

/// Functions of the server that leave something in the connection, or change what it does later.
const KEEPING: &[&str] = &[
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_shared",
    "pg_advisory_unlock_all",
    "set_config",
    "setseed",
    "pg_create_logical_replication_slot",
    "pg_create_physical_replication_slot",
    "pg_copy_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_replication_origin_session_setup",
    "pg_replication_origin_session_reset",
];
/// The schema of the server's own functions.
const CATALOG: &str = "pg_catalog.";

/// Whether calling it may leave something. Functions that are not the server's may do anything (E2).
fn keeps(function: &str) -> bool {
    function.strip_prefix(CATALOG).is_none_or(|name| KEEPING.contains(&name))
}

fn pins(kind: StatementKind) -> Option<&'static str> {
    use StatementKind as Kind;
    Some(match kind {
        Kind::SetRole => "a role",
        Kind::Notify => "LISTEN",
        Kind::Do | Kind::Call => "code",
        Kind::Discard => "DISCARD",
        Kind::Server => "a change of the server",
        Kind::Unknown => "a statement that is not known",
        _ => return None,
    })
}

/// Why a connection in which this ran cannot be another session's. `None`: nothing is left once its transaction ended.
pub(crate) fn pin_of(facts: &StatementFacts) -> Option<&'static str> {
    let held = |cursor: &CursorUse| matches!(cursor, CursorUse::Declare { hold: true, .. });
    let session = |effect| facts.session.contains(&effect);
    if !facts.opaque.is_empty() {
        Some("a part that is not known")
    } else if !facts.settings.is_empty() || session(SessionEffect::ReadWrite) {
        Some("SET")
    } else if !facts.prepares.is_empty() || !facts.executes.is_empty() {
        Some("PREPARE")
    } else if let Some(why) = facts.kinds.iter().find_map(|kind| pins(*kind)) {
        Some(why)
    } else if session(SessionEffect::Names) {
        Some("temporary relations or names")
    } else if facts.cursors.iter().any(held) {
        Some("a cursor WITH HOLD")
    } else if facts.functions.iter().any(|function| keeps(function)) {
        Some("a function that may keep something")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<T>(change: impl FnOnce(&mut StatementFacts) -> T) -> StatementFacts {
        let mut facts = StatementFacts::default();
        facts.kinds.insert(StatementKind::Select);
        change(&mut facts);
        facts
    }

    #[test]
    fn what_ends_with_its_transaction_pins_nothing() {
        for plain in [
            facts(|_| {}),
            facts(|f| f.functions.insert("pg_catalog.now".into())),
            facts(|f| f.functions.insert("pg_catalog.pg_advisory_xact_lock".into())),
            facts(|f| f.kinds.insert(StatementKind::Lock)),
            // DEALLOCATE leaves less than there was.
            facts(|f| f.kinds.insert(StatementKind::Prepare)),
            facts(|f| f.session.insert(SessionEffect::TransactionEnd)),
            facts(|f| f.cursors.insert(CursorUse::Declare { name: "c".into(), hold: false })),
        ] {
            assert_eq!(pin_of(&plain), None, "{plain:?}");
        }
    }

    #[test]
    fn what_stays_in_a_connection_pins_it() {
        for (pinning, why) in [
            (facts(|f| f.settings.insert("work_mem".into())), "SET"),
            (facts(|f| f.prepares.insert("p".into())), "PREPARE"),
            (facts(|f| f.executes.insert("p".into())), "PREPARE"),
            (facts(|f| f.session.insert(SessionEffect::ReadWrite)), "SET"),
            (facts(|f| f.kinds.insert(StatementKind::Notify)), "LISTEN"),
            (facts(|f| f.kinds.insert(StatementKind::SetRole)), "a role"),
            (facts(|f| f.session.insert(SessionEffect::Names)), "temporary relations or names"),
            (
                facts(|f| f.cursors.insert(CursorUse::Declare { name: "c".into(), hold: true })),
                "a cursor WITH HOLD",
            ),
            (
                facts(|f| f.functions.insert("pg_catalog.pg_advisory_lock".into())),
                "a function that may keep something",
            ),
            (
                facts(|f| f.functions.insert("public.dblink_connect".into())),
                "a function that may keep something",
            ),
        ] {
            assert_eq!(pin_of(&pinning), Some(why), "{pinning:?}");
        }
    }
}
