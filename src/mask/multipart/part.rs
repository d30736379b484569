//! One part of multipart content: its names, what it says of itself, its content.

use crate::mask::Unmaskable;
use crate::mask::media::values;
use crate::mask::percent::decode;

/// A part, with all that readers might call it.
pub(super) struct Part<'a> {
    /// Its name, in each way that readers take it.
    pub(super) names: Vec<Vec<u8>>,
    pub(super) content_type: Option<&'a [u8]>,
    /// Its content is encoded for the transfer, which no client of today does.
    pub(super) is_encoded: bool,
    pub(super) content: &'a [u8],
}

impl<'a> Part<'a> {
    /// Reads what lies between two delimiters.
    pub(super) fn read(part: &'a [u8]) -> Result<Part<'a>, Unmaskable> {
        let mut read =
            Part { names: Vec::new(), content_type: None, is_encoded: false, content: part };
        loop {
            let end = memchr::memmem::find(read.content, b"\r\n").ok_or(Unmaskable::Multipart)?;
            let line = read.content.get(..end).unwrap_or_default();
            read.content = read.content.get(end + 2..).unwrap_or_default();
            if line.is_empty() {
                return Ok(read);
            }
            read.field(line)?;
        }
    }

    fn field(&mut self, line: &'a [u8]) -> Result<(), Unmaskable> {
        // A folded line, or what some take for the end of one.
        let odd = matches!(line.first(), Some(b' ' | b'\t'))
            || line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        let colon = line.iter().position(|&byte| byte == b':').filter(|_| !odd);
        let (name, value) = line.split_at(colon.ok_or(Unmaskable::Multipart)?);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"content-disposition" => self.add_names(value),
            b"content-type" if self.content_type.is_some() => return Err(Unmaskable::Multipart),
            b"content-type" => self.content_type = Some(value),
            b"content-transfer-encoding" => {
                let plain = [&b"7bit"[..], b"8bit", b"binary"];
                self.is_encoded |= !plain.iter().any(|known| value.eq_ignore_ascii_case(known));
            }
            _ => {}
        }
        Ok(())
    }

    /// Browsers percent-encode quotes and line ends in a name; some clients write RFC 8187's `name*`, which
    /// forms ought not to have.
    fn add_names(&mut self, disposition: &[u8]) {
        for name in values(disposition, b"name") {
            self.names.push(decode(&name, false).into_owned());
            self.names.push(name);
        }
        for name in values(disposition, b"name*") {
            let name = name.rsplit(|&byte| byte == b'\'').next().unwrap_or_default();
            self.names.push(decode(name, false).into_owned());
        }
    }
}
