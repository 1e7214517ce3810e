//! Fidelity: what the analysis says of a statement against what the server itself sees (E2).
//!
//! An observer stands between psql and a server. It analyses each text as an edge does, lets it run, and compares the
//! facts with the server's own trees. `deploy/fidelity` runs it over PostgreSQL's regression tests.

mod compare;
mod observe;
mod own;
mod seen;
#[allow(dead_code)]
#[path = "../../../../core/sql/tests/it/server.rs"]
mod server;
mod session;
mod tally;
mod tree;
mod wire;

/// Names the directory `src/test/regress` of PostgreSQL's sources.
const REGRESS: &str = "WRIT_FIDELITY_REGRESS";
/// Names the file that the whole report goes to.
const REPORT: &str = "WRIT_FIDELITY_REPORT";
/// Restricts a run to some files, in order: `-test_setup create_view`. Those with a minus are run and not counted.
const FILES: &str = "WRIT_FIDELITY_FILES";

#[test]
fn regression_statements_are_described_as_the_server_sees_them() {
    let Some(regress) = std::env::var_os(REGRESS) else {
        eprintln!("{REGRESS} is not set: the test did not run; see deploy/fidelity");
        return;
    };
    let regress = std::path::PathBuf::from(regress);
    let schedule = std::fs::read_to_string(regress.join("parallel_schedule")).expect("a schedule");
    let all: Vec<String> = schedule
        .lines()
        .filter_map(|l| l.strip_prefix("test: "))
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect();
    let files = match std::env::var(FILES) {
        Ok(files) => files.split_whitespace().map(str::to_owned).collect(),
        Err(_) => all,
    };
    let observer = observe::Observer::start().expect("PostgreSQL is installed");
    observer.prepare(&regress);
    for file in &files {
        let counted = !file.starts_with('-');
        observer.file(&regress, file.trim_start_matches('-'));
        if !counted {
            *observer.tally() = tally::Tally::default();
        }
        eprintln!("{file}");
        if let Some(report) = std::env::var_os(REPORT) {
            std::fs::write(report, observer.tally().report()).expect("a report");
        }
    }
    let tally = observer.tally();
    eprintln!("{}", tally.summary());
    assert!(tally.wrong.is_empty(), "{}", tally.first_wrong());
}

#[test]
fn every_shape_of_statement_is_described_as_the_server_sees_it() {
    let Some(observer) = observe::Observer::start() else { return };
    let lines: Vec<&str> = own::STATEMENTS.lines().filter(|l| !l.is_empty()).collect();
    assert_eq!(observer.script(own::SCHEMA), "");
    let before = observer.tally().statements;
    assert_eq!(observer.script(&format!("{};\n", lines.join(";\n"))), "");
    let tally = observer.tally();
    assert_eq!(tally.statements - before, lines.len() as u64);
    assert!(
        tally.wrong.is_empty() && tally.over.is_empty() && tally.opaque == 0,
        "{}",
        tally.report()
    );
    // The comparison is not idle: most of the statements have trees.
    assert!(tally.with_trees * 10 > tally.complete * 8, "{}", tally.summary());
}
