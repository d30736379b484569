//! Shall this request be copied to a target? Method, content, sample, condition, rate; chance and time passed in.
//!
//! The checks come in this order, the first that fails decides, and none after it is made: what is cheap
//! first, an expression only for what is in the sample, a place in the rate only for what is copied else.

mod methods;
pub mod pressure;
mod sample;
mod share;
mod valve;

use std::cell::Cell;
use std::ffi::{CStr, CString};

pub use methods::Methods;
pub use sample::chance;
pub use share::{Overrides, Share};
pub use valve::{Bucket, Held, Nanos, Rate, Throttle, Valve};

/// What a request must meet to be copied to a target; what is not set is met by all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `methods=`.
    pub methods: Option<Methods>,
    /// `body=`: whether requests with content are copied.
    pub body: Option<bool>,
    /// `sample=`.
    pub sample: Option<Share>,
    /// `samplekey=`: what says on which side of the sample a request falls.
    pub key: Option<Expression>,
    /// `env=` or `expr=`.
    pub condition: Option<Condition>,
    /// `rate=`.
    pub rate: Option<Rate>,
    /// `adapt=`: whether pressure lowers the sample.
    pub adapt: Option<bool>,
}

/// An expression of the configuration, by its place in the table of all; what it says is for httpd alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expression(u32);

impl Expression {
    /// The expression at that place.
    pub fn at(place: usize) -> Expression {
        Expression(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// Its place.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A condition on a request, as `CustomLog` has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `env=VAR`: the variable is set.
    Set(CString),
    /// `env=!VAR`: it is not.
    Unset(CString),
    /// `expr=…`: the expression is true.
    Expression(Expression),
}

/// Whoever knows the request that a rule asks about.
///
/// Why an expression cannot be evaluated is a text for the log.
pub trait Ask {
    /// The method that the client sent.
    fn method(&self) -> &[u8];

    /// Whether the request has this variable in its environment.
    fn is_set(&self, variable: &CStr) -> bool;

    /// Whether the expression is true of it.
    fn holds(&self, expression: Expression) -> Result<bool, &[u8]>;

    /// What the expression makes of it.
    fn text(&self, expression: Expression) -> Result<&[u8], &[u8]>;
}

/// Nobody: no method is known, no variable is set, and no expression can be evaluated.
impl Ask for () {
    fn method(&self) -> &[u8] {
        b""
    }

    fn is_set(&self, _: &CStr) -> bool {
        false
    }

    fn holds(&self, _: Expression) -> Result<bool, &[u8]> {
        Err(b"nobody to ask")
    }

    fn text(&self, _: Expression) -> Result<&[u8], &[u8]> {
        Err(b"nobody to ask")
    }
}

/// A request that rules ask about; it is asked the same once, however many targets want to know.
pub struct Asked<'a> {
    has_content: bool,
    ask: &'a dyn Ask,
    held: Cell<Found<'a, bool>>,
    keyed: Cell<Found<'a, Option<u64>>>,
}

/// What the last expression made of the request.
type Found<'a, T> = Option<(Expression, Result<T, &'a [u8]>)>;

impl<'a> Asked<'a> {
    /// A request with content or without, and who knows what else is asked about it.
    pub fn new(has_content: bool, ask: &'a dyn Ask) -> Asked<'a> {
        Asked { has_content, ask, held: Cell::new(None), keyed: Cell::new(None) }
    }

    fn meets(&self, condition: &Condition) -> Result<bool, &'a [u8]> {
        match condition {
            Condition::Set(variable) => Ok(self.ask.is_set(variable)),
            Condition::Unset(variable) => Ok(!self.ask.is_set(variable)),
            Condition::Expression(expression) => {
                once(&self.held, *expression, || self.ask.holds(*expression))
            }
        }
    }

    /// Where the key's text falls; `None` where it is empty.
    fn place(&self, key: Expression) -> Result<Option<u64>, &'a [u8]> {
        once(&self.keyed, key, || self.ask.text(key).map(sample::place))
    }
}

/// What was found the last time, if that was the same expression, else what `find` finds.
fn once<'a, T: Copy>(
    last: &Cell<Found<'a, T>>,
    expression: Expression,
    find: impl FnOnce() -> Result<T, &'a [u8]>,
) -> Result<T, &'a [u8]> {
    if let Some((known, found)) = last.get()
        && known == expression
    {
        return found;
    }
    let found = find();
    last.set(Some((expression, found)));
    found
}

/// Why a request is not copied to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss<'a> {
    /// Not one of `methods=`.
    Method,
    /// It has content, under `body=off`.
    Body,
    /// Outside of `sample=`.
    Sampled,
    /// `env=` or `expr=` is not met.
    Condition,
    /// An expression could not be evaluated, for this reason.
    Unknown(&'a [u8]),
    /// Above `rate=`.
    Rate,
}

impl Rule {
    /// Whether every request meets it.
    pub fn is_open(&self) -> bool {
        let sampled = self.sample.is_some_and(|share| share != Share::ALL) || self.adapts();
        let Rule { methods, condition, rate, .. } = self;
        !sampled && methods.is_none() && condition.is_none() && rate.is_none() && self.takes_body()
    }

    /// Whether pressure lowers its sample.
    pub fn adapts(&self) -> bool {
        self.adapt.unwrap_or(false)
    }

    /// The sample that it asks for.
    pub fn share(&self) -> Share {
        self.sample.unwrap_or(Share::ALL)
    }

    fn takes_body(&self) -> bool {
        self.body.unwrap_or(true)
    }

    /// This rule with what `inner` sets in its place.
    pub fn merge(&self, inner: &Rule) -> Rule {
        let Rule { methods, body, sample, key, condition, rate, adapt } = inner.clone();
        Rule {
            methods: methods.or_else(|| self.methods.clone()),
            body: body.or(self.body),
            sample: sample.or(self.sample),
            key: key.or(self.key),
            condition: condition.or_else(|| self.condition.clone()),
            rate: rate.or(self.rate),
            adapt: adapt.or(self.adapt),
        }
    }

    /// Whether the request is copied to the target with this valve.
    ///
    /// `draw` is a number of 64 bits by chance, `now` the time: asked for only where they matter.
    #[inline(always)]
    pub fn judge<'a>(
        &self,
        request: &Asked<'a>,
        valve: &Valve,
        set: Overrides,
        draw: impl FnOnce() -> u64,
        now: impl FnOnce() -> Nanos,
    ) -> Result<(), Miss<'a>> {
        if self.methods.as_ref().is_some_and(|methods| !methods.has(request.ask.method())) {
            return Err(Miss::Method);
        }
        if request.has_content && !self.takes_body() {
            return Err(Miss::Body);
        }
        self.is_in_sample(request, valve, set.sample.unwrap_or(self.share()), draw)?;
        if let Some(condition) = &self.condition
            && !request.meets(condition).map_err(Miss::Unknown)?
        {
            return Err(Miss::Condition);
        }
        match set.rate.or(self.rate) {
            Some(rate) if !valve.bucket.admit(rate, now()) => Err(Miss::Rate),
            _ => Ok(()),
        }
    }

    #[inline(always)]
    fn is_in_sample<'a>(
        &self,
        request: &Asked<'a>,
        valve: &Valve,
        share: Share,
        draw: impl FnOnce() -> u64,
    ) -> Result<(), Miss<'a>> {
        let limit = match self.adapts() {
            true => valve.throttle.lower(share.limit()),
            false => share.limit(),
        };
        let Some(limit) = limit else { return Ok(()) };
        let place = match self.key {
            Some(key) => request.place(key).map_err(Miss::Unknown)?,
            None => None,
        };
        if place.unwrap_or_else(draw) < limit { Ok(()) } else { Err(Miss::Sampled) }
    }
}

#[cfg(test)]
mod tests;
