//! A courier to a balancer's members: a line to each that it has met, and the choice between them.
//!
//! The member is chosen as a copy is sent, by what mod_proxy knows at that moment. What became of the
//! copies is kept by [`Balance`], behind a lock that forwarders alone take.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::balancer::{Choice, Chooser, Clock, Request, Roster, WayTo};
use crate::breaker::Sign;
use crate::clock;
use crate::message::Message;
use crate::outcome::{Failure, Loss, Outcome};
use crate::stats::{Account, Traffic};
use crate::target::{Target, Url};
use crate::tls::{Shared, Tls};

use super::courier::{Courier, Errand, Hire, Progress};
use super::exchange::Wait;
use super::fault::Fault;
use super::hand::sign;
use super::pace::{Deadline, OnSlow};
use super::report;
use super::tcp::are_open;

/// What connections to a member are made with; the error says why there can be none.
pub(super) fn towards(member: &Url, tls: Option<&Shared>) -> Result<Option<Tls>, String> {
    if member.scheme().is_h2() {
        return Err("members of a balancer are not spoken HTTP/2 to".to_owned());
    }
    match (member.scheme().is_secure(), tls) {
        (false, _) => Ok(None),
        (true, None) => Err("there are no certificates of CAs to verify it with".to_owned()),
        (true, Some(tls)) => {
            tls.towards(member.host()).map(Some).map_err(|fault| fault.to_string())
        }
    }
}

/// A balancer as one child uses it.
pub(super) struct Balance {
    target: String,
    ttl: Duration,
    account: Account,
    roster: Arc<dyn Roster>,
    /// The forwarders' own lock, which the request path never takes.
    chooser: Mutex<Chooser<Hire>>,
}

type MemberId = (usize, u64);

impl Balance {
    /// `lines_to` makes what makes lines to a member. The child has no other thread yet.
    pub(super) fn new(
        target: &Target,
        roster: Arc<dyn Roster>,
        account: Account,
        lines_to: Box<WayTo<Hire>>,
    ) -> Balance {
        roster.attach();
        let (name, ttl) = (target.name.clone(), target.pool.ttl);
        let chooser = Mutex::new(Chooser::new(&name, target.breaker, lines_to));
        Balance { target: name, ttl, account, roster, chooser }
    }

    /// A member for the copy; `None` where all are out.
    fn seat(self: &Arc<Balance>, message: &Message) -> Option<Seat> {
        let request = Request { target: message.target(), fields: message.fields() };
        let clock = Clock { now: &clock::now, unix: &unix_micros };
        let choice = self.chooser().choose(&*self.roster, request, clock);
        let Some(choice) = choice else {
            report::no_member(self.account, &self.target);
            return None;
        };
        Some(Seat { balance: Arc::clone(self), choice, moved: 0, left: Left::Unsent })
    }

    fn chooser(&self) -> MutexGuard<'_, Chooser<Hire>> {
        self.chooser.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance").field("target", &self.target).finish_non_exhaustive()
    }
}

fn unix_micros() -> i64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(unix.as_micros()).unwrap_or(i64::MAX)
}

/// A copy's place with a member, which it leaves once, come what may.
struct Seat {
    balance: Arc<Balance>,
    choice: Choice<Hire>,
    /// Bytes there and back of what was tried before, then of this too.
    moved: u64,
    left: Left,
}

/// How far the copy got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Unsent,
    /// On its way: if it is given up now, nobody answered in time.
    Sent,
    Ended(Sign),
}

impl Drop for Seat {
    fn drop(&mut self) {
        let sign = match self.left {
            Left::Unsent => Sign::None,
            Left::Sent => Sign::Gone,
            Left::Ended(sign) => sign,
        };
        let rested = self.balance.chooser().end(&self.choice, sign, self.moved, clock::now);
        if let Some(rested) = rested {
            report::rested(&self.balance.target, self.choice.url(), rested);
        }
    }
}

/// Lines to members, one of which carries the copy in hand.
pub(super) struct Balanced {
    balance: Arc<Balance>,
    on_slow: OnSlow,
    lines: Vec<MemberLine>,
    seat: Option<Seat>,
}

struct MemberLine {
    member: MemberId,
    line: Box<dyn Courier>,
    used: Instant,
}

impl Balanced {
    pub(super) fn new(balance: Arc<Balance>, on_slow: OnSlow) -> Balanced {
        Balanced { balance, on_slow, lines: Vec::new(), seat: None }
    }

    /// The line to the member that was chosen.
    fn line(&self) -> Option<&MemberLine> {
        let member = self.seat.as_ref()?.choice.member();
        self.lines.iter().find(|line| line.member == member)
    }

    fn line_mut(&mut self) -> Option<&mut MemberLine> {
        let member = self.seat.as_ref()?.choice.member();
        self.lines.iter_mut().find(|line| line.member == member)
    }

    /// Lets go of lines that nobody needed for long, and of the chosen member's if that has closed it.
    fn tidy(&mut self, now: Instant) {
        let ttl = self.balance.ttl;
        self.lines.retain(|line| now.saturating_duration_since(line.used) < ttl);
        if let Some(line) = self.line_mut()
            && !is_open(&mut *line.line)
        {
            let member = line.member;
            self.lines.retain(|line| line.member != member);
        }
    }

    /// Sees to it that there is a line to the chosen member, though perhaps without a connection.
    fn attend(&mut self, now: Instant) {
        if let Some(line) = self.line_mut() {
            line.used = now;
        } else if let Some(Seat { choice, .. }) = &self.seat {
            let line = choice.way()(self.on_slow.clone());
            self.lines.push(MemberLine { member: choice.member(), line, used: now });
        }
    }

    /// Has the line take a step.
    fn step(
        &mut self,
        traffic: &mut Traffic,
        step: impl FnOnce(&mut dyn Courier, &mut Traffic) -> Progress,
    ) -> Progress {
        let before = moved(traffic);
        let Some(line) = self.line_mut() else {
            return Progress::Ended(Err(Fault::new(Failure::Internal, "go on with no member")));
        };
        let progress = step(&mut *line.line, traffic);
        let Some(seat) = &mut self.seat else { return progress };
        seat.left = Left::Sent;
        seat.moved = seat.moved.saturating_add(moved(traffic).saturating_sub(before));
        let (progress, sign) = match progress {
            Progress::Awaits(what) => return Progress::Awaits(what),
            Progress::Ended(Err(fault)) => {
                let fault = at_member(seat.choice.url(), fault);
                let sign = sign(Outcome::Failed(fault.failure));
                (Progress::Ended(Err(fault)), sign)
            }
            Progress::Ended(Ok(class)) => (Progress::Ended(Ok(class)), Sign::Alive),
            ended => (ended, Sign::None),
        };
        seat.left = Left::Ended(sign);
        self.seat = None;
        progress
    }
}

/// Whether a line has a connection that its member has not closed.
fn is_open(line: &mut dyn Courier) -> bool {
    let shows_nothing =
        line.socket().is_some_and(|socket| are_open([socket].into_iter()) == [true]);
    shows_nothing || line.is_open()
}

fn moved(traffic: &Traffic) -> u64 {
    traffic.sent.saturating_add(traffic.received)
}

/// The fault, told with the member that it is about.
fn at_member(member: &Url, fault: Fault) -> Fault {
    Fault { what: format!("{}: {}", member.authority(), fault.what), ..fault }
}

impl Courier for Balanced {
    fn has_connection(&self) -> bool {
        self.lines.iter().any(|line| line.line.has_connection())
    }

    /// Where it may not wait and has connections, but none to this member, it asks once to be sent again: who
    /// sends several copies does that when the others need not wait for it.
    fn send(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress {
        let now = Instant::now();
        let is_new = self.seat.is_none();
        if is_new {
            self.seat = self.balance.seat(errand.message);
            if self.seat.is_none() {
                return Progress::Dropped(Loss::NoMember);
            }
        }
        let was_used = !self.lines.is_empty();
        self.tidy(now);
        if is_new && was_used && wait == Wait::Not && self.line().is_none() {
            return Progress::Stale;
        }
        self.attend(now);
        self.step(traffic, |line, traffic| line.send(errand, wait, traffic))
    }

    fn go_on(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress {
        self.step(traffic, |line, traffic| line.go_on(errand, wait, traffic))
    }

    fn late(&self, deadline: &Deadline) -> Fault {
        match (self.line(), &self.seat) {
            (Some(line), Some(seat)) => at_member(seat.choice.url(), line.line.late(deadline)),
            _ => Fault::late("begin", deadline),
        }
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.line()?.line.socket()
    }
}

#[cfg(test)]
mod tests;
