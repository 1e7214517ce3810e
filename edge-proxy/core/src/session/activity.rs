//! What a session does at one moment, for people who operate the edge. Nothing here changes anything.

use writ_model::{ApprovalId, Timestamp};

use super::admit::Admission;
use super::lease::Lease;
use super::pending::Pending;
use super::{Session, Transaction};
use crate::gate::{Gate, Ruling};

/// What a session is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// Nothing, outside of any transaction.
    Idle,
    /// Nothing, in a transaction.
    InTransaction,
    /// Nothing, in a transaction that failed.
    FailedTransaction,
    /// A statement runs.
    Running {
        /// Since it was forwarded.
        since: Timestamp,
    },
    /// A statement waits for an approval.
    Held {
        /// The request; `None`: it is being made.
        request: Option<ApprovalId>,
    },
    /// A statement waits until its record is on the disk (E6).
    Recording,
    /// It waits for a connection that sessions share.
    WaitingForConnection,
}

/// A session at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// What it does.
    pub doing: Doing,
    /// How many statements were decided in it.
    pub statements: u64,
    /// The beginning of the text that runs or waits, without any bind value; empty where nothing does, or where the
    /// record does not keep the text either.
    pub text: String,
}

impl<G: Gate> Session<G> {
    /// What it does now; of the text, at most `text_bytes_max` bytes.
    #[must_use]
    pub fn activity(&self, text_bytes_max: usize) -> Activity {
        let (doing, ruling) = self.doing();
        let shown = ruling.filter(|ruling| ruling.profile.keeps_text());
        let text = shown.map_or_else(String::new, |ruling| cut(&ruling.text, text_bytes_max));
        Activity { doing, statements: self.statement_count, text }
    }

    fn doing(&self) -> (Doing, Option<&Ruling>) {
        match &self.admission {
            Some(Admission::Held(held)) => {
                return (Doing::Held { request: held.id.clone() }, Some(held.ruling()));
            }
            Some(Admission::Recorded { run, .. }) => {
                return (Doing::Recording, Some(&run.ruling));
            }
            None => {}
        }
        let running = self.pending.iter().find_map(|pending| match pending {
            Pending::Query(run) | Pending::Execute(run) | Pending::Wrap(run) => Some(run),
            _ => None,
        });
        if let Some(run) = running {
            return (Doing::Running { since: run.started }, Some(&run.ruling));
        }
        if matches!(self.lease, Lease::None { asked: true, .. }) {
            return (Doing::WaitingForConnection, None);
        }
        let doing = match self.transaction {
            Transaction::Idle => Doing::Idle,
            Transaction::Open => Doing::InTransaction,
            Transaction::Failed => Doing::FailedTransaction,
        };
        (doing, None)
    }
}

/// The beginning of `text`, with an ellipsis where that is not all.
fn cut(text: &[u8], bytes_max: usize) -> String {
    let Some(head) = text.get(..bytes_max).filter(|_| text.len() > bytes_max) else {
        return String::from_utf8_lossy(text).into_owned();
    };
    // A character that the cut would go through is left out.
    let whole = match std::str::from_utf8(head) {
        Err(error) if error.error_len().is_none() => {
            head.get(..error.valid_up_to()).unwrap_or_default()
        }
        _ => head,
    };
    format!("{}…", String::from_utf8_lossy(whole))
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut(b"SELECT 1", 8), "SELECT 1");
        assert_eq!(cut(b"SELECT 12", 8), "SELECT 1…");
        assert_eq!(cut("SELECT é".as_bytes(), 8), "SELECT …");
        assert_eq!(cut(b"\xff\xff", 1), "\u{fffd}…");
    }
}
