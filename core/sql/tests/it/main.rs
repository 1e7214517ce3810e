//! Tests of the analysis and the rewrite: by table against a made-up shop, and against a real server.

mod facts;
mod generate;
mod guard;
mod kinds;
mod leaks;
mod lineage;
mod live;
mod opaque;
mod operands;
mod rewrite;
mod scripts;
mod server;
mod shop;
mod total;
mod variants;
