//! The way of one request through the module, from its arrival to its one decision.

use crate::capture::Capture;
use crate::comparing::{Comparisons, Copies, Production};
use crate::config::{ScopeSettings, ServerPolicy};
use crate::copylog::{self, Awaiting, Requested};
use crate::edit::Edit;
use crate::fates::{Captured, Fate, Fates};
use crate::memory::Budget;
use crate::message::{Additions, Field, Forwarded, Head, HeaderSection, Kept, Message, Received};
use crate::mirror::{Chosen, Mirror, OwnHeads, Source};
use crate::outcome::{GivenUp, Loss, NotCopied};
use crate::select::{Ask, Asked};
use crate::target::Target;

/// One client request, from its head's arrival on.
///
/// Whatever order httpd calls in (content may be read before the scope is known, after it, twice or
/// never), the request is handed over at most once, or counted once as not copied.
#[derive(Debug)]
pub struct Journey {
    mirror: &'static Mirror,
    server: &'static ServerPolicy,
    /// `Content-Length`, if received.
    declared: Option<u64>,
    /// What passed of the content; `None` where there is none, or none is wanted any more.
    capture: Option<Capture>,
    stage: Stage,
    /// What answers to its copies are brought to, until the copies take it along; mostly nothing.
    copies: Option<Box<Copies>>,
    /// What production's answer is brought to, until whoever sees that takes it over.
    production: Option<Box<Production>>,
    /// The copies whose lines in a `CopyLog` wait for production's answer.
    awaiting: Awaiting,
    /// What httpd's own logs are told.
    fates: Fates,
}

#[derive(Debug)]
enum Stage {
    /// The scope is not known yet.
    Arrived,
    /// To be copied as soon as its content is complete.
    Selected(Head, OwnHeads, Chosen),
    /// Handed over, or counted as not copied, or of no concern.
    Settled,
}

/// What a selected request's copy depends on, beside what was received.
pub struct Scope<'a, K> {
    /// The settings that hold for it.
    pub settings: &'a ScopeSettings,
    /// Whoever knows the rest, and changes fields for one target alone.
    pub known: K,
}

/// Whoever knows of a request what did not come with it.
pub trait Known<'a> {
    /// The client's address and scheme.
    fn client(&self) -> Forwarded<'a>;

    /// `ProxyPreserveHost`, the default of `CopyPreserveHost`.
    fn proxy_preserve_host(&self) -> bool;
}

impl Journey {
    /// A request has arrived; `content` is its `Content-Length` (or `None` where chunked), if it has any.
    pub fn begin(
        mirror: &'static Mirror,
        server: &'static ServerPolicy,
        content: Option<Option<u64>>,
    ) -> Journey {
        let capture = content.map(|_| Capture::new(server.capture_limit, mirror.budget()));
        let (declared, stage, awaiting) = (content.flatten(), Stage::Arrived, Awaiting::None);
        let (copies, production, fates) = (None, None, Fates::asked_for(server.noted));
        Journey { mirror, server, declared, capture, stage, copies, production, awaiting, fates }
    }

    /// Whether the request's fate is still open: it is neither handed over nor counted.
    pub fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Settled)
    }

    /// Whether the scope is still to be told.
    pub fn is_undecided(&self) -> bool {
        matches!(self.stage, Stage::Arrived)
    }

    /// Whether content that passes is of interest.
    pub fn wants_content(&self) -> bool {
        self.capture.is_some()
    }

    /// Takes what production's answer is to be brought to, if it is compared.
    ///
    /// Whoever concludes a request does so too: nobody else drops what a request without content holds.
    pub fn production_sides(&mut self) -> Option<Box<Production>> {
        self.production.take()
    }

    /// The child's memory for copies.
    pub fn budget(&self) -> &'static Budget {
        self.mirror.budget()
    }

    /// Content passes: all of it in order, each part once.
    #[inline(always)]
    pub fn content(&mut self, part: Part<'_>) {
        match (&mut self.capture, part) {
            (Some(capture), Part::Bytes(bytes)) => {
                let head = match &mut self.stage {
                    Stage::Selected(head, ..) => head.content_place(),
                    Stage::Arrived | Stage::Settled => None,
                };
                capture.take(bytes, head, self.declared);
            }
            (Some(capture), Part::Skipped(length)) => capture.skip(length),
            (Some(capture), Part::Broken) => capture.break_off(),
            (Some(capture), Part::End) => {
                capture.end();
                self.hand_over_if_complete();
            }
            (None, _) => {}
        }
    }

    /// Fields follow the content; before [`Part::End`].
    #[cold]
    pub fn trailers<'a>(&mut self, fields: impl Iterator<Item = Field<'a>> + Clone) {
        if let Some(capture) = &mut self.capture {
            capture.trailers(fields, self.mirror.budget());
        }
    }

    /// Whether content's bytes are wanted, or only their number.
    pub fn wants_bytes(&self) -> bool {
        self.capture.as_ref().is_some_and(Capture::wants_bytes)
    }

    /// The request's scope is known and access control has passed: the targets that it goes to, for which it is
    /// then [selected](Self::select); `None` where there is none, which is counted.
    ///
    /// Not `copyable` is a request for one of our own handlers, and a push of the server's.
    #[inline(always)]
    pub fn choose(
        &mut self,
        settings: &ScopeSettings,
        copyable: bool,
        ask: &dyn Ask,
        requested: impl Fn() -> Requested,
    ) -> Option<Chosen> {
        if !self.is_undecided() {
            return None;
        }
        let chosen = self.chosen(settings, copyable, ask, requested);
        if chosen.is_none() {
            self.leave_out();
        }
        chosen
    }

    /// The request goes to these targets. Returns whether it was selected: its copy can be made.
    #[inline(always)]
    pub fn select<'a, F, K>(
        &mut self,
        mut chosen: Chosen,
        scope: &Scope<'a, K>,
        received: &Received<'a, F>,
    ) -> bool
    where
        F: HeaderSection<'a>,
        K: Known<'a> + Edit<F>,
    {
        let heads = match self.mirror.has_own_fields(chosen) {
            false => self.serialise(scope, chosen, received).map(|head| (head, None)),
            true => self.heads(scope, &mut chosen, received),
        };
        let (head, own) = match heads {
            Ok(heads) => heads,
            Err(reason) => {
                let requested = || Requested::received(received.method, received.target);
                self.give_up(reason, chosen, requested);
                self.leave_out();
                return false;
            }
        };
        let asked = scope.settings.compare();
        if let Some(comparisons) = self.mirror.to_compare(chosen, asked, received.method) {
            let Comparisons { copies, production } = *comparisons;
            (self.copies, self.production) = (Some(Box::new(copies)), Some(Box::new(production)));
        }
        if let Some(capture) = &mut self.capture {
            capture.limit_to(scope.settings.body_limit());
        }
        self.stage = Stage::Selected(head, own, chosen);
        self.hand_over_if_complete();
        true
    }

    /// The request is not to be copied, whatever it holds.
    pub fn refuse(&mut self, reason: NotCopied, settings: &ScopeSettings) {
        if let (Stage::Arrived, Some(list)) = (&self.stage, settings.list()) {
            let reason = if settings.is_on() { reason } else { NotCopied::Off };
            let mirror = self.mirror;
            mirror.give_up(GivenUp::NotCopied(reason), Chosen::all(list), &mut self.fates);
        }
        self.settle();
    }

    /// The request is over: what is still open will not be completed.
    pub fn conclude(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Settled) {
            Stage::Selected(head, own, chosen) => self.hand_over(head, own, chosen),
            Stage::Arrived | Stage::Settled => self.capture = None,
        }
    }

    /// Whether production's end is to be told.
    #[inline(always)]
    pub fn is_awaited(&self) -> bool {
        !self.awaiting.is_none()
    }

    /// What httpd's logs are told of the request, where some ask: the names of its targets, and what became of
    /// their copies.
    #[inline(always)]
    pub fn notes(&self) -> Option<[String; 2]> {
        self.fates.texts(self.mirror.policy())
    }

    /// Its fate is asked for, and is still open. Whoever asks sees to it that the journey is dropped, or
    /// [forgets](Self::forget_fates).
    pub fn ask_for_fates(&mut self) {
        self.fates = Fates::asked_for(true);
    }

    /// Gives back what the fates take up.
    pub fn forget_fates(&mut self) {
        self.fates = Fates::asked_for(false);
    }

    /// The targets by name, and what became of the copy to each, where that is asked for.
    pub fn fates(&self) -> impl Iterator<Item = (&str, Fate)> {
        self.fates.told(self.mirror.policy())
    }

    /// What passed of the content that was to be copied, where that is asked for.
    pub fn captured(&self) -> Option<Captured> {
        self.fates.captured()
    }

    /// Production has answered, and the request is over.
    pub fn tell(&mut self, production: copylog::Production) {
        std::mem::take(&mut self.awaiting).tell(production);
    }

    /// A fault of ours: whatever is still open is not copied, nor counted.
    pub fn abandon(&mut self) {
        self.settle();
        self.awaiting = Awaiting::None;
    }

    /// The targets that an undecided request goes to.
    #[inline(always)]
    fn chosen(
        &mut self,
        settings: &ScopeSettings,
        copyable: bool,
        ask: &dyn Ask,
        requested: impl Fn() -> Requested,
    ) -> Option<Chosen> {
        let list = settings.list().filter(|list| self.mirror.has_targets(*list))?;
        let not_copied = match settings.is_on() {
            false => Some(NotCopied::Off),
            true if !copyable => Some(NotCopied::NotCopyable),
            true => None,
        };
        if let Some(reason) = not_copied {
            let all = Chosen::all(list);
            self.mirror.give_up(GivenUp::NotCopied(reason), all, &mut self.fates);
            return None;
        }
        if self.mirror.is_open(list) {
            return Some(Chosen::all(list));
        }
        let asked = Asked::new(self.wants_content(), ask);
        let (chosen, limited) = self.mirror.choose(list, &asked, &mut self.fates);
        if !limited.is_empty() {
            self.log_dropped(Loss::Rate, limited, requested);
        }
        (!chosen.is_empty()).then_some(chosen)
    }

    /// The request's head for these targets, or why none is made.
    #[inline(always)]
    fn serialise<'a, F, K>(
        &self,
        scope: &Scope<'a, K>,
        chosen: Chosen,
        received: &Received<'a, F>,
    ) -> Result<Head, GivenUp>
    where
        F: HeaderSection<'a>,
        K: Known<'a> + Edit<F>,
    {
        if let Some(loss) = self.mirror.obstacle(chosen) {
            return Err(GivenUp::Dropped(loss));
        }
        let additions = self.additions(scope, scope.settings.add_headers());
        Head::serialise(received, &additions, self.mirror.budget())
    }

    #[inline(always)]
    fn additions<'a>(&self, scope: &Scope<'a, impl Known<'a>>, add_headers: bool) -> Additions<'a> {
        Additions {
            mark: self.mirror.mark(),
            forwarded: add_headers.then(|| scope.known.client()),
            preserve_host: scope
                .settings
                .preserve_host()
                .unwrap_or_else(|| scope.known.proxy_preserve_host()),
            trace: scope.settings.trace().and_then(|trace| self.mirror.trace(trace)),
        }
    }

    /// As [`serialise`](Self::serialise), with the heads of those targets that have fields of their own.
    #[cold]
    fn heads<'a, F, K>(
        &mut self,
        scope: &Scope<'a, K>,
        chosen: &mut Chosen,
        received: &Received<'a, F>,
    ) -> Result<(Head, OwnHeads), GivenUp>
    where
        F: HeaderSection<'a>,
        K: Known<'a> + Edit<F>,
    {
        let Some(target) = self.mirror.sole_with_own_fields(*chosen) else {
            let head = self.serialise(scope, *chosen, received)?;
            return Ok((head, self.own_heads(scope, chosen, received)));
        };
        if let Some(loss) = self.mirror.obstacle(*chosen) {
            return Err(GivenUp::Dropped(loss));
        }
        Ok((self.own_head(scope, target, received)?, None))
    }

    /// The heads of the chosen targets that have fields of their own; those whose cannot be made are given up.
    fn own_heads<'a, F, K>(
        &mut self,
        scope: &Scope<'a, K>,
        chosen: &mut Chosen,
        received: &Received<'a, F>,
    ) -> OwnHeads
    where
        F: HeaderSection<'a>,
        K: Known<'a> + Edit<F>,
    {
        let mut own = Vec::new();
        for (place, target) in self.mirror.with_own_fields(*chosen) {
            match self.own_head(scope, target, received) {
                Ok(head) => own.push((place, head)),
                Err(reason) => {
                    let fates = &mut self.fates;
                    let one = self.mirror.give_up_one(reason, chosen, place, fates);
                    if let GivenUp::Dropped(loss) = reason {
                        let requested = || Requested::received(received.method, received.target);
                        self.log_dropped(loss, one, requested);
                    }
                }
            }
        }
        (!own.is_empty()).then(|| Box::new(own))
    }

    #[inline(never)]
    fn own_head<'a, F, K>(
        &self,
        scope: &Scope<'a, K>,
        target: &'a Target,
        received: &Received<'a, F>,
    ) -> Result<Head, GivenUp>
    where
        F: HeaderSection<'a>,
        K: Known<'a> + Edit<F>,
    {
        let add_headers = target.add_headers.unwrap_or(scope.settings.add_headers());
        let mut additions = self.additions(scope, add_headers);
        if let Some(own) = &target.trace {
            additions.trace = own.as_ref();
        }
        let budget = self.mirror.budget();
        let Some(edits) = target.edits else {
            return Head::serialise(received, &additions, budget);
        };
        // What the client sent decides whether it is copied, not what is made of it.
        let kept = Kept::of(received.fields.clone(), self.mirror.mark())?;
        // What is not changed might show what the changes are to hide.
        let edited = scope.known.edited(edits, &received.fields);
        let fields = kept.among(edited.ok_or(GivenUp::Dropped(Loss::Unmaskable))?);
        let &Received { method, target, connection, has_content, .. } = received;
        let edited = Received { method, target, fields, connection, has_content };
        let head = Head::serialise(&edited, &additions, budget)?;
        // A name that was set for this target is the one that staging is to see.
        Ok(if head.host() == kept.host() { head } else { head.preserving_host() })
    }

    #[inline(always)]
    fn hand_over_if_complete(&mut self) {
        let complete = self.capture.as_ref().is_none_or(Capture::is_settled);
        if complete && matches!(self.stage, Stage::Selected(..)) {
            self.conclude();
        }
    }

    #[inline]
    fn hand_over(&mut self, head: Head, own: OwnHeads, chosen: Chosen) {
        let (mut content, mut trailers) = (None, None);
        if let Some(capture) = &mut self.capture {
            let whole = capture.finish(self.declared);
            let (bytes, is_whole) = (capture.seen(), whole.is_ok());
            self.fates.note_content(|| Captured { bytes, is_whole });
            match whole {
                Ok(whole) => content = Some(whole),
                Err(reason) => return self.lose(&head.with_content(None), chosen, reason),
            }
            trailers = capture.take_trailers();
            self.capture = None;
        }
        let message = head.with_content(content).with_trailers(trailers);
        let source = Source::now(self.server, &mut self.awaiting, &mut self.fates);
        match self.copies.take() {
            None => self.mirror.offer(message, own, chosen, source),
            Some(copies) => self.mirror.offer_compared(message, own, *copies, chosen, source),
        }
    }

    /// The content is not what it was to be: what there is of the copy is not sent.
    #[cold]
    fn lose(&mut self, message: &Message, chosen: Chosen, reason: GivenUp) {
        self.capture = None;
        self.give_up(reason, chosen, || Requested::of(message, false));
    }

    /// Counts why these targets get no copy, and logs it where that is asked for.
    fn give_up(&mut self, reason: GivenUp, chosen: Chosen, requested: impl Fn() -> Requested) {
        self.mirror.give_up(reason, chosen, &mut self.fates);
        if let GivenUp::Dropped(loss) = reason {
            self.log_dropped(loss, chosen, requested);
        }
    }

    fn log_dropped(&mut self, loss: Loss, chosen: Chosen, requested: impl Fn() -> Requested) {
        if self.server.logs.is_some() {
            let from = (self.server, &mut self.awaiting);
            self.mirror.log_dropped(loss, chosen, requested, from);
        }
    }

    /// It goes nowhere; nothing of it is compared, as it is not selected.
    #[inline(always)]
    fn leave_out(&mut self) {
        self.stage = Stage::Settled;
        self.capture = None;
    }

    fn settle(&mut self) {
        self.stage = Stage::Settled;
        (self.capture, self.copies, self.production) = (None, None, None);
    }
}

/// A part of a request's content.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Its next bytes.
    Bytes(&'a [u8]),
    /// So many bytes, no longer of interest.
    Skipped(u64),
    /// Its end.
    End,
    /// Nothing that can be relied on: reading failed, or went on unseen.
    Broken,
}

#[cfg(test)]
mod tests;
