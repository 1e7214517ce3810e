//! Keys and tokens that can be told by how they start: the forms that their services publish.

/// What the rest of a token is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Letters and digits.
    Plain,
    /// Letters, digits, `-` and `_`.
    Url,
    /// The same and dots.
    Dotted,
    /// Capitals and digits.
    Capitals,
    /// Hexadecimal digits.
    Hex,
    /// Base64 with `+`, `/` and `=`.
    Base64,
}

impl Tail {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Plain => byte.is_ascii_alphanumeric(),
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Self::Dotted => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
            }
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
        }
    }
}

/// One form of token: how it starts, how long the rest is at least, in bytes, and what it is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) prefix: &'static str,
    tail_min: usize,
    tail: Tail,
}

const fn token(prefix: &'static str, tail_min: usize, tail: Tail) -> Token {
    Token { prefix, tail_min, tail }
}

/// All forms. None is the start of another, but for the shorter one standing later.
pub(crate) const TOKENS: [Token; 54] = [
    token("AKIA", 16, Tail::Capitals),
    token("ASIA", 16, Tail::Capitals),
    token("AIza", 30, Tail::Url),
    token("ya29.", 20, Tail::Dotted),
    token("GOCSPX-", 20, Tail::Url),
    token("AccountKey=", 40, Tail::Base64),
    token("SharedAccessKey=", 40, Tail::Base64),
    token("SharedAccessSignature=", 20, Tail::Dotted),
    token("ghp_", 30, Tail::Plain),
    token("gho_", 30, Tail::Plain),
    token("ghs_", 30, Tail::Plain),
    token("ghu_", 30, Tail::Plain),
    token("ghr_", 30, Tail::Plain),
    token("github_pat_", 30, Tail::Url),
    token("glpat-", 20, Tail::Url),
    token("gldt-", 20, Tail::Url),
    token("glrt-", 20, Tail::Url),
    token("xoxb-", 16, Tail::Url),
    token("xoxp-", 16, Tail::Url),
    token("xoxa-", 16, Tail::Url),
    token("xoxr-", 16, Tail::Url),
    token("xoxs-", 16, Tail::Url),
    token("xapp-", 16, Tail::Url),
    token("hooks.slack.com/services/", 24, Tail::Base64),
    token("sk_live_", 16, Tail::Plain),
    token("sk_test_", 16, Tail::Plain),
    token("rk_live_", 16, Tail::Plain),
    token("rk_test_", 16, Tail::Plain),
    token("pk_live_", 16, Tail::Plain),
    token("whsec_", 24, Tail::Base64),
    token("sk-ant-", 24, Tail::Url),
    token("sk-proj-", 24, Tail::Url),
    token("sk-", 32, Tail::Url),
    token("gsk_", 32, Tail::Plain),
    token("hf_", 30, Tail::Plain),
    token("npm_", 30, Tail::Plain),
    token("pypi-", 40, Tail::Url),
    token("rubygems_", 40, Tail::Hex),
    token("dop_v1_", 40, Tail::Hex),
    token("doo_v1_", 40, Tail::Hex),
    token("shpat_", 28, Tail::Hex),
    token("shpss_", 28, Tail::Hex),
    token("SG.", 40, Tail::Dotted),
    token("hvs.", 20, Tail::Dotted),
    token("hvb.", 20, Tail::Dotted),
    token("dckr_pat_", 20, Tail::Url),
    token("glsa_", 28, Tail::Url),
    token("lin_api_", 28, Tail::Plain),
    token("PMAK-", 40, Tail::Url),
    token("NRAK-", 20, Tail::Capitals),
    token("sntrys_", 30, Tail::Base64),
    token("dapi", 32, Tail::Hex),
    token("AGE-SECRET-KEY-", 40, Tail::Capitals),
    token("SK", 32, Tail::Hex),
];

impl Token {
    /// Where the token that starts at `start` of `text` ends; `None` where there is none.
    pub(crate) fn end(&self, text: &[u8], start: usize) -> Option<usize> {
        let body = text.get(start..)?.strip_prefix(self.prefix.as_bytes())?;
        let length = body.iter().position(|b| !self.tail.has(*b)).unwrap_or(body.len());
        let tail = body.get(..length)?;
        // Words joined by dashes are no key.
        (length >= self.tail_min && varied(tail)).then_some(start + self.prefix.len() + length)
    }
}

/// Whether this is no word: it has a digit, or both capitals and small letters.
fn varied(tail: &[u8]) -> bool {
    tail.iter().any(u8::is_ascii_digit)
        || (tail.iter().any(u8::is_ascii_uppercase) && tail.iter().any(u8::is_ascii_lowercase))
}

/// Whether the whole of `text` is such a token.
pub(crate) fn is_token(text: &str) -> bool {
    TOKENS.iter().any(|token| token.end(text.as_bytes(), 0) == Some(text.len()))
        || azure_secret(text)
}

/// Whether `text` is the secret of an Azure application: three characters, a digit, `Q~`, and the rest.
fn azure_secret(text: &str) -> bool {
    (37..=44).contains(&text.len())
        && text.get(4..6) == Some("Q~")
        && text.get(..3).is_some_and(|head| head.bytes().all(|b| b.is_ascii_alphanumeric()))
        && text.bytes().all(|b| Tail::Dotted.has(b))
}

/// Where the JSON web token that starts at `start` ends: three parts, the first two of them JSON objects.
pub(crate) fn jwt_end(text: &[u8], start: usize) -> Option<usize> {
    /// The shortest one is longer than this, in bytes.
    const BYTES_MIN: usize = 30;
    let body = text.get(start..)?;
    let length = body.iter().position(|b| !Tail::Dotted.has(*b)).unwrap_or(body.len());
    let token = body.get(..length)?;
    let mut parts = token.split(|b| *b == b'.');
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    let objects = first.starts_with(b"eyJ") && !second.is_empty() && !third.is_empty();
    (objects && length >= BYTES_MIN).then(|| {
        // A dot after the signature ends a sentence.
        start + first.len() + second.len() + third.len() + 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_prefix_stands_before_the_shorter_one() {
        for (index, later) in TOKENS.iter().enumerate() {
            for earlier in &TOKENS[..index] {
                assert!(!later.prefix.starts_with(earlier.prefix), "{}", later.prefix);
            }
        }
    }

    #[test]
    fn tokens_are_told_from_words() {
        assert!(is_token("AKIAIOSFODNN7EXAMPLE") && !is_token("AKIAIOSF") && !is_token("ASIATICA"));
        assert!(!is_token("sk-learn-is-a-package-for-machine-learning"));
        assert!(is_token("abc8Q~aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789"));
        assert_eq!(jwt_end(b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_1.", 0), Some(46));
        assert_eq!(jwt_end(b"eyJ", 0), None);
    }
}
