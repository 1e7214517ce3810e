//! The tags that are given.

/// What a column can be found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Email,
    Phone,
    Name,
    Address,
    BirthDate,
    NationalId,
    Ip,
    Mac,
    Location,
    Special,
    FreeText,
    Card,
    Iban,
    BankAccount,
    Password,
    Key,
    Diagnosis,
    Medication,
    HealthRecord,
    Unclassified,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
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
