//! `dev.env`: everything that a shell, a test or a check needs to use what runs. Part of the outside interface.

use std::path::Path;

use crate::args::Plane;
use crate::failure::{Result, file};
use crate::settings::write_private;

/// The variable with a plane's process id.
pub(super) fn pid_name(plane: Plane) -> &'static str {
    match plane {
        Plane::ControlPlane => "WRIT_PID_CONTROL_PLANE",
        Plane::Edge => "WRIT_PID_EDGE",
        Plane::Lake => "WRIT_PID_LAKE",
    }
}

/// Lines of `NAME='value'`.
#[derive(Debug, Default)]
pub(super) struct EnvFile {
    lines: Vec<(String, String)>,
}

impl EnvFile {
    /// Adds a variable.
    pub(super) fn set(&mut self, name: impl Into<String>, value: impl ToString) {
        self.lines.push((name.into(), value.to_string()));
    }

    /// Writes the file at once, so that whoever sees it sees all of it.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let line = |(name, value): &(String, String)| format!("{name}={}\n", quote(value));
        replace(dir, &self.lines.iter().map(line).collect::<String>())
    }
}

fn replace(dir: &Path, text: &str) -> Result<()> {
    let path = dir.join("dev.env");
    let fresh = dir.join("dev.env.new");
    write_private(&fresh, text)?;
    std::fs::rename(&fresh, &path).map_err(|error| file(&path, error))
}

/// Changes one variable of an existing file.
pub(super) fn update(dir: &Path, name: &str, value: &str) -> Result<()> {
    let path = dir.join("dev.env");
    let text = std::fs::read_to_string(&path).map_err(|error| file(&path, error))?;
    replace(dir, &updated(&text, name, value))
}

fn updated(text: &str, name: &str, value: &str) -> String {
    let is_other = |line: &&str| line.split('=').next() != Some(name);
    let mut lines: Vec<String> = text.lines().filter(is_other).map(str::to_owned).collect();
    lines.push(format!("{name}={}", quote(value)));
    lines.join("\n") + "\n"
}

/// `value` in single quotes, as a shell reads it.
fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let value = r#"a'b $HOME `x` "q" & ; \"#;
        let mut env = EnvFile::default();
        env.set("A", value);
        env.set("B", 7);
        env.write(dir.path()).expect("written");
        let script = format!(". '{}/dev.env'; printf '%s|%s' \"$A\" \"$B\"", dir.path().display());
        let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("run");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{value}|7"));
    }

    #[test]
    fn one_variable_changes_alone() {
        assert_eq!(updated("A='1'\nAB='2'\n", "A", "3"), "AB='2'\nA='3'\n");
    }
}
