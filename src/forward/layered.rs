//! A wire of layers over a socket, as TLS is one.

use std::io::Write;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use super::wire::Wire;

/// Layers over a socket, whose buffers all that is written and read goes through.
#[derive(Debug)]
pub(super) struct Layered<T> {
    transport: T,
    /// Bytes that the transport has taken, and not yet passed on.
    pending: usize,
}

impl<T> From<T> for Layered<T> {
    fn from(transport: T) -> Layered<T> {
        Layered { transport, pending: 0 }
    }
}

#[cfg(fuzzing)]
impl<T> Layered<T> {
    pub(super) fn into_inner(self) -> T {
        self.transport
    }
}

#[cfg(test)]
impl<T> Layered<T> {
    pub(super) fn transport(&self) -> &T {
        &self.transport
    }
}

impl<T: Transport> Wire for Layered<T> {
    fn write<'a>(
        &mut self,
        parts: impl Iterator<Item = &'a [u8]>,
        timeout: NextTimeout,
    ) -> Result<usize, Error> {
        let amount = match self.pending {
            0 => fill(self.transport.buffers().output(), parts),
            _ => 0,
        };
        self.pending = self.pending.saturating_add(amount);
        self.transport.transmit_output(amount, timeout)?;
        Ok(std::mem::take(&mut self.pending))
    }

    fn read(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.transport.await_input(timeout)
    }

    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }

    const DISCARDS: bool = false;

    fn discard(&mut self, _: usize, _: NextTimeout) -> Result<usize, Error> {
        Ok(0)
    }
}

/// Copies as much of the parts as there is room for; how many bytes.
fn fill<'a>(mut output: &mut [u8], parts: impl Iterator<Item = &'a [u8]>) -> usize {
    // Writing to memory does not fail: it takes what there is room for.
    parts.map(|part| output.write(part).unwrap_or_default()).sum()
}
