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

/// Finds those of whom one gets the copy; none where all are out. As mod_proxy itself has it: of the first set
/// with any, the ordinary ones, and as many spares as ordinary ones are out; else its standbys.
pub(super) fn find(members: &[Seen], found: &mut Vec<Member>) {
    found.clear();
    let mut last = i32::MIN;
    loop {
        let later = members.iter().map(|seen| seen.member.set).filter(|set| *set > last);
        let Some(set) = later.min() else { return };
        find_in(set, members, found);
        if !found.is_empty() {
            return;
        }
        last = set;
    }
}

fn find_in(set: i32, members: &[Seen], found: &mut Vec<Member>) {
    let in_set = || members.iter().filter(|seen| seen.member.set == set);
    let (mut out, mut others) = (0, false);
    for seen in in_set() {
        match (role(&seen.member), seen.usable) {
            (Role::Ordinary, true) => found.push(seen.member),
            (Role::Ordinary, false) => out += 1,
            (Role::Spare | Role::Standby, usable) => others |= usable,
        }
    }
    if !others {
        return;
    }
    let usable = |wanted: Role| {
        let usable = in_set().filter(|seen| seen.usable).map(|seen| seen.member);
        usable.filter(move |member| role(member) == wanted)
    };
    found.extend(usable(Role::Spare).take(out));
    if found.is_empty() {
        found.extend(usable(Role::Standby));
    }
}
