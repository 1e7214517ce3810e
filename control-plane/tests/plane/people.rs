//! Who may do what over the interface for people.

use tonic::Code;
use writ_proto::v1;
use writ_proto::v1::command::Command;

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_is_known() {
    let world = World::new().await;
    let me = world.admin().who_am_i(v1::Empty {}).await.expect("known").into_inner();
    let principal = me.principal.expect("a principal");
    assert_eq!(
        (principal.id.as_str(), &principal.groups[..]),
        ("user:admin", &["admins".to_owned()][..])
    );
    let status = world.admin().cluster_status(v1::Empty {}).await.expect("status").into_inner();
    assert_eq!((status.node, status.leader, status.members.len()), (1, 1, 1));
    assert!(status.members[0].voter && status.last_event > 0 && status.epoch == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_nothing_is_said() {
    let world = World::new().await;
    let mut forged = world.admin_token();
    let last = if forged.ends_with("AA") { "BB" } else { "AA" };
    forged.replace_range(forged.len() - 2.., last);
    for token in ["", "hunter2", &forged] {
        let refused = world.with_token(token).who_am_i(v1::Empty {}).await.expect_err("refused");
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        let refused = submit(&mut world.with_token(token), policies("x")).await;
        assert_eq!(refused.expect_err("refused").code(), Code::Unauthenticated);
    }
    let mut dana = world.person("user:dana", &["admins"], "").await;
    let disable = v1::DisablePrincipal { id: "user:dana".into() };
    world.run(Command::DisablePrincipal(disable)).await;
    let refused = dana.who_am_i(v1::Empty {}).await.expect_err("disabled");
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_group_has_its_rights() {
    let world = World::new().await;
    world.shop().await;
    let mut dana = world.person("user:dana", &["developers"], "").await;
    let mut ben = world.person("user:ben", &["dba"], "").await;
    let mut ada = world.person("user:ada", &["auditors"], "").await;
    for (who, client, may_read, may_see_approvals) in [
        ("dana", &mut dana, false, false),
        ("ben", &mut ben, false, true),
        ("ada", &mut ada, true, true),
    ] {
        let is = |allowed: bool| if allowed { Code::Ok } else { Code::PermissionDenied };
        let code = |result: Result<(), tonic::Status>| result.err().map_or(Code::Ok, |s| s.code());
        let listed = client.list_databases(v1::Empty {}).await.expect("listed").into_inner();
        assert_eq!(listed.databases.len(), 1, "{who}");
        let got = code(client.list_identities(v1::Empty {}).await.map(|_| ()));
        assert_eq!(got, is(may_read), "{who} identities");
        let from_start = v1::ListEventsRequest { from: 1, follow: false };
        let got = code(client.list_events(from_start).await.map(|_| ()));
        assert_eq!(got, is(may_read), "{who} events");
        let got = code(client.list_edges(v1::Empty {}).await.map(|_| ()));
        assert_eq!(got, is(may_see_approvals), "{who} edges");
        let show = v1::ShowClassificationRequest { database: "shop".into() };
        let got = code(client.show_classification(show).await.map(|_| ()));
        assert_eq!(got, is(may_see_approvals), "{who} classification");
        let got = code(submit(client, policies("x")).await.map(|_| ()));
        assert_eq!(got, Code::PermissionDenied, "{who} policies");
        let join = v1::IssueJoinTokenRequest {
            kind: v1::NodeKind::Edge.into(),
            environment: "prod".into(),
            valid_ms: 0,
        };
        let got = code(client.issue_join_token(join).await.map(|_| ()));
        assert_eq!(got, Code::PermissionDenied, "{who} join token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_for_oneself_and_ones_agents() {
    let world = World::new().await;
    let mut dana = world.person("user:dana", &["developers"], "").await;
    world.person("agent:copilot", &[], "user:dana").await;
    world.person("agent:other", &[], "user:admin").await;
    let ask =
        |principal: &str| v1::IssueTokenRequest { principal: principal.into(), valid_ms: 60_000 };
    for (principal, code) in [
        ("", Code::Ok),
        ("user:dana", Code::Ok),
        ("agent:copilot", Code::Ok),
        ("agent:other", Code::PermissionDenied),
        ("user:admin", Code::PermissionDenied),
        ("user:nobody", Code::PermissionDenied),
        ("dana", Code::InvalidArgument),
    ] {
        let got = dana.issue_token(ask(principal)).await;
        assert_eq!(got.err().map_or(Code::Ok, |s| s.code()), code, "{principal}");
    }
    let token = dana.issue_token(ask("agent:copilot")).await.expect("a token").into_inner().token;
    let me = world.with_token(&token).who_am_i(v1::Empty {}).await.expect("known").into_inner();
    assert_eq!(me.on_behalf_of, ["user:dana"]);
    let nobody = world.admin().issue_token(ask("user:nobody")).await.expect_err("unknown");
    assert_eq!(nobody.code(), Code::NotFound);
    let mut long = ask("");
    long.valid_ms = writ_control_plane::app::TOKEN_VALID_MAX.0 + 1;
    assert_eq!(dana.issue_token(long).await.expect_err("too long").code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_does_not_compile_changes_nothing() {
    let world = World::new().await;
    world.run(policies("permit(principal, action, resource);")).await;
    let refused = submit(&mut world.admin(), policies("nonsense")).await.expect_err("refused");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("a.cedar: nonsense"), "{refused}");
    let shown = world.admin().show_policies(v1::Empty {}).await.expect("shown").into_inner();
    assert_eq!(shown.files[0].text, "permit(principal, action, resource);");
    let same = world.run(policies("permit(principal, action, resource);")).await;
    assert_eq!((same.first_event, same.last_event), (0, 0), "the same again is no event");
}
