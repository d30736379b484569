//! One difference of a route: how often, since when, and two examples.

use super::super::difference::{Change, Difference, Example, is_of_class};
use super::super::noise::{Evidence, Memory, Recurrence};

/// One path of a route, and the manner in which it differs.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where.
    pub path: String,
    /// In what manner.
    pub change: Change,
    /// In how many comparisons staging differs here.
    pub differing: u64,
    /// In how many places of all those answers.
    pub places: u64,
    /// Of those comparisons, how many had a control that answered.
    pub paired: u64,
    /// In how many comparisons the control differs here.
    pub control: u64,
    /// When it was first seen, in seconds since 1970.
    pub first: u64,
    /// When it was last seen.
    pub last: u64,
    /// The first pair of values seen, and the last.
    pub examples: [Option<Example>; 2],
    pub(super) generated: u64,
    pub(super) recurrence: Recurrence,
    memory: Memory,
}

impl Row {
    pub(super) fn new(path: &str, change: Change, at: u64) -> Row {
        Row {
            path: path.to_owned(),
            change,
            differing: 0,
            places: 0,
            paired: 0,
            control: 0,
            first: at,
            last: at,
            examples: [None, None],
            generated: 0,
            recurrence: Recurrence::default(),
            memory: Memory::default(),
        }
    }

    pub(super) fn take(&mut self, seen: &Difference, request: u64, at: u64, paired: bool) {
        self.differing += 1;
        self.places = self.places.saturating_add(seen.count);
        self.paired += u64::from(paired);
        self.generated += u64::from(seen.generated);
        self.last = self.last.max(at);
        self.memory.take(request, seen.value, &mut self.recurrence);
        let [first, last] = &mut self.examples;
        match first {
            None => *first = seen.example.clone(),
            Some(_) => *last = seen.example.clone().or(last.take()),
        }
    }

    /// What tells whether it is noise, in a route with so many comparisons that had a control.
    ///
    /// A control that mostly answers with a status of another class is none of today's release, or is down: that
    /// staging does so too is not excused by it.
    pub fn evidence(&self, controlled: u64) -> Evidence {
        let Row { paired, control, differing, generated, recurrence, .. } = *self;
        let is_down = is_of_class(&self.path, self.change) && control > controlled / 2;
        let controlled = if is_down { 0 } else { controlled };
        Evidence { controlled, paired, control, differing, generated, recurrence }
    }

    pub(super) fn merge(&mut self, other: &Row) {
        self.differing += other.differing;
        self.places = self.places.saturating_add(other.places);
        self.paired += other.paired;
        self.control += other.control;
        self.generated += other.generated;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.recurrence.add(&other.recurrence);
        let others = other.examples.iter().flatten();
        for (mine, others) in self.examples.iter_mut().filter(|mine| mine.is_none()).zip(others) {
            *mine = Some(others.clone());
        }
    }
}
