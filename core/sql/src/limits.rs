//! Bounds that hold before the C parser sees a text: one linear scan, no allocation per token.

use writ_model::OpaqueReason;

/// The longest text that is analysed, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// The deepest nesting of parentheses and brackets.
pub const NESTING_MAX: usize = 500;
/// The deepest nesting of comments: the C scanner is quadratic in it.
pub(crate) const COMMENT_NESTING_MAX: usize = 32;
/// The most tokens of all open list elements: bounds the depth of operator and join chains.
pub(crate) const CHAIN_TOKENS_MAX: usize = 8_000;
/// The longest run of operator characters: the C scanner is quadratic in it.
pub(crate) const OPERATOR_RUN_MAX: usize = 64;
/// The most statements in one text.
pub const STATEMENTS_MAX: usize = 10_000;

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    chains: Vec<usize>,
    /// The sum of `chains`.
    open: usize,
    longest: usize,
    statements: usize,
}

fn limit<T>(text: String) -> Result<T, OpaqueReason> {
    Err(OpaqueReason::Limit(text))
}

/// Checks `text` against every limit of this file. Gives the depth that its tree has at most, in nodes.
pub(crate) fn check(text: &str) -> Result<usize, OpaqueReason> {
    if text.len() > TEXT_BYTES_MAX {
        return limit(format!("the statement is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let mut scan =
        Scan { bytes: text.as_bytes(), at: 0, chains: vec![0], open: 0, longest: 0, statements: 1 };
    while scan.peek(0).is_some() {
        scan.token()?;
    }
    Ok(scan.longest)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Counts one token. The tree is at most as deep as the open list elements are long together.
    fn count(&mut self) -> Result<(), OpaqueReason> {
        if let Some(last) = self.chains.last_mut() {
            *last += 1;
        }
        self.open += 1;
        self.longest = self.longest.max(self.open);
        if self.open > CHAIN_TOKENS_MAX {
            return limit(format!("one list element has more than {CHAIN_TOKENS_MAX} tokens"));
        }
        Ok(())
    }

    /// Forgets the tokens of the innermost list element.
    fn forget(&mut self) {
        if let Some(last) = self.chains.last_mut() {
            self.open -= *last;
            *last = 0;
        }
    }

    fn token(&mut self) -> Result<(), OpaqueReason> {
        let (Some(byte), next) = (self.peek(0), self.peek(1)) else { return Ok(()) };
        match byte {
            b'-' if next == Some(b'-') => self.skip_while(|b| b != b'\n' && b != b'\r'),
            b'/' if next == Some(b'*') => return self.comment(),
            b'\'' => self.quoted(b'\'', false),
            b'"' => self.quoted(b'"', false),
            b'e' | b'E' if next == Some(b'\'') => {
                self.at += 1;
                self.quoted(b'\'', true);
            }
            b'$' => self.dollar(),
            b'(' | b'[' => {
                self.at += 1;
                self.chains.push(0);
                if self.chains.len() > NESTING_MAX {
                    return limit(format!("parentheses are nested deeper than {NESTING_MAX}"));
                }
            }
            b')' | b']' => {
                self.at += 1;
                self.forget();
                if self.chains.len() > 1 {
                    self.chains.pop();
                }
            }
            b',' | b';' => return self.separator(byte),
            _ if is_word(byte) => self.skip_while(is_word),
            _ if is_operator(byte) => self.operator()?,
            _ => {
                self.at += 1;
                return Ok(());
            }
        }
        self.count()
    }

    fn separator(&mut self, byte: u8) -> Result<(), OpaqueReason> {
        self.at += 1;
        self.forget();
        if byte == b';' {
            self.statements += 1;
            if self.statements > STATEMENTS_MAX {
                return limit(format!("the text has more than {STATEMENTS_MAX} statements"));
            }
        }
        Ok(())
    }

    fn operator(&mut self) -> Result<(), OpaqueReason> {
        let start = self.at;
        while let Some(byte) = self.peek(0) {
            let comment = (byte == b'-' && self.peek(1) == Some(b'-'))
                || (byte == b'/' && self.peek(1) == Some(b'*'));
            if !is_operator(byte) || (comment && self.at > start) {
                break;
            }
            self.at += 1;
        }
        if self.at - start > OPERATOR_RUN_MAX {
            return limit(format!("an operator is longer than {OPERATOR_RUN_MAX} characters"));
        }
        Ok(())
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&keep) {
            self.at += 1;
        }
    }

    fn comment(&mut self) -> Result<(), OpaqueReason> {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'*')) => {
                    self.at += 2;
                    depth += 1;
                    if depth > COMMENT_NESTING_MAX {
                        return limit(format!(
                            "comments are nested deeper than {COMMENT_NESTING_MAX}"
                        ));
                    }
                }
                (b'*', Some(b'/')) => {
                    self.at += 2;
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn quoted(&mut self, quote: u8, escapes: bool) {
        loop {
            self.at += 1;
            while let Some(byte) = self.peek(0) {
                self.at += 1;
                if byte == b'\\' && escapes {
                    self.at += 1;
                } else if byte == quote {
                    break;
                }
            }
            if !escapes || !self.continues() {
                return;
            }
        }
    }

    /// Whether a string goes on in another after white space, in the same escape mode. Moves there.
    fn continues(&mut self) -> bool {
        let end = self.at;
        loop {
            self.skip_while(|b| b.is_ascii_whitespace() || b == 0x0b);
            if self.peek(0) == Some(b'-') && self.peek(1) == Some(b'-') {
                self.skip_while(|b| b != b'\n' && b != b'\r');
            } else {
                break;
            }
        }
        let more = self.peek(0) == Some(b'\'');
        if !more {
            self.at = end;
        }
        more
    }

    fn dollar(&mut self) {
        let start = self.at;
        self.at += 1;
        self.skip_while(|b| is_word(b) && b != b'$');
        let numbered = self.bytes.get(start + 1).is_some_and(u8::is_ascii_digit);
        if self.peek(0) != Some(b'$') || numbered {
            return;
        }
        self.at += 1;
        let tag = self.bytes.get(start..self.at).unwrap_or_default();
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.windows(tag.len()).position(|w| w == tag);
        self.at = end.map_or(self.bytes.len(), |e| self.at + e + tag.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deep(text: &str) -> bool {
        check(text).is_err()
    }

    #[test]
    fn what_hides_in_strings_and_comments_is_not_counted() {
        let parens = "(".repeat(NESTING_MAX + 1);
        assert!(deep(&parens));
        for (before, after) in [
            ("'", "'"),
            ("\"", "\""),
            ("$$", "$$"),
            ("$a$", "$a$"),
            ("/* /* */", "*/"),
            ("-- ", "\n"),
            ("E'\\'", "'"),
            ("E'a'\n'\\'", "'"),
            ("E'a' -- x'\n'\\'", "'"),
        ] {
            assert!(!deep(&format!("{before}{parens}{after}")), "{before}");
            assert!(deep(&format!("{before}{after}{parens}")), "{before}");
        }
        // In a plain string a backslash quotes nothing; a dollar inside a name opens nothing.
        for before in ["'\\'", "a$$ ", "$1$ ", "'a'\n'\\'"] {
            assert!(deep(&format!("{before}{parens}")), "{before}");
        }
    }

    #[test]
    fn nested_chains_add_up() {
        let arm = "+1".repeat(CHAIN_TOKENS_MAX / 8);
        let nested = format!("1{arm}+(").repeat(9);
        assert!(deep(&nested));
        let listed = format!("1{arm},").repeat(90);
        assert!(!deep(&listed));
    }
}
