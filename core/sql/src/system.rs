//! The server's own columns that hold secrets or users' data.

/// One column: schema, relation, column.
pub type SystemColumn = (&'static str, &'static str, &'static str);

const CATALOG: &str = "pg_catalog";
const INFORMATION: &str = "information_schema";

/// Columns that show passwords, connection strings, other people's statements, or samples of data.
const SENSITIVE: &[SystemColumn] = &[
    (CATALOG, "pg_authid", "rolpassword"),
    (CATALOG, "pg_shadow", "passwd"),
    (CATALOG, "pg_statistic", "stavalues1"),
    (CATALOG, "pg_statistic", "stavalues2"),
    (CATALOG, "pg_statistic", "stavalues3"),
    (CATALOG, "pg_statistic", "stavalues4"),
    (CATALOG, "pg_statistic", "stavalues5"),
    (CATALOG, "pg_statistic_ext_data", "stxdmcv"),
    (CATALOG, "pg_statistic_ext_data", "stxdexpr"),
    (CATALOG, "pg_stats", "most_common_vals"),
    (CATALOG, "pg_stats", "histogram_bounds"),
    (CATALOG, "pg_stats", "most_common_elems"),
    (CATALOG, "pg_stats", "range_bounds_histogram"),
    (CATALOG, "pg_stats_ext", "most_common_vals"),
    (CATALOG, "pg_stats_ext_exprs", "most_common_vals"),
    (CATALOG, "pg_stats_ext_exprs", "histogram_bounds"),
    (CATALOG, "pg_stats_ext_exprs", "most_common_elems"),
    (CATALOG, "pg_user_mapping", "umoptions"),
    (CATALOG, "pg_user_mappings", "umoptions"),
    (CATALOG, "pg_subscription", "subconninfo"),
    (CATALOG, "pg_stat_wal_receiver", "conninfo"),
    (CATALOG, "pg_largeobject", "data"),
    (CATALOG, "pg_stat_activity", "query"),
    (CATALOG, "pg_prepared_statements", "statement"),
    (CATALOG, "pg_cursors", "statement"),
    (CATALOG, "pg_file_settings", "setting"),
    (CATALOG, "pg_hba_file_rules", "options"),
    (CATALOG, "pg_ident_file_mappings", "pg_username"),
    (INFORMATION, "user_mapping_options", "option_value"),
    (INFORMATION, "_pg_user_mappings", "umoptions"),
];

/// The server's columns that should be masked like users' secrets.
#[must_use]
pub fn sensitive_system_columns() -> &'static [SystemColumn] {
    SENSITIVE
}

/// The sensitive columns of one relation.
pub(crate) fn sensitive_of(schema: &str, relation: &str) -> impl Iterator<Item = &'static str> {
    SENSITIVE.iter().filter(move |c| c.0 == schema && c.1 == relation).map(|c| c.2)
}
