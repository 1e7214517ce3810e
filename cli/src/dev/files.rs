//! What `writ dev` keeps in its directory: the ports and passwords it chose once, and what runs now.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::args::Plane;
use crate::failure::{Failure, Result, file};
use crate::settings::write_private;

/// The first port where nobody says otherwise.
pub(super) const PORT_BASE: u16 = 7400;
/// How many ports in a row are used.
const PORTS: u16 = 6;

/// `dev.toml`: chosen at the first start, the same ever after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choices {
    /// The first port.
    pub(super) port_base: u16,
    /// Somebody else's PostgreSQL; `None`: a private one with the sample shop.
    pub(super) database_url: Option<String>,
    /// Where the private PostgreSQL keeps its data.
    pub(super) postgres_dir: PathBuf,
}

impl Choices {
    fn port(&self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port_base + offset).into()
    }
    pub(super) fn control_plane(&self) -> SocketAddr {
        self.port(0)
    }
    pub(super) fn edge(&self) -> SocketAddr {
        self.port(1)
    }
    pub(super) fn lake_ingest(&self) -> SocketAddr {
        self.port(2)
    }
    pub(super) fn lake_sql(&self) -> SocketAddr {
        self.port(3)
    }
    pub(super) fn postgres(&self) -> SocketAddr {
        self.port(4)
    }
    pub(super) fn edge_metrics(&self) -> SocketAddr {
        self.port(5)
    }

    /// The planes' ports must be free; names the first that is not.
    pub(super) fn check_ports(&self) -> Result<()> {
        let planes = [
            self.control_plane(),
            self.edge(),
            self.lake_ingest(),
            self.lake_sql(),
            self.edge_metrics(),
        ];
        planes.into_iter().try_for_each(check_port)
    }
}

/// Errors where `address` is taken.
pub(super) fn check_port(address: SocketAddr) -> Result<()> {
    TcpListener::bind(address).map(drop).map_err(|error| {
        Failure::no(format!(
            "port {} is taken ({error}); stop what uses it, or give another --port-base ({PORTS} ports from there on are used)",
            address.port()
        ))
    })
}

/// The choices for this run: what is kept, or new ones. Changing the ports of kept ones is allowed.
pub(super) fn choose(
    dir: &Path,
    port_base: Option<u16>,
    database_url: Option<&str>,
) -> Result<Choices> {
    let path = dir.join("dev.toml");
    let kept: Option<Choices> = read(&path)?;
    if let (Some(kept), Some(url)) = (&kept, database_url)
        && kept.database_url.as_deref() != Some(url)
    {
        return Err(Failure::usage(format!(
            "{} was made for another database; give another --data-dir",
            dir.display()
        )));
    }
    let mut choices = match kept {
        Some(kept) => kept,
        None => Choices {
            port_base: PORT_BASE,
            database_url: database_url.map(str::to_owned),
            postgres_dir: super::postgres::data_dir(dir)?,
        },
    };
    choices.port_base = port_base.unwrap_or(choices.port_base);
    if choices.port_base > u16::MAX - PORTS {
        return Err(Failure::usage(format!("--port-base is at most {}", u16::MAX - PORTS)));
    }
    write(&path, &choices)?;
    Ok(choices)
}

/// The kept choices of a directory that was started before.
pub(super) fn choices(dir: &Path) -> Result<Choices> {
    read(&dir.join("dev.toml"))?.ok_or_else(|| super::not_running(dir))
}

/// `run.toml`: what runs now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunFile {
    /// The process that holds all planes, or that waits for Ctrl-C.
    pub(super) supervisor: Option<u32>,
    /// With `--separate`, each plane's process.
    pub(super) control_plane: Option<u32>,
    pub(super) edge: Option<u32>,
    pub(super) lake: Option<u32>,
}

impl RunFile {
    pub(super) fn load(dir: &Path) -> Result<Option<Self>> {
        read(&dir.join("run.toml"))
    }
    pub(super) fn save(&self, dir: &Path) -> Result<()> {
        write(&dir.join("run.toml"), self)
    }
    pub(super) fn plane(&mut self, plane: Plane) -> &mut Option<u32> {
        match plane {
            Plane::ControlPlane => &mut self.control_plane,
            Plane::Edge => &mut self.edge,
            Plane::Lake => &mut self.lake,
        }
    }
    /// All processes, the ones to end first first: the edge before what it needs.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        [self.supervisor, self.edge, self.lake, self.control_plane].into_iter().flatten()
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map(Some).map_err(|error| file(path, error.message())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file(path, error)),
    }
}

/// Writes a TOML file that only its owner can read.
pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = toml::to_string(value).map_err(|error| file(path, error))?;
    write_private(path, &text)
}

/// Reads a file made by [`secret`], or makes it with a new random password.
pub(super) fn secret(path: &Path) -> Result<String> {
    if let Ok(text) = std::fs::read_to_string(path) {
        return Ok(text.trim().to_owned());
    }
    let secret = hex::encode(rand::random::<[u8; 16]>());
    write_private(path, &secret)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_stay_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = choose(dir.path(), Some(9000), None).expect("chosen");
        assert_eq!(first.edge().port(), 9001);
        assert_eq!(choose(dir.path(), None, None).expect("kept"), first);
        assert_eq!(
            choose(dir.path(), None, Some("postgresql://h/d")).expect_err("other").code(),
            2
        );
        assert_eq!(choose(dir.path(), Some(u16::MAX), None).expect_err("no room").code(), 2);
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = taken.local_addr().expect("bound");
        let said = check_port(address).expect_err("taken").to_string();
        assert!(said.contains(&address.port().to_string()), "{said}");
        drop(taken);
        check_port(address).expect("free");
    }

    #[test]
    fn a_secret_is_made_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        assert_eq!(secret(&path).expect("made"), secret(&path).expect("read"));
    }
}
