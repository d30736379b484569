//! mod_proxy's balancers, read where mod_proxy keeps them: in memory that all its processes share.
//!
//! Nothing is written there, and no lock is taken: each field is read by itself, as it is at that moment.
//! The fields lie at the same places in every httpd from 2.4.37 to 2.4.71; what follows them does
//! not, so neither the sizes of these records nor anything in their tails is relied on.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::{ffi, pool, proxy};
use crate::balancer::{Member, Method, Roster, Sticky, status};
use crate::config::Server;
use crate::target::{Scheme, Url};

const _: () = {
    assert!(status::INITIALIZED == ffi::PROXY_WORKER_INITIALIZED);
    assert!(status::IGNORE_ERRORS == ffi::PROXY_WORKER_IGNORE_ERRORS);
    assert!(status::DRAIN == ffi::PROXY_WORKER_DRAIN);
    assert!(status::IN_SHUTDOWN == ffi::PROXY_WORKER_IN_SHUTDOWN);
    assert!(status::DISABLED == ffi::PROXY_WORKER_DISABLED);
    assert!(status::STOPPED == ffi::PROXY_WORKER_STOPPED);
    assert!(status::IN_ERROR == ffi::PROXY_WORKER_IN_ERROR);
    assert!(status::HOT_STANDBY == ffi::PROXY_WORKER_HOT_STANDBY);
    assert!(status::HC_FAIL == ffi::PROXY_WORKER_HC_FAIL);
    assert!(status::HOT_SPARE == ffi::PROXY_WORKER_HOT_SPARE);
};

/// Room for the name of a balancer or a member, and for a route, with the NUL that ends it.
const NAME: usize = ffi::PROXY_WORKER_MAX_NAME_SIZE as usize;
const ROUTE: usize = ffi::PROXY_WORKER_MAX_ROUTE_SIZE as usize;

/// The balancer of this name that a server has, be it of its own or inherited.
///
/// # Safety
///
/// `main` is httpd's main server, whose configuration has been read; modules have been found.
pub unsafe fn find(
    main: *const ffi::server_rec,
    which: Server,
    name: &str,
) -> Option<Arc<dyn Roster>> {
    // SAFETY: the name ends in NUL; httpd's module list is complete when configurations are checked.
    let module = unsafe { ffi::ap_find_linked_module(c"mod_proxy_balancer.c".as_ptr()) };
    if module.is_null() {
        return None;
    }
    let mut server = main;
    if let Some(address) = which {
        while server.addr() != address {
            // SAFETY: httpd's list of servers ends in NULL.
            server = unsafe { server.as_ref() }?.next;
        }
    }
    // SAFETY: one of httpd's servers.
    let configs = unsafe { (*server).module_config };
    let conf = proxy::settings::<ffi::proxy_server_conf>(configs)?;
    // SAFETY: mod_proxy's own record.
    let balancers = unsafe { (*conf).balancers };
    // SAFETY: mod_proxy's own array, or NULL.
    let balancers = unsafe { balancers.as_ref() }?;
    let count = usize::try_from(balancers.nelts).ok()?;
    let size = usize::try_from(balancers.elt_size).ok()?;
    // The array tells its elements' size, which is that of the mod_proxy that is loaded.
    let records = (0..count).map(|index| {
        balancers.elts.wrapping_byte_add(index.saturating_mul(size)).cast::<ffi::proxy_balancer>()
    });
    let wanted = format!("balancer://{name}");
    let live = records.map(|record| Live { balancer: record.cast_const(), slots: OnceLock::new() });
    live.into_iter().find(|live| live.name() == wanted.as_bytes()).map(|live| {
        let roster: Arc<dyn Roster> = Arc::new(live);
        roster
    })
}

/// A balancer of this process's mod_proxy, whose shared part is found anew at each look: it is made after the
/// configuration was checked, and attached to by each child before it starts its forwarders.
///
/// Members are found in the balancer's slots, for there alone are those that were added at run time. But where several
/// servers inherit one balancer, mod_proxy has slots for each of them, and looks itself only at those it made last: a
/// configured member's record is the one that its worker has.
#[derive(Debug)]
struct Live {
    balancer: *const ffi::proxy_balancer,
    /// Found once by each child.
    slots: OnceLock<Vec<Slot>>,
}

/// Where a member is, or may be put at run time.
#[derive(Clone, Copy, Debug)]
struct Slot {
    own: Record,
    /// The record of the configured member, and what tells its URL apart.
    configured: Option<(u64, Record)>,
}

impl Slot {
    /// What tells its member's URL apart, and the member's record; `None` where there is none.
    fn member(self) -> Option<(u64, Record)> {
        let id = id(self.own);
        let configured = self.configured.filter(|(configured, _)| *configured == id);
        (id != 0).then(|| configured.unwrap_or((id, self.own)))
    }
}

// SAFETY: the record lives as long as the configuration and is written by nobody once children run; what it
// leads to is read by atomic loads alone.
unsafe impl Send for Live {}
// SAFETY: as above.
unsafe impl Sync for Live {}

impl Live {
    /// The records of the configured members, before there are requests, which alone add to them.
    fn workers(&self) -> impl Iterator<Item = Record> {
        // SAFETY: mod_proxy's own record.
        let workers = unsafe { (*self.balancer).workers };
        // SAFETY: NULL, or mod_proxy's own array.
        let workers = unsafe { workers.as_ref() };
        let count = workers.map_or(0, |workers| usize::try_from(workers.nelts).unwrap_or_default());
        let first = workers.map_or(ptr::null(), |workers| workers.elts.cast_const());
        let first = first.cast::<*const ffi::proxy_worker>();
        let record = move |index: usize| {
            // SAFETY: an element of the array, which is of pointers.
            let worker = unsafe { first.wrapping_add(index).read() };
            // SAFETY: mod_proxy's own record of a worker.
            Record(unsafe { (*worker).s }.cast_const().cast())
        };
        (0..count).map(record).filter(|record| !record.0.is_null())
    }

    fn shared(&self) -> Record {
        // SAFETY: mod_proxy's own record.
        Record(unsafe { (*self.balancer).s }.cast())
    }

    fn name(&self) -> Vec<u8> {
        self.shared().text::<NAME>(offset_of!(ffi::proxy_balancer_shared, name))
    }

    /// The record of the member in a slot; `None` where there is none.
    fn worker(&self, slot: usize) -> Option<Record> {
        self.slots().get(slot)?.member().map(|(_, record)| record)
    }

    fn slots(&self) -> &[Slot] {
        self.slots.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// Where a slot begins.
    fn slot(&self, slot: usize) -> Option<Record> {
        // SAFETY: mod_proxy's own record.
        let storage = unsafe { (*self.balancer).storage };
        // SAFETY: as above.
        let slots = unsafe { (*self.balancer).wslot };
        if slots.is_null() {
            return None;
        }
        // SAFETY: NULL, or mod_slotmem_shm's own record.
        let locate = unsafe { storage.as_ref() }?.dptr?;
        let mut memory: *mut c_void = ptr::null_mut();
        let slot = u32::try_from(slot).ok()?;
        // SAFETY: mod_slotmem_shm's own function and memory; it only reckons where the slot begins.
        let status = unsafe { locate(slots, slot, &raw mut memory) };
        (status == pool::success() && !memory.is_null())
            .then_some(Record(memory.cast_const().cast()))
    }

    fn count(&self) -> usize {
        // SAFETY: mod_proxy's own record.
        usize::try_from(unsafe { (*self.balancer).max_workers }).unwrap_or_default()
    }
}

/// Whether members with this URL can be spoken to.
fn is_spoken(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// As much of a URL as may be shown: what stands before it may be a password.
fn shown(url: &str) -> &str {
    url.rsplit('@').next().unwrap_or_default()
}

/// What tells a member's URL apart; 0 where there is no member.
fn id(worker: Record) -> u64 {
    let hash = offset_of!(ffi::proxy_worker_shared, hash);
    let def = worker.u32(hash + offset_of!(ffi::proxy_hashes, def));
    let fnv = worker.u32(hash + offset_of!(ffi::proxy_hashes, fnv));
    if def == 0 { 0 } else { u64::from(def) << 32 | u64::from(fnv) }
}

impl Roster for Live {
    fn stranger(&self) -> Option<String> {
        let name = |record: Record| {
            let name = record.text::<NAME>(offset_of!(ffi::proxy_worker_shared, name));
            String::from_utf8_lossy(&name).into_owned()
        };
        let mut names = self.workers().map(name).peekable();
        let first = shown(names.peek()?).to_owned();
        names.all(|name| !is_spoken(&name)).then_some(first)
    }

    fn attach(&self) {
        let records = self.workers();
        let configured: Vec<_> = records.map(|record| (id(record), record)).collect();
        let slots = (0..self.count()).map_while(|slot| self.slot(slot)).map(|own| {
            let configured = configured.iter().find(|(known, _)| *known == id(own));
            Slot { own, configured: configured.copied() }
        });
        // The first time is the child's own.
        let _ = self.slots.set(slots.collect());
    }

    fn members(&self, see: &mut dyn FnMut(Member)) {
        for (slot, place) in self.slots().iter().enumerate() {
            let Some((id, worker)) = place.member() else { continue };
            see(Member {
                slot,
                id,
                status: worker.u32(offset_of!(ffi::proxy_worker_shared, status)),
                weight: worker.i32(offset_of!(ffi::proxy_worker_shared, lbfactor)),
                set: worker.i32(offset_of!(ffi::proxy_worker_shared, lbset)),
                failed_at: worker.i64(offset_of!(ffi::proxy_worker_shared, error_time)),
                retry: worker.i64(offset_of!(ffi::proxy_worker_shared, retry)),
            });
        }
    }

    fn method(&self) -> Method {
        const LENGTH: usize = ffi::PROXY_MAX_PROVIDER_NAME_SIZE as usize;
        let mut name = [0; LENGTH];
        let at = offset_of!(ffi::proxy_balancer_shared, lbpname);
        Method::named(self.shared().text_into(at, &mut name))
    }

    fn read_sticky(&self, sticky: &mut Sticky) -> bool {
        const LENGTH: usize = ffi::PROXY_BALANCER_MAX_STICKY_SIZE as usize;
        let shared = self.shared();
        let cookie = offset_of!(ffi::proxy_balancer_shared, sticky);
        if shared.u8(cookie) == 0 {
            return false;
        }
        let parameter = offset_of!(ffi::proxy_balancer_shared, sticky_path);
        for (name, at) in [(&mut sticky.cookie, cookie), (&mut sticky.parameter, parameter)] {
            name.clear();
            name.extend_from_slice(shared.text_into(at, &mut [0; LENGTH]));
        }
        // mod_proxy's bits in their order: sticky_force, scolonsep.
        let bits = shared.u8(offset_of!(ffi::proxy_balancer_shared, _bitfield_1));
        sticky.separator = shared.u8(offset_of!(ffi::proxy_balancer_shared, sticky_separator));
        sticky.semicolons = bits & 0b10 != 0;
        true
    }

    fn has_route(&self, slot: usize, route: &[u8]) -> bool {
        let at = offset_of!(ffi::proxy_worker_shared, route);
        self.worker(slot).is_some_and(|worker| worker.has_text::<ROUTE>(at, route))
    }

    fn url(&self, slot: usize) -> Result<Url, String> {
        let worker = self.worker(slot).ok_or("it is gone")?;
        let name = worker.text::<NAME>(offset_of!(ffi::proxy_worker_shared, name));
        let length = name.len();
        let name = String::from_utf8_lossy(&name).into_owned();
        let shown = shown(&name);
        // mod_proxy cuts it there.
        if length + 1 >= NAME {
            return Err(format!(
                "{shown}: its URL is too long, expected at most {} bytes",
                NAME - 2
            ));
        }
        if !is_spoken(&name) {
            return Err(format!(
                "{shown}: expected {} or {}",
                Scheme::Http.name(),
                Scheme::Https.name()
            ));
        }
        let path = worker.text::<NAME>(offset_of!(ffi::proxy_worker_shared, uds_path));
        let url = match String::from_utf8_lossy(&path) {
            path if path.is_empty() => name.clone(),
            // mod_proxy keeps no name that it would have to cut here.
            path => format!("unix:{path}|{name}"),
        };
        Url::parse(&url).map_err(|expected| format!("{shown}: expected {expected}"))
    }
}

/// A record in shared memory, which others may write at any moment.
///
/// It lives as long as the child: it was mapped before the child's first thread was started, and is never unmapped.
#[derive(Clone, Copy, Debug)]
struct Record(*const u8);

impl Record {
    /// The number at this place of the record, which has to be one of its own and aligned, as those of its fields are.
    fn u32(self, at: usize) -> u32 {
        let field = self.0.wrapping_byte_add(at).cast_mut().cast();
        // SAFETY: within the record; read by one atomic load.
        unsafe { AtomicU32::from_ptr(field) }.load(Ordering::Acquire)
    }

    fn i32(self, at: usize) -> i32 {
        let field = self.0.wrapping_byte_add(at).cast_mut().cast();
        // SAFETY: as above.
        unsafe { AtomicI32::from_ptr(field) }.load(Ordering::Relaxed)
    }

    fn i64(self, at: usize) -> i64 {
        let field = self.0.wrapping_byte_add(at).cast_mut().cast();
        // SAFETY: as above.
        unsafe { AtomicI64::from_ptr(field) }.load(Ordering::Relaxed)
    }

    fn u8(self, at: usize) -> u8 {
        let field = self.0.wrapping_byte_add(at).cast_mut();
        // SAFETY: as above.
        unsafe { AtomicU8::from_ptr(field) }.load(Ordering::Relaxed)
    }

    /// Whether the text at this place is that one, without NUL. Where texts differ they mostly do so in their
    /// length, or at their end.
    fn has_text<const MOST: usize>(self, at: usize, text: &[u8]) -> bool {
        if text.len() >= MOST || self.u8(at.saturating_add(text.len())) != 0 {
            return false;
        }
        let mut bytes = text.iter().enumerate().rev();
        bytes.all(|(index, byte)| self.u8(at.saturating_add(index)) == *byte)
    }

    /// The text at this place, up to the NUL that ends it.
    fn text<const MOST: usize>(self, at: usize) -> Vec<u8> {
        self.text_into(at, &mut [0; MOST]).to_vec()
    }

    /// The same, in `room` for as much of it as the field holds.
    fn text_into(self, at: usize, room: &mut [u8]) -> &[u8] {
        let mut length = 0_usize;
        for byte in &mut *room {
            *byte = self.u8(at.saturating_add(length));
            if *byte == 0 {
                break;
            }
            length = length.saturating_add(1);
        }
        room.get(..length).unwrap_or_default()
    }
}

const _: () = assert!(size_of::<c_char>() == size_of::<u8>());
