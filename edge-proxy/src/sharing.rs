//! A session that shares connections: when it takes one, and when it gives it back.

use std::sync::Arc;

use futures::FutureExt;
use writ_edge_core::Cx;
use writ_edge_core::EndReason;
use writ_edge_core::write::Message;

use crate::client::{Refused, client_encoding, connect, no_connection, put_parameter};
use crate::connection::{Acquired, Connection, Link, Sharing};
use crate::pool::Leased;

impl Connection {
    /// Takes a connection that is there, or begins to wait for one.
    pub(crate) fn acquire(&mut self) {
        let Link::Shared(sharing) = &mut self.link else { return };
        let Some(pool) = self.served.pool() else { return };
        if sharing.leased.is_some() || sharing.acquiring.is_some() {
            return;
        }
        if let Some(leased) = pool.take(&sharing.key) {
            return self.attach(leased);
        }
        let (pool, key, served) = (Arc::clone(pool), sharing.key.clone(), Arc::clone(&self.served));
        // Making a connection takes much more room than waiting for one, and is seldom what comes of it.
        let acquiring =
            async move { pool.acquire(&key, || connect(&served, key.parameters()).boxed()).await };
        sharing.acquiring = Some(acquiring.boxed());
    }

    /// Gives up the place among those who wait.
    pub(crate) fn stop_acquiring(&mut self) {
        if let Link::Shared(sharing) = &mut self.link {
            sharing.acquiring = None;
        }
    }

    /// The wait is over.
    pub(crate) fn acquired(&mut self, acquired: Acquired) {
        let Link::Shared(sharing) = &mut self.link else { return };
        sharing.acquiring = None;
        match acquired {
            Ok(leased) => self.attach(leased),
            Err(error) => {
                let Refused { code, reason, hint } = no_connection(&self.served, error);
                let message = Message::fatal(code, reason, hint);
                let now = (self.shared.clock)();
                let mut cx = Cx { now, journal: &mut self.journal, out: &mut self.outbox };
                self.session.end_saying(&message, EndReason::Unavailable, &mut cx);
            }
        }
    }

    fn attach(&mut self, mut leased: Leased) {
        let Link::Shared(sharing) = &mut self.link else { return };
        let greeting = &leased.pooled.greeting;
        if !Arc::ptr_eq(&greeting.parameters, &sharing.told) {
            for (name, value) in greeting.parameters.iter() {
                if !sharing.told.iter().any(|told| told.0 == *name && told.1 == *value) {
                    put_parameter(name, value, &mut self.outbox.to_client);
                }
            }
            sharing.told = Arc::clone(&greeting.parameters);
        }
        if let Some(trace) = self.journal.trace() {
            let server = &leased.pooled.cancel_key.server;
            trace.at_server(&self.served.database().dbname, server);
        }
        let backend = std::mem::take(&mut leased.pooled.backend);
        self.session.attach(backend, &greeting.names, client_encoding(&greeting.parameters));
        sharing.leased = Some(leased);
    }

    /// Lets others go first where they wait, between two transactions of a client that sends without a pause.
    pub(crate) fn give_way(&mut self) {
        if self.served.pool().is_some_and(|pool| pool.is_contended()) {
            self.release();
        }
    }

    /// Gives the connection back where nothing in it is this session's.
    pub(crate) fn release(&mut self) {
        let Link::Shared(Sharing { key, leased, .. }) = &mut self.link else { return };
        let quiet = |leased: &mut Leased| {
            let side = &leased.pooled.side;
            side.inbox.is_empty() && !side.eof && !side.unflushed
        };
        if !leased.as_mut().is_some_and(quiet) || !self.outbox.to_upstream().is_empty() {
            return;
        }
        if let Some(pool) = self.served.pool()
            && let Some(backend) = self.session.detach()
            && let Some(mut given) = leased.take()
        {
            given.pooled.backend = backend;
            given.pooled.side.end_bulk();
            pool.put(key, given);
        }
    }
}
