//! Guardrails beyond the default pack: limits, budgets, times, DDL scopes, schemas and functions.

mod common;

use common::*;
use writ_model::StatementKind as K;
use writ_model::{Epoch, Limits, OpaqueReason, StatementFacts, Timestamp, Usage, Verdict};
use writ_policy::{Policies, PolicyFile, Subject};

fn select() -> StatementFacts {
    facts(&[K::Select], &[customers()], &[])
}

fn limits(p: &Policies, actor: &writ_model::Actor) -> Limits {
    decide(p, actor, "prod", &select()).limits
}

#[test]
fn the_smallest_limit_of_all_rules_that_permit_holds() {
    assert!(limits(&pack(), &dana()).is_none(), "control: without a rule nothing is limited");
    let p = with_pack(
        r#"@max_rows("1000") @max_bytes("10MB") permit (principal, action == Action::"Read", resource);
        @max_rows("200") permit (principal is Agent, action == Action::"WithoutApproval", resource);
        @max_rows("5") permit (principal, action == Action::"Export", resource);
        @max_rows_affected("100") permit (principal, action == Action::"Connect", resource);"#,
    );
    let people = limits(&p, &dana());
    assert_eq!((people.rows_max, people.bytes_max), (Some(1_000), Some(10 << 20)));
    assert_eq!(people.rows_affected_max, None, "no rule about this statement says so");
    assert_eq!(limits(&p, &danas_agent()).rows_max, Some(200));
    let copy = facts(&[K::CopyOut], &[customers()], &[]);
    assert_eq!(decide(&p, &dana(), "prod", &copy).limits.rows_max, Some(5));
    assert_eq!(connect(&p, &dana(), "prod").limits.rows_affected_max, Some(100));
}

#[test]
fn an_approved_statement_keeps_no_limit_that_only_lack_of_approval_set() {
    let p = with_pack(
        r#"@max_rows("10") permit (principal, action == Action::"WithoutApproval", resource);
        @id("site.big") @approvers("dba") forbid (principal, action == Action::"WithoutApproval", resource)
        when { context has rows_expected && context.rows_expected > 1000 };"#,
    );
    let ask = |rows| {
        let (dana, database) = (dana(), database("prod"));
        let subject = Subject { actor: &dana, database: &database, epoch: Epoch(7) };
        let mut request = request();
        request.rows_expected = rows;
        p.decide(&subject, &request, &select(), &sensitive())
    };
    assert_eq!(ask(None).verdict, Verdict::Allow);
    assert_eq!(ask(Some(1_000)).limits.rows_max, Some(10));
    let held = ask(Some(5_000));
    assert_eq!(held.verdict.as_str(), "hold");
    assert_eq!(held.limits.rows_max, None);
    assert!(p.wants_estimates() && !pack().wants_estimates());
}

#[test]
fn hourly_limits_belong_to_the_principal_that_the_rule_permits() {
    let p = with_pack(
        r#"@rows_per_hour("500") permit (principal is Agent, action == Action::"Read", resource);
        @rows_per_hour("9000") @bytes_per_hour("1MB") permit (principal is User, action == Action::"Read", resource);"#,
    );
    assert!(p.counts_usage() && !pack().counts_usage());
    let found: Vec<_> = limits(&p, &danas_agent())
        .hourly
        .into_iter()
        .map(|h| (h.principal.to_string(), h.rows_max, h.bytes_max))
        .collect();
    assert_eq!(
        found,
        [
            ("agent:copilot".to_owned(), Some(500), None),
            ("user:dana".to_owned(), Some(9_000), Some(1 << 20)),
        ]
    );
}

#[test]
fn a_rule_can_look_at_what_was_taken_in_the_last_hour() {
    let p = with_pack(
        r#"@id("site.budget") forbid (principal, action == Action::"Read", resource)
        when { context.rows_last_hour > 1000 || context.bytes_last_hour > 65536 };"#,
    );
    assert!(p.counts_usage());
    for (rows, bytes, verdict) in
        [(0, 0, "allow"), (1_000, 65_536, "allow"), (1_001, 0, "deny"), (0, u64::MAX, "deny")]
    {
        let (dana, database) = (dana(), database("prod"));
        let subject = Subject { actor: &dana, database: &database, epoch: Epoch(7) };
        let mut request = request();
        request.usage = Usage { rows, bytes };
        let decision = p.decide(&subject, &request, &select(), &sensitive());
        assert_eq!(decision.verdict.as_str(), verdict, "{rows} {bytes}");
    }
}

#[test]
fn a_time_window_is_in_utc() {
    let p = with_pack(
        r#"@id("site.hours") @reason("changes are made on working days from 8 to 18 UTC")
        forbid (principal, action in [Action::"Write", Action::"Define"], resource)
        unless { context.weekday <= 5 && context.hour >= 8 && context.hour < 18 };"#,
    );
    let insert = facts(&[K::Insert], &[], &[customers()]);
    // Monday 2024-01-01T00:00:00Z.
    const MONDAY: i64 = 1_704_067_200;
    const HOUR: i64 = 3_600;
    for (hours, verdict) in [
        (7, "deny"),
        (8, "allow"),
        (17, "allow"),
        (18, "deny"),
        (4 * 24 + 12, "allow"),
        (5 * 24 + 12, "deny"),
        (6 * 24 + 12, "deny"),
        (7 * 24 + 12, "allow"),
        (-9, "deny"),
        (-365 * 24 * 60 + 12, "allow"),
    ] {
        let (dana, database) = (dana(), database("prod"));
        let subject = Subject { actor: &dana, database: &database, epoch: Epoch(7) };
        let mut request = request();
        request.now = Timestamp((MONDAY + hours * HOUR) * 1_000_000);
        let decision = p.decide(&subject, &request, &insert, &sensitive());
        assert_eq!(decision.verdict.as_str(), verdict, "Monday + {hours} h");
        let read = p.decide(&subject, &request, &select(), &sensitive());
        assert_eq!(read.verdict, Verdict::Allow);
    }
}

#[test]
fn definitions_are_permitted_by_schema_and_by_kind() {
    let p = only(
        r#"permit (principal, action in [Action::"Connect", Action::"Read", Action::"WithoutApproval"], resource);
        permit (principal, action == Action::"Define", resource in Schema::"shop/scratch")
        when { ["table", "index"].containsAll(context.objects) && !context.kinds.contains("drop") };"#,
    );
    let define = |kind, schemas: &[Option<&str>], object: &str| {
        let mut f = facts(&[kind], &[], &[]);
        f.define_schemas = schemas.iter().map(|s| s.map(str::to_owned)).collect();
        f.object_kinds = [object.to_owned()].into();
        decide(&p, &dana(), "prod", &f)
    };
    assert_eq!(define(K::Create, &[Some("scratch")], "table").verdict, Verdict::Allow);
    for (kind, schemas, object) in [
        (K::Create, &[Some("public")][..], "table"),
        (K::Create, &[Some("scratch")][..], "function"),
        (K::Drop, &[Some("scratch")][..], "table"),
        (K::Alter, &[Some("scratch"), Some("public")][..], "table"),
        (K::Create, &[None][..], "table"),
        (K::Create, &[None, Some("scratch")][..], "table"),
        (K::Create, &[][..], "table"),
    ] {
        let decision = define(kind, schemas, object);
        assert_eq!(decision.verdict.as_str(), "deny", "{kind:?} {schemas:?} {object}");
        assert_eq!(rules(&decision), ["closed.define"]);
    }
    assert!(next_step(&define(K::Create, &[None], "table")).contains("with its schema"));
    // Control: the pack permits definitions everywhere.
    let mut anywhere = facts(&[K::Create], &[], &[]);
    anywhere.define_schemas = [Some("public".to_owned()), None].into();
    assert_eq!(decide(&pack(), &dana(), "prod", &anywhere).verdict, Verdict::Allow);
}

#[test]
fn an_allow_list_of_schemas_lets_nothing_else_through() {
    let p = with_pack(
        r#"@id("site.schemas") @next_step("use the views in reporting")
        forbid (principal is Agent, action in [Action::"Read", Action::"Write", Action::"Export"], resource)
        unless { resource is Database || resource in Schema::"shop/reporting" };"#,
    );
    let reads = |schemas: &[&str]| {
        let reads: Vec<_> = schemas.iter().map(|s| relation(s, "t", &["id"])).collect();
        decide(&p, &danas_agent(), "prod", &facts(&[K::Select], &reads, &[]))
    };
    assert_eq!(reads(&["reporting"]).verdict, Verdict::Allow);
    assert_eq!(reads(&[]).verdict, Verdict::Allow, "SELECT 1");
    for schemas in [&["public"][..], &["reporting", "public"], &["pg_catalog"], &["reporting/x"]] {
        assert_eq!(rules(&reads(schemas)).last(), Some(&"site.schemas"), "{schemas:?}");
    }
}

#[test]
fn a_function_is_opened_by_its_exact_name() {
    let p = with_pack(
        r#"@id("site.report") permit (principal, action == Action::"Call", resource == Function::"shop/public/report");"#,
    );
    let with = |names: &[&str]| {
        let mut f = select();
        let reasons = names.iter().map(|n| OpaqueReason::UntrustedFunction((*n).to_owned()));
        f.opaque.extend(reasons);
        f
    };
    let opened = decide(&p, &dana(), "prod", &with(&["public.report"]));
    assert_eq!(opened.verdict, Verdict::Allow);
    assert!(opened.strict && rules(&opened).contains(&"site.report"), "opened and recorded (E2)");
    assert_eq!(
        decide(&pack(), &dana(), "prod", &with(&["public.report"])).verdict.as_str(),
        "deny"
    );
    for names in [
        &["public.leak"][..],
        &["public.report", "public.leak"],
        &["other.report"],
        &["report"],
        &["public.report.x"],
        &["triggers of public.report"],
    ] {
        let decision = decide(&p, &dana(), "prod", &with(names));
        assert_eq!(rules(&decision), ["closed.opaque"], "{names:?}");
    }
    // Anything else that is not known stays closed.
    let mut more = with(&["public.report"]);
    more.opaque.insert(OpaqueReason::DynamicSql("DO".into()));
    assert_eq!(rules(&decide(&p, &dana(), "prod", &more)), ["closed.opaque"]);
    // For an agent, everyone it acts for must be permitted too.
    let people = with_pack(
        r#"permit (principal is Agent, action == Action::"Call", resource == Function::"shop/public/report");"#,
    );
    let decision = decide(&people, &danas_agent(), "prod", &with(&["public.report"]));
    assert_eq!(rules(&decision), ["closed.opaque"]);
}

#[test]
fn an_allow_list_of_functions_closes_the_harmless_ones_too() {
    let p = with_pack(
        r#"@id("site.functions") @reason("agents may only count")
        forbid (principal is Agent, action == Action::"Call", resource)
        unless { resource.trusted && ["count", "sum"].contains(resource.name) };"#,
    );
    let calls = |names: &[&str]| {
        let mut f = select();
        f.functions = names.iter().map(|n| format!("pg_catalog.{n}")).collect();
        f
    };
    let agent = |names: &[&str]| decide(&p, &danas_agent(), "prod", &calls(names));
    assert_eq!(agent(&["count", "sum"]).verdict, Verdict::Allow);
    let refused = agent(&["count", "string_agg"]);
    assert_eq!(rules(&refused), ["site.functions"]);
    assert_eq!(reason(&refused), "agents may only count");
    assert_eq!(decide(&p, &dana(), "prod", &calls(&["string_agg"])).verdict, Verdict::Allow);
}

#[test]
fn limits_are_checked_where_they_stand() {
    let read = r#"permit (principal, action == Action::"Read", resource);"#;
    for (rule, expected) in [
        (format!(r#"@max_rows("0") {read}"#), "write 1 or more"),
        (format!(r#"@max_rows("1k") {read}"#), "write 1 or more"),
        (format!(r#"@max_rows_affected("-1") {read}"#), "write 1 or more"),
        (format!(r#"@rows_per_hour("") {read}"#), "write 1 or more"),
        (format!(r#"@max_bytes("10 MB") {read}"#), "\"10MB\""),
        (format!(r#"@bytes_per_hour("99999999999999GB") {read}"#), "\"10MB\""),
        (format!(r#"@access_mode("read_only") {read}"#), "Action::\"Connect\""),
        (
            r#"@access_mode("ro") permit (principal, action == Action::"Connect", resource);"#
                .to_owned(),
            "write \"read_only\"",
        ),
        (
            r#"@max_rows("9") permit (principal, action == Action::"Unmasked", resource);"#
                .to_owned(),
            "means nothing",
        ),
        (
            r#"@max_rows("9") forbid (principal, action == Action::"Read", resource);"#.to_owned(),
            "write it on a `permit`",
        ),
        (format!(r#"@maxrows("9") {read}"#), "@maxrows is not known"),
    ] {
        let file = PolicyFile { name: "site.cedar".to_owned(), text: rule.clone() };
        let error = Policies::compile(&[file]).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{rule}: {error}");
        assert!(error.starts_with("site.cedar:1:1:"), "{error}");
    }
}

#[test]
fn a_session_is_read_only_where_its_connect_rule_says_so() {
    let p = with_pack(
        r#"@access_mode("read_only") permit (principal is Agent, action == Action::"Connect", resource);"#,
    );
    assert!(connect(&p, &danas_agent(), "prod").limits.read_only);
    assert!(!connect(&p, &dana(), "prod").limits.read_only);
}

#[test]
fn the_examples_of_the_documentation_compile_with_the_pack() {
    let page = include_str!("../../../docs/policy.md");
    let mut examples = vec![String::new()];
    for line in page.lines() {
        match line.strip_prefix("    ") {
            Some(code) => {
                if let Some(last) = examples.last_mut() {
                    last.push_str(code);
                    last.push('\n');
                }
            }
            None => examples.push(String::new()),
        }
    }
    examples.retain(|text| text.starts_with("@id"));
    assert!(examples.len() >= 10, "{}", examples.len());
    with_pack(&examples.concat());
}
