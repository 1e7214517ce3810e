//! How an edge asks a database what it contains, and reads the answers.
//!
//! Every name in these queries, operators included, is qualified with `pg_catalog`: a session's `search_path` cannot
//! put something else in its place. Run [`CATALOG_QUERY`] where `search_path` is `pg_catalog` alone: PostgreSQL then
//! qualifies every other name in the view definitions that it prints.

use serde::Deserialize;
use writ_model::catalog::{Catalog, Column, Function, Relation, RelationKind, Volatility};

mod behind;

/// Yields one row with one text column: all that [`parse_catalog`] needs, as JSON.
///
/// Rows are arrays in the order of `RelationRow`, `ColumnRow` and `FunctionRow`. Temporary relations are left out:
/// they belong to one session, which [`NAMES_QUERY`] asks about its own. System views come without definitions.
/// All functions are listed, the server's own too: a name that neither has is not taken for the server's (E2). What
/// runs behind statements is in `behind`: see that module.
pub const CATALOG_QUERY: &str =
    concat!(include_str!("catalog/relations.sql"), include_str!("catalog/behind.sql"));

/// Has the server print names as [`CATALOG_QUERY`] needs them, on a connection that is a client's and within its
/// transaction. What the client had set is kept, for [`PRINT_AS_BEFORE`].
pub const PRINT_PLAINLY: &str = r#"
SELECT pg_catalog.set_config('writ.search_path', pg_catalog.current_setting('search_path'), true),
  pg_catalog.set_config('writ.quote_all_identifiers', pg_catalog.current_setting('quote_all_identifiers'), true),
  pg_catalog.set_config('writ.standard_conforming_strings',
    pg_catalog.current_setting('standard_conforming_strings'), true),
  pg_catalog.set_config('search_path', 'pg_catalog', true),
  pg_catalog.set_config('quote_all_identifiers', 'off', true),
  pg_catalog.set_config('standard_conforming_strings', 'on', true)
"#;

/// Sets again, until the end of the transaction, what [`PRINT_PLAINLY`] kept. A setting that the client made for the
/// session lasts longer, as it would have.
pub const PRINT_AS_BEFORE: &str = r#"
SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('writ.search_path'), true),
  pg_catalog.set_config('quote_all_identifiers', pg_catalog.current_setting('writ.quote_all_identifiers'), true),
  pg_catalog.set_config('standard_conforming_strings',
    pg_catalog.current_setting('writ.standard_conforming_strings'), true)
"#;

/// The same after [`SET_MARK`], where nothing has to be kept; and has the server plan as it would by itself. A client may
/// have set that every scan runs in parallel or none is sequential: [`CATALOG_QUERY`] takes many seconds then.
pub const ASK_PLAINLY: &str = r#"
SELECT pg_catalog.set_config('search_path', 'pg_catalog', true),
  pg_catalog.set_config('quote_all_identifiers', 'off', true),
  pg_catalog.set_config('standard_conforming_strings', 'on', true),
  pg_catalog.set_config('max_parallel_workers_per_gather', '0', true),
  pg_catalog.set_config('jit', 'off', true),
  pg_catalog.set_config('enable_seqscan', 'on', true),
  pg_catalog.set_config('enable_indexscan', 'on', true),
  pg_catalog.set_config('enable_bitmapscan', 'on', true),
  pg_catalog.set_config('enable_hashjoin', 'on', true),
  pg_catalog.set_config('enable_mergejoin', 'on', true),
  pg_catalog.set_config('enable_nestloop', 'on', true),
  pg_catalog.set_config('enable_hashagg', 'on', true),
  pg_catalog.set_config('enable_sort', 'on', true)
"#;

/// Makes a savepoint, so that what a question locks and sets is let go with [`BACK_TO_MARK`] and not at the end of the
/// client's transaction.
pub const SET_MARK: &str = "SAVEPOINT writ_probe";

/// Undoes what came after [`SET_MARK`].
pub const BACK_TO_MARK: &str = "ROLLBACK TO SAVEPOINT writ_probe";

/// Ends what [`SET_MARK`] began: a savepoint of the client's of that name is in force again.
pub const DROP_MARK: &str = "RELEASE SAVEPOINT writ_probe";

/// Yields one row with one text column that changes whenever DDL changed what [`CATALOG_QUERY`] would say.
///
/// Each part counts the user-made rows of a system catalog and sums a hash of every row's version. A maximum of `xmin`
/// would not do: a transaction that began earlier may commit later. ANALYZE leaves no new version; so the order of
/// magnitude of each row estimate is part of the hash. Its cost is one pass over `pg_attribute`: about 1 to 3 ms where
/// there are few tables, 30 to 50 ms for a thousand tables of ten columns on a busy machine.
pub const CATALOG_FINGERPRINT_QUERY: &str = r#"
SELECT pg_catalog.md5(pg_catalog.concat_ws(' ',
  pg_catalog.current_setting('server_version_num'),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(pg_catalog.concat_ws(':', c.xmin::pg_catalog.text,
        pg_catalog.round(pg_catalog.log(GREATEST(c.reltuples::pg_catalog.float8, 1::pg_catalog.float8)))),
        c.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_class AS c
    WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog."char"[])
      AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended(
      a.xmin::pg_catalog.text,
      a.attrelid::pg_catalog.int8 OPERATOR(pg_catalog.*) 2048::pg_catalog.int8
        OPERATOR(pg_catalog.+) a.attnum::pg_catalog.int8)))
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) a.attrelid
    WHERE a.attrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
      AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,c}'::pg_catalog."char"[])
      AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(f.xmin::pg_catalog.text, f.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_proc AS f WHERE f.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(r.xmin::pg_catalog.text, r.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) r.ev_class
    WHERE r.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(s.xmin::pg_catalog.text, s.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_statistic_ext AS s),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(e.xmin::pg_catalog.text, e.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_event_trigger AS e),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(t.xmin::pg_catalog.text, t.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.tgrelid
    WHERE NOT t.tgisinternal AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended(
      i.xmin::pg_catalog.text, i.inhrelid::pg_catalog.int8)))
    FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,f}'::pg_catalog."char"[])
      AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(y.xmin::pg_catalog.text, y.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_type AS y
    WHERE y.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND y.typtype OPERATOR(pg_catalog.=) ANY ('{b,d,e,r,m}'::pg_catalog."char"[])
      AND y.typcategory OPERATOR(pg_catalog.<>) 'A'::pg_catalog."char"),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(o.xmin::pg_catalog.text, o.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_operator AS o WHERE o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(k.xmin::pg_catalog.text, k.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_cast AS k WHERE k.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(p.xmin::pg_catalog.text, p.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_policy AS p WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(k.xmin::pg_catalog.text, k.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_constraint AS k
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) k.conrelid
    WHERE k.contype OPERATOR(pg_catalog.=) ANY ('{c,f}'::pg_catalog."char"[])
      AND k.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND c.relpersistence IS DISTINCT FROM 't'::pg_catalog."char"),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(x.xmin::pg_catalog.text, x.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_attrdef AS x
    JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) x.adrelid
    WHERE c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(
      pg_catalog.hashtextextended(i.xmin::pg_catalog.text, i.indexrelid::pg_catalog.int8)))
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
    WHERE i.indexrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND i.indrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND (i.indisunique OR i.indisexclusion OR i.indexprs IS NOT NULL)
      AND c.relnamespace OPERATOR(pg_catalog.<>) 99::pg_catalog.oid
      AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"),
  (SELECT pg_catalog.string_agg(n.nspname::pg_catalog.text, ',' ORDER BY n.oid)
    FROM pg_catalog.pg_namespace AS n
    WHERE pg_catalog.left(n.nspname::pg_catalog.text, 3) OPERATOR(pg_catalog.<>) 'pg_')
))
"#;

/// Yields one row of text columns that says what names mean in the session that asks: see [`NamesRow`].
pub const NAMES_QUERY: &str = include_str!("catalog/names.sql");

/// How many columns [`NAMES_QUERY`] yields.
const NAMES_COLUMNS: usize = 6;

/// What names mean in one session at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesRow {
    /// `current_user`: the role whose rights hold.
    pub role: String,
    /// `current_schemas(true)`: existing schemas in the order in which unqualified names are looked up, with the
    /// implicit ones (`pg_temp_N` where the session has made one, `pg_catalog`).
    pub search_path: Vec<String>,
    /// Whether backslashes in plain string literals are ordinary characters.
    pub standard_conforming_strings: bool,
    /// Names of the session's own temporary relations, which hide others of the same name.
    pub temp_relations: Vec<String>,
    /// The setting `search_path` as text, fit for `SET search_path TO` elsewhere.
    pub search_path_setting: String,
    /// Those of the temporary relations that run something of their own: views, and tables with triggers or rules.
    pub temp_active: Vec<String>,
}

/// Why an answer about the catalog could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// The text is not the JSON that the query builds.
    #[error(
        "the database's catalog could not be read ({0}); check that the server is PostgreSQL 14 or later"
    )]
    Json(String),
    /// A letter of `relkind` or `provolatile` that PostgreSQL did not have when this was written.
    #[error(
        "the database's catalog has the {what} `{letter}`, which is not known; upgrade the edge"
    )]
    Letter {
        /// What the letter stands for.
        what: &'static str,
        /// The letter.
        letter: String,
    },
    /// The row has another number of columns.
    #[error(
        "the session's names came with {found} columns instead of {NAMES_COLUMNS}; upgrade the edge"
    )]
    Columns {
        /// How many there were.
        found: usize,
    },
    /// A column is NULL or not UTF-8.
    #[error(
        "column {column} of the session's names is NULL or not UTF-8; leave client_encoding at UTF8"
    )]
    Text {
        /// The column, 1 for the first.
        column: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogJson {
    server_version_num: u32,
    relations: Vec<RelationRow>,
    functions: Vec<FunctionRow>,
    behind: Option<behind::BehindJson>,
}

#[derive(Deserialize)]
struct RelationRow(
    u32,
    String,
    String,
    String,
    String,
    Vec<ColumnRow>,
    Option<String>,
    Vec<u32>,
    bool,
    bool,
    f32,
);

#[derive(Deserialize)]
struct ColumnRow(i16, String, String, char, bool, bool);

#[derive(Deserialize)]
struct FunctionRow(u32, String, String, String, String, bool);

/// Reads what [`CATALOG_QUERY`] yields.
pub fn parse_catalog(json: &str) -> Result<Catalog, CatalogError> {
    let CatalogJson { server_version_num, relations, functions, behind } =
        serde_json::from_str(json).map_err(json_error)?;
    let relations = relations.into_iter().map(relation).collect::<Result<Vec<_>, _>>()?;
    let functions = functions.into_iter().map(function).collect::<Result<Vec<_>, _>>()?;
    let catalog = Catalog::new(server_version_num, relations, functions);
    Ok(match behind {
        Some(behind) => catalog.with_behind(behind.read()?),
        None => catalog,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "map_err passes it so")]
fn json_error(error: serde_json::Error) -> CatalogError {
    CatalogError::Json(error.to_string())
}

fn relation(row: RelationRow) -> Result<Relation, CatalogError> {
    let RelationRow(oid, schema, name, kind, owner, columns, definition, parents, ..) = row;
    let RelationRow(.., has_triggers, row_security, row_estimate) = row;
    let kind = match kind.as_str() {
        "r" => RelationKind::Table,
        "p" => RelationKind::PartitionedTable,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::ForeignTable,
        "S" => RelationKind::Sequence,
        "c" => RelationKind::CompositeType,
        _ => return Err(CatalogError::Letter { what: "kind of relation", letter: kind }),
    };
    Ok(Relation {
        oid,
        schema,
        name,
        kind,
        owner,
        columns: columns.into_iter().map(column).collect(),
        definition,
        parents,
        has_triggers,
        row_security,
        row_estimate,
    })
}

fn column(row: ColumnRow) -> Column {
    let ColumnRow(number, name, type_name, type_category, not_null, generated) = row;
    Column { number, name, type_name, type_category, not_null, generated }
}

fn function(row: FunctionRow) -> Result<Function, CatalogError> {
    let FunctionRow(oid, schema, name, language, volatility, security_definer) = row;
    let volatility = match volatility.as_str() {
        "i" => Volatility::Immutable,
        "s" => Volatility::Stable,
        "v" => Volatility::Volatile,
        _ => return Err(CatalogError::Letter { what: "volatility", letter: volatility }),
    };
    Ok(Function { oid, schema, name, language, volatility, security_definer })
}

/// Reads the row that [`NAMES_QUERY`] yields, in text format.
pub fn parse_names(columns: &[Option<&[u8]>]) -> Result<NamesRow, CatalogError> {
    let [role, search_path, strings, temp_relations, setting, temp_active] = columns else {
        return Err(CatalogError::Columns { found: columns.len() });
    };
    Ok(NamesRow {
        role: text(1, *role)?.to_owned(),
        search_path: serde_json::from_str(text(2, *search_path)?).map_err(json_error)?,
        standard_conforming_strings: text(3, *strings)? == "on",
        temp_relations: serde_json::from_str(text(4, *temp_relations)?).map_err(json_error)?,
        search_path_setting: text(5, *setting)?.to_owned(),
        temp_active: serde_json::from_str(text(6, *temp_active)?).map_err(json_error)?,
    })
}

fn text(column: usize, value: Option<&[u8]>) -> Result<&str, CatalogError> {
    value.and_then(|v| std::str::from_utf8(v).ok()).ok_or(CatalogError::Text { column })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"server_version_num":150018,
        "relations":[
          [16390,"public","people","p","dana",[[1,"id","integer","N",true,false],
            [3,"mail","character varying(80)","S",false,true]],null,[],true,true,-1],
          [16400,"public","people_1","r","dana",[],null,[16390],false,false,1e+06],
          [16410,"public","mails","v","dana",[]," SELECT 1;",[],false,false,0]],
        "functions":[[16420,"public","f","sql","s",true]]}"#;

    #[test]
    fn a_catalog_is_read_whole() {
        let catalog = parse_catalog(SMALL).expect("readable");
        assert_eq!(catalog.server_version_num, 150_018);
        let people = catalog.relation("public", "people").expect("there");
        assert_eq!((people.kind, people.oid), (RelationKind::PartitionedTable, 16_390));
        assert!(people.has_triggers && people.row_security && people.row_estimate < 0.0);
        let mail = people.column("mail").expect("there");
        assert_eq!((mail.number, mail.type_category, mail.generated), (3, 'S', true));
        assert_eq!(catalog.children(16_390), [16_400]);
        let view = catalog.relation("public", "mails").expect("there");
        assert_eq!(view.definition.as_deref(), Some(" SELECT 1;"));
        let function = catalog.functions_named("f").next().expect("there");
        assert!(function.security_definer && function.volatility == Volatility::Stable);
    }

    #[test]
    fn what_is_unknown_is_an_error_and_not_a_guess() {
        let kind = SMALL.replace(r#""people","p""#, r#""people","z""#);
        assert!(
            matches!(parse_catalog(&kind), Err(CatalogError::Letter { letter, .. }) if letter == "z")
        );
        let volatility = SMALL.replace(r#""sql","s""#, r#""sql","x""#);
        assert!(matches!(parse_catalog(&volatility), Err(CatalogError::Letter { .. })));
        let field = SMALL.replacen('{', r#"{"more":1,"#, 1);
        assert!(matches!(parse_catalog(&field), Err(CatalogError::Json(_))));
        assert!(matches!(parse_catalog("[]"), Err(CatalogError::Json(_))));
    }

    fn names<'a>(temp: &'a str, strings: &'a str) -> [Option<&'a [u8]>; NAMES_COLUMNS] {
        let path = r#"["pg_temp_3","pg_catalog","a\"b"]"#;
        ["dana", path, strings, temp, "\"a\"\"b\"", temp].map(|text| Some(text.as_bytes()))
    }

    #[test]
    fn names_are_read_exactly() {
        let row = parse_names(&names(r#"["orders"]"#, "off")).expect("readable");
        assert_eq!(row.role, "dana");
        assert_eq!(row.search_path, ["pg_temp_3", "pg_catalog", "a\"b"]);
        assert!(!row.standard_conforming_strings);
        assert_eq!(
            (&row.temp_relations, &row.temp_active),
            (&vec!["orders".to_owned()], &vec!["orders".to_owned()])
        );
        assert_eq!(row.search_path_setting, "\"a\"\"b\"");
    }

    #[test]
    fn names_that_are_missing_are_errors() {
        let full = names("[]", "on");
        assert_eq!(parse_names(&full[..4]), Err(CatalogError::Columns { found: 4 }));
        let mut null = full;
        null[1] = None;
        assert_eq!(parse_names(&null), Err(CatalogError::Text { column: 2 }));
        let mut latin1 = full;
        latin1[0] = Some(b"j\xf6rg");
        assert_eq!(parse_names(&latin1), Err(CatalogError::Text { column: 1 }));
        assert!(matches!(parse_names(&names("{}", "on")), Err(CatalogError::Json(_))));
    }

    #[test]
    fn every_function_in_the_queries_is_qualified() {
        // A session may have put a schema of its own before pg_catalog; see the module's text.
        for query in [CATALOG_QUERY, CATALOG_FINGERPRINT_QUERY, NAMES_QUERY] {
            for (at, _) in query.match_indices('(') {
                let before = query.get(..at).expect("a boundary");
                let word =
                    before.rsplit(|c: char| !(c.is_alphanumeric() || "_.".contains(c))).next();
                let word = word.expect("rsplit yields at least one");
                let keyword = word.chars().all(|c| c.is_uppercase());
                assert!(keyword || word.starts_with("pg_catalog."), "unqualified: {word}");
            }
        }
    }
}
