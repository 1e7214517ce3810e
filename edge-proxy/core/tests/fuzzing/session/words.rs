//! The language of the model's statements: a text is one or more `WORD NUMBER …`, separated by semicolons. The number
//! tells one text from another, and says what an approver or the planner answers.

/// The number in a statement.
pub fn number(statement: &str) -> usize {
    statement.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

pub fn word(statement: &str) -> &str {
    statement.split(' ').next().unwrap_or_default()
}

/// Whether the approver of this statement agrees, and the planner expects few rows.
pub fn is_lucky(statement: &str) -> bool {
    number(statement).is_multiple_of(2)
}

/// The SQLSTATE with which policy refuses a text, in the end, where nothing but the text decides: at once, or when it is
/// about to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Runs,
    Refused(&'static str),
    /// It may be prepared, and its Execute is refused.
    Unapproved,
}

pub const APPROVAL_ENDED: &str = "57014";

pub fn fate(text: &str) -> Fate {
    let of = |statement: &str| match word(statement) {
        "deny" | "unknown" => Fate::Refused("42501"),
        "expect" if !is_lucky(statement) => Fate::Refused("42501"),
        "hold" if !is_lucky(statement) => Fate::Unapproved,
        _ => Fate::Runs,
    };
    let fates: Vec<Fate> = text.split(';').map(of).collect();
    let refused = fates.iter().find(|f| matches!(f, Fate::Refused(_)));
    let unapproved = fates.iter().find(|f| matches!(f, Fate::Unapproved));
    refused.or(unapproved).copied().unwrap_or(Fate::Runs)
}

/// Whether one approver decides on the whole text, and how: by its first statement that has to be approved.
pub fn is_approved(text: &str) -> bool {
    fate(text) == Fate::Runs
}
