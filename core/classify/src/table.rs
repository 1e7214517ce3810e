//! The judgement of a table's columns together: beside personal data, doubt closes.

use crate::column::{Judged, finding, judge, percent, values};
use crate::tags::Kind;
use crate::{ColumnSample, Finding, dates, hints, people};

/// What each of a table's columns holds. A column that cannot be judged is `unclassified` where the table has personal
/// data, and harmless elsewhere.
#[must_use]
pub fn classify_table(samples: &[ColumnSample]) -> Vec<Finding> {
    let judged: Vec<(&ColumnSample, Judged)> = samples.iter().map(|s| (s, judge(s))).collect();
    let personal = judged.iter().any(|(s, j)| {
        matches!(j, Judged::Is(kind, ..) if kind.is_about_people()) || names_a_person(s)
    });
    judged.into_iter().map(|(sample, judged)| decide(sample, judged, personal)).collect()
}

fn decide(sample: &ColumnSample, judged: Judged, personal: bool) -> Finding {
    let column = &sample.column;
    match judged {
        Judged::Is(kind, confidence, reason) => finding(column, Some(kind), confidence, reason),
        Judged::Harmless(..) | Judged::Unsure(_) if names_a_person(sample) => {
            let reason = "a name in a table of people".to_owned();
            finding(column, Some(Kind::Name), 75, reason)
        }
        Judged::Harmless(..) if personal && birthdays(sample) => {
            let reason = "dates spread like birthdays, beside personal data".to_owned();
            finding(column, Some(Kind::BirthDate), 65, reason)
        }
        Judged::Harmless(confidence, reason) => {
            finding(column, None, confidence, reason.to_owned())
        }
        Judged::Unsure(_)
            if personal && hints::words(&column.column).iter().any(|w| w == "city") =>
        {
            finding(column, Some(Kind::Address), 60, "a city beside personal data".to_owned())
        }
        Judged::Unsure(reason) if personal => {
            let reason = format!("{reason}, and the table has personal data");
            finding(column, Some(Kind::Unclassified), 50, reason)
        }
        Judged::Unsure(reason) => finding(column, None, 30, reason.to_owned()),
    }
}

/// Whether this is the plain `name` column of a table of people, and holds words.
fn names_a_person(sample: &ColumnSample) -> bool {
    let words = hints::words(&sample.column.column);
    let plain =
        matches!(words.as_slice(), [only] if matches!(only.as_str(), "name" | "first" | "last"));
    let values = values(sample);
    plain
        && matches!(sample.type_category, 'S' | 'U')
        && hints::people(&sample.column.relation)
        && (values.is_empty()
            || percent(&values, |v| people::whole_name_form(v) || people::single_name_form(v))
                >= 50)
}

fn birthdays(sample: &ColumnSample) -> bool {
    let timed = sample.type_name.starts_with("time");
    !timed
        && matches!(sample.type_category, 'D' | 'S')
        && dates::look_like_birthdays(&values(sample))
}
