//! The configuration once it is read: every name looked up, and what is wrong told.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

use super::{
    Balancers, Block, Definition, Draft, Logged, Misfit, Origin, Reference, Server, differing,
};
use crate::balancer::Roster;
use crate::comparing::{Asked, Criteria, Limits};
use crate::config::key_file;
use crate::config::policy::{Choice, Policy, Resolved, TargetId};
use crate::config::terms::{Compare, Terms, added};
use crate::config::values::Fault;
use crate::copylog::Medium;
use crate::mask::Masks;
use crate::route::Route;
use crate::select::Rule;
use crate::target::{BalancerUrl, Destination, Scheme, Target, Url};
use crate::tls;

impl Draft {
    /// The same where mod_proxy has no balancer.
    pub fn resolve(self) -> Result<Policy, Vec<Misfit>> {
        self.resolve_among(&|_, _| None)
    }

    /// Looks up every name; the faults are those that `apachectl configtest` is to show.
    pub fn resolve_among(mut self, balancers: &Balancers<'_>) -> Result<Policy, Vec<Misfit>> {
        let mut misfits = Vec::new();
        let mut lists = Vec::with_capacity(self.lists.len());
        for references in std::mem::take(&mut self.lists) {
            let mut list = Vec::with_capacity(references.len());
            for reference in &references {
                match self.choice(reference, &list) {
                    Ok(choice) => list.extend(choice),
                    Err(misfit) => misfits.push(misfit),
                }
            }
            lists.push(list);
        }
        misfits.extend(self.define_controls());
        let mut loader = tls::Loader::default();
        let mut targets = Vec::with_capacity(self.targets.len());
        for defined in &self.targets {
            match self.resolve_one(defined, balancers, &mut loader) {
                Ok(resolved) => targets.push(resolved),
                Err(misfit) => misfits.push(misfit),
            }
        }
        let logs = std::mem::take(&mut self.logs);
        misfits.extend(logs.iter().flatten().filter_map(Draft::misplaced));
        if !misfits.is_empty() {
            return Err(misfits);
        }
        let spec = |Logged { spec, .. }| spec;
        let logs = logs.into_iter().map(|logs| logs.into_iter().map(spec).collect()).collect();
        let lists = (lists, self.asked);
        let policy = Policy::new(targets, lists, logs, self.memory, self.drain_timeout);
        Ok(policy.traced(self.traces).ignoring(self.ignored))
    }

    /// Why a log cannot be written to, as far as `apachectl configtest` can see, whoever calls it.
    fn misplaced(Logged { spec, origin }: &Logged) -> Option<Misfit> {
        let Medium::File(path) = &spec.medium else { return None };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let expected = match fs::metadata(path) {
            Ok(known) if known.is_dir() => "a file, and no directory",
            Ok(known) if known.file_type().is_fifo() || known.file_type().is_socket() => {
                "a file or |program, and no named pipe or socket"
            }
            Err(error) if error.kind() == ErrorKind::NotFound && !folder?.is_dir() => {
                "a file in a directory that is there"
            }
            _ => return None,
        };
        let fault = Fault::new(expected, spec.medium.name());
        Some(Misfit { directive: "CopyLog", fault, origin: origin.to_string() })
    }

    /// What a reference adds to its list: nothing, where that has the target with the same rule already.
    fn choice(&mut self, reference: &Reference, list: &[Choice]) -> Result<Option<Choice>, Misfit> {
        let target = self.look_up(reference)?;
        let own = self.targets.get(target.index()).map(|known| known.rule.clone());
        let own = own.unwrap_or_default();
        let rule = match reference {
            Reference::Defined(_) => own,
            Reference::Named(_, rule, ..) => own.merge(rule),
        };
        match (list.iter().find(|choice| choice.target == target), reference) {
            (None, _) => Ok(Some(Choice { target, rule })),
            (Some(known), Reference::Named(name, _, origin, _)) if known.rule != rule => {
                let fault = Fault::new("one rule for a target in the same scope", name);
                Err(Misfit { directive: "MirrorRequest", fault, origin: origin.to_string() })
            }
            (Some(_), _) => Ok(None),
        }
    }

    fn resolve_one(
        &self,
        defined: &Definition,
        balancers: &Balancers<'_>,
        loader: &mut tls::Loader,
    ) -> Result<Resolved, Misfit> {
        let Definition { target, rule, .. } = defined;
        let terms = self.terms_of(defined)?;
        let route = self.route(defined, &terms.tls, balancers, loader)?;
        let key = || self.mask_key.clone().unwrap_or_else(key_file::chance);
        let masks = (!terms.masks.is_empty()).then(|| Arc::new(Masks::of(&terms.masks, key())));
        let compare = &terms.compare;
        let limits = Limits { block: defined.terms.compare.limit, server: compare.limit };
        let criteria = Criteria::of(&compare.ignored, limits, &compare.thresholds);
        let control = compare.control.as_ref().and_then(|url| self.control(url));
        let mut target = target.clone();
        target.dns_refresh = self.dns_refresh.unwrap_or(target.dns_refresh);
        let (target, rule, criteria) = (Arc::new(target), rule.clone(), Arc::new(criteria));
        Ok(Resolved { target, route, masks, rule, criteria, control })
    }

    /// Makes targets of what `CopyControl` lines name: named by their URLs, and reached as those beside which they get
    /// copies.
    fn define_controls(&mut self) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        for index in 0..self.targets.len() {
            let Some(defined) = self.targets.get(index) else { break };
            let Ok(terms) = self.terms_of(defined) else { continue };
            let Some(url) = terms.compare.control.clone() else { continue };
            let (origin, servers) = (defined.origin.clone(), defined.servers.clone());
            let Target { path, preserve_host, .. } = defined.target;
            let compare = Some(Asked::OFF);
            let target = Target { path, preserve_host, compare, ..Target::at(url) };
            let terms = Terms { compare: Compare::default(), ..terms };
            if let Err(fault) = self.define_control(target, terms, (&origin, servers)) {
                let origin = origin.to_string();
                misfits.push(Misfit { directive: "CopyControl", fault, origin });
            }
        }
        misfits
    }

    fn define_control(
        &mut self,
        target: Target,
        terms: Terms,
        (origin, servers): (&Origin, Vec<Server>),
    ) -> Result<(), Fault> {
        let mut controls = self.targets.iter_mut().filter(|known| known.is_control);
        if let Some(known) = controls.find(|known| known.target.name == target.name) {
            if known.target != target || known.terms.tls != terms.tls {
                let expected = "targets with the same path=, CopyPreserveHost and CopyTLS directives beside one control";
                let found = format!("{}, which is set otherwise at {}", target.name, known.origin);
                return Err(Fault::new(expected, found));
            }
            // With each copy go the masks of its own target. What is told of all of them shows what none hides.
            known.terms.masks = added(&known.terms.masks, &terms.masks);
            known.servers.extend(servers);
            return Ok(());
        }
        if let Some(known) = self.targets.iter().find(|known| known.target.name == target.name) {
            let expected = "a name= of its own for the CopyTarget with the URL of a control";
            let found = format!("{}, which is defined at {}", target.name, known.origin);
            return Err(Fault::new(expected, found));
        }
        let block = Block { target, rule: Rule::default(), terms };
        let first = servers.first().copied().flatten();
        let id = self.define(block, (origin, first))?;
        if let Some(defined) = self.targets.get_mut(id.index()) {
            (defined.servers, defined.is_control) = (servers, true);
        }
        Ok(())
    }

    /// The target that is the control at this URL.
    fn control(&self, url: &Url) -> Option<TargetId> {
        let name = url.to_string();
        let is_meant = |known: &Definition| known.is_control && known.target.name == name;
        self.targets.iter().position(is_meant).map(TargetId::new)
    }

    /// What a target's copies reach it by.
    fn route(
        &self,
        defined: &Definition,
        settings: &tls::Settings,
        balancers: &Balancers<'_>,
        loader: &mut tls::Loader,
    ) -> Result<Route, Misfit> {
        let Definition { target, origin, .. } = defined;
        let misfit = |tls::Fault { directive, what }| Misfit {
            directive,
            fault: Fault::said(what),
            origin: origin.to_string(),
        };
        match &target.destination {
            Destination::Url(url) => {
                let tls = match url.scheme() {
                    Scheme::Http | Scheme::H2c => None,
                    Scheme::Https | Scheme::H2 => Some(loader.load(settings, url).map_err(misfit)?),
                };
                Ok(Route::Direct { url: url.clone(), tls })
            }
            Destination::Balancer(url) => {
                let roster = Draft::roster(defined, url, balancers)?;
                let tls = match loader.load_shared(settings) {
                    // Nothing is said about TLS: perhaps no member speaks it.
                    Err(_) if *settings == tls::Settings::default() => None,
                    loaded => Some(loaded.map_err(misfit)?),
                };
                Ok(Route::Balanced { url: url.clone(), roster, tls })
            }
        }
    }

    /// The balancer that a target names, as the target's server has it.
    fn roster(
        defined: &Definition,
        url: &BalancerUrl,
        balancers: &Balancers<'_>,
    ) -> Result<Arc<dyn Roster>, Misfit> {
        let Definition { target, origin, servers, .. } = defined;
        let misfit = |expected: &'static str| {
            let fault = Fault::new(expected, &target.name);
            Misfit { directive: "CopyTarget", fault, origin: origin.to_string() }
        };
        let Some(server) = servers.first().filter(|first| servers.iter().all(|one| one == *first))
        else {
            let expected = "a name= of its own in each virtual host, for each has a balancer's state of its own";
            return Err(misfit(expected));
        };
        let expected = "a balancer that <Proxy> or ProxyPass defines in this server, with mod_proxy_balancer loaded";
        let roster = balancers(*server, url.name()).ok_or_else(|| misfit(expected))?;
        match roster.stranger() {
            Some(member) => {
                let expected = "a member of the balancer with http:// or https://";
                let fault = Fault::new(expected, &member);
                Err(Misfit { directive: "CopyTarget", fault, origin: origin.to_string() })
            }
            None => Ok(roster),
        }
    }

    /// How copies to a target leave, which is the same in all servers that define it.
    fn terms_of(&self, defined: &Definition) -> Result<Terms, Misfit> {
        let Definition { target, terms, origin, servers, is_control, .. } = defined;
        if *is_control {
            return Ok(terms.clone());
        }
        let written = |which: Server| self.terms.get(&which).cloned().unwrap_or_default();
        let main = written(None);
        let mut all = servers.iter().map(|server| match server {
            None => main.merge(terms),
            vhost => main.merge(&written(*vhost)).merge(terms),
        });
        let first = all.next().unwrap_or_default();
        let misfit = |fault| Misfit { directive: "CopyTarget", fault, origin: origin.to_string() };
        if !all.all(|other| other == first) {
            return Err(misfit(differing(target.name.clone(), origin)));
        }
        // A virtual host that names no target inherits those of the main server, and its terms would not
        // hold for them: what it hides would be shown.
        let adds = |server: &Server, own: &Terms| {
            let inherits = server.is_some() && !self.naming.contains(server);
            inherits && main.merge(own).merge(terms) != first
        };
        if servers.contains(&None) && self.terms.iter().any(|(server, own)| adds(server, own)) {
            let expected = "no virtual host that inherits this target and has CopyMask, CopyTLS or CopyCompare directives of \
                            its own: it needs a CopyTarget with a name= of its own";
            return Err(misfit(Fault::new(expected, &target.name)));
        }
        Ok(first)
    }

    fn look_up(&mut self, reference: &Reference) -> Result<TargetId, Misfit> {
        let (name, origin, server) = match reference {
            Reference::Defined(id) => return Ok(*id),
            Reference::Named(name, _, origin, server) => (name, origin, *server),
        };
        let url = Destination::parse(name).ok();
        let misfit =
            |fault| Misfit { directive: "MirrorRequest", fault, origin: origin.to_string() };
        let is_meant = |target: &Target| match &url {
            Some(url) => target.destination == *url,
            None => target.name == *name,
        };
        let targets = self.targets.iter().enumerate();
        let mut meant =
            targets.filter(|(_, known)| is_meant(&known.target)).map(|(index, _)| index);
        match (meant.next(), meant.next(), url) {
            (Some(index), None, _) => {
                if let Some(known) = self.targets.get_mut(index) {
                    known.servers.push(server);
                }
                Ok(TargetId::new(index))
            }
            (Some(_), Some(_), _) => {
                let expected = "the name of one of the CopyTargets with this URL";
                Err(misfit(Fault::new(expected, name)))
            }
            (None, _, Some(url)) => {
                let (target, rule, terms) = (Target::at(url), Rule::default(), Terms::default());
                self.define(Block { target, rule, terms }, (origin, server)).map_err(misfit)
            }
            (None, _, None) => {
                let expected = "On, Off, a URL, or the name of a CopyTarget";
                Err(misfit(Fault::new(expected, name)))
            }
        }
    }
}
