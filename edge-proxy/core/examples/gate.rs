//! How long the gate takes with a text: one that it has never seen (tree, facts, decision, and the text to send where columns are
//! masked), one that differs from known ones in a number, and one that it knows. Prints Markdown; medians, in microseconds.

#[path = "../tests/gates/mod.rs"]
mod gates;

use std::hint::black_box;
use std::time::Instant;

use gates::{NOW, PolicyGate, gate};
use writ_edge_core::Gate;

/// Texts of each kind that are measured one by one.
const NEW_TEXTS: u32 = 4_000;
/// A text that is known takes less than a clock shows: so many are measured together.
const TOGETHER: u32 = 1_000;
/// How many such groups.
const GROUPS: u32 = 200;

/// What an application sends; `{}` is another value each time.
const TEXTS: [(&str, &str); 5] = [
    ("point read", "SELECT status FROM orders WHERE id = {}"),
    ("point read, a masked column", "SELECT id, ssn FROM customers WHERE id = {}"),
    ("UPDATE", "UPDATE orders SET status = 'sent' WHERE id = {}"),
    ("INSERT", "INSERT INTO orders (id, status) VALUES ({}, 'new')"),
    (
        "join",
        "SELECT o.id, o.status, c.id FROM orders o JOIN customers c ON c.id = o.id WHERE o.id = {} ORDER BY o.id LIMIT 10",
    ),
];

fn median(mut nanos: Vec<f64>) -> f64 {
    nanos.sort_by(f64::total_cmp);
    nanos.get(nanos.len() / 2).copied().unwrap_or(f64::NAN) / 1_000.0
}

/// The median of `count` texts, each asked for once, in microseconds.
fn each(gate: &mut PolicyGate, texts: impl Iterator<Item = String>) -> f64 {
    let timed = texts.map(|text| {
        let began = Instant::now();
        black_box(gate.rule(text.as_bytes(), NOW));
        began.elapsed().as_nanos() as f64
    });
    median(timed.collect())
}

/// The median of groups of asking for one text, in microseconds for one.
fn known(gate: &mut PolicyGate, text: &str) -> f64 {
    let group = |_| {
        let began = Instant::now();
        for _ in 0..TOGETHER {
            black_box(gate.rule(black_box(text.as_bytes()), NOW));
        }
        began.elapsed().as_nanos() as f64 / f64::from(TOGETHER)
    };
    median((0..GROUPS).map(group).collect())
}

fn main() {
    println!("| text | never seen | another number | known |\n|---|---|---|---|");
    for (name, pattern) in TEXTS {
        let mut gate = gate("user:dana");
        // In quotes nothing is shared: each is analysed, decided and, where columns are masked, written anew.
        let quoted = |n: u32| pattern.replace("{}", &format!("'{n}'"));
        let plain = |n: u32| pattern.replace("{}", &n.to_string());
        let ruling = gate.rule(quoted(0).as_bytes(), NOW);
        assert!(ruling.facts.opaque.is_empty(), "{name} is understood: {:?}", ruling.facts.opaque);
        each(&mut gate, (1..NEW_TEXTS / 10).map(quoted));
        let never = each(&mut gate, (NEW_TEXTS..2 * NEW_TEXTS).map(quoted));
        each(&mut gate, (0..10).map(plain));
        let other = each(&mut gate, (NEW_TEXTS..2 * NEW_TEXTS).map(plain));
        println!("| {name} | {never:.1} | {other:.2} | {:.3} |", known(&mut gate, &plain(1)));
    }
}
