//! Settings as written, one value or none each, and how an inner scope's go before an outer's.

use std::time::Duration;

use crate::comparing::InScope;
use crate::copylog::Logs;
use crate::target::Limits;

/// The list of targets that a scope names, in the [`Draft`](super::draft::Draft) or the
/// [`Policy`](super::policy::Policy).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListId(pub(super) u32);

/// The `CopyTraceHeader` of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traced {
    /// `Off`
    Off,
    /// The one at this place among those of the [`Draft`](super::draft::Draft) or the
    /// [`Policy`](super::policy::Policy).
    By(u32),
}

/// What is written in a server, a virtual host or a `<Directory>`-like section.
///
/// Plain data: httpd merges it for each request, into memory that it frees without telling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeSettings {
    /// The targets of the scope's `CopyTarget` lines.
    pub(super) defined: Option<ListId>,
    /// The targets of its `MirrorRequest` lines, which go before.
    pub(super) selected: Option<ListId>,
    /// `MirrorRequest On` or `Off`.
    pub(super) mirror: Option<bool>,
    pub(super) preserve_host: Option<bool>,
    pub(super) add_headers: Option<bool>,
    pub(super) trace: Option<Traced>,
    pub(super) body_limit: Option<usize>,
    pub(super) manager_open: Option<bool>,
    pub(super) compare: InScope,
}

/// `CopyBodyLimit` where none is written.
pub const BODY_LIMIT: usize = 1 << 20;

impl ScopeSettings {
    /// What holds inside `self` for whoever is in `inner` too.
    ///
    /// A scope that names targets replaces those it would inherit, and mirrors unless it says
    /// otherwise itself; every other setting goes value by value. Merging is associative: httpd
    /// joins sections with each other before it joins them with their server.
    pub fn merge(&self, inner: &ScopeSettings) -> ScopeSettings {
        let inherited = if inner.list().is_some() { Some(true) } else { self.mirror };
        ScopeSettings {
            defined: None,
            selected: inner.list().or(self.list()),
            mirror: inner.mirror.or(inherited),
            preserve_host: inner.preserve_host.or(self.preserve_host),
            add_headers: inner.add_headers.or(self.add_headers),
            trace: inner.trace.or(self.trace),
            body_limit: inner.body_limit.or(self.body_limit),
            manager_open: inner.manager_open.or(self.manager_open),
            compare: self.compare.merge(&inner.compare),
        }
    }

    /// The targets in scope, mirrored to or not.
    pub fn list(&self) -> Option<ListId> {
        self.selected.or(self.defined)
    }

    /// Whether requests are copied to the targets in scope.
    pub fn is_on(&self) -> bool {
        self.mirror.unwrap_or(true)
    }

    /// `CopyPreserveHost`, if written.
    pub fn preserve_host(&self) -> Option<bool> {
        self.preserve_host
    }

    /// `CopyAddHeaders`.
    pub fn add_headers(&self) -> bool {
        self.add_headers.unwrap_or(true)
    }

    /// `CopyTraceHeader`, if one holds.
    #[inline]
    pub fn trace(&self) -> Option<Traced> {
        self.trace
    }

    /// `CopyManagerOpen`.
    pub fn is_manager_open(&self) -> bool {
        self.manager_open.unwrap_or(false)
    }

    /// What it says of comparisons.
    pub fn compare(&self) -> InScope {
        self.compare
    }

    /// `CopyBodyLimit` in bytes.
    pub fn body_limit(&self) -> usize {
        self.body_limit.unwrap_or(BODY_LIMIT)
    }
}

/// What is written for a whole server or virtual host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    pub(super) timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) receive_buffer: Option<u32>,
    /// Some scope in it names targets.
    pub(super) mirrors: bool,
    /// Some section in it has a directive of ours: the server alone does not tell a request's scope.
    pub(super) sections: bool,
    /// The largest `CopyBodyLimit` in it.
    pub(super) largest_body: Option<usize>,
    /// Its `CopyLog` lines, which go before those of the main server.
    pub(super) logs: Option<Logs>,
}

/// What mod_proxy has for a server, if anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyDefaults {
    /// `ProxyTimeout`
    pub timeout: Option<Duration>,
    /// `ProxyReceiveBufferSize`
    pub receive_buffer: Option<u32>,
}

impl ServerSettings {
    /// What holds in the virtual host `inner` of the main server `self`.
    pub fn merge(&self, inner: &ServerSettings) -> ServerSettings {
        ServerSettings {
            timeout: inner.timeout.or(self.timeout),
            connect_timeout: inner.connect_timeout.or(self.connect_timeout),
            receive_buffer: inner.receive_buffer.or(self.receive_buffer),
            mirrors: inner.mirrors || self.mirrors,
            sections: inner.sections || self.sections,
            largest_body: inner.largest_body.max(self.largest_body),
            logs: inner.logs.or(self.logs),
        }
    }

    /// Resolves the settings.
    pub fn resolve(&self, proxy: ProxyDefaults) -> ServerPolicy {
        ServerPolicy {
            mirrors: self.mirrors,
            has_sections: self.sections,
            limits: Limits {
                timeout: self.timeout.or(proxy.timeout).unwrap_or(Duration::from_secs(5)),
                connect_timeout: self.connect_timeout.unwrap_or(Duration::from_secs(1)),
                receive_buffer: self.receive_buffer.or(proxy.receive_buffer).unwrap_or(0),
            },
            logs: self.logs.filter(|logs| logs.of_copies),
            comparison_logs: self.logs.filter(|logs| logs.of_comparisons),
            noted: false,
            capture_limit: self.largest_body.unwrap_or(0).max(BODY_LIMIT),
        }
    }
}

/// What holds for a whole server or virtual host, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerPolicy {
    /// Whether any scope in it names targets: where none does, the module does nothing.
    pub mirrors: bool,
    /// Whether a request's scope may differ from its server's own.
    pub has_sections: bool,
    limits: Limits,
    /// Where its copies are logged, if anywhere.
    pub logs: Option<Logs>,
    /// Where the comparisons of their answers are, if anywhere.
    pub comparison_logs: Option<Logs>,
    /// Whether some log of httpd's asks for a request's notes.
    pub noted: bool,
    /// How much of a body is captured before its scope is known.
    pub capture_limit: usize,
}

impl ServerPolicy {
    /// The limits of this server's copies, where [the target](crate::target::Target::limits) has none of its own.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Target, Url};

    const A: Option<ListId> = Some(ListId(1));
    const B: Option<ListId> = Some(ListId(2));

    fn scope(list: Option<ListId>, mirror: Option<bool>) -> ScopeSettings {
        ScopeSettings { defined: list, mirror, ..ScopeSettings::default() }
    }

    #[test]
    fn a_scope_with_targets_of_its_own_replaces_those_it_would_inherit() {
        let merged = scope(A, None).merge(&scope(B, None));
        assert_eq!((merged.list(), merged.is_on()), (B, true));
        let merged = scope(A, Some(false)).merge(&scope(B, None));
        assert_eq!((merged.list(), merged.is_on()), (B, true));
        let merged = scope(A, None).merge(&scope(None, None));
        assert_eq!((merged.list(), merged.is_on()), (A, true));
    }

    #[test]
    fn mirror_request_switches_what_is_in_scope() {
        let off = scope(A, None).merge(&scope(None, Some(false)));
        assert_eq!((off.list(), off.is_on()), (A, false));
        let on_again = off.merge(&scope(None, Some(true)));
        assert_eq!((on_again.list(), on_again.is_on()), (A, true));
        assert!(
            !scope(A, Some(false)).is_on(),
            "Off beside a CopyTarget defines without mirroring"
        );
    }

    #[test]
    fn a_selection_goes_before_what_the_same_scope_defines() {
        let both = ScopeSettings { selected: B, ..scope(A, None) };
        assert_eq!(both.list(), B);
        assert_eq!(scope(A, None).merge(&both).list(), B);
    }

    #[test]
    fn all_but_the_targets_goes_value_by_value() {
        let outer = ScopeSettings {
            preserve_host: Some(true),
            add_headers: Some(false),
            trace: Some(Traced::By(1)),
            body_limit: Some(1),
            manager_open: Some(true),
            ..scope(A, None)
        };
        let values = |settings: &ScopeSettings| {
            let ScopeSettings {
                preserve_host, add_headers, trace, body_limit, manager_open, ..
            } = *settings;
            (preserve_host, add_headers, body_limit, manager_open, trace)
        };
        for inner in [
            ScopeSettings { preserve_host: Some(false), ..ScopeSettings::default() },
            ScopeSettings { add_headers: Some(true), ..ScopeSettings::default() },
            ScopeSettings { trace: Some(Traced::Off), ..ScopeSettings::default() },
            ScopeSettings { body_limit: Some(2), ..ScopeSettings::default() },
            ScopeSettings { manager_open: Some(false), ..ScopeSettings::default() },
            // Targets of its own replace those of the outer scope, and nothing else.
            scope(B, None),
        ] {
            let (was, own) = (values(&outer), values(&inner));
            let expected = (
                own.0.or(was.0),
                own.1.or(was.1),
                own.2.or(was.2),
                own.3.or(was.3),
                own.4.or(was.4),
            );
            let merged = outer.merge(&inner);
            assert_eq!(values(&merged), expected);
            assert_eq!(merged.list(), inner.list().or(A));
        }
    }

    #[test]
    fn merging_is_associative() {
        let lists = [None, A, B];
        let switches = [None, Some(true), Some(false)];
        let all: Vec<ScopeSettings> =
            lists.into_iter().flat_map(|list| switches.map(|mirror| scope(list, mirror))).collect();
        for a in &all {
            for b in &all {
                for c in &all {
                    let left = a.merge(b).merge(c);
                    let right = a.merge(&b.merge(c));
                    assert_eq!((left.list(), left.is_on()), (right.list(), right.is_on()));
                }
            }
        }
    }

    #[test]
    fn the_target_goes_before_the_server_and_the_server_before_mod_proxy() {
        let written = ServerSettings {
            timeout: Some(Duration::from_secs(7)),
            receive_buffer: Some(700),
            ..ServerSettings::default()
        };
        let proxy =
            ProxyDefaults { timeout: Some(Duration::from_secs(9)), receive_buffer: Some(900) };
        let server = Target::at(Url::parse("http://staging/").unwrap());
        let own = Target {
            timeout: Some(Duration::from_secs(8)),
            receive_buffer: Some(0),
            ..server.clone()
        };
        for (settings, proxy, target, expected) in [
            (written, proxy, &own, (8, 0)),
            (written, proxy, &server, (7, 700)),
            (ServerSettings::default(), proxy, &server, (9, 900)),
            (ServerSettings::default(), ProxyDefaults::default(), &server, (5, 0)),
        ] {
            let limits = target.limits(settings.resolve(proxy).limits());
            assert_eq!((limits.timeout.as_secs(), limits.receive_buffer), expected);
        }
    }
}
