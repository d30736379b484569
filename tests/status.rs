//! What `copy-status?json` tells, read for the tests.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// All counters at one moment.
#[derive(Clone, Debug)]
pub struct Status(pub Value);

/// The counters of one target.
#[derive(Clone, Copy, Debug)]
pub struct Counters<'a>(&'a Value);

impl Status {
    pub fn parse(text: &str) -> Status {
        let value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
        let status = Status(value);
        assert_eq!(status.0["version"], 1, "{status}");
        status
    }

    pub fn targets(&self) -> Vec<Counters<'_>> {
        let targets =
            self.0["targets"].as_array().unwrap_or_else(|| panic!("no targets in {self}"));
        targets.iter().map(Counters).collect()
    }

    /// The target of this name.
    pub fn target(&self, name: &str) -> Counters<'_> {
        let mut targets = self.targets().into_iter();
        targets
            .find(|target| target.name() == name)
            .unwrap_or_else(|| panic!("no target {name} in {self}"))
    }

    /// A counter, summed over all targets; see [`Counters::count`].
    pub fn sum(&self, path: &str) -> u64 {
        self.targets().iter().map(|target| target.count(path)).sum()
    }

    /// Lines of `CopyLog` that were not written.
    pub fn log_dropped(&self) -> u64 {
        self.0["log_dropped"].as_u64().unwrap_or_else(|| panic!("no log_dropped in {self}"))
    }

    /// How many panics were caught.
    pub fn faults(&self) -> u64 {
        self.0["faults"].as_u64().unwrap_or_else(|| panic!("no faults in {self}"))
    }

    /// Whether no copy waits or is under way.
    pub fn is_drained(&self) -> bool {
        self.sum("queued") == 0
            && self.sum("in_flight") == 0
            && self.targets().iter().all(Counters::is_balanced)
    }

    /// Every copy has exactly one outcome: `selected = delivered + failed + dropped`, per target.
    pub fn assert_promise_3(&self) {
        assert!(self.targets().iter().all(Counters::is_balanced), "promise 3 is broken\n{self}");
    }
}

impl Counters<'_> {
    pub fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_else(|| panic!("no name in {}", self.0))
    }

    /// A counter by its path, as `selected` or `failed.refused`; a group's name gives its sum.
    pub fn count(&self, path: &str) -> u64 {
        let mut value = self.0;
        for key in path.split('.') {
            value = value.get(key).unwrap_or_else(|| panic!("no {path} in {}", self.0));
        }
        match value {
            Value::Object(group) => group.values().map(|count| count.as_u64().unwrap()).sum(),
            count => count.as_u64().unwrap_or_else(|| panic!("{path} is {count}")),
        }
    }

    /// Whether the target gets copies.
    pub fn is_on(&self) -> bool {
        self.0["settings"]["on"].as_bool().unwrap_or_else(|| panic!("no switch in {}", self.0))
    }

    /// A text by its path, as `breaker.state`.
    pub fn text(&self, path: &str) -> &str {
        let value = path.split('.').try_fold(self.0, |value, key| value.get(key));
        value.and_then(Value::as_str).unwrap_or_else(|| panic!("no text {path} in {}", self.0))
    }

    /// A number that is no count by its path, as `sample.effective_percent`.
    pub fn number(&self, path: &str) -> f64 {
        let value = path.split('.').try_fold(self.0, |value, key| value.get(key));
        value.and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {path} in {}", self.0))
    }

    /// Every outcome there is, as `failed.refused`, and how many copies had it.
    pub fn outcomes(&self) -> BTreeMap<String, u64> {
        let groups = ["delivered", "failed", "dropped"].into_iter();
        let paths = groups.flat_map(|group| {
            let members = self.0[group].as_object().unwrap().keys();
            members.map(move |member| format!("{group}.{member}"))
        });
        paths.map(|path| (path.clone(), self.count(&path))).collect()
    }

    fn is_balanced(&self) -> bool {
        let outcomes = ["delivered", "failed", "dropped"].map(|group| self.count(group));
        self.count("selected") == outcomes.iter().sum::<u64>()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}
