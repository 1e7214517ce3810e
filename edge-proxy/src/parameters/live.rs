//! What a real PostgreSQL logs of a labelled connection.

use writ_edge_core::startup::{Startup, Version};
use writ_model::SessionId;
use writ_model::label::Label;

use super::Asked;
use crate::upstream::testing::{Postgres, one};
use crate::upstream::{ConnectLimits, Upstream, connect};

/// Logs each line with the application's name in front.
async fn log_names(server: &Postgres) {
    let mut admin = server.connect().await;
    admin.query("ALTER SYSTEM SET log_line_prefix = '[%a] '").await.expect("set");
    admin.query("SELECT pg_reload_conf()").await.expect("reloaded");
    // Backends reread their configuration between two statements.
    while one(&mut admin, "SHOW log_line_prefix").await != "[%a] " {}
}

async fn begin(server: &Postgres, label: Label, client: &str) -> Upstream {
    let startup = Startup {
        parameters: vec![("options".into(), format!("-c Application_Name={client}"))],
        asked: Version::OLDEST,
        unknown_options: vec![],
    };
    let who = "user:alice@corp".parse().expect("an id");
    let session: SessionId = "s-01jdabcdefghjkmnpqrstvwxyz".parse().expect("an id");
    let asked = Asked::read(&startup).expect("known settings");
    let label = label.of(&who, Some(&session));
    let parameters = asked.upstream(&who, Some(&session), label.as_ref(), false);
    connect(&server.database(), &parameters, &ConnectLimits::default()).await.expect("connected")
}

/// Makes the server log an error, and says under which name it did.
async fn logged(server: &Postgres, upstream: &mut Upstream, mark: &str) -> String {
    upstream.query(&format!("SELECT nothing_called_{mark}")).await.expect_err("no such column");
    let log = server.log();
    let line = log.lines().find(|line| line.contains(&format!("\"nothing_called_{mark}\"")));
    let line = line.expect("a line").to_owned();
    line.split_once("] ERROR").expect("a prefix").0.trim_start_matches('[').to_owned()
}

#[tokio::test]
async fn the_servers_log_names_the_person_and_the_session() {
    const NAME: &str = "writ:user:alice@corp s-01jdabcdefghjkmnpqrstvwxyz psql";
    let server = Postgres::start();
    log_names(&server).await;
    let mut upstream = begin(&server, Label::Session, "psql").await;
    assert_eq!(logged(&server, &mut upstream, "a").await, NAME);
    // The client, the views and the log are told the same.
    let told = upstream.parameters.iter().find(|(name, _)| name == "application_name");
    assert_eq!(told.map(|(_, value)| value.as_str()), Some(NAME));
    assert_eq!(one(&mut upstream, "SHOW application_name").await, NAME);
    let active = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    assert_eq!(one(&mut upstream, active).await, NAME);
    for (at, back) in ["RESET application_name", "RESET ALL", "DISCARD ALL"].iter().enumerate() {
        upstream.query("SET application_name = 'x'").await.expect("set");
        let mark = format!("set_{at}");
        assert_eq!(logged(&server, &mut upstream, &mark).await, "x", "control: unguarded");
        upstream.query(back).await.expect("back");
        assert_eq!(logged(&server, &mut upstream, &format!("back_{at}")).await, NAME, "{back}");
    }

    let mut unlabelled = begin(&server, Label::None, "psql").await;
    assert_eq!(logged(&server, &mut unlabelled, "c").await, "psql", "control: no label");
    // 63 bytes, none of them lost to the server's own cut.
    let long = "a-client-with-a-name-that-is-longer-than-anyone-would-want-it-to-be";
    let mut upstream = begin(&server, Label::Session, long).await;
    let name = logged(&server, &mut upstream, "d").await;
    assert_eq!(name, format!("{}{}", &NAME[..NAME.len() - 4], &long[..63 - (NAME.len() - 4)]));
}
