//! What must not be tagged, although it looks like something.

mod common;

use common::*;

fn untagged(name: &str, kind: &str, values: Vec<String>) {
    let example = values.first().cloned();
    let sample = column("t", name, kind, values);
    assert_eq!(
        tag_of(&sample),
        None,
        "{name} {kind} {example:?}: {}",
        writ_classify::classify(&sample).reason
    );
}

/// As text under a name that says nothing, and under the name that it would have.
fn harmless(name: &str, make: impl FnMut(&mut Numbers) -> String) {
    let values = rows(make);
    untagged("c1", "text", values.clone());
    untagged(name, "text", values);
}

#[test]
fn numbers_of_orders_parcels_and_goods() {
    harmless("order_number", |n| format!("ORD-2024-{}", n.digits(6)));
    harmless("invoice_no", |n| format!("INV{}", n.digits(8)));
    harmless("sku", |n| format!("SKU-{}-{}", n.token("ABCDEFGH", 3), n.digits(4)));
    harmless("ean", |n| format!("40{}", n.digits(11)));
    harmless("tracking_number", |n| format!("1Z999AA1{}", n.digits(10)));
    harmless("tracking_number", |n| n.digits(22));
    harmless("isbn", |n| format!("978-3-16-{}-{}", n.digits(6), n.digits(1)));
    harmless("order_number", |n| format!("00{}", 100_000 + n.below(899_999)));
    harmless("ticket", |n| format!("{}-{}", n.pick(&["OPS", "WEB", "API"]), n.below(9_999)));
}

#[test]
fn random_long_numbers_are_no_cards() {
    for length in [13, 14, 15, 16, 18, 19] {
        let values = rows(|n| format!("4{}", n.digits(length - 1)));
        untagged("c1", "text", values.clone());
        untagged("c1", "int8", values);
    }
    // IMEIs pass Luhn, every one.
    harmless("imei", |n| with_luhn(&format!("35{}", n.digits(12))));
}

#[test]
fn nine_digits_are_no_social_security_numbers() {
    let values = rows(|n| format!("{}{}", 1 + n.below(9), n.digits(8)));
    untagged("c1", "int4", values.clone());
    untagged("c1", "text", values.clone());
    untagged("amount_cents", "int4", values);
}

#[test]
fn numbers_as_long_as_identity_numbers_are_none() {
    for length in [9, 10, 11, 12, 13, 15, 18] {
        harmless("customer_number", |n| format!("2{}", n.digits(length - 1)));
    }
    // Few values that pass by chance prove nothing.
    untagged("c1", "text", strings(&["111222333", "111222333", "111222333"]));
}

#[test]
fn ten_digits_are_no_telephone_numbers() {
    let values = rows(|n| format!("{}{}", 2 + n.below(8), n.digits(9)));
    untagged("c1", "int8", values.clone());
    untagged("c1", "text", values);
}

#[test]
fn ids_and_hashes() {
    let hex = "0123456789abcdef";
    harmless("uuid", |n| {
        format!(
            "{}-{}-4{}-a{}-{}",
            n.token(hex, 8),
            n.token(hex, 4),
            n.token(hex, 3),
            n.token(hex, 3),
            n.token(hex, 12)
        )
    });
    harmless("md5", |n| n.token(hex, 32));
    harmless("sha256", |n| n.token(hex, 64));
    harmless("digest", |n| format!("{}=", n.token(BASE62, 43)));
    harmless("snowflake_id", |n| format!("1{}", n.digits(18)));
    harmless("public_id", |n| n.token(BASE62, 21));
    harmless("ulid", |n| format!("01J{}", n.token("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 23)));
    untagged("c1", "uuid", strings(&["550e8400-e29b-41d4-a716-446655440000"]));
}

#[test]
fn times_amounts_and_versions() {
    harmless("c2", |n| format!("2024-{:02}-{:02}", 1 + n.below(12), 1 + n.below(28)));
    harmless("c2", |n| {
        format!("2024-03-{:02}T{:02}:{:02}:00Z", 1 + n.below(28), n.below(24), n.below(60))
    });
    harmless("epoch", |n| format!("17{}", n.digits(8)));
    harmless("amount", |n| format!("{}.{:02}", n.below(9_999), n.below(100)));
    harmless("version", |n| format!("{}.{}.{}", n.below(9), n.below(30), n.below(99)));
    harmless("version", |n| {
        format!("{}.{}.{}.{}", n.below(9), n.below(9), n.below(30), n.below(9))
    });
    untagged("created_at", "timestamptz", strings(&["2024-03-01 10:00:00+00"]));
    untagged("price", "numeric", rows(|n| format!("{}.99", n.below(500))));
    untagged("active", "bool", strings(&["t", "f"]));
    untagged("c1", "status_enum", strings(&["paid", "open"]));
}

#[test]
fn words_that_are_no_names() {
    harmless("status", |n| n.pick(&["open", "paid", "shipped", "cancelled"]).to_owned());
    harmless("product", |n| {
        format!(
            "{} {} {}",
            n.pick(&["Red", "Large", "Classic"]),
            n.pick(&["Cotton", "Steel"]),
            n.pick(&["Shirt", "Bottle", "Lamp"])
        )
    });
    harmless("country", |n| n.pick(&["Germany", "France", "Japan", "Peru", "Kenya"]).to_owned());
    harmless("department", |n| {
        n.pick(&["Sales", "Engineering", "Support", "Legal", "Finance", "People"]).to_owned()
    });
    harmless("color", |n| {
        format!(
            "{} {}",
            n.pick(&["Dark", "Light", "Pale"]),
            n.pick(&["Blue", "Red", "Yellow", "Teal"])
        )
    });
    harmless("firm", |n| {
        format!(
            "{} {}",
            n.pick(&["Acme", "Globex", "Initech", "Umbrella", "Stark"]),
            n.pick(&["Ltd", "GmbH", "Inc", "Group"])
        )
    });
    harmless("mime", |n| n.pick(&["image/png", "text/html", "application/json"]).to_owned());
    harmless("locale", |n| n.pick(&["en_US", "de_DE", "fr_FR"]).to_owned());
    harmless("size", |n| format!("{} {} Boxes", n.below(90), n.pick(&["Large", "Small"])));
    harmless("status", |n| n.pick(&["已付款", "处理中", "已发货"]).to_owned());
    harmless("url", |n| format!("https://example.org/p/{}", n.below(9_999)));
    harmless("file", |n| format!("img_{}@2x.png", n.below(999)));
    untagged(
        "city",
        "text",
        strings(&["Jackson", "Madison", "Charlotte", "Austin", "Lincoln", "Houston"]),
    );
}

#[test]
fn names_that_promise_what_the_values_do_not_keep() {
    untagged("email_status", "text", strings(&["bounced", "ok", "ok"]));
    untagged("email_verified_at", "timestamptz", Vec::new());
    untagged("token_count", "int4", strings(&["12", "900"]));
    untagged("max_tokens", "int4", strings(&["4096"]));
    untagged("phone", "text", strings(&["Pixel 9", "iPhone 15", "Galaxy S24"]));
    untagged("password_changed_at", "timestamp", Vec::new());
    untagged("address_id", "int8", strings(&["1", "2"]));
    untagged("gift_card_number", "text", rows(|n| n.digits(16)));
    untagged("ip", "text", strings(&["patent", "trademark", "licence"]));
}
