//! Configuration: the directives, and the passage from draft to policy.

use std::borrow::Cow;
use std::ffi::{OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use once_cell::sync::Lazy;

use super::guard::{count_panics_in, guard};
use super::{
    balancer, copylog, dump, edit, expr, ffi, kept, log, open, pool, proxy, segment, shelf, threads,
};
use crate::boundary::Boundary;
use crate::clock;
use crate::comparing::Shelf;
use crate::config::{
    Context, Directive, Draft, Dump, Fault, Host, Line, Origin, Place, Policy, Resolved,
    ScopeSettings, Section, without_password,
};
use crate::copylog::Output;
use crate::edit::Edits;
use crate::forward;
use crate::stats::{Segment, Slot};

/// All that a generation of children works by.
#[derive(Debug)]
pub struct Generation {
    pub policy: Arc<Policy>,
    pub segment: Segment,
    /// Where reports of comparisons are, if there ever were any.
    pub shelf: Option<Shelf>,
    /// The counters of each target, in the policy's order.
    pub slots: Vec<Slot>,
    /// The expressions of its rules, in the order of their places.
    pub expressions: Vec<expr::Parsed>,
    /// Its logs, in the order of the policy's; `None` for each that could not be opened.
    pub logs: Vec<Vec<Option<Output>>>,
    /// What its blocks change in copies' fields, in the order of their places.
    pub edits: Vec<edit::Lines>,
}

impl Generation {
    /// The targets whose sample pressure may lower.
    pub fn adapting(&self) -> impl Iterator<Item = Slot> {
        let slots = self.slots.iter().zip(self.policy.adapting());
        slots.filter(|(_, adapts)| *adapts).map(|(slot, _)| *slot)
    }
}

/// The configuration that is being read. Only the parent, with one thread, reads one.
static DRAFT: Lazy<Mutex<Draft>> = Lazy::new(Mutex::default);
/// The configuration that was read and found right.
static CHECKED: Mutex<Option<Policy>> = Mutex::new(None);
/// Its lines, where they are to be printed.
static WRITTEN: Mutex<Vec<Line>> = Mutex::new(Vec::new());
/// The configuration in force; owned by `pconf`.
static GENERATION: AtomicPtr<Generation> = AtomicPtr::new(ptr::null_mut());

/// The configuration in force, if one was completed.
pub fn generation() -> Option<&'static Generation> {
    // SAFETY: NULL, or what `complete` gave to pconf: it lives until the next configuration, and in
    // a child as long as the process.
    unsafe { GENERATION.load(Ordering::Acquire).as_ref() }
}

/// What a directive is answered that met a fault of ours.
const FAULT: &str = "a fault of mod_copy was caught";

/// Every directive comes here; which one it is stands in `cmd->info`.
pub unsafe extern "C" fn directive(
    cmd: *mut ffi::cmd_parms,
    scope: *mut c_void,
    arguments: *const c_char,
) -> *const c_char {
    // SAFETY: httpd passes its record of the directive, of which nobody else knows.
    let parameters = unsafe { &*cmd };
    // SAFETY: the command table has a directive of the static table there.
    let directive = unsafe { &*parameters.info.cast::<Directive>() };
    let forbidden = match directive.context {
        // Whatever is met in a block was looked at when the block began.
        _ if lock(&DRAFT).has_block() => 0,
        Context::Server => ffi::GLOBAL_ONLY | ffi::NOT_IN_HTACCESS,
        Context::VirtualHost => ffi::NOT_IN_DIR_CONTEXT | ffi::NOT_IN_HTACCESS,
        Context::Directory => ffi::NOT_IN_LIMIT | ffi::NOT_IN_HTACCESS,
    };
    // SAFETY: httpd's own record.
    let misplaced = unsafe { ffi::ap_check_cmd_context(cmd, forbidden) };
    if !misplaced.is_null() {
        return misplaced;
    }
    // SAFETY: a text of httpd's that outlives this call.
    let arguments = String::from_utf8_lossy(unsafe { pool::bytes(arguments) });
    // SAFETY: what httpd passed.
    unsafe { read(cmd, scope, |place| directive.apply(place, &arguments)) }
}

/// The end of a target's block.
///
/// # Safety
///
/// `cmd` is httpd's record of the block, and `scope` what it passed with it.
pub unsafe fn close_block(cmd: *mut ffi::cmd_parms, scope: *mut c_void) -> *const c_char {
    // SAFETY: the caller vouches for both.
    unsafe { read(cmd, scope, |place| place.close()) }
}

/// Takes note that the target's block changes fields.
pub fn edits(edits: Edits) {
    lock(&DRAFT).edits(edits);
}

/// Forgets a target's block that is not right.
pub fn abandon_block() {
    lock(&DRAFT).abandon_block();
}

/// Takes a directive into the configuration; NULL, or what is wrong with it.
unsafe fn read(
    cmd: *mut ffi::cmd_parms,
    scope: *mut c_void,
    apply: impl FnOnce(&mut Place<'_>) -> Result<(), Fault>,
) -> *const c_char {
    // SAFETY: the caller passes httpd's record, of which nobody else knows.
    let parameters = unsafe { &*cmd };
    // SAFETY: the command table has a directive of the static table there.
    let directive = unsafe { &*parameters.info.cast::<Directive>() };
    let message = guard(Boundary::Directive, Some(FAULT.to_owned()), || {
        // SAFETY: the scope is what `create_scope` made for the section around the directive.
        let scope = unsafe { scope.cast::<ScopeSettings>().as_mut() };
        // SAFETY: the server that the directive is for, whose settings nobody else looks at now.
        let server = unsafe { kept::server_settings(parameters.server) };
        let (Some(scope), Some(server)) = (scope, server) else { return Some(FAULT.to_owned()) };
        let mut draft = lock(&DRAFT);
        // httpd has a path for whatever stands in a section; a block is none.
        let in_section = !parameters.path.is_null() && !draft.has_block();
        let mut place = Place {
            draft: &mut draft,
            scope,
            server,
            // SAFETY: the server that the directive is for.
            which: unsafe { which(parameters.server) },
            in_section,
            // SAFETY: httpd's node of the directive.
            origin: unsafe { origin(parameters.directive, parameters.context) },
        };
        // SAFETY: httpd's node of the directive, and its pool for this configuration.
        unsafe { hide_password(parameters.directive, parameters.pool) };
        let applied = apply(&mut place).map_err(|fault| fault.to_string()).and_then(|()| {
            // SAFETY: httpd's record of this directive.
            unsafe { expr::parse(cmd, draft.expressions()) }
        });
        let name = directive.name.to_string_lossy();
        applied.err().map(|fault| format!("{name}: {fault}"))
    });
    match message {
        None => ptr::null(),
        // SAFETY: httpd's pool for this configuration.
        Some(message) => unsafe { pool::text(parameters.pool, &message) },
    }
}

/// Takes a password out of the tree of the configuration, which pages of other modules' show.
unsafe fn hide_password(directive: *mut ffi::ap_directive_t, pool: *mut ffi::apr_pool_t) {
    // SAFETY: the caller passes NULL or a node of httpd's configuration tree, which only this thread uses.
    let Some(directive) = (unsafe { directive.as_mut() }) else { return };
    // SAFETY: NULL or a text that lives as long as the tree.
    let arguments = String::from_utf8_lossy(unsafe { pool::bytes(directive.args) });
    if let Cow::Owned(shown) = without_password(&arguments) {
        // SAFETY: the pool lives as long as the tree.
        directive.args = unsafe { pool::text(pool, &shown) };
    }
}

/// Which server it is, for as long as a configuration is read.
pub unsafe fn which(server: *const ffi::server_rec) -> Option<usize> {
    // SAFETY: the caller passes a server of httpd's.
    let is_virtual = unsafe { (*server).is_virtual } != 0;
    is_virtual.then(|| server.addr())
}

unsafe fn origin(
    directive: *const ffi::ap_directive_t,
    settings: *const ffi::ap_conf_vector_t,
) -> Origin {
    // SAFETY: the caller passes NULL or a node of httpd's configuration tree.
    let Some(directive) = (unsafe { directive.as_ref() }) else {
        return Origin::default();
    };
    // SAFETY: NULL or a text that lives as long as the tree.
    let file = unsafe { pool::bytes(directive.filename) };
    Origin {
        file: String::from_utf8_lossy(file).into_owned(),
        line: u32::try_from(directive.line_num).unwrap_or_default(),
        // SAFETY: a node of httpd's configuration tree.
        section: unsafe { section(directive.parent, settings.expose_provenance()) }.map(Arc::new),
    }
}

/// The sections around a directive: all but the virtual host, and a target's block.
unsafe fn section(innermost: *const ffi::ap_directive_t, settings: usize) -> Option<Section> {
    let mut section: Option<Section> = None;
    let mut next = innermost;
    // SAFETY: the caller passes NULL or a node of httpd's configuration tree, whose root has no parent.
    while let Some(around) = unsafe { next.as_ref() } {
        // SAFETY: texts that live as long as the tree.
        let name = unsafe { pool::bytes(around.directive) };
        // SAFETY: as above.
        let arguments = unsafe { pool::bytes(around.args) };
        let is_scope = ["<virtualhost", "<copytarget"]
            .iter()
            .all(|other| !name.eq_ignore_ascii_case(other.as_bytes()));
        if is_scope {
            let name = String::from_utf8_lossy(name);
            let title = format!("{name} {}", String::from_utf8_lossy(arguments).trim());
            let id = next.addr();
            section = Some(match section {
                Some(mut inner) => {
                    inner.within.push(id);
                    Section { title: format!("{title} {}", inner.title), ..inner }
                }
                None => Section { title, at: place(around), id, within: Vec::new(), settings },
            });
        }
        next = around.parent;
    }
    section
}

/// The file and line of a node of httpd's configuration tree.
fn place(directive: &ffi::ap_directive_t) -> String {
    // SAFETY: NULL or a text that lives as long as the tree.
    let file = unsafe { pool::bytes(directive.filename) };
    format!("{}:{}", String::from_utf8_lossy(file), directive.line_num)
}

/// `pre_config`: forgets what an earlier reading left.
pub unsafe extern "C" fn begin(
    _: *mut ffi::apr_pool_t,
    _: *mut ffi::apr_pool_t,
    _: *mut ffi::apr_pool_t,
) -> c_int {
    guard(Boundary::PreConfig, ffi::HOOK_OK, || {
        // SAFETY: httpd sets it before it reads any directive, and only this thread runs.
        let root = unsafe { ffi::ap_server_root };
        // SAFETY: a text of httpd's.
        let root = OsStr::from_bytes(unsafe { pool::bytes(root) });
        *lock(&DRAFT) = Draft::in_server_root(root.into());
        *lock(&CHECKED) = None;
        lock(&WRITTEN).clear();
        expr::take();
        edit::take();
        GENERATION.store(ptr::null_mut(), Ordering::Release);
        ffi::HOOK_OK
    })
}

/// `check_config`: looks up what directives name; `apachectl configtest` gets this far.
pub unsafe extern "C" fn check(
    _: *mut ffi::apr_pool_t,
    _: *mut ffi::apr_pool_t,
    _: *mut ffi::apr_pool_t,
    main: *mut ffi::server_rec,
) -> c_int {
    guard(Boundary::CheckConfig, ffi::HTTP_INTERNAL_SERVER_ERROR as c_int, || {
        let mut draft = std::mem::take(&mut *lock(&DRAFT));
        let lines = draft.take_lines();
        if dump::is_asked() {
            *lock(&WRITTEN) = lines;
        }
        proxy::find();
        edit::find();
        // SAFETY: httpd's main server; modules have been found.
        let balancers = |which, name: &str| unsafe { balancer::find(main, which, name) };
        match draft.resolve_among(&balancers) {
            Ok(policy) => {
                *lock(&CHECKED) = Some(policy);
                ffi::HOOK_OK
            }
            Err(misfits) => {
                for misfit in misfits {
                    let line = format!("CPY0001: {misfit}");
                    log::write(ffi::APLOG_EMERG, ptr::null(), &line);
                }
                ffi::HTTP_INTERNAL_SERVER_ERROR as c_int
            }
        }
    })
}

/// What these hosts of the checked configuration copy.
pub fn dump(hosts: &[Host]) -> String {
    let (policy, lines) = (lock(&CHECKED), lock(&WRITTEN));
    let proxys = |section: &Section| {
        let settings = ptr::with_exposed_provenance(section.settings);
        // SAFETY: httpd's settings of a section, which live as long as the configuration does.
        unsafe { proxy::written_in(settings) }
    };
    let Some(policy) = policy.as_ref() else { return String::new() };
    Dump { lines: &lines, policy, proxys: &proxys }.text(hosts)
}

/// `post_config`: puts the checked configuration into force for the children to come.
///
/// Whatever goes wrong here only keeps this module from mirroring: an error would end the server,
/// at a graceful restart too.
pub unsafe extern "C" fn complete(
    pconf: *mut ffi::apr_pool_t,
    _: *mut ffi::apr_pool_t,
    _: *mut ffi::apr_pool_t,
    main: *mut ffi::server_rec,
) -> c_int {
    guard(Boundary::PostConfig, ffi::HOOK_OK, || {
        log::install(main);
        // SAFETY: httpd's main server and its pool.
        unsafe { kept::resolve_servers(pconf, main) };
        // The first of two passes at start only checks; its process may be another one.
        // SAFETY: asks httpd for its state.
        let state = unsafe { ffi::ap_state_query(ffi::AP_SQ_MAIN_STATE as c_int) };
        let policy = lock(&CHECKED).take();
        if state != ffi::AP_SQ_MS_CREATE_PRE_CONFIG as c_int {
            // SAFETY: the configuration has been read.
            unsafe { open::warn(main) };
        }
        if let Some(policy) = policy.filter(|_| state != ffi::AP_SQ_MS_CREATE_PRE_CONFIG as c_int) {
            warn_of_strange_addresses(&policy, main);
            // SAFETY: httpd's pool of this configuration, and its main server.
            let generation = unsafe { generation_of(policy, pconf, main) };
            match generation.inspect(|new| count_panics_in(new.segment.faults())) {
                Ok(generation) => {
                    if !generation.policy.targets().is_empty() {
                        threads::learn();
                    }
                    // SAFETY: httpd's pool of this configuration.
                    unsafe { put_into_force(pconf, generation) }
                }
                Err(error) => log::write(
                    ffi::APLOG_ERR,
                    main,
                    &format!(
                        "CPY0011: nothing will be copied: no shared memory for counters: {error}"
                    ),
                ),
            }
        }
        ffi::HOOK_OK
    })
}

/// Warns of targets whose connections cannot leave from where they should.
fn warn_of_strange_addresses(policy: &Policy, main: *const ffi::server_rec) {
    for Resolved { target, .. } in policy.targets() {
        if let Some(address) = target.bind_address.filter(|address| !forward::is_local(*address)) {
            let name = &target.name;
            let line = format!(
                "CPY0016: copies to {name} fail for now: bindaddress={address} is not an address of this machine"
            );
            log::write(ffi::APLOG_WARNING, main, &line);
        }
    }
}

unsafe fn generation_of(
    policy: Policy,
    pconf: *mut ffi::apr_pool_t,
    main: *const ffi::server_rec,
) -> std::io::Result<Generation> {
    let mut segment = segment::retained()?;
    let shelf = shelf::retained(policy.compares()).unwrap_or_else(|error| {
        let line =
            format!("CPY0018: no answers will be compared: no shared memory for reports: {error}");
        log::write(ffi::APLOG_ERR, main, &line);
        None
    });
    let find = |segment: &Segment| -> Option<Vec<Slot>> {
        policy.targets().iter().map(|known| segment.slot(&known.target.name)).collect()
    };
    let slots = match find(&segment) {
        Some(slots) => slots,
        None => {
            // The old children's counters end with them, unseen: an error would end the server instead.
            let line = format!(
                "CPY0013: counting begins anew: there are no counters left for the new targets, for the \
                 {} there are belong to targets of earlier configurations too",
                crate::stats::TARGETS
            );
            log::write(ffi::APLOG_WARNING, main, &line);
            let names = policy.targets().iter().map(|known| known.target.name.as_str());
            segment = segment::renewed(segment, names)?;
            // Reports are known by the targets' places too.
            shelf.iter().for_each(Shelf::clear_all);
            find(&segment).ok_or_else(|| std::io::Error::other("more targets than counters"))?
        }
    };
    let targets = policy.targets().iter().zip(&slots).zip(policy.adapting());
    for ((Resolved { target, rule, .. }, slot), adapts) in targets {
        segment.breaker(*slot).configure(target.breaker, clock::now());
        segment.steering(*slot).configure(!target.starts_off);
        segment.valve(*slot).throttle.configure(rule.share().parts(), adapts);
    }
    // SAFETY: the caller vouches for both.
    let logs = unsafe { copylog::open(&policy, pconf, main) };
    Ok(Generation {
        shelf,
        policy: Arc::new(policy),
        segment,
        slots,
        logs,
        expressions: expr::take(),
        edits: edit::take(),
    })
}

unsafe fn put_into_force(pconf: *mut ffi::apr_pool_t, generation: Generation) {
    /// Goes out of force before its memory goes.
    struct InForce(Generation);
    impl Drop for InForce {
        fn drop(&mut self) {
            GENERATION.store(ptr::null_mut(), Ordering::Release);
        }
    }
    // SAFETY: the caller passes a live pool.
    let owned = unsafe { pool::own(pconf, InForce(generation)) };
    // SAFETY: given to the pool one line above.
    let InForce(generation) = unsafe { owned.as_ref() };
    GENERATION.store(ptr::from_ref(generation).cast_mut(), Ordering::Release);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
