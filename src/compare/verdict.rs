//! Whether staging may go live, as thresholds have it.

use std::borrow::Cow;
use std::fmt;

use super::report::{Counts, Report};
use super::route::Route;

/// The fewest comparisons of a verdict, where nothing else is said.
const LEAST: u64 = 100;
/// The most routes that a verdict names.
const NAMED: usize = 8;

/// From when on staging differs too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// The share of comparisons that may differ in something that is no noise.
    pub differ: Option<f64>,
    /// By which share of production's time staging may be slower, in the middle one of all comparisons.
    pub slower: Option<f64>,
    /// The fewest comparisons that tell anything, of all and of a route.
    pub least: u64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds { differ: None, slower: None, least: LEAST }
    }
}

impl Thresholds {
    /// Takes one word, `differ=1%`, `slower=20%` or `least=100`. The error is what would have been right.
    pub fn set(&mut self, word: &str) -> Result<(), Cow<'static, str>> {
        const KEYS: &str = "differ=PERCENT%, slower=PERCENT% or least=NUMBER";
        let (key, value) = word.split_once('=').ok_or(KEYS)?;
        match key {
            "differ" => {
                self.differ =
                    Some(percent(value, 100.0).ok_or("a share from 0% to 100%, as 1% or 0.05%")?)
            }
            "slower" => {
                self.slower =
                    Some(percent(value, 1000.0).ok_or("a share from 0% to 1000%, as 20%")?)
            }
            "least" => {
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                let number =
                    digits.then(|| value.parse().ok()).flatten().filter(|number| *number > 0);
                self.least = number.ok_or("a number of comparisons from 1 on")?;
            }
            _ => return Err(KEYS.into()),
        }
        Ok(())
    }
}

fn percent(text: &str, most: f64) -> Option<f64> {
    let number = text.strip_suffix('%')?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = plain.then(|| number.parse().ok()).flatten()?;
    (number <= most).then_some(number / 100.0)
}

/// What the thresholds say of a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing is beyond its threshold, and enough was compared to tell.
    Pass,
    /// Something is, or too little was compared.
    Fail(Vec<Reason>),
}

/// Why staging may not go live.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Too little was compared to say anything.
    TooFew {
        /// How many comparisons there are.
        compared: u64,
        /// How many there must be.
        least: u64,
    },
    /// Too many comparisons differ.
    Differs {
        /// In this route; in all where there is none.
        route: Option<Route>,
        /// How many do.
        differing: u64,
        /// Of how many.
        compared: u64,
    },
    /// Staging is too slow.
    Slower {
        /// In this route; in all where there is none.
        route: Option<Route>,
        /// How many times as long as production it takes.
        ratio: f64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Reason::Differs { route: Some(route), .. }
        | Reason::Slower { route: Some(route), .. } = self
        {
            write!(f, "{route}: ")?;
        }
        match self {
            Reason::TooFew { compared, least } => {
                write!(f, "only {compared} comparisons, {least} are needed")
            }
            Reason::Differs { differing, compared, .. } => {
                write!(f, "{differing} of {compared} comparisons differ")
            }
            Reason::Slower { ratio, .. } => {
                write!(f, "staging takes {ratio:.2} times as long as production")
            }
        }
    }
}

impl Report {
    /// What the thresholds say: of all comparisons, and of each route with enough of them, for a route
    /// that is broken altogether may be a small part of all.
    pub fn verdict(&self, thresholds: &Thresholds) -> Verdict {
        let total = self.total();
        if total.compared < thresholds.least {
            let reason = Reason::TooFew { compared: total.compared, least: thresholds.least };
            return Verdict::Fail(vec![reason]);
        }
        let mut reasons = Vec::new();
        reasons.extend(thresholds.differs(None, total));
        reasons.extend(thresholds.slower(None, self.median_ratio()));
        let mut routes: Vec<_> =
            self.routes().iter().filter(|route| route.compared >= thresholds.least).collect();
        routes.sort_unstable_by_key(|route| std::cmp::Reverse(route.compared));
        let of_routes = routes.into_iter().flat_map(|route| {
            let differs = thresholds.differs(Some(&route.route), self.counts(route));
            let slower = thresholds.slower(Some(&route.route), route.median_ratio());
            differs.into_iter().chain(slower)
        });
        reasons.extend(of_routes.take(NAMED));
        if reasons.is_empty() { Verdict::Pass } else { Verdict::Fail(reasons) }
    }
}

impl Thresholds {
    fn differs(&self, route: Option<&Route>, counts: Counts) -> Option<Reason> {
        let Counts { compared, differing, .. } = counts;
        let beyond = differing as f64 > self.differ? * compared as f64;
        beyond.then(|| Reason::Differs { route: route.cloned(), differing, compared })
    }

    fn slower(&self, route: Option<&Route>, ratio: Option<f64>) -> Option<Reason> {
        let (most, ratio) = (1.0 + self.slower?, ratio?);
        (ratio > most).then(|| Reason::Slower { route: route.cloned(), ratio })
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{record, record_missing};
    use super::*;

    fn thresholds(words: &[&str]) -> Thresholds {
        let mut thresholds = Thresholds::default();
        words.iter().for_each(|word| thresholds.set(word).unwrap());
        thresholds
    }

    fn reasons(report: &Report, words: &[&str]) -> Vec<String> {
        match report.verdict(&thresholds(words)) {
            Verdict::Pass => Vec::new(),
            Verdict::Fail(reasons) => reasons.iter().map(Reason::to_string).collect(),
        }
    }

    /// A hundred comparisons, of which so many differ; staging takes half as long again.
    fn report(differing: usize) -> Report {
        let mut report = Report::default();
        for index in 0..100 {
            record(&mut report, "/a", if index < differing { &["$.a"] } else { &[] }, None);
        }
        report
    }

    #[test]
    fn thresholds_are_met_exactly() {
        assert_eq!(reasons(&report(1), &["differ=1%"]), [""; 0]);
        assert_eq!(
            reasons(&report(2), &["differ=1%"]),
            ["2 of 100 comparisons differ", "GET /a: 2 of 100 comparisons differ"]
        );
        assert_eq!(reasons(&report(2), &["slower=50%"]), [""; 0]);
        assert_eq!(
            reasons(&report(2), &["slower=20%"]),
            [
                "staging takes 1.48 times as long as production",
                "GET /a: staging takes 1.48 times as long as production"
            ]
        );
    }

    #[test]
    fn staging_that_does_not_answer_is_slower_than_any() {
        let mut report = report(0);
        for _ in 0..101 {
            record_missing(&mut report, "/a");
        }
        let [all, _] = &*reasons(&report, &["slower=1000%"]) else { panic!("{report:?}") };
        assert!(all.starts_with("staging takes "), "{all}");
    }

    #[test]
    fn too_few_comparisons_do_not_pass() {
        assert_eq!(reasons(&Report::default(), &["least=1"]), ["only 0 comparisons, 1 are needed"]);
        assert_eq!(
            reasons(&report(0), &["least=101", "differ=1%"]),
            ["only 100 comparisons, 101 are needed"]
        );
    }

    #[test]
    fn a_broken_route_does_not_hide_among_many_that_are_well() {
        let mut report = report(0);
        (0..1000).for_each(|_| record(&mut report, "/b", &[], None));
        (0..10).for_each(|_| record(&mut report, "/broken", &["$.a"], None));
        let told = ["GET /broken: 10 of 10 comparisons differ"];
        assert_eq!(reasons(&report, &["differ=1%", "least=10"]), told);
    }

    #[test]
    fn noise_does_not_fail_a_verdict() {
        let mut report = Report::default();
        (0..100).for_each(|_| record(&mut report, "/", &["$.now"], Some(&["$.now"])));
        assert_eq!(reasons(&report, &["differ=0%"]), [""; 0]);
    }

    #[test]
    fn each_wrong_word_is_told_what_would_be_right() {
        for (word, expected) in [
            ("differ", "differ=PERCENT%, slower=PERCENT% or least=NUMBER"),
            ("more=1%", "differ=PERCENT%, slower=PERCENT% or least=NUMBER"),
            ("differ=1", "a share from 0% to 100%, as 1% or 0.05%"),
            ("differ=101%", "a share from 0% to 100%, as 1% or 0.05%"),
            ("differ=-1%", "a share from 0% to 100%, as 1% or 0.05%"),
            ("slower=x%", "a share from 0% to 1000%, as 20%"),
            ("slower=NaN%", "a share from 0% to 1000%, as 20%"),
            ("least=0", "a number of comparisons from 1 on"),
            ("least=+1", "a number of comparisons from 1 on"),
        ] {
            assert_eq!(Thresholds::default().set(word).unwrap_err(), expected, "{word}");
        }
    }
}
