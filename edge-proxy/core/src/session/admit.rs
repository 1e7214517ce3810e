//! Admission: from a ruling to a [`Permit`], by way of an approval and a durable record where those are due.
//!
//! The client's message stays in its buffer while its admission waits; each event makes the session look at it again.

use std::sync::Arc;

use writ_audit::{Effect as RecordEffect, ProtocolKind};
use writ_model::approval::Binding;
use writ_model::sqlstate::{self, SqlState};
use writ_model::{ApprovalId, Verdict};

use super::running::{IntentParts, Running};
use super::{Cx, Session};
use crate::gate::{Gate, Permit, Ruling};
use crate::outbox::{ApprovalAsk, ApprovalNews, Effect, Outbox};
use crate::write::Message;

/// A statement that waits is asked about again after this many changes of the configuration at most.
const ASKED_AGAIN_MAX: u32 = 16;

/// A statement whose admission is not finished.
#[derive(Debug)]
pub(crate) enum Admission {
    Held(Held),
    /// Its intent is written and has to be durable before it goes on (E6).
    Recorded {
        seq: u64,
        run: Running,
    },
}

impl Admission {
    /// E1: whether what was admitted so far is what would be sent now, for this text and no other.
    fn is_of(&self, ruling: &Ruling) -> bool {
        match self {
            Self::Held(held) => held.ruling.text == ruling.text,
            Self::Recorded { run, .. } => {
                let denied = matches!(ruling.decision.verdict, Verdict::Deny(_));
                !denied && run.ruling.text == ruling.text && run.ruling.sent() == ruling.sent()
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Asked,
    Waiting,
    Granted,
    Using,
    Used,
    Ended(String),
}

/// A statement that waits for an approval.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: Option<ApprovalId>,
    pub(crate) number: u64,
    ruling: Arc<Ruling>,
    stage: Stage,
    /// How often the configuration changed while it waited.
    asked_again: u32,
}

impl Held {
    pub(crate) fn news(&mut self, news: ApprovalNews, out: &mut Outbox) {
        match (&self.stage, news) {
            // Said again where a voter saw fewer sessions than wait, and this one waits in another request.
            (Stage::Asked | Stage::Waiting, ApprovalNews::Pending { id, expires }) => {
                notice(&self.ruling, &id, expires.0 / 1_000).put(b'N', &mut out.to_client);
                self.id = Some(id);
                self.stage = Stage::Waiting;
            }
            (Stage::Waiting, ApprovalNews::Granted) => self.stage = Stage::Granted,
            (Stage::Using, ApprovalNews::Used) => self.stage = Stage::Used,
            (Stage::Ended(_), _) => {}
            (_, ApprovalNews::Ended(reason)) => self.stage = Stage::Ended(reason),
            // Anything else is late or twice: it changes nothing (C4: never towards an allow).
            _ => {}
        }
    }

    /// What it is about.
    pub(crate) fn ruling(&self) -> &Ruling {
        &self.ruling
    }

    /// Whether nothing happens until approvers have voted.
    pub(crate) fn waits_for_votes(&self) -> bool {
        matches!(self.stage, Stage::Asked | Stage::Waiting)
    }

    pub(crate) fn end(&mut self, reason: &str) {
        self.stage = Stage::Ended(reason.to_owned());
    }
}

fn notice(ruling: &Ruling, id: &ApprovalId, seconds: u64) -> Message {
    let (approvers, reason) = match &ruling.decision.verdict {
        Verdict::Hold(terms) => (groups(&terms.approvers), terms.reason.as_str()),
        _ => (String::new(), ""),
    };
    Message {
        severity: "NOTICE",
        code: SqlState("00000"),
        message: format!("waiting for approval {id} by {approvers}, for {seconds} s: {reason}"),
        detail: detail(ruling, Some(id)),
        hint: format!("to approve: writ approvals approve {id}; to give up: cancel (Ctrl-C)"),
        routine: "",
    }
}

fn groups(groups: &[writ_model::GroupName]) -> String {
    groups.iter().map(|g| g.as_str()).collect::<Vec<_>>().join(" or ")
}

/// The next step of a refusal that says what the server would say, word for word: none, and no rule either.
pub(crate) const AS_THE_SERVER: &str = "";
/// The server's function that says so of a prepared statement. postgres.js goes by it to prepare again.
const LOOKS_STATEMENTS_UP: &str = "FetchPreparedStatement";

/// The DETAIL of everything that Writ says about a statement.
pub(crate) fn detail(ruling: &Ruling, request: Option<&ApprovalId>) -> String {
    let rules = ruling.rules();
    let epoch = ruling.decision.epoch;
    match request {
        Some(id) => format!("rule={rules} request={id} epoch={epoch}"),
        None => format!("rule={rules} epoch={epoch}"),
    }
}

/// How an admission stands.
pub(crate) enum Admit {
    /// It goes on.
    Go(Permit, Running),
    /// It does not; the run carries what the client will see.
    Refuse(Running),
    /// Not known yet.
    Wait,
}

impl<G: Gate> Session<G> {
    /// Decides how the statement at the front of the client's buffer goes on. Called again after each event.
    pub(crate) fn admit(
        &mut self,
        ruling: &Arc<Ruling>,
        protocol: ProtocolKind,
        bind: Option<&[u8]>,
        cx: &mut Cx<'_>,
    ) -> Admit {
        match self.admission_of(ruling, cx) {
            None => {
                let number = self.next_number();
                match &ruling.decision.verdict {
                    Verdict::Allow => self.record(number, ruling, protocol, bind, None, cx),
                    Verdict::Deny(_) => self.refuse(number, ruling, protocol, bind, cx),
                    Verdict::Hold(_) => self.ask(number, ruling, bind, 0, cx),
                }
            }
            Some(Admission::Held(held)) => self.resume(held, ruling, protocol, bind, cx),
            Some(Admission::Recorded { seq, run }) => self.go_when_durable(seq, run, cx),
        }
    }

    /// What is known of the admission of the statement that `ruling` is about.
    fn admission_of(&mut self, ruling: &Ruling, cx: &mut Cx<'_>) -> Option<Admission> {
        if self.admission.as_ref().is_some_and(|admission| !admission.is_of(ruling)) {
            self.abandon_admission("another statement came in its place", cx);
        }
        self.admission.take()
    }

    fn resume(
        &mut self,
        mut held: Held,
        ruling: &Arc<Ruling>,
        protocol: ProtocolKind,
        bind: Option<&[u8]>,
        cx: &mut Cx<'_>,
    ) -> Admit {
        let before = held.ruling.decision.epoch;
        let now = ruling.decision.epoch;
        // C4: what was approved was this statement under this epoch.
        if before != now && !matches!(held.stage, Stage::Ended(_)) {
            cx.out.effects.push(Effect::CancelApproval {
                id: held.id.clone(),
                reason: "the configuration changed",
            });
            if matches!(ruling.decision.verdict, Verdict::Hold(_))
                && held.asked_again < ASKED_AGAIN_MAX
            {
                // A migration makes tables, and finding out what is in them changes the configuration. What was said
                // about the old request is void; the new one is a statement of its own.
                let number = self.next_number();
                return self.ask(number, ruling, bind, held.asked_again + 1, cx);
            }
            held.stage = Stage::Ended(format!(
                "the configuration changed from epoch {before} to {now}; run it again"
            ));
        }
        if matches!(ruling.decision.verdict, Verdict::Deny(_))
            && !matches!(held.stage, Stage::Ended(_))
        {
            // E1: the catalog or the time may refuse under the same epoch what was held, and no approval lets that pass.
            cx.out.effects.push(Effect::CancelApproval {
                id: held.id.clone(),
                reason: "policy refuses the statement now",
            });
            return self.refuse(held.number, ruling, protocol, bind, cx);
        }
        match &held.stage {
            Stage::Asked | Stage::Waiting | Stage::Using => {}
            Stage::Granted => {
                if let Some(id) = held.id.clone() {
                    let digest = self.binding(ruling, bind).digest();
                    cx.out.effects.push(Effect::UseGrant {
                        number: held.number,
                        id,
                        digest,
                        epoch: now,
                    });
                    held.stage = Stage::Using;
                }
            }
            Stage::Used => {
                return self.record(held.number, ruling, protocol, bind, held.id.as_ref(), cx);
            }
            Stage::Ended(reason) => {
                let message = approval_ended(ruling, held.id.as_ref(), reason);
                let id = held.id.as_ref();
                return self.withhold(held.number, ruling, protocol, bind, id, message, cx);
            }
        }
        self.admission = Some(Admission::Held(held));
        Admit::Wait
    }

    fn ask(
        &mut self,
        number: u64,
        ruling: &Arc<Ruling>,
        bind: Option<&[u8]>,
        asked_again: u32,
        cx: &mut Cx<'_>,
    ) -> Admit {
        let Verdict::Hold(terms) = &ruling.decision.verdict else { return Admit::Wait };
        let binding = self.binding(ruling, bind);
        let ask = ApprovalAsk {
            number,
            statement_id: self.statement_id(number),
            digest: binding.digest(),
            binding,
            terms: terms.clone(),
            rules: ruling.decision.rules.iter().map(ToString::to_string).collect(),
            kinds: ruling.facts.kinds.iter().map(|k| k.as_str()).collect(),
            touched: ruling.touched.to_vec(),
            redact_binds: ruling.redact_binds,
        };
        cx.out.effects.push(Effect::RequestApproval(Box::new(ask)));
        let ruling = Arc::clone(ruling);
        let held = Held { id: None, number, ruling, stage: Stage::Asked, asked_again };
        self.admission = Some(Admission::Held(held));
        Admit::Wait
    }

    fn binding(&self, ruling: &Ruling, bind: Option<&[u8]>) -> Binding {
        let names = self.gate.names();
        Binding {
            principal: self.profile.principal.clone(),
            session: self.profile.session.clone(),
            database: self.profile.database.clone(),
            role: names.role.clone(),
            search_path: names.search_path.clone(),
            statement: ruling.text.to_vec(),
            bind: bind.unwrap_or_default().to_vec(),
            epoch: ruling.decision.epoch,
        }
    }

    /// Writes the intent, and lets the statement go on once it is as durable as its class asks for.
    fn record(
        &mut self,
        number: u64,
        ruling: &Arc<Ruling>,
        protocol: ProtocolKind,
        bind: Option<&[u8]>,
        approval: Option<&ApprovalId>,
        cx: &mut Cx<'_>,
    ) -> Admit {
        let parts = IntentParts { protocol, effect: RecordEffect::Forwarded, approval, bind };
        let run = self.run(number, ruling, None, cx);
        match self.write_intent(number, ruling, &parts, cx) {
            Err(_full) => Admit::Refuse(unrecorded(run)),
            // E6: a strict statement waits for its record; an approved one is strict by definition.
            Ok(seq) if ruling.decision.strict || approval.is_some() => {
                if seq > self.durable {
                    cx.out.effects.push(Effect::Sync(seq));
                }
                self.go_when_durable(seq, run, cx)
            }
            Ok(_) => Admit::Go(Permit::grant(), run),
        }
    }

    /// More of a statement whose approval was used before: recorded, and not asked again.
    pub(crate) fn admit_continuation(
        &mut self,
        ruling: &Arc<Ruling>,
        bind: &[u8],
        cx: &mut Cx<'_>,
    ) -> Admit {
        if let Some(Admission::Recorded { seq, run }) = self.admission_of(ruling, cx) {
            return self.go_when_durable(seq, run, cx);
        }
        let number = self.next_number();
        match ruling.decision.verdict {
            Verdict::Deny(_) => self.refuse(number, ruling, ProtocolKind::Execute, Some(bind), cx),
            _ => self.record(number, ruling, ProtocolKind::Execute, Some(bind), None, cx),
        }
    }

    fn go_when_durable(&mut self, seq: u64, run: Running, cx: &mut Cx<'_>) -> Admit {
        if seq > self.durable {
            self.admission = Some(Admission::Recorded { seq, run });
            return Admit::Wait;
        }
        let started = cx.now;
        Admit::Go(Permit::grant(), Running { started, ..run })
    }

    fn refuse(
        &mut self,
        number: u64,
        ruling: &Arc<Ruling>,
        protocol: ProtocolKind,
        bind: Option<&[u8]>,
        cx: &mut Cx<'_>,
    ) -> Admit {
        let Verdict::Deny(denial) = &ruling.decision.verdict else { return Admit::Wait };
        let mut message =
            Message::error(ruling.sqlstate, denial.reason.clone(), denial.next_step.clone());
        if denial.next_step == AS_THE_SERVER {
            message.routine = LOOKS_STATEMENTS_UP;
        } else {
            message.detail = detail(ruling, None);
        }
        self.withhold(number, ruling, protocol, bind, None, message, cx)
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn withhold(
        &mut self,
        number: u64,
        ruling: &Arc<Ruling>,
        protocol: ProtocolKind,
        bind: Option<&[u8]>,
        approval: Option<&ApprovalId>,
        message: Message,
        cx: &mut Cx<'_>,
    ) -> Admit {
        let parts = IntentParts { protocol, effect: RecordEffect::Withheld, approval, bind };
        let run = self.run(number, ruling, Some(message), cx);
        match self.write_intent(number, ruling, &parts, cx) {
            Ok(_) => Admit::Refuse(run),
            // It is refused either way; without room, the refusal says so.
            Err(_full) => Admit::Refuse(unrecorded(run)),
        }
    }

    fn run(
        &self,
        number: u64,
        ruling: &Arc<Ruling>,
        refusal: Option<Message>,
        cx: &Cx<'_>,
    ) -> Running {
        Running {
            number,
            started: cx.now,
            ruling: Arc::clone(ruling),
            rows: 0,
            row_limit: 0,
            sqlstate: None,
            tag: String::new(),
            refusal: refusal.map(Box::new),
            recorded: true,
        }
    }

    /// A statement that waits will not go on any more: its record says so, and nobody is asked about it. Returns what is to
    /// be said of its approval.
    pub(crate) fn abandon_admission(
        &mut self,
        reason: &'static str,
        cx: &mut Cx<'_>,
    ) -> Option<Message> {
        match self.admission.take() {
            None => None,
            Some(Admission::Recorded { run, .. }) => {
                self.finish(&run, true, cx);
                None
            }
            Some(Admission::Held(held)) => {
                let message = approval_ended(&held.ruling, held.id.as_ref(), reason);
                cx.out.effects.push(Effect::CancelApproval { id: held.id.clone(), reason });
                let parts = IntentParts {
                    protocol: ProtocolKind::Simple,
                    effect: RecordEffect::Withheld,
                    approval: held.id.as_ref(),
                    bind: None,
                };
                let run = self.run(held.number, &held.ruling, Some(message), cx);
                if self.write_intent(held.number, &held.ruling, &parts, cx).is_ok() {
                    self.finish(&run, true, cx);
                }
                run.refusal.map(|message| *message)
            }
        }
    }
}

fn approval_ended(ruling: &Ruling, id: Option<&ApprovalId>, reason: &str) -> Message {
    let mut message = Message::error(
        sqlstate::APPROVAL_ENDED,
        format!("the statement was not approved: {reason}"),
        "nothing was changed; ask the approvers, then run it again",
    );
    message.detail = detail(ruling, id);
    message
}

/// There was no room for its intent: it is refused, and has no outcome either, for which no room was left.
fn unrecorded(run: Running) -> Running {
    Running { refusal: Some(Box::new(spool_full())), recorded: false, ..run }
}

fn spool_full() -> Message {
    Message::error(
        sqlstate::UNAVAILABLE,
        "the statement cannot be recorded: the edge's audit spool is full",
        "nothing was sent to the database; an operator has to bring the audit lake back or give the spool more room",
    )
}
