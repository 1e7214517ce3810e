//! What SQL analysis says a statement does. Where it cannot know, it says so: `opaque` (E2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The kind of a statement, as policy and audit name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementKind {
    /// SELECT, VALUES, TABLE.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// TRUNCATE.
    Truncate,
    /// COPY … FROM STDIN.
    CopyIn,
    /// COPY … TO STDOUT.
    CopyOut,
    /// COPY from or to a file on the server.
    CopyServerFile,
    /// COPY … PROGRAM.
    CopyProgram,
    /// CREATE of anything.
    Create,
    /// ALTER of anything, RENAME, COMMENT, SECURITY LABEL.
    Alter,
    /// DROP of anything.
    Drop,
    /// GRANT, REVOKE, ALTER DEFAULT PRIVILEGES.
    Grant,
    /// CREATE, ALTER or DROP of a role; REASSIGN or DROP OWNED.
    Role,
    /// SET ROLE, SET SESSION AUTHORIZATION.
    SetRole,
    /// SET, RESET and SHOW of a harmless setting.
    Set,
    /// BEGIN, COMMIT, SAVEPOINT, ….
    Transaction,
    /// DECLARE, FETCH, MOVE, CLOSE.
    Cursor,
    /// PREPARE, EXECUTE, DEALLOCATE.
    Prepare,
    /// EXPLAIN (the explained statement's kinds are listed too).
    Explain,
    /// LISTEN, NOTIFY, UNLISTEN.
    Notify,
    /// LOCK.
    Lock,
    /// VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT, REFRESH MATERIALIZED VIEW.
    Maintenance,
    /// DO.
    Do,
    /// CALL.
    Call,
    /// DISCARD.
    Discard,
    /// ALTER SYSTEM, LOAD, CREATE EXTENSION and the like: changes the server itself.
    Server,
    /// Nothing but comments and white space.
    Empty,
    /// A statement that the analysis does not know.
    Unknown,
}

impl StatementKind {
    /// The name used in policy, audit and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Merge => "merge",
            Self::Truncate => "truncate",
            Self::CopyIn => "copy_in",
            Self::CopyOut => "copy_out",
            Self::CopyServerFile => "copy_server_file",
            Self::CopyProgram => "copy_program",
            Self::Create => "create",
            Self::Alter => "alter",
            Self::Drop => "drop",
            Self::Grant => "grant",
            Self::Role => "role",
            Self::SetRole => "set_role",
            Self::Set => "set",
            Self::Transaction => "transaction",
            Self::Cursor => "cursor",
            Self::Prepare => "prepare",
            Self::Explain => "explain",
            Self::Notify => "notify",
            Self::Lock => "lock",
            Self::Maintenance => "maintenance",
            Self::Do => "do",
            Self::Call => "call",
            Self::Discard => "discard",
            Self::Server => "server",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a statement of this kind changes data or definitions: audited strictly by default (E6).
    #[must_use]
    pub fn changes(self) -> bool {
        !matches!(
            self,
            Self::Select
                | Self::CopyOut
                | Self::Set
                | Self::Transaction
                | Self::Cursor
                | Self::Prepare
                | Self::Explain
                | Self::Notify
                | Self::Lock
                | Self::Discard
                | Self::Empty
        )
    }
}

/// Why part of a statement cannot be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why", content = "detail")]
pub enum OpaqueReason {
    /// The text does not parse by the server's grammar.
    Syntax(String),
    /// A limit was passed before parsing; names the limit.
    Limit(String),
    /// A parse-tree node that the walk does not know.
    UnknownNode(String),
    /// A relation that the catalog snapshot does not have.
    UnknownRelation(String),
    /// A column name that more than one relation, or none, can supply.
    UnknownColumn(String),
    /// A function that is not known to be harmless.
    UntrustedFunction(String),
    /// Text that is run as a statement elsewhere (EXECUTE, DO, dblink, query_to_xml, …).
    DynamicSql(String),
    /// A masked relation is used in a way that cannot be rewritten soundly.
    Rewrite(String),
    /// Session state that is not known here.
    Session(String),
    /// A write under a constraint that answers about masked values: its name.
    Oracle(String),
}

impl OpaqueReason {
    /// The name used in policy and audit.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "syntax",
            Self::Limit(_) => "limit",
            Self::UnknownNode(_) => "unknown_node",
            Self::UnknownRelation(_) => "unknown_relation",
            Self::UnknownColumn(_) => "unknown_column",
            Self::UntrustedFunction(_) => "untrusted_function",
            Self::DynamicSql(_) => "dynamic_sql",
            Self::Rewrite(_) => "rewrite",
            Self::Session(_) => "session",
            Self::Oracle(_) => "oracle",
        }
    }

    /// What exactly is not known: a name or a short text.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Syntax(d)
            | Self::Limit(d)
            | Self::UnknownNode(d)
            | Self::UnknownRelation(d)
            | Self::UnknownColumn(d)
            | Self::UntrustedFunction(d)
            | Self::DynamicSql(d)
            | Self::Rewrite(d)
            | Self::Session(d)
            | Self::Oracle(d) => d,
        }
    }
}

/// One relation that a statement uses, and which of its columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RelationUse {
    /// `pg_class.oid`.
    pub oid: u32,
    /// The schema's exact name.
    pub schema: String,
    /// The relation's exact name.
    pub name: String,
    /// The columns used, by exact name; a whole-row use lists all.
    pub columns: BTreeSet<String>,
}

/// A change of session state that later name resolution or masking depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEffect {
    /// search_path, role, temp objects or a parser-relevant setting may change: the edge must ask the server again.
    Names,
    /// Definitions may change: the catalog snapshot must be taken again.
    Definitions,
    /// A transaction may end, which can undo earlier settings.
    TransactionEnd,
    /// The session or transaction may become read-write, where it was read-only.
    ReadWrite,
}

/// What a statement does with one SQL cursor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorUse {
    /// DECLARE; `hold`: it outlives its transaction.
    Declare {
        /// Its name.
        name: String,
        /// WITH HOLD.
        hold: bool,
    },
    /// FETCH or MOVE.
    Fetch(String),
    /// CLOSE; `None`: all.
    Close(Option<String>),
}

/// What one client message's SQL text does: the union over its statements.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StatementFacts {
    /// The kinds of all statements and of those nested in them (EXPLAIN, PREPARE, data-modifying CTEs).
    pub kinds: BTreeSet<StatementKind>,
    /// How many statements the text has.
    pub statements: u32,
    /// Relations read, with columns; views are listed themselves and with the relations below them.
    pub reads: BTreeSet<RelationUse>,
    /// Relations written, with the columns assigned.
    pub writes: BTreeSet<RelationUse>,
    /// Names of objects defined, altered or dropped, as written.
    pub defines: BTreeSet<String>,
    /// Functions called, `schema.name`.
    pub functions: BTreeSet<String>,
    /// Whether every UPDATE and DELETE has a WHERE clause. True where there is none of them.
    pub bounded: bool,
    /// What is not known (E2). Empty: everything is known.
    pub opaque: BTreeSet<OpaqueReason>,
    /// What the statement may change in the session.
    pub session: BTreeSet<SessionEffect>,
    /// The highest `$n` parameter used.
    pub parameters: u32,
    /// SQL-level prepared statements that this text executes (EXECUTE name).
    pub executes: BTreeSet<String>,
    /// SQL-level prepared statements that this text makes (PREPARE name).
    pub prepares: BTreeSet<String>,
    /// Prepared statements that this text drops (DEALLOCATE name); `None` inside: all of them.
    #[serde(default)]
    pub deallocates: BTreeSet<Option<String>>,
    /// Settings that the text changes, lower case.
    #[serde(default)]
    pub settings: BTreeSet<String>,
    /// What is done with SQL cursors.
    pub cursors: BTreeSet<CursorUse>,
    /// Whether rows may be changed that no command tag counts (data-modifying WITH, EXPLAIN ANALYZE, TRUNCATE).
    pub uncounted_changes: bool,
    /// The schemas in which objects are defined, altered or dropped; `None` inside: one that is not known.
    pub define_schemas: BTreeSet<Option<String>>,
    /// What sort of objects those are, such as `table`.
    pub object_kinds: BTreeSet<String>,
}

impl StatementFacts {
    /// Whether the text makes or drops prepared statements by name.
    #[must_use]
    pub fn names_statements(&self) -> bool {
        !self.prepares.is_empty() || !self.deallocates.is_empty()
    }

    /// Whether any part changes data or definitions, or is not known: strict audit by default (E6).
    #[must_use]
    pub fn is_strict(&self) -> bool {
        !self.opaque.is_empty() || self.kinds.iter().any(|k| k.changes())
    }
}
