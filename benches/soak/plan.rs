//! What was asked for: `MINUTES`, `SEED` and `MPM`.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::mpm::Mpm;

/// How long, from which seed, and under which MPMs.
pub struct Plan {
    pub seed: u64,
    /// How long each MPM is under load.
    pub time: Duration,
    pub mpms: Vec<Mpm>,
}

impl Plan {
    /// `MINUTES` are those of all MPMs together, 5 unless told; without `MPM` each of the three has its share.
    pub fn asked_for() -> Result<Plan, String> {
        let minutes = number("MINUTES", 5.0)?;
        let seed = number("SEED", a_new_seed())?;
        let mpms = match variable("MPM").as_deref() {
            None => vec![Mpm::Event, Mpm::Worker, Mpm::Prefork],
            Some("event") => vec![Mpm::Event],
            Some("worker") => vec![Mpm::Worker],
            Some("prefork") => vec![Mpm::Prefork],
            Some(other) => return Err(format!("MPM is event, worker or prefork, not {other}")),
        };
        let seconds = minutes * 60.0 / mpms.len() as f64;
        let time =
            Duration::try_from_secs_f64(seconds).map_err(|error| format!("MINUTES: {error}"))?;
        Ok(Plan { seed, time, mpms })
    }
}

/// An environment variable; make hands over those that were not given as empty ones.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> Result<T, String> {
    let parse =
        |value: String| value.parse().map_err(|_| format!("{name} is a number, not {value}"));
    variable(name).map_or(Ok(default), parse)
}

fn a_new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() % 1_000_000
}
