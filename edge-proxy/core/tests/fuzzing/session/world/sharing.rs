//! Connections that sessions share, as the shell's pool has them: who has which, and what is met in one.

use std::cell::RefCell;
use std::rc::Rc;

use writ_edge_core::gate::SessionNames;
use writ_edge_core::{Backend, Session};

use super::{FuzzGate, Server, World};
use crate::fuzzing::wire;

/// What is done wrong on purpose, to see whether it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// What sessions prepared in a connection is forgotten when it is given on.
    Forgets,
    /// A connection is given on although its session did not give it back.
    Leaks,
}

/// A connection that nobody uses.
struct Idle {
    server: Server,
    backend: Backend,
}

/// All connections to the database.
pub struct Shelf {
    idle: Vec<Idle>,
    open: usize,
    max: usize,
    waiting: usize,
    fault: Fault,
}

impl Shelf {
    pub fn new(max: usize, fault: Fault) -> Rc<RefCell<Self>> {
        let shelf = Self { idle: vec![], open: 0, max, waiting: 0, fault };
        Rc::new(RefCell::new(shelf))
    }

    /// Whether every connection that is open is back, and nobody waits for one.
    pub fn is_quiet(&self) -> bool {
        (self.open, self.waiting) == (self.idle.len(), 0)
    }

    /// A connection, where there is one or another one may be made.
    fn take(&mut self, which: usize) -> Option<Idle> {
        while !self.idle.is_empty() {
            let idle = self.idle.remove(which % self.idle.len());
            // What a server says unasked is that it ends or changed.
            if !idle.server.closed && idle.server.flushed().is_empty() {
                return Some(idle);
            }
            self.open -= 1;
        }
        if self.open >= self.max {
            return None;
        }
        self.open += 1;
        Some(Idle { server: Server::new(false).shared(), backend: Backend::default() })
    }
}

/// One session's part in it.
pub struct Lease {
    shelf: Rc<RefCell<Shelf>>,
    connected: bool,
    waits: bool,
    /// How much the client had seen when the session got its connection.
    seen: usize,
}

/// Nobody is there.
fn nobody() -> Server {
    let mut server = Server::new(false);
    server.closed = true;
    server
}

impl World {
    /// A session that shares the connections of `shelf`.
    pub fn sharing(piece: usize, shelf: &Rc<RefCell<Shelf>>) -> Self {
        let mut world = Self::new(piece);
        let profile = world.session.profile().clone();
        world.session = Session::pooled(FuzzGate::default(), profile, "UTF8");
        (world.server, world.server_gone) = (nobody(), true);
        (world.checks.renewals, world.checks.shares) = (true, true);
        let shelf = Rc::clone(shelf);
        world.lease = Some(Lease { shelf, connected: false, waits: false, seen: 0 });
        world
    }

    pub(super) fn is_connected(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.connected)
    }

    pub(super) fn is_contended(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.shelf.borrow().waiting > 0)
    }

    pub(super) fn wants_connection(&mut self) {
        let lease = self.lease.as_mut().expect("the session has a connection of its own");
        assert!(!lease.connected && !lease.waits, "it has one, or waits for one");
        lease.waits = true;
        lease.shelf.borrow_mut().waiting += 1;
    }

    /// Gives the session the connection that it waits for, where there is one.
    pub fn connect(&mut self, which: usize) {
        let Some(lease) = self.lease.as_mut().filter(|lease| lease.waits) else { return };
        let mut shelf = lease.shelf.borrow_mut();
        let Some(Idle { server, backend }) = shelf.take(which) else { return };
        assert_eq!(server.left(), None, "left by another session");
        let backend = if shelf.fault == Fault::Forgets { Backend::default() } else { backend };
        shelf.waiting -= 1;
        drop(shelf);
        (lease.waits, lease.connected, lease.seen) = (false, true, self.seen.len());
        (self.server, self.server_gone) = (server, false);
        self.server.count_from(self.sent.len());
        self.with(|s, _| s.attach(backend, &SessionNames::default(), "UTF8"));
    }

    /// Gives the connection back where the session does, and closes it where the session is over.
    pub(super) fn release(&mut self) {
        if self.session.ended().is_some() {
            self.stop_waiting();
        }
        if self.lease.is_none() || !self.is_connected() {
            return;
        }
        self.note_executed();
        let quiet = self.upstream_inbox.is_empty() && !self.server.closed;
        let given = if quiet { self.session.detach() } else { None };
        if given.is_none() && self.session.ended().is_none() {
            return;
        }
        let Some(lease) = &mut self.lease else { return };
        lease.connected = false;
        let told = |(tag, _): &(u8, &[u8])| *tag == b'S';
        let server = std::mem::replace(&mut self.server, nobody());
        (self.server_gone, self.upstream_inbox) = (true, bytes::BytesMut::new());
        let mut shelf = lease.shelf.borrow_mut();
        match given {
            Some(backend) => {
                assert_eq!(server.left(), None, "given back");
                let seen = &self.seen[lease.seen..];
                let news = wire::split(seen).iter().any(told);
                assert!(!news, "given back after a setting changed");
                shelf.idle.push(Idle { server, backend });
            }
            None if shelf.fault == Fault::Leaks => {
                shelf.idle.push(Idle { server, backend: Backend::default() });
            }
            None => shelf.open -= 1,
        }
    }

    pub(super) fn stop_waiting(&mut self) {
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.waits) {
            lease.waits = false;
            lease.shelf.borrow_mut().waiting -= 1;
        }
    }
}
