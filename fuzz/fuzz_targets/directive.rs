//! Any lines as a configuration: each is taken, or told what was expected; what was taken is written and read
//! back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mod_copy::config::{
    DIRECTIVES, Draft, Fault, Origin, Place, Policy, ScopeSettings, ServerSettings, find,
};
use mod_copy::stats::NAME_BYTES;
use mod_copy::target::{PathMode, Target};

/// A configuration of a server and one section in it.
#[derive(Default)]
struct Written {
    draft: Draft,
    scopes: [ScopeSettings; 2],
    server: ServerSettings,
}

impl Written {
    /// Takes a line; one that begins with a blank stands in the section.
    fn line(&mut self, line: &str, number: u32) -> Option<Result<(), Fault>> {
        let in_section = line.starts_with(' ');
        let (name, arguments) =
            line.trim_start().split_once(' ').unwrap_or((line.trim_start(), ""));
        let origin = Origin { file: "fuzz.conf".to_owned(), line: number, section: None };
        let mut place = Place {
            draft: &mut self.draft,
            scope: &mut self.scopes[usize::from(in_section)],
            server: &mut self.server,
            which: None,
            in_section,
            origin,
        };
        find(name).map(|directive| directive.apply(&mut place, arguments))
    }
}

fuzz_target!(|text: &str| {
    let mut written = Written::default();
    for (number, line) in (1..).zip(text.lines()) {
        // httpd's lines hold no NUL.
        let line = line.split('\0').next().unwrap_or_default();
        let taken = written.line(line, number);
        // What is wrong with a file is told in other words.
        if let (Some(Err(fault)), false) = (taken, line.to_ascii_lowercase().contains("file")) {
            told(&fault.to_string(), line);
        }
    }
    let merged = written.scopes[0].merge(&written.scopes[1]);
    match written.draft.resolve() {
        Ok(policy) => {
            policy.targets().iter().for_each(|known| check(&known.target));
            let lists = [merged, written.scopes[0]].map(|scope| scope.list());
            for list in lists.into_iter().flatten() {
                assert!(!policy.list(list).is_empty(), "a scope names a target, or is none");
                policy
                    .list(list)
                    .iter()
                    .for_each(|choice| assert!(choice.target.index() < policy.targets().len()));
            }
            again(&policy);
        }
        Err(misfits) => {
            assert!(!misfits.is_empty());
            for misfit in misfits {
                let told_so = misfit.to_string();
                assert!(
                    told_so.starts_with("MirrorRequest: ") || told_so.starts_with("Copy"),
                    "{told_so}"
                );
                assert!(told_so.contains(" (fuzz.conf:"), "{told_so}");
            }
        }
    }
});

/// A fault names what was expected and what was found, perhaps with the key it was found at.
fn told(fault: &str, line: &str) {
    let (key, rest) = fault.split_at(fault.find("expected ").expect("what was expected"));
    assert!(
        key.is_empty() || (key.ends_with("=: ") && line.contains(key.trim_end_matches("=: "))),
        "{fault}"
    );
    let (expected, found) = rest.split_once(", found ").expect("what was found");
    assert!(expected.len() > "expected ".len(), "{fault}");
    assert!(found == "nothing" || (found.starts_with('\'') && found.ends_with('\'')), "{fault}");
}

fn check(target: &Target) {
    assert!((1..=NAME_BYTES).contains(&target.name.len()));
    assert!(target.name.bytes().all(|byte| byte.is_ascii_graphic()), "{}", target.name);
    assert!(
        1 <= target.pool.min && target.pool.min <= target.pool.max && target.pool.max <= 10_000
    );
    assert!((1..=1_000_000).contains(&target.pool.queue));
}

/// Writes the targets as `CopyTarget` lines and reads them.
fn again(policy: &Policy) {
    let mut written = Written::default();
    for (number, target) in (1..).zip(policy.targets().iter().map(|known| &known.target)) {
        let taken = written.line(&line(target), number).expect("a known directive");
        assert_eq!(taken, Ok(()), "{}", line(target));
    }
    let same = written.draft.resolve().expect("no name to look up");
    let targets = |policy: &Policy| {
        policy.targets().iter().map(|known| known.target.clone()).collect::<Vec<_>>()
    };
    assert_eq!(targets(&same), targets(policy));
}

fn line(target: &Target) -> String {
    let time = |key: &str, time: Option<std::time::Duration>| {
        time.map(|time| format!(" {key}={}ms", time.as_millis())).unwrap_or_default()
    };
    let name = match target.name == target.destination.to_string() {
        true => String::new(),
        false => format!(" name={}", target.name),
    };
    let path = if target.path == PathMode::Append { "append" } else { "replace" };
    let (url, pool) = (&target.destination, &target.pool);
    assert_eq!(DIRECTIVES[0].name, c"CopyTarget");
    format!(
        "CopyTarget '{}'{name} min={} max={} queue={} path={path}{}{}{}{}",
        url.to_string().replace('\\', r"\\").replace('\'', r"\'"),
        pool.min,
        pool.max,
        pool.queue,
        time("ttl", Some(pool.ttl)),
        time("timeout", target.timeout),
        time("connectiontimeout", target.connect_timeout),
        if target.starts_off { " status=D" } else { "" },
    )
}
