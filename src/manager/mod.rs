//! What copy-manager changes: a request's content read, its changes checked, made and told.
//!
//! Everything here is pure but for [`Change::make`]; that a request may change anything is for [`sender`] to say.

pub mod sender;

use std::fmt;

use serde_json::Value;

use crate::clock;
use crate::comparing::Shelf;
use crate::select::{Rate, Share};
use crate::stats::{Segment, Slot};

/// The most bytes that a change may have.
pub const MOST: usize = 1024;

/// What the content of a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What it showed for a nonce.
    pub nonce: String,
    /// The target that it is about; `None` for all.
    target: Option<String>,
    acts: Vec<Act>,
}

/// One thing to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Switch(bool),
    Sample(Option<Share>),
    Rate(Option<Rate>),
    ResetBreaker,
    ForgetComparisons,
    AsConfigured,
}

/// Why a request changes nothing: the status of the answer, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub u16, pub String);

impl Refusal {
    fn bad(what: impl fmt::Display) -> Refusal {
        Refusal(400, format!("Nothing was changed: {what}."))
    }
}

/// How the content is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/x-www-form-urlencoded`, as a browser sends it.
    Browser,
    /// `application/json`.
    Json,
}

impl Form {
    /// The form of this media type.
    pub fn of(media_type: &str) -> Result<Form, Refusal> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Ok(Form::Json)
        } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Ok(Form::Browser)
        } else {
            let expected = "a form or application/json is expected";
            Err(Refusal(415, format!("Nothing was changed: {expected}.")))
        }
    }
}

impl Change {
    /// Reads a request's content.
    pub fn read(form: Form, content: &[u8]) -> Result<Change, Refusal> {
        let mut change = Change::default();
        match form {
            Form::Browser => {
                for (key, value) in form_urlencoded::parse(content) {
                    change.set(&key, &value)?;
                }
            }
            Form::Json => {
                let value: Value = serde_json::from_slice(content)
                    .map_err(|_| Refusal::bad("the content is not JSON"))?;
                let object = value.as_object().ok_or_else(|| Refusal::bad("no JSON object"))?;
                for (key, value) in object {
                    match value {
                        Value::String(text) => change.set(key, text)?,
                        Value::Number(number) => change.set(key, &number.to_string())?,
                        _ => return Err(Refusal::bad(format_args!("{key} is no text"))),
                    }
                }
            }
        }
        if change.acts.is_empty() {
            return Err(Refusal::bad(
                "switch, sample, rate, breaker, comparisons or configured is expected",
            ));
        }
        Ok(change)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        let expected = |what: &str| Refusal::bad(format_args!("{key} is {what}"));
        let act = match (key, value) {
            ("nonce", _) => {
                value.clone_into(&mut self.nonce);
                return Ok(());
            }
            ("target", _) => {
                self.target = Some(value.to_owned());
                return Ok(());
            }
            ("switch", "on") => Act::Switch(true),
            ("switch", "off") => Act::Switch(false),
            ("switch", _) => return Err(expected("on or off")),
            ("sample", "" | "configured") => Act::Sample(None),
            ("sample", _) => {
                let sample = Share::parse(value.trim()).ok_or_else(|| {
                    expected("a share from 0.001% to 100% with at most 3 decimals")
                })?;
                Act::Sample(Some(sample))
            }
            ("rate", "" | "configured") => Act::Rate(None),
            ("rate", _) => {
                let text = value.trim();
                // Where it says what it is, the unit goes without saying.
                let rate = Rate::parse(text).or_else(|| Rate::parse(&format!("{text}/s")));
                let rate = rate.ok_or_else(|| expected("a rate from 1/s to 1000000/s"))?;
                Act::Rate(Some(rate))
            }
            ("breaker", "reset") => Act::ResetBreaker,
            ("breaker", _) => return Err(expected("reset")),
            ("comparisons", "forget") => Act::ForgetComparisons,
            ("comparisons", _) => return Err(expected("forget")),
            ("configured", "all") => Act::AsConfigured,
            ("configured", _) => return Err(expected("all")),
            _ => return Err(Refusal::bad("a field has no meaning here")),
        };
        self.acts.push(act);
        Ok(())
    }

    /// Makes the change to those of these targets that it is about, for all children at once; says what it
    /// did, one line for each target.
    pub fn make<'a>(
        &self,
        segment: &Segment,
        shelf: Option<&Shelf>,
        targets: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<String>, Refusal> {
        let is_meant = |name: &&str| self.target.as_ref().is_none_or(|target| target == name);
        let meant: Vec<&str> = targets.filter(is_meant).collect();
        if meant.is_empty() {
            return Err(Refusal(404, "Nothing was changed: there is no such target.".to_owned()));
        }
        // All or none.
        let slots = meant.iter().map(|name| {
            let none = || format!("Nothing was changed: {name} has no counters, nor switches.");
            segment.find(name).ok_or_else(|| Refusal(503, none()))
        });
        let slots = slots.collect::<Result<Vec<Slot>, Refusal>>()?;
        let made = meant.iter().zip(slots).map(|(name, slot)| {
            let acts: Vec<String> =
                self.acts.iter().map(|act| act.make((segment, shelf), slot)).collect();
            format!("{name}: {}", acts.join(", "))
        });
        Ok(made.collect())
    }
}

impl Act {
    fn make(self, (segment, shelf): (&Segment, Option<&Shelf>), slot: Slot) -> String {
        let steering = segment.steering(slot);
        let before = steering.settings();
        let word = |is_on: bool| if is_on { "on" } else { "off" };
        match self {
            Act::Switch(is_on) => {
                steering.switch(Some(is_on));
                format!("switched {} (was {})", word(is_on), word(before.is_on))
            }
            Act::Sample(sample) => {
                steering.set_sample(sample);
                format!("sample {} (was {})", told(sample), told(before.overrides.sample))
            }
            Act::Rate(rate) => {
                steering.set_rate(rate);
                format!("rate {} (was {})", told(rate), told(before.overrides.rate))
            }
            Act::ResetBreaker => match segment.breaker(slot).reset(clock::now()) {
                true => "breaker closed".to_owned(),
                false => "breaker was closed already".to_owned(),
            },
            Act::ForgetComparisons => match shelf {
                Some(shelf) => {
                    shelf.clear(slot);
                    "comparisons begin anew".to_owned()
                }
                None => "nothing was compared".to_owned(),
            },
            Act::AsConfigured => {
                steering.switch(None);
                steering.set_sample(None);
                steering.set_rate(None);
                let is_on = steering.settings().is_on;
                format!("as configured: switched {} (was {})", word(is_on), word(before.is_on))
            }
        }
    }
}

fn told(set: Option<impl fmt::Display>) -> String {
    set.map_or_else(|| "as configured".to_owned(), |set| set.to_string())
}

#[cfg(test)]
mod tests;
