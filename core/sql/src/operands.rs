//! Texts that differ in bare integers alone, as drivers without parameters send them, and when such texts have the
//! same facts.
//!
//! Two things make that a proof and not a guess. [`Shape`] leaves out nothing but whole integer tokens, in texts so plain
//! that the scanner cannot read anything else into them: texts of one shape are the same tokens but for the values of
//! those integers, and the grammar builds the same tree of the same tokens. [`integers_are_operands`] then looks where
//! each of them ended up in the tree: what is compared with, added to or stored in a column is looked at by no fact.
//! An integer anywhere else (LIMIT, ORDER BY, a type's length, an argument, a constant condition) has a meaning of its
//! own, and a text with one of those shares nothing. Nor do texts with other literals: a name is one, and names are what
//! policy decides on.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::parse;

/// The longest text that has a shape, in bytes.
pub const SHAPED_TEXT_BYTES_MAX: usize = 1_024;
/// The most digits of an integer that is left out: more may be a number of another type to the server.
const DIGITS_MAX: usize = 9;
/// Stands for an integer; no text with a shape contains it.
const INTEGER: u8 = 1;

/// A text with its integers left out. Made again and again in the same memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    bytes: Vec<u8>,
}

impl Shape {
    /// Takes the shape of `text`. False where it has none: it has no integer, is long, or has anything but words, spaces
    /// and the plainest punctuation; quotes, comments, parameters and casts above all.
    pub fn take(&mut self, text: &[u8]) -> bool {
        self.bytes.clear();
        let mut integers = 0_usize;
        let plain = tokens(text, |token| match token {
            Token::Integer(_) => {
                integers += 1;
                self.bytes.push(INTEGER);
            }
            Token::Other(token) => self.bytes.extend_from_slice(token),
        });
        plain && integers > 0
    }

    /// Equal bytes, equal shapes. No text is a shape.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

enum Token<'a> {
    /// An integer that is left out: where it begins.
    Integer(usize),
    Other(&'a [u8]),
}

/// Gives `take` the tokens of a plain text. False where it is not plain.
fn tokens<'a>(text: &'a [u8], mut take: impl FnMut(Token<'a>)) -> bool {
    if text.len() > SHAPED_TEXT_BYTES_MAX {
        return false;
    }
    let mut rest = text;
    while let Some(first) = rest.first() {
        let word = rest.iter().take_while(|b| is_word(**b)).count();
        let Some((token, tail)) = rest.split_at_checked(word.max(1)) else { return false };
        let is_comment = token == b"-" && tail.first() == Some(&b'-');
        if word > 0 && word <= DIGITS_MAX && token.iter().all(u8::is_ascii_digit) {
            take(Token::Integer(text.len() - rest.len()));
        } else if word > 0 || (is_plain(*first) && !is_comment) {
            take(Token::Other(token));
        } else {
            return false;
        }
        rest = tail;
    }
    true
}

/// Letters, digits and the dot hang together: `t1`, `1.5`, `1e5`, `0x1f`, `1_000` and `a.b` are no integers.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'(' | b')' | b';')
        || matches!(byte, b'=' | b'<' | b'>' | b'*' | b'+' | b'-')
}

/// Whether each integer that the shape of `text` leaves out is a bare operand beside a column, or the value that a column
/// is given. The facts of all texts of the shape are the same then. False for a text without a shape.
#[must_use]
pub fn integers_are_operands(text: &str) -> bool {
    let mut left_out = Vec::new();
    let plain = tokens(text.as_bytes(), |token| {
        if let Token::Integer(place) = token {
            left_out.push(place);
        }
    });
    let operands = || {
        let tree = parse::parse(text)?;
        let mut found = Operands { text: text.as_bytes(), places: Vec::new() };
        if let [only] = tree.stmts.as_slice() {
            found.statement(only.stmt.as_deref());
        }
        found.places.sort_unstable();
        Ok(Some(found.places))
    };
    plain && parse::with_stack(text, 0, operands).is_ok_and(|found| found == left_out)
}

/// Where integers stand that no fact looks at.
struct Operands<'a> {
    text: &'a [u8],
    places: Vec<usize>,
}

impl Operands<'_> {
    fn statement(&mut self, statement: Option<&Node>) {
        match statement.and_then(|s| s.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) => {
                self.condition(select.where_clause.as_deref());
                self.joins(&select.from_clause);
            }
            Some(NodeEnum::DeleteStmt(delete)) => self.condition(delete.where_clause.as_deref()),
            Some(NodeEnum::UpdateStmt(update)) => {
                self.condition(update.where_clause.as_deref());
                for target in &update.target_list {
                    if let Some(NodeEnum::ResTarget(target)) = &target.node {
                        self.value(target.val.as_deref());
                    }
                }
            }
            Some(NodeEnum::InsertStmt(insert)) => self.inserted(insert.select_stmt.as_deref()),
            _ => {}
        }
    }

    fn inserted(&mut self, values: Option<&Node>) {
        let Some(NodeEnum::SelectStmt(values)) = values.and_then(|v| v.node.as_ref()) else {
            return;
        };
        for row in &values.values_lists {
            if let Some(NodeEnum::List(row)) = &row.node {
                row.items.iter().for_each(|item| self.value(Some(item)));
            }
        }
    }

    fn joins(&mut self, from: &[Node]) {
        for item in from {
            if let Some(NodeEnum::JoinExpr(join)) = &item.node {
                self.condition(join.quals.as_deref());
                self.joins(join.larg.as_deref().map(std::slice::from_ref).unwrap_or_default());
                self.joins(join.rarg.as_deref().map(std::slice::from_ref).unwrap_or_default());
            }
        }
    }

    /// What a column is given: an integer, or a column and an integer.
    fn value(&mut self, value: Option<&Node>) {
        match value.and_then(|v| v.node.as_ref()) {
            Some(NodeEnum::AConst(constant)) => self.constant(constant),
            _ => self.condition(value),
        }
    }

    /// Conditions that must all hold, down to what columns are compared with.
    fn condition(&mut self, condition: Option<&Node>) {
        match condition.and_then(|c| c.node.as_ref()) {
            // `id = 5 OR id <> 5` is no condition, `id = 5 OR id <> 6` is one: arms are compared with each other.
            Some(NodeEnum::BoolExpr(all)) if all.boolop() == pb::BoolExprType::AndExpr => {
                all.args.iter().for_each(|part| self.condition(Some(part)));
            }
            Some(NodeEnum::AExpr(e)) if is_builtin(e) => {
                let (left, right) = (e.lexpr.as_deref(), e.rexpr.as_deref());
                if is_column(left) {
                    self.operand(right);
                } else if is_column(right) {
                    self.operand(left);
                }
            }
            _ => {}
        }
    }

    /// An integer beside a column, or a list of them.
    fn operand(&mut self, operand: Option<&Node>) {
        match operand.and_then(|o| o.node.as_ref()) {
            Some(NodeEnum::AConst(constant)) => self.constant(constant),
            Some(NodeEnum::List(list)) => {
                list.items.iter().for_each(|item| self.operand(Some(item)));
            }
            _ => {}
        }
    }

    /// The constant of a sign and an integer begins at the sign, which is part of the shape.
    fn constant(&mut self, constant: &pb::AConst) {
        if !matches!(constant.val, Some(pb::a_const::Val::Ival(_))) {
            return;
        }
        let place = usize::try_from(constant.location).ok();
        let Some((place, rest)) = place.and_then(|at| Some((at, self.text.get(at..)?))) else {
            return;
        };
        let before = rest.iter().take_while(|b| matches!(b, b'-' | b' ' | b'\n' | b'\r' | b'\t'));
        self.places.push(place + before.count());
    }
}

fn is_column(node: Option<&Node>) -> bool {
    matches!(node.and_then(|n| n.node.as_ref()), Some(NodeEnum::ColumnRef(_)))
}

/// Whether it is a comparison or a sum in the plainest form.
fn is_builtin(expression: &pb::AExpr) -> bool {
    use pb::AExprKind as K;
    let known = |name: &str| matches!(name, "=" | "<>" | "<" | ">" | "<=" | ">=" | "+" | "-" | "*");
    match expression.kind() {
        K::AexprOp | K::AexprIn => {
            matches!(expression.name.as_slice(), [name] if parse::string(name).is_some_and(known))
        }
        K::AexprBetween | K::AexprNotBetween => true,
        _ => false,
    }
}
