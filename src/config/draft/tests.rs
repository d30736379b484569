//! Configurations as they are read.

use super::*;
use crate::config::policy::Choice;

/// One configuration, each line with the scope it stands in.
#[derive(Default)]
struct Lines {
    draft: Draft,
    scopes: [ScopeSettings; 2],
    server: ServerSettings,
}

impl Lines {
    fn line(&mut self, scope: usize, directive: &str, arguments: &str) -> Result<(), Fault> {
        let origin = Origin { file: "vhost.conf".to_owned(), line: 7, section: None };
        let scope = &mut self.scopes[scope];
        let mut place = Place {
            draft: &mut self.draft,
            scope,
            server: &mut self.server,
            which: None,
            in_section: false,
            origin,
        };
        crate::config::find(directive).unwrap().apply(&mut place, arguments)
    }

    fn names(self, scope: usize) -> Vec<String> {
        let list = self.scopes[scope].list().unwrap();
        let policy = self.draft.resolve().unwrap();
        let name = |choice: &Choice| policy.targets()[choice.target.index()].target.name.clone();
        policy.list(list).iter().map(name).collect()
    }
}

#[test]
fn a_selection_may_stand_before_the_definition_it_names() {
    let mut written = Lines::default();
    written.line(1, "MirrorRequest", "beta http://c").unwrap();
    written.line(0, "CopyTarget", "http://a/ name=alpha").unwrap();
    written.line(0, "CopyTarget", "http://b/ name=beta").unwrap();
    assert_eq!(written.names(1), ["beta", "http://c/"]);
}

#[test]
fn a_url_in_a_selection_is_the_target_defined_with_it() {
    let mut written = Lines::default();
    written.line(0, "CopyTarget", "http://a max=5").unwrap();
    written.line(1, "MirrorRequest", "http://a/ http://a").unwrap();
    assert_eq!(written.names(1), ["http://a/"]);
}

#[test]
fn a_url_in_a_selection_finds_the_target_that_has_a_name() {
    let mut written = Lines::default();
    written.line(0, "CopyTarget", "http://a/ name=alpha max=3").unwrap();
    written.line(1, "MirrorRequest", "http://a").unwrap();
    assert_eq!(written.names(1), ["alpha"]);
    let mut twice = Lines::default();
    twice.line(0, "CopyTarget", "http://a/ name=alpha").unwrap();
    twice.line(0, "CopyTarget", "http://a/ name=beta").unwrap();
    twice.line(1, "MirrorRequest", "http://a/").unwrap();
    assert_eq!(
        twice.draft.resolve().unwrap_err()[0].to_string(),
        "MirrorRequest: expected the name of one of the CopyTargets with this URL, found \
         'http://a/' (vhost.conf:7)"
    );
}

#[test]
fn a_url_that_is_too_long_for_a_name_needs_one() {
    let url = format!("http://a/{}", "x".repeat(250));
    let expected = format!("expected a shorter URL, or a name=, found '{url}'");
    let mut written = Lines::default();
    assert_eq!(written.line(0, "CopyTarget", &url).unwrap_err().to_string(), expected);
    written.line(0, "CopyTarget", &format!("{url} name=short")).unwrap();
    written.line(1, "MirrorRequest", &url).unwrap();
    assert_eq!(written.names(1), ["short"]);
    let mut selected = Lines::default();
    selected.line(0, "MirrorRequest", &url).unwrap();
    assert!(selected.draft.resolve().unwrap_err()[0].to_string().contains(&expected));
}

#[test]
fn the_same_line_twice_is_one_target_and_other_keys_need_another_name() {
    let mut written = Lines::default();
    written.line(0, "CopyTarget", "http://a/ max=5").unwrap();
    written.line(1, "CopyTarget", "http://a/ max=5").unwrap();
    let fault = written.line(1, "CopyTarget", "http://a/ max=6").unwrap_err();
    assert_eq!(
        fault.to_string(),
        "expected a name= of its own where the settings differ, found 'http://a/, which is \
         set otherwise at vhost.conf:7'"
    );
    assert_eq!(written.names(1), ["http://a/"]);
}

#[test]
fn an_unknown_name_is_told_with_its_place() {
    let mut written = Lines::default();
    written.line(0, "MirrorRequest", "beta").unwrap();
    let misfits = written.draft.resolve().unwrap_err();
    assert_eq!(
        misfits[0].to_string(),
        "MirrorRequest: expected On, Off, a URL, or the name of a CopyTarget, found 'beta' \
         (vhost.conf:7)"
    );
}

#[test]
fn more_targets_than_there_are_counters_for_are_refused() {
    let mut written = Lines::default();
    for index in 0..stats::TARGETS {
        written.line(0, "CopyTarget", &format!("http://a/ name=t{index}")).unwrap();
    }
    let fault = written.line(0, "CopyTarget", "http://a/ name=more").unwrap_err();
    assert_eq!(fault.to_string(), "expected at most 128 targets in a configuration, found 'more'");
}

#[test]
fn a_server_mirrors_only_where_some_scope_names_a_target() {
    let mut written = Lines::default();
    written.line(0, "CopyTimeout", "3").unwrap();
    written.line(0, "MirrorRequest", "Off").unwrap();
    assert!(!written.server.mirrors);
    written.line(1, "MirrorRequest", "http://a/").unwrap();
    assert!(written.server.mirrors);
}
