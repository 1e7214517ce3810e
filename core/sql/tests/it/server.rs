//! A PostgreSQL server of the tests' own, reached by a socket in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io::Write as _};

use writ_model::{Catalog, Function, Relation};

const DEFAULT_BIN: &str = "/usr/lib/postgresql/15/bin";
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running server; dropped, it stops and its files go.
pub(crate) struct Server {
    bin: PathBuf,
    dir: PathBuf,
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn as_postgres(program: &Path) -> Command {
    let id = run(Command::new("id").arg("-u")).stdout;
    if id.starts_with(b"0\n") {
        // The server refuses to run as root.
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        // That user may not be allowed where the tests are.
        command.current_dir("/");
        command
    } else {
        Command::new(program)
    }
}

impl Server {
    /// Starts a server; `None` where none is installed. `WRIT_TEST_PG_BIN` names its programs.
    pub(crate) fn start() -> Option<Self> {
        let bin = std::env::var_os("WRIT_TEST_PG_BIN").unwrap_or_else(|| DEFAULT_BIN.into());
        let bin = PathBuf::from(bin);
        if !bin.join("initdb").exists() {
            eprintln!("no PostgreSQL in {}: the test did not run", bin.display());
            return None;
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("writ-sql-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let server = Self { bin, dir };
        run(as_postgres(Path::new("mkdir")).arg("-m700").arg(&server.dir));
        let (data, log) = (server.dir.join("data"), server.dir.join("log"));
        run(as_postgres(&server.bin.join("initdb"))
            .args(["-A", "trust", "-U", "owner", "--locale=C", "-E", "UTF8", "-N", "-D"])
            .arg(&data));
        let options = format!(
            "-k {} -c listen_addresses='' -c fsync=off -c jit=off -c autovacuum=off -c log_statement=all \
             -c log_line_prefix='~~'",
            server.dir.display()
        );
        let status = as_postgres(&server.bin.join("pg_ctl"))
            .arg("-D")
            .arg(&data)
            .arg("-l")
            .arg(&log)
            .args(["-w", "-o", &options, "start"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("pg_ctl runs");
        assert!(status.success(), "{}", fs::read_to_string(&log).unwrap_or_default());
        Some(server)
    }

    /// Builds of the server alone come without psql: any will do.
    fn path(&self, name: &str) -> PathBuf {
        let own = self.bin.join(name);
        if own.exists() { own } else { Path::new(DEFAULT_BIN).join(name) }
    }

    /// One of the server's programs, pointed at the server.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = as_postgres(&self.path(name));
        command.env("PGHOST", &self.dir).env("PGUSER", "owner").env("PGDATABASE", "postgres");
        command.env("PGOPTIONS", "").current_dir("/");
        command
    }

    /// What psql prints for a script, errors included in their place.
    pub(crate) fn script(&self, script: &str) -> String {
        let shell = format!("exec \"{}\" -X -q -At -f - 2>&1", self.path("psql").display());
        let mut command = as_postgres(Path::new("sh"));
        command.env("PGHOST", &self.dir).env("PGUSER", "owner").env("PGDATABASE", "postgres");
        let mut child = command
            .args(["-c", &shell])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        let script = script.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
        let output = child.wait_with_output().expect("psql ends");
        writer.join().expect("the writer ends").expect("psql reads its script");
        // A binary COPY is not text.
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The statements that the server has logged since `from` bytes of its log.
    pub(crate) fn logged(&self, from: usize) -> Vec<String> {
        let log = self.log();
        let entries = log.get(from..).unwrap_or_default().split("~~");
        entries
            .filter_map(|e| e.strip_prefix("LOG:  statement: "))
            .map(|e| e.trim_end().replace("\n\t", "\n"))
            .collect()
    }

    /// The server's log.
    pub(crate) fn log(&self) -> String {
        let output = run(as_postgres(Path::new("cat")).arg(self.dir.join("log")));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The catalog as it is now.
    pub(crate) fn catalog(&self) -> Catalog {
        let json = self.script(CATALOG);
        let (relations, functions) = json.trim().split_once('\n').expect("two lines");
        let relations: Vec<Relation> = serde_json::from_str(relations).expect("relations");
        let functions: Vec<Function> = serde_json::from_str(functions).expect("functions");
        Catalog::new(150_000, relations, functions)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.dir.join("data");
        let _ = as_postgres(&self.bin.join("pg_ctl"))
            .arg("-D")
            .arg(data)
            .args(["-m", "immediate", "stop"])
            .output();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

const CATALOG: &str = "
SET search_path = pg_catalog;
SELECT json_agg(json_build_object(
  'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname,
  'kind', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned_table'
    WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view' WHEN 'S' THEN 'sequence' ELSE 'other' END,
  'owner', 'owner',
  'columns', COALESCE((SELECT json_agg(json_build_object(
      'number', a.attnum, 'name', a.attname, 'type_name', format_type(a.atttypid, a.atttypmod),
      'type_category', t.typcategory, 'not_null', a.attnotnull, 'generated', a.attgenerated <> '')
      ORDER BY a.attnum) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
  'definition', CASE WHEN c.relkind IN ('v', 'm') AND c.oid >= 16384 THEN pg_get_viewdef(c.oid) END,
  'parents', COALESCE((SELECT json_agg(i.inhparent::int8) FROM pg_inherits i
      WHERE i.inhrelid = c.oid), '[]'),
  'has_triggers', false, 'row_security', false, 'row_estimate', 0))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname <> 'pg_toast';
SELECT json_agg(json_build_object('oid', p.oid::int8, 'schema', n.nspname, 'name', p.proname,
  'language', 'sql', 'volatility', 'volatile', 'security_definer', false))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid >= 16384;
";
