//! Messages over a wire that takes some of them at a time.

use ureq::Error;

use super::super::testing::{LONG, aim, budget, bytes, message_of};
use super::*;

/// Takes of each write no more than so many parts, and so many bytes of these.
struct Narrow {
    parts: usize,
    bytes: usize,
    taken: Vec<u8>,
}

impl Wire for Narrow {
    fn write<'a>(
        &mut self,
        parts: impl Iterator<Item = &'a [u8]>,
        _: NextTimeout,
    ) -> Result<usize, Error> {
        let given: Vec<&[u8]> = parts.take(self.parts).collect();
        let mut taken = given.concat();
        taken.truncate(self.bytes);
        self.taken.extend_from_slice(&taken);
        Ok(taken.len())
    }

    fn read(&mut self, _: NextTimeout) -> Result<bool, Error> {
        Ok(false)
    }

    fn buffers(&mut self) -> &mut dyn Buffers {
        panic!("nothing is read")
    }

    const DISCARDS: bool = false;

    fn discard(&mut self, _: usize, _: NextTimeout) -> Result<usize, Error> {
        Ok(0)
    }
}

#[test]
fn a_copy_is_whole_when_its_last_byte_is_taken_and_not_before() {
    const CONTENT: usize = 100_000;
    let message = message_of("POST", Some(&[b'#'; CONTENT]), budget());
    let aim = aim("staging");
    let all = bytes(&message, &aim);
    let deadline = Deadline::new(Instant::now(), LONG);
    let (on_slow, allowance) = (OnSlow::new(|| {}), Allowance::new(Instant::now()));
    let until =
        Until { wait: Wait::Not, deadline: &deadline, on_slow: &on_slow, allowance: &allowance };
    let (many, count) = (usize::MAX, message.parts(&aim).filter(|part| !part.is_empty()).count());
    // All at once; some parts; of all parts some bytes; the last part, or the last byte, alone.
    for (parts, bytes) in
        [(many, many), (3, many), (many, 5000), (count - 1, many), (many, all.len() - 1)]
    {
        let (mut exchange, mut traffic) = (Exchange::of(&message), Traffic::default());
        let mut wire = Narrow { parts, bytes, taken: Vec::new() };
        let step = exchange.write(&mut wire, || message.parts(&aim), &until, &mut traffic);
        assert!(matches!(step, Ok(Err(Awaits::Answer))), "{parts} {bytes}");
        assert!(wire.taken == all, "{parts} parts, {bytes} bytes: {}", wire.taken.len());
        assert_eq!((traffic.sent, traffic.whole), (all.len() as u64, true));
    }
}
