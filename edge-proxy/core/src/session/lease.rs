//! Transaction pooling: whose connection to the database a session uses, and when another session may have it.
//!
//! A connection is kept while anything in it is this session's: a transaction, a series of messages, an answer that is
//! due. What a statement leaves behind in it (settings, temporary relations, locks) *pins* it: the session keeps it to its
//! end, and nobody has it afterwards. What cannot be known pins (E2). Prepared statements do not: a connection remembers
//! what it was sent under which name, and is sent what it lacks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use writ_audit::SessionProfile;
use writ_model::sqlstate::SqlState;
use writ_model::{StatementFacts, StatementKind};

use super::admit::Admission;
use super::client::Step;
use super::pending::{Pending, Undo};
use super::pins::pin_of;
use super::running::Running;
use super::{CopyIn, Cx, Prepared, Session, Transaction, is_utf8};
use crate::gate::{Gate, Permit, Ruling, SessionNames};
use crate::outbox::{Effect, EndReason};
use crate::write;

/// Names of prepared statements that one connection may gather; with more it is not used again.
pub const BACKEND_STATEMENTS_MAX: usize = 1_024;
/// A name that nothing is ever prepared under.
const NOTHING_NAME: &[u8] = b"writ_nothing";

/// A statement as a connection has it.
#[derive(Debug, Clone)]
struct Known {
    ruling: Arc<Ruling>,
    types: Arc<[u8]>,
}

/// What a connection to the database has of all sessions that used it.
#[derive(Debug, Default)]
pub struct Backend {
    /// By name; `None` inside: whether there is one, and which, is not known.
    statements: HashMap<Box<[u8]>, Option<Known>>,
    /// SQL may have made or dropped any of them.
    changed_by_sql: bool,
}

impl Backend {
    /// Whether it has so many statements that another connection should take its place.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        self.statements.len() > BACKEND_STATEMENTS_MAX
    }

    fn has(&self, name: &[u8], ruling: &Arc<Ruling>, types: &[u8]) -> bool {
        let Some(Some(known)) = self.statements.get(name) else { return false };
        let same = Arc::ptr_eq(&known.ruling, ruling) || known.ruling.sent() == ruling.sent();
        same && *known.types == *types
    }

    /// Whether another entry than the session's own statement stands under the name, or may.
    fn has_other(&self, name: &[u8], own: Option<&Prepared>) -> bool {
        self.statements.contains_key(name)
            && !own.is_some_and(|own| self.has(name, &own.ruling, &own.types))
    }

    /// Whether the server's answer to a Parse of it would be what its answer was then: of the same configuration.
    fn has_just(&self, name: &[u8], prepared: &Prepared) -> bool {
        let Some(Some(known)) = self.statements.get(name) else { return false };
        let (known_of, own) = (&known.ruling, &prepared.ruling);
        let same = Arc::ptr_eq(known_of, own)
            || (known_of.decision.epoch == own.decision.epoch
                && known_of.sent() == own.sent()
                && known_of.facts == own.facts);
        same && known.types == prepared.types
    }

    /// A DEALLOCATE is on its way: not before it is answered is it known whether it worked.
    fn dropped(&mut self, names: &BTreeSet<Option<String>>) {
        for name in names {
            match name {
                Some(name) => drop(self.statements.insert(name.as_bytes().into(), None)),
                None => self.statements.values_mut().for_each(|known| *known = None),
            }
        }
    }

    /// A statement is on its way that may make or drop any of them.
    fn doubt(&mut self) {
        self.statements.values_mut().for_each(|known| *known = None);
        self.changed_by_sql = true;
    }
}

/// Which connection a session has.
#[derive(Debug)]
pub(crate) enum Lease {
    /// Its own, from beginning to end.
    Own,
    /// None. `asked`: it waits for one. `instead`: what waits was called off, and this is its answer.
    None { asked: bool, instead: Option<SqlState> },
    /// One of the pool's.
    Shared { backend: Backend, pin: Option<&'static str> },
}

impl Lease {
    /// None, and none is asked for.
    const NOTHING: Self = Self::None { asked: false, instead: None };

    fn backend(&mut self) -> Option<&mut Backend> {
        match self {
            Self::Shared { backend, .. } => Some(backend),
            Self::Own | Self::None { .. } => None,
        }
    }
}

/// The prepared statements that a text makes or drops by name.
fn names_of(facts: &StatementFacts) -> impl Iterator<Item = &String> {
    facts.prepares.iter().chain(facts.deallocates.iter().flatten())
}

impl<G: Gate> Session<G> {
    /// A session that takes a connection of a pool when it needs one.
    #[must_use]
    pub fn pooled(gate: G, profile: SessionProfile, client_encoding: &str) -> Self {
        Self { lease: Lease::NOTHING, ..Self::new(gate, profile, client_encoding) }
    }

    /// A connection, after [`Effect::Acquire`]; `names` are what names mean in it. Call [`Session::on_client`] afterwards.
    pub fn attach(&mut self, backend: Backend, names: &SessionNames, client_encoding: &str) {
        self.utf8 = is_utf8(client_encoding);
        if self.gate.names() != names {
            self.gate.set_names(names.clone());
        }
        self.lease = Lease::Shared { backend, pin: None };
    }

    /// Why the connection is the session's to its end, where it is.
    #[must_use]
    pub fn pinned(&self) -> Option<&'static str> {
        match &self.lease {
            Lease::Own => Some("session pooling"),
            Lease::Shared { pin, .. } => *pin,
            Lease::None { .. } => None,
        }
    }

    /// Gives the connection away, where nothing in it is this session's.
    pub fn detach(&mut self) -> Option<Backend> {
        if !self.is_at_rest() {
            return None;
        }
        match std::mem::replace(&mut self.lease, Lease::NOTHING) {
            Lease::Shared { backend, .. } => Some(backend),
            Lease::Own | Lease::None { .. } => None,
        }
    }

    /// Whether the session has a connection of the pool's of which nothing is its own.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let waits_on_it = match &self.admission {
            None => false,
            Some(Admission::Held(held)) => !held.waits_for_votes(),
            Some(Admission::Recorded { .. }) => true,
        };
        // What a session that broke off had on its way, the next one would be answered.
        matches!(self.ended, None | Some(EndReason::Terminated))
            && matches!(self.lease, Lease::Shared { pin: None, .. })
            && self.pending.is_empty()
            && self.transaction == Transaction::Idle
            && !(self.series_open || self.skipping || self.cancelling || self.stale.names)
            && self.copy_in == CopyIn::No
            && (self.upstream_pass, self.upstream_drop) == (0, 0)
            && (self.client_pass, self.client_drop) == (0, 0)
            && self.probe.is_none()
            && self.meter.is_none()
            && !waits_on_it
    }

    /// Whether the client's next message has to wait for a connection, which is asked for.
    pub(crate) fn lacks_connection(&mut self, cx: &mut Cx<'_>) -> bool {
        // What waits for approvers needs none, and those who wait would leave none to the others.
        let votes =
            matches!(&self.admission, Some(Admission::Held(held)) if held.waits_for_votes());
        let Lease::None { asked, instead } = &mut self.lease else { return false };
        if self.skipping || instead.is_some() {
            // It is answered without one.
            return true;
        }
        if votes {
            return false;
        }
        if !std::mem::replace(asked, true) {
            cx.out.effects.push(Effect::Acquire);
        }
        true
    }

    /// A statement is on its way that leaves something in the connection.
    pub(crate) fn note_pin(&mut self, facts: &StatementFacts) {
        let Lease::Shared { backend, pin } = &mut self.lease else { return };
        backend.dropped(&facts.deallocates);
        let Some(why) = pin_of(facts) else { return };
        *pin = Some(why);
        let unnames = !facts.opaque.is_empty() || facts.kinds.contains(&StatementKind::Discard);
        if unnames || !facts.prepares.is_empty() {
            backend.doubt();
        }
    }

    /// The server told the client of a setting, which others would have to be told too.
    pub(crate) fn note_told(&mut self) {
        if let Lease::Shared { pin, .. } = &mut self.lease {
            *pin = Some("a setting that changed");
        }
    }

    /// Why a text would be answered with what another session did: the server keeps the last number of a sequence for a
    /// connection.
    pub(crate) fn asks_of_another(&self, facts: &StatementFacts) -> bool {
        let remembers =
            |name: &String| matches!(name.as_str(), "pg_catalog.currval" | "pg_catalog.lastval");
        !matches!(self.lease, Lease::Own | Lease::Shared { pin: Some(_), .. })
            && self.transaction == Transaction::Idle
            && facts.functions.iter().any(remembers)
    }

    /// The server did not do what it was sent with this name: an error made it ignore that.
    pub(crate) fn doubt_statement(&mut self, name: &[u8]) {
        let known = self.lease.backend().and_then(|backend| backend.statements.get_mut(name));
        known.into_iter().for_each(|known| *known = None);
    }

    /// Whether the server may refuse whatever comes: its transaction has failed, or it is not known yet how it goes.
    fn may_have_failed(&self) -> bool {
        let undecided = |p: &Pending| matches!(p, Pending::Sync | Pending::Query(_));
        self.transaction == Transaction::Failed || self.pending.iter().any(undecided)
    }

    /// E1: whether what the connection has under `name` is what the session prepared.
    pub(crate) fn backend_has(&self, name: &[u8], prepared: &Prepared) -> bool {
        match &self.lease {
            Lease::Own => true,
            Lease::None { .. } => false,
            Lease::Shared { backend, .. } => backend.has(name, &prepared.ruling, &prepared.types),
        }
    }

    fn backend_has_just(&self, name: &[u8], prepared: &Prepared) -> bool {
        matches!(&self.lease, Lease::Shared { backend, .. } if backend.has_just(name, prepared))
    }

    /// Whether everything in the connection is the session's.
    pub(crate) fn backend_is_own(&self) -> bool {
        matches!(self.lease, Lease::Own)
    }

    /// E1: whether EXECUTE in SQL of `name` may run what another session prepared in the connection.
    pub(crate) fn backend_has_other(&self, name: &[u8]) -> bool {
        match &self.lease {
            Lease::Own => false,
            Lease::None { .. } => true,
            Lease::Shared { backend, .. } => backend.has_other(name, self.statements.get(name)),
        }
    }

    /// A Query is on its way, which drops the unnamed statement and the unnamed portal.
    pub(crate) fn note_unnamed_dropped(&mut self) {
        self.portals.remove(b"");
        if !self.backend_is_own() {
            self.note_prepared(b"", None);
            // It is not to be prepared again, wherever the session goes on.
            self.statements.remove(b"");
        }
    }

    /// The name was closed, or something else stands behind it now.
    pub(crate) fn note_prepared(&mut self, name: &[u8], prepared: Option<&Prepared>) {
        let Some(backend) = self.lease.backend() else { return };
        match prepared {
            // Not before it is answered is it sure that there is none.
            None => backend.statements.insert(name.into(), None),
            Some(Prepared { ruling, types, .. }) => {
                let known = Known { ruling: Arc::clone(ruling), types: Arc::clone(types) };
                backend.statements.insert(name.into(), Some(known))
            }
        };
    }

    /// Prepares at the server what the session has under `name` and the connection has not.
    pub(crate) fn prepare_again(
        &mut self,
        name: &[u8],
        prepared: &Prepared,
        undo: Undo,
        cx: &mut Cx<'_>,
    ) {
        let out = cx.out.statement(Permit::grant());
        write::close(b'S', name, out);
        write::parse(name, prepared.ruling.sent(), &prepared.types, out);
        let before = self.statements.get(name).cloned().map(Box::new);
        let undo = match undo {
            Undo::Nothing => Undo::Statement(name.into(), before),
            undo => undo,
        };
        self.pending.push_back(Pending::Renewal(Undo::Nothing));
        self.pending.push_back(Pending::Renewal(undo));
        self.in_series();
        self.note_prepared(name, Some(prepared));
    }

    /// Makes room for a statement that is about to be prepared under `name`: what another session left there goes.
    fn vacate(&mut self, name: &[u8], cx: &mut Cx<'_>) {
        let Some(backend) = self.lease.backend() else { return };
        let taken = backend.statements.get_mut(name).map(|known| *known = None).is_some();
        if taken && !name.is_empty() {
            write::close(b'S', name, cx.out.control());
            self.pending.push_back(Pending::Renewal(Undo::Nothing));
            self.flushed = false;
        }
    }

    /// Makes room for what SQL's PREPARE is about to make, and something to be dropped for DEALLOCATE: the server finds
    /// under the name what it would in a connection of the session's own.
    pub(crate) fn vacate_for(&mut self, facts: &StatementFacts, cx: &mut Cx<'_>) {
        for name in names_of(facts) {
            let name = name.as_bytes();
            match self.statements.get(name).cloned() {
                None => self.vacate(name, cx),
                Some(own) if !self.backend_has(name, &own) => self.occupy(name, cx),
                Some(_) => {}
            }
        }
    }

    /// Whether it is not known yet what the server has, or the session, under a name that PREPARE or DEALLOCATE uses.
    pub(crate) fn names_unsettled(&mut self, facts: &StatementFacts, cx: &mut Cx<'_>) -> bool {
        !self.backend_is_own()
            && names_of(facts).any(|name| {
                let name = name.as_bytes();
                self.statement_unsettled(name) || self.awaits_deallocate(name, cx)
            })
    }

    /// DEALLOCATE worked: what the session has prepared under the names is gone, wherever it was.
    pub(crate) fn note_deallocated(&mut self, facts: &StatementFacts) {
        for name in &facts.deallocates {
            match name {
                Some(name) => drop(self.statements.remove(name.as_bytes())),
                // The unnamed one is none that SQL knows.
                None => self.statements.retain(<[u8]>::is_empty),
            }
        }
    }

    /// Whether a DEALLOCATE is on its way that may drop the statement of this name: its answer is waited for.
    pub(crate) fn awaits_deallocate(&mut self, name: &[u8], cx: &mut Cx<'_>) -> bool {
        let drops = |run: &Running| {
            let names = &run.ruling.facts.deallocates;
            names.iter().any(|dropped| dropped.as_ref().is_none_or(|n| n.as_bytes() == name))
        };
        let awaits = !name.is_empty() && self.pending.iter().any(|p| p.run().is_some_and(drops));
        if awaits {
            self.flush(cx);
        }
        awaits
    }

    /// Prepares nothing under a name that the session has in another connection: the server has to find something there,
    /// and to refuse a second one. Unlike the statement itself, that cannot fail before it.
    fn occupy(&mut self, name: &[u8], cx: &mut Cx<'_>) {
        let out = cx.out.control();
        write::close(b'S', name, out);
        write::parse(name, b"", &[], out);
        self.pending.push_back(Pending::Renewal(Undo::Nothing));
        self.pending.push_back(Pending::Renewal(Undo::Nothing));
        self.note_prepared(name, None);
        self.in_series();
    }

    /// A Parse into a shared connection. `None`: it goes on as usual; otherwise it is dealt with.
    pub(crate) fn parse_shared(
        &mut self,
        name: &[u8],
        prepared: &Prepared,
        cx: &mut Cx<'_>,
    ) -> Option<Step> {
        if self.backend_is_own() {
            return None;
        }
        if !name.is_empty()
            && let Lease::Shared { backend: Backend { changed_by_sql: false, .. }, .. } = self.lease
            && let Some(own) = self.statements.get(name).cloned()
        {
            // The server has to find something there, and to refuse the second one in its own words.
            if !self.backend_has(name, &own) {
                self.occupy(name, cx);
            }
            return None;
        }
        if !name.is_empty() && self.backend_has_just(name, prepared) && !self.may_have_failed() {
            // The server has it: it is asked for something that changes nothing, and answers in its turn.
            write::close(b'S', NOTHING_NAME, cx.out.control());
            self.in_series();
            let undo = self.set_statement(name, Some(prepared.clone()));
            self.pending.push_back(Pending::Known(undo));
            return Some(Step::Taken);
        }
        self.vacate(name, cx);
        self.note_prepared(name, Some(prepared));
        None
    }
}
