//! Functions: which calls are known to be harmless.

use pg_query::{NodeEnum, protobuf as pb};
use writ_model::catalog::FIRST_USER_OID;
use writ_model::facts::SessionEffect;
use writ_model::{OpaqueReason, StatementKind};

use crate::children::Children;
use crate::walk::Walk;
use crate::{guard, parse, session};

/// Functions of the server that run text as SQL somewhere, or read relations by name.
const DYNAMIC: &[&str] = &[
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "table_to_xml",
    "table_to_xmlschema",
    "table_to_xml_and_xmlschema",
    "schema_to_xml",
    "schema_to_xmlschema",
    "schema_to_xml_and_xmlschema",
    "database_to_xml",
    "database_to_xmlschema",
    "database_to_xml_and_xmlschema",
    "ts_stat",
    "ts_rewrite",
    "dblink",
    "crosstab",
    "connectby",
    "xpath_table",
    "plpgsql_inline_handler",
];

/// Functions of the server that reach files, other sessions, replication or the server's state.
const UNTRUSTED: &[&str] = &[
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_rotate_logfile_old",
    "pg_promote",
    "pg_switch_wal",
    "pg_create_restore_point",
    "pg_start_backup",
    "pg_stop_backup",
    "pg_backup_start",
    "pg_backup_stop",
    "pg_wal_replay_pause",
    "pg_wal_replay_resume",
    "pg_stat_file",
    "pg_current_logfile",
    "pg_file_write",
    "pg_file_rename",
    "pg_file_unlink",
    "pg_file_sync",
    "pg_sync_replication_slots",
    "pg_copy_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_create_logical_replication_slot",
    "pg_create_physical_replication_slot",
    "pg_drop_replication_slot",
    "pg_replication_slot_advance",
    "pg_get_shmem_allocations",
    "pg_log_backend_memory_contexts",
    "pg_stat_reset",
    "pg_stat_reset_shared",
    "pg_stat_get_activity",
    "pg_stat_get_backend_activity",
    "pg_import_system_collations",
    "pg_nextoid",
    "pg_stop_making_pinned_objects",
    "pg_restore_relation_stats",
    "pg_restore_attribute_stats",
    "pg_clear_relation_stats",
    "pg_clear_attribute_stats",
    "pg_mcv_list_items",
    "pg_show_all_file_settings",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_config",
    "pg_get_multixact_members",
    "pg_notify_trigger",
    "brin_summarize_new_values",
    "pg_extension_config_dump",
    "pg_stat_get_wal_receiver",
    "pg_stat_get_subscription",
    "fmgr_sql_validator",
    "pg_event_trigger_ddl_commands",
    "binary_upgrade_create_empty_extension",
];

/// Beginnings of names of the same sort.
const UNTRUSTED_PREFIXES: &[&str] = &[
    "pg_read_",
    "pg_ls_",
    "lo_",
    "loread",
    "lowrite",
    "dblink_",
    "pg_logical_",
    "pg_replication_origin_",
    "binary_upgrade_",
    "pg_stat_reset_",
    "pg_wal_",
    "pg_file_",
    "plpgsql_",
    "pg_event_trigger_",
];

/// Names of the prefixes above that only look.
const TRUSTED: &[&str] = &["pg_wal_lsn_diff", "pg_event_trigger_table_rewrite_oid"];

fn is_system_schema(schema: &str) -> bool {
    schema.is_empty() || schema == "pg_catalog" || schema == "information_schema"
}

fn is_untrusted(name: &str) -> bool {
    let prefixed = UNTRUSTED_PREFIXES.iter().any(|p| name.starts_with(p));
    UNTRUSTED.contains(&name) || (prefixed && !TRUSTED.contains(&name))
}

/// Whether a function of the server does nothing but compute or look: it may stand behind an operator or a cast.
pub(crate) fn is_plain(name: &str) -> bool {
    !DYNAMIC.contains(&name) && !is_untrusted(name) && name != "set_config"
}

impl Walk<'_> {
    /// A call in an expression.
    pub(crate) fn call(&mut self, call: &mut pb::FuncCall) {
        let name = parse::strings(&call.funcname);
        let column = call.args.len() == 1 && name.len() == 1;
        self.function_name(&name, column);
        if name.last().is_some_and(|n| n == "set_config") {
            self.set_config(&call.args);
        }
        if name.last().is_some_and(|n| n == "current_setting") {
            self.current_setting(&call.args);
        }
        call.children(self);
    }

    /// `set_config(name, value, local)` is SET.
    fn set_config(&mut self, args: &[pg_query::Node]) {
        let named = args.iter().any(|a| matches!(a.node, Some(NodeEnum::NamedArgExpr(_))));
        let by_name = match args.first().map(|a| &a.node) {
            Some(Some(NodeEnum::ColumnRef(c))) => parse::strings(&c.fields) == ["name"],
            _ => false,
        };
        let pinned = self.pinned_setting.clone().filter(|_| by_name);
        let written = args.first().and_then(session::written_name);
        match written.or(pinned) {
            Some(setting) if !named => {
                if guard::is_access_mode(&setting) {
                    self.effect(SessionEffect::ReadWrite);
                }
                self.setting(&setting);
            }
            _ => {
                self.names_change();
                self.opaque(OpaqueReason::Session(
                    "set_config of a setting not written out".into(),
                ));
            }
        }
    }

    /// Notes that a setting changes.
    pub(crate) fn setting(&mut self, setting: &str) {
        self.guard_change(setting);
        self.facts.settings.insert(setting.to_owned());
        match session::meaning(setting) {
            session::Meaning::Harmless => self.kind(StatementKind::Set),
            session::Meaning::Names => {
                self.kind(StatementKind::Set);
                self.names_change();
            }
            session::Meaning::Role => {
                self.kind(StatementKind::SetRole);
                self.names_change();
            }
            session::Meaning::Server => self.kind(StatementKind::Server),
        }
    }

    /// Notes a function by its name as written. `column`: the call can also mean `t.name`.
    pub(crate) fn function_name(&mut self, name: &[String], column: bool) {
        let (schema, name) = match name {
            [name] => ("", name.as_str()),
            [schema, name] | [_, schema, name] => (schema.as_str(), name.as_str()),
            _ => return self.opaque(OpaqueReason::UnknownNode("a function name".into())),
        };
        if DYNAMIC.contains(&name) {
            self.opaque(OpaqueReason::DynamicSql(name.to_owned()));
        }
        if is_untrusted(name) || self.made_functions.contains(name) {
            self.opaque(OpaqueReason::UntrustedFunction(name.to_owned()));
        }
        self.see_call(name);
        let reached = self.user_functions(schema, name);
        for function in &reached {
            self.run(*function);
        }
        match reached.first() {
            Some(_) => {}
            None if !is_system_schema(schema) => {
                self.facts.functions.insert(format!("{schema}.{name}"));
                self.opaque(OpaqueReason::UntrustedFunction(format!("{schema}.{name}")));
            }
            None => self.system_function(schema, name, column),
        }
    }

    fn system_function(&mut self, schema: &str, name: &str, column: bool) {
        let of_server =
            |n: &str| self.catalog.functions_named(n).any(|f| is_system_schema(&f.schema));
        // A snapshot that has `count` has all functions of the server.
        if of_server("count") && !of_server(name) {
            if !column {
                self.opaque(OpaqueReason::UntrustedFunction(name.to_owned()));
            }
            return;
        }
        let schema = if schema.is_empty() { "pg_catalog" } else { schema };
        self.facts.functions.insert(format!("{schema}.{name}"));
    }

    /// The functions that users made and that a call may reach.
    fn user_functions(&self, schema: &str, name: &str) -> Vec<u32> {
        if self.catalog.functions_named(name).next().is_none() {
            return Vec::new();
        }
        let path: Vec<&str> = self.names.path().collect();
        let reaches = |f: &&writ_model::Function| {
            let user = f.oid >= FIRST_USER_OID || !is_system_schema(&f.schema);
            let visible = if schema.is_empty() {
                self.names_changed || self.in_view() || path.contains(&f.schema.as_str())
            } else {
                f.schema == schema
            };
            user && visible
        };
        self.catalog.functions_named(name).filter(reaches).map(|f| f.oid).collect()
    }

    /// Whether `name` after a row, as in `t.name` or `(row).name`, can be a function; notes it.
    pub(crate) fn attribute_function(&mut self, name: &str) -> bool {
        if name == "current_setting" {
            self.current_setting(&[]);
        }
        if self.made_functions.contains(name) {
            self.opaque(OpaqueReason::UntrustedFunction(name.to_owned()));
            return true;
        }
        let reached = self.user_functions("", name);
        for function in &reached {
            self.run(*function);
        }
        !reached.is_empty()
            || self.catalog.functions_named(name).any(|f| is_system_schema(&f.schema))
    }
}
