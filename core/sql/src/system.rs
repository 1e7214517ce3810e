//! The server's own columns that hold secrets or users' data.

/// One column: schema, relation, column.
pub type SystemColumn = (&'static str, &'static str, &'static str);

const CATALOG: &str = "pg_catalog";
const INFORMATION: &str = "information_schema";

/// Columns that show passwords, connection strings, other people's statements, samples of data, or what the
/// planner knows of it: frequencies, widths and the order of rows tell of values too (E3).
const SENSITIVE: &[SystemColumn] = &[
    (CATALOG, "pg_authid", "rolpassword"),
    (CATALOG, "pg_shadow", "passwd"),
    (CATALOG, "pg_statistic", "stawidth"),
    (CATALOG, "pg_statistic", "stadistinct"),
    (CATALOG, "pg_statistic", "stakind1"),
    (CATALOG, "pg_statistic", "stakind2"),
    (CATALOG, "pg_statistic", "stakind3"),
    (CATALOG, "pg_statistic", "stakind4"),
    (CATALOG, "pg_statistic", "stakind5"),
    (CATALOG, "pg_statistic", "staop1"),
    (CATALOG, "pg_statistic", "staop2"),
    (CATALOG, "pg_statistic", "staop3"),
    (CATALOG, "pg_statistic", "staop4"),
    (CATALOG, "pg_statistic", "staop5"),
    (CATALOG, "pg_statistic", "stacoll1"),
    (CATALOG, "pg_statistic", "stacoll2"),
    (CATALOG, "pg_statistic", "stacoll3"),
    (CATALOG, "pg_statistic", "stacoll4"),
    (CATALOG, "pg_statistic", "stacoll5"),
    (CATALOG, "pg_statistic", "stanumbers1"),
    (CATALOG, "pg_statistic", "stanumbers2"),
    (CATALOG, "pg_statistic", "stanumbers3"),
    (CATALOG, "pg_statistic", "stanumbers4"),
    (CATALOG, "pg_statistic", "stanumbers5"),
    (CATALOG, "pg_statistic", "stavalues1"),
    (CATALOG, "pg_statistic", "stavalues2"),
    (CATALOG, "pg_statistic", "stavalues3"),
    (CATALOG, "pg_statistic", "stavalues4"),
    (CATALOG, "pg_statistic", "stavalues5"),
    (CATALOG, "pg_statistic_ext_data", "stxdndistinct"),
    (CATALOG, "pg_statistic_ext_data", "stxddependencies"),
    (CATALOG, "pg_statistic_ext_data", "stxdmcv"),
    (CATALOG, "pg_statistic_ext_data", "stxdexpr"),
    (CATALOG, "pg_stats", "avg_width"),
    (CATALOG, "pg_stats", "n_distinct"),
    (CATALOG, "pg_stats", "most_common_vals"),
    (CATALOG, "pg_stats", "most_common_freqs"),
    (CATALOG, "pg_stats", "histogram_bounds"),
    (CATALOG, "pg_stats", "correlation"),
    (CATALOG, "pg_stats", "most_common_elems"),
    (CATALOG, "pg_stats", "most_common_elem_freqs"),
    (CATALOG, "pg_stats", "elem_count_histogram"),
    (CATALOG, "pg_stats", "range_length_histogram"),
    (CATALOG, "pg_stats", "range_empty_frac"),
    (CATALOG, "pg_stats", "range_bounds_histogram"),
    (CATALOG, "pg_stats_ext", "n_distinct"),
    (CATALOG, "pg_stats_ext", "dependencies"),
    (CATALOG, "pg_stats_ext", "most_common_vals"),
    (CATALOG, "pg_stats_ext", "most_common_val_nulls"),
    (CATALOG, "pg_stats_ext", "most_common_freqs"),
    (CATALOG, "pg_stats_ext", "most_common_base_freqs"),
    (CATALOG, "pg_stats_ext_exprs", "avg_width"),
    (CATALOG, "pg_stats_ext_exprs", "n_distinct"),
    (CATALOG, "pg_stats_ext_exprs", "most_common_vals"),
    (CATALOG, "pg_stats_ext_exprs", "most_common_freqs"),
    (CATALOG, "pg_stats_ext_exprs", "histogram_bounds"),
    (CATALOG, "pg_stats_ext_exprs", "correlation"),
    (CATALOG, "pg_stats_ext_exprs", "most_common_elems"),
    (CATALOG, "pg_stats_ext_exprs", "most_common_elem_freqs"),
    (CATALOG, "pg_stats_ext_exprs", "elem_count_histogram"),
    (CATALOG, "pg_stats_ext_exprs", "range_length_histogram"),
    (CATALOG, "pg_stats_ext_exprs", "range_empty_frac"),
    (CATALOG, "pg_stats_ext_exprs", "range_bounds_histogram"),
    (CATALOG, "pg_attribute", "attmissingval"),
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

/// What tells the rows of a relation of statistics apart. Not each server has every column.
const KEYS: &[(&str, &[&str])] = &[
    ("pg_statistic", &["starelid", "staattnum", "stainherit"]),
    ("pg_statistic_ext_data", &["stxoid", "stxdinherit"]),
    ("pg_stats", &["schemaname", "tablename", "attname", "inherited"]),
    ("pg_stats_ext", &["statistics_schemaname", "statistics_name", "inherited"]),
    ("pg_stats_ext_exprs", &["statistics_schemaname", "statistics_name", "expr", "inherited"]),
];

/// The columns that order the rows of a relation whose order tells of data; none for others.
pub(crate) fn keys_of(schema: &str, relation: &str) -> &'static [&'static str] {
    let found = KEYS.iter().find(|(name, _)| schema == CATALOG && *name == relation);
    found.map(|(_, keys)| *keys).unwrap_or_default()
}
