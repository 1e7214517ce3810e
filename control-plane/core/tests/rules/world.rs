//! A small company: an admin, two approvers, a developer with an agent, one edge in `prod`.

use std::collections::BTreeSet;

use writ_control_core::{
    ActorName, ApprovalRequest, Command, Event, EventEnvelope, EventHash, NodeKind, Refusal, State,
    Submission, decide, seal,
};
use writ_model::config::{
    CredentialRef, Database, Environment, PolicyFile, Pooling, TokenKey, UpstreamTls, WhenStale,
};
use writ_model::{ApprovalId, BindingDigest, DurationMs, Epoch, Principal, Timestamp};

pub(crate) const HASH: EventHash = EventHash([7; 32]);

/// State, log and clock.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) log: Vec<EventEnvelope>,
    pub(crate) now: Timestamp,
}

pub(crate) fn person(id: &str) -> ActorName {
    ActorName::Principal(id.parse().expect("id"))
}

pub(crate) fn node(id: &str) -> ActorName {
    ActorName::Node(id.parse().expect("id"))
}

pub(crate) fn principal(id: &str, groups: &[&str], behind: Option<&str>) -> Principal {
    Principal {
        id: id.parse().expect("id"),
        display_name: id.to_owned(),
        groups: groups.iter().map(|g| g.parse().expect("group")).collect(),
        on_behalf_of: behind.map(|b| b.parse().expect("id")),
        disabled: false,
    }
}

fn check_policies(files: &[PolicyFile]) -> Result<(), String> {
    match files.iter().find(|f| f.text.contains("nonsense")) {
        Some(file) => Err(format!("{}: line 1: nonsense", file.name)),
        None => Ok(()),
    }
}

impl World {
    pub(crate) fn empty() -> Self {
        Self { state: State::default(), log: Vec::new(), now: Timestamp(1_000_000) }
    }

    pub(crate) fn new() -> Self {
        let mut world = Self::empty();
        world.ok(
            ActorName::System,
            Command::Bootstrap {
                cluster: "c1".into(),
                admin: principal("user:admin", &["admins"], None),
                token_key: TokenKey { id: "t1".into(), ed25519_public: vec![1; 32] },
            },
        );
        let admin = || person("user:admin");
        for new in [
            principal("user:dana", &["developers"], None),
            principal("user:ben", &["dba"], None),
            principal("user:carol", &["dba"], None),
            principal("agent:copilot", &["dba"], Some("user:dana")),
            principal("service:batch", &["developers"], None),
        ] {
            world.ok(admin(), Command::AddPrincipal { principal: new });
        }
        world.ok(admin(), Command::SetEnvironment { environment: environment("prod") });
        world.ok(admin(), Command::SetDatabase { database: database("shop") });
        world.enroll("edge-1", NodeKind::Edge, Some("prod"), HASH).expect("enrolled");
        world
    }

    pub(crate) fn try_run(
        &mut self,
        actor: ActorName,
        command: Command,
    ) -> Result<Vec<Event>, Refusal> {
        let submission = Submission { actor, at: self.now, command };
        let events = decide(&self.state, &submission, &check_policies)?;
        for envelope in seal(&self.state, &submission, events.clone()).expect("sealed") {
            self.state.apply(&envelope).expect("applied");
            self.log.push(envelope);
        }
        Ok(events)
    }

    pub(crate) fn ok(&mut self, actor: ActorName, command: Command) -> Vec<Event> {
        let text = format!("{command:?}");
        self.try_run(actor, command).unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
    }

    pub(crate) fn refused(&mut self, actor: ActorName, command: Command) -> Refusal {
        let before = self.state.clone();
        let text = format!("{command:?}");
        let Err(refusal) = self.try_run(actor, command) else { panic!("accepted: {text}") };
        assert_eq!(self.state, before, "a refusal changes nothing");
        refusal
    }

    pub(crate) fn enroll(
        &mut self,
        name: &str,
        kind: NodeKind,
        environment: Option<&str>,
        hash: EventHash,
    ) -> Result<Vec<Event>, Refusal> {
        let environment = environment.map(|e| e.parse().expect("id"));
        let expires_at = self.now.plus(DurationMs(60_000));
        let issue =
            Command::IssueJoinToken { hash, kind, environment: environment.clone(), expires_at };
        self.try_run(person("user:admin"), issue)?;
        self.try_run(node(name), enroll_command(name, kind, environment, hash))
    }

    pub(crate) fn request(&mut self, id: &str, request: ApprovalRequest) -> ApprovalId {
        let id: ApprovalId = id.parse().expect("id");
        let command = Command::RequestApproval { id: id.clone(), request: Box::new(request) };
        self.ok(node("edge-1"), command);
        id
    }

    pub(crate) fn later(&mut self, ms: u64) {
        self.now = self.now.plus(DurationMs(ms));
    }
}

pub(crate) fn enroll_command(
    name: &str,
    kind: NodeKind,
    environment: Option<writ_model::EnvironmentName>,
    token_hash: EventHash,
) -> Command {
    Command::Enroll {
        token_hash,
        name: name.parse().expect("id"),
        kind,
        environment,
        host_names: vec!["localhost".into()],
        certificate_expires_at: Timestamp(9),
    }
}

pub(crate) fn environment(name: &str) -> Environment {
    Environment {
        name: name.parse().expect("id"),
        staleness_max: DurationMs(60_000),
        when_stale: WhenStale::Refuse,
        logins: writ_model::login::Logins::default(),
    }
}

pub(crate) fn database(name: &str) -> Database {
    Database {
        name: name.parse().expect("id"),
        environment: "prod".parse().expect("id"),
        owner: "shop team".into(),
        tags: [("tier".to_owned(), "1".to_owned())].into(),
        host: "db".into(),
        port: 5432,
        dbname: "shop".into(),
        username: "app".into(),
        credential: CredentialRef::File("/etc/secret".into()),
        tls: UpstreamTls::VerifyFull,
        pooling: Pooling::Session,
        session_attrs: writ_model::server::SessionAttrs::Any,
        label: writ_model::label::Label::None,
        client_certificate: None,
        roles: Vec::new(),
    }
}

pub(crate) fn request(principal: &str, behind: &[&str]) -> ApprovalRequest {
    ApprovalRequest {
        idempotency_key: "st-1".into(),
        principal: principal.parse().expect("id"),
        on_behalf_of: behind.iter().map(|b| b.parse().expect("id")).collect(),
        session: "s-1".parse().expect("id"),
        environment: "prod".parse().expect("id"),
        database: "shop".parse().expect("id"),
        database_owner: "shop team".into(),
        client_address: "127.0.0.1:5".into(),
        application_name: "psql".into(),
        statement_text: "DELETE FROM orders".into(),
        bind_summary: String::new(),
        kinds: vec!["delete".into()],
        columns: Vec::new(),
        rows_estimate: Some(12),
        approvers: vec!["dba".parse().expect("group")],
        quorum: 1,
        expires: DurationMs(30_000),
        reason: "unbounded".into(),
        rules: vec!["default.hold".parse().expect("rule")],
        epoch: Epoch(5),
        binding_digest: BindingDigest([3; 32]),
        joint_digest: None,
    }
}

pub(crate) fn vote(id: &ApprovalId, approve: bool) -> Command {
    vote_for(id, approve, None)
}

pub(crate) fn vote_for(id: &ApprovalId, approve: bool, sessions: Option<u32>) -> Command {
    let follow_up = format!("{id}-next").parse().expect("id");
    Command::Vote { id: id.clone(), approve, sessions, reason: "seen".into(), follow_up }
}

pub(crate) fn use_grant(id: &ApprovalId) -> Command {
    let binding_digest = BindingDigest([3; 32]);
    Command::UseGrant { id: id.clone(), key: "st-1".into(), binding_digest, epoch: Epoch(5) }
}

pub(crate) fn kinds(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::kind).collect()
}

pub(crate) fn groups(names: &[&str]) -> BTreeSet<writ_model::GroupName> {
    names.iter().map(|g| g.parse().expect("group")).collect()
}
