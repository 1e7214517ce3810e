//! What every node beside the control plane does alike: enrol with a join token, keep its certificate fresh,
//! follow its configuration, and start from the last known good one when the control plane is away.

mod files;
mod follow;
mod identity;

pub use files::{read as read_file, write as write_file};
pub use follow::{Answers, FollowPorts, Followed, NodeCommand, follow};
pub use identity::{NodeIdentity, enroll_or_load};

use std::path::PathBuf;
use std::sync::Arc;

use writ_model::{EnvironmentName, Timestamp};

use crate::v1;

/// A source of the current time; only composition roots make one that reads a clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Who this node is and where its control plane is.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// An edge or a lake.
    pub kind: v1::NodeKind,
    /// The node's name: an edge's id.
    pub name: String,
    /// The environment an edge serves; `None` for a lake.
    pub environment: Option<EnvironmentName>,
    /// Names and addresses that clients reach it under, for its server certificate.
    pub host_names: Vec<String>,
    /// `https://host:port` of the control plane.
    pub control_plane: String,
    /// The control plane's CA certificate, PEM.
    pub ca_file: PathBuf,
    /// Needed once, at the first start.
    pub join_token: Option<String>,
    /// Where certificate, key and last known good configuration are kept.
    pub data_dir: PathBuf,
}

/// Why a node cannot start or follow.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no certificate and no join token to get one with.
    #[error(
        "{0} is not enrolled; give it a join token from `writ join-token` (join_token in its configuration)"
    )]
    NotEnrolled(String),
    /// The control plane cannot be reached.
    #[error("the control plane at {url} cannot be reached: {reason}")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The control plane said no.
    #[error("the control plane refused: {0}")]
    Refused(String),
    /// A key or certificate could not be made or read.
    #[error("certificate: {0}")]
    Certificate(String),
}
