//! `SET application_name` where the name carries who the connection is for: the label stays in front of what is set.

use pg_query::{NodeEnum, protobuf as pb};
use writ_model::label::{APPLICATION_NAME, LabelText};
use writ_model::{Catalog, OpaqueReason};

use crate::overlay::{Changes, Seen};
use crate::walk::Walk;
use crate::{Analysis, Names, parse};

impl Analysis {
    /// Whether the text gives the connection another name.
    #[must_use]
    pub fn sets_application_name(&self) -> bool {
        self.facts.settings.contains(APPLICATION_NAME)
    }

    /// The text with the label in front of each name that it sets; `None`: it only goes back to what the session began
    /// with, which is labelled. Errors where a name is not written out in a SET of its own; nothing may run then.
    pub fn labelled(
        &self,
        catalog: &Catalog,
        names: &Names,
        label: &LabelText,
    ) -> Result<Option<String>, OpaqueReason> {
        parse::with_stack(&self.text, 0, || {
            let mut tree = parse::parse(&self.text)?;
            let changes = Changes::default();
            let mut walk = Walk::new(Seen::new(catalog, &changes), names, None);
            let mut changed = false;
            for raw in &mut tree.stmts {
                let Some(statement) = raw.stmt.as_deref_mut() else { continue };
                match statement.node.as_mut() {
                    Some(NodeEnum::VariableSetStmt(set)) if is_name(set) => {
                        changed |= put_label(set, label)?;
                    }
                    _ => walk.statement(statement),
                }
            }
            if walk.facts.settings.contains(APPLICATION_NAME) {
                return Err(elsewhere());
            }
            if !changed {
                return Ok(Some(None));
            }
            let unprintable = |r: &&OpaqueReason| matches!(r, OpaqueReason::Syntax(_));
            if let Some(reason) = walk.facts.opaque.iter().find(unprintable) {
                return Err(reason.clone());
            }
            parse::print(tree).map(|text| Some(Some(text)))
        })
    }
}

fn is_name(set: &pb::VariableSetStmt) -> bool {
    set.name.eq_ignore_ascii_case(APPLICATION_NAME)
}

fn elsewhere() -> OpaqueReason {
    OpaqueReason::Session(format!("{APPLICATION_NAME} set otherwise than by SET with a constant"))
}

/// Whether there was a value to put it before.
fn put_label(set: &mut pb::VariableSetStmt, label: &LabelText) -> Result<bool, OpaqueReason> {
    if set.kind() != pb::VariableSetKind::VarSetValue {
        return Ok(false);
    }
    let [value] = set.args.as_mut_slice() else { return Err(elsewhere()) };
    match value.node.as_mut() {
        Some(NodeEnum::AConst(pb::AConst { val: Some(pb::a_const::Val::Sval(text)), .. })) => {
            text.sval = label.with(&text.sval);
            Ok(true)
        }
        _ => Err(elsewhere()),
    }
}
