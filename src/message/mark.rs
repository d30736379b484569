//! The field that marks our own copies.

use super::LOOP_MARK;

/// The field that marks our own copies, [`LOOP_MARK`] with a secret of this server's.
#[derive(Clone, Debug)]
pub struct LoopMark {
    /// What ends the line before, and its own.
    line: Box<[u8]>,
    value: String,
}

impl LoopMark {
    /// The field of this value.
    pub fn new(value: &str) -> LoopMark {
        let line = format!("\r\n{LOOP_MARK}: {value}\r\n").into_bytes().into();
        LoopMark { line, value: value.to_owned() }
    }

    /// Its value.
    pub fn value(&self) -> &[u8] {
        self.value.as_bytes()
    }

    /// The end of the line before, and its own, in one piece.
    #[inline(always)]
    pub(super) fn line_behind(&self) -> &[u8] {
        &self.line
    }
}
