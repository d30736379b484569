//! One fault, from an httpd that is started anew to staging's recovery.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::client;
use crate::cores::{self, Others, Used};
use crate::faults::{Case, Trouble};
use crate::faulty::{Fault, FaultyStaging};
use crate::front::Front;
use crate::load::{self, Pace};
use crate::mpm::Mpm;
use crate::server::Server;
use crate::status::Status;
use crate::wait::poll;
use crate::{Plan, processes};

/// `CopyMemory`, in megabytes: little enough to be used up by the faults that hold copies back.
pub const MEMORY: u64 = 32;
/// The target's keys: without a breaker, which would spare production the worst.
pub const KEYS: &str = "queue=100000 timeout=1s connectiontimeout=500ms failures=0";
/// Those of the target by which recovery is measured.
pub const GUARDED: &str = "timeout=1s connectiontimeout=500ms failures=5 retry=1s";
/// How often httpd is put under load before the measurement at most.
const WARM_UPS: usize = 12;
/// The bytes that it may grow by in the last of them.
const GROWTH: u64 = 64 << 10;
/// How the forwarders' threads are called. None of them ends within a run: `ttl=` is a minute.
const FORWARDERS: &str = "copy-staging";
/// How long the outcome of the last copy, and the first copy that arrives again, may take.
const LONG: Duration = Duration::from_secs(60);

/// What share of a core others may take while a run lasts. Where they take more, they are what it measures.
const DISTURBED: f64 = 0.05;

/// What a fault came to.
pub struct Measured {
    pub name: &'static str,
    pub about: &'static str,
    /// Faulty by well, of each pair of runs.
    pub throughput: Vec<f64>,
    pub p99: Vec<f64>,
    /// The share of a core that the forwarders take at half load, while staging is well and with the fault.
    pub forwarders: [Vec<f64>; 2],
    /// The most that the child grew by, in bytes.
    pub grown: u64,
    /// What became of the copies while the fault lasted.
    pub outcomes: Vec<(String, u64)>,
    /// From staging's return to the first copy that it answered, through a breaker.
    pub recovery: Duration,
    pub balanced: bool,
    /// How many pairs were measured again, because others took too much of the cores meanwhile.
    pub again: usize,
}

impl Measured {
    /// Whether memory stayed within its bound, and every copy has one outcome.
    pub fn holds(&self) -> bool {
        self.grown <= (MEMORY << 20) * 11 / 10 && self.balanced
    }
}

/// A run of load at saturation, and one at half of it.
struct Half {
    rate: f64,
    p99: Duration,
    forwarders: f64,
    is_disturbed: bool,
}

/// Production and what is behind it.
struct Setting {
    server: Server,
    staging: FaultyStaging,
    /// What copies are sent to, where that is not staging itself.
    front: Option<Front>,
    _origin: FaultyStaging,
}

pub fn measure(case: &Case, plan: &mut Plan) -> Measured {
    let setting = Setting::start(matches!(case.trouble, Trouble::Handshake));
    let child = processes::children(setting.server.pid())[0];
    let saturate = |path| load::run(setting.server.port(), path, Pace::Saturate, plan.run);
    // All of httpd's own threads and pools are in use before, so that what grows is ours; and so are all
    // forwarders and their connections, which a few slow copies call for: what then grows are the copies.
    for _ in 0..WARM_UPS {
        let before = processes::resident(child);
        saturate("/uncopied");
        if processes::resident(child) < before + GROWTH {
            break;
        }
    }
    setting.staging.set(Fault::AnswersAfter(Duration::from_millis(50)));
    load::run(setting.server.port(), "/", Pace::Rate(600.0), Duration::from_millis(500));
    setting.staging.set(Fault::None);
    setting.drained();
    processes::forget_peak(child);
    let base = processes::resident(child);
    let rate = saturate("/").rate / 2.0;
    setting.drained();
    let (mut throughput, mut p99, mut outcomes) = (Vec::new(), Vec::new(), BTreeMap::new());
    let (mut forwarders, mut again) = ([Vec::new(), Vec::new()], 0);
    while throughput.len() < plan.pairs {
        cores::wait_for_quiet(&mut plan.patience);
        let mut halves = [None, None];
        for at in if throughput.len() % 2 == 0 { [0, 1] } else { [1, 0] } {
            if at == 0 {
                halves[0] = Some(setting.load(rate, plan));
                setting.drained();
                continue;
            }
            let before = setting.server.status();
            setting.begin(case.trouble);
            halves[1] = Some(setting.load(rate, plan));
            let after = setting.server.status();
            add(&mut outcomes, &outcomes_of(&before), &outcomes_of(&after));
            setting.end();
            setting.drained();
        }
        let [well, faulty] = halves.map(Option::unwrap);
        if (well.is_disturbed || faulty.is_disturbed) && again < plan.again {
            again += 1;
            continue;
        }
        throughput.push(faulty.rate / well.rate);
        p99.push(faulty.p99.as_secs_f64() / well.p99.as_secs_f64());
        forwarders.iter_mut().zip([well, faulty]).for_each(|(all, one)| all.push(one.forwarders));
    }
    let grown = processes::peak(child).saturating_sub(base);
    let mut outcomes: Vec<_> = outcomes.into_iter().filter(|(_, count)| *count > 0).collect();
    outcomes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let recovery = setting.recovery(case.trouble, rate);
    let status = setting.drained();
    let outcome = |group| status.sum(group);
    let balanced =
        outcome("selected") == ["delivered", "failed", "dropped"].map(outcome).iter().sum::<u64>();
    let Case { name, about, .. } = *case;
    Measured {
        name,
        about,
        throughput,
        p99,
        forwarders,
        grown,
        outcomes,
        recovery,
        balanced,
        again,
    }
}

impl Setting {
    fn start(secure: bool) -> Setting {
        let origin = cores::on_productions(|| FaultyStaging::start(Fault::None));
        let staging = FaultyStaging::start(Fault::None);
        let front = secure.then(|| Front::before(staging.address()));
        let url = match &front {
            Some(front) => format!("https://127.0.0.1:{}/", front.port()),
            None => format!("http://{}/", staging.address()),
        };
        let sizes = "StartServers 1\nServerLimit 1\nThreadLimit 64\nThreadsPerChild 64\nMaxRequestWorkers 64\n\
                     MinSpareThreads 1\nMaxSpareThreads 64";
        let builder = Server::on(Mpm::Event)
            .global(sizes)
            .global(format!(
                "CopyMemory {MEMORY}M\nLogLevel warn\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60"
            ))
            .modules(&["proxy", "proxy_http"])
            .vhost(format!("ProxyPass \"/\" \"http://{}/\"", origin.address()))
            .vhost(format!("CopyTLSVerify Off\nCopyTarget {url} name=staging {KEYS}"))
            .vhost("<Location \"/uncopied\">\nMirrorRequest Off\n</Location>")
            .vhost(format!(
                "<Location \"/guarded\">\nCopyTarget {url} name=guarded {GUARDED}\n</Location>"
            ))
            .expect("CPY01");
        let server = cores::on_productions(|| builder.start());
        Setting { server, staging, front, _origin: origin }
    }

    fn begin(&self, trouble: Trouble) {
        match (trouble, &self.front) {
            (Trouble::Staging(fault), _) => self.staging.set(fault),
            (Trouble::Handshake, front) => front.as_ref().unwrap().swallow(true),
        }
    }

    fn end(&self) {
        self.staging.set(Fault::None);
        self.front.iter().for_each(|front| front.swallow(false));
    }

    fn load(&self, rate: f64, plan: &Plan) -> Half {
        let (port, httpd) = (self.server.port(), self.server.pid());
        let others = Others::than(httpd);
        let saturated = load::run(port, "/", Pace::Saturate, plan.run);
        let used = Used::by_family(httpd);
        let steady = load::run(port, "/", Pace::Rate(rate), plan.steady);
        let forwarders = Used::by_family(httpd).since_by(&used, FORWARDERS);
        let others = Others::than(httpd).since(&others);
        Half {
            rate: saturated.rate,
            p99: steady.p99,
            forwarders: forwarders.as_secs_f64() / plan.steady.as_secs_f64(),
            is_disturbed: others > (plan.run + plan.steady).mul_f64(DISTURBED),
        }
    }

    /// The status when every copy has its outcome.
    fn drained(&self) -> Status {
        let drained = || Some(self.server.status()).filter(Status::is_drained);
        poll(LONG, drained).expect("every copy has an outcome")
    }

    /// How long it takes from staging's return until a copy is delivered to the target with a breaker.
    fn recovery(&self, trouble: Trouble, rate: f64) -> Duration {
        /// Longer than the timeout of the first failures.
        const LASTS: Duration = Duration::from_millis(1500);
        self.begin(trouble);
        load::run(self.server.port(), "/guarded", Pace::Rate(rate / 4.0), LASTS);
        let delivered = || self.server.status().target("guarded").count("delivered");
        self.end();
        let (returned, before) = (Instant::now(), delivered());
        poll(LONG, || {
            client::Client::connect(self.server.port()).exchange(load::post("/guarded"));
            (delivered() > before).then_some(())
        })
        .expect("staging gets copies again");
        returned.elapsed()
    }
}

/// What became of the copies until now, and how many wait for it.
fn outcomes_of(status: &Status) -> BTreeMap<String, u64> {
    let target = status.target("staging");
    let mut outcomes = target.outcomes();
    let settled: u64 = outcomes.values().sum();
    outcomes.insert("held back".to_owned(), target.count("selected").saturating_sub(settled));
    outcomes
}

/// Adds what became of the copies between two moments.
fn add(
    sums: &mut BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) {
    for (what, count) in after {
        *sums.entry(what.clone()).or_default() += count - before[what];
    }
}
