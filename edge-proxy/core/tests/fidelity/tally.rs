//! What a run found.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use writ_model::StatementFacts;

/// How many lines of each list of a report are printed.
const LINES_MAX: usize = 60;

/// Counts over statements, and the texts of those that are wrong.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) statements: u64,
    pub(crate) refused: u64,
    pub(crate) not_text: u64,
    pub(crate) complete: u64,
    pub(crate) with_trees: u64,
    pub(crate) opaque: u64,
    /// Statements to which row security adds reads of other relations.
    pub(crate) row_security: u64,
    opaque_reasons: BTreeMap<&'static str, u64>,
    opaque_details: BTreeMap<String, (u64, String)>,
    pub(crate) wrong: Vec<String>,
    pub(crate) over: Vec<String>,
    /// Statements that run others which the facts do not list, by what runs them.
    pub(crate) unseen: BTreeMap<String, (u64, String)>,
    pub(crate) files: BTreeMap<String, [u64; 4]>,
}

impl Tally {
    pub(crate) fn note_opaque(&mut self, facts: &StatementFacts, text: &str) {
        self.opaque += 1;
        for reason in &facts.opaque {
            *self.opaque_reasons.entry(reason.as_str()).or_default() += 1;
            let key = format!("{}: {}", reason.as_str(), reason.detail());
            self.opaque_details.entry(key).or_insert_with(|| (0, text.to_owned())).0 += 1;
        }
    }

    /// The figures.
    pub(crate) fn summary(&self) -> String {
        let accepted = self.complete + self.opaque;
        let percent = |n: u64| n as f64 * 100.0 / (accepted.max(1)) as f64;
        let mut out = format!(
            "statements {}\nrefused by the server {}\nnot UTF-8 {}\naccepted {accepted}\n\
             complete {} ({:.2} %), of them compared column by column {}\nopaque {} ({:.2} %)\n\
             over-reported {} ({:.2} %)\nrow security reads more {}\nwrong {}\n",
            self.statements,
            self.refused,
            self.not_text,
            self.complete,
            percent(self.complete),
            self.with_trees,
            self.opaque,
            percent(self.opaque),
            self.over.len(),
            percent(self.over.len() as u64),
            self.row_security,
            self.wrong.len(),
        );
        for (reason, count) in &self.opaque_reasons {
            let _ = writeln!(out, "  opaque {reason} {count}");
        }
        for (cause, (count, text)) in &self.unseen {
            let _ = writeln!(out, "  hidden {count} {cause} | {}", line(text));
        }
        out
    }

    /// Everything, for those who mend.
    pub(crate) fn report(&self) -> String {
        let mut out = self.summary();
        for (file, [accepted, complete, opaque, wrong]) in &self.files {
            let _ = writeln!(out, "file {file} {accepted} {complete} {opaque} {wrong}");
        }
        let mut details: Vec<_> = self.opaque_details.iter().collect();
        details.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        for (detail, (count, text)) in details {
            let _ = writeln!(out, "opaque {count} {} | {}", line(detail), line(text));
        }
        for text in &self.over {
            let _ = writeln!(out, "over {}", line(text));
        }
        for text in &self.wrong {
            let _ = writeln!(out, "WRONG {}", line(text));
        }
        out
    }

    /// The first of what is wrong.
    pub(crate) fn first_wrong(&self) -> String {
        self.wrong.iter().take(LINES_MAX).map(|w| line(w) + "\n").collect()
    }
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(700).collect()
}
