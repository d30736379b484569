//! The target's one thread: takes copies while it may have more under way, and sees each to its outcome.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::unix::net::UnixStream as Ear;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{sleep, timeout};

use crate::bell::{Bell, Rope};
use crate::boundary::Boundary;
use crate::channel::TryRecvError;
use crate::clock;
use crate::outcome::{Failure, StatusClass};
use crate::queue::{self, Job, Jobs, Offers};
use crate::stats::{Account, Traffic};
use crate::target::{Aim, Target};
use crate::tls::Tls;

use super::super::Makings;
use super::super::allowance::Allowance;
use super::super::connecting::Connecting;
use super::super::courier::Errand;
use super::super::fault::Fault;
use super::super::forwarder::PAUSE;
use super::super::hand::{Hand, Untaken};
use super::super::pace::Deadline;
use super::super::pool::{STACK, thread_name};
use super::super::report;
use super::exchange::Exchange;
use super::link::Link;
use super::links::Links;
use super::wrong::{Broken, Left};

/// How often a copy is sent in all, where staging says each time that it has not looked at it.
const TRIES: usize = 3;

/// While copies come this close upon each other, the thread sleeps this long and then looks, rather than wait to be
/// woken.
const NAP: Duration = Duration::from_millis(1);
/// So many copies under way, which come close upon each other, take long: none of them is in a hurry.
const CROWD: usize = 32;
/// How long the thread then looks at nothing, and is woken by nothing.
const DOZE: Duration = Duration::from_millis(2);

/// Starts the thread; what it takes copies from.
pub(super) fn start(
    target: Arc<Target>,
    account: Account,
    makings: Makings,
    tls: Option<Tls>,
) -> io::Result<Offers> {
    let (bell, ear) = Bell::new()?;
    let bell = Arc::new(bell);
    let (offers, jobs) = queue::bounded(target.pool.queue);
    let offers = offers.with_bell(Rope::of(Arc::clone(&bell)));
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let name = thread_name(&target.name);
    let work = move || {
        let carrier = Carrier::new(target, account, (jobs, bell), (makings, tls));
        live(&runtime, ear, carrier);
    };
    account.forwarder(true);
    let started = thread::Builder::new().name(name).stack_size(STACK).spawn(work);
    if started.is_err() {
        account.forwarder(false);
    }
    started.map(|_| offers)
}

/// The life of the thread, which survives a panic.
fn live(runtime: &Runtime, ear: Ear, carrier: Carrier) {
    let (carrier, tasks) = (Rc::new(carrier), LocalSet::new());
    let ear = {
        let _within = runtime.enter();
        UnixStream::from_std(ear)
    };
    let ear = match ear {
        Ok(ear) => ear,
        Err(error) => {
            let name = &carrier.target.name;
            return log::error!("CPY0108: starting a forwarder to {name} failed: {error}");
        }
    };
    let serve = || runtime.block_on(tasks.run_until(Rc::clone(&carrier).serve(&ear)));
    while catch_unwind(AssertUnwindSafe(serve)).is_err() {
        let fault = Fault::new(Failure::Internal, "forward copies: a panic");
        report::ended(carrier.account, &carrier.target.name, Some(&fault), None);
        thread::sleep(PAUSE);
    }
}

/// What the thread has.
pub(super) struct Carrier {
    target: Arc<Target>,
    aim: Arc<Aim>,
    account: Account,
    jobs: Jobs,
    bell: Arc<Bell>,
    links: Rc<Links>,
    allowance: Arc<Allowance>,
    connecting: Arc<Connecting>,
    /// Copies that are.
    under_way: Cell<usize>,
    /// Who carries none just now; the last is called first.
    idle: RefCell<Vec<Rc<Porter>>>,
    /// One of them has ended.
    ended: Notify,
    /// When the last copy it took was offered, and whether that was within a [`NAP`] of the one before.
    last_offered: Cell<Option<Instant>>,
    frequent: Cell<bool>,
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.account.forwarder(false);
    }
}

impl Carrier {
    pub(super) fn new(
        target: Arc<Target>,
        account: Account,
        (jobs, bell): (Jobs, Arc<Bell>),
        (makings, tls): (Makings, Option<Tls>),
    ) -> Carrier {
        Carrier {
            target,
            aim: Arc::clone(&makings.aim),
            account,
            jobs,
            bell,
            allowance: Arc::clone(&makings.shared.allowance),
            connecting: Arc::clone(&makings.shared.connecting),
            links: Rc::new(Links::new(makings, tls)),
            under_way: Cell::new(0),
            idle: RefCell::default(),
            ended: Notify::new(),
            last_offered: Cell::new(None),
            frequent: Cell::new(false),
        }
    }

    /// What its connections are counted by.
    #[cfg(test)]
    pub(super) fn connecting(&self) -> &Connecting {
        &self.connecting
    }

    /// Takes copies until none will ever come, and those that are under way have ended.
    pub(super) async fn serve(self: Rc<Carrier>, ear: &UnixStream) {
        loop {
            Boundary::Forwarder.enter();
            if self.under_way.get() >= self.most() {
                self.ended.notified().await;
                continue;
            }
            if let Some(owed) = self.connecting.owed(clock::nanos) {
                if self.connecting.is_news() {
                    report::too_many_connections(self.account, &self.target.name);
                }
                sleep(Duration::from_nanos(owed)).await;
                continue;
            }
            match self.jobs.try_recv() {
                Ok(job) => {
                    // Masking takes its time: each copy sets out before the next is masked.
                    if self.take(job, Instant::now()) {
                        yield_now().await;
                    }
                }
                Err(TryRecvError::Empty) => self.sleep(ear).await,
                Err(TryRecvError::Disconnected) if self.under_way.get() == 0 => return,
                Err(TryRecvError::Disconnected) => self.ended.notified().await,
            }
        }
    }

    /// How many copies may be under way.
    fn most(&self) -> usize {
        self.links.streams().min(self.target.pool.max).max(1)
    }

    /// Takes a copy in hand, unless it is dropped, and sets out with it; whether it was masked first.
    fn take(self: &Rc<Carrier>, job: Job, taken: Instant) -> bool {
        let last = self.last_offered.replace(Some(job.offered));
        let frequent = last.is_some_and(|last| job.offered.saturating_duration_since(last) < NAP);
        self.frequent.set(frequent);
        let mut hand = match Hand::take(job, taken, (&*self.target, self.account)) {
            Ok(hand) => hand,
            Err(Untaken::Closed | Untaken::Off | Untaken::Breaker) => return false,
        };
        let (mut begun, is_masked) = (taken, hand.unmasked().is_some());
        if is_masked {
            if let Some(unsent) = hand.mask() {
                report::unsent(self.account, &self.target.name, unsent);
                return true;
            }
            begun = Instant::now();
            hand.begin(begun);
        }
        let porter = self.idle.borrow_mut().pop().unwrap_or_else(|| Porter::hire(self));
        porter.give(Load { hand: Box::new(hand), begun, under_way: UnderWay::of(Rc::clone(self)) });
        is_masked
    }

    /// Sleeps until a copy may have come; or for long, and then lets go of what nobody needed.
    async fn sleep(&self, ear: &UnixStream) {
        if self.frequent.take() {
            // To be woken would cost the request path more.
            return match self.under_way.get() {
                ..CROWD => sleep(NAP).await,
                _ => doze().await,
            };
        }
        self.bell.listen();
        // What came before nobody rang for.
        if self.jobs.is_empty() {
            let is_over = timeout(self.target.pool.ttl, ear.readable()).await.is_err();
            if is_over && self.under_way.get() == 0 {
                self.links.hang_up();
                self.idle.borrow_mut().drain(..).for_each(|porter| porter.dismiss());
            }
        }
        self.bell.ignore();
        // It is to be readable when the bell rings again.
        let _ = ear.try_read(&mut [0; 64]);
    }

    /// Delivers a copy, over another connection where staging says that it has not looked at it.
    async fn deliver(
        &self,
        errand: &Errand<'_>,
        traffic: &mut Traffic,
        at: &At,
    ) -> Result<StatusClass, Fault> {
        let exchange = Exchange {
            message: errand.message,
            keep: errand.keep,
            aim: &self.aim,
            account: self.account,
            allowance: &self.allowance,
            doing: &at.doing,
        };
        let mut tries: usize = 1;
        loop {
            at.doing.set(CONNECTING);
            let link = self.links.link(errand.limits).await?;
            let heard = link.heard();
            at.link.set(Some((Rc::clone(&link), heard)));
            let Broken { fault, left } = match exchange.over(&link, traffic).await {
                Ok(class) => {
                    link.prove();
                    return Ok(class);
                }
                Err(broken) => broken,
            };
            let may = match left {
                Left::Unsent | Left::Refused => true,
                Left::Cut => link.is_proven() && link.heard() == heard && errand.message.is_safe(),
                Left::Processed => false,
            };
            if matches!(left, Left::Unsent | Left::Cut) {
                link.retire();
            }
            if !may || tries >= TRIES {
                return Err(fault);
            }
            tries = tries.saturating_add(1);
        }
    }
}

/// Lets others take their turns, rests, and looks what has come meanwhile, much of it at once: to be woken for each copy
/// that sets out, and for each answer, costs more than the rest of what a copy takes. Where more have something to do
/// than take a turn at once (61), the others have theirs after the next rest.
async fn doze() {
    yield_now().await;
    thread::sleep(DOZE);
    yield_now().await;
}

const CONNECTING: &str = "connect";

/// How far a copy has got.
struct At {
    doing: Cell<&'static str>,
    /// The connection, and what had been heard over it when the copy began.
    link: Cell<Option<(Rc<Link>, u64)>>,
}

/// A task that carries one copy after the other: a new one for each would cost more than all that it asks of the system.
#[derive(Default)]
struct Porter {
    load: Cell<Option<Load>>,
    called: Notify,
}

impl Porter {
    fn hire(carrier: &Rc<Carrier>) -> Rc<Porter> {
        let porter = Rc::new(Porter::default());
        spawn_local(Rc::clone(&porter).work(Rc::clone(carrier)));
        porter
    }

    fn give(&self, load: Load) {
        self.load.set(Some(load));
        self.called.notify_one();
    }

    /// Called without a load, it ends.
    fn dismiss(&self) {
        self.called.notify_one();
    }

    async fn work(self: Rc<Porter>, carrier: Rc<Carrier>) {
        loop {
            self.called.notified().await;
            let Some(load) = self.load.take() else { return };
            load.carry().await;
            carrier.idle.borrow_mut().push(Rc::clone(&self));
        }
    }
}

/// A copy with what it needs on its way.
struct Load {
    /// By itself, so that little is moved.
    hand: Box<Hand>,
    begun: Instant,
    under_way: UnderWay,
}

impl Load {
    /// Sees the copy to its outcome.
    async fn carry(self) {
        let Load { under_way, mut hand, begun } = self;
        let carrier = &under_way.0;
        let deadline = hand.deadline();
        let at = At { doing: Cell::new(CONNECTING), link: Cell::default() };
        let ended = match hand.errand() {
            None => return,
            Some((errand, _, traffic)) => {
                let left = deadline.left().unwrap_or_default();
                let delivery = pin!(carrier.deliver(&errand, traffic, &at));
                // An answer that has come while the thread was busy is looked at before the clock.
                timeout(left, unwinding(delivery)).await
            }
        };
        let ended = ended.unwrap_or_else(|_| Ok(Err(late(&at, &deadline))));
        hand.end(ended.unwrap_or_else(|_| Err(panicked(&at))));
        let left = hand.put_down(begun.elapsed());
        report::ended(carrier.account, &carrier.target.name, left.fault.as_ref(), left.change);
    }
}

/// A copy that counts as under way.
struct UnderWay(Rc<Carrier>);

impl UnderWay {
    fn of(carrier: Rc<Carrier>) -> UnderWay {
        carrier.under_way.set(carrier.under_way.get().saturating_add(1));
        UnderWay(carrier)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let UnderWay(carrier) = self;
        carrier.under_way.set(carrier.under_way.get().saturating_sub(1));
        carrier.ended.notify_one();
    }
}

/// A copy is late; a connection over which nothing came all the time is not used again.
fn late(at: &At, deadline: &Deadline) -> Fault {
    if let Some((link, heard)) = at.link.take()
        && link.heard() == heard
    {
        link.retire();
    }
    Fault::late(at.doing.get(), deadline)
}

/// A panic over a copy; nobody knows what state the connection is in.
fn panicked(at: &At) -> Fault {
    if let Some((link, _)) = at.link.take() {
        link.retire();
    }
    Fault::new(Failure::Internal, "send the copy: a panic")
}

/// What becomes of the work, or of its panic.
fn unwinding<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
) -> impl Future<Output = thread::Result<T>> {
    poll_fn(move |context| {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            Boundary::Exchange.enter();
            work.as_mut().poll(context)
        }));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
}
