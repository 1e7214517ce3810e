//! What runs behind a statement without being named in it: operators, casts, domains, and the defaults, checks,
//! policies and triggers of the relations that it uses. Code that is not known to be harmless is opaque (E2) under its
//! function's name, so that a policy which opens a function opens it here too.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::behind::{Domain, Hook, HookEvent, Key};
use writ_model::catalog::FIRST_USER_OID;
use writ_model::{OpaqueReason, Relation, StatementKind as Kind};

use crate::parse;
use crate::walk::Walk;

/// Functions that make values of a row type out of documents.
const POPULATING: &[&str] = &[
    "json_populate_record",
    "json_populate_recordset",
    "jsonb_populate_record",
    "jsonb_populate_recordset",
    "populate_record",
];

/// What a walk has seen that can make code run, until the end of the text.
#[derive(Default)]
pub(crate) struct Seen {
    /// Last parts of the names of types.
    types: BTreeSet<String>,
    /// The same of the columns of tables that the text makes: they matter once something is written.
    made: BTreeSet<String>,
    /// Whether values of columns may be brought to one type with others.
    mixing: bool,
    /// Whether any column may get its default.
    defaults: bool,
    /// Whether something is defined, altered or dropped.
    defines: bool,
}

/// Whether a type's modifier is one that the server knows.
fn is_modifier(node: &Node) -> bool {
    matches!(node.node, Some(NodeEnum::AConst(_) | NodeEnum::ColumnRef(_)))
}

impl Walk<'_> {
    /// Notes a type that is named.
    pub(crate) fn see_type(&mut self, name: &pb::TypeName) {
        if !name.typmods.iter().all(is_modifier) {
            // The server refuses it, and the printer of trees ends the process over it where its assertions are on.
            let why = "type modifiers must be simple constants or identifiers";
            self.opaque(OpaqueReason::Syntax(why.to_owned()));
        }
        if let Some(name) = name.names.last().and_then(parse::string)
            && self.tracks_types()
        {
            self.seen.types.insert(name.to_owned());
        }
    }

    /// Notes the types of the columns of a table that is made.
    pub(crate) fn see_columns(&mut self, elements: &[Node]) {
        for element in elements {
            if let Some(NodeEnum::ColumnDef(column)) = &element.node
                && let Some(name) = column.type_name.as_ref().and_then(|t| t.names.last())
            {
                self.seen.made.extend(parse::string(name).map(str::to_owned));
            }
        }
    }

    /// Notes a call, which can be a cast in the notation of a function.
    pub(crate) fn see_call(&mut self, name: &str) {
        self.seen.mixing |= POPULATING.contains(&name);
        if self.tracks_types() {
            self.seen.types.insert(name.to_owned());
        }
    }

    /// Notes that values of several expressions are brought to one type.
    pub(crate) fn see_mixing(&mut self) {
        self.seen.mixing = true;
    }

    /// Notes that any column may get its default.
    pub(crate) fn see_defaults(&mut self) {
        self.seen.defaults = true;
    }

    /// Notes that something is defined, altered or dropped: event triggers fire.
    pub(crate) fn see_definition(&mut self) {
        self.seen.defines = true;
    }

    /// Notes that indexes are built anew which do not say of which table they are.
    pub(crate) fn rebuild_any(&mut self) {
        let hooks = &self.catalog.behind().hooks;
        let built = hooks.iter().filter(|hook| hook.event == HookEvent::Write);
        for function in built.map(|hook| hook.function).collect::<BTreeSet<u32>>() {
            self.run(function);
        }
    }

    fn tracks_types(&self) -> bool {
        let behind = self.catalog.behind();
        !behind.casts.is_empty() || !behind.domains.is_empty()
    }

    /// An operator as the grammar writes it.
    pub(crate) fn operator(&mut self, name: &[Node]) {
        match name {
            [] => {}
            [name] => match parse::string(name) {
                Some("BETWEEN" | "NOT BETWEEN" | "BETWEEN SYMMETRIC" | "NOT BETWEEN SYMMETRIC") => {
                    for name in ["<", "<=", ">=", ">"] {
                        self.operator_named(name);
                    }
                }
                Some(name) => self.operator_named(name),
                None => self.opaque(OpaqueReason::UnknownNode("an operator".into())),
            },
            _ => {
                let name = parse::strings(name);
                if let [.., schema, operator] = name.as_slice()
                    && schema != "pg_catalog"
                {
                    self.operator_in(schema, operator);
                }
            }
        }
    }

    /// An operator by its name alone: every one that users made and that is visible can be meant.
    pub(crate) fn operator_named(&mut self, name: &str) {
        let catalog = self.catalog;
        if catalog.operators_named(name).next().is_none() {
            return;
        }
        let all = self.names_changed || self.in_view();
        let visible: Vec<u32> = {
            let path: Vec<&str> = self.names.path().collect();
            catalog
                .operators_named(name)
                .filter(|o| all || path.contains(&o.schema.as_str()))
                .map(|o| o.function)
                .collect()
        };
        for function in visible {
            self.run(function);
        }
    }

    fn operator_in(&mut self, schema: &str, name: &str) {
        let catalog = self.catalog;
        let mut found = false;
        for operator in catalog.operators_named(name).filter(|o| o.schema == schema) {
            found = true;
            self.run(operator.function);
        }
        if !found {
            let name = format!("operator {schema}.{name}");
            self.opaque(OpaqueReason::UntrustedFunction(name));
        }
    }

    /// Runs a function that users made: notes it, and that it is opaque where it is not known to be harmless.
    pub(crate) fn run(&mut self, function: u32) {
        if let Some(body) = self.harmless(function) {
            return self.include(function, &body);
        }
        let name = match self.catalog.function_by_oid(function) {
            Some(f) => format!("{}.{}", f.schema, f.name),
            None => format!("function {function}"),
        };
        self.facts.functions.insert(name.clone());
        self.opaque(OpaqueReason::UntrustedFunction(name));
    }

    /// Looks at what the whole text uses, and notes what runs behind that.
    pub(crate) fn settle(&mut self) {
        let catalog = self.catalog;
        if !catalog.knows_behind() {
            return;
        }
        if !catalog.behind().hooks.is_empty() {
            let maintains = self.facts.kinds.contains(&Kind::Maintenance);
            // LOCK names relations and looks at no row of them.
            let locks = self.facts.kinds.iter().all(|kind| *kind == Kind::Lock);
            let read = if locks { Vec::new() } else { self.read_oids() };
            for oid in read {
                let Some(relation) = catalog.relation_by_oid(oid) else { continue };
                self.behind_read(relation, maintains);
            }
            for (oid, columns) in self.written() {
                let Some(relation) = catalog.relation_by_oid(oid) else { continue };
                self.behind_write(relation, &columns);
            }
        }
        if self.seen.defines {
            for hook in catalog.hooks(0).filter(|h| h.event == HookEvent::Definition) {
                self.run(hook.function);
            }
        }
        if self.tracks_types() {
            self.conversions();
        }
    }

    fn behind_read(&mut self, relation: &Relation, maintains: bool) {
        let catalog = self.catalog;
        for hook in catalog.hooks(relation.oid) {
            match hook.event {
                HookEvent::Virtual => self.run(hook.function),
                HookEvent::Policy if self.under_policy(relation) => self.run(hook.function),
                HookEvent::Write if maintains => self.run(hook.function),
                _ => {}
            }
        }
        self.policy_columns(relation);
    }

    /// Whether row security filters what this session sees.
    fn under_policy(&self, relation: &Relation) -> bool {
        let forced = self.catalog.hooks(relation.oid).any(|h| h.event == HookEvent::Forced);
        relation.row_security && (forced || relation.owner != self.names.role)
    }

    /// A policy filters rows by columns: where they are masked, which rows there are tells of them (E3).
    fn policy_columns(&mut self, relation: &Relation) {
        let catalog = self.catalog;
        if !self.under_policy(relation) {
            return;
        }
        for looked_at in catalog.dependences(relation.oid).filter(|d| d.column == 0) {
            let Some(source) = catalog.relation_by_oid(looked_at.source) else { continue };
            let column = source.columns.iter().find(|c| c.number == looked_at.source_column);
            if let Some(column) = column {
                let columns = [column.name.clone()];
                self.read(source, &columns, true);
                self.refuse_masked(source, &columns, "row security looks at masked columns");
            }
        }
    }

    fn behind_write(&mut self, relation: &Relation, columns: &BTreeSet<String>) {
        let catalog = self.catalog;
        let kinds = &self.facts.kinds;
        let inserts = [Kind::Insert, Kind::Merge, Kind::CopyIn].iter().any(|k| kinds.contains(k));
        let changes = inserts || kinds.contains(&Kind::Update);
        let rebuilds = kinds.contains(&Kind::Alter) || kinds.contains(&Kind::Maintenance);
        let fires = changes || kinds.contains(&Kind::Delete) || kinds.contains(&Kind::Truncate);
        let given = |hook: &Hook| {
            let column = relation.columns.iter().find(|c| c.number == hook.column);
            column.is_some_and(|c| columns.contains(&c.name))
        };
        for hook in catalog.hooks(relation.oid) {
            let runs = match hook.event {
                HookEvent::Default => self.seen.defaults || (inserts && !given(hook)),
                // A table that is altered or refreshed may have all rows written and all indexes built anew.
                HookEvent::Generated | HookEvent::Write => changes || rebuilds,
                HookEvent::Policy => fires && self.under_policy(relation),
                HookEvent::Trigger | HookEvent::Rule => fires,
                HookEvent::Virtual | HookEvent::Forced | HookEvent::Definition => false,
            };
            if runs {
                self.hook_runs(relation, hook);
            }
        }
        if kinds_act(&self.facts.kinds) {
            self.foreign_actions(relation.oid);
        }
    }

    fn hook_runs(&mut self, relation: &Relation, hook: &Hook) {
        match hook.event {
            HookEvent::Trigger | HookEvent::Rule => self.fire(relation, hook),
            _ => self.run(hook.function),
        }
    }

    /// What runs behind the rows that foreign keys change along with those of a relation.
    fn foreign_actions(&mut self, oid: u32) {
        let catalog = self.catalog;
        let (mut next, mut seen) = (vec![oid], BTreeSet::from([oid]));
        while let Some(oid) = next.pop() {
            let acting = |key: &&Key| key.acts && key.referenced == oid;
            for key in catalog.keys(oid).filter(acting) {
                let Some(relation) = catalog.relation_by_oid(key.relation) else { continue };
                if !seen.insert(key.relation) {
                    continue;
                }
                next.push(key.relation);
                // The server acts in the owner's name, past row security.
                let runs = |hook: &&Hook| {
                    use HookEvent as E;
                    !matches!(hook.event, E::Virtual | E::Forced | E::Policy | E::Definition)
                };
                for hook in catalog.hooks(relation.oid).filter(runs) {
                    self.hook_runs(relation, hook);
                }
            }
        }
    }

    fn fire(&mut self, relation: &Relation, hook: &Hook) {
        // The function, and what the WHEN condition calls.
        let is_trigger = hook.event == HookEvent::Trigger;
        let body = if is_trigger { self.trigger(relation, hook.function) } else { None };
        match body {
            Some(body) => self.include(hook.function, &body),
            _ => {
                let name = format!("triggers of {}.{}", relation.schema, relation.name);
                self.opaque(OpaqueReason::UntrustedFunction(name));
            }
        }
    }

    /// Casts and checks of domains that can run: those between types that the text has to do with.
    fn conversions(&mut self) {
        let catalog = self.catalog;
        let behind = catalog.behind();
        let writes = [Kind::Insert, Kind::Update, Kind::Merge, Kind::CopyIn, Kind::Unknown];
        let writes = writes.iter().any(|kind| self.facts.kinds.contains(kind));
        if writes {
            self.seen.types.append(&mut self.seen.made);
        }
        // What was made may have columns of every type that was read.
        let fills_new = writes && self.has_defined();
        self.name_types_below();
        // What is known to read relations counts too: its reads are the text's (E3).
        let harmful = |walk: &mut Self, oid: u32| {
            walk.harmless(oid).is_none_or(|facts| !facts.reads.is_empty())
        };
        let mut casts = Vec::new();
        for cast in &behind.casts {
            if harmful(self, cast.function) {
                casts.push(cast);
            }
        }
        let mut domains = Vec::new();
        for domain in &behind.domains {
            if domain.functions.iter().any(|f| harmful(self, *f)) {
                domains.push(domain);
            }
        }
        if casts.is_empty() && domains.is_empty() {
            return;
        }
        let mut written: Vec<u32> = self.written().into_iter().map(|(oid, _)| oid).collect();
        // A value of a relation's row type can be made without the relation.
        let rows = catalog.relations().filter(|r| self.seen.types.contains(&r.name));
        written.extend(rows.map(|r| r.oid));
        let mut used = self.read_oids();
        used.extend(&written);
        let (used, made) = (self.types_of(&used), self.types_of(&written));
        let involved = |walk: &Self, name: &str| {
            // The server's own types are printed without a schema.
            let (_, last) = split(name);
            !name.contains('.') || used.contains_key(name) || walk.seen.types.contains(&last)
        };
        for cast in casts {
            if involved(self, &cast.source) && involved(self, &cast.target) {
                self.run(cast.function);
            }
        }
        for domain in domains {
            let (_, last) = split(&domain.name);
            let inside = |inside: &bool| *inside || self.seen.mixing || fills_new;
            let read = used.get(&domain.name).is_some_and(inside);
            if read || made.contains_key(&domain.name) || self.seen.types.contains(&last) {
                domain.functions.iter().for_each(|f| self.run(*f));
            }
        }
    }

    /// A value of a named type is made with values of the types below it.
    fn name_types_below(&mut self) {
        let domains = &self.catalog.behind().domains;
        loop {
            let below = domains.iter().filter(|d| self.seen.types.contains(&split(&d.name).1));
            let below: Vec<String> = below.map(|d| last_of(&d.base)).collect();
            let before = self.seen.types.len();
            self.seen.types.extend(below);
            if self.seen.types.len() == before {
                return;
            }
        }
    }

    /// Notes that every value of a domain is looked at, and checked anew.
    pub(crate) fn values_of_domain(&mut self, name: &[String]) {
        let catalog = self.catalog;
        let (Some(last), schema) = (name.last(), name.iter().rev().nth(1)) else { return };
        let meant = |domain: &&Domain| {
            let (of, called) = split(&domain.name);
            called == *last && schema.is_none_or(|schema| *schema == of)
        };
        for domain in catalog.behind().domains.iter().filter(meant) {
            domain.functions.iter().for_each(|function| self.run(*function));
            for relation in catalog.relations().filter(|r| r.oid >= FIRST_USER_OID) {
                if self.types_of(&[relation.oid]).contains_key(&domain.name) {
                    // Inside of what other types, is not told: all that users made.
                    let of_users = relation.columns.iter().filter(|c| c.type_name.contains('.'));
                    let columns: Vec<String> = of_users.map(|c| c.name.clone()).collect();
                    self.reads_rows(Some(relation), &columns);
                }
            }
        }
    }

    /// The types of the columns of relations and of what those are made of; whether inside of another value.
    fn types_of(&self, relations: &[u32]) -> BTreeMap<String, bool> {
        let mut found = BTreeMap::new();
        let mut next = Vec::new();
        let mut rows = Vec::new();
        let relations = relations.iter().filter_map(|oid| self.catalog.relation_by_oid(*oid));
        for relation in relations {
            next.extend(relation.columns.iter().map(|c| (c.type_name.clone(), false)));
            rows.push((format!("{}.{}", relation.schema, relation.name), true));
        }
        while let Some((name, inside)) = next.pop() {
            if !name.contains('.') {
                continue;
            }
            let inside = inside || name.ends_with(']');
            let name = name.split(['[', '(']).next().unwrap_or_default().to_owned();
            if found.get(&name).is_some_and(|known| *known || !inside) {
                continue;
            }
            let (schema, last) = split(&name);
            if let Some(row) = self.catalog.relation(&schema, &last) {
                next.extend(row.columns.iter().map(|c| (c.type_name.clone(), true)));
            }
            let domains = &self.catalog.behind().domains;
            if let Some(domain) = domains.iter().find(|d| d.name == name) {
                next.push((domain.base.clone(), inside));
            }
            found.insert(name, inside);
        }
        found.extend(rows);
        found
    }
}

/// Whether statements of these kinds change or delete rows that foreign keys point to.
fn kinds_act(kinds: &BTreeSet<Kind>) -> bool {
    [Kind::Update, Kind::Delete, Kind::Merge].iter().any(|kind| kinds.contains(kind))
}

/// The last part of a type's name, without length and brackets.
fn last_of(name: &str) -> String {
    split(name.split(['[', '(']).next().unwrap_or_default()).1
}

/// The schema and the name of a type as `format_type` prints it.
fn split(name: &str) -> (String, String) {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in name.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            _ => {
                if let Some(last) = parts.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    let last = parts.pop().unwrap_or_default();
    (parts.pop().unwrap_or_default(), last)
}
