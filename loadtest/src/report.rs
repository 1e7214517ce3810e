//! Medians and ratios, as Markdown or JSON.

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

    /// One row per case and target; ratios are of medians against the first target and the CPU baseline.
    pub(crate) fn to_markdown(&self, targets: &[Target], cpu_baseline: Option<&str>) -> String {
        let mut text = String::from(
            "| case | target | per second (min/median/max) | ratio | CPU µs each | CPU ratio | p50 µs | p99 µs |\n|---|---|---|---|---|---|---|---|\n",
        );
        let number = |figure: Option<f64>, digits: usize| {
            figure.map_or("–".to_owned(), |f| format!("{f:.digits$}"))
        };
        for case in self.cases() {
            let first = targets.first().map_or("", |t| t.name.as_str());
            let base = self.figures(case, first, |r| Some(r.per_second)).map(|s| s.median);
            let cpu_base = cpu_baseline
                .and_then(|t| self.figures(case, t, |r| r.cpu_micros))
                .map(|s| s.median);
            for target in targets {
                let Some(speed) = self.figures(case, &target.name, |r| Some(r.per_second)) else {
                    continue;
                };
                let cpu = self.figures(case, &target.name, |r| r.cpu_micros).map(|s| s.median);
                let ratio = base.map(|b| speed.median / b);
                let cpu_ratio = cpu.zip(cpu_base).map(|(c, b)| c / b);
                let p50 = self.figures(case, &target.name, |r| r.p50_micros).map(|s| s.median);
                let p99 = self.figures(case, &target.name, |r| r.p99_micros).map(|s| s.median);
                let _ = writeln!(
                    text,
                    "| {case} | {} | {:.0} / {:.0} / {:.0} | {} | {} | {} | {} | {} |",
                    target.name,
                    speed.min,
                    speed.median,
                    speed.max,
                    number(ratio, 2),
                    number(cpu, 1),
                    number(cpu_ratio, 2),
                    number(p50, 0),
                    number(p99, 0),
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
    fn ratios_are_of_medians() {
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
        assert!(
            text.contains("| case | b | 50 / 55 / 90 | 0.50 | 55.0 | 0.50 | – | – |"),
            "{text}"
        );
    }
}
