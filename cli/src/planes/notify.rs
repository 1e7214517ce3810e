//! Tells systemd that a plane is ready (`Type=notify`): `systemctl start` returns then, and not before.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable that says where; not set outside of systemd.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Says that this process is ready. A service manager that cannot be told gives up by itself: that is only logged.
pub(super) fn ready() {
    let Some(socket) = std::env::var(SOCKET).ok().filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = tell(&socket) {
        tracing::warn!(%error, socket, "the service manager cannot be told that this process is ready");
    }
}

fn tell(socket: &str) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1\n", &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_manager_is_told_by_path_or_by_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let name = format!("writ-notify-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).expect("a name");
        for (address, manager) in [
            (path.to_string_lossy().into_owned(), UnixDatagram::bind(&path).expect("bound")),
            (format!("@{name}"), UnixDatagram::bind_addr(&abstract_name).expect("bound")),
        ] {
            tell(&address).expect("told");
            let mut said = [0; 64];
            let length = manager.recv(&mut said).expect("heard");
            assert_eq!(&said[..length], b"READY=1\n");
        }
        assert!(tell("/no/such/socket").is_err());
    }
}
