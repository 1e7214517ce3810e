//! Against a fake: a few lines of HTTP that answer as a Vault's KV version 2 does, as far as it is documented. A real Vault
//! is not among the tests' parts.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const TOKEN: &str = "hvs.the-token";

/// What the fake says next, and what it was asked.
pub(in crate::upstream) struct FakeVault {
    address: String,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<Mutex<Vec<String>>>,
    count: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
    dir: tempfile::TempDir,
}

impl FakeVault {
    pub(in crate::upstream) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let answer = Arc::new(Mutex::new((404, String::new())));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let count = Arc::new(AtomicUsize::new(0));
        let (says, hears, counts) = (Arc::clone(&answer), Arc::clone(&asked), Arc::clone(&count));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut heard = Vec::new();
                while !heard.ends_with(b"\r\n\r\n")
                    && stream.read_buf(&mut heard).await.is_ok_and(|n| n > 0)
                {}
                hears.lock().push(String::from_utf8_lossy(&heard).into_owned());
                counts.fetch_add(1, Ordering::Relaxed);
                let (status, body) = says.lock().clone();
                let reply = format!(
                    "HTTP/1.1 {status} Fake\r\nContent-Type: application/json\r\nLocation: http://192.0.2.1/\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("token"), format!("{TOKEN}\n")).expect("written");
        Self { address, answer, asked, count, task, dir }
    }

    pub(in crate::upstream) fn says(&self, status: u16, body: &str) {
        *self.answer.lock() = (status, body.to_owned());
    }

    pub(in crate::upstream) fn holds(&self, password: &str, lease: u64) {
        let metadata = r#"{"version":1,"deletion_time":"","destroyed":false}"#;
        self.says(
            200,
            &format!(
                r#"{{"request_id":"r","lease_id":"","renewable":false,"lease_duration":{lease},
                "data":{{"data":{{"password":"{password}","number":7}},"metadata":{metadata}}}}}"#
            ),
        );
    }

    pub(in crate::upstream) fn asked(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(in crate::upstream) fn vault(&self) -> Vault {
        Vault::new(VaultConfig {
            address: self.address.clone(),
            token_file: self.dir.path().join("token"),
            ca_file: None,
            namespace: Some("team".into()),
        })
        .expect("a vault")
    }
}

fn reference(text: &str) -> VaultRef {
    text.parse().expect("a reference")
}

async fn get(vault: &Vault, again: bool) -> Result<String, String> {
    let secret = vault.secret(&reference("secret/data/shop#password"), again).await;
    secret.map(|secret| secret.expose().clone())
}

#[tokio::test]
async fn a_secret_is_read_with_the_token_and_kept_for_a_while() {
    let fake = FakeVault::start().await;
    fake.holds("one", 0);
    let vault = fake.vault();
    assert_eq!(get(&vault, false).await.as_deref(), Ok("one"));
    let request = fake.asked.lock()[0].to_ascii_lowercase();
    assert!(request.starts_with("get /v1/secret/data/shop http/1.1\r\n"), "{request}");
    for header in [
        "x-vault-token: hvs.the-token\r\n",
        "x-vault-request: true\r\n",
        "x-vault-namespace: team\r\n",
    ] {
        assert!(request.contains(header), "{header} in {request}");
    }
    fake.holds("two", 0);
    assert_eq!((get(&vault, false).await.as_deref(), fake.asked()), (Ok("one"), 1), "kept");
    assert_eq!((get(&vault, true).await.as_deref(), fake.asked()), (Ok("two"), 2), "asked again");
    // The token's file is read each time: whoever renews it only writes it.
    std::fs::write(fake.dir.path().join("token"), "another").expect("written");
    get(&vault, true).await.expect("read");
    assert!(fake.asked.lock()[2].to_ascii_lowercase().contains("x-vault-token: another\r\n"));
}

#[tokio::test]
async fn a_lease_bounds_how_long_a_secret_is_used() {
    let fake = FakeVault::start().await;
    fake.holds("leased", 1);
    let vault = fake.vault();
    let read = Instant::now();
    assert_eq!(get(&vault, false).await.as_deref(), Ok("leased"));
    fake.says(503, "sealed");
    // Within the lease the last one is used where the Vault does not answer; after it, none is.
    loop {
        let (got, since) = (get(&vault, true).await, read.elapsed());
        match got {
            Ok(got) => assert_eq!(got, "leased"),
            Err(why) => {
                assert!(since >= Duration::from_secs(1), "given up after {since:?}");
                assert!(why.contains("503"), "{why}");
                break;
            }
        }
        assert!(since < Duration::from_secs(30), "used for longer than its lease");
    }
    // What has no lease is used on.
    fake.holds("unleased", 0);
    assert_eq!(get(&vault, true).await.as_deref(), Ok("unleased"));
    fake.says(503, "sealed");
    assert_eq!(get(&vault, true).await.as_deref(), Ok("unleased"));
}

#[tokio::test]
async fn what_the_vault_refuses_is_not_used_any_more() {
    for (status, body, said) in [
        (403, "{}", "token"),
        (404, r#"{"errors":[]}"#, "no such secret"),
        (307, "", "redirection"),
        (200, "not json", "KV version 2"),
        (200, r#"{"data":{"password":"kv1"}}"#, "no such secret"),
        (200, r#"{"data":{"data":null,"metadata":{"destroyed":true}}}"#, "no such secret"),
        (200, r#"{"data":{"data":{"other":"x"}}}"#, "field password"),
        (200, r#"{"data":{"data":{"password":7}}}"#, "field password"),
        (200, r#"{"data":{"data":{"password":""}}}"#, "field password"),
    ] {
        let fake = FakeVault::start().await;
        fake.holds("one", 0);
        let vault = fake.vault();
        assert_eq!(get(&vault, false).await.as_deref(), Ok("one"), "control");
        fake.says(status, body);
        let why = get(&vault, true).await.expect_err("no secret");
        assert!(why.contains(said), "{status} {body}: {why}");
        assert!(!why.contains(TOKEN) && !why.contains("one"), "{why}");
        // Not from memory either.
        assert!(get(&vault, false).await.is_err(), "{status} {body}");
    }
}

#[tokio::test]
async fn a_vault_that_is_not_there_is_said_so() {
    let fake = FakeVault::start().await;
    let vault = fake.vault();
    fake.task.abort();
    while !fake.task.is_finished() {
        tokio::task::yield_now().await;
    }
    let why = get(&vault, false).await.expect_err("nobody");
    assert!(why.contains("vault_address"), "{why}");
    std::fs::remove_file(fake.dir.path().join("token")).expect("removed");
    let again = FakeVault::start().await;
    std::fs::write(again.dir.path().join("token"), "two\nlines").expect("written");
    let why = get(&again.vault(), false).await.expect_err("no header");
    assert!(why.contains("holds no token") && !why.contains("lines"), "{why}");
}

#[test]
fn addresses_that_would_show_the_token_are_refused() {
    for (text, expected) in [
        ("https://vault.corp:8200", Some((true, "vault.corp", 8200))),
        ("https://vault.corp/", Some((true, "vault.corp", 443))),
        ("http://127.0.0.1:8200", Some((false, "127.0.0.1", 8200))),
        ("http://[::1]:8200", Some((false, "::1", 8200))),
        ("http://localhost", Some((false, "localhost", 80))),
        ("http://vault.corp:8200", None),
        ("http://127.0.0.1.evil.example:8200", None),
        ("http://localhost@evil.example", None),
        ("vault.corp:8200", None),
        ("ftp://vault.corp", None),
        ("https://", None),
        ("https://vault.corp/v1/", None),
    ] {
        let read = Address::parse(text).ok();
        let read = read.as_ref().map(|a| (a.tls, a.host.as_str(), a.port));
        assert_eq!(read, expected, "{text}");
    }
}
