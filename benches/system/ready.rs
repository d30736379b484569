//! Which of some connections have something to look at.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// The most that one look tells of.
const MOST: usize = 64;

/// Connections, each by a number of its own. Looking never waits.
pub struct Ready {
    epoll: OwnedFd,
    found: Vec<(usize, bool)>,
}

impl Ready {
    pub fn new() -> Ready {
        let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
        Ready { epoll, found: Vec::with_capacity(MOST) }
    }

    /// Tells from now on when there is something new to read, or room again to write.
    pub fn watch(&self, socket: impl AsFd, number: usize) {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(number as u64), flags).unwrap();
    }

    /// The numbers of those that something happened to; whether the peer closed is told with it.
    pub fn look(&mut self) -> impl Iterator<Item = (usize, bool)> {
        const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut events = [const { MaybeUninit::<Event>::uninit() }; MOST];
        let (events, _) = epoll::wait(&self.epoll, &mut events, Some(&NOW)).unwrap();
        self.found.extend(events.iter().map(|event| {
            let (flags, data) = (event.flags, event.data);
            let gone = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
            (data.u64() as usize, flags.intersects(gone))
        }));
        self.found.drain(..)
    }
}
