//! Credentials that change while the edge runs, against a real PostgreSQL.

use std::sync::Arc;

use writ_model::config::{CredentialRef, Database, UpstreamTls};
use writ_model::credential::ClientCertificate;

use crate::upstream::testing::{CERTIFIED, PASSWORD, Postgres, one};
use crate::upstream::vault::tests::FakeVault;
use crate::upstream::{ConnectError, ConnectLimits, Target, Upstream, connect};

const WHO: &str = "SELECT current_user";

async fn enter(target: impl Into<Target<'_>>) -> Result<Upstream, ConnectError> {
    connect(target, &[], &ConnectLimits::default()).await
}

/// How often the server found a password wrong.
fn failures(server: &Postgres) -> usize {
    server.log().matches("password authentication failed").count()
}

async fn app(server: &Postgres, password: &str) {
    let mut admin = server.connect().await;
    let role = format!("CREATE ROLE app LOGIN PASSWORD '{password}'");
    admin.query(&role).await.expect("a role");
}

async fn change(server: &Postgres, password: &str) {
    let mut admin = server.connect().await;
    let role = format!("ALTER ROLE app PASSWORD '{password}'");
    admin.query(&role).await.expect("changed");
}

#[tokio::test]
async fn a_password_that_changed_in_the_vault_is_read_again() {
    let server = Postgres::start();
    let fake = FakeVault::start().await;
    app(&server, "one").await;
    fake.holds("one", 0);
    let vault = Arc::new(fake.vault());
    let reference = "secret/data/shop#password".parse().expect("a reference");
    let database = Database {
        username: "app".into(),
        credential: CredentialRef::Vault(reference),
        ..server.database()
    };
    let target = Target { database: &database, vault: Some(&vault) };
    let mut old = enter(target).await.expect("the first password");
    change(&server, "two").await;
    fake.holds("two", 0);
    // The vault's value is kept for a while: this login fails, and a second one is made with what is read again.
    enter(target).await.expect("the second password");
    assert_eq!((failures(&server), fake.asked()), (1, 2));
    assert_eq!(one(&mut old, WHO).await, "app", "an open connection goes on");
    // Nothing else to try: one failure, and no second try with the same.
    change(&server, "three").await;
    let error = enter(target).await.expect_err("an old password");
    assert!(error.to_string().contains("28P01"), "{error}");
    assert_eq!((failures(&server), fake.asked()), (2, 3));
    let error = enter(&database).await.expect_err("no vault");
    assert!(error.to_string().contains("vault_address"), "{error}");
}

#[tokio::test]
async fn a_password_file_that_changed_is_read_again() {
    let server = Postgres::start();
    app(&server, PASSWORD).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    let write = |text: &str| std::fs::write(file.path(), text).expect("written");
    write(PASSWORD);
    let credential = CredentialRef::File(file.path().display().to_string());
    let database = Database { username: "app".into(), credential, ..server.database() };
    let mut old = enter(&database).await.expect("the first password");
    change(&server, "another").await;
    enter(&database).await.expect_err("control: the file still has the first one");
    write("another");
    enter(&database).await.expect("the second password");
    assert_eq!(failures(&server), 1, "and no second try with what is known to be wrong");
    assert_eq!(one(&mut old, WHO).await, "app", "an open connection goes on");
}

#[tokio::test]
async fn a_certificate_lets_in_whom_it_names() {
    let server = Postgres::start();
    let mut admin = server.connect().await;
    admin.query("CREATE ROLE certified LOGIN").await.expect("a role");
    let files = |name: &str| ClientCertificate {
        certificate_file: server.file(&format!("{name}.crt")),
        key_file: server.file(&format!("{name}.key")),
    };
    let [own, stranger] = CERTIFIED;
    let mut database = Database {
        host: "localhost".into(),
        username: own.into(),
        credential: CredentialRef::None,
        tls: UpstreamTls::VerifyFull,
        client_certificate: Some(files(own)),
        ..server.database()
    };
    database.tags.insert("tls_ca_file".into(), server.ca_file());
    let mut upstream = enter(&database).await.expect("certified");
    assert_eq!(one(&mut upstream, WHO).await, "certified");
    let shown = "SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(one(&mut upstream, shown).await, "/CN=certified");

    let none = Database { client_certificate: None, ..database.clone() };
    let error = enter(&none).await.expect_err("control: no certificate");
    assert!(error.to_string().contains("28000"), "{error}");
    let other = Database { client_certificate: Some(files(stranger)), ..database.clone() };
    let error = enter(&other).await.expect_err("another's certificate");
    assert!(error.to_string().contains("28000"), "{error}");
    let mixed = ClientCertificate { key_file: server.file("stranger.key"), ..files(own) };
    let mixed = Database { client_certificate: Some(mixed), ..database.clone() };
    let error = enter(&mixed).await.expect_err("another's key");
    assert!(error.to_string().contains("no certificate and its key"), "{error}");
    // A renewed pair is used for the next connection.
    for kind in ["crt", "key"] {
        std::fs::copy(
            server.file(&format!("{stranger}.{kind}")),
            server.file(&format!("{own}.{kind}")),
        )
        .expect("copied");
    }
    enter(&database).await.expect_err("read again");
    assert_eq!(one(&mut upstream, WHO).await, "certified", "an open connection goes on");
}
