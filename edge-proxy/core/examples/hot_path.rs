//! Runs transactions of one mode through a session, for a profiler or a counter of instructions:
//! `hot_path MODE own|pooled COUNT`; modes are simple, extended, prepared and varied.

#[path = "../tests/gates/mod.rs"]
mod gates;
#[path = "../tests/hot/mod.rs"]
mod hot;

use hot::{Hot, MODES};

const USAGE: &str = "usage: hot_path simple|extended|prepared|varied own|pooled COUNT";

fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, sharing, count] = args.as_slice() else { return Err(USAGE.into()) };
    let known = MODES.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(mode));
    let mut hot = Hot::new(known.ok_or(USAGE)?, sharing == "pooled");
    for _ in 0..count.parse::<u64>().map_err(|e| e.to_string())? {
        hot.transaction();
    }
    Ok(())
}
