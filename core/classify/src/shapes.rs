//! What one value looks like, taken as a whole.

use std::net::IpAddr;

use crate::identity;
use crate::pattern::pattern;
use crate::tokens;

pattern!(
    EMAIL,
    r"(?i)^[a-z0-9._%+'-]+@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\.[a-z]{2,24}$"
);
pattern!(FILE_NAME, r"(?i)(@\dx\.|\.(png|jpe?g|gif|svg|webp|css|js)$)");
pattern!(
    PHONE_INTERNATIONAL,
    concat!(
        r"^(\+[1-9]\d{0,2}[ ./-]?|00[1-9]\d{0,2}[ ./-])(\(\d{1,5}\)[ ./-]?)?",
        r"\d{1,12}([ ./-]\d{1,8}){0,5}(\s?(x|ext\.?)\s?\d{1,6})?$"
    )
);
pattern!(
    PHONE_AMERICAN,
    r"^((\+|00)?1[ .-])?(\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(\s?(x|ext\.?)\s?\d{1,6})?$"
);
pattern!(PHONE_NATIONAL, r"^(\(0\d{1,5}\)|0\d{1,5})[ /-]{1,3}\d{2,8}([ /-]\d{2,6}){0,4}$");
pattern!(PHONE_ISH, r"^[+(]?\d[\d ()./+-]{4,20}\d(\s?(x|ext\.?)\s?\d{1,6})?$");
pattern!(SSN, r"^\d{3}-\d{2}-\d{4}$");
pattern!(
    MAC,
    r"(?i)^([0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9a-f]{2}(-[0-9a-f]{2}){5}|[0-9a-f]{4}(\.[0-9a-f]{4}){2}|[0-9a-f]{2}([:-][0-9a-f]{2}){7})$"
);
pattern!(
    POSITION,
    r"^\(?(-?\d{1,3}\.\d{3,})°?\s?[NSns]?\s*[,; ]\s*(-?\d{1,3}\.\d{3,})°?\s?[EWew]?\)?$"
);
pattern!(
    ACCOUNT_KEY,
    r"(?i)(\b(account|sharedaccess)key=[a-z0-9+/]{40,}|^https://hooks\.slack\.com/services/t)"
);
pattern!(BIC, r"^[A-Z]{4}([A-Z]{2})[A-Z0-9]{2}([A-Z0-9]{3})?$");
pattern!(
    PASSWORD_HASH,
    r"^(\$2[abxy]?\$\d\d\$|\$argon2(id|i|d)\$|\$[156y]\$|\$scrypt\$|\$pbkdf2|pbkdf2[_:]|scrypt:|bcrypt\$|SCRAM-SHA-(1|256)\$|\{S?SHA(256|512)?\}|md5[0-9a-f]{32}$)"
);
pattern!(UUID, r"(?i)^\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$");
pattern!(HEX, r"(?i)^(0x)?[0-9a-f]+$");
pattern!(TOKEN, r"^[A-Za-z0-9_\-+/=.~]+$");
pattern!(URL, r"(?i)^[a-z][a-z0-9+.-]*://\S+$");
pattern!(
    STREET_ENGLISH,
    concat!(
        r"(?i)^(\D{0,20}\s)?\d{1,6}[a-z]?,?\s+([\p{L}0-9.'-]+\s+){1,5}",
        r"(street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|way|court|ct|place|pl|square|sq|terrace|",
        r"highway|hwy|parkway|pkwy|circle|cir|trail|row|close|crescent|gardens?|grove|mews|alley|loop|walk|hills?|",
        r"heights|crossing|manor|meadows?|mills?|path|ridge|rapids?|station|springs?|square|track|village|ville|",
        r"estates?|fields?|forest|forges?|fords?|freeway|glens?|greens?|harbors?|junctions?|knolls?|lakes?|landing|",
        r"lodge|orchard|overpass|passage|pines?|plains?|points?|ports?|ranch|river|roads|route|shoals?|shores?|",
        r"skyway|spurs?|stream|summit|trafficway|tunnel|turnpike|underpass|unions?|valleys?|viaduct|views?|vista|wells?)",
        r"\b\.?",
    )
);
pattern!(
    STREET_BEFORE_NUMBER,
    concat!(
        r"(?i)^[\p{L} .'-]*(stra(ss|ß)e|str\.|weg|platz|gasse|allee|ufer|ring|damm|markt|straat|laan|baan|dreef|kade|",
        r"plein|singel|steeg|dijk|gracht|hof|pad|boulevard|gade|vej|gata|gatan|väg|vägen|gränd|stigen)",
        r"[\p{L} .'-]*,?\s\d{1,5}([\s/-]?[a-z0-9]{1,4})?\b"
    )
);
pattern!(
    STREET_ROMANCE,
    concat!(
        r"(?i)^(\d{1,5}\s?(bis|ter)?,?\s+)?(rue|avenue|boulevard|place|chemin|impasse|quai|allée|calle|c\.|avenida|av\.|",
        r"plaza|paseo|camino|pasaje|ronda|glorieta|cuesta|callejón|rambla|alameda|urbanización|acceso|vial|via|viale|",
        r"piazza|corso|vicolo|contrada|borgo|strada|stretto|rotonda|incrocio|canale|rua|travessa|praça|largo|jardim|",
        r"rodovia|feira|ladeira|ulica|ul\.|aleja|al\.|plac|pl\.|jl\.|jalan)\s+\p{L}"
    )
);
pattern!(STREET_HAN, r"^\p{Han}[\p{Han}\p{Hiragana}\p{Katakana}ー ]*[省市县縣区區都道府県].*\d");
pattern!(
    NUMBER_AND_WORDS,
    r"^\d{1,6}[a-z]?,? (\p{Lu}[\p{L}'.-]* ?){1,4}( ?(Apt\.?|Suite|Unit|Flat|Studio|#) ?\w+)?(\n|,|$)"
);
pattern!(
    PART_OF_HOUSE,
    r"(?i)\b(apt\.?|suite|flat|studio|apartment|floor|h\.? ?no\.?) ?\d+[a-z]?\b"
);
pattern!(POST_BOX, r"(?i)^(p\.?\s?o\.?\s?box|postfach|unit \d+ box|psc \d+)\b");
pattern!(
    POST_CODE_TAIL,
    r"(?i)\b([A-Z]{2} \d{5}(-\d{4})?|\d{5} \p{L}+|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2})$"
);
pattern!(
    POST_CODE,
    r"(?i)^(\d{5}(-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|\d{4} ?[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|\d{4,6}|\d{5}-\d{3}|\d{3}-\d{4})$"
);
pattern!(ICD_10, r"^[A-TV-Z]\d[0-9A-Z]\.[0-9A-Z]{1,4}$");
pattern!(BLOOD_GROUP, r"^(A|B|AB|O|0)[ ]?(\+|-|−|pos|neg|Rh\+|Rh-)$");

/// Mixed tokens without a known prefix are taken for keys from this length on; shorter ones are public ids.
const TOKEN_CHARS_MIN: usize = 32;
/// Longer ones are data, not keys.
const TOKEN_CHARS_MAX: usize = 512;

pub(crate) fn email(v: &str) -> bool {
    EMAIL.matches(v) && !FILE_NAME.matches(v)
}

fn digit_count(v: &str) -> usize {
    v.chars().filter(char::is_ascii_digit).count()
}

/// A telephone number that cannot be much else.
pub(crate) fn phone(v: &str) -> bool {
    let digits = digit_count(v);
    (8..=21).contains(&digits)
        && !SSN.matches(v)
        && !crate::dates::is_date(v)
        && (PHONE_INTERNATIONAL.matches(v)
            || PHONE_AMERICAN.matches(v)
            || (PHONE_NATIONAL.matches(v) && (8..=13).contains(&digits)))
}

/// What a column that is named like a telephone number may hold.
pub(crate) fn phone_ish(v: &str) -> bool {
    phone(v) || (PHONE_ISH.matches(v) && (6..=21).contains(&digit_count(v)))
}

/// A social security number that can have been given out, with its dashes.
pub(crate) fn ssn(v: &str) -> bool {
    let mut parts = v.split('-');
    let (area, group, serial) = (parts.next(), parts.next(), parts.next());
    SSN.matches(v)
        && area.is_some_and(|a| a != "000" && a != "666")
        && group != Some("00")
        && serial != Some("0000")
}

/// What a column that is named like an identity number may hold.
pub(crate) fn national_id_ish(v: &str) -> bool {
    ssn(v)
        || ((5..=20).contains(&v.chars().count()) && digit_count(v) >= 4 && !v.contains('.'))
        || identity::schemes().any(|scheme| scheme.fits(v, true))
}

/// An internet address; `None` where it is none, otherwise its largest octet (255 for IPv6).
pub(crate) fn ip(v: &str) -> Option<u8> {
    let address = v.split_once('/').map_or(v, |(address, _)| address);
    match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(v4) => v4.octets().into_iter().max(),
        IpAddr::V6(_) => Some(u8::MAX),
    }
}

/// The hardware address of a machine.
pub(crate) fn mac(v: &str) -> bool {
    MAC.matches(v)
}

/// A pair of latitude and longitude, in whatever order.
pub(crate) fn position(v: &str) -> bool {
    let part = |text: &str| text.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= 180.0);
    POSITION.groups(v).any(|g| {
        g.get(1).is_some_and(|m| part(m.as_str())) && g.get(2).is_some_and(|m| part(m.as_str()))
    })
}

/// Degrees with their fractions.
pub(crate) fn degrees(v: &str) -> bool {
    v.contains('.') && v.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= 180.0)
}

/// The two letters of the countries that have banks, with spaces between them.
const COUNTRIES: &str = " AD AE AF AG AI AL AM AO AR AT AU AW AZ BA BB BD BE BF BG BH BI BJ BM BN BO BR BS BT BW BY BZ CA \
CD CF CG CH CI CL CM CN CO CR CU CV CW CY CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FK FO FR GA GB GD GE GG GH GI GL GM \
GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI \
LK LR LS LT LU LV LY MA MC MD ME MG MK ML MM MN MO MR MS MT MU MV MW MX MY MZ NA NC NE NG NI NL NO NP NR NZ OM PA PE PF PG \
PH PK PL PM PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SI SK SL SM SN SO SR SS ST SV SY SZ TC TD TG TH TJ TL TM TN \
TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG VN VU WS XK YE ZA ZM ZW ";

/// The code of a bank.
pub(crate) fn bic(v: &str) -> bool {
    BIC.groups(v)
        .any(|g| g.get(1).is_some_and(|m| COUNTRIES.contains(&format!(" {} ", m.as_str()))))
}

/// A network rather than one machine.
pub(crate) fn network(v: &str) -> bool {
    v.split_once('/').is_some_and(|(_, bits)| bits != "32" && bits != "128")
}

pub(crate) fn password_hash(v: &str) -> bool {
    PASSWORD_HASH.matches(v)
}

/// A token that says by its shape that it opens something: known prefixes, JWT, PEM.
pub(crate) fn known_key(v: &str) -> bool {
    tokens::is_token(v)
        || ACCOUNT_KEY.matches(v)
        || tokens::jwt_end(v.as_bytes(), 0) == Some(v.len())
        || (v.contains("-----BEGIN ") && v.contains("PRIVATE KEY"))
}

/// A long mixed token: not a UUID, not a hash, no words.
pub(crate) fn random_token(v: &str) -> bool {
    let digest = v.ends_with('=') && matches!(v.len(), 24 | 28 | 44 | 64 | 88);
    let has = |test: fn(&char) -> bool| v.chars().filter(test).count() >= 3;
    (TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&v.len())
        && TOKEN.matches(v)
        && !digest
        && !UUID.matches(v)
        && !HEX.matches(v)
        && !v.starts_with('/')
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit)
        && v.matches(['/', '-', '_', '.']).count() * 8 < v.len()
}

pub(crate) fn url(v: &str) -> bool {
    URL.matches(v)
}

pub(crate) fn street(v: &str) -> bool {
    STREET_ENGLISH.matches(v)
        || STREET_BEFORE_NUMBER.matches(v)
        || STREET_ROMANCE.matches(v)
        || POST_BOX.matches(v)
        || STREET_HAN.matches(v)
        || (v.contains(' ') && PART_OF_HOUSE.matches(v) && v.chars().count() > 12)
        || (v.contains(['\n', ','])
            && v.chars().any(|c| c.is_ascii_digit())
            && POST_CODE_TAIL.matches(v))
}

/// The form of a street address, though nothing in it says street.
pub(crate) fn number_and_words(v: &str) -> bool {
    NUMBER_AND_WORDS.matches(v)
}

/// A password in clear: what people are made to choose, with a character that no code has.
pub(crate) fn chosen_password(v: &str) -> bool {
    (8..=40).contains(&v.chars().count())
        && !v.contains(char::is_whitespace)
        && v.contains(['!', '@', '#', '$', '%', '^', '&', '*', '?'])
        && v.chars().any(|c| c.is_ascii_digit())
        && v.chars().any(char::is_lowercase)
        && v.chars().any(char::is_uppercase)
        && !url(v)
        && !email(v)
}

pub(crate) fn post_code(v: &str) -> bool {
    POST_CODE.matches(v)
}

pub(crate) fn icd_10(v: &str) -> bool {
    ICD_10.matches(v)
}

pub(crate) fn blood_group(v: &str) -> bool {
    BLOOD_GROUP.matches(v)
}

/// One token with a digit in it: an order number, a code, an id, a hash.
pub(crate) fn code(v: &str) -> bool {
    !v.contains(char::is_whitespace) && v.chars().any(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_patterns_compile() {
        for pattern in [
            &super::EMAIL,
            &super::FILE_NAME,
            &super::PHONE_INTERNATIONAL,
            &super::PHONE_AMERICAN,
            &super::PHONE_NATIONAL,
            &super::PHONE_ISH,
            &super::SSN,
            &super::MAC,
            &super::POSITION,
            &super::BIC,
            &super::ACCOUNT_KEY,
            &super::PASSWORD_HASH,
            &super::UUID,
            &super::HEX,
            &super::TOKEN,
            &super::URL,
            &super::STREET_ENGLISH,
            &super::STREET_BEFORE_NUMBER,
            &super::STREET_ROMANCE,
            &super::POST_BOX,
            &super::STREET_HAN,
            &super::NUMBER_AND_WORDS,
            &super::PART_OF_HOUSE,
            &super::POST_CODE_TAIL,
            &super::POST_CODE,
            &super::ICD_10,
            &super::BLOOD_GROUP,
        ] {
            assert_eq!(pattern.broken(), None);
        }
    }
}
