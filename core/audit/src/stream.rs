//! The streams of one source. While one process of an edge takes over from another there are two, and each writes a
//! chain of its own: nothing of one can pass for the other's, and each chain shows by itself that it is complete (L1, L2).

/// The most streams of one source, and so the most processes of one edge at once.
pub const STREAMS_MAX: u8 = 8;
/// Stands between a source's name and the number of a stream; no name of a node has it.
const MARK: char = '#';

/// The name that records of stream `number` bear as their source: the first stream has the source's own.
#[must_use]
pub fn stream_name(source: &str, number: u8) -> String {
    match number {
        0 | 1 => source.to_owned(),
        _ => format!("{source}{MARK}{number}"),
    }
}

/// Whether `said` names a stream of `source`.
#[must_use]
pub fn is_stream_of(said: &str, source: &str) -> bool {
    (1..=STREAMS_MAX).any(|number| said == stream_name(source, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_belongs_to_one_source() {
        let names: Vec<_> = (1..=STREAMS_MAX).map(|number| stream_name("edge-1", number)).collect();
        assert_eq!((names[0].as_str(), names[1].as_str()), ("edge-1", "edge-1#2"));
        for name in &names {
            assert!(is_stream_of(name, "edge-1"), "{name}");
            assert!(!is_stream_of(name, "edge-2") && !is_stream_of(name, "edge"), "{name}");
        }
        for said in
            ["", "edge", "edge-1#", "edge-1#1", "edge-1#02", "edge-1#9", "edge-1#2#2", "edge-10"]
        {
            assert!(!is_stream_of(said, "edge-1"), "{said}");
        }
        assert!(
            "edge-1#2".parse::<writ_model::EdgeId>().is_err(),
            "no edge can have a stream's name"
        );
    }
}
