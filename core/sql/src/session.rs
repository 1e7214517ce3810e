//! Settings by what they do to the meaning of later statements, and the settings that are the gateway's own.

use pg_query::{Node, NodeEnum, protobuf as pb};
use writ_model::{OpaqueReason, StatementKind};

use crate::parse;
use crate::scope::{Entry, Source};
use crate::walk::Walk;

/// The beginning of the names of the gateway's own settings.
const SETTINGS_PREFIX: &str = "writ.";
/// The beginning of the names of those that no client may read.
const MASK_KEY_PREFIX: &str = "writ.mask";

/// The beginnings of the names of settings that print trees, plans or what a sort took.
const TELLING_PREFIXES: [&str; 5] =
    ["debug_print_", "auto_explain.", "trace_sort", "log_parser_stats", "log_planner_stats"];

/// What a change of a setting means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing that names or masks depend on.
    Harmless,
    /// Names or the lexer's rules change.
    Names,
    /// The role changes.
    Role,
    /// Code is loaded, or the server's own protections go.
    Server,
}

/// The meaning of the setting called `name`, which is lower case.
pub(crate) fn meaning(name: &str) -> Meaning {
    match name {
        "search_path"
        | "standard_conforming_strings"
        | "backslash_quote"
        | "escape_string_warning"
        | "client_encoding"
        | "names"
        | "temp_tablespaces"
        | "quote_all_identifiers" => Meaning::Names,
        "role" | "session_authorization" => Meaning::Role,
        "session_replication_role"
        | "allow_system_table_mods"
        | "allow_in_place_tablespaces"
        | "ignore_system_indexes"
        | "dynamic_library_path"
        | "local_preload_libraries"
        | "session_preload_libraries"
        | "zero_damaged_pages"
        | "ignore_checksum_failure" => Meaning::Server,
        // They tell the client the plan, with what the planner expects of the values behind masks (E3).
        _ if TELLING_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => Meaning::Server,
        _ => Meaning::Harmless,
    }
}

/// The name of a setting as a constant that means what is written: a cast such as `::varchar(3)` could change it.
pub(crate) fn written_name(node: &Node) -> Option<String> {
    let inner = match node.node.as_ref()? {
        NodeEnum::TypeCast(cast) => {
            let of = cast.type_name.as_ref()?;
            let plain = of.typmods.is_empty() && of.array_bounds.is_empty() && !of.setof;
            let names = parse::strings(&of.names);
            let text = matches!(names.last()?.as_str(), "text" | "varchar" | "name");
            cast.arg.as_deref().filter(|_| plain && text)?
        }
        _ => node,
    };
    match inner.node.as_ref()? {
        NodeEnum::TypeCast(_) => None,
        _ => parse::constant(inner).map(str::to_ascii_lowercase),
    }
}

impl Walk<'_> {
    /// Notes that a setting is changed, by its name in lower case. The gateway's own hold the mask key and what the
    /// database is told of the principal: whoever could set them would choose both.
    pub(crate) fn guard_change(&mut self, name: &str) {
        if name.starts_with(SETTINGS_PREFIX) {
            self.opaque(OpaqueReason::Session(format!("only the gateway sets {name}")));
        }
    }

    /// Notes that a setting is read, by its name in lower case. The principal may be; the mask key may not.
    pub(crate) fn guard_read(&mut self, name: &str) {
        if name.starts_with(MASK_KEY_PREFIX) {
            self.opaque(OpaqueReason::Session(format!("only the gateway reads {name}")));
        }
    }

    /// `current_setting(name)` is SHOW.
    pub(crate) fn current_setting(&mut self, args: &[Node]) {
        match args.first().and_then(written_name) {
            Some(name) => self.guard_read(&name),
            // The gateway's own settings are not in the list of all.
            None if args.first().is_some_and(|name| self.is_listed_setting(name)) => {}
            None => {
                let why = "current_setting of a setting not written out".to_owned();
                self.opaque(OpaqueReason::Session(why));
            }
        }
    }

    /// Whether `node` is `pg_settings.name`, as psql's `\dconfig` asks for.
    fn is_listed_setting(&self, node: &Node) -> bool {
        let Some(NodeEnum::ColumnRef(column)) = &node.node else { return false };
        let fields = parse::strings(&column.fields);
        let [alias, name] = fields.as_slice() else { return false };
        let listed = |entry: std::rc::Rc<Entry>| {
            matches!(&entry.source, Source::Relation { schema, name, .. }
                if schema == "pg_catalog" && name == "pg_settings")
        };
        name == "name" && self.entry(None, alias).is_some_and(listed)
    }

    /// Notes a SET that is stored with a role, a database or a function.
    pub(crate) fn stored_setting(&mut self, set: Option<&pb::VariableSetStmt>) {
        if let Some(set) = set {
            let name = set.name.to_ascii_lowercase();
            self.guard_change(&name);
            // Whoever runs it later is another then, whatever is asked of them.
            if meaning(&name) == Meaning::Role {
                self.kind(StatementKind::SetRole);
            }
        }
    }

    /// Notes the settings among the options of a function.
    pub(crate) fn function_settings(&mut self, options: &[Node]) {
        for option in options {
            let Some(NodeEnum::DefElem(option)) = &option.node else { continue };
            if let Some(Some(NodeEnum::VariableSetStmt(set))) = option.arg.as_ref().map(|a| &a.node)
            {
                self.stored_setting(Some(set));
            }
        }
    }

    /// Notes the settings that a definition stores.
    pub(crate) fn stored_settings(&mut self, definition: &NodeEnum) {
        match definition {
            NodeEnum::AlterRoleSetStmt(alter) => self.stored_setting(alter.setstmt.as_ref()),
            NodeEnum::AlterDatabaseSetStmt(alter) => self.stored_setting(alter.setstmt.as_ref()),
            NodeEnum::AlterFunctionStmt(alter) => self.function_settings(&alter.actions),
            NodeEnum::AlterSystemStmt(alter) => self.stored_setting(alter.setstmt.as_ref()),
            _ => {}
        }
    }
}
