//! A real PostgreSQL for tests: its own directory, port and certificates, gone when dropped.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use writ_model::config::{CredentialRef, Database, Pooling, UpstreamTls};

use super::{ConnectLimits, Upstream, connect};

/// The superuser's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// Roles by how they log in; every other role needs SCRAM.
const HBA: &str = "local all all trust\n\
    hostssl all certified 127.0.0.1/32 cert\n\
    local replication all trust\n\
    host all trusted 127.0.0.1/32 trust\n\
    host all cleartext 127.0.0.1/32 password\n\
    host all hashed 127.0.0.1/32 md5\n\
    host all all 127.0.0.1/32 scram-sha-256\n";
/// Roles with certificates of the server's own issuer, as `NAME.crt` and `NAME.key`; the first one logs in by it.
pub(crate) const CERTIFIED: [&str; 2] = ["certified", "stranger"];
/// How often another port is tried where someone else was faster.
const START_TRIES: usize = 5;

/// A running server.
pub(crate) struct Postgres {
    dir: TempDir,
    pub(crate) port: u16,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut server = Self { dir, port: 0 };
        std::fs::write(server.password_file(), format!("{PASSWORD}\n")).expect("written");
        server.write_certificates();
        for name in ["", "password", "server.crt", "server.key", "ca.crt"] {
            hand_over(&server.dir.path().join(name));
        }
        let data = server.data();
        let data = data.to_str().expect("UTF-8");
        let pwfile = server.password_file();
        let pwfile = format!("--pwfile={}", pwfile.display());
        let auth = "--auth=scram-sha-256";
        let more = ["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"];
        run("initdb", &[&["-D", data, "-U", "postgres", auth, &pwfile], &more[..]].concat());
        std::fs::write(server.data().join("pg_hba.conf"), HBA).expect("written");
        server.boot();
        server
    }

    /// A standby of it, which follows it.
    pub(crate) fn standby(&self) -> Self {
        let mut standby = Self { dir: tempfile::tempdir().expect("a directory"), port: 0 };
        for name in ["password", "server.crt", "server.key", "ca.crt"] {
            let copy = standby.dir.path().join(name);
            std::fs::copy(self.dir.path().join(name), &copy).expect("copied");
            hand_over(&copy);
        }
        hand_over(standby.dir.path());
        let (home, port) = (self.dir.path().display().to_string(), self.port.to_string());
        let data = standby.data().display().to_string();
        let from = ["-h", &home, "-p", &port, "-U", "postgres", "-D", &data];
        let how = ["-R", "-X", "stream", "--checkpoint=fast", "--no-sync"];
        run("pg_basebackup", &[&from[..], &how].concat());
        standby.boot();
        standby
    }

    /// Starts the server on a port that nobody has.
    fn boot(&mut self) {
        for _ in 0..START_TRIES {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            self.port = listener.local_addr().expect("an address").port();
            drop(listener);
            if self.control("start") {
                return;
            }
        }
        let log = std::fs::read_to_string(self.data().join("log")).unwrap_or_default();
        panic!("PostgreSQL does not start: {log}");
    }

    /// `pg_ctl start` or `stop`, which wait until it is done. Whether it worked.
    pub(crate) fn control(&self, action: &str) -> bool {
        let (data, home) = (self.data(), self.dir.path().display().to_string());
        let options = format!(
            "-p {} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off -c ssl=on -c shared_buffers=16MB \
             -c ssl_ca_file={home}/ca.crt -c ssl_cert_file={home}/server.crt -c ssl_key_file={home}/server.key -c autovacuum=off",
            self.port
        );
        let mut command = program("pg_ctl");
        command.arg("-D").arg(&data).arg("-l").arg(data.join("log"));
        match action {
            "start" => command.args(["-w", "-o", &options, action]),
            _ => command.args(["-m", "immediate", action]),
        };
        command.status().expect("pg_ctl runs").success()
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data().join("log")).expect("a log")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.dir.path().join("password")
    }

    /// The path of `NAME.crt` or `NAME.key`.
    pub(crate) fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub(crate) fn ca_file(&self) -> String {
        self.dir.path().join("ca.crt").display().to_string()
    }

    fn write_certificates(&self) {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(ca, key).expect("a certificate");
        let names = vec!["localhost".to_owned()];
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(names).expect("names");
        let leaf = leaf.signed_by(&key, &ca).expect("a certificate");
        let write = |name: &str, text: String| {
            std::fs::write(self.dir.path().join(name), text).expect("written");
        };
        write("ca.crt", ca.pem());
        write("server.crt", leaf.pem());
        write("server.key", key.serialize_pem());
        for role in CERTIFIED {
            let key = KeyPair::generate().expect("a key");
            let mut shown = CertificateParams::new(Vec::new()).expect("names");
            shown.distinguished_name.push(DnType::CommonName, role);
            let shown = shown.signed_by(&key, &ca).expect("a certificate");
            write(&format!("{role}.crt"), shown.pem());
            write(&format!("{role}.key"), key.serialize_pem());
        }
        let key = self.dir.path().join("server.key");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(key, private).expect("permissions");
    }

    /// The superuser's way in, by SCRAM over plain TCP.
    pub(crate) fn database(&self) -> Database {
        Database {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            dbname: "postgres".to_owned(),
            username: "postgres".to_owned(),
            credential: CredentialRef::File(self.password_file().display().to_string()),
            tls: UpstreamTls::Disable,
            pooling: Pooling::Session,
            session_attrs: writ_model::server::SessionAttrs::Any,
            ..super::error::tests::database()
        }
    }

    pub(crate) async fn connect(&self) -> Upstream {
        connect(&self.database(), &[], &ConnectLimits::default()).await.expect("connected")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.control("stop");
    }
}

/// The only value of the only row.
pub(crate) async fn one(upstream: &mut Upstream, sql: &str) -> String {
    let rows = upstream.query(sql).await.expect("an answer");
    let value = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
    String::from_utf8(value.expect("a value")).expect("UTF-8")
}

/// PostgreSQL refuses to run as root: then it runs as the user postgres.
fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("user postgres");
    let mut numbers = line.split(':').skip(2).map(|n| n.parse().expect("a number"));
    Some((numbers.next().expect("uid"), numbers.next().expect("gid")))
}

fn hand_over(path: &Path) {
    if let Some((uid, gid)) = account() {
        chown(path, Some(uid), Some(gid)).expect("ownership");
    }
}

fn program(name: &str) -> Command {
    let mut command = Command::new(Path::new(PROGRAMS).join(name));
    command.current_dir("/").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some((uid, gid)) = account() {
        command.uid(uid).gid(gid);
    }
    command
}

fn run(name: &str, arguments: &[&str]) {
    let status = program(name).args(arguments).status().expect("the program runs");
    assert!(status.success(), "{name} failed");
}
