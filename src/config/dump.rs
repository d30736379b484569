//! `httpd -t -D DUMP_COPY`: what holds in each server and section, to which targets it copies, and where that is
//! written. One fact a line, its origin in parentheses at the end; what is indented belongs to the line above.

use std::fmt::Write;

use super::directives::{Context, DIRECTIVES, Directive};
use super::draft::{Origin, Server};
use super::lines::TARGET_KEYS;
use super::policy::{Choice, Policy, Resolved};
use super::rules::RULE_KEYS;
use super::settings::ScopeSettings;
use super::values::without_password;
use super::written::{Line, Section, adds_up, defaults, key_default, names_targets};
use crate::target::Destination;

/// A server, or a virtual host, as httpd has it.
#[derive(Debug)]
pub struct Host {
    /// Which one.
    pub server: Server,
    /// Its addresses, its name, and where it is written.
    pub title: String,
    /// What holds in it, outside of sections.
    pub settings: ScopeSettings,
    /// mod_proxy's directives that are written for it, with their values.
    pub proxy: Vec<(&'static str, String)>,
}

/// What is written, and what it came to.
pub struct Dump<'a> {
    /// Every directive of the module, in the order in which they were read.
    pub lines: &'a [Line],
    /// What they came to.
    pub policy: &'a Policy,
    /// mod_proxy's directives that are written in a section.
    pub proxys: &'a dyn Fn(&Section) -> Vec<(&'static str, String)>,
}

/// Where something is written, at the end of a line.
const DEFAULT: &str = "default";

impl Dump<'_> {
    /// All of it, for a terminal; the first host is the main server.
    pub fn text(&self, hosts: &[Host]) -> String {
        let mut page = Page::default();
        page.line(0, "mod_copy configuration:");
        for host in hosts {
            self.host(&mut page, host);
        }
        for (id, known) in self.policy.identified() {
            let beside = self.policy.targets().iter().filter(|other| other.control == Some(id));
            let beside: Vec<&str> = beside.map(|other| other.target.name.as_str()).collect();
            match beside.is_empty() {
                true => self.target(&mut page, known),
                false => self.control(&mut page, known, &beside),
            }
        }
        page.0
    }

    fn host(&self, page: &mut Page, host: &Host) {
        page.line(0, &host.title);
        let own = |line: &&Line| line.server == host.server;
        let copies = self.lines.iter().filter(own).any(|line| line.scope.list().is_some());
        if host.server.is_some() && !copies && host.settings.list().is_none() {
            return page.line(1, "copies nothing");
        }
        for directive in &DIRECTIVES {
            let here = host.server.is_none() || directive.context != Context::Server;
            if here && !names_targets(directive) {
                self.value(page, directive, host);
            }
        }
        self.copies(page, 1, host.settings, (host.server, None));
        for section in self.sections(host.server) {
            self.section(page, host, section);
        }
    }

    /// What a directive comes to in a server.
    fn value(&self, page: &mut Page, directive: &'static Directive, host: &Host) {
        let scopes = self.scopes((host.server, None));
        let mut lines: Vec<&Line> = scopes.into_iter().rev().flatten().collect();
        lines.retain(|line| line.directive.name == directive.name);
        if page.written(1, directive, &lines) {
            return;
        }
        let (theirs, ours) = defaults(directive);
        let name = directive.name.to_string_lossy();
        let proxys = host.proxy.iter().find(|(proxys, _)| Some(*proxys) == theirs);
        match proxys {
            Some((proxys, value)) => page.fact(1, &format!("{name} {value}"), proxys),
            None if ours.is_empty() => {}
            None => page.fact(1, &format!("{name} {ours}"), DEFAULT),
        }
    }

    fn section(&self, page: &mut Page, host: &Host, section: &Section) {
        page.fact(1, &section.title, &section.at);
        let scopes = self.scopes((host.server, Some(section)));
        let proxys = (self.proxys)(section);
        for directive in DIRECTIVES.iter().filter(|directive| !names_targets(directive)) {
            let of = |line: &&Line| line.directive.name == directive.name;
            let here = scopes.first().into_iter().flatten().copied().filter(of).collect::<Vec<_>>();
            let theirs = defaults(directive).0;
            let proxys = proxys.iter().find(|(proxys, _)| Some(*proxys) == theirs);
            // Ours goes before theirs, wherever in the scope it is written.
            let is_ours = page.written(2, directive, &here) || scopes.iter().flatten().any(of);
            if let Some((proxys, value)) = proxys.filter(|_| !is_ours) {
                page.fact(2, &format!("{} {value}", directive.name.to_string_lossy()), proxys);
            }
        }
        let sections = scopes.iter().take(1 + section.within.len()).rev();
        let written = sections.filter_map(|lines| lines.last());
        let settings = written.fold(host.settings, |outer, line| outer.merge(&line.scope));
        self.copies(page, 2, settings, (host.server, Some(section)));
    }

    /// The targets that a scope's requests go to, with the rules that hold there.
    fn copies(&self, page: &mut Page, indent: usize, settings: ScopeSettings, scope: Scope<'_>) {
        let choices = settings.list().map(|list| self.policy.list(list)).unwrap_or_default();
        if choices.is_empty() {
            return page.line(indent, "copies nothing");
        }
        if !settings.is_on() {
            let off = self.outwards(scope, |line| line.switches());
            let origin = off.map(|line| line.origin.to_string()).unwrap_or_default();
            return page.fact(indent, "copies nothing: MirrorRequest Off", &origin);
        }
        for choice in choices {
            if let Some(known) = self.policy.targets().get(choice.target.index()) {
                self.choice(page, indent, (known, choice), scope);
            }
        }
    }

    fn choice(
        &self,
        page: &mut Page,
        indent: usize,
        (known, choice): (&Resolved, &Choice),
        scope: Scope<'_>,
    ) {
        let target = &known.target;
        let chosen = self.outwards(scope, |line| line.selects(&target.name, &target.destination));
        let defined = self.definition(&target.name, scope.0);
        // A scope's own selection goes before what it, or a scope around it, defines.
        let lines = [chosen, defined];
        let origin = lines.iter().flatten().next().map(|line| &line.origin);
        page.at(indent, &format!("copies to {}", target.name), origin);
        let has_condition = |line: &Line| ["env", "expr"].iter().any(|key| line.key(key).is_some());
        for (key, ..) in RULE_KEYS {
            let is_condition = ["env", "expr"].contains(&key);
            let holds = |line: &&&Line| match is_condition {
                true => has_condition(line),
                false => line.key(key).is_some(),
            };
            let line = lines.iter().flatten().find(holds);
            if let Some((line, value)) = line.and_then(|line| Some((line, line.key(key)?))) {
                page.at(indent + 1, &format!("{key}={value}"), Some(&line.origin));
            }
        }
        if choice.rule.is_open() {
            page.fact(indent + 1, "every request", DEFAULT);
        }
    }

    /// A target, with what is set for it alone: the rest is as its requests' server has it.
    fn target(&self, page: &mut Page, known: &Resolved) {
        let target = &known.target;
        let defined = self.definition(&target.name, None);
        let selected =
            || self.lines.iter().find(|line| line.selects(&target.name, &target.destination));
        let origin = defined.or_else(selected).map(|line| &line.origin);
        let url = Some(target.destination.to_string()).filter(|url| *url != target.name);
        let url = url.map(|url| format!(" {url}")).unwrap_or_default();
        page.at(0, &format!("target {}{url}", target.name), origin);
        let server = defined.and_then(|line| line.server);
        let in_block =
            |line: &&Line| line.block.as_ref() == Some(&target.name) && line.server == server;
        let block: Vec<&Line> = self.lines.iter().filter(in_block).collect();
        for (key, _, default, _) in TARGET_KEYS.iter().filter(|(key, ..)| *key != "name") {
            let written = defined.and_then(|line| Some((line, line.key(key)?)));
            match (written, key_default(default)) {
                (Some((line, value)), _) => {
                    page.at(1, &format!("{key}={value}"), Some(&line.origin));
                }
                (None, Ok("") | Err(_)) => {}
                (None, Ok(default)) => page.fact(1, &format!("{key}={default}"), DEFAULT),
            }
        }
        for directive in DIRECTIVES.iter().filter(|directive| directive.in_block) {
            let of = |line: &&&Line| line.directive.name == directive.name;
            page.written(1, directive, &block.iter().filter(of).copied().collect::<Vec<_>>());
        }
        if target.edits.is_some() {
            page.at(1, "RequestHeader changes its copies", origin);
        }
        if let Some(masks) = &known.masks {
            page.line(1, &format!("masks of {} rules", masks.len()));
        }
    }

    /// A control, of which nothing is set but the targets beside which it gets their copies.
    fn control(&self, page: &mut Page, known: &Resolved, beside: &[&str]) {
        let destination = &known.target.destination;
        let names =
            |word: &String| Destination::parse(word).is_ok_and(|named| named == *destination);
        let is = |line: &&Line| line.is("CopyControl") && line.words().iter().any(names);
        let origin = self.lines.iter().find(is).map(|line| &line.origin);
        page.at(0, &format!("control {destination} beside {}", beside.join(", ")), origin);
    }

    /// The line that defines a target: in this server, or wherever else.
    fn definition(&self, name: &str, server: Server) -> Option<&Line> {
        let defines = |line: &&Line| line.defines().is_some_and(|defined| defined == name);
        let mut lines = self.lines.iter().filter(defines);
        let near = lines.clone().find(|line| line.server == server);
        near.or_else(|| lines.next())
    }

    /// The last line of the kind in the innermost scope that has one.
    fn outwards(&self, scope: Scope<'_>, is: impl Fn(&Line) -> bool) -> Option<&Line> {
        for lines in self.scopes(scope) {
            if let Some(line) = lines.iter().rev().find(|line| is(line)) {
                return Some(line);
            }
            // Whoever names targets inherits none, and copies to them.
            if lines.iter().any(|line| line.names_targets() && !line.switches()) {
                return None;
            }
        }
        None
    }

    /// The lines of a scope, and of those around it, outwards up to the main server.
    fn scopes(&self, (server, section): Scope<'_>) -> Vec<Vec<&Line>> {
        let around = section.map(|section| section.within.as_slice()).unwrap_or_default();
        let sections = section.map(|section| section.id).into_iter().chain(around.iter().copied());
        let mut scopes: Vec<_> = sections.map(|id| self.of(server, Some(id))).collect();
        scopes.push(self.of(server, None));
        if server.is_some() {
            scopes.push(self.of(None, None));
        }
        scopes
    }

    /// The lines of one scope, outside of blocks.
    fn of(&self, server: Server, section: Option<usize>) -> Vec<&Line> {
        let here = |line: &&Line| {
            let own = line.origin.section.as_ref().map(|section| section.id);
            line.server == server && line.block.is_none() && own == section
        };
        self.lines.iter().filter(here).collect()
    }

    fn sections(&self, server: Server) -> Vec<&Section> {
        let mut sections: Vec<&Section> = Vec::new();
        for line in self.lines.iter().filter(|line| line.server == server) {
            let new = line.origin.section.as_deref().filter(|section| !sections.contains(section));
            sections.extend(new);
        }
        sections
    }
}

/// A server, and perhaps a section in it.
type Scope<'a> = (Server, Option<&'a Section>);

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        let text: String = text.chars().filter(|shown| !shown.is_control()).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{:1$}{text}", "", 2 * indent);
    }

    fn fact(&mut self, indent: usize, text: &str, origin: &str) {
        self.line(indent, &format!("{} ({origin})", without_password(text)));
    }

    fn at(&mut self, indent: usize, text: &str, origin: Option<&Origin>) {
        match origin {
            Some(origin) => self.fact(indent, text, &origin.to_string()),
            None => self.line(indent, &without_password(text)),
        }
    }

    /// What these lines of a directive come to; whether there is any.
    fn written(&mut self, indent: usize, directive: &Directive, lines: &[&Line]) -> bool {
        let all = if adds_up(directive) {
            lines
        } else {
            lines.last_chunk::<1>().map_or(&[][..], |last| last)
        };
        for line in all {
            let name = directive.name.to_string_lossy();
            self.at(indent, &format!("{name} {}", line.arguments.trim()), Some(&line.origin));
        }
        !all.is_empty()
    }
}
