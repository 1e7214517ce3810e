//! The control plane's rules, as commands in and events or refusals out.

mod any_order;
mod approvals;
mod fleet;
mod identities;
mod log;
mod passwords;
mod world;
