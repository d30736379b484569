//! Where a fault of ours must stop; in the tests' own build, also where one begins.
//!
//! Only with the feature `fault-injection` does a boundary do anything. That build is for tests: it does what files
//! in a directory tell it, and so does not compile without debug assertions, as every release is.

/// A callback or a thread that no panic may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is called as the callback or the thread is")]
pub enum Boundary {
    RegisterHooks,
    CreateScope,
    MergeScopes,
    CreateServer,
    MergeServers,
    Directive,
    /// Within a directive: what an expression names is looked up.
    Expression,
    PreConfig,
    CheckConfig,
    PostConfig,
    TestConfig,
    ChildInit,
    ChildCleanup,
    PoolCleanup,
    Arrive,
    Reach,
    Decide,
    Tee,
    Conclude,
    Status,
    Manager,
    /// Within a callback: a copy is selected, and not in its target's queue yet.
    HandOver,
    Forwarder,
    Exchange,
    /// The thread that makes a connection for HTTP/2.
    Dial,
    Lookup,
    Adapt,
    Pulse,
    Witness,
    Compare,
    Log,
}

#[cfg(not(feature = "fault-injection"))]
impl Boundary {
    /// Its work begins.
    #[inline(always)]
    pub fn enter(self) {}

    /// Its work is done.
    #[inline(always)]
    pub fn leave(self) {}
}

#[cfg(all(feature = "fault-injection", not(debug_assertions)))]
compile_error!("the feature `fault-injection` is for tests alone: a release must not have it");

#[cfg(feature = "fault-injection")]
mod injection {
    use std::path::PathBuf;
    use std::{env, fs};

    use once_cell::sync::Lazy;

    use super::Boundary;

    impl Boundary {
        /// Its work begins: see [`pass`].
        pub fn enter(self) {
            pass(&format!("{self:?}-enter"));
        }

        /// Its work is done: see [`pass`].
        pub fn leave(self) {
            pass(&format!("{self:?}-leave"));
        }
    }

    /// Waits while the pipe `NAME.gate` is open for writing, or nobody has opened it yet; then panics if
    /// there is a file `NAME.panic`, which that uses up.
    fn pass(name: &str) {
        static DIRECTORY: Lazy<Option<PathBuf>> =
            Lazy::new(|| env::var_os("MOD_COPY_FAULTS").map(PathBuf::from));
        let Some(directory) = &*DIRECTORY else { return };
        let _ = fs::read(directory.join(format!("{name}.gate")));
        if fs::remove_file(directory.join(format!("{name}.panic"))).is_ok() {
            #[allow(clippy::panic, reason = "what this build is for")]
            {
                panic!("on purpose: {name}");
            }
        }
    }
}
