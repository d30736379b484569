//! Which member gets the next copy, and what became of those before: this child's own account.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use crate::breaker::{Millis, Rules, Sign};
use crate::target::Url;

use super::eligible::{self, Seen};
use super::{Member, Method, Request, Roster, Sticky};

/// Chooses members for one target's copies; what leads to a member is a `W`.
pub struct Chooser<W> {
    target: String,
    rules: Rules,
    way_to: Box<WayTo<W>>,
    /// By slot.
    tallies: Vec<Tally<W>>,
    /// The members at the last look, and those of them that may get the copy; kept for their room.
    seen: Vec<Seen>,
    eligible: Vec<Member>,
    sticky: Sticky,
}

/// Finds what leads to a member; the error says why nothing does.
pub type WayTo<W> = dyn Fn(&Url) -> Result<W, String> + Send + Sync;

/// What this child knows of one member.
struct Tally<W> {
    /// [`Member::id`]
    id: u64,
    /// Where it is, and what leads there; `None` where it cannot get copies.
    way: Option<Arc<(Url, W)>>,
    /// What mod_proxy calls its `lbstatus`: how much it is owed.
    score: i64,
    /// Copies under way.
    busy: u64,
    /// Bytes there and back.
    traffic: u64,
    /// So many copies in a row found nobody there.
    failures: u32,
    /// Left out before this time, where there are others.
    rests_until: Option<Millis>,
    /// How often it was left out.
    rests: u64,
}

/// A member that gets a copy, until [`Chooser::end`].
#[derive(Debug)]
pub struct Choice<W> {
    slot: usize,
    id: u64,
    way: Arc<(Url, W)>,
}

impl<W> Choice<W> {
    /// The member: a number that no other has while the server runs.
    pub fn member(&self) -> (usize, u64) {
        (self.slot, self.id)
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.way.0
    }

    /// What leads there.
    pub fn way(&self) -> &W {
        &self.way.1
    }
}

/// The times that a choice may ask for, and mostly does not.
#[derive(Clone, Copy)]
pub struct Clock<'a> {
    /// The children's.
    pub now: &'a dyn Fn() -> Millis,
    /// Microseconds of Unix.
    pub unix: &'a dyn Fn() -> i64,
}

impl fmt::Debug for Clock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

/// A member is left out from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rested {
    /// How often it has been.
    pub times: u64,
    /// By which rules.
    pub rules: Rules,
}

impl<W> fmt::Debug for Chooser<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chooser").field("target", &self.target).finish_non_exhaustive()
    }
}

impl<W: 'static> Chooser<W> {
    /// One for the target of this name; by its rules, a member that fails is left out.
    pub fn new(target: &str, rules: Rules, way_to: Box<WayTo<W>>) -> Chooser<W> {
        let target = target.to_owned();
        Chooser {
            target,
            rules,
            way_to,
            tallies: Vec::new(),
            seen: Vec::new(),
            eligible: Vec::new(),
            sticky: Sticky::default(),
        }
    }

    /// The member for a request; `None` where mod_proxy has them all out.
    ///
    /// One that a session names goes before the others. One that found nobody there for `failures=` times in a
    /// row is left out for `retry=`, and then gets one copy; but where there is no other, it gets them all the
    /// same: then the target's breaker sees to it.
    pub fn choose(
        &mut self,
        roster: &dyn Roster,
        request: Request<'_>,
        clock: Clock<'_>,
    ) -> Option<Choice<W>> {
        let rest = self.look(roster, clock);
        let is_sticky = roster.read_sticky(&mut self.sticky);
        let route = if is_sticky { self.sticky.route(request) } else { None };
        let slot = match self.pick(roster, route) {
            None if rest > 0 => {
                self.wake();
                self.pick(roster, route)
            }
            slot => slot,
        }?;
        let tally = self.tallies.get_mut(slot)?;
        tally.busy = tally.busy.saturating_add(1);
        if self.rules.failures > 0 && tally.failures >= self.rules.failures {
            // One copy finds out; the others wait for that.
            tally.rest(self.rules, (clock.now)());
        }
        Some(Choice { slot, id: tally.id, way: Arc::clone(tally.way.as_ref()?) })
    }

    /// The copy for a member has ended, and moved so many bytes. Tells whether the member is left out from now on.
    pub fn end(
        &mut self,
        choice: &Choice<W>,
        sign: Sign,
        bytes: u64,
        now: impl FnOnce() -> Millis,
    ) -> Option<Rested> {
        let rules = self.rules;
        // Another member may have taken its slot.
        let tally = self.tallies.get_mut(choice.slot).filter(|tally| tally.id == choice.id)?;
        tally.busy = tally.busy.saturating_sub(1);
        tally.traffic = tally.traffic.saturating_add(bytes);
        match sign {
            Sign::Alive => (tally.failures, tally.rests_until) = (0, None),
            Sign::None => {}
            Sign::Gone => {
                tally.failures = tally.failures.saturating_add(1);
                if rules.failures > 0 && tally.failures >= rules.failures {
                    tally.rest(rules, now());
                    if tally.failures == rules.failures {
                        tally.rests = tally.rests.saturating_add(1);
                        return Some(Rested { times: tally.rests, rules });
                    }
                }
            }
        }
        None
    }

    /// Looks at the members; how many of the usable ones rest.
    fn look(&mut self, roster: &dyn Roster, clock: Clock<'_>) -> usize {
        let Chooser { target, way_to, tallies, seen, .. } = self;
        let mut rest = 0_usize;
        seen.clear();
        roster.members(&mut |member: Member| {
            let mut usable = member.is_usable(clock.unix);
            let mut rests = false;
            if usable {
                let way = |slot| way(target, roster.url(slot), way_to);
                let tally = tally_of(tallies, &member, way);
                usable = tally.is_some_and(|tally| tally.way.is_some());
                let until = tally.filter(|_| usable).and_then(|tally| tally.rests_until);
                rests = until.is_some_and(|until| (clock.now)() < until);
                rest = rest.saturating_add(usize::from(rests));
            }
            seen.push(Seen { member, usable: usable && !rests, rests });
        });
        rest
    }

    /// Takes those that rest for the others.
    fn wake(&mut self) {
        self.seen.iter_mut().for_each(|seen| seen.usable |= seen.rests);
    }

    fn pick(&mut self, roster: &dyn Roster, route: Option<&[u8]>) -> Option<usize> {
        let by_session = route.and_then(|route| self.with_route(roster, route));
        by_session.or_else(|| self.best(roster.method()))
    }

    /// The member of a session: one that is no standby goes before one that is.
    fn with_route(&self, roster: &dyn Roster, route: &[u8]) -> Option<usize> {
        let usable = self.seen.iter().filter(|seen| seen.usable).map(|seen| &seen.member);
        let mut standby = None;
        for member in usable.filter(|member| roster.has_route(member.slot, route)) {
            if !member.is_standby() {
                return Some(member.slot);
            }
            standby = standby.or(Some(member.slot));
        }
        standby
    }

    fn best(&mut self, method: Method) -> Option<usize> {
        let Chooser { tallies, seen, eligible: members, .. } = self;
        eligible::find(seen, members);
        if method == Method::ByTraffic {
            let share = |member: &&Member| {
                let traffic = tallies.get(member.slot).map_or(0, |tally| tally.traffic);
                traffic / u64::try_from(member.weight).unwrap_or(0).max(1)
            };
            return members.iter().min_by_key(share).map(|member| member.slot);
        }
        let (mut total, mut best) = (0_i64, None);
        for member in &*members {
            let Some(tally) = tallies.get_mut(member.slot) else { continue };
            tally.score = tally.score.saturating_add(member.weight.into());
            total = total.saturating_add(member.weight.into());
            let busy = if method == Method::ByBusyness { tally.busy } else { 0 };
            let rank = (busy, Reverse(tally.score));
            // Of equals the first.
            if best.is_none_or(|(best, _)| rank < best) {
                best = Some((rank, member.slot));
            }
        }
        let (_, slot) = best?;
        if let Some(tally) = tallies.get_mut(slot) {
            tally.score = tally.score.saturating_sub(total);
        }
        Some(slot)
    }
}

impl<W> Tally<W> {
    fn of(id: u64, way: Option<Arc<(Url, W)>>) -> Tally<W> {
        Tally { id, way, score: 0, busy: 0, traffic: 0, failures: 0, rests_until: None, rests: 0 }
    }

    fn rest(&mut self, rules: Rules, now: Millis) {
        let retry = u64::try_from(rules.retry.as_millis()).unwrap_or(u64::MAX);
        self.rests_until = Some(now.saturating_add(retry));
    }
}

/// What is known of a member; begun anew where another member is met in its slot.
fn tally_of<'a, W>(
    tallies: &'a mut Vec<Tally<W>>,
    member: &Member,
    way: impl FnOnce(usize) -> Option<Arc<(Url, W)>>,
) -> Option<&'a Tally<W>> {
    if member.slot >= tallies.len() {
        tallies.resize_with(member.slot.saturating_add(1), || Tally::of(0, None));
    }
    let tally = tallies.get_mut(member.slot)?;
    if tally.id != member.id {
        *tally = Tally::of(member.id, way(member.slot));
    }
    Some(tally)
}

/// Where a member is, and what leads there; where nothing does, the log is told why, once.
fn way<W: 'static>(
    target: &str,
    url: Result<Url, String>,
    way_to: &WayTo<W>,
) -> Option<Arc<(Url, W)>> {
    let way = |url: Url| match way_to(&url) {
        Ok(way) => Ok((url, way)),
        Err(what) => Err(format!("{url}: {what}")),
    };
    match url.and_then(way) {
        Ok(way) => Some(Arc::new(way)),
        Err(what) => {
            log::warn!("CPY0117: a member of the balancer of {target} gets no copies: {what}");
            None
        }
    }
}
