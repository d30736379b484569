//! The answers to one request, on their way to where they are compared.

use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use twox_hash::XxHash64;

use super::asked::Lines;
use super::comparer::Comparer;
use super::kept::{Keeping, Kept};
use crate::compare::Aspects;
use crate::meeting::{self, arrange};
use crate::message::Message;

/// Staging's answer, and what it answers.
#[derive(Debug)]
pub struct Answered {
    /// The answer.
    pub kept: Kept,
    /// The request's method, a space, and its request target, as staging saw them.
    pub request: Vec<u8>,
    /// A digest of the whole request.
    pub digest: u64,
    /// The control's answer, where there is one.
    pub control: Option<Kept>,
}

/// What the answers to one request meet for.
#[derive(Debug)]
pub struct Purpose {
    comparer: Arc<Comparer>,
    plan: Plan,
}

/// Production's side of a comparison.
pub type ProductionSide = meeting::ProductionSide<Purpose>;

/// Staging's side, which goes with the copy, or the control's, which goes with its own.
#[derive(Debug)]
pub struct CopySide {
    side: Side,
    limit: Option<usize>,
}

#[derive(Debug)]
enum Side {
    /// There is no control.
    Alone(meeting::CopySide<Purpose>),
    /// Staging's, which meets the control's first.
    Staging(meeting::ProductionSide<Twins>),
    Control(meeting::CopySide<Twins>),
}

/// Where the answers of staging and control meet, before they meet production's.
#[derive(Debug)]
struct Twins(Option<meeting::CopySide<Purpose>>);

impl meeting::Purpose for Twins {
    type Production = Answered;
    type Copy = Kept;

    fn meet(&mut self, staging: Option<Answered>, control: Option<Kept>) {
        if let Some((side, staging)) = self.0.take().zip(staging) {
            side.arrive(Answered { control, ..staging });
        }
    }
}

/// The sides that go with copies.
#[derive(Debug, Default)]
pub struct Copies {
    /// With those to targets, by their places in the list.
    pub targets: Vec<(usize, CopySide)>,
    /// With those to controls.
    pub controls: Vec<ControlCopy>,
}

/// The copy that a control gets beside a target, and as that one gets it.
#[derive(Debug)]
pub struct ControlCopy {
    /// The target's place in the list.
    pub beside: usize,
    /// The control's place in the configuration.
    pub control: usize,
    /// What goes with it.
    pub side: CopySide,
}

impl Copies {
    /// What goes with the copy to the target at that place, and the control's copy beside it.
    pub fn take(&mut self, place: usize) -> (Option<CopySide>, Option<ControlCopy>) {
        let side = self.targets.iter().position(|(of, _)| *of == place);
        let control = self.controls.iter().position(|control| control.beside == place);
        (
            side.map(|at| self.targets.swap_remove(at).1),
            control.map(|at| self.controls.swap_remove(at)),
        )
    }
}

/// The comparisons of one request.
#[derive(Debug, Default)]
pub struct Comparisons {
    /// For the copies.
    pub copies: Copies,
    /// For production's answer.
    pub production: Production,
}

/// What production's answer is brought to.
#[derive(Debug, Default)]
pub struct Production {
    /// One side for each comparison.
    pub sides: Vec<ProductionSide>,
    /// The most that any of them keeps of a body; `None` where none compares it.
    pub limit: Option<usize>,
}

/// What is to be compared of the copies to one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Which target's, by its place in the configuration.
    pub target: usize,
    /// What of the answers, and how.
    pub manner: Manner,
}

/// In what manner two answers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Manner {
    /// What of them.
    pub aspects: Aspects,
    /// What is kept of a body; `None` where it is not compared.
    pub limit: Option<usize>,
    /// What sections leave out.
    pub ignored: Lines,
}

/// The sides of a comparison: production's, staging's, and that of the control if there is one.
pub fn pair(
    comparer: &Arc<Comparer>,
    plan: Plan,
    has_control: bool,
) -> (ProductionSide, CopySide, Option<CopySide>) {
    let limit = plan.manner.limit;
    let (production, copy) = arrange(Purpose { comparer: Arc::clone(comparer), plan });
    if !has_control {
        return (production, CopySide { side: Side::Alone(copy), limit }, None);
    }
    let (staging, control) = arrange(Twins(Some(copy)));
    let [staging, control] =
        [Side::Staging(staging), Side::Control(control)].map(|side| CopySide { side, limit });
    (production, staging, Some(control))
}

impl meeting::Purpose for Purpose {
    type Production = Arc<Kept>;
    type Copy = Answered;

    fn meet(&mut self, production: Option<Arc<Kept>>, copy: Option<Answered>) {
        self.comparer.offer(self.plan, production.zip(copy));
    }
}

impl CopySide {
    /// For an answer that is about to come.
    pub fn keeping(&self, message: &Message) -> Keeping {
        Keeping::new(message.budget(), self.limit)
    }

    /// The request was sent, and no answer came to it in so long. Of a control that is as if there were none.
    pub fn miss(self, message: &Message, latency: Duration) {
        if !matches!(self.side, Side::Control(_)) {
            self.arrive(Keeping::new(message.budget(), None), message, latency);
        }
    }

    /// The answer has come, so long after its request.
    pub fn arrive(self, keeping: Keeping, message: &Message, latency: Duration) {
        let kept = keeping.finish(latency);
        if let Side::Control(side) = self.side {
            return side.arrive(kept);
        }
        let mut request = message.method().to_vec();
        request.push(b' ');
        request.extend_from_slice(message.target());
        let mut digest = XxHash64::default();
        digest.write(&request);
        digest.write(message.fields());
        message.content_pieces().for_each(|piece| digest.write(piece));
        let answered = Answered { kept, request, digest: digest.finish(), control: None };
        match self.side {
            Side::Alone(side) => side.arrive(answered),
            Side::Staging(side) => side.arrive(answered),
            Side::Control(_) => {}
        }
    }
}
