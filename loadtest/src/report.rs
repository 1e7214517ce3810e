//! Figures and ratios, each as smallest / median / largest of all rounds, as Markdown or JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::target::Target;

/// One measurement of one target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Transactions, or megabytes, a second.
    pub(crate) per_second: f64,
    /// The proxy's CPU time per transaction, or per megabyte, in µs.
    pub(crate) cpu_micros: Option<f64>,
    /// Median latency, in µs.
    pub(crate) p50_micros: Option<f64>,
    /// 99th percentile latency, in µs.
    pub(crate) p99_micros: Option<f64>,
}

/// All measurements, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Report {
    runs: Vec<(String, String, Run)>,
}

/// The smallest, middle and largest of some figures.
#[derive(Debug, Clone, Copy)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

fn spread(mut figures: Vec<f64>) -> Option<Spread> {
    figures.sort_by(f64::total_cmp);
    let median = *figures.get(figures.len() / 2)?;
    Some(Spread { min: *figures.first()?, median, max: *figures.last()? })
}

impl Spread {
    fn show(&self, digits: usize) -> String {
        let Self { min, median, max } = self;
        format!("{min:.digits$} / {median:.digits$} / {max:.digits$}")
    }
}

impl Report {
    pub(crate) fn add(&mut self, case: &str, target: &Target, run: Run) {
        self.runs.push((case.to_owned(), target.name.clone(), run));
    }

    fn cases(&self) -> Vec<&str> {
        let mut cases: Vec<&str> = Vec::new();
        for (case, _, _) in &self.runs {
            if cases.last() != Some(&case.as_str()) {
                cases.push(case);
            }
        }
        cases
    }

    fn figures(
        &self,
        case: &str,
        target: &str,
        pick: impl Fn(&Run) -> Option<f64>,
    ) -> Option<Spread> {
        let of_target = self.runs.iter().filter(|(c, t, _)| c == case && t == target);
        spread(of_target.filter_map(|(_, _, run)| pick(run)).collect())
    }

    /// The ratios of `target` to `base`, round by round: what slows the machine down slows both.
    fn ratios(
        &self,
        case: &str,
        target: &str,
        base: &str,
        pick: impl Fn(&Run) -> Option<f64>,
    ) -> Option<Spread> {
        let rounds = |of: &str| -> Vec<f64> {
            let runs = self.runs.iter().filter(|(c, t, _)| c == case && t == of);
            runs.filter_map(|(_, _, run)| pick(run)).collect()
        };
        let bases = rounds(base);
        spread(rounds(target).into_iter().zip(bases).map(|(figure, base)| figure / base).collect())
    }

    /// One row per case and target; ratios are to the first target and to `peer`, round by round.
    pub(crate) fn to_markdown(&self, targets: &[Target], peer: Option<&str>) -> String {
        let mut text = String::from(
            "| case | target | per second | to direct | to peer | CPU µs each | CPU to peer | p50 µs | p99 µs |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        let number =
            |figure: Option<f64>| figure.map_or("–".to_owned(), |figure| format!("{figure:.0}"));
        let first = targets.first().map_or("", |target| target.name.as_str());
        for case in self.cases() {
            for target in targets {
                let name = target.name.as_str();
                let Some(speed) = self.figures(case, name, |r| Some(r.per_second)) else {
                    continue;
                };
                let figure = |pick: fn(&Run) -> Option<f64>| {
                    self.figures(case, name, pick).map(|spread| spread.median)
                };
                let to = |base: Option<&str>, pick: fn(&Run) -> Option<f64>| {
                    let base = base.filter(|base| *base != name);
                    base.and_then(|base| self.ratios(case, name, base, pick))
                        .map_or("–".to_owned(), |spread| spread.show(2))
                };
                let _ = writeln!(
                    text,
                    "| {case} | {name} | {} | {} | {} | {} | {} | {} | {} |",
                    speed.show(0),
                    to(Some(first), |r| Some(r.per_second)),
                    to(peer, |r| Some(r.per_second)),
                    figure(|r| r.cpu_micros).map_or("–".to_owned(), |f| format!("{f:.1}")),
                    to(peer, |r| r.cpu_micros),
                    number(figure(|r| r.p50_micros)),
                    number(figure(|r| r.p99_micros)),
                );
            }
        }
        text
    }

    /// Every single measurement.
    pub(crate) fn to_json(&self) -> Value {
        let one = |(case, target, run): &(String, String, Run)| {
            json!({
                "case": case, "target": target, "per_second": run.per_second,
                "cpu_micros": run.cpu_micros, "p50_micros": run.p50_micros, "p99_micros": run.p99_micros,
            })
        };
        Value::Array(self.runs.iter().map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_rounds() {
        let target = |name: &str| Target { name: name.into(), url: String::new(), pid: None };
        let run = |per_second| Run {
            per_second,
            cpu_micros: Some(per_second),
            p50_micros: None,
            p99_micros: None,
        };
        let mut report = Report::default();
        for (a, b) in [(100.0, 50.0), (110.0, 90.0), (300.0, 55.0)] {
            report.add("case", &target("a"), run(a));
            report.add("case", &target("b"), run(b));
        }
        let text = report.to_markdown(&[target("a"), target("b")], Some("a"));
        assert!(text.contains("| case | b | 50 / 55 / 90 | 0.18 / 0.50 / 0.82 |"), "{text}");
    }
}
