//! Changes that a target's block makes to the fields of its copies alone.
//!
//! The server makes them, with a module of its own, on the thread of the request: what they say may depend on
//! all that it knows of it.

/// The lines of one block that change fields, by their place among those of all blocks; what they say is for
/// httpd alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edits(u32);

impl Edits {
    /// Those at that place.
    pub fn at(place: usize) -> Edits {
        Edits(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// Their place.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whoever can make the changes to the fields of a request.
pub trait Edit<F> {
    /// The fields as they are after the changes; `None` where these cannot be made.
    fn edited(&self, edits: Edits, fields: &F) -> Option<F>;
}

/// Nobody.
impl<F> Edit<F> for () {
    fn edited(&self, _: Edits, _: &F) -> Option<F> {
        None
    }
}
