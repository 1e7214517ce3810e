//! What the scanner finds inside of text, where, and what it leaves alone.

mod common;

use common::*;
use writ_classify::Scanner;

fn finds(text: &str) -> Vec<String> {
    Scanner::new()
        .find(text.as_bytes())
        .map(|found| format!("{}: {}", found.kind.as_str(), &text[found.range]))
        .collect()
}

#[test]
fn kinds_and_places() {
    for (text, expected) in [
        ("write to dana.k@example.org.", "pii.email: dana.k@example.org"),
        ("<o'neil+shop@mail.example.co.uk>", "pii.email: o'neil+shop@mail.example.co.uk"),
        ("call +49 170 1234567 back", "pii.phone: +49 170 1234567"),
        ("call (415) 555-2671 after lunch", "pii.phone: (415) 555-2671"),
        ("or 415-555-2671.", "pii.phone: 415-555-2671"),
        ("tel: 0170 1234567", "pii.phone: 0170 1234567"),
        ("SSN 123-45-6789, please", "pii.national_id: 123-45-6789"),
        ("Nr. 811228-9874 in Malmö", "pii.national_id: 811228-9874"),
        ("CPF 529.982.247-25.", "pii.national_id: 529.982.247-25"),
        ("DNI 12345678Z", "pii.national_id: 12345678Z"),
        ("NI AB123456C ok", "pii.national_id: AB123456C"),
        ("cf RSSMRA85T10A562S", "pii.national_id: RSSMRA85T10A562S"),
        ("hetu 131052-308T", "pii.national_id: 131052-308T"),
        ("paid with 4111 1111 1111 1111 yesterday", "payment.card: 4111 1111 1111 1111"),
        ("my visa 4111111111111111 was declined", "payment.card: 4111111111111111"),
        ("amex 3782-822463-10005", "payment.card: 3782-822463-10005"),
        (
            "refund to DE89 3704 0044 0532 0130 00 please",
            "payment.iban: DE89 3704 0044 0532 0130 00",
        ),
        ("GB82WEST12345698765432", "payment.iban: GB82WEST12345698765432"),
        ("from 203.0.113.77:", "pii.ip: 203.0.113.77"),
        ("from 2001:db8::8a2e:370:7334 on", "pii.ip: 2001:db8::8a2e:370:7334"),
        ("at 00:00:5e:00:53:af.", "pii.mac: 00:00:5e:00:53:af"),
        ("at 00-00-5E-00-53-AF.", "pii.mac: 00-00-5E-00-53-AF"),
        ("AKIAIOSFODNN7EXAMPLE is in the repo", "secret.key: AKIAIOSFODNN7EXAMPLE"),
        (
            "key sk_live_4eC39HqLyjWDarjtT1zdp7dc leaked",
            "secret.key: sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        ),
        ("his password: hunter2!", "secret.key: hunter2"),
        ("the password is hunter22, he said", "secret.key: hunter22"),
        ("use postgres://app:s3cret@db/shop", "secret.key: s3cret"),
        ("API_KEY=abc123def456", "secret.key: abc123def456"),
        (r#"{"password": "corr3ct-horse"}"#, "secret.key: corr3ct-horse"),
        ("Authorization: Bearer abcdef0123456789abcdef", "secret.key: abcdef0123456789abcdef"),
        (
            "x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_1.",
            "secret.key: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_1",
        ),
        (
            "AccountKey=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyMTIz;",
            "secret.key: AccountKey=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyMTIz",
        ),
        (
            "root:$6$saltsalt$abcdefghijklmnopqrstuvwxyz:1",
            "secret.password: $6$saltsalt$abcdefghijklmnopqrstuvwxyz:1",
        ),
    ] {
        assert_eq!(finds(text), [expected], "{text}");
    }
}

#[test]
fn a_private_key_is_found_whole() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----";
    assert_eq!(finds(&format!("see\n{key}\nthere")), [format!("secret.key: {key}")]);
    let cut = &key[..40];
    assert_eq!(finds(cut), [format!("secret.key: {cut}")], "without its end");
    assert_eq!(finds("-----BEGIN PUBLIC KEY-----\nMIIEow"), [""; 0], "control");
}

#[test]
fn the_harmless_is_left_alone() {
    for text in [
        "order ORD-2024-000123 shipped with 1Z999AA10123456784",
        "customer 4532015112830366123 did not answer",
        "password reset requested, token expired",
        "the password is required",
        "see https://example.org/a/b?c=d and git@github.com:writ/writ.git",
        "delivered 2024-03-01 between 10:00 and 12:00, 3 parcels at 19.99",
        "id 550e8400-e29b-41d4-a716-446655440000, version 10.2.14.0",
        "icon@2x.png is missing",
        "std::string and a::b, 12:30:11",
        "DE89 3704 0044 0532 0130 01",
        "4111 1111 1111 1112",
        "811228-9873 and 12345678A",
        "md5 d41d8cd98f00b204e9800998ecf8427e, sha da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "2024-123-45-6789 is the number of a file",
        "+5 and +12 percent, $20 and $2 off",
        "task-list, sk-learn, npm_config_registry, hf_hub",
        "token: 12 of 30",
        "",
        "@ @a a@ a@b +1 $ : = - (",
    ] {
        assert_eq!(finds(text), [""; 0], "{text}");
    }
}

#[test]
fn many_finds_come_in_order_and_do_not_overlap() {
    let text = "a@example.org, 4111 1111 1111 1111 and b@example.org at 203.0.113.77";
    let kinds: Vec<String> = finds(text);
    assert_eq!(
        kinds,
        [
            "pii.email: a@example.org",
            "payment.card: 4111 1111 1111 1111",
            "pii.email: b@example.org",
            "pii.ip: 203.0.113.77"
        ]
    );
}

/// Whatever the bytes are, finds are in order, inside of the text and not empty; and the same text in other text gives
/// the same find.
#[test]
fn any_bytes_are_safe() {
    let scanner = Scanner::new();
    let mut numbers = Numbers::new(7);
    let pieces = [
        "@",
        "a@b.cc",
        "4111111111111111",
        "-",
        "+491701234567",
        "eyJ",
        "$2b$",
        "://",
        ":",
        "=",
        "password",
        "é",
        "\u{0}",
        "DE89370400440532013000",
        "00:",
        "::",
        "1.2.3.",
        "255.",
        " ",
        "AKIA",
        "sk_live_",
        "-----BEGIN ",
        "PRIVATE KEY",
    ];
    for _ in 0..4_000 {
        let count = 1 + numbers.below(12);
        let text: String = (0..count).map(|_| numbers.pick(&pieces)).collect();
        let mut bytes = text.into_bytes();
        if numbers.below(3) == 0 {
            let at = numbers.below(bytes.len() as u64) as usize;
            bytes[at] = numbers.below(256) as u8;
        }
        let mut last = 0;
        for found in scanner.find(&bytes) {
            assert!(found.range.start >= last && found.range.start < found.range.end, "{bytes:?}");
            assert!(found.range.end <= bytes.len(), "{bytes:?}");
            last = found.range.end;
        }
    }
}

#[test]
fn look_alike_cells_are_not_masked() {
    let scanner = Scanner::new();
    let mut numbers = Numbers::new(11);
    let n = &mut numbers;
    let hex = "0123456789abcdef";
    let mut finds = 0;
    for _ in 0..2_000 {
        let cells = [
            n.digits(9),
            n.digits(16),
            format!("4{}", n.digits(15)),
            format!("1{}", n.digits(18)),
            format!("ORD-2024-{}", n.digits(6)),
            format!("{}-{}-{}", n.token("ABCDEF", 3), n.digits(4), n.token("XYZ", 2)),
            format!("40{}", n.digits(11)),
            n.token(hex, 32),
            n.token(hex, 64),
            format!(
                "{}-{}-4{}-a{}-{}",
                n.token(hex, 8),
                n.token(hex, 4),
                n.token(hex, 3),
                n.token(hex, 3),
                n.token(hex, 12)
            ),
            format!("2024-0{}-1{}T12:0{}:00Z", n.below(9) + 1, n.below(9), n.below(9)),
            format!("{}.{}.{}.{}", n.below(9), n.below(9), n.below(60), n.below(90)),
            format!("#{}", n.token(hex, 6)),
            n.token(BASE62, 21),
        ];
        finds += cells.iter().filter(|cell| scanner.find(cell.as_bytes()).next().is_some()).count();
    }
    // Of 28,000 cells no more than one in ten thousand.
    assert!(finds <= 2, "{finds}");
}
