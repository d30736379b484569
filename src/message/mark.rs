//! This server's loop mark, ready to be written.

use super::LOOP_MARK;

/// The field that marks our own copies, [`LOOP_MARK`] with a secret of this server's.
#[derive(Clone, Debug)]
pub struct LoopMark {
    /// `\r\nX-Mod-Copy: value\r\n`
    after_a_line: Box<[u8]>,
    value: String,
}

impl LoopMark {
    /// The field of this value.
    pub fn new(value: &str) -> LoopMark {
        let after_a_line = format!("\r\n{LOOP_MARK}: {value}\r\n").into_bytes().into();
        LoopMark { after_a_line, value: value.to_owned() }
    }

    /// Its value.
    pub fn value(&self) -> &[u8] {
        self.value.as_bytes()
    }

    /// The end of the line before it, and its own line: one write does for both.
    #[inline(always)]
    pub(super) fn after_a_line(&self) -> &[u8] {
        &self.after_a_line
    }
}
