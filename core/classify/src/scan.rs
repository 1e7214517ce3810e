//! Finds sensitive values inside of bytes: the second layer for free text and for columns that nothing is known of.
//!
//! One pass over the text: nearly all bytes are stepped over by a table, and only a byte that can belong to something
//! (`@`, a digit, `$`, …) or the start of a known token makes it look closer. Nothing is allocated while looking.

mod mail;
mod network;
mod number;
mod secret;

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind, packed};

use crate::tags::Kind;
use crate::tokens::TOKENS;

/// One find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Which bytes of the text it takes.
    pub range: Range<usize>,
}

/// Finds sensitive values in text. Made once, used for all texts, by many threads.
#[derive(Debug)]
pub struct Scanner {
    literals: Literals,
}

/// The search for the starts of tokens: with vector instructions where the machine has them.
#[derive(Debug)]
enum Literals {
    Vectors(packed::Searcher),
    Automaton(AhoCorasick),
    /// Neither could be built: each byte is tried.
    None,
}

/// Starts of secrets that are no tokens of a service.
const OTHERS: [&str; 8] = [
    "eyJ",
    "-----BEGIN ",
    "pbkdf2_sha",
    "SCRAM-SHA-",
    "{SSHA",
    "earer ",
    "assword is ",
    "assword was ",
];

/// All literals, in the order of their numbers.
fn literals() -> impl Iterator<Item = &'static str> {
    OTHERS.into_iter().chain(TOKENS.iter().map(|token| token.prefix))
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner for all kinds.
    #[must_use]
    pub fn new() -> Self {
        let vectors = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostFirst)
            .builder()
            .extend(literals())
            .build();
        let literals = match vectors {
            Some(vectors) => Literals::Vectors(vectors),
            None => AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .build(literals())
                .map_or(Literals::None, Literals::Automaton),
        };
        Self { literals }
    }

    /// What `text` contains, from its start to its end; finds do not overlap.
    #[must_use]
    pub fn find<'a>(&'a self, text: &'a [u8]) -> Finds<'a> {
        Finds { scanner: self, text, at: 0, literal: Next::Unknown, floor: 0 }
    }

    /// The next literal from `from` on: where it starts, and its number.
    fn literal(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        match &self.literals {
            Literals::Vectors(searcher) => searcher
                .find_in(text, (from..text.len()).into())
                .map(|found| (found.start(), found.pattern().as_usize())),
            Literals::Automaton(automaton) => automaton
                .find(aho_corasick::Input::new(text).range(from..text.len()))
                .map(|found| (found.start(), found.pattern().as_usize())),
            Literals::None => (from..text.len()).find_map(|start| {
                let rest = text.get(start..)?;
                let number = literals().position(|l| rest.starts_with(l.as_bytes()))?;
                Some((start, number))
            }),
        }
    }
}

/// What is known of the next literal.
#[derive(Debug, Clone, Copy)]
enum Next {
    Unknown,
    At(usize, usize),
    None,
}

/// The finds in one text.
#[derive(Debug)]
pub struct Finds<'a> {
    scanner: &'a Scanner,
    text: &'a [u8],
    /// The next byte to look at.
    at: usize,
    literal: Next,
    /// Where the last find ended: the next one starts there or later.
    floor: usize,
}

/// What a byte can be part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    Nothing,
    Digit,
    At,
    Dollar,
    Colon,
    Equals,
    Dash,
    Plus,
}

const fn triggers() -> [Trigger; 256] {
    let mut table = [Trigger::Nothing; 256];
    let mut digit = b'0' as usize;
    while digit <= b'9' as usize {
        table[digit] = Trigger::Digit;
        digit += 1;
    }
    table[b'@' as usize] = Trigger::At;
    table[b'$' as usize] = Trigger::Dollar;
    table[b':' as usize] = Trigger::Colon;
    table[b'=' as usize] = Trigger::Equals;
    table[b'-' as usize] = Trigger::Dash;
    table[b'+' as usize] = Trigger::Plus;
    table
}

static TRIGGERS: [Trigger; 256] = triggers();

fn trigger(byte: u8) -> Trigger {
    TRIGGERS.get(usize::from(byte)).copied().unwrap_or(Trigger::Nothing)
}

/// What a closer look at one place says.
enum Look {
    /// Nothing; go on at this byte.
    On(usize),
    Found(Kind, Range<usize>),
}

impl Iterator for Finds<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let literal = self.next_literal();
            let limit = literal.map_or(self.text.len(), |(start, _)| start);
            let ahead = self.text.get(self.at..limit).unwrap_or_default();
            let look = match ahead.iter().position(|b| trigger(*b) != Trigger::Nothing) {
                Some(distance) => self.look(self.at + distance),
                None => {
                    let (start, number) = literal?;
                    self.literal = Next::Unknown;
                    self.look_at_literal(start, number)
                }
            };
            match look {
                Look::On(at) => self.at = at,
                Look::Found(kind, range) => {
                    self.at = range.end;
                    self.floor = range.end;
                    return Some(Found { kind, range });
                }
            }
        }
    }
}

impl Finds<'_> {
    fn next_literal(&mut self) -> Option<(usize, usize)> {
        let stale = matches!(self.literal, Next::At(start, _) if start < self.at);
        if stale || matches!(self.literal, Next::Unknown) {
            self.literal = match self.scanner.literal(self.text, self.at.min(self.text.len())) {
                Some((start, number)) => Next::At(start, number),
                None => Next::None,
            };
        }
        match self.literal {
            Next::At(start, number) => Some((start, number)),
            _ => None,
        }
    }

    fn look(&self, at: usize) -> Look {
        let byte = self.text.get(at).copied().unwrap_or(0);
        let found = match trigger(byte) {
            Trigger::Digit => return number::at_digits(self.text, at, self.floor),
            Trigger::At => secret::in_url(self.text, at, self.floor)
                .or_else(|| mail::at(self.text, at, self.floor)),
            Trigger::Dollar => secret::hash(self.text, at),
            Trigger::Colon => network::at_colon(self.text, at, self.floor)
                .or_else(|| secret::assigned(self.text, at)),
            Trigger::Equals => secret::assigned(self.text, at),
            Trigger::Dash => network::at_dash(self.text, at, self.floor),
            Trigger::Plus => number::at_plus(self.text, at),
            Trigger::Nothing => None,
        };
        found.map_or(Look::On(at + 1), |(kind, range)| Look::Found(kind, range))
    }

    fn look_at_literal(&self, start: usize, number: usize) -> Look {
        let found = secret::literal(self.text, start, number);
        found.map_or(Look::On(start + 1), |(kind, range)| Look::Found(kind, range))
    }
}

/// The byte before `at`, where there is one.
fn before(text: &[u8], at: usize) -> Option<u8> {
    text.get(at.checked_sub(1)?).copied()
}

/// Whether `byte` can be part of a word.
fn is_word(byte: Option<u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80)
}

/// Whether one of the last `distance` bytes before `at` start a word that has `words`, in whatever case.
fn near(text: &[u8], at: usize, distance: usize, words: &[&str]) -> bool {
    let ahead = text.get(at.saturating_sub(distance)..at).unwrap_or_default();
    words.iter().any(|word| {
        ahead.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    })
}

type Hit = Option<(Kind, Range<usize>)>;
