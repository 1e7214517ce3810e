//! The role as a start-up parameter, on a real PostgreSQL: what goes back to it, and what does not and so has to be refused.

use crate::upstream::testing::{Postgres, one};
use crate::upstream::{ConnectLimits, Upstream, connect};

const WHO: &str = "SELECT current_user || ' ' || session_user || ' ' || current_setting('role')";
/// What the edge lets pass: afterwards the session is the role's.
const BACK: &[&str] = &[
    "RESET ALL",
    "DISCARD ALL",
    "BEGIN; SELECT 1; ROLLBACK",
    "SET search_path = public; RESET search_path",
];
/// What the edge refuses; on this server some of it goes back to the role all the same.
const REFUSED_BACK: &[&str] = &[
    "RESET ROLE",
    "SET ROLE TO DEFAULT",
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET SESSION AUTHORIZATION",
    "BEGIN; SET ROLE admin; ROLLBACK",
    "BEGIN; SET LOCAL ROLE admin; COMMIT",
];
/// What the edge refuses, and has to: it leaves the role.
const REFUSED_OUT: &[&str] = &[
    "SET ROLE admin",
    "SET ROLE NONE",
    "SET SESSION AUTHORIZATION app",
    "SELECT set_config('role', 'admin', false)",
    "SELECT set_config('role', 'none', false)",
    "DO $$ BEGIN SET ROLE admin; END $$",
    "DO $$ BEGIN EXECUTE 'SET ' || 'ROLE admin'; END $$",
    "SELECT public.becomes_admin()",
];

async fn prepare(server: &Postgres) {
    let mut admin = server.connect().await;
    admin
        .query(
            "CREATE ROLE app LOGIN; CREATE ROLE analyst; CREATE ROLE admin; GRANT analyst, admin TO app;
             CREATE SCHEMA analyst AUTHORIZATION analyst; CREATE TABLE secret (x int); GRANT SELECT ON secret TO admin;
             CREATE FUNCTION becomes_admin() RETURNS void LANGUAGE plpgsql AS 'BEGIN SET ROLE admin; END';
             CREATE FUNCTION as_admin() RETURNS bigint LANGUAGE sql SET role = 'admin' AS 'SELECT count(*) FROM secret'",
        )
        .await
        .expect("roles");
}

async fn begin(server: &Postgres, role: Option<&str>) -> Result<Upstream, String> {
    let mut database = server.database();
    database.username = "app".into();
    let role = role.map(|role| ("role".to_owned(), role.to_owned()));
    let parameters: Vec<_> = role.into_iter().collect();
    connect(&database, &parameters, &ConnectLimits::default()).await.map_err(|e| e.to_string())
}

#[tokio::test]
async fn the_role_of_the_start_is_what_everything_goes_back_to() {
    let server = Postgres::start();
    prepare(&server).await;
    let mut admin = server.connect().await;
    admin
        .query(&format!("ALTER ROLE app PASSWORD '{}'", crate::upstream::testing::PASSWORD))
        .await
        .expect("set");
    const ACTING: &str = "analyst app analyst";
    for text in BACK.iter().chain(REFUSED_BACK) {
        let mut upstream = begin(&server, Some("analyst")).await.expect("acting");
        assert_eq!(one(&mut upstream, WHO).await, ACTING);
        upstream.query(text).await.expect("run");
        assert_eq!(one(&mut upstream, WHO).await, ACTING, "{text}");
        // Control: SET ROLE after the login would be undone by all that resets.
        let mut late = begin(&server, None).await.expect("logged in");
        late.query("SET ROLE analyst").await.expect("set");
        late.query("RESET ROLE").await.expect("reset");
        assert_eq!(one(&mut late, WHO).await, "app app none", "control");
    }
    for text in REFUSED_OUT {
        let mut upstream = begin(&server, Some("analyst")).await.expect("acting");
        upstream.query(text).await.expect("run");
        assert_ne!(one(&mut upstream, WHO).await, ACTING, "the edge need not refuse it: {text}");
    }
    // What is stored with the login gives way to the start.
    admin.query("ALTER ROLE app SET role = 'admin'").await.expect("stored");
    let mut stored = begin(&server, None).await.expect("logged in");
    assert_eq!(one(&mut stored, WHO).await, "admin app admin", "control");
    let mut upstream = begin(&server, Some("analyst")).await.expect("acting");
    upstream.query("RESET ALL").await.expect("run");
    assert_eq!(one(&mut upstream, WHO).await, ACTING);
}

#[tokio::test]
async fn rights_and_names_are_those_of_the_role() {
    let server = Postgres::start();
    prepare(&server).await;
    let mut admin = server.connect().await;
    admin
        .query(&format!("ALTER ROLE app PASSWORD '{}'", crate::upstream::testing::PASSWORD))
        .await
        .expect("set");
    let mut upstream = begin(&server, Some("analyst")).await.expect("acting");
    let path = "SELECT array_to_string(current_schemas(true), ',')";
    assert_eq!(one(&mut upstream, path).await, "pg_catalog,analyst,public");
    upstream.query("SELECT * FROM secret").await.expect_err("not the role's");
    // A function that is stored with a role runs as it: calls of such functions are refused by the edge.
    assert_eq!(one(&mut upstream, "SELECT as_admin()").await, "0", "control");
    let mut login = begin(&server, None).await.expect("logged in");
    assert_eq!(one(&mut login, path).await, "pg_catalog,public", "control");
    one(&mut login, "SELECT count(*) FROM secret").await;
    // A role that is not there, or not granted, is no session.
    admin.query("CREATE ROLE other").await.expect("a role");
    for role in ["other", "nobody", "analyst,admin", "ANALYST"] {
        let error = begin(&server, Some(role)).await.err().expect("no such session");
        assert!(error.contains("role"), "{role}: {error}");
    }
}
