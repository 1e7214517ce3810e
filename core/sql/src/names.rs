//! What a name in a statement means: the session's search path against the catalog snapshot.

use writ_model::Relation;

use crate::overlay::Seen;

/// The session state that names are resolved with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Names {
    /// The schemas in the order of lookup, as `current_schemas(true)` tells. `pg_catalog` comes
    /// first, and before it the session's temporary schema, where the list does not place them.
    pub search_path: Vec<String>,
    /// The current role.
    pub role: String,
    /// The relations of the session's temporary schema.
    pub temp_relations: Vec<String>,
    /// Those of them that run something of their own: views, and tables with triggers, rules or code behind columns.
    pub temp_active: Vec<String>,
    /// The setting of that name. With `off` a backslash quotes in plain strings.
    pub standard_conforming_strings: bool,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            search_path: vec!["public".to_owned()],
            role: String::new(),
            temp_relations: Vec::new(),
            temp_active: Vec::new(),
            standard_conforming_strings: true,
        }
    }
}

/// What a relation name stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Resolved<'a> {
    /// A relation of the catalog snapshot.
    Relation(&'a Relation),
    /// A relation of the server's own that the snapshot leaves out: its schema.
    System(&'static str),
    /// A temporary relation of this session.
    Temporary,
    /// Nothing that is known here.
    Unknown,
}

fn is_temporary(schema: &str) -> bool {
    schema == "pg_temp" || schema.starts_with("pg_temp_")
}

impl Names {
    /// The lookup order with the implicit schemas made explicit.
    pub(crate) fn path(&self) -> impl Iterator<Item = &str> {
        let named = || {
            let role = self.role.as_str();
            self.search_path.iter().map(move |s| if s == "$user" { role } else { s.as_str() })
        };
        let temporary = (!named().any(is_temporary)).then_some("pg_temp");
        let system = (!named().any(|s| s == "pg_catalog")).then_some("pg_catalog");
        temporary.into_iter().chain(system).chain(named())
    }

    /// What `schema.name`, or `name` where `schema` is empty, stands for.
    pub(crate) fn resolve<'a>(&self, catalog: Seen<'a>, schema: &str, name: &str) -> Resolved<'a> {
        if !schema.is_empty() {
            return match self.resolve_in(catalog, schema, name) {
                Resolved::Unknown if schema == "pg_catalog" => Resolved::System("pg_catalog"),
                Resolved::Unknown if schema == "information_schema" => {
                    Resolved::System("information_schema")
                }
                found => found,
            };
        }
        self.path()
            .map(|schema| self.resolve_in(catalog, schema, name))
            .find(|found| *found != Resolved::Unknown)
            .unwrap_or(Resolved::Unknown)
    }

    fn resolve_in<'a>(&self, catalog: Seen<'a>, schema: &str, name: &str) -> Resolved<'a> {
        if is_temporary(schema) {
            let known = self.temp_relations.iter().any(|t| t == name);
            return if known { Resolved::Temporary } else { Resolved::Unknown };
        }
        if let Some(relation) = catalog.relation(schema, name) {
            return Resolved::Relation(relation);
        }
        // Every relation of pg_catalog is called pg_…: a snapshot that leaves them out must not let
        // a user's table of that name stand in for the server's.
        if schema == "pg_catalog" && name.starts_with("pg_") && !has_system_relations(catalog) {
            return Resolved::System("pg_catalog");
        }
        Resolved::Unknown
    }
}

fn has_system_relations(catalog: Seen<'_>) -> bool {
    // The fixture of a test may hold a few of them: these three are always in a whole snapshot.
    ["pg_class", "pg_proc", "pg_statistic_ext_data"]
        .iter()
        .all(|name| catalog.relation("pg_catalog", name).is_some())
}
