//! What is known of one copy, or of a comparison, at its end, and of its request at theirs.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::escape::LONGEST;
use super::found::Found;
use super::moment::Micros;
use super::spec::{LogsId, Which};
use super::writer::CopyLog;
use crate::config::TargetId;
use crate::mask::Masks;
use crate::meeting::{self, CopySide, ProductionSide, Purpose};
use crate::message::Message;
use crate::outcome::{Failure, Loss, Outcome};
use crate::stats::Traffic;

/// What a line is made of.
#[derive(Debug)]
pub struct Entry {
    /// The logs that may have a line of it.
    pub(super) logs: LogsId,
    /// The target's place in the configuration.
    pub(super) target: usize,
    /// `None` where production's end was never seen.
    pub(super) production: Option<Production>,
    pub(super) ended: Ended,
}

/// What a line tells the end of.
#[derive(Debug)]
pub(super) enum Ended {
    Copy(Box<Copied>),
    Comparison(Box<Found>),
}

impl Ended {
    /// Whether a log of these has a line of it.
    pub(super) fn is_for(&self, which: Which) -> bool {
        match (self, which) {
            (Ended::Copy(_), Which::All) => true,
            (Ended::Copy(copy), Which::Errors) => !matches!(copy.outcome, Outcome::Delivered(_)),
            (Ended::Comparison(_), Which::Compared) => true,
            (Ended::Comparison(found), Which::Differing) => found.is_differing,
            (Ended::Copy(_), Which::Compared | Which::Differing)
            | (Ended::Comparison(_), Which::All | Which::Errors) => false,
        }
    }
}

/// The request behind a comparison, and the logs that may have a line of it.
#[derive(Clone, Debug)]
pub struct Occasion {
    /// The logs of its server.
    pub logs: LogsId,
    /// What is known of it.
    pub production: Production,
}

impl Entry {
    /// Of a comparison of the answers that the target at that place in the configuration, and production, gave.
    pub fn of(found: Found, target: usize, occasion: Occasion) -> Entry {
        let Occasion { logs, production } = occasion;
        let (production, ended) = (Some(production), Ended::Comparison(Box::new(found)));
        Entry { logs, target, production, ended }
    }
}

/// What is known when production has answered.
#[derive(Clone, Debug)]
pub struct Production {
    /// The status of its answer.
    pub status: u16,
    /// When the request arrived, in microseconds since 1970.
    pub begun: Micros,
    /// How long production took, in microseconds.
    pub took: Micros,
    /// The request's id.
    pub id: Id,
    /// What only some formats want.
    pub parties: Option<Box<Parties>>,
}

/// Who the request came from, and who answered.
#[derive(Clone, Debug)]
pub struct Parties {
    /// The client's address.
    pub client: Box<[u8]>,
    /// The server's name.
    pub server: Box<[u8]>,
}

/// What is known when the copy has its outcome.
#[derive(Debug)]
pub struct Copied {
    pub(super) outcome: Outcome,
    pub(super) traffic: Traffic,
    /// How long it waited in the queue; `None` where it never left it.
    pub(super) waited: Option<Duration>,
    /// Whether it was taken in hand to be sent.
    pub(super) is_sent: bool,
    pub(super) requested: Option<Requested>,
}

impl Copied {
    /// A copy that came into a forwarder's hand.
    pub fn sent(
        outcome: Outcome,
        traffic: Traffic,
        waited: Duration,
        requested: Requested,
    ) -> Box<Copied> {
        let (waited, requested) = (Some(waited), Some(requested));
        Box::new(Copied { outcome, traffic, waited, is_sent: true, requested })
    }

    /// A copy that was dropped before.
    pub fn dropped(loss: Loss, waited: Option<Duration>, requested: Requested) -> Box<Copied> {
        let (outcome, traffic) = (Outcome::Dropped(loss), Traffic::default());
        Box::new(Copied { outcome, traffic, waited, is_sent: false, requested: Some(requested) })
    }

    /// A copy that a fault of ours took from whoever had it.
    pub(super) fn gone() -> Box<Copied> {
        let (outcome, traffic) = (Outcome::Failed(Failure::Internal), Traffic::default());
        Box::new(Copied { outcome, traffic, waited: None, is_sent: false, requested: None })
    }
}

/// The method and the request target of a copy, as much of it as a line has room for.
#[derive(Debug)]
pub struct Requested {
    line: Box<[u8]>,
    method: usize,
    /// Whether the query is as staging sees it, and not as the client sent it.
    is_masked: bool,
    is_cut: bool,
}

/// The most bytes of a method: more than any has.
const METHOD: usize = 64;

impl Requested {
    /// Those of a message, whose query is masked already or not.
    pub fn of(message: &Message, is_masked: bool) -> Requested {
        Requested { is_masked, ..Requested::received(message.method(), message.target()) }
    }

    /// Those of a request line, without its version, as staging saw them.
    pub fn seen(line: &[u8]) -> Requested {
        let space = memchr::memchr(b' ', line).unwrap_or(line.len());
        let (method, target) = line.split_at(space);
        let target = target.get(1..).unwrap_or_default();
        Requested { is_masked: true, ..Requested::received(method, target) }
    }

    /// As received.
    pub fn received(method: &[u8], target: &[u8]) -> Requested {
        let method = method.get(..METHOD).unwrap_or(method);
        let kept = target.get(..LONGEST).unwrap_or(target);
        Requested {
            line: [method, kept].concat().into_boxed_slice(),
            method: method.len(),
            is_masked: false,
            is_cut: kept.len() < target.len(),
        }
    }

    pub(super) fn method(&self) -> &[u8] {
        self.line.get(..self.method).unwrap_or_default()
    }

    /// The path and the query (without its `?`; `None` where there is none), masked. A query that cannot be
    /// masked is not shown.
    pub(super) fn target(&self, masks: Option<&Masks>) -> (Cow<'_, [u8]>, Option<Vec<u8>>) {
        let target = self.line.get(self.method..).unwrap_or_default();
        let masked = match masks.filter(|_| !self.is_masked).map(|masks| masks.target(target)) {
            None | Some(Ok(None)) => Cow::Borrowed(target),
            Some(Ok(Some(masked))) => Cow::Owned(masked),
            Some(Err(_)) => {
                Cow::Borrowed(target.split(|byte| *byte == b'?').next().unwrap_or(target))
            }
        };
        match memchr::memchr(b'?', &masked) {
            None => (masked, None),
            Some(at) => {
                let query = masked.get(at.saturating_add(1)..).unwrap_or_default().to_vec();
                (Cow::Owned(masked.get(..at).unwrap_or_default().to_vec()), Some(query))
            }
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// A request's id: mod_unique_id's, or a `traceparent`; a longer one is cut.
#[derive(Clone, Copy)]
pub struct Id {
    bytes: [u8; Id::LONGEST],
    length: u8,
}

impl Id {
    /// As long as a `traceparent`, which is longer than mod_unique_id's.
    const LONGEST: usize = 55;

    /// An id; an empty one is none.
    pub fn of(text: &[u8]) -> Id {
        let mut bytes = [0; Id::LONGEST];
        bytes.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        let length = u8::try_from(text.len().min(Id::LONGEST)).unwrap_or_default();
        Id { bytes, length }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", String::from_utf8_lossy(self.bytes()))
    }
}

/// What a copy that is to have a line carries with it.
pub type Told = CopySide<Due>;

/// A line that is written when both the copy and its request have ended.
#[derive(Debug)]
pub struct Due {
    log: &'static CopyLog,
    logs: LogsId,
    target: TargetId,
}

impl Purpose for Due {
    type Production = Production;
    /// Apart, for it is the larger part, and requests need not make room for it.
    type Copy = Box<Copied>;

    fn meet(&mut self, production: Option<Production>, copy: Option<Box<Copied>>) {
        let Due { logs, target, .. } = *self;
        let target = target.index();
        let ended = Ended::Copy(copy.unwrap_or_else(Copied::gone));
        self.log.take(Entry { logs, target, production, ended });
    }
}

/// Those copies of a request whose lines wait for production's answer.
#[derive(Debug, Default)]
pub enum Awaiting {
    /// None, as everywhere without a `CopyLog`.
    #[default]
    None,
    /// The only one.
    One(ProductionSide<Due>),
    /// Those of several targets.
    More(Vec<ProductionSide<Due>>),
}

impl Awaiting {
    /// One more copy is to have a line; what goes with it.
    pub fn expect(&mut self, log: &'static CopyLog, logs: LogsId, target: TargetId) -> Told {
        let (production, copy) = meeting::arrange(Due { log, logs, target });
        *self = match std::mem::take(self) {
            Awaiting::None => Awaiting::One(production),
            Awaiting::One(first) => Awaiting::More(vec![first, production]),
            Awaiting::More(mut all) => {
                all.push(production);
                Awaiting::More(all)
            }
        };
        copy
    }

    /// Whether nobody waits.
    #[inline(always)]
    pub fn is_none(&self) -> bool {
        matches!(self, Awaiting::None)
    }

    /// Production has answered.
    pub fn tell(self, production: Production) {
        match self {
            Awaiting::None => {}
            Awaiting::One(only) => only.arrive(production),
            Awaiting::More(all) => {
                all.into_iter().for_each(|side| side.arrive(production.clone()));
            }
        }
    }
}
