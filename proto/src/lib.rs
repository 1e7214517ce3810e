//! What crosses a wire between planes: generated messages and services, conversions to the model that fail
//! closed, the configuration store that edges and lakes keep, and tokens.

pub mod convert;
pub mod logins;
pub mod node;
pub mod passwords;
pub mod store;
pub mod token;

/// Generated from `writ/v1/*.proto`.
#[allow(missing_docs, clippy::all, unreachable_pub, rust_2018_idioms)]
pub mod v1 {
    tonic::include_proto!("writ.v1");
}

/// The largest gRPC message either side accepts, in bytes.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
