//! A copy whose head, and perhaps whose content, was changed for one target.

use std::sync::Arc;

use super::{Head, Layout, Message, place};
use crate::memory::Segments;

const VERSION: &[u8] = b" HTTP/1.1\r\n";

impl Message {
    /// The head as every target shares it: with the client's `Host`, and the request target as received.
    pub fn shared_head(&self) -> [&[u8]; 6] {
        [self.method(), b" ", self.target(), VERSION, self.fields(), b"\r\n"]
    }

    /// The same copy with another head, in the form of [`shared_head`](Message::shared_head), and with this
    /// content, or else its own; `None` where memory does not bear it.
    pub fn rewritten(self: Arc<Message>, head: &[u8], content: Option<&[u8]>) -> Option<Message> {
        let budget = self.head.bytes.budget();
        let mut bytes = budget.buffer(head.len())?;
        let (line, fields) = head.split_at_checked(find(head, b"\r\n")? + b"\r\n".len())?;
        let (method, target) = line.strip_suffix(VERSION)?.split_at_checked(find(line, b" ")?)?;
        let target = target.strip_prefix(b" ")?;
        let fields = fields.strip_suffix(b"\r\n")?;
        let written = [method, target, fields].into_iter().all(|part| bytes.append(part));
        let begin = method.len() + target.len();
        let layout = Layout {
            method: place(method.len()),
            target: place(begin),
            end: place(begin + fields.len()),
            host: host(fields).map(|at| at.map(|at| place(begin + at))),
            has_length: true,
            framing: place(begin + fields.len()),
            ..self.head.layout()
        };
        let head = Head::laid_out(bytes, layout);
        // What followed the content nobody has looked at: it might show what the changes are to hide.
        let mut rewritten = Message { head, content: None, of: None, trailers: None };
        match content {
            Some(content) => {
                let mut segments: Segments = budget.segments();
                if !segments.append(content) {
                    return None;
                }
                rewritten.content = Some(segments);
            }
            // Whose content it is: another copy may have lent it.
            None => rewritten.of = Some(self.of.clone().unwrap_or(self)),
        }
        written.then_some(rewritten)
    }
}

/// Where the value of `Host` begins and ends in field lines, if there is one.
fn host(fields: &[u8]) -> Option<[usize; 2]> {
    const NAME: &[u8] = b"Host: ";
    let mut begin = 0;
    for line in fields.split_inclusive(|&byte| byte == b'\n') {
        let end = begin + line.len();
        if line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
            return Some([begin + NAME.len(), end.saturating_sub(b"\r\n".len())]);
        }
        begin = end;
    }
    None
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
