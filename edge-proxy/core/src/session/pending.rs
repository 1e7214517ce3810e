//! Reply accounting: what was forwarded and is not answered yet, in order.

use super::running::Running;
use super::{Portal, Prepared, Session};
use crate::gate::Gate;
use crate::write::Message;

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
    /// CopyDone or CopyFail: answered by what answers the COPY.
    CopyEnd,
    /// A message of our own whose replies the client does not see. `last` ends the probe.
    Own {
        last: bool,
    },
    /// The Sync of a probe.
    OwnSync,
    /// BEGIN, COMMIT or ROLLBACK of our own around a statement.
    Wrap(Running),
    /// A Parse or Close of our own before a Bind, to renew a statement under a new configuration.
    Renewal,
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

    /// What the client sees instead of the server's error, where this is a refusal.
    pub(crate) fn refusal(&self) -> Option<&Message> {
        match self {
            Self::Query(run) | Self::Execute(run) | Self::Parse(_, Some(run)) => {
                run.refusal.as_deref()
            }
            _ => None,
        }
    }

    fn take_undo(&mut self) -> Undo {
        match self {
            Self::Parse(undo, _) | Self::Known(undo) | Self::Bind(undo) | Self::Close(undo) => {
                std::mem::replace(undo, Undo::Nothing)
            }
            _ => Undo::Nothing,
        }
    }

    /// Whether the client does not see the replies to it.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Own { .. }
                | Self::OwnSync
                | Self::Renewal
                | Self::Known(_)
                | Self::Wrap(_)
                | Self::Description
        )
    }
}

impl<G: Gate> Session<G> {
    pub(crate) fn set_statement(&mut self, name: &[u8], prepared: Option<Prepared>) -> Undo {
        let before = match prepared {
            Some(prepared) => self.statements.insert(name.into(), prepared),
            None => self.statements.remove(name),
        };
        Undo::Statement(name.into(), before.map(Box::new))
    }

    pub(crate) fn set_portal(&mut self, name: &[u8], portal: Option<Portal>) -> Undo {
        let before = match portal {
            Some(portal) => self.portals.insert(name.into(), portal),
            None => self.portals.remove(name),
        };
        Undo::Portal(name.into(), before.map(Box::new))
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Statement(name, before) => {
                match before {
                    Some(before) => self.statements.insert(name, *before),
                    None => self.statements.remove(&name),
                };
            }
            Undo::Portal(name, before) => {
                match before {
                    Some(before) => self.portals.insert(name, *before),
                    None => self.portals.remove(&name),
                };
            }
        }
    }

    /// The server refused the message at the front and ignores everything up to the next Sync: takes those
    /// messages off, last first, and returns the statements among them in their order.
    pub(crate) fn skip_to_sync(&mut self) -> Vec<Running> {
        let end = self
            .pending
            .iter()
            .position(|p| matches!(p, Pending::Sync | Pending::OwnSync))
            .unwrap_or(self.pending.len());
        self.skipping = end == self.pending.len();
        let mut runs = Vec::new();
        for mut pending in self.pending.drain(..end).rev().collect::<Vec<_>>() {
            let undo = pending.take_undo();
            if undo.statement().is_some() || matches!(pending, Pending::Renewal) {
                self.doubt_backend();
            }
            self.undo(undo);
            runs.extend(pending.into_run());
        }
        runs.reverse();
        runs
    }

    /// The server reads no Sync while it copies in: those forwarded before the copy's end are lost on it.
    pub(crate) fn drop_syncs_before_copy_end(&mut self) {
        let end = self
            .pending
            .iter()
            .position(|p| matches!(p, Pending::CopyEnd))
            .unwrap_or(self.pending.len());
        let mut index = 0;
        self.pending.retain(|p| {
            index += 1;
            index > end || !matches!(p, Pending::Sync)
        });
    }

    /// Markers at the front that nothing answers.
    pub(crate) fn drop_copy_ends(&mut self) {
        while matches!(self.pending.front(), Some(Pending::CopyEnd)) {
            self.pending.pop_front();
        }
    }
}
