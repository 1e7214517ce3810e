//! What is hidden inside of text: one find in any sample is enough, since text says anything to anyone.

use crate::checks;
use crate::pattern::pattern;
use crate::shapes;
use crate::tags::Kind;

pattern!(EMAIL, r"(?i)[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,24}");
pattern!(
    PHONE,
    r"\+[1-9]\d{0,2}[ ./-]?(\(\d{1,5}\)[ ./-]?)?\d{2,5}([ ./-]?\d{2,5}){1,4}|(^|[^\w.-])(\(\d{3}\) ?|\d{3}[ .-])\d{3}[.-]\d{4}\b"
);
pattern!(SSN, r"(^|[^\w-])\d{3}-\d{2}-\d{4}($|[^\w-])");
pattern!(
    CARD,
    r"(^|[^\w.-])(\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,7}|\d{4}[ -]\d{6}[ -]\d{5}|\d{13,19})\b"
);
pattern!(CARD_WORD, r"(?i)\b(card|cards|visa|mastercard|amex|credit|debit|cc|pan|kreditkarte)\b");
pattern!(IBAN, r"\b[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){2,7}( ?[A-Z0-9]{1,3})?\b");
pattern!(
    ASSIGNED,
    r#"(?i)\b[\w-]*(api[ _-]?key|secret|token|password|passwd|passwort|passphrase|pwd|pass|pin|access[ _-]?key)"?\s*(is|was|=|:|->|=>)\s*["'`]?([^\s"'`,;]{6,})"#
);
pattern!(URL_CREDENTIAL, r"(?i)\b[a-z][a-z0-9+.-]*://[^\s:/@]+:[^\s:/@]{3,}@");
pattern!(PEM, r"-----BEGIN [A-Z ]*PRIVATE KEY");
pattern!(WORD, r"[A-Za-z0-9_\-+/=.$~]{16,}");
pattern!(BEARER, r"(?i)\bbearer\s+[a-z0-9._~+/-]{16,}=*");

/// What `text` contains that should not be seen, the worst first.
pub(crate) fn find(text: &str) -> Option<Kind> {
    if secret(text) {
        return Some(Kind::Key);
    }
    (email(text) || phone(text) || SSN.matches(text) || card(text) || iban(text))
        .then_some(Kind::FreeText)
}

fn secret(text: &str) -> bool {
    PEM.matches(text)
        || URL_CREDENTIAL.matches(text)
        || BEARER.matches(text)
        || WORD.all(text).any(|m| {
            let word = m.as_str().trim_end_matches('.');
            shapes::known_key(word) || (shapes::password_hash(word) && word.len() >= 30)
        })
        || ASSIGNED.groups(text).any(|g| g.get(3).is_some_and(|v| looks_chosen(v.as_str())))
}

/// Whether a word after `password:` is a password rather than the next word of the sentence.
fn looks_chosen(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ')', '!', '?']);
    word.chars().count() >= 6
        && word.chars().any(|c| c.is_ascii_digit() || "!@#$%^&*".contains(c))
        && word.chars().any(char::is_alphabetic)
}

fn email(text: &str) -> bool {
    EMAIL.all(text).any(|m| {
        let after = text.get(m.end()..).unwrap_or_default();
        // `git@host:path` names a repository.
        shapes::email(m.as_str()) && !(m.as_str().starts_with("git@") && after.starts_with(':'))
    })
}

fn phone(text: &str) -> bool {
    PHONE.all(text).any(|m| {
        let digits = m.as_str().chars().filter(char::is_ascii_digit).count();
        (9..=15).contains(&digits)
    })
}

fn card(text: &str) -> bool {
    CARD.groups(text).any(|g| {
        g.get(2).is_some_and(|m| {
            // A tenth of all long numbers pass the checksum: an ungrouped one needs a word beside it.
            let grouped = m.as_str().contains([' ', '-']);
            checks::card(m.as_str()) && (grouped || CARD_WORD.matches(text))
        })
    })
}

fn iban(text: &str) -> bool {
    IBAN.all(text).any(|m| {
        let mut candidate = m.as_str();
        // The pattern may take the next word along.
        loop {
            if checks::iban(candidate) {
                return true;
            }
            let Some((shorter, _)) = candidate.rsplit_once(' ') else { return false };
            candidate = shorter;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_patterns_compile() {
        for pattern in [
            &EMAIL,
            &PHONE,
            &SSN,
            &CARD,
            &CARD_WORD,
            &IBAN,
            &ASSIGNED,
            &URL_CREDENTIAL,
            &PEM,
            &WORD,
            &BEARER,
        ] {
            assert_eq!(pattern.broken(), None);
        }
    }

    #[test]
    fn finds_what_is_hidden() {
        for (text, kind) in [
            ("customer asked us to call +49 170 1234567 back", Kind::FreeText),
            ("call (415) 555-2671 after lunch", Kind::FreeText),
            ("reach me at dana.k@example.org.", Kind::FreeText),
            ("SSN is 123-45-6789, please update", Kind::FreeText),
            ("paid with 4111 1111 1111 1111 yesterday", Kind::FreeText),
            ("my visa 4111111111111111 was declined", Kind::FreeText),
            ("refund to DE89 3704 0044 0532 0130 00 please", Kind::FreeText),
            ("key sk_live_4eC39HqLyjWDarjtT1zdp7dc leaked", Kind::Key),
            ("his password: hunter2!", Kind::Key),
            ("use postgres://app:s3cret@db/shop", Kind::Key),
            ("API_KEY=abc123def456", Kind::Key),
            ("AKIAIOSFODNN7EXAMPLE is in the repo", Kind::Key),
            (r#"{"password": "corr3ct-horse"}"#, Kind::Key),
            ("Authorization: Bearer abcdef0123456789abcdef", Kind::Key),
        ] {
            assert_eq!(find(text), Some(kind), "{text}");
        }
    }

    #[test]
    fn leaves_the_harmless_alone() {
        for text in [
            "order ORD-2024-000123 shipped with 1Z999AA10123456784",
            "customer 4532015112830366123 did not answer", // a long id, no word beside it
            "password reset requested, token expired",
            "the password is required",
            "see https://example.org/a/b?c=d and git@github.com:writ/writ.git",
            "delivered 2024-03-01 between 10:00 and 12:00, 3 parcels at 19.99",
            "id 550e8400-e29b-41d4-a716-446655440000, version 10.2.14",
            "icon@2x.png is missing",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
