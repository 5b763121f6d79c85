//! A target under libFuzzer, which by itself ends the process at every panic. Those that the product catches are no
//! defects of it, and are not told: Arrow and Parquet assert some of what damaged bytes can break.

use std::backtrace::Backtrace;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::{Mutex, Once, PoisonError};

/// The last panic, and where it came from.
static LAST: Mutex<Option<(String, Backtrace)>> = Mutex::new(None);

/// Gives bytes to a target. A panic that comes out of it ends the process, and libFuzzer keeps the bytes.
pub(crate) fn run(target: fn(&[u8]) -> bool, bytes: &[u8]) {
    static HOOK: Once = Once::new();
    let last = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
    HOOK.call_once(|| set_hook(Box::new(move |panic| *last() = Some((panic.to_string(), Backtrace::force_capture())))));
    if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
        if let Some((panic, backtrace)) = last().take() {
            eprintln!("{panic}\n{backtrace}");
        }
        std::process::abort();
    }
}
