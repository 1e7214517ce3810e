//! What site rules can say, and how their answers become a decision.

mod common;

use common::*;
use writ_model::StatementKind as K;
use writ_model::{Actor, ColumnRef, DurationMs, Epoch, OpaqueReason, Verdict};
use writ_policy::{Policies, Subject};

const ALL: &str = r#"@id("all") permit (principal, action, resource);"#;
/// Overflows when evaluated: passes validation, fails at run time.
const OVERFLOW: &str = "context.now * 9223372036854775807 > 0";

fn select() -> writ_model::StatementFacts {
    facts(&[K::Select], &[customers()], &[])
}

#[test]
fn nothing_permits_nothing() {
    let p = Policies::compile(&[]).expect("an empty set");
    let decision = decide(&p, &dana(), "dev", &select());
    assert_eq!(decision.verdict.as_str(), "deny");
    assert_eq!(rules(&decision), ["closed.read"]);
    assert_eq!(connect(&p, &dana(), "dev").verdict.as_str(), "deny");
    assert_eq!(masked(&p, &actor("user:ada", &["admins"])).len(), 3);
}

#[test]
fn a_rule_that_fails_to_evaluate_refuses() {
    // Control: the same rule, evaluable and false, refuses nothing.
    let fine = format!(
        r#"{ALL} @id("odd") forbid (principal, action, resource) when {{ context.now < 0 }};"#
    );
    assert_eq!(decide(&only(&fine), &dana(), "dev", &select()).verdict, Verdict::Allow);
    // Cedar itself skips the failing `forbid` and allows; C5 does not.
    for effect in ["forbid", "permit"] {
        let text = format!(
            r#"{ALL} @id("odd") {effect} (principal, action, resource) when {{ {OVERFLOW} }};"#
        );
        let p = only(&text);
        let decision = decide(&p, &dana(), "dev", &select());
        assert_eq!(decision.verdict.as_str(), "deny", "{effect}");
        assert_eq!(rules(&decision), ["closed.error", "odd"], "{effect}");
        assert_eq!(connect(&p, &dana(), "dev").verdict.as_str(), "deny", "{effect}");
        let database = database("dev");
        let ada = actor("user:ada", &["admins"]);
        let subject = Subject { actor: &ada, database: &database, epoch: Epoch(1) };
        let masks = p.masks(&subject, &request(), &sensitive());
        assert!(masks.is_err_and(|d| d.reason.contains("could not be evaluated")), "{effect}");
    }
}

#[test]
fn a_failing_hold_rule_refuses_too() {
    let text = format!(
        r#"{ALL} @id("odd") @approvers("dba") forbid (principal, action == Action::"WithoutApproval", resource) when {{ {OVERFLOW} }};"#
    );
    assert_eq!(decide(&only(&text), &dana(), "dev", &select()).verdict.as_str(), "deny");
}

#[test]
fn a_failing_rule_of_another_action_does_not_matter() {
    let text = format!(
        r#"{ALL} @id("odd") forbid (principal, action == Action::"Export", resource) when {{ {OVERFLOW} }};"#
    );
    assert_eq!(decide(&only(&text), &dana(), "dev", &select()).verdict, Verdict::Allow);
}

#[test]
fn everyone_in_the_chain_must_be_permitted() {
    let p =
        only(r#"permit (principal, action, resource) when { principal.groups.contains("ok") };"#);
    let deep = |groups: [&'static [&'static str]; 3]| {
        agent(groups[0], &[("agent:outer", groups[1]), ("user:dana", groups[2])])
    };
    let verdict = |a| decide(&p, &a, "dev", &select()).verdict.as_str();
    assert_eq!(verdict(deep([&["ok"], &["ok"], &["ok"]])), "allow");
    assert_eq!(verdict(deep([&[], &["ok"], &["ok"]])), "deny");
    assert_eq!(verdict(deep([&["ok"], &[], &["ok"]])), "deny");
    assert_eq!(verdict(deep([&["ok"], &["ok"], &[]])), "deny");
}

#[test]
fn a_hold_for_anyone_in_the_chain_holds() {
    let p = only(&format!(
        r#"{ALL} @id("h") @approvers("leads") @quorum("2") @expires("2h") @reason("second pair of eyes")
        forbid (principal == User::"dana", action == Action::"WithoutApproval", resource);"#
    ));
    let Verdict::Hold(terms) = decide(&p, &danas_agent(), "dev", &select()).verdict else {
        panic!("not held")
    };
    assert_eq!(terms.quorum, 2);
    assert_eq!(terms.expires, DurationMs::from_seconds(7_200));
    assert_eq!(terms.reason, "second pair of eyes");
}

#[test]
fn holds_combine_to_the_strictest_or_refuse() {
    let hold = |id: &str, who: &str, quorum: u32, expires: &str| {
        format!(
            r#"@id("{id}") @approvers("{who}") @quorum("{quorum}") @expires("{expires}")
            forbid (principal, action == Action::"WithoutApproval", resource);"#
        )
    };
    let both = format!("{ALL}{}{}", hold("a", "dba, leads", 1, "5m"), hold("b", "leads", 3, "90s"));
    let Verdict::Hold(terms) = decide(&only(&both), &dana(), "dev", &select()).verdict else {
        panic!("not held")
    };
    assert_eq!(terms.approvers, vec!["leads".parse().expect("a group")]);
    assert_eq!((terms.quorum, terms.expires), (3, DurationMs::from_seconds(90)));
    let apart = format!("{ALL}{}{}", hold("a", "dba", 1, "5m"), hold("b", "leads", 1, "5m"));
    let decision = decide(&only(&apart), &dana(), "dev", &select());
    assert!(reason(&decision).contains("no group may approve for all"), "{decision:?}");
}

#[test]
fn a_forbid_wins_over_a_hold() {
    let p = with_pack(
        r#"@id("site.freeze") @reason("release freeze") @next_step("wait until Monday")
        forbid (principal, action, resource) when { context.environment == "prod" };"#,
    );
    let drop = facts(&[K::Drop], &[], &[]);
    let decision = decide(&p, &dana(), "prod", &drop);
    assert_eq!(decision.verdict.as_str(), "deny");
    assert_eq!(reason(&decision), "release freeze");
    assert_eq!(next_step(&decision), "wait until Monday");
    assert!(rules(&decision).contains(&"site.freeze"));
}

#[test]
fn policy_can_open_an_opaque_statement_by_name() {
    let p = with_pack(
        r#"@id("site.report") permit (principal, action == Action::"RunOpaque", resource)
        when { ["untrusted_function"].containsAll(context.opaque) && ["public.report"].containsAll(context.opaqueDetails) };"#,
    );
    let with = |name: &str| {
        let mut f = select();
        f.opaque.insert(OpaqueReason::UntrustedFunction(name.to_owned()));
        f
    };
    let opened = decide(&p, &dana(), "prod", &with("public.report"));
    assert_eq!(opened.verdict, Verdict::Allow);
    assert!(opened.strict && rules(&opened).contains(&"site.report"), "opened and recorded (E2)");
    assert_eq!(decide(&p, &dana(), "prod", &with("public.leak")).verdict.as_str(), "deny");
}

#[test]
fn rules_can_name_tables_columns_and_tags() {
    let p = with_pack(
        r#"@id("site.table") forbid (principal, action == Action::"Read", resource == Table::"shop/public/customers");"#,
    );
    assert_eq!(rules(&decide(&p, &dana(), "prod", &select())).last(), Some(&"site.table"));
    let p = with_pack(
        r#"@id("site.tag") forbid (principal, action == Action::"Export", resource) when { context.tags.contains("pii.email") };"#,
    );
    let copy = facts(&[K::CopyOut], &[customers()], &[]);
    assert_eq!(decide(&p, &dana(), "prod", &copy).verdict.as_str(), "deny");
    let harmless = facts(&[K::CopyOut], &[relation("public", "customers", &["id"])], &[]);
    assert_eq!(decide(&p, &dana(), "prod", &harmless).verdict, Verdict::Allow);
}

#[test]
fn rules_can_name_networks_tags_of_databases_and_environments() {
    let p = with_pack(
        r#"@id("site.net") forbid (principal, action == Action::"Connect", resource in Environment::"prod")
        unless { context has client && context.client.isInRange(ip("192.168.0.0/16")) };
        @id("site.tier") forbid (principal, action == Action::"Connect", resource)
        when { resource.hasTag("tier") && resource.getTag("tier") == "1" && context.environment == "staging" };"#,
    );
    assert_eq!(rules(&connect(&p, &dana(), "prod")), ["site.net"]);
    assert_eq!(rules(&connect(&p, &dana(), "staging")), ["site.tier"]);
    assert_eq!(connect(&p, &dana(), "dev").verdict, Verdict::Allow);
}

#[test]
fn unmasking_by_tag_and_by_column() {
    let by_tag = with_pack(
        r#"permit (principal in Group::"developers", action == Action::"Unmasked", resource) when { resource.tag == "pii.email" };"#,
    );
    assert_eq!(masked(&by_tag, &dana()).into_iter().collect::<Vec<_>>(), ["customers.ssn Redact"]);
    // Two columns of one tag with different answers: a question per tag would get one of them wrong.
    for scope in [
        r#"permit (principal, action == Action::"Unmasked", resource in Table::"shop/public/orders");"#,
        r#"permit (principal, action == Action::"Unmasked", resource) when { resource.name == "ship_email" };"#,
        r#"permit (principal, action in [Action::"Unmasked"], resource) when { resource in Table::"shop/public/orders" };"#,
    ] {
        let found = masked(&with_pack(scope), &dana());
        let expected = ["customers.email Redact", "customers.ssn Redact"];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{scope}");
    }
}

#[test]
fn matching_is_permitted_by_tag_for_everyone_in_the_chain() {
    let matched = |policies: &Policies, actor: &Actor| {
        let masks = masks(policies, actor);
        let may = |column: &str| {
            masks.may_match(&ColumnRef {
                schema: "public".to_owned(),
                relation: "customers".to_owned(),
                column: column.to_owned(),
            })
        };
        (may("ssn"), may("email"))
    };
    assert_eq!(matched(&pack(), &dana()), (false, false));
    let people = with_pack(
        r#"permit (principal is User, action == Action::"Match", resource) when { resource.tag == "pii.national_id" };"#,
    );
    assert_eq!(matched(&people, &dana()), (true, false));
    assert_eq!(matched(&people, &danas_agent()), (false, false), "the agent itself may not");
    let all = with_pack(r#"permit (principal, action == Action::"Match", resource);"#);
    assert_eq!(matched(&all, &danas_agent()), (true, true));
    // A column with two tags is matched where both may be, and hides what both hide.
    let twice = |rules: &str| {
        let p = with_pack(rules);
        let actor = dana();
        let database = database("prod");
        let subject = Subject { actor: &actor, database: &database, epoch: Epoch(7) };
        let tags = [
            sensitivity("customers", "ssn", "pii.email"),
            sensitivity("customers", "ssn", "pii.national_id"),
        ];
        let reversed = [tags[1].clone(), tags[0].clone()];
        [tags, reversed].map(|tags| {
            let masks = p.masks(&subject, &request(), &tags).expect("masks");
            let kind =
                format!("{:?}", masks.relation("public", "customers").expect("masked")["ssn"].kind);
            (masks.may_match(&tags[0].column), kind)
        })
    };
    let by_one = r#"permit (principal, action == Action::"Match", resource) when { resource.tag == "pii.email" };
        @mask("hash") forbid (principal, action == Action::"Unmasked", resource) when { resource.tag == "pii.email" };"#;
    assert_eq!(twice(by_one), [(false, "Redact".to_owned()), (false, "Redact".to_owned())]);
    assert!(
        twice(r#"permit (principal, action == Action::"Match", resource);"#)
            .iter()
            .all(|(may, _)| *may)
    );
    // Columns of one tag with different answers.
    let one = with_pack(
        r#"permit (principal, action == Action::"Match", resource) when { resource.name == "email" };"#,
    );
    assert_eq!(matched(&one, &dana()), (false, true));
}

#[test]
fn the_strongest_mask_of_the_chain_wins() {
    let p = with_pack(
        r#"@mask("null") forbid (principal is Agent, action == Action::"Unmasked", resource) when { resource.tag like "pii.n*" };"#,
    );
    assert!(masked(&p, &dana()).contains("customers.ssn Redact"));
    assert!(masked(&p, &danas_agent()).contains("customers.ssn Null"));
    assert!(masked(&p, &danas_agent()).contains("customers.email Redact"));
}

#[test]
fn rules_that_look_at_the_time_are_known() {
    assert!(!pack().looks_at_time());
    for timed in [
        r#"forbid (principal, action == Action::"Read", resource) when { context.hour > 20 };"#,
        r#"forbid (principal, action == Action::"Read", resource) when { context["weekday"] == 7 };"#,
        r#"forbid (principal, action == Action::"Read", resource) unless { context . now < 5 };"#,
    ] {
        assert!(with_pack(timed).looks_at_time(), "{timed}");
    }
}

#[test]
fn a_rule_can_ask_for_strict_audit() {
    assert!(!decide(&pack(), &dana(), "prod", &select()).strict, "control");
    let p = with_pack(
        r#"@audit("strict") permit (principal, action == Action::"Read", resource == Table::"shop/public/customers");"#,
    );
    assert!(decide(&p, &dana(), "prod", &select()).strict);
}
