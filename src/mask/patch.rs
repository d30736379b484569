//! Bytes with some of them replaced: what is not replaced stays as it is.

use super::Unmaskable;

/// Replaces parts of `source` from front to back. Nothing is copied before the first replacement.
pub(super) struct Patch<'a> {
    source: &'a [u8],
    /// How much of the source is taken over, or left out.
    settled: usize,
    out: Vec<u8>,
    /// The most bytes that may come out.
    limit: usize,
    patched: bool,
}

impl<'a> Patch<'a> {
    pub(super) fn of(source: &'a [u8], limit: usize) -> Patch<'a> {
        Patch { source, settled: 0, out: Vec::new(), limit, patched: false }
    }

    /// Takes over what lies before `from`, and leaves out what lies from there to `to`.
    ///
    /// Calls go from front to back: what lies before the end of an earlier cut is not cut again.
    pub(super) fn cut(&mut self, from: usize, to: usize) -> Result<(), Unmaskable> {
        if !self.patched {
            self.patched = true;
            self.make_room(self.source.len().min(self.limit))?;
        }
        self.take_over(from)?;
        self.settled = self.settled.max(to);
        Ok(())
    }

    /// Puts bytes where the last cut was.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Unmaskable> {
        if bytes.len() > self.limit.saturating_sub(self.out.len()) {
            return Err(Unmaskable::TooLarge);
        }
        self.make_room(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// The patched bytes; `None` where nothing was cut.
    pub(super) fn finish(mut self) -> Result<Option<Vec<u8>>, Unmaskable> {
        if !self.patched {
            return Ok(None);
        }
        self.take_over(self.source.len())?;
        Ok(Some(self.out))
    }

    fn take_over(&mut self, to: usize) -> Result<(), Unmaskable> {
        let kept = self.source.get(self.settled..to).unwrap_or_default();
        self.put(kept)?;
        self.settled = self.settled.max(to);
        Ok(())
    }

    /// What the system does not give is as good as beyond the limit.
    fn make_room(&mut self, more: usize) -> Result<(), Unmaskable> {
        self.out.try_reserve(more).map_err(|_| Unmaskable::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_cut_stays() {
        let mut patch = Patch::of(b"one two three", 100);
        patch.cut(0, 3).unwrap();
        patch.put(b"1").unwrap();
        patch.cut(4, 8).unwrap();
        assert_eq!(patch.finish().unwrap().unwrap(), b"1 three");
        assert_eq!(Patch::of(b"one", 0).finish(), Ok(None));
    }

    #[test]
    fn no_more_comes_out_than_may() {
        let mut patch = Patch::of(b"one two", 8);
        patch.cut(0, 3).unwrap();
        patch.put(b"1234").unwrap();
        assert_eq!(patch.put(b"56789"), Err(Unmaskable::TooLarge));
        assert_eq!(patch.finish().unwrap().unwrap(), b"1234 two");
        let mut patch = Patch::of(b"one two", 7);
        patch.cut(0, 3).unwrap();
        patch.put(b"1234").unwrap();
        assert_eq!(patch.finish(), Err(Unmaskable::TooLarge));
    }
}
