//! The tags that are given.

/// What a column can be found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Names of people.
    Name,
    /// Postal addresses.
    Address,
    /// Dates of birth.
    BirthDate,
    /// Identity, tax, passport and driving licence numbers.
    NationalId,
    /// Internet addresses.
    Ip,
    /// Hardware addresses.
    Mac,
    /// Geographic positions.
    Location,
    /// Religion, ethnicity, orientation: what the law calls special.
    Special,
    /// Text with something personal in it.
    FreeText,
    /// Numbers of payment cards.
    Card,
    /// International bank account numbers.
    Iban,
    /// Other numbers of accounts, and codes of banks.
    BankAccount,
    /// Passwords, and hashes of them.
    Password,
    /// Keys, tokens and credentials.
    Key,
    /// Diagnoses.
    Diagnosis,
    /// Medication.
    Medication,
    /// Numbers of patients, and what else is about their health.
    HealthRecord,
    /// Cannot be judged, beside personal data.
    Unclassified,
}

impl Kind {
    /// The tag, such as `pii.email`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "pii.email",
            Self::Phone => "pii.phone",
            Self::Name => "pii.name",
            Self::Address => "pii.address",
            Self::BirthDate => "pii.birth_date",
            Self::NationalId => "pii.national_id",
            Self::Ip => "pii.ip",
            Self::Mac => "pii.mac",
            Self::Location => "pii.location",
            Self::Special => "pii.special",
            Self::FreeText => "pii.free_text",
            Self::Card => "payment.card",
            Self::Iban => "payment.iban",
            Self::BankAccount => "payment.bank_account",
            Self::Password => "secret.password",
            Self::Key => "secret.key",
            Self::Diagnosis => "health.diagnosis",
            Self::Medication => "health.medication",
            Self::HealthRecord => "health.record",
            Self::Unclassified => "unclassified",
        }
    }

    /// Whether a table with such a column is about people, so that its doubtful columns are closed.
    pub(crate) fn is_about_people(self) -> bool {
        !matches!(
            self,
            Self::Ip | Self::Mac | Self::Location | Self::Password | Self::Key | Self::Unclassified
        )
    }
}
