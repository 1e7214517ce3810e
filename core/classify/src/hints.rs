//! What a column's name says.

use crate::tags::Kind;

/// The words of a name: `shippingAddress_2` → `shipping`, `address`, `2`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before_lower = false;
    for c in name.chars() {
        let starts = c.is_uppercase() && before_lower;
        if (starts || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        before_lower = c.is_lowercase();
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A last word that says the column is about the thing, and does not hold it.
const ABOUT: [&str; 36] = [
    "at",
    "on",
    "by",
    "count",
    "status",
    "state",
    "type",
    "kind",
    "sent",
    "verified",
    "confirmed",
    "enabled",
    "id",
    "template",
    "subject",
    "opt",
    "in",
    "out",
    "preference",
    "preferences",
    "valid",
    "is",
    "required",
    "expires",
    "expiry",
    "changed",
    "updated",
    "attempts",
    "length",
    "format",
    "provider",
    "version",
    "policy",
    "ttl",
    "flag",
    "limit",
];

/// Names of columns that hold nothing personal, whatever stands beside them.
const HARMLESS: [&str; 68] = [
    "id",
    "uuid",
    "guid",
    "sku",
    "ean",
    "upc",
    "isbn",
    "status",
    "state",
    "type",
    "kind",
    "currency",
    "country",
    "locale",
    "language",
    "lang",
    "timezone",
    "tz",
    "role",
    "plan",
    "tier",
    "level",
    "category",
    "color",
    "colour",
    "size",
    "unit",
    "price",
    "amount",
    "total",
    "quantity",
    "qty",
    "count",
    "version",
    "hash",
    "checksum",
    "digest",
    "etag",
    "slug",
    "url",
    "tracking",
    "order",
    "number",
    "no",
    "ref",
    "reference",
    "code",
    "region",
    "channel",
    "source",
    "priority",
    "method",
    "agent",
    "domain",
    "host",
    "hostname",
    "path",
    "file",
    "filename",
    "mime",
    "extension",
    "browser",
    "platform",
    "device",
    "industry",
    "model",
    "brand",
    "tag",
];

/// Names of columns that people write sentences in.
const PROSE: [&str; 20] = [
    "note",
    "notes",
    "comment",
    "comments",
    "body",
    "bio",
    "about",
    "message",
    "messages",
    "content",
    "text",
    "remark",
    "remarks",
    "description",
    "memo",
    "transcript",
    "feedback",
    "summary",
    "payload",
    "details",
];

/// Words that are names of a tag wherever they stand, as one run of words joined by `_`.
const PHRASES: [(&str, Kind); 100] = [
    ("email", Kind::Email),
    ("e_mail", Kind::Email),
    ("mail_address", Kind::Email),
    ("emailaddress", Kind::Email),
    ("email_address", Kind::Email),
    ("phone", Kind::Phone),
    ("telephone", Kind::Phone),
    ("phonenumber", Kind::Phone),
    ("mobile", Kind::Phone),
    ("cell", Kind::Phone),
    ("msisdn", Kind::Phone),
    ("fax", Kind::Phone),
    ("telefon", Kind::Phone),
    ("handy", Kind::Phone),
    ("whatsapp", Kind::Phone),
    ("first_name", Kind::Name),
    ("firstname", Kind::Name),
    ("fname", Kind::Name),
    ("last_name", Kind::Name),
    ("lastname", Kind::Name),
    ("lname", Kind::Name),
    ("middle_name", Kind::Name),
    ("maiden_name", Kind::Name),
    ("full_name", Kind::Name),
    ("fullname", Kind::Name),
    ("given_name", Kind::Name),
    ("family_name", Kind::Name),
    ("surname", Kind::Name),
    ("forename", Kind::Name),
    ("vorname", Kind::Name),
    ("nachname", Kind::Name),
    ("customer_name", Kind::Name),
    ("patient_name", Kind::Name),
    ("employee_name", Kind::Name),
    ("contact_name", Kind::Name),
    ("recipient_name", Kind::Name),
    ("cardholder", Kind::Name),
    ("cardholder_name", Kind::Name),
    ("account_holder", Kind::Name),
    ("username", Kind::Name),
    ("user_name", Kind::Name),
    ("address", Kind::Address),
    ("addr", Kind::Address),
    ("street", Kind::Address),
    ("address_line", Kind::Address),
    ("postcode", Kind::Address),
    ("postal_code", Kind::Address),
    ("zip", Kind::Address),
    ("zipcode", Kind::Address),
    ("strasse", Kind::Address),
    ("plz", Kind::Address),
    ("dob", Kind::BirthDate),
    ("birthdate", Kind::BirthDate),
    ("birthday", Kind::BirthDate),
    ("birth", Kind::BirthDate),
    ("born", Kind::BirthDate),
    ("geburtsdatum", Kind::BirthDate),
    ("ssn", Kind::NationalId),
    ("social_security", Kind::NationalId),
    ("national_id", Kind::NationalId),
    ("nationalid", Kind::NationalId),
    ("passport", Kind::NationalId),
    ("tax_id", Kind::NationalId),
    ("taxid", Kind::NationalId),
    ("driver_license", Kind::NationalId),
    ("drivers_license", Kind::NationalId),
    ("driving_licence", Kind::NationalId),
    ("nino", Kind::NationalId),
    ("aadhaar", Kind::NationalId),
    ("cpf", Kind::NationalId),
    ("identity_number", Kind::NationalId),
    ("ip", Kind::Ip),
    ("ip_address", Kind::Ip),
    ("ipaddress", Kind::Ip),
    ("religion", Kind::Special),
    ("ethnicity", Kind::Special),
    ("sexual_orientation", Kind::Special),
    ("card_number", Kind::Card),
    ("cardnumber", Kind::Card),
    ("credit_card", Kind::Card),
    ("creditcard", Kind::Card),
    ("debit_card", Kind::Card),
    ("cc_number", Kind::Card),
    ("pan", Kind::Card),
    ("cvv", Kind::Card),
    ("cvc", Kind::Card),
    ("iban", Kind::Iban),
    ("bank_account", Kind::BankAccount),
    ("account_number", Kind::BankAccount),
    ("routing_number", Kind::BankAccount),
    ("sort_code", Kind::BankAccount),
    ("password", Kind::Password),
    ("passwd", Kind::Password),
    ("pwd", Kind::Password),
    ("passwort", Kind::Password),
    ("passphrase", Kind::Password),
    ("diagnosis", Kind::Diagnosis),
    ("icd", Kind::Diagnosis),
    ("icd10", Kind::Diagnosis),
    ("medication", Kind::Medication),
];

/// More of them: secrets and health.
const MORE_PHRASES: [(&str, Kind); 26] = [
    ("password_hash", Kind::Password),
    ("password_digest", Kind::Password),
    ("pin_code", Kind::Password),
    ("security_answer", Kind::Password),
    ("api_key", Kind::Key),
    ("apikey", Kind::Key),
    ("api_token", Kind::Key),
    ("access_token", Kind::Key),
    ("refresh_token", Kind::Key),
    ("auth_token", Kind::Key),
    ("session_token", Kind::Key),
    ("reset_token", Kind::Key),
    ("token", Kind::Key),
    ("secret", Kind::Key),
    ("secret_key", Kind::Key),
    ("client_secret", Kind::Key),
    ("private_key", Kind::Key),
    ("credentials", Kind::Key),
    ("salt", Kind::Key),
    ("diagnoses", Kind::Diagnosis),
    ("prescription", Kind::Medication),
    ("allergies", Kind::HealthRecord),
    ("blood_type", Kind::HealthRecord),
    ("blood_group", Kind::HealthRecord),
    ("symptoms", Kind::HealthRecord),
    ("medical_history", Kind::HealthRecord),
];

/// More of them: numbers of identities, accounts, machines and places, in many languages.
const NUMBER_PHRASES: [(&str, Kind); 84] = [
    ("itin", Kind::NationalId),
    ("taxpayer_id", Kind::NationalId),
    ("tin", Kind::NationalId),
    ("social_security_number", Kind::NationalId),
    ("social_insurance_number", Kind::NationalId),
    ("national_insurance_number", Kind::NationalId),
    ("national_insurance", Kind::NationalId),
    ("national_number", Kind::NationalId),
    ("ni_number", Kind::NationalId),
    ("steuer_id", Kind::NationalId),
    ("steueridentifikationsnummer", Kind::NationalId),
    ("steuernummer", Kind::NationalId),
    ("personalausweis", Kind::NationalId),
    ("ausweisnummer", Kind::NationalId),
    ("sozialversicherungsnummer", Kind::NationalId),
    ("rentenversicherungsnummer", Kind::NationalId),
    ("svnr", Kind::NationalId),
    ("ahv", Kind::NationalId),
    ("nir", Kind::NationalId),
    ("insee", Kind::NationalId),
    ("securite_sociale", Kind::NationalId),
    ("dni", Kind::NationalId),
    ("nif", Kind::NationalId),
    ("nie", Kind::NationalId),
    ("curp", Kind::NationalId),
    ("codice_fiscale", Kind::NationalId),
    ("codicefiscale", Kind::NationalId),
    ("bsn", Kind::NationalId),
    ("burgerservicenummer", Kind::NationalId),
    ("rijksregisternummer", Kind::NationalId),
    ("pesel", Kind::NationalId),
    ("personnummer", Kind::NationalId),
    ("fodselsnummer", Kind::NationalId),
    ("hetu", Kind::NationalId),
    ("henkilotunnus", Kind::NationalId),
    ("cpr", Kind::NationalId),
    ("contribuinte", Kind::NationalId),
    ("cnp", Kind::NationalId),
    ("egn", Kind::NationalId),
    ("rodne_cislo", Kind::NationalId),
    ("oib", Kind::NationalId),
    ("isikukood", Kind::NationalId),
    ("asmens_kodas", Kind::NationalId),
    ("personas_kods", Kind::NationalId),
    ("pps_number", Kind::NationalId),
    ("ppsn", Kind::NationalId),
    ("amka", Kind::NationalId),
    ("emso", Kind::NationalId),
    ("jmbg", Kind::NationalId),
    ("tckn", Kind::NationalId),
    ("kimlik", Kind::NationalId),
    ("nric", Kind::NationalId),
    ("rrn", Kind::NationalId),
    ("resident_registration_number", Kind::NationalId),
    ("id_card", Kind::NationalId),
    ("idcard", Kind::NationalId),
    ("driving_license", Kind::NationalId),
    ("driver_licence", Kind::NationalId),
    ("drivers_licence", Kind::NationalId),
    ("fuehrerschein", Kind::NationalId),
    ("bic", Kind::BankAccount),
    ("swift", Kind::BankAccount),
    ("swift_code", Kind::BankAccount),
    ("bban", Kind::BankAccount),
    ("kontonummer", Kind::BankAccount),
    ("mac", Kind::Mac),
    ("mac_address", Kind::Mac),
    ("macaddress", Kind::Mac),
    ("hw_address", Kind::Mac),
    ("hardware_address", Kind::Mac),
    ("lat", Kind::Location),
    ("latitude", Kind::Location),
    ("lng", Kind::Location),
    ("lon", Kind::Location),
    ("longitude", Kind::Location),
    ("coordinates", Kind::Location),
    ("coords", Kind::Location),
    ("geolocation", Kind::Location),
    ("gps", Kind::Location),
    ("nhs_number", Kind::HealthRecord),
    ("mrn", Kind::HealthRecord),
    ("medical_record", Kind::HealthRecord),
    ("health_insurance", Kind::HealthRecord),
    ("insurance_member_id", Kind::HealthRecord),
];

/// Words that turn a card or an address into something else.
const OTHER_THINGS: [&str; 15] = [
    "loyalty", "gift", "sim", "graphics", "business", "web", "wallet", "contract", "memory",
    "last4", "masked", "model", "brand", "public", "os",
];

/// What a column's name says it holds.
pub(crate) fn tag(name: &str) -> Option<Kind> {
    let words = words(name);
    let last = words.iter().rfind(|w| w.parse::<u32>().is_err())?;
    if words.iter().any(|w| OTHER_THINGS.contains(&w.as_str())) {
        return None;
    }
    // The longest phrase says most: `ip_address` is no street.
    let mut phrases: Vec<&(&str, Kind)> =
        PHRASES.iter().chain(&MORE_PHRASES).chain(&NUMBER_PHRASES).collect();
    phrases.sort_by_key(|(phrase, _)| std::cmp::Reverse(phrase.len()));
    let (phrase, kind) = phrases.into_iter().find(|(phrase, _)| joined_has(&words, phrase))?;
    // `tax_id` is one; `address_id` only says which one.
    let says_about =
        ABOUT.contains(&last.as_str()) && phrase.rsplit('_').next().is_some_and(|end| end != last);
    (!says_about).then_some(*kind)
}

fn joined_has(words: &[String], phrases: &str) -> bool {
    let joined = format!("_{}_", words.join("_"));
    phrases.split('|').any(|phrase| joined.contains(&format!("_{phrase}_")))
}

/// Whether the name says that the column holds nothing personal.
pub(crate) fn harmless(name: &str) -> bool {
    words(name)
        .last()
        .is_some_and(|w| HARMLESS.contains(&w.as_str()) || ABOUT.contains(&w.as_str()))
}

/// Whether the name says that people write sentences here.
pub(crate) fn prose(name: &str) -> bool {
    words(name).last().is_some_and(|w| PROSE.contains(&w.as_str()))
}

/// Whether the name says that the column holds names of other things than people.
pub(crate) fn not_people(name: &str) -> bool {
    const THINGS: [&str; 14] = [
        "city",
        "town",
        "country",
        "state",
        "region",
        "company",
        "organization",
        "organisation",
        "brand",
        "product",
        "vendor",
        "hotel",
        "team",
        "airport",
    ];
    words(name).iter().any(|w| THINGS.contains(&w.as_str()))
}

/// Whether a table is named after people.
pub(crate) fn people(table: &str) -> bool {
    const PEOPLE: [&str; 26] = [
        "user",
        "users",
        "customer",
        "customers",
        "person",
        "persons",
        "people",
        "patient",
        "patients",
        "employee",
        "employees",
        "member",
        "members",
        "contact",
        "contacts",
        "client",
        "clients",
        "subscriber",
        "subscribers",
        "student",
        "students",
        "guest",
        "guests",
        "staff",
        "applicants",
        "leads",
    ];
    words(table).iter().any(|w| PEOPLE.contains(&w.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_word_by_word() {
        assert_eq!(words("shippingAddress_2"), ["shipping", "address", "2"]);
        assert_eq!(words("SSN"), ["ssn"]);
        for (name, kind) in [
            ("email", Kind::Email),
            ("billingEmail", Kind::Email),
            ("email_2", Kind::Email),
            ("ip_address", Kind::Ip),
            ("address_line_1", Kind::Address),
            ("national_id", Kind::NationalId),
            ("date_of_birth", Kind::BirthDate),
            ("password_hash", Kind::Password),
            ("stripe_api_key", Kind::Key),
            ("card_number", Kind::Card),
            ("mac_address", Kind::Mac),
            ("insurance_member_id", Kind::HealthRecord),
            ("steuer_id", Kind::NationalId),
        ] {
            assert_eq!(tag(name), Some(kind), "{name}");
        }
        for name in [
            "email_verified",
            "emailed_at",
            "password_changed_at",
            "token_count",
            "mac_version",
            "gift_card_number",
            "order_id",
            "shipment",
            "description",
            "phone_model",
            "address_id",
            "skipped",
            "zipper",
        ] {
            assert_eq!(tag(name), None, "{name}");
        }
    }
}
