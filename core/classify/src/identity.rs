//! Identity numbers of people, country by country: each with its own form and check digits.
//!
//! A tenth or less of random numbers pass one of these checks, so a whole column that does is no chance.

mod europe;
mod letters;
mod world;

use crate::digits::Digits;

/// How an identity number is told from any other number.
pub(crate) enum Test {
    /// By its digits, whatever separates them; also in a column of numbers, padded to so many digits.
    Digits(usize, fn(&Digits) -> bool),
    /// By its text: letters, or separators that say what it is.
    Text(fn(&str) -> bool),
    /// By its digits where they are grouped, or the column's name says so: others use the same check.
    Grouped(usize, fn(&Digits) -> bool),
}

/// An identity number that some country gives to people.
pub(crate) struct Scheme {
    /// Whose it is and what it is called there.
    pub(crate) name: &'static str,
    test: Test,
}

impl Scheme {
    const fn digits(name: &'static str, count: usize, test: fn(&Digits) -> bool) -> Self {
        Self { name, test: Test::Digits(count, test) }
    }

    const fn grouped(name: &'static str, count: usize, test: fn(&Digits) -> bool) -> Self {
        Self { name, test: Test::Grouped(count, test) }
    }

    const fn text(name: &'static str, test: fn(&str) -> bool) -> Self {
        Self { name, test: Test::Text(test) }
    }

    /// Whether `text` is such a number. `named`: the column's name says that it holds identity numbers.
    pub(crate) fn fits(&self, text: &str, named: bool) -> bool {
        match self.test {
            Test::Digits(count, test) => Digits::of(text)
                .is_some_and(|digits| digits.as_slice().len() == count && test(&digits)),
            Test::Grouped(count, test) => {
                (named || !text.bytes().all(|b| b.is_ascii_digit()))
                    && Digits::of(text)
                        .is_some_and(|digits| digits.as_slice().len() == count && test(&digits))
            }
            Test::Text(test) => test(text),
        }
    }

    /// Whether the number `text` is one, with the zeros before it that a number does not keep.
    pub(crate) fn fits_number(&self, text: &str, named: bool) -> bool {
        let (count, test) = match self.test {
            Test::Digits(count, test) => (count, test),
            Test::Grouped(count, test) if named => (count, test),
            _ => return false,
        };
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        // More zeros than two were no number of anyone.
        plain
            && (count.saturating_sub(2)..=count).contains(&text.len())
            && Digits::of(text).is_some_and(|digits| test(&digits.padded(count)))
    }
}

/// All schemes.
pub(crate) fn schemes() -> impl Iterator<Item = &'static Scheme> {
    letters::SCHEMES.iter().chain(&europe::SCHEMES).chain(&world::SCHEMES)
}

/// Whether `text`, found in other text, is one by its letters or separators; digits alone could be anything.
pub(crate) fn in_text(text: &str) -> bool {
    let lettered = || letters::SCHEMES.iter().any(|scheme| scheme.fits(text, false));
    let marked = !text.bytes().all(|b| b.is_ascii_digit());
    marked && (lettered() || europe::in_text(text) || world::in_text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(text: &str) -> Vec<&'static str> {
        schemes().filter(|scheme| scheme.fits(text, false)).map(|scheme| scheme.name).collect()
    }

    #[test]
    fn published_examples_pass_and_one_changed_digit_fails() {
        for (text, wrong, name) in [
            ("36574261809", "36574261808", "German tax id"),
            ("255081416802538", "255081416802539", "French NIR"),
            ("12345678Z", "12345678A", "Spanish DNI or NIE"),
            ("RSSMRA85T10A562S", "RSSMRA85T10A562T", "Italian codice fiscale"),
            ("111222333", "111222334", "Dutch BSN"),
            (
                "85.07.30-033 28".replace(' ', ".").as_str(),
                "85.07.30-033.29",
                "Belgian national number",
            ),
            ("44051401359", "44051401358", "Polish PESEL"),
            ("811228-9874", "811228-9873", "Swedish personnummer"),
            ("131052-308T", "131052-308U", "Finnish henkilötunnus"),
            ("211062-5629", "211362-5629", "Danish CPR"),
            ("123456789", "123456788", "Portuguese NIF"),
            ("1630615123457", "1630615123458", "Romanian CNP"),
            ("1237010180", "1238010180", "Austrian insurance number"),
            ("7523169263", "7523169264", "Bulgarian EGN"),
            ("710319/2745", "710319/2746", "Czech or Slovak birth number"),
            ("33392005961", "33392005962", "Croatian OIB"),
            ("37605030299", "37605030298", "Estonian or Lithuanian personal code"),
            ("161175-19997", "161175-19998", "Latvian personal code"),
            ("6433435F", "6433435E", "Irish PPS number"),
            ("01013099997", "01013099998", "Greek AMKA"),
            ("0101006500006", "0101006500007", "Yugoslav and Slovene EMŠO"),
            ("15108695088", "15108695089", "Norwegian birth number"),
            ("756.9217.0769.85", "756.9217.0769.84", "Swiss AHV number"),
            ("10000000146", "10000000147", "Turkish identity number"),
            ("529.982.247-25", "529.982.247-26", "Brazilian CPF"),
            ("S1234567D", "S1234567E", "Singaporean NRIC"),
            ("A123456789", "A123456788", "Taiwanese identity number"),
            ("046 454 286", "046 454 287", "Canadian SIN"),
            ("8001015009087", "8001015009088", "South African identity number"),
            ("12.345.678-5", "12.345.678-6", "Chilean RUT"),
        ] {
            assert!(fit(text).contains(&name), "{text}: {:?}, not {name}", fit(text));
            assert!(!fit(wrong).contains(&name), "{wrong} is no {name}");
        }
    }

    #[test]
    fn few_random_numbers_pass_a_check() {
        for scheme in schemes() {
            for count in 9..=13_u32 {
                let base = 10_u64.pow(count - 1);
                // Spread over all numbers of this length by a step that shares nothing with the weights.
                let passing = (0..2_000_u64)
                    .map(|n| base + n * 1_000_003 % (9 * base))
                    .filter(|number| scheme.fits(&number.to_string(), false))
                    .count();
                assert!(passing < 400, "{} {count}: {passing}", scheme.name);
            }
        }
    }
}
