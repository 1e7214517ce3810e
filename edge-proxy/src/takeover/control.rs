//! Where the processes of one edge find each other: a socket in a directory that only the edge's user may enter.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tokio::net::{UnixListener, UnixStream};

/// The directory, in the edge's data directory.
const DIRECTORY: &str = "control";
/// The socket of the process that serves.
const SOCKET: &str = "edge.sock";
/// Only the edge's user may enter.
const DIRECTORY_MODE: u32 = 0o700;
/// Only the edge's user may connect.
const SOCKET_MODE: u32 = 0o600;

/// The directory, open: a path of any length is reached through it, although the address of a socket has 108 bytes.
struct Directory {
    path: PathBuf,
    open: File,
}

impl Directory {
    fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(DIRECTORY);
        let flags = OFlags::DIRECTORY.bits().cast_signed();
        let open = OpenOptions::new().read(true).custom_flags(flags).open(&path)?;
        Ok(Self { path, open })
    }

    fn reach(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.open.as_raw_fd())).join(name)
    }
}

/// The socket's path.
#[must_use]
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(DIRECTORY).join(SOCKET)
}

/// A socket that is not in its place yet.
pub struct Prepared {
    directory: Directory,
    name: String,
    listener: Option<UnixListener>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // Gone already where it was put in its place.
        let _ = fs::remove_file(self.directory.path.join(&self.name));
    }
}

impl Prepared {
    /// Makes the directory and a socket in it, beside the one of the process that serves.
    pub fn new(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(DIRECTORY);
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&path)?;
        // It may have been there.
        fs::set_permissions(&path, Permissions::from_mode(DIRECTORY_MODE))?;
        let directory = Directory::open(data_dir)?;
        let name = format!("edge-{}.sock", std::process::id());
        match fs::remove_file(path.join(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(directory.reach(&name))?;
        fs::set_permissions(path.join(&name), Permissions::from_mode(SOCKET_MODE))?;
        Ok(Self { directory, name, listener: Some(listener) })
    }

    /// Puts it where the next process looks, instead of what is there.
    pub fn put_in_place(mut self) -> io::Result<UnixListener> {
        let path = &self.directory.path;
        fs::rename(path.join(&self.name), path.join(SOCKET))?;
        self.listener.take().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Connects to the process that serves; `None`: there is none.
pub async fn connect(data_dir: &Path) -> io::Result<Option<UnixStream>> {
    let connected = match Directory::open(data_dir) {
        Ok(directory) => UnixStream::connect(directory.reach(SOCKET)).await,
        Err(error) => Err(error),
    };
    match connected {
        Ok(stream) => Ok(Some(stream)),
        // No edge ran here yet, or the last one ended.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
