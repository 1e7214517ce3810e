//! Databases whose `application_name` says who a connection is for: it says so whatever the client calls itself later.

use writ_model::label::LabelText;
use writ_model::{Denial, StatementFacts};
use writ_sql::Analysis;

use super::PolicyGate;
use crate::gate::is_label_only;

/// The rule that a change of a labelled name names.
pub(super) const LABEL_RULE: &str = "labelled-application-name";

impl PolicyGate {
    /// What `application_name` begins with in this session's connection; it stays there.
    pub fn set_label(&mut self, label: Option<LabelText>) {
        self.label = label;
    }

    /// Whether the text to send has the label of this session in it: it is nobody else's then.
    pub(super) fn is_labelled(&self, facts: &StatementFacts) -> bool {
        self.label.is_some() && facts.settings.contains(writ_model::label::APPLICATION_NAME)
    }

    /// The text to send, with the label in front of each name that it gives the connection.
    pub(super) fn labelled(
        &self,
        analysis: &Analysis,
        rewritten: Option<Box<[u8]>>,
    ) -> Result<Option<Box<[u8]>>, Denial> {
        let Some(label) = self.label.as_ref().filter(|_| analysis.sets_application_name()) else {
            return Ok(rewritten);
        };
        let refused = |why: String| {
            Denial {
            reason: format!("application_name says here who the connection is for: {why}"),
            next_step: "give the name at the start of the connection, or by SET application_name = 'a name' as a statement of its own".into(),
        }
        };
        if rewritten.is_some() || !is_label_only(analysis.facts()) {
            return Err(refused("it is set beside what reads rows".into()));
        }
        let text = analysis.labelled(self.catalog(), &self.sql_names, label);
        let text = text.map_err(|why| refused(why.detail().to_owned()))?;
        Ok(text.map(|text| text.into_bytes().into_boxed_slice()))
    }
}
