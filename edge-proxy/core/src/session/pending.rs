//! Reply accounting: what was forwarded and is not answered yet, in order.

use std::collections::HashSet;

use writ_model::facts::SessionEffect;

use super::extended::portal_name;
use super::running::Running;
use super::{Cx, Portal, Prepared, Session};
use crate::gate::Gate;
use crate::write::{self, Message};

/// How to take back what a message was assumed to do, where the server refuses it.
#[derive(Debug)]
pub(crate) enum Undo {
    Nothing,
    Statement(Box<[u8]>, Option<Box<Prepared>>),
    Portal(Box<[u8]>, Option<Box<Portal>>),
}

impl Undo {
    /// The portal that the message was about.
    pub(crate) fn portal(&self) -> Option<&[u8]> {
        match self {
            Self::Portal(name, _) => Some(name),
            _ => None,
        }
    }

    /// The statement that the message was about.
    pub(crate) fn statement(&self) -> Option<&[u8]> {
        match self {
            Self::Statement(name, _) => Some(name),
            _ => None,
        }
    }
}

/// One forwarded message.
#[derive(Debug)]
pub(crate) enum Pending {
    /// A Query (or a refusal in its place): ends at ReadyForQuery.
    Query(Running),
    /// A Parse; with a run where it was refused.
    Parse(Undo, Option<Running>),
    /// A Parse of what a shared connection has already: a Close of nothing went in its place.
    Known(Undo),
    Bind(Undo),
    Describe,
    Close(Undo),
    Execute(Running),
    Sync,
    /// A message of our own whose replies the client does not see. `last` ends the probe.
    Own {
        last: bool,
    },
    /// The Sync of a probe.
    OwnSync,
    /// BEGIN, COMMIT or ROLLBACK of our own around a statement.
    Wrap(Running),
    /// A Parse or Close of our own before a Bind, to renew a statement under a new configuration.
    Renewal(Undo),
    /// A Describe of our own before an Execute whose rows are screened.
    Description,
}

impl Pending {
    /// The statement whose outcome is due.
    pub(crate) fn into_run(self) -> Option<Running> {
        match self {
            Self::Query(run) | Self::Execute(run) | Self::Wrap(run) | Self::Parse(_, Some(run)) => {
                Some(run)
            }
            _ => None,
        }
    }

    /// The statement that runs in it.
    pub(crate) fn run(&self) -> Option<&Running> {
        match self {
            Self::Query(run) | Self::Execute(run) | Self::Wrap(run) => Some(run),
            _ => None,
        }
    }

    /// Its number.
    pub(crate) fn run_number(&self) -> Option<u64> {
        self.run().map(|run| run.number)
    }

    /// What the client sees instead of the server's error, where this is a refusal.
    pub(crate) fn refusal(&self) -> Option<&Message> {
        match self {
            Self::Query(run) | Self::Execute(run) | Self::Parse(_, Some(run)) => {
                run.refusal.as_deref()
            }
            _ => None,
        }
    }

    /// The server has refused it. A Parse drops the unnamed statement before it can fail: there is none to go back to.
    pub(crate) fn note_refused(&mut self) {
        if let Self::Parse(Undo::Statement(name, before), _) = self
            && name.is_empty()
        {
            *before = None;
        }
    }

    /// Whether portals may end with it: its answer tells.
    pub(crate) fn may_end_portals(&self) -> bool {
        let ends =
            |run: &Running| run.ruling.facts.session.contains(&SessionEffect::TransactionEnd);
        matches!(self, Self::Sync | Self::Query(_)) || self.run().is_some_and(ends)
    }

    fn undo(&mut self) -> Option<&mut Undo> {
        match self {
            Self::Parse(undo, _)
            | Self::Known(undo)
            | Self::Bind(undo)
            | Self::Close(undo)
            | Self::Renewal(undo) => Some(undo),
            _ => None,
        }
    }

    /// Whether the client does not see the replies to it.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Own { .. }
                | Self::OwnSync
                | Self::Renewal(_)
                | Self::Known(_)
                | Self::Wrap(_)
                | Self::Description
        )
    }
}

/// Whether a statement has ended its transaction, by its tag. ROLLBACK TO has the tag of ROLLBACK, and leaves older portals.
fn ends_transaction(run: &Running) -> bool {
    let may_be_to = || run.ruling.text.windows(2).any(|two| two.eq_ignore_ascii_case(b"to"));
    match run.tag.as_str() {
        "COMMIT" | "PREPARE TRANSACTION" => true,
        "ROLLBACK" => !may_be_to(),
        _ => false,
    }
}

impl<G: Gate> Session<G> {
    /// E1: whether a message of an earlier series, which the server may skip or refuse, changes what the name stands for:
    /// only its answer tells, which its Sync makes the server send. What the same series changes is skipped together with what follows.
    pub(crate) fn is_unsettled(&self, names: impl Fn(&Undo) -> bool) -> bool {
        let sets = |pending: &Pending| match pending {
            Pending::Parse(undo, _)
            | Pending::Known(undo)
            | Pending::Bind(undo)
            | Pending::Close(undo)
            | Pending::Renewal(undo) => names(undo),
            _ => false,
        };
        let Some(at) = self.pending.iter().rposition(sets) else { return false };
        self.pending.iter().skip(at).any(|pending| matches!(pending, Pending::Sync))
    }

    /// The same of a statement's name.
    pub(crate) fn statement_unsettled(&self, name: &[u8]) -> bool {
        self.is_unsettled(|undo| undo.statement() == Some(name))
    }

    /// The same of a statement in a connection that is shared: what is known of it decides what is sent.
    pub(crate) fn shares_unsettled(&self, name: &[u8]) -> bool {
        !self.backend_is_own() && self.statement_unsettled(name)
    }

    /// The same of a portal's name. What ends transactions ends portals too: whether it does, its answer tells.
    pub(crate) fn portal_unsettled(&mut self, name: &[u8], cx: &mut Cx<'_>) -> bool {
        let sets = |pending: &Pending| match pending {
            Pending::Bind(undo) | Pending::Close(undo) => undo.portal() == Some(name),
            _ => false,
        };
        match self.pending.iter().rposition(sets) {
            Some(at) => self.awaits_end_of_portals(at, cx),
            None => self.portals.get(name).is_some() && self.awaits_end_of_portals(0, cx),
        }
    }

    /// Whether an answer is due that may end portals, to a message from the one at `at` on. The server is made to send it.
    pub(crate) fn awaits_end_of_portals(&mut self, at: usize, cx: &mut Cx<'_>) -> bool {
        let last = self.pending.iter().skip(at).rfind(|pending| pending.may_end_portals());
        match last {
            None => return false,
            // They make it send what it has.
            Some(Pending::Sync | Pending::Query(_)) => {}
            Some(_) => self.flush(cx),
        }
        true
    }

    pub(crate) fn set_statement(&mut self, name: &[u8], prepared: Option<Prepared>) -> Undo {
        let before = match prepared {
            Some(prepared) => self.statements.insert(name, prepared),
            None => self.statements.remove(name),
        };
        Undo::Statement(name.into(), before.map(Box::new))
    }

    pub(crate) fn set_portal(&mut self, name: &[u8], portal: Option<Portal>) -> Undo {
        let before = match portal {
            Some(portal) => self.portals.insert(name, portal),
            None => self.portals.remove(name),
        };
        Undo::Portal(name.into(), before.map(Box::new))
    }

    /// Takes back what a message was assumed to do. E1: where a later message, which the server has not answered yet, gave
    /// the name another meaning, that stays, and only what it would go back to is what this one goes back to.
    fn undo(&mut self, undo: Undo) {
        let mut later = self.pending.iter_mut().filter_map(Pending::undo);
        match undo {
            Undo::Nothing => {}
            Undo::Statement(name, before) => {
                let later = later.find_map(|undo| match undo {
                    Undo::Statement(same, then) if *same == name => Some(then),
                    _ => None,
                });
                match (later, before) {
                    (Some(then), before) => *then = before,
                    (None, Some(before)) => drop(self.statements.insert(&name, *before)),
                    (None, None) => drop(self.statements.remove(&name)),
                }
            }
            Undo::Portal(name, before) => {
                let later = later.find_map(|undo| match undo {
                    Undo::Portal(same, then) if *same == name => Some(then),
                    _ => None,
                });
                match (later, before) {
                    (Some(then), before) => *then = before,
                    (None, Some(before)) => drop(self.portals.insert(&name, *before)),
                    (None, None) => drop(self.portals.remove(&name)),
                }
            }
        }
    }

    /// The server refused the message at the front and ignores everything up to the next Sync: takes those
    /// messages off, last first, and returns the statements among them in their order.
    pub(crate) fn skip_to_sync(&mut self, cx: &mut Cx<'_>) -> Vec<Running> {
        let end = self
            .pending
            .iter()
            .position(|p| matches!(p, Pending::Sync | Pending::OwnSync))
            .unwrap_or(self.pending.len());
        self.skipping = end == self.pending.len();
        let (mut runs, mut skips_query) = (Vec::new(), false);
        for mut pending in self.pending.drain(..end).rev().collect::<Vec<_>>() {
            if let Some(undo) = pending.undo() {
                let undo = std::mem::replace(undo, Undo::Nothing);
                if let Some(name) = undo.statement() {
                    self.doubt_statement(name);
                }
                self.undo(undo);
            }
            skips_query |= matches!(pending, Pending::Query(_));
            runs.extend(pending.into_run());
        }
        if skips_query && self.skipping {
            // What was refused is of ours, and was sent before a Query. Its client sends no Sync, and waits for ReadyForQuery.
            write::bare(b'S', cx.out.control());
            self.pending.push_back(Pending::Sync);
            self.skipping = false;
        }
        runs.reverse();
        runs
    }

    /// An Execute has completed, which ends portals at once where it ended their transaction.
    pub(crate) fn note_portals_ended(&mut self, run: &Running) {
        let facts = &run.ruling.facts;
        if facts.session.contains(&SessionEffect::TransactionEnd) && ends_transaction(run) {
            self.forget_portals();
        }
    }

    /// Portals end with their transaction. Those that Bind made after its end, and that are not answered yet, are the next
    /// one's: E1, a FETCH of one must not pass for one of a cursor.
    pub(crate) fn forget_portals(&mut self) {
        if self.pending.is_empty() {
            self.portals.clear();
            return self.bound.clear();
        }
        let (mut later, mut changed) = (HashSet::new(), HashSet::<&[u8]>::new());
        for pending in &mut self.pending {
            let binds = matches!(pending, Pending::Bind(_));
            let Some(Undo::Portal(name, before)) = pending.undo() else { continue };
            // Whatever had the name is gone, but for what an earlier one of these messages made.
            if changed.insert(name) {
                *before = None;
            }
            if binds {
                later.insert(&**name);
            }
        }
        self.portals.retain(|name| later.contains(name));
        let later: HashSet<&[u8]> = later.into_iter().map(portal_name).collect();
        self.bound.retain(|name| later.contains(&**name));
    }

    /// The server ignores Syncs while it copies in: those that were sent behind what began the COPY are lost on it.
    /// Returns whether there were any.
    pub(crate) fn drop_syncs(&mut self) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| !matches!(pending, Pending::Sync));
        before != self.pending.len()
    }
}
