//! The lines that name targets: `CopyTarget`, its block, and `MirrorRequest`.

use std::net::IpAddr;
use std::sync::Arc;

use super::draft::Place;
use super::rules::{self, RULE_KEYS};
use super::values::{self, Fault};
use crate::select::Rule;
use crate::target::{Destination, PathMode, Proxy, Target};

/// The keys of a `CopyTarget` line: name, value and default as the reference shows them, and meaning.
pub const TARGET_KEYS: [(&str, &str, &str, &str); 13] = [
    ("name", "text", "the URL", "what counters, log lines and `MirrorRequest` call the target"),
    ("min", "1 to 10000", "1", "threads kept when idle, in each child process"),
    (
        "max",
        "1 to 10000",
        "20",
        "the most connections, each with one copy in flight, and the most threads, in each child process",
    ),
    ("timeout", "time", "`CopyTimeout`", "the whole exchange"),
    ("connectiontimeout", "time", "`CopyConnectTimeout`", "making a connection"),
    ("ttl", "time", "60s", "how long an idle connection, and an idle thread above `min`, is kept"),
    ("queue", "1 to 1000000", "1024", "the most copies that wait, in each child process"),
    (
        "failures",
        "0 to 10000",
        "5",
        "so many failures in a row, over all child processes, open the breaker: copies are dropped; 0 switches it off",
    ),
    ("retry", "time", "10s", "how long an open breaker drops copies before one is sent as a probe"),
    (
        "path",
        "`append` or `replace`",
        "append",
        "whether the URL's path goes before the request's, or takes its place",
    ),
    (
        "bindaddress",
        "IPv4 or IPv6 address",
        "the system's choice",
        "the address of this machine that connections to the target leave from",
    ),
    (
        "proxy",
        "`http://` or `socks5://` with `[user:password@]host:port`",
        "",
        "the forward proxy that copies go through",
    ),
    ("status", "`D`", "", "the target starts switched off, until `copy-manager` switches it on"),
];

/// `CopyTarget`
pub(super) fn copy_target(place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
    let (target, rule) = target(place, arguments)?;
    place.define(target, rule)
}

/// `<CopyTarget`, up to its `>`.
pub(super) fn open_block(place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
    let line = arguments.trim_end().strip_suffix('>');
    let line = line.ok_or_else(|| Fault::new("a > at the end of the line", arguments.trim()))?;
    let (target, rule) = target(place, line)?;
    place.open(target, rule);
    Ok(())
}

/// Sets what a key of the line may have set already.
pub(super) fn once<T>(place: &mut Option<T>, value: T, key: &str) -> Result<(), Fault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::new(format!("one of this and {key}="), "both")),
    }
}

fn target(place: &mut Place<'_>, arguments: &str) -> Result<(Target, Rule), Fault> {
    let mut words = values::keyed_words(arguments).into_iter();
    let url = words.next().unwrap_or_default();
    let mut target =
        Target::at(Destination::parse(&url).map_err(|expected| Fault::new(expected, url))?);
    let mut keys = Keys::default();
    for word in words {
        let (key, value) = keys.take(&word, &|| {
            let targets = TARGET_KEYS.iter().chain(&RULE_KEYS);
            targets.map(|(known, ..)| *known).collect()
        })?;
        if rules::has(key) {
            keys.set_rule(place, key, value)?;
        } else {
            set_key(&mut target, key, value).map_err(|fault| fault.at_key(key))?;
        }
    }
    if target.pool.min > target.pool.max {
        let found = format!("min={} max={}", target.pool.min, target.pool.max);
        return Err(Fault::new("min= no greater than max=", found));
    }
    check_way(&target)?;
    Ok((target, keys.rule))
}

/// Whether connections from its `bindaddress=`, and through its `proxy=`, can reach the target at all.
fn check_way(target: &Target) -> Result<(), Fault> {
    let Destination::Url(url) = &target.destination else { return Ok(()) };
    if let Some(proxy) = target.proxy.as_ref().filter(|_| url.socket().is_some()) {
        return Err(Fault::new("no proxy= for a Unix socket", proxy.to_string()));
    }
    let Some(address) = target.bind_address else { return Ok(()) };
    let url = target.proxy.as_ref().map_or(url, |proxy| proxy.at());
    let expected = match url.host().parse::<IpAddr>() {
        _ if url.socket().is_some() => "no bindaddress= for a Unix socket",
        Ok(host) if host.is_ipv4() && address.is_ipv6() => {
            "an IPv4 bindaddress= for an IPv4 target"
        }
        Ok(host) if host.is_ipv6() && address.is_ipv4() => {
            "an IPv6 bindaddress= for an IPv6 target"
        }
        _ => return Ok(()),
    };
    Err(Fault::new(expected, address.to_string()))
}

/// The `key=value` words of a line, as they are read.
#[derive(Default)]
struct Keys {
    seen: Vec<String>,
    rule: Rule,
}

impl Keys {
    /// Takes a word apart; its key is one of `known`, and was not met before.
    fn take<'a>(
        &mut self,
        word: &'a str,
        known: &dyn Fn() -> Vec<&'static str>,
    ) -> Result<(&'a str, &'a str), Fault> {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        if self.seen.iter().any(|seen| seen == key) {
            return Err(Fault::new(format!("{key}= once"), word));
        }
        let known = known();
        if !known.contains(&key) {
            let known: Vec<String> = known.iter().map(|known| format!("{known}=")).collect();
            return Err(Fault::new(format!("one of the keys {}", known.join(", ")), word));
        }
        self.seen.push(key.to_owned());
        Ok((key, value))
    }

    fn set_rule(&mut self, place: &mut Place<'_>, key: &str, value: &str) -> Result<(), Fault> {
        let before = self.rule.condition.take();
        rules::set(&mut self.rule, place.draft, key, value).map_err(|fault| fault.at_key(key))?;
        match (before, &self.rule.condition) {
            (Some(_), Some(_)) => Err(Fault::new("one condition, env= or expr=", value)),
            (before, None) => {
                self.rule.condition = before;
                Ok(())
            }
            (None, Some(_)) => Ok(()),
        }
    }
}

fn set_key(target: &mut Target, key: &str, value: &str) -> Result<(), Fault> {
    match key {
        "name" => target.name = name(value)?,
        "min" => target.pool.min = values::number(value, 1..=10_000)?,
        "max" => {
            target.pool.max = values::number(value, 1..=10_000)?;
        }
        "timeout" => target.timeout = Some(values::time(value)?),
        "connectiontimeout" => target.connect_timeout = Some(values::time(value)?),
        "ttl" => target.pool.ttl = values::time(value)?,
        "queue" => target.pool.queue = values::number(value, 1..=1_000_000)?,
        "failures" => {
            let failures = values::number(value, 0..=10_000)?;
            target.breaker.failures = u32::try_from(failures).unwrap_or(u32::MAX);
        }
        "retry" => target.breaker.retry = values::time(value)?,
        "bindaddress" => {
            let address = value.parse();
            let address = address.map_err(|_| Fault::new("an IPv4 or IPv6 address", value))?;
            target.bind_address = Some(address);
        }
        "proxy" => {
            let fault = |expected| Fault::new(expected, values::without_user(value));
            let proxy = Proxy::parse(value).map_err(fault)?;
            target.proxy = Some(Arc::new(proxy));
        }
        "status" => match value {
            "D" => target.starts_off = true,
            _ => return Err(Fault::new("D", value)),
        },
        "path" => {
            target.path = match value {
                "append" => PathMode::Append,
                "replace" => PathMode::Replace,
                _ => return Err(Fault::new("append or replace", value)),
            }
        }
        _ => return Err(Fault::new("a known key", key)),
    }
    Ok(())
}

fn name(value: &str) -> Result<String, Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=64).contains(&value.len()) && value.chars().all(allowed);
    // What MirrorRequest could not tell from a switch is no name.
    if !fits || values::switch(value).is_some() {
        return Err(Fault::new("1 to 64 letters, digits, -, _ or ., and not On or Off", value));
    }
    Ok(value.to_owned())
}

/// `MirrorRequest`
pub(super) fn mirror_request(place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "On, Off, or the URLs and names of targets";
    let words = values::keyed_words(arguments);
    let on = match words.as_slice() {
        [] => return Err(Fault::new(EXPECTED, "")),
        [word] => values::switch(word),
        _ => None,
    };
    if place.scope.mirror.is_some_and(|said| said != on.unwrap_or(true)) {
        let expected = "no MirrorRequest that contradicts another one in the same scope";
        return Err(Fault::new(expected, arguments.trim()));
    }
    if on.is_none() {
        select(place, &words, arguments.trim())?;
    }
    place.scope.mirror = Some(on.unwrap_or(true));
    Ok(())
}

/// Puts the targets that these words name in scope, with the rule that the keys among them make.
fn select(place: &mut Place<'_>, words: &[String], arguments: &str) -> Result<(), Fault> {
    let mut keys = Keys::default();
    let mut names = Vec::new();
    for word in words {
        if is_keyed(word) {
            let known = || RULE_KEYS.iter().map(|(known, ..)| *known).collect();
            let (key, value) = keys.take(word, &known)?;
            keys.set_rule(place, key, value)?;
        } else if values::switch(word).is_some() {
            return Err(Fault::new("On or Off alone, or a list of targets", arguments));
        } else {
            if word.contains([':', '/']) {
                Destination::parse(word).map_err(|expected| Fault::new(expected, word))?;
            }
            names.push(word);
        }
    }
    if names.is_empty() {
        return Err(Fault::new("the URL or name of a target for the rule", arguments));
    }
    names.into_iter().for_each(|name| place.select(name, keys.rule.clone()));
    Ok(())
}

/// Whether a word is a key and its value: no name has a `=`, and no URL one before its `:`.
pub(super) fn is_keyed(word: &str) -> bool {
    word.split_once('=').is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_alphabetic()))
}
