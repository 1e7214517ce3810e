//! One session of a client through the observer: each text is analysed as an edge would, runs on the server, and is
//! then compared with what the server logged about it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use writ_edge_core::catalog::{
    CATALOG_FINGERPRINT_QUERY, CATALOG_QUERY, NAMES_QUERY, parse_catalog, parse_names,
};
use writ_model::catalog::FIRST_USER_OID;
use writ_model::facts::SessionEffect;
use writ_model::{Catalog, StatementFacts};
use writ_sql::{Names, analyze};

use crate::compare::{compare, fits};
use crate::seen::{Seen, collect, collect_row_security};
use crate::tally::Tally;
use crate::tree;
use crate::wire::{Message, Peer};

/// The settings that make the server tell what it sees.
const TELL: &str = "SET debug_print_parse = on; SET debug_print_rewritten = on; \
    SET debug_print_plan = on; SET client_min_messages = log; SET debug_pretty_print = off";
const BE_QUIET: &str =
    "SET debug_print_parse = off; SET debug_print_rewritten = off; SET debug_print_plan = off";
/// The trees of rules and SQL-standard function bodies, with the version of each.
const STORED: &str = "SELECT 'r' || r.oid, r.xmin::text || r.ctid::text, \
    CASE r.rulename WHEN '_RETURN' THEN r.ev_class::int8 ELSE 0 END, r.ev_action::text || r.ev_qual::text \
    FROM pg_catalog.pg_rewrite r WHERE r.oid >= 16384 UNION ALL \
    SELECT 'f' || p.oid, p.xmin::text || p.ctid::text, 0, p.prosqlbody::text \
    FROM pg_catalog.pg_proc p WHERE p.prosqlbody IS NOT NULL AND p.oid >= 16384";

/// The next transaction of the server, and this one if it has changed anything.
const TRANSACTIONS: &str = "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()), \
    pg_catalog.pg_current_xact_id_if_assigned()";

/// What all sessions of a run share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) tally: Mutex<Tally>,
    /// The server's own relations and functions, which no session changes.
    of_server: OnceLock<Catalog>,
    /// The file at hand.
    pub(crate) file: Mutex<String>,
}

/// What the server logged about one text.
#[derive(Default)]
struct Log {
    tags: Vec<String>,
    failed: bool,
    /// Title, context and text of each tree.
    trees: Vec<(String, String, String)>,
}

/// One session.
pub(crate) struct Session {
    client: Peer,
    upstream: Peer,
    shared: Arc<Shared>,
    /// `I`dle, in a `T`ransaction, or in one that `E`rred.
    status: u8,
    names: Names,
    catalog: Arc<Catalog>,
    fingerprint: String,
    /// The server's next transaction and this session's own, as they were at the last look.
    transactions: String,
    /// The texts that PREPARE was in, by the names it gave.
    prepared: BTreeMap<String, String>,
    stored: BTreeMap<String, String>,
}

impl Session {
    pub(crate) fn run(client: UnixStream, upstream: &Path, shared: Arc<Shared>) -> io::Result<()> {
        let upstream = Peer::new(UnixStream::connect(upstream)?)?;
        let mut session = Self {
            client: Peer::new(client)?,
            upstream,
            shared,
            status: b'I',
            names: Names::default(),
            catalog: Arc::default(),
            fingerprint: String::new(),
            transactions: String::new(),
            prepared: BTreeMap::new(),
            stored: BTreeMap::new(),
        };
        let startup = session.client.read_startup()?;
        session.upstream.write_startup(&startup)?;
        session.upstream.flush()?;
        session.relay(&mut Log::default())?;
        session.upstream.ask(BE_QUIET)?.map_err(io::Error::other)?;
        session.look(false)?;
        session.new_stored_trees()?;
        session.serve()
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let message = self.client.read()?;
            match message.tag {
                b'Q' => self.query(&message)?,
                b'X' => {
                    self.upstream.write(&message)?;
                    return self.upstream.flush();
                }
                // The extended protocol, with which psql only describes, and calls of large-object functions.
                b'S' | b'F' => {
                    self.upstream.write(&message)?;
                    self.upstream.flush()?;
                    self.relay(&mut Log::default())?;
                }
                _ => self.upstream.write(&message)?,
            }
        }
    }

    /// Passes the server's messages on until it is ready for the next text.
    fn relay(&mut self, log: &mut Log) -> io::Result<()> {
        loop {
            let message = self.upstream.read()?;
            match message.tag {
                b'N' if message.field(b'V') == "LOG" => {
                    let tree = (message.field(b'M'), message.field(b'W'), message.field(b'D'));
                    log.trees.push(tree);
                    continue;
                }
                b'C' => {
                    let tag = message.body.strip_suffix(b"\0").unwrap_or_default();
                    log.tags.push(String::from_utf8_lossy(tag).into_owned());
                }
                b'E' => log.failed = true,
                _ => {}
            }
            self.client.write(&message)?;
            match message.tag {
                b'G' => self.copy_in()?,
                b'Z' => {
                    self.status = message.body.first().copied().unwrap_or(b'I');
                    return self.client.flush();
                }
                _ => {}
            }
        }
    }

    fn copy_in(&mut self) -> io::Result<()> {
        self.client.flush()?;
        loop {
            let message = self.client.read()?;
            self.upstream.write(&message)?;
            if matches!(message.tag, b'c' | b'f') {
                return self.upstream.flush();
            }
        }
    }

    fn query(&mut self, message: &Message) -> io::Result<()> {
        let text = message.body.strip_suffix(b"\0").unwrap_or_default();
        let text = String::from_utf8(text.to_vec()).ok();
        let facts = text.as_deref().map(|t| self.facts(t));
        if self.status != b'E' {
            // A session whose settings a text has bent may refuse; then there is nothing to compare.
            let _ = self.upstream.ask(TELL)?;
        }
        self.upstream.write(message)?;
        self.upstream.flush()?;
        let mut log = Log::default();
        self.relay(&mut log)?;
        let (before, names) = (Arc::clone(&self.catalog), self.names.clone());
        let mut stored = Vec::new();
        if self.may_look(&log, text.as_deref().unwrap_or_default()) {
            let _ = self.upstream.ask(BE_QUIET)?;
            let plain = facts.as_ref().is_some_and(|f| f.opaque.is_empty())
                && log.tags.iter().all(|t| changes_rows_only(t));
            self.look(plain)?;
            if !Arc::ptr_eq(&before, &self.catalog) || log.tags.iter().any(|t| stores(t)) {
                stored = self.new_stored_trees()?;
            }
            if !log.tags.iter().any(|t| stores(t)) {
                stored.clear();
            }
        }
        let shared = Arc::clone(&self.shared);
        let mut tally = shared.tally.lock().expect("no panic in a session");
        tally.statements += 1;
        match (text, facts) {
            _ if log.failed => tally.refused += 1,
            (Some(text), Some(facts)) => {
                for name in &facts.prepares {
                    self.prepared.insert(name.clone(), text.clone());
                }
                self.stale(&before, &names, &facts, &text, &mut tally);
                self.judge(&text, &facts, &log, &before, &stored, &mut tally);
            }
            _ => tally.not_text += 1,
        }
        Ok(())
    }

    /// What is known of a text now, with what it executes: an edge decides on that anew each time.
    fn facts(&self, text: &str) -> StatementFacts {
        let known = |text: &str| analyze(text, &self.catalog, &self.names).facts().clone();
        let mut facts = known(text);
        for name in facts.executes.clone() {
            let Some(prepared) = self.prepared.get(&name).map(|text| known(text)) else { continue };
            facts.reads.extend(prepared.reads);
            facts.writes.extend(prepared.writes);
            facts.opaque.extend(prepared.opaque);
            facts.kinds.extend(prepared.kinds);
        }
        facts
    }

    /// Whether our own questions may go to the server now: not before a transaction has its properties.
    fn may_look(&self, log: &Log, text: &str) -> bool {
        let begins =
            log.tags.last().is_some_and(|t| t.starts_with("BEGIN") || t.starts_with("START"));
        let sets = log.tags.last().is_some_and(|t| t == "SET")
            && text.to_ascii_lowercase().contains("transaction");
        self.status == b'I' || (self.status == b'T' && !begins && !sets)
    }

    /// Takes names and catalog anew where they may have changed. `plain`: the last text cannot have changed the
    /// catalog.
    fn look(&mut self, plain: bool) -> io::Result<()> {
        let Ok(rows) = self.upstream.ask(&format!("{NAMES_QUERY};{TRANSACTIONS}"))? else {
            return Ok(());
        };
        let [names, transactions] = rows.as_slice() else {
            return Err(io::Error::other("two rows"));
        };
        let columns: Vec<Option<&[u8]>> = names.iter().map(|c| Some(c.as_bytes())).collect();
        let mut row = parse_names(&columns).map_err(io::Error::other)?;
        row.temp_relations.sort();
        row.temp_active.sort();
        self.names = Names {
            search_path: row.search_path,
            role: row.role,
            temp_relations: row.temp_relations,
            temp_active: row.temp_active,
            standard_conforming_strings: row.standard_conforming_strings,
        };
        let [next, own] = transactions.as_slice() else {
            return Err(io::Error::other("two columns"));
        };
        let same = self.transactions == *next && own.is_empty();
        self.transactions.clone_from(next);
        if same || plain {
            return Ok(());
        }
        let Ok(fingerprint) = self.upstream.ask(CATALOG_FINGERPRINT_QUERY)? else { return Ok(()) };
        let fingerprint = fingerprint.concat().concat();
        if self.fingerprint != fingerprint
            && let Some(catalog) = self.take_catalog()?
        {
            self.catalog = Arc::new(catalog);
            self.fingerprint = fingerprint;
        }
        Ok(())
    }

    /// The catalog as it is now in this session's own transaction.
    fn take_catalog(&mut self) -> io::Result<Option<Catalog>> {
        let whole = self.shared.of_server.get().is_none();
        let mut query = CATALOG_QUERY.to_owned();
        if !whole {
            let user = |text: &str, oid: &str| format!("{text} AND {oid} >= 16384");
            let relations = "n.nspname OPERATOR(pg_catalog.<>) 'pg_toast'::pg_catalog.name";
            let functions = "l.oid OPERATOR(pg_catalog.=) f.prolang";
            query = query.replace(relations, &user(relations, "c.oid"));
            query = query.replace(functions, &user(functions, "f.oid"));
        }
        let path = "SET LOCAL search_path = pg_catalog";
        let rows = if self.status == b'I' {
            self.upstream.ask(&format!("{path}; {query}"))?
        } else {
            let inner = format!("SAVEPOINT writ_looks; {path}; {query}");
            let rows = self.upstream.ask(&inner)?;
            let undo = "ROLLBACK TO writ_looks; RELEASE writ_looks";
            self.upstream.ask(undo)?.map_err(io::Error::other)?;
            rows
        };
        let Ok(rows) = rows else { return Ok(None) };
        let json = rows.concat().concat();
        let taken = parse_catalog(&json).map_err(io::Error::other)?;
        if whole {
            let relations = taken.relations().iter().filter(|r| r.oid < FIRST_USER_OID);
            let functions = taken.functions().iter().filter(|f| f.oid < FIRST_USER_OID);
            let base = Catalog::new(
                taken.server_version_num,
                relations.cloned().collect(),
                functions.cloned().collect(),
            );
            let _ = self.shared.of_server.set(base);
            return Ok(Some(taken));
        }
        let Some(base) = self.shared.of_server.get() else { return Ok(Some(taken)) };
        let mut relations = [base.relations(), taken.relations()].concat();
        relations.sort_by_key(|relation| relation.oid);
        Ok(Some(Catalog::new(
            taken.server_version_num,
            relations,
            [base.functions(), taken.functions()].concat(),
        )))
    }

    /// The trees of what a text has just stored, with those of the views that they name.
    fn new_stored_trees(&mut self) -> io::Result<Vec<tree::Value>> {
        let rows = self.upstream.ask(STORED)?.unwrap_or_default();
        let (mut views, mut trees) = (BTreeMap::new(), Vec::new());
        for row in rows {
            let [key, version, view, tree] =
                row.try_into().map_err(|_| io::Error::other("four columns"))?;
            if self.stored.insert(key, version.clone()).as_ref() != Some(&version) {
                trees.push(tree::read(&tree));
            }
            views.insert(view.parse::<u32>().unwrap_or_default(), tree);
        }
        let mut at = 0;
        while let Some(next) = trees.get(at) {
            let mut seen = Seen::new();
            collect(next, &self.catalog, &mut seen);
            trees.extend(seen.keys().filter_map(|oid| views.remove(oid)).map(|t| tree::read(&t)));
            at += 1;
        }
        Ok(trees)
    }

    /// Whether the facts announced each change of what names mean.
    fn stale(
        &self,
        before: &Arc<Catalog>,
        names: &Names,
        facts: &StatementFacts,
        text: &str,
        tally: &mut Tally,
    ) {
        if !facts.opaque.is_empty() {
            return;
        }
        let file = self.shared.file.lock().expect("no panic in a session").clone();
        let says = |effects: &[SessionEffect]| effects.iter().any(|e| facts.session.contains(e));
        if *names != self.names && !says(&[SessionEffect::Names, SessionEffect::TransactionEnd]) {
            tally.wrong.push(format!("{file}: names change unannounced | {text}"));
        }
        let changed =
            !Arc::ptr_eq(before, &self.catalog) && before.relations() != self.catalog.relations();
        if changed && !says(&[SessionEffect::Definitions, SessionEffect::TransactionEnd]) {
            let estimates_only = before.relations().len() == self.catalog.relations().len()
                && before.relations().iter().zip(self.catalog.relations()).all(|(a, b)| {
                    let a = writ_model::Relation { row_estimate: b.row_estimate, ..a.clone() };
                    a == *b
                });
            if !estimates_only {
                tally.wrong.push(format!("{file}: definitions change unannounced | {text}"));
            }
        }
    }

    fn judge(
        &self,
        text: &str,
        facts: &StatementFacts,
        log: &Log,
        catalog: &Catalog,
        stored: &[tree::Value],
        tally: &mut Tally,
    ) {
        let file = self.shared.file.lock().expect("no panic in a session").clone();
        let counts = tally.files.entry(file.clone()).or_default();
        counts[0] += 1;
        if !facts.opaque.is_empty() {
            counts[2] += 1;
            return tally.note_opaque(facts, text);
        }
        counts[1] += 1;
        tally.complete += 1;
        if let Some(tag) = log.tags.iter().find(|t| !fits(t, &facts.kinds)) {
            tally.wrong.push(format!("{file}: kind {tag} is not {:?} | {text}", facts.kinds));
        }
        let (seen, flat, rows) = self.seen(log, catalog, stored, text, tally);
        if seen.is_empty() && flat.is_empty() {
            return;
        }
        tally.with_trees += 1;
        let of_facts = |oid: &u32| facts.reads.iter().any(|r| r.oid == *oid);
        tally.row_security += u64::from(rows.keys().any(|oid| !of_facts(oid)));
        let exact = compare(facts, &seen, catalog, false);
        let planned = compare(facts, &flat, catalog, true);
        let secured = |oid: &u32| catalog.relation_by_oid(*oid).is_some_and(|r| r.row_security);
        let mut under = exact.under;
        if seen.is_empty() && !flat.keys().any(secured) {
            // A plan is all there is. It mixes in what row security reads.
            under.extend(planned.under);
        }
        // What either has is not too much.
        let over: Vec<_> = exact.over.into_iter().filter(|o| planned.over.contains(o)).collect();
        // The relation that a rule is for is in none of its trees.
        let is_rule = log.tags.iter().any(|t| t == "CREATE RULE");
        if !under.is_empty() {
            tally.files.entry(file.clone()).or_default()[3] += 1;
            tally.wrong.push(format!("{file}: {under:?} | {text}"));
        } else if !over.is_empty() && !is_rule {
            tally.over.push(format!("{file}: {over:?} | {text}"));
        }
    }

    /// What the trees of a text use: those before planning, plans, and the conditions of row security. Notes what runs
    /// inside.
    fn seen(
        &self,
        log: &Log,
        catalog: &Catalog,
        stored: &[tree::Value],
        text: &str,
        tally: &mut Tally,
    ) -> (Seen, Seen, Seen) {
        let (mut seen, mut flat, mut rows) = (Seen::new(), Seen::new(), Seen::new());
        let mut contexts = BTreeSet::new();
        for (title, context, detail) in &log.trees {
            let tree = tree::read(detail);
            if !context.is_empty() {
                let mut hidden = Seen::new();
                collect(&tree, catalog, &mut hidden);
                // The server's own functions read its catalogs.
                if hidden.keys().any(|oid| *oid >= FIRST_USER_OID) {
                    contexts.insert(cause(context));
                }
            } else if title.starts_with("plan") {
                collect(&tree, catalog, &mut flat);
            } else if title.contains("parse tree") {
                collect(&tree, catalog, &mut seen);
                collect_row_security(&tree, catalog, &mut rows);
            }
        }
        stored.iter().for_each(|tree| collect(tree, catalog, &mut seen));
        // The server only checks the body of a function; a cursor was judged when it was declared.
        let judged = ["CREATE FUNCTION", "CREATE PROCEDURE", "FETCH", "MOVE"];
        let judged = |tag: &String| judged.iter().any(|t| tag.starts_with(t));
        if !log.tags.iter().all(judged) {
            for cause in contexts {
                tally.unseen.entry(cause).or_insert_with(|| (0, text.to_owned())).0 += 1;
            }
        }
        (seen, flat, rows)
    }
}

/// Whether a statement of this tag stores trees.
fn stores(tag: &str) -> bool {
    [
        "CREATE VIEW",
        "CREATE MATERIALIZED VIEW",
        "CREATE RULE",
        "CREATE FUNCTION",
        "CREATE PROCEDURE",
    ]
    .contains(&tag)
        || tag.starts_with("SELECT")
}

/// Whether a statement of this tag changes no definitions, unless it runs code that is not known.
fn changes_rows_only(tag: &str) -> bool {
    let word = tag.split(' ').next().unwrap_or_default();
    ["INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "FETCH", "SET", "SHOW"].contains(&word)
}

/// What runs a statement inside another.
fn cause(context: &str) -> String {
    let outer = context.lines().next_back().unwrap_or_default();
    if outer.starts_with("SQL statement \"") {
        return outer.chars().take(40).collect();
    }
    outer.to_owned()
}
