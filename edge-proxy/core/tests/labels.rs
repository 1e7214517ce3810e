//! Databases whose `application_name` says who a connection is for: nothing that a client sends takes the label away.

mod gates;

use gates::{Gate, NOW, PolicyGate, Verdict, gate, gate_with};
use writ_model::label::{Label, LabelText};

/// Lets everybody do everything, opaque statements too.
const ALL: &str = "permit (principal, action, resource);";

fn label(session: &str) -> LabelText {
    let who = "user:ada".parse().expect("an id");
    Label::Session.of(&who, Some(&session.parse().expect("an id"))).expect("a label")
}

fn labelled(session: &str) -> PolicyGate {
    let mut gate = gate_with("user:ada", ALL);
    gate.set_label(Some(label(session)));
    gate
}

fn sent(gate: &mut PolicyGate, text: &str) -> String {
    let ruling = gate.rule(text.as_bytes(), NOW);
    assert_eq!(ruling.decision.verdict, Verdict::Allow, "{text}");
    String::from_utf8(ruling.sent().to_vec()).expect("UTF-8")
}

#[test]
fn a_name_that_is_set_has_the_label_in_front() {
    let mut gate = labelled("s-1");
    for (text, expected) in [
        (
            "SET application_name = 'DBeaver'",
            "SET application_name TO \"writ:user:ada s-1 DBeaver\"",
        ),
        ("set APPLICATION_NAME to psql", "SET application_name TO \"writ:user:ada s-1 psql\""),
        ("SET LOCAL application_name = ''", "SET LOCAL application_name TO \"writ:user:ada s-1\""),
        (
            "SET SESSION application_name = 'it''s'",
            "SET application_name TO \"writ:user:ada s-1 it's\"",
        ),
        // Who sets another's label has its own in front.
        (
            "SET application_name = 'writ:user:bob'",
            "SET application_name TO \"writ:user:ada s-1 writ:user:bob\"",
        ),
        (
            "SET extra_float_digits = 3; SET application_name = 'x'",
            "SET extra_float_digits TO 3; SET application_name TO \"writ:user:ada s-1 x\"",
        ),
    ] {
        assert_eq!(sent(&mut gate, text), expected);
        assert_eq!(gate.rule(text.as_bytes(), NOW).decided(), "allow", "no mask: {text}");
    }
    // What goes back to the beginning goes back to the label.
    for same in [
        "RESET application_name",
        "SET application_name TO DEFAULT",
        "RESET ALL",
        "SET timezone = 'UTC'",
        "SHOW application_name",
    ] {
        assert_eq!(sent(&mut gate, same), same);
    }
}

#[test]
fn a_name_that_is_set_in_another_way_is_refused() {
    for text in [
        "SELECT set_config('application_name', 'x', false)",
        "SELECT set_config('APPLICATION_NAME', status, false) FROM orders",
        "SET application_name = 'x'; SELECT set_config('application_name', 'y', true)",
        "SET application_name = 'x'; SELECT status FROM orders",
        "SET application_name = 5",
    ] {
        let refused = labelled("s-1").rule(text.as_bytes(), NOW);
        assert!(matches!(refused.decision.verdict, Verdict::Deny(_)), "{text}");
        let unlabelled = gate_with("user:ada", ALL).rule(text.as_bytes(), NOW);
        assert_eq!(unlabelled.decision.verdict, Verdict::Allow, "control: {text}");
        assert_eq!(unlabelled.sent(), text.as_bytes(), "control: {text}");
    }
}

#[test]
fn sessions_of_one_scope_keep_their_own_labels() {
    let state = gates::state();
    let mut both = ["s-1", "s-2"].map(|session| {
        let mut gate = gates::gate_on(state.clone(), "user:ada", NOW).expect("may connect");
        gate.set_label(Some(label(session)));
        gate
    });
    let text = "SET application_name = 'x'";
    for _ in 0..3 {
        for (gate, session) in both.iter_mut().zip(["s-1", "s-2"]) {
            let expected = format!("SET application_name TO \"writ:user:ada {session} x\"");
            assert_eq!(sent(gate, text), expected);
        }
    }
    let mut without = gates::gate_on(state, "user:ada", NOW).expect("may connect");
    assert_eq!(sent(&mut without, text), text, "control: nothing of the label is shared");
}

#[test]
fn a_label_changes_nothing_else() {
    let mut gate_of_ada = labelled("s-1");
    let plain = "SELECT status FROM orders WHERE id = 7";
    assert_eq!(sent(&mut gate_of_ada, plain), plain);
    let masked = "SELECT ssn FROM customers";
    let mut dana = gate("user:dana");
    dana.set_label(Some(label("s-1")));
    assert_eq!(dana.rule(masked.as_bytes(), NOW).decided(), "mask");
}
