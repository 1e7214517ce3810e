//! The decisions of Writ's edge, without sockets, clocks or files.

pub mod catalog;
