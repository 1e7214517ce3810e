//! What is refused because a name is not known, or means something else than it should, is looked at once more with the
//! newest catalog: someone may just have made it, through another session or past the gateway.

use writ_model::{DurationMs, OpaqueReason, Timestamp, Verdict};

use super::{Cx, Session, Transaction};
use crate::gate::{Gate, Ruling};
use crate::outbox::Effect;

/// How long a text that stayed refused is taken to stay so.
const LOOKED_AGE_MAX: DurationMs = DurationMs::from_seconds(1);

/// The last text that was looked at again.
#[derive(Debug)]
pub(crate) struct Looked {
    text: Box<[u8]>,
    at: Timestamp,
}

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
        let looked = |l: &Looked| *l.text == *text && cx.now.since(l.at) <= LOOKED_AGE_MAX;
        if self.looked.as_ref().is_some_and(looked) {
            return false;
        }
        self.looked = Some(Looked { text: text.into(), at: cx.now });
        if self.stale.catalog_in_transaction {
            // This session sees its own definitions, and has to ask for what others made beside them.
            self.stale.catalog = true;
            let _ = self.ready_to_rule(cx);
        } else {
            self.stale.awaiting_database = true;
            cx.out.effects.push(Effect::RefreshDatabase);
        }
        true
    }
}
