//! The planner's estimate, where a rule looks at it: the text waits until the planner was asked over a connection of the
//! edge's own, and is decided with what it said. E1: only a text that policy lets go on without the estimate is asked
//! about.

use std::sync::Arc;

use writ_model::{DurationMs, Timestamp};

use super::{Cx, Session};
use crate::gate::{Gate, Ruling};
use crate::outbox::Effect;

/// How long an answer holds for a text that keeps coming back, such as one that waits for an approval.
const ESTIMATE_AGE_MAX: DurationMs = DurationMs::from_seconds(10);

/// One question to the planner.
#[derive(Debug)]
pub(crate) struct Estimate {
    text: Box<[u8]>,
    asked_at: Timestamp,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Awaited,
    Said(Option<u64>),
}

impl<G: Gate> Session<G> {
    /// What the planner said; `None`: it does not know. Call [`Session::on_client`] afterwards.
    pub fn on_estimate(&mut self, rows: Option<u64>) {
        if let Some(estimate) = &mut self.estimate
            && matches!(estimate.answer, Answer::Awaited)
        {
            estimate.answer = Answer::Said(rows);
        }
    }

    /// The ruling on a text, made with the planner's estimate where a rule wants it. `None`: not known yet.
    pub(crate) fn rule_text(&mut self, text: &[u8], cx: &mut Cx<'_>) -> Option<Arc<Ruling>> {
        if self.estimate.as_ref().is_some_and(|e| matches!(e.answer, Answer::Awaited)) {
            return None;
        }
        let ruling = self.gate.rule(text, cx.now);
        if self.look_again(text, &ruling, cx) {
            return None;
        }
        if !self.gate.wants_estimate(&ruling) {
            return Some(ruling);
        }
        if let Some(Estimate { text: of, asked_at, answer: Answer::Said(rows) }) = &self.estimate
            && **of == *text
            && cx.now.since(*asked_at) <= ESTIMATE_AGE_MAX
        {
            return Some(self.gate.rule_expecting(text, *rows, cx.now));
        }
        self.estimate =
            Some(Estimate { text: text.into(), asked_at: cx.now, answer: Answer::Awaited });
        cx.out.effects.push(Effect::Estimate {
            search_path: self.gate.names().search_path.clone(),
            // E3: what is masked must not be told by what is decided.
            text: String::from_utf8_lossy(ruling.sent()).into_owned(),
            parameters: ruling.facts.parameters,
        });
        None
    }
}
