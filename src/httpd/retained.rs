//! Memory that children share, which httpd keeps for us from one configuration to the next. Only the parent calls this.

use std::ffi::CStr;

use super::ffi;

/// What httpd keeps.
#[repr(C)]
struct Retained {
    version: u64,
    memory: *mut u8,
}

/// The memory that was kept by this name, if it is laid out as this version has it.
pub fn find(key: &CStr, version: u64) -> Option<*mut u8> {
    let retained = place(key);
    if retained.is_null() {
        return None;
    }
    // SAFETY: not NULL, and of this type ever since `keep` made it.
    let known = unsafe { retained.read() };
    (known.version == version && !known.memory.is_null()).then_some(known.memory)
}

/// Keeps memory by this name, in the place of what was kept before. It lives as long as the server.
pub fn keep(key: &CStr, version: u64, memory: *mut u8) {
    let mut retained = place(key);
    if retained.is_null() {
        // SAFETY: the key ends in NUL; httpd clears the memory it gives.
        let made = unsafe { ffi::ap_retained_data_create(key.as_ptr(), size_of::<Retained>()) };
        retained = made.cast();
    }
    // SAFETY: memory of this type's size that lives as long as the server, written by the parent alone.
    unsafe { retained.write(Retained { version, memory }) };
}

/// NULL, or where it is kept.
fn place(key: &CStr) -> *mut Retained {
    // SAFETY: the key ends in NUL; what httpd kept is what `keep` stored.
    unsafe { ffi::ap_retained_data_get(key.as_ptr()) }.cast()
}
