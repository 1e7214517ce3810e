//! `writ databases`.

use clap::{Args, Subcommand, ValueEnum};
use writ_model::config::SHARED_CONNECTIONS;
use writ_model::credential::VaultRef;
use writ_model::label::Label;
use writ_model::role::RoleRule;
use writ_model::server::SessionAttrs;

#[derive(Debug, Subcommand)]
pub(crate) enum Databases {
    /// All databases
    List,
    /// Put a database behind the edges of an environment
    Add(AddDatabase),
    /// Take it away
    Remove { name: String },
    /// What its columns hold; with a column, say so yourself
    Classify {
        name: String,
        /// schema.table.column
        column: Option<String>,
        /// What the column holds, such as pii.email
        #[arg(long, value_name = "TAG", requires = "column", conflicts_with = "harmless")]
        set: Option<String>,
        /// The column holds nothing that needs a mask
        #[arg(long, requires = "column")]
        harmless: bool,
        #[arg(long, default_value = "")]
        reason: String,
        /// Harmless columns too
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddDatabase {
    /// The name that clients use
    pub(crate) name: String,
    #[arg(long)]
    pub(crate) environment: String,
    /// Who answers for it
    #[arg(long)]
    pub(crate) owner: String,
    /// Where it is; several, tried in their order, with commas between: HOST[:PORT],…
    #[arg(long)]
    pub(crate) host: String,
    #[arg(long, default_value_t = 5432)]
    pub(crate) port: u16,
    /// Of several hosts, the first that is: any, read-write, read-only, primary, standby or prefer-standby
    #[arg(long, value_name = "WHICH", default_value_t)]
    pub(crate) target_session_attrs: SessionAttrs,
    /// Its name at the server [default: NAME]
    #[arg(long)]
    pub(crate) dbname: Option<String>,
    /// The role that the edge logs in with
    #[arg(long)]
    pub(crate) username: String,
    /// A file on the edge's machine with the password
    #[arg(long, conflicts_with = "password_variable")]
    pub(crate) password_file: Option<String>,
    /// An environment variable of the edge with the password
    #[arg(long)]
    pub(crate) password_variable: Option<String>,
    /// A field of a secret in the edge's Vault with the password: secret/data/PATH#FIELD
    #[arg(long, value_name = "REFERENCE", conflicts_with_all = ["password_file", "password_variable"])]
    pub(crate) password_vault: Option<VaultRef>,
    /// A PEM file on the edge's machine with the certificate that the database asks for
    #[arg(long, value_name = "FILE", requires = "client_key_file")]
    pub(crate) client_certificate_file: Option<String>,
    /// A PEM file on the edge's machine with the certificate's key
    #[arg(long, value_name = "FILE", requires = "client_certificate_file")]
    pub(crate) client_key_file: Option<String>,
    #[arg(long, default_value = "verify-full")]
    pub(crate) tls: Tls,
    /// How long a session keeps its connection to the database
    #[arg(long, default_value = "session")]
    pub(crate) pooling: Pooling,
    /// With --pooling transaction: how many connections the sessions of an edge share
    #[arg(long, value_name = "N", default_value_t = SHARED_CONNECTIONS, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections_max: u16,
    /// What application_name tells the database: none, principal or session
    #[arg(long, value_name = "WHAT", default_value_t)]
    pub(crate) label: Label,
    /// The role of the database that somebody acts as, the first that fits: user:NAME=ROLE, group:NAME=ROLE, *=ROLE
    #[arg(long = "role", value_name = "WHOM=ROLE")]
    pub(crate) roles: Vec<RoleRule>,
    #[arg(long = "tag", value_name = "NAME=VALUE")]
    pub(crate) tags: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tls {
    Disable,
    Require,
    VerifyFull,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pooling {
    Session,
    Transaction,
}
