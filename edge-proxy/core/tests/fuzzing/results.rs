//! Rows of screened and limited results. However they come in pieces: the same bytes, framed as the server framed them,
//! nothing shown that is to be hidden, and no row over the limit.

use std::collections::BTreeSet;

use writ_edge_core::screen::{self, Plan, Screen};

use super::choices::Choices;
use super::wire;
use crate::support::{Rig, Secrets, bind, complete, execute, frame, parse, query, ready, sync};

const SECRET: &str = "SECRETS";
const TEXT_TYPE: u32 = 25;

pub fn results(data: &[u8]) {
    let mut choices = Choices::new(data);
    if choices.flag() {
        anything(&mut choices);
    } else {
        through_a_session(&mut choices);
    }
}

/// Bytes of any sort as descriptions, rows and copied data.
fn anything(choices: &mut Choices<'_>) {
    let tables = [(20_000, [1].into())].into();
    let screen = Screen { tables, hidden: BTreeSet::from([0]) };
    let described = usize::from(choices.byte());
    let plan = Plan::of(&screen, choices.bytes(described));
    let binary = choices.flag();
    let bytes = choices.rest();
    for copied in [false, true] {
        let mut message = bytes.to_vec();
        let hide = |message: &mut [u8]| match copied {
            true => screen::copied(message, binary, &screen, &Secrets::default()),
            false => screen::row(message, &plan, &screen, &Secrets::default()),
        };
        let count = hide(&mut message);
        assert_eq!(message.len(), bytes.len());
        let changed = message.iter().zip(bytes).filter(|(a, b)| a != b).count();
        assert_eq!(changed == 0, count == 0, "{count} values, {changed} bytes");
        assert!(message.iter().zip(bytes).all(|(a, b)| a == b || b"*1".contains(a)));
    }
}

#[derive(Clone, Copy)]
enum How {
    Simple,
    Extended,
    Copy,
}

/// One statement's results, as a server sends them.
struct Results {
    how: How,
    rows_max: Option<u64>,
    reply: Vec<u8>,
    /// Values of text columns that have the secret.
    secrets: u64,
    rows: u64,
}

fn value(choices: &mut Choices<'_>) -> Option<Vec<u8>> {
    let filler = choices.below(12);
    match choices.below(5) {
        0 => None,
        1 => Some(choices.bytes(filler).to_vec()),
        2 => Some([choices.bytes(filler), SECRET.as_bytes()].concat()),
        3 => Some([SECRET.as_bytes(), choices.bytes(filler), SECRET.as_bytes()].concat()),
        _ => Some(vec![b'x'; filler * 7]),
    }
}

fn sized(value: Option<&[u8]>) -> Vec<u8> {
    let length = value.map_or(-1, |v| i32::try_from(v.len()).expect("short"));
    [&length.to_be_bytes(), value.unwrap_or_default()].concat()
}

fn described(columns: usize) -> Vec<u8> {
    let column = [&b"c\0"[..], &[0; 6], &TEXT_TYPE.to_be_bytes(), &[0; 8]].concat();
    let count = u16::try_from(columns).expect("few").to_be_bytes();
    frame(b'T', &[&count[..], &column.repeat(columns)].concat())
}

fn made(choices: &mut Choices<'_>) -> Results {
    let how = [How::Simple, How::Extended, How::Copy][choices.below(3)];
    let limit = choices.below(4) as u64;
    let columns = choices.below(4);
    let (mut rows, mut secrets, mut count) = (Vec::new(), 0, 0);
    while !choices.is_empty() && count < 64 {
        count += 1;
        let values: Vec<_> = (0..columns).map(|_| value(choices)).collect();
        if matches!(how, How::Copy) {
            let line = values.concat_lines();
            secrets += u64::from(has_secret(&line));
            rows.push(frame(b'd', &line));
        } else {
            let number = u16::try_from(columns).expect("few").to_be_bytes();
            let body: Vec<u8> = values.iter().flat_map(|v| sized(v.as_deref())).collect();
            secrets += values.iter().flatten().filter(|v| has_secret(v)).count() as u64;
            rows.push(frame(b'D', &[&number[..], &body].concat()));
        }
    }
    let rows = rows.concat();
    let done = complete(&format!("SELECT {count}"));
    let reply = match how {
        How::Simple => [described(columns), rows, done, ready(b'I')],
        How::Extended => {
            let head = [frame(b'1', b""), frame(b'2', b""), described(columns)].concat();
            [head, rows, done, ready(b'I')]
        }
        How::Copy => [frame(b'H', b"\0\0\0"), [rows, frame(b'c', b"")].concat(), done, ready(b'I')],
    };
    let rows_max = (limit > 0).then_some(limit);
    Results { how, rows_max, reply: reply.concat(), secrets, rows: count }
}

trait Lines {
    fn concat_lines(&self) -> Vec<u8>;
}

impl Lines for Vec<Option<Vec<u8>>> {
    fn concat_lines(&self) -> Vec<u8> {
        let values: Vec<&[u8]> = self.iter().map(|v| v.as_deref().unwrap_or(b"\\N")).collect();
        [values.join(&b'\t'), b"\n".to_vec()].concat()
    }
}

fn has_secret(value: &[u8]) -> bool {
    value.windows(SECRET.len()).any(|w| w == SECRET.as_bytes())
}

fn play(results: &Results, sizes: [usize; 2]) -> Rig {
    let mut rig = Rig::new();
    rig.with(|s, _| s.gate_mut().limits.rows_max = results.rows_max);
    rig.client(&match results.how {
        How::Extended => [parse("", "select screened"), bind("", ""), execute(""), sync()].concat(),
        _ => query("select screened"),
    });
    // A limited Execute keeps the Sync back until it is answered: nothing comes for that before.
    let answered = results.reply.len() - ready(b'I').len();
    let mut turn = 0;
    for part in [&results.reply[..answered], &results.reply[answered..]] {
        let mut rest = part;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(sizes[turn % 2]));
            rig.server_part(piece);
            (rest, turn) = (after, turn + 1);
        }
    }
    rig
}

fn through_a_session(choices: &mut Choices<'_>) {
    let sizes = [1 + choices.below(40), 1 + choices.below(40)];
    let results = made(choices);
    let mut whole = play(&results, [results.reply.len(); 2]);
    let mut parts = play(&results, sizes);
    let seen = whole.to_client();
    assert_eq!(seen, parts.to_client());
    assert_eq!(whole.to_server(), parts.to_server());
    assert_eq!(whole.effects(), parts.effects());
    assert_eq!(whole.journal.lines, parts.journal.lines);
    assert_eq!(whole.out.values_screened, parts.out.values_screened);

    assert!(!has_secret(&seen), "E3: a hidden value passed");
    let shown = wire::split(&seen);
    let rows = shown.iter().filter(|(tag, _)| matches!(tag, b'D' | b'd')).count() as u64;
    assert_eq!(rows, results.rows.min(results.rows_max.unwrap_or(u64::MAX)));
    if rows < results.rows {
        return;
    }
    assert_eq!(whole.out.values_screened, results.secrets);
    assert_eq!(whole.session.ended(), None);
    let outcome = format!("outcome s-1 ok {}", results.rows);
    assert_eq!(whole.journal.lines.last(), Some(&outcome));
    let reply = wire::split(&results.reply);
    let own_description = |tag| matches!(results.how, How::Extended) && tag == b'T';
    let sent = reply.iter().filter(|(tag, _)| !own_description(*tag));
    assert!(sent.map(|(tag, body)| (tag, body.len())).eq(shown.iter().map(|(t, b)| (t, b.len()))));
}
