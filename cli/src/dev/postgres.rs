//! A private PostgreSQL with the sample shop: made once, started and stopped by its own tools.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::files::{Choices, check_port, secret};
use super::progress;
use crate::failure::{Failure, Result, file};
use crate::lake_client::{self, Target};

/// The database's superuser.
const SUPERUSER: &str = "postgres";
/// The role that the edge logs in with; it owns the shop and is not a superuser.
const APP_ROLE: &str = "shop_app";
/// The sample database.
const SHOP: &str = "shop";
/// The sample's tables and rows.
const SHOP_SQL: &str = include_str!("../../assets/shop.sql");
/// Users that PostgreSQL may run as where we are root, which it refuses to run as.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Account {
    uid: u32,
    gid: u32,
}

/// The account to run PostgreSQL as; `None`: our own.
fn account() -> Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users =
        std::fs::read_to_string("/etc/passwd").map_err(|e| file(Path::new("/etc/passwd"), e))?;
    UNPRIVILEGED.iter().find_map(|name| find_account(&users, name)).map(Some).ok_or_else(|| {
        Failure::no("PostgreSQL does not run as root, and there is neither a user postgres nor nobody; run as another user")
    })
}

fn find_account(users: &str, name: &str) -> Option<Account> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2);
    Some(Account { uid: numbers.next()?.parse().ok()?, gid: numbers.next()?.parse().ok()? })
}

/// Where PostgreSQL's data goes: in `dir`, unless its account cannot get there (root's home is closed to others).
pub(super) fn data_dir(dir: &Path) -> Result<PathBuf> {
    let Some(account) = account()? else { return Ok(dir.join("postgres")) };
    if dir.ancestors().all(|d| passable(d, account)) {
        return Ok(dir.join("postgres"));
    }
    let name: String = dir
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    Ok(Path::new("/var/lib").join(format!("writ-dev{name}")))
}

fn passable(dir: &Path, account: Account) -> bool {
    // What does not exist yet will be made by us, and open.
    let Ok(meta) = std::fs::metadata(dir) else { return true };
    let needed = if meta.uid() == account.uid {
        0o100
    } else if meta.gid() == account.gid {
        0o010
    } else {
        0o001
    };
    meta.mode() & needed != 0
}

/// The directory of PostgreSQL's newest installed programs.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|dir| dir.join("initdb").exists())
    };
    found.pop().map(|(_, bin)| bin).or_else(on_path).ok_or_else(|| {
        Failure::no("PostgreSQL is not installed; run deploy/install-deps (Debian: apt install postgresql), or give --database-url")
    })
}

fn program(name: &str) -> Result<Command> {
    let mut command = Command::new(programs()?.join(name));
    command.stdin(Stdio::null()).current_dir("/").env("LC_ALL", "C.UTF-8");
    if let Some(account) = account()? {
        command.uid(account.uid).gid(account.gid);
    }
    Ok(command)
}

fn run(mut command: Command, what: &str) -> Result<()> {
    let output = command.output().map_err(|error| Failure::no(format!("{what}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    Err(Failure::no(format!("{what} failed: {}", String::from_utf8_lossy(&said).trim())))
}

/// The private PostgreSQL of one directory.
pub(super) struct Postgres<'a> {
    dir: &'a Path,
    choices: &'a Choices,
}

impl<'a> Postgres<'a> {
    pub(super) fn new(dir: &'a Path, choices: &'a Choices) -> Self {
        Self { dir, choices }
    }

    fn data(&self) -> PathBuf {
        self.choices.postgres_dir.join("data")
    }

    /// The file with the edge's password.
    pub(super) fn password_file(&self) -> PathBuf {
        self.dir.join("secrets/shop_app.password")
    }

    /// The shop without the proxy, as the role that the edge uses too.
    pub(super) fn direct(&self) -> Result<Target> {
        self.target(APP_ROLE, &secret(&self.password_file())?, SHOP)
    }

    fn target(&self, user: &str, password: &str, dbname: &str) -> Result<Target> {
        let address = self.choices.postgres();
        Ok(Target {
            host: address.ip().to_string(),
            port: address.port(),
            user: user.to_owned(),
            password: password.to_owned(),
            dbname: dbname.to_owned(),
            ca: None,
        })
    }

    fn superuser(&self, dbname: &str) -> Result<Target> {
        self.target(SUPERUSER, &secret(&self.dir.join("secrets/postgres.password"))?, dbname)
    }

    /// Makes it where it is not there, starts it where it does not run, and fills the shop where it is empty.
    pub(super) async fn start(&self) -> Result<()> {
        if !self.data().join("PG_VERSION").exists() {
            progress("PostgreSQL: making a private one");
            self.init()?;
        }
        if !self.runs()? {
            check_port(self.choices.postgres())?;
            progress(&format!("PostgreSQL: starting on port {}", self.choices.postgres().port()));
            self.pg_ctl_start()?;
        }
        self.fill().await
    }

    /// Makes the cluster aside and moves it into place, so that a half-made one is never taken for a whole one.
    fn init(&self) -> Result<()> {
        let home = &self.choices.postgres_dir;
        let fresh = home.join("new");
        let _ = std::fs::remove_dir_all(&fresh);
        std::fs::create_dir_all(&fresh).map_err(|error| file(&fresh, error))?;
        let password = home.join("initial.password");
        let text = secret(&self.dir.join("secrets/postgres.password"))?;
        crate::settings::write_private(&password, &text)?;
        for path in [home, &fresh, &password] {
            if let Some(account) = account()? {
                chown(path, Some(account.uid), Some(account.gid))
                    .map_err(|error| file(path, error))?;
            }
        }
        std::fs::set_permissions(&fresh, Permissions::from_mode(0o700))
            .map_err(|e| file(&fresh, e))?;
        let mut initdb = program("initdb")?;
        initdb
            .arg("--pgdata")
            .arg(&fresh)
            .args([
                "--username",
                SUPERUSER,
                "--auth",
                "scram-sha-256",
                "--encoding",
                "UTF8",
                "--locale",
                "C.UTF-8",
            ])
            .arg("--pwfile")
            .arg(&password);
        let made = run(initdb, "initdb");
        let _ = std::fs::remove_file(&password);
        made?;
        std::fs::rename(&fresh, self.data()).map_err(|error| file(&fresh, error))
    }

    fn pg_ctl(&self) -> Result<Command> {
        let mut command = program("pg_ctl")?;
        command.arg("--pgdata").arg(self.data()).arg("--silent");
        Ok(command)
    }

    fn pg_ctl_start(&self) -> Result<()> {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c password_encryption=scram-sha-256",
            self.choices.postgres().port()
        );
        let log = self.choices.postgres_dir.join("postgres.log");
        let mut command = self.pg_ctl()?;
        // The server inherits its output from pg_ctl; a pipe would keep us waiting for ever.
        command.args(["--wait", "--options", &options]).arg("--log").arg(&log).arg("start");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().map_err(|error| Failure::no(format!("pg_ctl: {error}")))?;
        match status.success() {
            true => Ok(()),
            false => {
                Err(Failure::no(format!("PostgreSQL did not start; its log is {}", log.display())))
            }
        }
    }

    fn runs(&self) -> Result<bool> {
        let mut command = self.pg_ctl()?;
        command.arg("status").stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.status().is_ok_and(|status| status.success()))
    }

    /// Stops it where it runs.
    pub(super) fn stop(&self) -> Result<()> {
        if self.choices.database_url.is_some() || !self.data().exists() || !self.runs()? {
            return Ok(());
        }
        let mut command = self.pg_ctl()?;
        command.args(["--wait", "--mode", "fast", "stop"]);
        run(command, "stopping PostgreSQL")
    }

    async fn fill(&self) -> Result<()> {
        let root = lake_client::connect(&self.superuser("postgres")?).await?;
        let count = |query: &'static str| {
            let root = &root;
            async move { root.query(query, &[]).await.map(|rows| rows.len()).map_err(|e| sql(&e)) }
        };
        let password = secret(&self.password_file())?;
        if count("SELECT 1 FROM pg_roles WHERE rolname = 'shop_app'").await? == 0 {
            let create = format!(
                "CREATE ROLE {APP_ROLE} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB PASSWORD '{password}'; \
                 GRANT pg_monitor TO {APP_ROLE}"
            );
            root.batch_execute(&create).await.map_err(|e| sql(&e))?;
        }
        if count("SELECT 1 FROM pg_database WHERE datname = 'shop'").await? == 0 {
            let create = format!("CREATE DATABASE {SHOP} OWNER {APP_ROLE}");
            root.batch_execute(&create).await.map_err(|e| sql(&e))?;
            let shop = lake_client::connect(&self.superuser(SHOP)?).await?;
            let own = format!("ALTER SCHEMA public OWNER TO {APP_ROLE}");
            shop.batch_execute(&own).await.map_err(|e| sql(&e))?;
        }
        let shop = lake_client::connect(&self.direct()?).await?;
        let there = shop.query("SELECT 1 FROM pg_tables WHERE tablename = 'customers'", &[]).await;
        if there.map_err(|e| sql(&e))?.is_empty() {
            progress("PostgreSQL: filling the sample shop");
            shop.batch_execute(SHOP_SQL).await.map_err(|e| sql(&e))?;
            shop.batch_execute("ANALYZE").await.map_err(|e| sql(&e))?;
        }
        Ok(())
    }
}

fn sql(error: &tokio_postgres::Error) -> Failure {
    Failure::no(format!("the sample database: {}", lake_client::explain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_exact_name() {
        let users =
            "postgres2:x:1:2::/:\npostgres:x:101:103:,,,:/var/lib/postgresql:/bin/bash\nbroken:x\n";
        assert_eq!(find_account(users, "postgres"), Some(Account { uid: 101, gid: 103 }));
        assert_eq!(find_account(users, "broken"), None);
        assert_eq!(find_account(users, "nobody"), None);
    }

    #[test]
    fn a_closed_directory_is_not_passable_for_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let stranger = Account { uid: u32::MAX - 7, gid: u32::MAX - 7 };
        let set =
            |mode| std::fs::set_permissions(dir.path(), Permissions::from_mode(mode)).expect("set");
        set(0o700);
        assert!(!passable(dir.path(), stranger));
        set(0o711);
        assert!(passable(dir.path(), stranger));
    }
}
