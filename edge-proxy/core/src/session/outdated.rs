//! What is refused because a name is not known, or means something else than it should, is looked at once more with the
//! newest catalog: someone may just have made it, through another session or past the gateway.

use writ_model::{OpaqueReason, Verdict};

use super::{Cx, Session, Transaction};
use crate::gate::{Gate, Ruling};
use crate::outbox::Effect;

/// How many texts of one message are looked at again: an EXECUTE may stand for several.
const LOOKED_MAX: usize = 8;

/// Whether another catalog could make another ruling.
fn may_be_outdated(ruling: &Ruling) -> bool {
    use OpaqueReason as R;
    let by_names = |reason: &R| match reason {
        R::UnknownRelation(_)
        | R::UnknownColumn(_)
        | R::UntrustedFunction(_)
        | R::Session(_)
        | R::Rewrite(_)
        | R::Oracle(_) => true,
        R::Syntax(_) | R::Limit(_) | R::UnknownNode(_) | R::DynamicSql(_) => false,
    };
    let opaque = &ruling.facts.opaque;
    let refused = matches!(ruling.decision.verdict, Verdict::Deny(_));
    refused && !opaque.is_empty() && opaque.iter().all(by_names)
}

impl<G: Gate> Session<G> {
    /// Whether the catalog is read again before `text` is refused. The text waits then.
    pub(crate) fn look_again(&mut self, text: &[u8], ruling: &Ruling, cx: &mut Cx<'_>) -> bool {
        if !may_be_outdated(ruling) || self.transaction == Transaction::Failed || self.skipping {
            return false;
        }
        // Once for each text, however long the answer took: the list is emptied with the message.
        let looked = self.looked.iter().any(|before| **before == *text);
        if looked || self.looked.len() >= LOOKED_MAX {
            return false;
        }
        self.looked.push(text.into());
        if self.stale.catalog_in_transaction {
            // This session sees its own definitions, and has to ask for what others made beside them.
            self.stale.catalog = true;
            let _ = self.ready_to_rule(None, cx);
        } else {
            self.stale.awaiting_database = true;
            cx.out.effects.push(Effect::RefreshDatabase);
        }
        true
    }
}
