//! SQL text and a catalog snapshot in; statement facts and the masked rewrite out. Pure, total:
//! what cannot be known is `opaque` in the facts (E2), and a text with masked relations is rewritten
//! at the source (E3) or refused.
//!
//! A statement that stores what it reads (INSERT … SELECT, CREATE TABLE AS, UPDATE … FROM) stores the
//! masked values: what a principal cannot see it cannot copy.
//!
//! View definitions in the snapshot should name relations with their schema, as `pg_get_viewdef` does
//! in a session whose `search_path` is `pg_catalog`; a bare name is understood only if it is unique.

mod alter;
mod behind;
mod below;
mod block;
mod bodies;
mod bounds;
mod calls;
mod change;
mod children;
mod columns;
mod ddl;
mod define;
mod derived;
mod function_call;
mod grouping;
mod guard;
mod kind_documents;
mod kind_keyed;
mod kind_values;
mod kinds;
mod labelled;
mod limits;
mod lineage;
mod mask;
mod matching;
mod names;
mod operands;
mod oracles;
mod outputs;
mod overlay;
mod parse;
mod query;
mod scope;
mod session;
mod stored;
mod system;
mod triggers;
mod utility;
mod walk;
mod widening;

pub use derived::{DerivedColumn, derived_columns};
pub use function_call::function_call_text;
pub use kind_keyed::MASK_KEY_SETTINGS;
pub use limits::{NESTING_MAX, STATEMENTS_MAX, TEXT_BYTES_MAX};
pub use names::Names;
pub use operands::{SHAPED_TEXT_BYTES_MAX, Shape, integers_are_operands};
pub use system::{SystemColumn, sensitive_system_columns};

use pg_query::protobuf as pb;
use writ_model::facts::SessionEffect;
use writ_model::{Catalog, ColumnMasks, Lineage, OpaqueReason, StatementFacts, StatementKind};

use overlay::{Changes, Seen};
use walk::Walk;

/// By how much the rewrite of a relation that is no view is deeper than its name, in levels of the tree.
const REWRITE_LEVELS: usize = 16;

/// What a text does, and the text, which the rewrite starts from again.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    text: String,
    facts: StatementFacts,
    /// Whether a part of the text defines what a later one may use.
    defines_for_itself: bool,
}

/// The text to run in place of the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// The client's own text: no masked column is read.
    Unchanged,
    /// A text that reads masked values instead of the columns.
    Text(String),
}

/// Whether an error that quotes a row of this relation would show a masked value.
#[must_use]
pub fn rows_are_masked(catalog: &Catalog, masks: &ColumnMasks, schema: &str, name: &str) -> bool {
    mask::rows_are(catalog, masks, schema, name)
}

/// Analyses a text. Never fails: what is not known is in [`StatementFacts::opaque`].
#[must_use]
pub fn analyze(text: &str, catalog: &Catalog, names: &Names) -> Analysis {
    let found = parse::with_stack(text, 0, || facts_of(text, catalog, names));
    let (facts, defines_for_itself) = found.unwrap_or_else(|why| {
        let facts = StatementFacts {
            kinds: [StatementKind::Unknown].into(),
            statements: 1,
            opaque: [why].into(),
            session: [
                SessionEffect::Names,
                SessionEffect::Definitions,
                SessionEffect::TransactionEnd,
            ]
            .into(),
            ..StatementFacts::default()
        };
        (facts, false)
    });
    Analysis { text: text.to_owned(), facts, defines_for_itself }
}

/// `None` where a small stack cannot hold the definitions of the views that the text names.
fn facts_of(
    text: &str,
    catalog: &Catalog,
    names: &Names,
) -> Result<Option<(StatementFacts, bool)>, OpaqueReason> {
    if !names.standard_conforming_strings && text.contains('\\') {
        let why = "a backslash while standard_conforming_strings is off".to_owned();
        return Err(OpaqueReason::Session(why));
    }
    let mut tree = parse::parse(text)?;
    let changes = Changes::default();
    let mut walk = Walk::new(Seen::new(catalog, &changes), names, None);
    let counted = guard::note(&tree, catalog, names, &mut walk.facts);
    walk_all(&mut walk, &mut tree);
    let defines_for_itself = walk.has_defined();
    walk.facts.uncounted_changes |= walk.changes > counted;
    Ok((!walk.too_deep).then(|| (walk.into_facts(), defines_for_itself)))
}

/// Walks every statement of a text in order.
fn walk_all(walk: &mut Walk<'_>, tree: &mut pb::ParseResult) {
    for raw in &mut tree.stmts {
        let Some(statement) = raw.stmt.as_deref_mut() else { continue };
        walk.facts.statements = walk.facts.statements.saturating_add(1);
        let keeps_code = statement.node.as_ref().is_some_and(Walk::keeps_code);
        walk.statement(statement);
        walk.code_changed |= !keeps_code;
        walk.names_changed |= std::mem::take(&mut walk.names_changing);
    }
    walk.settle();
    if walk.facts.statements == 0 {
        walk.facts.kinds.insert(StatementKind::Empty);
    }
}

impl Analysis {
    /// What the text does.
    #[must_use]
    pub fn facts(&self) -> &StatementFacts {
        &self.facts
    }

    /// Where the values of the text come from. Nothing is decided by it, so that it is worked out when it is asked for.
    #[must_use]
    pub fn lineage(&self, catalog: &Catalog, names: &Names) -> Lineage {
        let unknown = || Lineage { partial: true, ..Lineage::default() };
        if self.defines_for_itself {
            // The snapshot is from before the text.
            return unknown();
        }
        let of_tree = || Ok(Some(lineage::of(&parse::parse(&self.text)?, catalog, names)));
        parse::with_stack(&self.text, 0, of_tree).unwrap_or_else(|_| unknown())
    }

    /// Whether the text reads a masked column, as far as the facts know. What they do not know is
    /// in `opaque`, and for policy to judge.
    #[must_use]
    pub fn touches_masked(&self, catalog: &Catalog, masks: &ColumnMasks) -> bool {
        !masks.is_empty() && mask::touched(catalog.into(), masks, &self.facts)
    }

    /// Whether the text shows the plan of a prepared statement, whose own text is not at hand.
    fn explains_prepared(&self, masks: &ColumnMasks) -> bool {
        let explains = self.facts.kinds.contains(&StatementKind::Explain);
        explains && !self.facts.executes.is_empty() && !masks.is_empty()
    }

    /// The constraints through which the text can ask about masked values (E3), each as a reason for policy to judge:
    /// no rewrite can keep a UNIQUE from answering.
    #[must_use]
    pub fn oracles(&self, catalog: &Catalog, masks: &ColumnMasks) -> Vec<OpaqueReason> {
        oracles::of(catalog, masks, &self.facts).into_iter().map(OpaqueReason::Oracle).collect()
    }

    /// The text that reads masked values in place of masked columns (E3). `catalog` and `names` must
    /// be those of the analysis. Errors where no sound rewrite is known; nothing may run then.
    pub fn rewrite(
        &self,
        catalog: &Catalog,
        names: &Names,
        masks: &ColumnMasks,
    ) -> Result<Rewrite, OpaqueReason> {
        if !self.touches_masked(catalog, masks) && !self.explains_prepared(masks) {
            return Ok(Rewrite::Unchanged);
        }
        // An untrusted function is a question of policy; anything else leaves masked reads unseen.
        let unseen = |r: &&OpaqueReason| !matches!(r, OpaqueReason::UntrustedFunction(_));
        if let Some(reason) = self.facts.opaque.iter().find(unseen) {
            return Err(reason.clone());
        }
        parse::with_stack(&self.text, REWRITE_LEVELS, || {
            let mut tree = parse::parse(&self.text)?;
            let changes = Changes::default();
            let mut walk = Walk::new(Seen::new(catalog, &changes), names, Some(masks));
            walk_all(&mut walk, &mut tree);
            if walk.too_deep {
                return Ok(None);
            }
            if let Some(reason) = walk.refusal.take() {
                return Err(reason);
            }
            parse::print(tree).map(Rewrite::Text).map(Some)
        })
    }
}
