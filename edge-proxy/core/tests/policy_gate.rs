//! The gate with the default pack: what a developer, an administrator, an agent and an auditor may do in production.

mod gates;

use gates::*;

fn verdict(who: &str, text: &str) -> String {
    let ruling = gate(who).rule(text.as_bytes(), NOW);
    match &ruling.decision.verdict {
        Verdict::Allow if ruling.rewritten.is_some() => "mask".into(),
        other => other.as_str().into(),
    }
}

#[test]
fn a_developer_reads_masked_and_writes_bounded() {
    for (text, expected) in [
        ("SELECT * FROM customers", "mask"),
        ("SELECT * FROM orders", "allow"),
        ("SELECT count(*) FROM customers WHERE ssn LIKE '1%'", "mask"),
        ("COPY customers TO STDOUT", "mask"),
        ("UPDATE orders SET status = 'x' WHERE id = 1", "allow"),
        ("INSERT INTO orders VALUES (1, 'x')", "allow"),
        ("CREATE TABLE t (id int)", "allow"),
        ("BEGIN", "allow"),
        ("SET search_path = public", "allow"),
        ("EXPLAIN DELETE FROM orders", "allow"),
        ("DELETE FROM orders", "hold"),
        ("DELETE FROM orders WHERE true", "hold"),
        ("UPDATE orders SET status = 'x'", "hold"),
        ("DROP TABLE orders", "hold"),
        ("TRUNCATE orders", "hold"),
        ("ALTER TABLE orders ADD x int", "hold"),
        ("GRANT SELECT ON orders TO public", "deny"),
        ("CREATE ROLE x", "deny"),
        ("COPY orders TO PROGRAM 'cat'", "deny"),
        ("COPY orders TO '/tmp/x'", "deny"),
        ("SELECT pg_read_file('/etc/passwd')", "deny"),
        ("DO $$ BEGIN END $$", "deny"),
        ("SELECT my_function()", "deny"),
        ("SELECT * FROM nowhere", "deny"),
        ("UPDATE customers SET id = 2 WHERE ssn = 'x'", "deny"),
        ("this is not sql", "deny"),
    ] {
        assert_eq!(verdict("user:dana", text), expected, "{text}");
    }
}

#[test]
fn errors_quote_no_row_with_masked_columns() {
    let hides = |who: &str, relation: &str| gate(who).hides_rows("public", relation);
    assert!(hides("user:dana", "customers"));
    assert!(!hides("user:dana", "orders"));
    assert!(hides("user:dana", "made_behind_our_back"));
    assert!(!gate("user:dana").hides_rows("pg_temp_3", "mine"));
    assert!(!hides("user:ada", "customers"));
}

#[test]
fn an_administrator_reads_unmasked() {
    assert_eq!(verdict("user:ada", "SELECT * FROM customers"), "allow");
}

#[test]
fn an_agent_is_refused_what_its_person_would_be_asked_about() {
    assert_eq!(verdict("agent:copilot", "SELECT * FROM customers"), "mask");
    assert_eq!(verdict("agent:copilot", "DROP TABLE orders"), "deny");
    assert_eq!(verdict("agent:copilot", "DELETE FROM orders"), "deny");
}

#[test]
fn an_agent_of_an_administrator_sees_no_more_than_it_may_itself() {
    assert_ne!(verdict("agent:helper", "SELECT * FROM customers"), "allow");
}

#[test]
fn an_auditor_has_no_database() {
    assert!(try_gate("user:audrey", NOW).is_err());
    assert!(try_gate("user:nobody", NOW).is_err());
}

#[test]
fn past_its_bound_a_stale_edge_only_reads() {
    let long_ago = Timestamp(NOW.0 - 61_000_000);
    let mut gate = try_gate("user:dana", long_ago).expect("may connect");
    gate.refresh(NOW).expect("still there");
    let read = gate.rule(b"SELECT * FROM orders", NOW);
    assert!(matches!(read.decision.verdict, Verdict::Allow));
    let write = gate.rule(b"INSERT INTO orders VALUES (1, 'x')", NOW);
    assert!(matches!(write.decision.verdict, Verdict::Deny(_)));
    assert_eq!(write.sqlstate.0, "58000");
}

#[test]
fn other_names_do_not_end_what_a_stale_edge_may_not() {
    let state = state();
    let write = b"INSERT INTO orders VALUES (1, 'x')";
    // Someone decided it in time; what that scope remembers is for those who hear the control plane.
    let mut fresh = gate_on(Arc::clone(&state), "user:dana", NOW).expect("may connect");
    fresh.refresh(NOW).expect("still there");
    for _ in 0..2 {
        assert!(matches!(fresh.rule(write, NOW).decision.verdict, Verdict::Allow), "control");
    }
    let long_ago = Timestamp(NOW.0 - 61_000_000);
    let mut stale = gate_on(state, "user:dana", long_ago).expect("may connect");
    stale.refresh(NOW).expect("still there");
    let names = stale.names().clone();
    stale.set_names(SessionNames { role: "other".into(), ..names.clone() });
    stale.set_names(names);
    stale.refresh(NOW).expect("still there");
    assert_eq!(stale.rule(write, NOW).sqlstate.0, "58000");
    // And what it refused is remembered nowhere else.
    assert!(matches!(fresh.rule(write, NOW).decision.verdict, Verdict::Allow));
}

#[test]
fn a_text_that_comes_again_is_decided_no_more() {
    let mut gate = gate("user:dana");
    let text = b"SELECT * FROM orders";
    let _seen = gate.rule(text, NOW);
    let remembered = gate.rule(text, NOW);
    assert!(Arc::ptr_eq(&remembered, &gate.rule(text, NOW)));
    let other = gate.rule(b"SELECT * FROM  orders", NOW);
    assert!(!Arc::ptr_eq(&remembered, &other), "the key is the exact text");
}

#[test]
fn where_no_rule_looks_at_the_time_decisions_last() {
    let text = b"SELECT * FROM orders";
    let lasts = |mut gate: PolicyGate| {
        let _seen = gate.rule(text, NOW);
        let before = gate.rule(text, NOW);
        let later = Timestamp(NOW.0 + 30_000_000);
        gate.refresh(later).expect("still there");
        Arc::ptr_eq(&before, &gate.rule(text, later))
    };
    assert!(lasts(gate("user:dana")));
    assert!(!lasts(gate_with("user:dana", TIMED)), "control");
}

const TIMED: &str =
    r#"forbid (principal, action == Action::"Write", resource) when { context.hour > 24 };"#;

#[test]
fn periods_that_are_over_are_forgotten() {
    let mut gate = gate_with("user:dana", TIMED);
    for seconds in 0..100 {
        gate.refresh(Timestamp(NOW.0 + seconds * 5_000_000)).expect("still there");
        gate.rule(b"SELECT * FROM orders", NOW);
        assert!(gate.state().scopes() <= 1, "{} scopes", gate.state().scopes());
    }
}

#[test]
fn texts_with_the_same_facts_keep_their_own_text() {
    let mut gate = gate("user:dana");
    // The second time by what was noted of the text, and later by itself.
    for n in (1..50).chain(1..50).chain(1..50) {
        let text = format!("SELECT status FROM orders WHERE id = {n}");
        let ruling = gate.rule(text.as_bytes(), NOW);
        assert_eq!(ruling.sent(), text.as_bytes());
        assert!(matches!(ruling.decision.verdict, Verdict::Allow));
        let kept = format!("{:?}", ruling.profile);
        let whole = {
            let mut fresh = self::gate("user:dana");
            format!("{:?}", fresh.rule(text.as_bytes(), NOW).profile)
        };
        assert_eq!(kept, whole, "the record is the same as if it had been analysed");
        let masked = format!("SELECT ssn FROM customers WHERE id = {n}");
        let ruling = gate.rule(masked.as_bytes(), NOW);
        let sent = String::from_utf8_lossy(ruling.sent()).into_owned();
        assert!(sent.ends_with(&format!("WHERE id = {n}")), "{sent}");
    }
}

#[test]
fn texts_with_the_same_facts_are_decided_alike_and_others_are_not() {
    let mut gate = gate("user:dana");
    let bounded = gate.rule(b"DELETE FROM orders WHERE id = 1", NOW);
    let other = gate.rule(b"DELETE FROM orders WHERE id = 2", NOW);
    assert_eq!(bounded.decision, other.decision);
    assert_eq!(other.sent(), b"DELETE FROM orders WHERE id = 2");
    let unbounded = gate.rule(b"DELETE FROM orders WHERE 1 = 1", NOW);
    assert!(matches!(unbounded.decision.verdict, Verdict::Hold(_)));
}

#[test]
fn what_is_known_of_a_shape_holds_for_no_other_text() {
    let mut gate = gate("user:dana");
    let verdict_of = |gate: &mut PolicyGate, text: &str| {
        let ruling = gate.rule(text.as_bytes(), NOW);
        assert_eq!(&*ruling.text, text.as_bytes());
        ruling.decision.verdict.as_str()
    };
    for n in 1..5 {
        for text in ["DELETE FROM orders WHERE id = #", "SELECT status FROM orders WHERE id = #"] {
            assert_eq!(verdict_of(&mut gate, &text.replace('#', &n.to_string())), "allow");
        }
        // Every integer counts here: the condition says nothing about a row.
        let everything = format!("DELETE FROM orders WHERE {n} = {n}");
        assert_eq!(verdict_of(&mut gate, &everything), "hold");
    }
    for (text, expected) in [
        ("DELETE FROM orders WHERE id = \u{1}", "deny"),
        ("DELETE FROM orders WHERE id = 9 OR 1 = 1", "hold"),
        ("DELETE FROM orders WHERE id = 9 OR id <> 9", "hold"),
        ("DELETE FROM orders WHERE 9 = 9", "hold"),
        ("DELETE FROM customers WHERE id = 9", "allow"),
        ("DELETE FROM orders WHERE id = 9; DROP TABLE orders", "hold"),
        ("DELETE FROM orders WHERE id = 9 -- ", "allow"),
        ("DELETE FROM orders WHERE id = 9'", "deny"),
    ] {
        let mut fresh = self::gate("user:dana");
        assert_eq!(verdict_of(&mut fresh, text), expected, "control: {text}");
        assert_eq!(verdict_of(&mut gate, text), expected, "{text}");
    }
}

#[test]
fn a_rule_keeps_text_and_binds_out_of_the_record() {
    let text = "@id(\"quiet\") @record(\"redact\") permit (principal, action == Action::\"Read\", resource);";
    let file = PolicyFile { name: "quiet.cedar".into(), text: text.into() };
    let mut gate = gate_on(state_with(&[file]), "user:dana", NOW).expect("may connect");
    let kept = |gate: &mut PolicyGate, text: &str| {
        let ruling = gate.rule(text.as_bytes(), NOW);
        (ruling.redact_binds, ruling.profile.clone(), ruling.profile.without_text())
    };
    for id in [7_001, 7_002] {
        let sql = format!("SELECT status FROM orders WHERE id = {id}");
        let (redacted, profile, without) = kept(&mut gate, &sql);
        assert!(redacted && Some(profile) == without, "{sql}");
        // Negative control: without the rule the text is there.
        let (redacted, profile, without) = kept(&mut self::gate("user:dana"), &sql);
        assert!(!redacted && Some(profile) != without, "{sql}");
    }
}

fn rule_of(gate: &mut PolicyGate, text: &str) -> (String, String) {
    let ruling = gate.rule(text.as_bytes(), NOW);
    (ruling.decision.verdict.as_str().to_owned(), ruling.rules())
}

const READ_ONLY: &str = "@access_mode(\"read_only\") permit (principal == User::\"dana\", action == Action::\"Connect\", resource);";

#[test]
fn nothing_disarms_a_read_only_session() {
    let mut reader = gate_with("user:dana", READ_ONLY);
    assert!(reader.is_read_only());
    assert!(!gate_with("user:ada", READ_ONLY).is_read_only());
    for text in [
        "SET default_transaction_read_only = off",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET TRANSACTION READ WRITE",
        "BEGIN READ WRITE",
        "START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ WRITE",
        "RESET transaction_read_only",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT set_config('default_' || 'transaction_read_only', 'off', false)",
        "BEGIN; SET transaction_read_only = off; COMMIT",
        "ALTER ROLE CURRENT_USER SET default_transaction_read_only = off",
        "SET ROLE postgres",
        "INSERT INTO orders VALUES (1, 'x')",
        "WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT id FROM d",
        "SELECT id INTO t FROM orders",
        "CREATE TEMP TABLE t (id int)",
        "EXPLAIN ANALYZE DELETE FROM orders WHERE id = 1",
        "COPY orders FROM STDIN",
        "COMMIT PREPARED 'x'",
        "SELECT my_function()",
        "PREPARE p AS DELETE FROM orders WHERE id = 1",
        "VACUUM orders",
    ] {
        assert_eq!(rule_of(&mut reader, text).0, "deny", "{text}");
    }
    for text in [
        "SELECT * FROM orders",
        "SELECT * FROM customers",
        "BEGIN",
        "BEGIN READ ONLY",
        "COMMIT",
        "RESET ALL",
        "DISCARD ALL",
        "SET search_path = public",
        "SET default_transaction_read_only = on",
        "SHOW transaction_read_only",
        "EXPLAIN DELETE FROM orders WHERE id = 1",
        "COPY orders TO STDOUT",
        "DECLARE c CURSOR FOR SELECT id FROM orders",
    ] {
        assert_eq!(rule_of(&mut reader, text).0, "allow", "{text}");
    }
    // Even what policy opens by name stays shut: what it changes is not known.
    let opened = format!("{READ_ONLY} permit (principal, action == Action::\"Call\", resource);");
    let ruling = rule_of(&mut gate_with("user:dana", &opened), "SELECT my_function()");
    assert_eq!(ruling, ("deny".into(), "read-only-session".into()));
    // Control: without the annotation these are allowed.
    for text in [
        "BEGIN READ WRITE",
        "SET default_transaction_read_only = off",
        "INSERT INTO orders VALUES (1, 'x')",
    ] {
        assert_eq!(verdict("user:dana", text), "allow", "{text}");
    }
}

#[test]
fn a_session_ends_when_its_principal_becomes_read_only() {
    struct Switched(std::sync::Mutex<Arc<DatabaseState>>);
    impl Current for Switched {
        fn state(&self) -> Option<Arc<DatabaseState>> {
            Some(Arc::clone(&self.0.lock().expect("no panic")))
        }
        fn last_heard(&self) -> Timestamp {
            NOW
        }
    }
    let current = Arc::new(Switched(std::sync::Mutex::new(state())));
    let client = Client {
        principal: "user:dana".parse().expect("id"),
        address: None,
        application_name: String::new(),
    };
    let shared = Arc::clone(&current) as Arc<dyn Current>;
    let mut gate = PolicyGate::connect(shared, client, SessionNames::default(), NOW).expect("may");
    gate.refresh(NOW).expect("still there");
    let file = PolicyFile { name: "site.cedar".into(), text: READ_ONLY.into() };
    *current.0.lock().expect("no panic") = state_with(&[file]);
    assert!(gate.refresh(NOW).expect_err("ended").contains("read-only from now on"));
}

#[test]
fn limits_of_the_statement_and_of_the_session_come_together() {
    let text = "@max_rows(\"100\") permit (principal, action == Action::\"Connect\", resource);
        @max_rows(\"10\") permit (principal, action == Action::\"Export\", resource);
        @max_rows_affected(\"5\") permit (principal, action == Action::\"Write\", resource);";
    let mut gate = gate_with("user:dana", text);
    let limits = |gate: &mut PolicyGate, text: &str| {
        let limits = gate.rule(text.as_bytes(), NOW).decision.limits.clone();
        (limits.rows_max, limits.rows_affected_max)
    };
    assert_eq!(limits(&mut gate, "SELECT * FROM orders"), (Some(100), None));
    assert_eq!(limits(&mut gate, "SELECT id FROM orders WHERE id = 7"), (Some(100), None));
    assert_eq!(limits(&mut gate, "SELECT id FROM orders WHERE id = 8"), (Some(100), None));
    assert_eq!(limits(&mut gate, "COPY orders TO STDOUT"), (Some(10), None));
    let update = "UPDATE orders SET status = 'x' WHERE id = 1";
    assert_eq!(limits(&mut gate, update), (Some(100), Some(5)));
    for uncounted in [
        "WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT id FROM d",
        "EXPLAIN ANALYZE DELETE FROM orders WHERE id = 1",
    ] {
        let found = rule_of(&mut gate, uncounted);
        assert_eq!(found, ("deny".into(), "bounded-changes".into()), "{uncounted}");
        assert_eq!(verdict("user:dana", uncounted), "allow", "control: {uncounted}");
    }
    // What EXECUTE runs is bounded as it would be alone.
    let outer = gate.rule(b"EXECUTE p", NOW);
    let inner = gate.rule(format!("PREPARE p AS {update}").as_bytes(), NOW);
    let ruling = gate.rule_execute(&outer, &[Some(inner)], NOW);
    assert_eq!(ruling.decision.limits.rows_affected_max, Some(5));
}

#[test]
fn an_hour_is_counted_for_everyone_in_the_chain() {
    struct Counting(Arc<DatabaseState>, Arc<writ_edge_core::ledger::Ledger>);
    impl Current for Counting {
        fn state(&self) -> Option<Arc<DatabaseState>> {
            Some(Arc::clone(&self.0))
        }
        fn last_heard(&self) -> Timestamp {
            Timestamp(NOW.0 + 3_700 * 1_000_000)
        }
        fn ledger(&self) -> Arc<writ_edge_core::ledger::Ledger> {
            Arc::clone(&self.1)
        }
    }
    let text = "@rows_per_hour(\"100\") permit (principal is User, action == Action::\"Read\", resource);
        @rows_per_hour(\"30\") permit (principal is Agent, action == Action::\"Read\", resource);
        @id(\"site.looked\") forbid (principal is User, action == Action::\"Write\", resource) when { context.rows_last_hour >= 50 };";
    let file = PolicyFile { name: "site.cedar".into(), text: text.into() };
    let current = Arc::new(Counting(state_with(&[file]), Arc::default()));
    let connect = |who: &str| {
        let client = Client {
            principal: who.parse().expect("id"),
            address: None,
            application_name: String::new(),
        };
        let names = SessionNames {
            search_path: vec!["pg_catalog".into(), "public".into()],
            standard_conforming_strings: true,
            ..SessionNames::default()
        };
        let shared = Arc::clone(&current) as Arc<dyn Current>;
        PolicyGate::connect(shared, client, names, NOW).expect("may connect")
    };
    let (mut dana, mut agent) = (connect("user:dana"), connect("agent:copilot"));
    let left = |gate: &mut PolicyGate| {
        let limits = gate.rule(b"SELECT * FROM orders", NOW).decision.limits.clone();
        gate.left(&limits.hourly, NOW).rows
    };
    assert!(dana.counts_usage());
    assert_eq!((left(&mut dana), left(&mut agent)), (Some(100), Some(30)));
    dana.charge(NOW, 40, 0);
    assert_eq!((left(&mut dana), left(&mut agent)), (Some(60), Some(30)));
    agent.charge(NOW, 20, 0);
    assert_eq!(
        (left(&mut dana), left(&mut agent)),
        (Some(40), Some(10)),
        "an agent's rows are dana's"
    );
    dana.charge(NOW, 35, 0);
    assert_eq!(left(&mut agent), Some(5), "what dana has left is all that is left");
    let later = Timestamp(NOW.0 + 3_700 * 1_000_000);
    let insert = "INSERT INTO orders VALUES (1, 'x')";
    dana.refresh(Timestamp(NOW.0 + 10_000_000)).expect("still there");
    assert_eq!(rule_of(&mut dana, insert), ("deny".into(), "site.looked".into()));
    dana.refresh(later).expect("still there");
    let ruling = dana.rule(insert.as_bytes(), later);
    assert!(matches!(ruling.decision.verdict, Verdict::Allow), "an hour later");
}

#[test]
fn definitions_and_functions_are_opened_by_name() {
    let text = "@id(\"site.scope\") forbid (principal is User, action == Action::\"Define\", resource)
        unless { resource in Schema::\"shop/scratch\" };
        @id(\"site.call\") permit (principal is User, action == Action::\"Call\", resource == Function::\"shop/public/my_function\");";
    let mut gate = gate_with("user:dana", text);
    for (text, expected) in [
        ("CREATE TABLE scratch.t (id int)", "allow"),
        ("CREATE TABLE t (id int)", "deny"),
        ("SELECT id INTO public.t FROM orders", "deny"),
        ("DROP FUNCTION f()", "deny"),
        ("SET search_path = scratch; CREATE TABLE t (id int)", "deny"),
        ("SELECT my_function()", "allow"),
        ("SELECT public.my_function(), pg_read_file('x')", "deny"),
    ] {
        assert_eq!(rule_of(&mut gate, text).0, expected, "{text}");
    }
}

#[test]
fn a_rule_can_look_at_the_rows_that_the_planner_expects() {
    let text = "@id(\"site.big\") @approvers(\"dba\") forbid (principal, action == Action::\"WithoutApproval\", resource)
        when { context has rows_expected && context.rows_expected > 1000 };";
    let mut gate = gate_with("user:dana", text);
    for sql in
        ["SELECT id FROM orders", "SELECT id FROM orders WHERE id = 7", "SELECT ssn FROM customers"]
    {
        let first = gate.rule(sql.as_bytes(), NOW);
        assert!(gate.wants_estimate(&first), "{sql}");
        let big = gate.rule_expecting(sql.as_bytes(), Some(5_000), NOW);
        assert_eq!(big.decision.verdict.as_str(), "hold", "{sql}");
        assert!(big.rules().ends_with("site.big"), "{}", big.rules());
        let again = gate.rule(sql.as_bytes(), NOW);
        assert!(!gate.wants_estimate(&again) && again.decision.verdict.as_str() == "hold", "{sql}");
    }
    // Another integer is another estimate.
    let other = gate.rule(b"SELECT id FROM orders WHERE id = 8", NOW);
    assert!(gate.wants_estimate(&other));
    // What runs nothing, is refused, or is no one query is not asked about (E1).
    for sql in [
        "BEGIN",
        "SET search_path = public",
        "GRANT SELECT ON orders TO public",
        "SELECT 1; SELECT 2",
    ] {
        let ruling = gate.rule(sql.as_bytes(), NOW);
        assert!(!gate.wants_estimate(&ruling), "{sql}");
    }
    // Control: without such a rule nobody asks.
    let mut plain = self::gate("user:dana");
    let ruling = plain.rule(b"SELECT id FROM orders", NOW);
    assert!(!plain.wants_estimate(&ruling));
}

#[test]
fn an_unknown_name_is_told_with_the_servers_own_code() {
    let mut gate = gate("user:dana");
    for (text, code, words) in [
        ("SELECT * FROM nowhere", "42P01", "relation \"nowhere\" does not exist"),
        ("SELECT * FROM app.nowhere", "42P01", "relation \"app.nowhere\" does not exist"),
        ("SELECT nothing FROM orders", "42703", "column \"nothing\" does not exist"),
        ("SELECT orders.nothing FROM orders", "42703", "column orders.nothing does not exist"),
        ("SELEC", "42601", "syntax error at or near \"SELEC\""),
        ("DO $$ BEGIN END $$", "42501", "DO runs text that cannot be analysed"),
        ("GRANT SELECT ON orders TO x", "42501", "no policy permits grant through the gateway"),
    ] {
        let ruling = gate.rule(text.as_bytes(), NOW);
        let Verdict::Deny(denial) = &ruling.decision.verdict else { panic!("{text} passed") };
        assert_eq!((ruling.sqlstate.0, denial.reason.as_str()), (code, words), "{text}");
    }
}

#[test]
fn a_function_is_known_by_its_object_id() {
    let gate = gate("user:dana");
    let text = |oid| gate.function_call_text(oid, 2);
    let open = text(952).expect("the server's own");
    assert_eq!(open, "SELECT \"pg_catalog\".\"lo_open\"($1, $2) /* function 952 */");
    assert_eq!(verdict("user:dana", &open), "deny", "opaque, as in SQL");
    assert_eq!(text(2026), None, "pg_backend_pid, which no library calls this way");
}
