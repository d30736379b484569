//! In the place of the module's `sync`: loom's atomics, which can be made in constants, and so in statics.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// The execution that loom, which runs a model's threads in one of the system's, is at: each begins with
    /// every atomic as it was made.
    static EXECUTION: Cell<usize> = const { Cell::new(0) };
}

/// Runs `execution` in every order of its threads with up to three changes of thread where none is needed.
pub fn model(execution: impl Fn() + Sync + Send + 'static) {
    static EXECUTIONS: AtomicUsize = AtomicUsize::new(1);
    let mut orders = loom::model::Builder::new();
    orders.preemption_bound = Some(3);
    orders.max_branches = 20_000;
    orders.check(move || {
        EXECUTION.set(EXECUTIONS.fetch_add(1, Ordering::Relaxed));
        execution();
    });
}

/// As in `std::sync::atomic`, as much of it as the module uses.
pub mod atomic {
    use std::fmt;
    use std::sync::{Arc, Mutex, PoisonError};

    pub use loom::sync::atomic::Ordering;
    use loom::sync::atomic::fence;

    /// loom takes `SeqCst` for `AcqRel`, except in fences: one on either side makes it what it is.
    fn in_order<T>(order: Ordering, access: impl FnOnce() -> T) -> T {
        let total = order == Ordering::SeqCst;
        if total {
            fence(Ordering::SeqCst);
        }
        let value = access();
        if total {
            fence(Ordering::SeqCst);
        }
        value
    }

    macro_rules! atomic {
        ($name:ident: $value:ty) => {
            /// An atomic that begins each execution with the value it was made of.
            ///
            /// The thread that first touches it makes loom's, and must do so before others could.
            pub struct $name {
                initial: $value,
                current: Mutex<(usize, Option<Arc<loom::sync::atomic::$name>>)>,
            }

            impl $name {
                pub const fn new(initial: $value) -> $name {
                    $name { initial, current: Mutex::new((0, None)) }
                }

                fn current(&self) -> Arc<loom::sync::atomic::$name> {
                    let now = super::EXECUTION.get();
                    let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
                    match &*current {
                        (execution, Some(atomic)) if *execution == now => Arc::clone(atomic),
                        _ => {
                            let atomic = Arc::new(loom::sync::atomic::$name::new(self.initial));
                            // That of an earlier execution belongs to a world that is gone.
                            std::mem::forget(current.1.take());
                            *current = (now, Some(Arc::clone(&atomic)));
                            atomic
                        }
                    }
                }

                pub fn load(&self, order: Ordering) -> $value {
                    in_order(order, || self.current().load(order))
                }

                pub fn store(&self, value: $value, order: Ordering) {
                    in_order(order, || self.current().store(value, order));
                }

                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    in_order(order, || self.current().swap(value, order))
                }

                pub fn compare_exchange(
                    &self,
                    from: $value,
                    to: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.current().compare_exchange(from, to, success, failure)
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(stringify!($name))
                }
            }
        };
        ($name:ident: $value:ty, a number) => {
            atomic!($name: $value);

            impl $name {
                pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    in_order(order, || self.current().fetch_add(value, order))
                }

                pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                    in_order(order, || self.current().fetch_or(value, order))
                }

                pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    in_order(order, || self.current().fetch_sub(value, order))
                }

                pub fn fetch_update(
                    &self,
                    set: Ordering,
                    fetch: Ordering,
                    update: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    self.current().fetch_update(set, fetch, update)
                }
            }
        };
    }

    atomic!(AtomicBool: bool);
    atomic!(AtomicU32: u32, a number);
    atomic!(AtomicU64: u64, a number);
    atomic!(AtomicUsize: usize, a number);
}
