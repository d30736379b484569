//! Content codings (RFC 9110 section 8.4): taken off before content is masked, and put on again.

use std::io::Read;

use flate2::bufread::{DeflateEncoder, GzEncoder, MultiGzDecoder, ZlibEncoder};
use flate2::{Compression, Decompress, FlushDecompress, Status};

use super::Unmaskable;
use super::cleartext::Cleartext;

/// The most codings on top of one another.
const MOST: usize = 4;
/// Output room for one step of decoding.
const STEP: usize = 32 << 10;

/// One coding, as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    /// `deflate`, in the zlib format that is meant.
    Zlib,
    /// `deflate`, as some clients understood it.
    Deflate,
}

/// The codings that were taken off, the last of them first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Codings(Vec<Coding>);

/// Takes off all codings that the values of `Content-Encoding` name; `None` where there are none.
///
/// No more than `limit` bytes are decoded, whatever the content would come to.
pub(super) fn decode<'a>(
    content: &[u8],
    values: impl Iterator<Item = &'a [u8]>,
    limit: usize,
) -> Result<Option<(Cleartext, Codings)>, Unmaskable> {
    let words = values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    let words: Vec<&[u8]> =
        words.filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case(b"identity")).collect();
    if words.len() > MOST {
        return Err(Unmaskable::Coding);
    }
    let (mut decoded, mut codings) = (None::<Cleartext>, Codings::default());
    for word in words.iter().rev() {
        let coded = decoded.as_ref().map_or(content, |decoded| decoded);
        let (bytes, coding) = take_off(word, coded, limit)?;
        decoded = Some(bytes);
        codings.0.push(coding);
    }
    Ok(decoded.map(|decoded| (decoded, codings)))
}

fn take_off(word: &[u8], coded: &[u8], limit: usize) -> Result<(Cleartext, Coding), Unmaskable> {
    match word.to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => {
            let mut decoded = Cleartext::default();
            let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            let read = MultiGzDecoder::new(coded).take(most).read_to_end(&mut decoded);
            match read {
                Ok(length) if length > limit => Err(Unmaskable::TooLarge),
                Ok(_) => Ok((decoded, Coding::Gzip)),
                Err(_) => Err(Unmaskable::Encoded),
            }
        }
        b"deflate" => {
            let coding = if is_zlib(coded) { Coding::Zlib } else { Coding::Deflate };
            Ok((inflate(coded, coding == Coding::Zlib, limit)?, coding))
        }
        _ => Err(Unmaskable::Coding),
    }
}

/// Whether it begins as RFC 1950 has it: the method deflate, and a checksum.
fn is_zlib(coded: &[u8]) -> bool {
    match coded {
        [method, flags, ..] => {
            method & 15 == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31)
        }
        _ => false,
    }
}

/// Decodes one stream, which has to end where the bytes end.
fn inflate(coded: &[u8], zlib: bool, limit: usize) -> Result<Cleartext, Unmaskable> {
    let mut stream = Decompress::new(zlib);
    let mut decoded = Cleartext::default();
    loop {
        decoded.try_reserve(STEP).map_err(|_| Unmaskable::TooLarge)?;
        let taken = usize::try_from(stream.total_in()).map_err(|_| Unmaskable::TooLarge)?;
        let rest = coded.get(taken..).unwrap_or_default();
        let before = (stream.total_in(), stream.total_out());
        let status = stream.decompress_vec(rest, &mut decoded, FlushDecompress::None);
        if decoded.len() > limit {
            return Err(Unmaskable::TooLarge);
        }
        match status {
            Ok(Status::StreamEnd) if stream.total_in() == coded.len() as u64 => return Ok(decoded),
            Ok(Status::Ok | Status::BufError)
                if before != (stream.total_in(), stream.total_out()) => {}
            _ => return Err(Unmaskable::Encoded),
        }
    }
}

impl Codings {
    /// Puts the codings on again.
    pub(super) fn encode(&self, content: Vec<u8>) -> Result<Vec<u8>, Unmaskable> {
        self.0.iter().rev().try_fold(content, |content, coding| coding.encode(&content))
    }
}

impl Coding {
    /// Fast rather than small: the copy goes to staging next door.
    fn encode(self, content: &[u8]) -> Result<Vec<u8>, Unmaskable> {
        let mut coded = Vec::new();
        let written = match self {
            Coding::Gzip => GzEncoder::new(content, Compression::fast()).read_to_end(&mut coded),
            Coding::Zlib => ZlibEncoder::new(content, Compression::fast()).read_to_end(&mut coded),
            Coding::Deflate => {
                DeflateEncoder::new(content, Compression::fast()).read_to_end(&mut coded)
            }
        };
        written.map(|_| coded).map_err(|_| Unmaskable::Encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(content: &[u8], codings: &str, limit: usize) -> Result<Vec<u8>, Unmaskable> {
        let decoded = decode(content, [codings.as_bytes()].into_iter(), limit)?;
        Ok(decoded.map_or(content.to_vec(), |(decoded, _)| decoded.to_vec()))
    }

    #[test]
    fn codings_are_taken_off_in_reverse_and_put_on_again() {
        let plain = b"{\"a\":1}".repeat(100);
        for (names, codings) in [
            ("gzip", vec![Coding::Gzip]),
            ("X-GZip", vec![Coding::Gzip]),
            ("deflate", vec![Coding::Zlib]),
            ("deflate", vec![Coding::Deflate]),
            ("gzip, identity,, deflate", vec![Coding::Zlib, Coding::Gzip]),
        ] {
            let coded = Codings(codings.clone()).encode(plain.clone()).unwrap();
            let (found, taken) =
                decode(&coded, [names.as_bytes()].into_iter(), 1000).unwrap().unwrap();
            assert_eq!((&*found, taken), (&plain, Codings(codings)), "{names}");
            assert_eq!(decoded(&coded, names, 699), Err(Unmaskable::TooLarge));
            assert_eq!(decoded(&coded[..coded.len() - 1], names, 1000), Err(Unmaskable::Encoded));
            let more = [&coded[..], b"more"].concat();
            assert_eq!(decoded(&more, names, 1000), Err(Unmaskable::Encoded), "{names}");
        }
        assert_eq!(decoded(b"x", "identity", 0), Ok(b"x".to_vec()));
    }

    #[test]
    fn several_gzip_members_are_one_content() {
        let member = |text: &[u8]| Coding::Gzip.encode(text).unwrap();
        let both = [member(b"one "), member(b"two")].concat();
        assert_eq!(decoded(&both, "gzip", 7), Ok(b"one two".to_vec()));
    }

    #[test]
    fn what_is_coded_otherwise_is_unmaskable() {
        for (content, codings, why) in [
            (&b"x"[..], "br", Unmaskable::Coding),
            (b"x", "gzip, zstd", Unmaskable::Coding),
            (b"x", "gzip,gzip,gzip,gzip,gzip", Unmaskable::Coding),
            (b"", "gzip", Unmaskable::Encoded),
            (b"no gzip at all", "gzip", Unmaskable::Encoded),
            (b"", "deflate", Unmaskable::Encoded),
            (b"no deflate at all", "deflate", Unmaskable::Encoded),
        ] {
            assert_eq!(decoded(content, codings, 100), Err(why), "{codings}");
        }
    }
}
