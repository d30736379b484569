//! Which members may get a copy: the sets in their order, spares in the place of others, standbys last.

use super::{Member, status};

/// A member, and whether it can get a copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) member: Member,
    pub(super) usable: bool,
    /// It could, but is left out for a while.
    pub(super) rests: bool,
}

/// Those of whom one gets the copy; none where all are out. As mod_proxy itself has it: of the first set with
/// any, the ordinary ones, and as many spares as ordinary ones are out; else its standbys.
pub(super) fn eligible(members: &[Seen]) -> Option<impl Iterator<Item = &Member> + Clone> {
    let mut last = i32::MIN;
    loop {
        let later = members.iter().map(|seen| seen.member.set).filter(|set| *set > last);
        let set = later.min()?;
        let among = Among::of(members, set);
        if among != Among::NONE {
            return Some(among.iter(members, set));
        }
        last = set;
    }
}

/// What a set has to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Among {
    ordinary: bool,
    spares: usize,
    standbys: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ordinary,
    Spare,
    Standby,
}

fn role(member: &Member) -> Role {
    if member.has(status::HOT_SPARE) {
        Role::Spare
    } else if member.has(status::HOT_STANDBY) {
        Role::Standby
    } else {
        Role::Ordinary
    }
}

impl Among {
    const NONE: Among = Among { ordinary: false, spares: 0, standbys: false };

    fn of(members: &[Seen], set: i32) -> Among {
        let (mut ordinary, mut out, mut spares, mut standbys) = (false, 0_usize, 0_usize, false);
        for seen in members.iter().filter(|seen| seen.member.set == set) {
            match (role(&seen.member), seen.usable) {
                (Role::Ordinary, true) => ordinary = true,
                (Role::Ordinary, false) => out = out.saturating_add(1),
                (Role::Spare, true) => spares = spares.saturating_add(1),
                (Role::Standby, true) => standbys = true,
                (Role::Spare | Role::Standby, false) => {}
            }
        }
        let spares = spares.min(out);
        Among { ordinary, spares, standbys: standbys && !ordinary && spares == 0 }
    }

    fn iter(self, members: &[Seen], set: i32) -> impl Iterator<Item = &Member> + Clone {
        let usable = move |seen: &&Seen| seen.usable && seen.member.set == set;
        let of = move |wanted: Role| {
            let members = members.iter().filter(usable).map(|seen| &seen.member);
            members.filter(move |member| role(member) == wanted)
        };
        let standbys = if self.standbys { usize::MAX } else { 0 };
        of(Role::Ordinary)
            .chain(of(Role::Spare).take(self.spares))
            .chain(of(Role::Standby).take(standbys))
    }
}
