//! What is hidden inside of text: one find in any sample is enough, since text says anything to anyone.

use std::sync::LazyLock;

use crate::scan::Scanner;
use crate::tags::Kind;

static SCANNER: LazyLock<Scanner> = LazyLock::new(Scanner::new);

/// What `text` contains that should not be seen, the worst first.
pub(crate) fn find(text: &str) -> Option<Kind> {
    let mut worst = None;
    for found in SCANNER.find(text.as_bytes()) {
        match found.kind {
            Kind::Key | Kind::Password => return Some(Kind::Key),
            // An address of a machine alone makes no text personal: logs are full of them.
            Kind::Ip | Kind::Mac => {}
            _ => worst = Some(Kind::FreeText),
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

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
