//! A model of PostgreSQL's side of the protocol: it answers what it has really been sent, message by message, and sends
//! when the server would. With `refuses`, policy is applied by the server itself: the reference that a session through the
//! gateway has to look like.

use std::collections::{HashMap, VecDeque};

use super::programs::{self, Act, Change};
use super::words::{APPROVAL_ENDED, Fate, fate};
use crate::fuzzing::wire;
use crate::support::{error, frame, ready};

/// A portal.
#[derive(Debug, Clone)]
pub struct Portal {
    pub text: Vec<u8>,
    pub bind: Vec<u8>,
    /// The prepared statement that it was bound from.
    name: Vec<u8>,
    /// What is left to do; `None`: it has run to its end.
    left: Option<VecDeque<Act>>,
}

/// One text that ran.
#[derive(Debug)]
pub struct Executed {
    pub text: Vec<u8>,
    /// Where in the bytes that the server was sent its message ends.
    pub at: usize,
    /// FETCH and EXECUTE run what was prepared or bound before.
    pub indirect: bool,
    /// The prepared statement that an Execute ran.
    pub name: Option<Vec<u8>>,
}

#[derive(Default)]
pub struct Server {
    inbox: Vec<u8>,
    /// How many bytes of what was sent are dealt with.
    taken: usize,
    work: VecDeque<Act>,
    /// The work is a simple query's: it ends in ReadyForQuery, whatever happens.
    simple: bool,
    /// How many rows the Execute that runs may still return.
    limit: Option<u32>,
    running: Option<Vec<u8>>,
    copying: bool,
    out: Vec<u8>,
    wire: Vec<u8>,
    failed: bool,
    open: bool,
    skipping: bool,
    statements: HashMap<Vec<u8>, Vec<u8>>,
    portals: HashMap<Vec<u8>, Portal>,
    /// What SQL's PREPARE made.
    prepared: HashMap<Vec<u8>, Vec<u8>>,
    pub executed: Vec<Executed>,
    /// Messages of the extended protocol came since the last ReadyForQuery.
    in_series: bool,
    /// A statement changed what later ones meet in the connection.
    dirty: bool,
    pub refuses: bool,
    /// In a transaction that has failed no statement is described, whether it has a result or not: what a client of a shared
    /// connection sees that lacks a statement (docs/pooling.md).
    shared: bool,
    pub closed: bool,
}

impl Server {
    pub fn new(refuses: bool) -> Self {
        Self { refuses, ..Self::default() }
    }

    /// A connection that sessions share, or what a session with one has to look like.
    pub fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
    }

    /// What was flushed and not read yet.
    pub fn flushed(&self) -> &[u8] {
        &self.wire
    }

    pub fn read(&mut self, count: usize) -> Vec<u8> {
        self.wire.drain(..count).collect()
    }

    pub fn flush(&mut self) {
        self.wire.append(&mut self.out);
    }

    /// A notice, a parameter's status or a notification, between two messages.
    pub fn says(&mut self, frame: &[u8]) {
        if !self.closed {
            self.out.extend_from_slice(frame);
            self.flush();
        }
    }

    /// A cancel request has come. Behind a statement's last answer there is nothing to cancel any more.
    pub fn cancel(&mut self) {
        let over = |act: &Act| matches!(act, Act::EndPortal(_) | Act::EndImplicit | Act::Ready);
        if self.copying || !self.work.iter().all(over) {
            self.fail("57014");
        }
    }

    /// What of one session the next one would meet in the connection; `None`: nothing.
    pub fn left(&self) -> Option<&'static str> {
        let asked = |bytes: &[u8]| {
            let (frames, rest) = wire::split_off(bytes);
            !rest.is_empty() || frames.iter().any(|(tag, _)| !b"NAS".contains(tag))
        };
        // Flush is answered by nothing, and changes nothing.
        let (unread, half) = wire::split_off(&self.inbox);
        let unread = !half.is_empty() || unread.iter().any(|(tag, _)| *tag != b'H');
        let all = [
            (unread, "messages that it has not dealt with"),
            (!self.work.is_empty() || self.copying, "a statement that runs"),
            (asked(&self.out) || asked(&self.wire), "answers"),
            (self.open || self.failed, "a transaction"),
            (self.skipping || self.in_series, "a series"),
            (!self.portals.is_empty(), "portals"),
            (self.dirty || !self.prepared.is_empty(), "settings or names"),
        ];
        all.into_iter().find_map(|(is_left, what)| is_left.then_some(what))
    }

    /// From here on messages are counted after the first `sent` bytes of a session.
    pub fn count_from(&mut self, sent: usize) {
        while self.step() {}
        self.taken = sent;
    }

    /// Does one thing. Returns whether there was something to do.
    pub fn step(&mut self) -> bool {
        if self.closed {
            return false;
        }
        if !self.copying
            && let Some(act) = self.work.pop_front()
        {
            self.act(act);
            return true;
        }
        let (frames, _) = wire::split_off(&self.inbox);
        let Some((tag, body)) = frames.first().map(|(tag, body)| (*tag, body.to_vec())) else {
            return false;
        };
        self.inbox.drain(..body.len() + 5);
        self.taken += body.len() + 5;
        self.message(tag, &body);
        true
    }

    fn message(&mut self, tag: u8, body: &[u8]) {
        if self.copying {
            return self.copied(tag, body);
        }
        if tag == b'S' {
            self.skipping = false;
            self.end_implicit();
            return self.ready();
        }
        if self.skipping && tag != b'X' {
            return;
        }
        self.in_series |= matches!(tag, b'P' | b'B' | b'D' | b'E' | b'C');
        match tag {
            b'Q' => self.query(body),
            b'P' => self.parse(body),
            b'B' => self.bind(body),
            b'D' => self.describe(body),
            b'E' => self.execute(body),
            b'C' => self.close(body),
            b'F' => self.function_call(body),
            b'H' => self.flush(),
            b'd' | b'c' | b'f' => {}
            b'X' => self.closed = true,
            _ => self.fatal(),
        }
    }

    fn copied(&mut self, tag: u8, body: &[u8]) {
        match tag {
            b'd' if body.starts_with(b"bad") => self.fail("22P04"),
            b'd' | b'H' | b'S' => {}
            b'c' => self.copying = false,
            b'f' => self.fail("57014"),
            _ => self.fatal(),
        }
    }

    /// The connection is lost with the protocol.
    fn fatal(&mut self) {
        self.out.extend(error("08P01"));
        self.flush();
        self.closed = true;
    }

    pub fn fail(&mut self, code: &str) {
        self.out.extend(error(code));
        self.flush();
        self.work.clear();
        self.copying = false;
        self.failed |= self.open;
        if self.simple {
            self.work.extend([Act::EndImplicit, Act::Ready]);
        } else {
            self.skipping = true;
        }
    }

    fn ready(&mut self) {
        (self.simple, self.in_series) = (false, false);
        let status = match (self.open, self.failed) {
            (false, _) => b'I',
            (true, false) => b'T',
            (true, true) => b'E',
        };
        self.out.extend(ready(status));
        self.flush();
    }

    /// What was done outside of a transaction is one by itself.
    fn end_implicit(&mut self) {
        if !self.open {
            self.portals.clear();
        }
    }

    /// What policy says, where this server is asked for it.
    fn refused(&self, text: &[u8], runs: bool) -> Option<&'static str> {
        if !self.refuses {
            return None;
        }
        match fate(&String::from_utf8_lossy(text)) {
            Fate::Refused(code) => Some(code),
            Fate::Unapproved if runs => Some(APPROVAL_ENDED),
            _ => None,
        }
    }

    fn query(&mut self, body: &[u8]) {
        let (text, rest) = wire::text(body);
        assert!(rest.is_empty(), "a Query of one text");
        self.simple = true;
        self.statements.remove(&b""[..]);
        self.portals.remove(&b""[..]);
        if let Some(code) = self.refused(text, true) {
            return self.fail(code);
        }
        self.limit = None;
        self.executed.push(Executed {
            text: text.to_vec(),
            at: self.taken,
            indirect: false,
            name: None,
        });
        self.running = Some(text.to_vec());
        self.work = programs::simple(text);
        self.work.push_back(Act::EndImplicit);
        self.work.push_back(Act::Ready);
    }

    fn parse(&mut self, body: &[u8]) {
        let (name, rest) = wire::text(body);
        let (text, _) = wire::text(rest);
        if let Some(code) = self.refused(text, false) {
            return self.fail(code);
        }
        if name.is_empty() {
            // Before anything can fail.
            self.statements.remove(name);
        }
        if !programs::is_one(text) {
            return self.fail("42601");
        }
        // An empty text fails nowhere.
        if self.failed && !text.is_empty() && !programs::ends_transaction(text) {
            return self.fail("25P02");
        }
        if !name.is_empty() && self.statements.contains_key(name) {
            return self.fail("42P05");
        }
        self.statements.insert(name.to_vec(), text.to_vec());
        self.out.extend(frame(b'1', b""));
    }

    fn bind(&mut self, body: &[u8]) {
        let (portal, rest) = wire::text(body);
        let (name, bind) = wire::text(rest);
        let Some(text) = self.statements.get(name).cloned() else { return self.fail("26000") };
        if self.failed && !programs::ends_transaction(&text) {
            return self.fail("25P02");
        }
        if !portal.is_empty() && self.portals.contains_key(portal) {
            return self.fail("42P03");
        }
        let left = Some(programs::extended(&text));
        self.portals.insert(
            portal.to_vec(),
            Portal { text, bind: bind.to_vec(), name: name.to_vec(), left },
        );
        self.out.extend(frame(b'2', b""));
    }

    fn describe(&mut self, body: &[u8]) {
        let (name, _) = wire::text(&body[1..]);
        let found = match body[0] {
            b'S' => self.statements.get(name).cloned().ok_or("26000"),
            _ => self.portals.get(name).map(|portal| portal.text.clone()).ok_or("34000"),
        };
        let text = match found {
            Ok(text) => text,
            Err(code) => return self.fail(code),
        };
        let described = programs::described(&text);
        if self.failed && (described.is_some() || (self.shared && body[0] == b'S')) {
            return self.fail("25P02");
        }
        if body[0] == b'S' {
            self.out.extend(frame(b't', b"\0\0"));
        }
        self.out.extend(described.unwrap_or_else(|| frame(b'n', b"")));
    }

    fn execute(&mut self, body: &[u8]) {
        let (name, limit) = wire::text(body);
        let limit = u32::from_be_bytes(limit.try_into().expect("a limit"));
        let Some(portal) = self.portals.get_mut(name) else { return self.fail("34000") };
        let (text, statement) = (portal.text.clone(), portal.name.clone());
        let left = portal.left.take();
        if let Some(code) = self.refused(&text, true) {
            return self.fail(code);
        }
        if self.failed && !programs::ends_transaction(&text) {
            return self.fail("25P02");
        }
        let executed =
            Executed { text: text.clone(), at: self.taken, indirect: false, name: Some(statement) };
        self.executed.push(executed);
        self.limit = (1..i32::MAX as u32).contains(&limit).then_some(limit);
        self.work = match left {
            Some(left) => left,
            None if programs::described(&text).is_some() => {
                [Act::Done(b"SELECT 0".to_vec(), Change::None)].into()
            }
            None => return self.fail("55000"),
        };
        self.running = Some(text);
        self.work.push_back(Act::EndPortal(name.to_vec()));
        if self.limit.is_some() {
            self.suspend_at_limit(name);
        }
    }

    /// A portal gives so many rows, and keeps the rest.
    fn suspend_at_limit(&mut self, name: &[u8]) {
        let limit = self.limit.unwrap_or(0) as usize;
        let is_row = |act: &Act| matches!(act, Act::Row(_));
        let rows = self.work.iter().filter(|act| is_row(act)).count();
        if rows < limit || !self.work.iter().take(limit).all(is_row) {
            return;
        }
        let mut left = self.work.split_off(limit);
        left.pop_back();
        // The tag counts what its Execute returned.
        for act in &mut left {
            if let Act::Done(tag, _) = act {
                *tag = format!("SELECT {}", rows - limit).into_bytes();
            }
        }
        self.work.push_back(Act::Suspend(name.to_vec(), left));
    }

    fn close(&mut self, body: &[u8]) {
        let (name, _) = wire::text(&body[1..]);
        match body[0] {
            b'S' => drop(self.statements.remove(name)),
            _ => drop(self.portals.remove(name)),
        }
        self.out.extend(frame(b'3', b""));
    }

    fn function_call(&mut self, body: &[u8]) {
        self.simple = true;
        let oid = u32::from_be_bytes(body[..4].try_into().expect("an oid"));
        // No formats are sent: what follows is the number of arguments. Function 3 is held, and approved by it.
        let is_odd = body[7] % 2 == 1;
        match oid {
            0 if !self.refuses => return self.fail("42883"),
            _ if !self.refuses => {}
            1 => {}
            3 if is_odd => return self.fail(APPROVAL_ENDED),
            3 => {}
            _ => return self.fail("42501"),
        }
        if self.failed {
            return self.fail("25P02");
        }
        self.out.extend(frame(b'V', b"\0\0\0\x01x"));
        self.work.extend([Act::EndImplicit, Act::Ready]);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Send(bytes) | Act::Row(bytes) => self.out.extend(bytes),
            Act::Fail(code) => self.fail(code),
            Act::Begin(text) if self.failed && !programs::ends_transaction(&text) => {
                self.fail("25P02");
            }
            Act::Begin(_) => {}
            Act::CopyIn => {
                self.out.extend(frame(b'G', b"\0\0\0"));
                self.flush();
                self.copying = true;
            }
            Act::Done(tag, change) => self.done(&tag, change),
            Act::Suspend(name, left) => {
                self.out.extend(frame(b's', b""));
                if let Some(portal) = self.portals.get_mut(&name) {
                    portal.left = Some(left);
                }
            }
            Act::EndPortal(_) => self.running = None,
            Act::EndImplicit => self.end_implicit(),
            Act::Ready => self.ready(),
        }
    }

    fn done(&mut self, tag: &[u8], change: Change) {
        let mut tag = tag.to_vec();
        match change {
            Change::None => {}
            Change::Begin => self.open = true,
            Change::End => {
                if self.failed {
                    tag = b"ROLLBACK".to_vec();
                }
                (self.open, self.failed) = (false, false);
                self.portals.clear();
            }
            Change::Setting => self.dirty = true,
            Change::Prepare(name, text) => drop(self.prepared.insert(name, text)),
            Change::Declare(name) => {
                let left = Some(programs::extended(b"select 2"));
                let portal = Portal { text: b"cursor".to_vec(), bind: vec![], name: vec![], left };
                self.portals.insert(name, portal);
            }
            Change::ClosePortal(name) => drop(self.portals.remove(&name)),
            Change::Fetch(name) => {
                let text = self.portals.get(&name).map(|portal| portal.text.clone());
                self.run_indirectly(text, "34000");
            }
            Change::Deallocate(name) if name == b"all" => {
                self.statements.retain(|name, _| name.is_empty());
                self.prepared.clear();
            }
            Change::Deallocate(name) => {
                let known = self.statements.remove(&name).or(self.prepared.remove(&name));
                if known.is_none() {
                    return self.fail("26000");
                }
            }
            Change::Execute(name) => {
                let text = self.prepared.get(&name).cloned();
                self.run_indirectly(text, "26000");
            }
        }
        if !tag.is_empty() && !self.skipping {
            self.out.extend(frame(b'C', &[&tag[..], b"\0"].concat()));
        }
    }

    fn run_indirectly(&mut self, text: Option<Vec<u8>>, unknown: &'static str) {
        match text {
            Some(text) => {
                self.executed.push(Executed { text, at: self.taken, indirect: true, name: None });
                self.work.push_front(Act::Done(b"FETCH 0".to_vec(), Change::None));
            }
            None => self.fail(unknown),
        }
    }
}
