//! What `copy-status?compare&json` tells, read for the tests.

use serde_json::Value;

use crate::server::Server;
use crate::wait::wait_for;

/// What was compared of one target's copies.
pub struct Compared(pub Value);

/// The target's comparisons, as soon as so many were made.
pub fn compared(server: &Server, target: &str, count: u64) -> Compared {
    wait_for(&format!("{count} comparisons of {target}"), || {
        Some(now(server, target)?).filter(|compared| compared.count("compared") >= count)
    })
}

/// The target's comparisons; `None` where there are none.
pub fn now(server: &Server, target: &str) -> Option<Compared> {
    let page = server.status_page("?compare&json");
    assert_eq!(
        (page.status, page.field("Content-Type").as_deref()),
        (200, Some("application/json"))
    );
    let page: Value = serde_json::from_slice(&page.content).unwrap();
    let targets = page["targets"].as_array().unwrap();
    targets.iter().find(|known| known["name"] == target).cloned().map(Compared)
}

impl Compared {
    pub fn count(&self, member: &str) -> u64 {
        self.0[member].as_u64().unwrap_or_else(|| panic!("no {member} in {}", self.0))
    }

    /// How often it was counted one by one.
    pub fn counted(&self, verdict: &str) -> u64 {
        self.0["counted"][verdict].as_u64().unwrap()
    }

    /// In how many comparisons the control answered too.
    pub fn controlled(&self) -> u64 {
        let routes = self.0["routes"].as_array().unwrap().iter();
        routes.map(|route| route["controlled"].as_u64().unwrap()).sum()
    }

    /// Every difference, as `ROUTE PATH CHANGE`, that is taken for this.
    pub fn differences(&self, standing: &str) -> Vec<String> {
        let mut found = Vec::new();
        for route in self.0["routes"].as_array().unwrap() {
            for row in route["differences"].as_array().unwrap() {
                if row["standing"] == standing {
                    let words = [&route["route"], &row["path"], &row["change"]];
                    let words = words.map(|word| word.as_str().unwrap().to_owned());
                    found.push(words.join(" "));
                }
            }
        }
        found.sort();
        found
    }

    /// The difference in that path, whatever its route.
    pub fn row(&self, path: &str) -> Option<Value> {
        let routes = self.0["routes"].as_array().unwrap().iter();
        let mut rows = routes.flat_map(|route| route["differences"].as_array().unwrap());
        rows.find(|row| row["path"] == path).cloned()
    }
}
