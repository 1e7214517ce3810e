//! The second layer of masking: values that give themselves away are hidden in results of columns that nothing is masked
//! in, because they are free text or nobody knows what they hold.
//!
//! A value keeps its length: letters become `*`, digits too, and rows stay framed as the server framed them. It is a net
//! below masking at the source, not a proof: what no detector knows passes (see docs/masking.md).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use writ_model::Tag;

use crate::frame::{self, HEADER_BYTES};

/// The largest row of a screened result, in bytes: it is looked at as a whole.
pub const SCREENED_ROW_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Values shorter than this hold nothing that a detector knows, in bytes.
const VALUE_BYTES_MIN: usize = 6;
/// The first oid that the server gives to what users make.
const FIRST_USER_OID: u32 = 16_384;
/// `jsonb` in binary begins with a byte that is no text; the detectors step over it.
const JSON_TYPES: [u32; 2] = [114, 3802];
/// Numbers, dates, times, booleans, oids, UUIDs and bytes: another value in their place would be none of the type.
const UNSCREENED_TYPES: [u32; 19] = [
    16, 17, 20, 21, 23, 26, 600, 700, 701, 790, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1700,
    2950,
];
/// Types that are made of others, whose lengths stand between them in binary: `record`, and arrays of texts and JSON.
const RECORD_TYPE: u32 = 2249;
const ARRAY_TYPES: [u32; 9] = [143, 199, 1002, 1003, 1009, 1014, 1015, 1041, 3807];
/// The format code of binary values.
const BINARY: u16 = 1;
/// What a binary COPY begins with: signature, flags and the length of what may follow them.
const COPY_SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const COPY_HEADER_BYTES: usize = 19;

/// Finds sensitive values inside of bytes.
pub trait Detect: Send + Sync {
    /// The tags that it can find.
    fn tags(&self) -> &[Tag];
    /// Calls `each` with everything that `text` contains, from its start to its end: its tag, as its place among
    /// [`Detect::tags`], and its bytes. Finds do not overlap.
    fn find(&self, text: &[u8], each: &mut dyn FnMut(usize, Range<usize>));
}

/// What is screened in one statement's results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Screen {
    /// The tables that are known: the columns of each that are screened, by number. What comes from elsewhere, or from an
    /// expression, is screened too.
    pub tables: BTreeMap<u32, BTreeSet<i16>>,
    /// The tags that the principal may not see, as places among [`Detect::tags`].
    pub hidden: BTreeSet<usize>,
}

impl Screen {
    /// Adds what another statement's results are screened for.
    pub fn and(&mut self, other: &Self) {
        for (table, columns) in &other.tables {
            self.tables.entry(*table).or_default().extend(columns);
        }
        self.hidden.extend(&other.hidden);
    }

    fn covers(&self, table: u32, column: i16) -> bool {
        // The server's own relations are masked by name.
        if (1..FIRST_USER_OID).contains(&table) {
            return false;
        }
        // A whole row has no number.
        self.tables.get(&table).is_none_or(|columns| column == 0 || columns.contains(&column))
    }
}

/// How a column of a result is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Not,
    Text,
    Json,
    /// The elements of a binary array.
    Elements,
    /// The fields of a binary record.
    Fields,
}

/// The columns of one result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    columns: Vec<Look>,
}

impl Plan {
    /// Reads a RowDescription. What cannot be read is screened in all columns.
    pub fn of(screen: &Screen, description: &[u8]) -> Self {
        Self { columns: columns(screen, description).unwrap_or_default() }
    }

    fn look(&self, column: usize) -> Look {
        self.columns.get(column).copied().unwrap_or(Look::Text)
    }
}

fn columns(screen: &Screen, description: &[u8]) -> Option<Vec<Look>> {
    let mut rest = description;
    let count = u16::from_be_bytes(frame::take_array(&mut rest)?);
    let mut columns = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        frame::take_cstr(&mut rest)?;
        let table = u32::from_be_bytes(frame::take_array(&mut rest)?);
        let column = i16::from_be_bytes(frame::take_array(&mut rest)?);
        let kind = u32::from_be_bytes(frame::take_array(&mut rest)?);
        // Size and modifier.
        frame::take_array::<6>(&mut rest)?;
        let binary = u16::from_be_bytes(frame::take_array(&mut rest)?) == BINARY;
        columns.push(match kind {
            _ if !screen.covers(table, column) => Look::Not,
            kind if UNSCREENED_TYPES.contains(&kind) => Look::Not,
            kind if JSON_TYPES.contains(&kind) => Look::Json,
            kind if binary && ARRAY_TYPES.contains(&kind) => Look::Elements,
            RECORD_TYPE if binary => Look::Fields,
            // Of a type that people made nobody knows how it looks in binary: a row's own type looks like a record.
            kind if binary && kind >= FIRST_USER_OID => Look::Fields,
            _ => Look::Text,
        });
    }
    Some(columns)
}

/// Hides what may not be seen in a whole DataRow. Returns how many values had something.
pub fn row(row: &mut [u8], plan: &Plan, screen: &Screen, detect: &dyn Detect) -> u64 {
    let mut changed = 0;
    let mut at = HEADER_BYTES + 2;
    let count = row
        .get(HEADER_BYTES..at)
        .and_then(|b| b.try_into().ok())
        .map_or(0, |bytes: [u8; 2]| u16::from_be_bytes(bytes));
    for column in 0..usize::from(count) {
        let Some(Ok(length)) = row.get(at..at + 4).map(<[u8; 4]>::try_from) else { break };
        at += 4;
        // -1: NULL.
        let Ok(length) = usize::try_from(i32::from_be_bytes(length)) else { continue };
        let look = plan.look(column);
        if let Some(value) = row.get_mut(at..at.saturating_add(length))
            && look != Look::Not
        {
            changed += u64::from(hide(value, look, screen, detect));
        }
        at = at.saturating_add(length);
    }
    changed
}

/// Hides what may not be seen in a whole CopyData message: columns are not told apart.
pub fn copied(message: &mut [u8], binary: bool, screen: &Screen, detect: &dyn Detect) -> u64 {
    let body = message.get_mut(HEADER_BYTES..).unwrap_or_default();
    if !binary {
        return u64::from(hide(body, Look::Text, screen, detect));
    }
    let header = if body.starts_with(COPY_SIGNATURE) { COPY_HEADER_BYTES } else { 0 };
    // The number of fields comes first.
    parts(body, header + 2, 0, screen, detect)
}

/// Hides what may not be seen in parts that each have their length, and `before` bytes in front of it.
fn parts(
    value: &mut [u8],
    from: usize,
    before: usize,
    screen: &Screen,
    detect: &dyn Detect,
) -> u64 {
    let mut changed = 0;
    let mut at = from;
    loop {
        let start = at.saturating_add(before);
        let Some(Ok(length)) = value.get(start..start.saturating_add(4)).map(<[u8; 4]>::try_from)
        else {
            return changed;
        };
        at = start + 4;
        // -1: NULL.
        let Ok(length) = usize::try_from(i32::from_be_bytes(length)) else { continue };
        if let Some(part) = value.get_mut(at..at.saturating_add(length)) {
            changed += u64::from(hide(part, Look::Text, screen, detect));
        }
        at = at.saturating_add(length);
    }
}

/// Where the elements of a binary array begin: behind dimensions, flags, type, and two numbers for each dimension.
fn elements_at(value: &[u8]) -> usize {
    let dimensions = value.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    usize::try_from(dimensions).unwrap_or(usize::MAX).saturating_mul(8).saturating_add(12)
}

fn hide(value: &mut [u8], look: Look, screen: &Screen, detect: &dyn Detect) -> bool {
    match look {
        Look::Not => return false,
        Look::Elements => {
            let from = elements_at(value);
            return parts(value, from, 0, screen, detect) > 0;
        }
        // The number of fields, and before each its type.
        Look::Fields => return parts(value, 4, 4, screen, detect) > 0,
        Look::Text | Look::Json => {}
    }
    if value.len() < VALUE_BYTES_MIN {
        return false;
    }
    let mut finds: Vec<Range<usize>> = Vec::new();
    detect.find(value, &mut |tag, range| {
        if screen.hidden.contains(&tag) {
            finds.push(range);
        }
    });
    for find in &finds {
        let found = value.get_mut(find.clone()).unwrap_or_default();
        match look {
            Look::Json => hide_json(found),
            _ => found.iter_mut().for_each(|byte| *byte = hidden(*byte, b'*')),
        }
    }
    !finds.is_empty()
}

fn hidden(byte: u8, digit: u8) -> u8 {
    match byte {
        b'0'..=b'9' => digit,
        b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => b'*',
        other => other,
    }
}

/// In JSON a number has to stay one, an escape an escape, and what follows the string itself.
fn hide_json(found: &mut [u8]) {
    let mut kept = 0;
    let mut escapes = false;
    for byte in found {
        match *byte {
            // The rest of `\uXXXX` are digits of any sort: those it keeps.
            b'u' if escapes => kept = 4,
            _ if escapes => {}
            b'"' => return,
            _ if kept > 0 => kept -= 1,
            b'\\' => {
                escapes = true;
                continue;
            }
            other => *byte = hidden(other, b'1'),
        }
        escapes = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds `SECRET…` words: as the first tag those in capitals, as the second those of digits after a 9.
    struct Words(Vec<Tag>);

    impl Detect for Words {
        fn tags(&self) -> &[Tag] {
            &self.0
        }

        fn find(&self, text: &[u8], each: &mut dyn FnMut(usize, Range<usize>)) {
            let mut from = 0;
            for word in text.split(|b| !b.is_ascii_alphanumeric()) {
                let range = from..from + word.len();
                from = range.end + 1;
                if word.starts_with(b"SECRET") {
                    each(0, range);
                } else if word.starts_with(b"999") {
                    each(1, range);
                }
            }
        }
    }

    fn words() -> Words {
        Words(["secret.key", "payment.card"].map(|t| t.parse().expect("a tag")).into())
    }

    fn described(columns: &[(u32, i16, u32)]) -> Vec<u8> {
        let mut body = u16::try_from(columns.len()).expect("few").to_be_bytes().to_vec();
        for (table, column, kind) in columns {
            body.extend(b"name\0");
            body.extend(table.to_be_bytes());
            body.extend(column.to_be_bytes());
            body.extend(kind.to_be_bytes());
            body.extend([0; 8]);
        }
        body
    }

    fn data(values: &[Option<&str>]) -> Vec<u8> {
        let mut body = u16::try_from(values.len()).expect("few").to_be_bytes().to_vec();
        for value in values {
            let length = value.map_or(-1, |v| i32::try_from(v.len()).expect("short"));
            body.extend(length.to_be_bytes());
            body.extend(value.unwrap_or_default().bytes());
        }
        let length = i32::try_from(body.len() + 4).expect("short").to_be_bytes();
        [b"D".as_slice(), &length, &body].concat()
    }

    fn screen(hidden: &[usize]) -> Screen {
        Screen {
            tables: [(20_070, [2, 3].into()), (20_071, [].into())].into(),
            hidden: hidden.iter().copied().collect(),
        }
    }

    #[test]
    fn columns_are_told_apart_by_where_they_come_from() {
        let description = described(&[
            (20_070, 1, 25),     // known to be harmless
            (20_070, 2, 25),     // screened
            (20_071, 9, 1043),   // of a harmless table
            (0, 0, 25),          // an expression
            (20_099, 1, 1043),   // a table that nothing is known of
            (0, 0, 23),          // a number
            (20_070, 0, 20_000), // a whole row
            (1_259, 2, 19),      // the server's own
            (0, 0, 114),         // JSON
            (0, 0, 25),
        ]);
        let screen = screen(&[0, 1]);
        let plan = Plan::of(&screen, &description);
        let value = Some("a SECRETS 9991 b");
        let mut message =
            data(&[value, value, value, value, value, value, value, value, value, None]);
        let length = message.len();
        assert_eq!(row(&mut message, &plan, &screen, &words()), 5);
        let hidden = Some("a ******* **** b");
        let json = Some("a ******* 1111 b");
        let want = data(&[value, hidden, value, hidden, hidden, value, hidden, value, json, None]);
        assert_eq!(String::from_utf8_lossy(&message), String::from_utf8_lossy(&want));
        assert_eq!(message.len(), length);
    }

    #[test]
    fn what_may_be_seen_stays() {
        let screen = screen(&[1]);
        let plan = Plan::of(&screen, &described(&[(0, 0, 25)]));
        let mut message = data(&[Some("SECRETS 999")]);
        assert_eq!(row(&mut message, &plan, &screen, &words()), 1);
        assert_eq!(message, data(&[Some("SECRETS ***")]));
        let mut copy = b"d\0\0\0\x10SECRETS\t9992\n".to_vec();
        assert_eq!(copied(&mut copy, false, &screen, &words()), 1);
        assert_eq!(copy, b"d\0\0\0\x10SECRETS\t****\n");
    }

    fn sized(value: &[u8]) -> Vec<u8> {
        let length = i32::try_from(value.len()).expect("short").to_be_bytes();
        [&length[..], value].concat()
    }

    #[test]
    fn the_lengths_inside_of_binary_values_stay() {
        // The last byte of the length, 0x53, is an S: it must not be taken for a letter of what follows.
        let long = format!("SECRETS {}", "x".repeat(0x53 - 8));
        let hidden = long.replace("SECRETS", "*******");
        let array = |value: &str| {
            let head = [1_u32, 0, 25, 2, 1].map(u32::to_be_bytes).concat();
            [head, sized(value.as_bytes()), vec![255; 4]].concat()
        };
        let record = |value: &str| {
            let head = [1_u32, 25].map(u32::to_be_bytes).concat();
            [head, sized(value.as_bytes())].concat()
        };
        let screen = screen(&[0]);
        let mut value = array(&long);
        assert!(hide(&mut value, Look::Elements, &screen, &words()));
        assert_eq!(value, array(&hidden));
        let mut value = record(&long);
        assert!(hide(&mut value, Look::Fields, &screen, &words()));
        assert_eq!(value, record(&hidden));
        for (head, field) in
            [(&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01"[..], &long), (b"\0\x01", &long)]
        {
            let copy = |value: &str| [b"d\0\0\0\0", head, &sized(value.as_bytes())].concat();
            let mut message = copy(field);
            assert_eq!(copied(&mut message, true, &screen, &words()), 1);
            assert_eq!(message, copy(&hidden));
        }
    }

    #[test]
    fn json_stays_json() {
        let mut text = *br#"9991\n9\u00e92 "a": true"#;
        hide_json(&mut text);
        assert_eq!(String::from_utf8_lossy(&text), r#"1111\n1\u00e91 "a": true"#);
    }

    #[test]
    fn nothing_malformed_panics_or_is_let_through_unseen() {
        let screen = screen(&[0]);
        for cut in 0..40 {
            let description = described(&[(20_070, 1, 25), (20_070, 2, 25)]);
            let plan = Plan::of(&screen, description.get(..cut).unwrap_or(&description));
            let mut message = data(&[Some("a SECRETS b"), Some("SECRETS")]);
            let end = message.len();
            row(
                message.get_mut(..end - cut.min(end)).unwrap_or_default(),
                &plan,
                &screen,
                &words(),
            );
            // A description that cannot be read screens everything.
            if cut < description.len() && cut > 0 {
                let mut message = data(&[Some("a SECRETS b")]);
                row(&mut message, &plan, &screen, &words());
                assert_eq!(message, data(&[Some("a ******* b")]), "{cut}");
            }
        }
    }
}
