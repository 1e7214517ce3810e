//! A control plane in a temporary directory, spoken to as edges, lakes and people do.

mod approvals;
mod doors;
mod follow;
mod lasting;
mod passwords;
mod people;
mod shipping;
mod world;
