//! Questions to edges about what goes on in them now, and orders that cannot wait. They travel over the stream that each
//! edge holds open; nothing of them is in the log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use writ_model::EdgeId;
use writ_proto::v1::control_to_edge::Message as ToEdge;
use writ_proto::v1::edge_to_control::Message as FromEdge;

/// How long an edge may take to answer.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Messages on their way to one edge; with more, it counts as silent.
const WAITING_MAX: usize = 64;

/// The edges that can be asked: those whose streams end at this node.
#[derive(Debug)]
pub(crate) struct Lines {
    last: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// An edge has several for a moment: when it connected again, or while one process takes over from another.
    lines: BTreeMap<EdgeId, BTreeMap<u64, mpsc::Sender<ToEdge>>>,
    asked: HashMap<u64, Asked>,
}

#[derive(Debug)]
struct Asked {
    edge: EdgeId,
    answer: oneshot::Sender<FromEdge>,
}

/// What came of a question.
#[derive(Debug)]
pub(crate) struct Heard {
    /// One for each process of the edge that answered.
    pub(crate) answers: Vec<FromEdge>,
    /// Why there may be more; empty: there is not.
    pub(crate) problem: String,
}

/// An edge's place among those that can be asked, while it lives.
pub(crate) struct Line {
    lines: Arc<Lines>,
    edge: EdgeId,
    number: u64,
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut open = self.lines.open.lock();
        if let Some(of_edge) = open.lines.get_mut(&self.edge) {
            of_edge.remove(&self.number);
            if of_edge.is_empty() {
                open.lines.remove(&self.edge);
            }
        }
    }
}

/// A question whose answer somebody waits for; dropping it gives it up.
struct Waiting<'a> {
    lines: &'a Lines,
    number: u64,
    answer: oneshot::Receiver<FromEdge>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.lines.open.lock().asked.remove(&self.number);
    }
}

impl Lines {
    /// Numbers begin after `start`: an answer to the process before this one must not pass for one to it.
    pub(crate) fn new(start: u64) -> Self {
        Self { last: AtomicU64::new(start), open: Mutex::default() }
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// An edge is there; what it is to be told comes out of the receiver.
    pub(crate) fn open(self: &Arc<Self>, edge: &EdgeId) -> (Line, mpsc::Receiver<ToEdge>) {
        let (sender, messages) = mpsc::channel(WAITING_MAX);
        let number = self.next();
        self.open.lock().lines.entry(edge.clone()).or_default().insert(number, sender);
        (Line { lines: Arc::clone(self), edge: edge.clone(), number }, messages)
    }

    /// `edge` answered question `number`. What nobody asked it is passed over.
    pub(crate) fn hear(&self, edge: &EdgeId, number: u64, answer: FromEdge) {
        let mut open = self.open.lock();
        if open.asked.get(&number).is_some_and(|asked| asked.edge == *edge)
            && let Some(asked) = open.asked.remove(&number)
        {
            // Where nobody waits any more, it came too late.
            let _ = asked.answer.send(answer);
        }
    }

    fn put(&self, edge: &EdgeId, make: impl Fn(u64) -> ToEdge) -> Vec<Waiting<'_>> {
        let mut open = self.open.lock();
        let senders: Vec<_> =
            open.lines.get(edge).into_iter().flat_map(BTreeMap::values).cloned().collect();
        let mut waiting = Vec::with_capacity(senders.len());
        for sender in senders {
            let number = self.next();
            let (give, answer) = oneshot::channel();
            open.asked.insert(number, Asked { edge: edge.clone(), answer: give });
            waiting.push(Waiting { lines: self, number, answer });
            // A line that takes nothing more is found silent below.
            let _ = sender.try_send(make(number));
        }
        waiting
    }

    /// Asks every process of `edge`, and waits until all have answered, or [`ANSWER_WITHIN`] is over.
    pub(crate) async fn ask(&self, edge: &EdgeId, make: impl Fn(u64) -> ToEdge) -> Heard {
        let waiting = self.put(edge, make);
        if waiting.is_empty() {
            let problem = "is not connected to this node of the control plane".to_owned();
            return Heard { answers: Vec::new(), problem };
        }
        let asked = waiting.len();
        let deadline = tokio::time::Instant::now() + ANSWER_WITHIN;
        let mut answers = Vec::with_capacity(asked);
        for mut one in waiting {
            if let Ok(Ok(answer)) = tokio::time::timeout_at(deadline, &mut one.answer).await {
                answers.push(answer);
            }
        }
        let silent = asked - answers.len();
        let within = ANSWER_WITHIN.as_millis();
        let problem = match silent {
            0 => String::new(),
            _ if asked == 1 => format!("did not answer within {within} ms"),
            _ => format!("{silent} of its {asked} processes did not answer within {within} ms"),
        };
        Heard { answers, problem }
    }
}

#[cfg(test)]
mod tests {
    use writ_proto::v1;

    use super::*;

    fn edge(name: &str) -> EdgeId {
        name.parse().expect("a name")
    }

    fn question(number: u64) -> ToEdge {
        ToEdge::EndSession(v1::EndSession { number, ..v1::EndSession::default() })
    }

    fn answer(number: u64) -> FromEdge {
        FromEdge::SessionEnded(v1::SessionEnded { number, found: true })
    }

    async fn asked(messages: &mut mpsc::Receiver<ToEdge>) -> u64 {
        match messages.recv().await {
            Some(ToEdge::EndSession(order)) => order.number,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn every_process_of_an_edge_is_asked_and_only_it_can_answer() {
        let lines = Arc::new(Lines::new(7));
        let (_one, mut to_one) = lines.open(&edge("e"));
        let (_two, mut to_two) = lines.open(&edge("e"));
        let (_other, mut to_other) = lines.open(&edge("f"));
        let heard = async {
            let (one, two) = (asked(&mut to_one).await, asked(&mut to_two).await);
            lines.hear(&edge("f"), one, answer(one));
            lines.hear(&edge("e"), two, answer(two));
            lines.hear(&edge("e"), two, answer(two));
            lines.hear(&edge("e"), 1, answer(1));
        };
        let e = edge("e");
        let (heard, ()) = tokio::join!(lines.ask(&e, question), heard);
        assert_eq!(heard.answers.len(), 1, "another edge's answer does not count");
        assert_eq!(heard.problem, "1 of its 2 processes did not answer within 2000 ms");
        assert!(to_other.try_recv().is_err(), "nobody else was asked");
        assert!(lines.open.lock().asked.is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn an_edge_that_is_gone_is_not_waited_for() {
        let lines = Arc::new(Lines::new(0));
        let (line, _messages) = lines.open(&edge("e"));
        drop(line);
        let heard = lines.ask(&edge("e"), question).await;
        assert_eq!(heard.problem, "is not connected to this node of the control plane");
        assert!(lines.open.lock().lines.is_empty());
    }
}
