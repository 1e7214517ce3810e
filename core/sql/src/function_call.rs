//! The protocol's FunctionCall message names a function by its object id. It is decided as the SELECT that does the
//! same.

use writ_model::Catalog;
use writ_model::catalog::FIRST_USER_OID;

use crate::mask::quoted;

/// The functions that client libraries call this way: those of large objects. The server's own object ids never
/// change (PostgreSQL's `pg_proc.dat`).
const LARGE_OBJECTS: [(u32, &str); 13] = [
    (715, "lo_create"),
    (952, "lo_open"),
    (953, "lo_close"),
    (954, "loread"),
    (955, "lowrite"),
    (956, "lo_lseek"),
    (957, "lo_creat"),
    (958, "lo_tell"),
    (964, "lo_unlink"),
    (1004, "lo_truncate"),
    (3170, "lo_lseek64"),
    (3171, "lo_tell64"),
    (3172, "lo_truncate64"),
];

/// The SELECT that calls function `oid` with `arguments` parameters; `None` where it is neither one of the users' nor
/// one of large objects. Functions of one name are told apart by a comment.
#[must_use]
pub fn function_call_text(catalog: &Catalog, oid: u32, arguments: u32) -> Option<String> {
    let system = LARGE_OBJECTS.iter().find(|(known, _)| *known == oid);
    let function = || {
        catalog
            .function_by_oid(oid)
            .filter(|f| f.oid >= FIRST_USER_OID)
            .map(|f| (f.schema.as_str(), f.name.as_str()))
    };
    let (schema, name) = system.map(|(_, name)| ("pg_catalog", *name)).or_else(function)?;
    let parameters: Vec<_> = (1..=arguments).map(|n| format!("${n}")).collect();
    let (schema, name, parameters) = (quoted(schema), quoted(name), parameters.join(", "));
    Some(format!("SELECT {schema}.{name}({parameters}) /* function {oid} */"))
}
