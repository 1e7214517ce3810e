//! What a policy author is told.

use writ_policy::{Policies, PolicyFile, PolicyProblem, default_pack};

fn problems(text: &str) -> Vec<PolicyProblem> {
    let file = PolicyFile { name: "site.cedar".to_owned(), text: text.to_owned() };
    match Policies::compile(&[file]) {
        Ok(_) => panic!("compiles: {text}"),
        Err(error) => error.problems,
    }
}

/// The line and text of the only problem.
fn problem(text: &str) -> (usize, String) {
    let found = problems(text);
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(only.file, "site.cedar");
    (only.line, only.to_string())
}

#[test]
fn the_default_pack_compiles_and_names_every_rule() {
    let pack = default_pack();
    assert!(Policies::compile(&pack).is_ok());
    for file in &pack {
        let rules = file.text.matches("permit (").count() + file.text.matches("forbid (").count();
        let commented = file
            .text
            .lines()
            .filter(|l| l.starts_with("//"))
            .filter(|l| l.contains("permit ("))
            .count();
        assert_eq!(rules - commented, file.text.matches("@id(\"pack.").count(), "{}", file.name);
    }
}

#[test]
fn syntax_errors_name_file_and_line() {
    let (line, text) =
        problem("permit (principal, action, resource);\n\npermit (principal action);\n");
    assert_eq!(line, 3);
    assert!(text.starts_with("site.cedar:3:"), "{text}");
}

#[test]
fn unknown_names_are_found_by_the_schema() {
    let (line, text) = problem("// x\npermit (principal, action == Action::\"Raed\", resource);");
    assert_eq!(line, 2, "{text}");
    assert!(text.contains("Raed"), "{text}");
    let (line, _) = problem("permit (principal, action, resource)\nwhen {\n  context.bonded };");
    assert_eq!(line, 3);
    problems("permit (principal, action == Action::\"Read\", resource is Column);");
}

#[test]
fn annotations_are_checked_where_they_stand() {
    let first = "permit (principal, action, resource);\n";
    let held = r#"forbid (principal, action == Action::"WithoutApproval", resource);"#;
    for (annotations, expected) in [
        ("", "add @approvers"),
        (r#"@approvers(" , ")"#, "add @approvers"),
        (r#"@approvers("d b a")"#, "not allowed in an identifier"),
        (r#"@approvers("dba") @quorum("0")"#, "write 1 or more"),
        (r#"@approvers("dba") @quorum("two")"#, "write 1 or more"),
        (r#"@approvers("dba") @expires("5 minutes")"#, "\"15m\""),
        (r#"@approvers("dba") @expires("0m")"#, "\"15m\""),
        (r#"@approvers("dba") @quorom("2")"#, "@quorom is not known"),
        (r#"@approvers("dba") @audit("loose")"#, "write \"strict\""),
        (r#"@approvers("dba") @mask("blur")"#, "is no kind of mask; write \"redact\""),
        (r#"@approvers("dba") @mask("partial(0)")"#, "write partial(F,L)"),
        (r#"@approvers("dba") @mask("token")"#, "only means something on"),
        (r#"@approvers("dba") @max_rows("10")"#, "write it on a `permit`"),
    ] {
        let (line, text) = problem(&format!("{first}{annotations}\n{held}"));
        assert!(text.contains(expected), "{annotations}: {text}");
        assert!(line >= 2, "{annotations}: {text}");
    }
    let (_, text) =
        problem(r#"@approvers("dba") forbid (principal, action == Action::"Read", resource);"#);
    assert!(text.contains("WithoutApproval"), "{text}");
}

#[test]
fn two_rules_cannot_share_an_id() {
    let (line, text) = problem(
        "@id(\"x\") permit (principal, action, resource);\n@id(\"x\") permit (principal is User, action, resource);",
    );
    assert_eq!(line, 2);
    assert!(text.contains("rename this one"), "{text}");
}

#[test]
fn templates_are_refused() {
    let (_, text) = problem("permit (principal == ?principal, action, resource);");
    assert!(text.contains("templates are not supported"), "{text}");
}

#[test]
fn all_problems_are_told_at_once() {
    let files = ["permit (;", "permit (principal, action == Action::\"Nope\", resource);"]
        .map(|text| PolicyFile { name: "f.cedar".to_owned(), text: text.to_owned() });
    let Err(error) = Policies::compile(&files) else { panic!("compiles") };
    assert_eq!(error.problems.len(), error.to_string().lines().count());
    assert!(error.problems.len() >= 2);
}

#[test]
fn rules_without_id_are_named_by_file() {
    let file = |name: &str| PolicyFile {
        name: name.to_owned(),
        text: "permit (principal, action, resource);".to_owned(),
    };
    assert!(Policies::compile(&[file("a.cedar"), file("b.cedar")]).is_ok());
    assert!(Policies::compile(&[file("a.cedar"), file("a.cedar")]).is_err());
}
