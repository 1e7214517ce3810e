//! The command line, as clap sees it. Its words are part of the outside interface.

mod databases;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use databases::{AddDatabase, Databases, Pooling, Tls};

/// An identity-aware gateway in front of every database.
#[derive(Debug, Parser)]
#[command(name = "writ", version, about, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to reach the control plane, and how to print.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// URL of the control plane
    #[arg(long, global = true, env = "WRIT_CONTROL_PLANE", value_name = "URL")]
    pub(crate) control_plane: Option<String>,
    /// Your token
    #[arg(long, global = true, env = "WRIT_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The CA that Writ's certificates are from (PEM)
    #[arg(long, global = true, env = "WRIT_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a control-plane node
    ControlPlane(Server),
    /// Run an edge: the proxy next to the databases
    Edge(EdgeServer),
    /// Run a lake: audit ingest and SQL
    Lake(Server),
    /// Run all of Writ on this machine, with a sample database
    Dev(Dev),
    /// Keep a token and where the control plane is
    Login(Login),
    /// Say who the token is for
    Whoami,
    /// Open psql on a database through the edge
    Connect(Connect),
    /// Tokens for people, services and agents
    #[command(subcommand)]
    Token(Token),
    /// Get a join token for a new edge or lake
    JoinToken(JoinToken),
    /// Statements that wait for a decision
    Approvals {
        #[command(subcommand)]
        command: Approvals,
    },
    /// Policies
    Policy {
        #[command(subcommand)]
        command: Policy,
    },
    /// Users, services and agents
    Identities {
        #[command(subcommand)]
        command: Identities,
    },
    /// Environments and their rules
    Environments {
        #[command(subcommand)]
        command: Environments,
    },
    /// Databases behind the edges
    Databases {
        #[command(subcommand)]
        command: Databases,
    },
    /// Edges and lakes
    Edges {
        #[command(subcommand)]
        command: Edges,
    },
    /// The control plane itself
    Cluster {
        #[command(subcommand)]
        command: Cluster,
    },
    /// What was recorded
    Audit {
        #[command(subcommand)]
        command: Audit,
    },
}

impl Command {
    /// Whether this runs a server, which logs.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self, Self::ControlPlane(_) | Self::Edge(_) | Self::Lake(_))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The TOML configuration file; `WRIT_*` variables win over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct EdgeServer {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Take over from the process that serves with the same `data_dir`, without an interruption; start as always where
    /// there is none (`WRIT_EDGE_TAKE_OVER=true` does the same)
    #[arg(long)]
    pub(crate) take_over: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Dev {
    #[command(subcommand)]
    pub(crate) command: Option<DevCommand>,
    #[command(flatten)]
    pub(crate) start: DevStart,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DevStart {
    #[command(flatten)]
    pub(crate) dir: DataDir,
    /// First of the ports to use [default: the ones of the last run, else 7400]
    #[arg(long, value_name = "N")]
    pub(crate) port_base: Option<u16>,
    /// Put Writ in front of this PostgreSQL instead of a sample one
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Run each plane as a process of its own
    #[arg(long)]
    pub(crate) separate: bool,
    /// Return when everything is ready
    #[arg(long)]
    pub(crate) detach: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DataDir {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".writ", env = "WRIT_DEV_DIR")]
    pub(crate) data_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DevCommand {
    /// End what `writ dev` started
    Stop(DataDir),
    /// Start a plane again that was killed
    Start {
        /// Which one
        plane: Plane,
        #[command(flatten)]
        dir: DataDir,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plane {
    ControlPlane,
    Edge,
    Lake,
}

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Forget what is kept
    #[arg(long)]
    pub(crate) forget: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// The database's name
    pub(crate) database: String,
    /// The edge
    #[arg(long, env = "WRIT_EDGE", value_name = "HOST:PORT")]
    pub(crate) edge: String,
    /// Arguments for psql, after `--`
    #[arg(last = true)]
    pub(crate) psql: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Issue a token: for yourself, for an agent of yours, or (as an administrator) for anyone
    Issue {
        /// For whom, such as agent:copilot [default: yourself]
        principal: Option<String>,
        /// How long it lasts, such as 30m, 8h, 1d [default: the control plane's]
        #[arg(long, value_name = "TIME", value_parser = duration_ms)]
        valid: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct JoinToken {
    /// What will join
    pub(crate) kind: NodeSort,
    /// The environment that an edge will serve
    #[arg(long, required_if_eq("kind", "edge"), default_value = "")]
    pub(crate) environment: String,
    /// How long it may be used, such as 10m
    #[arg(long, value_name = "TIME", value_parser = duration_ms)]
    pub(crate) valid: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NodeSort {
    Edge,
    Lake,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// What waits for a decision
    List {
        /// Ended ones too
        #[arg(long)]
        all: bool,
    },
    /// All of one request
    Show { id: String },
    /// Let it go on, once in each session that waits
    Approve {
        id: String,
        /// How many waiting sessions it is for, as you saw them; those that came later wait on
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        sessions: Option<u32>,
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Refuse it
    Deny {
        id: String,
        /// Why; the requester sees it
        #[arg(long)]
        reason: String,
    },
    /// Take a grant back; what runs under it ends
    Revoke {
        id: String,
        #[arg(long)]
        reason: String,
    },
    /// Print each request as it comes and changes
    Watch,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Compile policies on this machine
    Check {
        /// Cedar files, or directories of them
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Make these files the policy set, all or nothing
    Apply {
        /// Cedar files, or directories of them; none: the default pack alone
        paths: Vec<PathBuf>,
    },
    /// Print the policy set in force
    Show {
        /// The default pack too
        #[arg(long)]
        default_pack: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Identities {
    /// Everyone
    List,
    /// Add a user, a service or an agent
    Add {
        /// Such as user:dana, service:billing, agent:copilot
        id: String,
        #[arg(long, default_value = "")]
        name: String,
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Whom an agent acts for
        #[arg(long, default_value = "", value_name = "PRINCIPAL")]
        on_behalf_of: String,
    },
    /// Refuse them everywhere, and end their sessions
    Disable { id: String },
    /// Let them in again
    Enable { id: String },
    /// Set someone's groups
    Groups {
        id: String,
        #[arg(required_unless_present = "none")]
        groups: Vec<String>,
        /// No groups at all
        #[arg(long, conflicts_with = "groups")]
        none: bool,
    },
    /// Passwords of services
    Password {
        #[command(subcommand)]
        command: Password,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Password {
    /// Which ones a service has
    List { id: String },
    /// Give a service another password, beside the one that it may have; made here, and shown once
    Set {
        /// Such as service:billing
        id: String,
        /// Take it from standard input instead
        #[arg(long)]
        stdin: bool,
    },
    /// Take one away
    Remove {
        id: String,
        /// As in `writ identities password list`
        number: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Environments {
    /// Add an environment, or set all of its rules anew
    Add(AddEnvironment),
}

#[derive(Debug, Args)]
pub(crate) struct AddEnvironment {
    pub(crate) name: String,
    /// How old an edge's configuration may get
    #[arg(long, value_name = "TIME", value_parser = duration_ms, default_value = "1h")]
    pub(crate) staleness_max: u64,
    /// What an edge does past that
    #[arg(long, default_value = "read-only")]
    pub(crate) when_stale: Stale,
    /// Certificates of the CAs whose certificates clients may log in with, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Which names in a client's certificate count
    #[arg(long, default_value = "uri", requires = "client_ca")]
    pub(crate) client_names: ClientNames,
    /// Where clients get tokens for OAUTHBEARER
    #[arg(long, value_name = "URL")]
    pub(crate) oauth_issuer: Option<String>,
    /// What they ask for there
    #[arg(long, default_value = "openid", requires = "oauth_issuer")]
    pub(crate) oauth_scope: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientNames {
    Uri,
    UriOrCommonName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stale {
    Refuse,
    ReadOnly,
    GoOn,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Edges {
    /// Who is connected, with which epoch
    List,
    /// The sessions that are open now, and what they do
    Top {
        /// Only of this edge
        edge: Option<String>,
    },
    /// Take no new sessions at an edge, until it is resumed; those that it has end outside of transactions
    Drain {
        edge: String,
        /// When sessions end that have not ended by themselves [default: 5m]
        #[arg(long, value_name = "TIME", value_parser = duration_ms)]
        deadline: Option<u64>,
        /// Why; new clients are told
        #[arg(long, default_value = "")]
        reason: String,
        /// Return when no session is left
        #[arg(long)]
        wait: bool,
    },
    /// Take sessions again at an edge that is drained
    Resume { edge: String },
    /// End a session: what it runs is cancelled, and its client told why
    Kill {
        /// As `writ edges top` lists it
        session: String,
        /// Why; the client sees it
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Nodes, leader, log
    Status,
    /// The event log
    Events {
        /// From this event on
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Go on with new ones
        #[arg(long)]
        follow: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Ask the lake in SQL
    Sql {
        query: String,
        #[command(flatten)]
        lake: LakeAddress,
    },
    /// Print statements as they are recorded
    Tail {
        #[command(flatten)]
        lake: LakeAddress,
    },
    /// Prove, without asking any server, that the record is complete and unaltered
    Verify {
        /// The lake's directory, or a copy of it
        #[arg(env = "WRIT_LAKE_DIR")]
        dir: PathBuf,
        /// The public checkpoint key to trust [default: the one in DIR/keys]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LakeAddress {
    /// libpq URL of the lake's SQL
    #[arg(long, env = "WRIT_LAKE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) lake_url: Option<String>,
    /// The lake, when there is no URL: used with your token and CA
    #[arg(long, env = "WRIT_LAKE", value_name = "HOST:PORT")]
    pub(crate) lake: Option<String>,
}

/// `500ms`, `90s`, `30m`, `8h`, `1d` in milliseconds.
fn duration_ms(text: &str) -> Result<u64, String> {
    let hint = || format!("`{text}` is not a length of time; write 500ms, 90s, 30m, 8h or 1d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let count: u64 = digits.parse().map_err(|_| hint())?;
    let unit = match text.get(digits.len()..) {
        Some("ms") => 1,
        Some("s") => 1_000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        Some("d") => 86_400_000,
        _ => return Err(hint()),
    };
    count.checked_mul(unit).ok_or_else(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(duration_ms("90s"), Ok(90_000));
        assert_eq!(duration_ms("1d"), Ok(86_400_000));
        assert_eq!(duration_ms("250ms"), Ok(250));
        assert!(duration_ms("90").is_err());
        assert!(duration_ms("s").is_err());
        assert!(duration_ms("99999999999999999999d").is_err());
    }

    #[test]
    fn dev_takes_flags_or_a_subcommand() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("writ dev --separate --detach --port-base 7400 --data-dir d").is_ok());
        assert!(parse("writ dev stop --data-dir d").is_ok());
        assert!(parse("writ dev start edge --data-dir d").is_ok());
        assert!(parse("writ dev start moon").is_err());
        assert!(parse("writ approvals deny apr-1").is_err(), "a denial needs a reason");
    }
}
