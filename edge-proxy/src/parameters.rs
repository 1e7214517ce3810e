//! Start-up parameters: what a client asks its session to begin with, and what the edge begins the database's with.

use writ_edge_core::startup::Startup;
use writ_model::label::{APPLICATION_NAME, LabelText, client_name};
use writ_model::sqlstate;
use writ_model::{PrincipalId, SessionId};

use crate::client::Refused;

/// Start-up parameters that are passed on to the database. Others would change what Writ relies on, or are not the
/// client's to set.
const PASSED_PARAMETERS: &[&str] = &[
    APPLICATION_NAME,
    "client_encoding",
    "datestyle",
    "timezone",
    "intervalstyle",
    "extra_float_digits",
    "bytea_output",
    "search_path",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "geqo",
    "jit",
];

/// The settings that a client asks for, each of which may be passed on: names in lower case, each once. As at the server,
/// the last of a name holds, and parameters hold over those inside of `options`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked(Vec<(String, String)>);

impl Asked {
    /// Reads what a client asks for, or says what is not passed on.
    pub(crate) fn read(startup: &Startup) -> Result<Self, Refused> {
        let mut asked = Self(Vec::new());
        for (name, value) in &startup.parameters {
            if name.eq_ignore_ascii_case("options") {
                for (name, value) in options(value)? {
                    asked.set(&name, value);
                }
            }
        }
        for (name, value) in &startup.parameters {
            let lower = name.to_ascii_lowercase();
            match lower.as_str() {
                "user" | "database" | "options" => {}
                "replication" if !matches!(value.as_str(), "false" | "off" | "0" | "no") => {
                    return Err(Refused::new(
                        sqlstate::REFUSED,
                        "replication connections are not served: nothing in them can be decided on",
                        "use a normal connection",
                    ));
                }
                "replication" => {}
                // What is made without a schema would be temporary, and nothing would tell.
                "search_path" if value.contains("pg_temp") => return Err(unknown(name)),
                known if PASSED_PARAMETERS.contains(&known) => asked.set(known, value.clone()),
                _ => return Err(unknown(name)),
            }
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: String) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value));
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What the client calls itself, as the database gets it, whichever way it was said: policy and records have it so.
    pub(crate) fn application_name(&self) -> String {
        client_name(self.get(APPLICATION_NAME).unwrap_or_default())
    }

    /// What is passed on, and what the edge adds: the identity, visible to the database. A read-only session begins so at
    /// the server too: what RESET and DISCARD go back to is what it began with.
    pub(crate) fn upstream(
        mut self,
        principal: &PrincipalId,
        session: Option<&SessionId>,
        label: Option<&LabelText>,
        read_only: bool,
    ) -> Vec<(String, String)> {
        let own = self.application_name();
        match label {
            Some(label) => self.set(APPLICATION_NAME, label.with(&own)),
            None if self.get(APPLICATION_NAME).is_some() => self.set(APPLICATION_NAME, own),
            None => {}
        }
        if read_only {
            self.set("default_transaction_read_only", "on".to_owned());
        }
        let mut passed = self.0;
        passed.push(("writ.principal".into(), principal.to_string()));
        passed.extend(session.map(|session| ("writ.session".into(), session.to_string())));
        passed
    }
}

/// The settings in `options`, each of which must be one that may be passed on.
fn options(text: &str) -> Result<Vec<(String, String)>, Refused> {
    let mut settings = Vec::new();
    let mut words = text.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c") {
            Some("") => words.next(),
            Some(rest) => Some(rest),
            None => word.strip_prefix("--"),
        };
        let setting = setting.and_then(|s| s.split_once('='));
        let Some((name, value)) = setting else { return Err(unknown("options")) };
        let name = name.to_ascii_lowercase().replace('-', "_");
        let temporary = name == "search_path" && value.contains("pg_temp");
        if !PASSED_PARAMETERS.contains(&name.as_str()) || value.contains('\\') || temporary {
            return Err(unknown(&name));
        }
        settings.push((name, value.to_owned()));
    }
    Ok(settings)
}

fn unknown(name: &str) -> Refused {
    Refused::new(
        sqlstate::REFUSED,
        format!("the start-up parameter {name:?} is not passed on to databases"),
        "leave it out, and use SET after connecting where that is allowed",
    )
}

#[cfg(test)]
mod live;
#[cfg(test)]
mod roles;

#[cfg(test)]
mod tests {
    use writ_edge_core::startup::Version;
    use writ_model::label::Label;

    use super::*;

    fn asked(parameters: &[(&str, &str)]) -> Result<Asked, Refused> {
        let parameters = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Asked::read(&Startup {
            parameters: parameters.collect(),
            asked: Version::OLDEST,
            unknown_options: vec![],
        })
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn ada() -> PrincipalId {
        "user:ada".parse().expect("an id")
    }

    #[test]
    fn a_read_only_session_cannot_begin_otherwise() {
        let read_only = [("options", "-c default_transaction_read_only=off -c jit=off")];
        let begun = |read_only_session| {
            let asked = asked(&read_only).expect("known settings");
            asked.upstream(&ada(), None, None, read_only_session)
        };
        let expected = [
            ("jit", "off"),
            ("default_transaction_read_only", "on"),
            ("writ.principal", "user:ada"),
        ];
        assert_eq!(begun(true), pairs(&expected));
        assert!(begun(false).contains(&pairs(&[("default_transaction_read_only", "off")])[0]));
    }

    #[test]
    fn options_pass_only_known_settings() {
        let passed = options("-c search_path=a,b --statement-timeout=5s -cjit=off").ok();
        let expected = [("search_path", "a,b"), ("statement_timeout", "5s"), ("jit", "off")];
        assert_eq!(passed, Some(pairs(&expected)));
        for refused in [
            "-c role=postgres",
            "-c session_authorization=x",
            "-d 5",
            "-c x",
            "-c search_path=a\\ b",
        ] {
            assert!(options(refused).is_err(), "{refused}");
            assert!(asked(&[("OPTIONS", refused)]).is_err(), "in capitals: {refused}");
        }
    }

    #[test]
    fn a_name_is_what_the_database_gets_whichever_way_it_is_said() {
        for (said, expected) in [
            (&[("application_name", "a")][..], "a"),
            (&[("Application_Name", "a")], "a"),
            (&[("APPLICATION_NAME", "a"), ("application_name", "b")], "b"),
            (&[("application_name", "a"), ("APPLICATION_NAME", "b")], "b"),
            (&[("options", "-c application_name=a")], "a"),
            (&[("options", "--Application-Name=a")], "a"),
            // As at the server: a parameter holds over options, wherever it stands.
            (&[("application_name", "a"), ("options", "-c application_name=b")], "a"),
            (&[("options", "-c application_name=b"), ("application_name", "a")], "a"),
            (&[("options", "-c application_name=a -c APPLICATION_NAME=b")], "b"),
            (&[("application_name", "é")], "??"),
            (&[], ""),
        ] {
            let asked = asked(said).expect("known settings");
            assert_eq!(asked.application_name(), expected, "{said:?}");
            let sent = asked.upstream(&ada(), None, None, false);
            let sent: Vec<_> = sent.iter().filter(|(name, _)| name == APPLICATION_NAME).collect();
            let sent: Vec<_> = sent.iter().map(|(_, value)| value.as_str()).collect();
            let expected: Vec<_> =
                Some(expected).filter(|_| !said.is_empty()).into_iter().collect();
            assert_eq!(sent, expected, "{said:?}");
        }
    }

    #[test]
    fn a_label_goes_before_the_name_and_policy_sees_the_name_alone() {
        let label = Label::Principal.of(&ada(), None);
        for (said, expected) in [
            (&[("options", "-c application_name=psql")][..], "writ:user:ada psql"),
            (&[], "writ:user:ada"),
            // Who calls itself as another labelled one stands behind its own label.
            (&[("application_name", "writ:user:bob")], "writ:user:ada writ:user:bob"),
        ] {
            let asked = asked(said).expect("known settings");
            assert!(!asked.application_name().contains("ada"));
            let sent = asked.upstream(&ada(), None, label.as_ref(), false);
            assert!(sent.contains(&pairs(&[("application_name", expected)])[0]), "{sent:?}");
        }
    }
}
