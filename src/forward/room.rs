//! A connection's buffers: made when first used, and never cleared.

use std::ops::Range;

use ureq::unversioned::transport::Buffers;

/// What a read or a write of the socket takes at once.
pub(super) const SIZE: usize = 16 * 1024;

/// Room for what is sent, and for what is received and not yet consumed.
#[derive(Debug, Default)]
pub(super) struct Room {
    output: Vec<u8>,
    input: Vec<u8>,
    /// Where in the input the bytes lie that wait to be consumed.
    filled: Range<usize>,
    /// Whether the last look at the input consumed any of it.
    progress: bool,
}

impl Room {
    /// A part of the output.
    pub(super) fn output_at(&self, range: Range<usize>) -> &[u8] {
        self.output.get(range).unwrap_or_default()
    }

    /// Sees to it that there is room for more input, behind what is not yet consumed.
    fn make_room(&mut self) {
        if self.filled.is_empty() {
            self.filled = 0..0;
        }
        if self.filled.end == self.input.len() {
            self.input.drain(..self.filled.start);
            self.filled = 0..self.filled.len();
            self.input.resize(self.filled.end.saturating_add(SIZE).next_multiple_of(SIZE), 0);
        }
    }
}

impl Buffers for Room {
    fn output(&mut self) -> &mut [u8] {
        if self.output.is_empty() {
            self.output = vec![0; SIZE];
        }
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        self.input.get(self.filled.clone()).unwrap_or_default()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.make_room();
        self.input.get_mut(self.filled.end..).unwrap_or_default()
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled.end = self.filled.end.saturating_add(amount).min(self.input.len());
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.filled.start = self.filled.start.saturating_add(amount).min(self.filled.end);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.output();
        self.make_room();
        (self.input.get_mut(self.filled.end..).unwrap_or_default(), &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.progress && !self.filled.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_consumed_stays_in_order_however_much_comes() {
        let mut room = Room::default();
        let (mut expected, mut next) = (Vec::new(), 0_u8);
        for round in 0..200 {
            let free = room.input_append_buf();
            assert!(!free.is_empty());
            let amount = free.len().min(round * 97);
            for byte in &mut free[..amount] {
                *byte = next;
                expected.push(next);
                next = next.wrapping_add(1);
            }
            room.input_appended(amount);
            assert_eq!(room.input(), expected);
            let consumed = expected.len().min(round * 61);
            expected.drain(..consumed);
            room.input_consume(consumed);
            assert_eq!(
                (room.input(), room.can_use_input()),
                (&expected[..], consumed > 0 && !expected.is_empty())
            );
        }
    }
}
