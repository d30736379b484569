//! Rules, judged with chance and time of the tests' own.

use fastrand::Rng;
use proptest::prelude::*;

use super::*;

const NONE: Overrides = Overrides { sample: None, rate: None };

/// A request with these answers; counts how often it is asked.
#[derive(Default)]
struct Client {
    method: &'static [u8],
    key: Vec<u8>,
    holds: Option<bool>,
    asked: Cell<u32>,
}

impl Ask for Client {
    fn method(&self) -> &[u8] {
        self.method
    }

    fn is_set(&self, variable: &CStr) -> bool {
        variable == c"copy"
    }

    fn holds(&self, _: Expression) -> Result<bool, &[u8]> {
        self.asked.set(self.asked.get() + 1);
        self.holds.ok_or(b"too deep")
    }

    fn text(&self, _: Expression) -> Result<&[u8], &[u8]> {
        self.asked.set(self.asked.get() + 1);
        Ok(&self.key)
    }
}

fn judge<'a>(rule: &Rule, client: &'a Client, draw: u64) -> Result<(), Miss<'a>> {
    let asked = Asked::new(false, client);
    rule.judge(&asked, &Valve::new(), NONE, || draw, || 1 << 40)
}

fn share(text: &str) -> Option<Share> {
    Some(Share::parse(text).unwrap())
}

#[test]
fn a_rule_that_asks_for_nothing_is_open_and_any_other_is_not() {
    let open = Rule {
        body: Some(true),
        sample: share("100%"),
        key: Some(Expression(0)),
        adapt: Some(false),
        ..Rule::default()
    };
    assert!(Rule::default().is_open() && open.is_open());
    for rule in [
        Rule { methods: Methods::parse("GET"), ..Rule::default() },
        Rule { body: Some(false), ..Rule::default() },
        Rule { sample: share("99.999%"), ..Rule::default() },
        Rule { condition: Some(Condition::Set(c"x".into())), ..Rule::default() },
        Rule { rate: Rate::parse("1/s"), ..Rule::default() },
        Rule { adapt: Some(true), ..Rule::default() },
    ] {
        assert!(!rule.is_open(), "{rule:?}");
    }
}

#[test]
fn methods_and_content_are_looked_at_first() {
    let [post, get, head] = ["POST", "get", "HEAD"]
        .map(|method| Client { method: method.as_bytes(), ..Client::default() });
    let rule = Rule {
        methods: Methods::parse("GET,HEAD"),
        body: Some(false),
        condition: Some(Condition::Expression(Expression(0))),
        ..Rule::default()
    };
    fn judged<'a>(rule: &Rule, client: &'a Client, has_content: bool) -> Result<(), Miss<'a>> {
        let asked = Asked::new(has_content, client);
        rule.judge(&asked, &Valve::new(), NONE, || unreachable!(), || unreachable!())
    }
    assert_eq!(judged(&rule, &post, true), Err(Miss::Method));
    assert_eq!(judged(&rule, &get, false), Err(Miss::Method));
    assert_eq!(judged(&rule, &head, true), Err(Miss::Body));
    assert_eq!(head.asked.get(), 0, "no expression was evaluated");
    assert_eq!(judged(&rule, &head, false), Err(Miss::Unknown(b"too deep")));
}

#[test]
fn conditions_are_met_or_not() {
    let client = |holds| Client { holds, ..Client::default() };
    for (condition, holds, expected) in [
        (Condition::Set(c"copy".into()), None, Ok(())),
        (Condition::Set(c"other".into()), None, Err(Miss::Condition)),
        (Condition::Unset(c"copy".into()), None, Err(Miss::Condition)),
        (Condition::Unset(c"other".into()), None, Ok(())),
        (Condition::Expression(Expression(0)), Some(true), Ok(())),
        (Condition::Expression(Expression(0)), Some(false), Err(Miss::Condition)),
        (Condition::Expression(Expression(0)), None, Err(Miss::Unknown(b"too deep"))),
    ] {
        let rule = Rule { condition: Some(condition), ..Rule::default() };
        assert_eq!(judge(&rule, &client(holds), 0), expected, "{rule:?}");
    }
}

#[test]
fn an_expression_is_evaluated_once_and_only_for_what_is_in_the_sample() {
    let rule = |expression, sample| Rule {
        condition: Some(Condition::Expression(Expression(expression))),
        sample: share(sample),
        ..Rule::default()
    };
    let client = Client { holds: Some(true), ..Client::default() };
    let asked = Asked::new(false, &client);
    let judged = |rule: Rule, draw| rule.judge(&asked, &Valve::new(), NONE, || draw, || 0);
    assert_eq!(judged(rule(0, "50%"), u64::MAX), Err(Miss::Sampled));
    assert_eq!(client.asked.get(), 0);
    assert_eq!(judged(rule(0, "50%"), 0), Ok(()));
    assert_eq!(judged(rule(0, "60%"), 0), Ok(()));
    assert_eq!(client.asked.get(), 1);
    assert_eq!(judged(rule(1, "60%"), 0), Ok(()));
    assert_eq!(client.asked.get(), 2);
}

#[test]
fn the_rate_comes_last() {
    let valve = Valve::new();
    let rule = Rule {
        sample: share("50%"),
        rate: Rate::parse("2/s"),
        condition: Some(Condition::Set(c"copy".into())),
        ..Rule::default()
    };
    let client = Client::default();
    let asked = Asked::new(false, &client);
    let judged = |draw| rule.judge(&asked, &valve, NONE, || draw, || 1 << 40);
    assert_eq!(judged(u64::MAX), Err(Miss::Sampled));
    let judgements: Vec<_> = (0..4).map(|_| judged(0)).collect();
    assert_eq!(judgements, [Ok(()), Ok(()), Err(Miss::Rate), Err(Miss::Rate)]);
}

#[test]
fn a_sample_has_its_share_and_targets_are_drawn_for_independently() {
    const REQUESTS: u32 = 300_000;
    let mut rng = Rng::with_seed(0x5ec2e7);
    let client = Client::default();
    for (text, share) in [("50%", 0.5), ("10%", 0.1), ("1%", 0.01), ("0.1%", 0.001)] {
        let rule = Rule { sample: Share::parse(text), ..Rule::default() };
        let mut both = [[0_u32; 2]; 2];
        for _ in 0..REQUESTS {
            let [first, second] =
                [(); 2].map(|()| judge(&rule, &client, rng.u64(..)).is_ok() as usize);
            both[first][second] += 1;
        }
        // Five standard deviations: once in two million tests by chance, and these have a seed.
        let holds = |count: u32, expected: f64| {
            let mean = f64::from(REQUESTS) * expected;
            let deviation = (mean * (1.0 - expected)).sqrt();
            assert!((f64::from(count) - mean).abs() < 5.0 * deviation, "{text}: {both:?}");
        };
        holds(both[1][0] + both[1][1], share);
        holds(both[0][1] + both[1][1], share);
        holds(both[1][1], share * share);
        holds(both[1][0], share * (1.0 - share));
    }
}

#[test]
fn keys_fall_evenly_however_alike_they_are() {
    const KEYS: u32 = 200_000;
    for (text, share) in [("50%", 0.5), ("10%", 0.1), ("1%", 0.01)] {
        let rule = Rule { sample: Share::parse(text), key: Some(Expression(0)), ..Rule::default() };
        for prefix in ["", "user-", "01234567-89ab-cdef-0123-4567"] {
            let selected = |number: &u32| {
                let key = format!("{prefix}{number}").into_bytes();
                judge(&rule, &Client { key, ..Client::default() }, 0).is_ok()
            };
            let count = (0..KEYS).filter(selected).count() as f64;
            let mean = f64::from(KEYS) * share;
            let deviation = (mean * (1.0 - share)).sqrt();
            assert!((count - mean).abs() < 5.0 * deviation, "{text} of {prefix}: {count}");
        }
    }
}

#[test]
fn requests_without_a_key_are_drawn_for() {
    let rule = Rule { sample: share("50%"), key: Some(Expression(0)), ..Rule::default() };
    let client = Client::default();
    assert_eq!(judge(&rule, &client, 0), Ok(()));
    assert_eq!(judge(&rule, &client, u64::MAX), Err(Miss::Sampled));
}

#[test]
fn pressure_lowers_the_sample_of_rules_that_adapt() {
    let (valve, client) = (Valve::new(), Client::default());
    valve.throttle.hold(Throttle::WHOLE / 2, 1);
    let judged = |adapt, draw| {
        let rule = Rule { sample: share("50%"), adapt, ..Rule::default() };
        rule.judge(&Asked::new(false, &client), &valve, NONE, || draw, || 0).is_ok()
    };
    let (quarter, half) = (1 << 62, 1 << 63);
    assert!(judged(Some(true), quarter - 1) && !judged(Some(true), quarter));
    assert!(judged(None, half - 1) && !judged(None, half));
    let whole = Rule { adapt: Some(true), ..Rule::default() };
    let asked = Asked::new(false, &client);
    assert_eq!(whole.judge(&asked, &valve, NONE, || half, || 0), Err(Miss::Sampled));
}

#[test]
fn what_an_inner_rule_sets_goes_before_and_the_rest_is_inherited() {
    let outer = Rule {
        methods: Methods::parse("GET"),
        sample: share("10%"),
        condition: Some(Condition::Set(c"a".into())),
        ..Rule::default()
    };
    let inner = Rule {
        sample: share("50%"),
        condition: Some(Condition::Unset(c"b".into())),
        rate: Rate::parse("9/s"),
        ..Rule::default()
    };
    let merged = outer.merge(&inner);
    assert_eq!(merged, Rule { methods: Methods::parse("GET"), ..inner });
    assert_eq!(outer.merge(&Rule::default()), outer);
    assert_eq!(Rule::default().merge(&outer), outer);
}

proptest! {
    /// The same key always falls on the same side, and a smaller sample is a part of each larger one, whatever
    /// pressure holds back of it.
    #[test]
    fn samples_are_nested(key in proptest::collection::vec(any::<u8>(), 1..64), a in 1..=100_000_u32, b in 1..=100_000_u32, held in 0..Throttle::WHOLE) {
        let text = |parts: u32| format!("{}.{:03}%", parts / 1000, parts % 1000);
        let client = Client { key, ..Client::default() };
        let (small, large) = (text(a.min(b)), text(a.max(b)));
        let valve = Valve::new();
        valve.throttle.hold(held, 1);
        let is_in = |sample: &str, adapt| {
            let rule = Rule { sample: share(sample), key: Some(Expression(0)), adapt: Some(adapt), ..Rule::default() };
            let judged = || rule.judge(&Asked::new(false, &client), &valve, NONE, || unreachable!(), || 0).is_ok();
            let once = judged();
            assert_eq!(once, judged());
            once
        };
        prop_assert!(!is_in(&small, false) || is_in(&large, false));
        prop_assert!(!is_in(&small, true) || is_in(&small, false));
        prop_assert!(!is_in(&small, true) || is_in(&large, true));
    }
}
