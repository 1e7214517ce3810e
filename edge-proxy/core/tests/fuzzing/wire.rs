//! Frames, apart from the code that is tested.

/// The frames of `bytes`, tag and body; panics where they do not end with one.
pub fn split(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let (frames, rest) = split_off(bytes);
    assert!(rest.is_empty(), "half a frame at the end: {rest:?}");
    frames
}

/// The whole frames at the start of `bytes`, and what is left.
pub fn split_off(bytes: &[u8]) -> (Vec<(u8, &[u8])>, &[u8]) {
    let (mut frames, mut rest) = (Vec::new(), bytes);
    while let Some((tag, body)) = first(rest) {
        frames.push((tag, body));
        rest = &rest[body.len() + 5..];
    }
    (frames, rest)
}

/// The frame at the start of `bytes`, where it is whole.
pub fn first(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [tag, a, b, c, d, ..] = *bytes else { return None };
    let end = u32::from_be_bytes([a, b, c, d]) as usize + 1;
    assert!(end >= 5, "a frame of {end} bytes");
    Some((tag, bytes.get(5..end)?))
}

/// The zero-terminated text at the start of `body`, and what follows it.
pub fn text(body: &[u8]) -> (&[u8], &[u8]) {
    let end = body.iter().position(|b| *b == 0).expect("a text ends");
    (&body[..end], &body[end + 1..])
}

/// The message field of an error or notice.
pub fn field(body: &[u8], code: u8) -> String {
    let mut rest = body;
    while let [found, after @ ..] = rest {
        if *found == 0 {
            break;
        }
        let Some(end) = after.iter().position(|b| *b == 0) else { break };
        if *found == code {
            return String::from_utf8_lossy(&after[..end]).into_owned();
        }
        rest = &after[end + 1..];
    }
    String::new()
}
