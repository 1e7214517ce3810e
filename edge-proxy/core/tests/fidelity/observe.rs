//! A server, the observer in front of it, and psql.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::server::Server;
use crate::session::{Session, Shared};
use crate::tally::Tally;

const SOCKET: &str = ".s.PGSQL.5432";
/// The database of the regression tests.
const DATABASE: &str = "regression";

/// The observer in front of a server.
pub(crate) struct Observer {
    server: Server,
    /// Where the observer listens.
    dir: PathBuf,
    shared: Arc<Shared>,
    sessions: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Observer {
    /// `None` where no server is installed.
    pub(crate) fn start() -> Option<Self> {
        let server = Server::start()?;
        let upstream = socket_dir(&server).join(SOCKET);
        let dir = socket_dir(&server).join("observer");
        let mkdir =
            as_server(&server, "mkdir").arg("-m777").arg(&dir).status().expect("mkdir runs");
        assert!(mkdir.success());
        let results = socket_dir(&server).join("results");
        let mkdir = as_server(&server, "mkdir").arg(&results).status().expect("mkdir runs");
        assert!(mkdir.success());
        let listener = UnixListener::bind(dir.join(SOCKET)).expect("a socket");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(dir.join(SOCKET), open).expect("permissions");
        let (shared, sessions) = (Arc::<Shared>::default(), Arc::<Mutex<Vec<_>>>::default());
        let observer =
            Self { server, dir, shared: Arc::clone(&shared), sessions: Arc::clone(&sessions) };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), shared, upstream) =
                    (client, Arc::clone(&shared), upstream.clone())
                else {
                    return;
                };
                let session = std::thread::spawn(move || {
                    if let Err(error) = Session::run(client, &upstream, shared) {
                        // Tests end sessions on purpose.
                        eprintln!("a session ended: {error}");
                    }
                });
                sessions.lock().expect("sessions").push(session);
            }
        });
        Some(observer)
    }

    /// Makes the database as the regression tests want it.
    pub(crate) fn prepare(&self, _regress: &Path) {
        let script = "CREATE DATABASE regression TEMPLATE template0; \
            ALTER DATABASE regression SET log_min_messages TO fatal; \
            ALTER DATABASE regression SET lc_messages TO 'C'; \
            ALTER DATABASE regression SET lc_monetary TO 'C'; \
            ALTER DATABASE regression SET lc_numeric TO 'C'; \
            ALTER DATABASE regression SET lc_time TO 'C'; \
            ALTER DATABASE regression SET bytea_output TO 'hex'; \
            ALTER DATABASE regression SET timezone_abbreviations TO 'Default';";
        assert_eq!(self.server.script(&script.replace("; ", ";\n")), "");
    }

    /// Runs one file of the regression tests through the observer.
    pub(crate) fn file(&self, regress: &Path, file: &str) {
        *self.shared.file.lock().expect("the file") = file.to_owned();
        let mut psql = self.psql(DATABASE);
        psql.env("PG_ABS_SRCDIR", regress)
            .env("PG_ABS_BUILDDIR", self.dir.join(".."))
            .env("PG_LIBDIR", "/usr/lib/postgresql/15/lib")
            .env("PG_DLSUFFIX", ".so")
            .env("PGTZ", "PST8PDT")
            .env("PGDATESTYLE", "Postgres, MDY")
            .args(["-a", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on", "-f"])
            .arg(regress.join("sql").join(format!("{file}.sql")));
        self.finish(psql);
    }

    /// Runs a script through the observer; what psql says, errors included.
    pub(crate) fn script(&self, script: &str) -> String {
        let mut psql = self.psql("postgres");
        psql.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = psql.spawn().expect("psql runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        let text = script.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output().expect("psql ends");
        writer.join().expect("the writer ends").expect("psql reads its script");
        self.join();
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// psql as a client of the observer.
    fn psql(&self, database: &str) -> Command {
        let mut psql = self.server.program("psql");
        psql.env("PGHOST", &self.dir).env("PGDATABASE", database).args(["-X", "-q"]);
        psql
    }

    fn finish(&self, mut psql: Command) {
        let output = psql.stdin(Stdio::null()).output().expect("psql runs");
        if let Some(dir) = std::env::var_os("WRIT_FIDELITY_OUTPUT") {
            let name = self.shared.file.lock().expect("the file").clone();
            let all = [output.stdout, output.stderr].concat();
            std::fs::write(Path::new(&dir).join(name), all).expect("an output file");
        }
        self.join();
    }

    /// Waits for the sessions to end: psql has gone.
    fn join(&self) {
        let sessions = std::mem::take(&mut *self.sessions.lock().expect("sessions"));
        for session in sessions {
            session.join().expect("a session ends well");
        }
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.shared.tally.lock().expect("the tally")
    }
}

fn socket_dir(server: &Server) -> PathBuf {
    let psql = server.program("psql");
    let host = psql.get_envs().find(|(name, _)| *name == "PGHOST").and_then(|(_, value)| value);
    PathBuf::from(host.expect("a directory"))
}

/// Another program with the rights of the server's programs.
fn as_server(server: &Server, program: &str) -> Command {
    let psql = server.program("psql");
    let mut command = Command::new(psql.get_program());
    let args: Vec<_> = psql.get_args().collect();
    // `setpriv … psql` where we are root.
    command.args(args.split_last().map_or(&[][..], |(_, before)| before));
    if psql.get_args().len() == 0 {
        Command::new(program)
    } else {
        command.arg(program);
        command
    }
}
