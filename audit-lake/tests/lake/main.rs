//! The lake as a whole, on real files and real sockets.
#![allow(unreachable_pub)] // one test binary: its modules share their helpers

mod files;
mod ingest;
mod node;
mod service;
mod source;
mod tamper;
mod views;
