//! Where the control plane is and who asks: flags, then `WRIT_*` variables, then what `writ login` kept.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use serde::{Deserialize, Serialize};
use std::io::Write;

use crate::args::Connection;
use crate::failure::{Failure, Result, file};
use crate::output::Format;

/// What `writ login` keeps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// URL of the control plane.
    pub(crate) control_plane: Option<String>,
    /// The CA file.
    pub(crate) ca: Option<PathBuf>,
    /// The token; the file is readable by its owner alone.
    pub(crate) token: Option<String>,
}

/// The settings of one run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    control_plane: Option<String>,
    ca: Option<PathBuf>,
    token: Option<String>,
    /// Table or JSON.
    pub(crate) format: Format,
}

/// `~/.config/writ/login.toml`, or under `XDG_CONFIG_HOME`.
pub(crate) fn stored_path() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(base.join("writ/login.toml"))
}

/// Writes `text` to a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let write = || {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut open = std::fs::OpenOptions::new();
        open.write(true).create(true).truncate(true).mode(0o600);
        open.open(path)?.write_all(text.as_bytes())
    };
    write().map_err(|error| file(path, error))
}

impl Settings {
    /// Resolves flags, variables (clap reads those) and the kept login.
    pub(crate) fn resolve(connection: &Connection) -> Result<Self> {
        let stored = stored_path().map_or_else(|| Ok(Stored::default()), |path| load(&path))?;
        Ok(Self {
            control_plane: connection.control_plane.clone().or(stored.control_plane),
            ca: connection.ca.clone().or(stored.ca),
            token: connection.token.clone().or(stored.token),
            format: if connection.json { Format::Json } else { Format::Table },
        })
    }

    /// The same settings with another control plane and token: for `writ dev`, which makes its own.
    pub(crate) fn of(control_plane: String, ca: PathBuf, token: String) -> Self {
        Self {
            control_plane: Some(control_plane),
            ca: Some(ca),
            token: Some(token),
            format: Format::Table,
        }
    }

    /// URL of the control plane.
    pub(crate) fn control_plane(&self) -> Result<&str> {
        self.control_plane.as_deref().ok_or_else(|| {
            missing("where the control plane is", "WRIT_CONTROL_PLANE", "--control-plane")
        })
    }

    /// The CA file.
    pub(crate) fn ca(&self) -> Result<&Path> {
        self.ca.as_deref().ok_or_else(|| {
            missing("which CA the control plane's certificate is from", "WRIT_CA", "--ca")
        })
    }

    /// The token.
    pub(crate) fn token(&self) -> Result<&str> {
        self.token.as_deref().ok_or_else(|| missing("who you are", "WRIT_TOKEN", "--token"))
    }

    /// The principal that the token names. Not verified: only the servers decide on it.
    pub(crate) fn token_subject(&self) -> Result<String> {
        subject(self.token()?)
            .ok_or_else(|| Failure::usage("this is not a Writ token; get one and run `writ login`"))
    }
}

fn missing(what: &str, variable: &str, flag: &str) -> Failure {
    Failure::usage(format!("I don't know {what}: set {variable}, give {flag}, or run `writ login`"))
}

fn load(path: &Path) -> Result<Stored> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| file(path, error.message())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Stored::default()),
        Err(error) => Err(file(path, error)),
    }
}

/// The `sub` claim of a token, without verification.
pub(crate) fn subject(token: &str) -> Option<String> {
    let body = token.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(claims.get("sub")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_read_from_the_middle_part() {
        let body =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"sub":"user:dana"}"#);
        assert_eq!(subject(&format!("h.{body}.s")).as_deref(), Some("user:dana"));
        assert_eq!(subject("hunter2"), None);
        assert_eq!(subject("a.%%%.c"), None);
    }

    #[test]
    fn a_private_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deep/login.toml");
        write_private(&path, "token = \"x\"\n").expect("written");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(load(&path).expect("read").token.as_deref(), Some("x"));
    }
}
