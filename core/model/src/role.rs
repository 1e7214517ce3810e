//! Which role of a database a principal acts as.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{GroupName, PrincipalId};
use crate::principal::{Actor, Principal};

/// The most rules of one database.
pub const ROLE_RULES_MAX: usize = 256;
/// What the server keeps of a role's name, in bytes (NAMEDATALEN - 1).
pub const ROLE_BYTES_MAX: usize = 63;
/// Whoever no other rule names.
const ANYONE: &str = "*";
/// What a group's name begins with in a rule.
const GROUP: &str = "group:";

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// One principal.
    Principal(PrincipalId),
    /// The members of a group.
    Group(GroupName),
    /// Whoever no other rule names.
    Anyone,
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(id) => id.fmt(f),
            Self::Group(name) => write!(f, "{GROUP}{name}"),
            Self::Anyone => f.write_str(ANYONE),
        }
    }
}

/// One rule, written `WHOM=ROLE`, such as `group:analysts=analyst_ro`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleRule {
    /// Whom it is about.
    pub whom: Whom,
    /// The role, by its exact name.
    pub role: String,
}

impl fmt::Display for RoleRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.whom, self.role)
    }
}

impl FromStr for RoleRule {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: String| {
            format!("`{text}` {why}; write user:NAME=ROLE, group:NAME=ROLE or *=ROLE")
        };
        let (whom, role) = text.split_once('=').ok_or_else(|| wrong("names no role".into()))?;
        let whom = match whom.strip_prefix(GROUP) {
            _ if whom == ANYONE => Whom::Anyone,
            Some(group) => Whom::Group(group.parse().map_err(|e| wrong(format!("is wrong: {e}")))?),
            None => Whom::Principal(whom.parse().map_err(|e| wrong(format!("is wrong: {e}")))?),
        };
        // `none` is the server's word for no role at all.
        let named = !role.is_empty() && role.len() <= ROLE_BYTES_MAX && !role.contains('\0');
        if !named || role.eq_ignore_ascii_case("none") {
            return Err(wrong(format!("names no role of 1 to {ROLE_BYTES_MAX} bytes")));
        }
        Ok(Self { whom, role: role.to_owned() })
    }
}

impl TryFrom<String> for RoleRule {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RoleRule> for String {
    fn from(rule: RoleRule) -> String {
        rule.to_string()
    }
}

/// What a database's rules say of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActsAs<'a> {
    /// There are no rules: the role that the edge logs in with.
    Login,
    /// This one.
    Role(&'a str),
    /// There are rules, and none is about them.
    Nobody,
}

/// The role that `actor` acts as. A rule that names a principal wins over one that names a group, of groups the first in the
/// rules' order counts, and a person's rule holds for the agents that act for them where none is about the agent.
#[must_use]
pub fn acts_as<'a>(rules: &'a [RoleRule], actor: &Actor) -> ActsAs<'a> {
    if rules.is_empty() {
        return ActsAs::Login;
    }
    let named = |who: &Principal| {
        let by_id = rules.iter().find(|rule| rule.whom == Whom::Principal(who.id.clone()));
        by_id.or_else(|| {
            rules
                .iter()
                .find(|rule| matches!(&rule.whom, Whom::Group(group) if who.groups.contains(group)))
        })
    };
    let chain = std::iter::once(&actor.principal).chain(&actor.chain);
    let found = chain.into_iter().find_map(named);
    let found = found.or_else(|| rules.iter().find(|rule| rule.whom == Whom::Anyone));
    found.map_or(ActsAs::Nobody, |rule| ActsAs::Role(&rule.role))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(of: &[&str]) -> Vec<RoleRule> {
        of.iter().map(|text| text.parse().expect("a rule")).collect()
    }

    fn principal(id: &str, groups: &[&str]) -> Principal {
        Principal {
            id: id.parse().expect("an id"),
            display_name: id.to_owned(),
            groups: groups.iter().map(|g| g.parse().expect("a name")).collect(),
            on_behalf_of: None,
            disabled: false,
        }
    }

    fn actor(id: &str, groups: &[&str], chain: &[(&str, &[&str])]) -> Actor {
        let chain = chain.iter().map(|(id, groups)| principal(id, groups)).collect();
        Actor { principal: principal(id, groups), chain }
    }

    #[test]
    fn the_nearest_rule_counts() {
        let rules =
            rules(&["group:analysts=analyst", "group:dba=admin", "user:ada=ada_own", "*=app"]);
        for (who, expected) in [
            (actor("user:ada", &["analysts"], &[]), "ada_own"),
            (actor("user:bob", &["dba", "analysts"], &[]), "analyst"),
            (actor("user:eve", &["dba"], &[]), "admin"),
            (actor("service:x", &[], &[]), "app"),
            // An agent acts as the person whom it acts for, unless something is said of the agent.
            (actor("agent:a", &[], &[("user:ada", &[])]), "ada_own"),
            (actor("agent:a", &["analysts"], &[("user:ada", &[])]), "analyst"),
            (actor("agent:a", &[], &[("agent:b", &[]), ("user:eve", &["dba"])]), "admin"),
        ] {
            assert_eq!(acts_as(&rules, &who), ActsAs::Role(expected), "{who:?}");
        }
    }

    #[test]
    fn nobody_acts_as_the_login_role_where_there_are_rules() {
        let ada = actor("user:ada", &[], &[]);
        assert_eq!(acts_as(&[], &ada), ActsAs::Login);
        assert_eq!(acts_as(&rules(&["user:bob=x"]), &ada), ActsAs::Nobody);
        assert_eq!(acts_as(&rules(&["user:bob=x", "*=y"]), &ada), ActsAs::Role("y"));
    }

    #[test]
    fn rules_are_read_and_written_alike() {
        for text in ["user:ada=a role", "group:dba=x=y", "*=app", "agent:a=ä"] {
            assert_eq!(text.parse::<RoleRule>().expect("a rule").to_string(), text);
        }
        let long = format!("*={}", "x".repeat(64));
        for wrong in ["ada=x", "user:ada", "user:ada=", "group:=x", "*=none", "*=NONE", "", &long] {
            assert!(wrong.parse::<RoleRule>().is_err(), "{wrong}");
        }
    }
}
