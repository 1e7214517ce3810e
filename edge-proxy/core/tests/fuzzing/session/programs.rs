//! What the model server does for each text.

use std::collections::VecDeque;

use writ_edge_core::catalog::{
    ASK_PLAINLY, BACK_TO_MARK, CATALOG_QUERY, DROP_MARK, NAMES_QUERY, PRINT_AS_BEFORE,
    PRINT_PLAINLY, SET_MARK,
};

use super::words::{number, word};
use crate::support::{NAMES, frame};

/// One thing that the server does for a statement.
#[derive(Debug, Clone)]
pub enum Act {
    /// A statement begins, in a transaction that may have failed.
    Begin(Vec<u8>),
    Send(Vec<u8>),
    Row(Vec<u8>),
    CopyIn,
    Fail(&'static str),
    /// The command tag; empty: what follows has its own.
    Done(Vec<u8>, Change),
    Suspend(Vec<u8>, VecDeque<Act>),
    EndPortal(Vec<u8>),
    EndImplicit,
    Ready,
}

/// What a completed statement changes.
#[derive(Debug, Clone)]
pub enum Change {
    None,
    Setting,
    Begin,
    End,
    Prepare(Vec<u8>, Vec<u8>),
    Execute(Vec<u8>),
    Deallocate(Vec<u8>),
    Declare(Vec<u8>),
    Fetch(Vec<u8>),
    ClosePortal(Vec<u8>),
}

/// A description of one text column that comes from nowhere that is known.
fn description() -> Vec<u8> {
    let column = [&b"\0\x01c\0"[..], &[0; 6], &25_u32.to_be_bytes(), &[0; 8]].concat();
    frame(b'T', &column)
}

fn row(values: &[&[u8]]) -> Act {
    let mut body = u16::try_from(values.len()).expect("few").to_be_bytes().to_vec();
    for value in values {
        body.extend(u32::try_from(value.len()).expect("short").to_be_bytes());
        body.extend_from_slice(value);
    }
    Act::Row(frame(b'D', &body))
}

/// A Query's whole text.
pub fn simple(text: &[u8]) -> VecDeque<Act> {
    let shown = String::from_utf8_lossy(text).into_owned();
    if shown.trim().is_empty() {
        return [Act::Send(frame(b'I', b""))].into();
    }
    if !shown.split(';').all(is_known) {
        return [Act::Fail("42601")].into();
    }
    let mut acts = VecDeque::new();
    for statement in shown.split(';') {
        acts.push_back(Act::Begin(statement.as_bytes().to_vec()));
        if described(statement.as_bytes()).is_some() {
            acts.push_back(Act::Send(description()));
        }
        acts.extend(acts_of(statement));
    }
    acts
}

/// A portal's.
pub fn extended(text: &[u8]) -> VecDeque<Act> {
    let shown = String::from_utf8_lossy(text).into_owned();
    if text.is_empty() {
        return [Act::Send(frame(b'I', b""))].into();
    }
    if let Some(row) = answer(&shown) {
        return [row, Act::Done(b"SELECT 1".to_vec(), Change::None)].into();
    }
    if is_mark(&shown) {
        return [Act::Done(word(&shown).as_bytes().to_vec(), Change::None)].into();
    }
    acts_of(&shown)
}

/// Whether Parse takes it.
pub fn is_one(text: &[u8]) -> bool {
    let shown = String::from_utf8_lossy(text);
    let several = shown.contains(';') || word(&shown) == "end";
    answer(&shown).is_some() || is_mark(&shown) || text.is_empty() || (is_known(&shown) && !several)
}

pub fn ends_transaction(text: &[u8]) -> bool {
    matches!(
        word(&String::from_utf8_lossy(text)),
        "commit" | "rollback" | "end" | "COMMIT" | "ROLLBACK"
    )
}

/// What the gateway puts around a question in a transaction.
fn is_mark(text: &str) -> bool {
    matches!(text, SET_MARK | BACK_TO_MARK | DROP_MARK)
}

/// Questions of the gateway's own.
fn answer(text: &str) -> Option<Act> {
    if text == NAMES_QUERY {
        return Some(row(&NAMES));
    }
    if text == CATALOG_QUERY {
        return Some(row(&[b"{}"]));
    }
    matches!(text, PRINT_PLAINLY | PRINT_AS_BEFORE | ASK_PLAINLY).then(|| row(&[b"x"]))
}

const ROWS: [&str; 11] = [
    "select",
    "masked",
    "mask",
    "strict",
    "strictmask",
    "hold",
    "expect",
    "moody",
    "unknown",
    "error",
    "fetch",
];

fn is_known(statement: &str) -> bool {
    let others = [
        "copyin",
        "copyout",
        "update",
        "set",
        "define",
        "begin",
        "commit",
        "rollback",
        "end",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "declare",
        "close",
        "prepare",
        "execute",
        "deallocate",
    ];
    ROWS.contains(&word(statement)) || others.contains(&word(statement))
}

/// A RowDescription, where a statement has one.
pub fn described(text: &[u8]) -> Option<Vec<u8>> {
    let shown = String::from_utf8_lossy(text);
    (ROWS.contains(&word(&shown)) || answer(&shown).is_some()).then(description)
}

fn acts_of(statement: &str) -> VecDeque<Act> {
    let count = number(statement) % 4;
    let name = statement.split(' ').next_back().unwrap_or_default().as_bytes().to_vec();
    let second = statement.split(' ').nth(1).unwrap_or_default().as_bytes().to_vec();
    let done = |tag: &str, change| Act::Done(tag.as_bytes().to_vec(), change);
    match word(statement) {
        "error" => [rows(statement, 1), vec![Act::Fail("22012")]].concat().into(),
        "fetch" => [done("", Change::Fetch(name))].into(),
        "declare" => [done("DECLARE CURSOR", Change::Declare(name))].into(),
        "close" => [done("CLOSE CURSOR", Change::ClosePortal(name))].into(),
        "prepare" => {
            [done("PREPARE", Change::Prepare(second, statement.as_bytes().to_vec()))].into()
        }
        "execute" => [done("", Change::Execute(second))].into(),
        "deallocate" => [done("DEALLOCATE", Change::Deallocate(second))].into(),
        "copyin" => [Act::CopyIn, done("COPY 1", Change::None)].into(),
        "copyout" => {
            let line = Act::Send(frame(b'd', &value(statement, 0)));
            let mut acts = VecDeque::from([Act::Send(frame(b'H', b"\0\0\0"))]);
            acts.extend(std::iter::repeat_n(line, count));
            acts.push_back(Act::Send(frame(b'c', b"")));
            acts.push_back(done(&format!("COPY {count}"), Change::None));
            acts
        }
        "update" => [done(&format!("UPDATE {count}"), Change::None)].into(),
        "set" => [done("SET", Change::Setting)].into(),
        "define" => [done("CREATE TABLE", Change::None)].into(),
        "begin" | "BEGIN" => [done("BEGIN", Change::Begin)].into(),
        "commit" | "COMMIT" => [done("COMMIT", Change::End)].into(),
        "rollback" | "ROLLBACK" => [done("ROLLBACK", Change::End)].into(),
        "end" => [done("COMMIT", Change::End), done("SELECT 0", Change::None)].into(),
        _ => {
            let mut acts = VecDeque::from(rows(statement, count));
            acts.push_back(done(&format!("SELECT {count}"), Change::None));
            acts
        }
    }
}

/// One value: what it is of, and a secret where the results of the statement are screened.
fn value(statement: &str, at: usize) -> Vec<u8> {
    let secret = if statement.contains("screened") { " SECRETS" } else { "" };
    format!("{}.{at}{secret}\n", number(statement)).into_bytes()
}

fn rows(statement: &str, count: usize) -> Vec<Act> {
    (0..count).map(|at| row(&[&value(statement, at)])).collect()
}
