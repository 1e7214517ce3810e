//! What must be found: by value alone (columns named `c1`), by name, and by both.

mod common;

use common::*;

/// Judged under a name that says nothing.
fn neutral(values: Vec<String>) -> Option<String> {
    tag_of(&text("c1", values))
}

fn found(values: Vec<String>, expected: &str) {
    assert_eq!(neutral(values).as_deref(), Some(expected));
}

#[test]
fn emails() {
    found(
        rows(|n| {
            let (given, number) =
                (n.pick(&["dana", "m.garcia", "j_doe", "ann+shop", "o'neil"]), n.below(999));
            format!(
                "{given}{number}@{}",
                n.pick(&["example.org", "mail.example.co.uk", "gmail.com"])
            )
        }),
        "pii.email",
    );
    // Not all of them need be one.
    found(
        rows(|n| {
            if n.below(10) < 6 {
                format!("a{}@example.org", n.below(99))
            } else {
                "unknown".to_owned()
            }
        }),
        "pii.email",
    );
}

#[test]
fn phones_of_many_countries() {
    found(rows(|n| format!("+49 {} {}", 150 + n.below(29), n.digits(7))), "pii.phone");
    found(rows(|n| format!("+1{}", n.digits(10))), "pii.phone");
    found(rows(|n| format!("({}) 555-{}", 201 + n.below(700), n.digits(4))), "pii.phone");
    found(rows(|n| format!("{}-{}-{}", 201 + n.below(700), n.digits(3), n.digits(4))), "pii.phone");
    found(
        rows(|n| format!("001-{}-{}-{}x{}", n.digits(3), n.digits(3), n.digits(4), n.digits(3))),
        "pii.phone",
    );
    found(rows(|n| format!("020 7946 {}", n.digits(4))), "pii.phone");
    found(rows(|n| format!("{}.{}.{}", 201 + n.below(700), n.digits(3), n.digits(4))), "pii.phone");
}

#[test]
fn phones_as_people_write_them() {
    found(
        rows(|n| match n.below(3) {
            0 => format!("{}{}", 2 + n.below(8), n.digits(9)),
            1 => format!("+1-{}-{}-{}", n.digits(3), n.digits(3), n.digits(4)),
            _ => format!("({}) {}-{}", n.digits(3), n.digits(3), n.digits(4)),
        }),
        "pii.phone",
    );
    found(rows(|n| format!("+33 (0)4 {} {}", n.digits(2), n.digits(2)) + " 20 11"), "pii.phone");
}

#[test]
fn passwords_in_clear() {
    found(
        rows(|n| {
            format!("{}{}!{}", n.pick(&["Sunny", "Winter"]), n.digits(3), n.token("abcdXYZ", 3))
        }),
        "secret.password",
    );
}

#[test]
fn names_in_other_scripts() {
    found(
        rows(|n| {
            format!("{} {}", n.pick(&["三浦", "佐藤", "高橋"]), n.pick(&["加奈", "翔太", "さくら"]))
        }),
        "pii.name",
    );
    found(
        rows(|n| format!("{}{}", n.pick(&["王", "李", "张", "陈"]), n.pick(&["伟", "芳", "秀英"]))),
        "pii.name",
    );
}

#[test]
fn identity_numbers_that_only_a_checksum_tells() {
    // Dutch: the weighted sum divides by eleven.
    let bsn = |n: &mut Numbers| loop {
        let digits = format!("1{}", n.digits(8));
        let sum: u32 = digits
            .bytes()
            .zip([9, 8, 7, 6, 5, 4, 3, 2, 10])
            .map(|(b, w)| u32::from(b - b'0') * w)
            .sum();
        if sum.is_multiple_of(11) {
            break digits;
        }
    };
    found(rows(bsn), "pii.national_id");
    // French: 97 minus the rest is the key.
    found(
        rows(|n| {
            let body: u64 = format!("1{}", n.digits(12)).parse().expect("digits");
            format!("{body}{:02}", 97 - body % 97)
        }),
        "pii.national_id",
    );
}

#[test]
fn names_of_people() {
    found(rows(|n| format!("{} {}", n.pick(&GIVEN), n.pick(&FAMILY))), "pii.name");
    found(rows(|n| format!("{}, {}", n.pick(&FAMILY), n.pick(&GIVEN))), "pii.name");
    found(rows(|n| n.pick(&GIVEN).to_owned()), "pii.name");
    found(rows(|n| n.pick(&FAMILY).to_owned()), "pii.name");
}

#[test]
fn addresses() {
    found(
        rows(|n| {
            format!(
                "{} {} {}",
                n.below(9999) + 1,
                n.pick(&["Oak", "Main", "Martin Luther King"]),
                n.pick(&["Street", "Ave", "Rd.", "Lane"])
            )
        }),
        "pii.address",
    );
    found(
        rows(|n| {
            format!(
                "{} {}, {} Berlin",
                n.pick(&["Hauptstraße", "Goethestr.", "Am Ring", "Lindenweg"]),
                n.below(200) + 1,
                n.digits(5)
            )
        }),
        "pii.address",
    );
    found(
        rows(|n| format!("{} rue {}", n.below(99) + 1, n.pick(&["de Rivoli", "Victor Hugo"]))),
        "pii.address",
    );
    found(
        rows(|n| {
            format!(
                "{} Stephen Shoals Suite {}\nEast Mary, {} {}",
                n.below(9999) + 1,
                n.below(99),
                n.pick(&["CA", "NY"]),
                n.digits(5)
            )
        }),
        "pii.address",
    );
}

#[test]
fn national_identity_numbers() {
    found(
        rows(|n| format!("{}-{:02}-{:04}", 100 + n.below(500), 1 + n.below(99), 1 + n.below(9999))),
        "pii.national_id",
    );
    found(rows(|n| format!("AB{}C", n.digits(6))), "pii.national_id");
    found(
        rows(|n| {
            let number = n.below(99_999_999) as usize;
            let letter = "TRWAGMYFPDXBNJZSQVHLCKE".chars().nth(number % 23).expect("a letter");
            format!("{number:08}{letter}")
        }),
        "pii.national_id",
    );
}

#[test]
fn cards_judged_as_a_column() {
    let plain = rows(|n| with_luhn(&format!("4{}", n.digits(14))));
    found(plain.clone(), "payment.card");
    assert_eq!(tag_of(&column("t", "c1", "int8", plain.clone())).as_deref(), Some("payment.card"));
    found(
        rows(|n| {
            let digits = with_luhn(&format!("5{}{}", 1 + n.below(5), n.digits(13)));
            format!("{} {} {} {}", &digits[..4], &digits[4..8], &digits[8..12], &digits[12..])
        }),
        "payment.card",
    );
    found(rows(|n| with_luhn(&format!("37{}", n.digits(12)))), "payment.card");
    // One in twenty mistyped: still a card column.
    let mut some_wrong = plain.clone();
    for i in [3, 33, 53] {
        let last = if some_wrong[i].ends_with('1') { "2" } else { "1" };
        some_wrong[i].replace_range(15.., last);
    }
    found(some_wrong, "payment.card");
    // Four in ten wrong: no card column, unless its name says so.
    let mut wrong = plain;
    for v in wrong.iter_mut().take(24) {
        let last = if v.ends_with('1') { "2" } else { "1" };
        v.replace_range(15.., last);
    }
    assert_eq!(neutral(wrong.clone()), None);
    assert_eq!(tag_of(&text("card_number", wrong)).as_deref(), Some("payment.card"));
}

#[test]
fn ibans_and_bank_accounts() {
    found(rows(iban), "payment.iban");
    found(
        rows(|n| {
            let plain = iban(n);
            plain
                .as_bytes()
                .chunks(4)
                .map(|c| String::from_utf8_lossy(c).into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        }),
        "payment.iban",
    );
    assert_eq!(
        tag_of(&column("t", "account_number", "int8", rows(|n| n.digits(10)))).as_deref(),
        Some("payment.bank_account")
    );
}

#[test]
fn internet_addresses() {
    found(
        rows(|n| {
            format!("{}.{}.{}.{}", n.below(223) + 1, n.below(256), n.below(256), n.below(256))
        }),
        "pii.ip",
    );
    found(rows(|n| format!("2001:db8::{:x}", n.below(65_000) + 1)), "pii.ip");
    assert_eq!(
        tag_of(&column("t", "c1", "inet", strings(&["10.0.0.1"]))).as_deref(),
        Some("pii.ip")
    );
    assert_eq!(tag_of(&column("t", "c1", "cidr", strings(&["10.0.0.0/8"]))), None);
}

#[test]
fn hardware_addresses_and_positions() {
    let mac = |n: &mut Numbers| (0..6).map(|_| n.token("0123456789abcdef", 2)).collect::<Vec<_>>();
    found(rows(|n| mac(n).join(":")), "pii.mac");
    found(rows(|n| mac(n).join("-").to_uppercase()), "pii.mac");
    let typed = column("t", "c1", "macaddr", strings(&["00:00:5e:00:53:01"]));
    assert_eq!(tag_of(&typed).as_deref(), Some("pii.mac"));
    let place = |n: &mut Numbers| {
        format!("{}.{}, {}.{}", n.below(90), n.digits(5), n.below(180), n.digits(5))
    };
    found(rows(place), "pii.location");
    let latitude = rows(|n| format!("{}.{}", n.below(90), n.digits(6)));
    let named = |name: &str| tag_of(&column("t", name, "float8", latitude.clone()));
    assert_eq!(named("latitude").as_deref(), Some("pii.location"));
    assert_eq!(named("ratio"), None, "control: the same numbers under another name");
}

#[test]
fn secrets() {
    found(rows(|n| format!("sk_live_{}", n.token(BASE62, 24))), "secret.key");
    found(rows(|n| format!("ghp_{}", n.token(BASE62, 36))), "secret.key");
    found(
        rows(|n| {
            format!("eyJhbGciOiJIUzI1NiJ9.eyJ{}.{}", n.token(BASE62, 30), n.token(BASE62, 43))
        }),
        "secret.key",
    );
    found(rows(|n| n.token(BASE62, 40)), "secret.key");
    found(strings(&["-----BEGIN RSA PRIVATE KEY-----\nMIIEow"]), "secret.key");
    found(rows(|n| format!("$2b$12${}", n.token(BASE62, 53))), "secret.password");
    found(
        rows(|n| format!("$argon2id$v=19$m=65536,t=3,p=4${}", n.token(BASE62, 43))),
        "secret.password",
    );
    found(rows(|n| format!("pbkdf2_sha256$600000${}", n.token(BASE62, 40))), "secret.password");
}

#[test]
fn health() {
    found(
        rows(|n| format!("{}{:02}.{}", n.pick(&["E", "I", "J", "F"]), n.below(99), n.below(9))),
        "health.diagnosis",
    );
    found(rows(|n| n.pick(&["A+", "O-", "B+", "AB-", "O+"]).to_owned()), "health.record");
    let words = rows(|n| n.pick(&["Hypertension", "Asthma", "Type 2 diabetes"]).to_owned());
    assert_eq!(tag_of(&text("diagnosis", words)).as_deref(), Some("health.diagnosis"));
}

#[test]
fn free_text_with_one_find_in_sixty_rows() {
    let with = |find: &str| {
        let mut values = rows(|n| {
            format!(
                "customer asked about order {} and was {}",
                n.digits(5),
                n.pick(&["happy", "angry"])
            )
        });
        values[41] = find.to_owned();
        values
    };
    for (find, expected) in [
        ("please call +1 415 555 2671 instead", "pii.free_text"),
        ("write to dana@example.org", "pii.free_text"),
        ("her SSN 123-45-6789 was wrong", "pii.free_text"),
        ("card 4111 1111 1111 1111 expired", "pii.free_text"),
        ("prod key sk_live_4eC39HqLyjWDarjtT1zdp7dc do not share", "secret.key"),
        ("login with password: Tr0ub4dor&3", "secret.key"),
    ] {
        for name in ["c1", "notes"] {
            assert_eq!(
                tag_of(&text(name, with(find))).as_deref(),
                Some(expected),
                "{name}: {find}"
            );
        }
    }
    for name in ["c1", "notes"] {
        assert_eq!(tag_of(&text(name, with("nothing to see"))), None, "control: {name}");
    }
}

#[test]
fn documents_and_arrays() {
    let json = |text: &str| tag_of(&column("t", "c1", "jsonb", strings(&[text])));
    assert_eq!(json(r#"{"contact": "dana@example.org"}"#).as_deref(), Some("pii.free_text"));
    assert_eq!(json(r#"{"first_name": "Dana"}"#).as_deref(), Some("pii.free_text"));
    assert_eq!(json(r#"{"api_key": "k3y-12345678"}"#).as_deref(), Some("secret.key"));
    assert_eq!(json(r#"{"color": "red", "size": 12}"#), None);
    let array = column("t", "c1", "_text", strings(&["{a@example.org,b@example.org}"]));
    assert_eq!(tag_of(&array).as_deref(), Some("pii.email"));
}

#[test]
fn names_alone_where_there_are_no_rows() {
    for (name, kind, expected) in [
        ("email", "text", "pii.email"),
        ("phone_number", "varchar", "pii.phone"),
        ("first_name", "text", "pii.name"),
        ("lastName", "text", "pii.name"),
        ("street", "text", "pii.address"),
        ("zip_code", "text", "pii.address"),
        ("date_of_birth", "date", "pii.birth_date"),
        ("dob", "text", "pii.birth_date"),
        ("ssn", "text", "pii.national_id"),
        ("ssn", "int4", "pii.national_id"),
        ("passport_number", "text", "pii.national_id"),
        ("card_number", "text", "payment.card"),
        ("cvv", "int4", "payment.card"),
        ("iban", "text", "payment.iban"),
        ("password_hash", "text", "secret.password"),
        ("password", "bytea", "secret.password"),
        ("api_key", "text", "secret.key"),
        ("client_secret", "text", "secret.key"),
        ("ip_address", "text", "pii.ip"),
        ("medication", "text", "health.medication"),
    ] {
        let sample = column("t", name, kind, Vec::new());
        assert_eq!(tag_of(&sample).as_deref(), Some(expected), "{name} {kind}");
    }
}
