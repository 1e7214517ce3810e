//! The trace that a client says its statement belongs to: a W3C `traceparent` in a comment at the statement's end, as
//! sqlcommenter writes it. Nothing is decided by it, and the text goes on as it is.

/// How far from a statement's end its comment may begin, in bytes: no more of the text is looked at.
pub const COMMENT_BYTES_MAX: usize = 1_024;

/// The span of the client's that a statement's span is a child of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; not all zeros.
    pub trace: [u8; 16],
    /// The client's span; not all zeros.
    pub span: [u8; 8],
    /// Whether the client keeps the trace.
    pub sampled: bool,
}

/// The context in a comment at the end of `text`. `None`: there is none, or it is not exactly what the specification says.
#[must_use]
pub fn of_statement(text: &[u8]) -> Option<TraceContext> {
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b";").unwrap_or(text).trim_ascii_end();
    let text = text.strip_suffix(b"*/")?;
    let near = text.get(text.len().saturating_sub(COMMENT_BYTES_MAX)..)?;
    let begins = near.windows(2).rposition(|two| two == b"/*")?;
    let comment = std::str::from_utf8(near.get(begins + 2..)?).ok()?;
    let mut found = None;
    for pair in comment.split(',') {
        let (key, value) = pair.trim().split_once('=')?;
        let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
        if value.contains('\'') && !value.contains("\\'") {
            return None;
        }
        if key == "traceparent" {
            if found.is_some() {
                return None;
            }
            found = Some(traceparent(value)?);
        }
    }
    found
}

/// `00-TRACE-SPAN-FLAGS` in lower-case hexadecimal digits. Other versions than 00 have a meaning that is not known here.
fn traceparent(value: &str) -> Option<TraceContext> {
    let mut parts = value.split('-');
    let version: [u8; 1] = hex(parts.next()?)?;
    let (trace, span) = (hex(parts.next()?)?, hex(parts.next()?)?);
    let [flags]: [u8; 1] = hex(parts.next()?)?;
    let known = version == [0] && trace != [0; 16] && span != [0; 8] && parts.next().is_none();
    known.then_some(TraceContext { trace, span, sampled: flags & 1 == 1 })
}

/// Exactly `N` bytes.
fn hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn found(text: &str) -> Option<TraceContext> {
        of_statement(text.as_bytes())
    }

    #[test]
    fn a_comment_at_the_end_says_the_trace() {
        let expected = TraceContext {
            trace: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes(),
            span: 0xb7ad_6b71_6920_3331_u64.to_be_bytes(),
            sampled: true,
        };
        for text in [
            format!("SELECT 1 /*traceparent='{PARENT}'*/"),
            format!("SELECT 1 /*traceparent='{PARENT}'*/ ; \n"),
            format!("SELECT 1/*action='%2Fshop',traceparent='{PARENT}',tracestate='a%3D1'*/"),
            format!("/* a plan */ SELECT 1 /*route='x', traceparent='{PARENT}' */"),
            format!("SELECT 1 -- /*traceparent='{PARENT}'*/"),
        ] {
            assert_eq!(found(&text), Some(expected), "{text}");
        }
        let unsampled = PARENT.replace("-01", "-00");
        let context = found(&format!("SELECT 1 /*traceparent='{unsampled}'*/"));
        assert_eq!(context, Some(TraceContext { sampled: false, ..expected }));
    }

    #[test]
    fn what_is_not_exactly_a_context_is_none() {
        for value in [
            "",
            "00",
            &PARENT.to_uppercase(),
            &PARENT.replace("00-0a", "01-0a"),
            &PARENT.replace("00-0a", "ff-0a"),
            &format!("{PARENT}-00"),
            &format!("{PARENT}0"),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
            &PARENT.replace("b7ad", "b7ag"),
            &format!("{PARENT}',traceparent='{PARENT}"),
            &format!("{PARENT}',other"),
        ] {
            assert_eq!(found(&format!("SELECT 1 /*traceparent='{value}'*/")), None, "{value}");
        }
        for text in [
            format!("/*traceparent='{PARENT}'*/ SELECT 1"),
            format!("SELECT '/*traceparent=''{PARENT}''*/'"),
            format!("SELECT 1 /*traceparent={PARENT}*/"),
            format!("SELECT 1 /*TRACEPARENT='{PARENT}'*/"),
            format!("SELECT 1 /*traceparent='{PARENT}'"),
            format!("/*traceparent='{PARENT}',a='{}'*/", "x".repeat(COMMENT_BYTES_MAX)),
            "*/".to_owned(),
            "/*/".to_owned(),
        ] {
            assert_eq!(found(&text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(text in prop::collection::vec(any::<u8>(), 0..100), tail in "[/*'=,; a-f0-9-]{0,80}") {
            let mut text = text;
            text.extend_from_slice(tail.as_bytes());
            let _ = of_statement(&text);
        }
    }
}
