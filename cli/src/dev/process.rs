//! Processes by id: alive, and really ours; ending them.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(15);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether `pid` is a living `writ` process that was started with `dir`: ids are reused, so a number alone is no proof.
pub(super) fn alive(pid: u32, dir: &Path) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state follows the command's name, which is in parentheses and may hold anything.
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    if matches!(state, None | Some('Z' | 'X')) {
        return false;
    }
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    let inside = || {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| {
            exe.file_name().is_some_and(|name| name.to_string_lossy().starts_with("writ"))
        })
    };
    line.contains(&*dir.to_string_lossy()) || inside()
}

/// Asks `pid` to end, waits, and kills it where it does not.
pub(super) fn end(pid: u32, dir: &Path) {
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(id) = id.filter(|_| alive(pid, dir)) else { return };
    let _ = kill_process(id, Signal::TERM);
    let deadline = Instant::now() + END_TIMEOUT;
    while alive(pid, dir) {
        if Instant::now() >= deadline {
            let _ = kill_process(id, Signal::KILL);
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_not_ours() {
        let dir = Path::new("/no/such/directory");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("started");
        assert!(!alive(child.id(), dir));
        end(child.id(), dir);
        assert!(child.try_wait().expect("asked").is_none(), "a stranger was ended");
        child.kill().expect("ended");
        child.wait().expect("gone");
    }
}
