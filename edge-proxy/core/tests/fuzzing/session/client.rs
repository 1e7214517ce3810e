//! The model client: any message at any time, or whole units of which each is answered with one ReadyForQuery.

use crate::fuzzing::choices::Choices;
use crate::support::{execute, frame, parse, query, sync};

const NAMES: [&str; 3] = ["", "a", "b"];
const PORTALS: [&str; 3] = ["", "p", "c1"];

/// What nothing but the text decides of, so that the reference knows it.
const SETTLED: [&str; 20] = [
    "select",
    "mask",
    "deny",
    "hold",
    "strict",
    "strictmask",
    "set",
    "error",
    "copyin",
    "copyout",
    "update",
    "begin",
    "commit",
    "rollback",
    "define",
    "unknown",
    "expect",
    "",
    "select",
    "select",
];
/// What may be together in one text.
const TOGETHER: [&str; 9] =
    ["select", "copyin", "update", "set", "error", "strict", "deny", "begin", "commit"];
/// What the session's past, and what changes around it, decide of too.
const EVENTFUL: [&str; 22] = [
    "select",
    "mask",
    "deny",
    "hold",
    "strict",
    "strictmask",
    "set",
    "error",
    "copyout",
    "update",
    "begin",
    "commit",
    "define",
    "unknown",
    "expect",
    "moody",
    "declare",
    "fetch",
    "close",
    "prepare",
    "execute",
    "end",
];

/// Texts that several sessions prepare: their numbers are smaller than those that tell texts apart.
const COMMON: [&str; 6] = ["select 2", "select 5", "update 6", "strict 4", "mask 8", "error 7"];

pub struct Client {
    /// The number of the next statement; smaller ones are numbers of arguments and common texts.
    next: usize,
    /// Which client it is, and of how many: numbers of one are never another's.
    at: usize,
    of: usize,
    /// Everything that was sent.
    pub sent: Vec<u8>,
    pub units: usize,
    eventful: bool,
}

impl Client {
    pub fn new(eventful: bool) -> Self {
        Self { next: 10, at: 0, of: 1, sent: vec![], units: 0, eventful }
    }

    /// One of several.
    pub fn among(self, at: usize, of: usize) -> Self {
        Self { at, of, ..self }
    }

    fn number(&mut self, choices: &mut Choices<'_>) -> usize {
        self.next += 1 + choices.below(3);
        self.next * self.of + self.at
    }

    fn statement(&mut self, word: &str, choices: &mut Choices<'_>) -> String {
        let number = self.number(choices);
        match word {
            "" => String::new(),
            "select" | "update" if choices.below(4) == 0 => format!("{word} {number} screened"),
            "declare" | "fetch" | "close" => {
                format!("{word} {number} {}", choices.one_of(&["c1", "p", "c2"]))
            }
            "prepare" => {
                let what = choices.one_of(&["select", "deny", "hold"]);
                format!("{word} {} {number} {what}", choices.one_of(&["a", "n"]))
            }
            "execute" => format!("{word} {} {number}", choices.one_of(&["a", "n"])),
            _ => format!("{word} {number}"),
        }
    }

    fn text(&mut self, choices: &mut Choices<'_>) -> String {
        let word = if self.eventful { choices.one_of(&EVENTFUL) } else { choices.one_of(&SETTLED) };
        if self.eventful || choices.below(5) > 0 {
            return self.statement(word, choices);
        }
        let count = 2 + choices.below(2);
        let mut part = |_| {
            let word = choices.one_of(&TOGETHER);
            self.statement(word, choices)
        };
        (0..count).map(&mut part).collect::<Vec<_>>().join(";")
    }

    fn sends(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        self.sent.extend_from_slice(&bytes);
        bytes
    }

    /// Any message, at any time.
    pub fn message(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        let message = match choices.below(18) {
            0..=2 => query(&self.text(choices)),
            3..=8 | 17 => self.extended(choices),
            9..=10 => sync(),
            11 => frame(b'H', b""),
            // Data over which a COPY fails are in units: a Sync behind them would be answered or not, as the server finds it.
            12..=13 => frame(b'd', b"1\n"),
            14 => frame(b'c', b""),
            15 => frame(b'f', b"no\0"),
            _ if choices.below(8) == 0 => frame(b'X', b""),
            _ => function_call(choices),
        };
        self.sends(message)
    }

    /// One message of the extended protocol.
    fn extended(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        let (name, portal) = (choices.one_of(&NAMES), choices.one_of(&PORTALS));
        let of_portal = choices.flag();
        let target = if of_portal { format!("P{portal}\0") } else { format!("S{name}\0") };
        match choices.below(8) {
            0..=1 => parse(name, &self.text(choices)),
            2..=3 => bind(portal, name, choices.bytes(1)),
            4 => execute(portal),
            5 => {
                let limit = i32::from(choices.byte() % 4).to_be_bytes();
                frame(b'E', &[portal.as_bytes(), b"\0", &limit].concat())
            }
            6 => frame(b'D', target.as_bytes()),
            _ => frame(b'C', target.as_bytes()),
        }
    }

    /// A Query, a FunctionCall or a series with its Sync: what is answered with one ReadyForQuery.
    pub fn unit(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        self.units += 1;
        let unit = match choices.below(6) {
            0..=1 => query(&self.text(choices)),
            2 => {
                let data = frame(b'd', choices.one_of(&[b"1\n", b"bad"]));
                let end = choices.one_of(&[&b"c\0\0\0\x04"[..], b"f\0\0\0\x05\0"]);
                let number = self.number(choices);
                [&query(&format!("copyin {number}"))[..], &data, &data, end].concat()
            }
            3 => function_call(choices),
            _ => {
                let mut series = Vec::new();
                for _ in 0..=choices.below(5) {
                    series.extend(self.extended(choices));
                }
                [series, sync()].concat()
            }
        };
        self.sends(unit)
    }

    /// The usual series, which the choices alone seldom make.
    pub fn usual(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        self.units += 1;
        let text = self.text(choices);
        let series = [parse("", &text), bind("", "", &[]), execute("")].concat();
        let unit = match choices.below(3) {
            0 => [series, sync()].concat(),
            1 => [series, frame(b'H', b""), sync()].concat(),
            _ => [series, bind("", "", b"x"), execute(""), sync()].concat(),
        };
        self.sends(unit)
    }

    /// Some of what drivers do with a statement that they keep: each part may be left out.
    pub fn named(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        self.units += 1;
        let name = choices.one_of(&NAMES);
        let parts = choices.byte();
        let mut series = Vec::new();
        if parts & 0x30 == 0x30 {
            let dropped = if name.is_empty() { "all" } else { name };
            let text = format!("deallocate {dropped} {}", self.number(choices));
            if parts & 0x40 > 0 {
                series.extend(query(&text));
                self.units += 1;
            } else {
                series.extend([parse("", &text), bind("", "", &[]), execute("")].concat());
            }
        }
        if parts & 1 > 0 {
            series.extend(frame(b'C', format!("S{name}\0").as_bytes()));
        }
        if parts & 2 > 0 {
            series.extend(parse(name, choices.one_of(&COMMON)));
        }
        if parts & 4 > 0 {
            series.extend(frame(b'D', format!("S{name}\0").as_bytes()));
        }
        if parts & 8 > 0 {
            series.extend([bind("", name, &[]), execute("")].concat());
        }
        self.sends([series, sync()].concat())
    }

    /// What ends a session of whatever kind.
    pub fn farewell(&mut self) -> Vec<u8> {
        self.units += 3;
        self.next += 1;
        let number = self.next * self.of + self.at;
        let rollback = query(&format!("rollback {number}"));
        self.sends([frame(b'f', b"end\0"), sync(), sync(), rollback, frame(b'X', b"")].concat())
    }

    /// What ends whatever the client has begun: a COPY, a series.
    pub fn epilogue(&mut self) -> Vec<u8> {
        self.units += 2;
        let message = [frame(b'f', b"end\0"), sync(), sync()].concat();
        self.sends(message)
    }
}

fn bind(portal: &str, name: &str, value: &[u8]) -> Vec<u8> {
    let mut body = format!("{portal}\0{name}\0\0\0").into_bytes();
    body.extend(u16::try_from(value.len().min(1)).expect("few").to_be_bytes());
    for byte in value {
        body.extend([0, 0, 0, 1, *byte]);
    }
    body.extend([0, 0]);
    frame(b'B', &body)
}

/// By number: 1 is allowed, 3 is held, others are refused.
fn function_call(choices: &mut Choices<'_>) -> Vec<u8> {
    let oid = u32::from(choices.byte() % 7).to_be_bytes();
    let arguments = choices.byte() % 3;
    let mut body = [&oid[..], &[0, 0, 0, arguments]].concat();
    body.extend([255; 4].repeat(usize::from(arguments)));
    frame(b'F', &[&body[..], b"\0\0"].concat())
}
