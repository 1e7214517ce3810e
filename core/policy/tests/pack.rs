//! The default pack: what a fresh install does with no policy written.

mod common;

use common::*;
use writ_model::StatementKind as K;
use writ_model::{DurationMs, Epoch, OpaqueReason, StatementFacts, Verdict};

fn verdict(
    p: &writ_policy::Policies,
    who: &writ_model::Actor,
    env: &str,
    f: &StatementFacts,
) -> &'static str {
    decide(p, who, env, f).verdict.as_str()
}

/// Statements that pass for everyone with access, in every environment.
fn harmless() -> Vec<(&'static str, StatementFacts)> {
    let pg_class = relation("pg_catalog", "pg_class", &["oid", "relname", "relkind"]);
    let pg_namespace = relation("pg_catalog", "pg_namespace", &["oid", "nspname"]);
    vec![
        ("select", facts(&[K::Select], &[customers()], &[])),
        ("select 1", facts(&[K::Select], &[], &[])),
        ("\\d", facts(&[K::Select], &[pg_class, pg_namespace], &[])),
        ("insert", facts(&[K::Insert], &[], &[customers()])),
        ("update where", facts(&[K::Update], &[customers()], &[customers()])),
        ("delete where", facts(&[K::Delete], &[customers()], &[customers()])),
        ("merge", facts(&[K::Merge], &[customers()], &[customers()])),
        ("copy from stdin", facts(&[K::CopyIn], &[], &[customers()])),
        ("copy to stdout", facts(&[K::CopyOut], &[customers()], &[])),
        ("create table", facts(&[K::Create], &[], &[])),
        ("create table as", facts(&[K::Create, K::Select], &[customers()], &[])),
        ("explain", facts(&[K::Explain, K::Select], &[customers()], &[])),
        ("listen", facts(&[K::Notify], &[], &[])),
        ("set", facts(&[K::Set], &[], &[])),
        ("begin", facts(&[K::Transaction], &[], &[])),
        ("declare cursor", facts(&[K::Cursor, K::Select], &[customers()], &[])),
        ("fetch", facts(&[K::Cursor], &[], &[])),
        ("prepare", facts(&[K::Prepare, K::Select], &[customers()], &[])),
        ("lock table", facts(&[K::Lock], &[customers()], &[])),
        ("vacuum", facts(&[K::Maintenance], &[], &[])),
        ("discard", facts(&[K::Discard], &[], &[])),
        ("comment only", facts(&[K::Empty], &[], &[])),
    ]
}

fn destructive() -> Vec<(&'static str, StatementFacts)> {
    let mut drop = facts(&[K::Drop], &[], &[]);
    drop.defines.insert("customers".to_owned());
    let unbounded = |kind| {
        let mut f = facts(&[kind], &[customers()], &[customers()]);
        f.bounded = false;
        f
    };
    vec![
        ("drop", drop),
        ("alter", facts(&[K::Alter], &[], &[])),
        ("truncate", facts(&[K::Truncate], &[], &[customers()])),
        ("update", unbounded(K::Update)),
        ("delete", unbounded(K::Delete)),
        ("explain delete", {
            let mut f = facts(&[K::Explain, K::Delete], &[], &[customers()]);
            f.bounded = false;
            f
        }),
    ]
}

fn closed() -> Vec<(&'static str, StatementFacts)> {
    let opaque = |kind, why| {
        let mut f = facts(&[kind], &[customers()], &[]);
        f.opaque.insert(why);
        f
    };
    vec![
        ("grant", facts(&[K::Grant], &[], &[])),
        ("create role", facts(&[K::Role], &[], &[])),
        ("set role", facts(&[K::SetRole], &[], &[])),
        ("alter system", facts(&[K::Server], &[], &[])),
        ("copy program", facts(&[K::CopyProgram], &[], &[customers()])),
        ("copy server file", facts(&[K::CopyServerFile], &[customers()], &[])),
        ("do", facts(&[K::Do], &[], &[])),
        ("call", facts(&[K::Call], &[], &[])),
        ("unknown", facts(&[K::Unknown], &[], &[])),
        ("bad syntax", opaque(K::Unknown, OpaqueReason::Syntax("at FOO".to_owned()))),
        (
            "untrusted function",
            opaque(K::Select, OpaqueReason::UntrustedFunction("public.leak".to_owned())),
        ),
        ("dblink", opaque(K::Select, OpaqueReason::DynamicSql("dblink".to_owned()))),
        ("rewrite", opaque(K::Select, OpaqueReason::Rewrite("FOR UPDATE".to_owned()))),
    ]
}

fn developer_service_admin() -> [writ_model::Actor; 4] {
    [
        dana(),
        actor("service:billing", &[]),
        actor("user:ada", &["admins"]),
        actor("user:bo", &["dba", "auditors"]),
    ]
}

#[test]
fn harmless_statements_pass_for_people_services_and_agents() {
    let p = pack();
    let mut everyone = developer_service_admin().to_vec();
    everyone.push(danas_agent());
    for who in &everyone {
        for env in ["prod", "staging"] {
            for (name, f) in harmless() {
                let decision = decide(&p, who, env, &f);
                assert_eq!(
                    decision.verdict,
                    Verdict::Allow,
                    "{name} by {} in {env}",
                    who.principal.id
                );
                assert_eq!(decision.epoch, Epoch(7));
                assert_eq!(decision.strict, f.is_strict(), "{name}"); // E6
            }
        }
    }
}

#[test]
fn destruction_in_prod_waits_for_a_dba() {
    let p = pack();
    for who in &developer_service_admin() {
        for (name, f) in destructive() {
            let decision = decide(&p, who, "prod", &f);
            let Verdict::Hold(terms) = &decision.verdict else { panic!("{name}: {decision:?}") };
            assert_eq!(terms.approvers, vec!["dba".parse().expect("a group")], "{name}");
            assert_eq!((terms.quorum, terms.expires), (1, DurationMs::from_seconds(300)));
            assert!(terms.reason.contains("wait for a DBA"), "{name}");
            assert!(decision.strict, "{name}: held statements are strict (E6)");
            assert!(rules(&decision).iter().any(|r| r.starts_with("pack.hold-")), "{name}");
        }
    }
}

#[test]
fn destruction_in_prod_is_refused_for_agents() {
    let p = pack();
    for admin_behind in
        [danas_agent(), agent(&["admins", "dba"], &[("user:ada", &["admins", "dba"])])]
    {
        for (name, f) in destructive() {
            let decision = decide(&p, &admin_behind, "prod", &f);
            assert_eq!(decision.verdict.as_str(), "deny", "{name}");
            assert!(reason(&decision).starts_with("agents may not"), "{name}");
            assert!(next_step(&decision).contains("the person you act for"), "{name}");
            assert!(rules(&decision).iter().any(|r| r.starts_with("pack.agents-no-")), "{name}");
        }
    }
}

#[test]
fn destruction_elsewhere_passes() {
    let p = pack();
    for (name, f) in destructive() {
        assert_eq!(verdict(&p, &dana(), "staging", &f), "allow", "{name}");
        assert_eq!(verdict(&p, &danas_agent(), "staging", &f), "allow", "{name}");
    }
}

#[test]
fn administration_and_opaque_statements_are_refused_everywhere_for_everyone() {
    let p = pack();
    let mut everyone = developer_service_admin().to_vec();
    everyone.push(agent(&["admins"], &[("user:ada", &["admins"])]));
    for who in &everyone {
        for env in ["prod", "staging"] {
            for (name, f) in closed() {
                let decision = decide(&p, who, env, &f);
                assert_eq!(decision.verdict.as_str(), "deny", "{name} by {}", who.principal.id);
                assert!(!decision.rules.is_empty(), "{name}: a refusal names its rule");
                assert!(
                    !reason(&decision).is_empty() && !next_step(&decision).is_empty(),
                    "{name}"
                );
                assert!(decision.strict, "{name}");
            }
        }
    }
}

#[test]
fn refusals_say_what_is_not_known() {
    let p = pack();
    let mut f = facts(&[K::Select], &[], &[]);
    f.opaque.insert(OpaqueReason::UntrustedFunction("public.leak".to_owned()));
    let decision = decide(&p, &dana(), "staging", &f);
    assert_eq!(reason(&decision), "function public.leak is not known to be harmless");
    assert_eq!(rules(&decision), ["closed.opaque"]);
    let decision = decide(&p, &dana(), "staging", &facts(&[K::Grant], &[], &[]));
    assert_eq!(reason(&decision), "no policy permits grant through the gateway");
    assert_eq!(rules(&decision), ["closed.administer"]);
}

#[test]
fn one_bad_statement_among_many_refuses_them_all() {
    let p = pack();
    let all = facts(&[K::Select, K::Drop, K::Grant], &[customers()], &[]);
    assert_eq!(verdict(&p, &dana(), "prod", &all), "deny");
    let held = facts(&[K::Select, K::Drop], &[customers()], &[]);
    assert_eq!(verdict(&p, &dana(), "prod", &held), "hold");
}

#[test]
fn who_may_connect() {
    let p = pack();
    let ok = |who: &writ_model::Actor| connect(&p, who, "prod").verdict == Verdict::Allow;
    assert!(ok(&dana()));
    assert!(ok(&actor("user:bo", &["dba"])));
    assert!(ok(&actor("user:ada", &["admins"])));
    assert!(ok(&actor("service:billing", &[])));
    assert!(ok(&danas_agent()));
    assert!(ok(&actor("user:both", &["auditors", "developers"])));
    assert!(!ok(&actor("user:ann", &["auditors"])));
    assert!(!ok(&actor("user:new", &[])));
    assert!(!ok(&agent(&["developers"], &[("user:ann", &["auditors"])])));
    let refused = connect(&p, &actor("user:ann", &["auditors"]), "prod");
    assert_eq!(rules(&refused), ["closed.connect"]);
    // Whoever cannot connect cannot decide either, should a session outlive its rights.
    let select = facts(&[K::Select], &[], &[]);
    assert_eq!(verdict(&p, &actor("user:ann", &["auditors"]), "prod", &select), "deny");
}

#[test]
fn only_admins_see_tagged_columns() {
    let p = pack();
    assert_eq!(masked(&p, &dana()).len(), 3);
    assert_eq!(masked(&p, &actor("service:billing", &[])).len(), 3);
    assert_eq!(masked(&p, &actor("user:bo", &["dba"])).len(), 3);
    assert!(masked(&p, &actor("user:ada", &["admins"])).is_empty());
    // The whole chain: neither an admin's agent nor an agent made admin for somebody else.
    assert_eq!(masked(&p, &agent(&[], &[("user:ada", &["admins"])])).len(), 3);
    assert_eq!(masked(&p, &agent(&["admins"], &[("user:dana", &["developers"])])).len(), 3);
    assert!(masked(&p, &agent(&["admins"], &[("user:ada", &["admins"])])).is_empty());
}

#[test]
fn a_write_that_asks_about_masked_values_waits_for_people_and_is_refused_to_others() {
    let p = pack();
    let mut probe = facts(&[K::Insert], &[], &[customers()]);
    probe.opaque.insert(OpaqueReason::Oracle("public.customers.customers_email_key".into()));
    assert_eq!(verdict(&p, &dana(), "staging", &probe), "hold");
    assert_eq!(verdict(&p, &danas_agent(), "staging", &probe), "deny");
    // Together with anything else that is not known it stays closed.
    probe.opaque.insert(OpaqueReason::UntrustedFunction("public.f".into()));
    assert_eq!(verdict(&p, &dana(), "staging", &probe), "deny");
}
