//! Databases in which principals act as roles of their own: no statement leaves the role, whatever policy permits.

mod gates;

use std::sync::{Arc, Mutex};

use gates::{
    Client, Current, DatabaseState, Gate, NOW, PolicyFile, PolicyGate, SessionNames, Timestamp,
    Verdict,
};
use writ_model::role::RoleRule;

/// Lets everybody do everything, opaque statements and SET ROLE too.
const ALL: &str = "permit (principal, action, resource);";

/// What could make a session another role's, or is not known not to.
const WAYS_OUT: &[&str] = &[
    "SET ROLE admin",
    "SET ROLE NONE",
    "SET SESSION ROLE 'admin'",
    "set local role admin",
    "RESET ROLE",
    "SET role TO DEFAULT",
    "SET SESSION AUTHORIZATION admin",
    "SET LOCAL SESSION AUTHORIZATION DEFAULT",
    "RESET SESSION AUTHORIZATION",
    "SET session_authorization = 'admin'",
    "SELECT set_config('role', 'admin', false)",
    "SELECT set_config('ROLE'::text, 'none', true)",
    "SELECT set_config('session_authorization', 'admin', false)",
    "SELECT set_config('ro' || 'le', 'admin', false)",
    "SELECT set_config(status, 'admin', false) FROM orders",
    "BEGIN; SET ROLE admin; DELETE FROM orders WHERE id = 1; RESET ROLE; COMMIT",
    "SELECT 1; SET ROLE admin",
    "DO $$ BEGIN SET ROLE admin; END $$",
    "DO $$ BEGIN EXECUTE 'RESET ' || 'ROLE'; END $$",
    "CALL change_role()",
    "SELECT my_function()",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET role = 'admin' AS 'SELECT 1'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET session_authorization = 'admin' AS 'SELECT 1'",
    "CREATE PROCEDURE p() LANGUAGE sql SET ROLE TO admin AS 'SELECT 1'",
    "ALTER FUNCTION my_function() SET role = 'admin'",
    "ALTER ROLE analyst SET role = 'admin'",
    "ALTER DATABASE shop SET role = 'admin'",
    "SELECT * FROM dblink('', 'SET ROLE admin') AS t(a text)",
    "SELECT query_to_xml('SELECT set_config(''role'', ''admin'', false)', true, true, '')",
];

/// What stays as it is.
const KEPT: &[&str] = &[
    "SELECT status FROM orders WHERE id = 7",
    "UPDATE orders SET status = 'x' WHERE id = 7",
    "BEGIN",
    "ROLLBACK",
    "SHOW role",
    "SELECT current_user, session_user, current_setting('role')",
    "SELECT set_config('work_mem', '64kB', false)",
    "RESET ALL",
    "DISCARD ALL",
    "SET search_path = public",
];

fn state(rules: &[&str]) -> Arc<DatabaseState> {
    let file = PolicyFile { name: "all.cedar".into(), text: ALL.into() };
    let of = gates::state_with(&[file]);
    let mut database = of.database.clone();
    database.roles = rules.iter().map(|rule| rule.parse::<RoleRule>().expect("a rule")).collect();
    let known = gates::KnownColumns::new(
        &[],
        &[gates::classified("orders", "id", None), gates::classified("orders", "status", None)],
    );
    let (config, policies) = (Arc::clone(&of.config), Arc::clone(&of.policies));
    Arc::new(DatabaseState::new(config, policies, database, Arc::clone(&of.catalog), known))
}

fn names(role: &str) -> SessionNames {
    SessionNames {
        role: role.into(),
        search_path: vec!["pg_catalog".into(), "public".into()],
        standard_conforming_strings: true,
        ..SessionNames::default()
    }
}

fn client(who: &str) -> Client {
    Client { principal: who.parse().expect("id"), address: None, application_name: String::new() }
}

fn connect(rules: &[&str], who: &str, role: &str) -> Result<PolicyGate, writ_model::Denial> {
    let current = Arc::new(gates::Fixed(state(rules), NOW));
    PolicyGate::connect(current, client(who), names(role), NOW)
}

fn rule_of(gate: &mut PolicyGate, text: &str) -> Option<String> {
    let ruling = gate.rule(text.as_bytes(), NOW);
    matches!(ruling.decision.verdict, Verdict::Deny(_)).then(|| ruling.rules())
}

#[test]
fn nothing_that_a_client_sends_leaves_its_role() {
    let mut acting = connect(&["user:ada=analyst"], "user:ada", "analyst").expect("may connect");
    assert_eq!(acting.role(), Some("analyst"));
    let mut free = connect(&[], "user:ada", "analyst").expect("may connect");
    assert_eq!(free.role(), None);
    for text in WAYS_OUT {
        let refused = acting.rule(text.as_bytes(), NOW);
        assert_eq!(rule_of(&mut acting, text).as_deref(), Some("mapped-role"), "{text}");
        assert_eq!(refused.sqlstate.0, "42501", "{text}");
        assert_eq!(rule_of(&mut free, text), None, "control: without roles policy lets it: {text}");
    }
    for text in KEPT {
        assert_eq!(rule_of(&mut acting, text), None, "{text}");
    }
}

#[test]
fn what_was_prepared_does_not_leave_it_either() {
    let mut acting = connect(&["user:ada=analyst"], "user:ada", "analyst").expect("may connect");
    let outer = acting.rule(b"EXECUTE p", NOW);
    for (text, refused) in [("SET ROLE admin", true), ("SELECT status FROM orders", false)] {
        let inner = acting.rule(text.as_bytes(), NOW);
        let ruling = acting.rule_execute(&outer, &[Some(inner)], NOW);
        assert_eq!(matches!(ruling.decision.verdict, Verdict::Deny(_)), refused, "{text}");
    }
    let unknown = acting.rule_execute(&outer, &[None], NOW);
    assert!(matches!(unknown.decision.verdict, Verdict::Deny(_)), "of whom nothing is known");
}

#[test]
fn a_session_that_became_another_role_runs_nothing() {
    let mut gate = connect(&["user:ada=analyst"], "user:ada", "analyst").expect("may connect");
    assert_eq!(rule_of(&mut gate, "SELECT 1"), None);
    // As the server says after DISCARD ALL, should one ever go back to its login.
    gate.set_names(names("login"));
    assert_eq!(rule_of(&mut gate, "SELECT 1").as_deref(), Some("mapped-role"));
    gate.set_names(names("analyst"));
    assert_eq!(rule_of(&mut gate, "SELECT 1"), None, "control");
}

#[test]
fn who_has_no_role_does_not_connect() {
    let denial = connect(&["group:dba=admin"], "user:dana", "login").err().expect("a refusal");
    assert!(denial.reason.contains("user:dana"), "{}", denial.reason);
    assert!(connect(&["group:dba=admin", "*=app"], "user:dana", "app").is_ok());
    let agent =
        connect(&["user:dana=own"], "agent:copilot", "own").expect("as the person behind it");
    assert_eq!(agent.role(), Some("own"));
}

#[test]
fn a_session_ends_when_its_role_changes() {
    struct Switched(Mutex<Arc<DatabaseState>>);
    impl Current for Switched {
        fn state(&self) -> Option<Arc<DatabaseState>> {
            Some(Arc::clone(&self.0.lock().expect("no panic")))
        }
        fn last_heard(&self) -> Timestamp {
            NOW
        }
    }
    let current = Arc::new(Switched(Mutex::new(state(&["*=analyst"]))));
    let shared = Arc::clone(&current) as Arc<dyn Current>;
    let mut gate =
        PolicyGate::connect(shared, client("user:ada"), names("analyst"), NOW).expect("may");
    let mut become_of = |rules: &[&str]| {
        *current.0.lock().expect("no panic") = state(rules);
        gate.refresh(NOW)
    };
    become_of(&["*=analyst", "user:bob=admin"]).expect("control: the same role");
    assert!(become_of(&["*=other"]).expect_err("ended").contains("another role"));
    assert!(become_of(&["user:bob=admin"]).expect_err("ended").contains("no role"));
}
