//! Settings by what they do to the meaning of later statements.

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
        _ => Meaning::Harmless,
    }
}
