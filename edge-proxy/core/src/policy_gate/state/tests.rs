//! What is remembered of texts is bounded, whatever clients send.

use std::sync::atomic::Ordering;

use writ_audit::StatementProfile;
use writ_audit::record::{DecisionKind, TextValue};
use writ_model::sqlstate::REFUSED;
use writ_model::{Decision, Epoch, Limits, Verdict};

use super::*;
use crate::policy_gate::room::{BYTES_ALWAYS, BYTES_OF_ALL_MAX};

/// Texts that fill each of the caches several times.
const TEXTS: usize = 2_000;
const TEXT_BYTES: usize = 32 * 1024;

fn ruling(text: &str) -> Arc<Ruling> {
    let profile = StatementProfile {
        text: TextValue::Clear(text.to_owned()),
        kinds: vec![],
        reads: vec![],
        writes: vec![],
        functions: vec![],
        opaque: vec![],
        decision: DecisionKind::Allow,
        rules: vec![],
        reason: String::new(),
        epoch: Epoch(1),
        masked_columns: vec![],
        rewritten: false,
    };
    let facts = StatementFacts { functions: [text.to_owned()].into(), ..StatementFacts::default() };
    Arc::new(Ruling {
        text: text.as_bytes().into(),
        facts: Arc::new(facts),
        decision: Arc::new(Decision {
            verdict: Verdict::Allow,
            rules: vec![],
            epoch: Epoch(1),
            strict: false,
            limits: Limits::default(),
        }),
        sqlstate: REFUSED,
        rewritten: None,
        profile: (&profile).into(),
        touched: Arc::from([]),
        redact_binds: false,
        screen: None,
        estimated: false,
        expected: None,
    })
}

#[test]
fn what_is_remembered_of_ever_new_texts_is_bounded() {
    let of_all = OfAll::default();
    let scope = Scope::new(Ok(ColumnMasks::default()), &of_all);
    let (mut most, mut most_noted) = (0, 0);
    for number in 0..TEXTS {
        let text = format!("{number:0>TEXT_BYTES$}");
        let ruling = ruling(&text);
        scope.remember(&ruling);
        scope.remember_text(&ruling);
        scope.note(format!("{text} again").as_bytes(), &ruling);
        assert!(scope.known(text.as_bytes()).is_some(), "control: the newest is there");
        let rulings = lock(&scope.rulings);
        let kept = rulings.by_text.values().chain(rulings.by_facts.values());
        let bytes: usize = kept.map(|ruling| size_of(ruling)).sum();
        let noted: usize = rulings.noted.texts.keys().map(|text| text.len()).sum();
        (most, most_noted) = (most.max(bytes), most_noted.max(noted));
    }
    assert!((CACHE_BYTES_MAX / 2..=CACHE_BYTES_MAX).contains(&most), "{most} bytes of rulings");
    assert!((1..=NOTED_BYTES_MAX).contains(&most_noted), "{most_noted} bytes of texts");
    drop(scope);
    assert_eq!(of_all.load(Ordering::Relaxed), 0, "what is gone is not counted");
}

#[test]
fn what_is_too_long_is_not_remembered() {
    let scope = Scope::unshared(Ok(ColumnMasks::default()));
    let text = "x".repeat(CACHED_TEXT_BYTES_MAX + 1);
    let ruling = ruling(&text);
    scope.remember(&ruling);
    scope.remember_text(&ruling);
    scope.note(text.as_bytes(), &ruling);
    assert!(scope.known(text.as_bytes()).is_none() && scope.of_facts(&ruling.facts).is_none());
}

#[test]
fn what_many_scopes_remember_together_is_bounded() {
    let of_all = OfAll::default();
    let scopes: Vec<Scope> =
        (0..64).map(|_| Scope::new(Ok(ColumnMasks::default()), &of_all)).collect();
    let mut most = 0;
    // Each fills its own room: without a bound for all they would have twice the room of all.
    for scope in &scopes {
        for number in 0..CACHE_BYTES_MAX / (3 * TEXT_BYTES) {
            let ruling = ruling(&format!("{number:0>TEXT_BYTES$}"));
            scope.remember_text(&ruling);
            assert!(scope.known(&ruling.text).is_some(), "control: the newest is there");
        }
        most = most.max(of_all.load(Ordering::Relaxed));
    }
    let always = scopes.len() * BYTES_ALWAYS.max(4 * TEXT_BYTES);
    let bounds = BYTES_OF_ALL_MAX / 2..=BYTES_OF_ALL_MAX + always;
    assert!(bounds.contains(&most), "{most} bytes");
}
