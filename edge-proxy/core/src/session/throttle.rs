//! Statements a second: a session's next statement waits for its turn, and is refused where that is too far off.

use std::sync::Arc;

use writ_model::Timestamp;
use writ_model::sqlstate::SqlState;

use super::{Cx, Session};
use crate::frame::Header;
use crate::gate::Gate;
use crate::outbox::Effect;
use crate::rate::{DELAY_MAX_US, Rate, Turn};

/// configuration_limit_exceeded.
pub(crate) const TOO_FAST: SqlState = SqlState("53400");

/// How the message at the front of the client's buffer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Front {
    /// Not asked yet.
    #[default]
    New,
    /// It waits.
    Waits { until: Timestamp, refused: bool, woken: bool },
    /// Its turn has come.
    Due,
    /// It has none.
    Refused,
}

/// A session's part of its principal's rate; `None`: there is no limit.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    rate: Option<Arc<Rate>>,
    front: Front,
    /// Statements that were counted at their Parse: their Execute is not counted again.
    parsed: u32,
}

impl Throttle {
    /// The message at the front is dealt with.
    pub(crate) fn next(&mut self) {
        self.front = Front::New;
    }

    /// Whether messages of this type are counted: one for a statement, whichever way it is sent.
    pub(crate) fn counts(&self, tag: u8) -> bool {
        self.rate.is_some() && matches!(tag, b'Q' | b'P' | b'E' | b'F')
    }

    fn ask(&mut self, tag: u8, now: Timestamp) -> Front {
        let Some(rate) = &self.rate else { return Front::Due };
        if tag == b'E' && self.parsed > 0 {
            self.parsed -= 1;
            return Front::Due;
        }
        let waits = |until, refused| Front::Waits { until, refused, woken: true };
        let turn = rate.take(now);
        if tag == b'P' && turn != Turn::TooLate {
            self.parsed = self.parsed.saturating_add(1);
        }
        match turn {
            Turn::Now => Front::Due,
            Turn::At(until) => waits(until, false),
            Turn::TooLate => waits(Timestamp(now.0.saturating_add(DELAY_MAX_US)), true),
        }
    }
}

impl<G: Gate> Session<G> {
    /// Counts the session's statements in `rate`, which it shares with its principal's other sessions.
    pub fn set_rate(&mut self, rate: Option<Arc<Rate>>) {
        self.throttle.rate = rate;
    }

    /// The time of [`Effect::Wake`] has come. Call [`Session::on_client`] afterwards.
    pub fn on_wake(&mut self) {
        if let Front::Waits { woken, .. } = &mut self.throttle.front {
            *woken = true;
        }
    }

    /// Whether the message has to wait for its turn, or is refused now: `Some` of how many bytes of it are dealt with.
    /// `None`: it goes on.
    pub(crate) fn throttled(&mut self, header: Header, cx: &mut Cx<'_>) -> Option<Option<usize>> {
        if self.throttle.front == Front::New {
            self.throttle.front = self.throttle.ask(header.tag, cx.now);
        }
        if let Front::Waits { until, refused, woken } = &mut self.throttle.front {
            if cx.now < *until {
                if std::mem::replace(woken, false) {
                    cx.out.effects.push(Effect::Wake { at: *until, refused: *refused });
                }
                return Some(None);
            }
            self.throttle.front = if *refused { Front::Refused } else { Front::Due };
        }
        if self.throttle.front == Front::Due {
            return None;
        }
        let rate = self.throttle.rate.as_ref().map_or(0, |rate| rate.per_second());
        let ruling = self.gate.refuse(
            TOO_FAST,
            &format!("this principal may run {rate} statements a second on this edge, and more than {} s of them wait", DELAY_MAX_US / 1_000_000),
            "send fewer at once, or ask an operator of the edge for more statements_per_second",
        );
        Some(self.refuse_frame(header, &ruling, cx))
    }
}
