//! A lock whose holder cannot leave what it guards half changed.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose data stay whole even where a thread panicked: the panic itself ends the command.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
