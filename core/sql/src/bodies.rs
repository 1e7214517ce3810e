//! Bodies of functions that users made: which are known to do nothing but compute and read.
//!
//! A function is harmless where everything that it can do is known: an SQL body of plain queries, an aggregate of
//! harmless functions, an immutable C function (only a superuser can make one), a C function of an extension that is
//! known. What its body reads counts as read by the statement that calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::behind::FunctionBody;
use writ_model::catalog::{FIRST_USER_OID, Volatility};
use writ_model::{Function, StatementFacts, StatementKind};

use crate::calls;
use crate::children::Visitor;
use crate::names::Names;
use crate::scope::{Entry, Level, Source};
use crate::walk::Walk;
use crate::{mask, parse};

/// Functions that call functions are followed this deep.
const BODY_DEPTH_MAX: usize = 8;
/// One text analyses at most this many bodies.
const BODIES_MAX: usize = 256;

/// Extensions whose C functions compute on their arguments alone, also where they are declared stable or volatile.
const COMPUTING_EXTENSIONS: &[&str] = &[
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dict_int",
    "earthdistance",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "isn",
    "ltree",
    "pg_trgm",
    "pgcrypto",
    "seg",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid-ossp",
    "vector",
];

/// What bodies were found to do; `None` for those that are not known to be harmless.
#[derive(Default)]
pub(crate) struct Bodies {
    known: BTreeMap<u32, Option<Rc<StatementFacts>>>,
    open: BTreeSet<u32>,
    depth: usize,
    /// The session's names, where those at hand are a definition's.
    pub(crate) session: Option<Names>,
}

impl Walk<'_> {
    /// What a function reads and calls, where it is known to do nothing else.
    pub(crate) fn harmless(&mut self, oid: u32) -> Option<Rc<StatementFacts>> {
        if self.has_defined() && (self.code_changed || !self.is_compiled(oid)) {
            // The names in a body mean what they mean when it runs.
            return None;
        }
        if let Some(known) = self.bodies.known.get(&oid) {
            return known.clone();
        }
        let busy = self.bodies.depth >= BODY_DEPTH_MAX || self.bodies.known.len() >= BODIES_MAX;
        if busy || !self.bodies.open.insert(oid) {
            return None;
        }
        self.bodies.depth += 1;
        let found = self.judge(oid);
        self.bodies.depth -= 1;
        self.bodies.open.remove(&oid);
        self.bodies.known.insert(oid, found.clone());
        found
    }

    /// Whether a function has no names that anything could change the meaning of.
    fn is_compiled(&self, oid: u32) -> bool {
        let compiled = |oid: u32| {
            let language = self.catalog.function_by_oid(oid).map(|f| f.language.as_str());
            let defaults = self.catalog.body(oid).is_some_and(|b| b.defaults.is_some());
            matches!(language, Some("internal" | "c")) && !defaults
        };
        let support = self.catalog.body(oid).map_or(&[][..], |body| &body.support);
        compiled(oid) && support.iter().all(|part| compiled(*part))
    }

    /// Whether a statement leaves every function, operator and cast as it was: those that are known not to touch any.
    pub(crate) fn keeps_code(statement: &NodeEnum) -> bool {
        use NodeEnum as N;
        matches!(
            statement,
            N::SelectStmt(_)
                | N::InsertStmt(_)
                | N::UpdateStmt(_)
                | N::DeleteStmt(_)
                | N::MergeStmt(_)
                | N::CopyStmt(_)
                | N::TransactionStmt(_)
                | N::VariableSetStmt(_)
                | N::CommentStmt(_)
                | N::CreateStmt(_)
                | N::CreateTableAsStmt(_)
                | N::CreateSeqStmt(_)
                | N::AlterSeqStmt(_)
                | N::CreateEnumStmt(_)
                | N::AlterEnumStmt(_)
                | N::CompositeTypeStmt(_)
                | N::CreateDomainStmt(_)
                | N::ViewStmt(_)
                | N::IndexStmt(_)
                | N::AlterTableStmt(_)
        ) || matches!(statement, N::CreateSchemaStmt(create) if create.schema_elts.is_empty())
    }

    fn judge(&mut self, oid: u32) -> Option<Rc<StatementFacts>> {
        let catalog = self.catalog;
        let function = catalog.function_by_oid(oid)?;
        let nothing = || Some(Rc::new(StatementFacts::default()));
        if oid < FIRST_USER_OID {
            return calls::is_plain(&function.name).then(nothing)?;
        }
        let body = catalog.body(oid)?;
        let defaults = match &body.defaults {
            Some(list) => Some(self.analysed(function, body, &format!("SELECT {list}"), true)?),
            None => None,
        };
        let facts = match function.language.as_str() {
            _ if !body.support.is_empty() => self.all_of(&body.support),
            "internal" => {
                body.body.as_deref().filter(|name| calls::is_plain(name)).and_then(|_| nothing())
            }
            "c" => {
                let known = |e: &String| COMPUTING_EXTENSIONS.contains(&e.as_str());
                let computes = function.volatility == Volatility::Immutable
                    || body.extension.as_ref().is_some_and(known);
                computes.then(nothing)?
            }
            "sql" if body.parsed => {
                let text = format!(
                    "CREATE FUNCTION f() RETURNS int LANGUAGE sql {}",
                    body.body.as_deref()?
                );
                self.analysed(function, body, &text, true)
            }
            "sql" => self.analysed(function, body, body.body.as_deref()?, false),
            _ => None,
        }?;
        Some(match defaults {
            Some(more) => Rc::new(union(&facts, &more)),
            None => facts,
        })
    }

    fn all_of(&mut self, functions: &[u32]) -> Option<Rc<StatementFacts>> {
        let mut all = StatementFacts::default();
        for function in functions {
            all = union(&all, &*self.harmless(*function)?);
        }
        Some(Rc::new(all))
    }

    /// Walks a body as a text of its own. `resolved`: every name in it has its schema.
    fn analysed(
        &mut self,
        function: &Function,
        body: &FunctionBody,
        text: &str,
        resolved: bool,
    ) -> Option<Rc<StatementFacts>> {
        let levels = crate::limits::check(text).ok()?;
        if !self.fits(levels) {
            return None;
        }
        let names = self.names_inside(function, body, resolved)?;
        let mut tree = parse::parse(text).ok()?;
        self.inside(&names, resolved, |below| {
            below.levels.push(arguments(function, body));
            below.body(&mut tree)
        })
    }

    /// Whether a text of so many levels can be walked on this stack; if not, the whole text starts again on a larger one.
    pub(crate) fn fits(&mut self, levels: usize) -> bool {
        let fits = parse::fits_here(levels);
        self.too_deep |= !fits;
        fits
    }

    /// Runs `work` on a walk of a body's own; what it found, where that is nothing but queries.
    pub(crate) fn inside(
        &mut self,
        names: &Names,
        resolved: bool,
        work: impl FnOnce(&mut Walk<'_>) -> bool,
    ) -> Option<Rc<StatementFacts>> {
        let mut below = Walk::new(self.catalog, names, None);
        below.names_changed = self.names_changed && !resolved;
        below.definitions_changed = self.definitions_changed;
        below.made.clone_from(&self.made);
        std::mem::swap(&mut below.bodies, &mut self.bodies);
        let plain = work(&mut below);
        below.settle();
        std::mem::swap(&mut below.bodies, &mut self.bodies);
        self.too_deep |= below.too_deep;
        let facts = below.into_facts();
        let computes = facts.opaque.is_empty()
            && facts.writes.is_empty()
            && facts.session.is_empty()
            && facts.defines.is_empty()
            && facts.kinds.iter().all(|k| *k == StatementKind::Select);
        (plain && computes).then(|| Rc::new(facts))
    }

    /// How names are found while the function runs: as the caller finds them, unless it has settings of its own.
    pub(crate) fn names_inside(
        &mut self,
        function: &Function,
        body: &FunctionBody,
        resolved: bool,
    ) -> Option<Names> {
        // Bodies that are text are resolved when they run: see `Walk::expand_view`.
        let mut names =
            self.bodies.session.get_or_insert_with(|| Names::clone(&self.names)).clone();
        if resolved {
            names.search_path.clear();
        }
        for setting in &body.settings {
            let (name, value) = setting.split_once('=')?;
            if name.eq_ignore_ascii_case("search_path") {
                names.search_path = search_path(value)?;
            } else if crate::session::meaning(&name.to_ascii_lowercase())
                != crate::session::Meaning::Harmless
            {
                return None;
            }
        }
        let by_role = names.search_path.iter().any(|s| s == "$user");
        (!by_role || !function.security_definer).then_some(names)
    }

    /// The statements of a body; whether all are queries.
    fn body(&mut self, tree: &mut pb::ParseResult) -> bool {
        tree.stmts.iter_mut().filter_map(|raw| raw.stmt.as_deref_mut()).all(|s| self.query(s))
    }

    fn query(&mut self, node: &mut Node) -> bool {
        match node.node.as_mut() {
            Some(NodeEnum::SelectStmt(_)) => self.statement(node),
            Some(NodeEnum::CreateFunctionStmt(create)) => {
                return create.sql_body.as_deref_mut().is_some_and(|body| self.query(body));
            }
            Some(NodeEnum::List(list)) => {
                return list.items.iter_mut().all(|item| self.query(item));
            }
            Some(NodeEnum::ReturnStmt(back)) => {
                if let Some(value) = back.returnval.as_deref_mut() {
                    self.level(|walk| walk.node(value));
                }
            }
            _ => return false,
        }
        true
    }

    /// Counts what a harmless function reads and calls as the statement's own. A body cannot be rewritten: where it
    /// reads what is masked, nothing may run.
    pub(crate) fn include(&mut self, function: u32, body: &StatementFacts) {
        let name =
            self.catalog.function_by_oid(function).map(|f| format!("{}.{}", f.schema, f.name));
        if let Some(masks) = self.masks
            && mask::touched(self.catalog, masks, body)
        {
            self.refuse(format!(
                "{} reads masked columns",
                name.as_deref().unwrap_or("a function")
            ));
        }
        if function >= FIRST_USER_OID {
            self.facts.functions.extend(name);
        }
        self.facts.functions.extend(body.functions.iter().cloned());
        self.include_reads(body);
    }
}

/// The level of a body's arguments: their names, and the function's for those that it qualifies.
fn arguments(function: &Function, body: &FunctionBody) -> Level {
    let named: Vec<String> = body.arguments.iter().filter(|a| !a.is_empty()).cloned().collect();
    let rows = named.iter().map(|a| Entry { unqualified: false, ..Entry::derived(a) });
    let mut entries: Vec<Entry> = rows.collect();
    entries.push(Entry { source: Source::Known(named), ..Entry::derived(&function.name) });
    let entries = entries.into_iter().map(Rc::new).collect();
    Level { entries, ..Level::default() }
}

fn union(a: &StatementFacts, b: &StatementFacts) -> StatementFacts {
    StatementFacts {
        reads: a.reads.union(&b.reads).cloned().collect(),
        functions: a.functions.union(&b.functions).cloned().collect(),
        ..StatementFacts::default()
    }
}

/// The schemas of a `search_path` setting; `None` where it is not in the form that the server stores.
fn search_path(value: &str) -> Option<Vec<String>> {
    let mut schemas = Vec::new();
    for part in value.split(',').map(str::trim) {
        let schema = match part.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"')?.replace("\"\"", "\""),
            None => part.to_lowercase(),
        };
        if !schema.is_empty() {
            schemas.push(schema);
        }
    }
    Some(schemas)
}

#[cfg(test)]
mod tests {
    use super::search_path;

    #[test]
    fn search_paths_are_read_as_the_server_stores_them() {
        assert_eq!(search_path("public, \"$user\""), Some(vec!["public".into(), "$user".into()]));
        assert_eq!(search_path("\"\""), Some(vec![]));
        assert_eq!(search_path("App, \"O\"\"dd\""), Some(vec!["app".into(), "O\"dd".into()]));
        assert_eq!(search_path("\"a,b\""), None);
    }
}
