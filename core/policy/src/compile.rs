//! Policy texts → a validated, indexed policy set, or errors that name file, line and column.

use std::collections::HashMap;
use std::str::FromStr;

use cedar_policy::{
    ActionConstraint, Effect, Policy, PolicyId, PolicySet, ResourceConstraint, Schema,
    ValidationMode, ValidationWarning, Validator,
};
use miette::Diagnostic;
use writ_model::config::PolicyFile;
use writ_model::{DurationMs, GroupName, HoldTerms, MaskKind, RuleId};

use crate::limits::{LIMITS, RuleLimits, covers};

/// The action that asks whether a column is seen as it is.
pub(crate) const UNMASKED: &str = "Unmasked";
/// The action that asks whether a masked column may be compared for equality as it is.
pub(crate) const MATCH: &str = "Match";

const SCHEMA: &str = include_str!("../pack/writ.cedarschema");

/// How long a held statement waits where its rule has no `@expires`.
const EXPIRES_DEFAULT: DurationMs = DurationMs::from_seconds(15 * 60);

/// What a rule may be annotated with.
const ANNOTATIONS: [&str; 10] = [
    "id",
    "doc",
    "reason",
    "next_step",
    "approvers",
    "quorum",
    "expires",
    "mask",
    "audit",
    "record",
];

/// The rules of a fresh install: access, guardrails, masking.
#[must_use]
pub fn default_pack() -> Vec<PolicyFile> {
    [
        ("pack/access.cedar", include_str!("../pack/access.cedar")),
        ("pack/guardrails.cedar", include_str!("../pack/guardrails.cedar")),
        ("pack/masking.cedar", include_str!("../pack/masking.cedar")),
    ]
    .into_iter()
    .map(|(name, text)| PolicyFile { name: name.to_owned(), text: text.to_owned() })
    .collect()
}

/// One thing wrong with one policy file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct PolicyProblem {
    /// The file's name.
    pub file: String,
    /// 1 for the first line.
    pub line: usize,
    /// 1 for the first character of the line.
    pub column: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

impl PolicyProblem {
    fn place(&self) -> (&str, usize, usize) {
        (&self.file, self.line, self.column)
    }
}

/// Why a policy set cannot be used: everything wrong with it, one problem a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(problems))]
pub struct PolicyError {
    /// Never empty.
    pub problems: Vec<PolicyProblem>,
}

fn lines(problems: &[PolicyProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What a rule's annotations say.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) reason: Option<String>,
    pub(crate) next_step: Option<String>,
    pub(crate) hold: Option<HoldTerms>,
    pub(crate) mask: MaskKind,
    pub(crate) strict: bool,
    pub(crate) redact_record: bool,
    pub(crate) limits: RuleLimits,
}

/// A compiled policy set.
#[derive(Debug)]
pub struct Policies {
    pub(crate) set: PolicySet,
    pub(crate) rules: HashMap<PolicyId, Rule>,
    /// Whether every column of a tag gets the same answer, so that one question per tag is enough.
    pub(crate) masks_by_tag: bool,
    /// Whether a rule lets anyone compare masked columns as they are.
    pub(crate) permits_match: bool,
    /// Whether a rule may forbid calls of functions that are known to be harmless.
    pub(crate) forbids_calls: bool,
    wants_estimates: bool,
    counts_usage: bool,
    looks_at_time: bool,
}

impl Policies {
    /// Whether one of these determining rules keeps text and bind values out of the record: `@record("redact")`.
    #[must_use]
    pub fn redacts_record(&self, rules: &[RuleId]) -> bool {
        self.rules.values().any(|rule| rule.redact_record && rules.contains(&rule.id))
    }

    /// Compiles `files` together, all checked against the schema. No files permit nothing: whoever applies policies
    /// adds the [`default_pack`] to their own.
    pub fn compile(files: &[PolicyFile]) -> Result<Self, PolicyError> {
        let mut problems = Vec::new();
        let mut policies = Self {
            set: PolicySet::new(),
            rules: HashMap::new(),
            masks_by_tag: false,
            permits_match: false,
            forbids_calls: false,
            wants_estimates: false,
            counts_usage: false,
            looks_at_time: false,
        };
        let validator = match Schema::from_cedarschema_str(SCHEMA) {
            Ok((schema, _)) => Validator::new(schema),
            Err(error) => {
                let problem = PolicyProblem {
                    file: "pack/writ.cedarschema".to_owned(),
                    line: 1,
                    column: 1,
                    message: format!("{error}; this build of writ is broken, install it again"),
                };
                return Err(PolicyError { problems: vec![problem] });
            }
        };
        for file in files {
            policies.add(file, &validator, &mut problems);
        }
        policies.masks_by_tag = policies.set.policies().all(sees_only_tags);
        policies.note_wants();
        // The validator repeats itself for every action that a rule applies to: one problem a place is enough.
        problems.sort_by(|a, b| a.place().cmp(&b.place()).then(a.message.cmp(&b.message)));
        problems.dedup_by(|a, b| a.place() == b.place());
        if problems.is_empty() { Ok(policies) } else { Err(PolicyError { problems }) }
    }

    /// Whether a rule looks at the rows that the planner expects (`context.rows_expected`), so that it has to be asked.
    #[must_use]
    pub fn wants_estimates(&self) -> bool {
        self.wants_estimates
    }

    /// Whether a rule looks at, or limits, what principals take in an hour.
    #[must_use]
    pub fn counts_usage(&self) -> bool {
        self.counts_usage
    }

    /// Whether two columns of one tag always get the same answers.
    #[must_use]
    pub fn masks_by_tag(&self) -> bool {
        self.masks_by_tag
    }

    /// Whether a rule may look at the time, so that its answer can change by itself.
    #[must_use]
    pub fn looks_at_time(&self) -> bool {
        self.looks_at_time
    }

    /// Reads the rules' text, so that a doubt means yes.
    fn note_wants(&mut self) {
        let says = |word: &str| self.set.policies().any(|p| p.to_string().contains(word));
        let hourly = self.rules.values().any(|rule| rule.limits.is_hourly());
        self.counts_usage = hourly || says("_last_hour");
        self.wants_estimates = says("rows_expected");
        let timed = |p: &Policy| words(&p.to_string()).any(|w| TIME_WORDS.contains(&w));
        self.looks_at_time = self.set.policies().any(timed);
        let forbids = |p: &Policy| p.effect() == Effect::Forbid && covers(p, "Call");
        self.forbids_calls = self.set.policies().any(forbids);
        let matches = |p: &Policy| p.effect() == Effect::Permit && covers(p, MATCH);
        self.permits_match = self.set.policies().any(matches);
    }

    fn add(&mut self, file: &PolicyFile, validator: &Validator, problems: &mut Vec<PolicyProblem>) {
        let parsed = match PolicySet::from_str(&file.text) {
            Ok(parsed) => parsed,
            Err(found) => {
                problems.extend(found.iter().map(|e| located(file, e, e.to_string())));
                return;
            }
        };
        if parsed.templates().next().is_some() {
            problems.push(at(file, 0, "templates are not supported; write out the policy"));
        }
        let checked = validator.validate(&parsed, ValidationMode::default());
        let sound = checked.validation_passed();
        for error in checked.validation_errors() {
            problems.push(located(file, error, error.to_string()));
        }
        for warning in checked.validation_warnings() {
            // A `forbid` that can never apply would guard nothing without a word.
            if sound && matches!(warning, ValidationWarning::ImpossiblePolicy(_)) {
                problems.push(located(file, warning, warning.to_string()));
            }
        }
        for policy in parsed.policies() {
            let source = policy.to_string();
            let offset = file.text.find(source.trim()).unwrap_or(0);
            match self.add_policy(file, policy) {
                Ok(()) => {}
                Err(message) => problems.push(at(file, offset, &message)),
            }
        }
    }

    fn add_policy(&mut self, file: &PolicyFile, policy: &Policy) -> Result<(), String> {
        let name = match policy.annotation("id") {
            Some(id) => id.to_owned(),
            None => format!("{}/{}", file.name, policy.id()),
        };
        let id: RuleId = name.parse().map_err(|e| format!("@id(\"{name}\"): {e}"))?;
        let rule = rule(id, policy)?;
        let id = PolicyId::new(&name);
        self.set
            .add(policy.new_id(id.clone()))
            .map_err(|_| format!("a rule with @id(\"{name}\") exists already; rename this one"))?;
        self.rules.insert(id, rule);
        Ok(())
    }
}

/// The attributes of a context that change by themselves.
const TIME_WORDS: [&str; 3] = ["now", "hour", "weekday"];

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Whether `policy` cannot tell two columns with the same tag apart. Reads the text, so that a doubt means no.
fn sees_only_tags(policy: &Policy) -> bool {
    let any_resource =
        matches!(policy.resource_constraint(), ResourceConstraint::Any | ResourceConstraint::Is(_));
    let text = policy.to_string();
    let mentions = text.matches("resource").count();
    // The scope itself mentions it once.
    let tags = text.matches("resource.tag ").count() + text.matches("resource.tag)").count();
    !(covers(policy, UNMASKED) || covers(policy, MATCH)) || (any_resource && mentions == tags + 1)
}

/// How what `policy` hides is shown.
fn mask(policy: &Policy) -> Result<MaskKind, String> {
    let Some(kind) = policy.annotation("mask") else { return Ok(MaskKind::Redact) };
    let kind = kind.parse().map_err(|e| format!("@mask: {e}"))?;
    if policy.effect() == Effect::Forbid && covers(policy, UNMASKED) {
        return Ok(kind);
    }
    // On a `permit` it would look like a mask, and show everything.
    Err("@mask only means something on `forbid (…, action == Action::\"Unmasked\", …)`; \
         write that, or leave the annotation out"
        .to_owned())
}

fn rule(id: RuleId, policy: &Policy) -> Result<Rule, String> {
    let known = |key: &str| ANNOTATIONS.contains(&key) || LIMITS.contains(&key);
    if let Some((unknown, _)) = policy.annotations().find(|(key, _)| !known(key)) {
        // A misspelt @audit or @quorum would weaken the rule without a word.
        let all = [ANNOTATIONS.as_slice(), LIMITS.as_slice()].concat().join(", @");
        return Err(format!("@{unknown} is not known; write one of @{all}"));
    }
    let text = |key: &str| policy.annotation(key).map(str::to_owned);
    let strict = match policy.annotation("audit") {
        None => false,
        Some("strict") => true,
        Some(other) => return Err(format!("@audit(\"{other}\") is not known; write \"strict\"")),
    };
    let redact_record = match policy.annotation("record") {
        None => false,
        Some("redact") => true,
        Some(other) => return Err(format!("@record(\"{other}\") is not known; write \"redact\"")),
    };
    Ok(Rule {
        limits: RuleLimits::of(policy)?,
        redact_record,
        reason: text("reason"),
        next_step: text("next_step"),
        hold: hold_terms(&id, policy)?,
        mask: mask(policy)?,
        strict,
        id,
    })
}

/// The terms of a rule that holds; checked here so that a hold without approvers never reaches an edge.
fn hold_terms(id: &RuleId, policy: &Policy) -> Result<Option<HoldTerms>, String> {
    let holds = policy.effect() == Effect::Forbid
        && matches!(policy.action_constraint(), ActionConstraint::Eq(a) if a.id().unescaped() == "WithoutApproval");
    if !holds {
        return match ["approvers", "quorum", "expires"]
            .iter()
            .find(|k| policy.annotation(k).is_some())
        {
            None => Ok(None),
            Some(key) => Err(format!(
                "@{key} only means something on `forbid (…, action == Action::\"WithoutApproval\", …)`; \
                 write that, or leave the annotation out"
            )),
        };
    }
    let approvers = policy
        .annotation("approvers")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| name.parse::<GroupName>().map_err(|e| format!("@approvers: {e}")))
        .collect::<Result<Vec<_>, _>>()?;
    if approvers.is_empty() {
        return Err("a rule that holds says who approves; add @approvers(\"GROUP\")".to_owned());
    }
    let quorum = match policy.annotation("quorum") {
        None => 1,
        Some(n) => n.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
            format!("@quorum(\"{n}\") is not a number of people; write 1 or more")
        })?,
    };
    let expires = match policy.annotation("expires") {
        None => EXPIRES_DEFAULT,
        Some(text) => duration(text).ok_or_else(|| {
            format!("@expires(\"{text}\") is not a time; write such as \"90s\", \"15m\" or \"2h\"")
        })?,
    };
    let reason =
        policy.annotation("reason").map_or_else(|| format!("rule {id} holds it"), str::to_owned);
    Ok(Some(HoldTerms { approvers, quorum, expires, reason }))
}

fn duration(text: &str) -> Option<DurationMs> {
    let unit = text.chars().last()?;
    let count: u64 = text.strip_suffix(unit)?.parse().ok().filter(|n| *n > 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return None,
    };
    Some(DurationMs::from_seconds(count.checked_mul(seconds)?))
}

fn located(file: &PolicyFile, error: &dyn Diagnostic, mut message: String) -> PolicyProblem {
    let offset = error.labels().and_then(|mut l| l.next()).map_or(0, |label| label.offset());
    match error.help() {
        Some(help) => message = format!("{message} ({help})"),
        None => message.push_str("; correct it and check again with `writ policy check`"),
    }
    at(file, offset, &message)
}

fn at(file: &PolicyFile, offset: usize, message: &str) -> PolicyProblem {
    let before = file.text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    PolicyProblem {
        file: file.name.clone(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        message: message.to_owned(),
    }
}
